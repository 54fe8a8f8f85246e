"""Every record that kernels share, declared once: unit, meaning, and M where a packet may change it.

Addresses are pairs of int64 (high and low half of 128 bits, the bit pattern kept); an IPv4 address is
held as ::ffff:a.b.c.d. Kernels read fields as `row["field"]` and widen them to int64 at once.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

CACHE_LINE = 64
PAGE_BYTES = 1 << 21
"""alignment of large tables, so that the system can back them with huge pages"""

UPLINK = 0
DOWNLINK = 1

V4_MAPPED = 0xFFFF << 32
"""low half of an IPv4 address's 128 bits, without the address itself (RFC 4291 2.5.5.2)"""

# --- a packet, as `wire` leaves it and as an embedding program hands it in -----------------------

PACKET_GTP = 1
"""flags: came in a G-PDU; `teid` and `endpoint` are valid"""
PACKET_PORTS = 2
"""flags: `src_port` and `dst_port` are valid (TCP, UDP, SCTP or UDP-Lite header complete)"""
PACKET_FRAGMENT = 4
"""flags: a fragment of an IP packet that is not the first one; it has no ports"""
PACKET_CUT = 8
"""flags: the capture holds only part of the packet; `length` was taken from its header"""
PACKET_V6 = 16
"""flags: inner IPv6"""
PACKET_FIRST = 32
"""flags: the first fragment of a packet of which more fragments follow; `fragment` is valid here too"""
PACKET_ROUTED = 64
"""flags: it has a source route to go on with, so its destination is not where it is going"""
PACKET_SIGNALLING = 128
"""flags: no packet but a GTP-C datagram, never shown to an engine; `endpoint`: number in wire.Signals"""

PACKET = np.dtype(
    [
        ("time_ns", "i8"),  # ns since 1970, never less than that of the packet before
        ("src_hi", "i8"),  # inner source address
        ("src_lo", "i8"),
        ("dst_hi", "i8"),  # inner destination address
        ("dst_lo", "i8"),
        ("teid", "u4"),  # of the G-PDU; 0 without GTP
        ("endpoint", "i4"),  # outer destination: index in the endpoint table; -1 without GTP
        ("length", "i4"),  # byte; what is charged, limited and counted: see below (U3)
        ("src_port", "u2"),
        ("dst_port", "u2"),
        ("protocol", "u1"),  # inner upper-layer protocol (IANA number)
        ("code", "u1"),  # verdict.NONE, or the drop code that the parser decided on
        ("flags", "u2"),
        ("fragment", "u4"),  # identification of the fragmented packet (16 or 32 bits); else 0
    ]
)
"""`length` is all that the engine knows of a packet's size. In rows of a capture it is the inner packet's
IPv4 total length or IPv6 payload length + 40, or that of the outer packet around it (setting `count`);
in rows of an embedding program it is what the program writes there, whatever `count` says."""
assert PACKET.itemsize == CACHE_LINE

FRAME = np.dtype(
    [  # where a frame of a capture lies, for those who want its bytes; `wire` writes them on demand
        ("number", "i8"),  # of the frame in its capture, from 1, as other tools number them
        ("time_ns", "i8"),  # ns since 1970, as in its PACKET row
        ("start", "i8"),  # offset of its first byte in the data it comes with
        ("held", "i4"),  # byte    captured
        ("wire", "i4"),  # byte    on the wire
        ("network", "i4"),  # offset of the outermost IP header in the frame; -1 without one
        ("payload", "i4"),  # offset of the packet that is charged (T-PDU) in it; -1 without one
        ("packet", "i4"),  # index of its PACKET row in the batch; -1 where it has none
        ("link", "i2"),  # link type (LINKTYPE_*)
        ("code", "i2"),  # drop code of a frame without a row that should have been a packet, or 0
    ],
    align=True,
)

VERDICT = np.dtype(
    [
        ("departure_ns", "i8"),  # ns since 1970 at which the packet leaves; 0 when dropped
        ("code", "i4"),  # engine.verdict
        ("charged_bytes", "i4"),  # byte taken from the SIM's balance
    ]
)

# --- a SIM: one cache line with all that a charged packet reads and writes ------------------------

SIM_IN_SERVICE = 1
SIM_COUPON_ON = 2
SIM_ATTACHED = 4
SIM_HELD = 8
"""flags: packets queued before a change of rate have not all left yet (SHAPE.floor_ns)"""
SIM_DETACHED = 16
"""flags: the session was closed by an event; packets are dropped until the next attach"""
SIM_WAITING = 32
"""flags: the database's answer is out, and packets that need it are dropped until it is there"""
SIM_BUCKET_SHIFT = 6
"""flags: two bits: for which state (RATE_*) the credit stands; up to here one byte, compared at once"""
SIM_EMPTY = 256
"""flags: the contract's database is known to be empty: do not stop to ask for a slice"""
SIM_REGULATED = 512
"""flags: the 3-day restriction was in force at the last slow packet (R1)"""

CHARGED_SHIFT = 40
"""bits of SIM.charged for the bytes of up to 2^23 packets, counted above them by the same addition"""
CHARGED_PACKET = 1 << CHARGED_SHIFT

SIM = np.dtype(
    [
        ("balance_bytes", "i8"),  # byte    left of the slices on the SIM                       M
        ("credit", "i8", (2,)),  # bit-ns  limiter credit, up and down; below 0 is the queue   M
        ("last_ns", "i8", (2,)),  # ns      time of the last refill, up and down               M
        ("charged", "i8", (2,)),  # packets << CHARGED_SHIFT | bytes forwarded as charged      M
        ("flags", "u2"),  # SIM_*                                                               M
        ("profile", "u2"),  # the plan's first row in RATE: uplink at high speed
        ("side", "i4"),  # index in USAGE and SHAPE, 0 while nothing needed them                M
    ]
)
assert SIM.itemsize == CACHE_LINE

USAGE = np.dtype(
    [  # per SIM and direction, at 2 * side + direction; made when first needed
        ("packets", "i8"),  # packet  all but those in SIM.charged
        ("slow_bytes", "i8"),
        ("exempt_bytes", "i8"),
        ("free_bytes", "i8"),  # byte    uncharged rest of a last packet (D7)
        ("dropped_packets", "i8"),
        ("dropped_bytes", "i8"),
        ("delayed_packets", "i8"),
        ("max_delay_ns", "i8"),
    ]
)
assert USAGE.itemsize == CACHE_LINE

RATED = np.dtype(
    [  # per SIM and rating group: what passed as exempt (X3); a chain of them from SHAPE.rated
        ("packets", "i8", (2,)),  # packet  up and down                                        M
        ("bytes", "i8", (2,)),  # byte    up and down                                        M
        ("day", "i8"),  # JST day since 1970 of `today_bytes`                                M
        ("today_bytes", "i8"),  # byte    passed as exempt that day, both directions         M
        ("group", "i4"),  # index of the rating group
        ("next", "i4"),  # the SIM's next row, 0 at the end of the chain
        ("spare", "i8"),
    ]
)
assert RATED.itemsize == CACHE_LINE

WINDOW_DAYS = 4
"""today and the three days before: enough for both window modes of R3"""

SHAPE = np.dtype(
    [  # per SIM, at side; limiter state that a charged packet does not need
        ("exempt_credit", "i8", (2,)),  # bit-ns
        ("exempt_last_ns", "i8"),
        ("rated", "i8"),  # first row in RATED, 0 while there is none
        ("charged_bytes", "i8", (2,)),  # byte carried over from SIM.charged
        ("day", "i8"),  # JST day since 1970 of the newest entry of slow_bytes
        ("spare", "i8"),
        ("slow_bytes", "i8", (WINDOW_DAYS,)),  # byte that counts towards R1, at day % 4
        ("floor_ns", "i8", (2,)),  # ns; packets queued before the last change of rate are gone then
        ("rest", "i8", (2,)),
    ]
)
assert SHAPE.itemsize == 2 * CACHE_LINE

# --- what a plan becomes: settings only, no state -------------------------------------------------

RATE_HIGH = 0
RATE_SLOW = 1
RATE_RESTRICTED = 2
RATE_STATES = 3

RATE = np.dtype(
    [  # at SIM.profile + 2 * state + direction
        ("rate_bps", "i8"),  # bit/s
        ("cap_credit", "i8"),  # bit-ns: the burst
        ("queue_credit", "i8"),  # bit-ns: how far below 0 the credit may go
        ("fill_ns", "i8"),  # ns after which any credit has reached the cap
        ("deepest_credit", "i8"),  # bit-ns: no packet may wait for longer, whatever is held
        ("restriction_bytes", "i8"),  # byte, slow, within the window; 0 without limit (R2)
        ("spare", "i8", (2,)),  # up to a cache line
    ]
)

MARK_SRTCM = 0
"""algorithm: single rate (RFC 2697): index 1 is the excess bucket, filled by what overflows from index 0"""
MARK_TRTCM = 1
"""algorithm: two rates (RFC 2698): index 1 is the peak bucket, with tokens of its own"""
MARKS_PER_SIDE = 4
"""MARKER rows of a side: at 4 * side + 2 * exempt + direction"""

MARK_RATE = np.dtype(
    [  # a policer's settings, at the same index as RATE; index 0 committed, 1 excess or peak
        ("algorithm", "i8"),  # MARK_*
        ("numerator", "i8", (2,)),  # numerator / denominator: token arrivals a ns
        ("denominator", "i8", (2,)),
        ("step", "i8", (2,)),  # byte    tokens that one arrival brings
        ("fill_ns", "i8", (2,)),  # ns after which any bucket is full
        ("size_bytes", "i8", (2,)),  # byte    CBS; EBS or PBS
    ]
)
MARKER = np.dtype(
    [
        ("tokens", "i8", (2,)),  # byte    in the committed, and in the excess or peak bucket   M
        ("phase", "i8", (2,)),  # ns * numerator since the last arrival, below denominator      M
        ("last_ns", "i8"),  # ns since 1970 up to which tokens were counted                     M
        ("rate", "i8"),  # the MARK_RATE row they stand for, plus 1; 0 before the first packet  M
        ("spare", "i8", (2,)),
    ]
)
assert MARKER.itemsize == CACHE_LINE

# --- work for the meter kernel: a packet whose SIM and class are known ----------------------------

WORK_DOWNLINK = 1
"""flags, equal to the direction's index"""
WORK_EXEMPT = 2
WORK_QUIET = 4
"""flags: second leg of a packet between two SIMs; it is accounted but writes no verdict"""
WORK_GROUP_SHIFT = 3
WORK_GROUPS_MAX = 1 << 13
"""flags: from bit 3 on, 13 bits with the index of an exempt packet's rating group"""
WORK_CODE_SHIFT = 16
"""flags: above it the code: before metering of a drop that is decided, or 0; after it 0 means charged"""

WORK = np.dtype(
    [  # the meter writes its answer over the question: one line touched, and nothing for a plain packet
        ("time_ns", "i8"),  # in: arrival; out: departure, 0 when dropped                     M
        ("row", "i4"),  # SIM row
        ("length", "i4"),  # byte; in: of the packet; out: charged to the balance             M
        ("flags", "i4"),  # WORK_*, and above WORK_CODE_SHIFT a code; out: the verdict's      M
        ("packet", "i4"),  # index of the verdict
    ]
)

# --- tables that find the SIM ---------------------------------------------------------------------

TUNNEL_CHECKED = 2
"""direction: the inner end on the SIM's side must be an address of the SIM (N7)"""
TUNNEL_SEEN = 4
"""direction: made by a packet; row and direction are those of the TEID at ANY_ENDPOINT"""
TUNNEL_ELSEWHERE = 8
"""direction: no session here, but the TEID is one's at another receiver (B18)"""
TUNNEL_ASIDE = 16
"""direction: no session bills it; what it carries is in another tunnel of its session, too"""
TUNNEL_OVER = 32
"""direction: its session has ended: what it carries is dropped, whatever its inner addresses"""
TUNNEL_PLACE_SHIFT = 6
"""direction: above it, plus 1, where in the address table the inner end of its packets was found last"""
TUNNEL_STATE = (1 << TUNNEL_PLACE_SHIFT) - 1
ANY_ENDPOINT = 0x7FFFFFFF
"""endpoint part of the key for a TEID that is valid at every receiver"""

TUNNEL = np.dtype(
    [  # open addressing by key
        ("key", "i8"),  # endpoint << 32 | TEID; -1 where free
        ("packets", "i8"),  # G-PDUs seen                                                   M
        ("inner_bytes", "i8"),  # byte, sum of PACKET.length                                M
        ("row", "i4"),  # SIM row, -1 where no session has it
        ("direction", "i4"),  # UPLINK or DOWNLINK, plus TUNNEL_*                            M
    ]
)

NEWCOMER = np.dtype([("hi", "i8"), ("lo", "i8"), ("time_ns", "i8"), ("opens", "i8")])
"""an address that a kernel has given a row; its first packet's time, and whether that opens a session"""
ADDRESS = np.dtype(
    [  # open addressing by address
        ("hi", "i8"),
        ("lo", "i8"),
        ("row", "i4"),  # SIM row, -1 where free, ADDRESS_GONE where it was given back
        ("kind", "i4"),  # ADDRESS_*
    ]
)
ADDRESS_GONE = -2
"""row: the address is nobody's any more; the place is kept so that others behind it are found"""
ADDRESS_HOST = 0
"""kind: the address alone"""
ADDRESS_PREFIX = 1
"""kind: the IPv6 /64 of which `hi` is the upper half (N2); `lo` is 0"""
ADDRESS_TUNNELLED = 2
"""kind, added: in a tunnel this address is valid with the SIM's own TEID only"""

ENDPOINT = np.dtype(
    [  # open addressing by outer address
        ("hi", "i8"),
        ("lo", "i8"),
        ("index", "i8"),  # -1 where free
    ]
)

# --- how the interfaces of a capture stamp and frame their packets --------------------------------

INTERFACE = np.dtype(
    [
        ("link", "i8"),  # link type (LINKTYPE_*), without the bits that speak of the FCS
        ("fcs_bytes", "i8"),  # byte    checksum at the end of each frame
        ("snaplen", "i8"),  # byte    longest captured part of a frame; 0 where there is no limit
        ("kind", "i8"),  # wire.stamps: what `factor` means
        ("factor", "i8"),  # ns per unit, units per ns, or binary digits of a second
        ("offset_ns", "i8"),  # ns      to add to every time stamp
        ("frames", "i8"),  # frame   seen on it                                             M
    ]
)


def aligned_zeros(count: int, dtype: np.dtype[Any]) -> npt.NDArray[Any]:
    """`count` zeroed records whose first byte begins a cache line (a huge page for large tables).

    numpy aligns to 16 bytes only; a row that straddles two lines would cost two misses a packet.
    """
    size = count * dtype.itemsize
    align = PAGE_BYTES if size >= 8 * PAGE_BYTES else CACHE_LINE
    raw = np.zeros(size + align, dtype=np.uint8)
    skip = -raw.ctypes.data % align
    return raw[skip : skip + size].view(dtype)


RANGE = np.dtype(
    [  # a range of network addresses that are exempt for the same rules (X2); sorted, disjoint
        ("first_hi", "i8"),
        ("first_lo", "i8"),
        ("last_hi", "i8"),
        ("last_lo", "i8"),
        ("rules", "i8"),  # first << 32 | the one after the last, in the table of rules
    ]
)

FRAGMENT = np.dtype(
    [  # an exempt packet whose first fragment was seen: those that follow inherit (X4)
        ("src_hi", "i8"),
        ("src_lo", "i8"),
        ("dst_hi", "i8"),
        ("dst_lo", "i8"),
        ("label", "i8"),  # IPv4: protocol << 32 | identification; IPv6: the identification
        ("session", "i8"),  # SIM row << 1 | direction
        ("until_ns", "i8"),  # ns since 1970; later it is forgotten, 0 where the row is free
        ("group", "i8"),  # index of the rating group
    ]
)
assert FRAGMENT.itemsize == CACHE_LINE

# --- a binary subscriber table: records of the file as they are mapped (docs/subscriber-table.md) --

TABLE_COUPON_ON = 1
TABLE_IN_SERVICE = 2
TABLE_PREFIX_FIRST = 4
"""flags of a line: the switch, in service, and whether its IPv6 prefix stands before its IPv4 address"""
TABLE_OWN_COUPONS = 1
TABLE_IPV6 = 2
"""flags of a contract: it names its coupons (else the plan's bundle); the IPv6 option is booked (O1)"""

TABLE_LINE = np.dtype(
    [  # digits: two a byte, the first in the upper half, filled with 0xF; months: since 1970-01, plus 1
        ("code", "<i8", (2,)),  # ASCII, filled with 0
        ("imsi", "<i8"),  # digits; all ones without
        ("msisdn", "<i8"),  # digits; all ones without
        ("iccid", "<i8"),  # the first 16 digits; all ones without
        ("iccid_rest", "<u4"),  # the others
        ("ipv4", "<u4"),  # 0 without
        ("prefix", "<i8"),  # upper half of its IPv6 /64; 0 without
        ("balance_bytes", "<i8"),
        ("teid_up", "<u4"),  # 0 without
        ("teid_down", "<u4"),  # 0 without
        ("contract", "<u4"),  # index
        ("gateway", "<u2"),  # index plus 1; 0: any
        ("ends", "<u2"),  # last month of service; 0 without
        ("flags", "<u2"),
        ("spare", "<u2", (3,)),
    ]
)
assert TABLE_LINE.itemsize == 88

TABLE_CONTRACT = np.dtype(
    [
        ("code", "<i8", (2,)),
        ("mio_id", "u1", (12,)),  # ASCII, filled with 0
        ("first_line", "<u4"),  # its lines stand together, contracts in the order of their lines
        ("started", "<u4"),  # days since 1970-01-01
        ("plan", "<u2"),  # index
        ("lines", "<u2"),
        ("ends", "<u2"),  # last month of service; 0 without
        ("next_plan", "<u2"),  # index plus 1; 0 without
        ("next_since", "<u2"),  # first month of that plan
        ("flags", "<u2"),
        ("first_coupon", "<u4"),
        ("coupons", "<u2"),
        ("spare", "<u2"),
    ]
)
assert TABLE_CONTRACT.itemsize == 56

TABLE_COUPON = np.dtype(
    [("bytes", "<i8"), ("expires", "<u2"), ("kind", "<u2"), ("spare", "<u4")]
)  # expires: the last month in which it is good; kind: 0 bundle, 1 topup
assert TABLE_COUPON.itemsize == 16

FOUND = np.dtype([("key", "<u4"), ("row", "<i4")])
"""open addressing, by what `engine.subscribers.table_index` makes of a key; row -1 where free"""
