"""Rows that are added many at a time, and the journal's, which are written at the end of a transaction."""

import re
import subprocess
import sys
from collections.abc import Iterator

import apsw
import pytest

from engine.errors import PoolError
from engine.pool import sqlite_statements
from engine.pool.sqlite import Database
from engine.pool.sqlite_journal import _ROWS_KEPT, check_sum
from engine.pool.sqlite_rows import ROWS_AT_ONCE, updating
from engine.pool.sqlite_store import SqliteStore
from tests.support.stores import SLICE, family

(MOST, _), (MANY, MANY_LEAST), (FEW, _), _ = ROWS_AT_ONCE


@pytest.fixture
def store() -> Iterator[SqliteStore]:
    opened = SqliteStore(None)
    yield opened
    opened.close()


def entries(store: SqliteStore) -> int:
    """Rows of the journal's table as they stand there now."""
    return int(store.db.value("SELECT count(*) FROM journal"))


@pytest.mark.parametrize(
    "count", [0, 1, FEW, MANY_LEAST - 1, MANY_LEAST, 8 * MOST + MANY + FEW + 5]
)
def test_rows_get_keys_that_follow_each_other(count: int) -> None:
    """D9: for each row the key that the table gave it"""
    database = Database(None)
    database.insert("INSERT INTO contract (code)", [("first",)])
    codes = [(f"c{number}",) for number in range(count)]
    keys = database.insert("INSERT INTO contract (code)", codes)
    found = database.run("SELECT contract_id, code FROM contract ORDER BY contract_id")[1:]
    assert found == [(key, code) for key, (code,) in zip(keys, codes, strict=True)]
    database.close()


def test_a_row_that_is_refused_takes_the_transaction_back() -> None:
    """D9: half of what was to be added is not kept"""
    database = Database(None)
    database.begin()
    with pytest.raises(PoolError, match="UNIQUE"):
        database.insert("INSERT INTO contract (code)", [("a",), ("b",), ("a",)])
    assert database.run("SELECT * FROM contract") == []
    database.close()


def test_entries_are_in_the_journal_when_their_transaction_is(store: SqliteStore) -> None:
    """D9, G2: with their check sums, numbered without a gap"""
    store.begin()
    family(store, SLICE)
    before = entries(store)
    assert before == 0
    assert store.audit() == []  # which looks at all of it
    assert entries(store) == 3
    store.grant("r1", "hdd1", "hdo1", 5)
    store.commit()
    rows = store.db.run("SELECT * FROM journal ORDER BY journal_id")
    assert [row[0] for row in rows] == [1, 2, 3, 4]
    assert [row[-1] for row in rows] == [check_sum(*row[1:-1]) for row in rows]


def test_entries_of_what_was_taken_back_are_never_written(store: SqliteStore) -> None:
    """D9: not with the next transaction either"""
    store.begin()
    family(store, SLICE)
    store.rollback()
    assert store.audit() == []
    family(store, SLICE)
    assert entries(store) == 3
    assert store.audit() == []


def test_a_long_transaction_writes_its_entries_as_it_goes(store: SqliteStore) -> None:
    """What is unwritten takes memory: so much of it and no more"""
    store.begin()
    store.open_lines([("hdd1", f"hdo{number}", 0) for number in range(_ROWS_KEPT)])
    assert entries(store) == _ROWS_KEPT
    store.commit()
    assert store.audit() == []


def test_entries_that_cannot_be_written_fail_the_commit() -> None:
    """D9, F5: then nothing of the transaction is kept, and it is said"""
    store = SqliteStore(None)
    store.db.run(
        "CREATE TEMP TRIGGER refuse BEFORE INSERT ON journal BEGIN SELECT RAISE(ABORT, 'no'); END"
    )
    store.begin()
    store.open_line("hdd1", "hdo1", 0)
    with pytest.raises(PoolError, match="no"):
        store.commit()
    assert store.lines() == []
    store.db.run("DROP TRIGGER temp.refuse")
    store.open_line("hdd1", "hdo1", 0)
    assert entries(store) == 1
    store.close()
    with pytest.raises(apsw.ConnectionClosedError):
        store.db._connection.execute("SELECT 1")


@pytest.mark.parametrize("name", ["USE", "REPORT", "HOLD", "TAKE"])
def test_an_update_of_many_rows_finds_each_by_its_key(name: str) -> None:
    """D1: it costs the same with ten million lines"""
    database = Database(None)
    one = getattr(sqlite_statements, name)
    width = len(set(re.findall(r"\?\d", one)))
    many = updating(one, width, 8)
    plan = [row[3] for row in database.run(f"EXPLAIN QUERY PLAN {many}", *range(8 * width))]
    table = one.split()[1]
    found = [step for step in plan if table in step or "INDEX" in step]
    assert found == [f"SEARCH {table} USING INTEGER PRIMARY KEY (rowid=?)"]
    database.close()


@pytest.mark.parametrize("count", [1, FEW - 1, FEW, MOST + 2 * FEW + 3])
def test_an_update_changes_each_row_by_its_own_figures(count: int) -> None:
    """I5: however many there are"""
    database = Database(None)
    database.run("CREATE TABLE a (id INTEGER PRIMARY KEY, x, y)")
    database.insert("INSERT INTO a (x, y)", [(0, 1)] * count)
    rows = [(number, 2 * number, number) for number in range(1, count)]
    database.update("UPDATE a SET x = x + ?1, y = y - ?2 - ?1 WHERE id = ?3", rows)
    found = database.run("SELECT id, x, y FROM a")
    assert found == [(n, n, 1 - 3 * n) for n in range(1, count)] + [(count, 0, 1)]
    database.close()


WITHOUT_ARRAYS = """
import apsw
apsw.compile_options = ()
from engine.pool import open_store
from engine.pool.store import Credit, Request
from engine.pool.sqlite import MANY
assert MANY == "json_each"
store = open_store(None)
for number in range(2):
    store.credit_all([Credit("c1", "hdd1", "bundle", 1 << 25, 0, 9)])
    assert store.open_lines([("hdd1", "hdo1", 0), ("hdd1", "hdo2", 5)])[1] == 5
    assert store.grant_all([Request("r1", "hdd1", "hdo1", 5)]) == [(2, 10 << 20)]
store.grant_all([])
store.settle_all([("hdo1", 7), ("hdo2", 0)], True)
assert store.restricting(["hdo1"], 0) == []
assert store.audit() == []
store.close()
"""


def test_a_sqlite_that_knows_no_arrays_will_do() -> None:
    """B81: one that was not built by apsw itself may be without"""
    subprocess.run([sys.executable, "-c", WITHOUT_ARRAYS], check=True, timeout=60)
