"""The audit's portable part: plain SQL that holds the books against each other on any database.

Each check is a text with a place for every column of a row, and a query that finds broken rows: the row
is named with its table and key. The tables are held against the journal, which is never changed.
"""

from collections.abc import Iterable

from engine import calendar
from engine.pool.store import TOPUP_BYTES

# A run may open a line again after another had it: what it reported before that counts no more.
_NEWEST_OPENING = """
    SELECT line, max(journal_id) AS journal_id FROM journal WHERE kind = 'open' GROUP BY line
"""

Check = tuple[str, str]

# Every entry of the journal against the row that it tells of, and the sums of both.
ENTRY_CHECKS: tuple[Check, ...] = (
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
                   sum(CASE WHEN kind IN ('expire', 'close') THEN bytes ELSE 0 END) AS expired
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
                   sum(CASE WHEN kind IN ('used', 'remove') THEN bytes ELSE 0 END) AS used,
                   sum(CASE kind WHEN 'uncertain' THEN bytes WHEN 'refund' THEN -bytes ELSE 0 END)
                       AS uncertain
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
        "journal {}: of coupon {}, slice {}, line {}, contract {}, one does not exist",
        """
        SELECT journal_id, coalesce(CAST(coupon_id AS TEXT), '-'),
               coalesce(CAST(slice_id AS TEXT), '-'), coalesce(line, '-'), contract
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
# What lines hold and have reported, and how contracts are known.
LINE_CHECKS: tuple[Check, ...] = (
    (
        "line {} ({}): opened in run {}, of which the journal of its contract knows nothing (I8)",
        """
        SELECT l.line_id, l.code, l.run_id
        FROM line l LEFT JOIN contract c ON c.contract_id = l.contract_id
        WHERE (l.code, coalesce(c.code, ''), l.run_id)
              NOT IN (SELECT line, contract, run_id FROM journal WHERE kind = 'open')
        """,
    ),
    (
        "line {} ({}): last opened in run {}, but in run {} by the journal of its contract (I8)",
        f"""
        SELECT l.line_id, l.code, l.run_id, coalesce(t.run_id, 0)
        FROM line l LEFT JOIN contract c ON c.contract_id = l.contract_id
        LEFT JOIN (SELECT j.line, j.contract, j.run_id FROM journal j
                   JOIN ({_NEWEST_OPENING}) o ON o.journal_id = j.journal_id) t
            ON t.line = l.code AND t.contract = c.code
        WHERE coalesce(t.run_id, 0) <> l.run_id
        """,
    ),
    (
        "line {} ({}): {} bytes of use reported in run {}, but the journal has {} since (I5)",
        f"""
        SELECT l.line_id, l.code, l.reported_bytes, l.run_id, coalesce(t.used, 0)
        FROM line l LEFT JOIN (
            SELECT j.line, sum(j.bytes) AS used FROM journal j
            JOIN ({_NEWEST_OPENING}) o ON o.line = j.line
            WHERE j.kind = 'used' AND j.journal_id > o.journal_id GROUP BY j.line) t
            ON t.line = l.code
        WHERE l.reported_bytes <> coalesce(t.used, 0)
        """,
    ),
    (
        "line {} ({}): {} bytes held - {} reported, but its slices hold {} (I1, I2)",
        """
        SELECT l.line_id, l.code, l.held_bytes, l.reported_bytes, coalesce(t.on_sim, 0)
        FROM line l LEFT JOIN (
            SELECT line_id, sum(granted_bytes - used_bytes - uncertain_bytes) AS on_sim
            FROM slice GROUP BY line_id) t ON t.line_id = l.line_id
        WHERE l.held_bytes - l.reported_bytes <> coalesce(t.on_sim, 0)
        """,
    ),
    (
        "contract {} ({}): no journal entry knows this code",
        """
        SELECT contract_id, code FROM contract
        WHERE code NOT IN (SELECT contract FROM journal) ORDER BY contract_id
        """,
    ),
)
# What was last said of lines and contracts.
STATE_CHECKS: tuple[Check, ...] = (
    (
        "line {} ({}): coupon switch {}, in service {}, but the journal has {}, {} (Q4; -1: never said)",
        """
        SELECT l.line_id, l.code, coalesce(l.coupon_on, -1), coalesce(l.in_service, -1),
               coalesce(c.said, -1), coalesce(s.said, -1)
        FROM line l
        LEFT JOIN (
            SELECT j.line, CASE j.detail WHEN 'coupon on' THEN 1 ELSE 0 END AS said FROM journal j
            JOIN (SELECT max(journal_id) AS last FROM journal
                  WHERE kind = 'state' AND detail IN ('coupon on', 'coupon off') GROUP BY line) t
                ON t.last = j.journal_id) c ON c.line = l.code
        LEFT JOIN (
            SELECT j.line, CASE j.detail WHEN 'in service' THEN 1 ELSE 0 END AS said FROM journal j
            JOIN (SELECT max(journal_id) AS last FROM journal
                  WHERE kind = 'state' AND detail IN ('in service', 'suspended') GROUP BY line) t
                ON t.last = j.journal_id) s ON s.line = l.code
        WHERE coalesce(l.coupon_on, -1) <> coalesce(c.said, -1)
           OR coalesce(l.in_service, -1) <> coalesce(s.said, -1)
        """,
    ),
    (
        "line {} ({}): removed at {} ns, but at {} by the journal (L4)",
        """
        SELECT l.line_id, l.code, coalesce(CAST(l.removed_ns AS TEXT), '-'),
               coalesce(CAST(t.at_ns AS TEXT), '-')
        FROM line l LEFT JOIN (SELECT line, max(at_ns) AS at_ns FROM journal WHERE kind = 'remove'
                               GROUP BY line) t ON t.line = l.code
        WHERE coalesce(CAST(l.removed_ns AS TEXT), '-') <> coalesce(CAST(t.at_ns AS TEXT), '-')
        """,
    ),
    (
        "contract {} ({}): ended at {} ns, but at {} by the journal (A4, A6)",
        """
        SELECT c.contract_id, c.code, coalesce(CAST(c.closed_ns AS TEXT), '-'),
               coalesce(CAST(t.at_ns AS TEXT), '-')
        FROM contract c LEFT JOIN (SELECT contract, max(at_ns) AS at_ns FROM journal
                                   WHERE kind = 'close' GROUP BY contract) t ON t.contract = c.code
        WHERE coalesce(CAST(c.closed_ns AS TEXT), '-') <> coalesce(CAST(t.at_ns AS TEXT), '-')
        """,
    ),
)
# The rest looks at tables that are small, or at no more than one row at a time.
ROW_CHECKS: tuple[Check, ...] = (
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
        "slice {}: granted {} bytes, {} used + {} uncertain (I1, I2: at most 10 MB)",
        """
        SELECT slice_id, granted_bytes, used_bytes, uncertain_bytes FROM slice
        WHERE granted_bytes <= 0 OR used_bytes < 0 OR uncertain_bytes < 0
           OR used_bytes + uncertain_bytes > granted_bytes
           OR (kind = 'coupon' AND granted_bytes > 10485760)
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
        "line {} ({}): {} bytes used for certain, a mark of {}, {} held: out of order (G4)",
        """
        SELECT line_id, code, marked_used_bytes, coalesce(mark_bytes, 0), held_bytes FROM line
        WHERE marked_used_bytes < 0 OR marked_used_bytes > coalesce(mark_bytes, 0)
           OR mark_bytes > held_bytes
        """,
    ),
    (
        "contract {} ({}): has ended, and its coupons still hold {} bytes (A4, A6)",
        """
        SELECT c.contract_id, c.code, sum(p.in_database_bytes)
        FROM contract c JOIN coupon p ON p.contract_id = c.contract_id
        WHERE c.closed_ns IS NOT NULL AND p.in_database_bytes > 0 GROUP BY c.contract_id, c.code
        """,
    ),
    (
        "purchase {}: {} coupons, but {} coupons were credited for it as it says (C3, C4)",
        f"""
        SELECT u.purchase_id, u.coupons, coalesce(t.found, 0) FROM purchase u LEFT JOIN (
            SELECT p.purchase_id, count(*) AS found FROM coupon p
            JOIN purchase b ON b.purchase_id = p.purchase_id
            WHERE p.kind = 'topup' AND p.credited_bytes = {TOPUP_BYTES}
              AND p.contract_id = b.contract_id AND p.credited_ns = b.bought_ns
              AND p.expires_ns = b.expires_ns
              AND substr(p.credit_id, 1, length(b.request_id) + 5) = 'buy:' || b.request_id || ':'
            GROUP BY p.purchase_id) t ON t.purchase_id = u.purchase_id
        WHERE u.coupons <> coalesce(t.found, 0)
        """,
    ),
    (
        "coupon {}: bought in purchase {}, which does not have it so (C3)",
        """
        SELECT p.coupon_id, coalesce(p.purchase_id, 0) FROM coupon p
        LEFT JOIN purchase u ON u.purchase_id = p.purchase_id
        WHERE p.purchase_id IS NOT NULL AND (u.purchase_id IS NULL
           OR substr(p.credit_id, 1, length(u.request_id) + 5) <> 'buy:' || u.request_id || ':')
        """,
    ),
    (
        "purchase_month {} of contract {}: {} coupons counted, {} bought (C3: at most 30)",
        """
        SELECT m.month, m.contract_id, m.coupons, coalesce(t.bought, 0)
        FROM purchase_month m LEFT JOIN (
            SELECT contract_id, month, sum(coupons) AS bought FROM purchase
            GROUP BY contract_id, month) t ON t.contract_id = m.contract_id AND t.month = m.month
        WHERE m.coupons <> coalesce(t.bought, 0) OR m.coupons > 30
        """,
    ),
    (
        "purchase {}: its month is not counted for its contract (C3)",
        """
        SELECT u.purchase_id FROM purchase u LEFT JOIN purchase_month m
            ON m.contract_id = u.contract_id AND m.month = u.month
        WHERE m.month IS NULL
        """,
    ),
    (
        "account {}: version {}, but its journal has {} entries, the last of version {}",
        """
        SELECT a.mio_id, a.version, coalesce(t.entries, 0), coalesce(t.last, 0)
        FROM account a LEFT JOIN (
            SELECT mio_id, count(*) AS entries, max(version) AS last FROM book_journal
            GROUP BY mio_id) t ON t.mio_id = a.mio_id
        WHERE a.version <> coalesce(t.entries, 0) OR a.version <> coalesce(t.last, 0)
        """,
    ),
    (
        "book_journal of {}: version {} is of no account",
        """
        SELECT j.mio_id, j.version FROM book_journal j LEFT JOIN account a ON a.mio_id = j.mio_id
        WHERE a.mio_id IS NULL
        """,
    ),
    (
        "account {}: is not found by its mioID",
        """
        SELECT a.mio_id FROM account a
        LEFT JOIN account_name n ON n.kind = 'mio' AND n.name = a.mio_id AND n.mio_id = a.mio_id
        WHERE n.mio_id IS NULL
        """,
    ),
    (
        "account_name {} {}: names {}, which is no account",
        """
        SELECT n.kind, n.name, n.mio_id FROM account_name n
        LEFT JOIN account a ON a.mio_id = n.mio_id WHERE a.mio_id IS NULL
        """,
    ),
)
CHECKS = (*ROW_CHECKS, *ENTRY_CHECKS, *LINE_CHECKS, *STATE_CHECKS)

PURCHASES = "SELECT purchase_id, month, bought_ns, expires_ns FROM purchase ORDER BY purchase_id"
"""what `purchase_faults` looks at"""


def purchase_faults(rows: Iterable[tuple[int, int, int, int]]) -> list[str]:
    """Purchases whose month or expiry is not what the calendar makes of their time (C3, C4)."""
    found = []
    for purchase_id, month, bought_ns, expires_ns in rows:
        wanted = calendar.month_of(bought_ns)
        if (month, expires_ns) != (wanted, calendar.topup_expires_ns(wanted)):
            found.append(
                f"purchase {purchase_id}: bought at {bought_ns} ns, but counted in month {month} and good"
                f" until before {expires_ns} ns (C3, C4)"
            )
    return found
