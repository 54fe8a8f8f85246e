"""The table of SIM rows, and the side tables of a shard."""

from typing import Any

import numpy as np
import numpy.typing as npt

from engine import layout
from engine.layout import (
    CHARGED_PACKET,
    CHARGED_SHIFT,
    MARKER,
    MARKS_PER_SIDE,
    RATED,
    SHAPE,
    SIM,
    USAGE,
)

Rows = npt.NDArray[Any]


def grown(table: Rows, count: int) -> Rows:
    """A table of at least `count` rows that begins with the old one's content, twice as long if longer."""
    if count <= len(table):
        return table
    larger = layout.aligned_zeros(max(count, 2 * len(table)), table.dtype)
    larger[: len(table)] = table
    return larger


class SimTable:
    """SIM rows by index. `rows` may be replaced when the table grows: do not keep it."""

    def __init__(self, capacity: int = 1024) -> None:
        self.rows: Rows = layout.aligned_zeros(capacity, SIM)
        self.count = 0

    def add(
        self, profile: int, flags: int, balance_bytes: int, burst_credit: tuple[int, int]
    ) -> int:
        """A new row with full buckets (`burst_credit`, bit-ns, up and down); returns its index."""
        first = self.add_all(1, profile, flags, burst_credit)
        self.rows[first]["balance_bytes"] = balance_bytes
        return first

    def add_all(self, count: int, profile: int, flags: int, burst_credit: tuple[int, int]) -> int:
        """Many new rows with the same values and no balance; returns the first one's index."""
        first, self.count = self.count, self.count + count
        self.rows = grown(self.rows, self.count)
        new = self.rows[first : self.count]
        new["profile"] = profile
        new["flags"] = flags
        new["credit"] = burst_credit
        return first


class SideTables:
    """Usage and limiter state that only some SIMs need. Row 0 stays unused: it means `none`.

    `rated` has rows for the rating groups that SIMs have used; `marks` has more than one row only where
    packets are policed.
    """

    def __init__(self, capacity: int = 1024, *, policed: bool = False) -> None:
        self.usage: Rows = layout.aligned_zeros(2 * capacity, USAGE)
        self.shape: Rows = layout.aligned_zeros(capacity, SHAPE)
        self.rated: Rows = layout.aligned_zeros(1, RATED)
        self.marks: Rows = layout.aligned_zeros(MARKS_PER_SIDE * capacity if policed else 1, MARKER)
        self._policed = policed

    @property
    def tables(self) -> tuple[Rows, Rows, Rows, Rows]:
        """As the meter takes them; valid until room is made."""
        return self.usage, self.shape, self.rated, self.marks

    def reserve(self, count: int, rated: int = 1) -> None:
        """Make room for `count` side rows and `rated` rows of rating groups in all."""
        self.shape = grown(self.shape, count)
        self.usage = grown(self.usage, 2 * len(self.shape))
        self.rated = grown(self.rated, rated)
        if self._policed:
            self.marks = grown(self.marks, MARKS_PER_SIDE * len(self.shape))

    def rated_rows(self, sim: Any) -> list[Any]:
        """A SIM's rows of RATED, by the index of the rating group."""
        found = []
        at = int(self.shape[int(sim["side"])]["rated"])
        while at:
            found.append(self.rated[at])
            at = int(self.rated[at]["next"])
        return sorted(found, key=lambda row: int(row["group"]))

    def charged_bytes(self, sims: Rows, direction: int) -> Rows:
        """byte; charged to each of `sims`, SIM[n], in one direction: int64[n]."""
        carried = self.shape["charged_bytes"][sims["side"], direction]
        total: Rows = sims["charged"][:, direction] % CHARGED_PACKET + carried
        return total

    def carried(self, sims: Rows) -> Rows:
        """int64[n, 3]: bytes charged, slow and exempt of `sims`, SIM[n], both directions added."""
        side = sims["side"].astype(np.int64)
        total = np.zeros((len(sims), 3), dtype=np.int64)
        total[:, 0] = (sims["charged"] % CHARGED_PACKET).sum(axis=1)
        total[:, 0] += self.shape["charged_bytes"][side].sum(axis=1)
        for direction in (0, 1):
            usage = self.usage[2 * side + direction]
            total[:, 1] += usage["slow_bytes"]
            total[:, 2] += usage["exempt_bytes"]
        return total

    def counters(self, sims: Rows, direction: int) -> dict[str, Rows]:
        """The report's counters C of `sims`, SIM[n]: int64[n] by name, packets and bytes."""
        usage = self.usage[2 * sims["side"].astype(np.int64) + direction]
        charged_packets = sims["charged"][:, direction] >> CHARGED_SHIFT
        charged_bytes = self.charged_bytes(sims, direction)
        return {
            "packets": charged_packets + usage["packets"],
            "inner_bytes": charged_bytes + sum(usage[name] for name in _UNCHARGED),
            "charged_bytes": charged_bytes,
            **{name: usage[name] for name in _USAGE_FIELDS},
        }


_UNCHARGED = ("slow_bytes", "exempt_bytes", "free_bytes", "dropped_bytes")
_USAGE_FIELDS = (
    "slow_bytes",
    "exempt_bytes",
    "free_bytes",
    "dropped_packets",
    "dropped_bytes",
    "delayed_packets",
    "max_delay_ns",
)


def slow_bytes_of(shapes: Rows, day: int, skip_days: int) -> Rows:
    """byte; what SHAPE rows carried in the slow state in the 3 days of R3's window as seen on JST `day`.

    Takes SHAPE[n] to int64[n], and one row to one number (R1).
    """
    newest = shapes["day"]
    total = np.zeros_like(newest, dtype=np.int64)
    for d in range(day - skip_days - 2, day - skip_days + 1):
        held = (d <= newest) & (newest < d + layout.WINDOW_DAYS)
        total = total + np.where(held, shapes["slow_bytes"][..., d % layout.WINDOW_DAYS], 0)
    return total
