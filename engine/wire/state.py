"""What the walking kernels keep between calls: places in one array of int64.

The reader sets the upper group before a call; the kernels keep the lower one up to date.
"""

from engine import verdict

POS = 0
"""offset in the block of the next record; advanced past each one that was dealt with"""
END = 1
"""offset in the block at which its bytes end"""
MODE = 2
"""MODE_GTP or MODE_IP"""
BIG = 3
"""1 where the file (pcapng: the section) is in network byte order"""
HEADER_BYTES = 4
"""pcap: size of a record header, 16 or 24"""
INTERFACES = 5
"""interfaces declared so far in this section"""
SWAPPED_LENGTHS = 6
"""pcap before 2.3: the two lengths of a record stand the other way round"""
BASIS = 7
"""what a row's length is: of engine.wire.basis (U3)"""
WANT_SIGNALS = 8
"""1 where GTP-C datagrams are to become rows, too"""
FILE = 9
"""the descriptor from which the kernel may read on by itself, or NO_FILE"""
BUFFER = 10
"""address of the block's first byte"""
BASE = 11
"""offset in the stream of the block's first byte"""
BLOCK = 12
"""byte   to read at a time"""
LIMIT = 13
"""pcap: offset in the stream from which on no record is taken"""

BLOCKS = 14
"""1 where the file is a pcapng one"""

COUNTED = 15
"""the words from here on are what the kernels have done"""
ROWS = 15
"""in, out: rows written since the reader set it to 0"""
KEPT = 16
"""in, out: FRAME rows written since the reader set it to 0"""
SIGNALS = 17
"""in, out: rows of GTP-C datagrams written"""
STAMP_NS = 18
"""the time stamp of the frame at hand, or one of the two below"""
FIRST_NS = 19
"""least time stamp; NEVER_FIRST before any"""
LAST_NS = 20
"""greatest time stamp; NEVER_LAST before any"""
TIME_NS = 21
"""time of the frame before, after clamping"""
SUMS = 22
"""the words from here on are counts"""
FRAMES = 22
FRAME_BYTES = 23
REGRESSIONS = 24
CUT = 25
CUT_SIGNALS = 26
"""GTP-C datagrams of which the capture holds only a part, or only the first fragment"""

NO_LIMIT = (1 << 63) - 1
NO_FILE = -1

NO_STAMP = -(1 << 63)
"""the frame carries none (pcapng simple packet)"""
BAD_STAMP = NO_STAMP + 1
"""its time does not fit into 64 bits of nanoseconds"""

NEVER_FIRST = (1 << 63) - 1
NEVER_LAST = -(1 << 63)

MODE_GTP = 0
"""only G-PDUs are packets; what is charged is inside"""
MODE_IP = 1
"""every frame with an IP header is a packet"""

# Why a walking kernel came back.
MORE = 0
"""the record at POS is not whole in the block"""
FULL = 1
"""there is no room for another row"""
GROW = 2
"""the endpoint table must be larger"""
HOST = 3
"""pcapng: a block that the reader deals with (section, interface) is whole at POS"""
SKIP = 4
"""pcapng: a block at POS that is only to be passed over is longer than what is there"""
BAD_CAPLEN = 5
"""the captured length is larger than any frame, or than its block"""
BAD_BLOCK = 6
"""pcapng: a block length that cannot be"""
BAD_TRAILER = 7
"""pcapng: the two lengths of a block differ"""
BAD_INTERFACE = 8
"""pcapng: a packet of an interface that was not declared"""
LONG_BLOCK = 9
"""pcapng: a packet block larger than any packet needs"""
PAST = 10
"""pcap: the next record begins at LIMIT, or after it"""

WORDS = {
    BAD_CAPLEN: "captured length that cannot be",
    BAD_BLOCK: "block length that cannot be",
    BAD_TRAILER: "block whose two lengths differ",
    BAD_INTERFACE: "packet of an interface that was not declared",
    LONG_BLOCK: "packet block longer than any packet needs",
}
"""what to say of those that end the reading"""

# Behind the places above: counts by drop code and by GTP-U message type.
MALFORMED = 27
MESSAGES = MALFORMED + verdict.CODES
STATE = MESSAGES + 256
"""size of the array"""
