"""The policer beside DPDK's rte_meter and beside the RFCs' own words: every colour of every packet."""

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from engine.jit import DISABLED
from engine.shaper.markers import clock_of
from tests.support.marking import (
    DAY,
    T0,
    Ints,
    Marker,
    S,
    ask_peer,
    colours,
    colours_by,
    peer,
    peer_colours,
    planted,
    traffic,
    twin_colours,
)

RATES = [125, 6_250, 7_919, 25_000, 4_687_500, 9_999_991, 14_062_500, 10_000_019, 123_456_791]
FASTEST = [290_000_000, 12_500_000_000]
MANY = 2_000 if DISABLED else 1_000_000
SOME = 500 if DISABLED else 50_000


def marker_of(cir: int, percent: int, tokens: str = "rte_meter") -> Marker:
    """Buckets that a few packets empty; the second one larger where it is RFC 2698's."""
    return Marker(cir, 4_000, 9_000 if percent else 2_500, percent, tokens)


def assert_all_seen(found: list[int]) -> None:
    """Each colour is met often: otherwise the traffic would compare little."""
    assert min(np.bincount(found, minlength=3)) > len(found) // 100


@pytest.mark.parametrize("percent", [0, 150])
@pytest.mark.parametrize("cir", [25_000, 14_062_500, 123_456_791])
def test_a_long_stream_has_the_colours_of_rte_meter(cir: int, percent: int) -> None:
    """P5"""
    made = marker_of(cir, percent)
    times, sizes = traffic(made, MANY, seed=cir + percent)
    ours = colours(made, times, sizes)
    assert_all_seen(ours)
    assert ours == peer_colours(made, times, sizes)


@pytest.mark.parametrize("percent", [0, 100, 133, 1_000])
@pytest.mark.parametrize("cir", RATES + FASTEST)
def test_streams_at_many_rates_have_the_colours_of_rte_meter(cir: int, percent: int) -> None:
    """P5"""
    made = marker_of(cir, percent)
    times, sizes = traffic(made, SOME, seed=cir + percent)
    assert colours(made, times, sizes) == peer_colours(made, times, sizes)


gaps_ns = st.one_of(
    st.integers(0, 3),
    st.integers(0, 200_000),
    st.integers(0, 10 * S),
    st.sampled_from([S, 86_399 * S, DAY, 300 * DAY]),
)
streams = st.lists(st.tuples(gaps_ns, st.integers(1, 3_000)), min_size=1, max_size=60)
markers = st.builds(
    Marker,
    cir=st.one_of(st.sampled_from(RATES + FASTEST), st.integers(1, 12_500_000_000)),
    cbs=st.integers(1, 5_000),
    other=st.integers(1, 5_000),
    peak_percent=st.sampled_from([0, 100, 101, 250, 1_000]),
)


def unpacked(stream: list[tuple[int, int]]) -> tuple[Ints, Ints]:
    gaps, sizes = np.array(stream, dtype=np.int64).T
    return T0 + gaps.cumsum(), sizes.copy()


@pytest.fixture(scope="module")
def rte_meter() -> str:
    """The program, asked for before a search begins: without it the test is skipped as a whole."""
    return peer()


@pytest.mark.usefixtures("rte_meter")
@example(Marker(25_000, 3, 3), [(0, 3), (39_999, 1), (1, 1), (300 * DAY, 3), (39_999, 1), (1, 1)])
@example(Marker(12_500_000_000, 5_000, 5_000, 1_000), [(0, 3_000), (99, 3_000), (1, 3_000)])
@given(markers, streams)
def test_any_stream_has_the_colours_of_rte_meter(
    made: Marker, stream: list[tuple[int, int]]
) -> None:
    """P5, U4"""
    times, sizes = unpacked(stream)
    assert colours(made, times, sizes) == peer_colours(made, times, sizes)


def test_the_token_clock_is_that_of_rte_meter_at_every_rate() -> None:
    """P5: also where its doubles miss a whole number, which the multiples of 10 MB/s look for"""
    random = np.random.default_rng(1)
    rates = [
        *RATES,
        *range(1, 3_000),
        *range(10_000_000, 12_500_000_001, 10_000_000),
        *range(9_999_900, 10_000_100),
        *random.integers(1, 125_000_000_000, 3_000).tolist(),
    ]
    said = np.frombuffer(ask_peer(["clocks"], np.array(rates, dtype="u8").tobytes()), dtype="u8")
    ours = [clock_of(rate, "rte_meter") for rate in rates]
    assert [(c.denominator, c.step) for c in ours] == list(map(tuple, said.reshape(-1, 2).tolist()))
    assert {c.numerator for c in ours} == {1}


@pytest.mark.parametrize("tokens", ["exact", "rte_meter"])
@pytest.mark.parametrize("percent", [0, 133])
@pytest.mark.parametrize("cir", RATES)
def test_a_stream_has_the_colours_that_the_rfcs_say(cir: int, percent: int, tokens: str) -> None:
    """P5, U4"""
    made = marker_of(cir, percent, tokens)
    times, sizes = traffic(made, 300, seed=cir)
    assert colours(made, times, sizes) == twin_colours(made, times, sizes)


small = st.builds(
    Marker,
    cir=st.integers(1, 40_000_000),
    cbs=st.integers(1, 200),
    other=st.integers(1, 200),
    peak_percent=st.sampled_from([0, 100, 101, 250]),
    tokens=st.just("exact"),
)


@given(small, st.lists(st.tuples(gaps_ns, st.integers(1, 250)), min_size=1, max_size=30))
def test_any_stream_has_the_colours_that_the_rfcs_say(
    made: Marker, stream: list[tuple[int, int]]
) -> None:
    """P5, U4"""
    times, sizes = unpacked(stream)
    assert colours(made, times, sizes) == twin_colours(made, times, sizes)


FAULTS = {
    "tokens are capped before they overflow into the excess bucket": (
        "max(np.int64(0), tokens - size_bytes)",
        "max(np.int64(0), min(tokens, size_bytes) - size_bytes)",
    ),
    "the phase is lost at every packet": ("= phase - arrivals * denominator", "= 0"),
    "the phase is lost in a long gap": ("= phase % denominator", "= 0"),
    "the phase is counted twice": (
        "phase += elapsed_ns * numerator",
        "phase += phase + elapsed_ns",
    ),
    "the peak bucket fills at the committed rate": (
        "arrived(mark, rate, OTHER, elapsed_ns)",
        "tokens - np.int64(mark['tokens'][COMMITTED])",
    ),
    "the excess bucket has no bound": (
        'np.int64(mark["tokens"][OTHER]) + more, np.int64(rate["size_bytes"][OTHER])',
        "np.int64(mark['tokens'][OTHER]) + more, 10**12",
    ),
    "a packet as large as the tokens is not green": (
        "if committed >= size_bytes:",
        "if committed > size_bytes:",
    ),
    "a yellow packet leaves the excess bucket as it was": (
        'mark["tokens"][OTHER] = other - size_bytes\n            return np.int64(YELLOW)',
        "return np.int64(YELLOW)",
    ),
    "a yellow packet leaves the peak bucket as it was": (
        '    mark["tokens"][OTHER] = other - size_bytes\n    if committed < size_bytes:\n',
        "    if committed < size_bytes:\n",
    ),
    "the buckets start empty": (
        '= rates[at]["size_bytes"][which]\n        mark["phase"]',
        '= 0\n        mark["phase"]',
    ),
}


def caught(old: str, new: str, tokens: str) -> int:
    """Packets that get another colour than the RFCs give, over a stream for each marker."""
    module = planted(old, new)
    wrong = 0
    for percent in (0, 133):
        made = marker_of(7_919_000, percent, tokens)
        times, sizes = traffic(made, 300, seed=7)
        found = colours_by(module, made, times, sizes)
        right = twin_colours(made, times, sizes)
        wrong += sum(a != b for a, b in zip(found, right, strict=True))
    return wrong


@pytest.mark.parametrize("fault", FAULTS)
def test_the_comparison_catches_a_planted_fault(fault: str) -> None:
    assert caught(*FAULTS[fault], "rte_meter") > 0


@pytest.mark.parametrize("tokens", ["exact", "rte_meter"])
def test_the_comparison_finds_nothing_where_nothing_is_planted(tokens: str) -> None:
    assert caught("RED = 2", "RED = 2", tokens) == 0
