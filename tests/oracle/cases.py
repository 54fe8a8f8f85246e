"""Small worlds to play: who there is and what happens, as plain data; how the twin plays them."""

from dataclasses import asdict, astuple, dataclass
from datetime import date
from types import ModuleType
from typing import Any

from .calendar import date_of
from .limiter import LONGEST_WAIT_NS, Rate

TOPUP_BYTES = 100 * 2**20
"""C3: an additional coupon is 100 MB"""
CREDIT_MAX = 2**62
"""bit-ns; keeps sums of two credits in 64 bits, and so bounds the longest wait at high rates"""


RATED = ("rating_group", "up_packets", "up_bytes", "down_packets", "down_bytes")


@dataclass(frozen=True)
class Packet:
    """A packet of a SIM: direction 0 up, 1 down.

    exempt: to or from the server of rating group `group`, on its port unless `odd_port`.
    piece: "whole", or of a fragmented packet with this label the "first" fragment or a "later" one, which
        shows no port.
    """

    at_ns: int
    line: str
    direction: int
    size_bytes: int
    exempt: bool = False
    group: int = 0
    odd_port: bool = False
    piece: str = "whole"
    label: int = 0


@dataclass(frozen=True)
class ExemptSpec:
    """An exempt list: (rating group, cap a day or 0), one server each; X3's settings."""

    groups: tuple[tuple[int, int], ...] = ((0, 0),)
    charge: bool = False
    count: bool = False


@dataclass(frozen=True)
class Event:
    """An operation on a line, `charge` on a contract with a number of additional coupons, or `exempt`."""

    at_ns: int
    do: str
    line: str = ""
    on: bool = False
    contract: str = ""
    coupons: int = 0
    exempt: ExemptSpec | None = None


@dataclass(frozen=True)
class CouponSpec:
    """A coupon in the database at the start, good until the end of a month."""

    kind: str
    size_bytes: int
    year: int
    month: int


@dataclass(frozen=True)
class LineSpec:
    """A SIM at the start."""

    code: str
    coupon_on: bool = True
    balance_bytes: int = 0
    in_service: bool = True


@dataclass(frozen=True)
class ContractSpec:
    """A contract at the start; without coupons (None) it gets the plan's bundles from `started`."""

    code: str
    lines: tuple[LineSpec, ...]
    coupons: tuple[CouponSpec, ...] | None = ()
    started: date = date(2013, 11, 1)


UP = Rate(37_500_000, 1_500_000, 3_000_000, 200)
DOWN = Rate(112_500_000, 1_500_000, 3_000_000, 200)
SLOW = Rate(200_000, 1_500, 6_000, 3_000)
RESTRICTED = Rate(50_000, 1_500, 6_000, 3_000)


@dataclass(frozen=True)
class Case:
    """A whole story. Both high speeds share burst and queue, as they do in a configuration."""

    steps: tuple[Packet | Event, ...]
    contracts: tuple[ContractSpec, ...]
    high_up: Rate = UP
    high_down: Rate = DOWN
    slow: Rate = SLOW
    restricted: Rate = RESTRICTED
    restriction_bytes: int = 0
    restriction_enabled: bool = True
    effective: str = "immediate"
    first_slice: str = "attach"
    bundle_bytes: int = 0
    allow_leap: bool = False
    exempt: ExemptSpec = ExemptSpec()

    def longest_wait_ns(self) -> int:
        """The furthest departure that any packet can get in this world."""
        rates = (self.high_up, self.high_down, self.slow, self.restricted)
        return min(LONGEST_WAIT_NS, CREDIT_MAX // max(rate.bps for rate in rates))


@dataclass
class Outcome:
    """What came of it: (kind, charged bytes, departure or 0) per packet, and the reports."""

    verdicts: list[tuple[str, int, int]]
    lines: dict[str, dict[str, Any]]
    contracts: dict[str, dict[str, int]]


def play(case: Case, oracle: ModuleType) -> Outcome:
    """Play a case with the twin, or with a copy of it that has a fault planted in it."""
    gateway = _gateway(case, oracle)
    verdicts = []
    for step in case.steps:
        if isinstance(step, Packet):
            verdict = gateway.packet(
                step.at_ns,
                step.line,
                step.direction,
                step.size_bytes,
                exempt=step.exempt and not step.odd_port,
                group=step.group,
                fragment=_fragment(step, oracle),
            )
            verdicts.append((verdict.kind, verdict.charged_bytes, verdict.departure_ns or 0))
        else:
            coupons = _bought(step, oracle) if step.do == "charge" else ()
            gateway.event(
                step.at_ns,
                step.do,
                line=step.line,
                on=step.on,
                contract=step.contract,
                coupons=coupons,
                exempt=step.exempt and _exempt(step.exempt, oracle),
            )
    return Outcome(verdicts, _lines(gateway), gateway.contracts())


def _exempt(spec: ExemptSpec, oracle: ModuleType) -> Any:
    return oracle.ExemptList(dict(spec.groups), spec.charge, spec.count)


def _fragment(step: Packet, oracle: ModuleType) -> Any:
    """RFC 791 3.2: a packet's fragments have its addresses and identification."""
    if step.piece == "whole":
        return None
    server = step.group if step.exempt else None
    return oracle.Fragment(step.piece == "first", (server, step.label))


def _gateway(case: Case, oracle: ModuleType) -> Any:
    settings = oracle.Settings(
        case.first_slice,
        case.restriction_enabled,
        case.effective,
        case.longest_wait_ns(),
        case.allow_leap,
        _exempt(case.exempt, oracle),
    )
    up, down, slow, restricted = (
        oracle.Rate(*astuple(rate))
        for rate in (case.high_up, case.high_down, case.slow, case.restricted)
    )
    plan = oracle.Plan(
        (up, down),
        (slow, slow),
        (restricted, restricted),
        case.restriction_bytes,
        case.bundle_bytes,
    )
    gateway = oracle.Gateway(settings)
    for contract in case.contracts:
        own = contract.coupons is not None
        database = gateway.add_contract(contract.code, plan, contract.started, own_coupons=own)
        for coupon in contract.coupons or ():
            expires_ns = oracle.month_start_ns(coupon.year, coupon.month + 1)
            database.credit(coupon.kind, coupon.size_bytes, 0, expires_ns)
        for line in contract.lines:
            gateway.add_line(
                line.code,
                contract.code,
                coupon_on=line.coupon_on,
                balance_bytes=line.balance_bytes,
                in_service=line.in_service,
            )
    return gateway


def _bought(step: Event, oracle: ModuleType) -> tuple[tuple[str, int, int], ...]:
    """C3, C4: so many coupons of 100 MB, good until the end of the third month after this one."""
    day = date_of(step.at_ns)
    expires_ns = oracle.end_of_month_after_ns(day.year, day.month, 3)
    return (("topup", TOPUP_BYTES, expires_ns),) * step.coupons


def _lines(gateway: Any) -> dict[str, dict[str, Any]]:
    return {
        code: {
            "up": asdict(line.counters[0]),
            "down": asdict(line.counters[1]),
            "grants": line.grants,
            "granted_bytes": line.granted_bytes,
            "balance_bytes": line.balance_bytes,
            "coupon": line.coupon_on,
            "regulated": gateway.restricted(line),
            "in_service": line.in_service,
            "rating_groups": [
                dict(zip(RATED, (group, *line.rated[group]), strict=True))
                for group in sorted(line.rated)
            ],
        }
        for code, line in gateway.lines.items()
    }
