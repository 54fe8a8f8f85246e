"""Lines on PostgreSQL: opened for a run, marked ahead, settled, removed; many at a time."""

from collections.abc import Iterator, Sequence
from operator import index
from typing import Any, NamedTuple

from engine.errors import PoolError
from engine.pool import postgres_line_statements as sql
from engine.pool import postgres_state_statements as state_sql
from engine.pool.bounds import checked_bytes, checked_text, checked_time
from engine.pool.postgres_session import LINES_AT_ONCE, Session
from engine.pool.postgres_statements import ADD_CONTRACTS
from engine.pool.refusals import (
    Opening,
    checked_openings,
    new_openings,
    open_elsewhere,
    removed,
)


class LineRow(NamedTuple):
    """A line with its contract and the run that opened it last; see the schema for the figures."""

    code: str
    line_id: int
    contract: str
    run_id: int
    is_open: int
    held_bytes: int
    reported_bytes: int
    marked_used_bytes: int
    removed_ns: int | None
    run_state: str
    gateway: str
    is_over: bool

    @property
    def on_sim_bytes(self) -> int:
        """What the SIM holds as far as is booked."""
        return self.held_bytes - self.reported_bytes


class _Settled(NamedTuple):
    """A line of this run that a report is about."""

    code: str
    line_id: int
    is_open: int
    held_bytes: int
    reported_bytes: int
    marked_used_bytes: int


def _pieces(codes: Sequence[Any]) -> Iterator[Any]:
    for start in range(0, len(codes), LINES_AT_ONCE):
        yield codes[start : start + LINES_AT_ONCE]


class Lines(Session):
    """The part of the store that knows lines."""

    def open_line(self, contract: str, line: str, initial_balance_bytes: int) -> int:
        """Open a line for this run; returns its balance in bytes. See `CouponStore.open_line`."""
        return self.open_lines([(contract, line, initial_balance_bytes)])[0]

    def open_lines(self, lines: Sequence[tuple[str, str, int]]) -> list[int]:
        """Open many lines (C7, I4, I8). See `CouponStore.open_lines`."""
        asked = checked_openings(lines)
        self.require_run()
        return self.call(lambda again: self._open_lines(asked))

    def _open_lines(self, asked: list[Opening]) -> list[int]:
        codes = list(dict.fromkeys(line for _, line, _ in asked))
        with self.db.transaction():
            self.prove()
            known = self._entered(asked, codes)
            balances: dict[str, int] = {}
            for some in _pieces(codes):
                said: dict[str, object] = {
                    "lines": some,
                    "run": self.run_id,
                    "now_ns": self.now_ns,
                }
                if any(code in known for code in some):
                    self.db.run(sql.TAKE_LINES, said)
                balances |= dict(self.db.run(sql.ON_SIM, said))
        return [balances[line] for _, line, _ in asked]

    def _entered(self, asked: list[Opening], codes: list[str]) -> dict[str, LineRow]:
        """Take over the runs that have lines open, enter those that are new; the lines known before."""
        while True:
            known = self._found(codes)
            new = list(new_openings(asked, known, self._check_opening).values())
            self._take_over(list(known.values()))
            if new:
                self.db.run("SAVEPOINT openings")
            if all(self._enter(some) for some in _pieces(new)):
                return known
            # Another gateway entered one of them just now: everything is looked at again.
            self.db.run("ROLLBACK TO SAVEPOINT openings")

    def _found(self, codes: list[str]) -> dict[str, LineRow]:
        """The lines that the database knows, by code, held to the end of the transaction."""
        found: dict[str, LineRow] = {}
        for some in _pieces(codes):
            rows = self.db.run(sql.FIND_LINES, {"lines": some})
            found |= {row[0]: LineRow(*row) for row in rows}
        return found

    def _check_opening(self, row: LineRow) -> None:
        if row.removed_ns is not None:
            raise removed(row.code)
        if self._elsewhere(row) and not row.is_over:
            raise open_elsewhere(row.code, row.gateway)

    def _elsewhere(self, row: LineRow) -> bool:
        """Whether another run has the line open."""
        return bool(row.is_open) and row.run_id != self.run_id and row.run_state == "open"

    def _take_over(self, rows: list[LineRow]) -> bool:
        """Settle and fence off the runs that still have one of the lines open (I4); False: none."""
        runs = {row.run_id: row.gateway for row in rows if self._elsewhere(row)}
        for run_id, gateway in sorted(runs.items()):
            self.take_over(run_id, gateway)
        return bool(runs)

    def _enter(self, new: Sequence[Opening]) -> bool:
        """Enter lines that are new, with what is on their SIMs already (C7); False if one is there."""
        said: dict[str, object] = {
            "contracts": [contract for contract, _, _ in new],
            "lines": [line for _, line, _ in new],
            "opening": [balance for _, _, balance in new],
            "run": self.run_id,
            "now_ns": self.now_ns,
        }
        self.db.run(ADD_CONTRACTS, said)
        return len(self.db.run(sql.ADD_LINES, said)) == len(new)

    def reported(self, line: str) -> int:
        """Use that counts as reported in this run. See `CouponStore.reported`."""
        self.require_run()
        said = {"line": checked_text("line", line), "run": self.run_id}
        rows = self.read(lambda again: self.db.run(sql.REPORTED, said))
        if not rows:
            raise PoolError(f"line {line}: not opened in this run; call open_line first")
        return int(rows[0][0])

    def mark(self, marks: Sequence[tuple[str, int, int]]) -> None:
        """Say ahead how far lines may use what they hold (G4). See `CouponStore.mark`."""
        self.require_run()
        rows = [(line, index(used), index(mark)) for line, used, mark in marks]
        for line, used, mark in rows:
            if not 0 <= used <= mark <= checked_bytes("mark", mark):
                raise PoolError(
                    f"line {line[:80]!r}: {used} bytes used and a mark of {mark}, not in order"
                )
            checked_text("line", line)
        if len(rows) <= LINES_AT_ONCE:
            self.call(lambda again: self._mark(rows))
        else:
            self.call(lambda again: self._mark_many(rows))

    def _mark_many(self, rows: list[tuple[str, int, int]]) -> None:
        with self.db.transaction():
            try:
                self.db.run("SAVEPOINT marks")
                for some in _pieces(rows):
                    self._mark(some)
            except PoolError:
                # A refused call changes nothing, although others may have been written before it.
                if self.db.in_transaction:
                    self.db.run("ROLLBACK TO SAVEPOINT marks")
                raise

    def _mark(self, rows: Sequence[tuple[str, int, int]]) -> None:
        said: dict[str, object] = {
            "lines": [line for line, _, _ in rows],
            "used": [used for _, used, _ in rows],
            "marks": [mark for _, _, mark in rows],
            "run": self.run_id,
        }
        is_on, line, mark, held, reported = self.db.run(sql.MARK, said)[0]
        if not is_on:
            self.fenced()
        if line is None:
            return
        if held is None:
            raise PoolError(f"line {line}: not opened in this run; call open_line first")
        if mark > held:
            raise PoolError(f"line {line}: a mark of {mark} bytes, its SIM held {held} in this run")
        raise PoolError(f"line {line}: settled finally at {reported} bytes, now marked at {mark}")

    def settle(self, line: str, used_bytes: int, final: bool) -> None:
        """Report all use of this run so far (I2, I5). See `CouponStore.settle`."""
        self.settle_all([(line, used_bytes)], final)

    def settle_all(self, used: Sequence[tuple[str, int]], final: bool) -> None:
        """Report use of many lines; those without any cost next to nothing (I2, I5)."""
        reports: dict[str, int] = {}
        for line, amount in used:
            code = checked_text("line", line)
            amount = checked_bytes(f"line {code}: use of", amount)
            reports[code] = max(amount, reports.get(code, 0))
        self.require_run()
        if reports:
            self.call(lambda again: self._settle_all(reports, final))

    def _settle_all(self, reports: dict[str, int], final: bool) -> None:
        with self.db.transaction():
            self.prove()
            rows: dict[str, _Settled] = {}
            for some in _pieces(list(reports)):
                found = self.db.run(sql.SETTLED_LINES, {"lines": some, "run": self.run_id})
                rows |= {row[0]: _Settled(*row) for row in found}
            amounts = {line: self._more(line, rows, used) for line, used in reports.items()}
            more = [(rows[line], amount) for line, amount in amounts.items()]
            for some in _pieces([(row.line_id, amount) for row, amount in more if amount]):
                self._book([line_id for line_id, _ in some], [amount for _, amount in some])
            if final:
                for some in _pieces([row.line_id for row, _ in more if row.is_open]):
                    self.db.run(sql.CLOSE_THESE, {"line_ids": some})

    def _more(self, line: str, rows: dict[str, _Settled], used: int) -> int:
        """Bytes that are now to be booked as used; PoolError for a report that is refused."""
        row = rows.get(line)
        if row is None:
            raise PoolError(f"line {line}: not opened in this run; call open_line first")
        more = max(used, row.marked_used_bytes) - row.reported_bytes
        if more <= 0:
            return 0
        if not row.is_open:
            raise PoolError(
                f"line {line}: settled finally at {row.reported_bytes} bytes, now {used} are reported"
            )
        held = row.held_bytes - row.reported_bytes
        if more > held:
            raise PoolError(f"line {line}: {more} bytes more are reported, its SIM held {held}")
        return more

    def _book(
        self, line_ids: list[int], used: list[int], kind: str = "used", at_ns: int | None = None
    ) -> None:
        """Book bytes of lines as used, the oldest on the SIM first."""
        said: dict[str, object] = {
            "line_ids": line_ids,
            "used": used,
            "uncertain": [0] * len(used),
            "refund": False,
            "over": False,
            "used_kind": kind,
            "now_ns": self.now_ns if at_ns is None else at_ns,
            "run": self.run_id,
        }
        self.db.run(sql.LOCK_CONTRACTS_OF, said)
        self.db.run(sql.BOOK_USE, said)

    def remove_line(self, line: str, at_ns: int) -> int:
        """Remove a line for good (L4); its bytes that are gone. See `CouponStore.remove_line`."""
        checked_text("line", line)
        at_ns = checked_time("at_ns", at_ns)
        return self.call(lambda again: self._remove_line(line, at_ns), exact=False)

    def _remove_line(self, line: str, at_ns: int) -> int:
        with self.db.transaction():
            self.prove()
            row = self._known_line(line)
            if row.removed_ns is not None:
                return 0
            if row.is_open and row.run_id == self.run_id:
                raise PoolError(f"line {line}: open in this run; settle it finally first")
            self._check_opening(row)
            if self._take_over([row]):
                row = self._known_line(line)
            if row.on_sim_bytes:
                self._book([row.line_id], [row.on_sim_bytes], "remove", at_ns)
            said: dict[str, object] = {
                "line_id": row.line_id,
                "contract": row.contract,
                "line": line,
                "run": self.run_id,
                "now_ns": at_ns,
            }
            self.db.run(state_sql.REMOVE_LINE, said)
        return row.on_sim_bytes

    def _known_line(self, line: str) -> LineRow:
        """The line's row, whoever opened it last; PoolError if there is none."""
        found = self._found([line])
        if line not in found:
            raise PoolError(f"line {line}: the coupon database does not know it; open it first")
        return found[line]
