"""What a configuration says, as frozen data: exact integers with their unit in the name.

The classes are plain dataclasses; the annotations carry the bounds that `engine.config.load`
enforces, so that an object which came from a file is always within them. Names in files are those
of the fields, but lists of tables are written in the singular: `[[plan]]`, `[[exempt.endpoint]]`.
"""

import ipaddress
from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from engine import units
from engine.config.faults import shown

RATE_BPS_MAX = 100 * 1000 * units.MBIT_PER_S
"""bit/s; 100 Gbit/s, far above any bearer, and low enough for the limiter's int64"""
BUCKET_BYTES_MAX = 500_000_000
"""byte; times 8 x 10^9 bit-ns this stays below 2^62, so that credit plus a refill fits in int64"""
QUEUE_MS_MAX = 60_000
CREDIT_LIMIT = 1 << 62
"""bit-ns; no product of a rate and a queue time may reach it"""
SIMS_MAX = 1_000
BYTES_MAX = 1 << 62
"""byte; for any volume, and for the sum of all volumes of a subscriber file"""
BUNDLE_BYTES_MAX = 1 << 50
"""byte; a pebibyte a month, which can be credited four thousand times before int64 ends"""
TEXT_MAX = 64

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
        return str(ipaddress.ip_network(text))
    except ValueError as error:
        if "host bits" in str(error):
            right = ipaddress.ip_network(text, strict=False)
            raise ValueError(
                f"{shown(text)} has bits set after the prefix; did you mean {right}?"
            ) from None
        raise ValueError(
            f"{shown(text)} is no prefix; allowed: such as 192.0.2.0/24 or 2001:db8::/32"
        ) from None


def _integer(least: int, most: int) -> object:
    return Field(strict=True, ge=least, le=most)


Text = Annotated[
    str, Field(strict=True, min_length=1, max_length=TEXT_MAX), AfterValidator(printable)
]
Flag = Annotated[bool, Field(strict=True)]
Prefix = Annotated[str, Field(strict=True), AfterValidator(network)]
Rate = Annotated[int, _integer(1, RATE_BPS_MAX)]
Volume = Annotated[int, _integer(0, BYTES_MAX)]


@dataclass(frozen=True, slots=True)
class Limit:
    """Limiter of one state, for each direction by itself; the rate is the plan's (P4, P5)."""

    __pydantic_config__ = STRICT

    burst_bytes: Annotated[int, _integer(1, BUCKET_BYTES_MAX)]
    queue_bytes: Annotated[int, _integer(0, BUCKET_BYTES_MAX)]
    queue_ms: Annotated[int, _integer(0, QUEUE_MS_MAX)]


@dataclass(frozen=True, slots=True)
class SlowLimit(Limit):
    """Limiter of a state that has one rate for all plans and both directions (P2, R4)."""

    __pydantic_config__ = STRICT

    rate_bps: Rate


@dataclass(frozen=True, slots=True)
class Speed:
    """The three states a SIM's traffic can be in."""

    __pydantic_config__ = STRICT

    high: Limit
    slow: SlowLimit
    restricted: SlowLimit


@dataclass(frozen=True, slots=True)
class Restriction:
    """The 3-day restriction (R1-R3); the volume is the plan's `restriction_bytes`."""

    __pydantic_config__ = STRICT

    enabled: Flag
    effective: Literal["immediate", "next-day"]


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Network-side addresses that are neither charged nor slowed (X1, X2).

    `ports` empty: every port, and packets without ports; "any" with `ports`: those of UDP and TCP.
    """

    __pydantic_config__ = STRICT

    name: Text
    prefixes: Annotated[tuple[Prefix, ...], Field(min_length=1)]
    protocol: Literal["udp", "tcp", "any"] = "any"
    ports: tuple[Annotated[int, _integer(1, 65_535)], ...] = ()


@dataclass(frozen=True, slots=True)
class Exempt:
    """The exempt endpoints (X2)."""

    __pydantic_config__ = STRICT

    endpoints: Annotated[tuple[Endpoint, ...], Field(alias="endpoint")]


@dataclass(frozen=True, slots=True)
class Plan:
    """A plan is data (S5). `restriction_bytes` 0: no 3-day restriction; a price may be unknown."""

    __pydantic_config__ = STRICT

    name: Text
    title: Text
    sims_max: Annotated[int, _integer(1, SIMS_MAX)]
    bundle_bytes: Annotated[int, _integer(0, BUNDLE_BYTES_MAX)]
    high_down_bps: Rate
    high_up_bps: Rate
    restriction_bytes: Volume
    price_yen_per_month: Annotated[int, _integer(0, 10_000_000)] | None = None


@dataclass(frozen=True, slots=True)
class Settings:
    """A whole configuration, as `engine.config.load` returns it."""

    __pydantic_config__ = STRICT

    count: Literal["inner-ip"]
    first_slice: Literal["attach", "first-packet"]
    default_plan: Text
    ue_nets: tuple[Prefix, ...]
    speed: Speed
    restriction: Restriction
    exempt: Exempt
    plans: Annotated[tuple[Plan, ...], Field(alias="plan", min_length=1)]

    def plan(self, name: str) -> Plan:
        """The plan of that name; KeyError where there is none."""
        for plan in self.plans:
            if plan.name == name:
                return plan
        raise KeyError(name)
