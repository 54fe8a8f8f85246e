"""Japan's calendar on nanoseconds: month ends, pro rata credits, expiries."""

from datetime import UTC, date, datetime, timedelta, timezone

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from engine import calendar
from engine.errors import UsageError

JST = timezone(timedelta(hours=9))
GB = 1 << 30


def ns(text: str) -> int:
    """ns since 1970 of a JST wall time with up to nine fractional digits, by the standard library."""
    whole, _, fraction = text.partition(".")
    moment = datetime.fromisoformat(whole).replace(tzinfo=JST)
    seconds = (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(seconds=1)
    return seconds * 1_000_000_000 + int((fraction or "0").ljust(9, "0"))


@pytest.mark.parametrize(
    ("last", "first"),
    [
        ("2014-06-30T23:59:59.999999999", "2014-07-01T00:00:00"),
        ("2013-12-31T23:59:59.999999999", "2014-01-01T00:00:00"),
        ("2028-02-29T23:59:59.999999999", "2028-03-01T00:00:00"),
        ("2100-02-28T23:59:59.999999999", "2100-03-01T00:00:00"),
        ("1969-12-31T23:59:59.999999999", "1970-01-01T00:00:00"),
    ],
)
def test_a_month_ends_at_midnight_in_japan_to_the_nanosecond(last: str, first: str) -> None:
    """U2, G9: half-open intervals; December to January, leap years, before 1970."""
    assert ns(last) + 1 == ns(first)
    assert calendar.month_of(ns(first)) == calendar.month_of(ns(last)) + 1
    assert calendar.month_start_ns(calendar.month_of(ns(first))) == ns(first)
    assert calendar.day_of(ns(first)) == calendar.day_of(ns(last)) + 1
    assert calendar.day_start_ns(calendar.day_of(ns(first))) == ns(first)


def test_a_month_is_told_from_the_time_in_japan_not_in_greenwich() -> None:
    """U2: 15:00 UTC of the last day is already the next month."""
    assert calendar.month_text(calendar.month_of(ns("2013-11-01T00:00:00"))) == "2013-11"
    utc_still_october = datetime(2013, 10, 31, 15, tzinfo=UTC).timestamp()
    assert int(utc_still_october) * 1_000_000_000 == ns("2013-11-01T00:00:00")


@example(moment=-(1 << 63))
@example(moment=(1 << 63) - 1)
@given(st.integers(-(1 << 63), (1 << 63) - 1))
def test_days_and_months_agree_with_the_standard_library(moment: int) -> None:
    """U2: any instant that fits in int64."""
    japan = datetime(1970, 1, 1, 9) + timedelta(seconds=moment // 1_000_000_000)
    assert calendar.day_of(moment) == (japan.date() - date(1970, 1, 1)).days
    month = calendar.month_of(moment)
    assert calendar.month_text(month) == japan.strftime("%Y-%m")
    assert calendar.month_start_ns(month) <= moment < calendar.month_start_ns(month + 1)


@pytest.mark.parametrize(
    ("started", "credited"),
    [
        (date(2013, 11, 1), GB),
        (date(2013, 11, 2), GB * 29 // 30),
        (date(2013, 11, 30), GB // 30),
        (date(2013, 12, 31), GB // 31),
        (date(2028, 2, 29), GB // 29),
        (date(2027, 2, 28), GB // 28),
    ],
)
def test_the_first_bundle_is_pro_rata_to_the_days_left(started: date, credited: int) -> None:
    """C2: the first day counts, the result is rounded down."""
    month = calendar.month_number(started)
    assert calendar.bundle_credit_bytes(GB, started, month) == credited
    assert calendar.bundle_credit_bytes(GB, started, month + 1) == GB
    assert calendar.bundle_credit_bytes(GB, started, month - 1) == 0


def test_a_bundle_is_good_to_the_end_of_the_following_month() -> None:
    """C1"""
    assert calendar.bundle_expires_ns(calendar.parse_month("2013-12")) == ns("2014-02-01T00:00:00")


def test_a_topup_bought_in_march_is_good_to_the_end_of_june() -> None:
    """C4"""
    assert calendar.topup_expires_ns(calendar.parse_month("2014-03")) == ns("2014-07-01T00:00:00")
    assert calendar.expires_of("2014-06") == ns("2014-07-01T00:00:00")


def test_the_last_month_that_can_be_written_has_an_end_in_int64() -> None:
    """B80: no boundary of a month that is accepted overflows."""
    assert calendar.topup_expires_ns(calendar.parse_month("2261-12")) < 1 << 63
    assert calendar.month_start_ns(calendar.parse_month("1678-01")) >= -(1 << 63)


@pytest.mark.parametrize(
    "text",
    [
        "2013-13",
        "2013-00",
        "2013-1",
        "13-12",
        "2013/12",
        "2013-12-01",
        " 2013-12",
        "2013-12\n",
        "",
        "1677-12",
        "2262-01",
        "\u0662\u0660\u0661\u0663-12",
    ],
)
def test_a_month_that_is_none_is_refused(text: str) -> None:
    """B80"""
    with pytest.raises(UsageError, match="write YYYY-MM"):
        calendar.parse_month(text)


@given(st.integers(1678 * 12, 2261 * 12 + 11))
def test_month_text_and_parse_month_are_inverse(month: int) -> None:
    """C4: a month that is written is read back."""
    assert calendar.parse_month(calendar.month_text(month)) == month
