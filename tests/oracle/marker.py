"""The markers of RFC 2697 and RFC 2698, colour-blind, in the RFCs' own words: one token after the other.

Nothing here knows of the engine. `arrivals(t)` is how many times tokens have been added t ns after time 0;
each time `step` of them are: 1 in the RFCs, perhaps more with DPDK's rte_meter.
"""

from collections.abc import Callable
from fractions import Fraction

GREEN, YELLOW, RED = 0, 1, 2
NS_PER_S = 10**9


class Clock:
    """When tokens are added: at every whole multiple of `period_ns` after time 0."""

    def __init__(self, period_ns: Fraction, step: int) -> None:
        self.period_ns = period_ns
        self.step = step
        self.start_ns: int | None = None
        self.done = 0

    def each(self, now_ns: int, most: int, add: Callable[[], None]) -> None:
        """Call `add` once a token since the last call; tokens beyond `most` find everything full."""
        if self.start_ns is None:
            self.start_ns = now_ns
        due = int(Fraction(now_ns - self.start_ns) / self.period_ns)
        for _ in range(min((due - self.done) * self.step, most)):
            add()
        self.done = due


class SingleRate:
    """RFC 2697 section 3."""

    def __init__(self, clock: Clock, cbs: int, ebs: int) -> None:
        self.clock, self.cbs, self.ebs = clock, cbs, ebs
        self.tc, self.te = cbs, ebs

    def token(self) -> None:
        if self.tc < self.cbs:
            self.tc += 1
        elif self.te < self.ebs:
            self.te += 1

    def colour(self, now_ns: int, size: int) -> int:
        self.clock.each(now_ns, self.cbs + self.ebs, self.token)
        if self.tc - size >= 0:
            self.tc -= size
            return GREEN
        if self.te - size >= 0:
            self.te -= size
            return YELLOW
        return RED


class TwoRates:
    """RFC 2698 section 3."""

    def __init__(self, committed: Clock, peak: Clock, cbs: int, pbs: int) -> None:
        self.committed, self.peak, self.cbs, self.pbs = committed, peak, cbs, pbs
        self.tc, self.tp = cbs, pbs

    def committed_token(self) -> None:
        if self.tc < self.cbs:
            self.tc += 1

    def peak_token(self) -> None:
        if self.tp < self.pbs:
            self.tp += 1

    def colour(self, now_ns: int, size: int) -> int:
        self.committed.each(now_ns, self.cbs, self.committed_token)
        self.peak.each(now_ns, self.pbs, self.peak_token)
        if self.tp - size < 0:
            return RED
        if self.tc - size < 0:
            self.tp -= size
            return YELLOW
        self.tp -= size
        self.tc -= size
        return GREEN


def rfc_clock(bytes_per_s: int) -> Clock:
    """A token every 1/rate s."""
    return Clock(Fraction(NS_PER_S, bytes_per_s), 1)


def whole_period_clock(bytes_per_s: int) -> Clock:
    """A period of whole ns, not below 100 of them, cut; for rates at which no double errs."""
    step = max(1, -(-100 * bytes_per_s // NS_PER_S))
    return Clock(Fraction(NS_PER_S * step // bytes_per_s), step)
