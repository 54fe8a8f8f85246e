"""The engine against its naive twin: same verdicts, same reports, whatever way packets come in."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

import tests.oracle
from tests.oracle.cases import Case, Outcome, Packet
from tests.oracle.cases import play as oracle_play
from tests.oracle.directed import CASES, T0, S, alone
from tests.oracle.directed_exempt import EXEMPT_CASES
from tests.oracle.limiter import Rate
from tests.oracle.mutants import MUTANTS, mutant
from tests.property.stories import stories
from tests.property.worlds import Way, play

STORIES = CASES | EXEMPT_CASES
WAYS = [
    Way(),
    Way(split=1),
    Way(split=7, shards=2),
    Way(split=3, shards=3, scheduled=True),
    Way(split=5, shards=2, announced=True),
    Way(scheduled=True, announced=True),
]


def assert_same(case: Case, expected: Outcome, found: Outcome) -> None:
    """Equal, and if not, the first packet that differs is named with its story."""
    packets = [step for step in case.steps if isinstance(step, Packet)]
    for number, packet in enumerate(packets):
        pair = expected.verdicts[number], found.verdicts[number]
        assert pair[0] == pair[1], f"packet {number}: {packet}"
    assert len(found.verdicts) == len(packets)
    assert found.lines == expected.lines
    assert found.contracts == expected.contracts


def assert_adds_up(case: Case, found: Outcome) -> None:
    """I1, I6, D9, I2: every byte is in one class, and every granted byte is somewhere."""
    given_bytes = {line.code: line.balance_bytes for c in case.contracts for line in c.lines}
    classes = ("charged_bytes", "slow_bytes", "exempt_bytes", "free_bytes", "dropped_bytes")
    for code, line in found.lines.items():
        for way in (line["up"], line["down"]):
            assert way["inner_bytes"] == sum(way[name] for name in classes)
            assert min(way.values()) >= 0
        used_bytes = line["up"]["charged_bytes"] + line["down"]["charged_bytes"]
        assert line["balance_bytes"] >= 0
        assert line["balance_bytes"] + used_bytes == line["granted_bytes"] + given_bytes[code]
    packets = [step for step in case.steps if isinstance(step, Packet)]
    both = [line[way] for line in found.lines.values() for way in ("up", "down")]
    assert sum(way["packets"] for way in both) == len(packets)
    assert sum(way["inner_bytes"] for way in both) == sum(p.size_bytes for p in packets)
    for spec in case.contracts:
        books = found.contracts[spec.code]
        parts = ("in_database_bytes", "granted_bytes", "expired_bytes")
        assert books["credited_bytes"] == sum(books[name] for name in parts)
        granted = [found.lines[line.code]["granted_bytes"] for line in spec.lines]
        assert books["granted_bytes"] == sum(granted)


@pytest.mark.parametrize("way", WAYS, ids=str)
@pytest.mark.parametrize("name", STORIES)
def test_engine_agrees_with_the_oracle_on_directed_stories(name: str, way: Way) -> None:
    """C1, C2, C4, C5, C6, D1-D8, P1-P5, R1-R6, X1-X4, L1, N7, U1, U2, U4, G8, G9, B36, B37, B41x"""
    case = STORIES[name]
    found = play(case, way)
    assert_same(case, oracle_play(case, tests.oracle), found)
    assert_adds_up(case, found)


@example(case=CASES["slow bucket polled often"], split=11, shards=2)
@example(case=CASES["packet equal to the balance"], split=1, shards=1)
@example(case=CASES["last slice is smaller"], split=40, shards=1)
@example(case=CASES["switch off in mid-queue"], split=2, shards=1)
@example(case=CASES["race for the last slice"], split=3, shards=4)
@example(case=CASES["month boundary"], split=2, shards=2)
@example(case=EXEMPT_CASES["another list"], split=3, shards=2)
@example(case=EXEMPT_CASES["fragments inherit"], split=2, shards=2)
@given(case=stories(), split=st.integers(1, 40), shards=st.integers(1, 4))
def test_engine_agrees_with_the_oracle(case: Case, split: int, shards: int) -> None:
    """D1-D8, P1-P5, R1-R6, X1-X4, G3, G8, I1, I2, I6, B36, B37, B41x"""
    expected = oracle_play(case, tests.oracle)
    found = play(case, Way())
    assert_same(case, expected, found)
    assert_adds_up(case, found)
    assert_same(case, expected, play(case, Way(split, shards)))
    assert_same(case, expected, play(case, Way(split, shards, scheduled=True)))
    assert_same(case, expected, play(case, Way(split, shards, announced=True)))


@pytest.fixture(scope="module")
def engine_outcomes() -> dict[str, Outcome]:
    """What the engine makes of the directed stories."""
    return {name: play(case) for name, case in STORIES.items()}


@pytest.mark.parametrize("name", MUTANTS)
def test_the_comparison_catches_a_planted_fault(
    name: str, engine_outcomes: dict[str, Outcome]
) -> None:
    """A checker that cannot fail proves nothing: each fault shows in some directed story that the
    sound twin and the engine agree on."""
    with mutant(name) as faulty:
        differing = [
            story
            for story, case in STORIES.items()
            if oracle_play(case, faulty) != engine_outcomes[story]
            and oracle_play(case, tests.oracle) == engine_outcomes[story]
        ]
    assert differing


@given(
    sizes_bytes=st.lists(st.integers(1, 1_500), min_size=2, max_size=60),
    gap_ns=st.sampled_from([0, 1, 29_999, 30_000, 1_000_000, 33_333_333]),
    bps=st.sampled_from([1_000, 50_000, 200_000, 333_333]),
)
def test_no_window_lets_out_more_than_burst_and_rate(
    sizes_bytes: list[int], gap_ns: int, bps: int
) -> None:
    """P4, P5: departures are whole nanoseconds, rounded up, hence the one that is added"""
    burst_bytes = 1_500
    steps = [Packet(T0 + k * gap_ns, "a", 1, size) for k, size in enumerate(sizes_bytes)]
    case = Case(tuple(steps), alone(), slow=Rate(bps, burst_bytes, 30_000, 60_000))
    verdicts = play(case).verdicts
    sent = [
        (departure_ns, size)
        for size, (kind, _, departure_ns) in zip(sizes_bytes, verdicts, strict=True)
        if kind == "slow"
    ]
    assert sent == sorted(sent, key=lambda packet: packet[0])
    for first, (begin_ns, _) in enumerate(sent):
        let_out_bytes = 0
        for end_ns, size in sent[first:]:
            let_out_bytes += size
            allowed = burst_bytes * 8 * S + bps * (end_ns - begin_ns + 1)
            assert let_out_bytes * 8 * S <= allowed
