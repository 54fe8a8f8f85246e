"""Writing the journal: one row for everything that happens to bytes and lines; other tables must agree.

Numbers leave no gap. Only one process writes at a time, so what lies between the numbers of two of our
own transactions was written by others.
"""

from collections.abc import Iterable, Sequence
from typing import Any
from zlib import crc32

from engine.pool.sqlite import Database
from engine.pool.sqlite_rows import Value
from engine.pool.store import Credit

CREDIT = "credit"
OPEN = "open"
GRANT = "grant"
USED = "used"
UNCERTAIN = "uncertain"
REFUND = "refund"
EXPIRE = "expire"
CLOSE = "close"
REMOVE = "remove"
STATE = "state"

COUPON_STATES = ("coupon off", "coupon on")
SERVICE_STATES = ("suspended", "in service")
"""`detail` of entries of state, by the bool that was said"""

_INSERT = """
    INSERT INTO journal (run_id, kind, contract, line, coupon_id, slice_id, bytes, at_ns, detail,
                         check_sum)
"""
_ROWS_KEPT = 4096
"""rows that may be unwritten"""
_SUMMED = "\n".join(["%s"] * 9)
"""a row, from `run_id` to `detail`, as `check_sum` has it"""
# Close enough to when the last run ended: these times tell people, they decide nothing.
_LAST = "SELECT journal_id, at_ns FROM journal ORDER BY journal_id DESC LIMIT 1"


def check_sum(*columns: int | str | None) -> int:
    """CRC-32 of a row, from `run_id` to `detail`: finds a flipped bit that no other table shows."""
    return crc32("\n".join(map(str, columns)).encode())


Entry = tuple[int, str, str, str | None, int | None, int | None, int, int, str, int]
"""a row from `run_id` to `check_sum`"""

# A good part of what new SIMs cost is these rows. So they are put together by the hundred, each with the
# text that `check_sum` would make of it; what is the same in all of them is made into text once.


def credit_entries(run_id: int, ids: range, credits: Iterable[Credit]) -> list[Entry]:
    """Entries of new coupons, whose keys are `ids`."""
    head = f"{run_id}\n{CREDIT}\n"
    return [
        (run_id, CREDIT, contract, None, key, None, amount, from_ns, detail, crc32(text.encode()))
        for key, (name, contract, kind, amount, from_ns, until_ns) in zip(ids, credits, strict=True)
        for detail in (f"{kind} {until_ns} {name}",)
        for text in (f"{head}{contract}\nNone\n{key}\nNone\n{amount}\n{from_ns}\n{detail}",)
    ]


def open_entries(
    run_id: int, at_ns: int, lines: Iterable[tuple[str, str, int | None, int]]
) -> list[Entry]:
    """Entries of (contract, line, key of the opening entry, its bytes)."""
    head, tail = f"{run_id}\n{OPEN}\n", f"\n{at_ns}\n"
    return [
        (run_id, OPEN, contract, line, None, key, size, at_ns, "", crc32(text.encode()))
        for contract, line, key, size in lines
        for text in (f"{head}{contract}\n{line}\nNone\n{key}\n{size}{tail}",)
    ]


def grant_entries(
    run_id: int, parts: Iterable[tuple[str, str, int, int, int, int, str]]
) -> list[Entry]:
    """Entries of (contract, line, key of the coupon, of the slice, bytes of it, when, request)."""
    head = f"{run_id}\n{GRANT}\n"
    return [
        (run_id, GRANT, contract, line, coupon_id, key, size, at_ns, name, crc32(text.encode()))
        for contract, line, coupon_id, key, size, at_ns, name in parts
        for text in (f"{head}{contract}\n{line}\n{coupon_id}\n{key}\n{size}\n{at_ns}\n{name}",)
    ]


def used_entries(run_id: int, at_ns: int, used: Iterable[tuple[str, str, int, int]]) -> list[Entry]:
    """Entries of (contract, line, key of the slice, bytes of it that were used)."""
    head, tail = f"{run_id}\n{USED}\n", f"\n{at_ns}\n"
    return [
        (run_id, USED, contract, line, None, key, size, at_ns, "", crc32(text.encode()))
        for contract, line, key, size in used
        for text in (f"{head}{contract}\n{line}\nNone\n{key}\n{size}{tail}",)
    ]


def credit_detail(kind: str, expires_ns: int, credit_id: str) -> str:
    """What a coupon is, as its credit entry keeps it."""
    return f"{kind} {expires_ns} {credit_id}"


class Journal:
    """Adds rows in the name of one run; the caller's transaction holds them with what they tell."""

    def __init__(self, db: Database, run_id: int) -> None:
        self._db = db
        self.run_id = run_id
        last_id, at_ns = (db.run(_LAST) or [(0, 0)])[0]
        self.now_ns = int(at_ns)
        """latest engine time seen, for entries that come without a time of their own"""
        self.own: tuple[int, int] = (0, 0)
        """number and check sum of the newest row of ours that was committed; 0: none yet"""
        self.known_id = int(last_id)
        """newest row that there was at the end of our last transaction"""
        self.foreign: list[tuple[int, int]] = []
        """(after, through) numbers that others wrote and that nobody has asked for yet"""
        self._next_id = self.known_id + 1
        self._newest = self.own
        self._unwritten: list[tuple[Any, ...]] = []

    def opened(self, last_id: int) -> None:
        """A transaction of ours begins behind row `last_id`."""
        if last_id > self.known_id:
            self.foreign.append((self.known_id, last_id))
        self.known_id = last_id
        self._next_id = last_id + 1
        self._newest = self.own
        self._unwritten.clear()  # of a transaction that was taken back

    def committed(self) -> None:
        """The transaction is durable, and its rows with it."""
        self.known_id = self._next_id - 1
        self.own = self._newest

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
        run_id: int | None = None,
    ) -> None:
        """Add one row; without `at_ns` it bears the latest time seen, without `run_id` our run."""
        run_id = self.run_id if run_id is None else run_id
        at_ns = self.now_ns if at_ns is None else at_ns
        said = (contract, line, coupon_id, slice_id, amount_bytes, at_ns, detail)
        self.write_all([(run_id, kind, *said)])

    def write_all(self, rows: Iterable[tuple[Value, ...]]) -> None:
        """Add many rows at once: columns `run_id` to `detail` of the table, in its order."""
        self.add([(*row, crc32((_SUMMED % row).encode())) for row in rows])

    def add(self, entries: Sequence[tuple[Value, ...]]) -> None:
        """Add many rows at once, with their check sums.

        They are in the table once `put_down` was called, which the end of the transaction does.
        """
        self._unwritten += entries
        if len(self._unwritten) >= _ROWS_KEPT:
            self.put_down()

    def put_down(self) -> None:
        """Write what is still unwritten: many rows take a third of the time that one by one they would."""
        rows = self._unwritten
        if rows:
            numbers = self._db.insert(_INSERT, rows, ahead=True)
            self._next_id = numbers.stop
            self._newest = (numbers[-1], rows[-1][-1])
            rows.clear()
