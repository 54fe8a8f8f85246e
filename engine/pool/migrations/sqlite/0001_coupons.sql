-- Bytes are exact integers below 2^63; times are ns since 1970. Plain SQL: each table has a twin in any
-- other store. The constraints hold I1 and I2 whatever program writes here.

CREATE TABLE schema_version (
    version INTEGER PRIMARY KEY,
    name    TEXT NOT NULL
) STRICT;

CREATE TABLE run (
    run_id INTEGER PRIMARY KEY,
    state  TEXT NOT NULL CHECK (state IN ('open', 'clean', 'recovered'))
) STRICT;

CREATE TABLE contract (
    contract_id INTEGER PRIMARY KEY,
    code        TEXT NOT NULL UNIQUE CHECK (length(code) BETWEEN 1 AND 64)
) STRICT;

CREATE TABLE coupon (
    coupon_id         INTEGER PRIMARY KEY,
    credit_id         TEXT NOT NULL UNIQUE,
    contract_id       INTEGER NOT NULL REFERENCES contract,
    kind              TEXT NOT NULL CHECK (kind IN ('bundle', 'topup')),
    credited_ns       INTEGER NOT NULL,
    expires_ns        INTEGER NOT NULL,
    credited_bytes    INTEGER NOT NULL CHECK (credited_bytes > 0),
    in_database_bytes INTEGER NOT NULL CHECK (in_database_bytes >= 0),
    granted_bytes     INTEGER NOT NULL DEFAULT 0 CHECK (granted_bytes >= 0),
    expired_bytes     INTEGER NOT NULL DEFAULT 0 CHECK (expired_bytes >= 0),
    CHECK (in_database_bytes + granted_bytes + expired_bytes = credited_bytes)
) STRICT;

-- The order of use (C5); only coupons that still hold something.
CREATE INDEX coupon_in_use ON coupon (contract_id, expires_ns, kind, credited_ns, coupon_id)
    WHERE in_database_bytes > 0;
CREATE INDEX coupon_by_contract ON coupon (contract_id);
CREATE INDEX coupon_by_expiry ON coupon (expires_ns) WHERE in_database_bytes > 0;

CREATE TABLE line (
    line_id        INTEGER PRIMARY KEY,
    code           TEXT NOT NULL UNIQUE CHECK (length(code) BETWEEN 1 AND 64),
    contract_id    INTEGER NOT NULL REFERENCES contract,
    run_id         INTEGER NOT NULL REFERENCES run,  -- the last run that opened it
    reported_bytes INTEGER NOT NULL CHECK (reported_bytes >= 0),  -- use reported in that run
    is_open        INTEGER NOT NULL CHECK (is_open IN (0, 1))
) STRICT;

CREATE INDEX line_open ON line (line_id) WHERE is_open = 1;

CREATE TABLE slice (
    slice_id        INTEGER PRIMARY KEY,
    request_id      TEXT UNIQUE,
    line_id         INTEGER NOT NULL REFERENCES line,
    run_id          INTEGER NOT NULL REFERENCES run,
    kind            TEXT NOT NULL CHECK (kind IN ('coupon', 'opening')),
    granted_bytes   INTEGER NOT NULL CHECK (granted_bytes > 0),
    used_bytes      INTEGER NOT NULL DEFAULT 0 CHECK (used_bytes >= 0),
    uncertain_bytes INTEGER NOT NULL DEFAULT 0 CHECK (uncertain_bytes >= 0),
    CHECK (used_bytes + uncertain_bytes <= granted_bytes),
    CHECK (kind = 'opening' OR granted_bytes <= 10485760),
    CHECK ((kind = 'opening') = (request_id IS NULL))
) STRICT;

CREATE INDEX slice_by_line ON slice (line_id, slice_id);
CREATE INDEX slice_on_sim ON slice (line_id, slice_id)
    WHERE used_bytes + uncertain_bytes < granted_bytes;

-- What each coupon gave to each slice (D3).
CREATE TABLE slice_part (
    slice_id  INTEGER NOT NULL REFERENCES slice,
    coupon_id INTEGER NOT NULL REFERENCES coupon,
    bytes     INTEGER NOT NULL CHECK (bytes > 0),
    PRIMARY KEY (slice_id, coupon_id)
) STRICT, WITHOUT ROWID;

-- Everything that ever happened, in order, with the codes as they were said: an account that stands
-- without the other tables. `detail` is what identifies the event, `check_sum` the CRC-32 of the row.
CREATE TABLE journal (
    journal_id INTEGER PRIMARY KEY,
    run_id     INTEGER NOT NULL,
    kind       TEXT NOT NULL
        CHECK (kind IN ('credit', 'open', 'grant', 'used', 'uncertain', 'expire')),
    contract   TEXT NOT NULL,
    line       TEXT,
    coupon_id  INTEGER,
    slice_id   INTEGER,
    bytes      INTEGER NOT NULL CHECK (bytes >= 0),
    at_ns      INTEGER NOT NULL,
    detail     TEXT NOT NULL,
    check_sum  INTEGER NOT NULL
) STRICT;

CREATE TRIGGER journal_keeps_rows BEFORE DELETE ON journal
BEGIN
    SELECT RAISE(ABORT, 'the journal is append-only');
END;

CREATE TRIGGER journal_keeps_values BEFORE UPDATE ON journal
BEGIN
    SELECT RAISE(ABORT, 'the journal is append-only');
END;
