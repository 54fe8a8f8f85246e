"""The 3-day windows of lines (R1-R3) from run to run and from gateway to gateway.

Each run reports to the coupon database what its lines carried that counts, day by day. The ring of a line
here holds that of this run and of all others together, so that the restriction is the same for any number
of runs and gateways.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from engine.accounting.counters import side_of
from engine.accounting.sims import SimTable
from engine.calendar import day_of
from engine.layout import SIM_REGULATED, WINDOW_DAYS
from engine.pool.store import CouponStore
from engine.runtime.lines import LineState
from engine.runtime.shards import Shards
from engine.shaper.window import add_all
from engine.words import CONTROL_SIDE_NEXT, CONTROL_WINDOW_SKIP

Rows = npt.NDArray[Any]


class Windows:
    """Puts what others counted into the rings of the lines here, and tells apart what this run counted.

    Only lines of which others counted anything are known by name here; the others cost nothing.
    """

    def __init__(self, sims: SimTable, shards: Shards, rates: Rows) -> None:
        self._sims, self._shards, self._rates = sims, shards, rates
        self._day: int | None = None
        self._others: dict[int, dict[int, int]] = {}  # byte, by day and SIM row

    def take_in(self, lines: list[LineState], store: CouponStore, now_ns: int) -> None:
        """Look up what other runs counted for these lines up to now; PoolError where that fails."""
        today = self.pass_to(now_ns)
        row_of = {line.code: line.row for line in lines}
        more = []
        for code, day, counted in store.restricting(list(row_of), today - WINDOW_DAYS + 1):
            row = row_of[code]
            known = self._others.setdefault(day, {})
            before = known.get(row, 0)
            if counted > before:  # what the database has forgotten meanwhile still counts here
                known[row] = counted
                more.append((row, day, counted - before))
        self._add(more, today)
        if more:
            changed = dict.fromkeys(row for row, _, _ in more)
            self.note_regulated(np.array(list(changed)), now_ns)

    def pass_to(self, now_ns: int) -> int:
        """Packet time has come to `now_ns`; returns its JST day.

        What was counted on days still to come, by a gateway whose time is ahead, waits for its day.
        """
        today = day_of(now_ns)
        if self._day is not None:
            if self._day >= today:
                return self._day
            ahead = [day for day in self._others if day > self._day]
            more = [(row, day, size) for day in ahead for row, size in self._others[day].items()]
            self._add(more, today)
        self._day = today
        return today

    def forget(self, now_ns: int) -> None:
        """Nothing will be asked any more of days before the window."""
        for day in [day for day in self._others if day <= day_of(now_ns) - WINDOW_DAYS]:
            del self._others[day]

    def _add(self, counted: list[tuple[int, int, int]], today: int) -> None:
        """Put (SIM row, day, bytes) into the rings, but for days still to come."""
        by_shard: dict[int, list[tuple[int, int, int]]] = {}
        for row, day, size in counted:
            if day <= today:
                by_shard.setdefault(int(self._shards.of_row[row]), []).append((row, day, size))
        for number, mine in by_shard.items():
            shard = self._shards.all[number]
            rows = dict.fromkeys(row for row, _, _ in mine)
            # In mid-batch there is room already: the shard has made it for every SIM of the batch.
            shard.sides.reserve(int(shard.control[CONTROL_SIDE_NEXT]) + len(rows))
            shape = shard.sides.shape
            side = {row: self._side(row, shape, shard.control) for row in rows}
            columns = np.array([(side[row], day, size) for row, day, size in mine], np.int64)
            sides, days, sizes = (np.ascontiguousarray(column) for column in columns.T)
            add_all(shape, sides, np.int64(today), days, sizes)

    def _side(self, row: int, shape: Rows, control: Rows) -> int:
        sim = self._sims.rows[row]
        caps = self._rates["cap_credit"][int(sim["profile"]) :][:2]
        return int(side_of(sim, shape, control, caps[0], caps[1]))

    def counted(self, rows: Rows, day: int) -> Rows:
        """int64[n]: bytes that this run counted on `day` for the SIM rows; 0 where the ring is past it."""
        total = np.zeros(len(rows), dtype=np.int64)
        for mine, newest, ring in self._rings(rows):
            total[mine] = _carried(newest, ring, day)
        known = self._others.get(day)
        if known:
            others = [known.get(row, 0) for row in rows.tolist()]
            total = np.maximum(total - np.array(others, dtype=np.int64), 0)
        return total

    def note_regulated(self, rows: Rows, now_ns: int) -> None:
        """Bring the flag of the SIM rows up to date that says whether the restriction is in force (Q4)."""
        last = day_of(now_ns) - int(self._shards.all[0].control[CONTROL_WINDOW_SKIP])
        for mine, newest, ring in self._rings(rows):
            sims = rows[mine]
            total = sum(_carried(newest, ring, day) for day in range(last - 2, last + 1))
            limit = self._rates["restriction_bytes"][self._sims.rows["profile"][sims]]
            flags = self._sims.rows["flags"][sims] & np.uint16(0xFFFF ^ SIM_REGULATED)
            regulated = (limit > 0) & (total > limit)
            self._sims.rows["flags"][sims] = flags | np.uint16(SIM_REGULATED) * regulated

    def _rings(self, rows: Rows) -> list[tuple[Rows, Rows, Rows]]:
        """(places in `rows`, newest day, ring) of the SIMs that have side rows, shard by shard."""
        sides = self._sims.rows["side"][rows]
        shards = self._shards.of_row[rows]
        found = []
        for number, shard in enumerate(self._shards.all):
            mine = np.flatnonzero((shards == number) & (sides > 0))
            shape = shard.sides.shape
            found.append((mine, shape["day"][sides[mine]], shape["slow_bytes"][sides[mine]]))
        return found


def _carried(newest: Rows, ring: Rows, day: int) -> Rows:
    """int64[n]: what rings with these newest days hold of `day`."""
    held = (day <= newest) & (newest < day + WINDOW_DAYS)
    return np.where(held, ring[:, day % WINDOW_DAYS], 0)
