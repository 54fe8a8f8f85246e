"""Holds what a limiter let out against burst + rate x window: over all windows, in whole numbers.

It knows nothing of any limiter: times in ns at which packets left, and their sizes, are all it sees.
"""

from collections.abc import Sequence
from fractions import Fraction
from typing import NamedTuple

BIT_NS_PER_BYTE = 8 * 10**9
"""a byte in the unit in which sums are exact: bit/s times ns"""


class Fullest(NamedTuple):
    """The window that comes closest to the bound, or goes furthest over it.

    `over_bit_ns`: above 0 by how much more left than burst + rate x window; below 0 what was free.
    `first`, `last`: the packets with which it begins and ends, both in it.
    """

    over_bit_ns: int
    first: int
    last: int

    @property
    def over_bytes(self) -> Fraction:
        """The same in bytes."""
        return Fraction(self.over_bit_ns, BIT_NS_PER_BYTE)

    @property
    def excess_bytes(self) -> Fraction:
        """Bytes over the bound; 0 where none are."""
        return max(Fraction(0), self.over_bytes)


def fullest(
    departures_ns: Sequence[int], sizes_bytes: Sequence[int], rate_bps: int, burst_bytes: int
) -> Fullest:
    """The fullest of all windows that are closed at both ends, in one pass (P5).

    What leaves in the window from packet i to packet j is out[j] - out[i - 1] of a running sum, so that
    the most for a given j is found with the largest rate x time[i] - out[i - 1] so far. Raises ValueError
    where the times are not in order: a window of an overtaken packet is none.
    """
    if not departures_ns:
        raise ValueError("no packet left: there is no window")
    best = Fullest(-(burst_bytes + 1) * BIT_NS_PER_BYTE * 2, -1, -1)
    out = 0
    lead, lead_at = -1, -1
    begin_ns = before_ns = departures_ns[0]
    for at, (time_ns, size) in enumerate(zip(departures_ns, sizes_bytes, strict=True)):
        if time_ns < before_ns:
            raise ValueError(f"packet {at} left at {time_ns}, that before it at {before_ns}")
        before_ns = time_ns
        earned = (time_ns - begin_ns) * rate_bps
        if lead_at < 0 or earned - out > lead:
            lead, lead_at = earned - out, at
        out += size * BIT_NS_PER_BYTE
        over = out - earned + lead - burst_bytes * BIT_NS_PER_BYTE
        if over > best.over_bit_ns:
            best = Fullest(over, lead_at, at)
    return best


class Pace(NamedTuple):
    """How a queue went out: `error` of its rate (0 is exact), and the packet furthest off its time."""

    error: Fraction
    deviation_ns: Fraction
    spacing_ns: int


def pace(departures_ns: Sequence[int], sizes_bytes: Sequence[int], rate_bps: int) -> Pace:
    """The rate of a queue that was never empty, from its first departure on.

    The rate is taken over the longest stretch that ends a whole number of ns after the first departure
    at the configured rate: any other ends between two ticks of the clock in which departures are
    told. `deviation_ns` tells of all the others: how far any departure is from where the rate puts it.
    Raises ValueError where no stretch is whole.
    """
    first_ns = before_ns = departures_ns[0]
    spacing_ns = departures_ns[-1] - first_ns
    sent = furthest = 0
    whole: tuple[int, int] | None = None
    for time_ns, size in zip(departures_ns[1:], sizes_bytes[1:], strict=True):
        sent += size * BIT_NS_PER_BYTE
        earned = (time_ns - first_ns) * rate_bps
        furthest = max(furthest, abs(earned - sent))
        if sent % rate_bps == 0 and earned > 0:
            whole = sent, earned
        spacing_ns = min(spacing_ns, time_ns - before_ns)
        before_ns = time_ns
    if whole is None:
        raise ValueError("the queue is too short: no stretch of it takes a whole number of ns")
    return Pace(Fraction(*whole) - 1, Fraction(furthest, rate_bps), spacing_ns)
