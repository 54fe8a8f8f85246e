"""Where plans become the policer's numbers (limiter = "police"): CIR, CBS, PIR, EBS or PBS, clocks.

CIR is floor(rate / 8) byte/s and PIR floor(rate * peak_percent / 800) byte/s: the RFCs count rates in bytes
of IP packets a second. Nothing else is rounded with tokens = "exact".
"""

import math
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from engine.config import Limit, Police, Settings
from engine.layout import (
    DOWNLINK,
    MARK_RATE,
    MARK_SRTCM,
    MARK_TRTCM,
    RATE_HIGH,
    RATE_RESTRICTED,
    RATE_SLOW,
    RATE_STATES,
    UPLINK,
)
from engine.units import BITS_PER_BYTE, NS_PER_S

PERIOD_NS_MIN = 100
"""ns; rte_meter adds tokens no more often than every 100 ticks (RTE_METER_TB_PERIOD_MIN)"""


class Clock(NamedTuple):
    """How tokens arrive: `step` bytes, `numerator` times in `denominator` ns."""

    numerator: int
    denominator: int
    step: int


def clock_of(rate_bytes_per_s: int, tokens: str) -> Clock:
    """The token clock of a rate of at least 1 byte/s; `tokens` is "exact" or "rte_meter"."""
    if tokens == "exact":
        return Clock(rate_bytes_per_s, NS_PER_S, 1)
    return _rte_meter_clock(rate_bytes_per_s)


def _rte_meter_clock(rate_bytes_per_s: int) -> Clock:
    """The period and bytes per period that DPDK's rte_meter takes at 10^9 ticks a second.

    Below 10^7 byte/s: one byte every floor(10^9 / rate) ns; above, as many bytes as take 100 ns, every
    floor(10^9 * bytes / rate) ns. DPDK finds that number of bytes with doubles, in which
    100 / (10^9 / rate) may come out above the whole number that it is (first at 290 MB/s: 30 bytes, not
    29). It is found the same way here: once a setting, and alike on every machine, as IEEE 754 says how
    both divisions are rounded.
    """
    period_ns = NS_PER_S / rate_bytes_per_s
    if period_ns >= PERIOD_NS_MIN:
        return Clock(1, NS_PER_S // rate_bytes_per_s, 1)
    step = math.ceil(PERIOD_NS_MIN / period_ns)
    return Clock(1, NS_PER_S * step // rate_bytes_per_s, step)


def mark_table(settings: Settings) -> npt.NDArray[Any]:
    """MARK_RATE rows of every plan, at the same index as in `speeds.rate_table` (S4, S5, P2, R4).

    With limiter = "shape" it is one row that nobody reads.
    """
    if settings.limiter != "police":
        return np.zeros(1, dtype=MARK_RATE)
    table = np.zeros(len(settings.plans) * RATE_STATES * 2, dtype=MARK_RATE)
    speed = settings.speed
    for profile, plan in enumerate(settings.plans):
        high = {UPLINK: plan.high_up_bps, DOWNLINK: plan.high_down_bps}
        for direction in (UPLINK, DOWNLINK):
            limits: dict[int, tuple[Limit, int]] = {
                RATE_HIGH: (speed.high, high[direction]),
                RATE_SLOW: (speed.slow, speed.slow.rate_bps),
                RATE_RESTRICTED: (speed.restricted, speed.restricted.rate_bps),
            }
            for state, (limit, rate_bps) in limits.items():
                at = 2 * (profile * RATE_STATES + state) + direction
                set_mark_rate(table[at], settings.police, rate_bps, limit.burst_bytes)
    return table


def set_mark_rate(row: Any, police: Police, rate_bps: int, burst_bytes: int) -> None:
    """Fill one MARK_RATE row: the marker `police` at a rate of at least 8 bit/s and CBS `burst_bytes`."""
    excess_bytes = police.excess_burst_bytes
    cir = clock_of(rate_bps // BITS_PER_BYTE, police.tokens)
    other = cir
    rooms_bytes = (burst_bytes + excess_bytes, excess_bytes)
    row["algorithm"] = MARK_SRTCM
    if police.marker == "rfc2698":
        other = clock_of(rate_bps * police.peak_percent // (100 * BITS_PER_BYTE), police.tokens)
        rooms_bytes = (burst_bytes, excess_bytes)
        row["algorithm"] = MARK_TRTCM
    row["size_bytes"] = (burst_bytes, excess_bytes)
    for which, (clock, room_bytes) in enumerate(zip((cir, other), rooms_bytes, strict=True)):
        row["numerator"][which] = clock.numerator
        row["denominator"][which] = clock.denominator
        row["step"][which] = clock.step
        arrivals = -(-room_bytes // clock.step)
        row["fill_ns"][which] = -(-arrivals * clock.denominator // clock.numerator)
