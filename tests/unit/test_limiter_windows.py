"""The checker of windows and rates: right against all windows one by one, and it sees planted faults."""

from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from itertools import accumulate, pairwise

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from bench import accuracy, accuracy_tables, polling, streams
from bench.streams import Cell, Stream
from bench.windows import BIT_NS_PER_BYTE, fullest, pace
from tests.oracle.limiter import Limiter, Rate

GAPS = st.lists(st.tuples(st.integers(0, 3_000), st.integers(0, 200)), min_size=1, max_size=25)


def naive(times: Sequence[int], sizes: Sequence[int], rate_bps: int, burst_bytes: int) -> Fraction:
    """Bytes above burst + rate x window of the fullest window: every one of them looked at."""
    return max(
        sum(sizes[first : last + 1])
        - burst_bytes
        - Fraction(rate_bps * (times[last] - times[first]), BIT_NS_PER_BYTE)
        for first in range(len(times))
        for last in range(first, len(times))
    )


@example(gaps=[(0, 0)], rate_bps=1, burst_bytes=1)
@example(gaps=[(0, 100), (0, 100), (8_000, 100)], rate_bps=100_000_000, burst_bytes=100)
@given(gaps=GAPS, rate_bps=st.integers(1, 10**9), burst_bytes=st.integers(1, 500))
def test_the_fullest_window_is_the_fullest_of_all(
    gaps: list[tuple[int, int]], rate_bps: int, burst_bytes: int
) -> None:
    """P5"""
    times = list(accumulate(gap for gap, _ in gaps))
    sizes = [size for _, size in gaps]
    found = fullest(times, sizes, rate_bps, burst_bytes)
    assert found.over_bytes == naive(times, sizes, rate_bps, burst_bytes)
    held = sum(sizes[found.first : found.last + 1])
    window_ns = times[found.last] - times[found.first]
    assert found.over_bytes == held - burst_bytes - Fraction(rate_bps * window_ns, BIT_NS_PER_BYTE)
    assert found.excess_bytes == max(0, found.over_bytes)


def test_a_window_is_closed_at_both_ends() -> None:
    """P5: 100 bytes, then 50 after 400 us a byte every 8 us: full to the bit, and over it 1 ns before"""
    assert fullest([0, 400_000], [100, 50], 1_000_000, 100).over_bit_ns == 0
    assert fullest([0, 399_999], [100, 50], 1_000_000, 100).over_bit_ns == 1_000_000


def test_what_overtakes_is_refused() -> None:
    """P3: a window of departures that are not in order means nothing"""
    with pytest.raises(ValueError, match="packet 1 left at 4, that before it at 5"):
        fullest([5, 4], [1, 1], 1, 1)
    with pytest.raises(ValueError, match="no packet left"):
        fullest([], [], 1, 1)


def test_the_rate_is_told_from_whole_stretches() -> None:
    """P5: 3 bytes at 7 bit/s end on a whole ns after 7 packets; in between they are rounded up"""
    exact = [-((-k * 3 * BIT_NS_PER_BYTE) // 7) for k in range(20)]
    found = pace(exact, [3] * 20, 7)
    assert (found.error, found.deviation_ns) == (Fraction(0), Fraction(6, 7))
    assert found.spacing_ns == 3 * BIT_NS_PER_BYTE // 7
    late = [ns + k * 10**6 for k, ns in enumerate(exact)]
    assert pace(late, [3] * 20, 7).error == Fraction(14 * 3 * BIT_NS_PER_BYTE, 7 * late[14]) - 1
    with pytest.raises(ValueError, match="too short"):
        pace(exact[:3], [3] * 3, 7)


# --- planted faults, through the same streams and the same judge as the table -----------------------


class FloorsItsRefill:
    """Credit in whole bytes, earned per call and rounded down: the classic mistake."""

    def __init__(self, rate: Rate, burst_bytes: int, tick_ns: int = 1) -> None:
        self.rate, self.credit, self.tick_ns = rate, burst_bytes, tick_ns
        self.burst_bytes = burst_bytes
        self.last_ns = streams.START_NS

    def offer(self, now_ns: int, size_bytes: int) -> int | None:
        earned = (now_ns - self.last_ns) * self.rate.bps // BIT_NS_PER_BYTE
        credit = min(self.burst_bytes, self.credit + earned) - size_bytes
        self.last_ns = now_ns
        if credit < -self.rate.queue_bytes:
            self.credit = credit + size_bytes
            return None
        self.credit = credit
        return now_ns + -(min(0, credit) * BIT_NS_PER_BYTE // self.rate.bps)


class TwoStamps(Limiter):
    """Sends a packet in a whole number of ns, rounded down, and forgets the rest of it."""

    def offer(self, now_ns: int, size_bytes: int) -> int | None:
        found = super().offer(now_ns, size_bytes)
        self.clear_ns = Fraction(int(self.clear_ns))
        return found


class ByteMore(Limiter):
    """A burst that is a byte larger than it is said to be."""

    def __init__(self, rate: Rate, now_ns: int) -> None:
        super().__init__(replace(rate, burst_bytes=rate.burst_bytes + 1), now_ns)


FAST = Cell(112_500_000, 3_000, "1400")
SLOW = Cell(200_000, 3_000, "576", "polled")


def let_out(limiter: object, stream: Stream) -> np.ndarray:
    """Departures that a limiter gives to a stream, as the engine tells them."""
    offer = limiter.offer  # type: ignore[attr-defined]
    pairs = zip(stream.times_ns.tolist(), stream.sizes.tolist(), strict=True)
    return np.array([offer(time_ns, size) or 0 for time_ns, size in pairs])


def judged(cell: Cell, make: object, *more: object) -> streams.Found:
    rate = Rate(cell.rate_bps, cell.burst_bytes, streams.QUEUE_BYTES, 60_000)
    pair = [streams.flood(cell), streams.trickle(cell)]
    cut = [Stream(one.times_ns[:600], one.sizes[:600], one.begin) for one in pair]
    if cell.uptime == "polled":
        cut[0] = pair[0]
    done = [(stream, let_out(make(rate, *more), stream)) for stream in cut]  # type: ignore[operator]
    return streams.judge(cell, *done)


def faults_of(found: streams.Found) -> list[str]:
    good = polling.Polled(1, 1, 1, 1)
    return accuracy.faults(accuracy.Results([found], [], good, "", ""))


def test_a_limiter_without_a_fault_passes() -> None:
    """P5: by the twin's own arithmetic, through the same judge"""
    for cell in (FAST, SLOW):
        assert faults_of(judged(cell, Limiter, streams.START_NS)) == []


@pytest.mark.parametrize(
    ("cell", "make", "extra", "words"),
    [
        (FAST, TwoStamps, streams.START_NS, "the rate is off by"),
        (FAST, TwoStamps, streams.START_NS, "a window holds"),
        (Cell(112_500_000, 2_799, "1400"), ByteMore, streams.START_NS, "a window holds 1 bytes"),
        (SLOW, FloorsItsRefill, 3_000, "the rate is off by"),
        (SLOW, FloorsItsRefill, 3_000, "does not lose half"),
    ],
    ids=str,
)
def test_the_judge_sees_a_planted_fault(
    cell: Cell, make: object, extra: object, words: str
) -> None:
    """P5: rounding per packet, a burst off by one, a refill rounded to bytes"""
    assert any(words in line for line in faults_of(judged(cell, make, extra)))


def test_the_judge_sees_what_a_limiter_loses_or_delays() -> None:
    """P5: a stream of 99 % that is held up, and an edge that is left by more than is proved"""
    good = judged(FAST, Limiter, streams.START_NS)
    assert "held up" in faults_of(replace(good, trickle_lost=1))[0]
    assert "held up" in faults_of(replace(good, trickle_delay_ns=1))[0]
    over = good.fullest._replace(over_bit_ns=BIT_NS_PER_BYTE)
    wrong = replace(good, cell=Cell(112_500_000, 1_400, "1400"), fullest=over)
    results = accuracy.Results([], [wrong], polling.Polled(1, 1, 2, 1), "", "")
    assert len(accuracy.faults(results)) == 2


def test_the_allowance_at_the_edge_is_less_than_a_ns_of_the_rate() -> None:
    """P5: as docs/accuracy.md proves"""
    for rate_bps, burst, more in ((10**9, 1_400, 0), (64_000, 1_000, 400)):
        allowed = accuracy_tables.edge_allowance(Cell(rate_bps, burst, "1400"))
        assert allowed == more + Fraction(rate_bps - 1, BIT_NS_PER_BYTE)


def test_spacing_of_the_streams_is_that_of_their_rate() -> None:
    """P5: the streams are what they are called: twice the rate, and 99 % of it"""
    cell = Cell(200_000, 3_000, "1500")
    flood, trickle = streams.flood(cell), streams.trickle(cell)
    gaps = {b - a for a, b in pairwise(flood.times_ns[-streams.PACKETS :].tolist())}
    assert gaps == {30_000_000}
    span = int(trickle.times_ns[-1] - trickle.times_ns[0])
    sent = int(trickle.sizes[:-1].sum()) * BIT_NS_PER_BYTE
    assert 0 <= span - Fraction(sent * 100, 99 * 200_000) < 1
