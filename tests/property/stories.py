"""Hypothesis strategies: small random worlds in which every rule can bite within a few packets."""

from dataclasses import replace
from datetime import date
from typing import Any

from hypothesis import strategies as st

from tests.oracle.cases import Case, ContractSpec, CouponSpec, Event, ExemptSpec, LineSpec, Packet
from tests.oracle.directed import DEC, MB, MS, T0, S
from tests.oracle.limiter import Rate

SIZES_BYTES = st.sampled_from([1, 40, 100, 576, 1_500, 65_535]) | st.integers(1, 65_575)
SMALL_BYTES = st.sampled_from([1, 40, 50, 100, 101, 750, 1_500])
GAPS_NS = st.sampled_from(
    [
        *(0, 0, 1, 29_999, 30_000, MS, 37 * MS, S, 7 * S, 30 * S),
        *(3_600 * S, 8 * 3_600 * S, 86_400 * S, 40 * 86_400 * S),
    ]
)
INNER_GAPS_NS = st.sampled_from([0, 0, 0, 1, MS, 15 * S, 30 * S, 30 * S + 1])
VOLUMES_BYTES = st.sampled_from(
    [1, 40, 1_499, 1_500, 1_501, 70_000, 10 * MB - 1, 10 * MB, 10 * MB + 1, 25 * MB]
)
BPS = st.sampled_from([1, 7, 8_000, 50_000, 200_000, 3_333_333, 112_500_000])
BURSTS_BYTES = st.sampled_from([1, 40, 1_500, 15_000, 1_500_000])
QUEUES_BYTES = st.sampled_from([0, 1, 1_500, 64_000, 3_000_000])
QUEUES_MS = st.sampled_from([0, 1, 200, 3_000, 30_000])
MONTHS = st.sampled_from([(2013, 10), (2013, 11), (2013, 12), (2014, 1)])

RATES = st.builds(Rate, BPS, BURSTS_BYTES, QUEUES_BYTES, QUEUES_MS)
WIDE = Rate(37_500_000, 1_500_000, 3_000_000, 200)
"""a high speed at which hardly a packet is dropped, so that other rules have a say"""
COUPONS = st.builds(
    lambda kind, size, month: CouponSpec(kind, size, *month),
    st.sampled_from(["bundle", "topup"]),
    VOLUMES_BYTES,
    MONTHS,
)


@st.composite
def contracts(draw: st.DrawFn) -> tuple[ContractSpec, ...]:
    """One to three contracts of up to three SIMs, with coupons or the plan's bundles."""
    counts = draw(st.lists(st.integers(1, 3), min_size=1, max_size=3))
    codes = iter("abcdefghi")
    return tuple(
        ContractSpec(
            f"hdd{number}",
            tuple(
                LineSpec(
                    next(codes),
                    draw(st.sampled_from([True, True, True, False])),
                    draw(st.just(0) | VOLUMES_BYTES),
                    draw(st.sampled_from([True, True, True, False])),
                )
                for _ in range(count)
            ),
            draw(st.none() | st.lists(COUPONS, max_size=3).map(tuple)),
            draw(st.sampled_from([date(2013, 3, 9), date(2013, 11, 1), date(2013, 11, 16)])),
        )
        for number, count in enumerate(counts)
    )


GROUPS = (10, 10, 20, 0)
CAPS_BYTES = st.sampled_from([0, 0, 0, 100, 1_500, 70_000])
FLAGS = st.booleans()


@st.composite
def exempt_lists(draw: st.DrawFn) -> ExemptSpec:
    """One to three rating groups in any order; a server whose group is left out is not listed."""
    groups = draw(st.sampled_from([(0,), (10,), (10, 20), (20, 10), (20, 0, 10)]))
    caps = tuple((group, draw(CAPS_BYTES) if group else 0) for group in groups)
    return ExemptSpec(caps, draw(FLAGS), draw(FLAGS))


Piece = tuple[str, dict[str, Any]]
WHOLE: Piece = ("whole", {})
FIRST: Piece = ("first", {})
LATER: Piece = ("later", {})
ODD: Piece = ("first", {"odd_port": True})
OTHER_PORT: Piece = ("whole", {"odd_port": True})
OF_ANOTHER: list[Piece] = [
    ("later", {"label": 2}),
    ("later", {"group": 0}),
    ("later", {"direction": 1}),
]
TRAINS = st.sampled_from(
    [
        (WHOLE,),
        (WHOLE,) * 4,
        (WHOLE, OTHER_PORT),
        (FIRST, LATER, LATER),
        (LATER, FIRST, LATER),
        (FIRST, ODD, LATER),
        (ODD, FIRST, LATER),
        (FIRST, *OF_ANOTHER),
        (LATER,),
    ]
)
"""packets to a server of the operator's, one after the other: which piece, and what is unlike the others"""


@st.composite
def trains(draw: st.DrawFn, lines: list[str]) -> list[Packet]:
    """A packet to anybody, or some to a server of the operator's, or one in fragments; `at_ns` are gaps."""
    line, direction = draw(st.sampled_from(lines[:1] + lines)), draw(st.integers(0, 1))
    if draw(st.booleans()):
        return [Packet(draw(GAPS_NS), line, direction, draw(SIZES_BYTES))]
    like = Packet(0, line, direction, 0, True, draw(st.sampled_from(GROUPS)), label=1)
    return [
        replace(
            like,
            at_ns=draw(INNER_GAPS_NS if number else GAPS_NS),
            size_bytes=draw(SMALL_BYTES | SIZES_BYTES),
            piece=piece,
            **unlike,
        )
        for number, (piece, unlike) in enumerate(draw(TRAINS))
    ]


def _events(lines: list[str], codes: list[str]) -> st.SearchStrategy[Event]:
    line = st.sampled_from(lines)
    switch = st.builds(lambda code, on: Event(0, "switch", code, on), line, st.booleans())
    verb = st.sampled_from(["suspend", "resume", "attach", "detach", "resume", "attach"])
    session = st.builds(lambda do, code: Event(0, do, code), verb, line)
    charge = st.builds(
        lambda code, count: Event(0, "charge", contract=code, coupons=count),
        st.sampled_from(codes),
        st.integers(1, 2),
    )
    exempt = st.builds(lambda spec: Event(0, "exempt", exempt=spec), exempt_lists())
    return switch | switch | session | charge | exempt


@st.composite
def stories(draw: st.DrawFn) -> Case:
    """Up to 25 packets, trains of them and events; an event is later than what was before it."""
    people = draw(contracts())
    lines = [line.code for contract in people for line in contract.lines]
    train = trains(lines)
    event = _events(lines, [contract.code for contract in people])
    later = st.tuples(GAPS_NS, event).map(lambda pair: [replace(pair[1], at_ns=max(1, pair[0]))])
    now_ns = draw(st.sampled_from([T0, DEC - S, DEC - 1, DEC - 86_400 * S]))
    steps: list[Packet | Event] = []
    drawn: list[Any] = draw(st.lists(train | train | train | later, min_size=1, max_size=25))
    for what in [*drawn, draw(train)]:
        for one in what:
            now_ns += one.at_ns
            steps.append(replace(one, at_ns=now_ns))
    high = draw(RATES | st.just(WIDE))
    return Case(
        steps=tuple(steps),
        contracts=people,
        high_up=high,
        high_down=Rate(
            draw(st.just(high.bps) | BPS), high.burst_bytes, high.queue_bytes, high.queue_ms
        ),
        slow=draw(RATES),
        restricted=draw(RATES),
        restriction_bytes=draw(st.sampled_from([0, 1, 100, 1_500, 100_000])),
        restriction_enabled=draw(st.sampled_from([True, True, True, False])),
        effective=draw(st.sampled_from(["immediate", "next-day"])),
        first_slice=draw(st.sampled_from(["attach", "first-packet"])),
        bundle_bytes=draw(st.just(0) | VOLUMES_BYTES),
        allow_leap=draw(st.booleans()),
        exempt=draw(exempt_lists()),
    )
