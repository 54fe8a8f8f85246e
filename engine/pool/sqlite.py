"""The only door to SQLite: open a file safely, run statements, turn every failure into one line.

SQLite comes with apsw, because the library that Python brings may be older than 3.51.3, and those
can corrupt a file in WAL mode that two connections have open (the "WAL-reset" bug).
"""

import os
import stat
from collections.abc import Iterator, Sequence
from importlib import resources
from typing import Any

import apsw

from engine.errors import PoolError

Row = tuple[Any, ...]

VERSION_MIN = (3, 51, 3)
BUSY_TIMEOUT_MS = 5_000
"""ms; how long another process's lock is waited for before the database is reported as in use"""
APPLICATION_ID = 0x706B746C
""""pktl" in the file's header: how a coupon database is told from other SQLite files"""
LOCK_SUFFIX = "-lock"

MEMORY_SETTINGS = {"foreign_keys": "1", "cell_size_check": "1", "trusted_schema": "0"}
FILE_SETTINGS = MEMORY_SETTINGS | {"journal_mode": "wal", "synchronous": "2", "fullfsync": "1"}
"""pragmas and what they must read back as; synchronous 2 is FULL: one fsync a commit (G2)"""

_BUSY = "in use by another process; end that one, or give another file"
_DAMAGED = "damaged; restore it from a backup, nothing was changed"
_FAULTS: tuple[tuple[type[apsw.Error], str], ...] = (
    (apsw.BusyError, _BUSY),
    (apsw.LockedError, _BUSY),
    (apsw.NotADBError, "not a SQLite database, or its first page is damaged; give another file"),
    (apsw.CorruptError, _DAMAGED),
    (apsw.CantOpenError, "cannot be opened; the folder must exist and be writable"),
    (apsw.ReadOnlyError, "read-only; the file and its folder must be writable"),
    (apsw.FullError, "cannot grow, the disk is full; make room, nothing was changed"),
    (apsw.IOError, "cannot be read or written; look at the disk"),
    (apsw.ConnectionClosedError, "closed already; open the store again"),
)


def fault_text(where: str, error: Exception) -> str:
    """One line for people: the database, what is the matter, what to do, SQLite's own words."""
    words = " ".join(str(error).split())
    for kind, text in _FAULTS:
        if isinstance(error, kind):
            return f"{where}: {text} ({words})"
    return f"{where}: the database refused a statement ({words})"


def require_version(version: str) -> None:
    """PoolError where the SQLite library is one that can corrupt a WAL."""
    if tuple(int(part) for part in version.split(".")) < VERSION_MIN:
        least = ".".join(map(str, VERSION_MIN))
        raise PoolError(
            f"pool: SQLite {version} can corrupt a database; install apsw {least} or newer"
        )


def load_migrations() -> list[tuple[int, str, str]]:
    """(version, name, script) of every schema change shipped with the package, in order."""
    folder = resources.files("engine.pool") / "migrations" / "sqlite"
    names = sorted(entry.name for entry in folder.iterdir() if entry.name.endswith(".sql"))
    return [(int(n[:4]), n.removesuffix(".sql"), (folder / n).read_text("utf-8")) for n in names]


def _check_path(where: str, path: str) -> None:
    """Refuse what SQLite would misread or wait on for ever: folders, pipes, devices."""
    if "\0" in path:
        raise PoolError("pool: the file name holds a NUL character; give another name")
    try:
        mode = os.stat(path).st_mode
    except FileNotFoundError:
        return
    except OSError as error:
        reason = f"cannot be opened ({error.strerror}); give another file"
        raise PoolError(f"{where}: {reason}") from None
    if not stat.S_ISREG(mode):
        raise PoolError(f"{where}: not a regular file; give the name of a file")


class Database:
    """One connection, its transaction, and the lock that keeps other processes from writing.

    `path` None is a database in memory. PoolError from every method; after one from a statement no
    transaction is open any more.
    """

    def __init__(self, path: str | None) -> None:
        require_version(apsw.sqlite_lib_version())
        self.where = "pool in memory" if path is None else f"pool {path}"
        self.in_transaction = False
        self._lock: apsw.Connection | None = None
        if path is not None:
            _check_path(self.where, path)
            # One name for one file, so that a link does not slip past the lock.
            path = os.path.realpath(path)
        try:
            self._connection = apsw.Connection(path or ":memory:")
        except apsw.Error as error:
            raise PoolError(fault_text(self.where, error)) from None
        self._connection.set_busy_timeout(BUSY_TIMEOUT_MS)
        # Query plans that do not depend on the values bound: otherwise a query on a table with a
        # partial index is compiled anew at each call, which doubles the time of a grant.
        self._connection.config(apsw.SQLITE_DBCONFIG_ENABLE_QPSG, 1)
        try:
            self._refuse_foreign()
            if path is not None:
                self._claim(path + LOCK_SUFFIX)
            self.apply(MEMORY_SETTINGS if path is None else FILE_SETTINGS)
            self.migrate(load_migrations())
        except PoolError:
            self.close()
            raise

    def _refuse_foreign(self) -> None:
        """PoolError for a database of some other program; an empty one is new and will be ours."""
        sql = "SELECT (SELECT * FROM pragma_application_id), count(*) FROM sqlite_master"
        application_id, tables = self.run(sql)[0]
        if tables and application_id != APPLICATION_ID:
            raise PoolError(f"{self.where}: not a coupon database of pktoll; give another file")

    def _claim(self, path: str) -> None:
        """Hold the lock file at `path` for as long as the store is open.

        A second gateway must not take the first one's open run for one that broke off. The lock is
        an open transaction of an empty database beside the file: it ends with the process, however
        that ends, and readers of the database itself are not kept out.
        """
        try:
            self._lock = apsw.Connection(path)
            self._lock.set_busy_timeout(BUSY_TIMEOUT_MS)
            self._lock.execute("BEGIN EXCLUSIVE")
        except apsw.Error as error:
            raise PoolError(fault_text(self.where, error)) from None

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
        """Bring the schema to the newest version, each step in a transaction of its own."""
        tables = self.value("SELECT count(*) FROM sqlite_master WHERE name = 'schema_version'")
        found = int(self.value("SELECT max(version) FROM schema_version") or 0) if tables else 0
        newest = migrations[-1][0]
        if found > newest:
            raise PoolError(
                f"{self.where}: its schema is version {found}, this pktoll knows up to {newest};"
                " install a newer pktoll"
            )
        for version, name, script in migrations:
            if version > found:
                self.begin()
                self.run(script)
                self.run("INSERT INTO schema_version (version, name) VALUES (?, ?)", version, name)
                self.run(f"PRAGMA application_id = {APPLICATION_ID}")
                self.commit()

    def settings(self) -> dict[str, str]:
        """The library's version and the pragmas in force, as text."""
        read = {name: str(self.value(f"PRAGMA {name}")) for name in FILE_SETTINGS}
        return {"sqlite": apsw.sqlite_lib_version(), **read}

    def run(self, sql: str, *bindings: int | str | None) -> list[Row]:
        """Run one statement (or a script without bindings) and return its rows."""
        try:
            return self._connection.execute(sql, bindings or None).fetchall()
        except apsw.Error as error:
            raise self._failed(error) from None

    def rows(self, sql: str, *bindings: int | str | None) -> Iterator[Row]:
        """The rows of a query, one by one; the caller may stop at any."""
        try:
            yield from self._connection.execute(sql, bindings or None)
        except apsw.Error as error:
            raise self._failed(error) from None

    def value(self, sql: str, *bindings: int | str | None) -> Any:
        """First column of the first row, None without a row."""
        rows = self.run(sql, *bindings)
        return rows[0][0] if rows else None

    def last_id(self) -> int:
        """Key of the row that was inserted last."""
        return self._connection.last_insert_rowid()

    def begin(self) -> None:
        """Begin to write; waits for another writer, then says who is in the way."""
        self.run("BEGIN IMMEDIATE")
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

    def _failed(self, error: apsw.Error) -> PoolError:
        """The error for people. The transaction is taken back: half of a group must not be kept."""
        self.rollback()
        return PoolError(fault_text(self.where, error))

    def close(self) -> None:
        """Give the file and its lock back; an open transaction is not kept."""
        self.in_transaction = False
        self._connection.close()
        if self._lock is not None:
            self._lock.close()
