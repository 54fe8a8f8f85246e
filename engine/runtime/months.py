"""What falls due when a month begins: ends (A4, A5, A8), plan changes (A10), bundle coupons (C1)."""

from typing import Any

import numpy.typing as npt

from engine import calendar
from engine.accounting.sims import SimTable
from engine.layout import SIM_ATTACHED, SIM_BUCKET_SHIFT, SIM_IN_SERVICE
from engine.pool.store import Credit
from engine.runtime.coupons import bundle_credits
from engine.runtime.lines import ContractState, LineState
from engine.runtime.population import Population
from engine.runtime.quota import Quota
from engine.runtime.shards import Shards

Rows = npt.NDArray[Any]


class Months:
    """Turns an engine's contracts over into the next month, at 00:00:00.000000000 JST of its first day."""

    def __init__(
        self, population: Population, sims: SimTable, shards: Shards, quota: Quota
    ) -> None:
        self._population, self._sims, self._shards, self._quota = population, sims, shards, quota

    def turn(self, month: int, now_ns: int) -> None:
        """`month` begins; `now_ns` is the engine's time, for what is noted in the database."""
        start_ns = calendar.month_start_ns(month)
        self._quota.expire(start_ns)
        credits: list[Credit] = []
        for contract in self._population.book.contracts.values():
            credits += self.turn_contract(contract, month, now_ns)
        self._quota.credit(credits)
        if self._population.sleepers is not None:
            self._population.sleepers.pass_month(month, now_ns)

    def turn_contract(self, contract: ContractState, month: int, now_ns: int) -> list[Credit]:
        """`month` begins for a contract; the coupons that are to be credited for it."""
        contract.month = month
        if contract.ends_month is not None and contract.ends_month < month:
            self._end(contract, calendar.month_start_ns(month), now_ns)
            return []
        for line in contract.lines:
            if line.ends_month is not None and line.ends_month < month:
                self._end_line(line, now_ns)
        if contract.next_plan is not None and contract.next_plan[0] <= month:
            self._change_plan(contract, contract.next_plan[1])
        self._quota.wake(contract)
        return bundle_credits(contract, month, self._population.given.get(contract.code))

    def _end(self, contract: ContractState, start_ns: int, now_ns: int) -> None:
        """The contract is over: no bundle any more, what its coupons hold expires, no line attaches."""
        for line in contract.lines:
            self._end_line(line, now_ns)
        if contract.lines and contract.ends_month == calendar.month_of(start_ns - 1):
            self._quota.close_contract(contract, start_ns)

    def _end_line(self, line: LineState, now_ns: int) -> None:
        row = self._sims.rows[line.row]
        row["flags"] = int(row["flags"]) & ~(SIM_IN_SERVICE | SIM_ATTACHED)
        self._quota.cut[line.code] = None
        self._quota.close_line(line, now_ns)

    def _change_plan(self, contract: ContractState, plan: str) -> None:
        """Other speeds and another bundle from now on; coupons and balances stay."""
        before = contract.profile
        contract.next_plan = None
        self._population.set_plan(contract, plan)
        for line in contract.lines:
            self._change_rates(line, before, contract.profile)

    def _change_rates(self, line: LineState, before: int, after: int) -> None:
        """A queue empties when it would have at the rate before, so that order is kept (P3)."""
        row = self._sims.rows[line.row]
        row["profile"] = after
        bucket = 2 * (int(row["flags"]) >> SIM_BUCKET_SHIFT & 3)
        self._stretch(row["credit"], before + bucket, after + bucket)
        side = int(row["side"])
        if side:
            sides = self._shards.all[line.contract.shard].sides
            self._stretch(sides.shape[side]["exempt_credit"], before, after)

    def _stretch(self, credit: Rows, before: int, after: int) -> None:
        rates = self._population.rates
        for direction in (0, 1):
            owed = -int(credit[direction])
            if owed > 0:
                new_bps = int(rates[after + direction]["rate_bps"])
                old_bps = int(rates[before + direction]["rate_bps"])
                credit[direction] = -owed * new_bps // old_bps  # rounded down: never sooner
