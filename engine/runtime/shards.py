"""A shard: the contracts whose packets one worker meters. Shards share no contract and no side table."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import numpy.typing as npt

from engine.accounting.sims import SideTables, SimTable
from engine.datapath.meter import meter
from engine.datapath.release import release
from engine.errors import UsageError
from engine.layout import (
    CONTROL_NEXT,
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


class Shard:
    """Side tables and control words of one shard."""

    def __init__(self, window_skip_days: int) -> None:
        self.sides = SideTables()
        self.control: Rows = np.zeros(CONTROL_WORDS, dtype=np.int64)
        self.control[CONTROL_SIDE_NEXT] = 1
        self.control[CONTROL_WINDOW_SKIP] = window_skip_days

    def run(
        self, sims: SimTable, rates: Rows, work: Rows, verdicts: Rows | None, on_stop: OnStop
    ) -> None:
        """Meter all of `work`; `on_stop(stop code, work row)` sees to what a packet waits for."""
        control = self.control
        self.sides.reserve(int(control[CONTROL_SIDE_NEXT]) + min(len(work), sims.count))
        usage, shape = self.sides.usage, self.sides.shape
        control[CONTROL_NEXT] = 0
        control[CONTROL_WORK] = len(work)
        while True:
            meter(sims.rows, usage, shape, rates, work, control)
            if control[CONTROL_STOP] == STOP_END:
                break
            on_stop(int(control[CONTROL_STOP]), work[int(control[CONTROL_NEXT])])
        if verdicts is not None:
            release(work, len(work), verdicts)


class Shards:
    """All shards of an engine; with more than one, each is metered in a thread of its own.

    `of_row` says which shard a SIM row is in. What a packet gets cannot depend on the number of shards:
    all lines of a contract are in one, and nothing else is shared.
    """

    def __init__(self, count: int, window_skip_days: int) -> None:
        if not 1 <= count <= SHARDS_MAX:
            raise UsageError(f"shards: {count}; allowed: 1 to {SHARDS_MAX}")
        self.all = [Shard(window_skip_days) for _ in range(count)]
        self.of_row: Rows = np.zeros(1024, dtype=np.int64)
        self._threads = ThreadPoolExecutor(count) if count > 1 else None

    def place(self, row: int, shard: int) -> None:
        """Say in which shard a new SIM row is."""
        if row >= len(self.of_row):
            self.of_row = np.concatenate([self.of_row, np.zeros_like(self.of_row)])
        self.of_row[row] = shard

    def run(
        self, sims: SimTable, rates: Rows, work: Rows, verdicts: Rows | None, on_stop: OnStop
    ) -> None:
        """Meter `work`, every shard its own rows in their order."""
        if self._threads is None:
            self.all[0].run(sims, rates, work, verdicts, on_stop)
            return
        mine = self.of_row[work["row"]]
        parts = [(s, work[mine == at]) for at, s in enumerate(self.all)]
        running = [
            self._threads.submit(s.run, sims, rates, part, verdicts, on_stop)
            for s, part in parts
            if len(part)
        ]
        for future in running:
            future.result()

    def close(self) -> None:
        """End the threads."""
        if self._threads is not None:
            self._threads.shutdown()
