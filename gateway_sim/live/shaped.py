"""The limiter of the slow state, seen from outside: what the earliest departures of a queue are (P4, P5).

Written from the rule alone: a bucket of `burst_bytes` that fills at `rate_bps`; credit below zero is a
queue, and a packet leaves when the credit that it took is earned. All in whole bit times ns.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from engine.units import CREDIT_PER_BYTE

Ints = npt.NDArray[np.int64]


class Limit(NamedTuple):
    """A rate with its burst and its queue (the smaller bound of the queue counts)."""

    rate_bps: int
    burst_bytes: int
    queue_bytes: int
    queue_ns: int


def earliest_ns(at_ns: Ints, length: Ints, limit: Limit) -> Ints:
    """The earliest times at which packets that came at `at_ns`, and were let in, may leave.

    The bucket is taken to be full at first, so no honest limiter lets one out earlier. Arrivals that are
    later than these can only make departures later: a packet's time of sending may stand for its arrival.
    """
    begin_ns = int(at_ns[0])
    earned = (at_ns - begin_ns) * limit.rate_bps
    spent = np.cumsum(length) * CREDIT_PER_BYTE
    # credit_k = min over i <= k of (burst + earned_k - earned_i) - (spent_k - spent_before_i)
    before = spent - length * CREDIT_PER_BYTE
    credit = (
        limit.burst_bytes * CREDIT_PER_BYTE
        + earned
        - spent
        - np.maximum.accumulate(earned - before)
    )
    wait = -(np.minimum(credit, 0) // limit.rate_bps)
    departures: Ints = at_ns + wait
    return departures


def window_excess(at_ns: Ints, length: Ints, limit: Limit) -> int:
    """bit x ns by which the fullest window exceeds burst + rate x window; below 0: room left."""
    earned = (at_ns - int(at_ns[0])) * limit.rate_bps
    spent = np.cumsum(length) * CREDIT_PER_BYTE
    before = spent - length * CREDIT_PER_BYTE
    lowest = np.minimum.accumulate(before - earned)
    return int((spent - earned - lowest).max()) - limit.burst_bytes * CREDIT_PER_BYTE


def let_in_bytes(at_ns: Ints, length: Ints, limit: Limit) -> int:
    """byte; what a limiter that is full of credit at first lets in of these packets, the rest dropped."""
    cap = limit.burst_bytes * CREDIT_PER_BYTE
    deepest = -min(limit.queue_bytes * CREDIT_PER_BYTE, limit.queue_ns * limit.rate_bps)
    credit, last_ns, total_bytes = cap, int(at_ns[0]), 0
    for now_ns, size in zip(at_ns.tolist(), length.tolist(), strict=True):
        credit = min(cap, credit + (now_ns - last_ns) * limit.rate_bps)
        last_ns = now_ns
        if credit - size * CREDIT_PER_BYTE >= deepest:
            credit -= size * CREDIT_PER_BYTE
            total_bytes += size
    return total_bytes
