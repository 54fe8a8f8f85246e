"""A gateway's session with PostgreSQL: its run, its claim and lease, and what is said again after a loss.

Every call is safe to say twice: requests have ids, reports are cumulative. So a call that met a lost
connection is said again on a new one. A server that crashed may have lost what was deferred since
the last flush: that is said again first, in its order, and must get the answers that it got before.
"""

import re
import time
from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar
from zlib import crc32

from engine import clock
from engine.errors import PoolError, PoolFenced, PoolUnavailable
from engine.pool import postgres_line_statements as sql
from engine.pool import postgres_schema
from engine.pool import postgres_state_statements as state_sql
from engine.pool.postgres import Database
from engine.pool.postgres_statements import PROVE_RUN
from engine.pool.store import StoreOptions
from engine.units import NS_PER_MS

_GATEWAY_NAME = re.compile(r"[A-Za-z0-9_.-]{1,64}")
_CLAIM = "SELECT pg_catalog.pg_try_advisory_lock({}, {})"
_CONFLICT_S = 0.002
_LET_GO_S = 0.005
_LET_GO_TRIES = 100
"""how often the name of a gateway that may have ended just now is asked for again"""
_TERMINATE = "SELECT pg_catalog.pg_terminate_backend({})"
LINES_AT_ONCE = 10_000
"""lines of one statement: each is answered soon, so that a server that hangs is told from one that works"""

Answer = TypeVar("Answer")
Work = Callable[[bool], Answer]
"""does a call once; told whether it may have been done before (a repetition)"""


def name_key(gateway: str) -> int:
    """The second key of the lock on a gateway's name: 31 bits, for the server's are signed; not 0."""
    return crc32(gateway.encode()) >> 1 or 1


class Session:
    """An open database with a run on it, or without one for operators (`options.gateway` None)."""

    def __init__(self, url: str, options: StoreOptions) -> None:
        gateway = options.gateway
        if gateway is not None and not _GATEWAY_NAME.fullmatch(gateway):
            raise PoolError(
                f"gateway {gateway[:80]!r}: a name has 1 to 64 letters, digits, '-', '_' or '.'"
            )
        self.options = options
        idle_ms = max(options.answer_ms, options.lease_ns // NS_PER_MS)
        self.db = Database(url, options.answer_ms, idle_ms, gateway or "operator")
        self.run_id = 0
        self.recovered: list[str] = []
        self.now_ns = 0
        """latest engine time heard of, for journal entries that come without a time of their own"""
        self.all_news = False
        self.listening = False
        self._deferring = False
        self._said: list[tuple[Work[Any], Any, bool]] = []
        self._renewed_ns = 0
        self._in_group = False
        self._behind = False
        self._ending = self._ended = False
        self._spoilt = ""
        self._closed = False
        try:
            self.db.connect()
            self.tried(lambda: postgres_schema.migrate(self.db, postgres_schema.load_migrations()))
            self.listening = self.db.listen()
            if gateway is not None:
                self._claim(gateway)
                self.tried(lambda: self._start(gateway))
        except BaseException:
            self.db.close()
            raise

    # --- the run ----------------------------------------------------------------------------------

    @property
    def _lease(self) -> dict[str, int]:
        return {"run": self.run_id, "lease_ns": self.options.lease_ns}

    def _holds_claim(self, gateway: str) -> bool | None:
        """Take the lock on the gateway's name, which lasts as long as this connection; None where the
        server has no such locks."""
        rows = self.db.optional(_CLAIM.format(postgres_schema.LOCK_CLASS, name_key(gateway)))
        return None if rows is None else bool(rows[0][0])

    def _claim(self, gateway: str) -> None:
        held = self._holds_claim(gateway)
        for _ in range(_LET_GO_TRIES):
            if held is not False:
                break
            # The server notices a moment later that a process has ended.
            time.sleep(_LET_GO_S)
            held = self._holds_claim(gateway)
        if held is None:
            # Without locks the lease says whether the other one lives.
            found = self.db.run(state_sql.OPEN_RUN_OF, {"gateway": gateway})
            held = not found or bool(found[0][1])
        if not held:
            raise PoolError(
                f"{self.db.where}: gateway {gateway} is running already, in use by another process;"
                " end that one, or give this one a name of its own"
            )

    def _start(self, gateway: str) -> None:
        """Begin a run; what an earlier one of this gateway left open is settled."""
        with self.db.transaction():
            found: list[str] = []
            for run_id, _ in self.db.run(state_sql.OPEN_RUN_OF, {"gateway": gateway}):
                self.db.run(state_sql.END_RUN, {"run": run_id, "state": "recovered"})
                found += self.recover(run_id, "because the run before was not closed")
            started = self.db.run(
                state_sql.NEW_RUN, {"gateway": gateway, "lease_ns": self.options.lease_ns}
            )
        self.recovered += found
        self.run_id, self._renewed_ns = started[0]

    def recover(self, run_id: int, reason: str) -> list[str]:
        """Book what a run left open that was fenced off in this transaction (G4, I4).

        What is certain is booked as used, what lies between that and the mark as uncertain; without a
        mark all may be used. One line of text per SIM of which something is uncertain now.
        """
        texts: list[str] = []
        rows = self.db.run(state_sql.UNSETTLED_LINES, {"run": run_id}, patient=True)
        for start in range(0, len(rows), LINES_AT_ONCE):
            some = rows[start : start + LINES_AT_ONCE]
            used = [max(reported, marked) for _, _, reported, marked, _ in some]
            uncertain = [
                (held if mark is None else max(mark, sure)) - sure
                for (_, held, _, _, mark), sure in zip(some, used, strict=True)
            ]
            said: dict[str, object] = {
                "line_ids": [row[0] for row in some],
                "used": [sure - row[2] for row, sure in zip(some, used, strict=True)],
                "uncertain": uncertain,
                "refund": self.options.uncertain == "refund",
                "over": True,
                "now_ns": self.now_ns,
                "used_kind": "used",
                "run": self.run_id,
            }
            self.db.run(sql.LOCK_CONTRACTS_OF, said, patient=True)
            texts += self._texts(self.db.run(sql.BOOK_USE, said, patient=True), reason)
        self.db.run(state_sql.CLOSE_LINES, {"run": run_id}, patient=True)
        return texts

    def _texts(self, parts: list[tuple[Any, ...]], reason: str) -> list[str]:
        """What is uncertain, a line of text per SIM, from (line, contract, slice, bytes)."""
        fate = "counted as used" if self.options.uncertain == "charge" else "uncertain, given back"
        slices: dict[tuple[str, str], list[tuple[int, int]]] = {}
        for line, contract, slice_id, amount in parts:
            slices.setdefault((line, contract), []).append((slice_id, amount))
        return [
            f"line {line} of contract {contract}: {sum(amount for _, amount in held)} bytes of slice"
            f" {', '.join(str(slice_id) for slice_id, _ in held)} {fate}, {reason}"
            for (line, contract), held in slices.items()
        ]

    def take_over(self, run_id: int, gateway: str) -> None:
        """Fence off another gateway's run whose lease is over; the transaction holds it all (I4)."""
        if self.db.run(state_sql.FENCE_IF_OVER, {"run": run_id}):
            reason = f"because gateway {gateway} was silent for longer than its lease"
            self.recovered += self.recover(run_id, reason)
        elif self.db.run(state_sql.FIND_RUN, {"run": run_id})[0][0] == "open":
            raise PoolError(f"gateway {gateway}: gave a sign of life just now; it keeps its lines")

    def prove(self) -> None:
        """Begin to write: PoolFenced where this run is over; holds it open to the transaction's end."""
        if self.run_id:
            rows = self.db.run(PROVE_RUN, {"run": self.run_id})
            if rows != [("open",)]:
                self.fenced()

    def fenced(self) -> None:
        """Refuse for good, and count it on the run's row, if that is there (I4)."""
        self.db.rollback()
        self._in_group = False
        self.db.run(state_sql.COUNT_REFUSED, {"run": self.run_id})
        raise PoolFenced(
            f"{self.db.where}: run {self.run_id} of gateway {self.options.gateway} is over, another took"
            " over; nothing that is said in its name counts any more, start anew"
        )

    def require_run(self) -> None:
        """PoolError for operators: only a gateway holds lines and slices."""
        if not self.run_id:
            raise PoolError(
                f"{self.db.where}: opened without a gateway's name; only gateways open and use lines"
            )

    # --- calls ------------------------------------------------------------------------------------

    def tried(self, work: Callable[[], Answer]) -> Answer:
        """Do something again, for as long as an answer is waited for, while others are in the way."""
        limit_ns = clock.lease_ns() + self.db.answer_ns
        while True:
            try:
                return work()
            except PoolUnavailable:
                if not self.db.met or clock.lease_ns() >= limit_ns:
                    raise
            time.sleep(_CONFLICT_S)

    def read(self, work: Work[Answer]) -> Answer:
        """Do a call that stores nothing."""
        return self.call(work, writes=False)

    def call(self, work: Work[Answer], writes: bool = True, exact: bool = True) -> Answer:
        """Do a call: in the open group; or alone, and again after a conflict or a lost connection.

        `exact`: should it have to be said again after it was deferred, the answer must be the same.
        """
        if self._in_group:
            return self._in_open_group(work)
        if self._spoilt:
            raise PoolError(self._spoilt)
        limit_ns = clock.lease_ns() + self.db.answer_ns
        again = False
        while True:
            try:
                if self.db.lost or self._behind:
                    self._reconnect(limit_ns)
                if writes:
                    self.db.wait_for_disk(not self._deferring)
                answer = work(again)
                break
            except PoolUnavailable:
                again = again or self.db.lost
                if not (self.db.lost or self.db.met) or clock.lease_ns() >= limit_ns:
                    raise
            if not self.db.lost:
                time.sleep(_CONFLICT_S)
        if writes and self._deferring:
            self._said.append((work, answer, exact))
        return answer

    def _in_open_group(self, work: Work[Answer]) -> Answer:
        if not self.db.in_transaction:
            raise PoolUnavailable(
                f"{self.db.where}: the group was taken back by a failure; roll back, and begin it anew"
            )
        return work(False)

    def _reconnect(self, limit_ns: int) -> None:
        """Connect anew, prove that the run is still ours, and say again what may be lost."""
        old_pid = self.db.pid
        self._behind = True
        self.db.connect(limit_ns)
        self.all_news = True
        self.listening = self.db.listen()
        if self.run_id:
            self._hold_again(old_pid, limit_ns)
            self._say_again()
        self._behind = False

    def _hold_again(self, old_pid: int, limit_ns: int) -> None:
        """Take the gateway's name again; PoolFenced where another process had it in between."""
        self._resume()
        gateway = str(self.options.gateway)
        while self._holds_claim(gateway) is False:
            # The server may not know yet that our old connection is gone.
            self.db.optional(_TERMINATE.format(old_pid))
            if clock.lease_ns() >= limit_ns:
                raise PoolUnavailable(
                    f"{self.db.where}: gateway {gateway} is still held by a lost connection; try later"
                )
            time.sleep(_CONFLICT_S)
        self._resume()

    def _resume(self) -> None:
        rows = self.db.run(state_sql.FIND_RUN, {"run": self.run_id})
        self._ended = self._ending and rows[:1] == [("clean", self._renewed_ns)]
        if not rows or rows[0][1] < self._renewed_ns:
            raise PoolFenced(
                f"{self.db.where}: does not hold what was written to it: it was restored from an older"
                " backup; start anew"
            )
        if rows[0][0] != ("clean" if self._ended else "open"):
            self.fenced()

    def _say_again(self) -> None:
        """Repeat what was deferred since the last flush; it must be answered as before (D9)."""
        self.db.wait_for_disk(False)
        for work, answer, exact in self._said:
            try:
                same = self.tried(partial(work, True)) == answer or not exact
            except (PoolUnavailable, PoolFenced):
                raise
            except PoolError:
                same = False
            if not same:
                self._spoilt = (
                    f"{self.db.where}: after a failure of the database a call got another answer than"
                    " before; what was asked since the last flush must not be let out, start anew"
                )
                raise PoolError(self._spoilt)

    # --- durability -------------------------------------------------------------------------------

    def begin(self) -> None:
        """Open a group of calls that become durable together; what was deferred becomes so before."""
        if self._in_group and self.db.in_transaction:
            raise PoolError(f"{self.db.where}: a group is open already; commit it first")
        self._in_group = False
        self.flush()
        self.read(lambda again: self._begin())
        self._in_group = True

    def _begin(self) -> None:
        self.db.wait_for_disk(True)
        self.db.begin()
        self.prove()

    def commit(self) -> None:
        """Make the group durable; returns when it is."""
        if not self._in_group:
            raise PoolError(f"{self.db.where}: no group is open; nothing of it was kept")
        self._in_group = False
        self._in_open_group(lambda again: self.db.commit())

    def rollback(self) -> None:
        """Take the open group back, if there is one."""
        if self._in_group:
            self._in_group = False
            self.db.rollback()

    def defer(self) -> None:
        """Calls may return before they are on disk, until `flush`; an operator's are few, and do not."""
        self._deferring = bool(self.run_id)

    def flush(self) -> None:
        """Make durable what was deferred, by one commit that is waited for, which extends the lease.

        The server writes its log in order: what was committed before is on disk before that. With
        nothing deferred nothing is written.
        """
        if self._said:
            self.renew()
            self._said.clear()
        self._deferring = False

    def renew(self) -> None:
        """Extend the lease; PoolFenced when another has taken over."""
        if self.run_id:
            self.read(self._renew)

    def _renew(self, again: bool) -> None:
        rows = self.db.make_durable(state_sql.RENEW, self._lease)
        if not rows:
            self.fenced()
        self._renewed_ns = rows[0][0]

    def close(self, clean: bool = True) -> None:
        """End the run; a second call does nothing."""
        if self._closed:
            return
        try:
            if clean and not self._spoilt:
                if self._in_group and self.db.in_transaction:
                    self.commit()
                self.flush()
                self._ending = True
                self.call(lambda again: self._end())
        finally:
            self._closed = True
            self.db.close()

    def _end(self) -> None:
        if self.run_id and not self._ended:
            with self.db.transaction():
                self.prove()
                self.db.run(state_sql.CLOSE_LINES, {"run": self.run_id}, patient=True)
                self.db.run(state_sql.END_RUN, {"run": self.run_id, "state": "clean"})
