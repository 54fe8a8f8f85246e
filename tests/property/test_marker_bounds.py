"""What a policer lets out, whatever comes: bounded in every window, and no more for switching speeds."""

from itertools import pairwise
from typing import Any

import numpy as np
from hypothesis import example, given
from hypothesis import strategies as st

from engine.accounting import marker
from engine.accounting.marker import GREEN, RED
from engine.config import Police
from engine.layout import MARK_RATE, MARKER
from engine.shaper.markers import set_mark_rate
from tests.support.marking import DAY, T0, S, planted

SPEEDS = ((64_000, 1_500), (200_000, 3_000), (112_500_000, 50_000), (1_000_000_007, 9_000))
"""bit/s and CBS"""

gaps_ns = st.one_of(st.integers(0, 50_000), st.integers(0, S), st.just(300 * DAY))
packets = st.lists(
    st.tuples(gaps_ns, st.integers(0, 3), st.integers(1, 1_600)), min_size=1, max_size=50
)
rules = st.builds(
    Police,
    marker=st.sampled_from(["rfc2697", "rfc2698"]),
    peak_percent=st.sampled_from([100, 150, 1_000]),
    excess_burst_bytes=st.sampled_from([1_500, 20_000]),
    tokens=st.sampled_from(["exact", "rte_meter"]),
)


def speeds_of(rule: Police) -> Any:
    """MARK_RATE[4]"""
    rates = np.zeros(len(SPEEDS), dtype=MARK_RATE)
    for row, (rate_bps, burst_bytes) in zip(rates, SPEEDS, strict=True):
        set_mark_rate(row, rule, rate_bps, burst_bytes)
    return rates


def arrivals(rates: Any, speed: int, which: int, spell_ns: int, under_way: int = 0) -> int:
    """byte; tokens that a spell at one speed can bring; `under_way` 1: in the midst of an arrival."""
    row = rates[speed]
    ticks = spell_ns * int(row["numerator"][which])
    return (ticks // int(row["denominator"][which]) + under_way) * int(row["step"][which])


def over_the_windows(module: Any, rule: Police, speed: int, stream: list[tuple[int, int]]) -> int:
    """byte; most that any window holds beyond what P5 allows, 0 or less where all is well.

    Green: CBS + CIR x window, and the arrival under way. With yellow: EBS more, or PBS + PIR x window.
    """
    rates, mark = speeds_of(rule), np.zeros(1, dtype=MARKER)
    now_ns = T0
    out: list[tuple[int, int, bool]] = []
    for gap_ns, size in stream:
        now_ns += gap_ns
        found = module.colour(mark[0], rates, speed, now_ns, size)
        if found != RED:
            out.append((now_ns, size, found == GREEN))
    cbs, other = (int(size) for size in rates[speed]["size_bytes"])
    peak = rule.marker == "rfc2698"
    worst = 0
    for first, (begin_ns, _, _) in enumerate(out):
        green = both = 0
        for at_ns, size, is_green in out[first:]:
            green += size * is_green
            both += size
            committed = cbs + arrivals(rates, speed, 0, at_ns - begin_ns, 1)
            most = other + (arrivals(rates, speed, 1, at_ns - begin_ns, 1) if peak else committed)
            worst = max(worst, green - committed, both - most)
    return worst


@given(rules, st.integers(0, 3), st.lists(st.tuples(gaps_ns, st.integers(1, 1_600)), max_size=50))
def test_no_window_holds_more_than_burst_and_rate(
    rule: Police, speed: int, stream: list[tuple[int, int]]
) -> None:
    """P5"""
    assert over_the_windows(marker, rule, speed, stream) == 0


def over_the_spells(module: Any, rule: Police, stream: list[tuple[int, int, int]]) -> int:
    """byte; green beyond the first burst and what the speeds earn while each holds; a speed holds until
    the packet that finds another one."""
    rates, mark = speeds_of(rule), np.zeros(1, dtype=MARKER)
    times = (T0 + np.cumsum([gap_ns for gap_ns, _, _ in stream])).tolist()
    changes = [k for k in range(len(stream)) if k == 0 or stream[k][1] != stream[k - 1][1]]
    spells = [(stream[a][1], times[b] - times[a]) for a, b in pairwise([*changes, len(stream) - 1])]
    green = 0
    for now_ns, (_, speed, size) in zip(times, stream, strict=True):
        if module.colour(mark[0], rates, speed, now_ns, size) == GREEN:
            green += size
    earned = sum(arrivals(rates, speed, 0, spell_ns) for speed, spell_ns in spells)
    return green - int(rates[stream[0][1]]["size_bytes"][0]) - earned


TO_AND_FRO = [(0, 2, 1_500), *[(5_001, k % 4, 1_500) for k in range(60)]]
LAST_TOKENS = [(0, 0, 1_500), *[(124_999, k % 2, 1) for k in range(60)]]


@example(Police(excess_burst_bytes=1_500), TO_AND_FRO)
@example(Police(excess_burst_bytes=1_500, tokens="exact"), LAST_TOKENS)
@given(rules, packets)
def test_switching_to_and_fro_lets_out_no_more_than_the_rates_that_held(
    rule: Police, stream: list[tuple[int, int, int]]
) -> None:
    """P3, P5"""
    assert over_the_spells(marker, rule, stream) <= 0


def test_switching_that_brings_a_burst_is_found() -> None:
    refilled = planted(
        "if before != at:\n", "if before != at:\n        fill(mark, rates, at, now_ns)\n"
    )
    assert over_the_spells(refilled, Police(), TO_AND_FRO) > 0


def test_switching_that_keeps_the_phase_is_found() -> None:
    """39 999 of 40 000 ns towards a byte at 200 kbit/s would be 281 times two bytes at 112.5 Mbit/s"""
    keeps = planted('most)\n            mark["phase"][which] = 0\n', "most)\n")
    stream = [(0, 1, 3_000), *[(39_999, 2, 1), (142, 2, 500), (0, 1, 1)] * 10]
    rule = Police(tokens="rte_meter")
    assert over_the_spells(marker, rule, stream) <= 0
    assert over_the_spells(keeps, rule, stream) > 0


def test_a_burst_that_is_not_cut_is_found() -> None:
    whole = planted("= min(tokens, size_bytes)", "= tokens")
    stream = [(0, 1_500), *[(S // 10, 1)] * 20, *[(0, 1_500)] * 10]
    assert over_the_windows(whole, Police(), 0, stream) > 0
