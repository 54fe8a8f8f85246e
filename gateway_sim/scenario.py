"""What a scenario is made of: frozen records, passive data, no behaviour beyond look-ups."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from typing import Any

TCP = 6
UDP = 17
EVENLY = (100,) * 24
"""an hourly pattern without a pattern"""
UTRAN, EUTRAN = 1, 6
"""RAT types (TS 29.274 8.17; TS 29.060 7.7.50 has the same numbers)"""


@dataclass(frozen=True, slots=True)
class Server:
    """The network side of some flows."""

    name: str
    address: str
    address6: str | None
    port: int
    protocol: int


@dataclass(frozen=True, slots=True)
class Activity:
    """What a terminal does with one server from `begin_ns` on, in bursts, until `end_ns`.

    Burst number i begins at `begin_ns + i * every_ns`, moved by up to `jitter_ns`. Its payload is
    `burst_bytes` (where `vary`, between half and one and a half of it), of which `up_percent` goes
    up first and the rest comes down after it, at `rate_bps` of IP. `hours` are the percentages of
    bursts that happen at all, by hour of the day.
    """

    kind: str
    server: Server
    v6: bool
    begin_ns: int
    end_ns: int
    every_ns: int
    jitter_ns: int
    burst_bytes: int
    vary: bool
    up_percent: int
    rate_bps: int
    packet_bytes: int
    hours: tuple[int, ...] = EVENLY


@dataclass(frozen=True, slots=True)
class Line:
    """A SIM and the terminal it is in.

    At `moves_ns` (0: never) the terminal gets another downlink TEID, `teid_moved`.
    """

    code: str
    imsi: str
    iccid: str
    msisdn: str
    addresses: tuple[str, ...]
    teid_up: int
    teid_down: int
    coupon: bool
    balance_bytes: int
    activities: tuple[Activity, ...]
    rat: int = EUTRAN
    moves_ns: int = 0

    @property
    def teid_moved(self) -> int:
        """The downlink TEID after a handover."""
        return self.teid_down ^ 0x8000_0000


@dataclass(frozen=True, slots=True)
class Coupon:
    """What the coupon database holds at the start: `expires` is the last good month, YYYY-MM."""

    kind: str
    coupon_bytes: int
    expires: str


@dataclass(frozen=True, slots=True)
class Contract:
    """Lines that share coupons; without any the plan's bundle is credited from `started` on."""

    code: str
    plan: str
    started: date
    coupons: tuple[Coupon, ...]
    lines: tuple[Line, ...]


@dataclass(frozen=True, slots=True)
class Attack:
    """Packets that nobody ordered, evenly spaced from `begin_ns` on; see `gateway_sim.traffic.attacks`."""

    kind: str
    begin_ns: int
    end_ns: int
    packets_per_s: int


@dataclass(frozen=True, slots=True)
class Scenario:
    """A whole made-up stretch of time; `events` are the lines of the event file.

    `live` and `steps` are tables for a live run, as they stand in the file.
    """

    name: str
    title: str
    seed: int
    start_ns: int
    end_ns: int
    sgw: str
    pgw: str
    contracts: tuple[Contract, ...]
    events: tuple[str, ...]
    midnight_ns: int = 0
    signalling: bool = False
    attacks: tuple[Attack, ...] = ()
    live: dict[str, Any] | None = None
    steps: tuple[Any, ...] = ()
    path: str = ""

    def lines(self) -> Iterator[Line]:
        """Every line, in the order of the file."""
        for contract in self.contracts:
            yield from contract.lines

    def flows(self) -> list[tuple[Line, Activity]]:
        """Every (line, activity); the index in this list is the flow's number."""
        return [(line, activity) for line in self.lines() for activity in line.activities]
