"""What customers see, on PostgreSQL: state of lines, usage by day, and what others changed meanwhile."""

import json
from collections.abc import Sequence
from operator import index

from engine import clock
from engine.errors import PoolError
from engine.pool import postgres_state_statements as sql
from engine.pool.bounds import checked_bytes, checked_text, checked_time
from engine.pool.postgres_coupons import Coupons
from engine.pool.postgres_lines import Lines
from engine.pool.postgres_session import LINES_AT_ONCE
from engine.pool.store import USAGE_DAYS_KEPT, DayUsage, LineBalance, LineNews, Notice, UsageRow
from engine.units import NS_PER_S

_DAY_LIMIT = 1 << 20
"""JST days; far beyond what 64 bits of ns hold"""
_ALL_EVERY_NS = NS_PER_S
"""ns between two looks at everything, where the server cannot tell what happened"""
_NEWS = {
    "coupon off": {"coupon_on": False},
    "coupon on": {"coupon_on": True},
    "suspended": {"in_service": False},
    "in service": {"in_service": True},
}


class States(Coupons, Lines):
    """The part of the store that customers' questions are answered from."""

    _looked_ns = 0

    def note(self, line: str, news: LineNews) -> None:
        """Keep a line's state (Q4, L5). See `CouponStore.note`."""
        self.note_all([(line, news)])

    def note_all(self, news: Sequence[tuple[str, LineNews]]) -> None:
        """Keep the state of many lines; the journal has, and others hear, what is other than before."""
        for line, said in news:
            checked_text("line", line)
            checked_time("at_ns", said.at_ns)
            checked_bytes(f"line {line}: shown balance of", said.shown_bytes or 0)
        rounds = _rounds(news)
        if rounds:
            self.call(lambda again: self._note_all(rounds))

    def _note_all(self, rounds: list[dict[str, LineNews]]) -> None:
        with self.db.transaction():
            self.prove()
            for lines in rounds:
                self._hold_lines(list(lines))
            for lines in rounds:
                entries = self.db.run(sql.NOTE, _note_columns(lines) | {"run": self.run_id})
                names = ("contract", "line", "at_ns", "detail")
                self.tell([{"kind": "state", **dict(zip(names, e, strict=True))} for e in entries])

    def _hold_lines(self, lines: list[str]) -> None:
        """Hold the lines' rows; PoolError for one that is not known or was removed."""
        found: dict[str, int | None] = dict(self.db.run(sql.STATE_LINES, {"lines": lines}))
        for line in lines:
            if line not in found:
                raise PoolError(f"line {line}: the coupon database does not know it; open it first")
            if found[line] is not None:
                raise PoolError(f"line {line}: was removed for good (L4)")

    def report_usage(self, rows: Sequence[UsageRow], at_ns: int) -> None:
        """Usage of lines by JST day (Q3). See `CouponStore.report_usage`."""
        at_ns = checked_time("at_ns", at_ns)
        days: dict[tuple[str, int], tuple[int, ...]] = {}
        for line, day, *amounts in rows:
            checked_text("line", line)
            days[line, _checked_day(f"line {line}", day)] = tuple(
                checked_bytes(f"line {line}: usage of", amount) for amount in amounts
            )
        self.require_run()
        if days:
            self.call(lambda again: self._report_usage(days, at_ns))

    def _report_usage(self, days: dict[tuple[str, int], tuple[int, ...]], at_ns: int) -> None:
        with self.db.transaction():
            self.prove()
            rows = list(days.items())
            for start in range(0, len(rows), LINES_AT_ONCE):
                some = rows[start : start + LINES_AT_ONCE]
                lines = list(dict.fromkeys(line for (line, _), _ in some))
                self._hold_lines(lines)
                said: dict[str, object] = {
                    "lines": [line for (line, _), _ in some],
                    "days": [day for (_, day), _ in some],
                    "with_coupon": [amounts[0] for _, amounts in some],
                    "without": [amounts[1] for _, amounts in some],
                    "exempt": [amounts[2] for _, amounts in some],
                    "restricting": [amounts[3] for _, amounts in some],
                    "at_ns": at_ns,
                    "run": self.run_id,
                }
                self.db.run(sql.REPORT_USAGE, said)
                self.db.run(sql.FORGET_DAYS, {"lines": lines, "kept": USAGE_DAYS_KEPT})

    def usage(self, line: str, first_day: int) -> list[DayUsage]:
        """The line's days with use from `first_day` on (Q3)."""
        said = {
            "line": checked_text("line", line),
            "first_day": _checked_day(f"line {line}", first_day),
        }
        return [DayUsage(*row) for row in self.read(lambda again: self.db.run(sql.USAGE, said))]

    def restricting(self, lines: Sequence[str], first_day: int) -> list[tuple[str, int, int]]:
        """What counts towards R1, as other runs reported it. See `CouponStore.restricting`."""
        said: dict[str, object] = {
            "lines": [checked_text("line", line) for line in lines],
            "first_day": _checked_day("lines", first_day),
            "run": self.run_id,
        }
        rows = self.read(lambda again: self.db.run(sql.RESTRICTING, said, patient=True))
        return [(code, day, counted) for code, day, counted in rows]

    def lines(self, contract: str | None = None) -> list[LineBalance]:
        """The lines of a contract, or all of them, in the order of the codes (Q2, Q4, L5)."""
        said = {"contract": None if contract is None else checked_text("contract", contract)}
        rows = self.read(lambda again: self.db.run(sql.LINES, said, patient=True))
        return [LineBalance._make([*row[:7], *map(_said, row[7:10]), row[10]]) for row in rows]

    def notices(self) -> list[Notice]:
        """What others did since the last call, oldest first. See `CouponStore.notices`."""
        told = self.read(lambda again: self.db.hear())
        now_ns = clock.lease_ns()
        if not self.listening and now_ns - self._looked_ns >= _ALL_EVERY_NS:
            self._looked_ns = now_ns
            self.all_news = True
        if self.all_news:
            # What was told while the connection was lost is lost: everything may have changed.
            self.all_news = False
            return [Notice("all")]
        return [_notice(json.loads(text)) for text in told]


def _checked_day(what: str, day: int) -> int:
    """A JST day as a plain int; PoolError for one that no time has."""
    number = index(day)
    if not -_DAY_LIMIT < number < _DAY_LIMIT:
        raise PoolError(f"{what}: day {number} is none")
    return number


def _notice(said: dict[str, object]) -> Notice:
    """The notice in a message of another gateway."""
    if said["kind"] == "all":
        return Notice("all")
    contract = str(said["contract"])
    if said["kind"] == "credit":
        return Notice("credit", contract=contract)
    news = LineNews(int(str(said["at_ns"])), **_NEWS[str(said["detail"])])
    return Notice("state", contract=contract, line=str(said["line"]), news=news)


def _rounds(news: Sequence[tuple[str, LineNews]]) -> list[dict[str, LineNews]]:
    """The news in their order, cut so that a statement has each line once."""
    rounds: list[dict[str, LineNews]] = []
    for line, said in news:
        if not rounds or line in rounds[-1] or len(rounds[-1]) >= LINES_AT_ONCE:
            rounds.append({})
        rounds[-1][line] = said
    return rounds


def _note_columns(lines: dict[str, LineNews]) -> dict[str, object]:
    """One array for each column of the statement."""
    return {
        "lines": list(lines),
        "at_ns": [index(said.at_ns) for said in lines.values()],
        "coupon_on": [_flag(said.coupon_on) for said in lines.values()],
        "in_service": [_flag(said.in_service) for said in lines.values()],
        "regulated": [_flag(said.regulated) for said in lines.values()],
        "shown": [None if s.shown_bytes is None else index(s.shown_bytes) for s in lines.values()],
    }


def _said(flag: int | None) -> bool | None:
    return None if flag is None else bool(flag)


def _flag(value: bool | None) -> int | None:
    return None if value is None else int(value)
