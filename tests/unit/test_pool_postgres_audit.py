"""The audit on PostgreSQL catches what was changed by hand, in every table, and names the row."""

from collections.abc import Iterator

import pytest

from engine.errors import PoolError, PoolUnavailable
from engine.pool import Account, BookEntry, LineNews, StoreOptions, open_store
from engine.pool.postgres import Database
from engine.pool.postgres_audit import audit
from engine.units import MB
from tests.support.postgres import Cluster

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
    "account": "mio_id",
    "account_name": "name",
    "book_journal": "mio_id",
}
# What no other book repeats: none of it is a sum of bytes that anybody pays for. How earlier runs ended and
# until when they might have gone on, whether a line is open, what customers are shown, and usage by day.
UNCHECKED = {
    "run": {"state", "gateway", "renewed_ns", "lease_until_ns", "refused_reports"},
    "line": {"is_open", "first_slice_id", "mark_bytes", "regulated", "shown_bytes", "shown_ns"},
    "schema_version": set[str](),
}


@pytest.fixture(scope="module")
def books(postgres: Cluster) -> str:
    """A database with three runs, every kind of journal entry, and rows of every table."""
    url = postgres.fresh()
    store = open_store(url)
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
    store = open_store(url, StoreOptions(uncertain="refund"))
    assert "uncertain, given back" in store.recovered[0]
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
    store.close()
    return url


@pytest.fixture
def hand(books: str) -> Iterator[Database]:
    """A hand in the books, in a transaction that is taken back."""
    database = Database(books, 10_000, 60_000, "hand")
    database.connect()
    begin(database)
    yield database
    database.rollback()
    assert audit(database, 0) == []
    database.close()


def begin(hand: Database) -> None:
    """A transaction in which neither triggers nor references stop a change."""
    hand.begin()
    hand.run("SET LOCAL session_replication_role TO replica")


def found_in(hand: Database) -> list[str]:
    """What the audit says but for constraints that the test took away."""
    found = audit(hand, 0)
    assert all("\n" not in line for line in found)
    return [line for line in found if not line.startswith("constraint ")]


def without_checks(hand: Database, table: str) -> None:
    """Take the CHECK constraints of a table away, which would refuse most changes."""
    constraints = hand.run(
        f"SELECT conname FROM pg_constraint WHERE conrelid = '{table}'::regclass AND contype = 'c'"
    )
    for (name,) in constraints:
        hand.run(f"ALTER TABLE {table} DROP CONSTRAINT {name}")


@pytest.mark.parametrize("amount", [1, -1, (1 << 62) - 1])
@pytest.mark.parametrize("table", KEYS)
def test_any_changed_value_is_found_and_its_row_named(
    hand: Database, table: str, amount: int
) -> None:
    """F18, G6, I1, I2, I3, I7: each column of the table, a little and a lot."""
    without_checks(hand, table)
    key = KEYS[table]
    columns = hand.run(
        f"SELECT column_name FROM information_schema.columns WHERE table_schema = 'pktoll'"
        f" AND table_name = '{table}'"
    )
    for (column,) in columns:
        if column in UNCHECKED.get(table, ()):
            continue
        row, value = hand.run(
            f"SELECT {key}, {column} FROM {table} WHERE {column} IS NOT NULL ORDER BY 1 DESC LIMIT 1"
        )[0]
        if isinstance(value, int):
            changed = "1 - is_over" if column == "is_over" else str(value + amount)
        else:
            changed = f"'{value}x'" if amount > 0 else f"'~{value[1:]}'"
        hand.run("SAVEPOINT before")
        try:
            hand.run(
                f"UPDATE {table} SET {column} = {changed} WHERE {key} = %(row)s"
                f" AND {column} = %(value)s",
                {"row": row, "value": value},
            )
        except PoolError:
            # Another row has this key, or the number leaves int64: the change cannot even be made.
            begin(hand)
            without_checks(hand, table)
            continue
        found = found_in(hand)
        assert found, (table, column)
        if column != key:
            words = " | ".join(found)
            named = [f"{table} {row}", f"{table} of", f"{row} part of coupon", "schema_version:"]
            if table == "account_name":
                named.append("account MA000001")
            assert any(name in words for name in named), (column, words)
        hand.run("ROLLBACK TO SAVEPOINT before")


@pytest.mark.parametrize("table", [table for table in KEYS if table != "account_name"])
def test_a_missing_row_is_found(hand: Database, table: str) -> None:
    """F16, F18: each row of each table; of the names only that of the account itself is repeated."""
    key = KEYS[table]
    for (row,) in hand.run(f"SELECT DISTINCT {key} FROM {table}"):
        hand.run("SAVEPOINT before")
        hand.run(f"DELETE FROM {table} WHERE {key} = %(row)s", {"row": row})
        assert found_in(hand), (table, row)
        hand.run("ROLLBACK TO SAVEPOINT before")


@pytest.mark.parametrize(
    ("statement", "named"),
    [
        ("DROP INDEX coupon_in_use", "index coupon_in_use"),
        ("ALTER TABLE slice DROP CONSTRAINT slice_pkey CASCADE", "constraint slice.slice_pkey"),
        ("DROP TRIGGER journal_keeps_rows ON journal", "trigger journal.journal_keeps_rows"),
        ("ALTER TABLE journal DISABLE TRIGGER journal_keeps_rows", "trigger journal."),
        ("ALTER TABLE line ALTER contract_id DROP NOT NULL", "column line.contract_id"),
        ("CREATE TABLE extra (id int)", "column extra.id"),
        (
            "CREATE OR REPLACE FUNCTION keep_rows() RETURNS trigger LANGUAGE plpgsql"
            " AS 'BEGIN RETURN OLD; END'",
            "function keep_rows",
        ),
    ],
)
def test_a_changed_schema_is_found(hand: Database, statement: str, named: str) -> None:
    """G6: constraints, indexes, triggers and columns are as they were made."""
    hand.run("SET LOCAL session_replication_role TO origin")
    hand.run(statement)
    assert any(line.startswith(named) for line in audit(hand, 0)), audit(hand, 0)


def test_journals_cannot_be_changed_by_accident(hand: Database) -> None:
    """D9: what was written stays; the server itself refuses."""
    hand.run("SET LOCAL session_replication_role TO origin")
    for statement in (
        "UPDATE journal SET bytes = bytes + 1",
        "DELETE FROM journal",
        "UPDATE book_journal SET detail = ''",
        "DELETE FROM book_journal",
    ):
        with pytest.raises(PoolError, match="the journal is append-only"):
            hand.run(statement)
        hand.begin()


def test_a_run_that_is_missing_or_over_is_named(hand: Database) -> None:
    """I4: a run does not end behind the back of the gateway that is on."""
    assert "run 2: its state is clean, while it is on" in audit(hand, 2)
    hand.run("DELETE FROM run WHERE run_id = 1")
    assert "run 1: missing" in found_in(hand)


def test_a_table_that_cannot_be_read_ends_the_audit_with_its_name(hand: Database) -> None:
    """F18: what was found until then is told all the same."""
    hand.run("DROP TABLE purchase_month")
    found = audit(hand, 0)
    assert "purchase_month" in found[-1]
    assert len(found) > 1


def test_an_audit_that_loses_its_server_says_so(books: str, postgres: Cluster) -> None:
    """F7: no answer is no clean bill."""
    database = Database(books, 1_000, 60_000, "auditor")
    database.connect()
    database.begin()
    postgres.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE application_name = 'pktoll auditor'"
    )
    with pytest.raises(PoolUnavailable):
        audit(database, 0)
    database.close()
