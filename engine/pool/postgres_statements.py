"""The statements of the PostgreSQL store for coupons and lines.

Under READ COMMITTED a statement that had to wait for a row sees that row as it is now, and all others as
they were when it began. So whoever changes coupons of a contract first takes the contract's row and
counts `journal_rows` up in the same transaction; and a statement that reads coupons either begins after
it has that row, or compares the count it saw with the one it locked, and does nothing if they differ.

Rows are locked in the order run, contracts, lines. `AT_RUN` is the fence: no row, no write.
"""

# Exact: a microsecond is what the server's clock counts. It never falls behind what is stored, so that a
# clock that was set back does not make a lease longer (F13).
NOW_NS = """
    (SELECT greatest((extract(epoch FROM clock_timestamp()) * 1000000)::bigint * 1000,
                     coalesce(max(renewed_ns), 0)) FROM run WHERE state = 'open')
"""

AT_RUN = "the_run AS (SELECT run_id FROM run WHERE run_id = %(run)s AND state = 'open' FOR SHARE)"

# Locks the run for the rest of the transaction.
PROVE_RUN = "SELECT state FROM run WHERE run_id = %(run)s FOR SHARE"

CHECK_SUM = """
    md5(concat_ws(chr(10), {0}journal_id, {0}number, {0}run_id, {0}kind, {0}contract,
        coalesce({0}line, '-'), coalesce({0}coupon_id::text, '-'), coalesce({0}slice_id::text, '-'),
        {0}bytes, {0}at_ns, {0}detail))
"""
BOOK_SUM = (
    "md5(concat_ws(chr(10), {0}mio_id, {0}version, {0}at_ns, {0}action, {0}detail, {0}content_sum))"
)
# Of an account's document and all its names, as they are stored.
CONTENT_SUM = """
    md5(concat_ws(chr(10), a.document, (
        SELECT string_agg(n.kind || ' ' || n.name, chr(10)
                          ORDER BY n.kind COLLATE "C", n.name COLLATE "C")
        FROM account_name n WHERE n.mio_id = a.mio_id)))
"""


def journal(entries: str, counted: str | None = None) -> str:
    """CTEs that write the rows of the query `entries` into the journal, numbered for each contract.

    Its columns: contract_id, contract, seq (from 1 for each contract), run_id, kind, line, coupon_id,
    slice_id, bytes, at_ns, detail.
    """
    counted = (
        counted
        or """
        SELECT contract_id, count(*) AS rows FROM entry GROUP BY contract_id
    """
    )
    return f"""
    entry AS ({entries}),
    counted AS (
        UPDATE contract c SET journal_rows = c.journal_rows + n.rows
        FROM ({counted}) n WHERE c.contract_id = n.contract_id
        RETURNING c.contract_id, c.journal_rows - n.rows AS before
    ),
    numbered AS (
        SELECT nextval('journal_journal_id_seq') AS journal_id,
               counted.before + entry.seq AS number, entry.run_id::bigint AS run_id,
               entry.kind::text AS kind, entry.contract, entry.line::text AS line,
               entry.coupon_id::bigint AS coupon_id, entry.slice_id::bigint AS slice_id,
               entry.bytes::bigint AS bytes, entry.at_ns::bigint AS at_ns,
               entry.detail::text AS detail
        FROM entry JOIN counted ON counted.contract_id = entry.contract_id
    ),
    written AS (
        INSERT INTO journal (journal_id, number, run_id, kind, contract, line, coupon_id, slice_id, bytes,
                             at_ns, detail, check_sum)
        SELECT journal_id, number, run_id, kind, contract, line, coupon_id, slice_id, bytes, at_ns, detail,
               {CHECK_SUM.format("numbered.")}
        FROM numbered
    )"""


# D1-D3, C5, C6: a whole grant in one statement and one round trip. What it answers:
# (run is on, line's run, line's contract, known slice, its bytes, run, line and contract, nobody
# else was at the contract, new slice, its bytes).
GRANT = f"""
WITH {AT_RUN},
seen AS MATERIALIZED (
    SELECT contract_id, journal_rows FROM contract WHERE code = %(contract)s
),
held AS (
    SELECT contract_id, code, journal_rows FROM contract
    WHERE code = %(contract)s AND EXISTS (SELECT 1 FROM the_run) FOR NO KEY UPDATE
),
the_line AS (
    SELECT l.line_id, l.contract_id, l.run_id, l.removed_ns FROM line l
    WHERE l.code = %(line)s AND (SELECT count(*) FROM held) >= 0 FOR NO KEY UPDATE
),
known AS (
    SELECT s.slice_id, s.granted_bytes, s.run_id, l.code AS line, c.code AS contract,
           s.run_id = l.run_id AND s.slice_id >= l.first_slice_id AS of_this_opening
    FROM slice s JOIN line l ON l.line_id = s.line_id
    JOIN contract c ON c.contract_id = l.contract_id WHERE s.request_id = %(request)s
),
may AS (
    SELECT l.line_id, held.contract_id, held.code
    FROM the_run JOIN the_line l ON l.run_id = the_run.run_id
    JOIN held ON held.contract_id = l.contract_id
    JOIN seen ON seen.journal_rows = held.journal_rows
    WHERE l.removed_ns IS NULL AND NOT EXISTS (SELECT 1 FROM known)
),
good AS (
    SELECT p.coupon_id, p.in_database_bytes AS left_bytes,
           sum(p.in_database_bytes) OVER (ORDER BY p.expires_ns, p.kind, p.credited_ns, p.coupon_id)
               - p.in_database_bytes AS before_bytes
    FROM may JOIN coupon p ON p.contract_id = may.contract_id
    WHERE p.in_database_bytes > 0 AND p.expires_ns > %(now_ns)s AND p.credited_ns <= %(now_ns)s
),
part AS (
    SELECT coupon_id, least(left_bytes, %(slice_max)s - before_bytes)::bigint AS bytes,
           row_number() OVER (ORDER BY before_bytes) AS seq
    FROM good WHERE before_bytes < %(slice_max)s
),
total AS (
    SELECT sum(bytes)::bigint AS bytes, count(*) AS parts FROM part HAVING count(*) > 0
),
taken AS (
    UPDATE coupon p SET in_database_bytes = p.in_database_bytes - part.bytes,
                        granted_bytes = p.granted_bytes + part.bytes
    FROM part WHERE p.coupon_id = part.coupon_id
),
opened AS (
    UPDATE line l SET is_open = 1, held_bytes = l.held_bytes + total.bytes
    FROM total, may WHERE l.line_id = may.line_id
),
made AS (
    INSERT INTO slice (slice_id, request_id, line_id, run_id, kind, granted_bytes)
    SELECT coalesce(%(slice)s::bigint, nextval('slice_slice_id_seq')), %(request)s, may.line_id,
           %(run)s, 'coupon', total.bytes
    FROM total, may RETURNING slice_id, granted_bytes
),
parted AS (
    INSERT INTO slice_part (slice_id, coupon_id, bytes)
    SELECT made.slice_id, part.coupon_id, part.bytes FROM made, part
),
{
    journal(
        '''SELECT may.contract_id, may.code AS contract, part.seq, %(run)s AS run_id, 'grant' AS kind,
                  %(line)s::text AS line, part.coupon_id, made.slice_id, part.bytes,
                  %(now_ns)s AS at_ns, %(request)s::text AS detail
           FROM part, made, may''',
        "SELECT may.contract_id, total.parts AS rows FROM total, may",
    )
}
SELECT (SELECT count(*) FROM the_run), l.run_id, lc.code, known.slice_id, known.granted_bytes,
       known.run_id, known.line, known.contract, known.of_this_opening,
       (SELECT seen.journal_rows = held.journal_rows FROM seen, held), made.slice_id,
       made.granted_bytes, l.removed_ns
FROM (SELECT 1) one LEFT JOIN the_line l ON true
LEFT JOIN contract lc ON lc.contract_id = l.contract_id
LEFT JOIN known ON true LEFT JOIN made ON true
"""

# --- coupons --------------------------------------------------------------------------------------

LOCK_CONTRACT = """
    SELECT contract_id, closed_ns FROM contract WHERE code = %(contract)s FOR NO KEY UPDATE
"""
FIND_CREDITS = """
    SELECT p.credit_id, c.code, p.kind, p.credited_bytes, p.credited_ns, p.expires_ns
    FROM coupon p JOIN contract c ON c.contract_id = p.contract_id
    WHERE p.credit_id = ANY(%(credits)s)
"""
# Holds the contracts.
CONTRACT_SUMS = """
    SELECT c.code, c.closed_ns, (
        SELECT coalesce(sum(p.credited_bytes), 0)::bigint FROM coupon p
        WHERE p.contract_id = c.contract_id)
    FROM contract c WHERE c.code = ANY(%(contracts)s) ORDER BY c.contract_id FOR NO KEY UPDATE
"""
ADD_CONTRACTS = """
    INSERT INTO contract (code)
    SELECT DISTINCT code FROM unnest(%(contracts)s::text[]) AS said(code) ORDER BY code
    ON CONFLICT (code) DO NOTHING
"""
CREDITED = """
    SELECT coalesce(sum(credited_bytes), 0)::bigint FROM coupon WHERE contract_id = %(contract_id)s
"""
ADD_COUPONS = f"""
WITH said AS (
    SELECT c.contract_id, u.* FROM unnest(
        %(credits)s::text[], %(contracts)s::text[], %(kinds)s::text[], %(bytes)s::bigint[],
        %(from_ns)s::bigint[], %(until_ns)s::bigint[]
    ) WITH ORDINALITY AS u(credit_id, contract, kind, bytes, from_ns, until_ns, place)
    JOIN contract c ON c.code = u.contract
),
made AS (
    INSERT INTO coupon (credit_id, contract_id, kind, credited_ns, expires_ns, credited_bytes,
                        in_database_bytes)
    SELECT credit_id, contract_id, kind, from_ns, until_ns, bytes, bytes FROM said ORDER BY place
    ON CONFLICT (credit_id) DO NOTHING RETURNING coupon_id, credit_id
),
{
    journal('''
        SELECT said.contract_id, said.contract,
               row_number() OVER (PARTITION BY said.contract_id ORDER BY said.place) AS seq,
               %(run)s AS run_id, 'credit' AS kind, NULL AS line, made.coupon_id, NULL AS slice_id,
               said.bytes, said.from_ns AS at_ns,
               said.kind || ' ' || said.until_ns || ' ' || said.credit_id AS detail
        FROM said JOIN made ON made.credit_id = said.credit_id''')
}
SELECT count(*) FROM made
"""
FIND_PURCHASE = """
    SELECT c.code, p.coupons FROM purchase p JOIN contract c ON c.contract_id = p.contract_id
    WHERE p.request_id = %(request)s
"""
BOUGHT = """
    SELECT coupons FROM purchase_month WHERE contract_id = %(contract_id)s AND month = %(month)s
"""
# C3: the limit holds in `purchase_month`, whoever buys; each coupon is a row of its own.
BUY = f"""
WITH month AS (
    INSERT INTO purchase_month (contract_id, month, coupons)
    VALUES (%(contract_id)s, %(month)s, %(coupons)s)
    ON CONFLICT (contract_id, month)
    DO UPDATE SET coupons = purchase_month.coupons + excluded.coupons
),
bought AS (
    INSERT INTO purchase (request_id, contract_id, month, coupons, bought_ns, expires_ns)
    VALUES (%(request)s, %(contract_id)s, %(month)s, %(coupons)s, %(from_ns)s, %(until_ns)s)
    RETURNING purchase_id
),
made AS (
    INSERT INTO coupon (credit_id, contract_id, kind, credited_ns, expires_ns, credited_bytes,
                        in_database_bytes, purchase_id)
    SELECT 'buy:' || %(request)s || ':' || number, %(contract_id)s, 'topup', %(from_ns)s, %(until_ns)s,
           %(bytes)s, %(bytes)s, bought.purchase_id
    FROM bought, generate_series(1, %(coupons)s) AS number ORDER BY number
    RETURNING coupon_id, credit_id
),
{
    journal('''SELECT %(contract_id)s AS contract_id, %(contract)s::text AS contract,
                      row_number() OVER (ORDER BY coupon_id) AS seq, %(run)s AS run_id,
                      'credit' AS kind, NULL AS line, coupon_id, NULL AS slice_id, %(bytes)s AS bytes,
                      %(from_ns)s AS at_ns, 'topup ' || %(until_ns)s::bigint || ' ' || credit_id AS detail
               FROM made''')
}
SELECT purchase_id FROM bought
"""
PURCHASES = """
    SELECT request_id, bought_ns, coupons, coupons * %(bytes)s, expires_ns FROM purchase
    WHERE contract_id = (SELECT contract_id FROM contract WHERE code = %(contract)s)
      AND bought_ns >= %(since_ns)s
    ORDER BY bought_ns DESC, purchase_id DESC
"""
# Holds the contracts whose coupons are due, a thousand at a time.
DUE_CONTRACTS = """
    SELECT contract_id FROM contract WHERE contract_id IN (
        SELECT contract_id FROM coupon WHERE is_over = 0 AND expires_ns <= %(now_ns)s
        ORDER BY expires_ns LIMIT 1000)
    ORDER BY contract_id FOR NO KEY UPDATE
"""
EXPIRE = f"""
WITH over AS (
    UPDATE coupon SET expired_bytes = expired_bytes + in_database_bytes, in_database_bytes = 0,
                      is_over = 1
    WHERE contract_id = ANY(%(contract_ids)s) AND is_over = 0 AND expires_ns <= %(now_ns)s
    RETURNING coupon_id, contract_id, expired_bytes
),
{
    journal('''
        SELECT over.contract_id, c.code AS contract,
               row_number() OVER (PARTITION BY over.contract_id ORDER BY over.coupon_id) AS seq,
               %(run)s AS run_id, 'expire' AS kind, NULL AS line, over.coupon_id, NULL AS slice_id,
               over.expired_bytes AS bytes, %(now_ns)s AS at_ns, '' AS detail
        FROM over JOIN contract c ON c.contract_id = over.contract_id
        WHERE over.expired_bytes > 0''')
}
SELECT coalesce(sum(bytes), 0)::bigint FROM entry
"""
# The last entry says that the contract ended; those before, what its coupons held.
CLOSE_CONTRACT = f"""
WITH over AS (
    UPDATE coupon SET expired_bytes = expired_bytes + in_database_bytes, in_database_bytes = 0,
                      is_over = 1
    WHERE contract_id = %(contract_id)s AND is_over = 0
    RETURNING coupon_id, expired_bytes
),
{
    journal('''
        SELECT %(contract_id)s AS contract_id, %(contract)s::text AS contract,
               row_number() OVER (ORDER BY over.coupon_id NULLS LAST) AS seq, %(run)s AS run_id,
               'close' AS kind, NULL AS line, over.coupon_id, NULL AS slice_id,
               over.expired_bytes AS bytes, %(now_ns)s AS at_ns, '' AS detail
        FROM (SELECT coupon_id, expired_bytes FROM over WHERE expired_bytes > 0
              UNION ALL SELECT NULL, 0) over''')
}
SELECT sum(bytes)::bigint FROM entry
"""
END_CONTRACT = "UPDATE contract SET closed_ns = %(now_ns)s WHERE contract_id = %(contract_id)s"

CONTRACTS = """
    SELECT c.code, coalesce(sum(p.credited_bytes), 0)::bigint,
           coalesce(sum(p.in_database_bytes), 0)::bigint,
           coalesce(sum(p.granted_bytes), 0)::bigint, coalesce(sum(p.expired_bytes), 0)::bigint
    FROM contract c LEFT JOIN coupon p ON p.contract_id = c.contract_id
    GROUP BY c.contract_id, c.code ORDER BY c.code COLLATE "C"
"""
COUPONS = """
    SELECT coupon_id, credit_id, kind, credited_ns, expires_ns, credited_bytes, in_database_bytes,
           granted_bytes, expired_bytes
    FROM coupon WHERE contract_id = (SELECT contract_id FROM contract WHERE code = %(contract)s)
    ORDER BY expires_ns, kind COLLATE "C", credited_ns, coupon_id
"""
SLICES = """
    SELECT slice_id, coalesce(request_id, ''), granted_bytes, used_bytes, uncertain_bytes
    FROM slice WHERE line_id = (SELECT line_id FROM line WHERE code = %(line)s) ORDER BY slice_id
"""
