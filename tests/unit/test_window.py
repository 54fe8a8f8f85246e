"""The ring of days in which slow bytes are counted."""

import numpy as np
import pytest

from engine.accounting.sims import slow_bytes_of
from engine.calendar import day_of
from engine.layout import SHAPE
from engine.shaper.window import jst_day
from tests.support.gateway import DAY, NOV_5


def shape(newest: int, *slow_bytes: int) -> np.ndarray:
    """A ring whose newest day is `newest`, filled from there into the past."""
    row = np.zeros(1, dtype=SHAPE)
    row["day"] = newest
    for back, size in enumerate(slow_bytes):
        row["slow_bytes"][0][(newest - back) % 4] = size
    return row[0]


@pytest.mark.parametrize("ns", [0, -1, 15 * 3600 * 10**9 - 1, 15 * 3600 * 10**9, NOV_5, NOV_5 - 1])
def test_a_day_begins_at_midnight_in_japan(ns: int) -> None:
    """U2: the kernel and the calendar of the coupon database agree to the nanosecond"""
    assert int(jst_day(np.int64(ns))) == day_of(ns)


def test_the_first_nanosecond_of_a_day() -> None:
    """U2: 2013-11-05 is day 16 014 since 1970"""
    assert int(jst_day(np.int64(NOV_5))) == 16_014
    assert int(jst_day(np.int64(NOV_5 - 1))) == 16_013
    assert int(jst_day(np.int64(NOV_5 + DAY))) == 16_015


@pytest.mark.parametrize(
    ("day", "skip_days", "expected"),
    [
        (100, 0, 0b0111),
        (101, 0, 0b0011),
        (102, 0, 0b0001),
        (103, 0, 0),
        (100, 1, 0b1110),
        (101, 1, 0b0111),
        (103, 1, 0b0001),
        (104, 1, 0),
        (99, 0, 0b1110),
        (1_000, 0, 0),
    ],
)
def test_the_report_looks_at_three_days(day: int, skip_days: int, expected: int) -> None:
    """R3: seen from a day on which nothing may have been carried yet"""
    assert slow_bytes_of(shape(100, 0b1, 0b10, 0b100, 0b1000), day, skip_days) == expected
