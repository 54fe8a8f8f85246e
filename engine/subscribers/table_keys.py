"""How the compact indexes of a subscriber table are laid out and looked into: what all kernels share.

An entry is 32 bits of the key and the record's index; the rest of the key is in the record itself, which is
looked at where those bits agree. So an index costs 10 bytes a key and may be four fifths full; it is asked
for what the tables of the data path do not know, not for every packet. What is in it is never taken out:
whether a line is still asleep is kept beside it.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from engine.jit import inlined, unsigned
from engine.layout import FOUND, UPLINK

Rows = npt.NDArray[Any]

BY_CODE, BY_IMSI, BY_ICCID, BY_MSISDN, BY_IPV4, BY_PREFIX = range(6)
"""what a line has at most one of, and no two lines have"""

_WORD = 0xFFFFFFFF
_MIX_A = 0x2C1B3C6D
_MIX_B = 0x297A2D39
_MIX_C = 0x1B56C4E9


@inlined
def spread(a, b):  # type: ignore[no-untyped-def]
    """Hash of two 64-bit words, below 2^62; products stay below 2^63, so plain Python agrees."""
    h = (b & _WORD) * _MIX_B ^ (b >> 32 & _WORD) * _MIX_A
    h = ((h ^ h >> 29) & _WORD) ^ (a & _WORD)
    h = h * _MIX_A ^ (a >> 32 & _WORD) * _MIX_B
    h = (h ^ h >> 29) & _WORD
    h = h * _MIX_C
    return h ^ h >> 31


@inlined
def home(h, size):  # type: ignore[no-untyped-def]
    """Where the entry of a hash belongs in an index of any size below 2^31."""
    return (h & _WORD) * size >> 32


@inlined
def tag(h):  # type: ignore[no-untyped-def]
    """The 32 bits of a hash that an entry keeps."""
    return h >> 30 & _WORD


@inlined
def after(slot, size):  # type: ignore[no-untyped-def]
    """The next slot to be looked at."""
    return slot + 1 if slot + 1 < size else np.int64(0)


@inlined
def words_of(line, kind):  # type: ignore[no-untyped-def]
    """A line's key of a kind as two words."""
    if kind == BY_CODE:
        return np.int64(line["code"][0]), np.int64(line["code"][1])
    if kind == BY_IMSI:
        return np.int64(line["imsi"]), np.int64(0)
    if kind == BY_ICCID:
        return np.int64(line["iccid"]), np.int64(line["iccid_rest"])
    if kind == BY_MSISDN:
        return np.int64(line["msisdn"]), np.int64(0)
    if kind == BY_IPV4:
        return np.int64(line["ipv4"]), np.int64(0)
    return np.int64(line["prefix"]), np.int64(0)


@inlined
def nothing(kind):  # type: ignore[no-untyped-def]
    """The first word of a key that a line does not have."""
    return np.int64(-1 if BY_IMSI <= kind <= BY_MSISDN else 0)


@inlined
def look_up(lines, kind, index, a, b):  # type: ignore[no-untyped-def]
    """Index of the line with this key, or -1. `index` is never full."""
    size = len(index)
    h = spread(a, b)
    key = tag(h)
    slot = home(h, size)
    while True:
        row = np.int64(index[unsigned(slot)]["row"])
        if row < 0:
            return np.int64(-1)
        if np.int64(index[unsigned(slot)]["key"]) == key:
            other_a, other_b = words_of(lines[unsigned(row)], kind)
            if other_a == a and other_b == b:
                return row
        slot = after(slot, size)


# --- tunnels: a TEID may be several lines', at several gateways -----------------------------------


@inlined
def teid_of(line, direction):  # type: ignore[no-untyped-def]
    """A line's TEID in one direction; 0 without."""
    return np.int64(line["teid_up"]) if direction == UPLINK else np.int64(line["teid_down"])


@inlined
def scope_of(line, direction):  # type: ignore[no-untyped-def]
    """Where the TEID is the line's: its gateway plus 1, or 0: at any receiver.

    The S-GW's address, to which downlink goes, is not in the table.
    """
    return np.int64(line["gateway"]) if direction == UPLINK else np.int64(0)


def free_index(keys: int) -> Rows:
    """An index with room for this many keys, four fifths full then."""
    index = np.empty(keys + keys // 4 + 1, dtype=FOUND)
    index.view(np.int64).fill(-1)
    return index
