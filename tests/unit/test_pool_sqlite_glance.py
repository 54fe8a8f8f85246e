"""The glance that spares the audit its long checks never spares one that would find something."""

import random
from collections.abc import Iterator
from contextlib import suppress
from itertools import product
from pathlib import Path
from zlib import crc32

import apsw
import pytest

from engine.errors import PoolError
from engine.pool import LineNews, StoreOptions, open_store
from engine.pool import sqlite_glance as glance
from engine.pool.checks import CHECKS, ENTRY_CHECKS, LINE_CHECKS, ROW_CHECKS, STATE_CHECKS, Check
from engine.pool.sqlite import Database
from engine.pool.sqlite_audit import SCHEMA_SUM, audit
from engine.pool.store import CouponStore
from engine.units import MB

LONG = (*ENTRY_CHECKS, *LINE_CHECKS, *STATE_CHECKS)
TABLES = ("coupon", "slice", "slice_part", "journal", "journal", "line", "contract")
ENTRIES = ("credit", "open", "grant", "used", "uncertain", "refund", "expire", "close", "remove")
KINDS = (*ENTRIES, "state")
STORIES = ("used once", "used again", "over", "three runs")


def tell(story: str, url: str) -> CouponStore:
    """Three lines of two contracts, whose slices were used once or more; and what else may come to pass."""
    store = open_store(url)
    before = 0 if story == "used once" else 7
    store.credit("c1", "hdd1", "bundle", 15 * MB, 20, 100)
    store.credit("c2", "hdd1", "topup", 50 * MB, 20, 200)
    store.credit("c3", "hdd2", "bundle", 50 * MB, 20, 100)
    for contract, line in (("hdd1", "hdo1"), ("hdd2", "hdo2"), ("hdd1", "hdo3")):
        store.open_line(contract, line, before)
        for number in range(2):
            store.grant(f"{line}:{number}", contract, line, 50)
    if story == "three runs":
        store.mark([(f"hdo{number}", 7, 2 * MB) for number in (1, 2, 3)])
        store.close(clean=False)
        store = open_store(url, StoreOptions(uncertain="charge"))
        store.open_line("hdd1", "hdo3", 0)
        store.mark([("hdo3", 3, MB)])
        store.close(clean=False)
        store = open_store(url, StoreOptions(uncertain="refund"))
        store.open_line("hdd1", "hdo1", 0)
    store.settle("hdo1", 12 * MB, story == "used once")
    if story != "used once":
        store.settle("hdo1", 13 * MB, False)
    if story in ("over", "three runs"):
        store.expire(100)
        store.open_line("hdd2", "hdo4", 8)
        store.settle("hdo4", 1, True)
        store.remove_line("hdo4", 110)
        store.note("hdo1", LineNews(111, True, False, True, 99))
        store.close_contract("hdd2", 130)
    if story != "three runs":
        store.settle("hdo2", 5, True)
    return store


@pytest.fixture(scope="module")
def books(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """The file of every story."""
    folder, contents = tmp_path_factory.mktemp("books"), {}
    for number, story in enumerate(STORIES):
        store = tell(story, f"sqlite:///{folder}/{number}.db")
        assert store.audit() == []
        store.close()
        content = bytearray((folder / f"{number}.db").read_bytes())
        # A copy in memory has no WAL; these two bytes of the file's header say whether one is in use.
        content[18:20] = b"\x01\x01"
        contents[story] = bytes(content)
    return contents


def opened(content: bytes) -> Database:
    """A copy of the books in memory, that can be changed by hand."""
    database = Database(None)
    database._connection.deserialize("main", content)
    for name in ("journal_keeps_rows", "journal_keeps_values"):
        database.run(f"DROP TRIGGER {name}")
    database.run("PRAGMA ignore_check_constraints = 1")
    database.run("PRAGMA foreign_keys = 0")
    return database


def change(database: Database, draw: random.Random) -> None:
    """Change one value, swap two, delete or repeat a row, or exchange the numbers of two entries."""
    table = draw.choice(TABLES)
    key = "slice_id * 1000 + coupon_id" if table == "slice_part" else "rowid"
    names = [row[1] for row in database.run(f"PRAGMA table_info({table})")]
    rows = [row[0] for row in database.run(f"SELECT {key} FROM {table}")]
    column, one, other = draw.choice(names), draw.choice(rows), draw.choice(rows)
    what = f"UPDATE {table} SET {column} = ? WHERE {key} = ?"
    mine, its = (
        database.value(f"SELECT {column} FROM {table} WHERE {key} = ?", row) for row in (one, other)
    )
    how = draw.randrange(7)
    if how == 0:
        amount = draw.choice([1, -1, 2, 1 << 40])
        changed = (
            mine + amount if isinstance(mine, int) else f"{mine}x" if mine else draw.choice([0, 1])
        )
        database.run(what, changed, one)
    elif how == 1:
        database.run(what, its, one)
    elif how == 2:
        database.run(what, its, one)
        database.run(what, mine, other)
    elif how == 3:
        database.run(f"DELETE FROM {table} WHERE {key} = ?", one)
    elif how == 4:
        copied = ", ".join([str(draw.randrange(9)), *names[1:]])
        database.run(f"INSERT INTO {table} SELECT {copied} FROM {table} WHERE {key} = ?", one)
    elif how == 5:
        one, other = draw.sample(range(1, 1 + database.value("SELECT max(rowid) FROM journal")), 2)
        for was, becomes in ((one, -1), (other, one), (-1, other)):
            database.run("UPDATE journal SET journal_id = ? WHERE journal_id = ?", becomes, was)
    else:
        entry = draw.randrange(1, 1 + database.value("SELECT max(rowid) FROM journal"))
        kind = draw.choice(KINDS)
        database.run("UPDATE journal SET kind = ? WHERE journal_id = ?", kind, entry)


def finds(database: Database, check: Check) -> list[str]:
    """What one check says."""
    try:
        return [check[0].format(*row) for row in database.run(check[1])]
    except PoolError as error:
        return [str(error)]


def changed_books(books: dict[str, bytes], draw: random.Random) -> Iterator[Database]:
    """Books of every story, again and again, with one to three changes in each."""
    for number in range(60):
        database = opened(books[STORIES[number % len(STORIES)]])
        for _ in range(draw.choice([1, 1, 1, 2, 3])):
            try:
                change(database, draw)
            except PoolError:
                continue  # it cannot even be made: a key that there is already, or no number
        yield database
        database.close()


def missed(database: Database) -> list[list[str]]:
    """What the checks find that the glance rules out."""
    needed = glance.needed(database)
    found = (finds(database, check) for check in LONG if check not in needed)
    return [lines for lines in found if lines]


def single_changes(database: Database) -> Iterator[tuple[str, int | str | None]]:
    """Statements with a value: each one of the ledger a little off, that of each other row, or strange."""
    for table in dict.fromkeys(TABLES):
        key = "slice_id * 1000 + coupon_id" if table == "slice_part" else "rowid"
        names = [row[1] for row in database.run(f"PRAGMA table_info({table})")]
        rows = [row[0] for row in database.run(f"SELECT {key} FROM {table}")]
        for column in names:
            kept = {row[0] for row in database.run(f"SELECT DISTINCT {column} FROM {table}")}
            off = {value + 1 for value in kept if isinstance(value, int)}
            kinds = KINDS if (table, column) == ("journal", "kind") else ()
            for row, value in product(rows, [*kept, *off, *kinds, None, "nobody", 77, 0]):
                yield f"UPDATE {table} SET {column} = ?1 WHERE {key} = {row}", value
        unique = {"slice": "request_id", "coupon": "credit_id", "line": "code", "contract": "code"}
        for row in rows:
            yield f"DELETE FROM {table} WHERE ?1 IS NULL AND {key} = {row}", None
            copied = ["?1", *(f"{n} || 'x'" if n == unique.get(table) else n for n in names[1:])]
            for new in (1, 2, 3, 99):
                values = f"SELECT {', '.join(copied)} FROM {table} WHERE {key} = {row}"
                yield f"INSERT INTO {table} {values}", new


@pytest.mark.parametrize("story", ["used once", "over", "three runs"])
def test_no_single_change_is_overlooked(books: dict[str, bytes], story: str) -> None:
    """F18, G6: every value of every row, whatever other it gets; every row that is missing or too many."""
    database = opened(books[story])
    made = 0
    for statement, value in list(single_changes(database)):
        database.run("SAVEPOINT before")
        # What cannot even be made (a key that there is already, no number) does not count.
        with suppress(PoolError):
            database.run(statement, value)
            made += 1
            assert missed(database) == [], (statement, value)
        database.run("ROLLBACK TO before")
        database.run("RELEASE before")
    assert made > 1000
    database.close()


@pytest.mark.parametrize("seed", range(4))
def test_no_check_is_spared_that_would_find_something(books: dict[str, bytes], seed: int) -> None:
    """F18, G6: each check that the glance rules out is run all the same, on books changed at random."""
    spared = caught = 0
    for database in changed_books(books, random.Random(seed)):
        needed = glance.needed(database)
        assert missed(database) == []
        spared += not needed
        caught += any(finds(database, check) for check in needed)
    assert spared > 2
    assert caught > 15


@pytest.mark.parametrize(
    ("story", "needed"),
    [("used once", ()), ("used again", ()), ("over", 8), ("three runs", 8)],
)
def test_what_is_settled_at_a_glance(books: dict[str, bytes], story: str, needed: object) -> None:
    """Books of one run need none of the long checks; the others those of lines and of states."""
    database = opened(books[story])
    wanted = (*LINE_CHECKS, *STATE_CHECKS) if needed else ()
    assert glance.needed(database) == wanted
    assert glance.is_whole(database)


@pytest.mark.parametrize("far", [1 << 31, -100])
def test_keys_that_no_glance_tells_apart_are_looked_at_in_full(
    books: dict[str, bytes], far: int
) -> None:
    """G6: with every key of a slice moved alike, the books still agree."""
    database = opened(books["used once"])
    for table in ("slice", "slice_part", "journal"):
        database.run(f"UPDATE {table} SET slice_id = slice_id + {far}")
    assert glance.needed(database) == LONG
    assert not any(finds(database, check) for check in LONG)
    database.close()


def found(content: bytes, *statements: str) -> str:
    """What the audit says after a change by hand; the journal's triggers are gone, too."""
    database = opened(content)
    for statement in statements:
        database.run(statement)
    return " | ".join(audit(database, 1))


def test_a_use_that_was_entered_before_its_line_was_opened_is_named(
    books: dict[str, bytes],
) -> None:
    """G6, I5: two entries with their numbers exchanged, each of them as it was written."""
    first_use = opened(books["used once"]).value(
        "SELECT min(journal_id) FROM journal WHERE kind = 'used' AND line = 'hdo1'"
    )
    numbers = ((4, -1), (first_use, 4), (-1, first_use))
    words = found(
        books["used once"],
        *(
            f"UPDATE journal SET journal_id = {new} WHERE journal_id = {old}"
            for old, new in numbers
        ),
    )
    assert "line 1 (hdo1): 12582912 bytes of use reported in run 1, but the journal has" in words


@pytest.mark.parametrize("column", ["check_sum", "at_ns"])
def test_two_entries_that_exchanged_a_value_are_named(books: dict[str, bytes], column: str) -> None:
    """G6, D9: sums of a whole table would not show it."""
    words = found(
        books["used once"],
        f"UPDATE journal SET {column} = 1 + (SELECT sum({column}) FROM journal"
        f" WHERE journal_id IN (1, 5)) - {column} - 1 WHERE journal_id IN (1, 5)",
    )
    for number in (1, 5):
        assert f"journal {number}: changed since it was written (check sum)" in words


def twin(kind: str, columns: str, where: str = "1 = 1") -> str:
    """The statement that makes the first entry of a kind the same as the last in some columns."""
    entries = f"FROM journal WHERE kind = '{kind}' AND {where} ORDER BY journal_id"
    return (
        f"UPDATE journal SET ({columns}) = (SELECT {columns} {entries} DESC LIMIT 1)"
        f" WHERE journal_id = (SELECT journal_id {entries} LIMIT 1)"
    )


FULL = "bytes = 10485760"
PLACED = "contract, line, coupon_id, slice_id, bytes, detail"


@pytest.mark.parametrize(
    ("story", "statements", "words"),
    [
        (
            "used once",
            [twin("credit", PLACED)],
            "coupon 1: 15728640 bytes credited, 15728640 granted",
        ),
        (
            "used once",
            [twin("grant", PLACED, FULL)],
            "slice 1 part of coupon 1: 10485760 bytes, but",
        ),
        (
            "used again",
            [twin("open", PLACED)],
            "slice 1: 7 bytes granted, 7 used, 0 uncertain, but",
        ),
        ("used once", [twin("used", PLACED)], "slice 1: 10485760 bytes granted, 10485760 used"),
        (
            "used once",
            ["UPDATE journal SET slice_id = 4, bytes = 0 WHERE kind = 'used' AND slice_id = 3"],
            "slice 3: 10485760 bytes granted, 5 used, 0 uncertain, but the journal has 10485760, 0",
        ),
        (
            "used once",
            ["UPDATE line SET held_bytes = held_bytes + 3, reported_bytes = reported_bytes + 3"],
            "line 2 (hdo2): 8 bytes of use reported in run 1, but the journal has 5 since (I5)",
        ),
    ],
)
def test_what_makes_up_for_itself_is_named(
    books: dict[str, bytes], story: str, statements: list[str], words: str
) -> None:
    """G6, D3, D9: an entry that stands twice in place of another; as many entries and rows as before."""
    assert words in found(books[story], *statements)


@pytest.mark.parametrize(
    ("statement", "words"),
    [
        ("UPDATE line SET is_open = 7", "CHECK constraint failed in line"),
        (
            "UPDATE line SET contract_id = 77 WHERE line_id = 1",
            "line 1: refers to a row of contract",
        ),
        (
            "UPDATE journal SET kind = 'gift' WHERE journal_id = 2",
            "journal 2: changed since it was",
        ),
        ("DELETE FROM journal WHERE journal_id = 1", "journal 1: missing"),
        ("DROP TABLE journal", "no such table"),
    ],
)
def test_what_sqlite_checks_itself_is_found_in_memory(
    books: dict[str, bytes], statement: str, words: str
) -> None:
    """F18: constraints and references, though SQLite looks at fewer tables there than in a file."""
    database = opened(books["used once"])
    database.run(statement)
    database.run("PRAGMA ignore_check_constraints = 0")
    assert words in " | ".join(audit(database, 1))


@pytest.mark.parametrize("index", ["slice_by_line", "coupon_by_contract"])
def test_an_index_that_lost_a_row_is_found_in_a_file(tmp_path: Path, index: str) -> None:
    """B81, F18: in a file, SQLite holds every index against its table."""
    path = tmp_path / "a.db"
    tell("used once", f"sqlite:///{path}").close()
    with_index = apsw.Connection(str(path))
    table = index.split("_")[0]
    definition = with_index.execute("SELECT sql FROM sqlite_master WHERE name = ?", (index,)).get
    with_index.execute("PRAGMA writable_schema = 1")
    changed = f"{definition} WHERE {table}_id <> 1"
    with_index.execute("UPDATE sqlite_master SET sql = ? WHERE name = ?", (changed, index))
    with_index.close()
    with_index = apsw.Connection(str(path))
    with_index.execute(f"REINDEX {index}")
    with_index.execute("PRAGMA writable_schema = 1")
    with_index.execute("UPDATE sqlite_master SET sql = ? WHERE name = ?", (definition, index))
    with_index.close()
    store = open_store(f"sqlite:///{path}")
    assert any(f"missing from index {index}" in line for line in store.audit())
    store.close(clean=False)


def test_the_sum_of_the_schema_is_that_of_the_migrations() -> None:
    """F22: with another sum the audit would say the same, but make the schema anew each time."""
    database = Database(None)
    objects = database.run("SELECT type || ' ' || name, sql FROM sqlite_master")
    versions = database.run("SELECT version, name FROM schema_version ORDER BY version")
    wanted = crc32(repr((sorted(objects), versions)).encode())
    assert f"{SCHEMA_SUM:#010x}" == f"{wanted:#010x}"


def test_every_check_is_in_one_group() -> None:
    """F18: none is run twice, none is forgotten."""
    assert sorted(CHECKS) == sorted((*ROW_CHECKS, *LONG))
    assert len({text for text, _ in CHECKS}) == len(CHECKS)
