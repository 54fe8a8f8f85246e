"""A customer of the contract book: mioID, contracts, lines; frozen plain data, without a clock.

Every time is in ns since 1970; an end is the first instant that no longer belongs (half-open, U2).
The annotations carry the bounds that `engine.subscribers.documents` enforces.
"""

from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field

from engine.config.model import STRICT, Flag, Text, Volume, Yen
from engine.subscribers.model import (
    Address,
    Coupon,
    Iccid,
    Imsi,
    Msisdn,
    OuterAddress,
    Teid,
    TimeNs,
)

MioId = Annotated[str, Field(strict=True, pattern=r"^MA[0-9A-Za-z]{8}$")]
ContractCode = Annotated[str, Field(strict=True, pattern=r"^hdd[0-9A-Za-z]{8}$")]
LineCode = Annotated[str, Field(strict=True, pattern=r"^hdo[0-9A-Za-z]{8}$")]
Reference = Annotated[str, Field(strict=True, min_length=1, max_length=256)]
"""what stands for a secret or an address that is kept elsewhere"""
Form = Literal["standard", "micro", "nano"]
Quantity = Annotated[int, Field(strict=True, ge=1, le=1_000_000)]

ContractState = Literal["applied", "active", "cancelled", "ended"]
LineState = Literal["in-service", "suspended", "lost", "porting-in", "removed"]


@dataclass(frozen=True, slots=True)
class Cancellation:
    """A cancellation that was reserved (A4); `effective_ns` is the end, a month's (A5)."""

    __pydantic_config__ = STRICT

    ordered_ns: TimeNs
    effective_ns: TimeNs


@dataclass(frozen=True, slots=True)
class PlanChange:
    """A plan that was ordered, in force from `from_ns` on (A10)."""

    __pydantic_config__ = STRICT

    plan: Text
    ordered_ns: TimeNs
    from_ns: TimeNs


@dataclass(frozen=True, slots=True)
class Reservation:
    """A number portability reservation (A7), good before `expires_ns`."""

    __pydantic_config__ = STRICT

    issued_ns: TimeNs
    expires_ns: TimeNs


@dataclass(frozen=True, slots=True)
class RefusedCard:
    """A card that was replaced: refused for good (L2, L3); `imsi` where the new card has another."""

    __pydantic_config__ = STRICT

    at_ns: TimeNs
    lost: Flag
    iccid: Iccid | None = None
    imsi: Imsi | None = None


@dataclass(frozen=True, slots=True)
class OptionUse:
    """An option of a contract (O2), at the price of its acceptance; None: the price is not known."""

    __pydantic_config__ = STRICT

    name: Text
    quantity: Quantity
    accepted_ns: TimeNs
    charging_from_ns: TimeNs
    price_yen_per_month: Yen | None = None
    cancellation: Cancellation | None = None


@dataclass(frozen=True, slots=True)
class Line:
    """A line, known by its code, IMSI, telephone number and card (N6); removed ones are kept.

    `coupon`, `balance_bytes`: how it begins; what it has become is in the coupon database.
    """

    __pydantic_config__ = STRICT

    code: LineCode
    added_ns: TimeNs
    imsi: Imsi | None = None
    msisdn: Msisdn | None = None
    iccid: Iccid | None = None
    form: Form = "standard"
    voice: Flag = False
    suspended_ns: TimeNs | None = None
    lost_ns: TimeNs | None = None
    removed_ns: TimeNs | None = None
    why_removed: Text | None = None
    cancellation: Cancellation | None = None
    port_in: Reservation | None = None
    port_out: Reservation | None = None
    refused: tuple[RefusedCard, ...] = ()
    coupon: Flag = True
    balance_bytes: Volume = 0
    addresses: tuple[Address, ...] = ()
    teid_up: Teid | None = None
    teid_down: Teid | None = None
    gateway: OuterAddress | None = None

    @property
    def state(self) -> LineState:
        """The line by itself: whether its contract is in use is another matter."""
        if self.removed_ns is not None:
            return "removed"
        if self.port_in is not None:
            return "porting-in"
        if self.lost_ns is not None:
            return "lost"
        return "in-service" if self.suspended_ns is None else "suspended"


@dataclass(frozen=True, slots=True)
class Contract:
    """A contract of a service (A1); ended ones are kept. `coupons`: see `engine.subscribers.Contract`."""

    __pydantic_config__ = STRICT

    code: ContractCode
    service: Text
    applied_ns: TimeNs
    plan: Text | None = None
    started_ns: TimeNs | None = None
    document_ns: TimeNs | None = None
    ended_ns: TimeNs | None = None
    why_ended: Text | None = None
    cancellation: Cancellation | None = None
    plan_change: PlanChange | None = None
    plan_ordered_ns: TimeNs | None = None
    options: tuple[OptionUse, ...] = ()
    lines: tuple[Line, ...] = ()
    coupons: tuple[Coupon, ...] | None = None

    @property
    def state(self) -> ContractState:
        """As far as the book was brought forward (`engine.subscribers.book.advance`)."""
        if self.ended_ns is not None:
            return "ended"
        if self.cancellation is not None:
            return "cancelled"
        return "applied" if self.started_ns is None else "active"

    @property
    def live_lines(self) -> tuple[Line, ...]:
        """The lines that were not removed."""
        return tuple(line for line in self.lines if line.removed_ns is None)

    def option(self, name: str) -> OptionUse | None:
        """The contract's option of that name."""
        return next((option for option in self.options if option.name == name), None)


@dataclass(frozen=True, slots=True)
class Account:
    """A customer; `changed_ns` is when the last change took effect: time never goes back behind it.

    `migrated`: the IIJ4U contracts that were moved here (A9).
    """

    __pydantic_config__ = STRICT

    mio_id: MioId
    registered_ns: TimeNs
    changed_ns: TimeNs
    completed_ns: TimeNs | None = None
    lapsed_ns: TimeNs | None = None
    password: Reference | None = None
    address: Reference | None = None
    contracts: tuple[Contract, ...] = ()
    migrated: tuple[Text, ...] = ()

    @property
    def live_contracts(self) -> tuple[Contract, ...]:
        """The contracts that have not ended."""
        return tuple(contract for contract in self.contracts if contract.ended_ns is None)


def find_contract(account: Account, code: str) -> Contract | None:
    """The contract with this code, ended or not."""
    return next((contract for contract in account.contracts if contract.code == code), None)


def find_line(account: Account, code: str) -> tuple[Contract, Line] | None:
    """The line with this code, removed or not, and its contract."""
    for contract in account.contracts:
        for line in contract.lines:
            if line.code == code:
                return contract, line
    return None


def resolve(account: Account, name: str) -> tuple[Contract | None, Line | None]:
    """What bears a name in this account: code, ICCID, IMSI or MSISDN; refused cards are their line's."""
    found = find_line(account, name)
    if found is not None:
        return found
    contract = find_contract(account, name)
    if contract is not None:
        return contract, None
    for contract in account.contracts:
        for line in contract.lines:
            if any(name == value for _, value in line_names(line)):
                return contract, line
    return None, None


def line_names(line: Line) -> list[tuple[str, str]]:
    """(kind, name) of a line beside its code: those in force, then those of its refused cards.

    A removed line gives its numbers and its card back; a refused card stays refused (L2, L3).
    """
    pairs: list[tuple[str, str | None]] = []
    if line.removed_ns is None:
        pairs = [("imsi", line.imsi), ("iccid", line.iccid), ("msisdn", line.msisdn)]
    for card in line.refused:
        pairs += [("iccid", card.iccid), ("imsi", card.imsi)]
    return [(kind, name) for kind, name in pairs if name is not None]
