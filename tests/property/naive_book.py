"""The contract book as the rules tell it, the slow way: dates, dicts and sets, a day at a time.

It shares no code with the engine. A moment is (date, ns of the day) in Japan. What is asked for returns
False where a rule refuses it, and then nothing has changed.
"""

import calendar
from dataclasses import dataclass, field
from datetime import date, timedelta

Moment = tuple[date, int]
DAY = timedelta(days=1)
EVENING_NS = 20 * 3600 * 10**9
SIMS = {"minimum-start": 1, "light-start": 1, "family-share": 3}
CONTRACTS_MAX = 3
VOICE_MAX = 2


def next_month(day: date) -> date:
    """The first of the next month."""
    return (day.replace(day=1) + 31 * DAY).replace(day=1)


def months_later(day: date, months: int) -> date:
    """The first day that is too late for something good for so many months from `day`."""
    first = day.replace(day=1)
    for _ in range(months):
        first = next_month(first)
    last = calendar.monthrange(first.year, first.month)[1]
    return first.replace(day=min(day.day, last)) + DAY


@dataclass
class Line:
    """A line; `ends`, `in_until`, `out_until` are the first day that is too late."""

    contract: str
    imsi: str | None
    msisdn: str | None
    iccid: str | None
    voice: bool
    in_until: date | None = None
    out_until: date | None = None
    ends: date | None = None
    ordered: date | None = None
    suspended: bool = False
    lost: bool = False
    removed: bool = False
    old: set[str] = field(default_factory=set)

    @property
    def state(self) -> str:
        """As the engine names it."""
        if self.removed:
            return "removed"
        if self.in_until:
            return "porting-in"
        if self.lost:
            return "lost"
        return "suspended" if self.suspended else "in-service"


@dataclass
class Contract:
    """A contract; `option` is False, True, or the day on which it ends."""

    plan: str
    started: date | None = None
    document: date | None = None
    ends: date | None = None
    ordered: date | None = None
    ended: Moment | None = None
    next_plan: tuple[str, date] | None = None
    plan_ordered: date | None = None
    option: bool | date = False
    option_ordered: date | None = None

    @property
    def state(self) -> str:
        """As the engine names it."""
        if self.ended:
            return "ended"
        if self.ends:
            return "cancelled"
        return "active" if self.started else "applied"


class Model:
    """One mioID."""

    def __init__(self, now: Moment) -> None:
        self.now = now
        self.registered = now[0]
        self.completed: date | None = None
        self.lapsed = False
        self.contracts: dict[str, Contract] = {}
        self.lines: dict[str, Line] = {}

    def live_lines(self, contract: str) -> dict[str, Line]:
        """Those of a contract that are not removed."""
        return {c: x for c, x in self.lines.items() if x.contract == contract and not x.removed}

    def live(self) -> dict[str, Contract]:
        """Contracts that have not ended."""
        return {code: one for code, one in self.contracts.items() if not one.ended}

    def roll(self, to: Moment) -> None:
        """Let time pass, midnight by midnight."""
        day = self.now[0]
        while day < to[0]:
            day += DAY
            self._midnight(day)
        self.now = to

    def _midnight(self, day: date) -> None:
        for line in self.lines.values():
            if not line.removed and line.in_until == day:
                line.removed = True
            if line.out_until == day:
                line.out_until = None
        for line in self.lines.values():
            if not line.removed and line.ends == day:
                self._end_line(line, (day, 0))
        for code, contract in self.live().items():
            if contract.option == day:
                contract.option = False
            if contract.ends == day:
                self._end(code, (day, 0))
            elif contract.next_plan and contract.next_plan[1] == day:
                contract.plan, contract.next_plan = contract.next_plan[0], None
        self._lapse(day)

    def _lapse(self, day: date) -> None:
        if self.lapsed:
            return
        if self.completed is None:
            if day == months_later(self.registered, 1):
                for code in self.live():
                    self._end(code, (day, 0))
                self.lapsed = True
        elif not self.live():
            days = [self.completed]
            for contract in self.contracts.values():
                assert contract.ended is not None
                on, ns = contract.ended
                days.append(on if ns else on - DAY)
            self.lapsed = day == months_later(max(days), 3)

    def _end(self, code: str, when: Moment) -> None:
        self.contracts[code].ended = when
        for line in self.live_lines(code).values():
            line.removed = True

    def _end_line(self, line: Line, when: Moment) -> None:
        line.removed = True
        if not self.contracts[line.contract].ended and not self.live_lines(line.contract):
            self._end(line.contract, when)

    # What can be asked for; each by its word in the book.

    def apply(self, contract: str, plan: str, completed: bool) -> bool:
        if contract in self.contracts or len(self.live()) >= CONTRACTS_MAX:
            return False
        self.contracts[contract] = Contract(plan)
        if completed and self.completed is None:
            self.completed = self.now[0]
        return True

    def complete(self) -> bool:
        if self.completed is not None or not self.live():
            return False
        self.completed = self.now[0]
        return True

    def start(self, contract: str) -> bool:
        one = self.contracts[contract]
        if one.state != "applied" or self.completed is None:
            return False
        one.started = self.now[0]
        one.document = one.document or self.now[0]
        return True

    def send_document(self, contract: str) -> bool:
        one = self.contracts[contract]
        if one.ended or one.document:
            return False
        one.document = self.now[0]
        return True

    def _end_day(self, contract: Contract) -> date:
        end = next_month(self.now[0])
        if contract.started:
            end = max(end, next_month(next_month(contract.started)))
        return end

    def cancel(self, contract: str) -> bool:
        one = self.contracts[contract]
        if one.state not in ("applied", "active"):
            return False
        one.ends, one.ordered = self._end_day(one), self.now[0]
        return True

    def cancel_line(self, line: str) -> bool:
        one = self.lines[line]
        if one.removed or one.ends or not self._another(line):
            return False
        one.ends, one.ordered = self._end_day(self.contracts[one.contract]), self.now[0]
        return True

    def _another(self, line: str) -> bool:
        """A line of the same contract goes on."""
        others = self.live_lines(self.lines[line].contract)
        return any(code != line and not one.ends for code, one in others.items())

    def remove_line(self, line: str) -> bool:
        if self.lines[line].removed or not self._another(line):
            return False
        self.lines[line].removed = True
        return True

    def add_option(self, contract: str) -> bool:
        one = self.contracts[contract]
        if one.state not in ("applied", "active") or one.option:
            return False
        one.option = True
        return True

    def cancel_option(self, contract: str) -> bool:
        one = self.contracts[contract]
        if one.ended or one.option is not True:
            return False
        one.option, one.option_ordered = next_month(self.now[0]), self.now[0]
        return True

    def take_back(self, contract: str) -> bool:
        one = self.contracts[contract]
        if one.ended:
            return False
        lines = [x for x in self.live_lines(contract).values() if self._open(x.ends)]
        option = one.option is not True and one.option and self._open(one.option)
        whole = self._open(one.ends)
        ordered = [x.ordered for x in lines]
        ordered += [one.option_ordered] * bool(option) + [one.ordered] * bool(whole)
        if not ordered:
            return False
        month = one.plan_ordered and one.plan_ordered.replace(day=1)
        if any(day and month and day.replace(day=1) == month for day in ordered):
            return False
        if one.next_plan:
            name, first = one.next_plan
            closed = [
                x for x in self.live_lines(contract).values() if x.ends and not self._open(x.ends)
            ]
            going = sum(x.ends is not None and x.ends <= first for x in closed)
            if len(self.live_lines(contract)) - going > SIMS[name]:
                return False
        for line in lines:
            line.ends = None
        if option:
            one.option = True
        if whole:
            one.ends = None
        return True

    def _open(self, ends: date | None) -> bool:
        """Reserved, and before eight in the evening of the last day."""
        return ends is not None and self.now < (ends - DAY, EVENING_NS)

    def rescind(self, contract: str) -> bool:
        one = self.contracts[contract]
        if one.ended or (one.document and self.now[0] >= one.document + 8 * DAY):
            return False
        self._end(contract, self.now)
        return True

    def change_plan(self, contract: str, plan: str) -> bool:
        one = self.contracts[contract]
        first = next_month(self.now[0])
        if one.state not in ("active", "cancelled") or plan == one.plan:
            return False
        staying = [x for x in self.live_lines(contract).values() if not x.ends or x.ends > first]
        if (one.ends and one.ends <= first) or len(staying) > SIMS[plan]:
            return False
        one.next_plan, one.plan_ordered = (plan, first), self.now[0]
        return True

    def add_line(
        self,
        contract: str,
        line: str,
        names: tuple[str | None, str | None, str | None],
        voice: bool,
        issued: date | None,
    ) -> bool:
        one = self.contracts[contract]
        plans = [one.plan] + ([one.next_plan[0]] if one.next_plan else [])
        if one.state not in ("applied", "active") or line in self.lines:
            return False
        if len(self.live_lines(contract)) >= min(SIMS[plan] for plan in plans):
            return False
        voices = sum(x.voice and not x.removed for x in self.lines.values())
        if voice and voices >= VOICE_MAX:
            return False
        if any(name in self.taken() for name in names if name):
            return False
        until = None
        if issued:
            until = issued + 15 * DAY
            if issued > self.now[0] or not names[1] or (until - self.now[0]).days < 7:
                return False
        self.lines[line] = Line(contract, *names, voice, in_until=until)
        return True

    def taken(self) -> set[str]:
        """Names of live lines, and of cards that are refused for good."""
        found: set[str] = set()
        for line in self.lines.values():
            found |= line.old
            if not line.removed:
                found |= {name for name in (line.imsi, line.msisdn, line.iccid) if name}
        return found

    def suspend(self, line: str) -> bool:
        return self._set(line, ("in-service",), suspended=True)

    def resume(self, line: str) -> bool:
        return self._set(line, ("suspended",), suspended=False)

    def report_lost(self, line: str) -> bool:
        return self._set(line, ("in-service", "suspended"), lost=True)

    def complete_port_in(self, line: str) -> bool:
        return self._set(line, ("porting-in",), in_until=None)

    def _set(self, line: str, states: tuple[str, ...], **fields: object) -> bool:
        one = self.lines[line]
        if one.state not in states:
            return False
        for name, value in fields.items():
            setattr(one, name, value)
        return True

    def _served(self, line: str) -> bool:
        return self.lines[line].state in ("in-service", "suspended", "lost")

    def replace_sim(self, line: str, iccid: str) -> bool:
        one = self.lines[line]
        if not self._served(line) or iccid in self.taken():
            return False
        one.old |= {one.iccid} if one.iccid else set()
        one.iccid = iccid
        one.suspended = one.suspended and not one.lost
        one.lost = False
        return True

    def reserve_port_out(self, line: str) -> bool:
        one = self.lines[line]
        if not self._served(line) or not one.msisdn or one.out_until:
            return False
        one.out_until = self.now[0] + 15 * DAY
        return True

    def complete_port_out(self, line: str) -> bool:
        one = self.lines[line]
        if not self._served(line) or not one.out_until:
            return False
        self._end_line(one, self.now)
        return True

    def edges(self) -> list[date]:
        """The days to come at which something ends."""
        days = {self.registered + 28 * DAY}
        for contract in self.live().values():
            days |= {day for day in (contract.ends,) if day}
            days |= {contract.document + 8 * DAY} if contract.document else set()
        for line in self.lines.values():
            days |= {day for day in (line.ends, line.in_until, line.out_until) if day}
        return sorted(day for day in days if day > self.now[0])

    def bearer(self, name: str) -> tuple[str, bool] | None:
        """The line that a card or number is of, and whether it may attach with it."""
        for code, line in self.lines.items():
            if name in line.old:
                return code, False
            if not line.removed and name in (line.imsi, line.msisdn, line.iccid):
                started = self.contracts[line.contract].started is not None
                return code, line.state == "in-service" and started
        return None
