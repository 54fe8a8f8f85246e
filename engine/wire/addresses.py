"""Addresses and prefixes as text <-> pairs of int64, the form that records and tables hold.

128 bits are kept as two signed halves; an IPv4 address is ::ffff:a.b.c.d (RFC 4291 2.5.5.2).
"""

import ipaddress
from functools import lru_cache
from socket import AF_INET, inet_ntoa, inet_pton

from engine.layout import V4_MAPPED

_HALF_BITS = 64
_HALF_MASK = (1 << _HALF_BITS) - 1
_ALL_BITS = 128
_REMEMBERED = 1024
"""IPv6 addresses whose two halves are kept: a session's are asked for several times"""
_V4_PREFIX_BITS = 96
"""bits that stand before an IPv4 address in its 128-bit form"""


def _signed(half: int) -> int:
    return half - (1 << _HALF_BITS) if half >> (_HALF_BITS - 1) else half


def _halves(bits: int) -> tuple[int, int]:
    return _signed(bits >> _HALF_BITS), _signed(bits & _HALF_MASK)


def parse_address(text: str) -> tuple[int, int]:
    """(high, low) half of an IPv4 or IPv6 address; ValueError on anything else, zones included."""
    try:
        return 0, V4_MAPPED | int.from_bytes(inet_pton(AF_INET, text), "big")
    except (OSError, ValueError):  # the slow way has better words
        return _parse(text)


@lru_cache(_REMEMBERED)
def _parse(text: str) -> tuple[int, int]:
    address = ipaddress.ip_address(text)
    if getattr(address, "scope_id", None) is not None:
        raise ValueError(f"{text!r}: an address with a zone cannot be told apart on the wire")
    return _halves(int(address) | (V4_MAPPED if address.version == 4 else 0))


def format_address(hi: int, lo: int) -> str:
    """The address as text: IPv4 dotted, IPv6 compressed (RFC 5952)."""
    bits = (int(hi) & _HALF_MASK) << _HALF_BITS | int(lo) & _HALF_MASK
    if bits >> 32 == V4_MAPPED >> 32:
        return inet_ntoa((bits & 0xFFFFFFFF).to_bytes(4, "big"))
    return str(ipaddress.IPv6Address(bits))


def parse_prefix(text: str) -> tuple[int, int, int, int]:
    """(high, low, mask high, mask low) of a prefix (10.0.0.0/8, 2001:db8::/32) or an address.

    ValueError where it is neither, has a zone, or has bits set beyond its length.
    """
    address_text, slash, length_text = text.partition("/")
    hi, lo = parse_address(address_text)
    if not slash:
        return hi, lo, -1, -1
    is_v4 = ":" not in address_text
    longest = 32 if is_v4 else _ALL_BITS
    if not (length_text.isascii() and length_text.isdecimal()) or int(length_text) > longest:
        raise ValueError(f"{text!r}: the prefix length must be a number from 0 to {longest}")
    length = int(length_text) + (_V4_PREFIX_BITS if is_v4 else 0)
    mask_hi, mask_lo = _halves((1 << _ALL_BITS) - (1 << (_ALL_BITS - length)))
    if hi & ~mask_hi or lo & ~mask_lo:
        raise ValueError(f"{text!r}: bits are set beyond the prefix length")
    return hi, lo, mask_hi, mask_lo
