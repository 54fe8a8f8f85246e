-- Several gateways on one database: names and leases of runs, marks ahead of use, purchases, states of
-- lines, usage by day, and the contract book. Every statement keeps what version 1 stored.

ALTER TABLE run ADD COLUMN gateway TEXT NOT NULL DEFAULT 'gateway'
    CHECK (length(gateway) BETWEEN 1 AND 64);
-- Times of the database's own clock, not of packets.
ALTER TABLE run ADD COLUMN renewed_ns INTEGER NOT NULL DEFAULT 0;
ALTER TABLE run ADD COLUMN lease_until_ns INTEGER NOT NULL DEFAULT 0;
-- What was said in the name of this run after it was over, and did not count (I4).
ALTER TABLE run ADD COLUMN refused_reports INTEGER NOT NULL DEFAULT 0 CHECK (refused_reports >= 0);

-- A gateway has at most one run that is on.
CREATE UNIQUE INDEX run_open ON run (gateway) WHERE state = 'open';

ALTER TABLE contract ADD COLUMN closed_ns INTEGER;  -- the contract ended (A4, A6)

-- Additional coupons bought together; `month` counts JST months, year * 12 + month - 1.
CREATE TABLE purchase (
    purchase_id INTEGER PRIMARY KEY,
    request_id  TEXT NOT NULL UNIQUE,
    contract_id INTEGER NOT NULL REFERENCES contract,
    month       INTEGER NOT NULL,
    coupons     INTEGER NOT NULL CHECK (coupons BETWEEN 1 AND 30),
    bought_ns   INTEGER NOT NULL,
    expires_ns  INTEGER NOT NULL
) STRICT;

CREATE INDEX purchase_by_contract ON purchase (contract_id, bought_ns, purchase_id);

-- The limit of a month's purchases (C3), held here whoever buys.
CREATE TABLE purchase_month (
    contract_id INTEGER NOT NULL REFERENCES contract,
    month       INTEGER NOT NULL,
    coupons     INTEGER NOT NULL CHECK (coupons BETWEEN 1 AND 30),
    PRIMARY KEY (contract_id, month)
) STRICT, WITHOUT ROWID;

ALTER TABLE coupon ADD COLUMN purchase_id INTEGER REFERENCES purchase;

-- A constraint of a table cannot be changed in place: the rows move to a new one.
CREATE TABLE line_new (
    line_id           INTEGER PRIMARY KEY,
    code              TEXT NOT NULL UNIQUE CHECK (length(code) BETWEEN 1 AND 64),
    contract_id       INTEGER NOT NULL REFERENCES contract,
    run_id            INTEGER NOT NULL REFERENCES run,  -- the last run that opened it
    is_open           INTEGER NOT NULL CHECK (is_open IN (0, 1)),
    -- Cumulative in that run: on the SIM at its start + granted since; use that is booked; use that is
    -- certain but not booked yet; what may be used before the next mark (NULL: all that is held).
    held_bytes        INTEGER NOT NULL,
    reported_bytes    INTEGER NOT NULL DEFAULT 0 CHECK (reported_bytes >= 0),
    marked_used_bytes INTEGER NOT NULL DEFAULT 0 CHECK (marked_used_bytes >= 0),
    mark_bytes        INTEGER,
    -- Older slices are part of what the SIM held when the run opened the line: not granted to it again.
    first_slice_id    INTEGER NOT NULL DEFAULT 0,
    -- State as last said; NULL: never.
    coupon_on         INTEGER CHECK (coupon_on IN (0, 1)),
    in_service        INTEGER CHECK (in_service IN (0, 1)),
    regulated         INTEGER CHECK (regulated IN (0, 1)),
    shown_bytes       INTEGER CHECK (shown_bytes >= 0),
    shown_ns          INTEGER,
    removed_ns        INTEGER,
    CHECK (reported_bytes <= held_bytes),
    CHECK (marked_used_bytes <= coalesce(mark_bytes, 0)),
    CHECK (mark_bytes <= held_bytes),
    CHECK ((shown_bytes IS NULL) = (shown_ns IS NULL)),
    CHECK (removed_ns IS NULL OR (is_open = 0 AND reported_bytes = held_bytes))
) STRICT;

INSERT INTO line_new (line_id, code, contract_id, run_id, is_open, reported_bytes, held_bytes)
SELECT line_id, code, contract_id, run_id, is_open, reported_bytes, reported_bytes + (
    SELECT coalesce(sum(granted_bytes - used_bytes - uncertain_bytes), 0) FROM slice
    WHERE slice.line_id = line.line_id)
FROM line;

DROP TABLE line;
ALTER TABLE line_new RENAME TO line;
CREATE INDEX line_open ON line (run_id, line_id) WHERE is_open = 1;
CREATE INDEX line_by_contract ON line (contract_id, code);

CREATE TABLE journal_new (
    journal_id INTEGER PRIMARY KEY,
    run_id     INTEGER NOT NULL,  -- 0: an operator, without a run
    kind       TEXT NOT NULL
        CHECK (kind IN ('credit', 'open', 'grant', 'used', 'uncertain', 'refund', 'expire',
                        'close', 'remove', 'state')),
    contract   TEXT NOT NULL,
    line       TEXT,
    coupon_id  INTEGER,
    slice_id   INTEGER,
    bytes      INTEGER NOT NULL CHECK (bytes >= 0),
    at_ns      INTEGER NOT NULL,
    detail     TEXT NOT NULL,
    check_sum  INTEGER NOT NULL
) STRICT;

INSERT INTO journal_new SELECT * FROM journal;
DROP TABLE journal;
ALTER TABLE journal_new RENAME TO journal;

CREATE TRIGGER journal_keeps_rows BEFORE DELETE ON journal
BEGIN
    SELECT RAISE(ABORT, 'the journal is append-only');
END;

CREATE TRIGGER journal_keeps_values BEFORE UPDATE ON journal
BEGIN
    SELECT RAISE(ABORT, 'the journal is append-only');
END;

-- What lines carried on JST days (days since 1970), as each run last reported it (Q3).
CREATE TABLE usage_day (
    line_id              INTEGER NOT NULL REFERENCES line,
    day                  INTEGER NOT NULL,
    run_id               INTEGER NOT NULL REFERENCES run,
    with_coupon_bytes    INTEGER NOT NULL CHECK (with_coupon_bytes >= 0),
    without_coupon_bytes INTEGER NOT NULL CHECK (without_coupon_bytes >= 0),
    exempt_bytes         INTEGER NOT NULL CHECK (exempt_bytes >= 0),
    updated_ns           INTEGER NOT NULL,
    PRIMARY KEY (line_id, day, run_id)
) STRICT, WITHOUT ROWID;

-- The contract book: a customer is one document, found by any of its names.
CREATE TABLE account (
    mio_id   TEXT NOT NULL PRIMARY KEY,
    version  INTEGER NOT NULL CHECK (version > 0),
    document TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE account_name (
    kind   TEXT NOT NULL
        CHECK (kind IN ('mio', 'contract', 'line', 'imsi', 'iccid', 'msisdn')),
    name   TEXT NOT NULL,
    mio_id TEXT NOT NULL REFERENCES account,
    PRIMARY KEY (kind, name)
) STRICT, WITHOUT ROWID;

CREATE INDEX account_name_by_account ON account_name (mio_id, kind, name);

-- `content_sum` is the CRC-32 of the document and its names as of that change, `check_sum` that of the row.
CREATE TABLE book_journal (
    entry_id    INTEGER PRIMARY KEY,
    mio_id      TEXT NOT NULL REFERENCES account,
    version     INTEGER NOT NULL CHECK (version > 0),
    at_ns       INTEGER NOT NULL,
    action      TEXT NOT NULL,
    detail      TEXT NOT NULL,
    content_sum INTEGER NOT NULL,
    check_sum   INTEGER NOT NULL,
    UNIQUE (mio_id, version)
) STRICT;

CREATE TRIGGER book_journal_keeps_rows BEFORE DELETE ON book_journal
BEGIN
    SELECT RAISE(ABORT, 'the journal is append-only');
END;

CREATE TRIGGER book_journal_keeps_values BEFORE UPDATE ON book_journal
BEGIN
    SELECT RAISE(ABORT, 'the journal is append-only');
END;
