"""Outer addresses of GTP-U receivers, each given a small number in the order of first appearance.

A TEID means something only to its receiver (3GPP TS 29.281 5.1), so sessions are found by both; a
number of 20 bits and the TEID make one int64 key. The table is bounded: past the last number, or
where crafted addresses pile up in one place, the last number stands for all others, and they are
counted.
"""

import threading
from typing import Any

import numpy as np
import numpy.typing as npt

from engine.jit import inlined
from engine.layout import ENDPOINT, aligned_zeros

ENDPOINTS_MAX = 1 << 20
"""numbers; the last one, ENDPOINTS_MAX - 1, is shared by all addresses that got none"""
OTHERS = ENDPOINTS_MAX - 1
PROBES_MAX = 256
"""slots looked at for one address: bounds the work that crafted addresses can cause"""
SLOTS_FIRST = 64

COUNT = 0
"""tally[COUNT]: addresses interned"""
OVERFLOWS = 1
"""tally[OVERFLOWS]: look-ups that ended at OTHERS"""
TALLY = 2

GROW = -1
"""answer of `intern_address`: the table is half full, make it larger and ask again"""

_HASH_FACTOR = 0x9E3779B1
"""2^32 / golden ratio, odd; times 31 bits it stays within int64"""


@inlined
def slot_of(hi: Any, lo: Any) -> Any:
    """A hash of 32 bits; the caller masks it to the table's size."""
    folded = hi ^ (hi >> 29) ^ lo ^ (lo >> 31)
    return ((folded & 0x7FFFFFFF) * _HASH_FACTOR) >> 31


@inlined
def intern_address(table: Any, tally: Any, hi: Any, lo: Any) -> Any:
    """The number of an outer address: found, newly given, OTHERS, or GROW."""
    mask = table.size - 1
    slot = slot_of(hi, lo) & mask
    for _ in range(PROBES_MAX):
        entry = table[slot]
        index = np.int64(entry["index"])
        if index < 0:
            break
        if np.int64(entry["hi"]) == hi and np.int64(entry["lo"]) == lo:
            return index
        slot = (slot + 1) & mask
    count = np.int64(tally[COUNT])
    if index >= 0 or count >= OTHERS:
        tally[OVERFLOWS] += 1
        return np.int64(OTHERS)
    if 2 * count >= table.size:
        return np.int64(GROW)
    entry["hi"] = hi
    entry["lo"] = lo
    entry["index"] = count
    tally[COUNT] = count + 1
    return count


def _empty(slots: int) -> npt.NDArray[Any]:
    table = aligned_zeros(slots, ENDPOINT)
    table["index"] = -1
    return table


class Endpoints:
    """The table of outer addresses, shared by all captures of a run.

    A kernel that writes to `table` and `tally` has `lock`: captures may be read in a thread of their own.
    """

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self._known: dict[tuple[int, int], int] = {}
        self.table: npt.NDArray[Any] = _empty(SLOTS_FIRST)
        self.tally: npt.NDArray[np.int64] = np.zeros(TALLY, dtype=np.int64)

    def __len__(self) -> int:
        return int(self.tally[COUNT])

    @property
    def overflows(self) -> int:
        """Look-ups that ended at the shared number because the table had no more to give."""
        return int(self.tally[OVERFLOWS])

    def intern(self, hi: int, lo: int) -> int:
        """The number of an address, given now if it is new; OTHERS when there are no more."""
        index = self._known.get((hi, lo), GROW)
        while index == GROW:
            with self.lock:
                index = int(intern_address(self.table, self.tally, np.int64(hi), np.int64(lo)))
            if index == GROW:
                self.grow()
            elif index != OTHERS:
                self._known[hi, lo] = index
        return index

    def grow(self) -> None:
        """Double the table; the numbers stay what they are."""
        with self.lock:
            self._grow()

    def _grow(self) -> None:
        old = self.table[self.table["index"] >= 0]
        self.table = _empty(2 * self.table.size)
        mask = self.table.size - 1
        for entry in old:
            slot = int(slot_of(np.int64(entry["hi"]), np.int64(entry["lo"]))) & mask
            while self.table[slot]["index"] >= 0:
                slot = (slot + 1) & mask
            self.table[slot] = entry

    def addresses(self) -> list[tuple[int, int]]:
        """(high, low) of every interned address, at its number.

        Where OTHERS was given out, `::` stands at it and at the numbers that nobody has.
        """
        used = self.table[self.table["index"] >= 0]
        used = used[np.argsort(used["index"])]
        found = [(int(entry["hi"]), int(entry["lo"])) for entry in used]
        return found + [(0, 0)] * (ENDPOINTS_MAX - len(found) if self.overflows else 0)
