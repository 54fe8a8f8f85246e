"""What follows from a change of the contract book: data for whoever must act on it.

`str` gives one line for people. ContractEnded, LineRemoved, LineSuspended and LineResumed concern the
coupon database too.
"""

from dataclasses import dataclass
from typing import Literal, NamedTuple

from engine.subscribers.terms import date_of, last_date

Cancelled = Literal["contract", "line", "option"]


class Fee(NamedTuple):
    """What an option costs (O2): owed from `due_ns` on; `yen` None: not known. "monthly": every month."""

    kind: Literal["initial", "monthly", "one-off"]
    yen: int | None
    due_ns: int


@dataclass(frozen=True, slots=True)
class AccountOpened:
    """A mioID was registered."""

    mio_id: str
    at_ns: int

    def __str__(self) -> str:
        return f"{self.mio_id} is registered"


@dataclass(frozen=True, slots=True)
class AccountLapsed:
    """A mioID is no longer good (A3)."""

    mio_id: str
    at_ns: int

    def __str__(self) -> str:
        return f"{self.mio_id} has lapsed"


@dataclass(frozen=True, slots=True)
class ContractAdded:
    """A contract was applied for."""

    contract: str
    at_ns: int

    def __str__(self) -> str:
        return f"contract {self.contract} is applied for"


@dataclass(frozen=True, slots=True)
class ContractStarted:
    """Use began."""

    contract: str
    plan: str | None
    at_ns: int

    def __str__(self) -> str:
        plan = f" with plan {self.plan}" if self.plan else ""
        return f"contract {self.contract} has started{plan}"


@dataclass(frozen=True, slots=True)
class ContractEnded:
    """A contract ended; its lines were removed before. `started` False: it was never in use."""

    contract: str
    at_ns: int
    why: str
    started: bool

    def __str__(self) -> str:
        return f"contract {self.contract} has ended: {self.why}"


@dataclass(frozen=True, slots=True)
class LineAdded:
    """A line was added (L4)."""

    contract: str
    line: str
    at_ns: int

    def __str__(self) -> str:
        return f"line {self.line} is added to {self.contract}"


@dataclass(frozen=True, slots=True)
class LineRemoved:
    """A line is no more; what its SIM holds is gone (L4)."""

    contract: str
    line: str
    at_ns: int
    why: str

    def __str__(self) -> str:
        return f"line {self.line} is removed from {self.contract}: {self.why}"


@dataclass(frozen=True, slots=True)
class LineSuspended:
    """A line is out of service; its session is to be cut at once (L1)."""

    line: str
    at_ns: int

    def __str__(self) -> str:
        return f"line {self.line} is suspended"


@dataclass(frozen=True, slots=True)
class LineResumed:
    """A line is in service again (L1)."""

    line: str
    at_ns: int

    def __str__(self) -> str:
        return f"line {self.line} is in service"


@dataclass(frozen=True, slots=True)
class SimReplaced:
    """A line has a new card; the old one is refused from now on (L2)."""

    line: str
    old_iccid: str | None
    new_iccid: str
    at_ns: int

    def __str__(self) -> str:
        old = f"; {self.old_iccid} is refused from now on" if self.old_iccid else ""
        return f"line {self.line} has the card {self.new_iccid}{old}"


@dataclass(frozen=True, slots=True)
class PlanOrdered:
    """Another plan was ordered, from `from_ns` on (A10)."""

    contract: str
    plan: str
    at_ns: int
    from_ns: int

    def __str__(self) -> str:
        return f"contract {self.contract} has plan {self.plan} from {date_of(self.from_ns)} on"


@dataclass(frozen=True, slots=True)
class PlanChanged:
    """A plan came into force; coupons and balances stay (A10)."""

    contract: str
    plan: str
    at_ns: int

    def __str__(self) -> str:
        return f"contract {self.contract} has plan {self.plan}"


@dataclass(frozen=True, slots=True)
class CancellationReserved:
    """Something ends at `effective_ns` (A4, A5); the code of an option is "contract/option"."""

    kind: Cancelled
    code: str
    at_ns: int
    effective_ns: int

    def __str__(self) -> str:
        return (
            f"{self.kind} {self.code} is cancelled as of the end of {last_date(self.effective_ns)}"
        )


@dataclass(frozen=True, slots=True)
class CancellationWithdrawn:
    """A reserved cancellation was taken back (A4)."""

    kind: Cancelled
    code: str
    at_ns: int

    def __str__(self) -> str:
        return f"{self.kind} {self.code} goes on"


@dataclass(frozen=True, slots=True)
class OptionAdded:
    """An option was accepted (O2)."""

    contract: str
    option: str
    at_ns: int
    fees: tuple[Fee, ...]

    def __str__(self) -> str:
        return f"contract {self.contract} has the option {self.option}"


@dataclass(frozen=True, slots=True)
class OptionEnded:
    """An option ended."""

    contract: str
    option: str
    at_ns: int

    def __str__(self) -> str:
        return f"contract {self.contract} has the option {self.option} no longer"


@dataclass(frozen=True, slots=True)
class PortOutReserved:
    """A number may leave until `expires_ns` (A7)."""

    line: str
    at_ns: int
    expires_ns: int

    def __str__(self) -> str:
        return f"line {self.line} may take its number elsewhere until {last_date(self.expires_ns)}"


@dataclass(frozen=True, slots=True)
class ReservationLapsed:
    """A reservation for taking a number elsewhere ran out unused (A7)."""

    line: str
    at_ns: int

    def __str__(self) -> str:
        return f"line {self.line} keeps its number: the reservation has run out"


Effect = (
    AccountOpened
    | AccountLapsed
    | ContractAdded
    | ContractStarted
    | ContractEnded
    | LineAdded
    | LineRemoved
    | LineSuspended
    | LineResumed
    | SimReplaced
    | PlanOrdered
    | PlanChanged
    | CancellationReserved
    | CancellationWithdrawn
    | OptionAdded
    | OptionEnded
    | PortOutReserved
    | ReservationLapsed
)
