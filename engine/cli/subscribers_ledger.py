"""What a change of the contract book means for the coupon database.

Contracts that end lose their coupons (A4, A6), removed lines what is on their SIMs (L4); suspended
lines are said to be so (L1); contracts in use get their bundle coupons (C1, C2); and lines are entered
before their first session, so that balances and switches are there from the start (C7).
"""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from engine import calendar
from engine.pool.store import BUNDLE, LineNews, StoreOptions
from engine.subscribers.account import find_contract, find_line
from engine.subscribers.effects import (
    ContractEnded,
    Effect,
    LineRemoved,
    LineResumed,
    LineSuspended,
)
from engine.subscribers.terms import date_of

if TYPE_CHECKING:
    from engine.config import Settings
    from engine.pool import CouponStore
    from engine.subscribers.account import Account, Contract, Line

DESK = StoreOptions(gateway="pktoll-desk", answer_ms=2_000)
"""the run in which lines are entered; there is one at a time"""

Credit = tuple[str, str, int, int, int]
"""credit id, kind, bytes, good from (ns), good before (ns)"""
Entry = tuple[str, str, int, LineNews]
"""contract, line, balance that its SIM brings along (bytes), state"""


def apply(store: "CouponStore", account: "Account", effects: Iterable[Effect]) -> list[str]:
    """Do what follows for the changed account, in order; remarks on what must wait. In an open group."""
    remarks = []
    for effect in effects:
        if isinstance(effect, LineRemoved):
            remarks += _remove(store, effect.contract, effect.line, effect.at_ns)
        elif isinstance(effect, ContractEnded):
            if _has_contract(store, effect.contract):
                store.close_contract(effect.contract, effect.at_ns)
        elif isinstance(effect, LineSuspended | LineResumed):
            if _has_line(store, account, effect.line):
                in_service = isinstance(effect, LineResumed)
                store.note(effect.line, LineNews(effect.at_ns, in_service=in_service))
    return remarks


def remove_left(
    store: "CouponStore", account: "Account", effects: Sequence[Effect] = ()
) -> list[str]:
    """Remove lines that a gateway had open when the book removed them; `effects` have had their turn."""
    done = {effect.line for effect in effects if isinstance(effect, LineRemoved)}
    removed = [
        (contract.code, line)
        for contract in account.contracts
        for line in contract.lines
        if line.removed_ns is not None and line.code not in done
    ]
    return [
        remark
        for contract, line in removed
        for remark in _remove(store, contract, line.code, line.removed_ns or 0)
    ]


def _remove(store: "CouponStore", contract: str, line: str, at_ns: int) -> list[str]:
    found = next((each for each in store.lines(contract) if each.code == line), None)
    if found is None:
        return []
    if found.gateway is None:
        store.remove_line(line, at_ns)
        return []
    # Its session is to end first: the gateway hears of it, and the next `advance` removes the line.
    if found.in_service is not False:
        store.note(line, LineNews(at_ns, in_service=False))
    return [
        f"line {line}: gateway {found.gateway} still has it open; out of service from now on, its "
        "balance goes with the first `pktoll subscribers advance` after its session"
    ]


def _has_contract(store: "CouponStore", code: str) -> bool:
    return bool(store.coupons(code) or store.lines(code))


def _has_line(store: "CouponStore", account: "Account", line: str) -> bool:
    """Whether the coupon database knows the line; the book may know one that never was in use."""
    found = find_line(account, line)
    return found is not None and any(each.code == line for each in store.lines(found[0].code))


# --- coupons (C1, C2) -------------------------------------------------------------------------------


def credits_of(
    contract: "Contract", before: "Contract", imported_ns: int, settings: "Settings", at_ns: int
) -> list[Credit]:
    """The coupons that a contract in use has at `at_ns`: those of its file, and its plan's bundles.

    `before`: the contract before it was brought forward to `at_ns`, which knows the plan of the month
    before (A10). A contract whose coupons stood in a subscriber file, imported at `imported_ns`, gets
    bundles from the month after on. The ids are those that gateways use, so that nothing comes twice.
    """
    started_ns, plan = contract.started_ns, contract.plan
    if started_ns is None or contract.ended_ns is not None or plan is None:
        return []
    month = calendar.month_of(at_ns)
    since = calendar.month_of(started_ns)
    found: list[Credit] = []
    if contract.coupons is not None:
        begun_ns = calendar.month_start_ns(since)
        since = max(since, calendar.month_of(imported_ns) + 1)
        for number, coupon in enumerate(contract.coupons):
            name = f"file:{contract.code}:{number}"
            expires_ns = calendar.expires_of(coupon.expires)
            found.append((name, coupon.kind, coupon.bytes, begun_ns, expires_ns))
    if before.plan_change is None and before.plan_ordered_ns is not None:
        # The months before had another plan; whoever brought the contract forward credited them.
        since = max(since, calendar.month_of(before.plan_ordered_ns) + 1)
    for good in range(max(month - 1, since), month + 1):
        bundle_bytes = settings.plan(_plan_in(good, before) or plan).bundle_bytes
        day = date_of(started_ns)
        credited = calendar.bundle_credit_bytes(bundle_bytes, day, good)
        name = f"bundle:{contract.code}:{calendar.month_text(good)}"
        times = (calendar.month_start_ns(good), calendar.bundle_expires_ns(good))
        found.append((name, BUNDLE, credited, *times))
    return [each for each in found if each[2] > 0]


def _plan_in(month: int, contract: "Contract") -> str | None:
    """The plan in force from the month's first instant on (A10)."""
    ordered = contract.plan_change
    if ordered is not None and ordered.from_ns <= calendar.month_start_ns(month):
        return ordered.plan
    return contract.plan


def credit(
    store: "CouponStore", before: "Account", account: "Account", settings: "Settings", at_ns: int
) -> list[str]:
    """Credit what the account's contracts have not got yet; a line for each. In an open group.

    `before`: the account before it was brought forward to `at_ns`.
    """
    said = []
    imported_ns = at_ns
    if any(contract.coupons is not None for contract in account.contracts):
        imported_ns = store.book_entries(account.mio_id)[0].at_ns
    for contract in account.contracts:
        was = find_contract(before, contract.code) or contract
        due = credits_of(contract, was, imported_ns, settings, at_ns)
        if not due:
            continue
        # What is there stays as it is: its plan may have been another one then.
        known = {coupon.credit_id for coupon in store.coupons(contract.code)}
        for name, kind, credited_bytes, credited_ns, expires_ns in due:
            times = (credited_ns, expires_ns)
            if name not in known and store.credit(
                name, contract.code, kind, credited_bytes, *times
            ):
                said.append(f"contract {contract.code}: {kind} {name}, {credited_bytes} bytes")
    return said


# --- lines (C7) -------------------------------------------------------------------------------------


def entries(store: "CouponStore", accounts: Iterable["Account"], at_ns: int) -> list[Entry]:
    """The lines of contracts in use that the coupon database does not have yet."""
    missing: list[Entry] = []
    for account in accounts:
        for contract in account.contracts:
            if contract.started_ns is None or contract.ended_ns is not None:
                continue
            known = {line.code for line in store.lines(contract.code)}
            missing += [
                (contract.code, line.code, line.balance_bytes, _state(line, at_ns))
                for line in contract.live_lines
                if line.code not in known
            ]
    return missing


def _state(line: "Line", at_ns: int) -> LineNews:
    return LineNews(at_ns, coupon_on=line.coupon, in_service=line.state == "in-service")


def enter(store: "CouponStore", missing: Sequence[Entry]) -> None:
    """Enter lines; `store` is open under a gateway's name, because only a run can open lines."""
    store.begin()
    store.open_lines([(contract, line, held_bytes) for contract, line, held_bytes, _ in missing])
    store.settle_all([(line, 0) for _, line, _, _ in missing], True)
    store.note_all([(line, news) for _, line, _, news in missing])
    store.commit()
