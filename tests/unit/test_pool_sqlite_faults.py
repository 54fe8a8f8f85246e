"""A SQLite coupon database whose disk is full, or whose work is broken off."""

import re
from pathlib import Path

import apsw
import pytest

from engine.errors import PoolError, PoolUnavailable
from engine.pool import StoreOptions, sqlite_statements
from engine.pool.sqlite import Database
from engine.pool.sqlite_store import SqliteStore
from tests.support.stores import SLICE


def test_a_full_disk_stops_granting_and_leaves_no_half(tmp_path: Path) -> None:
    """F5: the group is taken back; when there is room again, it goes on."""
    store = SqliteStore(str(tmp_path / "a.db"))
    store.credit("c1", "hdd1", "bundle", 1 << 40, 0, 100)
    store.open_line("hdd1", "hdo1", 0)
    store.grant("r0", "hdd1", "hdo1", 5)
    pages = store.db.value("PRAGMA page_count")
    store.db.run(f"PRAGMA max_page_count = {pages}")
    store.begin()
    numbers = iter(range(1, 1000))

    def grant_on() -> None:
        while True:
            store.grant(f"r{next(numbers)}", "hdd1", "hdo1", 5)

    with pytest.raises(PoolError, match="the disk is full; make room"):
        grant_on()
    assert [s.request_id for s in store.slices("hdo1")] == ["r0"]
    assert store.audit() == []
    store.db.run("PRAGMA max_page_count = 1000000")
    assert store.grant("r1", "hdd1", "hdo1", 5).granted_bytes == SLICE
    assert store.audit() == []
    store.close()


def test_a_full_disk_opens_all_of_many_lines_or_none(tmp_path: Path) -> None:
    """F5: and the same call works once there is room."""
    store = SqliteStore(str(tmp_path / "a.db"))
    store.open_line("hdd1", "hdo1", 5)
    pages = store.db.value("PRAGMA page_count")
    store.db.run(f"PRAGMA max_page_count = {pages}")
    many = [("hdd1", f"new{number}", number % 3) for number in range(2000)]
    with pytest.raises(PoolUnavailable, match="the disk is full; make room"):
        store.open_lines(many)
    assert [line.code for line in store.lines()] == ["hdo1"]
    store.db.run("PRAGMA max_page_count = 1000000")
    assert store.open_lines(many) == [balance for _, _, balance in many]
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
    store.db._connection.exec_trace = interrupt
    with pytest.raises(KeyboardInterrupt):
        store.grant("r1", "hdd1", "hdo1", 5)
    store.db._connection.exec_trace = None
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


def test_a_line_whose_slices_hold_less_than_it_says_is_an_error(tmp_path: Path) -> None:
    """F18: books that were changed by hand are not made worse; the audit still opens and names the row."""
    path = str(tmp_path / "a.db")
    store = SqliteStore(path)
    store.credit("c1", "hdd1", "bundle", 1 << 40, 0, 100)
    store.open_line("hdd1", "hdo1", 0)
    store.grant("r0", "hdd1", "hdo1", 5)
    store.db.run("UPDATE line SET held_bytes = held_bytes + 7")
    with pytest.raises(
        PoolError, match="slices of line 1 hold 7 bytes less than the line's row says"
    ):
        store.settle("hdo1", SLICE + 7, False)
    assert [s.used_bytes for s in store.slices("hdo1")] == [0]
    store.close(clean=False)
    with pytest.raises(PoolError, match=r"hold 7 bytes less .* run `pktoll pool audit`"):
        SqliteStore(path)
    operator = SqliteStore(path, StoreOptions(gateway=None))
    assert operator.audit() == [
        "line 1 (hdo1): 10485767 bytes held - 0 reported, but its slices hold 10485760 (I1, I2)"
    ]
    operator.close()


def test_a_lock_file_that_cannot_be_made_is_an_error(tmp_path: Path) -> None:
    """B81: what bears its name is left alone."""
    (tmp_path / "a.db-lock-gateway").mkdir()
    with pytest.raises(PoolError, match=r"a\.db: cannot be opened"):
        SqliteStore(str(tmp_path / "a.db"))
    with pytest.raises(PoolError, match="gateway 5-wal: SQLite keeps files of its own"):
        SqliteStore(str(tmp_path / "a.db"), StoreOptions(gateway="5-wal"))


def test_an_audit_survives_the_end_of_its_transaction() -> None:
    """F5: some failures end it; what was found so far is told."""
    database = Database(None)
    with database.snapshot():
        database.run("ROLLBACK")
    with pytest.raises(PoolError, match="refused a statement"):
        list(database.rows("no statement at all"))


def test_every_statement_finds_its_rows_by_an_index() -> None:
    """D1: a grant costs the same with ten million lines; only the list of contracts reads a table."""
    database = Database(None)
    statements = {n: v for n, v in vars(sqlite_statements).items() if n.isupper() and n[0] != "_"}
    assert len(statements) > 50
    for name, statement in statements.items():
        if re.fullmatch(r"INSERT INTO \w+ \([\w, \n]+\)", statement.strip()):
            continue  # the rows to be added come with the call
        count = len(set(re.findall(r"\?\d+", statement))) or statement.count("?")
        plan = [row[3] for row in database.run(f"EXPLAIN QUERY PLAN {statement}", *["[]"] * count)]
        steps = [step for step in plan if not step.startswith(("SCAN j VIRTUAL", "SCAN CONSTANT"))]
        if name not in ("CONTRACTS", "COUPONS", "LINES"):
            assert not [step for step in steps if "SCAN" in step or "TEMP B-TREE" in step], name
