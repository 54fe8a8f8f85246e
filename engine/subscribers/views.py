"""Between the contract book and subscriber files: what the data path sees, and how a file is taken in."""

from collections.abc import Iterable
from dataclasses import replace

from engine.calendar import expires_of, month_of, month_start_ns, month_text, parse_month
from engine.config.model import Settings
from engine.subscribers import codes, model
from engine.subscribers.account import (
    Account,
    Cancellation,
    Contract,
    Line,
    OptionUse,
    PlanChange,
)
from engine.subscribers.changes import Desk
from engine.subscribers.contract_rules import check_contracts, find_plan
from engine.subscribers.due import forward
from engine.subscribers.options import IPV6, eligible, has_ipv6, included, named
from engine.subscribers.refusals import refused
from engine.subscribers.terms import check_time, date_of, start_of


def to_book(accounts: Iterable[Account], now_ns: int, settings: Settings) -> model.Book:
    """The contracts with lines that are in use at `now_ns`, or will be, in the order of the accounts.

    Ended contracts, removed lines and replaced cards are left out; a line that is suspended, lost or waits
    for its number is out of service. IPv6 addresses are only there with the option for them (O1).
    """
    contracts = []
    for account in accounts:
        account, _ = forward(account, now_ns, settings.terms)
        contracts += [
            _seen(account, contract, contract.plan, contract.started_ns)
            for contract in account.live_contracts
            if contract.plan is not None and contract.started_ns is not None
        ]
    return model.Book(tuple(contracts))


def _seen(account: Account, contract: Contract, plan: str, started_ns: int) -> model.Contract:
    lines = tuple(_seen_line(line, has_ipv6(contract)) for line in contract.live_lines)
    change = contract.plan_change
    return model.Contract(
        contract.code,
        plan,
        date_of(started_ns),
        lines,
        contract.coupons,
        account.mio_id,
        ends=_ends(contract.cancellation),
        next_plan=None if change is None else _next_plan(change),
        ipv6=has_ipv6(contract),
    )


def _next_plan(change: PlanChange) -> model.NextPlan:
    return model.NextPlan(change.plan, month_text(month_of(change.from_ns)))


def _ends(cancellation: Cancellation | None) -> str | None:
    """The last month in which what was cancelled is in use."""
    if cancellation is None:
        return None
    return month_text(month_of(cancellation.effective_ns - 1))


def _seen_line(line: Line, ipv6: bool) -> model.Line:
    return model.Line(
        code=line.code,
        imsi=line.imsi,
        iccid=line.iccid,
        msisdn=line.msisdn,
        coupon=line.coupon,
        balance_bytes=line.balance_bytes,
        addresses=tuple(one for one in line.addresses if ipv6 or not _is_ipv6(one)),
        teid_up=line.teid_up,
        teid_down=line.teid_down,
        gateway=line.gateway,
        in_service=line.state == "in-service",
        ends=_ends(line.cancellation),
    )


def _is_ipv6(address: str) -> bool:
    return ":" in address


def from_book(
    book: model.Book, now_ns: int, settings: Settings, known: Iterable[Account] = ()
) -> list[Account]:
    """The accounts of a subscriber file, as of `now_ns`, in the order in which it names them.

    Contracts with the same `mio_id` share an account; each without one gets one of its own, the next that
    is free. Contracts are of the default service, complete and (from their day on) in use; one with IPv6
    addresses has the option for them. RefusedError for codes that do not have the form of A1, for those of
    `known` accounts, and beyond the limits of A2.
    """
    check_time(now_ns)
    given = list(known)
    taken = {code for account in given for _, code in codes.of(account)}
    mio_ids = {contract.mio_id for contract in book.contracts if contract.mio_id is not None}
    for account in given:
        if account.mio_id in mio_ids:
            raise refused("account-known", mio_id=account.mio_id)
    accounts: dict[str, Account] = {}
    numbers = codes.Numbers(codes.MIO, taken | mio_ids)
    for contract in book.contracts:
        mio_id = codes.check(codes.MIO, contract.mio_id or numbers.next())
        taken_in = _taken_in(contract, taken, now_ns, settings)
        account = accounts.get(mio_id) or _opened(mio_id, taken_in.applied_ns, now_ns)
        desk = Desk(account, now_ns, settings)
        check_contracts(account, taken_in.service, 1, desk)
        accounts[mio_id] = replace(
            account,
            registered_ns=min(account.registered_ns, taken_in.applied_ns),
            completed_ns=min(account.registered_ns, taken_in.applied_ns),
            contracts=(*account.contracts, taken_in),
        )
    return list(accounts.values())


def _opened(mio_id: str, registered_ns: int, now_ns: int) -> Account:
    return Account(mio_id, registered_ns=registered_ns, changed_ns=now_ns)


def _taken_in(
    contract: model.Contract, taken: set[str], now_ns: int, settings: Settings
) -> Contract:
    """A contract of a file; its codes are added to those `taken`."""
    for kind, code in (
        (codes.CONTRACT, contract.code),
        *((codes.LINE, line.code) for line in contract.lines),
    ):
        if codes.check(kind, code) in taken:
            raise refused("code-taken", code=code)
        taken.add(code)
    service = settings.default_service
    plan = find_plan(contract.plan, Desk(_opened("", 0, 0), now_ns, settings))
    started_ns = check_time(max(start_of(contract.started), 0))
    lines = tuple(_line_of(line, min(started_ns, now_ns), now_ns) for line in contract.lines)
    if len(lines) > plan.sims_max:
        raise refused(
            "sims-max",
            contract=contract.code,
            lines=len(lines),
            plan=plan.name,
            most=plan.sims_max,
        )
    return Contract(
        code=contract.code,
        service=service,
        plan=plan.name,
        applied_ns=min(started_ns, now_ns),
        started_ns=started_ns,
        document_ns=started_ns,
        options=(*included(service, now_ns, settings), *_ipv6(contract, now_ns, settings)),
        lines=lines,
        coupons=contract.coupons,
        cancellation=_cancelled(contract.ends, now_ns),
        plan_change=_ordered(contract.next_plan, now_ns, settings),
    )


def _cancelled(ends: str | None, now_ns: int) -> Cancellation | None:
    return None if ends is None else Cancellation(now_ns, expires_of(ends))


def _ordered(change: model.NextPlan | None, now_ns: int, settings: Settings) -> PlanChange | None:
    if change is None:
        return None
    plan = find_plan(change.plan, Desk(_opened("", 0, 0), now_ns, settings))
    return PlanChange(plan.name, now_ns, month_start_ns(parse_month(change.since)))


def _ipv6(contract: model.Contract, now_ns: int, settings: Settings) -> tuple[OptionUse, ...]:
    if not contract.has_ipv6:
        return ()
    option = eligible(named(IPV6, settings), settings.default_service)
    return (OptionUse(IPV6, 1, now_ns, now_ns, option.price_yen_per_month),)


def _line_of(line: model.Line, added_ns: int, now_ns: int) -> Line:
    return Line(
        code=line.code,
        added_ns=added_ns,
        imsi=line.imsi,
        msisdn=line.msisdn,
        iccid=line.iccid,
        suspended_ns=None if line.in_service else now_ns,
        coupon=line.coupon,
        balance_bytes=line.balance_bytes,
        addresses=line.addresses,
        teid_up=line.teid_up,
        teid_down=line.teid_down,
        gateway=line.gateway,
        cancellation=_cancelled(line.ends, now_ns),
    )
