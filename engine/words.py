"""Words between the runtime and the kernels of a batch: one int64 array, by place; why a kernel stopped."""

CONTROL_NEXT = 0
"""out: index at which a kernel stopped; equal to the number of rows when it is through"""
CONTROL_STOP = 1
"""out: why it stopped (STOP_*)"""
CONTROL_SIDE_NEXT = 2
"""in, out: first free side row"""
CONTROL_WINDOW_SKIP = 3
"""in: days to leave out of the 3-day window, counted from today: 0 immediate, 1 next-day (R3)"""
CONTROL_NOW_NS = 4
"""in, out: the engine's time, the latest of all packets"""
CONTROL_WORK = 5
"""in, out: rows of work written"""
CONTROL_NOT_USER = 6
"""out: packets that concern no SIM"""
CONTROL_LOST_PACKETS = 7
"""out: user packets that no SIM can be named for; they are dropped"""
CONTROL_LOST_BYTES = 8
CONTROL_TUNNELS = 9
"""in, out: occupied rows of the tunnel table"""
CONTROL_TUNNELS_OVER = 10
"""out: packets of tunnels beyond STRAYS_MAX, which are not listed one by one"""
CONTROL_SUBSCRIBED = 11
"""out: which address of the packet is a new SIM's: 0 the source, 1 the destination; at STOP_SLEEPER the
number of the line"""
CONTROL_PACKETS = 12
"""out: user packets, counted apart from the SIMs' own counters (I6)"""
CONTROL_BYTES = 13
CONTROL_STRAYS = 14
"""in, out: tunnels in the table that no session has"""
CONTROL_BOUND = 15
"""in: addresses given to SIMs by name; while 0, only those of `--ue-net` prefixes are looked up"""
CONTROL_EXEMPT = 16
"""out: legs of packets that are exempt, but for the caps"""
CONTROL_RATED_NEXT = 17
"""in, out: first free row of RATED"""
CONTROL_POLICE = 18
"""in: where a policer stands in for the shaper, 1 + the last colour that is let through; else 0"""
CONTROL_EXEMPT_CHARGE = 19
"""in: 1 where exempt packets are charged (X3)"""
CONTROL_EXEMPT_COUNT = 20
"""in: 1 where exempt packets of the slow state count towards the 3-day restriction (X3)"""
CONTROL_ASSUMED = 21
"""in: 1 where sessions are known, and `--ue-net` prefixes only assumed: see datapath.resolve.stray"""
CONTROL_BOUNDARY_NS = 22
"""in: a packet at or after this time is not looked at yet"""
CONTROL_SLEEPERS = 23
"""in: lines of a subscriber table that nothing has named yet"""
CONTROL_ADDRESSES = 24
"""in, out: rows of the table of addresses that are not free"""
CONTROL_NEWCOMERS = 25
"""in, out: rows of NEWCOMER written; as many as there are where the runtime is to make new SIMs itself"""
CONTROL_NEW_ROW = 26
"""in, out: row of the next new SIM"""
CONTROL_DROPS = 27
"""out: from here packets and bytes dropped, two words a code"""
CONTROL_CAPS = CONTROL_DROPS + 2 * 64
"""in: from here the cap of each rating group, byte a SIM and JST day; 0 without"""
CONTROL_WORDS = CONTROL_CAPS + 1

STRAYS_MAX = 1 << 21
"""tunnels of no session that are listed; a flood of random TEIDs must not take all memory (B20)"""

STOP_END = 0
STOP_ATTACH = 1
"""the SIM's session opens with this packet"""
STOP_SLICE = 2
"""the SIM has used up its slice and may have another"""
STOP_SUBSCRIBER = 3
"""an address of a `--ue-net` prefix is seen for the first time"""
STOP_TUNNELS = 4
"""the tunnel table has to grow"""
STOP_BOUNDARY = 5
"""an event, or the end of a day, comes before the packet"""
STOP_SLEEPER = 6
"""a line of a subscriber table has its first packet"""
