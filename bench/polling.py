"""A slow bucket that is looked at far more often than it earns a byte, for hours.

200 kbit/s earn three quarters of a byte in 30 us. A packet of one byte comes every 30 us and there is no
room to wait: what is let out is the burst and every byte that was earned, if nothing is lost in between.
"""

from dataclasses import dataclass, replace

import numpy as np

from bench import streams
from engine.config import Limit, SlowLimit, Speed
from engine.layout import PACKET
from engine.pool.store import open_store
from engine.runtime import Engine
from engine.units import CREDIT_PER_BYTE, NS_PER_S

RATE_BPS = 200_000
GAP_NS = 30_000
BURST_BYTES = 1_500
SECONDS = 7_200
BATCH = 1 << 18


@dataclass(frozen=True)
class Polled:
    """`out_bytes` left; `earned_bytes` is the burst and what the rate gives until the last look."""

    seconds: int
    looks: int
    out_bytes: int
    earned_bytes: int


def run(seconds: int, high: bool = False) -> Polled:
    """Look at the bucket every `GAP_NS` for so long, through the engine; `high`: as a plan's rate."""
    looks = seconds * NS_PER_S // GAP_NS
    limits = Speed(
        Limit(BURST_BYTES, 0, 0),
        SlowLimit(BURST_BYTES, 0, 0, RATE_BPS),
        SlowLimit(BURST_BYTES, 0, 0, RATE_BPS),
    )
    settings = replace(streams.settings(RATE_BPS, BURST_BYTES), speed=limits)
    with Engine(settings, open_store(None), allow_clock_leap=True) as engine:
        engine.load(streams.book(1, high), streams.START_NS)
        batch = streams.packets(0, np.zeros(min(BATCH, looks), dtype=PACKET))
        batch["length"] = 1
        steps = GAP_NS * np.arange(len(batch))
        for first in range(0, looks, BATCH):
            count = min(BATCH, looks - first)
            batch["time_ns"] = streams.START_NS + first * GAP_NS + steps
            engine.account(batch[:count])
        sim = engine.snapshot()["sims"][0]["down"]
    out_bytes = sim["charged_bytes" if high else "slow_bytes"]
    earned = (looks - 1) * GAP_NS * RATE_BPS // CREDIT_PER_BYTE
    return Polled(seconds, looks, out_bytes, BURST_BYTES + earned)
