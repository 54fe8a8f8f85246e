"""The audit catches what was changed by hand, in every table, and names the row."""

from pathlib import Path

import apsw
import pytest

from engine.errors import PoolError
from engine.pool import Account, BookEntry, LineNews, StoreOptions, open_store, sqlite_run
from engine.pool.sqlite import Database
from engine.pool.sqlite_audit import audit
from engine.units import MB

SLICE = 10 * MB
MARCH_NS = 1_394_000_000_000_000_000  # 5 March 2014
KEYS = {
    "schema_version": "version",
    "run": "run_id",
    "contract": "contract_id",
    "coupon": "coupon_id",
    "line": "line_id",
    "slice": "slice_id",
    "slice_part": "slice_id",
    "journal": "journal_id",
    "purchase": "purchase_id",
    "purchase_month": "month",
    "usage_day": "line_id",
    "account": "mio_id",
    "account_name": "name",
    "book_journal": "entry_id",
}

# What no other book repeats: none of it is a sum of bytes that anybody pays for. How earlier runs ended and
# until when they might have gone on, whether a line is open, what customers are shown, and usage by day.
UNCHECKED = {
    ("run", "state"),
    ("run", "gateway"),
    ("run", "renewed_ns"),
    ("run", "lease_until_ns"),
    ("run", "refused_reports"),
    ("line", "is_open"),
    ("line", "first_slice_id"),
    ("line", "mark_bytes"),
    ("line", "regulated"),
    ("line", "shown_bytes"),
    ("line", "shown_ns"),
    ("schema_version", "version"),
}
UNCHECKED_TABLES = ("usage_day",)


def columns() -> list[tuple[str, str]]:
    """(table, column) of the whole schema, as SQLite itself lists it."""
    rows = Database(None).run(
        "SELECT m.name, i.name FROM sqlite_master m JOIN pragma_table_info(m.name) i"
        " WHERE m.type = 'table'"
    )
    return [row for row in rows if row not in UNCHECKED and row[0] not in UNCHECKED_TABLES]


@pytest.fixture(scope="module")
def books(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A database with two runs, every kind of journal entry, and rows of every table."""
    path = tmp_path_factory.mktemp("books") / "a.db"
    store = open_store(f"sqlite:///{path}")
    store.credit("c1", "hdd1", "bundle", 15 * MB, 0, 100)
    store.credit("c2", "hdd1", "topup", 50 * MB, 0, 200)
    store.credit("c3", "hdd2", "bundle", 50 * MB, 0, 100)
    store.open_line("hdd1", "hdo1", 9)
    store.open_line("hdd2", "hdo2", 0)
    for number, line in enumerate(("hdo1", "hdo1", "hdo2")):
        store.grant(f"r{number}", f"hdd{line[-1]}", line, 50)
    store.settle("hdo2", 5, False)
    store.mark([("hdo2", 7, 2 * MB)])
    store.close(clean=False)
    store = open_store(f"sqlite:///{path}")
    store.open_line("hdd2", "hdo2", 0)
    store.grant("r8", "hdd2", "hdo2", 55)
    store.mark([("hdo2", 3, MB)])
    store.close(clean=False)
    store = open_store(f"sqlite:///{path}", StoreOptions(uncertain="refund"))
    store.open_line("hdd1", "hdo1", 0)
    store.grant("r9", "hdd1", "hdo1", 60)
    store.settle("hdo1", 44, False)
    store.mark([("hdo1", 50, MB)])
    store.expire(100)
    store.buy("b1", "hdd1", 2, MARCH_NS)
    store.open_line("hdd2", "hdo3", 8)
    store.settle("hdo3", 1, True)
    store.remove_line("hdo3", 110)
    store.note("hdo1", LineNews(111, True, False, True, 99))
    store.report_usage([("hdo1", 5, 1, 2, 3, 2)], 120)
    store.close_contract("hdd2", 130)
    for version in (1, 2):
        entry = BookEntry("MA000001", version, 140, "apply", "by post")
        names = [("contract", "hdd1"), ("line", "hdo1")]
        store.save_account(Account("MA000001", version, "{}"), names, entry)
    assert store.audit() == []
    store.settle("hdo1", 50, True)
    store.close()
    content = bytearray(path.read_bytes())
    # A copy in memory has no WAL; these two bytes of the file's header say whether one is in use.
    content[18:20] = b"\x01\x01"
    return bytes(content)


def opened(books: bytes) -> Database:
    """A copy of the books in memory."""
    database = Database(None)
    database._connection.deserialize("main", books)
    return database


def audit_after(books: bytes, *statements: str) -> list[str]:
    """What the audit says, in the next run, after the statements were carried out by hand."""
    database = opened(books)
    triggers = database.run("SELECT name, sql FROM sqlite_master WHERE type = 'trigger'")
    database.run("PRAGMA ignore_check_constraints = 1")
    database.run("PRAGMA foreign_keys = 0")
    for name, _ in triggers:
        database.run(f"DROP TRIGGER {name}")
    for statement in (*statements, *(sql for _, sql in triggers)):
        database.run(statement)
    database.begin()
    run_id, _, _ = sqlite_run.start(database, "audit", "charge", (0, 1))
    database.commit()
    database.run("PRAGMA ignore_check_constraints = 0")
    found = audit(database, run_id)
    assert all("\n" not in line for line in found)
    return found


def test_untouched_books_agree(books: bytes) -> None:
    """G6: the audit is silent when nothing is wrong, by the same way of looking."""
    assert audit_after(books) == []


@pytest.mark.parametrize("amount", [1, -1, 7, -(10**12), (1 << 62) - 1])
@pytest.mark.parametrize(("table", "column"), columns())
def test_any_changed_value_is_found_and_its_row_named(
    books: bytes, table: str, column: str, amount: int
) -> None:
    """F18, G6, I1, I2, I3, I7: each column of each table, a little and a lot."""
    key = KEYS[table]
    row, value = opened(books).run(
        f"SELECT {key}, {column} FROM {table} WHERE {column} IS NOT NULL ORDER BY 1 DESC LIMIT 1"
    )[0]
    if isinstance(value, int):
        changed = str(value + amount)
    else:
        changed = f"'{value}x'" if amount > 0 else f"'~{value[1:]}'"
    try:
        found = audit_after(books, f"UPDATE {table} SET {column} = {changed} WHERE {key} = {row!r}")
    except PoolError:
        # Another row has this key: the change cannot even be made.
        assert column in (key, "version")
        return
    assert found
    if column != key:
        words = " | ".join(found)
        named = (f"{table} {row}", f"{row} part of coupon", "schema_version:", "account MA000001")
        assert any(name in words for name in named), words


@pytest.mark.parametrize("order", ["ASC", "DESC"])
@pytest.mark.parametrize(
    "table", [table for table in KEYS if table not in ("run", "schema_version", "usage_day")]
)
def test_any_deleted_row_is_found(books: bytes, table: str, order: str) -> None:
    """F18, G6, D9: the first and the last row of each table that holds bytes."""
    key = KEYS[table]
    row = f"(SELECT {key} FROM {table} ORDER BY 1 {order} LIMIT 1)"
    assert audit_after(books, f"DELETE FROM {table} WHERE {key} = {row}")


FAULTS = [
    (
        "UPDATE coupon SET in_database_bytes = in_database_bytes + 1, credited_bytes ="
        " credited_bytes + 1 WHERE coupon_id = 2",
        "coupon 2: 52428801 bytes credited",
    ),
    (
        "UPDATE slice SET granted_bytes = granted_bytes + 1 WHERE slice_id = 4",
        "slice 4: its parts should be 10485761 bytes and are 10485760 (D3)",
    ),
    (
        f"UPDATE slice SET granted_bytes = {SLICE + 1} WHERE slice_id = 4",
        f"slice 4: granted {SLICE + 1} bytes, 10 used + {2 * MB - 7} uncertain (I1, I2: at most 10 MB)",
    ),
    (
        "UPDATE slice SET line_id = 1 WHERE slice_id = 4",
        "slice 4: journal entry 9 names another line, contract, request, kind or run (I4)",
    ),
    (
        "UPDATE coupon SET expires_ns = 40 WHERE coupon_id = 1",
        "journal 6: grant of coupon 1 at 50 ns, but it is good from 0 until before 40 ns (C6, I7)",
    ),
    (
        "INSERT INTO slice_part VALUES (3, 3, 1)",
        "slice 3 part of coupon 3: 1 bytes, but the journal has 0 (D3)",
    ),
    (
        "INSERT INTO slice_part SELECT 1, coupon_id, 9223372036854775807 FROM coupon",
        "integer overflow",
    ),
    ("DELETE FROM journal WHERE journal_id = 3", "journal 3: missing"),
    ("DELETE FROM run WHERE run_id = 1", "run 1: missing"),
    ("DELETE FROM schema_version", "schema_version: should be 4 steps, as shipped"),
    ("DROP INDEX slice_on_sim", "index slice_on_sim: is not as this version of pktoll made it"),
    ("CREATE TABLE extra (x)", "table extra: is not as this version of pktoll made it"),
    ("DROP TABLE slice_part", "no such table"),
    ("INSERT INTO contract (code) VALUES ('ghost')", "(ghost): no journal entry knows this code"),
    ("DELETE FROM contract WHERE contract_id = 2", "refers to a row of contract"),
]


@pytest.mark.parametrize(("statement", "words"), FAULTS)
def test_a_planted_fault_is_named(books: bytes, statement: str, words: str) -> None:
    """G6, I1, I2, I4, I7, D3: the words that a person reads."""
    assert words in " | ".join(audit_after(books, statement))


def test_the_state_of_the_run_that_is_on_is_checked(tmp_path: Path) -> None:
    """I8: an open run that looks closed would hide a crash."""
    store = open_store(f"sqlite:///{tmp_path}/a.db")
    other = apsw.Connection(str(tmp_path / "a.db"))
    other.execute("UPDATE run SET state = 'clean'")
    other.close()
    assert store.audit() == ["run 1: its state is clean, while run 1 is on"]
    store.close(clean=False)


def test_the_journal_refuses_changes(tmp_path: Path) -> None:
    """G6: append-only, for other programs as well."""
    store = open_store(f"sqlite:///{tmp_path}/a.db")
    store.credit("c1", "hdd1", "bundle", 5, 0, 100)
    store.close()
    other = apsw.Connection(str(tmp_path / "a.db"))
    for statement in ("UPDATE journal SET bytes = 6", "DELETE FROM journal"):
        with pytest.raises(apsw.ConstraintError, match="append-only"):
            other.execute(statement)
    other.close()


CONSTRAINTS = [
    "UPDATE coupon SET in_database_bytes = in_database_bytes - 1 WHERE coupon_id = 2",
    "UPDATE coupon SET in_database_bytes = -1, granted_bytes = granted_bytes + 1"
    " WHERE in_database_bytes = 0",
    "UPDATE slice SET granted_bytes = 10485761 WHERE slice_id = 2",
    "UPDATE slice SET used_bytes = granted_bytes + 1 WHERE slice_id = 2",
    "UPDATE slice SET uncertain_bytes = granted_bytes WHERE slice_id = 4",
    "UPDATE slice SET used_bytes = -1 WHERE slice_id = 3",
    "INSERT INTO slice (request_id, line_id, run_id, kind, granted_bytes)"
    " VALUES ('r1', 1, 1, 'coupon', 1)",
    "UPDATE slice SET line_id = 99",
    "UPDATE coupon SET kind = 'gift'",
    "UPDATE purchase_month SET coupons = 31",
    "UPDATE line SET mark_bytes = held_bytes + 1 WHERE line_id = 1",
    "UPDATE line SET reported_bytes = held_bytes + 1 WHERE line_id = 1",
    "UPDATE line SET marked_used_bytes = mark_bytes + 1 WHERE line_id = 1",
    "UPDATE run SET state = 'open', gateway = 'twice'",
    "UPDATE line SET is_open = 1 WHERE removed_ns IS NOT NULL",
    "UPDATE coupon SET credited_bytes = 'many'",
]


@pytest.mark.parametrize("statement", CONSTRAINTS)
def test_the_schema_itself_refuses_what_breaks_an_invariant(books: bytes, statement: str) -> None:
    """I1, I2, I3: constraints in the schema, not only in the code."""
    with pytest.raises(PoolError, match=r"constraint failed|cannot store TEXT"):
        opened(books).run(statement)
