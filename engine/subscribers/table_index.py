"""Fills the indexes of a subscriber table, and looks into them from Python; compiled where one is used."""

from typing import Any

import numpy as np
import numpy.typing as npt

from engine.jit import i8, i8s, inlined, kernel, leaf, prefetch, rows, unsigned
from engine.layout import DOWNLINK, FOUND, TABLE_CONTRACT, TABLE_LINE, UPLINK
from engine.subscribers.table_keys import (
    after,
    home,
    look_up,
    nothing,
    scope_of,
    spread,
    tag,
    teid_of,
    words_of,
)

Rows = npt.NDArray[Any]

AHEAD = 16
"""records between asking for an entry and reading it"""


@kernel(rows(TABLE_LINE), i8, rows(FOUND), i8, i8)
def find_line(lines, kind, index, a, b):  # type: ignore[no-untyped-def]
    """Index of the line whose key of this kind is (a, b), or -1."""
    return look_up(lines, kind, index, a, b)


@kernel(rows(TABLE_LINE), i8)
def count_keys(lines, kind):  # type: ignore[no-untyped-def]
    """How many lines have a key of this kind."""
    none = nothing(kind)
    count = np.int64(0)
    for k in range(len(lines)):
        count += words_of(lines[unsigned(k)], kind)[0] != none
    return count


@kernel(rows(TABLE_LINE), i8, rows(FOUND), i8s)
def fill_lines(lines, kind, index, out):  # type: ignore[no-untyped-def]
    """Enter every line under its key of this kind; True if no two have the same.

    Else out[0] and out[1] are the first two lines with one key, and the index is not complete.
    """
    none = nothing(kind)
    size = len(index)
    count = len(lines)
    for k in range(count):
        if k + AHEAD < count:
            a, b = words_of(lines[unsigned(k + AHEAD)], kind)
            prefetch(index, unsigned(home(spread(a, b), size)))
        a, b = words_of(lines[unsigned(k)], kind)
        if a == none:
            continue
        h = spread(a, b)
        key = tag(h)
        slot = home(h, size)
        while np.int64(index[unsigned(slot)]["row"]) >= 0:
            if np.int64(index[unsigned(slot)]["key"]) == key:
                row = np.int64(index[unsigned(slot)]["row"])
                other_a, other_b = words_of(lines[unsigned(row)], kind)
                if other_a == a and other_b == b:
                    out[0], out[1] = row, k
                    return False
            slot = after(slot, size)
        index[unsigned(slot)]["key"] = key
        index[unsigned(slot)]["row"] = k
    return True


@inlined
def same_code(one, other):  # type: ignore[no-untyped-def]
    """True for two contracts of one code."""
    first = np.int64(one["code"][0]) == np.int64(other["code"][0])
    return first and np.int64(one["code"][1]) == np.int64(other["code"][1])


@kernel(rows(TABLE_CONTRACT), rows(FOUND), i8s)
def fill_contracts(contracts, index, out):  # type: ignore[no-untyped-def]
    """The same for contracts by their code."""
    size = len(index)
    count = len(contracts)
    for k in range(count):
        if k + AHEAD < count:
            ahead = contracts[unsigned(k + AHEAD)]["code"]
            prefetch(index, unsigned(home(spread(np.int64(ahead[0]), np.int64(ahead[1])), size)))
        contract = contracts[unsigned(k)]
        h = spread(np.int64(contract["code"][0]), np.int64(contract["code"][1]))
        key = tag(h)
        slot = home(h, size)
        while np.int64(index[unsigned(slot)]["row"]) >= 0:
            if np.int64(index[unsigned(slot)]["key"]) == key:
                row = np.int64(index[unsigned(slot)]["row"])
                if same_code(contracts[unsigned(row)], contract):
                    out[0], out[1] = row, k
                    return False
            slot = after(slot, size)
        index[unsigned(slot)]["key"] = key
        index[unsigned(slot)]["row"] = k
    return True


@kernel(rows(TABLE_CONTRACT), rows(FOUND), i8, i8)
def find_contract(contracts, index, a, b):  # type: ignore[no-untyped-def]
    """Index of the contract whose code is (a, b), or -1."""
    size = len(index)
    h = spread(a, b)
    slot = home(h, size)
    while True:
        row = np.int64(index[unsigned(slot)]["row"])
        if row < 0:
            return np.int64(-1)
        code = contracts[unsigned(row)]["code"]
        if np.int64(code[0]) == a and np.int64(code[1]) == b:
            return row
        slot = after(slot, size)


# --- tunnels: a TEID may be several lines', at several gateways -----------------------------------


@leaf
def contradict(lines, entry, other):  # type: ignore[no-untyped-def]
    """True for two claims (record << 1 | direction) to one TEID that packets could not tell apart."""
    one = scope_of(lines[unsigned(entry >> 1)], entry & 1)
    two = scope_of(lines[unsigned(other >> 1)], other & 1)
    uplinks = entry & 1 == UPLINK and other & 1 == UPLINK
    return one == two or (uplinks and (one == 0 or two == 0))


@kernel(rows(TABLE_LINE))
def count_teids(lines):  # type: ignore[no-untyped-def]
    """How many TEIDs the lines have."""
    count = np.int64(0)
    for k in range(len(lines)):
        line = lines[unsigned(k)]
        count += np.int64(line["teid_up"]) != 0
        count += np.int64(line["teid_down"]) != 0
    return count


@kernel(rows(TABLE_LINE), rows(FOUND), i8s)
def fill_teids(lines, index, out):  # type: ignore[no-untyped-def]
    """Enter every line under its TEIDs, as record << 1 | direction; True if no two contradict.

    Else out[0] and out[1] are the two claims. Keys are the TEIDs themselves.
    """
    size = len(index)
    count = len(lines)
    for k in range(count):
        if k + AHEAD < count:
            ahead = lines[unsigned(k + AHEAD)]
            for direction in (UPLINK, DOWNLINK):
                h = spread(teid_of(ahead, direction), np.int64(0))
                prefetch(index, unsigned(home(h, size)))
        for direction in (UPLINK, DOWNLINK):
            teid = teid_of(lines[unsigned(k)], direction)
            if teid == 0:
                continue
            entry = np.int64(k) << 1 | direction
            slot = home(spread(teid, np.int64(0)), size)
            while np.int64(index[unsigned(slot)]["row"]) >= 0:
                other = np.int64(index[unsigned(slot)]["row"])
                same = np.int64(index[unsigned(slot)]["key"]) == teid
                if same and contradict(lines, entry, other):
                    out[0], out[1] = other, entry
                    return False
                slot = after(slot, size)
            index[unsigned(slot)]["key"] = teid
            index[unsigned(slot)]["row"] = entry
    return True


@kernel(rows(FOUND), i8, i8s)
def claims_of(index, teid, out):  # type: ignore[no-untyped-def]
    """How many claims there are to a TEID (record << 1 | direction); `out` gets as many as it takes."""
    size = len(index)
    slot = home(spread(teid, np.int64(0)), size)
    count = np.int64(0)
    while np.int64(index[unsigned(slot)]["row"]) >= 0:
        if np.int64(index[unsigned(slot)]["key"]) == teid:
            if count < len(out):
                out[count] = np.int64(index[unsigned(slot)]["row"])
            count += 1
        slot = after(slot, size)
    return count
