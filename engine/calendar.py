"""Japan's calendar on int64 nanoseconds (U2): months, days and the ends of coupons (C1, C2, C4).

A month is one integer, `year * 12 + month - 1`, so that "the following month" is `+ 1`. An interval
of time is half-open: 00:00:00.000000000 JST of the first day already belongs to the new month (G9).
"""

import re
from datetime import date
from functools import lru_cache

from engine.errors import UsageError
from engine.units import JST_OFFSET_NS, NS_PER_DAY, NS_PER_S

TOPUP_MONTHS = 3
"""months after the month of purchase in which an additional coupon is still good (C4)"""
YEAR_MIN = 1678
YEAR_MAX = 2261
"""whole years whose every instant fits in int64 ns since 1970"""

_EPOCH_ORDINAL = date(1970, 1, 1).toordinal()
_REMEMBERED = 128
"""days and months whose answers are kept: every new contract asks for the same few"""
_MONTH_TEXT = re.compile(r"([0-9]{4})-(0[1-9]|1[0-2])")


def day_of(ns: int) -> int:
    """Days from 1970-01-01 to the JST day in which the instant `ns` lies; below 0 before 1970."""
    return (ns + JST_OFFSET_NS) // NS_PER_DAY


def day_start_ns(day: int) -> int:
    """Instant at which the JST day `day` (as of `day_of`) begins."""
    return day * NS_PER_DAY - JST_OFFSET_NS


def jst_text(ns: int) -> str:
    """The instant as people in Japan write it, to the ns: "2013-11-05 09:00:00.000000001"."""
    day = date.fromordinal(_EPOCH_ORDINAL + day_of(ns))
    second, part = divmod((ns + JST_OFFSET_NS) % NS_PER_DAY, NS_PER_S)
    hour, minute = second // 3600, second // 60 % 60
    return f"{day} {hour:02}:{minute:02}:{second % 60:02}.{part:09}"


def month_number(day: date) -> int:
    """The month of a calendar date."""
    return day.year * 12 + day.month - 1


def month_of(ns: int) -> int:
    """The JST month in which the instant `ns` lies."""
    return _month_of_day(day_of(ns))


@lru_cache(_REMEMBERED)
def _month_of_day(day: int) -> int:
    return month_number(date.fromordinal(_EPOCH_ORDINAL + day))


def first_day(month: int) -> date:
    """The month's first day."""
    return date(month // 12, month % 12 + 1, 1)


def days_in_month(month: int) -> int:
    """28 to 31."""
    return first_day(month + 1).toordinal() - first_day(month).toordinal()


@lru_cache(_REMEMBERED)
def month_start_ns(month: int) -> int:
    """Instant at which the month begins: 00:00:00.000000000 JST of its first day."""
    return day_start_ns(first_day(month).toordinal() - _EPOCH_ORDINAL)


@lru_cache(_REMEMBERED)
def month_text(month: int) -> str:
    """The month as people write it: "2013-12"."""
    return f"{month // 12:04}-{month % 12 + 1:02}"


def parse_month(text: str) -> int:
    """The month that "YYYY-MM" names; UsageError for anything else."""
    match = _MONTH_TEXT.fullmatch(text)
    if match is None or not YEAR_MIN <= int(match[1]) <= YEAR_MAX:
        raise UsageError(
            f"month {text!r}: write YYYY-MM, from {YEAR_MIN}-01 to {YEAR_MAX}-12, as in 2013-12"
        )
    return int(match[1]) * 12 + int(match[2]) - 1


def bundle_credit_bytes(bundle_bytes: int, started: date, month: int) -> int:
    """Bytes of the bundle coupon that `month` brings to a contract that began on `started` (C2).

    Pro rata in the first month, that day included, rounded down; the whole bundle after; 0 before.
    """
    start_month = month_number(started)
    if month < start_month:
        return 0
    if month > start_month:
        return bundle_bytes
    days = days_in_month(month)
    return bundle_bytes * (days - started.day + 1) // days


def bundle_expires_ns(month: int) -> int:
    """Expiry of the bundle coupon credited for `month`: the end of the following month (C1)."""
    return month_start_ns(month + 2)


def topup_expires_ns(month: int) -> int:
    """Expiry of an additional coupon bought in `month`: the end of the third month after (C4)."""
    return month_start_ns(month + TOPUP_MONTHS + 1)


def expires_of(text: str) -> int:
    """Expiry of a coupon whose last good month is "YYYY-MM": the end of that month."""
    return month_start_ns(parse_month(text) + 1)
