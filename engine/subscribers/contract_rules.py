"""What may be done with a contract, and under which rules (A2-A6, A8, A10, O1, O2)."""

from dataclasses import replace

from engine.calendar import month_of
from engine.config.model import Plan
from engine.subscribers import options, terms
from engine.subscribers.account import (
    Account,
    Cancellation,
    Contract,
    OptionUse,
    PlanChange,
    find_contract,
)
from engine.subscribers.actions import (
    AddOption,
    Apply,
    Cancel,
    CancelOption,
    ChangeDetails,
    ChangePlan,
    Complete,
    Rescind,
    SendDocument,
    Start,
    TakeBack,
)
from engine.subscribers.changes import Desk, Effects, end_contract
from engine.subscribers.codes import CONTRACT, check
from engine.subscribers.effects import (
    CancellationReserved,
    CancellationWithdrawn,
    Cancelled,
    ContractAdded,
    ContractStarted,
    OptionAdded,
    PlanOrdered,
)
from engine.subscribers.refusals import refused

RESCINDED = "rescinded"
Changed = tuple[Contract, Effects]


def apply(desk: Desk, action: Apply) -> tuple[Account, Effects]:
    """A2, A3"""
    account, now_ns, settings = desk
    check(CONTRACT, action.contract)
    if find_contract(account, action.contract) is not None:
        raise refused("code-taken", code=action.contract)
    service = settings.default_service if action.service is None else action.service
    if settings.service(service) is None:
        known = ", ".join(one.name for one in settings.services) or "none"
        raise refused("service", service=service, known=known)
    check_contracts(account, service, 1, desk)
    contract = Contract(
        code=action.contract,
        service=service,
        plan=_plan_of(action, service, desk),
        applied_ns=now_ns,
        options=options.included(service, now_ns, settings),
    )
    completed_ns = account.completed_ns
    if completed_ns is None and action.completed:
        completed_ns = now_ns
    account = replace(account, completed_ns=completed_ns, contracts=(*account.contracts, contract))
    return account, [ContractAdded(contract.code, now_ns)]


def check_contracts(account: Account, service: str, more: int, desk: Desk) -> None:
    """RefusedError if the account may not have so many more contracts of a service (A2)."""
    most = desk.terms.service_contracts_max
    have = sum(contract.service == service for contract in account.live_contracts)
    if have + more > most:
        raise refused("contracts-max", mio_id=account.mio_id, most=most, service=service)


def _plan_of(action: Apply, service: str, desk: Desk) -> str | None:
    kind = desk.settings.service(service)
    if kind is not None and kind.lines:
        named = desk.settings.default_plan if action.plan is None else action.plan
        return find_plan(named, desk).name
    if action.plan is not None:
        raise refused("no-plans", service=service)
    return None


def find_plan(name: str, desk: Desk) -> Plan:
    """The plan of the configuration (S5); RefusedError where there is none."""
    try:
        return desk.settings.plan(name)
    except KeyError:
        known = ", ".join(plan.name for plan in desk.settings.plans)
        raise refused("plan", plan=name, known=known) from None


def complete(desk: Desk, action: Complete) -> tuple[Account, Effects]:
    """A3"""
    del action  # says nothing but its name
    account = desk.account
    if account.completed_ns is not None:
        raise refused("complete", mio_id=account.mio_id)
    if not account.live_contracts:
        raise refused("nothing-applied", mio_id=account.mio_id)
    return replace(account, completed_ns=desk.now_ns), []


def change_details(desk: Desk, action: ChangeDetails) -> tuple[Account, Effects]:
    """What is not named stays."""
    account = desk.account
    if action.password is None and action.address is None:
        raise refused("no-details", mio_id=account.mio_id)
    password = account.password if action.password is None else action.password
    address = account.address if action.address is None else action.address
    return replace(account, password=password, address=address), []


def send_document(desk: Desk, contract: Contract, action: SendDocument) -> Changed:
    """A6: the first document counts."""
    if contract.document_ns is not None:
        raise refused("document", contract=action.contract)
    return replace(contract, document_ns=desk.now_ns), []


def start(desk: Desk, contract: Contract, action: Start) -> Changed:
    """A3, A5"""
    if desk.account.completed_ns is None:
        raise refused("incomplete", mio_id=desk.account.mio_id)
    document_ns = desk.now_ns if contract.document_ns is None else contract.document_ns
    started = replace(contract, started_ns=desk.now_ns, document_ns=document_ns)
    return started, [ContractStarted(action.contract, contract.plan, desk.now_ns)]


def cancel(desk: Desk, contract: Contract, action: Cancel) -> Changed:
    """A4, A5"""
    effective_ns = terms.cancellation_ns(contract.started_ns, desk.now_ns, desk.terms)
    cancelled = replace(contract, cancellation=Cancellation(desk.now_ns, effective_ns))
    told = CancellationReserved("contract", action.contract, desk.now_ns, effective_ns)
    return cancelled, [told]


def cancel_option(desk: Desk, contract: Contract, action: CancelOption) -> Changed:
    """A4"""
    use = contract.option(action.option)
    if use is None:
        raise refused("option-none", contract=action.contract, option=action.option)
    option = desk.settings.option(action.option)
    if option is not None and option.included:
        raise refused("option-included", option=action.option, service=contract.service)
    if use.cancellation is not None:
        raise refused("option-cancelled", option=action.option, contract=action.contract)
    effective_ns = terms.month_ends_ns(desk.now_ns)
    ending = replace(use, cancellation=Cancellation(desk.now_ns, effective_ns))
    code = f"{contract.code}/{use.name}"
    told = CancellationReserved("option", code, desk.now_ns, effective_ns)
    return _with_option(contract, ending), [told]


def _with_option(contract: Contract, use: OptionUse) -> Contract:
    uses = (use if one.name == use.name else one for one in contract.options)
    return replace(contract, options=tuple(uses))


def _reserved(contract: Contract) -> list[tuple[Cancelled, str, Cancellation]]:
    """Every cancellation reserved in a contract: kind, code, itself."""
    every: list[tuple[Cancelled, str, Cancellation | None]] = [
        ("contract", contract.code, contract.cancellation)
    ]
    every += [("line", line.code, line.cancellation) for line in contract.live_lines]
    every += [("option", f"{contract.code}/{o.name}", o.cancellation) for o in contract.options]
    return [(kind, code, reserved) for kind, code, reserved in every if reserved is not None]


def take_back(desk: Desk, contract: Contract, action: TakeBack) -> Changed:
    """A4: all that can still be taken back, together."""
    reserved = _reserved(contract)
    if not reserved:
        raise refused("nothing-reserved", contract=action.contract)
    early = [
        one
        for one in reserved
        if desk.now_ns < terms.take_back_ends_ns(one[2].effective_ns, desk.terms)
    ]
    if not early:
        day = terms.last_date(max(one[2].effective_ns for one in reserved))
        until = f"{desk.terms.take_back_until} JST"
        raise refused("take-back-late", contract=action.contract, until=until, day=day)
    _check_plan_order(contract, [one[2] for one in early])
    codes = {code for _, code, _ in early}
    goes_on = replace(
        contract,
        cancellation=None if contract.code in codes else contract.cancellation,
        lines=tuple(
            replace(x, cancellation=None) if x.code in codes else x for x in contract.lines
        ),
        options=tuple(
            replace(x, cancellation=None) if f"{contract.code}/{x.name}" in codes else x
            for x in contract.options
        ),
    )
    if goes_on.plan_change is not None:
        _check_fit("take-back-sims", goes_on, goes_on.plan_change, desk)
    return goes_on, [CancellationWithdrawn(kind, code, desk.now_ns) for kind, code, _ in early]


def _check_plan_order(contract: Contract, reserved: list[Cancellation]) -> None:
    """A4: a plan change ordered in the month of a cancellation binds it."""
    if contract.plan_ordered_ns is None:
        return
    month = month_of(contract.plan_ordered_ns)
    if any(month_of(one.ordered_ns) == month for one in reserved):
        raise refused("take-back-plan", contract=contract.code)


def rescind(desk: Desk, contract: Contract, action: Rescind) -> Changed:
    """A6; before the document has come there is no limit."""
    if contract.document_ns is not None:
        end_ns = terms.rescission_ends_ns(contract.document_ns, desk.terms)
        if desk.now_ns >= end_ns:
            days, day = desk.terms.rescission_days, terms.last_date(end_ns)
            raise refused("rescind-late", contract=action.contract, days=days, day=day)
    return end_contract(contract, desk.now_ns, RESCINDED)


def change_plan(desk: Desk, contract: Contract, action: ChangePlan) -> Changed:
    """A10; a later order in the same month takes the place of the earlier."""
    if contract.plan is None:
        raise refused("no-plans", service=contract.service)
    plan = find_plan(action.plan, desk)
    if plan.name == contract.plan:
        raise refused("plan-same", contract=action.contract, plan=plan.name)
    from_ns = terms.month_ends_ns(desk.now_ns)
    ending = contract.cancellation
    if ending is not None and ending.effective_ns <= from_ns:
        day = terms.last_date(ending.effective_ns)
        raise refused("plan-after-end", contract=action.contract, day=day)
    change = PlanChange(plan.name, desk.now_ns, from_ns)
    _check_fit("plan-sims", contract, change, desk)
    ordered = replace(contract, plan_change=change, plan_ordered_ns=desk.now_ns)
    return ordered, [PlanOrdered(action.contract, plan.name, desk.now_ns, from_ns)]


def _check_fit(key: str, contract: Contract, change: PlanChange, desk: Desk) -> None:
    """The lines that are still there when a plan comes into force are no more than it has SIMs (L4)."""
    lines = sum(
        line.cancellation is None or line.cancellation.effective_ns > change.from_ns
        for line in contract.live_lines
    )
    most = find_plan(change.plan, desk).sims_max
    if lines > most:
        raise refused(key, contract=contract.code, lines=lines, plan=change.plan, most=most)


def add_option(desk: Desk, contract: Contract, action: AddOption) -> Changed:
    """O1, O2"""
    option = options.eligible(options.named(action.option, desk.settings), contract.service)
    if contract.option(action.option) is not None:
        raise refused("option-there", contract=action.contract, option=action.option)
    charging_ns = desk.now_ns if action.charging_from_ns is None else action.charging_from_ns
    if charging_ns < desk.now_ns:
        raise refused("option-charging", option=action.option)
    price_yen = option.price_yen_per_month
    use = OptionUse(option.name, action.quantity, desk.now_ns, charging_ns, price_yen)
    told = OptionAdded(action.contract, option.name, desk.now_ns, options.fees(option, use))
    return replace(contract, options=(*contract.options, use)), [told]
