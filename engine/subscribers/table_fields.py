"""Values in the fields of a CSV subscriber file, for kernels: those that are written plainly.

A field is where it begins and ends in the text, blanks around it left out. What is not plain may be right
all the same: whoever asked has `engine.subscribers.loader` look at it, which knows every form and says what
is wrong. So each of these takes less than the loader does, never more, and means the same by it.
"""

from typing import Any

import numpy as np

from engine.config.model import YEAR_MAX, YEAR_MIN
from engine.jit import leaf, unsigned
from engine.subscribers.table_check import MULTICAST4, MULTICAST6

ODD = -1
"""in place of a value that is not plain"""
TRUE, FALSE = (int.from_bytes(word, "little") for word in (b"true", b"false"))
"""what `word_of` says of these words"""
INTEGER_DIGITS = 18
"""digits of an integer that is below 2^63 whatever they are"""
_DAYS_TO_1970 = 719_468
"""days from 0000-03-01 to 1970-01-01, in the calendar that we have now"""


@leaf
def byte(text: Any, at: Any) -> Any:
    """An octet of the text."""
    return np.int64(text[unsigned(at)])


@leaf
def digits_at(text: Any, at: Any, count: Any) -> Any:
    """The integer that so many digits are; ODD where one is no digit."""
    value = np.int64(0)
    for k in range(at, at + count):
        digit = byte(text, k) - 0x30
        if digit < 0 or digit > 9:
            return np.int64(ODD)
        value = value * 10 + digit
    return value


@leaf
def integer_of(text: Any, at: Any, end: Any) -> Any:
    """An integer that is not negative, with a + or without."""
    if at < end and byte(text, at) == 0x2B:
        at += 1
    if at >= end or end - at > INTEGER_DIGITS:
        return np.int64(ODD)
    return digits_at(text, at, end - at)


@leaf
def word_of(text: Any, at: Any, end: Any, fold: Any) -> Any:
    """Up to 7 octets as an integer, the first in its lowest eight bits; `fold`: what is set in each."""
    value = np.int64(0)
    if end - at > 7:
        return np.int64(ODD)
    for k in range(end - at):
        value |= (byte(text, at + k) | fold) << 8 * k
    return value


@leaf
def flag_of(text: Any, at: Any, end: Any, default: Any) -> Any:
    """0 or 1; `default` of an empty field."""
    if at == end:
        return np.int64(default)
    word = word_of(text, at, end, 0x20)
    if word == TRUE:
        return np.int64(1)
    return np.int64(0 if word == FALSE else ODD)


@leaf
def code_of(text: Any, at: Any, end: Any) -> Any:
    """Two words of 1 to 16 printable characters of ASCII that are not all digits; 0 and 0 for others."""
    first = second = np.int64(0)
    digits = True
    if end - at > 16:
        return np.int64(0), np.int64(0)
    for k in range(end - at):
        char = byte(text, at + k)
        if char <= 0x20 or char >= 0x7F:
            return np.int64(0), np.int64(0)
        digits = digits and 0x30 <= char <= 0x39
        if k < 8:
            first |= char << 8 * k
        else:
            second |= char << 8 * (k - 8)
    if digits:
        return np.int64(0), np.int64(0)
    return first, second


@leaf
def number_of(text: Any, at: Any, end: Any) -> Any:
    """The digits of an IMSI, an MSISDN or an ICCID as a table holds them, in words of 64 and 32 bits.

    Without digits all is ones. Whether there are as many as there must be is not asked here.
    """
    low = high = rest = np.int64(0xFFFFFFFF)
    for k in range(end - at):
        digit = byte(text, at + k) - 0x30
        if digit < 0 or digit > 9:
            return False, low, rest
        # In an octet the first digit stands in the upper half; what is there is 0xF.
        cleared = (0xF ^ digit) << ((k << 2 ^ 4) & 31)
        if k < 8:
            low ^= cleared
        elif k < 16:
            high ^= cleared
        else:
            rest ^= cleared
    return True, (high - (high >> 31 << 32)) << 32 | low, rest


@leaf
def month_of(text: Any, at: Any, end: Any) -> Any:
    """YYYY-MM as a table counts months, 1970-01 as 1."""
    if end - at != 7 or byte(text, at + 4) != 0x2D:
        return np.int64(ODD)
    year, month = digits_at(text, at, 4), digits_at(text, at + 5, 2)
    if year < YEAR_MIN or year > YEAR_MAX or month < 1 or month > 12:
        return np.int64(ODD)
    return (year - 1970) * 12 + month


@leaf
def month_days(year: Any, month: Any) -> Any:
    """How many days a month has."""
    if month == 2:
        leap = year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)
        return np.int64(29 if leap else 28)
    return np.int64(30 if month == 4 or month == 6 or month == 9 or month == 11 else 31)


@leaf
def day_of(text: Any, at: Any, end: Any) -> Any:
    """YYYY-MM-DD as days since 1970-01-01."""
    if end - at != 10 or byte(text, at + 7) != 0x2D or month_of(text, at, at + 7) == ODD:
        return np.int64(ODD)
    year, month = digits_at(text, at, 4), digits_at(text, at + 5, 2)
    day = digits_at(text, at + 8, 2)
    if day < 1 or day > month_days(year, month):
        return np.int64(ODD)
    # Years that begin in March have their leap day at the end.
    month, year = (month - 3, year) if month > 2 else (month + 9, year - 1)
    days = 365 * year + year // 4 - year // 100 + year // 400
    return days + (153 * month + 2) // 5 + day - 1 - _DAYS_TO_1970


@leaf
def ipv4_of(text: Any, at: Any, end: Any) -> Any:
    """An IPv4 address that a terminal or a gateway can have, as a number."""
    value = part = np.int64(0)
    digits = parts = 0
    for k in range(at, end):
        char = byte(text, k)
        if char == 0x2E:
            if digits == 0:
                return np.int64(ODD)
            value, part, digits, parts = value << 8 | part, np.int64(0), 0, parts + 1
            continue
        # What begins with 0 goes no further: some read such a number as octal.
        if char < 0x30 or char > 0x39 or (digits > 0 and part == 0):
            return np.int64(ODD)
        part, digits = part * 10 + char - 0x30, digits + 1
        if part > 255 or parts > 3:
            return np.int64(ODD)
    value = value << 8 | part
    if digits == 0 or parts != 3 or value == 0 or value >= MULTICAST4:
        return np.int64(ODD)
    return value


@leaf
def hex_digit(char: Any) -> Any:
    """What a hexadecimal digit stands for; ODD for another character."""
    if 0x30 <= char <= 0x39:
        return char - 0x30
    letter = char | 0x20
    return letter - 0x57 if 0x61 <= letter <= 0x66 else np.int64(ODD)


@leaf
def prefix_of(text: Any, at: Any, end: Any) -> Any:
    """The upper half of an IPv6 prefix that is written as up to four groups and `::/64`; 0 for others."""
    stop = end - 5
    if stop <= at or not is_tail(text, stop):
        return np.int64(0)
    high = low = group = np.int64(0)
    digits = groups = 0
    for k in range(at, stop + 1):
        char = byte(text, k)
        if char != 0x3A:
            digit = hex_digit(char)
            group, digits = group << 4 | digit, digits + 1
            if digit < 0 or digits > 4:
                return np.int64(0)
            continue
        if digits == 0 or groups == 4:
            return np.int64(0)
        if groups < 2:
            high |= group << 16 * (1 - groups)
        else:
            low |= group << 16 * (3 - groups)
        group, digits, groups = np.int64(0), 0, groups + 1
    if high >> 24 == MULTICAST6:
        return np.int64(0)
    return (high - (high >> 31 << 32)) << 32 | low


@leaf
def is_tail(text: Any, at: Any) -> Any:
    """Whether `::/64` stands here."""
    colons = byte(text, at) == 0x3A and byte(text, at + 1) == 0x3A
    length = byte(text, at + 2) == 0x2F and byte(text, at + 3) == 0x36
    return colons and length and byte(text, at + 4) == 0x34


@leaf
def volume_of(text: Any, at: Any, end: Any) -> Any:
    """Bytes; 0 of an empty field. What has so few digits is no more than a volume may be."""
    return np.int64(0) if at == end else integer_of(text, at, end)
