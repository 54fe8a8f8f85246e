"""Where a coupon database of a proof lives: SQLite in a folder, or PostgreSQL on a server of its own."""

import itertools
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Protocol

import apsw
import psycopg

from engine.pool import CouponStore, open_store
from engine.pool.store import StoreOptions
from tests.proof.planted import Raw
from tests.proof.world import Opener
from tests.support.postgres import Cluster

MEMORY = "/dev/shm"
"""Where the system has such a place: thousands of fsyncs of a slow disk are not what is tested here."""


class Place(Protocol):
    """Makes databases."""

    kind: str
    durable_calls: bool
    """whether a call between `defer` and `flush` is kept when the process dies"""

    def fresh(self) -> str:
        """The URL of an empty database; the ones before are not used any more."""

    def raw(self, url: str) -> Raw:
        """Statements on its tables, past the store."""


class SqlitePlace:
    """Files in a folder."""

    kind = "sqlite"
    durable_calls = False

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.count = itertools.count()

    def fresh(self) -> str:
        return f"sqlite:///{self.folder}/coupons{next(self.count)}.db"

    def raw(self, url: str) -> Raw:
        def run(sql: str, values: Sequence[int | str]) -> None:
            connection = apsw.Connection(url.removeprefix("sqlite:///"))
            connection.set_busy_timeout(1000)
            connection.execute(sql, values)
            connection.close()

        return run


class PostgresPlace:
    """Databases of a server of our own."""

    kind = "postgres"
    durable_calls = True

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster

    def fresh(self) -> str:
        return self.cluster.emptied()

    def raw(self, url: str) -> Raw:
        def run(sql: str, values: Sequence[int | str]) -> None:
            with psycopg.connect(url, autocommit=True) as connection:
                connection.execute("SET search_path TO pktoll")
                connection.execute(sql.replace("?", "%s").encode(), values)

        return run


def opener(url: str) -> Opener:
    """Opens that database."""

    def open_it(options: StoreOptions) -> CouponStore:
        return open_store(url, options)

    return open_it


@contextmanager
def scratch() -> Iterator[Path]:
    """A folder that is gone afterwards."""
    with TemporaryDirectory(dir=MEMORY if os.path.isdir(MEMORY) else None) as folder:
        yield Path(folder)
