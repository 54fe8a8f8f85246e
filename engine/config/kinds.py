"""The kinds of values that settings are made of: types whose annotations carry their bounds.

Their checks raise ValueError with what is wrong, which pydantic turns into a fault of the file.
"""

import datetime
import ipaddress
from typing import Annotated

from pydantic import AfterValidator, Field

from engine import units
from engine.config.faults import shown

RATE_BPS_MAX = 100 * 1000 * units.MBIT_PER_S
"""bit/s; 100 Gbit/s, far above any bearer, and low enough for the limiter's int64"""
BYTES_MAX = 1 << 62
"""byte; for any volume, and for the sum of all volumes of a subscriber file"""
EXEMPT_V6_BITS_MIN = 2
"""shorter prefixes would cover more than the table of address ranges counts"""
MAPPED_BITS = 96
"""length of ::ffff:0:0/96, behind which RFC 4291 2.5.5.2 puts IPv4 addresses"""
PORT_MAX = 65_535
TEXT_MAX = 64
YEAR_MIN, YEAR_MAX = 1970, 2261
"""times are int64 ns since 1970, which end in April 2262"""

STRICT = {"extra": "forbid"}


def printable(text: str) -> str:
    """The text, if it has no control, format or other invisible character; else ValueError."""
    if not text.isprintable() or text != text.strip():
        raise ValueError(
            f"{shown(text)} holds an invisible character, or begins or ends with a space"
        )
    return text


def network(text: str) -> str:
    """The prefix in its canonical form; ValueError where it is none or host bits are set."""
    try:
        net = ipaddress.ip_network(text)
    except ValueError as error:
        if "host bits" in str(error):
            right = ipaddress.ip_network(text, strict=False)
            raise ValueError(
                f"{shown(text)} has bits set after the prefix; did you mean {right}?"
            ) from None
        raise ValueError(
            f"{shown(text)} is no prefix; allowed: such as 192.0.2.0/24 or 2001:db8::/32"
        ) from None
    if isinstance(net, ipaddress.IPv6Network):
        _refuse_disguise(net)
    return str(net)


def _refuse_disguise(net: ipaddress.IPv6Network) -> None:
    if net.network_address.scope_id is not None:
        raise ValueError(f"{shown(str(net))} has a zone; leave out what follows %")
    mapped = net.network_address.ipv4_mapped
    if mapped is not None and net.prefixlen >= MAPPED_BITS:
        plain = f"{mapped}/{net.prefixlen - MAPPED_BITS}"
        raise ValueError(f"{net} is an IPv4 prefix in disguise; write {plain}")


def exempt_network(text: str) -> str:
    """A prefix as of `network`, that leaves at least half of the Internet to be paid for."""
    canonical = network(text)
    net = ipaddress.ip_network(canonical)
    if isinstance(net, ipaddress.IPv6Network) and net.prefixlen < EXEMPT_V6_BITS_MIN:
        raise ValueError(
            f"{net} covers half of the Internet; allowed: /{EXEMPT_V6_BITS_MIN} or longer"
        )
    return canonical


def day(value: datetime.date) -> datetime.date:
    """The date, if int64 ns can count to it; else ValueError."""
    if not YEAR_MIN <= value.year <= YEAR_MAX:
        raise ValueError(f"{value} is out of range; allowed: 1970-01-01 .. 2261-12-31")
    return value


def integer(least: int, most: int) -> object:
    """The annotation of an integer within these bounds; a boolean or a text of digits is none."""
    return Field(strict=True, ge=least, le=most)


Text = Annotated[
    str, Field(strict=True, min_length=1, max_length=TEXT_MAX), AfterValidator(printable)
]
Flag = Annotated[bool, Field(strict=True)]
Prefix = Annotated[str, Field(strict=True), AfterValidator(network)]
ExemptPrefix = Annotated[str, Field(strict=True), AfterValidator(exempt_network)]
Port = Annotated[int, integer(1, PORT_MAX)]
Rate = Annotated[int, integer(1, RATE_BPS_MAX)]
Volume = Annotated[int, integer(0, BYTES_MAX)]
Yen = Annotated[int, integer(0, 10_000_000)]
Count = Annotated[int, integer(1, 1_000_000)]
Months = Annotated[int, integer(0, 120)]
Days = Annotated[int, integer(1, 366)]
Date = Annotated[datetime.date, Field(strict=True), AfterValidator(day)]
Clock = Annotated[
    str,
    Field(
        strict=True,
        pattern="^([01][0-9]|2[0-3]):[0-5][0-9]$",
        json_schema_extra={"allowed": 'a time of day, as "20:00"'},
    ),
]
