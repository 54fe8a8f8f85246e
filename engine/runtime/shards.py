"""A shard: the contracts whose packets one worker meters. Shards share no contract and no side table."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from engine.accounting.marker import GREEN, YELLOW
from engine.accounting.sims import SideTables, SimTable
from engine.config import Exempt, Settings
from engine.datapath.meter import meter
from engine.datapath.release import release
from engine.errors import UsageError
from engine.shaper.exempt import RatingGroups
from engine.words import (
    CONTROL_CAPS,
    CONTROL_EXEMPT_CHARGE,
    CONTROL_EXEMPT_COUNT,
    CONTROL_NEXT,
    CONTROL_POLICE,
    CONTROL_RATED_NEXT,
    CONTROL_SIDE_NEXT,
    CONTROL_STOP,
    CONTROL_WINDOW_SKIP,
    CONTROL_WORDS,
    CONTROL_WORK,
    STOP_END,
)

Rows = npt.NDArray[Any]
OnStop = Callable[[int, Any], None]

SHARDS_MAX = 64


class Job(NamedTuple):
    """What all shards are told of a piece of a batch.

    settings: RATE and MARK_RATE rows; verdicts: VERDICT[n] to be written, or None; exempt_max: how many
    packets may be exempt; on_stop(stop code, work row) sees to what a packet waits for.
    """

    settings: tuple[Rows, Rows]
    verdicts: Rows | None
    exempt_max: int
    on_stop: OnStop


class Shard:
    """Side tables and control words of one shard."""

    def __init__(self, settings: Settings) -> None:
        self.sides = SideTables(policed=settings.limiter == "police")
        self.control: Rows = np.zeros(CONTROL_WORDS, dtype=np.int64)
        self.control[CONTROL_SIDE_NEXT] = self.control[CONTROL_RATED_NEXT] = 1
        self.control[CONTROL_WINDOW_SKIP] = settings.restriction.effective == "next-day"
        if settings.limiter == "police":
            self.control[CONTROL_POLICE] = 1 + (
                YELLOW if settings.police.yellow == "pass" else GREEN
            )

    def set_exempt(self, exempt: Exempt, groups: RatingGroups) -> None:
        """How exempt packets are charged and counted from now on, and the caps of the rating groups."""
        words = np.zeros(CONTROL_CAPS + len(groups.caps_bytes), dtype=np.int64)
        words[:CONTROL_CAPS] = self.control[:CONTROL_CAPS]
        words[CONTROL_CAPS:] = groups.caps_bytes
        words[CONTROL_EXEMPT_CHARGE] = exempt.charge
        words[CONTROL_EXEMPT_COUNT] = exempt.count
        self.control = words

    def run(self, sims: SimTable, job: Job, work: Rows) -> None:
        """Meter all of `work`."""
        control = self.control
        self.sides.reserve(
            int(control[CONTROL_SIDE_NEXT]) + min(len(work), sims.count),
            int(control[CONTROL_RATED_NEXT]) + min(len(work), job.exempt_max),
        )
        tables = self.sides.tables
        control[CONTROL_NEXT] = 0
        control[CONTROL_WORK] = len(work)
        while True:
            meter(sims.rows, tables, job.settings, work, control)
            if control[CONTROL_STOP] == STOP_END:
                break
            job.on_stop(int(control[CONTROL_STOP]), work[int(control[CONTROL_NEXT])])
        if job.verdicts is not None:
            release(work, len(work), job.verdicts)


class Shards:
    """All shards of an engine; with more than one, each is metered in a thread of its own.

    `of_row` says which shard a SIM row is in. What a packet gets cannot depend on the number of shards:
    all lines of a contract are in one, and nothing else is shared.
    """

    def __init__(self, count: int, settings: Settings) -> None:
        if not 1 <= count <= SHARDS_MAX:
            raise UsageError(f"shards: {count}; allowed: 1 to {SHARDS_MAX}")
        self.all = [Shard(settings) for _ in range(count)]
        self.of_row: Rows = np.zeros(1024, dtype=np.int64)
        self._threads = ThreadPoolExecutor(count) if count > 1 else None

    def place(self, row: int, shard: int) -> None:
        """Say in which shard a new SIM row is."""
        if row >= len(self.of_row):
            self.of_row = np.concatenate([self.of_row, np.zeros_like(self.of_row)])
        self.of_row[row] = shard

    def run(self, sims: SimTable, job: Job, work: Rows) -> None:
        """Meter `work`, every shard its own rows in their order; the answers stand in it then."""
        if self._threads is None:
            self.all[0].run(sims, job, work)
            return
        mine = self.of_row[work["row"]]
        places = [np.flatnonzero(mine == at) for at in range(len(self.all))]
        parts = [
            (shard, at, work[at]) for shard, at in zip(self.all, places, strict=True) if len(at)
        ]
        running = [self._threads.submit(shard.run, sims, job, part) for shard, _, part in parts]
        for future in running:
            future.result()
        for _, at, part in parts:
            work[at] = part

    def close(self) -> None:
        """End the threads."""
        if self._threads is not None:
            self._threads.shutdown()
