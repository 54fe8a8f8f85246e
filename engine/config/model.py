"""What a configuration says, as frozen data: exact integers with their unit in the name.

The classes are plain dataclasses; the annotations carry the bounds that `engine.config.load`
enforces, so that an object which came from a file is always within them. Names in files are those
of the fields, but lists of tables are written in the singular: `[[plan]]`, `[[exempt.endpoint]]`.
"""

import datetime
from dataclasses import dataclass, field
from typing import Annotated, Literal

from pydantic import Field

from engine import units
from engine.config.access import Access
from engine.config.kinds import BYTES_MAX as BYTES_MAX
from engine.config.kinds import RATE_BPS_MAX as RATE_BPS_MAX
from engine.config.kinds import STRICT as STRICT
from engine.config.kinds import YEAR_MAX as YEAR_MAX
from engine.config.kinds import YEAR_MIN as YEAR_MIN
from engine.config.kinds import (
    Clock,
    Count,
    Days,
    ExemptPrefix,
    Months,
    Port,
    Prefix,
    Rate,
    integer,
)
from engine.config.kinds import Date as Date
from engine.config.kinds import Flag as Flag
from engine.config.kinds import Text as Text
from engine.config.kinds import Volume as Volume
from engine.config.kinds import Yen as Yen
from engine.config.kinds import printable as printable

BUCKET_BYTES_MAX = 500_000_000
"""byte; times 8 x 10^9 bit-ns this stays below 2^62, so that credit plus a refill fits in int64"""
QUEUE_MS_MAX = 60_000
CREDIT_LIMIT = 1 << 62
"""bit-ns; no product of a rate and a queue time may reach it"""
SIMS_MAX = 1_000
BUNDLE_BYTES_MAX = 1 << 50
"""byte; a pebibyte a month, which can be credited four thousand times before int64 ends"""
WATERMARK_BYTES_MIN = 65_536
"""byte; smaller steps would ask the database too often"""
RATING_GROUPS_MAX = 4_096
RATING_GROUP_MAX = (1 << 32) - 1
"""Rating-Group is an Unsigned32 (RFC 8506 8.29); 0 is the group of what names none"""
PEAK_PERCENT_MAX = 1_000


@dataclass(frozen=True, slots=True)
class Limit:
    """Limiter of one state, for each direction by itself; the rate is the plan's (P4, P5)."""

    __pydantic_config__ = STRICT

    burst_bytes: Annotated[int, integer(1, BUCKET_BYTES_MAX)]
    queue_bytes: Annotated[int, integer(0, BUCKET_BYTES_MAX)]
    queue_ms: Annotated[int, integer(0, QUEUE_MS_MAX)]


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
class Police:
    """A policer in place of the shaper: nothing waits, what is over the rate is marked (RFC 2697, 2698).

    CIR and CBS are the rate and `burst_bytes` of the SIM's state.
    peak_percent: PIR, in percent of the rate (rfc2698 only).
    excess_burst_bytes: EBS (rfc2697) or PBS (rfc2698).
    yellow: what becomes of packets between the two; red ones are always dropped.
    tokens: "rte_meter" counts in whole periods as DPDK does, "exact" without any rounding.
    """

    __pydantic_config__ = STRICT

    marker: Literal["rfc2697", "rfc2698"] = "rfc2697"
    peak_percent: Annotated[int, integer(100, PEAK_PERCENT_MAX)] = 200
    excess_burst_bytes: Annotated[int, integer(0, BUCKET_BYTES_MAX)] = 0
    yellow: Literal["pass", "drop"] = "drop"
    tokens: Literal["rte_meter", "exact"] = "rte_meter"


@dataclass(frozen=True, slots=True)
class RatingGroup:
    """Exempt traffic that is counted together (RFC 8506 8.29), and how much of it a SIM may have.

    cap_bytes_per_day: per SIM and JST day, both directions; what is beyond is not exempt. 0: no cap.
    """

    __pydantic_config__ = STRICT

    id: Annotated[int, integer(1, RATING_GROUP_MAX)]
    name: Text
    cap_bytes_per_day: Volume = 0


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Network-side addresses that are neither charged nor slowed (X1, X2).

    `ports` empty: every port, and packets without ports; "any" with `ports`: those of UDP and TCP.
    `rating_group` 0: the group without a number, which has no cap.
    """

    __pydantic_config__ = STRICT

    name: Text
    prefixes: Annotated[tuple[ExemptPrefix, ...], Field(min_length=1)]
    protocol: Literal["udp", "tcp", "any"] = "any"
    ports: tuple[Port, ...] = ()
    rating_group: Annotated[int, integer(0, RATING_GROUP_MAX)] = 0


@dataclass(frozen=True, slots=True)
class Exempt:
    """The exempt endpoints (X2), and what being exempt means (X3).

    charge: their packets are charged all the same, and only keep the speed.
    count: those carried in the slow state count towards the 3-day restriction.
    """

    __pydantic_config__ = STRICT

    endpoints: Annotated[tuple[Endpoint, ...], Field(alias="endpoint")]
    charge: Flag = False
    count: Flag = False
    rating_groups: Annotated[
        tuple[RatingGroup, ...], Field(alias="rating_group", max_length=RATING_GROUPS_MAX)
    ] = ()


@dataclass(frozen=True, slots=True)
class Pool:
    """How a gateway deals with the coupon database (G4, G5).

    watermark_bytes: how far ahead of use a SIM's consumption is announced.
    uncertain: who bears what a broken-off run may have used beyond what it reported.
    failure: Credit-Control-Failure-Handling, when the database does not answer a live gateway.
    threshold_bytes: Volume-Quota-Threshold, at which a live gateway asks for the next slice.
    pending: what a packet gets while a live gateway's answer is out.
    """

    __pydantic_config__ = STRICT

    watermark_bytes: Annotated[int, integer(WATERMARK_BYTES_MIN, BYTES_MAX)]
    uncertain: Literal["charge", "refund"]
    lease_s: Annotated[int, integer(1, 86_400)]
    answer_ms: Annotated[int, integer(10, 600_000)]
    failure: Literal["terminate", "continue", "retry-and-terminate"]
    continue_bytes: Annotated[int, integer(0, BUNDLE_BYTES_MAX)]
    threshold_bytes: Annotated[int, integer(0, units.SLICE_BYTES_MAX)]
    pending: Literal["slow", "pass", "drop"]


@dataclass(frozen=True, slots=True)
class Plan:
    """A plan is data (S5). `restriction_bytes` 0: no 3-day restriction; a price may be unknown."""

    __pydantic_config__ = STRICT

    name: Text
    title: Text
    sims_max: Annotated[int, integer(1, SIMS_MAX)]
    bundle_bytes: Annotated[int, integer(0, BUNDLE_BYTES_MAX)]
    high_down_bps: Rate
    high_up_bps: Rate
    restriction_bytes: Volume
    price_yen_per_month: Yen | None = None


@dataclass(frozen=True, slots=True)
class Service:
    """What a contract is about (A2); `lines`: its contracts have a plan and SIM lines."""

    __pydantic_config__ = STRICT

    name: Text
    title: Text
    lines: Flag = False


@dataclass(frozen=True, slots=True)
class Option:
    """An option is data (O2); a price or fee that is not there is not known.

    services: those whose contracts may have it.
    unit_size: how many one price is for; a part of a unit costs as much as a whole one.
    initial_fee_yen, one_off_fee_yen: owed when the order is accepted.
    price_yen_per_month: for each unit, owed from the day on which charging starts.
    included: every contract of its services has it without an order.
    migrates: an IIJ4U contract's option of this name goes on under its first service (A9, O3).
    """

    __pydantic_config__ = STRICT

    name: Text
    title: Text
    services: Annotated[tuple[Text, ...], Field(min_length=1)]
    unit_size: Count = 1
    price_yen_per_month: Yen | None = None
    initial_fee_yen: Yen | None = None
    one_off_fee_yen: Yen | None = None
    included: Flag = False
    migrates: Flag = False


@dataclass(frozen=True, slots=True)
class Terms:
    """Limits and periods of the contract book (A2-A7); months and days are Japan's.

    service_contracts_max: contracts of one service that a mioID may have; voice_lines_max: over all.
    application_months: until a mioID lapses whose application is not completed; empty_months: until one
        lapses whose last contract has ended.
    take_back_until: time of the last day until which a cancellation can be taken back.
    minimum_months: whole months, after the one in which use began, that a contract lasts.
    rescission_days: days, that of the contract document included, for ending it at once.
    port_days: days, that of issue included, for which a number portability reservation is good.
    port_in_days: how many of them must be left, today included, to come in with it.
    """

    __pydantic_config__ = STRICT

    service_contracts_max: Count = 10
    voice_lines_max: Count = 5
    application_months: Months = 1
    empty_months: Months = 3
    take_back_until: Clock = "20:00"
    minimum_months: Months = 1
    rescission_days: Days = 8
    port_days: Days = 15
    port_in_days: Days = 7


@dataclass(frozen=True, slots=True)
class Migration:
    """The move of IIJ4U contracts (A9): nothing changes from 00:00 JST of `freeze_from` to `moved_on`."""

    __pydantic_config__ = STRICT

    freeze_from: Date = datetime.date(2016, 3, 28)
    moved_on: Date = datetime.date(2016, 4, 1)


@dataclass(frozen=True, slots=True)
class Settings:
    """A whole configuration, as `engine.config.load` returns it."""

    __pydantic_config__ = STRICT

    count: Literal["inner-ip", "outer-ip", "frame", "l4-payload"]
    first_slice: Literal["attach", "first-packet"]
    default_plan: Text
    ue_nets: tuple[Prefix, ...]
    speed: Speed
    restriction: Restriction
    exempt: Exempt
    pool: Pool
    plans: Annotated[tuple[Plan, ...], Field(alias="plan", min_length=1)]
    default_service: Text = "mobile-d"
    services: Annotated[tuple[Service, ...], Field(alias="service")] = ()
    options: Annotated[tuple[Option, ...], Field(alias="option")] = ()
    terms: Terms = Terms()
    migration: Migration = Migration()
    limiter: Literal["shape", "police"] = "shape"
    police: Police = Police()
    access: Access = field(default_factory=Access)

    def plan(self, name: str) -> Plan:
        """The plan of that name; KeyError where there is none."""
        for plan in self.plans:
            if plan.name == name:
                return plan
        raise KeyError(name)

    def service(self, name: str) -> Service | None:
        """The service of that name."""
        return next((service for service in self.services if service.name == name), None)

    def option(self, name: str) -> Option | None:
        """The option of that name."""
        return next((option for option in self.options if option.name == name), None)
