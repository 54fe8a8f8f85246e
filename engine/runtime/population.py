"""Contracts and lines as the engine has them: rows, session tables and entries of the coupon database."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from engine.accounting.sims import SimTable
from engine.calendar import month_number, month_of, parse_month
from engine.config import Settings
from engine.errors import UsageError
from engine.layout import (
    ADDRESS_HOST,
    RATE_STATES,
    SIM_COUPON_ON,
    SIM_EMPTY,
    SIM_IN_SERVICE,
    UPLINK,
)
from engine.pool.store import Credit, LineBalance, LineNews, Notice
from engine.runtime.collector import put_off
from engine.runtime.coupons import first_bundles, opening_credits
from engine.runtime.lines import ContractState, LineBook, LineState, binding_of
from engine.runtime.newcomers import Newcomers
from engine.runtime.quota import Quota
from engine.runtime.sessions import Sessions
from engine.runtime.shards import Shards
from engine.shaper.speeds import rate_table
from engine.subscribers import Book, Contract, Line
from engine.wire.addresses import format_address
from engine.words import CONTROL_NEW_ROW, CONTROL_NEWCOMERS

if TYPE_CHECKING:
    from engine.runtime.sleepers import Sleepers

FEW_CONTRACTS = 100
"""up to so many contracts, their lines are looked up one contract at a time, not all of the database's"""


def _month(text: str | None) -> int | None:
    return None if text is None else parse_month(text)


def _over(ends_month: int | None, month: int) -> bool:
    return ends_month is not None and ends_month < month


class Population:
    """Who may attach, and where each is found. Grows only; rows are in the order of arrival.

    What is added is entered in the coupon database later, all at once: see `enter`.
    """

    def __init__(
        self, settings: Settings, sims: SimTable, shards: Shards, sessions: Sessions, quota: Quota
    ) -> None:
        self.settings = settings
        self.book = LineBook()
        self.given: dict[str, Contract] = {}
        self.sleepers: Sleepers | None = None
        """those of a subscriber table"""
        self._credits: list[Credit] = []
        self._fresh: dict[int, tuple[LineState, int]] = {}  # line, initial balance; by SIM row
        self._entering = False
        self._newcomers = Newcomers()
        self._strangers_only = True
        """whether all lines are of addresses that were seen, and nobody gave them any names"""
        self._opening: dict[int, int] = {}  # coupon calendar's time of the first packet, by SIM row
        self.opens_early = True
        """whether sessions of new subscribers open before their batch is metered, not in its midst, and
        others' that are new together, once the database is asked for something"""
        quota.before_asking = self.enter
        self.rates = rate_table(settings)
        self._sims, self._shards, self._sessions, self._quota = sims, shards, sessions, quota
        self._profiles = {plan.name: at * RATE_STATES * 2 for at, plan in enumerate(settings.plans)}

    def load(self, book: Book, now_ns: int, coupon_ns: int) -> None:
        """Enter a subscriber file; `coupon_ns` is the coupon calendar's time."""
        self.enter()
        placed = [
            (line, initial_bytes)
            for given in book.contracts
            for line, initial_bytes in self.place(given, now_ns, coupon_ns)
        ]
        self.enter_placed(placed)

    def place(self, given: Contract, now_ns: int, coupon_ns: int) -> list[tuple[LineState, int]]:
        """A contract with its lines, and the balance on each, to be entered by `enter_placed`."""
        contract = self.add_contract(given.code, given.plan, given, now_ns, coupon_ns)
        return [(self._place(contract, line), line.balance_bytes) for line in given.lines]

    def enter_placed(self, placed: list[tuple[LineState, int]]) -> None:
        """Have the database know these lines; where it outlives the run, their sessions open them."""
        lines = [line for line, _ in placed]
        known = self._known(lines)
        self._credit()
        balances = {balance.code: balance.balance_bytes for balance in known}
        self._quota.enter_lines(lines, [initial for _, initial in placed], balances)
        self._take_known(lines, known)
        self._quota.take_in([line for line in lines if line.code in balances])

    def enter(self) -> None:
        """Have the database know the contracts and lines that were added since; opens the lines.

        Those that slept are as if they never had.
        """
        woken = self.sleepers is not None and self.sleepers.woken
        if self._entering or not (
            self._newcomers.addresses or self._fresh or self._credits or woken
        ):
            return
        self._entering = True
        try:
            with put_off():
                self._enter()
        finally:
            self._entering = False

    def _enter(self) -> None:
        self._settle_in()
        self._credit()
        if self.sleepers is not None:
            self.sleepers.enter()
        if not self._fresh:
            return
        lines = [line for line, _ in self._fresh.values()]
        self._quota.open_lines(lines, [initial for _, initial in self._fresh.values()])
        self._fresh.clear()
        self._take_known(lines, self._known(lines))
        self._quota.take_in(lines)
        self._open_early(lines)

    def enter_newcomers(self) -> None:
        """The same before a piece of a batch is metered: lines that may wait for others go on waiting."""
        if self._newcomers.addresses or self.sleepers is not None or not self._may_wait:
            self.enter()

    @property
    def _may_wait(self) -> bool:
        """Whether a new line may be entered later than it comes: nobody else can ask the database for it.

        It is then entered with others that came meanwhile, with the times at which each was opened, before
        anything else is asked. A packet of it asks, too.
        """
        return self.opens_early and self._quota.may_wait

    def open(self, line: LineState, coupon_ns: int) -> None:
        """Open the session of a line that is in service; with one that waits, when it is entered."""
        if line.row in self._fresh and self._may_wait:
            self._opening.setdefault(line.row, coupon_ns)
        else:
            self._quota.attach(line, coupon_ns)

    def _open_early(self, lines: list[LineState]) -> None:
        """Open the sessions of subscribers that were just entered, as their first packets would.

        Those are in the batch that is about to be metered, which then need not stop for each of them.
        """
        opening, self._opening = self._opening, {}
        if not opening:
            return
        in_service = self._sims.rows["flags"] & np.uint16(SIM_IN_SERVICE)
        first = [line for line in lines if line.row in opening and in_service[line.row]]
        self._quota.attach_all(first, [opening[line.row] for line in first])

    def _credit(self) -> None:
        self._quota.credit(self._credits)
        self._credits.clear()

    def add_contract(
        self, code: str, plan: str, given: Contract | None, now_ns: int, coupon_ns: int
    ) -> ContractState:
        """A contract and the coupons that it has at `coupon_ns`, to be entered; UsageError for an
        unknown plan."""
        self._strangers_only = False
        self.book.check_contracts([code])
        if plan not in self._profiles:
            raise UsageError(f"contract {code}: no plan is called {plan!r}")
        shard = self._shards_of_next(1)[0]
        started = month_number(given.started) if given else month_of(now_ns)
        state = ContractState(code, shard, started, month_of(coupon_ns), *self._rating(plan))
        self.book.contracts[code] = state
        if given is not None:
            self.given[code] = given
            state.ipv6 = given.has_ipv6
            state.ends_month = _month(given.ends)
            if given.next_plan is not None:
                state.next_plan = parse_month(given.next_plan.since), given.next_plan.plan
        if not _over(state.ends_month, state.month):
            self._credits += opening_credits(state, given, coupon_ns)
        return state

    def _shards_of_next(self, count: int) -> list[int]:
        """The shards that the next contracts are in: each in turn."""
        first, shards = len(self.book.contracts), len(self._shards.all)
        return [number % shards for number in range(first, first + count)]

    def _rating(self, plan: str) -> tuple[str, int, int]:
        """A plan's name, its rates, and its bundle in bytes."""
        return plan, self._profiles[plan], self.settings.plan(plan).bundle_bytes

    def set_plan(self, contract: ContractState, plan: str) -> None:
        """The contract has this plan from now on; the SIM rows of its lines are the caller's."""
        contract.plan, contract.profile, contract.bundle_bytes = self._rating(plan)

    def add_line(self, contract: ContractState, line: Line) -> LineState:
        """A line of a contract, to be entered."""
        state = self._place(contract, line)
        self._fresh[state.row] = state, line.balance_bytes
        return state

    def _place(self, contract: ContractState, line: Line) -> LineState:
        self._settle_in()  # theirs are the next rows
        flags = SIM_COUPON_ON * line.coupon | SIM_IN_SERVICE * line.in_service
        flags |= SIM_EMPTY * contract.empty
        month = contract.month
        if _over(contract.ends_month, month) or _over(_month(line.ends), month):
            flags &= ~SIM_IN_SERVICE
        bound = binding_of(
            line.addresses, teid_up=line.teid_up, gateway=line.gateway, teid_down=line.teid_down
        )
        address = line.addresses[0] if line.addresses else None
        state = LineState(self._sims.count, line.code, contract, address, bound)
        state.iccid, state.imsi, state.msisdn = line.iccid, line.imsi, line.msisdn
        state.fixed, state.ends_month = line.addresses, _month(line.ends)
        self.book.add(state)
        self._sims.add(contract.profile, flags, 0, self._burst(contract.profile))
        self._shards.place(state.row, contract.shard)
        self._sessions.bind_line(state.row, bound)
        return state

    def _burst(self, profile: int) -> tuple[int, int]:
        """bit-ns; full buckets at high speed, up and down."""
        caps = self.rates["cap_credit"][profile:][:2]
        return int(caps[0]), int(caps[1])

    def add_subscriber(self, packet: Any, direction: int, now_ns: int, coupon_ns: int) -> None:
        """The first packet of a `--ue-net` address: it becomes a SIM of the default plan, to be entered.

        Where it is one that a session had in the meantime, the SIM of before has it back.
        """
        end = "src" if direction == UPLINK else "dst"
        hi, lo = int(packet[f"{end}_hi"]), int(packet[f"{end}_lo"])
        address = format_address(hi, lo)
        line = self.book.known(address)
        if line is not None:
            row = line.row
        elif self.book.known_contract(address) is not None:
            raise UsageError(f"contract {address} is there already")
        else:
            row = self._next_row
            opens = int(packet["code"]) == 0
            self._newcomers.add(address, now_ns, coupon_ns, opens)
        self._sessions.bind_halves(hi, lo, row, ADDRESS_HOST)

    def expect(self) -> None:
        """Before packets are resolved: the kernel gives new SIMs their rows while nobody else is there.

        Others may have names that look like an address, or may have had it.
        """
        control = self._sessions.control
        if self._strangers_only and self.sleepers is None and not self._sessions.released:
            control[CONTROL_NEWCOMERS] = 0
        else:
            control[CONTROL_NEWCOMERS] = len(self._sessions.newcomers)
        control[CONTROL_NEW_ROW] = self._next_row

    def meet(self, coupon_time: Callable[[int], int]) -> None:
        """Take in whom the kernel found; `coupon_time` makes the coupon calendar's time of the engine's."""
        count = int(self._sessions.control[CONTROL_NEW_ROW]) - self._next_row
        if count:
            self._newcomers.add_all(self._sessions.newcomers[:count], coupon_time)

    @property
    def _next_row(self) -> int:
        """SIM row of the next that is new."""
        return self._sims.count + len(self._newcomers.addresses)

    def is_fixed(self, address: str) -> bool:
        """Whether a line of the subscriber table always has this address, or /64."""
        return self.sleepers is not None and self.sleepers.line_at(address) >= 0

    def wake(self, line: int) -> None:
        """A line of the subscriber table, by number, has its first packet; to be entered."""
        assert self.sleepers is not None
        self.sleepers.wake(line)

    def _settle_in(self) -> None:
        """Give the newcomers the rows that they were promised, and lines with a contract each."""
        if not self._newcomers.addresses:
            return
        came, self._newcomers = self._newcomers, Newcomers()
        self.book.check_contracts(came.addresses)
        plan, profile, bundle_bytes = self._rating(self.settings.default_plan)
        shards = self._shards_of_next(len(came.addresses))
        contracts = came.contracts(shards, plan, profile, bundle_bytes)
        self.book.contracts |= zip(came.addresses, contracts, strict=True)
        self._credits += first_bundles(contracts)
        flags, burst = SIM_COUPON_ON | SIM_IN_SERVICE, self._burst(profile)
        first = self._sims.add_all(len(contracts), profile, flags, burst)
        self._shards.place_all(first, shards)
        lines = came.lines(contracts, first)
        self.book.add_plain(lines)
        self._fresh |= {line.row: (line, 0) for line in lines}
        if self.opens_early:
            opening = zip(
                came.opens, range(first, first + len(contracts)), came.coupon_ns, strict=True
            )
            self._opening |= {row: coupon_ns for opens, row, coupon_ns in opening if opens}

    # --- what others say --------------------------------------------------------------------------

    def _known(self, lines: list[LineState]) -> list[LineBalance]:
        """What the database knows of the contracts that these lines are of."""
        store = self._quota.store
        if not store.lasting:
            return []
        contracts = sorted({line.contract.code for line in lines})
        if len(contracts) > FEW_CONTRACTS:
            return store.lines()
        return [balance for code in contracts for balance in store.lines(code)]

    def _take_known(self, lines: list[LineState], known: list[LineBalance]) -> None:
        """A switch or a suspension outlives the run in which it was made (I8, Q4)."""
        mine = {line.code: line for line in lines}
        for balance in known:
            line = mine.get(balance.code)
            if line is not None:
                line.shown_bytes = balance.shown_bytes
                self._take(line, LineNews(0, balance.coupon_on, balance.in_service))

    @staticmethod
    def is_over(line: LineState) -> bool:
        """Nothing takes a line back into service whose last month has passed."""
        month = line.contract.month
        return _over(line.contract.ends_month, month) or _over(line.ends_month, month)

    def _take(self, line: LineState, news: LineNews) -> None:
        row: npt.NDArray[Any] = self._sims.rows[line.row]
        for flag, said in (
            (SIM_COUPON_ON, news.coupon_on),
            (SIM_IN_SERVICE, news.in_service),
        ):
            if said is not None and not (flag == SIM_IN_SERVICE and self.is_over(line)):
                row["flags"] = int(row["flags"]) & ~flag | flag * said

    def hear(self, notices: list[Notice]) -> list[LineState]:
        """Take in what others did to the database (charges, switches, suspensions).

        Returns the lines that somebody suspended: their sessions are to be cut.
        """
        cut = []
        for notice in notices:
            if notice.kind == "all":
                for contract in self.book.contracts.values():
                    self._quota.wake(contract)
                self._take_known(self.book.lines, self._known(self.book.lines))
            line = self.book.awake(notice.line)  # who sleeps learns it when waking
            code = notice.contract if line is None else line.contract.code
            if code in self.book.contracts:
                self._quota.wake(self.book.contracts[code])
            if line is not None and notice.news is not None:
                self._take(line, notice.news)
                if notice.news.in_service is False:
                    cut.append(line)
        return cut
