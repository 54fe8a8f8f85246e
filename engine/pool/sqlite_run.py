"""Runs: a gateway has the store open from `start` to `end`; what a broken-off run left is booked.

While a line is open, its SIM may have used more than was ever reported, but not more than its mark,
which was written ahead (G4). So when a run ends without a clean close (kill -9, power loss, a lease
that is over), what is certain is booked as used, what lies between that and the mark as uncertain:
named, never silently dropped. The rest stays on the SIM. Who was never marked may have used all.
"""

from collections.abc import Iterable
from typing import NamedTuple

from engine.errors import PoolError
from engine.pool import sqlite_statements as sql
from engine.pool.sqlite import Database, Row
from engine.pool.sqlite_journal import REFUND, UNCERTAIN, USED, Journal


class OpenLine(NamedTuple):
    """A line that a run left open, with the figures of `line` in the schema."""

    line_id: int
    code: str
    contract: str
    held_bytes: int
    reported_bytes: int
    marked_used_bytes: int
    mark_bytes: int | None


def start(
    db: Database, gateway: str, uncertain: str, lease: tuple[int, int]
) -> tuple[int, Journal, list[str]]:
    """Begin a run of a gateway whose last process is dead, and settle what that one left open.

    `lease`: from and until when, by the database's clock. Returns the run's number, its journal, and
    one line of text per SIM of which something is uncertain. The caller's transaction holds it all.
    """
    journal = Journal(db, 0)
    found: list[str] = []
    for (run_id,) in db.run(sql.OPEN_RUN_OF, gateway):
        found += recover(db, journal, run_id, uncertain, "because the run before was not closed")
    db.run(sql.NEW_RUN, gateway, *lease)
    run_id = db.last_id()
    journal.run_id = run_id
    return run_id, journal, found


def recover(db: Database, journal: Journal, run_id: int, uncertain: str, reason: str) -> list[str]:
    """Take over from a run that will not report any more, and fence it off (I4).

    Returns one line of text per SIM of which something is uncertain now.
    """
    texts = []
    for row in db.run(sql.UNSETTLED_LINES, run_id):
        line = OpenLine(*row)
        used = max(line.reported_bytes, line.marked_used_bytes)
        mark = line.held_bytes if line.mark_bytes is None else max(line.mark_bytes, used)
        spend(db, journal, run_id, line, used - line.reported_bytes)
        db.run(sql.REPORT_RECOVERED, used, line.line_id)
        if mark > used:
            booked = _book_uncertain(db, journal, run_id, line, mark - used)
            fate = "counted as used"
            if uncertain == "refund":
                _refund(db, journal, run_id, line, booked)
                fate = "uncertain, given back"
            slices = ", ".join(str(slice_id) for slice_id, _ in booked)
            texts.append(
                f"line {line.code} of contract {line.contract}: {mark - used} bytes of slice {slices}"
                f" {fate}, {reason}"
            )
    db.run(sql.CLOSE_LINES, run_id)
    db.run(sql.END_RUN, "recovered", run_id)
    return texts


def spend(db: Database, journal: Journal, run_id: int, line: OpenLine, used_bytes: int) -> None:
    """Book bytes of a line as used in a run, the oldest on the SIM first."""
    for slice_id, taken in held(db, line.line_id, used_bytes):
        db.run(sql.USE, taken, slice_id)
        journal.write(USED, line.contract, taken, line=line.code, slice_id=slice_id, run_id=run_id)


def _book_uncertain(
    db: Database, journal: Journal, run_id: int, line: OpenLine, amount: int
) -> list[tuple[int, int]]:
    """Book what may have been used as uncertain; (slice, bytes) of it."""
    booked = held(db, line.line_id, amount)
    for slice_id, taken in booked:
        db.run(sql.BOOK_UNCERTAIN, taken, slice_id)
        journal.write(
            UNCERTAIN, line.contract, taken, line=line.code, slice_id=slice_id, run_id=run_id
        )
    db.run(sql.HOLD, -amount, 0, line.line_id)
    return booked


def _refund(
    db: Database, journal: Journal, run_id: int, line: OpenLine, booked: list[tuple[int, int]]
) -> None:
    """Give back what is uncertain: it is on the SIM again, and the journal tells both."""
    for slice_id, amount in booked:
        db.run(sql.BOOK_UNCERTAIN, -amount, slice_id)
        db.run(sql.HOLD, amount, 0, line.line_id)
        journal.write(
            REFUND, line.contract, amount, line=line.code, slice_id=slice_id, run_id=run_id
        )


def held(db: Database, line_id: int, amount: int) -> list[tuple[int, int]]:
    """(slice, bytes) that make up `amount` of what the SIM holds, the oldest first."""
    slices = db.run(sql.HELD, line_id) if amount else []
    return oldest(db.where, line_id, slices, amount)


def oldest(where: str, line_id: int, slices: Iterable[Row], amount: int) -> list[tuple[int, int]]:
    """(slice, bytes) that make up `amount`, of (slice, bytes on the SIM) from the oldest on."""
    taken = []
    for slice_id, left in slices if amount else ():
        taken.append((slice_id, min(left, amount)))
        amount -= taken[-1][1]
        if not amount:
            return taken
    if amount:
        raise PoolError(
            f"{where}: slices of line {line_id} hold {amount} bytes less than the line's row says;"
            " run `pktoll pool audit`"
        )
    return taken


def end(db: Database, run_id: int) -> None:
    """Close a run whose use has been reported in full; the caller's transaction holds it."""
    db.run(sql.CLOSE_LINES, run_id)
    db.run(sql.END_RUN, "clean", run_id)
