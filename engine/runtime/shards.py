"""A shard: the contracts whose packets one worker meters. Shards share no contract and no side table."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from engine.accounting.marker import GREEN, YELLOW
from engine.accounting.sims import SideTables, SimTable
from engine.config import Exempt, Settings
from engine.datapath.deal import collect, deal
from engine.datapath.meter import meter
from engine.datapath.release import release
from engine.errors import UsageError
from engine.layout import WORK, aligned_zeros
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
TOGETHER_MIN = 4096
"""packets of a batch from which on handing its parts to threads costs less than it saves"""


class Job(NamedTuple):
    """What all shards are told of a piece of a batch.

    settings: RATE and MARK_RATE rows; verdicts: VERDICT[n] to be written, or None; exempt_max: how many
    packets may be exempt; on_stop(stop code, work row) sees to what a packet waits for; in_order: whether
    the answers are to stand in the work itself, besides the verdicts.
    """

    settings: tuple[Rows, Rows]
    verdicts: Rows | None
    exempt_max: int
    on_stop: OnStop
    in_order: bool


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


Task = tuple[Shard, SimTable, Job, Rows]


class Shards:
    """All shards of an engine; with more than one, each is metered in a thread of its own.

    `of_row` says which shard a SIM row is in. What a packet gets cannot depend on the number of shards:
    all lines of a contract are in one, and nothing else is shared.
    """

    def __init__(self, count: int, settings: Settings) -> None:
        if not 1 <= count <= SHARDS_MAX:
            raise UsageError(f"shards: {count}; allowed: 1 to {SHARDS_MAX}")
        self.all = [Shard(settings) for _ in range(count)]
        self.of_row: Rows = np.zeros(1024, dtype=np.uint8)
        self._dealt: Rows = np.zeros(0, dtype=WORK)
        self._threads = ThreadPoolExecutor(count - 1) if count > 1 else None

    def place(self, row: int, shard: int) -> None:
        """Say in which shard a new SIM row is."""
        self.place_all(row, [shard])

    def place_all(self, first_row: int, shards: list[int]) -> None:
        """The same for the SIM rows from `first_row` on."""
        end = first_row + len(shards)
        while end > len(self.of_row):
            self.of_row = np.concatenate([self.of_row, np.zeros_like(self.of_row)])
        self.of_row[first_row:end] = shards

    def run(self, sims: SimTable, job: Job, work: Rows) -> None:
        """Meter `work`, every shard its own rows in their order; see Job for where the answers are."""
        if self._threads is None:
            self.all[0].run(sims, job, work)
            return
        room = len(work)
        if len(self._dealt) < room * len(self.all):
            self._dealt = aligned_zeros(room * len(self.all), WORK)
        begins = room * np.arange(len(self.all))
        ends = begins.copy()
        deal(work, self.of_row, self._dealt, ends)
        parts = [self._dealt[begin:end] for begin, end in zip(begins, ends, strict=True)]
        tasks = [(shard, sims, job, part) for shard, part in zip(self.all, parts, strict=True)]
        self._run_all(self._threads if room >= TOGETHER_MIN else None, tasks)
        if job.in_order:
            collect(work, self.of_row, self._dealt, begins)

    @staticmethod
    def _run_all(threads: ThreadPoolExecutor | None, tasks: list[Task]) -> None:
        """Every shard its part: the first in this thread, the others at the same time or after it."""
        running = [] if threads is None else [threads.submit(Shard.run, *t) for t in tasks[1:]]
        try:
            for task in tasks[:1] if running else tasks:
                Shard.run(*task)
        finally:
            wait(running)
        for future in running:
            future.result()

    def close(self) -> None:
        """End the threads."""
        if self._threads is not None:
            self._threads.shutdown()
