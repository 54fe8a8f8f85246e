"""First kernel of the batch: whose packet is it, and in which direction (RULES N6, N7).

A G-PDU belongs to the session that has its TEID at its outer destination (TEIDs are unique per receiver
only); without one it goes by the inner address. Raw IP goes by the address: source for uplink,
destination for downlink, and both legs where a packet runs from one SIM to another.
"""

import numpy as np

from engine import verdict
from engine.datapath.asleep import (
    ASLEEP,
    NEW,
    NOBODY,
    WHOSE,
    is_tunnelled,
    new_end,
    sleeper_in,
    subscriber,
)
from engine.datapath.classify import classify
from engine.datapath.known import remember, run_known, tunnel_key
from engine.datapath.tables import address_hash, find_address, mix, most, tunnel_slot
from engine.jit import i8s, i8s2, inlined, kernel, leaf, prefetch, rows, tuple_of, unsigned
from engine.layout import (
    ADDRESS,
    ADDRESS_HOST,
    ADDRESS_PREFIX,
    ADDRESS_TUNNELLED,
    ANY_ENDPOINT,
    DOWNLINK,
    FRAGMENT,
    PACKET,
    PACKET_FIRST,
    PACKET_FRAGMENT,
    PACKET_GTP,
    RANGE,
    TUNNEL,
    TUNNEL_ASIDE,
    TUNNEL_CHECKED,
    TUNNEL_ELSEWHERE,
    TUNNEL_OVER,
    TUNNEL_SEEN,
    UPLINK,
    VERDICT,
    WORK,
    WORK_CODE_SHIFT,
    WORK_DOWNLINK,
    WORK_QUIET,
)
from engine.shaper.lookup import suspect
from engine.words import (
    CONTROL_ASSUMED,
    CONTROL_BOUNDARY_NS,
    CONTROL_BYTES,
    CONTROL_DROPS,
    CONTROL_EXEMPT,
    CONTROL_LOST_BYTES,
    CONTROL_LOST_PACKETS,
    CONTROL_NEXT,
    CONTROL_NOT_USER,
    CONTROL_NOW_NS,
    CONTROL_PACKETS,
    CONTROL_SLEEPERS,
    CONTROL_STOP,
    CONTROL_STRAYS,
    CONTROL_SUBSCRIBED,
    CONTROL_TUNNELS,
    CONTROL_TUNNELS_OVER,
    CONTROL_WORK,
    STOP_BOUNDARY,
    STOP_END,
    STOP_SLEEPER,
    STOP_SUBSCRIBER,
    STOP_TUNNELS,
    STRAYS_MAX,
)

AHEAD = 12
"""packets between asking for a table row and reading it"""

FULL = -1
UNLISTED = -2
SLEEPING = -3
"""answers of `tunnel_of`"""


@inlined
def look_ahead(p, tunnels, addresses):  # type: ignore[no-untyped-def]
    """Ask for the table rows that a packet will need, a dozen packets early."""
    if np.int64(p["flags"]) & PACKET_GTP:
        prefetch(tunnels, unsigned(mix(tunnel_key(p)) & (len(tunnels) - 1)))
    mask = len(addresses) - 1
    source = address_hash(np.int64(p["src_hi"]), np.int64(p["src_lo"]), ADDRESS_HOST)
    prefetch(addresses, unsigned(source & mask))
    destination = address_hash(np.int64(p["dst_hi"]), np.int64(p["dst_lo"]), ADDRESS_HOST)
    prefetch(addresses, unsigned(destination & mask))


@inlined
def emit(work, control, packet, row, flags):  # type: ignore[no-untyped-def]
    """Append a row of work for the meter; the engine's time is already in `control`."""
    at = control[CONTROL_WORK]
    control[CONTROL_WORK] = at + 1
    row_of_work = work[unsigned(at)]
    row_of_work["time_ns"] = control[CONTROL_NOW_NS]
    row_of_work["row"] = row
    row_of_work["flags"] = flags
    row_of_work["packet"] = packet[0]
    row_of_work["length"] = packet[1]
    control[CONTROL_PACKETS] += 1
    control[CONTROL_BYTES] += packet[1]


@inlined
def no_leg(verdicts, packet, code):  # type: ignore[no-untyped-def]
    """The verdict on a packet that makes no work: it does not leave through anybody's queue."""
    v = verdicts[unsigned(packet[0])]
    v["departure_ns"] = 0
    v["code"] = code
    v["charged_bytes"] = 0


@leaf
def lose(verdicts, control, packet, code):  # type: ignore[no-untyped-def]
    """Drop a packet that no SIM can be named for."""
    control[CONTROL_LOST_PACKETS] += 1
    control[CONTROL_LOST_BYTES] += packet[1]
    control[CONTROL_DROPS + 2 * code] += 1
    control[CONTROL_DROPS + 2 * code + 1] += packet[1]
    control[CONTROL_PACKETS] += 1
    control[CONTROL_BYTES] += packet[1]
    no_leg(verdicts, packet, code)


@inlined
def tunnel_of(tunnels, whose, control, key):  # type: ignore[no-untyped-def]
    """Row of the G-PDU's tunnel, made when it is new; FULL where the table must grow first.

    A TEID that is valid at every receiver lends its session to the tunnels in which it appears. Of the
    tunnels that no session has, only so many are listed (UNLISTED). SLEEPING: the line of number
    control[CONTROL_SUBSCRIBED] must wake first.
    """
    slot = tunnel_slot(tunnels, key)
    if np.int64(tunnels[unsigned(slot)]["key"]) == key:
        return slot
    if control[CONTROL_TUNNELS] >= most(len(tunnels)):
        return np.int64(FULL)
    anywhere = tunnels[tunnel_slot(tunnels, ANY_ENDPOINT << 32 | key & 0xFFFFFFFF)]
    if control[CONTROL_SLEEPERS] != 0:
        line = sleeper_in(whose, key, anywhere)
        if line >= 0:
            control[CONTROL_SUBSCRIBED] = line
            return np.int64(SLEEPING)
    if np.int64(anywhere["row"]) < 0:
        if control[CONTROL_STRAYS] >= STRAYS_MAX:
            return np.int64(UNLISTED)
        control[CONTROL_STRAYS] += 1
    new = tunnels[unsigned(slot)]
    new["row"] = np.int64(anywhere["row"])
    new["direction"] = np.int64(anywhere["direction"]) | TUNNEL_SEEN
    new["key"] = key
    control[CONTROL_TUNNELS] += 1
    return slot


@inlined
def count_tunnel(tunnels, control, slot, length):  # type: ignore[no-untyped-def]
    """Count a G-PDU in its tunnel."""
    if slot == UNLISTED:
        control[CONTROL_TUNNELS_OVER] += 1
    else:
        tunnels[unsigned(slot)]["packets"] += 1
        tunnels[unsigned(slot)]["inner_bytes"] += length


@inlined
def by_tunnel(p, tunnel, addresses, work, control, packet):  # type: ignore[no-untyped-def]
    """A G-PDU whose TEID belongs to a session; its inner end there must be the session's (N7).

    Uplink that is the source; downlink the destination, or one SIM would pay for another's packets.
    """
    row = np.int64(tunnel["row"])
    direction = np.int64(tunnel["direction"]) & 1
    code = np.int64(p["code"])
    if code == 0 and np.int64(tunnel["direction"]) & TUNNEL_CHECKED:
        if direction == UPLINK:
            slot = find_address(addresses, np.int64(p["src_hi"]), np.int64(p["src_lo"]))
        else:
            slot = find_address(addresses, np.int64(p["dst_hi"]), np.int64(p["dst_lo"]))
        if slot < 0 or np.int64(addresses[unsigned(slot)]["row"]) != row:
            code = np.int64(verdict.DROP_SPOOF)
        elif np.int64(addresses[unsigned(slot)]["kind"]) & ADDRESS_PREFIX == 0:
            remember(tunnel, direction, slot)
    emit(work, control, packet, row, direction | code << WORK_CODE_SHIFT)


@inlined
def strange(state):  # type: ignore[no-untyped-def]
    """Drop code of a G-PDU for whose TEID there is no session at its receiver (B18, B19)."""
    return np.int64(verdict.DROP_PEER if state & TUNNEL_ELSEWHERE else verdict.DROP_TEID)


@leaf
def settle(p, state, verdicts, control, packet):  # type: ignore[no-untyped-def]
    """A G-PDU of no session whose tunnel alone says what becomes of it.

    Its session is over, or is billed in another tunnel that carries the same packets.
    """
    if state & TUNNEL_ASIDE:
        control[CONTROL_NOT_USER] += 1
        no_leg(verdicts, packet, np.int64(verdict.NONE))
    else:
        code = np.int64(p["code"])
        lose(verdicts, control, packet, code if code != 0 else np.int64(verdict.DROP_TEID))


@leaf
def is_sessions(addresses, hi, lo):  # type: ignore[no-untyped-def]
    """True for the address of a session whose packets come in tunnels of its own."""
    slot = find_address(addresses, hi, lo)
    return slot >= 0 and np.int64(addresses[unsigned(slot)]["kind"]) & ADDRESS_TUNNELLED != 0


@leaf
def stray(p, direction, addresses):  # type: ignore[no-untyped-def]
    """Whether a packet in a tunnel of no session is not to be billed to the end whose `direction` it is.

    Where it is only assumed who is a SIM: if the other end is a session's, for that is then the SIM, and
    the tunnel is at another interface.
    """
    if direction == UPLINK:
        return is_sessions(addresses, np.int64(p["dst_hi"]), np.int64(p["dst_lo"]))
    return is_sessions(addresses, np.int64(p["src_hi"]), np.int64(p["src_lo"]))


@inlined
def by_inner_address(p, way, addresses, whose, work, verdicts, control, packet):  # type: ignore[no-untyped-def]
    """A G-PDU with a TEID of no session. Returns a STOP code.

    `way`: its drop code if nobody has it, the tunnel table, and its row there or UNLISTED.
    """
    unknown, tunnels, tunnel = way
    code = np.int64(p["code"])
    if code != 0:
        lose(verdicts, control, packet, code)
        return np.int64(STOP_END)
    assumed = control[CONTROL_ASSUMED] != 0
    for direction in (UPLINK, DOWNLINK):
        if direction == UPLINK:
            slot = subscriber(
                addresses, whose, control, np.int64(p["src_hi"]), np.int64(p["src_lo"])
            )
        else:
            slot = subscriber(
                addresses, whose, control, np.int64(p["dst_hi"]), np.int64(p["dst_lo"])
            )
        if assumed and slot != NOBODY and stray(p, direction, addresses):
            continue
        if slot == NEW:
            slot = new_end(p, direction, addresses, whose, control)
            if slot == NEW:
                return np.int64(STOP_SUBSCRIBER)
        if slot == ASLEEP and not is_tunnelled(whose, control[CONTROL_SUBSCRIBED]):
            return np.int64(STOP_SLEEPER)
        if slot >= 0 and np.int64(addresses[unsigned(slot)]["kind"]) & ADDRESS_TUNNELLED == 0:
            emit(work, control, packet, np.int64(addresses[unsigned(slot)]["row"]), direction)
            if tunnel >= 0 and np.int64(addresses[unsigned(slot)]["kind"]) == ADDRESS_HOST:
                remember(tunnels[unsigned(tunnel)], direction, slot)
            return np.int64(STOP_END)
    lose(verdicts, control, packet, unknown)
    return np.int64(STOP_END)


@leaf
def nowhere(p):  # type: ignore[no-untyped-def]
    """True if the parser could read no address."""
    halves = p["src_hi"] | p["src_lo"] | p["dst_hi"] | p["dst_lo"]
    return np.int64(halves) == 0


@inlined
def by_address(p, addresses, whose, work, verdicts, control, packet):  # type: ignore[no-untyped-def]
    """A raw IP packet: one leg for each of its ends that is a SIM. Returns a STOP code.

    A packet from one SIM to another goes up from the first and down to the second, and each is charged its
    own leg, once; so does a packet that a SIM sends to itself.
    """
    if np.int64(p["code"]) != 0 and nowhere(p):
        lose(verdicts, control, packet, np.int64(p["code"]))
        return np.int64(STOP_END)
    source = subscriber(addresses, whose, control, np.int64(p["src_hi"]), np.int64(p["src_lo"]))
    receiver = subscriber(addresses, whose, control, np.int64(p["dst_hi"]), np.int64(p["dst_lo"]))
    if source == ASLEEP or receiver == ASLEEP:
        return np.int64(STOP_SLEEPER)
    if source == NEW:
        source = new_end(p, np.int64(UPLINK), addresses, whose, control)
    if receiver == NEW and source != NEW:
        receiver = new_end(p, np.int64(DOWNLINK), addresses, whose, control)
    if source == NEW or receiver == NEW:
        return np.int64(STOP_SUBSCRIBER)
    code = np.int64(p["code"]) << WORK_CODE_SHIFT
    if source < 0 and receiver < 0:
        control[CONTROL_NOT_USER] += 1
        no_leg(verdicts, packet, np.int64(verdict.NONE))
    if source >= 0:
        emit(work, control, packet, np.int64(addresses[unsigned(source)]["row"]), UPLINK | code)
    if receiver >= 0:
        quiet = WORK_QUIET if source >= 0 else 0
        row = np.int64(addresses[unsigned(receiver)]["row"])
        emit(work, control, packet, row, DOWNLINK | quiet | code)
    return np.int64(STOP_END)


@inlined
def look_for_exempt(p, work, first, exempt, control):  # type: ignore[no-untyped-def]
    """Mark the legs of a packet, from work row `first` on, whose network side is exempt (X2).

    That is the destination going up and the source going down. Fragments are always looked at: later ones
    inherit from the first one, maybe exempt under another list, and a first one decides anew.
    """
    fragment = np.int64(p["flags"]) & (PACKET_FIRST | PACKET_FRAGMENT) != 0
    for k in range(first, control[CONTROL_WORK]):
        w = work[unsigned(k)]
        flags = np.int64(w["flags"])
        if flags & WORK_DOWNLINK:
            near = suspect(exempt[0], np.int64(p["src_hi"]), np.int64(p["src_lo"]))
        else:
            near = suspect(exempt[0], np.int64(p["dst_hi"]), np.int64(p["dst_lo"]))
        if (near or fragment) and flags >> WORK_CODE_SHIFT == 0:
            control[CONTROL_EXEMPT] += classify(p, w, exempt)


EXEMPT = tuple_of(i8s, i8s2, rows(RANGE), i8s, rows(FRAGMENT))


@kernel(rows(PACKET), rows(TUNNEL), rows(ADDRESS), WHOSE, EXEMPT, rows(WORK), rows(VERDICT), i8s)
def resolve(packets, tunnels, addresses, whose, exempt, work, verdicts, control):  # type: ignore[no-untyped-def]
    """Turn packets into work for the meter, from control[CONTROL_NEXT] on.

    packets: PACKET[n]; tunnels, addresses: tables of a power of two; whose: WHOSE; exempt: as
    for `classify`; work: WORK[2n], filled up to control[CONTROL_WORK]; verdicts: VERDICT[n], written for
    packets that make no work.
    Ends with control[CONTROL_STOP] at STOP_END, or stops before packet control[CONTROL_NEXT] for the
    caller to make room for a tunnel or a SIM, and is then called again.
    """
    count = len(packets)
    boundary_ns = control[CONTROL_BOUNDARY_NS]
    k = control[CONTROL_NEXT]
    while k < count:
        if np.int64(packets[unsigned(k)]["flags"]) & PACKET_GTP:
            control[CONTROL_NEXT] = k
            run_known(packets, tunnels, addresses, whose, exempt, work, control)
            k = control[CONTROL_NEXT]
            if k == count:
                break
        if k + AHEAD < count:
            look_ahead(packets[unsigned(k + AHEAD)], tunnels, addresses)
        p = packets[unsigned(k)]
        if np.int64(p["time_ns"]) >= boundary_ns:
            control[CONTROL_NEXT] = k
            control[CONTROL_STOP] = STOP_BOUNDARY
            return
        packet = (np.int64(k), np.int64(p["length"]))
        control[CONTROL_NOW_NS] = max(control[CONTROL_NOW_NS], np.int64(p["time_ns"]))
        leg = control[CONTROL_WORK]
        if np.int64(p["flags"]) & PACKET_GTP:
            slot = tunnel_of(tunnels, whose, control, tunnel_key(p))
            if slot == FULL:
                stop = np.int64(STOP_TUNNELS)
            elif slot == SLEEPING:
                stop = np.int64(STOP_SLEEPER)
            elif slot >= 0 and np.int64(tunnels[unsigned(slot)]["row"]) >= 0:
                by_tunnel(p, tunnels[unsigned(slot)], addresses, work, control, packet)
                stop = np.int64(STOP_END)
            else:
                state = np.int64(0)
                if slot >= 0:
                    state = np.int64(tunnels[unsigned(slot)]["direction"])
                if state & (TUNNEL_ASIDE | TUNNEL_OVER):
                    settle(p, state, verdicts, control, packet)
                    stop = np.int64(STOP_END)
                else:
                    code = strange(state)
                    way = (code, tunnels, slot)
                    stop = by_inner_address(
                        p, way, addresses, whose, work, verdicts, control, packet
                    )
            if stop == STOP_END:
                count_tunnel(tunnels, control, slot, packet[1])
        else:
            stop = by_address(p, addresses, whose, work, verdicts, control, packet)
        if stop != STOP_END:
            control[CONTROL_NEXT] = k
            control[CONTROL_STOP] = stop
            return
        look_for_exempt(p, work, leg, exempt, control)
        k += 1
    control[CONTROL_NEXT] = count
    control[CONTROL_STOP] = STOP_END
