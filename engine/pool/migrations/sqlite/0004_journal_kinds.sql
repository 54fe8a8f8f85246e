-- The same kinds of entries, said so that a row costs half: for a list of more than two SQLite builds a table anew at
-- each row. A constraint cannot be changed in place: the rows move to a new table.
CREATE TABLE journal_new (
    journal_id INTEGER PRIMARY KEY,
    run_id     INTEGER NOT NULL,  -- 0: an operator, without a run
    kind       TEXT NOT NULL
        CHECK (kind = 'grant' OR kind = 'used' OR kind = 'credit' OR kind = 'open' OR kind = 'state'
               OR kind = 'uncertain' OR kind = 'refund' OR kind = 'expire' OR kind = 'close'
               OR kind = 'remove'),
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
