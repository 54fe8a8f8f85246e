"""Fields of a CSV subscriber file as a kernel reads them, beside what the loader makes of the same text."""

import datetime
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from engine.config.model import BYTES_MAX
from engine.subscribers import csvbook, model
from engine.subscribers import table_fields as fields
from engine.subscribers import table_text as texts
from engine.subscribers.table import EPOCH

ODD = fields.ODD


PLAIN = "0 7 +7 007 999999999999999999 +000000000000000012"
NO_INTEGERS = "+ -1 1.5 x 1x +-1 1000000000000000000 / :"
NO_FLAGS = "1 trues falsefal"
CODES = "a hdo00000001 1234567a 12345678 a\x7f \u00e9 ~!"
NO_DAYS = "2013-11-00 20131101 2013-11/01 2262-01-01 2013-11-1 2013-11-x1 2013-x1-01"


def read(take: Callable[..., Any], text: str, *more: int) -> Any:
    """What a leaf says of a field that stands between others."""
    octets = np.frombuffer(bytearray(b"9:" + text.encode() + b"9:/64"), dtype=np.uint8)
    end = len(octets) - 5
    return take(octets, np.int64(2), np.int64(end), *more)


@pytest.mark.parametrize("text", PLAIN.split())
def test_plain_integers(text: str) -> None:
    assert read(fields.integer_of, text) == csvbook._integer(text)


@pytest.mark.parametrize("text", ["", *NO_INTEGERS.split()])
def test_integers_that_are_odd(text: str) -> None:
    assert read(fields.integer_of, text) == ODD


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("", 5),
        ("true", 1),
        ("TRUE", 1),
        ("fAlSe", 0),
        *((text, ODD) for text in NO_FLAGS.split()),
    ],
)
def test_flags(text: str, value: int) -> None:
    assert read(fields.flag_of, text, 5) == value
    if value in (0, 1):
        assert csvbook._flag(text) is bool(value)


@pytest.mark.parametrize("text", ["", "a b", "x" * 16, "x" * 17, *CODES.split(" ")])
def test_codes(text: str) -> None:
    found = tuple(map(int, read(fields.code_of, text)))
    assert (found != (0, 0)) == texts.is_code(text)
    if texts.is_code(text):
        assert found == texts.words(text.encode().ljust(texts.CODE_BYTES, b"\0"))


@pytest.mark.parametrize("digits", [0, 1, 5, 7, 8, 9, 15, 16, 17, 19, 22])
def test_numbers(digits: int) -> None:
    for text in ("9876543210" * 3, "0" * 30, "8" * 30):
        fine, word, rest = read(fields.number_of, text[:digits])
        field = texts.digits_field(text[:digits], texts.LONG_BYTES)
        assert fine
        assert (int(word), int(rest)) == texts.words(field)


@pytest.mark.parametrize("text", ["x", "12/4", "1234567890123456:"])
def test_numbers_are_of_digits(text: str) -> None:
    assert not read(fields.number_of, text)[0]


MONTHS = "1970-01 2013-11 2261-12 1969-12 2262-01 2013-00 2013-13 2013-1 2013/11 x013-11 2013-x1 2013-011"


@pytest.mark.parametrize("text", ["", *MONTHS.split()])
def test_months(text: str) -> None:
    found = read(fields.month_of, text)
    try:
        assert found == texts.month_field(model.month(text))
    except ValueError:
        assert found == ODD


def test_every_day_of_the_calendar_and_none_beside_it() -> None:
    day = datetime.date(1970, 1, 1)
    while day.year < 1974:
        assert read(fields.day_of, day.isoformat()) == day.toordinal() - EPOCH
        day += datetime.timedelta(days=1)
    for year in (1999, 2000, 2012, 2013, 2100, 2261):
        for month in range(1, 13):
            days = int(fields.month_days(year, month))
            last = datetime.date(year, month, days)
            assert (last + datetime.timedelta(days=1)).day == 1
            assert read(fields.day_of, last.isoformat()) == last.toordinal() - EPOCH
            assert read(fields.day_of, f"{year}-{month:02}-{days + 1}") == ODD


@pytest.mark.parametrize("text", NO_DAYS.split())
def test_days_that_are_odd(text: str) -> None:
    assert read(fields.day_of, text) == ODD


IPV4 = "10.1.0.1 0.0.0.1 223.255.255.255 224.0.0.0 0.0.0.0 255.255.255.255 1.2.3 1.2.3.4.5 1.2.3. .1.2.3 x"
MORE = "1..2.3 256.1.1.1 1.1.1.256 01.1.1.1 1.1.1.00 1.2.3.4/32 1.2.3.x 1000.2.3.4 1.2.3.4."


@pytest.mark.parametrize("text", ["", *IPV4.split(), *MORE.split()])
def test_ipv4_addresses(text: str) -> None:
    found = read(fields.ipv4_of, text)
    try:
        assert found == texts.ipv4_number(model.outer_address(text))
    except ValueError:
        assert found == ODD


PREFIXES = (
    "2001:db8:0:1::/64 2001:DB8::/64 fd00::/64 1:2:3:4::/64 8000::/64 1::/64 "
    "7fff:ffff:ffff:ffff::/64 fe80:0:8000:8000::/64 aAfF:0:0:9::/64"
)
OTHERS = "1::", "10.0.0.1", ""
NO_PREFIXES = (
    "::/64 ff02::/64 1:2:3:4:5::/64 12345::/64 g::/64 1::2::/64 :1::/64 /64 1::/6 1::/65 1:/64 1:::/64 "
    "`::/64 0::/64 1;::/64"
)


@pytest.mark.parametrize("text", [*PREFIXES.split(), *OTHERS, *NO_PREFIXES.split()])
def test_ipv6_prefixes(text: str) -> None:
    found = int(read(fields.prefix_of, text))
    assert found == (texts.prefix_number(model.address(text)) if text in PREFIXES.split() else 0)
    if text in NO_PREFIXES.split():
        with pytest.raises(ValueError, match=r"address|bits set"):
            model.address(text)


def test_volumes() -> None:
    assert read(fields.volume_of, "") == 0
    assert read(fields.volume_of, "5") == 5
    assert read(fields.volume_of, "x") == ODD
    assert 10**fields.INTEGER_DIGITS <= BYTES_MAX
