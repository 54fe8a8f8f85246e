"""Small changes that several actions have in common; each gives the new value and what follows."""

from dataclasses import replace
from typing import NamedTuple

from engine.config.model import Settings, Terms
from engine.subscribers.account import Account, Contract, Line
from engine.subscribers.effects import ContractEnded, Effect, LineRemoved

Effects = list[Effect]


class Desk(NamedTuple):
    """What an action sees: the account (brought forward to `now_ns`), the time, the settings."""

    account: Account
    now_ns: int
    settings: Settings

    @property
    def terms(self) -> Terms:
        """Limits and periods."""
        return self.settings.terms


def with_contract(account: Account, contract: Contract) -> Account:
    """The account with this contract in the place of the one with its code."""
    contracts = (contract if one.code == contract.code else one for one in account.contracts)
    return replace(account, contracts=tuple(contracts))


def with_line(contract: Contract, line: Line) -> Contract:
    """The contract with this line in the place of the one with its code."""
    lines = (line if one.code == line.code else one for one in contract.lines)
    return replace(contract, lines=tuple(lines))


def remove_line(contract: Contract, line: Line, at_ns: int, why: str) -> tuple[Contract, Effects]:
    """The line ends; its numbers and its card are free, its refused cards stay refused."""
    removed = replace(
        line, removed_ns=at_ns, why_removed=why, cancellation=None, port_in=None, port_out=None
    )
    return with_line(contract, removed), [LineRemoved(contract.code, line.code, at_ns, why)]


def end_contract(contract: Contract, at_ns: int, why: str) -> tuple[Contract, Effects]:
    """The contract ends with all its lines; what it was is kept."""
    effects: Effects = []
    for line in contract.live_lines:
        contract, removed = remove_line(contract, line, at_ns, why)
        effects += removed
    effects.append(ContractEnded(contract.code, at_ns, why, contract.started_ns is not None))
    ended = replace(contract, ended_ns=at_ns, why_ended=why, cancellation=None, plan_change=None)
    return ended, effects


def end_line(contract: Contract, line: Line, at_ns: int, why: str) -> tuple[Contract, Effects]:
    """The line ends, and with the last line its contract (A7, A8)."""
    contract, effects = remove_line(contract, line, at_ns, why)
    if contract.live_lines:
        return contract, effects
    contract, ended = end_contract(contract, at_ns, "its last line has ended")
    return contract, effects + ended
