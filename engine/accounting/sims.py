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
        self.rows = grown(self.rows, self.count + 1)
        row = self.rows[self.count]
        row["profile"] = profile
        row["flags"] = flags
        row["balance_bytes"] = balance_bytes
        row["credit"] = burst_credit
        self.count += 1
        return self.count - 1


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

    def charged_bytes(self, sim: Any, direction: int) -> int:
        """byte; charged to one SIM in one direction."""
        carried = self.shape[int(sim["side"])]["charged_bytes"][direction]
        return int(sim["charged"][direction]) % CHARGED_PACKET + int(carried)

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

    def counters(self, sim: Any, direction: int) -> dict[str, int]:
        """The report's counters C of one SIM and direction: plain integers, packets and bytes."""
        usage = self.usage[2 * int(sim["side"]) + direction]
        charged_bytes = self.charged_bytes(sim, direction)
        parts = {
            "charged_bytes": charged_bytes,
            "slow_bytes": int(usage["slow_bytes"]),
            "exempt_bytes": int(usage["exempt_bytes"]),
            "free_bytes": int(usage["free_bytes"]),
        }
        dropped_bytes = int(usage["dropped_bytes"])
        return {
            "packets": (int(sim["charged"][direction]) >> CHARGED_SHIFT) + int(usage["packets"]),
            "inner_bytes": sum(parts.values()) + dropped_bytes,
            **parts,
            "dropped_packets": int(usage["dropped_packets"]),
            "dropped_bytes": dropped_bytes,
            "delayed_packets": int(usage["delayed_packets"]),
            "max_delay_ns": int(usage["max_delay_ns"]),
        }


def slow_bytes_of(shape: Any, day: int, skip_days: int) -> int:
    """byte; carried in the slow state in the 3 days of R3's window as seen on JST `day` (R1)."""
    newest = int(shape["day"])
    days = range(day - skip_days - 2, day - skip_days + 1)
    return sum(
        int(shape["slow_bytes"][d % layout.WINDOW_DAYS])
        for d in days
        if newest - layout.WINDOW_DAYS < d <= newest
    )
