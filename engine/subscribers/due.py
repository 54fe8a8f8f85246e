"""What falls due by itself: ends of months, plan changes, reservations, lapses; in the order of time."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import NamedTuple

from engine.config.model import Terms
from engine.subscribers import terms as periods
from engine.subscribers.account import Account, Contract, Line, OptionUse, PlanChange
from engine.subscribers.changes import (
    Effects,
    end_contract,
    end_line,
    remove_line,
    with_contract,
    with_line,
)
from engine.subscribers.effects import (
    AccountLapsed,
    OptionEnded,
    PlanChanged,
    ReservationLapsed,
)

CANCELLED = "cancelled"
NOT_PORTED = "its number did not come in time"
NOT_COMPLETED = "the application was not completed in time"


class Due(NamedTuple):
    """Something at `at_ns`; at one time the lower rank comes first, then the lower code."""

    at_ns: int
    rank: int
    code: str
    happen: Callable[[], tuple[Account, Effects]]


def dues(account: Account, terms: Terms) -> Iterator[Due]:
    """All that will happen to an account if nobody does anything."""
    if account.lapsed_ns is not None:
        return
    for contract in account.live_contracts:
        for line in contract.live_lines:
            yield from _of_line(account, contract, line)
        for option in contract.options:
            if option.cancellation is not None:
                yield _option_end(account, contract, option, option.cancellation.effective_ns)
        if contract.cancellation is not None:
            at_ns = contract.cancellation.effective_ns
            yield _contract_end(account, contract, at_ns)
        if contract.plan_change is not None:
            yield _plan_change(account, contract, contract.plan_change)
    lapse_ns = lapses_ns(account, terms)
    if lapse_ns is not None:
        yield Due(lapse_ns, 6, account.mio_id, lambda: _lapse(account, lapse_ns))


def lapses_ns(account: Account, terms: Terms) -> int | None:
    """When the mioID lapses if nothing is done (A3); None: it does not."""
    if account.completed_ns is None:
        return periods.application_ends_ns(account.registered_ns, terms)
    if account.live_contracts:
        return None
    ends = [contract.ended_ns for contract in account.contracts if contract.ended_ns is not None]
    # An end is the first instant after; the completion is an instant of its own day.
    return periods.empty_ends_ns(max([account.completed_ns + 1, *ends]), terms)


def _of_line(account: Account, contract: Contract, line: Line) -> Iterator[Due]:
    def put(changed: tuple[Contract, Effects]) -> tuple[Account, Effects]:
        return with_contract(account, changed[0]), changed[1]

    if line.port_in is not None:
        lost_ns = line.port_in.expires_ns
        yield Due(
            lost_ns, 0, line.code, lambda: put(remove_line(contract, line, lost_ns, NOT_PORTED))
        )
    if line.port_out is not None:
        over_ns = line.port_out.expires_ns
        stays = with_line(contract, replace(line, port_out=None))
        told: Effects = [ReservationLapsed(line.code, over_ns)]
        yield Due(over_ns, 1, line.code, lambda: put((stays, told)))
    if line.cancellation is not None:
        end_ns = line.cancellation.effective_ns
        yield Due(end_ns, 2, line.code, lambda: put(end_line(contract, line, end_ns, CANCELLED)))


def _option_end(account: Account, contract: Contract, option: OptionUse, at_ns: int) -> Due:
    def happen() -> tuple[Account, Effects]:
        options = tuple(one for one in contract.options if one.name != option.name)
        changed = replace(contract, options=options)
        return with_contract(account, changed), [OptionEnded(contract.code, option.name, at_ns)]

    return Due(at_ns, 3, f"{contract.code}/{option.name}", happen)


def _contract_end(account: Account, contract: Contract, at_ns: int) -> Due:
    def happen() -> tuple[Account, Effects]:
        ended, effects = end_contract(contract, at_ns, CANCELLED)
        return with_contract(account, ended), effects

    return Due(at_ns, 4, contract.code, happen)


def _plan_change(account: Account, contract: Contract, change: PlanChange) -> Due:
    def happen() -> tuple[Account, Effects]:
        changed = replace(contract, plan=change.plan, plan_change=None)
        told: Effects = [PlanChanged(contract.code, change.plan, change.from_ns)]
        return with_contract(account, changed), told

    return Due(change.from_ns, 5, contract.code, happen)


def _lapse(account: Account, at_ns: int) -> tuple[Account, Effects]:
    effects: Effects = []
    for contract in account.live_contracts:
        ended, told = end_contract(contract, at_ns, NOT_COMPLETED)
        account = with_contract(account, ended)
        effects += told
    effects.append(AccountLapsed(account.mio_id, at_ns))
    return replace(account, lapsed_ns=at_ns), effects


def forward(account: Account, now_ns: int, terms: Terms) -> tuple[Account, Effects]:
    """Let all happen that is due at `now_ns`, in order; the same object where nothing is."""
    effects: Effects = []
    while True:
        # One thing may make another fall away, or bring the next: looked at anew after each.
        due = min(dues(account, terms), key=lambda one: one[:3], default=None)
        if due is None or due.at_ns > now_ns:
            return account, effects
        account, told = due.happen()
        account = replace(account, changed_ns=max(account.changed_ns, due.at_ns))
        effects += told
