"""What a coupon database must do, whichever one it is, and the one function that opens it.

Every time is a parameter: int64 ns since 1970, in the engine's time. Amounts are bytes, 0 to 2^62.
A coupon is good from `credited_ns` on and before `expires_ns`, to the nanosecond.

Several gateways share one database. Each opens it by its own name; a *run* lasts from there to `close`
and is fenced by its number: once another has taken over from it, nothing it says counts any more.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple, Protocol

from engine.errors import UsageError
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


class DayUsage(NamedTuple):
    """What a line carried on one JST day (`engine.calendar.day_of`), as last reported (Q3)."""

    day: int
    with_coupon_bytes: int
    without_coupon_bytes: int
    exempt_bytes: int
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


class CouponStore(Protocol):
    """A coupon database that one gateway has open; a run lasts from `open_store` to `close`.

    Every method raises PoolError, in one line, when the database refuses; PoolUnavailable where it cannot
    be used (now), and PoolFenced where another has taken over from this run: then it must stop.
    A call that is refused changes nothing. A call outside `begin` and `commit` is a transaction of its
    own, durable when it returns, unless `defer` was called. When the database itself fails within a group, the
    whole group is taken back.
    """

    run_id: int
    """number of this run; request ids made from it and a counter are never used twice. 0: no run"""
    lasting: bool
    """whether what is stored outlives this process: otherwise marks and usage need not be written"""
    recovered: list[str]
    """one line per SIM that a run broken off left unsettled, with the bytes now uncertain (G4)"""

    def begin(self) -> None:
        """Open a group: what follows becomes durable together, with one fsync, at `commit`."""

    def commit(self) -> None:
        """End the group; returns only when it is durable (D9, G2)."""

    def rollback(self) -> None:
        """Take the open group back; nothing happens without one."""

    def defer(self) -> None:
        """From now on calls may return before they are durable; nothing happens if that is so already.

        A store may hold its write lock until `flush`, so the time between must be short.
        """

    def flush(self) -> None:
        """Make all that was deferred durable, with one fsync; returns when it is. Extends the lease.

        PoolError means that none of it may be relied on: what was deferred must not be let out.
        """

    def renew(self) -> None:
        """Extend the lease of this run; PoolFenced when another has taken over."""

    def credit(
        self,
        credit_id: str,
        contract: str,
        kind: str,
        credited_bytes: int,
        credited_ns: int,
        expires_ns: int,
    ) -> bool:
        """Add a coupon; False if this credit was there already, PoolError if with other figures."""

    def buy(self, request_id: str, contract: str, coupons: int, at_ns: int) -> bool:
        """Add additional coupons of 100 MB bought at `at_ns` (C3, C4); False if this request was done.

        RefusedError, and nothing is bought, where the month's purchases would exceed 30, in whatever
        run and by whichever process they were made. PoolError for a contract that is not known, and for a
        known request with other figures.
        """

    def purchases(self, contract: str, since_ns: int) -> list[Purchase]:
        """Purchases at `since_ns` or later, newest first (Q1)."""

    def open_line(self, contract: str, line: str, initial_balance_bytes: int) -> int:
        """Open a line for this run; returns the balance on its SIM, as earlier runs left it (I8).

        A line never seen before starts with `initial_balance_bytes`, an entry that no coupon paid
        for (C7); for a line that is known the argument is not looked at. A line that another gateway
        has open is refused while that one's lease lasts; after it, that run is fenced off, and what it
        may have used is booked as uncertain (I4).
        """

    def reported(self, line: str) -> int:
        """Use of the line that counts as reported in this run: what `settle` and `mark` figures must not
        fall below. Back at 0 when another run had the line in between; PoolError if it is not open."""

    def open_lines(self, lines: Sequence[tuple[str, str, int]]) -> list[int]:
        """`open_line` for many (contract, line, initial balance) at once, in a few statements."""

    def close_contract(self, contract: str, at_ns: int) -> int:
        """End a contract (A4, A6): what its coupons hold expires at once. Returns those bytes."""

    def remove_line(self, line: str, at_ns: int) -> int:
        """Remove a line for good (L4): what its SIM holds is gone, booked as used by "removal".

        Returns those bytes. Refused while a gateway has it open.
        """

    def grant(self, request_id: str, contract: str, line: str, now_ns: int) -> Grant:
        """Hand out a slice of at most 10 MB from the contract's good coupons (D1-D3, C5, C6).

        With nothing left, slice and bytes are 0 and nothing is stored. The same request again in
        the same run gives the same slice (I3). Refused: a request id known with another line or
        contract (F9), one of an earlier run (what its slice held is part of what `open_line`
        returned), a line that was not opened in this run.
        """

    def mark(self, marks: Sequence[tuple[str, int, int]]) -> None:
        """Say ahead how far lines may use what they hold: (line, used, mark), cumulative in this run.

        `used` is certain, `mark` the most that may be used before the next call (G4): should the run
        break off, `used` is booked as used and only what lies between as uncertain. Neither ever falls:
        a smaller figure is passed over. Refused: used > mark, a mark beyond what the line was granted.
        """

    def settle(self, line: str, used_bytes: int, final: bool) -> None:
        """Report use: all bytes charged to the line in this run, cumulative (I5: used = max).

        The oldest bytes on the SIM are used first. `final` closes the line, so that nothing of it
        is uncertain if the run breaks off later and other gateways may open it; a grant or `open_line`
        opens it again. Refused: more than the SIM held (I2), more than before on a closed line.
        """

    def settle_all(self, used: Sequence[tuple[str, int]], final: bool) -> None:
        """`settle` for many (line, used bytes) at once."""

    def expire(self, now_ns: int) -> int:
        """Book the rest of coupons with `expires_ns <= now_ns` as expired (C6, I7); its bytes."""

    def note(self, line: str, news: LineNews) -> None:
        """Keep a line's state (Q4, L5): what `news` says; also entered in the journal, but `regulated`
        and `shown_bytes`. The line must be known."""

    def note_all(self, news: Sequence[tuple[str, LineNews]]) -> None:
        """`note` for many lines at once."""

    def report_usage(self, rows: Sequence[tuple[str, int, int, int, int]], at_ns: int) -> None:
        """Usage of lines on JST days: (line, day, with coupon, without coupon, exempt), in bytes.

        Cumulative for this run and day: a repeated report replaces the one before (Q3). Days that are
        `USAGE_DAYS_KEPT` or more before the newest of a line are forgotten.
        """

    def usage(self, line: str, first_day: int) -> list[DayUsage]:
        """The line's days from `first_day` on, oldest first, all runs added up; days without use left out."""

    def contracts(self) -> list[ContractBalance]:
        """Every contract, in the order of the codes."""

    def coupons(self, contract: str) -> list[CouponBalance]:
        """The contract's coupons in the order of use (C5), those without a byte left included."""

    def lines(self, contract: str | None = None) -> list[LineBalance]:
        """The lines of a contract, or all of them, in the order of the codes; removed ones left out."""

    def slices(self, line: str) -> list[SliceState]:
        """The line's opening entry and slices, in the order in which they came."""

    def notices(self) -> list[Notice]:
        """What others did since the last call, oldest first; cheap enough for every batch."""

    def find_account(self, kind: str, name: str) -> Account | None:
        """The account that bears a name: `kind` is "mio", "contract", "line", "imsi", "iccid" or "msisdn"."""

    def save_account(
        self,
        account: Account,
        names: Sequence[tuple[str, str]],
        entry: BookEntry,
    ) -> None:
        """Store an account's document under all its names (as `find_account`), and the change in the book's journal.

        `account.version` must be one more than the stored one (1 for a new account), else PoolError: it
        was changed by another process. PoolError where a name is another account's.
        """

    def accounts(self) -> Iterator[Account]:
        """Every account, in the order of the mioIDs."""

    def book_entries(self, mio_id: str) -> list[BookEntry]:
        """The changes of one account, oldest first."""

    def audit(self) -> list[str]:
        """Hold every book against every other; a line per broken invariant, [] when all agree."""

    def settings(self) -> dict[str, str]:
        """Name, version and settings of the database as read back from it, for `doctor`."""

    def close(self, clean: bool = True) -> None:
        """End the run. A clean end is the caller's word that all use was reported with `settle`.

        Otherwise an open group is taken back, and of what open lines hold, all up to their marks that is not
        known to be used becomes uncertain when the gateway comes back or its lease is over.
        """


def open_store(url: str | None, options: StoreOptions | None = None) -> CouponStore:
    """Open the coupon database at `url` and begin a run.

    None or "sqlite://": in memory. "sqlite:///coupons.db": a file, relative to the working folder;
    "sqlite:////var/lib/coupons.db": absolute. "postgresql://user@host/database": PostgreSQL or a
    database that speaks its protocol. UsageError for any other form; PoolError when the database is damaged, not
    ours or newer than this version, or when the gateway's name is in use.
    """
    # Imported here: the stores need the records above, and not every caller of them needs a store.
    options = options or StoreOptions()
    if url is not None and url.startswith(("postgresql://", "postgres://")):
        from engine.pool.postgres_store import PostgresStore

        return PostgresStore(url, options)
    from engine.pool.sqlite_store import SqliteStore

    if url is None or url == "sqlite://":
        return SqliteStore(None, options)
    if url.startswith("sqlite:///") and len(url) > len("sqlite:///"):
        return SqliteStore(url.removeprefix("sqlite:///"), options)
    raise UsageError(
        f"pool {url!r}: not a coupon database; write sqlite:///relative.db, sqlite:////absolute.db,"
        " sqlite:// for one in memory, or postgresql://user@host/database"
    )
