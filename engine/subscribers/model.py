"""Who may attach, with what: contracts, their coupons and lines, and events; all frozen plain data.

The annotations carry the bounds that the loaders enforce. Lists are written in the singular in TOML
files (`[[contract]]`, `[[contract.coupon]]`, `[[contract.line]]`).
"""

import ipaddress
import re
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field

from engine.config.faults import shown
from engine.config.model import (
    BYTES_MAX,
    STRICT,
    YEAR_MAX,
    YEAR_MIN,
    Exempt,
    Flag,
    Text,
    Volume,
    printable,
)
from engine.config.model import Date as Day

TEID_MAX = (1 << 32) - 1
TIME_NS_MAX = 9_214_646_400_000_000_000 - 1
"""ns; the last one of the year 2261 in UTC"""
PATH_MAX = 1_024
CHARGES_MAX = 30
"""additional coupons that one event can buy: the most of a calendar month (C3)"""

_LOW_HALF = (1 << 64) - 1
_MONTH = re.compile(r"([0-9]{4})-(0[1-9]|1[0-2])")


def month(text: str) -> str:
    """The month, if it is a `YYYY-MM` that int64 ns can count to; else ValueError."""
    match = _MONTH.fullmatch(text)
    if match is None or not YEAR_MIN <= int(match[1]) <= YEAR_MAX:
        raise ValueError(f"{shown(text)} is no month; allowed: 1970-01 .. 2261-12, as YYYY-MM")
    return text


IpAddress = ipaddress.IPv4Address | ipaddress.IPv6Address


def parse_address(text: str) -> tuple[IpAddress, int]:
    """A subscriber's address and prefix length: 32, 128 or (IPv6 only) 64 bits; else ValueError."""
    base, slash, length = text.partition("/")
    try:
        value = ipaddress.ip_address(base)
    except ValueError:
        raise ValueError(
            f"{shown(text)} is no address; allowed: 10.1.0.1, 2001:db8::1 or 2001:db8:0:1::/64"
        ) from None
    if not slash or length == str(value.max_prefixlen):
        return value, value.max_prefixlen
    if value.version == 4 or length != "64":
        what = "one address" if value.version == 4 else "one address, or a prefix with /64"
        raise ValueError(f"{shown(text)} is no address of one terminal; allowed: {what}")
    if int(value) & _LOW_HALF:
        raise ValueError(f"{shown(text)} has bits set after the prefix; clear them, or write /128")
    return value, 64


def address(text: str) -> str:
    """A subscriber's address, canonical: an IPv4 or IPv6 address alone, or an IPv6 /64 prefix (N2).

    ValueError where it is neither, or an address that no terminal can have.
    """
    value, length = parse_address(text)
    _refuse_nobody(value)
    return f"{value}/64" if length == 64 else str(value)


def outer_address(text: str) -> str:
    """The address of a gateway, canonical; ValueError where it is none."""
    try:
        value = ipaddress.ip_address(text)
    except ValueError:
        raise ValueError(
            f"{shown(text)} is no address; allowed: 192.0.2.1 or 2001:db8::1"
        ) from None
    _refuse_nobody(value)
    return str(value)


def _refuse_nobody(value: IpAddress) -> None:
    number = int(value)
    if isinstance(value, ipaddress.IPv6Address):
        if value.scope_id is not None:
            raise ValueError(f"{shown(str(value))} has a zone; leave out what follows %")
        if value.ipv4_mapped is not None:
            raise ValueError(f"{value} is an IPv4 address in disguise; write {value.ipv4_mapped}")
        multicast = number >> 120 == 0xFF
    else:
        # 224.0.0.0/4 is multicast, and what follows was never given out (RFC 1112 4).
        multicast = number >= 0xE0 << 24
    if multicast or number == 0:
        raise ValueError(f"{value} can be nobody's address")


def _digits(least: int, most: int) -> object:
    return Field(
        strict=True,
        pattern=f"^[0-9]{{{least},{most}}}$",
        json_schema_extra={"allowed": f"{least} to {most} digits, in quotes"},
    )


Imsi = Annotated[str, _digits(5, 15)]
"""ITU-T E.212: country, network and subscriber, 15 digits at most"""
Iccid = Annotated[str, _digits(10, 22)]
"""ITU-T E.118: 19 digits with the check digit; some cards carry 18 or 20, and laboratories use others"""
Msisdn = Annotated[str, _digits(5, 15)]
"""ITU-T E.164: 15 digits at most"""
Teid = Annotated[int, Field(strict=True, ge=1, le=TEID_MAX)]
Address = Annotated[str, Field(strict=True), AfterValidator(address)]
OuterAddress = Annotated[str, Field(strict=True), AfterValidator(outer_address)]
Month = Annotated[str, Field(strict=True), AfterValidator(month)]
FileName = Annotated[
    str, Field(strict=True, min_length=1, max_length=PATH_MAX), AfterValidator(printable)
]
TimeNs = Annotated[int, Field(strict=True, ge=0, le=TIME_NS_MAX)]


@dataclass(frozen=True, slots=True)
class Coupon:
    """A coupon in the database at the start; `expires` is the last month in which it is good."""

    __pydantic_config__ = STRICT

    kind: Literal["bundle", "topup"]
    bytes: Annotated[int, Field(strict=True, ge=0, le=BYTES_MAX)]
    expires: Month


@dataclass(frozen=True, slots=True)
class Line:
    """A SIM: who it is (N6), what is on it, and where its packets are found.

    `teid_up` is the TEID at the gateway (at `gateway`, or at any address without it), `teid_down`
    the one at the S-GW. `addresses` are canonical: single addresses, or IPv6 prefixes with /64.
    """

    __pydantic_config__ = STRICT

    code: Text
    imsi: Imsi | None = None
    iccid: Iccid | None = None
    msisdn: Msisdn | None = None
    coupon: Flag = True
    balance_bytes: Volume = 0
    addresses: tuple[Address, ...] = ()
    teid_up: Teid | None = None
    teid_down: Teid | None = None
    gateway: OuterAddress | None = None
    in_service: Flag = True
    ends: Month | None = None


@dataclass(frozen=True, slots=True)
class NextPlan:
    """A plan that was ordered, in force from the first of the month `since` on (A10)."""

    __pydantic_config__ = STRICT

    plan: Text
    since: Month


@dataclass(frozen=True, slots=True)
class Contract:
    """A contract and its lines; `coupons` None: the plan's bundle is credited from `started` on.

    `ipv6`: the IPv6 connection option is booked (O1); so it is where a line has an IPv6 address.
    `ends`, of a contract or a line, is the last month in which it is in use (A4, A8).
    """

    __pydantic_config__ = STRICT

    code: Text
    plan: Text
    started: Day
    lines: Annotated[tuple[Line, ...], Field(alias="line")] = ()
    coupons: Annotated[tuple[Coupon, ...] | None, Field(alias="coupon")] = None
    mio_id: Text | None = None
    ends: Month | None = None
    next_plan: NextPlan | None = None
    ipv6: Flag = False

    @property
    def has_ipv6(self) -> bool:
        """Whether its sessions may have an IPv6 prefix."""
        return self.ipv6 or any(":" in one for line in self.lines for one in line.addresses)


@dataclass(frozen=True, slots=True)
class Book:
    """A subscriber file."""

    __pydantic_config__ = STRICT

    contracts: Annotated[tuple[Contract, ...], Field(alias="contract")]


@dataclass(frozen=True, slots=True)
class Switch:
    """The coupon switch of a line (P3)."""

    __pydantic_config__ = STRICT

    at_ns: TimeNs
    line: Text
    on: Flag
    do: Literal["switch"] = "switch"


@dataclass(frozen=True, slots=True)
class Charge:
    """Additional coupons bought for a contract, a number of them (C3)."""

    __pydantic_config__ = STRICT

    at_ns: TimeNs
    contract: Text
    coupons: Annotated[int, Field(strict=True, ge=1, le=CHARGES_MAX)]
    do: Literal["charge"] = "charge"


@dataclass(frozen=True, slots=True)
class Suspend:
    """The line is suspended; its session is cut at once (L1)."""

    __pydantic_config__ = STRICT

    at_ns: TimeNs
    line: Text
    do: Literal["suspend"] = "suspend"


@dataclass(frozen=True, slots=True)
class Resume:
    """The line is in service again (L1)."""

    __pydantic_config__ = STRICT

    at_ns: TimeNs
    line: Text
    do: Literal["resume"] = "resume"


@dataclass(frozen=True, slots=True)
class Attach:
    """The line opens its session."""

    __pydantic_config__ = STRICT

    at_ns: TimeNs
    line: Text
    do: Literal["attach"] = "attach"


@dataclass(frozen=True, slots=True)
class Detach:
    """The line closes its session."""

    __pydantic_config__ = STRICT

    at_ns: TimeNs
    line: Text
    do: Literal["detach"] = "detach"


@dataclass(frozen=True, slots=True)
class ReplaceSim:
    """The line has a new card, `iccid`; the old one is refused from now on (L2).

    `imsi`: where the new card has another one.
    """

    __pydantic_config__ = STRICT

    at_ns: TimeNs
    line: Text
    iccid: Iccid
    imsi: Imsi | None = None
    do: Literal["replace-sim"] = "replace-sim"


@dataclass(frozen=True, slots=True)
class ExemptFile:
    """What an event file says of another exempt list: where it is, from the event file's folder."""

    __pydantic_config__ = STRICT

    at_ns: TimeNs
    file: FileName
    do: Literal["exempt"] = "exempt"


@dataclass(frozen=True, slots=True)
class ReloadExempt:
    """From now on this exempt list holds (X2); `file` is what the event file calls it."""

    at_ns: int
    file: str
    exempt: Exempt
    do: Literal["exempt"] = "exempt"


Event = Switch | Charge | Suspend | Resume | Attach | Detach | ReplaceSim | ReloadExempt
"""tell them apart by class or by `do`; both narrow the type"""
SAID: dict[str, type[Any]] = {
    "switch": Switch,
    "charge": Charge,
    "suspend": Suspend,
    "resume": Resume,
    "attach": Attach,
    "detach": Detach,
    "replace-sim": ReplaceSim,
    "exempt": ExemptFile,
}
"""what an event file may say, by `do`"""
