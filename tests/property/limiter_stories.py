"""Stories for the limiter of one SIM: any rates, gaps and switching; engine and twin play them.

The twin has the arithmetic of tests/oracle/limiter.py (fractions, no engine) and keeps the little that
decides the state of a SIM with a balance without end: its switch, and the slow bytes of three days.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from hypothesis import strategies as st

from engine.config import Limit, Plan, Settings, SlowLimit, Speed
from engine.runtime import Engine
from engine.subscribers import Switch
from engine.units import IP_LENGTH_MAX
from engine.verdict import DROP_QUEUE, FORWARD_MAX
from tests.oracle.limiter import NS_PER_S, Limiter, Rate
from tests.support import gateway as real
from tests.support.gateway import DAY, DNS, MS, PLAN, SERVER, T0, UE, Rows, S

UP, DOWN = 0, 1
HIGH, SLOW, RESTRICTED = 0, 1, 2
BALANCE_BYTES = 1 << 50
CREDIT_MAX = 1 << 62
LONGEST_WAIT_NS = 120 * NS_PER_S
BPS_MAX = 10**11
BUCKET_MAX = 500_000_000


@dataclass(frozen=True)
class Step:
    """A packet, `gap_ns` after the one before; `switched` says what the coupon is set to just before it."""

    gap_ns: int
    direction: int
    size_bytes: int
    exempt: bool = False
    switched: bool | None = None


@dataclass(frozen=True)
class Story:
    """Rates by state and direction (high speed has one burst and queue for both), and what comes."""

    high: tuple[Rate, Rate]
    slow: Rate
    restricted: Rate
    steps: tuple[Step, ...]
    coupon: bool = True
    restriction_bytes: int = 0

    def rate(self, state: int, direction: int) -> Rate:
        return (self.high[direction], self.slow, self.restricted)[state]


@dataclass(frozen=True)
class Sent:
    """A packet as it was decided: `departure_ns` 0 where it was dropped."""

    at_ns: int
    departure_ns: int
    step: Step


def arrivals(story: Story) -> list[tuple[int, int]]:
    """The stamp of every step, and the time that holds for it: time does not go back (G8).

    A switch is 1 ns after what came before, so that its place is the same however it is handed in.
    """
    found, stamp_ns, now_ns = [], T0, T0
    for step in story.steps:
        stamp_ns += step.gap_ns
        if step.switched is not None:
            stamp_ns = max(stamp_ns, now_ns + 1)
        now_ns = max(now_ns, stamp_ns)
        found.append((stamp_ns, now_ns))
    return found


# --- the twin ---------------------------------------------------------------------------------------


class Twin:
    """State and buckets of the SIM. `make` makes a bucket: the right one, or one with a fault in it."""

    def __init__(
        self, story: Story, make: Callable[[Rate, int, int], Limiter], states: list[int]
    ) -> None:
        bps = [rate.bps for rate in (*story.high, story.slow, story.restricted)]
        wait_ns = min(LONGEST_WAIT_NS, CREDIT_MAX // max(bps))
        self.story = story
        self.coupon = story.coupon
        self.state = HIGH
        self.days: dict[int, int] = {}
        self.buckets = [make(rate, T0, wait_ns) for rate in story.high]
        self.exempt = [make(rate, T0, wait_ns) for rate in story.high]
        self.states = states

    def wanted(self, day: int) -> int:
        """P1, P2, R1, R3: today and the two days before."""
        if self.coupon:
            return HIGH
        slow_bytes = sum(self.days.get(day - back, 0) for back in range(3))
        over = 0 < self.story.restriction_bytes < slow_bytes
        return RESTRICTED if over else SLOW

    def take(self, now_ns: int, step: Step) -> Sent:
        if step.switched is not None:
            self.coupon = step.switched
        if step.exempt:
            self.states.append(HIGH)
            out = self.exempt[step.direction].offer(now_ns, step.size_bytes)
            return Sent(now_ns, out or 0, step)
        day = (now_ns + 9 * 3600 * NS_PER_S) // (86_400 * NS_PER_S)
        state = self.wanted(day)
        if state != self.state:
            for direction in (UP, DOWN):
                self.buckets[direction].change(now_ns, self.story.rate(state, direction))
            self.state = state
        self.states.append(state)
        out = self.buckets[step.direction].offer(now_ns, step.size_bytes)
        if out is not None and state != HIGH:
            self.days[day] = self.days.get(day, 0) + step.size_bytes
        return Sent(now_ns, out or 0, step)


def twin(
    story: Story, make: Callable[[Rate, int, int], Limiter] = Limiter
) -> tuple[list[Sent], list[int]]:
    """What becomes of every packet, and the state in which it was decided."""
    states: list[int] = []
    sim = Twin(story, make, states)
    sent = [
        sim.take(now, step) for (_, now), step in zip(arrivals(story), story.steps, strict=True)
    ]
    return sent, states


# --- the engine -------------------------------------------------------------------------------------


def play(story: Story, splits: Sequence[int] = ()) -> list[Sent]:
    """The engine's answer. Without `splits` all switches are scheduled and all packets are one batch;
    with them, batches have so many packets in turn and switches are called for in between."""
    engine = real.gateway(
        real.book(real.line(coupon=story.coupon, balance_bytes=BALANCE_BYTES)),
        settings=_settings(story),
        allow_clock_leap=True,
    )
    batch = _batch(story)
    if splits:
        verdicts = _in_parts(engine, story, batch, splits)
    else:
        times = arrivals(story)
        switches = [
            Switch(now, "a", step.switched)
            for (_, now), step in zip(times, story.steps, strict=True)
            if step.switched is not None
        ]
        engine.schedule(switches)
        verdicts = engine.process(batch)
    counters = engine.snapshot()["sims"][0]
    engine.close()
    _check_counters(counters, batch, verdicts)
    times = arrivals(story)
    rows = zip(times, verdicts["departure_ns"].tolist(), story.steps, strict=True)
    return [Sent(now, departure, step) for (_, now), departure, step in rows]


def _in_parts(engine: Engine, story: Story, batch: Rows, splits: Sequence[int]) -> Rows:
    parts, begin, turn = [], 0, 0
    while begin < len(batch):
        step = story.steps[begin]
        if step.switched is not None:
            engine.switch_coupon("a", on=step.switched, at_ns=int(batch["time_ns"][begin]))
        end = min(len(batch), begin + splits[turn % len(splits)])
        later = [k for k in range(begin + 1, end) if story.steps[k].switched is not None]
        end = later[0] if later else end
        parts.append(engine.process(batch[begin:end]))
        begin, turn = end, turn + 1
    return np.concatenate(parts)


def _check_counters(counters: dict[str, dict[str, int]], batch: Rows, verdicts: Rows) -> None:
    """Nothing is lost on the way: every packet left, or was dropped for the queue, and counts so (I6)."""
    out = verdicts["code"] <= FORWARD_MAX
    assert set(verdicts["code"][~out].tolist()) <= {DROP_QUEUE}
    assert (verdicts["departure_ns"][~out] == 0).all()
    both = counters["up"], counters["down"]
    assert sum(way["packets"] for way in both) == len(batch)
    assert sum(way["dropped_packets"] for way in both) == int((~out).sum())
    assert sum(way["inner_bytes"] for way in both) == int(batch["length"].sum())
    assert sum(way["dropped_bytes"] for way in both) == int(batch["length"][~out].sum())


def _batch(story: Story) -> Rows:
    times = arrivals(story)
    parts = []
    for (stamp, _), step in zip(times, story.steps, strict=True):
        far = DNS if step.exempt else SERVER
        ends = (UE, far) if step.direction == UP else (far, UE)
        ports = (4_000, 53) if step.direction == UP else (53, 4_000)
        parts.append(real.packet(stamp, *ends, step.size_bytes, ports=ports))
    return np.concatenate(parts)


def _settings(story: Story) -> Settings:
    slow, restricted = (
        SlowLimit(rate.burst_bytes, rate.queue_bytes, rate.queue_ms, rate.bps)
        for rate in (story.slow, story.restricted)
    )
    up, down = story.high
    high = Limit(up.burst_bytes, up.queue_bytes, up.queue_ms)
    plan = Plan(PLAN, PLAN, 3, 0, down.bps, up.bps, story.restriction_bytes)
    made = real.settings(slow=slow, restricted=restricted, high=high)
    return replace(made, plans=(plan,), speed=Speed(high, slow, restricted))


# --- any story --------------------------------------------------------------------------------------

_BPS = st.one_of(
    st.sampled_from((1, 7, 50_000, 200_000, 37_500_000, 112_500_000, 10**9, BPS_MAX)),
    st.integers(1, BPS_MAX),
    st.integers(1_000, 1_000_000),
)
_BYTES = st.one_of(
    st.sampled_from((1, 40, 1_500, 1_501, 15_000, BUCKET_MAX)),
    st.integers(1, 100_000),
    st.integers(1, BUCKET_MAX),
)
_SIZE = st.one_of(
    st.sampled_from((0, 1, 40, 576, 1_500, IP_LENGTH_MAX)), st.integers(0, IP_LENGTH_MAX)
)
_GAP_NS = st.one_of(
    st.sampled_from((0, 0, 1, 30_000, MS, S, 60 * S, DAY, 300 * DAY, -1, -S)),
    st.integers(-2 * S, 2 * S),
    st.integers(0, 300 * DAY),
)


@st.composite
def rates(draw: st.DrawFn, bps: int | None = None) -> Rate:
    """A rate whose queue the limiter can count, as the configuration demands."""
    bps = bps or draw(_BPS)
    most_ms = min(60_000, (CREDIT_MAX - 1) // (bps * MS))
    queue_ms = draw(st.one_of(st.just(most_ms), st.integers(0, most_ms)))
    return Rate(bps, draw(_BYTES), draw(_BYTES) - 1, queue_ms)


@st.composite
def stories(draw: st.DrawFn, steps_max: int = 40, switching: bool = True) -> Story:
    """Any story. Half of the gaps are of a packet's time at one of the rates: queues fill and drain."""
    up, slow, restricted = draw(rates()), draw(rates()), draw(rates())
    down_bps = draw(_BPS)
    most_ms = (CREDIT_MAX - 1) // (down_bps * MS)
    up = replace(up, queue_ms=min(up.queue_ms, most_ms))
    bps = st.sampled_from((up.bps, down_bps, slow.bps, restricted.bps))
    switch = st.sampled_from((None, None, None, True, False)) if switching else st.none()
    steps = []
    for _ in range(draw(st.integers(1, steps_max))):
        size = draw(_SIZE)
        timed = max(size, 40) * 8 * S * draw(st.integers(0, 16)) // (8 * draw(bps))
        gap_ns = min(timed, 300 * DAY) if draw(st.booleans()) else draw(_GAP_NS)
        exempt = draw(st.integers(0, 7)) == 0
        steps.append(Step(gap_ns, draw(st.sampled_from((UP, DOWN))), size, exempt, draw(switch)))
    return Story(
        (up, replace(up, bps=down_bps)),
        slow,
        restricted,
        tuple(steps),
        draw(st.booleans()),
        draw(st.sampled_from((0, 1, 3_000, 100_000, 384_000_000))),
    )
