"""The statements of the PostgreSQL store for runs, states of lines, removal and usage.

See `engine.pool.postgres_statements` for the order of locks and for what a statement may believe.
"""

from engine.pool.postgres_statements import NOW_NS, journal

# --- runs -----------------------------------------------------------------------------------------

OPEN_RUN_OF = f"""
    SELECT run_id, lease_until_ns <= {NOW_NS} FROM run WHERE gateway = %(gateway)s AND state = 'open'
"""
NEW_RUN = f"""
    INSERT INTO run (run_id, gateway, state, renewed_ns, lease_until_ns)
    SELECT (SELECT coalesce(max(run_id), 0) + 1 FROM run), %(gateway)s, 'open', now_ns,
           now_ns + %(lease_ns)s
    FROM (SELECT {NOW_NS} AS now_ns) clock
    RETURNING run_id, renewed_ns
"""
RENEW = f"""
    UPDATE run SET renewed_ns = {NOW_NS}, lease_until_ns = {NOW_NS} + %(lease_ns)s
    WHERE run_id = %(run)s AND state = 'open' RETURNING renewed_ns
"""
FIND_RUN = "SELECT state, renewed_ns FROM run WHERE run_id = %(run)s"
# The fence: from here on nothing that the run says counts.
END_RUN = """
    UPDATE run SET state = %(state)s WHERE run_id = %(run)s AND state = 'open' RETURNING run_id
"""
FENCE_IF_OVER = f"""
    UPDATE run SET state = 'recovered'
    WHERE run_id = %(run)s AND state = 'open' AND lease_until_ns <= {NOW_NS} RETURNING run_id
"""
COUNT_REFUSED = "UPDATE run SET refused_reports = refused_reports + 1 WHERE run_id = %(run)s"
UNSETTLED_LINES = """
    SELECT line_id, held_bytes, reported_bytes, marked_used_bytes, mark_bytes
    FROM line WHERE run_id = %(run)s AND is_open = 1 AND held_bytes > reported_bytes
    ORDER BY contract_id, line_id FOR NO KEY UPDATE
"""
CLOSE_LINES = "UPDATE line SET is_open = 0 WHERE run_id = %(run)s AND is_open = 1"

# --- states, removal, usage -----------------------------------------------------------------------

# Holds the lines.
STATE_LINES = """
    SELECT code, removed_ns FROM line WHERE code = ANY(%(lines)s)
    ORDER BY contract_id, line_id FOR NO KEY UPDATE
"""
# Each line once. The journal has, and others are told, what is other than before.
NOTE = f"""
WITH said AS (
    SELECT l.line_id, l.contract_id, l.code, u.*, l.coupon_on AS old_coupon_on,
           l.in_service AS old_in_service
    FROM unnest(%(lines)s::text[], %(at_ns)s::bigint[], %(coupon_on)s::smallint[],
                %(in_service)s::smallint[], %(regulated)s::smallint[], %(shown)s::bigint[])
        AS u(said_code, at_ns, coupon_on, in_service, regulated, shown)
    JOIN line l ON l.code = u.said_code
),
changed AS (
    UPDATE line l SET coupon_on = coalesce(said.coupon_on, l.coupon_on),
                      in_service = coalesce(said.in_service, l.in_service),
                      regulated = coalesce(said.regulated, l.regulated),
                      shown_bytes = coalesce(said.shown, l.shown_bytes),
                      shown_ns = CASE WHEN said.shown IS NULL THEN l.shown_ns ELSE said.at_ns END
    FROM said WHERE l.line_id = said.line_id
),
{
    journal('''
        SELECT said.contract_id, c.code AS contract,
               row_number() OVER (PARTITION BY said.contract_id ORDER BY said.line_id, k.place) AS seq,
               %(run)s AS run_id, 'state' AS kind, said.code AS line, NULL AS coupon_id,
               NULL AS slice_id, 0 AS bytes, said.at_ns, k.detail
        FROM said JOIN contract c ON c.contract_id = said.contract_id
        CROSS JOIN (VALUES (1, 0, 'coupon off'), (1, 1, 'coupon on'),
                           (2, 0, 'suspended'), (2, 1, 'in service')) AS k(place, value, detail)
        WHERE (k.place = 1 AND k.value = said.coupon_on
               AND said.coupon_on IS DISTINCT FROM said.old_coupon_on)
           OR (k.place = 2 AND k.value = said.in_service
               AND said.in_service IS DISTINCT FROM said.old_in_service)''')
}
SELECT contract, line, at_ns, detail FROM entry ORDER BY contract, seq
"""
REMOVE_LINE = f"""
WITH removed AS (
    UPDATE line SET removed_ns = %(now_ns)s, held_bytes = reported_bytes, marked_used_bytes = 0,
                    mark_bytes = NULL
    WHERE line_id = %(line_id)s RETURNING contract_id
),
{
    journal('''SELECT removed.contract_id, %(contract)s::text AS contract, 1 AS seq, %(run)s AS run_id,
                      'remove' AS kind, %(line)s::text AS line, NULL AS coupon_id, NULL AS slice_id,
                      0 AS bytes, %(now_ns)s AS at_ns, '' AS detail FROM removed''')
}
SELECT 1 FROM removed
"""
LINES = """
    SELECT l.code, c.code, l.held_bytes - l.reported_bytes, s.used_bytes, s.uncertain_bytes,
           l.shown_bytes, l.shown_ns, l.coupon_on, l.in_service, l.regulated,
           CASE WHEN l.is_open = 1 AND r.state = 'open' THEN r.gateway END
    FROM line l JOIN contract c ON c.contract_id = l.contract_id JOIN run r ON r.run_id = l.run_id
    LEFT JOIN LATERAL (
        SELECT coalesce(sum(used_bytes), 0)::bigint AS used_bytes,
               coalesce(sum(uncertain_bytes), 0)::bigint AS uncertain_bytes
        FROM slice WHERE slice.line_id = l.line_id) s ON true
    WHERE l.removed_ns IS NULL AND (%(contract)s::text IS NULL OR c.code = %(contract)s::text)
    ORDER BY l.code COLLATE "C"
"""
# Each line and day once.
REPORT_USAGE = """
WITH said AS (
    SELECT l.line_id, u.* FROM unnest(%(lines)s::text[], %(days)s::bigint[], %(with_coupon)s::bigint[],
                                      %(without)s::bigint[], %(exempt)s::bigint[],
                                      %(restricting)s::bigint[])
        AS u(code, day, with_coupon, without_coupon, exempt, restricting)
    JOIN line l ON l.code = u.code
)
INSERT INTO usage_day (line_id, day, run_id, with_coupon_bytes, without_coupon_bytes, exempt_bytes,
                       restricting_bytes, updated_ns)
SELECT line_id, day, %(run)s, with_coupon, without_coupon, exempt, restricting, %(at_ns)s
FROM said ORDER BY line_id, day
ON CONFLICT (line_id, day, run_id) DO UPDATE
SET with_coupon_bytes = excluded.with_coupon_bytes,
    without_coupon_bytes = excluded.without_coupon_bytes,
    exempt_bytes = excluded.exempt_bytes, restricting_bytes = excluded.restricting_bytes,
    updated_ns = excluded.updated_ns
"""
FORGET_DAYS = """
    DELETE FROM usage_day d USING (
        SELECT u.line_id, max(u.day) AS day FROM usage_day u JOIN line l ON l.line_id = u.line_id
        WHERE l.code = ANY(%(lines)s) GROUP BY u.line_id) newest
    WHERE d.line_id = newest.line_id AND d.day <= newest.day - %(kept)s
"""
USAGE = """
    SELECT day, sum(with_coupon_bytes)::bigint, sum(without_coupon_bytes)::bigint,
           sum(exempt_bytes)::bigint,
           sum(coalesce(restricting_bytes, without_coupon_bytes))::bigint, max(updated_ns)
    FROM usage_day WHERE line_id = (SELECT line_id FROM line WHERE code = %(line)s)
      AND day >= %(first_day)s
    GROUP BY day HAVING sum(with_coupon_bytes) + sum(without_coupon_bytes) + sum(exempt_bytes) > 0
    ORDER BY day
"""
RESTRICTING = """
    SELECT l.code, u.day, sum(coalesce(u.restricting_bytes, u.without_coupon_bytes))::bigint
    FROM line l JOIN usage_day u ON u.line_id = l.line_id
    WHERE l.code = ANY(%(lines)s) AND u.day >= %(first_day)s AND u.run_id <> %(run)s
    GROUP BY l.code, u.day HAVING sum(coalesce(u.restricting_bytes, u.without_coupon_bytes)) > 0
    ORDER BY l.code COLLATE "C", u.day
"""
