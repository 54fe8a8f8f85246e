"""The limiter as a point in time instead of an amount of credit (P4, P5).

Everything let through so far, sent back to back at the rate, is gone at `clear_ns`. A packet adds
its own sending time to that. An idle sender may run ahead by the burst and no more, so `clear_ns`
never lags behind the present by more than the sending time of the burst. All times are fractions of
a nanosecond; only the departure is rounded, up.
"""

from dataclasses import dataclass
from fractions import Fraction
from math import ceil

NS_PER_S = 10**9
LONGEST_WAIT_NS = 120 * NS_PER_S
"""no packet is given a departure further away than this, however often the rate changed before"""


@dataclass(frozen=True)
class Rate:
    """A speed with its settings (P4): bits a second, and what may burst or wait."""

    bps: int
    burst_bytes: int
    queue_bytes: int
    queue_ms: int

    def sending_ns(self, size_bytes: int | Fraction) -> Fraction:
        """How long so many bytes take at this rate."""
        return Fraction(size_bytes) * 8 * NS_PER_S / self.bps

    def queue_ns(self) -> Fraction:
        """How long a packet may wait: either limit of the queue can be the shorter one."""
        return min(self.sending_ns(self.queue_bytes), Fraction(self.queue_ms * 10**6))


class Limiter:
    """One direction of one SIM."""

    def __init__(self, rate: Rate, now_ns: int, longest_wait_ns: int = LONGEST_WAIT_NS) -> None:
        self.rate = rate
        self.longest_wait_ns = longest_wait_ns
        self.clear_ns = now_ns - rate.sending_ns(rate.burst_bytes)
        self.held_until_ns = now_ns

    def offer(self, now_ns: int, size_bytes: int) -> int | None:
        """When the packet leaves, or None where it does not fit in the queue (tail drop, P4)."""
        earliest_ns = now_ns - self.rate.sending_ns(self.rate.burst_bytes)
        clear_ns = max(self.clear_ns, earliest_ns) + self.rate.sending_ns(size_bytes)
        # P3: what was queued before a change of rate is not counted against the new queue.
        if clear_ns - max(now_ns, self.held_until_ns) > self.rate.queue_ns():
            return None
        if clear_ns - now_ns > self.longest_wait_ns:
            return None
        self.clear_ns = clear_ns
        return max(now_ns, ceil(clear_ns))

    def change(self, now_ns: int, rate: Rate) -> None:
        """Go on at another rate (P3): what is queued leaves as promised, nothing overtakes it."""
        if self.clear_ns > now_ns:
            self.held_until_ns = ceil(self.clear_ns)
            self.clear_ns = Fraction(self.held_until_ns)
        else:
            earned_bytes = (now_ns - self.clear_ns) * self.rate.bps / (8 * NS_PER_S)
            saved_bytes = min(earned_bytes, Fraction(self.rate.burst_bytes))
            self.clear_ns = now_ns - rate.sending_ns(saved_bytes)
        self.rate = rate
