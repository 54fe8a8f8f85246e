"""The metering kernel as the engine drives it: SIMs at high speed, the whole policy on.

Work rows (a packet whose SIM and class are known) are laid into the batch just before it is
metered, so that they are in the cache, as the kernels before this one leave them; only the metering
is timed. The peers do the same with the same packets (bench/draw.py). On two cores two threads
meter at once, without the GIL, a half of the SIMs each.
"""

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from bench import draw, places
from bench.rounds import Round
from engine import config, jit, layout, words
from engine.accounting.sims import SideTables
from engine.errors import PktollError
from engine.shaper.markers import mark_table
from engine.shaper.speeds import rate_table

WORKERS = 2

Rows = npt.NDArray[Any]
Ints = npt.NDArray[np.int64]


class Case(NamedTuple):
    """What is metered: so many SIMs, drawn in one of `draw.CHOICES`, packets of these sizes."""

    sims: int
    choice: str = draw.CHOICES[0]
    sizes: str = draw.MIX


class Shard(NamedTuple):
    """What one thread works on, all its own."""

    sims: Rows
    sides: tuple[Rows, Rows, Rows, Rows]
    work: Rows
    control: Ints
    draw: Ints


def _sim_rows(sims: int, rates: Rows) -> Rows:
    made = layout.aligned_zeros(sims, layout.SIM)
    made["balance_bytes"] = 1 << 50
    made["credit"] = rates["cap_credit"][0]
    made["flags"] = layout.SIM_IN_SERVICE | layout.SIM_COUPON_ON | layout.SIM_ATTACHED
    return made


class Meter:
    """A table of SIMs, and rounds of metering on one core or two."""

    def __init__(self, case: Case, packets: int, cores: list[int]) -> None:
        jit.warm()
        settings = config.load(None)
        self._settings = rate_table(settings), mark_table(settings)
        self._sims = _sim_rows(case.sims, self._settings[0])
        self._sizes = np.array(draw.sizes_of(case.sizes), dtype=np.int64)
        self._bounds = draw.bounds_for(case.choice, case.sims)
        self._case, self._packets, self._cores = case, packets, cores
        self._shards = {n: self._split(n) for n in range(1, WORKERS + 1)}
        self._time_ns = 0

    def _split(self, workers: int) -> list[Shard]:
        each = self._case.sims // workers
        return [
            Shard(
                self._sims[n * each : (n + 1) * each],
                SideTables(2).tables,
                layout.aligned_zeros(draw.BATCH, layout.WORK),
                np.zeros(words.CONTROL_WORDS, dtype=np.int64),
                draw.state(self._case.choice, each, draw.sizes_of(self._case.sizes)),
            )
            for n in range(workers)
        ]

    def _run(self, shard: Shard) -> int:
        """One thread's part of a round; the ns that the metering took. PktollError where it stopped."""
        told = draw.round_words(self._packets)
        source = shard.draw, self._sizes, self._bounds
        draw.run(shard.sims, shard.sides, self._settings, shard.work, shard.control, source, told)
        if shard.control[words.CONTROL_STOP] != words.STOP_END:
            raise PktollError("bench: the kernel stopped, though every SIM holds enough")
        return int(told[draw.TOOK])

    def round(self, number: int, workers: int) -> Round:
        """`packets` packets on each of so many cores: the ns of one at the sum of their rates.

        Raises PktollError where a packet was not charged: every one should be.
        """
        before = self._charged()
        shards = self._shards[workers]
        for worker, shard in enumerate(shards):
            draw.begin(shard.draw, draw.seed(number, worker), self._time_ns)
        if workers == 1:
            with places.on_cores(self._cores[:1]):
                took_ns = [self._run(shards[0])]
        else:
            took_ns = self._together(shards)
        self._time_ns = max(int(shard.draw[draw.TIME]) for shard in shards)
        packets, size = (int(now - then) for now, then in zip(self._charged(), before, strict=True))
        if packets != workers * self._packets:
            said = f"{packets} of {workers * self._packets} packets were charged at once"
            raise PktollError(f"bench: {said}, all should be")
        timed = self._packets - draw.untimed(self._packets)
        return Round(1 / sum(timed / ns for ns in took_ns), packets, size)

    def _together(self, shards: list[Shard]) -> list[int]:
        ready = Barrier(len(shards))

        def work(worker: int) -> int:
            with places.on_cores([self._cores[worker]]):
                ready.wait()
                return self._run(shards[worker])

        with ThreadPoolExecutor(len(shards)) as threads:
            return list(threads.map(work, range(len(shards))))

    def _charged(self) -> tuple[int, int]:
        """Packets and bytes that were charged so far, in the fast path."""
        charged = self._sims["charged"]
        packets = int((charged >> layout.CHARGED_SHIFT).sum())
        return packets, int((charged & layout.CHARGED_PACKET - 1).sum())
