"""Transactions of one store: calls alone, groups, deferred calls; the fence and the lease of its run.

Every transaction of a run that writes proves first that the run is still on, and that this is still the
database that it wrote to before. SQLite lets one process write at a time, so what was proven holds
until the transaction ends.
"""

import re
from collections.abc import Iterable
from types import TracebackType

from engine import clock
from engine.errors import PktollError, PoolError, PoolFenced, PoolUnavailable
from engine.pool import sqlite_run
from engine.pool import sqlite_statements as sql
from engine.pool.sqlite import Database
from engine.pool.sqlite_fresh import Fresh
from engine.pool.sqlite_journal import Journal
from engine.pool.store import StoreOptions

_GATEWAY_NAME = re.compile(r"[A-Za-z0-9_.-]{1,64}")


class Atomic:
    """One call: a transaction of its own, or a part of the caller's group or of what is deferred.

    In a group, a refusal (raised before anything was written) leaves the group as it was; anything
    else, an interrupt for one, takes the whole group back, because the call may be half done.
    """

    def __init__(self, session: "Session") -> None:
        self._session = session
        self._alone = False

    def __enter__(self) -> None:
        self._alone = self._session.enter()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if kind is None:
            if self._alone:
                self._session.leave()
        elif self._alone or not issubclass(kind, PktollError):
            self._session.db.rollback()


class Session:
    """An open database with a run on it, or without one for operators (`options.gateway` None)."""

    def __init__(self, path: str | None, options: StoreOptions) -> None:
        gateway = options.gateway
        if gateway is not None and not _GATEWAY_NAME.fullmatch(gateway):
            raise PoolError(
                f"gateway {gateway[:80]!r}: a name has 1 to 64 letters, digits, '-', '_' or '.'"
            )
        self.options = options
        self.db = Database(path, options.answer_ms)
        self.lasting = path is not None
        self.atomic = Atomic(self)
        self.fresh = self.db.unwritten = Fresh(self.db)
        self.recovered: list[str] = []
        self.closed = False
        self._deferring = False
        self._deferred = False  # a transaction was begun for calls that are deferred
        self._now_ns = 0
        self._steady_ns = clock.lease_ns()
        self._renewed_ns = 0
        self._seen_version: int | None = None
        try:
            if gateway is not None:
                self.db.claim(gateway)
            self.run_id, self.journal = self._start()
        except BaseException:
            self.db.close()
            raise

    def _start(self) -> tuple[int, Journal]:
        """Begin a run, and settle what an earlier one of this gateway left open."""
        options = self.options
        if options.gateway is None:
            return 0, Journal(self.db, 0)
        self.db.begin()
        self._renewed_ns = self.now()
        lease = (self._renewed_ns, self._renewed_ns + options.lease_ns)
        run_id, journal, found = sqlite_run.start(
            self.db, options.gateway, options.uncertain, lease
        )
        journal.put_down()
        self.db.commit()
        journal.committed()
        self.recovered += found
        return run_id, journal

    # -- time

    def now(self) -> int:
        """The database's clock, ns since 1970: the machine's, which a step back does not stop (F13).

        It goes on from the newest time stored, and from the last time seen here at the pace of a clock
        that nobody sets. A step ahead can end leases too early, never a coupon.
        """
        steady_ns = clock.lease_ns()
        stored_ns = self.db.value(sql.NEWEST_TIME) or 0
        gone_on_ns = self._now_ns + steady_ns - self._steady_ns if self._now_ns else 0
        self._now_ns = max(clock.now_ns(), stored_ns, gone_on_ns)
        self._steady_ns = steady_ns
        return self._now_ns

    def renew(self) -> None:
        """Extend the lease. See `CouponStore.renew`."""
        with self.atomic:
            self._extend()

    def _extend(self) -> None:
        if self.run_id:
            self._renewed_ns = self.now()
            until_ns = self._renewed_ns + self.options.lease_ns
            self.db.run(sql.RENEW, self._renewed_ns, until_ns, self.run_id)

    # -- transactions

    def enter(self) -> bool:
        """A call begins; whether it is a transaction of its own."""
        if self.db.in_transaction:
            return False
        self._check_deferred()
        self._open()
        self._deferred = self._deferring
        return not self._deferring

    def leave(self) -> None:
        """Make the transaction durable."""
        self.journal.put_down()
        self.db.commit()
        self.journal.committed()

    def _check_deferred(self) -> None:
        """PoolError where calls that were deferred are gone."""
        if self._deferred and not self.db.in_transaction:
            raise PoolUnavailable(
                f"{self.db.where}: what was asked since the last flush was taken back by a failure;"
                " none of it may be let out, flush and ask again"
            )

    def _open(self) -> None:
        """Begin a transaction that writes, if this run may still write; else PoolFenced."""
        if self.closed:
            raise PoolError(f"{self.db.where}: closed already; open the store again")
        if self.db.is_replaced():
            raise PoolFenced(
                f"{self.db.where}: another file has taken its place while it was open; stop, and start"
                " anew on the file that is to be used"
            )
        self.db.begin()
        own_id, own_sum = self.journal.own
        state, last_id, found_sum = self.db.run(sql.FENCE, self.run_id, own_id)[0]
        if last_id < self.journal.known_id or (own_id and found_sum != own_sum):
            self._fenced(
                "does not hold what was written to it: it was restored from an older backup"
            )
        if self.run_id and state is None:
            self._fenced(f"does not know run {self.run_id}: it was restored from an older backup")
        if self.run_id and state != "open":
            self._fenced(
                f"run {self.run_id} of gateway {self.options.gateway} is over, another took over"
            )
        self.journal.opened(last_id)

    def _fenced(self, reason: str) -> None:
        """Refuse for good, and count it on the run's row, if that is there (I4)."""
        self.db.run(sql.COUNT_REFUSED, self.run_id)
        self.db.commit()
        raise PoolFenced(
            f"{self.db.where}: {reason}; nothing that is said in its name counts any more, start anew"
        )

    def begin(self) -> None:
        """Open a group of calls that become durable together; what was deferred becomes so before."""
        if self.db.in_transaction and not self._deferred:
            raise PoolError(f"{self.db.where}: a group is open already; commit it first")
        if self._deferred:
            self._flush()
        self._open()

    def commit(self) -> None:
        """Make the group durable; returns when it is."""
        if not self.db.in_transaction or self._deferred:
            raise PoolError(f"{self.db.where}: no group is open; nothing of it was kept")
        self.leave()

    def rollback(self) -> None:
        """Take the open group back, if there is one."""
        if not self._deferred:
            self.db.rollback()

    def defer(self) -> None:
        """Keep one transaction open for the calls until `flush`, from the first that writes on."""
        self._deferring = True

    def flush(self) -> None:
        """Make what was deferred durable, with one fsync, and extend the lease.

        With nothing deferred, the lease is extended when an eighth of it is over: not an fsync a call.
        A database that ends with the process can wait: nothing makes it durable, and nobody else sees it.
        """
        self._deferring = False
        if self._deferred and (self.lasting or not self.db.in_transaction):
            self._flush()
        elif self.run_id and self.lasting and not self.db.in_transaction:
            if self.now() - self._renewed_ns >= self.options.lease_ns // 8:
                self.renew()

    def _flush(self) -> None:
        try:
            self._check_deferred()
        finally:
            self._deferred = False
        try:
            self._extend()
            self.leave()
        except BaseException:
            self.db.rollback()
            raise

    def add_contracts(self, known: dict[str, int], codes: Iterable[str]) -> None:
        """Enter those of the contracts that are not among `known`, keys by code, and add them there."""
        new = [code for code in dict.fromkeys(codes) if code not in known]
        ids = self.db.insert(sql.ADD_CONTRACTS, [(code,) for code in new], ahead=True)
        added = dict(zip(new, ids, strict=True))
        self.fresh.add_contracts(added)
        known |= added

    def require_run(self) -> None:
        """PoolError for operators: only a gateway holds lines and slices."""
        if not self.run_id:
            raise PoolError(
                f"{self.db.where}: opened without a gateway's name; only gateways open and use lines"
            )

    def close(self, clean: bool = True) -> None:
        """End the run; a second call does nothing. See `CouponStore.close`."""
        if self.closed:
            return
        try:
            if clean:
                self._end()
        finally:
            self.closed = True
            self.db.close()

    def _end(self) -> None:
        if not self.db.in_transaction:
            self._check_deferred()
            self._open()
        if self.run_id:
            sqlite_run.end(self.db, self.run_id)
        self.leave()
