"""Whose an address or a tunnel is: found in the tables, assumed of a prefix, or of a line that sleeps.

Lines of a subscriber table that no packet has named yet are looked at where the tables of addresses and
tunnels know nobody, and only while anybody sleeps; the runtime enters them.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from engine.datapath.tables import address_slot, find_address, most
from engine.jit import i8s, i8s2, inlined, leaf, rows, tuple_of, u1s, unsigned
from engine.layout import (
    ADDRESS_HOST,
    ANY_ENDPOINT,
    FOUND,
    NEWCOMER,
    TABLE_LINE,
    TUNNEL_ELSEWHERE,
    UPLINK,
    V4_MAPPED,
)
from engine.subscribers.table_keys import (
    BY_IPV4,
    BY_PREFIX,
    after,
    free_index,
    home,
    look_up,
    scope_of,
    spread,
)
from engine.words import (
    CONTROL_ADDRESSES,
    CONTROL_BOUND,
    CONTROL_NEW_ROW,
    CONTROL_NEWCOMERS,
    CONTROL_NOW_NS,
    CONTROL_SLEEPERS,
    CONTROL_SUBSCRIBED,
)

Rows = npt.NDArray[Any]

WHOSE = tuple_of(
    i8s2, rows(FOUND), rows(FOUND), rows(FOUND), rows(TABLE_LINE), u1s, i8s, rows(NEWCOMER)
)
"""how to tell whose an address is that the tables do not know: `--ue-net` prefixes (rows: hi, lo, mask hi,
mask lo); lines by IPv4 address, IPv6 prefix and TEID; the lines; 1 for each that is awake; the endpoint
of each gateway, by what a line says of it (ANY_ENDPOINT at 0); and room for new SIMs"""

NOBODY = -1
NEW = -2
ASLEEP = -3
"""answers of `subscriber`: no SIM's address; an address whose SIM has yet to be made; one of the line of
number control[CONTROL_SUBSCRIBED], which has to wake"""
NO_LINE = -1

_WORD = 0xFFFFFFFF
_V4 = V4_MAPPED >> 32


@leaf
def sleeper_at(whose, hi, lo):  # type: ignore[no-untyped-def]
    """Number of the sleeping line that has this address, or whose /64 it is in; or NO_LINE."""
    lines = whose[4]
    if hi == 0 and lo >> 32 == _V4:
        line = look_up(lines, BY_IPV4, whose[1], lo & _WORD, np.int64(0))
    else:
        line = look_up(lines, BY_PREFIX, whose[2], hi, np.int64(0))
    if line >= 0 and whose[5][unsigned(line)] != 0:
        return np.int64(NO_LINE)
    return line


@leaf
def is_tunnelled(whose, line):  # type: ignore[no-untyped-def]
    """True for a line with TEIDs: in a tunnel its address is valid with these only."""
    record = whose[4][unsigned(line)]
    return np.int64(record["teid_up"]) != 0 or np.int64(record["teid_down"]) != 0


@leaf
def sleeper_in(whose, key, anywhere):  # type: ignore[no-untyped-def]
    """Number of the sleeping line that decides whose the tunnel `key` is, or NO_LINE.

    That is who has the TEID at this receiver, else who has it at any; else somebody who has it at another
    receiver, because that is why it is nobody's here (B18). `anywhere`: the row of the TEID at
    ANY_ENDPOINT, which says the same of lines that are awake.
    """
    index = whose[3]
    size = len(index)
    teid = key & _WORD
    endpoint = key >> 32
    slot = home(spread(teid, np.int64(0)), size)
    told = np.int64(anywhere["row"]) >= 0 or np.int64(anywhere["direction"]) & TUNNEL_ELSEWHERE != 0
    found = np.int64(NO_LINE)
    while np.int64(index[unsigned(slot)]["row"]) >= 0:
        claim = np.int64(index[unsigned(slot)]["row"])
        line = claim >> 1
        same = np.int64(index[unsigned(slot)]["key"]) == teid
        if same and whose[5][unsigned(line)] == 0:
            receiver = whose[6][scope_of(whose[4][unsigned(line)], claim & 1)]
            if receiver == endpoint:
                return line
            if receiver == ANY_ENDPOINT:
                found = line
                told = True
            elif not told:
                found = line
        slot = after(slot, size)
    return found


@inlined
def in_nets(whose, hi, lo):  # type: ignore[no-untyped-def]
    """True if an address lies in one of the `--ue-net` prefixes."""
    nets = whose[0]
    for k in range(len(nets)):
        if hi & nets[k, 2] == nets[k, 0] and lo & nets[k, 3] == nets[k, 1]:
            return True
    return False


@inlined
def subscriber(addresses, whose, control, hi, lo):  # type: ignore[no-untyped-def]
    """Index in the address table, NOBODY, NEW for an address of a `--ue-net` prefix, or ASLEEP."""
    if control[CONTROL_BOUND] == 0 and not in_nets(whose, hi, lo):
        return np.int64(NOBODY)
    slot = find_address(addresses, hi, lo)
    if slot >= 0:
        return slot
    if control[CONTROL_SLEEPERS] != 0:
        line = sleeper_at(whose, hi, lo)
        if line >= 0:
            control[CONTROL_SUBSCRIBED] = line
            return np.int64(ASLEEP)
    return np.int64(NEW if in_nets(whose, hi, lo) else NOBODY)


@leaf
def registered(addresses, whose, control, hi, lo, opens):  # type: ignore[no-untyped-def]
    """Index in the address table of an address of a `--ue-net` prefix, whose SIM is the next one from here
    on; or NEW where the runtime has to see to it: it makes room, and knows who had an address before, if
    any was ever given back."""
    newcomers = whose[7]
    at = control[CONTROL_NEWCOMERS]
    if at >= len(newcomers) or control[CONTROL_ADDRESSES] >= most(len(addresses)):
        return np.int64(NEW)
    slot = address_slot(addresses, hi, lo, ADDRESS_HOST)
    entry = addresses[unsigned(slot)]
    entry["hi"] = hi
    entry["lo"] = lo
    entry["row"] = control[CONTROL_NEW_ROW]
    entry["kind"] = ADDRESS_HOST
    newcomer = newcomers[unsigned(at)]
    newcomer["hi"] = hi
    newcomer["lo"] = lo
    newcomer["time_ns"] = control[CONTROL_NOW_NS]
    newcomer["opens"] = opens
    control[CONTROL_ADDRESSES] += 1
    control[CONTROL_NEWCOMERS] = at + 1
    control[CONTROL_NEW_ROW] += 1
    return slot


@leaf
def new_end(p, direction, addresses, whose, control):  # type: ignore[no-untyped-def]
    """Index in the address table of the end of a packet, whose SIM is new; NEW: the runtime is to make it.

    The end is there already where a packet goes from a new address to itself.
    """
    if direction == UPLINK:
        hi, lo = np.int64(p["src_hi"]), np.int64(p["src_lo"])
    else:
        hi, lo = np.int64(p["dst_hi"]), np.int64(p["dst_lo"])
    slot = find_address(addresses, hi, lo)
    if slot < 0:
        opens = np.int64(np.int64(p["code"]) == 0)
        slot = registered(addresses, whose, control, hi, lo, opens)
        control[CONTROL_SUBSCRIBED] = direction
    return slot


def nobody_asleep(prefixes: Rows, newcomers: Rows) -> tuple[Rows, ...]:
    """WHOSE without a subscriber table."""
    tables = (free_index(0), free_index(0), free_index(0), np.zeros(0, TABLE_LINE))
    awake, receivers = np.zeros(0, np.uint8), np.array([ANY_ENDPOINT], np.int64)
    return prefixes, *tables, awake, receivers, newcomers
