"""Lines on SQLite: opened for a run, marked ahead, settled, removed."""

from collections.abc import Iterable, Sequence
from operator import index
from typing import NamedTuple, NoReturn

from engine.errors import PoolError
from engine.pool import sqlite_journal as journal
from engine.pool import sqlite_run
from engine.pool import sqlite_statements as sql
from engine.pool.bounds import are_plain, are_within, checked_bytes, checked_text, checked_time
from engine.pool.refusals import (
    Opening,
    checked_openings,
    new_openings,
    open_elsewhere,
    removed,
)
from engine.pool.sqlite import Row, keys, texts
from engine.pool.sqlite_session import Session
from engine.pool.store import BYTES_MAX

_NOWHERE = (0, "", 0, 0, 0, 0, 0)
"""what `FIND_SETTLING` would have after the code of a line that is not known: it was opened in no run"""


class LineRow(NamedTuple):
    """A line with its contract and the run that opened it last; see the schema for the figures."""

    code: str
    line_id: int
    contract_id: int
    contract: str
    run_id: int
    is_open: int
    held_bytes: int
    reported_bytes: int
    marked_used_bytes: int
    removed_ns: int | None
    run_state: str
    gateway: str
    lease_until_ns: int

    @property
    def on_sim_bytes(self) -> int:
        """What the SIM holds as far as is booked."""
        return self.held_bytes - self.reported_bytes


class Lines(Session):
    """The part of the store that knows lines."""

    def open_line(self, contract: str, line: str, initial_balance_bytes: int) -> int:
        """Open a line for this run; returns its balance in bytes. See `CouponStore.open_line`."""
        return self.open_lines([(contract, line, initial_balance_bytes)])[0]

    def open_lines(self, lines: Sequence[tuple[str, str, int]]) -> list[int]:
        """Open many lines (C7, I4, I8). See `CouponStore.open_lines`."""
        asked = checked_openings(lines)
        self.require_run()
        codes = [line for _, line, _ in asked]
        with self.atomic:
            if self.fresh.has_lines(codes):
                self.fresh.put_down()
            known = self._known(codes)
            if not known and len(set(codes)) == len(codes):
                self._add_lines(asked)
                return [balance for _, _, balance in asked]
            new = new_openings(asked, known, self._check_opening)
            if self._take_over(known.values()):
                known = self._known(codes)
            self._add_lines(list(new.values()))
            for row in known.values():
                self._open_again(row)
        return [known[line].on_sim_bytes if line in known else new[line][2] for _, line, _ in asked]

    def _known(self, codes: Iterable[str]) -> dict[str, LineRow]:
        """The lines that the database knows, those that are not put down left out, by code, each once."""
        if self.fresh.alone:
            return {}
        rows = self.db.look(sql.FIND_LINES, texts(dict.fromkeys(codes)))
        return {row[0]: LineRow(*row) for row in rows}

    def _check_opening(self, row: LineRow) -> None:
        if row.removed_ns is not None:
            raise removed(row.code)
        if self._elsewhere(row) and row.lease_until_ns > self.now():
            raise open_elsewhere(row.code, row.gateway)

    def _elsewhere(self, row: LineRow) -> bool:
        """Whether another run has the line open."""
        return bool(row.is_open) and row.run_id != self.run_id and row.run_state == "open"

    def _take_over(self, rows: Iterable[LineRow]) -> bool:
        """Settle and fence off the runs that still have one of the lines open (I4); False: none."""
        runs = {row.run_id: row.gateway for row in rows if self._elsewhere(row)}
        for run_id, gateway in runs.items():
            reason = f"because gateway {gateway} was silent for longer than its lease"
            uncertain = self.options.uncertain
            self.recovered += sqlite_run.recover(self.db, self.journal, run_id, uncertain, reason)
        return bool(runs)

    def _open_again(self, row: LineRow) -> None:
        """Open a line that is known, in a run that may be the one that opened it last."""
        if row.run_id != self.run_id:
            self.db.run(sql.TAKE_LINE, self.run_id, row.line_id)
            self.journal.write(journal.OPEN, row.contract, 0, line=row.code)
        elif not row.is_open:
            self.db.run(sql.OPEN_LINE, row.line_id)

    def _add_lines(self, new: list[Opening]) -> None:
        """Enter lines that are new, with what is on their SIMs already (C7), in a few statements."""
        if not new:
            return
        contracts = self._contract_ids([contract for contract, _, _ in new])
        run_id = self.run_id
        line_ids = self.fresh.add_lines(new, contracts, run_id)
        openings = [
            (line_id, run_id, "opening", balance)
            for line_id, (_, _, balance) in zip(line_ids, new, strict=True)
            if balance
        ]
        slice_ids = iter(self.db.insert(sql.ADD_OPENINGS, openings))
        entered = [
            (contract, line, next(slice_ids) if balance else None, balance)
            for contract, line, balance in new
        ]
        self.journal.add(journal.open_entries(run_id, self.journal.now_ns, entered))

    def _contract_ids(self, codes: list[str]) -> dict[str, int]:
        """Keys of contracts; those that are new are entered."""
        fresh = self.fresh.contracts
        found = {code: fresh[code] for code in codes if code in fresh}
        if len(found) < len(codes):
            wanted = [code for code in dict.fromkeys(codes) if code not in found]
            found |= dict(self.db.look(sql.FIND_CONTRACTS, texts(wanted)))
            self.add_contracts(found, wanted)
        return found

    def opened(self, line: str) -> LineRow:
        """The line's row; PoolError where `open_line` was not called for it in this run."""
        self.require_run()
        rows = self.db.run(sql.FIND_LINE, checked_text("line", line))
        return self._checked_open(line, LineRow(*rows[0]) if rows else None)

    def _checked_open(self, line: str, row: LineRow | None) -> LineRow:
        if row is None:
            raise _not_opened(line)
        self.check_open(line, row.run_id, row.removed_ns)
        return row

    def check_open(self, line: str, run_id: int, removed_ns: int | None) -> None:
        """PoolError for a line that this run did not open, or that is gone."""
        if run_id != self.run_id:
            raise _not_opened(line)
        if removed_ns is not None:
            raise removed(line)

    def reported(self, line: str) -> int:
        """Use that counts as reported in this run. See `CouponStore.reported`."""
        row = self.opened(line)
        return max(row.reported_bytes, row.marked_used_bytes)

    def mark(self, marks: Sequence[tuple[str, int, int]]) -> None:
        """Say ahead how far lines may use what they hold (G4). See `CouponStore.mark`."""
        self.require_run()
        run_id = self.run_id
        rows = [(index(used), index(mark), line, run_id) for line, used, mark in marks]
        for used, mark, line, _ in rows:
            if not 0 <= used <= mark <= checked_bytes("mark", mark):
                raise PoolError(
                    f"line {line[:80]!r}: {used} bytes used and a mark of {mark}, not in order"
                )
            checked_text("line", line)
        with self.atomic:
            # A refused call changes nothing, although others may have been written before it.
            self.db.run("SAVEPOINT marks")
            marked = self.db.run_many(sql.MARK, rows)
            if marked != len(rows):
                self.db.run("ROLLBACK TO marks")
                self._refuse_marks(rows)
            self.db.run("RELEASE marks")

    def _refuse_marks(self, rows: list[tuple[int, int, str, int]]) -> NoReturn:
        """Say which of the marks was refused, and why."""
        asked = ((line, mark, self.opened(line)) for _, mark, line, _ in rows)
        line, mark, row = next(
            (line, mark, row)
            for line, mark, row in asked
            if mark > row.held_bytes or (mark > row.reported_bytes and not row.is_open)
        )
        if mark > row.held_bytes:
            raise PoolError(
                f"line {line}: a mark of {mark} bytes, its SIM held {row.held_bytes} in this run"
            )
        raise PoolError(
            f"line {line}: settled finally at {row.reported_bytes} bytes, now marked at {mark}"
        )

    def settle(self, line: str, used_bytes: int, final: bool) -> None:
        """Report all use of this run so far (I2, I5). See `CouponStore.settle`."""
        self.settle_all([(line, used_bytes)], final)

    def settle_all(self, used: Sequence[tuple[str, int]], final: bool) -> None:
        """Report use of many lines; those without any cost next to nothing (I2, I5)."""
        reports = _checked_reports(used)
        self.require_run()
        with self.atomic:
            if reports.keys() <= self.fresh.lines.keys():
                more, booked = self._more(self.fresh.settling(reports), reports, final)
                taken = self.fresh.use(more)
                self.fresh.report(booked)
            else:
                more, booked = self._more(self._settling(reports), reports, final)
                taken = self._use(more)
                self.db.update(sql.REPORT, booked)
            self.journal.add(journal.used_entries(self.run_id, self.journal.now_ns, taken))

    def _settling(self, reports: dict[str, int]) -> list[Row]:
        """What a settlement looks at, of each line that is reported, in the order of the reports."""
        rows = self.db.run(sql.FIND_SETTLING, texts(reports))  # which looks them up one by one
        if len(rows) < len(reports):
            known = {row[0]: row for row in rows}
            rows = [known.get(line, (line, *_NOWHERE)) for line in reports]
        return rows

    def _more(
        self, rows: list[Row], reports: dict[str, int], final: bool
    ) -> tuple[list[tuple[int, str, str, int]], list[tuple[int, int, int]]]:
        """What is to be booked as used, of (line's key, its code, contract, bytes), and `REPORT`s.

        PoolError for a report that is refused.
        """
        run_id, stays_open = self.run_id, int(not final)
        more, booked = [], []
        for row in rows:
            line, line_id, contract, its_run, is_open, held, reported, marked = row
            if its_run != run_id:
                raise _not_opened(line)
            used = reports[line]
            amount = (used if used > marked else marked) - reported
            if amount > 0:
                if not is_open:
                    raise PoolError(
                        f"line {line}: settled finally at {reported} bytes, now {used} are reported"
                    )
                if amount > held - reported:
                    raise PoolError(
                        f"line {line}: {amount} bytes more are reported,"
                        f" its SIM held {held - reported}"
                    )
                more.append((line_id, line, contract, amount))
                booked.append((reported + amount, stays_open, line_id))
            elif final and is_open:
                booked.append((reported, stays_open, line_id))
        return more, booked

    def _use(self, more: list[tuple[int, str, str, int]]) -> list[tuple[str, str, int, int]]:
        """Book so many bytes of lines as used, the oldest on each SIM first.

        `more` is of (key, line, contract, bytes); returns (contract, line, slice, bytes).
        """
        held: dict[int, list[tuple[int, int]]] = {}
        rows = self.db.run(sql.HELD_BY, keys([line[0] for line in more]))
        for line_id, slice_id, left in rows:
            if line_id in held:
                held[line_id].append((slice_id, left))
            else:
                held[line_id] = [(slice_id, left)]
        used: list[tuple[str, str, int, int]] = []
        for line_id, line, contract, amount in more:
            mine = held.get(line_id, [])
            if len(mine) == 1 and mine[0][1] >= amount:
                used.append((contract, line, mine[0][0], amount))
                continue
            mine.sort()
            taken = sqlite_run.oldest(self.db.where, line_id, mine, amount)
            used += [(contract, line, slice_id, size) for slice_id, size in taken]
        self.db.update(sql.USE, [(size, slice_id) for _, _, slice_id, size in used])
        return used

    def remove_line(self, line: str, at_ns: int) -> int:
        """Remove a line for good (L4); its bytes that are gone. See `CouponStore.remove_line`."""
        checked_text("line", line)
        at_ns = checked_time("at_ns", at_ns)
        with self.atomic:
            row = self.known_line(line)
            if row.removed_ns is not None:
                return 0
            if row.is_open and row.run_id == self.run_id:
                raise PoolError(f"line {line}: open in this run; settle it finally first")
            self._check_opening(row)
            self._take_over([row])
            row = self.known_line(line)
            self._remove(row, at_ns)
        return row.on_sim_bytes

    def _remove(self, row: LineRow, at_ns: int) -> None:
        """Book what the SIM holds as used by removal, and the removal itself."""
        for slice_id, taken in sqlite_run.held(self.db, row.line_id, row.on_sim_bytes):
            self.db.run(sql.USE, taken, slice_id)
            self.journal.write(
                journal.REMOVE, row.contract, taken, at_ns, line=row.code, slice_id=slice_id
            )
        self.db.run(sql.REMOVE_LINE, at_ns, row.line_id)
        self.journal.write(journal.REMOVE, row.contract, 0, at_ns, line=row.code)

    def known_line(self, line: str) -> LineRow:
        """The line's row, whoever opened it last; PoolError if there is none."""
        rows = self.db.run(sql.FIND_LINE, line)
        if not rows:
            raise PoolError(f"line {line}: the coupon database does not know it; open it first")
        return LineRow(*rows[0])


def _not_opened(line: str) -> PoolError:
    return PoolError(f"line {line}: not opened in this run; call open_line first")


def _checked_reports(used: Sequence[tuple[str, int]]) -> dict[str, int]:
    """The most that is reported of each line; PoolError for a name or a figure that cannot be."""
    reports = dict(used)
    if (
        len(reports) == len(used)
        and are_plain([*reports])
        and are_within([*reports.values()], 0, BYTES_MAX)
    ):
        return reports
    reports = {}
    for line, amount in used:
        code = checked_text("line", line)
        amount = checked_bytes(f"line {code}: use of", amount)
        reports[code] = max(amount, reports.get(code, 0))
    return reports
