"""What a coupon database must do, whichever one it is, and the one function that opens it.

Every time is a parameter: int64 ns since 1970, in the engine's time. Amounts are bytes, 0 to 2^62.
A coupon is good from `credited_ns` on and before `expires_ns`, to the nanosecond.
"""

from typing import NamedTuple, Protocol

from engine.errors import PoolError, UsageError

BUNDLE = "bundle"
TOPUP = "topup"
KINDS = (BUNDLE, TOPUP)
"""kinds of coupon; in this order where they expire together (C5), which is also the alphabet's"""

BYTES_MAX = 1 << 62
"""bytes; the most that one entry or one contract may hold, so that no sum of two leaves int64"""
CODE_CHARACTERS_MAX = 64
REQUEST_CHARACTERS_MAX = 128


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


class CouponStore(Protocol):
    """A coupon database that one gateway has open; a run lasts from `open_store` to `close`.

    Every method raises PoolError, in one line, when the database refuses or cannot be used. A call
    that is refused changes nothing. A call outside `begin` and `commit` is a transaction of its
    own; when the database itself fails within a group, the whole group is taken back.
    """

    run_id: int
    """number of this run; request ids made from it and a counter are never used twice"""
    recovered: list[str]
    """one line per SIM whose balance the run before left unsettled, now booked as uncertain (G4)"""

    def begin(self) -> None:
        """Open a group: what follows becomes durable together, with one fsync, at `commit`."""

    def commit(self) -> None:
        """End the group; returns only when it is durable (D9, G2)."""

    def rollback(self) -> None:
        """Take the open group back; nothing happens without one."""

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

    def open_line(self, contract: str, line: str, initial_balance_bytes: int) -> int:
        """Open a line for this run; returns the balance on its SIM, as earlier runs left it (I8).

        A line never seen before starts with `initial_balance_bytes`, an entry that no coupon paid
        for (C7); for a line that is known the argument is not looked at.
        """

    def grant(self, request_id: str, contract: str, line: str, now_ns: int) -> Grant:
        """Hand out a slice of at most 10 MB from the contract's good coupons (D1-D3, C5, C6).

        With nothing left, slice and bytes are 0 and nothing is stored. The same request again in
        the same run gives the same slice (I3). Refused: a request id known with another line or
        contract (F9), one of an earlier run (what its slice held is part of what `open_line`
        returned), a line that was not opened in this run.
        """

    def settle(self, line: str, used_bytes: int, final: bool) -> None:
        """Report use: all bytes charged to the line in this run, cumulative (I5: used = max).

        The oldest bytes on the SIM are used first. `final` closes the line, so that nothing of it
        is uncertain if the run breaks off later; a grant or `open_line` opens it again. Refused:
        more than the SIM held (I2), more than before on a closed line.
        """

    def expire(self, now_ns: int) -> int:
        """Book the rest of coupons with `expires_ns <= now_ns` as expired (C6, I7); its bytes."""

    def contracts(self) -> list[ContractBalance]:
        """Every contract, in the order of the codes."""

    def coupons(self, contract: str) -> list[CouponBalance]:
        """The contract's coupons in the order of use (C5), those without a byte left included."""

    def slices(self, line: str) -> list[SliceState]:
        """The line's opening entry and slices, in the order in which they came."""

    def audit(self) -> list[str]:
        """Hold every book against every other; a line per broken invariant, [] when all agree."""

    def settings(self) -> dict[str, str]:
        """Name, version and settings of the database as read back from it, for `doctor`."""

    def close(self, clean: bool = True) -> None:
        """End the run. A clean end is the caller's word that all use was reported with `settle`.

        Otherwise an open group is taken back, and what open lines have not settled becomes
        uncertain when the store is opened next.
        """


def open_store(url: str | None) -> CouponStore:
    """Open the coupon database at `url` and begin a run.

    None or "sqlite://": in memory. "sqlite:///coupons.db": a file, relative to the working folder;
    "sqlite:////var/lib/coupons.db": absolute. UsageError for any other form; PoolError when the
    database is in use, damaged, not ours or newer than this version.
    """
    # Imported here: the stores need the records above, and not every caller of them needs a store.
    from engine.pool.sqlite_store import SqliteStore

    if url is None or url == "sqlite://":
        return SqliteStore(None)
    if url.startswith("sqlite:///") and len(url) > len("sqlite:///"):
        return SqliteStore(url.removeprefix("sqlite:///"))
    if url.startswith(("postgresql://", "postgres://")):
        raise PoolError(
            "pool: this version has no PostgreSQL store yet; write sqlite:///FILE instead"
        )
    raise UsageError(
        f"pool {url!r}: not a coupon database; write sqlite:///relative.db, sqlite:////absolute.db,"
        " or sqlite:// for one in memory"
    )
