"""The statements of the coupon store, each of which finds its rows by an index."""

FIND_CONTRACT = "SELECT contract_id FROM contract WHERE code = ?"
ADD_CONTRACT = "INSERT INTO contract (code) VALUES (?)"
FIND_CREDIT = """
    SELECT c.code, p.kind, p.credited_bytes, p.credited_ns, p.expires_ns
    FROM coupon p JOIN contract c ON c.contract_id = p.contract_id WHERE p.credit_id = ?
"""
CREDITED = "SELECT coalesce(sum(credited_bytes), 0) FROM coupon WHERE contract_id = ?"
ADD_COUPON = """
    INSERT INTO coupon (credit_id, contract_id, kind, credited_ns, expires_ns, credited_bytes,
                        in_database_bytes)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?6)
"""
FIND_LINE = """
    SELECT l.line_id, c.contract_id, c.code, l.run_id, l.is_open, l.reported_bytes
    FROM line l JOIN contract c ON c.contract_id = l.contract_id WHERE l.code = ?
"""
ADD_LINE = """
    INSERT INTO line (code, contract_id, run_id, reported_bytes, is_open) VALUES (?, ?, ?, 0, 1)
"""
ADD_OPENING = """
    INSERT INTO slice (line_id, run_id, kind, granted_bytes) VALUES (?, ?, 'opening', ?)
"""
OPEN_LINE = "UPDATE line SET run_id = ?, reported_bytes = ?, is_open = 1 WHERE line_id = ?"
FIND_REQUEST = """
    SELECT s.slice_id, s.granted_bytes, s.run_id, l.code, c.code
    FROM slice s JOIN line l ON l.line_id = s.line_id
    JOIN contract c ON c.contract_id = l.contract_id WHERE s.request_id = ?
"""
# C5; `kind` orders bundle before topup. The index coupon_in_use gives this order without a sort.
GOOD_COUPONS = """
    SELECT coupon_id, in_database_bytes FROM coupon
    WHERE contract_id = ? AND in_database_bytes > 0 AND expires_ns > ? AND credited_ns <= ?
    ORDER BY expires_ns, kind, credited_ns, coupon_id
"""
ADD_SLICE = """
    INSERT INTO slice (request_id, line_id, run_id, kind, granted_bytes)
    VALUES (?, ?, ?, 'coupon', ?)
"""
TAKE = """
    UPDATE coupon SET in_database_bytes = in_database_bytes - ?1, granted_bytes = granted_bytes + ?1
    WHERE coupon_id = ?2
"""
ADD_PART = "INSERT INTO slice_part (slice_id, coupon_id, bytes) VALUES (?, ?, ?)"
HELD = """
    SELECT slice_id, granted_bytes - used_bytes - uncertain_bytes FROM slice
    WHERE line_id = ? AND used_bytes + uncertain_bytes < granted_bytes ORDER BY slice_id
"""
USE = "UPDATE slice SET used_bytes = used_bytes + ? WHERE slice_id = ?"
REPORT = "UPDATE line SET reported_bytes = ?, is_open = ? WHERE line_id = ?"
EXPIRED = """
    SELECT p.coupon_id, p.in_database_bytes, c.code
    FROM coupon p JOIN contract c ON c.contract_id = p.contract_id
    WHERE p.in_database_bytes > 0 AND p.expires_ns <= ? ORDER BY p.expires_ns, p.coupon_id
"""
EXPIRE = """
    UPDATE coupon SET in_database_bytes = 0, expired_bytes = expired_bytes + in_database_bytes
    WHERE coupon_id = ?
"""
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
