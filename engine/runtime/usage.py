"""What each line carried on each JST day (Q3), and what of it counts towards the restriction (R1).

Taken from the counters and told to the database when a day, a session or a run ends, and every few
seconds between: what was told last is what another run or gateway goes on from after a crash.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from engine import clock
from engine.accounting.sims import SimTable
from engine.calendar import day_of, day_start_ns
from engine.runtime.coupons import NEVER_NS
from engine.runtime.lines import LineBook, LineState
from engine.runtime.quota import Quota
from engine.runtime.shards import Shards
from engine.runtime.windows import Windows
from engine.units import NS_PER_S
from engine.words import CONTROL_NOW_NS

Rows = npt.NDArray[Any]

REPORT_EVERY_NS = 10 * NS_PER_S
"""ns of the machine's time between two reports of a line"""
ROWS_AT_ONCE = 1 << 15
"""lines that are looked at between two batches: packets wait for no more than that"""
REST = 20
"""times as long as a report took, nothing is reported after it: with many lines, reports are rarer"""


class UsageDays:
    """Differences of the counters, day by day; reported to the database for lines that carried anything.

    A database that ends with the process is told nothing. `every_ns` may be set; no verdict depends on it.
    """

    def __init__(
        self,
        quota: Quota,
        sims: SimTable,
        shards: Shards,
        book: LineBook,
        rates: Rows,
        control: Rows,
    ) -> None:
        self._quota, self._sims, self._shards, self._book = quota, sims, shards, book
        self._control = control
        self._windows = Windows(sims, shards, rates)
        self._day: int | None = None
        self._before: Rows = np.zeros((0, 3), dtype=np.int64)
        self._told: Rows = np.zeros((0, 4), dtype=np.int64)
        self.every_ns = REPORT_EVERY_NS
        self._due_ns = clock.lease_ns() + self.every_ns
        self._next_row = 0
        quota.usage = self

    @property
    def _now_ns(self) -> int:
        return int(self._control[CONTROL_NOW_NS])

    # --- days ---------------------------------------------------------------------------------------

    def end_ns(self, now_ns: int) -> int:
        """The instant at which the day ends that is being counted: the first one known is `now_ns`'s."""
        if not self._quota.store.lasting:
            return NEVER_NS
        if self._day is None:
            self._windows.pass_to(now_ns)
            self._day = day_of(now_ns)
        return day_start_ns(self._day + 1)

    def pass_day(self, before_ns: int, after_ns: int) -> None:
        """Packet time goes from `before_ns` past the end of the day to `after_ns`."""
        self.report(before_ns)
        self._before = self._carried(np.arange(self._sims.count))
        self._told = np.zeros((len(self._before), 4), dtype=np.int64)
        self._windows.forget(after_ns)
        self._windows.pass_to(after_ns)
        self._day = day_of(after_ns)

    # --- reports ------------------------------------------------------------------------------------

    def report(self, now_ns: int) -> None:
        """Tell the database what lines have carried today so far; `now_ns` is when that was."""
        rows = np.arange(self._sims.count)
        self._windows.note_regulated(rows, now_ns)
        self._report(rows, now_ns)

    def report_if_due(self) -> None:
        """The same every few seconds, so that a crash loses no more than that; some lines at a time."""
        begin_ns = clock.lease_ns()
        if self.every_ns and begin_ns < self._due_ns:
            return
        count = self._sims.count
        first, end = self._next_row, min(self._next_row + ROWS_AT_ONCE, count)
        self._report(np.arange(first, end), self._now_ns)
        self._next_row = end if end < count else 0
        end_ns = clock.lease_ns()
        share_ns = self.every_ns * (end - first) // max(count, 1)
        self._due_ns = end_ns + max(share_ns, REST * (end_ns - begin_ns))

    def _report(self, rows: Rows, now_ns: int) -> None:
        if self._day is None:
            return
        self._make_room()
        today = np.zeros((len(rows), 4), dtype=np.int64)
        today[:, :3] = self._carried(rows) - self._before[rows]
        today[:, 3] = self._windows.counted(rows, self._day)
        changed = np.flatnonzero((today != self._told[rows]).any(axis=1))
        lines, day = self._book.lines, self._day
        said = zip(rows[changed].tolist(), *today[changed].T.tolist(), strict=True)
        self._quota.report_usage([(lines[at].code, day, *four) for at, *four in said], now_ns)
        self._told[rows] = today

    def _make_room(self) -> None:
        """Lines that came since have carried and told nothing before."""
        more = self._sims.count - len(self._told)
        if more > 0:
            more = max(more, len(self._told))
            self._before = np.concatenate([self._before, np.zeros((more, 3), dtype=np.int64)])
            self._told = np.concatenate([self._told, np.zeros((more, 4), dtype=np.int64)])

    def _carried(self, rows: Rows) -> Rows:
        """int64[n, 3]: bytes charged, slow and exempt of SIM rows since the engine began."""
        total = np.zeros((len(rows), 3), dtype=np.int64)
        shards = self._shards.of_row[rows]
        for number, shard in enumerate(self._shards.all):
            mine = np.flatnonzero(shards == number)
            total[mine] = shard.sides.carried(self._sims.rows[rows[mine]])
        return total

    # --- lines that come and go ---------------------------------------------------------------------

    def take_in(self, lines: list[LineState]) -> None:
        """Lines are here from now on: what other runs counted for them counts (R1).

        With one query, however many. PoolError where the database fails.
        """
        if lines and self._quota.store.lasting:
            self._windows.take_in(lines, self._quota.store, self._now_ns)

    def let_go(self, line: LineState, now_ns: int) -> None:
        """A line's session ends, and another gateway may have it: tell what it has carried."""
        rows = np.array([line.row])
        self._windows.note_regulated(rows, now_ns)
        self._report(rows, now_ns)
