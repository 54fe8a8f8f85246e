"""The only door to PostgreSQL: connect safely, run statements, turn every failure into one line.

A statement that does not come back in time, and a connection that is lost, are PoolUnavailable with `lost`
set: the store then connects anew and says the call again. Statements that met another gateway's at the
same rows (`met`) are said again on the same connection.
"""

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any

from engine import clock
from engine.errors import PoolError, PoolUnavailable
from engine.pool.postgres_faults import (
    FAULTS,
    LOST,
    MET,
    STARTING,
    UNKNOWN_HERE,
    place_of,
    refusal,
    words_of,
)
from engine.units import NS_PER_MS, NS_PER_S

try:
    import psycopg
    from psycopg.conninfo import conninfo_to_dict
    from psycopg.types.numeric import Int8Dumper
except ImportError:
    raise PoolError(
        "pool: a PostgreSQL database needs psycopg; install pktoll with the extra `postgres`"
    ) from None

Row = tuple[Any, ...]
Parameters = Mapping[str, object]

VERSION_MIN = 130000
"""server_version_num of the oldest PostgreSQL that is taken"""
CHANNEL = "pktoll"
"""channel on which writers tell what they did"""
DURABLE = {"fsync": {"on"}, "full_page_writes": {"on"}}
"""settings without which a crash could lose what was answered (G2)"""
UNSAFE_COMMITS = {"off", "local"}
UNKNOWN = "unknown to this server"

_RETRY_S = 0.02
_RETRY_S_MAX = 0.5


class _Connection(psycopg.Connection[Row]):
    """A connection that is waited for no longer than `until_ns` of `clock.lease_ns` (0: for ever).

    The server's own time-outs are no help when it hangs as a whole.
    """

    until_ns = 0

    def wait(self, gen: Any, *arguments: Any, **named: Any) -> Any:
        return super().wait(self._guarded(gen), *arguments, **named)

    def _guarded(self, generator: Any) -> Any:
        """The generator of libpq's states, ended when it is too late; psycopg looks in at times."""
        try:
            state = next(generator)
            while True:
                ready = yield state
                if not ready and self.until_ns and clock.lease_ns() >= self.until_ns:
                    raise psycopg.OperationalError("no answer in time")
                state = generator.send(ready)
        except StopIteration as end:
            return end.value


class Database:
    """One connection and its transaction.

    `where` names the database in messages. After PoolUnavailable `lost` says that the connection is gone
    and `met` that another writer was in the way; in both cases nothing of an open transaction was kept.
    """

    def __init__(self, url: str, answer_ms: int, idle_ms: int, name: str) -> None:
        try:
            parts = conninfo_to_dict(url)
        except psycopg.ProgrammingError:
            # libpq's words would quote the URL, and with it the password.
            raise PoolError(
                "pool: not a PostgreSQL URL; write postgresql://user@host:port/database"
            ) from None
        self.where = place_of(parts)
        self.answer_ns = answer_ms * NS_PER_MS
        self._idle_ms = idle_ms
        self.lost = False
        self.met = False
        self.in_transaction = False
        self.told: list[str] = []
        self.server: dict[str, str] = {}
        self.pid = 0
        self._closed = False
        self._url = url
        self._name = name
        self._safe_commit = "on"
        self._synchronous = True
        self._connection: _Connection | None = None

    # --- connecting -------------------------------------------------------------------------------

    def connect(self, until_ns: int = 0) -> None:
        """Connect and verify the server; with `until_ns` it is tried again until then.

        A server that is starting up is waited for in any case.
        """
        if self._closed:
            raise PoolError(f"{self.where}: closed already; open the store again")
        self._drop()
        limit_ns = until_ns or clock.lease_ns() + self.answer_ns
        pause_s = _RETRY_S
        while True:
            try:
                self._connect_once(max(1, (limit_ns - clock.lease_ns()) // NS_PER_S))
                return
            except psycopg.Error as error:
                self._drop()
                fault = refusal(self.where, error)
                again = STARTING in str(error) or (until_ns and isinstance(fault, PoolUnavailable))
                if not again or clock.lease_ns() >= limit_ns:
                    raise fault from None
            time.sleep(pause_s)
            pause_s = min(2 * pause_s, _RETRY_S_MAX)

    def _connect_once(self, seconds: int) -> None:
        connection = _Connection.connect(
            self._url,
            autocommit=True,
            connect_timeout=seconds,
            application_name=f"pktoll {self._name}"[:63],
            client_encoding="utf8",
        )
        self._connection = connection
        self.lost = self.met = self.in_transaction = False
        connection.until_ns = clock.lease_ns() + self.answer_ns
        # One type for all integers: otherwise each size of number would be a statement of its own.
        connection.adapters.register_dumper(int, Int8Dumper)
        connection.add_notify_handler(self._hear)
        self.pid = connection.info.backend_pid
        self._verify()
        # Who waits for a row is told so before the connection is given up. The other two end what a gateway
        # that hangs or is gone has left behind: rows that it holds, statements that it asked for.
        lock_ms = max(1, self.answer_ns * 4 // 5 // NS_PER_MS)
        connection.execute("SET search_path TO pktoll")
        connection.execute("SET default_transaction_isolation TO 'read committed'")
        connection.execute(f"SET lock_timeout TO {lock_ms}".encode())
        self.optional(f"SET idle_in_transaction_session_timeout TO {self._idle_ms}")
        self.optional("SET client_connection_check_interval TO 200")

    def _verify(self) -> None:
        """PoolError where the server's settings would break a promise (G2)."""
        sql = (
            "SELECT name, setting FROM pg_catalog.pg_settings WHERE name IN ('server_version',"
            " 'server_version_num', 'fsync', 'full_page_writes', 'synchronous_commit')"
        )
        assert self._connection is not None
        self.server = dict(self._connection.execute(sql).fetchall())
        if int(self.server.pop("server_version_num", VERSION_MIN)) < VERSION_MIN:
            version = self.server["server_version"]
            self._reject(f"PostgreSQL {version} is too old; use 13 or newer")
        for name, safe in DURABLE.items():
            if self.server.setdefault(name, UNKNOWN) not in safe | {UNKNOWN}:
                self._reject(f"{name} is {self.server[name]}; set it to on (postgresql.conf)")
        commit = self.server.setdefault("synchronous_commit", UNKNOWN)
        if commit in UNSAFE_COMMITS:
            self._reject(f"synchronous_commit is {commit}; set it to on for this role or server")
        self._safe_commit = commit
        self._synchronous = True
        if self.optional("SELECT pg_catalog.pg_is_in_recovery()") == [(True,)]:
            self._reject("a standby server; give the address of the primary")

    def _reject(self, words: str) -> None:
        raise PoolError(f"{self.where}: {words}")

    def _drop(self) -> None:
        """Give up the connection, without waiting for the server."""
        if self._connection is not None:
            self._connection.pgconn.finish()
            self._connection.close()
            self._connection = None
        self.lost = True
        self.in_transaction = False

    # --- statements -------------------------------------------------------------------------------

    def run(
        self, sql: str, parameters: Parameters | None = None, patient: bool = False
    ) -> list[Row]:
        """Run one statement and return its rows. `patient`: however long the server works at it."""
        connection = self._open()
        connection.until_ns = 0 if patient else clock.lease_ns() + self.answer_ns
        try:
            cursor = connection.execute(sql.encode(), parameters)
            return cursor.fetchall() if cursor.description else []
        except psycopg.Error as error:
            raise self._failed(error) from None

    def optional(self, sql: str) -> list[Row] | None:
        """The rows of a statement that not every server knows; None where it does not. Only
        outside a transaction."""
        connection = self._open()
        connection.until_ns = clock.lease_ns() + self.answer_ns
        try:
            cursor = connection.execute(sql.encode())
            return cursor.fetchall() if cursor.description else []
        except psycopg.Error as error:
            if error.sqlstate in UNKNOWN_HERE:
                return None
            raise self._failed(error) from None

    def _open(self) -> _Connection:
        assert self._connection is not None, "connect first"
        self.met = False
        return self._connection

    def _failed(self, error: psycopg.Error) -> PoolError:
        """The error for people. An open transaction is taken back: half of it must not be kept."""
        words = words_of(error)
        state = error.sqlstate or ""
        assert self._connection is not None
        self.met = state in MET
        if state in LOST or state.startswith("08") or self._connection.closed or not state:
            self._drop()
            return PoolUnavailable(f"{self.where}: the server does not answer ({words})")
        self.rollback()
        if self.met:
            return PoolUnavailable(f"{self.where}: another process writes the same rows ({words})")
        kind, text = FAULTS.get(state, (PoolError, "the database refused a statement"))
        return kind(f"{self.where}: {text} ({words})")

    # --- transactions -----------------------------------------------------------------------------

    def begin(self) -> None:
        """Open a transaction."""
        self.run("BEGIN")
        self.in_transaction = True

    def commit(self) -> None:
        """End the transaction; returns when it is as durable as `synchronous` said."""
        self.run("COMMIT")
        self.in_transaction = False

    def rollback(self) -> None:
        """Take the open transaction back, if there is one."""
        if self.in_transaction and self._connection is not None:
            self.in_transaction = False
            with suppress(psycopg.Error):
                self._connection.execute("ROLLBACK")
                return
            self._drop()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """A transaction of its own, or a part of the one that is open.

        In a group, an error that was raised before anything was written leaves the group as it was;
        an interrupt takes the whole group back, because the call may be half done.
        """
        alone = not self.in_transaction
        if alone:
            self.begin()
        try:
            yield
        except BaseException as error:
            if alone or not isinstance(error, Exception):
                self.rollback()
            raise
        if alone:
            self.commit()

    @contextmanager
    def snapshot(self) -> Iterator[None]:
        """Statements that see the database as it was at one instant; the open group, if there is one."""
        if self.in_transaction:
            yield
            return
        self.run("BEGIN TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
        self.in_transaction = True
        try:
            yield
        finally:
            self.rollback()

    def wait_for_disk(self, wanted: bool) -> None:
        """From now on commits return when they are on disk, or before that (and soon are)."""
        if wanted != self._synchronous and self._safe_commit != UNKNOWN:
            self.run(f"SET synchronous_commit TO {self._safe_commit if wanted else 'off'}")
            self._synchronous = wanted

    def make_durable(self, sql: str, numbers: Mapping[str, int]) -> list[Row]:
        """Run one writing statement and return when it is on disk, and all that was committed before.

        One round trip, whatever `wait_for_disk` said last. `numbers` are its parameters.
        """
        if self.in_transaction or self._safe_commit == UNKNOWN:
            return self.run(sql, numbers)
        text = sql % numbers
        script = f"BEGIN; SET LOCAL synchronous_commit TO {self._safe_commit}; {text}; COMMIT"
        connection = self._open()
        connection.until_ns = clock.lease_ns() + self.answer_ns
        try:
            cursor = connection.execute(script.encode())
            cursor.nextset()
            cursor.nextset()
            return cursor.fetchall()
        except psycopg.Error as error:
            self.in_transaction = True
            raise self._failed(error) from None

    # --- other sessions ---------------------------------------------------------------------------

    def listen(self) -> bool:
        """Hear what writers tell from now on; False where the server cannot do that."""
        return self.optional(f"LISTEN {CHANNEL}") is not None

    def _hear(self, notice: psycopg.Notify) -> None:
        if notice.pid != self.pid:
            self.told.append(notice.payload)

    def hear(self) -> list[str]:
        """What other sessions told since the last call, up to now; waits for nothing but the answer."""
        # The server hands over what it has before it answers; within a transaction it keeps it back.
        self.run("SELECT 1")
        told, self.told = self.told, []
        return told

    def close(self) -> None:
        """End the connection; what was not committed is not kept."""
        self._drop()
        self._closed = True
