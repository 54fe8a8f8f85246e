"""The audit: every book held against every other, by statements of its own.

A broken row is named with its table and key. The journal is the one account that is never changed,
so the tables are held against it; its own rows carry a check sum, and their numbers leave no gap.
"""

from collections.abc import Callable, Iterator
from functools import partial

from engine.errors import PoolError
from engine.pool import sqlite_journal as journal
from engine.pool.sqlite import Database, load_migrations

CHECKS: tuple[tuple[str, str], ...] = (
    (
        "coupon {}: credited {} bytes, but {} in the database + {} granted + {} expired (I1, I2)",
        """
        SELECT coupon_id, credited_bytes, in_database_bytes, granted_bytes, expired_bytes
        FROM coupon
        WHERE in_database_bytes + granted_bytes + expired_bytes <> credited_bytes
           OR in_database_bytes < 0 OR granted_bytes < 0 OR expired_bytes < 0
        """,
    ),
    (
        "coupon {}: granted {} bytes, but its slices hold {} of it (I1, D3)",
        """
        SELECT p.coupon_id, p.granted_bytes, coalesce(t.total, 0) FROM coupon p
        LEFT JOIN (SELECT coupon_id, sum(bytes) AS total FROM slice_part GROUP BY coupon_id) t
            ON t.coupon_id = p.coupon_id
        WHERE p.granted_bytes <> coalesce(t.total, 0)
        """,
    ),
    (
        "coupon {}: {} bytes credited, {} granted, {} expired, but the journal has {}, {}, {} (D9)",
        """
        SELECT p.coupon_id, p.credited_bytes, p.granted_bytes, p.expired_bytes,
               coalesce(t.credited, 0), coalesce(t.granted, 0), coalesce(t.expired, 0)
        FROM coupon p LEFT JOIN (
            SELECT coupon_id, sum(CASE kind WHEN 'credit' THEN bytes ELSE 0 END) AS credited,
                   sum(CASE kind WHEN 'grant' THEN bytes ELSE 0 END) AS granted,
                   sum(CASE kind WHEN 'expire' THEN bytes ELSE 0 END) AS expired
            FROM journal GROUP BY coupon_id) t ON t.coupon_id = p.coupon_id
        WHERE p.credited_bytes <> coalesce(t.credited, 0)
           OR p.granted_bytes <> coalesce(t.granted, 0) OR p.expired_bytes <> coalesce(t.expired, 0)
        """,
    ),
    (
        "coupon {}: is not as its credit entry in the journal says (contract, kind, times or id)",
        """
        SELECT p.coupon_id FROM coupon p LEFT JOIN contract c ON c.contract_id = p.contract_id
        LEFT JOIN journal j ON j.coupon_id = p.coupon_id AND j.kind = 'credit'
        WHERE j.journal_id IS NULL OR c.code IS NULL OR j.contract <> c.code
           OR j.at_ns <> p.credited_ns
           OR j.detail <> p.kind || ' ' || p.expires_ns || ' ' || p.credit_id
        """,
    ),
    (
        "slice {}: granted {} bytes, {} used + {} uncertain (I1, I2: at most 10 MB)",
        """
        SELECT slice_id, granted_bytes, used_bytes, uncertain_bytes FROM slice
        WHERE granted_bytes <= 0 OR used_bytes < 0 OR uncertain_bytes < 0
           OR used_bytes + uncertain_bytes > granted_bytes
           OR (kind = 'coupon' AND granted_bytes > 10485760)
        """,
    ),
    (
        "slice {}: its parts should be {} bytes and are {} (D3)",
        """
        SELECT slice_id, wanted, found FROM (
            SELECT s.slice_id, CASE s.kind WHEN 'coupon' THEN s.granted_bytes ELSE 0 END AS wanted,
                   coalesce(t.total, 0) AS found
            FROM slice s
            LEFT JOIN (SELECT slice_id, sum(bytes) AS total FROM slice_part GROUP BY slice_id) t
                ON t.slice_id = s.slice_id) sums
        WHERE wanted <> found
        """,
    ),
    (
        "slice {}: {} bytes granted, {} used, {} uncertain, but the journal has {}, {}, {} (D9)",
        """
        SELECT s.slice_id, s.granted_bytes, s.used_bytes, s.uncertain_bytes,
               coalesce(t.granted, 0), coalesce(t.used, 0), coalesce(t.uncertain, 0)
        FROM slice s LEFT JOIN (
            SELECT slice_id,
                   sum(CASE WHEN kind IN ('grant', 'open') THEN bytes ELSE 0 END) AS granted,
                   sum(CASE kind WHEN 'used' THEN bytes ELSE 0 END) AS used,
                   sum(CASE kind WHEN 'uncertain' THEN bytes ELSE 0 END) AS uncertain
            FROM journal GROUP BY slice_id) t ON t.slice_id = s.slice_id
        WHERE s.granted_bytes <> coalesce(t.granted, 0) OR s.used_bytes <> coalesce(t.used, 0)
           OR s.uncertain_bytes <> coalesce(t.uncertain, 0)
        """,
    ),
    (
        "slice {}: journal entry {} names another line, contract, request, kind or run (I4)",
        """
        SELECT s.slice_id, j.journal_id FROM journal j JOIN slice s ON s.slice_id = j.slice_id
        LEFT JOIN line l ON l.line_id = s.line_id
        LEFT JOIN contract c ON c.contract_id = l.contract_id
        WHERE l.code IS NULL OR c.code IS NULL OR j.line <> l.code OR j.contract <> c.code
           OR (j.kind = 'grant' AND (s.kind <> 'coupon' OR j.detail <> s.request_id))
           OR (j.kind = 'open' AND s.kind <> 'opening')
           OR (j.kind IN ('grant', 'open') AND j.run_id <> s.run_id)
        """,
    ),
    (
        "slice {} part of coupon {}: {} bytes, but the journal has {} (D3)",
        """
        SELECT t.slice_id, t.coupon_id, t.bytes, coalesce(j.bytes, 0) FROM slice_part t
        LEFT JOIN journal j
            ON j.slice_id = t.slice_id AND j.coupon_id = t.coupon_id AND j.kind = 'grant'
        WHERE t.bytes <> coalesce(j.bytes, 0)
        """,
    ),
    (
        "line {} ({}): last opened in run {}, but in run {} by the journal of its contract (I8)",
        """
        SELECT l.line_id, l.code, l.run_id, coalesce(t.run_id, 0)
        FROM line l LEFT JOIN contract c ON c.contract_id = l.contract_id
        LEFT JOIN (SELECT line, contract, max(run_id) AS run_id FROM journal WHERE kind = 'open'
                   GROUP BY line, contract) t ON t.line = l.code AND t.contract = c.code
        WHERE coalesce(t.run_id, 0) <> l.run_id
        """,
    ),
    (
        "line {} ({}): {} bytes of use reported in run {}, but the journal has {} (I5)",
        """
        SELECT l.line_id, l.code, l.reported_bytes, l.run_id, coalesce(t.used, 0)
        FROM line l LEFT JOIN (SELECT line, run_id, sum(bytes) AS used FROM journal
                               WHERE kind = 'used' GROUP BY line, run_id) t
            ON t.line = l.code AND t.run_id = l.run_id
        WHERE l.reported_bytes <> coalesce(t.used, 0)
        """,
    ),
    (
        "line {} ({}): open since run {}, which is over",
        """
        SELECT l.line_id, l.code, l.run_id FROM line l LEFT JOIN run r ON r.run_id = l.run_id
        WHERE l.is_open <> 0 AND coalesce(r.state, '') <> 'open'
        """,
    ),
    (
        "contract {} ({}): no journal entry knows this code",
        """
        SELECT contract_id, code FROM contract
        WHERE code NOT IN (SELECT contract FROM journal) ORDER BY contract_id
        """,
    ),
    (
        "journal {}: of coupon {}, slice {}, line {}, contract {}, one does not exist",
        """
        SELECT journal_id, coalesce(coupon_id, '-'), coalesce(slice_id, '-'), coalesce(line, '-'),
               contract
        FROM journal
        WHERE (coupon_id IS NOT NULL AND coupon_id NOT IN (SELECT coupon_id FROM coupon))
           OR (slice_id IS NOT NULL AND slice_id NOT IN (SELECT slice_id FROM slice))
           OR (line IS NOT NULL AND line NOT IN (SELECT code FROM line))
           OR contract NOT IN (SELECT code FROM contract)
        """,
    ),
    (
        "journal {}: {} of coupon {} at {} ns, but it is good from {} until before {} ns (C6, I7)",
        """
        SELECT j.journal_id, j.kind, j.coupon_id, j.at_ns, p.credited_ns, p.expires_ns
        FROM journal j JOIN coupon p ON p.coupon_id = j.coupon_id
        WHERE (j.kind = 'grant' AND (j.at_ns >= p.expires_ns OR j.at_ns < p.credited_ns))
           OR (j.kind = 'expire' AND j.at_ns < p.expires_ns)
        """,
    ),
)

_JOURNAL = """
    SELECT journal_id, check_sum, run_id, kind, contract, line, coupon_id, slice_id, bytes, at_ns,
           detail
    FROM journal ORDER BY journal_id
"""
_RUNS = "SELECT run_id, state FROM run ORDER BY run_id"
_OBJECTS = "SELECT type || ' ' || name, sql FROM sqlite_master ORDER BY type, name"
_VERSIONS = "SELECT version, name FROM schema_version ORDER BY version"


def audit(db: Database, run_id: int) -> list[str]:
    """One line per broken invariant; [] when everything agrees. Changes nothing."""
    checks: list[Callable[[], Iterator[str]]] = [partial(_schema, db), partial(_pages, db)]
    checks += [partial(_balance, db, text, sql) for text, sql in CHECKS]
    checks += [partial(_journal_rows, db), partial(_runs, db, run_id)]
    found: list[str] = []
    for check in checks:
        try:
            found.extend(check())
        except PoolError as error:
            # Damaged pages stop one check; the others may still name the row.
            found.append(str(error))
    return found


def _balance(db: Database, text: str, sql: str) -> Iterator[str]:
    """One of CHECKS: a line for each row that it finds."""
    for row in db.run(sql):
        yield text.format(*row)


def _runs(db: Database, run_id: int) -> Iterator[str]:
    """Runs are numbered without a gap; the one that is on is open, and no other."""
    for expected, (number, state) in enumerate(db.run(_RUNS), 1):
        if number != expected:
            yield f"run {expected}: missing"
            return
        if (state == "open") != (number == run_id):
            yield f"run {number}: its state is {state}, while run {run_id} is on"


def _journal_rows(db: Database) -> Iterator[str]:
    """The journal's own rows: none missing, none changed."""
    expected = 1
    for journal_id, stored, *columns in db.rows(_JOURNAL):
        if journal_id != expected:
            yield f"journal {expected}: missing"
        if journal.check_sum(*columns) != stored:
            yield f"journal {journal_id}: changed since it was written (check sum)"
        expected = journal_id + 1


def _schema(db: Database) -> Iterator[str]:
    """Tables, constraints, indexes and triggers are those of the migrations, to the letter."""
    fresh = Database(None)
    wanted: dict[str, str | None] = dict(fresh.run(_OBJECTS))
    versions = fresh.run(_VERSIONS)
    fresh.close()
    found: dict[str, str | None] = dict(db.run(_OBJECTS))
    for name in sorted(wanted.keys() | found.keys()):
        if wanted.get(name) != found.get(name):
            yield f"{name}: is not as this version of pktoll made it"
    if db.run(_VERSIONS) != versions:
        yield f"schema_version: should be {load_migrations()[-1][0]} steps, as shipped"


def _pages(db: Database) -> Iterator[str]:
    """SQLite's own checks: pages, indexes, constraints, references."""
    for (text,) in db.run("PRAGMA integrity_check"):
        if text != "ok":
            yield f"{db.where}: {' '.join(text.split())}"
    for table, row_id, parent, _ in db.run("PRAGMA foreign_key_check"):
        row = table if row_id is None else f"{table} {row_id}"
        yield f"{row}: refers to a row of {parent} that does not exist"
