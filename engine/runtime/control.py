"""The verbs of an engine, by call or by scheduled event, and its time; see `engine.runtime.engine`."""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from engine.accounting.sims import SimTable
from engine.calendar import month_of
from engine.config import Exempt, Settings
from engine.errors import UsageError
from engine.layout import SIM_ATTACHED, SIM_COUPON_ON, SIM_IN_SERVICE
from engine.pool.store import LineNews
from engine.runtime import events
from engine.runtime.access import Access
from engine.runtime.bookkeeper import Bookkeeper
from engine.runtime.coupons import NEVER_NS, Calendar
from engine.runtime.lines import LineBook, LineState
from engine.runtime.months import Months
from engine.runtime.population import Population
from engine.runtime.quota import Quota
from engine.runtime.sessions import Sessions
from engine.runtime.shards import Shards
from engine.runtime.usage import UsageDays
from engine.shaper.exempt import ExemptTable, RatingGroups
from engine.subscribers import Book, Event, actions
from engine.subscribers.effects import LineResumed
from engine.wire.addresses import parse_prefix
from engine.words import CONTROL_NOW_NS, CONTROL_PACKETS

if TYPE_CHECKING:
    from engine.subscribers.table import SubscriberTable

Rows = npt.NDArray[Any]


class Control(Access):
    """What may be asked of an engine between packets. Times of calls never take the engine's time back."""

    settings: Settings
    control: Rows
    sims: SimTable
    book: LineBook
    sessions: Sessions
    quota: Quota
    calendar: Calendar
    population: Population
    usage: UsageDays
    months: Months
    bookkeeper: Bookkeeper
    shards: Shards
    groups: RatingGroups
    exempt: ExemptTable
    scheduled: list[Event]
    refusals: list[str]
    in_batch: bool

    @property
    def now_ns(self) -> int:
        return int(self.control[CONTROL_NOW_NS])

    @property
    def coupon_ns(self) -> int:
        return self.calendar.coupon_ns(self.now_ns)

    # --- who may attach ---------------------------------------------------------------------------

    def load(self, book: "Book | SubscriberTable", at_ns: int) -> None:
        """Enter the contracts and lines of a subscriber file; their coupons are credited as of `at_ns`.

        Those of a table sleep until something names them; it is given to an engine that knows nobody yet
        (else UsageError).
        """
        self._advance(at_ns)
        if not isinstance(book, Book):
            self._lay_down(book)
            return
        self.population.load(book, self.now_ns, self.coupon_ns)
        self.quota.expire(self.coupon_ns)
        self._flush()

    def _lay_down(self, table: "SubscriberTable") -> None:
        from engine.runtime.sleepers import (
            Sleepers,
        )  # its kernels are compiled only where there are any

        known = self.book.lines or self.book.contracts or self.population.sleepers is not None
        if known or self.control[CONTROL_PACKETS]:
            raise UsageError(
                f"{table.path}: a subscriber table is loaded before anything else, and alone; "
                "pack all contracts into one"
            )
        began = self.now_ns, self.coupon_ns
        parts = self.population, self.sessions, self.quota, self.months
        self.population.sleepers = Sleepers(table, *parts, began)

    # --- control ----------------------------------------------------------------------------------

    def switch_coupon(self, line: str, *, on: bool, at_ns: int) -> None:
        """Turn the coupon of the line with this code, ICCID or IMSI on or off, at once (P3)."""
        self._advance(at_ns)
        state = self.book.find(line)
        was_on = bool(self._set_flags(state, SIM_COUPON_ON * on, SIM_COUPON_ON) & SIM_COUPON_ON)
        self.quota.wake(state.contract)
        if was_on != on:
            self.quota.note(state, LineNews(self.now_ns, coupon_on=on))
        if was_on and not on:
            self.quota.show(state, self.now_ns)
        self._tell("switch-on" if on else "switch-off", state.code)
        self._flush()

    def suspend(self, line: str, *, at_ns: int) -> None:
        """Suspend the line with this code, ICCID or IMSI; its session is cut at once (L1).

        RefusedError where the contract book in the database does not allow it; likewise for `resume`
        and `replace_sim`.
        """
        self._advance(at_ns)
        state = self.book.find(line)
        self.bookkeeper.enter(actions.Suspend(state.code), self.coupon_ns)
        self._cut(state, SIM_IN_SERVICE | SIM_ATTACHED)
        self.quota.note(state, LineNews(self.now_ns, in_service=False))
        self._tell("suspend", state.code)
        self._flush()

    def _cut(self, line: LineState, clear: int = SIM_ATTACHED) -> None:
        """Close a session that was not asked to be closed by its SIM."""
        self._set_flags(line, 0, clear)
        self.quota.cut[line.code] = None
        self._tell("cut", line.code)
        self.quota.close_line(line, self.now_ns)

    def resume(self, line: str, *, at_ns: int) -> None:
        """Take a suspended line back into service; its next packet opens a session (L1)."""
        self._advance(at_ns)
        state = self.book.find(line)
        if self.population.is_over(state):
            raise UsageError(f"resume: line {state.code} or its contract has ended (A4)")
        self.bookkeeper.enter(actions.Resume(state.code), self.coupon_ns)
        self._put_in_service(state)
        self._tell("resume", state.code)
        self._flush()

    def _put_in_service(self, line: LineState) -> None:
        self._set_flags(line, SIM_IN_SERVICE, 0)
        self.quota.note(line, LineNews(self.now_ns, in_service=True))

    def replace_sim(self, line: str, *, iccid: str, imsi: str | None = None, at_ns: int) -> None:
        """Put the line with this code, ICCID or IMSI on a new card (L2); `imsi`: where it has another one.

        Number, balance and counters stay; the old card's session ends and the card stays refused. The next
        packet opens a session of the new one. A line that was lost is in service again with it (L3).
        """
        self._advance(at_ns)
        state = self.book.find(line)
        self.book.check_card(state, iccid, imsi)
        action = actions.ReplaceSim(state.code, iccid, imsi=imsi)
        followed = self.bookkeeper.enter(action, self.coupon_ns)
        self.book.replace_card(state, iccid, imsi)
        self._cut(state)
        if any(isinstance(effect, LineResumed) for effect in followed):  # it was lost
            self._put_in_service(state)
        self._tell("replace-sim", state.code)
        self._flush()

    def charge(self, contract: str, *, coupons: int, at_ns: int) -> None:
        """Buy additional coupons of 100 MB for a contract (C3, C4); RefusedError beyond 30 a month."""
        self._advance(at_ns)
        self.quota.buy(self.book.contract(contract), coupons, self.calendar.coupon_ns(at_ns))
        self._tell("charge", contract)
        self._flush()

    def set_exempt(self, exempt: Exempt, *, at_ns: int) -> None:
        """From now on this is the list of exempt endpoints (X2), with its settings and rating groups.

        No packet is lost over it. Counters stay; a fragment whose first one came before inherits what that
        one was (X4). ConfigError, and no change, where a prefix cannot be.
        """
        self._advance(at_ns)
        self._take_exempt(exempt)

    def _take_exempt(self, exempt: Exempt) -> None:
        self.exempt = ExemptTable(exempt, parse_prefix, self.groups, self.sessions.prefixes)
        for shard in self.shards.all:
            shard.set_exempt(exempt, self.groups)

    def hear(self) -> None:
        """Take in what others did to the coupon database since: charges, switches, suspensions.

        Called before every batch; a gateway without traffic calls it now and then.
        """
        for line in self.population.hear(self.quota.notices()):
            self._cut(line)

    # --- time -------------------------------------------------------------------------------------

    def schedule(self, scheduled: Iterable[Event], *, known: bool = True) -> None:
        """Have events applied when packet time reaches theirs: before the first packet at or after it.

        Raises UsageError for a line or a contract that is not known; where lines are still to be found
        (`known` False), such an event is refused when its time comes.
        """
        scheduled = list(scheduled)
        for event in scheduled if known else ():
            events.check(self, event)
        self.scheduled = sorted([*self.scheduled, *scheduled], key=lambda e: e.at_ns)

    @property
    def pending_events(self) -> int:
        """Scheduled events whose time no packet has reached."""
        return len(self.scheduled)

    def _advance(self, at_ns: int) -> None:
        """Let the engine's time reach `at_ns`, month ends on the way included; it never goes back."""
        if not isinstance(at_ns, int | np.integer) or not 0 <= at_ns < NEVER_NS:
            raise UsageError(f"at_ns: {at_ns!r}; allowed: ns since 1970, 0 .. {NEVER_NS - 1}")
        self.calendar.start(at_ns)
        while self.calendar.next_month_ns() <= at_ns:
            self._pass_month(self.now_ns, at_ns)
        self.control[CONTROL_NOW_NS] = max(self.now_ns, at_ns)

    def _pass_month(self, before_ns: int, after_ns: int) -> None:
        month_start_ns = self.calendar.coupon_ns(self.calendar.next_month_ns())
        if not self.calendar.pass_month(before_ns, after_ns):
            return
        self.months.turn(month_of(month_start_ns), self.now_ns)
