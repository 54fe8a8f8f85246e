"""A SQLite coupon database whose disk is full, or whose work is broken off."""

import re
from pathlib import Path

import apsw
import pytest

from engine.errors import PoolError
from engine.pool import sqlite_statements
from engine.pool.sqlite import Database
from engine.pool.sqlite_store import SqliteStore
from tests.support.stores import SLICE


def test_a_full_disk_stops_granting_and_leaves_no_half(tmp_path: Path) -> None:
    """F5: the group is taken back; when there is room again, it goes on."""
    store = SqliteStore(str(tmp_path / "a.db"))
    store.credit("c1", "hdd1", "bundle", 1 << 40, 0, 100)
    store.open_line("hdd1", "hdo1", 0)
    store.grant("r0", "hdd1", "hdo1", 5)
    pages = store._db.value("PRAGMA page_count")
    store._db.run(f"PRAGMA max_page_count = {pages}")
    store.begin()
    numbers = iter(range(1, 1000))

    def grant_on() -> None:
        while True:
            store.grant(f"r{next(numbers)}", "hdd1", "hdo1", 5)

    with pytest.raises(PoolError, match="the disk is full; make room"):
        grant_on()
    assert [s.request_id for s in store.slices("hdo1")] == ["r0"]
    assert store.audit() == []
    store._db.run("PRAGMA max_page_count = 1000000")
    assert store.grant("r1", "hdd1", "hdo1", 5).granted_bytes == SLICE
    assert store.audit() == []
    store.close()


@pytest.mark.parametrize("grouped", [False, True])
def test_an_interrupt_in_the_middle_of_a_grant_takes_it_back(grouped: bool) -> None:
    """D9: a slice without its coupons must not be kept, whatever stopped the call."""
    store = SqliteStore(None)
    store.credit("c1", "hdd1", "bundle", 1 << 40, 0, 100)
    store.open_line("hdd1", "hdo1", 0)

    def interrupt(cursor: apsw.Cursor, statement: str, bindings: object) -> bool:
        if "UPDATE coupon" in statement:
            raise KeyboardInterrupt
        return True

    if grouped:
        store.begin()
    store._db._connection.exec_trace = interrupt
    with pytest.raises(KeyboardInterrupt):
        store.grant("r1", "hdd1", "hdo1", 5)
    store._db._connection.exec_trace = None
    assert store.slices("hdo1") == []
    assert store.audit() == []


def test_a_transaction_that_sqlite_ended_itself_is_over() -> None:
    """F5: some failures end the transaction; there is nothing left to take back."""
    database = Database(None)
    database.begin()
    with pytest.raises(PoolError, match="refused a statement"):
        database.run("INSERT OR ROLLBACK INTO run (state) VALUES ('neither')")
    assert not database.in_transaction
    with pytest.raises(PoolError, match="refused a statement"):
        list(database.rows("no statement at all"))


def test_every_statement_finds_its_rows_by_an_index() -> None:
    """D1: a grant costs the same with ten million lines; only the list of contracts reads a table."""
    database = Database(None)
    statements = {n: v for n, v in vars(sqlite_statements).items() if n.isupper()}
    assert len(statements) > 15
    for name, statement in statements.items():
        count = len(set(re.findall(r"\?\d+", statement))) or statement.count("?")
        plan = [row[3] for row in database.run(f"EXPLAIN QUERY PLAN {statement}", *[0] * count)]
        if name not in ("CONTRACTS", "COUPONS"):
            assert not [step for step in plan if "SCAN" in step or "TEMP B-TREE" in step], name
