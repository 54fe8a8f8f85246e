"""The statements of the PostgreSQL store for lines: opening, marks, settlements, states, usage, runs.

See `engine.pool.postgres_statements` for the order of locks and for what a statement may believe.
"""

from engine.pool.postgres_statements import AT_RUN, NOW_NS, journal

# Holds the lines. What `postgres_lines.LineRow` names; `is_over`: the run of it may be taken over.
FIND_LINES = f"""
    SELECT l.code, l.line_id, c.code, l.run_id, l.is_open, l.held_bytes, l.reported_bytes,
           l.marked_used_bytes, l.removed_ns, r.state, r.gateway, r.lease_until_ns <= {NOW_NS}
    FROM line l JOIN contract c ON c.contract_id = l.contract_id JOIN run r ON r.run_id = l.run_id
    WHERE l.code = ANY(%(lines)s) ORDER BY l.contract_id, l.line_id FOR NO KEY UPDATE OF l
"""
ADD_LINES = f"""
WITH said AS (
    SELECT * FROM unnest(%(contracts)s::text[], %(lines)s::text[], %(opening)s::bigint[])
        AS said(contract, line, opening)
),
made AS (
    INSERT INTO line (code, contract_id, run_id, is_open, held_bytes)
    SELECT said.line, c.contract_id, %(run)s, 1, said.opening
    FROM said JOIN contract c ON c.code = said.contract ORDER BY c.contract_id, said.line
    ON CONFLICT (code) DO NOTHING RETURNING line_id, code, contract_id, held_bytes
),
opened AS (
    INSERT INTO slice (line_id, run_id, kind, granted_bytes)
    SELECT line_id, %(run)s, 'opening', held_bytes FROM made WHERE held_bytes > 0 ORDER BY line_id
    RETURNING slice_id, line_id
),
{
    journal('''SELECT made.contract_id, c.code AS contract,
                      row_number() OVER (PARTITION BY made.contract_id ORDER BY made.line_id) AS seq,
                      %(run)s AS run_id, 'open' AS kind, made.code AS line, NULL AS coupon_id,
                      opened.slice_id, made.held_bytes AS bytes, %(now_ns)s AS at_ns, '' AS detail
               FROM made JOIN contract c ON c.contract_id = made.contract_id
               LEFT JOIN opened ON opened.line_id = made.line_id''')
}
SELECT code FROM made
"""
# Lines that other runs had, and lines of this run that were closed.
TAKE_LINES = f"""
WITH taken AS (
    UPDATE line l SET run_id = %(run)s, is_open = 1, held_bytes = l.held_bytes - l.reported_bytes,
                      reported_bytes = 0, marked_used_bytes = 0, mark_bytes = NULL,
                      first_slice_id = (SELECT coalesce(max(slice_id), 0) + 1 FROM slice s
                                        WHERE s.line_id = l.line_id)
    WHERE l.code = ANY(%(lines)s) AND l.run_id <> %(run)s
    RETURNING l.line_id, l.code, l.contract_id
),
{
    journal('''SELECT taken.contract_id, c.code AS contract,
                      row_number() OVER (PARTITION BY taken.contract_id ORDER BY taken.line_id) AS seq,
                      %(run)s AS run_id, 'open' AS kind, taken.code AS line, NULL AS coupon_id,
                      NULL AS slice_id, 0 AS bytes, %(now_ns)s AS at_ns, '' AS detail
               FROM taken JOIN contract c ON c.contract_id = taken.contract_id''')
}
UPDATE line SET is_open = 1
WHERE code = ANY(%(lines)s) AND run_id = %(run)s AND is_open = 0
"""
ON_SIM = "SELECT code, held_bytes - reported_bytes FROM line WHERE code = ANY(%(lines)s)"
REPORTED = """
    SELECT greatest(reported_bytes, marked_used_bytes) FROM line
    WHERE code = %(line)s AND run_id = %(run)s
"""

# G4: one statement. What it answers: run is on, first line that is refused, and why.
MARK = f"""
WITH {AT_RUN},
said AS (
    SELECT code, max(used) AS used, max(mark) AS mark
    FROM unnest(%(lines)s::text[], %(used)s::bigint[], %(marks)s::bigint[]) AS said(code, used, mark)
    GROUP BY code
),
bad AS (
    SELECT said.code, said.mark, l.held_bytes, l.reported_bytes FROM said
    LEFT JOIN line l ON l.code = said.code AND l.run_id = %(run)s
    WHERE l.line_id IS NULL OR said.mark > l.held_bytes
       OR (l.is_open = 0 AND said.mark > l.reported_bytes) ORDER BY said.code LIMIT 1
),
marked AS (
    UPDATE line l SET marked_used_bytes = greatest(l.marked_used_bytes, said.used),
                      mark_bytes = greatest(coalesce(l.mark_bytes, 0), said.mark)
    FROM said, the_run
    WHERE l.code = said.code AND l.run_id = the_run.run_id AND NOT EXISTS (SELECT 1 FROM bad)
)
SELECT (SELECT count(*) FROM the_run), bad.code, bad.mark, bad.held_bytes, bad.reported_bytes
FROM (SELECT 1) one LEFT JOIN bad ON true
"""

# --- settlements ----------------------------------------------------------------------------------

SETTLED_LINES = """
    SELECT code, line_id, is_open, held_bytes, reported_bytes, marked_used_bytes FROM line
    WHERE code = ANY(%(lines)s) AND run_id = %(run)s ORDER BY contract_id, line_id FOR NO KEY UPDATE
"""
LOCK_CONTRACTS_OF = """
    SELECT contract_id FROM contract
    WHERE contract_id IN (SELECT contract_id FROM line WHERE line_id = ANY(%(line_ids)s))
    ORDER BY contract_id FOR NO KEY UPDATE
"""
# Books `used` and `uncertain` more bytes of each line, the oldest on the SIM first. With `refund` what is
# uncertain is given back at once: it is in the journal twice, and on the SIM.
BOOK_USE = f"""
WITH said AS (
    SELECT * FROM unnest(%(line_ids)s::bigint[], %(used)s::bigint[], %(uncertain)s::bigint[])
        AS said(line_id, used, uncertain)
),
held AS (
    SELECT s.slice_id, s.line_id, said.used, said.used + said.uncertain AS both_bytes,
           s.granted_bytes - s.used_bytes - s.uncertain_bytes AS left_bytes,
           (sum(s.granted_bytes - s.used_bytes - s.uncertain_bytes)
               OVER (PARTITION BY s.line_id ORDER BY s.slice_id)
               - (s.granted_bytes - s.used_bytes - s.uncertain_bytes))::bigint AS before_bytes
    FROM said JOIN slice s ON s.line_id = said.line_id
    WHERE s.used_bytes + s.uncertain_bytes < s.granted_bytes
),
part AS (
    SELECT slice_id, line_id, greatest(0, least(left_bytes, used - before_bytes)) AS used,
           least(left_bytes, both_bytes - before_bytes)
               - greatest(0, least(left_bytes, used - before_bytes)) AS uncertain
    FROM held WHERE before_bytes < both_bytes
),
booked AS (
    UPDATE slice s SET used_bytes = s.used_bytes + part.used,
                       uncertain_bytes = s.uncertain_bytes
                           + CASE WHEN %(refund)s THEN 0 ELSE part.uncertain END
    FROM part WHERE s.slice_id = part.slice_id
),
reported AS (
    UPDATE line l SET reported_bytes = l.reported_bytes
                          + CASE %(used_kind)s::text WHEN 'used' THEN said.used ELSE 0 END,
                      held_bytes = l.held_bytes
                          - CASE %(used_kind)s::text WHEN 'used' THEN 0 ELSE said.used END
                          - CASE WHEN %(refund)s THEN 0 ELSE said.uncertain END,
                      marked_used_bytes = CASE WHEN %(over)s THEN 0 ELSE l.marked_used_bytes END,
                      mark_bytes = CASE WHEN %(over)s THEN NULL ELSE l.mark_bytes END
    FROM said WHERE l.line_id = said.line_id
),
{
    journal('''
        SELECT l.contract_id, c.code AS contract,
               row_number() OVER (PARTITION BY l.contract_id ORDER BY part.slice_id, k.place) AS seq,
               CASE k.kind WHEN 'remove' THEN %(run)s ELSE l.run_id END AS run_id, k.kind,
               l.code AS line, NULL AS coupon_id, part.slice_id,
               CASE k.place WHEN 1 THEN part.used ELSE part.uncertain END AS bytes,
               %(now_ns)s AS at_ns, '' AS detail
        FROM part JOIN line l ON l.line_id = part.line_id
        JOIN contract c ON c.contract_id = l.contract_id
        CROSS JOIN (VALUES (1, %(used_kind)s::text), (2, 'uncertain'), (3, 'refund')) AS k(place, kind)
        WHERE (k.place = 1 AND part.used > 0)
           OR (k.kind = 'uncertain' AND part.uncertain > 0)
           OR (k.kind = 'refund' AND part.uncertain > 0 AND %(refund)s)''')
}
SELECT line, contract, slice_id, bytes FROM entry WHERE kind = 'uncertain' ORDER BY line, slice_id
"""
CLOSE_THESE = "UPDATE line SET is_open = 0 WHERE line_id = ANY(%(line_ids)s) AND is_open = 1"
