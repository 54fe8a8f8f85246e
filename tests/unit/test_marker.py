"""The policer by hand: buckets and colours, change of speed, long gaps, numbers from the settings."""

import re
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engine import config
from engine.accounting.marker import GREEN, RED, YELLOW, colour, fill, mark_at, settle
from engine.config import Police, Settings
from engine.layout import (
    DOWNLINK,
    MARK_RATE,
    MARK_SRTCM,
    MARK_TRTCM,
    MARKER,
    MARKS_PER_SIDE,
    RATE_HIGH,
    RATE_RESTRICTED,
    RATE_SLOW,
    RATE_STATES,
    UPLINK,
)
from engine.shaper.markers import Clock, clock_of, mark_table, set_mark_rate
from engine.shaper.speeds import rate_table
from tests.support.marking import DAY, MS, T0, US, Marker, S, colours

SLOW, HIGH = 0, 1
YEAR = 365 * DAY


def two_speeds(tokens: Any = "exact", **police: Any) -> Any:
    """MARK_RATE[2]: a byte a millisecond with 1 000 bytes at once; 1 MB/s with 50 000 at once."""
    rates = np.zeros(2, dtype=MARK_RATE)
    rule = Police(tokens=tokens, **police)
    set_mark_rate(rates[SLOW], rule, 8_000, 1_000)
    set_mark_rate(rates[HIGH], rule, 8_000_000, 50_000)
    return rates


def fresh() -> Any:
    """MARKER[1] as a SIM gets it: zeros."""
    return np.zeros(1, dtype=MARKER)


def said(made: Marker, *packets: tuple[int, int]) -> list[int]:
    """Colours of packets of (ns after the first, bytes)."""
    times, sizes = np.array(packets, dtype=np.int64).T
    return colours(made, T0 + times, sizes.copy())


def test_one_rate_green_from_the_committed_then_yellow_from_the_excess_bucket() -> None:
    """P5: RFC 2697 3.2; a byte a millisecond, CBS 1 000, EBS 500"""
    made = Marker(1_000, 1_000, 500, tokens="exact")
    first = [(0, 600), (0, 500), (0, 400), (0, 1)]
    assert said(made, *first) == [GREEN, YELLOW, GREEN, RED]
    then = [(10 * MS - 1, 10), (10 * MS, 10), (10 * MS, 1)]
    assert said(made, *first, *then)[4:] == [RED, GREEN, RED]


def test_the_excess_bucket_fills_with_what_is_too_much_for_the_committed_one() -> None:
    """P5: RFC 2697 3.1"""
    made = Marker(1_000, 1_000, 500, tokens="exact")
    emptied = [(0, 1_000), (0, 500)]
    later = [(1_200 * MS, 1_000), (1_200 * MS, 201), (1_200 * MS, 200), (1_200 * MS, 1)]
    assert said(made, *emptied, *later)[2:] == [GREEN, RED, YELLOW, RED]


def test_two_rates_red_above_the_peak_and_yellow_above_the_committed_rate() -> None:
    """P5: RFC 2698 3.2; a byte a millisecond and two, CBS 1 000, PBS 1 500"""
    made = Marker(1_000, 1_000, 1_500, peak_percent=200, tokens="exact")
    first = [(0, 800), (0, 700), (0, 1)]
    assert said(made, *first) == [GREEN, YELLOW, RED]
    then = [(100 * MS, 200), (100 * MS, 1)]
    assert said(made, *first, *then)[3:] == [GREEN, RED]


def test_a_red_packet_takes_no_tokens() -> None:
    """P4"""
    assert said(Marker(1_000, 1_000, 0), (0, 1_001), (0, 1_000), (0, 1)) == [RED, GREEN, RED]


@pytest.mark.parametrize("tokens", ["exact", "rte_meter"])
def test_buckets_that_are_looked_at_often_still_fill(tokens: str) -> None:
    """P5: 200 kbit/s looked at every 30 us: 3/4 byte each; nothing of it may be lost"""
    count = 4_000
    found = said(Marker(25_000, 30, 0, tokens=tokens), *((30 * US * k, 3) for k in range(count)))
    earned_bytes = 30 * US * (count - 1) * 25_000 // S
    assert earned_bytes < 3 * found.count(GREEN) + 3 <= earned_bytes + 30 + 3


def test_a_packet_stamped_earlier_earns_nothing() -> None:
    """P5, B58: time does not go back"""
    found = said(Marker(1_000, 10, 0), (0, 10), (-S, 1), (0, 1), (MS, 1), (MS, 1))
    assert found == [GREEN, RED, RED, GREEN, RED]


@pytest.mark.parametrize("gap_ns", [DAY, 300 * DAY, 200 * YEAR])
@pytest.mark.parametrize("tokens", ["exact", "rte_meter"])
@pytest.mark.parametrize("cir", [125, 7_919, 14_062_500, 12_499_999_999])
def test_a_long_gap_fills_the_buckets_and_keeps_the_phase(
    cir: int, tokens: str, gap_ns: int
) -> None:
    """P5: no product overflows; the next token comes when it would have come without the gap"""
    size_bytes = min(500_000_000, cir * 86_000)
    rates, marks = Marker(cir, size_bytes, size_bytes, 1_000, tokens).row(), fresh()
    rate = rates[0]
    start_ns, now_ns = 12_345, 12_345 + gap_ns
    fill(marks[0], rates, 0, start_ns)
    marks["tokens"] = 0
    settle(marks[0], rates, 0, now_ns)
    assert marks["tokens"].tolist() == [[size_bytes, size_bytes]]
    expected = [gap_ns * int(rate["numerator"][k]) % int(rate["denominator"][k]) for k in (0, 1)]
    assert marks["phase"].tolist() == [expected]


def test_full_just_in_time() -> None:
    """P5: at `fill_ns` an empty bucket is full, the last token having come no earlier than it should"""
    for tokens in ("exact", "rte_meter"):
        for percent in (0, 300):
            rates, marks = Marker(7_919, 1_000, 700, percent, tokens).row(), fresh()
            fill_ns = int(max(rates[0]["fill_ns"]))
            for elapsed_ns, full in ((fill_ns - 1, False), (fill_ns, True), (fill_ns + 1, True)):
                fill(marks[0], rates, 0, T0)
                marks["tokens"] = 0
                settle(marks[0], rates, 0, T0 + elapsed_ns)
                assert (marks["tokens"].tolist() == [[1_000, 700]]) is full


def test_a_sim_that_was_never_seen_starts_with_full_buckets() -> None:
    """P5"""
    rates, marks = two_speeds(), fresh()
    assert colour(marks[0], rates, HIGH, T0, 50_000) == GREEN
    assert colour(marks[0], rates, HIGH, T0, 1) == RED
    assert int(marks["rate"][0]) == HIGH + 1


def test_a_change_of_speed_keeps_no_more_than_the_new_burst() -> None:
    """P3, P5"""
    rates, marks = two_speeds(), fresh()
    fill(marks[0], rates, HIGH, T0)
    assert colour(marks[0], rates, SLOW, T0, 1_001) == RED
    assert colour(marks[0], rates, SLOW, T0, 1_000) == GREEN


def test_a_change_of_speed_brings_no_burst() -> None:
    """P3, P5: what was saved at the slow speed is all there is, and then the new rate earns"""
    rates, marks = two_speeds(), fresh()
    fill(marks[0], rates, SLOW, T0)
    assert colour(marks[0], rates, HIGH, T0, 1_001) == RED
    assert colour(marks[0], rates, HIGH, T0 + MS, 2_000) == GREEN
    assert colour(marks[0], rates, HIGH, T0 + MS, 1) == RED


@pytest.mark.parametrize("tokens", ["exact", "rte_meter"])
def test_switching_to_and_fro_without_time_earns_nothing(tokens: str) -> None:
    """P3, P5"""
    rates, marks = two_speeds(tokens, excess_burst_bytes=300), fresh()
    fill(marks[0], rates, HIGH, T0)
    marks["tokens"] = 0
    for k in range(200):
        settle(marks[0], rates, k & 1, T0 + 999 * k)  # never a whole token of either speed
    assert marks["tokens"].tolist() == [[0, 0]]


def test_tokens_are_earned_at_the_speed_that_held_until_now() -> None:
    """P3: the change takes effect at once, not before"""
    rates, marks = two_speeds(), fresh()
    fill(marks[0], rates, SLOW, T0)
    marks["tokens"] = 0
    settle(marks[0], rates, HIGH, T0 + 500 * MS)
    assert marks["tokens"].tolist() == [[500, 0]]


def test_every_direction_and_class_of_a_side_has_a_row_of_its_own() -> None:
    """P4, X4"""
    rows = {mark_at(3, exempt, way) for exempt in (0, 1) for way in (UPLINK, DOWNLINK)}
    assert rows == set(range(3 * MARKS_PER_SIDE, 4 * MARKS_PER_SIDE))


# --- from settings to numbers ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rate_bytes_per_s", "clock"),
    [
        (125, Clock(1, 8_000_000, 1)),
        (25_000, Clock(1, 40_000, 1)),
        (4_687_500, Clock(1, 213, 1)),  # 213.3 ns: 0.16 % too fast
        (10_000_000, Clock(1, 100, 1)),
        (14_062_500, Clock(1, 142, 2)),  # 142.2 ns
        (125_000_000, Clock(1, 104, 13)),
        (290_000_000, Clock(1, 103, 30)),  # 29 bytes would take 100 ns exactly
        (12_500_000_000, Clock(1, 100, 1_250)),
    ],
)
def test_token_clocks_of_rte_meter(rate_bytes_per_s: int, clock: Clock) -> None:
    """P5"""
    assert clock_of(rate_bytes_per_s, "rte_meter") == clock


def test_the_exact_clock_is_the_rate_itself() -> None:
    """U4"""
    assert clock_of(14_062_500, "exact") == (14_062_500, S, 1)


def policed(**police: Any) -> Settings:
    return replace(config.load(None), limiter="police", police=Police(**police))


def test_every_plan_state_and_direction_has_its_row_at_the_index_of_its_rate() -> None:
    """S4, S5, P2, R4"""
    settings = policed(marker="rfc2697", tokens="exact", excess_burst_bytes=77)
    rates, marks = rate_table(settings), mark_table(settings)
    assert len(marks) == len(rates) == len(settings.plans) * RATE_STATES * 2
    assert marks["numerator"][:, 0].tolist() == [int(bps) // 8 for bps in rates["rate_bps"]]
    speed = settings.speed
    bursts = {RATE_HIGH: speed.high, RATE_SLOW: speed.slow, RATE_RESTRICTED: speed.restricted}
    for at, row in enumerate(marks):
        burst_bytes = bursts[at // 2 % RATE_STATES].burst_bytes
        assert row["size_bytes"].tolist() == [burst_bytes, 77]
        assert row["algorithm"] == MARK_SRTCM


def test_the_peak_rate_is_in_percent_of_the_rate() -> None:
    """S4: RFC 2698; rounded down to whole bytes a second once, from the rate in bit/s"""
    settings = policed(marker="rfc2698", peak_percent=133, excess_burst_bytes=9_000, tokens="exact")
    rates, marks = rate_table(settings), mark_table(settings)
    expected = [[int(bps) // 8, int(bps) * 133 // 800] for bps in rates["rate_bps"]]
    assert marks["numerator"].tolist() == expected
    assert set(marks["algorithm"].tolist()) == {MARK_TRTCM}


def test_a_shaper_needs_no_marks() -> None:
    """P4"""
    marks = mark_table(replace(policed(), limiter="shape"))
    assert len(marks) == 1
    assert not marks["numerator"].any()


def table_of_clocks(project: Path) -> list[list[str]]:
    """Cells of the rows of docs/policing.md that begin with a rate."""
    text = (project / "docs" / "policing.md").read_text(encoding="utf-8")
    rows = re.findall(
        r"^\| ([\d.]+) ([kMG])bit/s \| (\d+) ns \| (\d+) \| (\d+) ppm \|$", text, re.M
    )
    return [list(row) for row in rows]


def test_the_table_in_the_document_is_what_the_settings_become(project: Path) -> None:
    """P5"""
    rows = table_of_clocks(project)
    assert len(rows) == 7
    for number, unit, period_ns, step, ppm in rows:
        rate = int(Fraction(number) * {"k": 10**3, "M": 10**6, "G": 10**9}[unit] / 8)
        clock = clock_of(rate, "rte_meter")
        assert (clock.denominator, clock.step) == (int(period_ns), int(step))
        real = Fraction(clock.step * S, clock.denominator)
        assert round((real / rate - 1) * 10**6) == int(ppm)


def test_the_settings_in_the_document_are_accepted(project: Path, tmp_path: Path) -> None:
    """P4"""
    text = (project / "docs" / "policing.md").read_text(encoding="utf-8")
    (block,) = re.findall(r"^```toml\n(.*?)^```$", text, re.M | re.S)
    path = tmp_path / "police.toml"
    path.write_text(block, encoding="utf-8")
    settings = config.load(path)
    assert settings.limiter == "police"
    assert settings.police == Police("rfc2698", 150, 30_000, "pass", "rte_meter")
