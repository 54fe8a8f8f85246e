"""What a coupon database must do, whichever one it is, and the one function that opens it.

Every time is a parameter: int64 ns since 1970, in the engine's time. Amounts are bytes, 0 to 2^62.
A coupon is good from `credited_ns` on and before `expires_ns`, to the nanosecond.

Several gateways share one database. Each opens it by its own name; a *run* lasts from there to `close`
and is fenced by its number: once another has taken over from it, nothing it says counts any more.
"""

from collections.abc import Iterator, Sequence
from typing import Protocol

from engine.errors import UsageError
from engine.pool.records import (
    BUNDLE,
    BYTES_MAX,
    CODE_CHARACTERS_MAX,
    KINDS,
    REQUEST_CHARACTERS_MAX,
    TOPUP,
    TOPUP_BYTES,
    TOPUPS_A_MONTH,
    USAGE_DAYS_KEPT,
    Account,
    BookEntry,
    ContractBalance,
    CouponBalance,
    Credit,
    DayUsage,
    Grant,
    LineBalance,
    LineNews,
    Notice,
    Purchase,
    Request,
    SliceState,
    StoreOptions,
    UsageRow,
)

__all__ = [
    "BUNDLE",
    "BYTES_MAX",
    "CODE_CHARACTERS_MAX",
    "KINDS",
    "REQUEST_CHARACTERS_MAX",
    "TOPUP",
    "TOPUPS_A_MONTH",
    "TOPUP_BYTES",
    "USAGE_DAYS_KEPT",
    "Account",
    "BookEntry",
    "ContractBalance",
    "CouponBalance",
    "CouponStore",
    "Credit",
    "DayUsage",
    "Grant",
    "LineBalance",
    "LineNews",
    "Notice",
    "Purchase",
    "Request",
    "SliceState",
    "StoreOptions",
    "UsageRow",
    "open_store",
]

_FILE = "sqlite:///"


class CouponStore(Protocol):
    """A coupon database that one gateway has open; a run lasts from `open_store` to `close`.

    Every method raises PoolError, in one line, when the database refuses; PoolUnavailable where it cannot
    be used (now), and PoolFenced where another has taken over from this run: then it must stop.
    A call that is refused changes nothing. A call outside `begin` and `commit` is a transaction of its
    own, durable when it returns, unless `defer` was called. When the database itself fails within a
    group, the whole group is taken back.
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
        """Add a coupon; False if this credit was there already, PoolError if with other figures.

        A contract that has ended gets no coupons any more: False as well.
        """

    def credit_all(self, credits: Sequence[Credit]) -> None:
        """`credit` for many coupons at once, in a few statements; one that is refused refuses all."""

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

    def grant_all(self, requests: Sequence[Request]) -> list[Grant]:
        """`grant` for many requests, in their order, in as few statements as the database needs.

        One that is refused raises; those before it may have been granted, and may be asked again.
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

    def report_usage(self, rows: Sequence[UsageRow], at_ns: int) -> None:
        """Usage of lines on JST days: (line, day, with coupon, without coupon, exempt, restricting), in
        bytes.

        Cumulative for this run and day: a repeated report replaces the one before (Q3). Days that are
        `USAGE_DAYS_KEPT` or more before the newest of a line are forgotten.
        """

    def usage(self, line: str, first_day: int) -> list[DayUsage]:
        """The line's days of use from `first_day` on, oldest first, all runs added up."""

    def restricting(self, lines: Sequence[str], first_day: int) -> list[tuple[str, int, int]]:
        """What counts towards the 3-day restriction of lines (R1): (line, day, bytes), as all runs but this
        one reported it of the JST days from `first_day` on.

        In the order of lines and days; lines and days without are left out. One query, however many lines.
        """

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
        """The account that bears a name.

        `kind` is "mio", "contract", "line", "imsi", "iccid" or "msisdn".
        """

    def save_account(
        self,
        account: Account,
        names: Sequence[tuple[str, str]],
        entry: BookEntry,
    ) -> None:
        """Store an account's document under all its names, and the change in the book's journal.

        `names` are (kind, name), as in `find_account`. `account.version` must be one more than the stored
        one (1 for a new account), else PoolError: it was changed by another process. PoolError where a
        name is another account's.
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

        Otherwise an open group is taken back, and of what open lines hold, all up to their marks that
        is not known to be used becomes uncertain when the gateway comes back or its lease is over.
        """


def open_store(url: str | None, options: StoreOptions | None = None) -> CouponStore:
    """Open the coupon database at `url` and begin a run.

    None or "sqlite://": in memory. "sqlite:///coupons.db": a file, relative to the working folder;
    "sqlite:////var/lib/coupons.db": absolute. "postgresql://user@host/database": PostgreSQL or a
    database that speaks its protocol. UsageError for any other form; PoolError when the database is
    damaged, not ours or newer than this version, or when the gateway's name is in use.
    """
    # Imported here: the stores need the records above, and not every caller of them needs a store.
    options = options or StoreOptions()
    if url is not None and url.startswith(("postgresql://", "postgres://")):
        from engine.pool.postgres_store import PostgresStore

        return PostgresStore(url, options)
    from engine.pool.sqlite_store import SqliteStore

    if url is None or url == "sqlite://":
        return SqliteStore(None, options)
    if url.startswith(_FILE) and url != _FILE:
        return SqliteStore(url.removeprefix(_FILE), options)
    raise UsageError(
        f"pool {url!r}: not a coupon database; write sqlite:///relative.db, sqlite:////absolute.db,"
        " sqlite:// for one in memory, or postgresql://user@host/database"
    )


def database_files(url: str | None) -> list[str]:
    """The files of a coupon database that lasts, there or not; none of a server's or of one in memory."""
    if url is None or not url.startswith(_FILE) or url == _FILE:
        return []
    path = url.removeprefix(_FILE)
    return [f"{path}{suffix}" for suffix in ("", "-wal", "-shm", "-journal")]


def private_copy(url: str | None, folder: str) -> str | None:
    """The URL of a copy, in `folder`, of a coupon database that lasts; one in memory as it is.

    For what may be tried but must not be kept. UsageError for PostgreSQL; PoolError where the file is
    missing, damaged or not ours (the latter when the copy is opened).
    """
    if url is None or not url.startswith((_FILE, "postgresql://", "postgres://")):
        return url
    if not url.startswith(_FILE):
        raise UsageError(
            "pool: a PostgreSQL database cannot be copied for this; leave --pool out, or give a SQLite file"
        )
    from engine.pool.sqlite import copy_database

    copy_database(url.removeprefix(_FILE), f"{folder}/coupons.db")
    return f"{_FILE}{folder}/coupons.db"
