"""Periods and deadlines of the contract book, to the nanosecond (A3-A7); all in Japan's calendar (U2).

What "until" a time means is everywhere the same: the instant returned is the first that is too late.
"""

from datetime import date

from engine.calendar import day_of, day_start_ns, days_in_month, month_of, month_start_ns
from engine.config.model import Terms
from engine.subscribers.refusals import refused
from engine.units import NS_PER_DAY, NS_PER_S

TIME_NS_END = 231 * 366 * NS_PER_DAY
"""ns since 1970; in 2201. What is done before it has consequences that still fit in int64"""

_EPOCH_ORDINAL = date(1970, 1, 1).toordinal()
_NS_PER_MINUTE = 60 * NS_PER_S


def check_time(ns: int) -> int:
    """The instant, if the book can keep it with all that may follow from it; else RefusedError."""
    if not 0 <= ns < TIME_NS_END:
        raise refused("time", at_ns=ns)
    return ns


def date_of(ns: int) -> date:
    """The JST date in which an instant lies."""
    return date.fromordinal(_EPOCH_ORDINAL + day_of(ns))


def last_date(end_ns: int) -> date:
    """The JST date of the last instant before `end_ns`."""
    return date_of(end_ns - 1)


def start_of(day: date) -> int:
    """00:00:00.000000000 JST of a date."""
    return day_start_ns(day.toordinal() - _EPOCH_ORDINAL)


def months_later_ns(ns: int, months: int) -> int:
    """The end (24:00 JST) of the same day so many months later, or of that month's last day."""
    day = date_of(ns)
    month = month_of(ns) + months
    later = date(month // 12, month % 12 + 1, min(day.day, days_in_month(month)))
    return start_of(later) + NS_PER_DAY


def application_ends_ns(registered_ns: int, terms: Terms) -> int:
    """When a mioID lapses whose application was not completed (A3)."""
    return months_later_ns(registered_ns, terms.application_months)


def empty_ends_ns(ended_ns: int, terms: Terms) -> int:
    """When a mioID lapses whose last contract ended at `ended_ns` (A3)."""
    return months_later_ns(ended_ns - 1, terms.empty_months)


def month_ends_ns(ns: int) -> int:
    """The end of the JST month in which an instant lies."""
    return month_start_ns(month_of(ns) + 1)


def cancellation_ns(started_ns: int | None, ordered_ns: int, terms: Terms) -> int:
    """When a cancellation takes effect: at the month's end (A4), or that of the minimum term (A5)."""
    month_end_ns = month_ends_ns(ordered_ns)
    if started_ns is None:
        return month_end_ns
    return max(month_end_ns, month_start_ns(month_of(started_ns) + 1 + terms.minimum_months))


def take_back_ends_ns(effective_ns: int, terms: Terms) -> int:
    """Until when a cancellation can be taken back: a time of day of its last day (A4)."""
    hours, minutes = terms.take_back_until.split(":")
    return effective_ns - NS_PER_DAY + (int(hours) * 60 + int(minutes)) * _NS_PER_MINUTE


def rescission_ends_ns(document_ns: int, terms: Terms) -> int:
    """Until when a contract can be rescinded; the document's day is the first of the days (A6)."""
    return day_start_ns(day_of(document_ns) + terms.rescission_days)


def reservation_ends_ns(issued_ns: int, terms: Terms) -> int:
    """Until when a number portability reservation is good; the day of issue is the first (A7)."""
    return day_start_ns(day_of(issued_ns) + terms.port_days)


def days_left(end_ns: int, now_ns: int) -> int:
    """JST days until `end_ns`, today included; 0 or less when it is over."""
    return day_of(end_ns - 1) - day_of(now_ns) + 1
