"""Where plans become the limiter's numbers: the only place that rounds a setting.

Bursts and queues are given in bytes and cost exactly `bytes * 8 * 10^9` bit-ns. A queue is bounded in
bytes and in time; the smaller bound counts. `fill_ns` is rounded up (ceil): after it any credit is full.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from engine.config import Limit, Settings
from engine.layout import DOWNLINK, RATE, RATE_HIGH, RATE_RESTRICTED, RATE_SLOW, RATE_STATES, UPLINK
from engine.units import CREDIT_PER_BYTE, NS_PER_MS, NS_PER_S

WAIT_NS_MAX = 120 * NS_PER_S
"""ns; no packet is given a departure further away than this, whatever switching piled up"""

CREDIT_MAX = 1 << 62
"""bit-ns; no credit is further from 0 than this, so that sums of two stay within int64"""


def rate_table(settings: Settings) -> npt.NDArray[Any]:
    """RATE rows of every plan, in the order of `settings.plans` (S4, S5, P2, R2, R4)."""
    table = np.zeros(len(settings.plans) * RATE_STATES * 2, dtype=RATE)
    speed = settings.speed
    rates = [rate for plan in settings.plans for rate in (plan.high_up_bps, plan.high_down_bps)]
    fastest_bps = max([*rates, speed.slow.rate_bps, speed.restricted.rate_bps])
    wait_ns = min(WAIT_NS_MAX, CREDIT_MAX // fastest_bps)
    for profile, plan in enumerate(settings.plans):
        high = {UPLINK: plan.high_up_bps, DOWNLINK: plan.high_down_bps}
        for direction in (UPLINK, DOWNLINK):
            at = profile * RATE_STATES * 2 + direction
            _fill(table[at + 2 * RATE_HIGH], speed.high, high[direction], wait_ns)
            _fill(table[at + 2 * RATE_SLOW], speed.slow, speed.slow.rate_bps, wait_ns)
            restricted = speed.restricted
            _fill(table[at + 2 * RATE_RESTRICTED], restricted, restricted.rate_bps, wait_ns)
        rows = table[profile * RATE_STATES * 2 : (profile + 1) * RATE_STATES * 2]
        rows["restriction_bytes"] = plan.restriction_bytes if settings.restriction.enabled else 0
    return table


def _fill(row: Any, limit: Limit, rate_bps: int, wait_ns: int) -> None:
    cap = limit.burst_bytes * CREDIT_PER_BYTE
    queue = min(limit.queue_bytes * CREDIT_PER_BYTE, limit.queue_ms * NS_PER_MS * rate_bps)
    deepest = wait_ns * rate_bps
    row["rate_bps"] = rate_bps
    row["cap_credit"] = cap
    row["queue_credit"] = queue
    row["fill_ns"] = -(-(cap + deepest) // rate_bps)
    row["deepest_credit"] = deepest
