"""The audit: every book held against every other, by statements of its own.

A broken row is named with its table and key. The journal is the one account that is never changed,
so the tables are held against it; its own rows carry a check sum, and their numbers leave no gap.
"""

from collections.abc import Callable, Iterator
from functools import partial
from zlib import crc32

from engine.errors import PoolError
from engine.pool import sqlite_glance as glance
from engine.pool import sqlite_journal as journal
from engine.pool.checks import PURCHASES, ROW_CHECKS, purchase_faults
from engine.pool.sqlite import Database, load_migrations
from engine.pool.sqlite_book import content_sum

_JOURNAL = f"SELECT journal_id, check_sum, {glance.SUMMED} FROM journal ORDER BY journal_id"
_RUNS = "SELECT run_id, state FROM run ORDER BY run_id"
_ENTRIES = """
    SELECT entry_id, check_sum, mio_id, version, at_ns, action, detail, content_sum
    FROM book_journal ORDER BY entry_id
"""
_DOCUMENTS = """
    SELECT a.mio_id, a.document, j.content_sum FROM account a
    JOIN book_journal j ON j.mio_id = a.mio_id AND j.version = a.version ORDER BY a.mio_id
"""
_NAMES = "SELECT kind, name FROM account_name WHERE mio_id = ?"
_OBJECTS = "SELECT type || ' ' || name, sql FROM sqlite_master ORDER BY type, name"
_FILE = "SELECT file FROM pragma_database_list WHERE name = 'main'"
# Each column of theirs is held against another row, by the checks of the ledger.
_LEDGER_TABLES = "'journal', 'contract', 'coupon', 'slice', 'slice_part'"
_TABLES = f"""
    SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT IN ({_LEDGER_TABLES})
    ORDER BY name
"""
_VERSIONS = "SELECT version, name FROM schema_version ORDER BY version"

# CRC-32 of what `_schema` looks at, as the migrations make it: making it anew takes some ms.
SCHEMA_SUM = 0x0C650B7B


def audit(db: Database, run_id: int) -> list[str]:
    """One line per broken invariant; [] when everything agrees. Changes nothing.

    All checks see the database as it was at one instant, whatever other gateways go on to do.
    """
    found: list[str] = []
    with db.snapshot():
        for check in _checks(db, run_id):
            try:
                found.extend(check())
            except PoolError as error:
                # Damaged pages stop one check; the others may still name the row.
                found.append(str(error))
    return found


def _checks(db: Database, run_id: int) -> list[Callable[[], Iterator[str]]]:
    """What is to be looked at; of the checks that take long, those which a glance does not rule out."""
    checks: list[Callable[[], Iterator[str]]] = [partial(_schema, db), partial(_pages, db)]
    checks += [partial(_references, db)]
    checks += [partial(_balance, db, *check) for check in (*ROW_CHECKS, *glance.needed(db))]
    checks += [partial(_purchases, db), partial(_runs, db, run_id)]
    checks += [] if glance.is_whole(db) else [partial(_journal_rows, db)]
    return [*checks, partial(_book_entries, db), partial(_documents, db)]


def _balance(db: Database, text: str, sql: str) -> Iterator[str]:
    """One of CHECKS: a line for each row that it finds."""
    for row in db.run(sql):
        yield text.format(*row)


def _purchases(db: Database) -> Iterator[str]:
    """Months and expiries of purchases."""
    yield from purchase_faults(db.rows(PURCHASES))


def _runs(db: Database, run_id: int) -> Iterator[str]:
    """Runs are numbered without a gap, and this one is on; others may be, at other gateways."""
    for expected, (number, state) in enumerate(db.run(_RUNS), 1):
        if number != expected:
            yield f"run {expected}: missing"
            return
        if number == run_id and state != "open":
            yield f"run {number}: its state is {state}, while run {run_id} is on"


def _book_entries(db: Database) -> Iterator[str]:
    """The rows of the contract book's journal: none missing, none changed."""
    for expected, (entry_id, stored, *columns) in enumerate(db.rows(_ENTRIES), 1):
        if entry_id != expected:
            yield f"book_journal {expected}: missing"
            return
        if journal.check_sum(*columns) != stored:
            yield f"book_journal {entry_id}: changed since it was written (check sum)"


def _documents(db: Database) -> Iterator[str]:
    """Every account's document and names, against the sum in the entry of its last change."""
    for mio_id, document, kept in db.rows(_DOCUMENTS):
        names = [(kind, name) for kind, name in db.run(_NAMES, mio_id)]
        if content_sum(document, names) != kept:
            yield f"account {mio_id}: document or names changed since they were saved (check sum)"


def _journal_rows(db: Database) -> Iterator[str]:
    """The journal's own rows: none missing, none changed."""
    expected = 1
    for journal_id, stored, content in db.rows(_JOURNAL):
        if journal_id != expected:
            yield f"journal {expected}: missing"
        if crc32(content) != stored:
            yield f"journal {journal_id}: changed since it was written (check sum)"
        expected = journal_id + 1


def _schema(db: Database) -> Iterator[str]:
    """Tables, constraints, indexes and triggers are those of the migrations, to the letter."""
    found: dict[str, str | None] = dict(db.run(_OBJECTS))
    found_versions = db.run(_VERSIONS)
    if crc32(repr((sorted(found.items()), found_versions)).encode()) == SCHEMA_SUM:
        return
    fresh = Database(None)
    wanted: dict[str, str | None] = dict(fresh.run(_OBJECTS))
    versions = fresh.run(_VERSIONS)
    fresh.close()
    for name in sorted(wanted.keys() | found.keys()):
        if wanted.get(name) != found.get(name):
            yield f"{name}: is not as this version of pktoll made it"
    if found_versions != versions:
        yield f"schema_version: should be {load_migrations()[-1][0]} steps, as shipped"


def _pages(db: Database) -> Iterator[str]:
    """SQLite's own checks: pages, indexes, constraints.

    A database in memory is nothing that a crash left behind, or that another program wrote. Its indexes are
    what this process made of the rows. The journal's constraints held when its rows were written, their
    check sums say that nothing changed since, and the ledger's tables agree with them.
    """
    looks = ["PRAGMA integrity_check"]
    if not db.value(_FILE):
        looks = [f'PRAGMA quick_check("{table}")' for (table,) in db.run(_TABLES)]
    for look in looks:
        for (text,) in db.run(look):
            if text != "ok":
                yield f"{db.where}: {' '.join(text.split())}"


def _references(db: Database) -> Iterator[str]:
    """Rows that refer to none."""
    for table, row_id, parent, _ in db.run("PRAGMA foreign_key_check"):
        row = table if row_id is None else f"{table} {row_id}"
        yield f"{row}: refers to a row of {parent} that does not exist"
