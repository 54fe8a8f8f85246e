"""What may be done with a line, and under which rules (L1-L4, N6, A2, A4, A7, A8)."""

from dataclasses import replace

from engine.subscribers import terms
from engine.subscribers.account import (
    Account,
    Cancellation,
    Contract,
    Line,
    RefusedCard,
    Reservation,
    find_line,
    line_names,
)
from engine.subscribers.actions import (
    AddLine,
    CancelLine,
    CompletePortIn,
    CompletePortOut,
    RemoveLine,
    ReplaceSim,
    ReportLost,
    ReservePortOut,
    Resume,
    Suspend,
)
from engine.subscribers.changes import Desk, Effects, end_line, remove_line, with_line
from engine.subscribers.codes import LINE, check
from engine.subscribers.contract_rules import Changed, find_plan
from engine.subscribers.effects import (
    CancellationReserved,
    LineAdded,
    LineResumed,
    LineSuspended,
    PortOutReserved,
    SimReplaced,
)
from engine.subscribers.refusals import refused

REMOVED = "removed"
PORTED_OUT = "its number has gone elsewhere"
TITLES = {"imsi": "IMSI", "iccid": "ICCID", "msisdn": "telephone number"}


def add_line(desk: Desk, contract: Contract, action: AddLine) -> Changed:
    """L4, S1-S3, A2, A7, N6"""
    check(LINE, action.line)
    if find_line(desk.account, action.line) is not None:
        raise refused("code-taken", code=action.line)
    _check_sims(desk, contract)
    if action.voice:
        check_voice(desk.account, 1, desk)
    for kind, name in (("imsi", action.imsi), ("msisdn", action.msisdn), ("iccid", action.iccid)):
        if name is not None:
            _check_name(desk.account, kind, name)
    line = Line(
        code=action.line,
        added_ns=desk.now_ns,
        imsi=action.imsi,
        msisdn=action.msisdn,
        iccid=action.iccid,
        form=action.form,
        voice=action.voice,
        port_in=_port_in(desk, action),
        addresses=action.addresses,
    )
    added = replace(contract, lines=(*contract.lines, line))
    return added, [LineAdded(contract.code, line.code, desk.now_ns)]


def _check_sims(desk: Desk, contract: Contract) -> None:
    """The plan in force and the one ordered have a SIM for one line more (L4)."""
    if contract.plan is None:
        raise refused("no-plans", service=contract.service)
    names = [contract.plan]
    if contract.plan_change is not None:
        names.append(contract.plan_change.plan)
    plan = min((find_plan(name, desk) for name in names), key=lambda one: one.sims_max)
    lines = len(contract.live_lines)
    if lines >= plan.sims_max:
        raise refused(
            "sims-max", contract=contract.code, lines=lines, plan=plan.name, most=plan.sims_max
        )


def check_voice(account: Account, more: int, desk: Desk) -> None:
    """RefusedError if the account may not have so many more voice lines (A2)."""
    most = desk.terms.voice_lines_max
    have = sum(line.voice for contract in account.contracts for line in contract.live_lines)
    if have + more > most:
        raise refused("voice-max", mio_id=account.mio_id, most=most)


def _check_name(account: Account, kind: str, name: str) -> None:
    """No other line's of this account (N6); the coupon database looks at the other accounts."""
    for contract in account.contracts:
        for line in contract.lines:
            if any(name in (card.iccid, card.imsi) for card in line.refused):
                raise refused("card-refused", name=name)
            if (kind, name) in line_names(line):
                raise refused("name-taken", kind=TITLES[kind], name=name, line=line.code)


def _port_in(desk: Desk, action: AddLine) -> Reservation | None:
    """The reservation by which a number comes in, with enough days left (A7)."""
    issued_ns = action.port_in_issued_ns
    if issued_ns is None:
        return None
    if action.msisdn is None:
        raise refused("no-number", line=action.line)
    if issued_ns > desk.now_ns:
        raise refused("port-in-future", msisdn=action.msisdn)
    expires_ns = terms.reservation_ends_ns(issued_ns, desk.terms)
    left, least = terms.days_left(expires_ns, desk.now_ns), desk.terms.port_in_days
    if left < least:
        raise refused("port-in-days", msisdn=action.msisdn, left=max(left, 0), least=least)
    return Reservation(issued_ns, expires_ns)


def _check_last(contract: Contract, line: Line) -> None:
    """A8: another line goes on."""
    if not any(one.cancellation is None for one in contract.live_lines if one.code != line.code):
        raise refused("last-line", line=line.code, contract=contract.code)


def cancel_line(desk: Desk, contract: Contract, line: Line, action: CancelLine) -> Changed:
    """A4, A5, A8"""
    if line.cancellation is not None:
        raise refused("line-cancelled", line=action.line)
    _check_last(contract, line)
    effective_ns = terms.cancellation_ns(contract.started_ns, desk.now_ns, desk.terms)
    ending = replace(line, cancellation=Cancellation(desk.now_ns, effective_ns))
    told = CancellationReserved("line", line.code, desk.now_ns, effective_ns)
    return with_line(contract, ending), [told]


def take_out(desk: Desk, contract: Contract, line: Line, action: RemoveLine) -> Changed:
    """L4, A8"""
    del action  # the line is found already
    _check_last(contract, line)
    return remove_line(contract, line, desk.now_ns, REMOVED)


def suspend(desk: Desk, contract: Contract, line: Line, action: Suspend) -> Changed:
    """L1"""
    suspended = replace(line, suspended_ns=desk.now_ns)
    return with_line(contract, suspended), [LineSuspended(action.line, desk.now_ns)]


def resume(desk: Desk, contract: Contract, line: Line, action: Resume) -> Changed:
    """L1"""
    resumed = replace(line, suspended_ns=None)
    return with_line(contract, resumed), [LineResumed(action.line, desk.now_ns)]


def report_lost(desk: Desk, contract: Contract, line: Line, action: ReportLost) -> Changed:
    """L3"""
    lost = replace(line, lost_ns=desk.now_ns)
    told: Effects = []
    if line.suspended_ns is None:
        told.append(LineSuspended(action.line, desk.now_ns))
    return with_line(contract, lost), told


def replace_sim(desk: Desk, contract: Contract, line: Line, action: ReplaceSim) -> Changed:
    """L2, L3: the operator puts a line that was lost into service again with the new card."""
    if action.iccid == line.iccid:
        raise refused("card-same", line=line.code, iccid=action.iccid)
    _check_name(desk.account, "iccid", action.iccid)
    new_imsi = action.imsi if action.imsi != line.imsi else None
    if new_imsi is not None:
        _check_name(desk.account, "imsi", new_imsi)
    was_lost = line.lost_ns is not None
    old = RefusedCard(desk.now_ns, was_lost, line.iccid, line.imsi if new_imsi else None)
    known = old.iccid is not None or old.imsi is not None
    renewed = replace(
        line,
        iccid=action.iccid,
        imsi=new_imsi or line.imsi,
        form=action.form or line.form,
        refused=(*line.refused, old) if known else line.refused,
        lost_ns=None,
        suspended_ns=None if was_lost else line.suspended_ns,
    )
    told: Effects = [SimReplaced(line.code, line.iccid, action.iccid, desk.now_ns)]
    if was_lost:
        told.append(LineResumed(line.code, desk.now_ns))
    return with_line(contract, renewed), told


def reserve_port_out(desk: Desk, contract: Contract, line: Line, action: ReservePortOut) -> Changed:
    """A7"""
    if line.msisdn is None:
        raise refused("no-number", line=action.line)
    if line.port_out is not None:
        day = terms.last_date(line.port_out.expires_ns)
        raise refused("port-out-there", line=action.line, day=day)
    expires_ns = terms.reservation_ends_ns(desk.now_ns, desk.terms)
    leaving = replace(line, port_out=Reservation(desk.now_ns, expires_ns))
    told = PortOutReserved(line.code, desk.now_ns, expires_ns)
    return with_line(contract, leaving), [told]


def port_out(desk: Desk, contract: Contract, line: Line, action: CompletePortOut) -> Changed:
    """A7, A8"""
    if line.port_out is None:
        raise refused("port-out-none", line=action.line, days=desk.terms.port_days)
    return end_line(contract, line, desk.now_ns, PORTED_OUT)


def port_in(desk: Desk, contract: Contract, line: Line, action: CompletePortIn) -> Changed:
    """A7"""
    arrived = replace(line, port_in=None)
    return with_line(contract, arrived), [LineResumed(action.line, desk.now_ns)]
