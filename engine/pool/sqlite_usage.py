"""What customers see, on SQLite: state of lines, usage by day, and what others changed meanwhile."""

from collections.abc import Iterable, Sequence
from operator import index
from typing import NamedTuple

from engine.errors import PoolError
from engine.pool import sqlite_journal as journal
from engine.pool import sqlite_statements as sql
from engine.pool.bounds import checked_bytes, checked_text, checked_time
from engine.pool.sqlite import Row, texts
from engine.pool.sqlite_lines import Lines
from engine.pool.store import USAGE_DAYS_KEPT, DayUsage, LineBalance, LineNews, Notice, UsageRow

_DAY_LIMIT = 1 << 20
"""JST days; far beyond what 64 bits of ns hold"""


class _StateRow(NamedTuple):
    """A line and what was last said of it."""

    line_id: int
    contract: str
    coupon_on: int | None
    in_service: int | None


class States(Lines):
    """The part of the store that customers' questions are answered from."""

    def note(self, line: str, news: LineNews) -> None:
        """Keep a line's state (Q4, L5). See `CouponStore.note`."""
        self.note_all([(line, news)])

    def note_all(self, news: Sequence[tuple[str, LineNews]]) -> None:
        """Keep the state of many lines; the journal has what is other than before."""
        for line, said in news:
            checked_text("line", line)
            checked_time("at_ns", said.at_ns)
            checked_bytes(f"line {line}: shown balance of", said.shown_bytes or 0)
        with self.atomic:
            known = self._states(line for line, _ in news)
            rows, entries = [], []
            for line, said in news:
                row = known[line]
                shown_ns = None if said.shown_bytes is None else index(said.at_ns)
                kept = (_flag(said.coupon_on), _flag(said.in_service), _flag(said.regulated))
                shown = None if said.shown_bytes is None else index(said.shown_bytes)
                rows.append((*kept, shown, shown_ns, row.line_id))
                for detail in _changes(row, said):
                    entry = (row.contract, line, None, None, 0, index(said.at_ns), detail)
                    entries.append((self.run_id, journal.STATE, *entry))
                known[line] = _after(row, said)
            self.db.run_many(sql.NOTE, rows)
            self.journal.write_all(entries)

    def _states(self, lines: Iterable[str]) -> dict[str, _StateRow]:
        """Lines that are known and were not removed, by code; PoolError for any other."""
        codes = list(dict.fromkeys(lines))
        found = {}
        for code, removed_ns, *row in self.db.run(sql.FIND_STATES, texts(codes)):
            if removed_ns is not None:
                raise PoolError(f"line {code}: was removed for good (L4)")
            found[code] = _StateRow(*row)
        for code in codes:
            if code not in found:
                raise PoolError(f"line {code}: the coupon database does not know it; open it first")
        return found

    def report_usage(self, rows: Sequence[UsageRow], at_ns: int) -> None:
        """Usage of lines by JST day (Q3). See `CouponStore.report_usage`."""
        at_ns = checked_time("at_ns", at_ns)
        for line, day, *amounts in rows:
            checked_text("line", line)
            _checked_day(f"line {line}", day)
            for amount in amounts:
                checked_bytes(f"line {line}: usage of", amount)
        self.require_run()
        with self.atomic:
            known = self._states(row[0] for row in rows)
            stored = [
                (known[line].line_id, index(day), self.run_id, *map(index, amounts), at_ns)
                for line, day, *amounts in rows
            ]
            self.db.run_many(sql.REPORT_DAY, stored)
            lines = dict.fromkeys(row[0] for row in stored)
            self.db.run_many(sql.FORGET_DAYS, [(line_id, USAGE_DAYS_KEPT) for line_id in lines])

    def usage(self, line: str, first_day: int) -> list[DayUsage]:
        """The line's days with use from `first_day` on (Q3)."""
        rows = self.db.run(
            sql.USAGE, checked_text("line", line), _checked_day(f"line {line}", first_day)
        )
        return [DayUsage(*row) for row in rows]

    def restricting(self, lines: Sequence[str], first_day: int) -> list[tuple[str, int, int]]:
        """What counts towards R1, as other runs reported it. See `CouponStore.restricting`."""
        codes = texts(dict.fromkeys(checked_text("line", line) for line in lines))
        first = _checked_day("lines", first_day)
        sums: dict[tuple[str, int], int] = {}
        for code, day, size in self.db.run(sql.RESTRICTING, codes, first, self.run_id):
            sums[code, day] = sums.get((code, day), 0) + size
        return [(*key, size) for key, size in sorted(sums.items()) if size]

    def lines(self, contract: str | None = None) -> list[LineBalance]:
        """The lines of a contract, or all of them, in the order of the codes (Q2, Q4, L5)."""
        if contract is None:
            rows = self.db.run(sql.LINES)
        else:
            rows = self.db.run(sql.LINES_OF_CONTRACT, checked_text("contract", contract))
        return [_balance(row) for row in rows]

    def notices(self) -> list[Notice]:
        """What others did since the last call, oldest first. See `CouponStore.notices`."""
        version = self.db.value("PRAGMA data_version")
        if version != self._seen_version and not self.db.in_transaction:
            self._seen_version = version
            last_id = self.db.value(sql.LAST_ENTRY)
            if last_id > self.journal.known_id:
                self.journal.foreign.append((self.journal.known_id, last_id))
                self.journal.known_id = last_id
        spans, self.journal.foreign = self.journal.foreign, []
        return [_notice(*row) for span in spans for row in self.db.run(sql.NOTICES, *span)]


def _balance(row: Row) -> LineBalance:
    """A line as the query tells it; flags are 0, 1 or NULL there."""
    flags = [None if flag is None else bool(flag) for flag in row[7:10]]
    return LineBalance._make((*row[:7], *flags, row[10]))


def _checked_day(what: str, day: int) -> int:
    """A JST day as a plain int; PoolError for one that no time has."""
    number = index(day)
    if not -_DAY_LIMIT < number < _DAY_LIMIT:
        raise PoolError(f"{what}: day {number} is none")
    return number


def _flag(value: bool | None) -> int | None:
    return None if value is None else int(value)


def _changes(row: _StateRow, said: LineNews) -> list[str]:
    """What the journal is told of the news: what is other than it was."""
    details = []
    if said.coupon_on is not None and _flag(said.coupon_on) != row.coupon_on:
        details.append(journal.COUPON_STATES[said.coupon_on])
    if said.in_service is not None and _flag(said.in_service) != row.in_service:
        details.append(journal.SERVICE_STATES[said.in_service])
    return details


def _after(row: _StateRow, said: LineNews) -> _StateRow:
    """The state once the news are kept."""
    coupon_on = row.coupon_on if said.coupon_on is None else _flag(said.coupon_on)
    in_service = row.in_service if said.in_service is None else _flag(said.in_service)
    return row._replace(coupon_on=coupon_on, in_service=in_service)


def _notice(kind: str, contract: str, line: str | None, at_ns: int, detail: str) -> Notice:
    """The notice that an entry of the journal makes."""
    if kind == journal.CREDIT:
        return Notice("credit", contract=contract)
    if detail in journal.COUPON_STATES:
        news = LineNews(at_ns, coupon_on=bool(journal.COUPON_STATES.index(detail)))
    else:
        news = LineNews(at_ns, in_service=bool(journal.SERVICE_STATES.index(detail)))
    return Notice("state", contract=contract, line=line, news=news)
