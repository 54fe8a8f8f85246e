"""What the data path asks of the contract book: may this line attach, and with what (D8, L1-L3, N6, O1)?"""

from typing import NamedTuple

from engine.config.model import Settings
from engine.subscribers.account import Account, Contract, Line, LineState, line_names
from engine.subscribers.due import forward
from engine.subscribers.options import has_ipv6

_REASONS: dict[LineState, tuple[str, str]] = {
    "suspended": ("suspended", "line {} is suspended"),
    "lost": ("replaced", "line {} was reported lost; its card stays refused"),
    "porting-in": ("ended", "line {} waits for its number"),
    "removed": ("ended", "line {} is removed"),
}


class Admission(NamedTuple):
    """`reason` is empty where the line may attach; else `kind` is that of errors.AttachError.

    `ipv6`: it may have a /64 beside its IPv4 address. `in_service` is about the line alone; a line in
    service may not attach before its contract starts.
    """

    may_attach: bool
    reason: str
    contract: str | None = None
    line: str | None = None
    plan: str | None = None
    ipv6: bool = False
    in_service: bool = False
    kind: str = ""


def admission(
    account: Account, name: str, now_ns: int, settings: Settings, kind: str | None = None
) -> Admission:
    """Whether the line with this name may attach at `now_ns`, after all that is due by then.

    `name` is a line's code, ICCID, IMSI or telephone number; `kind` ("line", "iccid", "imsi", "msisdn")
    says which, where it is known. An old card's name gives a refusal, never the line's new card.
    """
    account, _ = forward(account, now_ns, settings.terms)
    for contract in account.contracts:
        for line in contract.lines:
            if kind in (None, "line") and line.code == name:
                return _of(contract, line, "", now_ns)
            for one, other in line_names(line):
                if other == name and kind in (None, one):
                    return _of(contract, line, _old_card(line, name), now_ns)
    return Admission(False, f"{account.mio_id} has no line of that name", kind="unknown")


def _old_card(line: Line, name: str) -> str:
    """Why a card of the line is refused (L2, L3); empty for the one in force."""
    if not any(name in (card.iccid, card.imsi) for card in line.refused):
        return ""
    return f"the card {name} of line {line.code} was replaced; it stays refused"


def _of(contract: Contract, line: Line, old_card: str, now_ns: int) -> Admission:
    kind, words = _REASONS.get(line.state, ("ended", ""))
    reason = old_card or words.format(line.code) or _use(contract, now_ns)
    return Admission(
        may_attach=not reason,
        reason=reason,
        contract=contract.code,
        line=line.code,
        plan=contract.plan,
        ipv6=has_ipv6(contract),
        in_service=line.state == "in-service",
        kind=("replaced" if old_card else kind) if reason else "",
    )


def _use(contract: Contract, now_ns: int) -> str:
    """Why the contract is not in use; empty where it is. Its lines are removed when it ends."""
    if contract.started_ns is None or now_ns < contract.started_ns:
        return f"contract {contract.code} has not started"
    return ""
