"""G-PDUs whose tunnel was seen before and carries what it carried then: nearly all of a stream.

A tunnel's row remembers at which place of the address table its inner end was found. What was found there
still counts if it is the packet's address, so no second look-up is needed; else the packet goes the
long way through `engine.datapath.resolve`, which says the same of these packets.
"""

import numpy as np

from engine.datapath.asleep import in_nets
from engine.datapath.classify import classify
from engine.datapath.tables import mix, tunnel_slot
from engine.jit import apart, inlined, leaf, prefetch, unsigned
from engine.layout import (
    ADDRESS_HOST,
    ADDRESS_PREFIX,
    ANY_ENDPOINT,
    DOWNLINK,
    PACKET_FIRST,
    PACKET_FRAGMENT,
    PACKET_GTP,
    TUNNEL_CHECKED,
    TUNNEL_PLACE_SHIFT,
    TUNNEL_STATE,
)
from engine.shaper.lookup import finely_suspect, noticed
from engine.words import (
    CONTROL_ASSUMED,
    CONTROL_BOUND,
    CONTROL_BOUNDARY_NS,
    CONTROL_BYTES,
    CONTROL_EXEMPT,
    CONTROL_NEXT,
    CONTROL_NOW_NS,
    CONTROL_PACKETS,
    CONTROL_WORK,
)

SHAPE = PACKET_GTP | PACKET_FRAGMENT | PACKET_FIRST
"""flags of a packet that are looked at: fragments go the long way"""
TUNNEL_AHEAD, ADDRESS_AHEAD = 24, 12
"""packets between asking for a table row and reading it"""
NEAR_ROWS = 1 << 14
"""tables of up to so many rows are in the cache without being asked for"""
PLACES = 1 << 31 - TUNNEL_PLACE_SHIFT
"""a place in the address table from this one on is not remembered"""


@inlined
def tunnel_key(p):  # type: ignore[no-untyped-def]
    """The tunnel table's key of a G-PDU: TEID and receiver; never negative, -1 becomes ANY_ENDPOINT."""
    return (np.int64(p["endpoint"]) & ANY_ENDPOINT) << 32 | np.int64(p["teid"])


@inlined
def place_of(tunnel):  # type: ignore[no-untyped-def]
    """Where in the address table the tunnel's inner end was, or -1."""
    return (np.int64(tunnel["direction"]) >> TUNNEL_PLACE_SHIFT) - 1


@leaf
def remember(tunnel, direction, place):  # type: ignore[no-untyped-def]
    """Keep where the inner end of a packet in this tunnel was found."""
    if place < PLACES - 1:
        state = np.int64(tunnel["direction"]) & TUNNEL_STATE & ~DOWNLINK
        tunnel["direction"] = state | direction | place + 1 << TUNNEL_PLACE_SHIFT


@inlined
def either(first, second, which):  # type: ignore[no-untyped-def]
    """`first`, or `second` where `which` is 1: without a branch, which no history could foretell."""
    return first ^ (first ^ second) & -which


@inlined
def near_slot(tunnels, key):  # type: ignore[no-untyped-def]
    """As `tunnel_slot`; the first two places are told apart without a branch."""
    mask = len(tunnels) - 1
    slot = mix(key) & mask
    slot = slot + np.int64(np.int64(tunnels[unsigned(slot)]["key"]) != key) & mask
    if np.int64(tunnels[unsigned(slot)]["key"]) != key:
        slot = tunnel_slot(tunnels, key)
    return slot


@inlined
def ask(packets, k, tunnels, addresses):  # type: ignore[no-untyped-def]
    """Ask for the tunnel of a packet two dozen ahead, and for the address row that a nearer one's names."""
    if k + TUNNEL_AHEAD < len(packets):
        key = tunnel_key(packets[unsigned(k + TUNNEL_AHEAD)])
        prefetch(tunnels, unsigned(mix(key) & (len(tunnels) - 1)))
        key = tunnel_key(packets[unsigned(k + ADDRESS_AHEAD)])
        place = place_of(tunnels[unsigned(mix(key) & (len(tunnels) - 1))])
        prefetch(addresses, unsigned(max(np.int64(0), min(place, len(addresses) - 1))))


@inlined
def row_there(p, tunnel, addresses, rules):  # type: ignore[no-untyped-def]
    """The SIM row of a packet whose inner end is where the tunnel's was; -1 where it is not, or not known.

    rules: the words CONTROL_BOUND, as 0 or 1, and CONTROL_ASSUMED. That the remembered end may be a SIM's
    stays true: prefixes do not change, and CONTROL_BOUND only grows.
    """
    down = np.int64(tunnel["direction"]) & DOWNLINK
    place = place_of(tunnel)
    if place < 0 or place >= len(addresses):
        return np.int64(-1)
    address = addresses[unsigned(place)]
    row = np.int64(address["row"])
    hi = either(np.int64(p["src_hi"]), np.int64(p["dst_hi"]), down)
    lo = either(np.int64(p["src_lo"]), np.int64(p["dst_lo"]), down)
    differs = np.int64(address["hi"]) ^ hi | np.int64(address["lo"]) ^ lo
    if np.int64(tunnel["row"]) >= 0:
        differs |= np.int64(tunnel["row"]) ^ row | np.int64(address["kind"]) & ADDRESS_PREFIX
    else:
        differs |= np.int64(address["kind"]) ^ ADDRESS_HOST | rules[0] & down | rules[1]
    return row if differs == 0 else np.int64(-1)


@leaf
def run_known(packets, tunnels, addresses, whose, exempt, work, control):  # type: ignore[no-untyped-def]
    """Emit the work of packets from control[CONTROL_NEXT] on, while each is what its tunnel had before.

    A function of its own, for its registers. Arguments as for `resolve`; leaves the first packet that is
    another's, or of another kind, at control[CONTROL_NEXT].
    """
    apart()
    first = k = control[CONTROL_NEXT]
    at = control[CONTROL_WORK]
    now_ns = control[CONTROL_NOW_NS]
    far = len(tunnels) + len(addresses) > NEAR_ROWS
    boundary_ns = control[CONTROL_BOUNDARY_NS]
    rules = (np.int64(control[CONTROL_BOUND] != 0), control[CONTROL_ASSUMED])
    total = np.int64(0)
    while k < len(packets):
        if far:
            ask(packets, k, tunnels, addresses)
        p = packets[unsigned(k)]
        time_ns = np.int64(p["time_ns"])
        if time_ns >= boundary_ns or np.int64(p["flags"]) & SHAPE != PACKET_GTP:
            break
        tunnel = tunnels[unsigned(near_slot(tunnels, tunnel_key(p)))]
        state = np.int64(tunnel["direction"])
        down = state & DOWNLINK
        row = np.int64(tunnel["row"])
        if row < 0 or state & TUNNEL_CHECKED:
            row = row_there(p, tunnel, addresses, rules)
        if row < 0 or np.int64(p["code"]):
            break
        length = np.int64(p["length"])
        now_ns = max(now_ns, time_ns)
        w = work[unsigned(at)]
        w["time_ns"] = now_ns
        w["row"] = row
        w["flags"] = down
        w["packet"] = k
        w["length"] = length
        hi = either(np.int64(p["dst_hi"]), np.int64(p["src_hi"]), down)
        lo = either(np.int64(p["dst_lo"]), np.int64(p["src_lo"]), down)
        if noticed(exempt[0], hi, lo):
            # In a tunnel of no session the uplink end is asked first: the other one must be nobody's.
            if np.int64(tunnel["row"]) < 0 and in_nets(whose, hi, lo):
                break
            if finely_suspect(exempt[0], hi, lo):
                control[CONTROL_EXEMPT] += classify(p, w, exempt)
        tunnel["packets"] += 1
        tunnel["inner_bytes"] += length
        total += length
        at += 1
        k += 1
    control[CONTROL_NEXT] = k
    control[CONTROL_WORK] = at
    control[CONTROL_NOW_NS] = now_ns
    control[CONTROL_PACKETS] += k - first
    control[CONTROL_BYTES] += total
