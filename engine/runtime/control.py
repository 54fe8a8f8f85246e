"""The verbs of an engine, by call or by scheduled event, and its time; see `engine.runtime.engine`."""

from collections.abc import Iterable
from typing import Any

import numpy as np
import numpy.typing as npt

from engine.accounting.sims import SimTable
from engine.calendar import month_of
from engine.config import Exempt, Settings
from engine.errors import UsageError
from engine.layout import (
    CONTROL_NOW_NS,
    SIM_ATTACHED,
    SIM_COUPON_ON,
    SIM_DETACHED,
    SIM_IN_SERVICE,
)
from engine.pool.store import LineNews
from engine.runtime import events
from engine.runtime.bookkeeper import Bookkeeper
from engine.runtime.coupons import NEVER_NS, Calendar
from engine.runtime.lines import Binding, LineBook, LineState
from engine.runtime.months import Months
from engine.runtime.population import Population
from engine.runtime.quota import Quota
from engine.runtime.sessions import Sessions, check_binding
from engine.runtime.shards import Shards
from engine.runtime.usage import UsageDays
from engine.shaper.exempt import ExemptTable, RatingGroups
from engine.subscribers import Book, Event, Line, actions
from engine.subscribers.effects import LineResumed
from engine.wire.addresses import parse_prefix

Rows = npt.NDArray[Any]


class Control:
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
        """The engine's time: the latest packet's or call's; 0 before the first."""
        return int(self.control[CONTROL_NOW_NS])

    @property
    def coupon_ns(self) -> int:
        """The coupon calendar's time, ns."""
        return self.calendar.coupon_ns(self.now_ns)

    def flush(self) -> None:
        """Make all that was handed out and used so far durable in the coupon database."""
        self.quota.flush()

    def _flush(self) -> None:
        """The same at the end of a verb; within a batch, the batch's end sees to it."""
        if not self.in_batch:
            self.flush()

    # --- who may attach ---------------------------------------------------------------------------

    def load(self, book: Book, at_ns: int) -> None:
        """Enter the contracts and lines of a subscriber file; their coupons are credited as of `at_ns`."""
        self._advance(at_ns)
        self.population.load(book, self.now_ns, self.coupon_ns)
        self.quota.expire(self.coupon_ns)
        self._flush()

    # --- control ----------------------------------------------------------------------------------

    def attach(
        self,
        *,
        at_ns: int,
        imsi: str | None = None,
        iccid: str | None = None,
        msisdn: str | None = None,
        contract: str | None = None,
        plan: str | None = None,
        teid_up: int | None = None,
        teid_down: int | None = None,
        address: str | None = None,
        gateway: str | None = None,
    ) -> None:
        """Open a session of a SIM; it replaces an open one (N6).

        The SIM is known from a subscriber file, or from the contract book in the coupon database, or new:
        then it joins `contract`, or a contract of its own with `plan` (default: the default plan).
        `address` is an IPv4 or IPv6 address or an IPv6 /64; `gateway` the outer address to which
        `teid_up` belongs. Raises UsageError; RefusedError where the book does not let the line attach.
        """
        self._advance(at_ns)
        name = iccid or imsi
        if name is None:
            raise UsageError("attach: give the SIM's imsi or iccid")
        given: Binding = ((address,) if address else (), (teid_up, teid_down), gateway)
        check_binding(given)
        self.book.refuse_replaced(iccid)
        line = self.book.known(iccid) or self.book.known(imsi)
        if line is None:
            names = (("iccid", iccid), ("imsi", imsi), ("msisdn", msisdn))
            line = self._admitted(names, ":" in (address or ""))
        if line is None:
            code, plan = contract or name, plan or self.settings.default_plan
            owner = self.book.contracts.get(code) or self.population.add_contract(
                code, plan, None, self.now_ns, self.coupon_ns
            )
            line = self.population.add_line(
                owner, Line(code=name, imsi=imsi, iccid=iccid, msisdn=msisdn)
            )
            self.population.enter()
        self._check_in_service(line)
        line.bound = self.sessions.rebind(line.row, line.bound, given)
        line.address = address or line.address
        self.open_session(line.code, at_ns=at_ns)

    def _admitted(self, names: tuple[tuple[str, str | None], ...], ipv6: bool) -> LineState | None:
        """The line with one of these (kind, name) in the database's contract book; loads its account."""
        found = self.bookkeeper.admit(names, ipv6, self.coupon_ns)
        if found is None:
            return None
        account, line = found
        new = tuple(c for c in account.contracts if c.code not in self.book.contracts)
        self.population.load(Book(new), self.now_ns, self.coupon_ns)
        return self.book.find(line)

    def _check_in_service(self, line: LineState) -> None:
        if not int(self.sims.rows[line.row]["flags"]) & SIM_IN_SERVICE:
            raise UsageError(f"attach: line {line.code} is suspended; resume it first (L1)")

    def open_session(self, line: str, *, at_ns: int) -> None:
        """Open the session of the line with this code, ICCID or IMSI, as its addresses and TEIDs stand."""
        self._advance(at_ns)
        state = self.book.find(line)
        self._check_in_service(state)
        self.quota.attach(state, self.coupon_ns)
        self._flush()

    def detach(self, line: str, *, at_ns: int) -> None:
        """Close the session of the line with this code, ICCID or IMSI; its packets are dropped then.

        Its use is settled, so that another gateway may have the line.
        """
        self._advance(at_ns)
        state = self.book.find(line)
        self._set_flags(state, SIM_DETACHED, SIM_ATTACHED)
        self.quota.close_line(state, self.now_ns)
        self._flush()

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
        self._flush()

    def suspend(self, line: str, *, at_ns: int) -> None:
        """Suspend the line with this code, ICCID or IMSI; its session is cut at once (L1).

        RefusedError where the contract book in the database does not allow it; likewise for `resume`
        and `replace_sim`.
        """
        self._advance(at_ns)
        state = self.book.find(line)
        self.bookkeeper.enter(actions.Suspend(state.code), self.coupon_ns)
        self._set_flags(state, 0, SIM_IN_SERVICE | SIM_ATTACHED)
        self.quota.close_line(state, self.now_ns)
        self.quota.note(state, LineNews(self.now_ns, in_service=False))
        self._flush()

    def resume(self, line: str, *, at_ns: int) -> None:
        """Take a suspended line back into service; its next packet opens a session (L1)."""
        self._advance(at_ns)
        state = self.book.find(line)
        if self.population.is_over(state):
            raise UsageError(f"resume: line {state.code} or its contract has ended (A4)")
        self.bookkeeper.enter(actions.Resume(state.code), self.coupon_ns)
        self._put_in_service(state)
        self._flush()

    def _put_in_service(self, line: LineState) -> None:
        self._set_flags(line, SIM_IN_SERVICE, 0)
        self.quota.note(line, LineNews(self.now_ns, in_service=True))

    def replace_sim(self, line: str, *, iccid: str, at_ns: int) -> None:
        """Put the line with this code, ICCID or IMSI on a new card (L2).

        Number, balance and counters stay; the old card's session ends and the card stays refused. The next
        packet opens a session of the new one. A line that was lost is in service again with it (L3).
        """
        self._advance(at_ns)
        state = self.book.find(line)
        self.book.check_card(state, iccid)
        followed = self.bookkeeper.enter(actions.ReplaceSim(state.code, iccid), self.coupon_ns)
        self.book.replace_card(state, iccid)
        self._set_flags(state, 0, SIM_ATTACHED)
        self.quota.close_line(state, self.now_ns)
        if any(isinstance(effect, LineResumed) for effect in followed):  # it was lost
            self._put_in_service(state)
        self._flush()

    def charge(self, contract: str, *, coupons: int, at_ns: int) -> None:
        """Buy additional coupons of 100 MB for a contract (C3, C4); RefusedError beyond 30 a month."""
        self._advance(at_ns)
        self.quota.buy(self.book.contract(contract), coupons, self.calendar.coupon_ns(at_ns))
        self._flush()

    def set_exempt(self, exempt: Exempt, *, at_ns: int) -> None:
        """From now on this is the list of exempt endpoints (X2), with its settings and rating groups.

        No packet is lost over it. Counters stay; a fragment whose first one came before inherits what that
        one was (X4). ConfigError, and no change, where a prefix cannot be.
        """
        self._advance(at_ns)
        self._take_exempt(exempt)

    def _take_exempt(self, exempt: Exempt) -> None:
        self.exempt = ExemptTable(exempt, parse_prefix, self.groups)
        for shard in self.shards.all:
            shard.set_exempt(exempt, self.groups)

    def _set_flags(self, line: LineState, set_: int, clear: int) -> int:
        """Change a row's flags; returns what they were."""
        row = self.sims.rows[line.row]
        before = int(row["flags"])
        row["flags"] = before & ~clear | set_
        return before

    def hear(self) -> None:
        """Take in what others did to the coupon database since: charges, switches, suspensions.

        Called before every batch; a gateway without traffic calls it now and then.
        """
        for line in self.population.hear(self.quota.notices()):
            self._set_flags(line, 0, SIM_ATTACHED)
            self.quota.close_line(line, self.now_ns)

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
