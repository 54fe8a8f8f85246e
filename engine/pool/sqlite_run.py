"""Runs: a gateway has the store open from `start` to `end`; what a broken-off run left is booked.

While a line is open, its SIM may have used more than was ever reported. So when a run ends without
a clean close (kill -9, power loss), all that its open lines still held counts as `uncertain`: never
given back, never silently dropped (G4, with the whole balance as the bound).
"""

from engine.pool.sqlite import Database
from engine.pool.sqlite_journal import UNCERTAIN, Journal
from engine.pool.sqlite_statements import HELD

_OPEN_LINES = """
    SELECT l.line_id, l.code, c.code FROM line l JOIN contract c ON c.contract_id = l.contract_id
    WHERE l.is_open = 1 ORDER BY l.line_id
"""
_BOOK_UNCERTAIN = "UPDATE slice SET uncertain_bytes = uncertain_bytes + ? WHERE slice_id = ?"
_CLOSE_LINES = "UPDATE line SET is_open = 0 WHERE is_open = 1"
_MARK_RECOVERED = "UPDATE run SET state = 'recovered' WHERE state = 'open' AND run_id <> ?"
_MARK_CLEAN = "UPDATE run SET state = 'clean' WHERE run_id = ?"
_NEW_RUN = "INSERT INTO run (state) VALUES ('open')"


def start(db: Database) -> tuple[int, Journal, list[str]]:
    """Begin a run and settle what the one before left open.

    Returns the run's number, its journal, and one line of text per SIM whose balance was booked.
    """
    db.begin()
    db.run(_NEW_RUN)
    run_id = db.last_id()
    journal = Journal(db, run_id)
    found = [_book_uncertain(db, journal, *row) for row in db.run(_OPEN_LINES)]
    db.run(_CLOSE_LINES)
    db.run(_MARK_RECOVERED, run_id)
    db.commit()
    return run_id, journal, [text for text in found if text]


def _book_uncertain(db: Database, journal: Journal, line_id: int, line: str, contract: str) -> str:
    """Book all that the line's SIM held as uncertain; says so, "" if it held nothing."""
    held = db.run(HELD, line_id)
    for slice_id, left_bytes in held:
        db.run(_BOOK_UNCERTAIN, left_bytes, slice_id)
        journal.write(UNCERTAIN, contract, left_bytes, line=line, slice_id=slice_id)
    if not held:
        return ""
    ids = ", ".join(str(slice_id) for slice_id, _ in held)
    return (
        f"line {line} of contract {contract}: {sum(left for _, left in held)} bytes of slice {ids}"
        " counted as used, because the run before was not closed"
    )


def end(db: Database, run_id: int) -> None:
    """Close a run whose use has been reported in full, and the group that may still be open."""
    if not db.in_transaction:
        db.begin()
    db.run(_CLOSE_LINES)
    db.run(_MARK_CLEAN, run_id)
    db.commit()
