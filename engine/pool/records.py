"""What is said to a coupon store and what it answers: plain records, and the figures of the rules.

Every time is int64 ns since 1970, in the engine's time unless it says otherwise. Amounts are bytes.
"""

from dataclasses import dataclass
from typing import Literal, NamedTuple

from engine.units import MB, NS_PER_S

BUNDLE = "bundle"
TOPUP = "topup"
KINDS = (BUNDLE, TOPUP)
"""kinds of coupon; in this order where they expire together (C5), which is also the alphabet's"""
TOPUP_BYTES = 100 * MB
"""bytes of an additional coupon (C3)"""
TOPUPS_A_MONTH = 30
"""additional coupons that a contract may buy in a calendar month (C3)"""

BYTES_MAX = 1 << 62
"""bytes; the most that one entry or one contract may hold, so that no sum of two leaves int64"""
CODE_CHARACTERS_MAX = 64
REQUEST_CHARACTERS_MAX = 128
USAGE_DAYS_KEPT = 30
"""JST days of usage that are kept for each line (Q3)"""


class Grant(NamedTuple):
    """A slice that was handed out; both 0 when the contract has no good coupon left."""

    slice_id: int
    granted_bytes: int


class Request(NamedTuple):
    """A slice that is asked for: see `CouponStore.grant`."""

    request_id: str
    contract: str
    line: str
    now_ns: int


class Credit(NamedTuple):
    """A coupon to be added: see `CouponStore.credit`."""

    credit_id: str
    contract: str
    kind: str
    credited_bytes: int
    credited_ns: int
    expires_ns: int


class ContractBalance(NamedTuple):
    """A contract's coupons summed up: credited = in_database + granted + expired (D9, I1)."""

    code: str
    credited_bytes: int
    in_database_bytes: int
    granted_bytes: int
    expired_bytes: int


class CouponBalance(NamedTuple):
    """One coupon: credited = in_database + granted + expired (I1)."""

    coupon_id: int
    credit_id: str
    kind: str
    credited_ns: int
    expires_ns: int
    credited_bytes: int
    in_database_bytes: int
    granted_bytes: int
    expired_bytes: int


class SliceState(NamedTuple):
    """One slice, or the opening entry of a line (`request_id` "": granted by no coupon, C7)."""

    slice_id: int
    request_id: str
    granted_bytes: int
    used_bytes: int
    uncertain_bytes: int

    @property
    def on_sim_bytes(self) -> int:
        """What the SIM still holds of it: granted - used - uncertain (I1)."""
        return self.granted_bytes - self.used_bytes - self.uncertain_bytes


class LineBalance(NamedTuple):
    """One line, as far as the database knows it (Q2, Q4, L5).

    `balance_bytes` is exact as of the last settlement: granted - used - uncertain. `shown_bytes` is what
    customers are shown, brought up to date only when L5 says (None: never yet), as of `shown_ns`.
    `coupon_on`, `in_service` and `regulated` are None until somebody said so. `gateway` has the line
    open, or None.
    """

    code: str
    contract: str
    balance_bytes: int
    used_bytes: int
    uncertain_bytes: int
    shown_bytes: int | None
    shown_ns: int | None
    coupon_on: bool | None
    in_service: bool | None
    regulated: bool | None
    gateway: str | None


class LineNews(NamedTuple):
    """What changed in the state of a line at `at_ns`; None: nothing was said about it (Q4, L5)."""

    at_ns: int
    coupon_on: bool | None = None
    in_service: bool | None = None
    regulated: bool | None = None
    shown_bytes: int | None = None


class Purchase(NamedTuple):
    """Additional coupons bought together (C3, Q1)."""

    request_id: str
    bought_ns: int
    coupons: int
    bytes: int
    expires_ns: int


UsageRow = tuple[str, int, int, int, int, int]
"""what a line carried on a JST day: line, day, and the four figures of `DayUsage`"""


class DayUsage(NamedTuple):
    """What a line carried on one JST day (`engine.calendar.day_of`), as last reported (Q3).

    `restricting_bytes` are those of them that count towards the 3-day restriction (R1, X3).
    """

    day: int
    with_coupon_bytes: int
    without_coupon_bytes: int
    exempt_bytes: int
    restricting_bytes: int
    updated_ns: int


class Notice(NamedTuple):
    """What somebody else did to the database: `kind` is "credit" (of `contract`) or "state" (of `line`).

    For "state", `news` is what changed. Both None: anything may have changed, look at everything.
    """

    kind: Literal["credit", "state", "all"]
    contract: str | None = None
    line: str | None = None
    news: LineNews | None = None


class Account(NamedTuple):
    """A customer's document in the contract book; `version` counts its changes from 1."""

    mio_id: str
    version: int
    document: str


class BookEntry(NamedTuple):
    """One change of the contract book, as its journal keeps it."""

    mio_id: str
    version: int
    at_ns: int
    action: str
    detail: str


@dataclass(frozen=True, slots=True)
class StoreOptions:
    """How a gateway opens a store.

    gateway: the gateway's name; a second process under the same name is refused while the first lives,
        and takes over when that one is dead. None: an operator's look and purchases, without a run.
    uncertain: who bears what a broken-off run may have used beyond its last report (G4).
    lease_ns: ns of the database's clock after which a silent gateway's lines may be taken over by another.
    answer_ms: ms for which an answer of the database is waited for, retries included.
    """

    gateway: str | None = "gateway"
    uncertain: Literal["charge", "refund"] = "charge"
    lease_ns: int = 60 * NS_PER_S
    answer_ms: int = 5_000
