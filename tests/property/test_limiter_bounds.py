"""P5 against a search for a counterexample: windows, order and loss, whatever rates, gaps and switching."""

from collections.abc import Sequence
from fractions import Fraction
from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tests.oracle.limiter import NS_PER_S, Limiter, Rate
from tests.property.limiter_stories import (
    DOWN,
    HIGH,
    UP,
    Sent,
    Step,
    Story,
    play,
    stories,
    twin,
)
from tests.support.gateway import DAY, MS, T0, S

BYTE = 8 * NS_PER_S
"""bit·ns of a byte"""

# --- the bound, from times and states alone -----------------------------------------------------------


def changes(sent: Sequence[Sent], states: Sequence[int], direction: int) -> list[tuple[int, int]]:
    """(from when, which state) the rate of this direction is in force for departures (P3).

    A change that the packet at t finds is in force when everything before it has left, at t or later.
    """
    found, gone_ns, before = [(0, HIGH)], 0, HIGH
    for one, state in zip(sent, states, strict=True):
        if one.step.exempt:
            continue
        if state != before:
            found.append((max(one.at_ns, gone_ns), state))
            before = state
        if one.step.direction == direction:
            gone_ns = max(gone_ns, one.departure_ns)
    return found


def earned(story: Story, plan: Sequence[tuple[int, int]], direction: int, until_ns: int) -> int:
    """bit·ns that the rates in force give from the start of the story to a time."""
    total = 0
    ends = [begin for begin, _ in plan[1:]] + [until_ns]
    for (begin, state), end in zip(plan, ends, strict=True):
        span = min(end, until_ns) - max(begin, T0)
        total += max(0, span) * story.rate(state, direction).bps
    return total


def worst_window(story: Story, sent: Sequence[Sent], states: Sequence[int], direction: int) -> int:
    """bit·ns by which the fullest window of a direction exceeds what docs/accuracy.md proves; 0: none does.

    That is the burst in force at its first packet, or that packet itself and less than rate x 1 ns where
    it waited and is as large as the burst or larger; and the rates in force, over the window.
    """
    plan = changes(sent, states, direction)
    pairs = zip(sent, states, strict=True)
    out = [(one, state) for one, state in pairs if mine(one, direction)]
    reached = [earned(story, plan, direction, one.departure_ns) for one, _ in out]
    worst = 0
    for first, (one, state) in enumerate(out):
        rate = story.rate(state, direction)
        bound = rate.burst_bytes * BYTE
        if one.departure_ns > one.at_ns:
            bound = max(bound, one.step.size_bytes * BYTE + rate.bps - 1)
        held = 0
        for last in range(first, len(out)):
            held += out[last][0].step.size_bytes * BYTE
            worst = max(worst, held - bound - (reached[last] - reached[first]))
    return worst


def mine(one: Sent, direction: int) -> bool:
    """Left through the SIM's own bucket of this direction."""
    return one.departure_ns > 0 and one.step.direction == direction and not one.step.exempt


def overtaken(sent: Sequence[Sent], direction: int, exempt: bool) -> bool:
    """Whether a packet left before one that came before it, or before it came."""
    out = [s for s in sent if s.departure_ns and s.step.direction == direction]
    of_kind = [s for s in out if s.step.exempt == exempt]
    times = [s.departure_ns for s in of_kind]
    return times != sorted(times) or any(s.departure_ns < s.at_ns for s in of_kind)


def exempt_story(story: Story, sent: Sequence[Sent]) -> tuple[list[Sent], list[int]]:
    """The exempt packets alone, as a story at high speed: their buckets know no state (X4, R6)."""
    alone = [
        Sent(s.at_ns, s.departure_ns, Step(0, s.step.direction, s.step.size_bytes))
        for s in sent
        if s.step.exempt
    ]
    return alone, [HIGH] * len(alone)


def assert_bounded(story: Story, sent: Sequence[Sent], states: Sequence[int]) -> None:
    for direction in (UP, DOWN):
        assert worst_window(story, sent, states, direction) == 0
        assert worst_window(story, *exempt_story(story, sent), direction) == 0
        assert not overtaken(sent, direction, exempt=False)
        assert not overtaken(sent, direction, exempt=True)


# --- the engine ---------------------------------------------------------------------------------------

SLOW = Rate(200_000, 15_000, 64_000, 3_000)
TIGHT = Rate(50_000, 3_000, 9_000, 3_000)
FAST = Rate(112_500_000, 15_000, 3_000_000, 200)


def of(*steps: Step, slow: Rate = SLOW, coupon: bool = False, restriction_bytes: int = 0) -> Story:
    return Story((FAST, FAST), slow, TIGHT, steps, coupon, restriction_bytes)


POLLED = of(*(Step(30_000, DOWN, 1) for _ in range(60)), slow=Rate(200_000, 1, 0, 0))
BACK = of(
    *(Step(gap_ns, UP, 1_500) for gap_ns in (0, -S, -S, 2 * S, -3 * S, 0) * 3),
    slow=Rate(200_000, 1_500, 6_000, 3_000),
)
PAIRS = [Step(300 * DAY * (k % 2 == 0), DOWN, 65_575) for k in range(8)]
LONG = of(*PAIRS, slow=Rate(1, 65_575, 0, 0))
LONG_FAST = of(*PAIRS, slow=Rate(10**11, 500_000_000, 0, 0))
FULL = of(*(Step(0, DOWN, 65_575) for _ in range(30)), slow=Rate(10**11, 1, 1_000_000, 46))
ZIGZAG = of(
    *(Step(0, DOWN, 1_500) for _ in range(16)),
    *(Step(20 * MS, DOWN, 1_500, switched=k % 2 == 0) for k in range(24)),
    restriction_bytes=30_000,
)
RESTRICTED = of(*(Step(0, DOWN, 1_500) for _ in range(30)), restriction_bytes=20_000)
DIRECTED = {
    "polled": POLLED,
    "time goes back": BACK,
    "300 days between": LONG,
    "300 days at 100 Gbit/s": LONG_FAST,
    "extreme queue": FULL,
    "switched in mid-queue": ZIGZAG,
    "restricted in mid-queue": RESTRICTED,
}


@example(story=POLLED, splits=[1, 7])
@example(story=BACK, splits=[1])
@example(story=LONG, splits=[2])
@example(story=LONG_FAST, splits=[3])
@example(story=FULL, splits=[1])
@example(story=ZIGZAG, splits=[1])
@example(story=RESTRICTED, splits=[11])
@given(story=stories(), splits=st.lists(st.integers(1, 12), min_size=1, max_size=4))
def test_no_window_exceeds_whatever_comes(story: Story, splits: list[int]) -> None:
    """P3, P4, P5, X4, R1, U4, G8: any rates, gaps, switches and batches; the twin's times, to the ns"""
    sent = play(story)
    expected, states = twin(story)
    assert sent == expected
    assert play(story, splits) == sent
    assert_bounded(story, sent, states)


@pytest.mark.parametrize("name", DIRECTED)
def test_the_directed_stories_reach_what_they_are_for(name: str) -> None:
    """P5: a story that never waits, never changes and never drops would prove nothing"""
    sent, states = twin(DIRECTED[name])
    waited = sum(one.departure_ns > one.at_ns for one in sent)
    dropped = sum(one.departure_ns == 0 for one in sent)
    waits, drops, state_count = {
        "polled": (False, True, 1),
        "time goes back": (True, True, 1),
        "300 days between": (False, True, 1),
        "300 days at 100 Gbit/s": (False, True, 1),
        "extreme queue": (True, True, 1),
        "switched in mid-queue": (True, False, 3),
        "restricted in mid-queue": (True, True, 2),
    }[name]
    assert (waited > 0, dropped > 0, len(set(states))) == (waits, drops, state_count)


def alone(rate: Rate, steps: Sequence[Step], coupon: bool) -> Story:
    """A story with the same rate in every state."""
    return Story((rate, rate), rate, rate, tuple(steps), coupon)


def roomy(bps: int, burst_bytes: int) -> Rate:
    """A rate whose queue is as long as the limiter can count."""
    return Rate(bps, burst_bytes, 500_000_000, min(60_000, ((1 << 62) - 1) // (bps * MS)))


@example(bps=200_000, burst_bytes=15_000, size=1_500, percent=99, cars=10, coupon=False)
@example(bps=112_500_000, burst_bytes=1_500, size=1_500, percent=99, cars=8, coupon=True)
@given(
    bps=st.integers(100_000, 10**11),
    burst_bytes=st.integers(1, 600_000),
    size=st.integers(1, 65_575),
    percent=st.integers(50, 99),
    cars=st.integers(1, 8),
    coupon=st.booleans(),
)
def test_a_stream_below_the_rate_loses_nothing_and_waits_for_what_is_beyond_the_burst(
    bps: int, burst_bytes: int, size: int, percent: int, cars: int, coupon: bool
) -> None:
    """P4, P5: trains of packets, at most 99 % of the rate together. The part of a train beyond the burst
    waits, nothing waits longer than max(0, train - burst) / rate (rounded up to ns), and the bucket is full
    again when the next train comes: for trains no longer than the burst nothing waits at all."""
    train_bytes = cars * size
    gap_ns = -(-train_bytes * BYTE * 100 // (percent * bps))
    steps = [Step(0 if k % cars else gap_ns, UP, size) for k in range(6 * cars)]
    sent = play(alone(roomy(bps, burst_bytes), steps, coupon))
    longest_ns = -(-max(0, train_bytes - burst_bytes) * BYTE // bps)
    assert all(one.departure_ns for one in sent)
    assert max(one.departure_ns - one.at_ns for one in sent) == longest_ns


@example(bps=200_000, size=1_500, room=42, coupon=False)
@given(
    bps=st.integers(100_000, 10**11),
    size=st.integers(40, 65_575),
    room=st.integers(0, 20),
    coupon=st.booleans(),
)
def test_a_stream_at_twice_the_rate_loses_half_to_within_a_packet(
    bps: int, size: int, room: int, coupon: bool
) -> None:
    """P4, P5: counted from the first drop on, when the queue is full; packets of one size"""
    queue_ms = min(60_000, ((1 << 62) - 1) // (bps * MS))
    rate = Rate(bps, 2 * size, room * size, queue_ms)
    fill = [Step(0, UP, size) for _ in range(3 + room)]
    times = [k * size * BYTE // (2 * bps) for k in range(61)]
    stream = [Step(b - a, UP, size) for a, b in pairwise(times)]
    sent = play(alone(rate, fill + stream, coupon))
    kept = [one.departure_ns > 0 for one in sent]
    assert kept.index(False) == 2 + room  # the burst and the queue are full, and not before
    assert abs(kept[3 + room :].count(False) - 30) <= 1


# --- planted faults -----------------------------------------------------------------------------------


class RoundsPerPacket(Limiter):
    """Sends each packet in a whole number of ns, rounded down: fast for ever at most rates."""

    def offer(self, now_ns: int, size_bytes: int) -> int | None:
        found = super().offer(now_ns, size_bytes)
        self.clear_ns = Fraction(self.clear_ns.__floor__())
        return found


class BurstsAByteMore(Limiter):
    """Lets a full bucket send one byte more than the burst."""

    def offer(self, now_ns: int, size_bytes: int) -> int | None:
        kept = self.rate
        self.rate = Rate(kept.bps, kept.burst_bytes + 1, kept.queue_bytes, kept.queue_ms)
        self.clear_ns = min(self.clear_ns, now_ns - self.rate.sending_ns(self.rate.burst_bytes))
        found = super().offer(now_ns, size_bytes)
        self.rate = kept
        return found


class KeepsItsBurst(Limiter):
    """Takes the credit of one speed along to the next, uncut."""

    def change(self, now_ns: int, rate: Rate) -> None:
        saved = min(
            (now_ns - self.clear_ns) * self.rate.bps / BYTE, Fraction(self.rate.burst_bytes)
        )
        super().change(now_ns, Rate(rate.bps, int(saved) + 1, rate.queue_bytes, rate.queue_ms))


class ForgetsItsQueue(Limiter):
    """Begins with an empty queue at every change of rate."""

    def change(self, now_ns: int, rate: Rate) -> None:
        super().change(now_ns, rate)
        self.clear_ns = min(self.clear_ns, Fraction(now_ns))


BEATS = of(*(Step(0, DOWN, 1_400) for _ in range(30)), slow=Rate(112_500_000, 1_500, 64_000, 99))
BURST = of(*(Step(S, DOWN, 15_000) for _ in range(2)), Step(0, DOWN, 1))
BIG_BURST = of(
    Step(0, DOWN, 1_000),
    *(Step(0, DOWN, 1_000, switched=None if k else False) for k in range(9)),
    slow=Rate(200_000, 3_000, 64_000, 3_000),
    coupon=True,
)
FAULTS = {
    "rounds per packet": (RoundsPerPacket, BEATS),
    "a byte more in the burst": (BurstsAByteMore, BURST),
    "keeps a burst": (KeepsItsBurst, BIG_BURST),
    "forgets its queue": (ForgetsItsQueue, ZIGZAG),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_planted_fault_is_found(name: str) -> None:
    """P5: the bound is not met by whatever calls itself a limiter"""
    make, story = FAULTS[name]
    assert_bounded(story, *twin(story))
    with pytest.raises(AssertionError):
        assert_bounded(story, *twin(story, make))


def test_an_overtaken_packet_is_found() -> None:
    """P3: order is looked at by itself"""
    step = Step(0, UP, 40)
    assert overtaken([Sent(T0, T0 + 2, step), Sent(T0, T0 + 1, step)], UP, exempt=False)
    assert overtaken([Sent(T0, T0 - 1, step)], UP, exempt=False)
    assert not overtaken([Sent(T0, T0 + 2, step), Sent(T0, 0, step)], UP, exempt=False)
