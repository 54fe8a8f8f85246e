"""The metering kernel as the engine drives it: SIMs at high speed, the whole policy on.

Work rows (a packet whose SIM and class are known) are laid into the batch just before it is
metered, so that they are in the cache, as the kernels before this one leave them; only the metering
is timed. The peer does the same with its packets.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from engine import clock, config, jit, layout, words
from engine.accounting.sims import SideTables
from engine.datapath.meter import meter
from engine.shaper.markers import mark_table
from engine.shaper.speeds import rate_table

BATCH_ROWS = 16_384
STEP_NS = 100
SIZES = np.array([64, 64, 64, 64, 128, 576, 1080, 1400], dtype=np.int64)
"""bytes; the mix that bench/peers/meter_peer.c draws from: 430 on average"""

Rows = npt.NDArray[Any]


class Tables(NamedTuple):
    """What the kernel works on."""

    sims: Rows
    sides: tuple[Rows, Rows, Rows, Rows]
    settings: tuple[Rows, Rows]
    work: Rows
    control: npt.NDArray[np.int64]


def _tables(sims: int) -> Tables:
    settings = config.load(None)
    rates = rate_table(settings)
    rows = layout.aligned_zeros(sims, layout.SIM)
    rows["balance_bytes"] = 1 << 50
    rows["credit"] = rates["cap_credit"][0]
    rows["flags"] = layout.SIM_IN_SERVICE | layout.SIM_COUPON_ON | layout.SIM_ATTACHED
    return Tables(
        rows,
        SideTables(2).tables,
        (rates, mark_table(settings)),
        layout.aligned_zeros(BATCH_ROWS, layout.WORK),
        np.zeros(words.CONTROL_WORDS, dtype=np.int64),
    )


def _fill(batch: Rows, random: np.random.Generator, sims: int, time_ns: int) -> None:
    """Lay packets of SIMs drawn uniformly into the batch, 100 ns apart, from `time_ns` on."""
    count = len(batch)
    batch["time_ns"] = time_ns + STEP_NS * np.arange(1, count + 1)
    batch["row"] = random.integers(0, sims, count)
    batch["length"] = SIZES[random.integers(0, len(SIZES), count)]
    batch["flags"] = random.integers(0, 2, count)
    batch["packet"] = np.arange(count)


def _meter(tables: Tables, batch: Rows) -> int:
    """Meter one batch; returns the ns that it took."""
    sims, sides, settings, _, control = tables
    control[words.CONTROL_NEXT] = 0
    control[words.CONTROL_WORK] = len(batch)
    begin_ns = clock.elapsed_ns()
    meter(sims, sides, settings, batch, control)
    took_ns = clock.elapsed_ns() - begin_ns
    if control[words.CONTROL_STOP] != words.STOP_END:
        raise SystemExit("bench: the kernel stopped, though every SIM holds enough")
    return took_ns


def prepare(sims: int, packets: int) -> Callable[[], float]:
    """A function that meters `packets` packets of `sims` SIMs and returns the ns per packet."""
    jit.warm()
    tables = _tables(sims)
    random = np.random.Generator(np.random.PCG64(1))
    metered = 0

    def one_round() -> float:
        nonlocal metered
        before = int((tables.sims["charged"] >> layout.CHARGED_SHIFT).sum())
        took_ns = 0
        for first in range(0, packets, BATCH_ROWS):
            batch = tables.work[: min(BATCH_ROWS, packets - first)]
            _fill(batch, random, sims, STEP_NS * metered)
            took_ns += _meter(tables, batch)
            metered += len(batch)
        charged = int((tables.sims["charged"] >> layout.CHARGED_SHIFT).sum()) - before
        if charged != packets:
            raise SystemExit(f"bench: {charged} of {packets} packets were charged, all should be")
        return took_ns / packets

    return one_round
