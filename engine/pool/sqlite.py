"""The only door to SQLite: open a file safely, run statements, turn every failure into one line.

SQLite comes with apsw, because the library that Python brings may be older than 3.51.3, and those
can corrupt a file in WAL mode that two connections have open (the "WAL-reset" bug).
"""

import json
import os
import time
from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from functools import partial
from importlib import resources
from typing import Any

import apsw

from engine import clock
from engine.errors import PoolError, PoolUnavailable
from engine.pool.sqlite_files import LOCK_SUFFIX, check_path, check_remains, check_version, identity
from engine.pool.sqlite_rows import Unwritten, Value, adding, flattened, updating
from engine.units import NS_PER_MS

Row = tuple[Any, ...]

WAIT_S = 0.001
"""s; between two tries for a lock that another process has: about the length of a commit"""
ANSWER_MS = 5_000
"""ms; how long another process's lock is waited for unless the caller says otherwise"""
APPLICATION_ID = 0x706B746C
""""pktl" in the file's header: how a coupon database is told from other SQLite files"""

_ARRAYS = "ENABLE_CARRAY" in apsw.compile_options
MANY = "carray" if _ARRAYS else "json_each"
"""the table that `texts` and `keys` are, read in half the time where this SQLite knows arrays"""

MEMORY_SETTINGS = {"foreign_keys": "1", "cell_size_check": "1", "trusted_schema": "0"}
FILE_SETTINGS = MEMORY_SETTINGS | {"journal_mode": "wal", "synchronous": "2", "fullfsync": "1"}
"""pragmas and what they must read back as; synchronous 2 is FULL: one fsync a commit (G2)"""

_BUSY = "in use by another process; try again, end that one, or give another file"
_DAMAGED = "damaged; restore it from a backup, nothing was changed"
_FAULTS: tuple[tuple[type[apsw.Error], str], ...] = (
    (apsw.BusyError, _BUSY),
    (apsw.LockedError, _BUSY),
    (apsw.NotADBError, "not a SQLite database, or its first page is damaged; give another file"),
    (apsw.CorruptError, _DAMAGED),
    (apsw.CantOpenError, "cannot be opened; the folder must exist and be writable"),
    (apsw.ReadOnlyError, "read-only; the file and its folder must be writable"),
    (apsw.FullError, "cannot grow, the disk is full; make room, nothing was changed"),
    (apsw.IOError, "cannot be read or written; the disk may be full, or broken"),
    (apsw.ConnectionClosedError, "closed already; open the store again"),
)
_SQLITE_ENDINGS = ("journal", "wal", "shm")
_PASSING = (apsw.BusyError, apsw.LockedError, apsw.FullError, apsw.IOError)
"""what may be over at the next try: another's lock, a full disk, a disk that fails now and then"""


def fault(where: str, error: Exception) -> PoolError:
    """One line for people: the database, what is the matter, what to do, SQLite's own words."""
    words = " ".join(str(error).split())
    texts = [text for kind, text in _FAULTS if isinstance(error, kind)]
    text = texts[0] if texts else "the database refused a statement"
    kind = PoolUnavailable if isinstance(error, _PASSING) else PoolError
    return kind(f"{where}: {text} ({words})")


def texts(values: Iterable[str]) -> Any:
    """Many names as one parameter of a statement that reads them from MANY."""
    return _many(tuple(values))


def keys(values: Iterable[int]) -> Any:
    """Many keys as one parameter of a statement that reads them from MANY."""
    return _many(array("q", values))


def _many(values: "tuple[str, ...] | array[int]") -> Any:
    if not values:
        return None  # which is no row, too
    return apsw.carray(values) if _ARRAYS else json.dumps([*values])


def load_migrations() -> list[tuple[int, str, str]]:
    """(version, name, script) of every schema change shipped with the package, in order."""
    folder = resources.files("engine.pool") / "migrations" / "sqlite"
    names = sorted(entry.name for entry in folder.iterdir() if entry.name.endswith(".sql"))
    return [(int(n[:4]), n.removesuffix(".sql"), (folder / n).read_text("utf-8")) for n in names]


def copy_database(path: str, target: str) -> None:
    """Copy a coupon database, as it stands at this moment, to a new file; PoolError.

    Another process may use it meanwhile; nothing in it is changed. It is not opened for reading only:
    SQLite would then leave its files for the write-ahead log behind.
    """
    where = f"pool {path}"
    check_path(where, path)
    if not os.path.exists(path):
        raise PoolError(f"{where}: there is no such file; give one that a replay or a gateway made")
    try:
        with (
            closing(apsw.Connection(path, flags=apsw.SQLITE_OPEN_READWRITE)) as source,
            closing(apsw.Connection(target)) as copy,
            copy.backup("main", source, "main") as backup,
        ):
            source.set_busy_timeout(ANSWER_MS)
            while not backup.done:
                backup.step()
    except apsw.Error as error:
        raise fault(where, error) from None


class Database:
    """One connection, its transaction, and the locks that tell living gateways from dead ones.

    `path` None is a database in memory; `answer_ms` is how long another's lock is waited for. PoolError
    from every method; after one from a statement no transaction is open any more.
    """

    def __init__(self, path: str | None, answer_ms: int = ANSWER_MS) -> None:
        check_version(apsw.sqlite_lib_version())
        self.where = "pool in memory" if path is None else f"pool {path}"
        self.in_transaction = False
        self.unwritten: Unwritten | None = None
        self._answer_ms = answer_ms
        self._waiting_since_ns = 0
        self._claim: apsw.Connection | None = None
        if path is not None:
            check_path(self.where, path)
            # One name for one file, so that a link does not slip past the locks.
            path = os.path.realpath(path)
            check_remains(self.where, path)
        self._path = path
        try:
            self._connection = apsw.Connection(path or ":memory:", statementcachesize=256)
        except apsw.Error as error:
            raise fault(self.where, error) from None
        self._connection.set_busy_handler(self._wait)
        # Query plans that do not depend on the values bound: otherwise a query on a table with a
        # partial index is compiled anew at each call, which doubles the time of a grant.
        self._connection.config(apsw.SQLITE_DBCONFIG_ENABLE_QPSG, 1)
        try:
            self._refuse_foreign()
            self._set_up()
        except PoolError:
            self.close()
            raise
        self._identity = identity(path)

    def _set_up(self) -> None:
        """Bring settings and schema to what they should be, while nobody else does.

        A gateway of version 1 held the lock for as long as it ran: it is not migrated under its feet.
        """
        lock = self._locked(LOCK_SUFFIX)
        try:
            self.apply(MEMORY_SETTINGS if self._path is None else FILE_SETTINGS)
            self.migrate(load_migrations())
        finally:
            if lock is not None:
                lock.close()

    def _wait(self, calls: int) -> bool:
        """Whether to try again for another's lock; sleeps before that.

        SQLite's own waits grow to 100 ms, and who came first then stands back for all who came after.
        """
        now_ns = clock.elapsed_ns()
        if not calls:
            self._waiting_since_ns = now_ns
        if now_ns - self._waiting_since_ns >= self._answer_ms * NS_PER_MS:
            return False
        time.sleep(WAIT_S)
        return True

    def _refuse_foreign(self) -> None:
        """PoolError for a database of some other program; an empty one is new and will be ours."""
        sql = "SELECT (SELECT * FROM pragma_application_id), count(*) FROM sqlite_master"
        application_id, tables = self.run(sql)[0]
        if tables and application_id != APPLICATION_ID:
            raise PoolError(f"{self.where}: not a coupon database of pktoll; give another file")

    def _locked(self, suffix: str) -> apsw.Connection | None:
        """A lock on the file beside the database with this suffix, held until it is closed.

        The lock is an open transaction of an empty database: it ends with the process, however that
        ends. None for a database in memory, which nobody else can see.
        """
        if self._path is None:
            return None
        lock = None
        try:
            lock = apsw.Connection(self._path + suffix)
            lock.set_busy_timeout(self._answer_ms)
            # No files of its own beside it, which might bear the name of another gateway's lock.
            lock.pragma("journal_mode", "memory")
            lock.execute("BEGIN EXCLUSIVE")
        except apsw.Error as error:
            if lock is not None:
                lock.close()
            raise fault(self.where, error) from None
        return lock

    def claim(self, gateway: str) -> None:
        """Take the name of a gateway for as long as this is open (B84, F20).

        PoolError where a living process has it. Who gets it knows that the last one who had it is dead.
        """
        if gateway.endswith(_SQLITE_ENDINGS):
            raise PoolError(
                f"gateway {gateway}: SQLite keeps files of its own with names that end so; give the"
                " gateway another name"
            )
        try:
            self._claim = self._locked(f"{LOCK_SUFFIX}-{gateway}")
        except PoolUnavailable as error:
            raise PoolUnavailable(
                f"{self.where}: gateway {gateway} is running already, in use by another process;"
                f" end that one, or give this gateway another name ({error})"
            ) from None

    def is_replaced(self) -> bool:
        """Whether another file now bears the database's name, or none does (F17)."""
        return identity(self._path) != self._identity

    def apply(self, settings: dict[str, str]) -> None:
        """Set every pragma and read it back: one that did not take would void a promise."""
        for name, wanted in settings.items():
            self.run(f"PRAGMA {name} = {wanted}")
            found = str(self.value(f"PRAGMA {name}"))
            if found != wanted:
                raise PoolError(
                    f"{self.where}: {name} is {found} instead of {wanted};"
                    " give a file on a local disk"
                )

    def migrate(self, migrations: Sequence[tuple[int, str, str]]) -> None:
        """Bring the schema to the newest version, each step in a transaction of its own (F22)."""
        tables = self.value("SELECT count(*) FROM sqlite_master WHERE name = 'schema_version'")
        found = int(self.value("SELECT max(version) FROM schema_version") or 0) if tables else 0
        newest = migrations[-1][0]
        if found > newest:
            raise PoolError(
                f"{self.where}: its schema is version {found}, this pktoll knows up to {newest};"
                " install a newer pktoll"
            )
        # A table that others refer to can only be rebuilt while references are not enforced.
        self.run("PRAGMA foreign_keys = 0")
        for version, name, script in migrations:
            if version > found:
                self._step(version, name, script)
        self.run("PRAGMA foreign_keys = 1")

    def _step(self, version: int, name: str, script: str) -> None:
        self.begin()
        self.run(script)
        self.run("INSERT INTO schema_version (version, name) VALUES (?, ?)", version, name)
        self.run(f"PRAGMA application_id = {APPLICATION_ID}")
        broken = self.run("PRAGMA foreign_key_check")
        if broken:
            self.rollback()
            raise PoolError(
                f"{self.where}: cannot be brought to version {version}, a row of {broken[0][0]} refers"
                " to one that does not exist; restore it from a backup"
            )
        self.commit()

    def settings(self) -> dict[str, str]:
        """The library's version and the pragmas in force, as text."""
        read = {name: str(self.value(f"PRAGMA {name}")) for name in FILE_SETTINGS}
        return {"sqlite": apsw.sqlite_lib_version(), **read}

    def run(self, sql: str, *bindings: Value) -> list[Row]:
        """Run one statement (or a script without bindings) and return its rows."""
        self._complete()
        return self.look(sql, *bindings)

    def look(self, sql: str, *bindings: Value) -> list[Row]:
        """Run a query for which it does not matter what is unwritten, and return its rows."""
        try:
            return self._connection.execute(sql, bindings or None).fetchall()
        except apsw.Error as error:
            raise self._failed(error) from None

    def run_many(self, sql: str, rows: Sequence[tuple[Value, ...]]) -> int:
        """Run one statement for each of the rows; how many rows of tables it changed in all."""
        if not rows:
            return 0
        self._complete()
        before = self._connection.total_changes()
        try:
            if len(rows) == 1:
                self._connection.execute(sql, rows[0])
            else:
                self._connection.executemany(sql, rows)
        except apsw.Error as error:
            raise self._failed(error) from None
        return self._connection.total_changes() - before

    def insert(self, into: str, rows: Sequence[tuple[Value, ...]], ahead: bool = False) -> range:
        """Add rows, all as long as the first, in their order; `into`: INSERT INTO, table and columns.

        `ahead`: before what is unwritten, to which it does not matter. Returns the keys that they got where
        the table gives them: nobody else writes meanwhile, so that they follow each other.
        """
        if not rows:
            return range(0)
        if not ahead:
            self._complete()
        self._spread(partial(adding, into, len(rows[0])), rows)
        last_id = self.last_id()
        return range(last_id - len(rows) + 1, last_id + 1)

    def update(self, sql: str, rows: Sequence[tuple[Value, ...]]) -> None:
        """Run an UPDATE for each of the rows, no two of which are about the same key.

        `sql` has one WHERE, and parameters with numbers.
        """
        if rows:
            self._complete()
            self._spread(partial(updating, sql, len(rows[0])), rows)

    def _spread(self, statement: Callable[[int], str], rows: Sequence[tuple[Value, ...]]) -> None:
        """Run the statement for so many rows at once as often as it takes."""
        try:
            if len(rows) == 1:
                self._connection.execute(statement(1), rows[0])
                return
            for size, pieces in flattened(rows):
                self._connection.executemany(statement(size), pieces)
        except apsw.Error as error:
            raise self._failed(error) from None

    def _complete(self) -> None:
        """Write what is unwritten of the open transaction."""
        if self.in_transaction and self.unwritten is not None:
            self.unwritten.put_down()

    def rows(self, sql: str, *bindings: Value) -> Iterator[Row]:
        """The rows of a query, one by one; the caller may stop at any."""
        self._complete()
        try:
            yield from self._connection.execute(sql, bindings or None)
        except apsw.Error as error:
            raise self._failed(error) from None

    def value(self, sql: str, *bindings: Value) -> Any:
        """First column of the first row, None without a row."""
        rows = self.run(sql, *bindings)
        return rows[0][0] if rows else None

    def last_id(self) -> int:
        """Key of the row that was inserted last."""
        return self._connection.last_insert_rowid()

    def begin(self) -> None:
        """Begin to write; waits for another writer, then says who is in the way."""
        self.run("BEGIN IMMEDIATE")
        if self.unwritten is not None:
            self.unwritten.forget()
        self.in_transaction = True

    def commit(self) -> None:
        """Make the transaction durable before returning."""
        self.run("COMMIT")
        self.in_transaction = False

    def rollback(self) -> None:
        """Take the open transaction back, if there is one and SQLite did not end it itself."""
        if self.in_transaction:
            self.in_transaction = False
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")

    @contextmanager
    def snapshot(self) -> Iterator[None]:
        """Queries within see one state of the database; within a transaction, that one's."""
        if self.in_transaction:
            yield
            return
        self.run("BEGIN")
        try:
            yield
        finally:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")

    def _failed(self, error: apsw.Error) -> PoolError:
        """The error for people. The transaction is taken back: half of a group must not be kept."""
        self.rollback()
        return fault(self.where, error)

    def close(self) -> None:
        """Give the file and its locks back; an open transaction is not kept."""
        self.in_transaction = False
        self._connection.close()
        if self._claim is not None:
            self._claim.close()
