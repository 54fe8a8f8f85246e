"""ISO 8601 times as exact integers: nanoseconds since 1970, without a float on the way."""

import datetime
import re

from engine import units
from engine.config.faults import shown
from engine.subscribers.model import TIME_NS_MAX

_ISO = re.compile(
    r"([0-9]{4}-[0-9]{2}-[0-9]{2})[Tt ]([0-9]{2}):([0-9]{2}):([0-9]{2})"
    r"(?:[.]([0-9]{1,9}))?([Zz]|[+-][0-9]{2}:[0-9]{2})"
)
_EPOCH_DAY = datetime.date(1970, 1, 1).toordinal()
ALLOWED = "such as 2013-11-05T09:00:00.000000001+09:00, with its offset from UTC"


def parse(text: str) -> int:
    """Nanoseconds since 1970 of an ISO 8601 time with offset and up to 9 digits of a second.

    ValueError where it is none, or outside 1970 .. 2261. A leap second (:60) is refused: time since
    1970 has no number for it.
    """
    match = _ISO.fullmatch(text)
    if match is None:
        raise ValueError(f"{shown(text)} is no time; allowed: {ALLOWED}")
    try:
        day = datetime.date.fromisoformat(match[1]).toordinal() - _EPOCH_DAY
    except ValueError:
        raise ValueError(f"{shown(text)} is a day that is not in the calendar") from None
    hour, minute, second = int(match[2]), int(match[3]), int(match[4])
    if hour > 23 or minute > 59 or second > 59:
        raise ValueError(f"{shown(text)} is no time of day; allowed: 00:00:00 .. 23:59:59")
    clock_s = (hour * 60 + minute) * 60 + second - _offset_s(match[6], text)
    fraction_ns = int((match[5] or "").ljust(9, "0"))
    at_ns = day * units.NS_PER_DAY + clock_s * units.NS_PER_S + fraction_ns
    if not 0 <= at_ns <= TIME_NS_MAX:
        raise ValueError(f"{shown(text)} is out of range; allowed: the years 1970 .. 2261 in UTC")
    return at_ns


def _offset_s(text: str, whole: str) -> int:
    """Seconds by which the clock is ahead of UTC."""
    if text in "Zz":
        return 0
    hour, minute = int(text[1:3]), int(text[4:6])
    if hour > 23 or minute > 59:
        raise ValueError(f"{shown(whole)} has no such offset; allowed: -23:59 .. +23:59, or Z")
    return (hour * 60 + minute) * (-60 if text[0] == "-" else 60)
