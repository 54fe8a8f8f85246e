"""The ring of days in which slow bytes are counted."""

import numpy as np
import pytest

from engine.accounting.sims import slow_bytes_of
from engine.calendar import day_of
from engine.layout import SHAPE
from engine.shaper.window import add_elsewhere, jst_day
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


@pytest.mark.parametrize(
    ("today", "day", "expected"),
    [
        (100, 100, (100, [17, 2, 3, 4])),
        (100, 97, (100, [1, 2, 3, 20])),
        (100, 96, (100, [1, 2, 3, 4])),
        (100, 101, (100, [1, 2, 3, 4])),
        (102, 101, (102, [0, 16, 1, 2])),
        (102, 98, (102, [0, 0, 1, 2])),
        (99, 98, (100, [1, 2, 19, 4])),
        (110, 109, (110, [0, 16, 0, 0])),
    ],
)
def test_bytes_counted_elsewhere_go_to_their_day(
    today: int, day: int, expected: tuple[int, list[int]]
) -> None:
    """R1, B58: and a day that the ring does not hold leaves it as it is; time never goes back"""
    row = shape(100, 1, 2, 3, 4)
    add_elsewhere(row, np.int64(today), np.int64(day), np.int64(16))
    newest = int(row["day"])
    assert (newest, [int(row["slow_bytes"][(newest - n) % 4]) for n in range(4)]) == expected
