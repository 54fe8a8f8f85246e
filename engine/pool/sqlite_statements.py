"""The statements of the coupon store, each of which finds its rows by an index.

Many rows are found at once by the names, or keys, in one parameter.
"""

from engine.pool.sqlite import MANY as _MANY

# -- runs, fence and lease

FENCE = """
    SELECT (SELECT state FROM run WHERE run_id = ?),
           (SELECT coalesce(max(journal_id), 0) FROM journal),
           (SELECT check_sum FROM journal WHERE journal_id = ?)
"""
COUNT_REFUSED = "UPDATE run SET refused_reports = refused_reports + 1 WHERE run_id = ?"
NEWEST_TIME = "SELECT max(renewed_ns) FROM run WHERE state = 'open'"
RENEW = "UPDATE run SET renewed_ns = ?, lease_until_ns = ? WHERE run_id = ?"
OPEN_RUN_OF = "SELECT run_id FROM run WHERE gateway = ? AND state = 'open'"
NEW_RUN = """
    INSERT INTO run (state, gateway, renewed_ns, lease_until_ns) VALUES ('open', ?, ?, ?)
"""
END_RUN = "UPDATE run SET state = ? WHERE run_id = ?"
UNSETTLED_LINES = """
    SELECT l.line_id, l.code, c.code, l.held_bytes, l.reported_bytes, l.marked_used_bytes, l.mark_bytes
    FROM line l JOIN contract c ON c.contract_id = l.contract_id
    WHERE l.run_id = ? AND l.is_open = 1 AND l.held_bytes > l.reported_bytes ORDER BY l.line_id
"""
CLOSE_LINES = "UPDATE line SET is_open = 0 WHERE run_id = ? AND is_open = 1"

# -- contracts, credits, purchases

FIND_CONTRACT = "SELECT contract_id, closed_ns FROM contract WHERE code = ?"
FIND_CONTRACTS = f"""
    SELECT c.code, c.contract_id FROM {_MANY}(?) j CROSS JOIN contract c ON c.code = j.value
"""
ADD_CONTRACTS = "INSERT INTO contract (code)"
FIND_CREDITS = f"""
    SELECT p.credit_id, c.code, p.kind, p.credited_bytes, p.credited_ns, p.expires_ns
    FROM {_MANY}(?) j CROSS JOIN coupon p ON p.credit_id = j.value
    JOIN contract c ON c.contract_id = p.contract_id
"""
CONTRACT_SUMS = f"""
    SELECT c.code, c.contract_id, c.closed_ns,
           (SELECT coalesce(sum(credited_bytes), 0) FROM coupon p WHERE p.contract_id = c.contract_id)
    FROM {_MANY}(?) j CROSS JOIN contract c ON c.code = j.value
"""
CREDITED = "SELECT coalesce(sum(credited_bytes), 0) FROM coupon WHERE contract_id = ?"
ADD_COUPONS = """
    INSERT INTO coupon (coupon_id, credit_id, contract_id, kind, credited_ns, expires_ns,
                        credited_bytes, in_database_bytes, granted_bytes, purchase_id)
"""
LAST_COUPON = "SELECT coalesce(max(coupon_id), 0) FROM coupon"
FIND_PURCHASE = """
    SELECT c.code, u.coupons FROM purchase u JOIN contract c ON c.contract_id = u.contract_id
    WHERE u.request_id = ?
"""
BOUGHT_IN_MONTH = "SELECT coupons FROM purchase_month WHERE contract_id = ? AND month = ?"
ADD_TO_MONTH = """
    INSERT INTO purchase_month (contract_id, month, coupons) VALUES (?, ?, ?)
    ON CONFLICT (contract_id, month) DO UPDATE SET coupons = coupons + excluded.coupons
"""
ADD_PURCHASE = """
    INSERT INTO purchase (request_id, contract_id, month, coupons, bought_ns, expires_ns)
    VALUES (?, ?, ?, ?, ?, ?)
"""
PURCHASES = """
    SELECT request_id, bought_ns, coupons, expires_ns FROM purchase
    WHERE contract_id = (SELECT contract_id FROM contract WHERE code = ?) AND bought_ns >= ?
    ORDER BY bought_ns DESC, purchase_id DESC
"""
LEFT_OF_CONTRACT = """
    SELECT coupon_id, in_database_bytes FROM coupon
    WHERE contract_id = ? AND in_database_bytes > 0
    ORDER BY expires_ns, kind, credited_ns, coupon_id
"""
CLOSE_CONTRACT = "UPDATE contract SET closed_ns = ? WHERE contract_id = ?"

# -- lines

# What `sqlite_lines.LineRow` names.
_LINE_ROW = """
    SELECT l.code, l.line_id, l.contract_id, c.code, l.run_id, l.is_open, l.held_bytes,
           l.reported_bytes, l.marked_used_bytes, l.removed_ns, r.state, r.gateway, r.lease_until_ns
"""
FIND_LINES = f"""{_LINE_ROW}
    FROM {_MANY}(?) j CROSS JOIN line l ON l.code = j.value
    JOIN contract c ON c.contract_id = l.contract_id JOIN run r ON r.run_id = l.run_id
"""
FIND_LINE = f"""{_LINE_ROW}
    FROM line l JOIN contract c ON c.contract_id = l.contract_id JOIN run r ON r.run_id = l.run_id
    WHERE l.code = ?
"""
# What a grant looks at.
FIND_ASKING = f"""
    SELECT l.code, l.line_id, l.contract_id, c.code, l.run_id, l.removed_ns
    FROM {_MANY}(?) j CROSS JOIN line l ON l.code = j.value
    JOIN contract c ON c.contract_id = l.contract_id
"""
FIND_LINE_ASKING = """
    SELECT (SELECT s.slice_id FROM slice s WHERE s.request_id = ?1),
           l.line_id, l.contract_id, c.code, l.run_id, l.removed_ns
    FROM line l JOIN contract c ON c.contract_id = l.contract_id
    WHERE l.code = ?2
"""
FIND_STATES = f"""
    SELECT l.code, l.removed_ns, l.line_id, c.code, l.coupon_on, l.in_service
    FROM {_MANY}(?) j CROSS JOIN line l ON l.code = j.value
    JOIN contract c ON c.contract_id = l.contract_id
"""
ADD_LINES = """
    INSERT INTO line (line_id, code, contract_id, run_id, held_bytes, reported_bytes, is_open)
"""
LAST_LINE = "SELECT coalesce(max(line_id), 0) FROM line"
ADD_OPENINGS = "INSERT INTO slice (line_id, run_id, kind, granted_bytes)"
TAKE_LINE = """
    UPDATE line SET run_id = ?, is_open = 1, held_bytes = held_bytes - reported_bytes,
                    reported_bytes = 0, marked_used_bytes = 0, mark_bytes = NULL,
                    first_slice_id = (SELECT coalesce(max(slice_id), 0) + 1 FROM slice s
                                      WHERE s.line_id = line.line_id)
    WHERE line_id = ?
"""
OPEN_LINE = "UPDATE line SET is_open = 1 WHERE line_id = ?"
MARK = """
    UPDATE line SET marked_used_bytes = max(marked_used_bytes, ?1),
                    mark_bytes = max(coalesce(mark_bytes, 0), ?2)
    WHERE code = ?3 AND run_id = ?4 AND ?2 <= held_bytes AND (is_open = 1 OR ?2 <= reported_bytes)
"""
# What a settlement looks at.
FIND_SETTLING = f"""
    SELECT l.code, l.line_id, c.code, l.run_id, l.is_open, l.held_bytes, l.reported_bytes,
           l.marked_used_bytes
    FROM {_MANY}(?) j CROSS JOIN line l ON l.code = j.value
    JOIN contract c ON c.contract_id = l.contract_id
"""
HELD = """
    SELECT slice_id, granted_bytes - used_bytes - uncertain_bytes FROM slice
    WHERE line_id = ? AND used_bytes + uncertain_bytes < granted_bytes ORDER BY slice_id
"""
HELD_BY = f"""
    SELECT s.line_id, s.slice_id, s.granted_bytes - s.used_bytes - s.uncertain_bytes
    FROM {_MANY}(?) j CROSS JOIN slice s ON s.line_id = j.value
    WHERE s.used_bytes + s.uncertain_bytes < s.granted_bytes
"""
USE = "UPDATE slice SET used_bytes = used_bytes + ?1 WHERE slice_id = ?2"
BOOK_UNCERTAIN = "UPDATE slice SET uncertain_bytes = uncertain_bytes + ? WHERE slice_id = ?"
REPORT = "UPDATE line SET reported_bytes = ?1, is_open = ?2 WHERE line_id = ?3"
REPORT_RECOVERED = """
    UPDATE line SET reported_bytes = ?, marked_used_bytes = 0, mark_bytes = NULL WHERE line_id = ?
"""
HOLD = "UPDATE line SET held_bytes = held_bytes + ?1, is_open = ?2 WHERE line_id = ?3"
REMOVE_LINE = """
    UPDATE line SET removed_ns = ?, held_bytes = reported_bytes, marked_used_bytes = 0,
                    mark_bytes = NULL
    WHERE line_id = ?
"""
NOTE = """
    UPDATE line SET coupon_on = coalesce(?, coupon_on), in_service = coalesce(?, in_service),
                    regulated = coalesce(?, regulated), shown_bytes = coalesce(?, shown_bytes),
                    shown_ns = coalesce(?, shown_ns)
    WHERE line_id = ?
"""
LINES = """
    SELECT l.code, c.code, l.held_bytes - l.reported_bytes,
           (SELECT coalesce(sum(used_bytes), 0) FROM slice s WHERE s.line_id = l.line_id),
           (SELECT coalesce(sum(uncertain_bytes), 0) FROM slice s WHERE s.line_id = l.line_id),
           l.shown_bytes, l.shown_ns, l.coupon_on, l.in_service, l.regulated,
           CASE WHEN l.is_open = 1 AND r.state = 'open' THEN r.gateway END
    FROM line l JOIN contract c ON c.contract_id = l.contract_id JOIN run r ON r.run_id = l.run_id
    WHERE l.removed_ns IS NULL ORDER BY l.code
"""
LINES_OF_CONTRACT = LINES.replace(
    "WHERE l.removed_ns",
    "WHERE l.contract_id = (SELECT contract_id FROM contract WHERE code = ?) AND l.removed_ns",
)

# -- grants and expiry

FIND_REQUESTS = f"""
    SELECT s.request_id, s.slice_id, s.granted_bytes, s.run_id, l.code, c.code,
           s.run_id = l.run_id AND s.slice_id >= l.first_slice_id
    FROM {_MANY}(?) j CROSS JOIN slice s ON s.request_id = j.value
    JOIN line l ON l.line_id = s.line_id JOIN contract c ON c.contract_id = l.contract_id
"""
# With what the order of use goes by (C5).
COUPONS_LEFT = f"""
    SELECT p.contract_id, p.expires_ns, p.kind, p.credited_ns, p.coupon_id, p.in_database_bytes
    FROM {_MANY}(?) j CROSS JOIN coupon p ON p.contract_id = j.value
    WHERE p.in_database_bytes > 0
"""
COUPONS_LEFT_OF = """
    SELECT p.expires_ns, p.kind, p.credited_ns, p.coupon_id, p.in_database_bytes
    FROM coupon p WHERE p.contract_id = ? AND p.in_database_bytes > 0
"""
ADD_SLICES = """
    INSERT INTO slice (slice_id, request_id, line_id, run_id, kind, granted_bytes, used_bytes)
"""
LAST_SLICE = "SELECT coalesce(max(slice_id), 0) FROM slice"
TAKE = """
    UPDATE coupon SET in_database_bytes = in_database_bytes - ?1, granted_bytes = granted_bytes + ?1
    WHERE coupon_id = ?2
"""
ADD_PARTS = "INSERT INTO slice_part (slice_id, coupon_id, bytes)"
EXPIRED = """
    SELECT p.coupon_id, p.in_database_bytes, c.code
    FROM coupon p JOIN contract c ON c.contract_id = p.contract_id
    WHERE p.in_database_bytes > 0 AND p.expires_ns <= ? ORDER BY p.expires_ns, p.coupon_id
"""
EXPIRE = """
    UPDATE coupon SET in_database_bytes = 0, expired_bytes = expired_bytes + in_database_bytes
    WHERE coupon_id = ?
"""

# -- queries

CONTRACTS = """
    SELECT c.code, coalesce(sum(p.credited_bytes), 0), coalesce(sum(p.in_database_bytes), 0),
           coalesce(sum(p.granted_bytes), 0), coalesce(sum(p.expired_bytes), 0)
    FROM contract c LEFT JOIN coupon p ON p.contract_id = c.contract_id
    GROUP BY c.contract_id, c.code ORDER BY c.code
"""
COUPONS = """
    SELECT coupon_id, credit_id, kind, credited_ns, expires_ns, credited_bytes, in_database_bytes,
           granted_bytes, expired_bytes
    FROM coupon WHERE contract_id = (SELECT contract_id FROM contract WHERE code = ?)
    ORDER BY expires_ns, kind, credited_ns, coupon_id
"""
SLICES = """
    SELECT slice_id, coalesce(request_id, ''), granted_bytes, used_bytes, uncertain_bytes
    FROM slice WHERE line_id = (SELECT line_id FROM line WHERE code = ?) ORDER BY slice_id
"""
LAST_ENTRY = "SELECT coalesce(max(journal_id), 0) FROM journal"
NOTICES = """
    SELECT kind, contract, line, at_ns, detail FROM journal
    WHERE journal_id > ? AND journal_id <= ? AND kind IN ('credit', 'state') ORDER BY journal_id
"""

# -- usage by day

REPORT_DAY = """
    INSERT INTO usage_day (line_id, day, run_id, with_coupon_bytes, without_coupon_bytes,
                           exempt_bytes, restricting_bytes, updated_ns)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?)
    ON CONFLICT (line_id, day, run_id) DO UPDATE SET
        with_coupon_bytes = excluded.with_coupon_bytes,
        without_coupon_bytes = excluded.without_coupon_bytes,
        exempt_bytes = excluded.exempt_bytes,
        restricting_bytes = excluded.restricting_bytes, updated_ns = excluded.updated_ns
"""
FORGET_DAYS = """
    DELETE FROM usage_day
    WHERE line_id = ?1 AND day <= (SELECT max(day) FROM usage_day WHERE line_id = ?1) - ?2
"""
USAGE = """
    SELECT day, sum(with_coupon_bytes), sum(without_coupon_bytes), sum(exempt_bytes),
           sum(coalesce(restricting_bytes, without_coupon_bytes)), max(updated_ns)
    FROM usage_day WHERE line_id = (SELECT line_id FROM line WHERE code = ?) AND day >= ?
    GROUP BY day
    HAVING sum(with_coupon_bytes) > 0 OR sum(without_coupon_bytes) > 0 OR sum(exempt_bytes) > 0
    ORDER BY day
"""
# From the lines asked for, each by its key: days of use are many more. Added up by the caller, as a
# GROUP BY would sort them first.
RESTRICTING = f"""
    SELECT l.code, u.day, coalesce(u.restricting_bytes, u.without_coupon_bytes)
    FROM {_MANY}(?1) j CROSS JOIN line l ON l.code = j.value
    CROSS JOIN usage_day u ON u.line_id = l.line_id AND u.day >= ?2
    WHERE u.run_id <> ?3
"""

# -- the contract book

FIND_ACCOUNT = """
    SELECT a.mio_id, a.version, a.document FROM account_name n JOIN account a ON a.mio_id = n.mio_id
    WHERE n.kind = ? AND n.name = ?
"""
OWNERS = """
    SELECT n.kind, n.name, n.mio_id FROM json_each(?) j
    CROSS JOIN account_name n ON n.kind = j.value ->> 0 AND n.name = j.value ->> 1
"""
VERSION = "SELECT version FROM account WHERE mio_id = ?"
SAVE_ACCOUNT = """
    INSERT INTO account (mio_id, version, document) VALUES (?, ?, ?)
    ON CONFLICT (mio_id) DO UPDATE SET version = excluded.version, document = excluded.document
"""
FORGET_NAMES = "DELETE FROM account_name WHERE mio_id = ?"
ADD_NAME = "INSERT INTO account_name (kind, name, mio_id) VALUES (?, ?, ?)"
ADD_ENTRY = """
    INSERT INTO book_journal (mio_id, version, at_ns, action, detail, content_sum, check_sum)
    VALUES (?, ?, ?, ?, ?, ?, ?)
"""
ENTRIES = """
    SELECT mio_id, version, at_ns, action, detail FROM book_journal WHERE mio_id = ? ORDER BY version
"""
ACCOUNTS = (
    "SELECT mio_id, version, document FROM account WHERE mio_id > ? ORDER BY mio_id LIMIT 100"
)
