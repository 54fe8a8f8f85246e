"""Japan's calendar from the standard library's `datetime`, which knows no leap seconds (U2)."""

from datetime import UTC, date, datetime, timedelta, timezone

JST = timezone(timedelta(hours=9))
JST_DAY_NS = 86_400 * 10**9
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def month_start_ns(year: int, month: int) -> int:
    """00:00 JST of a month's first day, in ns since 1970; month 13 is the next year's January."""
    first = datetime(*next_month(year, month, 0), 1, tzinfo=JST)
    return (first - _EPOCH) // timedelta(seconds=1) * 10**9


def next_month(year: int, month: int, step: int = 1) -> tuple[int, int]:
    """The month `step` months later."""
    years, month_index = divmod(month - 1 + step, 12)
    return year + years, month_index + 1


def end_of_month_after_ns(year: int, month: int, months_after: int) -> int:
    """24:00 JST of the last day of the month `months_after` later: good until then, not at it.

    C1 (bundle): 1 month after; C4 (additional coupon): 3 months after.
    """
    return month_start_ns(year, month + months_after + 1)


def date_of(at_ns: int) -> date:
    """The JST date of a point in time (U2)."""
    return (_EPOCH + timedelta(seconds=at_ns // 10**9)).astimezone(JST).date()


def day_of(at_ns: int) -> int:
    """The JST day of a point in time, as a number that grows by one each day (U2)."""
    return date_of(at_ns).toordinal()


def bundle_bytes(plan_bytes: int, started: date, year: int, month: int) -> int:
    """What a month's bundle is worth: pro rata and rounded down in the month of the start (C2)."""
    if (year, month) < (started.year, started.month):
        return 0
    if (year, month) > (started.year, started.month):
        return plan_bytes
    first_of_next = date(year + month // 12, month % 12 + 1, 1)
    days_left = (first_of_next - started).days
    days_in_month = (first_of_next - date(year, month, 1)).days
    return plan_bytes * days_left // days_in_month
