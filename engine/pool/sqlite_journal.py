"""Writing the journal: one row for everything that moves bytes; other tables must agree with it."""

from zlib import crc32

from engine.pool.sqlite import Database

CREDIT = "credit"
OPEN = "open"
GRANT = "grant"
USED = "used"
UNCERTAIN = "uncertain"
EXPIRE = "expire"

_INSERT = """
    INSERT INTO journal (run_id, kind, contract, line, coupon_id, slice_id, bytes, at_ns, detail,
                         check_sum)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
"""
# Close enough to when the last run ended: these times tell people, they decide nothing.
_LAST_TIME = "SELECT at_ns FROM journal ORDER BY journal_id DESC LIMIT 1"


def check_sum(*columns: int | str | None) -> int:
    """CRC-32 of a row, from `run_id` to `detail`: finds a flipped bit that no other table shows."""
    return crc32("\n".join(map(str, columns)).encode())


def credit_detail(kind: str, expires_ns: int, credit_id: str) -> str:
    """What a coupon is, as its credit entry keeps it."""
    return f"{kind} {expires_ns} {credit_id}"


class Journal:
    """Adds rows in the name of one run; the caller's transaction holds them with what they tell."""

    def __init__(self, db: Database, run_id: int) -> None:
        self._db = db
        self._run_id = run_id
        self.now_ns = int(db.value(_LAST_TIME) or 0)
        """latest engine time seen, for entries that come without a time of their own"""

    def write(
        self,
        kind: str,
        contract: str,
        amount_bytes: int,
        at_ns: int | None = None,
        *,
        line: str | None = None,
        coupon_id: int | None = None,
        slice_id: int | None = None,
        detail: str = "",
    ) -> None:
        """Add one row; without `at_ns` it bears the latest time seen."""
        at_ns = self.now_ns if at_ns is None else at_ns
        columns = (
            self._run_id,
            kind,
            contract,
            line,
            coupon_id,
            slice_id,
            amount_bytes,
            at_ns,
            detail,
        )
        self._db.run(_INSERT, *columns, check_sum(*columns))
