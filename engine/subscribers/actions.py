"""What can be done in the contract book: actions as frozen data, each with the word that names it."""

from dataclasses import asdict, dataclass, fields
from typing import Annotated, Any, ClassVar, get_args

from pydantic import Field, TypeAdapter

from engine.config.faults import structural
from engine.config.model import STRICT, Flag
from engine.subscribers.account import Form, Quantity, Reference
from engine.subscribers.model import Address, Iccid, Imsi, Msisdn, TimeNs
from engine.subscribers.refusals import refused

Name = Annotated[str, Field(strict=True)]
"""a code or a name that is looked up, so that anything may be asked for"""


@dataclass(frozen=True, slots=True)
class Apply:
    """Apply for a contract (A2). `service` None: the default one; `plan` None: the default one, where
    the service has plans. `completed` False: the application lapses unless `Complete` follows (A3)."""

    __pydantic_config__ = STRICT
    do: ClassVar[str] = "apply"
    contract: Name
    plan: Name | None = None
    service: Name | None = None
    completed: Flag = True


@dataclass(frozen=True, slots=True)
class Complete:
    """The mioID's application is complete (A3)."""

    __pydantic_config__ = STRICT
    do: ClassVar[str] = "complete"


@dataclass(frozen=True, slots=True)
class SendDocument:
    """The customer has the contract document; its day is the first of the rescission's (A6)."""

    __pydantic_config__ = STRICT
    do: ClassVar[str] = "send-document"
    contract: Name


@dataclass(frozen=True, slots=True)
class Start:
    """Use of a contract begins. The contract document is there by then at the latest."""

    __pydantic_config__ = STRICT
    do: ClassVar[str] = "start"
    contract: Name


@dataclass(frozen=True, slots=True)
class Cancel:
    """Cancel a contract with all its lines and options (A4, A5)."""

    __pydantic_config__ = STRICT
    do: ClassVar[str] = "cancel"
    contract: Name


@dataclass(frozen=True, slots=True)
class CancelLine:
    """Cancel one of several lines (A4, A8)."""

    __pydantic_config__ = STRICT
    do: ClassVar[str] = "cancel-line"
    line: Name


@dataclass(frozen=True, slots=True)
class CancelOption:
    """Cancel an option (A4)."""

    __pydantic_config__ = STRICT
    do: ClassVar[str] = "cancel-option"
    contract: Name
    option: Name


@dataclass(frozen=True, slots=True)
class TakeBack:
    """Withdraw every cancellation reserved in a contract (A4)."""

    __pydantic_config__ = STRICT
    do: ClassVar[str] = "take-back"
    contract: Name


@dataclass(frozen=True, slots=True)
class Rescind:
    """End a contract at once, within the days that the law gives (A6)."""

    __pydantic_config__ = STRICT
    do: ClassVar[str] = "rescind"
    contract: Name


@dataclass(frozen=True, slots=True)
class ChangePlan:
    """Order another plan from the first of the next month on (A10)."""

    __pydantic_config__ = STRICT
    do: ClassVar[str] = "change-plan"
    contract: Name
    plan: Name


@dataclass(frozen=True, slots=True)
class AddLine:
    """Add a line (L4). `port_in_issued_ns`: its number comes from elsewhere (A7), by a reservation that
    was issued then; the line serves once `CompletePortIn` says so."""

    __pydantic_config__ = STRICT
    do: ClassVar[str] = "add-line"
    contract: Name
    line: Name
    imsi: Imsi | None = None
    msisdn: Msisdn | None = None
    iccid: Iccid | None = None
    form: Form = "standard"
    voice: Flag = False
    port_in_issued_ns: TimeNs | None = None
    addresses: tuple[Address, ...] = ()


@dataclass(frozen=True, slots=True)
class RemoveLine:
    """Remove a line at once; its balance is gone (L4)."""

    __pydantic_config__ = STRICT
    do: ClassVar[str] = "remove-line"
    line: Name


@dataclass(frozen=True, slots=True)
class Suspend:
    """Take a line out of service (L1)."""

    __pydantic_config__ = STRICT
    do: ClassVar[str] = "suspend"
    line: Name


@dataclass(frozen=True, slots=True)
class Resume:
    """Put a suspended line into service again (L1)."""

    __pydantic_config__ = STRICT
    do: ClassVar[str] = "resume"
    line: Name


@dataclass(frozen=True, slots=True)
class ReportLost:
    """The line's card is lost: it is refused from now on, even when it is found (L3)."""

    __pydantic_config__ = STRICT
    do: ClassVar[str] = "report-lost"
    line: Name


@dataclass(frozen=True, slots=True)
class ReplaceSim:
    """A new card is ready (L2): number, balance and history stay. `imsi`: where it has another one."""

    __pydantic_config__ = STRICT
    do: ClassVar[str] = "replace-sim"
    line: Name
    iccid: Iccid
    imsi: Imsi | None = None
    form: Form | None = None


@dataclass(frozen=True, slots=True)
class ReservePortOut:
    """Issue a reservation for taking a line's number elsewhere (A7)."""

    __pydantic_config__ = STRICT
    do: ClassVar[str] = "reserve-port-out"
    line: Name


@dataclass(frozen=True, slots=True)
class CompletePortOut:
    """The number has gone: the line ends, and with the last line the contract (A7)."""

    __pydantic_config__ = STRICT
    do: ClassVar[str] = "complete-port-out"
    line: Name


@dataclass(frozen=True, slots=True)
class CompletePortIn:
    """The number has come: the line serves (A7)."""

    __pydantic_config__ = STRICT
    do: ClassVar[str] = "complete-port-in"
    line: Name


@dataclass(frozen=True, slots=True)
class AddOption:
    """Order an option (O1, O2); `charging_from_ns` None: charging starts at once."""

    __pydantic_config__ = STRICT
    do: ClassVar[str] = "add-option"
    contract: Name
    option: Name
    quantity: Quantity = 1
    charging_from_ns: TimeNs | None = None


@dataclass(frozen=True, slots=True)
class ChangeDetails:
    """Keep another password or registered address, as references to where they are."""

    __pydantic_config__ = STRICT
    do: ClassVar[str] = "change-details"
    password: Reference | None = None
    address: Reference | None = None


OfAccount = Apply | Complete | ChangeDetails
OfContract = (
    SendDocument
    | Start
    | Cancel
    | CancelOption
    | TakeBack
    | Rescind
    | ChangePlan
    | AddLine
    | AddOption
)
OfLine = (
    CancelLine
    | RemoveLine
    | Suspend
    | Resume
    | ReportLost
    | ReplaceSim
    | ReservePortOut
    | CompletePortOut
    | CompletePortIn
)
Action = OfAccount | OfContract | OfLine
ACTIONS: dict[str, type[Action]] = {
    kind.do: kind for union in (OfAccount, OfContract, OfLine) for kind in get_args(union)
}
"""by the word that names it; in the order of the documentation's table"""


def describe(action: Action) -> str:
    """What the action says, in one line: its fields that differ from their defaults, secrets left out."""
    parts = []
    for field in fields(action):
        value = getattr(action, field.name)
        if value == field.default:
            continue
        said = ",".join(value) if isinstance(value, tuple) else str(value)
        if field.name in ("password", "address"):
            said = "..."
        parts.append(f"{field.name}={said}")
    return " ".join(parts)


_ADAPTERS: dict[type[Action], TypeAdapter[Any]] = {
    kind: TypeAdapter(kind) for kind in ACTIONS.values()
}
_RULES = {
    "addresses": "N2",
    "imsi": "N6",
    "iccid": "N6",
    "msisdn": "N6",
    "form": "L2",
    "port_in_issued_ns": "A7",
    "quantity": "O2",
    "charging_from_ns": "O2",
}
"""rule on which the form of a field stands; A1 for the others"""


def checked(action: Action) -> Action:
    """The action with its values in their canonical form; RefusedError for one that cannot be kept."""
    made, wrong = structural(_ADAPTERS[type(action)], asdict(action))
    if wrong:
        field = str(wrong[0].path[0])
        rule = _RULES.get(field, "A1")
        raise refused("field", do=action.do, field=field, what=wrong[0].what, rule=rule)
    valid: Action = made
    return valid
