"""The contract book's one door: open an account, act on it, let time pass.

Nothing here reads a clock or changes what it is given: an action gives a new account and the effects
that others must see to, or RefusedError.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any, NamedTuple

from engine.config.model import Settings
from engine.subscribers import actions, contract_rules, line_rules
from engine.subscribers.account import (
    Account,
    Contract,
    ContractState,
    Line,
    LineState,
    find_contract,
    find_line,
)
from engine.subscribers.actions import Action
from engine.subscribers.actions import describe as describe
from engine.subscribers.changes import Desk, Effects, with_contract
from engine.subscribers.codes import MIO, check
from engine.subscribers.due import forward
from engine.subscribers.effects import AccountOpened, Effect
from engine.subscribers.refusals import refused
from engine.subscribers.terms import check_time

APPLIED: ContractState = "applied"
ACTIVE: ContractState = "active"
CANCELLED: ContractState = "cancelled"
LIVE = (APPLIED, ACTIVE, CANCELLED)

IN_SERVICE: LineState = "in-service"
SUSPENDED: LineState = "suspended"
LOST: LineState = "lost"
PORTING_IN: LineState = "porting-in"
SERVED = (IN_SERVICE, SUSPENDED, LOST)
ANY_LINE = (*SERVED, PORTING_IN)

Handler = Callable[..., tuple[Any, Effects]]

OF_ACCOUNT: dict[type[Action], Handler] = {
    actions.Apply: contract_rules.apply,
    actions.Complete: contract_rules.complete,
    actions.ChangeDetails: contract_rules.change_details,
}
OF_CONTRACT: dict[type[Action], tuple[Handler, tuple[ContractState, ...]]] = {
    actions.SendDocument: (contract_rules.send_document, LIVE),
    actions.Start: (contract_rules.start, (APPLIED,)),
    actions.Cancel: (contract_rules.cancel, (APPLIED, ACTIVE)),
    actions.CancelOption: (contract_rules.cancel_option, LIVE),
    actions.TakeBack: (contract_rules.take_back, LIVE),
    actions.Rescind: (contract_rules.rescind, LIVE),
    actions.ChangePlan: (contract_rules.change_plan, (ACTIVE, CANCELLED)),
    actions.AddLine: (line_rules.add_line, (APPLIED, ACTIVE)),
    actions.AddOption: (contract_rules.add_option, (APPLIED, ACTIVE)),
}
"""which states of a contract an action is for; `docs/contract-book.md` shows it"""
OF_LINE: dict[type[Action], tuple[Handler, tuple[LineState, ...]]] = {
    actions.CancelLine: (line_rules.cancel_line, ANY_LINE),
    actions.RemoveLine: (line_rules.take_out, ANY_LINE),
    actions.Suspend: (line_rules.suspend, (IN_SERVICE,)),
    actions.Resume: (line_rules.resume, (SUSPENDED,)),
    actions.ReportLost: (line_rules.report_lost, (IN_SERVICE, SUSPENDED)),
    actions.ReplaceSim: (line_rules.replace_sim, SERVED),
    actions.ReservePortOut: (line_rules.reserve_port_out, SERVED),
    actions.CompletePortOut: (line_rules.port_out, SERVED),
    actions.CompletePortIn: (line_rules.port_in, (PORTING_IN,)),
}
"""which states of a line an action is for"""


class Outcome(NamedTuple):
    """An account as it is now, and what follows, in the order in which it happened."""

    account: Account
    effects: tuple[Effect, ...]


def open_account(
    mio_id: str, now_ns: int, password: str | None = None, address: str | None = None
) -> Outcome:
    """Register a mioID (A1); `password` and `address` are references. It lapses unless it applies (A3)."""
    check(MIO, mio_id)
    check_time(now_ns)
    actions.checked(actions.ChangeDetails(password, address))
    account = Account(
        mio_id, registered_ns=now_ns, changed_ns=now_ns, password=password, address=address
    )
    return Outcome(account, (AccountOpened(mio_id, now_ns),))


def advance(account: Account, now_ns: int, settings: Settings) -> Outcome:
    """Let happen what has fallen due by `now_ns`; the same account and no effects where nothing has."""
    account, effects = forward(account, now_ns, settings.terms)
    return Outcome(account, tuple(effects))


def perform(account: Account, action: Action, now_ns: int, settings: Settings) -> Outcome:
    """Do what an action says at `now_ns`, after what has fallen due by then.

    RefusedError, in one line that names the rule in plain words, where it is not allowed; then nothing has
    changed, and what was due is still due.
    """
    action = actions.checked(action)
    check_time(now_ns)
    if now_ns < account.changed_ns:
        raise refused("past", mio_id=account.mio_id, changed_ns=account.changed_ns, at_ns=now_ns)
    account, effects = forward(account, now_ns, settings.terms)
    if account.lapsed_ns is not None:
        raise refused("lapsed", mio_id=account.mio_id)
    desk = Desk(account, now_ns, settings)
    if isinstance(action, actions.OfAccount):
        account, told = OF_ACCOUNT[type(action)](desk, action)
    elif isinstance(action, actions.OfContract):
        contract, told = _on_contract(desk, action)
        account = with_contract(account, contract)
    else:
        contract, told = _on_line(desk, action)
        account = with_contract(account, contract)
    return Outcome(replace(account, changed_ns=now_ns), (*effects, *told))


def _on_contract(desk: Desk, action: actions.OfContract) -> tuple[Contract, Effects]:
    handler, states = OF_CONTRACT[type(action)]
    contract = find_contract(desk.account, action.contract)
    if contract is None:
        raise refused("no-contract", mio_id=desk.account.mio_id, code=action.contract)
    if contract.state not in states:
        raise refused(
            "contract-state",
            contract=contract.code,
            state=contract.state,
            do=action.do,
            allowed=" or ".join(states),
        )
    changed: tuple[Contract, Effects] = handler(desk, contract, action)
    return changed


def _on_line(desk: Desk, action: actions.OfLine) -> tuple[Contract, Effects]:
    handler, states = OF_LINE[type(action)]
    found = find_line(desk.account, action.line)
    if found is None:
        raise refused("no-line", mio_id=desk.account.mio_id, code=action.line)
    contract, line = found
    _check_state(line, action, states)
    changed: tuple[Contract, Effects] = handler(desk, contract, line, action)
    return changed


def _check_state(line: Line, action: actions.OfLine, states: tuple[LineState, ...]) -> None:
    state = line.state
    if state in states:
        return
    if state == LOST:
        raise refused("lost", line=line.code)
    allowed = " or ".join(states)
    raise refused("line-state", line=line.code, state=state, do=action.do, allowed=allowed)
