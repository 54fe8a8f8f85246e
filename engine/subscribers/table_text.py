"""Codes, digits and addresses as the records of a subscriber table hold them, to and from text."""

import ipaddress
import re

from engine.calendar import month_text, parse_month

CODE_BYTES = 16
SHORT_BYTES = 8
"""octets for the digits of an IMSI or of a telephone number"""
LONG_BYTES = 12
"""octets for those of an ICCID"""

_CODE = re.compile(r"[!-~]{1,16}")
_SHORT = re.compile(r"[0-9]{5,15}")
_LONG = re.compile(r"[0-9]{16,22}")
_MONTH_BEFORE = 1970 * 12 - 1
"""the month whose number in a table would be 0"""


def is_code(text: str) -> bool:
    """Whether a table can hold this code: one that no IMSI or ICCID is taken for."""
    return _CODE.fullmatch(text) is not None and not text.isdigit()


def is_short(text: str) -> bool:
    """Whether this is an IMSI, or a telephone number."""
    return _SHORT.fullmatch(text) is not None


def is_long(text: str) -> bool:
    """Whether this is an ICCID that a table can hold."""
    return _LONG.fullmatch(text) is not None


def code_text(octets: bytes) -> str:
    """The code that a field holds."""
    return octets.rstrip(b"\0").decode("ascii")


def digits_field(text: str | None, octets: int) -> bytes:
    """The field for a number: two digits an octet, the first in the upper half, filled with 0xF."""
    return bytes.fromhex((text or "").ljust(2 * octets, "f"))


def digits_text(field: bytes) -> str | None:
    """The number that a field holds."""
    return field.hex().rstrip("f") or None


def words(field: bytes) -> tuple[int, int]:
    """A field as two words, the second of what is left behind the first eight octets."""
    first = int.from_bytes(field[:8], "little", signed=True)
    rest = field[8:]
    return first, int.from_bytes(rest, "little", signed=len(rest) == SHORT_BYTES)


def ipv4_number(text: str) -> int:
    """An IPv4 address as a number."""
    return int(ipaddress.IPv4Address(text))


def ipv4_text(number: int) -> str:
    """An IPv4 address as text."""
    return f"{number >> 24}.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}"


def prefix_number(text: str) -> int:
    """The upper half of an IPv6 /64, signed."""
    half = int(ipaddress.IPv6Address(text.removesuffix("/64"))) >> 64
    return half - (1 << 64) if half >> 63 else half


def prefix_text(half: int) -> str:
    """An IPv6 /64 as text."""
    return f"{ipaddress.IPv6Address((half & (1 << 64) - 1) << 64)}/64"


def month_field(text: str | None) -> int:
    """A month from 1970-01 on as a table counts it; 0 without."""
    return 0 if text is None else parse_month(text) - _MONTH_BEFORE


def month_of_field(number: int) -> str | None:
    """The month as text; None without."""
    return month_text(_MONTH_BEFORE + number) if number else None
