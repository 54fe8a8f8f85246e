"""The limiter as the live simulator sees it from outside, against one that is written packet by packet."""

from fractions import Fraction

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from engine.units import CREDIT_PER_BYTE
from gateway_sim.live.shaped import Limit, earliest_ns, let_in_bytes, window_excess

LIMITS = st.builds(
    Limit,
    rate_bps=st.sampled_from((1, 7, 50_000, 200_000, 112_500_000)),
    burst_bytes=st.integers(1, 20_000),
    queue_bytes=st.integers(0, 70_000),
    queue_ns=st.integers(0, 4 * 10**9),
)
PACKETS = st.lists(st.tuples(st.integers(0, 10**9), st.integers(1, 1_500)), min_size=1, max_size=40)


def columns(packets: list[tuple[int, int]]) -> tuple[list[int], list[int]]:
    """Times, from gaps, and lengths."""
    times: list[int] = np.cumsum([gap for gap, _ in packets]).tolist()
    return times, [length for _, length in packets]


def naive(times: list[int], lengths: list[int], limit: Limit) -> list[int]:
    """Departures by the rule's words: tokens in bytes, exact; what is missing has to be earned first."""
    rate, tokens, last = Fraction(limit.rate_bps, 8 * 10**9), Fraction(limit.burst_bytes), times[0]
    found = []
    for now, size in zip(times, lengths, strict=True):
        tokens = min(Fraction(limit.burst_bytes), tokens + (now - last) * rate) - size
        last = now
        found.append(now + (0 if tokens >= 0 else -((tokens / rate) // 1)))
    return found


@given(PACKETS, LIMITS)
def test_the_earliest_departures_are_those_of_the_rule(
    packets: list[tuple[int, int]], limit: Limit
) -> None:
    """P5"""
    times, lengths = columns(packets)
    found = earliest_ns(np.array(times, np.int64), np.array(lengths, np.int64), limit)
    assert found.tolist() == naive(times, lengths, limit)


@given(PACKETS, LIMITS, st.lists(st.integers(0, 10**9), min_size=40, max_size=40))
def test_arrivals_that_are_later_never_leave_earlier(
    packets: list[tuple[int, int]], limit: Limit, delays: list[int]
) -> None:
    """So the time of sending may stand for that of the arrival at the gateway."""
    times, lengths = columns(packets)
    late = np.maximum.accumulate(
        np.array(times, np.int64) + np.array(delays[: len(times)], np.int64)
    )
    sent = earliest_ns(np.array(times, np.int64), np.array(lengths, np.int64), limit)
    assert (earliest_ns(late, np.array(lengths, np.int64), limit) >= sent).all()


@given(PACKETS, LIMITS)
def test_the_fullest_window_is_the_one_that_looking_at_all_finds(
    packets: list[tuple[int, int]], limit: Limit
) -> None:
    """P5"""
    times, lengths = columns(packets)
    found = window_excess(np.array(times, np.int64), np.array(lengths, np.int64), limit)
    every = [
        (sum(lengths[i : j + 1]) - limit.burst_bytes) * CREDIT_PER_BYTE
        - limit.rate_bps * (times[j] - times[i])
        for i in range(len(times))
        for j in range(i, len(times))
    ]
    assert found == max(every)


def test_a_queue_lets_in_what_it_has_room_for() -> None:
    """P4: a burst of 1 000, a queue of 500 or of half a second at 8 000 bit/s, whichever is less."""
    at_once = np.zeros(20, np.int64)
    hundred = np.full(20, 100, np.int64)
    assert let_in_bytes(at_once, hundred, Limit(8_000, 1_000, 500, 10**9)) == 1_500
    assert let_in_bytes(at_once, hundred, Limit(8_000, 1_000, 5_000, 5 * 10**8)) == 1_500
    later = np.repeat(np.array([0, 10**8], np.int64), 10)
    assert let_in_bytes(later, hundred * 2, Limit(8_000, 1_000, 500, 10**9)) == 1_600
