"""What each line carried on each JST day (Q3): taken from the counters when a day ends, or a run."""

from typing import Any

import numpy as np
import numpy.typing as npt

from engine.accounting.sims import SimTable
from engine.calendar import day_of, day_start_ns
from engine.runtime.coupons import NEVER_NS
from engine.runtime.lines import LineBook
from engine.runtime.quota import Quota
from engine.runtime.shards import Shards

Rows = npt.NDArray[Any]


class UsageDays:
    """Differences of the counters, day by day; reported to the database for lines that carried anything.

    A database that ends with the process is told nothing.
    """

    def __init__(self, quota: Quota, sims: SimTable, shards: Shards, book: LineBook) -> None:
        self._quota, self._sims, self._shards, self._book = quota, sims, shards, book
        self._day: int | None = None
        self._before: Rows = np.zeros((0, 3), dtype=np.int64)
        self._told: Rows = np.zeros((0, 3), dtype=np.int64)

    def end_ns(self, now_ns: int) -> int:
        """The instant at which the day ends that is being counted: the first one known is `now_ns`'s."""
        if not self._quota.store.lasting:
            return NEVER_NS
        if self._day is None:
            self._day = day_of(now_ns)
        return day_start_ns(self._day + 1)

    def pass_day(self, before_ns: int, after_ns: int) -> None:
        """Packet time goes from `before_ns` past the end of the day to `after_ns`."""
        self.report(before_ns)
        self._before = self._carried()
        self._told = np.zeros_like(self._before)
        self._day = day_of(after_ns)

    def report(self, now_ns: int) -> None:
        """Tell the database what lines have carried today so far; `now_ns` is when that was."""
        if self._day is None:
            return
        today = self._carried()
        today[: len(self._before)] -= self._before
        told = np.zeros_like(today)
        told[: len(self._told)] = self._told
        changed = np.flatnonzero((today != told).any(axis=1)).tolist()
        self._told = today
        if changed:
            lines, day = self._book.lines, self._day
            rows = [(lines[row].code, day, *today[row].tolist()) for row in changed]
            self._quota.defer()
            self._quota.store.report_usage(rows, now_ns)

    def _carried(self) -> Rows:
        """int64[lines, 3]: bytes charged, slow and exempt of every line since the engine began."""
        count = self._sims.count
        total = np.zeros((count, 3), dtype=np.int64)
        shards = self._shards.of_row[:count]
        for number, shard in enumerate(self._shards.all):
            mine = np.flatnonzero(shards == number)
            total[mine] = shard.sides.carried(self._sims.rows[mine])
        return total
