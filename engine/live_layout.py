"""Records of the live gateway, declared once: unit, meaning, and M where a packet may change it.

The lower half mirrors what Linux on 64-bit machines wants to be handed (`mmsghdr`, `iovec`, `cmsghdr`).
"""

import numpy as np

from engine import verdict

BEARER_IN_USE = 1
BEARER_V6 = 2
"""flags: the session has an IPv6 /64"""

BEARER = np.dtype(
    [  # an open bearer, by its index; what the data plane must know of it
        ("teid_up", "u4"),  # given out by this gateway, in G-PDUs that come up
        ("teid_down", "u4"),  # the peer's, in G-PDUs that go down
        ("peer_hi", "i8"),  # outer address of the peer: S-GW, SGSN (as in layout.PACKET)
        ("peer_lo", "i8"),
        ("last_ns", "i8"),  # ns since 1970; time of the last packet, either way                M
        ("address", "i8"),  # IPv4 address, 0 without
        ("prefix", "i8"),  # upper half of the IPv6 /64
        ("flags", "i4"),  # BEARER_*; 0 where the row is free
        ("endpoint", "i4"),  # index of the peer's address in the engine's endpoint table
        ("held", "i4"),  # packets that wait for their departure                              M
        (
            "generation",
            "i4",
        ),  # how often the row was given out: what waited for another is not sent
    ]
)
assert BEARER.itemsize == 64  # a cache line

SPAN = np.dtype(
    [  # a datagram in the buffer that it was received into
        ("start", "i8"),  # offset of its first byte
        ("length", "i4"),  # byte
        ("message", "i4"),  # of the system call: index of its name
    ]
)
PIECE = np.dtype(
    [  # an inner packet in memory: beside its PACKET row, and in the lists of what goes out
        ("address", "i8"),  # of its first byte
        ("length", "i4"),  # byte
        ("bearer", "i4"),
    ]
)
HELD = np.dtype(
    [  # a packet that waits, by its slot
        ("length", "i4"),  # byte
        ("bearer", "i4"),
        ("generation", "i4"),  # the bearer's when it came
        ("direction", "i4"),
    ]
)

# --- what system calls are handed ---------------------------------------------------------------

IOVEC = np.dtype([("base", "i8"), ("length", "i8")])
MESSAGE = np.dtype(
    [  # struct mmsghdr
        ("name", "i8"),  # address of the sockaddr
        ("name_bytes", "i8"),
        ("iovec", "i8"),  # address of the first IOVEC
        ("iovecs", "i8"),
        ("control", "i8"),  # address of the CONTROL
        ("control_bytes", "i8"),
        ("flags", "i8"),
        ("length", "i8"),  # byte; received
    ]
)
assert MESSAGE.itemsize == 64
CONTROL = np.dtype(
    [  # struct cmsghdr with one integer
        ("bytes", "i8"),
        ("level", "i4"),
        ("kind", "i4"),
        ("value", "i4"),
        ("spare", "i4"),
    ]
)
NAME_BYTES = 32
"""room for a sockaddr of IPv4 or IPv6"""

# --- words between the loop and its kernels: one int64 array ------------------------------------

PLANE_NOW_NS = 0
"""in: ns since 1970; the time of the batch"""
PLANE_BUFFER = 1
"""in: address of the buffer at hand"""
PLANE_ROWS = 2
"""in, out: PACKET rows filled"""
PLANE_UPLINKS = 3
"""in: so many of them are uplink; they stand first"""
PLANE_ENDPOINT = 4
"""in: index of this gateway's own outer address"""
PLANE_OTHERS = 5
"""out: spans listed at PLANE_OTHER_LIST"""
PLANE_STRAYS = 6
"""out: spans listed at PLANE_STRAY_LIST"""
PLANE_OTHERS_OVER = 7
"""out: messages that are no G-PDUs and found no place in that list: they get no answer"""
PLANE_OUT_UP = 8
"""in, out: pieces that go to the SGi side now"""
PLANE_OUT_DOWN = 9
"""in, out: pieces that go to peers now"""
PLANE_HEAP = 10
"""in, out: packets that wait"""
PLANE_FREE_SMALL = 11
"""in, out: free slots of the two sizes"""
PLANE_FREE_LARGE = 12
PLANE_TAKEN = 13
"""in, out: slots whose packets are being sent"""
PLANE_ORDER = 14
"""in, out: packets held so far; equal departures go out in the order in which they came"""
PLANE_BACKLOG = 15
"""out: 1 where packets are due that did not fit into the lists"""
PLANE_LATE_MAX_NS = 16
"""out: the most that a packet left after its departure"""
PLANE_HELD_MAX = 17
"""out: the most packets that waited at once"""
PLANE_UNHELD_PACKETS = 18
"""out: packets lost because there was no room to wait"""
PLANE_UNHELD_BYTES = 19
PLANE_CLOSED_PACKETS = 20
"""out: packets that waited when their bearer ended"""
PLANE_CLOSED_BYTES = 21
PLANE_UP_PACKETS = 22
"""out: let out to the SGi side"""
PLANE_UP_BYTES = 23
PLANE_DOWN_PACKETS = 24
"""out: let out to peers"""
PLANE_DOWN_BYTES = 25
PLANE_NAMES = 26
"""in: address of the bearers' sockaddrs"""
PLANE_HOLD = 27
"""in: address of the room for packets that wait"""
PLANE_LET_OUT = 28
"""out: packets of verdicts that let them out, at once or later"""
PLANE_TRAILERS = 29
"""out: G-PDUs with bytes behind their length (B10b)"""
PLANE_NO_TUNNEL = 30
"""out: packets from the SGi side to nobody's address"""

PLANE_OTHER_LIST = 32
PLANE_OTHERS_MAX = 64
PLANE_STRAY_LIST = PLANE_OTHER_LIST + PLANE_OTHERS_MAX
PLANE_STRAYS_MAX = 32
PLANE_DROPS_UP = PLANE_STRAY_LIST + PLANE_STRAYS_MAX
"""out: from here datagrams from peers that were dropped before the engine saw them: packets and bytes,
two words a code; likewise those from the SGi side"""
PLANE_DROPS_DOWN = PLANE_DROPS_UP + 2 * verdict.CODES
PLANE_MESSAGES = PLANE_DROPS_DOWN + 2 * verdict.CODES
"""out: from here GTP-U messages by type"""
PLANE_WORDS = PLANE_MESSAGES + 256
