"""What a coupon database holds, as documents: raw figures, units in the names (Q1-Q4, L5).

Every document has a `schema`. Nothing here changes a database.
"""

from collections.abc import Iterable
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

from engine import calendar
from engine.errors import PoolError
from engine.pool.store import TOPUP_BYTES, TOPUPS_A_MONTH, CouponBalance, DayUsage, LineBalance

if TYPE_CHECKING:
    from engine.cli.pool_names import Names, Target
    from engine.pool import CouponStore

BALANCE = "pktoll.pool-balance/1"
HISTORY = "pktoll.pool-history/1"
USAGE = "pktoll.pool-usage/1"
AUDIT = "pktoll.pool-audit/1"
CHARGE = "pktoll.pool-charge/1"

HISTORY_MONTHS = 3
"""calendar months of purchases that are shown, the current one included (Q1)"""
GOOD, EXPIRED, NOT_YET = "good", "expired", "not-yet"
"""states of a coupon at the time of the query"""
SUM_ATTEMPTS = 3

_FIRST = date(1970, 1, 1)
_COUPON_SUMS = ("credited_bytes", "in_database_bytes", "granted_bytes", "expired_bytes")


def day_text(day: int) -> str:
    """A JST day (`calendar.day_of`) as YYYY-MM-DD."""
    return str(_FIRST + timedelta(days=day))


def last_day(end_ns: int) -> str:
    """The last JST day before an end, such as a coupon's: half-open, at 00:00 (C1, C4, A4)."""
    return day_text(calendar.day_of(end_ns - 1))


# --- balance (Q2, Q4, L5) ---------------------------------------------------------------------------


def balance(
    store: "CouponStore", names: "Names", target: "Target | None", at_ns: int
) -> dict[str, Any]:
    """Coupons and SIMs of one contract, of one SIM, or (`target` None) of everybody."""
    if target is None:
        codes = [contract.code for contract in store.contracts()]
        lines: Iterable[LineBalance] = store.lines()
    else:
        codes = [target.contract]
        lines = store.lines(target.contract)
    by_contract: dict[str, list[LineBalance]] = {code: [] for code in codes}
    for line in lines:
        if target is None or target.line in (None, line.code):
            by_contract.setdefault(line.contract, []).append(line)
    contracts = [
        {"code": code, **_coupons(store, code, at_ns), "sims": [_sim(names, s) for s in sims]}
        for code, sims in sorted(by_contract.items())
    ]
    return {"schema": BALANCE, "at_ns": at_ns, "contracts": contracts}


def _coupons(store: "CouponStore", code: str, at_ns: int) -> dict[str, Any]:
    coupons = store.coupons(code)
    sums = {name: sum(getattr(coupon, name) for coupon in coupons) for name in _COUPON_SUMS}
    good = [coupon for coupon in coupons if _state(coupon, at_ns) == GOOD]
    return {
        "good_bytes": sum(coupon.in_database_bytes for coupon in good),
        **sums,
        "coupons": [_coupon(coupon, at_ns) for coupon in coupons],
    }


def _state(coupon: CouponBalance, at_ns: int) -> str:
    """Whether the coupon is good at `at_ns`, to the nanosecond (C6)."""
    if at_ns >= coupon.expires_ns:
        return EXPIRED
    return GOOD if at_ns >= coupon.credited_ns else NOT_YET


def _coupon(coupon: CouponBalance, at_ns: int) -> dict[str, Any]:
    state = _state(coupon, at_ns)
    return {
        "credit_id": coupon.credit_id,
        "kind": coupon.kind,
        "state": state,
        "credited_ns": coupon.credited_ns,
        "expires_ns": coupon.expires_ns,
        "last_good_day": last_day(coupon.expires_ns),
        # What is left of an expired coupon is no balance, whether or not it is booked as expired yet.
        "left_bytes": coupon.in_database_bytes if state == GOOD else 0,
        **{name: getattr(coupon, name) for name in _COUPON_SUMS},
    }


def _sim(names: "Names", line: LineBalance) -> dict[str, Any]:
    known = names.of_line(line.code)
    return {
        "line": line.code,
        "iccid": known.iccid,
        "imsi": known.imsi,
        "msisdn": known.msisdn,
        "shown_balance_bytes": line.shown_bytes,
        "shown_ns": line.shown_ns,
        "exact_balance_bytes": line.balance_bytes,
        "used_bytes": line.used_bytes,
        "uncertain_bytes": line.uncertain_bytes,
        "coupon": line.coupon_on,
        "regulated": line.regulated,
        "in_service": line.in_service,
        "gateway": line.gateway,
    }


# --- purchases (Q1, C3) -----------------------------------------------------------------------------


def history(store: "CouponStore", contract: str, at_ns: int) -> dict[str, Any]:
    """Additional coupons bought in the current calendar month and the two before, newest first."""
    month = calendar.month_of(at_ns)
    from_ns = calendar.month_start_ns(month - HISTORY_MONTHS + 1)
    purchases = [each for each in store.purchases(contract, from_ns) if each.bought_ns <= at_ns]
    return {
        "schema": HISTORY,
        "contract": contract,
        "at_ns": at_ns,
        "from_ns": from_ns,
        "months": [calendar.month_text(month - back) for back in reversed(range(HISTORY_MONTHS))],
        "purchases": [
            {
                "request_id": each.request_id,
                "bought_ns": each.bought_ns,
                "coupons": each.coupons,
                "bytes": each.bytes,
                "expires_ns": each.expires_ns,
                "last_good_day": last_day(each.expires_ns),
            }
            for each in purchases
        ],
    }


def bought_in_month(store: "CouponStore", contract: str, at_ns: int) -> int:
    """Additional coupons bought in the JST month of `at_ns` (C3)."""
    month = calendar.month_of(at_ns)
    end_ns = calendar.month_start_ns(month + 1)
    purchases = store.purchases(contract, calendar.month_start_ns(month))
    return sum(each.coupons for each in purchases if each.bought_ns < end_ns)


def charge(store: "CouponStore", contract: str, request_id: str, new: bool) -> dict[str, Any]:
    """The purchase of that request, and what its month has left (C3, C4)."""
    purchases = store.purchases(contract, 0)
    purchase = next(each for each in purchases if each.request_id == request_id)
    bought = bought_in_month(store, contract, purchase.bought_ns)
    return {
        "schema": CHARGE,
        "contract": contract,
        "request_id": request_id,
        "new": new,
        "coupons": purchase.coupons,
        "bytes": purchase.bytes,
        "bytes_per_coupon": TOPUP_BYTES,
        "bought_ns": purchase.bought_ns,
        "expires_ns": purchase.expires_ns,
        "last_good_day": last_day(purchase.expires_ns),
        "month": calendar.month_text(calendar.month_of(purchase.bought_ns)),
        "month_coupons": bought,
        "month_coupons_left": TOPUPS_A_MONTH - bought,
    }


# --- usage (Q3) -------------------------------------------------------------------------------------


def usage(
    store: "CouponStore", names: "Names", target: "Target | None", days: int, at_ns: int
) -> dict[str, Any]:
    """Per SIM and JST day: the `days` days before today, and what there is of today."""
    today = calendar.day_of(at_ns)
    lines = store.lines() if target is None else store.lines(target.contract)
    sims: list[dict[str, Any]] = []
    updated_ns: list[int] = []
    for line in lines:
        if target is None or target.line in (None, line.code):
            known = names.of_line(line.code)
            found = store.usage(line.code, today - days)
            updated_ns += [each.updated_ns for each in found if each.day <= today]
            sims.append(
                {
                    "line": line.code,
                    "contract": line.contract,
                    "iccid": known.iccid,
                    "imsi": known.imsi,
                    "msisdn": known.msisdn,
                    "days": _days(found, today - days, today),
                }
            )
    return {
        "schema": USAGE,
        "at_ns": at_ns,
        "from_day": day_text(today - days),
        "to_day": day_text(today),
        "updated_ns": max(updated_ns, default=None),
        "updated": "periodically",
        "sims": sims,
    }


def _days(found: list[DayUsage], first: int, today: int) -> list[dict[str, Any]]:
    """A row for each day, those without use included; `complete` says that the day is over."""
    of_day = {each.day: each for each in found}
    rows = []
    for day in range(first, today + 1):
        each = of_day.get(day)
        rows.append(
            {
                "day": day_text(day),
                "complete": day < today,
                "with_coupon_bytes": each.with_coupon_bytes if each else 0,
                "without_coupon_bytes": each.without_coupon_bytes if each else 0,
                "exempt_bytes": each.exempt_bytes if each else 0,
                "restricting_bytes": each.restricting_bytes if each else 0,
                "updated_ns": each.updated_ns if each else None,
            }
        )
    return rows


# --- audit (G6) -------------------------------------------------------------------------------------


def audit(store: "CouponStore") -> dict[str, Any]:
    """Every finding of the store's audit, and the sums that must agree (D9, I1, G4).

    `sums` is None where the database is too damaged to add anything up.
    """
    findings = store.audit()
    try:
        sums = _sums(store)
    except PoolError:
        if not findings:
            raise
        sums = None
    return {
        "schema": AUDIT,
        "adds_up": not findings,
        "findings": findings,
        "sums": sums,
        "database": store.settings() if sums is not None else None,
    }


def _sums(store: "CouponStore") -> dict[str, Any]:
    """All sums, taken anew while gateways change them; `steady` says that nobody did."""
    for _ in range(SUM_ATTEMPTS):
        contracts = store.contracts()
        sums = _sums_of_sims(store)
        steady = store.contracts() == contracts
        if steady:
            break
    coupons = {name: sum(getattr(each, name) for each in contracts) for name in _COUPON_SUMS}
    # What coupons granted to lines that were removed since: their SIMs are no longer listed (L4).
    removed_bytes = coupons["granted_bytes"] - sums["sims"]["granted_bytes"]
    return {
        "steady": steady,
        "contracts": len(contracts),
        "coupons": coupons,
        **sums,
        "granted_to_removed_sims_bytes": removed_bytes,
    }


def _sums_of_sims(store: "CouponStore") -> dict[str, Any]:
    sums = dict.fromkeys(
        ("granted_bytes", "opening_bytes", "on_sim_bytes", "used_bytes", "uncertain_bytes"), 0
    )
    uncertain: list[dict[str, Any]] = []
    slices = 0
    lines = store.lines()
    for line in lines:
        for each in store.slices(line.code):
            slices += each.request_id != ""
            # An opening entry is what a SIM brought along, granted by no coupon (C7).
            sums["granted_bytes" if each.request_id else "opening_bytes"] += each.granted_bytes
            sums["on_sim_bytes"] += each.on_sim_bytes
            sums["used_bytes"] += each.used_bytes
            sums["uncertain_bytes"] += each.uncertain_bytes
            if each.uncertain_bytes:
                uncertain.append({"line": line.code, **each._asdict()})
    return {"lines": len(lines), "slices": slices, "sims": sums, "uncertain": uncertain}
