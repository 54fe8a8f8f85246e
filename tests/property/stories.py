"""Hypothesis strategies: small random worlds in which every rule can bite within a few packets."""

from datetime import date

from hypothesis import strategies as st

from tests.oracle.cases import Case, ContractSpec, CouponSpec, Event, LineSpec, Packet
from tests.oracle.directed import DEC, MB, MS, T0, S
from tests.oracle.limiter import Rate

SIZES_BYTES = st.sampled_from([1, 40, 100, 576, 1_500, 65_535]) | st.integers(1, 65_575)
GAPS_NS = st.sampled_from([0, 0, 1, 29_999, 30_000, MS, 37 * MS, S, 7 * S]) | st.sampled_from(
    [3_600 * S, 86_400 * S, 40 * 86_400 * S]
)
VOLUMES_BYTES = st.sampled_from(
    [1, 40, 1_499, 1_500, 1_501, 70_000, 10 * MB - 1, 10 * MB, 10 * MB + 1, 25 * MB]
)
BPS = st.sampled_from([1, 7, 8_000, 50_000, 200_000, 3_333_333, 112_500_000])
BURSTS_BYTES = st.sampled_from([1, 40, 1_500, 15_000, 1_500_000])
QUEUES_BYTES = st.sampled_from([0, 1, 1_500, 64_000, 3_000_000])
QUEUES_MS = st.sampled_from([0, 1, 200, 3_000, 30_000])
MONTHS = st.sampled_from([(2013, 10), (2013, 11), (2013, 12), (2014, 1)])

RATES = st.builds(Rate, BPS, BURSTS_BYTES, QUEUES_BYTES, QUEUES_MS)
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
    return switch | switch | session | charge


@st.composite
def stories(draw: st.DrawFn) -> Case:
    """Up to 40 steps; an event is later than the packet before it, and a packet is last."""
    people = draw(contracts())
    lines = [line.code for contract in people for line in contract.lines]
    packet = st.builds(
        Packet,
        st.just(0),
        st.sampled_from(lines),
        st.integers(0, 1),
        SIZES_BYTES,
        st.sampled_from([False, False, False, True]),
    )
    event = _events(lines, [contract.code for contract in people])
    step = packet | packet | packet | event
    now_ns = draw(st.sampled_from([T0, DEC - S, DEC - 1, DEC - 86_400 * S]))
    steps: list[Packet | Event] = []
    drawn = draw(st.lists(st.tuples(GAPS_NS, step), min_size=1, max_size=40))
    for gap_ns, what in [*drawn, (0, draw(packet))]:
        now_ns += max(gap_ns, int(isinstance(what, Event)))
        steps.append(type(what)(**{**vars(what), "at_ns": now_ns}))
    high = draw(RATES)
    return Case(
        steps=tuple(steps),
        contracts=people,
        high_up=high,
        high_down=Rate(draw(BPS), high.burst_bytes, high.queue_bytes, high.queue_ms),
        slow=draw(RATES),
        restricted=draw(RATES),
        restriction_bytes=draw(st.sampled_from([0, 1, 1_500, 100_000])),
        restriction_enabled=draw(st.sampled_from([True, True, True, False])),
        effective=draw(st.sampled_from(["immediate", "next-day"])),
        first_slice=draw(st.sampled_from(["attach", "first-packet"])),
        bundle_bytes=draw(st.just(0) | VOLUMES_BYTES),
        allow_leap=draw(st.booleans()),
    )
