"""A glance over the ledger: which of the audit's long checks could find anything.

Most checks of `checks` group or join the whole journal, each for itself. A few passes that look rows up by
their keys can tell that books agree: where every entry fits the one row that it tells of, and each row has
the entries that it needs, the sums that those checks compare must be the same. A glance is only sure that
there is nothing to find; what it cannot tell, the checks themselves look for, and name.
"""

from zlib import crc32

from engine.errors import PoolError
from engine.pool.checks import ENTRY_CHECKS, LINE_CHECKS, STATE_CHECKS, Check
from engine.pool.sqlite import Database

# Each counts its entries, then what must be 0. One credit entry for each coupon, which it describes.
_CREDITS = """
    SELECT count(*),
           count(*) - count(DISTINCT j.coupon_id),
           count(*) - (SELECT count(*) FROM coupon),
           count(*) FILTER (WHERE (
               j.contract = c.code AND j.at_ns = p.credited_ns AND j.bytes = p.credited_bytes
               AND j.detail = p.kind || ' ' || p.expires_ns || ' ' || p.credit_id
               AND j.line IS NULL AND j.slice_id IS NULL) IS NOT TRUE)
    FROM journal j LEFT JOIN coupon p ON p.coupon_id = j.coupon_id
    LEFT JOIN contract c ON c.contract_id = p.contract_id
    WHERE j.kind = 'credit'
"""
# One grant entry for each part of a slice. Keys are less than 2^31, or `_KEYS` says so.
_GRANTS = """
    SELECT count(*),
           count(*) - count(DISTINCT (j.slice_id << 31) + j.coupon_id),
           count(*) - (SELECT count(*) FROM slice_part),
           count(*) FILTER (WHERE (
               t.bytes = j.bytes AND s.request_id = j.detail AND s.run_id = j.run_id
               AND l.code = j.line AND c.code = j.contract
               AND j.at_ns >= p.credited_ns AND j.at_ns < p.expires_ns) IS NOT TRUE)
    FROM journal j
    LEFT JOIN slice_part t ON t.slice_id = j.slice_id AND t.coupon_id = j.coupon_id
    LEFT JOIN coupon p ON p.coupon_id = j.coupon_id
    LEFT JOIN slice s ON s.slice_id = j.slice_id
    LEFT JOIN line l ON l.line_id = s.line_id
    LEFT JOIN contract c ON c.contract_id = l.contract_id
    WHERE j.kind = 'grant'
"""
_KEYS = """
    SELECT coalesce((SELECT min(slice_id) FROM slice) < 0, 0)
               + coalesce((SELECT max(slice_id) FROM slice) >= 2147483648, 0)
               + coalesce((SELECT min(coupon_id) FROM coupon) < 0, 0)
               + coalesce((SELECT max(coupon_id) FROM coupon) >= 2147483648, 0)
"""
# One entry of opening for each slice that was on the SIM already. Then, what is 0 only while no line was
# opened by two runs, and the number of the last opening.
_OPENINGS = """
    SELECT count(*),
           count(j.slice_id) - count(DISTINCT j.slice_id),
           count(j.slice_id) - (SELECT count(*) FROM slice WHERE kind = 'opening'),
           count(*) FILTER (WHERE (
               c.code = j.contract AND j.coupon_id IS NULL
               AND (j.slice_id IS NULL OR s.kind = 'opening' AND s.line_id = l.line_id
                    AND s.run_id = j.run_id AND s.granted_bytes = j.bytes)) IS NOT TRUE),
           count(*) - count(DISTINCT l.line_id),
           count(*) - (SELECT count(*) FROM line),
           count(*) FILTER (WHERE l.run_id IS NOT j.run_id),
           coalesce(max(j.journal_id), 0)
    FROM journal j LEFT JOIN line l ON l.code = j.line
    LEFT JOIN contract c ON c.contract_id = l.contract_id
    LEFT JOIN slice s ON s.slice_id = j.slice_id
    WHERE j.kind = 'open'
"""
# What was used of each slice, as its entries say. Then, entries of removal, and the first entry's number.
_USES = """
    SELECT coalesce(sum(entries), 0),
           count(*) FILTER (WHERE used <> 0) - (SELECT count(*) FROM slice WHERE used_bytes <> 0),
           count(*) FILTER (WHERE used IS NOT used_bytes),
           coalesce(sum(odd), 0),
           coalesce(sum(removals), 0),
           coalesce(min(first), 0)
    FROM (
        SELECT count(*) AS entries, sum(j.bytes) AS used, s.used_bytes, min(j.journal_id) AS first,
               sum(j.kind = 'remove') AS removals,
               sum((l.code = j.line AND c.code = j.contract AND j.coupon_id IS NULL) IS NOT TRUE)
                   AS odd
        FROM journal j LEFT JOIN slice s ON s.slice_id = j.slice_id
        LEFT JOIN line l ON l.line_id = s.line_id
        LEFT JOIN contract c ON c.contract_id = l.contract_id
        WHERE j.kind IN ('used', 'remove') AND j.slice_id IS NOT NULL GROUP BY j.slice_id)
"""
# The same at half the cost, where no slice has two such entries.
_USES_ONCE = """
    SELECT count(*),
           count(*) - (SELECT count(*) FROM slice WHERE used_bytes <> 0),
           count(*) - count(DISTINCT j.slice_id),
           count(*) FILTER (WHERE (
               j.bytes = s.used_bytes AND j.bytes <> 0 AND l.code = j.line AND c.code = j.contract
               AND j.coupon_id IS NULL) IS NOT TRUE),
           count(*) FILTER (WHERE j.kind = 'remove'),
           coalesce(min(j.journal_id), 0)
    FROM journal j LEFT JOIN slice s ON s.slice_id = j.slice_id
    LEFT JOIN line l ON l.line_id = s.line_id
    LEFT JOIN contract c ON c.contract_id = l.contract_id
    WHERE j.kind IN ('used', 'remove') AND j.slice_id IS NOT NULL
"""
# The parts of each slice, and of each coupon.
_PARTS = """
    SELECT count(*) - (SELECT count(*) FROM slice WHERE kind = 'coupon'),
           count(*) FILTER (WHERE (kind = 'coupon' AND granted_bytes = parts) IS NOT TRUE)
    FROM (SELECT s.kind, s.granted_bytes, sum(t.bytes) AS parts FROM slice_part t
          LEFT JOIN slice s ON s.slice_id = t.slice_id GROUP BY t.slice_id)
"""
_GIVEN = """
    SELECT count(*) FILTER (WHERE parts <> 0)
           - (SELECT count(*) FROM coupon WHERE granted_bytes <> 0),
           count(*) FILTER (WHERE parts IS NOT p.granted_bytes)
    FROM (SELECT coupon_id, sum(bytes) AS parts FROM slice_part GROUP BY coupon_id) t
    LEFT JOIN coupon p ON p.coupon_id = t.coupon_id
"""
# Where the journal has no other entries, there is none of what only they tell of.
_QUIET = """
    SELECT (SELECT count(*) FROM coupon WHERE expired_bytes <> 0),
           (SELECT count(*) FROM slice WHERE uncertain_bytes <> 0),
           (SELECT count(*) FROM contract WHERE closed_ns IS NOT NULL),
           (SELECT count(*) FROM line WHERE coupon_on IS NOT NULL OR in_service IS NOT NULL
                                         OR removed_ns IS NOT NULL)
"""
_OTHERS = """
    SELECT count(*),
           count(*) FILTER (WHERE (CASE
               WHEN j.kind IN ('expire', 'close') AND j.coupon_id IS NOT NULL THEN
                   p.contract_id = c.contract_id AND j.line IS NULL AND j.slice_id IS NULL
                   AND (j.kind = 'close' OR j.at_ns >= p.expires_ns)
               WHEN j.kind = 'close' THEN
                   c.code = j.contract AND j.line IS NULL AND j.slice_id IS NULL
               WHEN j.kind IN ('uncertain', 'refund') THEN
                   l.contract_id = c.contract_id AND s.line_id = l.line_id AND j.coupon_id IS NULL
               WHEN j.kind IN ('remove', 'state') THEN
                   l.contract_id = c.contract_id AND j.slice_id IS NULL AND j.coupon_id IS NULL
               END) IS NOT TRUE)
    FROM journal j LEFT JOIN slice s ON s.slice_id = j.slice_id LEFT JOIN line l ON l.code = j.line
    LEFT JOIN coupon p ON p.coupon_id = j.coupon_id LEFT JOIN contract c ON c.code = j.contract
    WHERE j.kind NOT IN ('credit', 'grant', 'open', 'used')
      AND NOT (j.kind = 'remove' AND j.slice_id IS NOT NULL)
"""
_EXPIRED = """
    SELECT count(*) FILTER (WHERE expired <> 0)
           - (SELECT count(*) FROM coupon WHERE expired_bytes <> 0),
           count(*) FILTER (WHERE expired IS NOT p.expired_bytes)
    FROM (SELECT coupon_id, sum(bytes) AS expired FROM journal
          WHERE kind IN ('expire', 'close') AND coupon_id IS NOT NULL GROUP BY coupon_id) t
    LEFT JOIN coupon p ON p.coupon_id = t.coupon_id
"""
_UNCERTAIN = """
    SELECT count(*) FILTER (WHERE uncertain <> 0)
           - (SELECT count(*) FROM slice WHERE uncertain_bytes <> 0),
           count(*) FILTER (WHERE uncertain IS NOT s.uncertain_bytes)
    FROM (SELECT slice_id, sum(CASE kind WHEN 'refund' THEN -bytes ELSE bytes END) AS uncertain
          FROM journal WHERE kind IN ('uncertain', 'refund') GROUP BY slice_id) t
    LEFT JOIN slice s ON s.slice_id = t.slice_id
"""
# Lines that were opened once, and nothing of theirs removed: all that was used of their slices is reported.
_LINES = """
    SELECT count(*) FROM (
        SELECT l.held_bytes - l.reported_bytes AS on_sim, l.reported_bytes,
               coalesce(sum(s.granted_bytes - s.used_bytes - s.uncertain_bytes), 0) AS found,
               coalesce(sum(s.used_bytes), 0) AS used
        FROM line l LEFT JOIN slice s ON s.line_id = l.line_id GROUP BY l.line_id)
    WHERE on_sim <> found OR reported_bytes <> used
"""
_CONTRACTS = """
    SELECT count(*) FROM contract c
    WHERE NOT EXISTS (SELECT 1 FROM coupon p WHERE p.contract_id = c.contract_id)
      AND NOT EXISTS (SELECT 1 FROM line l WHERE l.contract_id = c.contract_id)
"""
_ENTRIES = "SELECT count(*) FROM journal"
_NUMBERS = """
    SELECT coalesce((SELECT min(journal_id) FROM journal), 1),
           coalesce((SELECT max(journal_id) FROM journal), 0)
"""
# The columns of a row put together as `sqlite_journal.check_sum` does it.
SUMMED = """
    CAST(concat_ws(char(10), run_id, kind, contract, coalesce(line, 'None'),
                   coalesce(coupon_id, 'None'), coalesce(slice_id, 'None'), bytes, at_ns,
                   detail) AS BLOB)
"""
_SUMS = f"SELECT check_sum, {SUMMED} FROM journal WHERE journal_id BETWEEN ? AND ?"
_ROWS_AT_ONCE = 1024
_ALL = (*ENTRY_CHECKS, *LINE_CHECKS, *STATE_CHECKS)


def needed(db: Database) -> tuple[Check, ...]:
    """Those of ENTRY_CHECKS, LINE_CHECKS and STATE_CHECKS that may find something."""
    try:
        return _needed(db)
    except PoolError:
        # A damaged page, or a sum that overflows: each check says for itself what it met.
        return _ALL


def is_whole(db: Database) -> bool:
    """Whether no row of the journal is missing, and none changed since it was written."""
    try:
        first, last = db.run(_NUMBERS)[0]
        if (first, last) != (1, db.value(_ENTRIES)):
            return False
        # Many at once: row by row, the loop itself would be a good part of the cost.
        for begin in range(1, last + 1, _ROWS_AT_ONCE):
            rows = db.run(_SUMS, begin, begin + _ROWS_AT_ONCE - 1)
            sums, contents = zip(*rows, strict=True)
            if sums != tuple(map(crc32, contents)):
                return False
    except PoolError:
        return False
    return True


def _needed(db: Database) -> tuple[Check, ...]:
    credits_, *odd_credits = _numbers(db, _CREDITS)
    grants, *odd_grants = _numbers(db, _GRANTS)
    openings, *odd_openings, again, unlike, moved, last_opening = _numbers(db, _OPENINGS)
    uses, *odd_uses, removals, first_use = _uses(db)
    odd = [*odd_credits, *odd_grants, *odd_openings, *odd_uses]
    odd += [*_numbers(db, _KEYS), *_numbers(db, _PARTS), *_numbers(db, _GIVEN)]
    others = db.value(_ENTRIES) - credits_ - grants - openings - uses
    if any(odd) or any(_others(db, others)):
        return _ALL
    once = not (again or unlike or moved or removals) and (not uses or first_use > last_opening)
    plain = once and not db.value(_LINES) and not db.value(_CONTRACTS)
    return (*(() if plain else LINE_CHECKS), *(STATE_CHECKS if others or removals else ()))


def _uses(db: Database) -> list[int]:
    """The numbers of `_USES`."""
    once = _numbers(db, _USES_ONCE)
    return _numbers(db, _USES) if any(once[1:4]) else once


def _others(db: Database, others: int) -> list[int]:
    """What must be 0 of the entries that most runs do not write; there are `others` of them."""
    if not others:
        return _numbers(db, _QUIET)
    counted, odd = _numbers(db, _OTHERS)
    return [counted - others, odd, *_numbers(db, _EXPIRED), *_numbers(db, _UNCERTAIN)]


def _numbers(db: Database, sql: str) -> list[int]:
    return list(db.run(sql)[0])
