"""The audit on PostgreSQL: every book held against every other, by statements of its own.

A broken row is named with its table and key. The journal is the one account that is never changed,
so the tables are held against it; its own rows carry a check sum, and a contract's leave no gap.
"""

from collections.abc import Callable, Iterator
from functools import partial

from engine.errors import PoolError, PoolUnavailable
from engine.pool.checks import CHECKS, PURCHASES, purchase_faults
from engine.pool.postgres import Database, Row
from engine.pool.postgres_schema import SHAPE, load_migrations
from engine.pool.postgres_statements import BOOK_SUM, CHECK_SUM, CONTENT_SUM

# What only this store has. The journal's rows are counted on their contract and numbered from 1.
_OWN_CHECKS: tuple[tuple[str, str], ...] = (
    (
        "journal of contract {}: row {} changed since it was written (check sum)",
        f"""
        SELECT j.contract, j.number FROM journal j WHERE j.check_sum <> {CHECK_SUM.format("j.")}
        ORDER BY j.contract, j.number
        """,
    ),
    (
        "journal of contract {}: row {} missing",
        """
        SELECT contract, before + 1 FROM (
            SELECT contract, number, lag(number, 1, 0::bigint) OVER
                (PARTITION BY contract ORDER BY number) AS before FROM journal) rows
        WHERE number <> before + 1 ORDER BY contract, before
        """,
    ),
    (
        "contract {} ({}): {} journal rows counted, the journal has them up to {}",
        """
        SELECT c.contract_id, c.code, c.journal_rows, coalesce(j.last, 0) FROM contract c
        LEFT JOIN (SELECT contract, max(number) AS last FROM journal GROUP BY contract) j
            ON j.contract = c.code
        WHERE c.journal_rows <> coalesce(j.last, 0) ORDER BY c.contract_id
        """,
    ),
    (
        "coupon {}: its end is booked or not, against what it holds and what the journal says (I7)",
        """
        SELECT p.coupon_id FROM coupon p
        LEFT JOIN journal j ON j.coupon_id = p.coupon_id AND j.kind IN ('expire', 'close')
        WHERE (p.is_over = 1 AND p.in_database_bytes > 0)
           OR (p.is_over = 0 AND j.journal_id IS NOT NULL) ORDER BY p.coupon_id
        """,
    ),
    (
        "slice {}: made in run {}, which does not exist",
        """
        SELECT s.slice_id, s.run_id FROM slice s LEFT JOIN run r ON r.run_id = s.run_id
        WHERE r.run_id IS NULL ORDER BY s.slice_id
        """,
    ),
    (
        "line {} ({}): opened in run {}, which does not exist",
        """
        SELECT l.line_id, l.code, l.run_id FROM line l LEFT JOIN run r ON r.run_id = l.run_id
        WHERE r.run_id IS NULL ORDER BY l.line_id
        """,
    ),
    (
        "usage_day of line {}: day {} in run {}: no such line or run",
        """
        SELECT u.line_id, u.day, u.run_id FROM usage_day u
        LEFT JOIN line l ON l.line_id = u.line_id LEFT JOIN run r ON r.run_id = u.run_id
        WHERE l.line_id IS NULL OR r.run_id IS NULL ORDER BY u.line_id, u.day, u.run_id
        """,
    ),
    (
        "book_journal {} version {}: changed since it was written (check sum)",
        f"""
        SELECT j.mio_id, j.version FROM book_journal j WHERE j.check_sum <> {BOOK_SUM.format("j.")}
        ORDER BY j.mio_id, j.version
        """,
    ),
    (
        "account {}: its document or its names are not as its last entry in the book's journal says",
        f"""
        SELECT a.mio_id FROM account a
        JOIN book_journal j ON j.mio_id = a.mio_id AND j.version = a.version
        WHERE j.content_sum <> {CONTENT_SUM} ORDER BY a.mio_id
        """,
    ),
)
_RUNS = "SELECT run_id, state FROM run ORDER BY run_id"
_VERSIONS = "SELECT version, name FROM schema_version ORDER BY version"
_SHAPE = f"""
    SELECT coalesce(wanted.name, found.name) FROM schema_object wanted
    FULL JOIN ({SHAPE}) found ON found.name = wanted.name
    WHERE wanted.definition IS DISTINCT FROM found.definition ORDER BY 1
"""


def audit(db: Database, run_id: int) -> list[str]:
    """One line per broken invariant; [] when everything agrees. Changes nothing.

    All checks see the database as it was at one instant, whatever other gateways go on to do.
    """
    checks: list[Callable[[], Iterator[str]]] = [partial(_schema, db)]
    checks += [partial(_balance, db, text, sql) for text, sql in (*CHECKS, *_OWN_CHECKS)]
    checks += [partial(_purchases, db), partial(_runs, db, run_id)]
    found: list[str] = []
    with db.snapshot():
        for check in checks:
            try:
                found.extend(check())
            except PoolUnavailable:
                raise
            except PoolError as error:
                # A damaged page; no further statement is possible in this snapshot.
                return [*found, str(error)]
    return found


def _look(db: Database, sql: str) -> list[Row]:
    return db.run(sql, patient=True)


def _balance(db: Database, text: str, sql: str) -> Iterator[str]:
    """One of the checks: a line for each row that it finds."""
    for row in _look(db, sql):
        yield text.format(*row)


def _purchases(db: Database) -> Iterator[str]:
    """Purchases against their coupons, months and limits (C3, C4)."""
    yield from purchase_faults(_look(db, PURCHASES))


def _runs(db: Database, run_id: int) -> Iterator[str]:
    """Runs are numbered without a gap, and the one that asks is on."""
    for expected, (number, state) in enumerate(_look(db, _RUNS), 1):
        if number != expected:
            yield f"run {expected}: missing"
            return
        if number == run_id and state != "open":
            yield f"run {number}: its state is {state}, while it is on"


def _schema(db: Database) -> Iterator[str]:
    """Tables, constraints, indexes and triggers are as they were made, by the migrations shipped."""
    wanted = [(version, name) for version, name, _ in load_migrations()]
    if _look(db, _VERSIONS) != wanted:
        yield f"schema_version: should be {len(wanted)} steps, as shipped"
    for (name,) in _look(db, _SHAPE):
        yield f"{name}: is not as this version of pktoll made it"
