"""Contracts and lines as the engine has them: rows, session tables and entries of the coupon database."""

from typing import Any

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
from engine.runtime.coupons import opening_credits
from engine.runtime.lines import Binding, ContractState, LineBook, LineState, binding_of
from engine.runtime.quota import Quota
from engine.runtime.sessions import Sessions
from engine.runtime.shards import Shards
from engine.shaper.speeds import rate_table
from engine.subscribers import Book, Contract, Line
from engine.wire.addresses import format_address

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
        self._credits: list[Credit] = []
        self._fresh: list[tuple[LineState, int]] = []
        self.rates = rate_table(settings)
        self._sims, self._shards, self._sessions, self._quota = sims, shards, sessions, quota
        self._profiles = {plan.name: at * RATE_STATES * 2 for at, plan in enumerate(settings.plans)}

    def load(self, book: Book, now_ns: int, coupon_ns: int) -> None:
        """Enter a subscriber file; `coupon_ns` is the coupon calendar's time."""
        for given in book.contracts:
            contract = self.add_contract(given.code, given.plan, given, now_ns, coupon_ns)
            for line in given.lines:
                self._fresh.append((self._place(contract, line), line.balance_bytes))
        lines = [line for line, _ in self._fresh]
        known = self._known(lines)
        self._credit()
        balances = {balance.code: balance.balance_bytes for balance in known}
        self._quota.enter_lines(lines, [initial for _, initial in self._fresh], balances)
        self._fresh.clear()
        self._take_known(lines, known)
        self._quota.take_in([line for line in lines if line.code in balances])

    def enter(self) -> None:
        """Have the database know the contracts and lines that were added since; opens the lines."""
        self._credit()
        if not self._fresh:
            return
        lines = [line for line, _ in self._fresh]
        self._quota.open_lines(lines, [initial for _, initial in self._fresh])
        self._fresh.clear()
        self._take_known(lines, self._known(lines))
        self._quota.take_in(lines)

    def _credit(self) -> None:
        self._quota.credit(self._credits)
        self._credits.clear()

    def add_contract(
        self, code: str, plan: str, given: Contract | None, now_ns: int, coupon_ns: int
    ) -> ContractState:
        """A contract and the coupons that it has at `coupon_ns`, to be entered; UsageError for an
        unknown plan."""
        if code in self.book.contracts:
            raise UsageError(f"contract {code} is there already")
        if plan not in self._profiles:
            raise UsageError(f"contract {code}: no plan is called {plan!r}")
        number = len(self.book.contracts)
        state = ContractState(
            code=code,
            plan="",
            profile=0,
            shard=number % len(self._shards.all),
            bundle_bytes=0,
            started_month=month_number(given.started) if given else month_of(now_ns),
        )
        self.set_plan(state, plan)
        self.book.contracts[code] = state
        if given is not None:
            self.given[code] = given
            state.ipv6 = given.has_ipv6
            state.ends_month = _month(given.ends)
            if given.next_plan is not None:
                state.next_plan = parse_month(given.next_plan.since), given.next_plan.plan
        state.month = month_of(coupon_ns)
        if not _over(state.ends_month, state.month):
            self._credits += opening_credits(state, given, coupon_ns)
        return state

    def set_plan(self, contract: ContractState, plan: str) -> None:
        """The contract has this plan from now on; the SIM rows of its lines are the caller's."""
        contract.plan = plan
        contract.profile = self._profiles[plan]
        contract.bundle_bytes = self.settings.plan(plan).bundle_bytes

    def add_line(self, contract: ContractState, line: Line) -> LineState:
        """A line of a contract, to be entered."""
        state = self._place(contract, line)
        self._fresh.append((state, line.balance_bytes))
        return state

    def _place(self, contract: ContractState, line: Line) -> LineState:
        flags = SIM_COUPON_ON * line.coupon | SIM_IN_SERVICE * line.in_service
        flags |= SIM_EMPTY * contract.empty
        month = contract.month
        if _over(contract.ends_month, month) or _over(_month(line.ends), month):
            flags &= ~SIM_IN_SERVICE
        base = contract.profile
        burst = int(self.rates[base]["cap_credit"]), int(self.rates[base + 1]["cap_credit"])
        state = LineState(
            row=self._sims.count,
            code=line.code,
            contract=contract,
            iccid=line.iccid,
            imsi=line.imsi,
            msisdn=line.msisdn,
            address=line.addresses[0] if line.addresses else None,
            fixed=line.addresses,
            ends_month=_month(line.ends),
        )
        self.book.add(state)
        self._sims.add(base, flags, 0, burst)
        self._shards.place(state.row, contract.shard)
        state.bound = binding_of(
            line.addresses, teid_up=line.teid_up, gateway=line.gateway, teid_down=line.teid_down
        )
        self._sessions.bind_line(state.row, state.bound)
        return state

    def add_subscriber(self, packet: Any, direction: int, now_ns: int, coupon_ns: int) -> None:
        """The first packet of a `--ue-net` address: it becomes a SIM of the default plan, to be entered.

        Where it is one that a session had in the meantime, the SIM of before has it back.
        """
        end = "src" if direction == UPLINK else "dst"
        hi, lo = int(packet[f"{end}_hi"]), int(packet[f"{end}_lo"])
        address = format_address(hi, lo)
        line = self.book.known(address)
        if line is None:
            plan = self.settings.default_plan
            contract = self.add_contract(address, plan, None, now_ns, coupon_ns)
            line = self.add_line(contract, Line(code=address))
            line.address = address
            line.bound = Binding((address,))
        self._sessions.bind_halves(hi, lo, line.row, ADDRESS_HOST)

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
            line = self.book.known(notice.line)
            code = notice.contract if line is None else line.contract.code
            if code in self.book.contracts:
                self._quota.wake(self.book.contracts[code])
            if line is not None and notice.news is not None:
                self._take(line, notice.news)
                if notice.news.in_service is False:
                    cut.append(line)
        return cut
