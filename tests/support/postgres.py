"""A PostgreSQL server of the tests' own: durable settings, a socket in a temporary folder, one user.

The fixture `postgres` (tests/conftest.py) is a Cluster that tests share: `postgres.emptied()` is the URL of
a coupon database without rows, `postgres.fresh()` that of a new database. A server that a test kills or
stops must be one of its own: `with Cluster() as cluster`, after `need_server()`.
"""

import contextlib
import itertools
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from functools import cache
from pathlib import Path
from types import TracebackType

import psycopg
import pytest

from engine.pool.store import StoreOptions, open_store

ROLE = "pktoll"
START_S = 60
_PREFIX = "pktoll-pg-"
_MEMORY_BYTES_MIN = 2 << 30
_WHERE = ("/usr/lib/postgresql/*/bin", "/usr/pgsql-*/bin", "/usr/local/pgsql/bin")
# Durable as in earnest; small, because several of them share a small machine.
_SETTINGS = {
    "fsync": "on",
    "full_page_writes": "on",
    "synchronous_commit": "on",
    "listen_addresses": "",
    "shared_buffers": "16MB",
    "max_connections": "60",
    "max_wal_size": "256MB",
    "autovacuum": "off",
    "log_min_messages": "fatal",
    "jit": "off",
}
_CUT_OFF = """
    SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity
    WHERE datname = current_database() AND pid <> pg_backend_pid()
"""
_TABLES = """
    SELECT table_name FROM information_schema.tables
    WHERE table_schema = 'pktoll' AND table_name NOT LIKE 'schema_%'
"""
_SEQUENCES = "SELECT sequencename FROM pg_sequences WHERE schemaname = 'pktoll'"


@cache
def server_folder() -> Path | None:
    """Where initdb and postgres are: on the PATH, or where distributions keep them (the newest)."""
    found = shutil.which("initdb")
    if found:
        return Path(found).resolve().parent
    every = [path for pattern in _WHERE for path in Path("/").glob(pattern[1:])]
    every = [path for path in every if (path / "initdb").exists()]
    return max(every, key=lambda path: path.as_posix(), default=None)


def _memory() -> str | None:
    """A folder in memory, where fsync costs nothing and kill -9 loses nothing either; None: on disk."""
    folder = "/dev/shm"
    roomy = Path(folder).is_dir() and shutil.disk_usage(folder).free > _MEMORY_BYTES_MIN
    return folder if roomy else None


def _user() -> str | None:
    """Whom the server runs as: it refuses root; None for whoever runs the tests."""
    if os.geteuid():
        return None
    known = {entry.pw_name for entry in pwd.getpwall()}
    return "postgres" if "postgres" in known else "nobody"


def _alive(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists()


def _number(file: Path) -> int:
    """The process id in a file's first line; 0 where there is none."""
    try:
        return int(file.read_text().split()[0])
    except (OSError, ValueError, IndexError):
        return 0


def sweep(parent: Path) -> None:
    """End servers whose test run is dead (killed, say), and remove their folders."""
    for folder in parent.glob(f"{_PREFIX}*"):
        owner, server = _number(folder / "owner"), _number(folder / "data" / "postmaster.pid")
        if owner and not _alive(owner):
            if server and _alive(server) and os.readlink(f"/proc/{server}/cwd") == f"{folder}/data":
                os.kill(server, signal.SIGQUIT)
                until = time.monotonic() + START_S
                while _alive(server) and time.monotonic() < until:
                    time.sleep(0.01)
            shutil.rmtree(folder, ignore_errors=True)


class Cluster:
    """One server and its data folder; both are gone when the block ends."""

    def __init__(self, *options: str, on_disk: bool = False) -> None:
        folder = server_folder()
        assert folder is not None
        self._programs = folder
        self._user = _user()
        parent = Path((None if on_disk else _memory()) or tempfile.gettempdir())
        sweep(parent)
        self.folder = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=parent))
        (self.folder / "owner").write_text(f"{os.getpid()}\n")
        self._server: subprocess.Popen[bytes] | None = None
        self._names = itertools.count()
        self._shared: str | None = None
        if self._user:
            shutil.chown(self.folder, self._user)
        self._run(
            "initdb", "-D", "data", "-U", ROLE, "-A", "trust", "-N", "-E", "UTF8", "--locale=C"
        )
        with (self.folder / "data" / "postgresql.conf").open("a") as file:
            settings = _SETTINGS | {"unix_socket_directories": str(self.folder)}
            file.writelines(f"{name} = '{value}'\n" for name, value in settings.items())
        self.start(*options)

    def _spawn(self, program: str, *arguments: str) -> subprocess.Popen[bytes]:
        with (self.folder / "log").open("ab") as log:
            return subprocess.Popen(
                [str(self._programs / program), *arguments],
                cwd=self.folder,
                user=self._user,
                group=pwd.getpwnam(self._user).pw_gid if self._user else None,
                extra_groups=[] if self._user else None,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    def _run(self, program: str, *arguments: str) -> None:
        if self._spawn(program, *arguments).wait():
            raise RuntimeError(f"{program}: {(self.folder / 'log').read_text()}")

    @property
    def pid(self) -> int:
        """Process id of the postmaster."""
        assert self._server is not None
        return self._server.pid

    def start(self, *options: str) -> None:
        """Start the server, after `stop` or `kill` again, and wait until it answers.

        `options` are for its command line, as in "-cfsync=off".
        """
        self.spawn(*options)
        assert self._server is not None
        until = time.monotonic() + START_S
        while True:
            try:
                self.execute("SELECT 1")
                return
            except psycopg.OperationalError:
                if self._server.poll() is not None or time.monotonic() > until:
                    raise RuntimeError((self.folder / "log").read_text()) from None
                time.sleep(0.02)

    def spawn(self, *options: str) -> None:
        """Start the server, and do not wait for it."""
        self._server = self._spawn("postgres", "-D", "data", *options)

    def processes(self) -> list[int]:
        """The postmaster and its children."""
        listed = subprocess.run(
            ["ps", "-o", "pid=", "--ppid", str(self.pid)],
            capture_output=True,
            text=True,
            check=False,
        )
        return [self.pid, *map(int, listed.stdout.split())]

    def signal(self, number: int) -> None:
        """Send a signal to the postmaster and to all its children (SIGSTOP, SIGCONT)."""
        for pid in self.processes():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)

    def kill(self) -> None:
        """kill -9 of every process of the server, as a crash of the machine would end them."""
        assert self._server is not None
        pids = self.processes()
        os.kill(self.pid, signal.SIGSTOP)
        for pid in [*pids[1:], self.pid]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self._server.wait()
        # Its children are nobody's now; a new server must not meet one of them.
        until = time.monotonic() + START_S
        while any(Path(f"/proc/{pid}").exists() for pid in pids) and time.monotonic() < until:
            time.sleep(0.01)

    def stop(self) -> None:
        """End the server at once, sessions included; it needs no recovery after."""
        if self._server is not None and self._server.poll() is None:
            self._server.send_signal(signal.SIGINT)
            self._server.wait()

    def url_of(self, database: str) -> str:
        """The URL of a database of this server, by its socket."""
        return f"postgresql://{ROLE}@/{database}?host={self.folder}"

    def execute(self, sql: str, database: str = "postgres") -> list[tuple[object, ...]]:
        """One statement by a superuser, in a connection of its own; its rows, if there are any."""
        with psycopg.connect(
            self.url_of(database), autocommit=True, connect_timeout=10
        ) as connection:
            cursor = connection.execute(sql.encode())
            return cursor.fetchall() if cursor.description else []

    def fresh(self, template: str = "template0") -> str:
        """The URL of a new database, a copy of `template`."""
        name = f"d{next(self._names)}"
        self.execute(f"CREATE DATABASE {name} TEMPLATE {template}")
        return self.url_of(name)

    def emptied(self) -> str:
        """The URL of the one coupon database that tests share in turn, without a row in it.

        Ten times as quick as a database of one's own. What other tests left connected is cut off.
        """
        if self._shared is None:
            self._shared = self.fresh()
            open_store(self._shared, StoreOptions(gateway=None)).close()
        with psycopg.connect(self._shared, autocommit=True) as connection:
            connection.execute(_CUT_OFF)
            tables = [name for (name,) in connection.execute(_TABLES)]
            numbers = [name for (name,) in connection.execute(_SEQUENCES)]
            # Without triggers and references, which would want an order.
            script = ["SET session_replication_role TO replica"]
            script += [f"DELETE FROM pktoll.{name}" for name in tables]
            script += [f"SELECT setval('pktoll.{name}', 1, false)" for name in numbers]
            connection.execute("; ".join(script).encode())
        return self._shared

    def close(self) -> None:
        """End the server without a word, for its data go too, and remove its folder."""
        if self._server is not None and self._server.poll() is None:
            self.signal(signal.SIGCONT)
            self._server.send_signal(signal.SIGQUIT)
            self._server.wait()
        shutil.rmtree(self.folder, ignore_errors=True)

    def __enter__(self) -> "Cluster":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


def need_server() -> None:
    """Skip the test where there is no PostgreSQL; in CI that is a failure."""
    if server_folder() is None:
        words = "no PostgreSQL server here (initdb not found): install the package postgresql"
        if os.environ.get("CI"):
            pytest.fail(words)
        pytest.skip(words)
