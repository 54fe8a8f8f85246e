"""The contract book as documents: raw figures, units in the names. Nothing here changes anything."""

import dataclasses
import json
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from engine.subscribers import documents
from engine.subscribers.admission import admission

if TYPE_CHECKING:
    from engine.cli.subscribers_desk import Change
    from engine.config import Settings
    from engine.pool.store import BookEntry
    from engine.subscribers.account import Account, Contract, Line

LIST = "pktoll.subscribers-list/1"
SHOW = "pktoll.subscribers-show/1"
CHANGE = "pktoll.subscribers-change/1"
CHANGES = "pktoll.subscribers-changes/1"


def listing(accounts: Iterable["Account"], at_ns: int) -> dict[str, Any]:
    """Every account with its contracts and lines, in short."""
    return {
        "schema": LIST,
        "at_ns": at_ns,
        "accounts": [
            {
                "mio_id": account.mio_id,
                "lapsed_ns": account.lapsed_ns,
                "contracts": [_contract(contract) for contract in account.contracts],
            }
            for account in accounts
        ],
    }


def _contract(contract: "Contract") -> dict[str, Any]:
    return {
        "code": contract.code,
        "service": contract.service,
        "plan": contract.plan,
        "state": contract.state,
        "started_ns": contract.started_ns,
        "ends_ns": _ends_ns(contract),
        "options": [option.name for option in contract.options],
        "lines": [_line(line) for line in contract.lines],
    }


def _ends_ns(contract: "Contract") -> int | None:
    if contract.ended_ns is not None:
        return contract.ended_ns
    return contract.cancellation.effective_ns if contract.cancellation else None


def _line(line: "Line") -> dict[str, Any]:
    return {
        "code": line.code,
        "state": line.state,
        "imsi": line.imsi,
        "iccid": line.iccid,
        "msisdn": line.msisdn,
    }


def showing(
    account: "Account",
    version: int,
    entries: "Iterable[BookEntry]",
    at_ns: int,
    settings: "Settings",
) -> dict[str, Any]:
    """One account whole: its document, who of its lines may attach, and how it came about."""
    lines = [line for contract in account.contracts for line in contract.lines]
    return {
        "schema": SHOW,
        "at_ns": at_ns,
        "version": version,
        "account": _without_secrets(json.loads(documents.to_json(account))),
        "states": {contract.code: contract.state for contract in account.contracts},
        "admissions": {
            line.code: admission(account, line.code, at_ns, settings)._asdict() for line in lines
        },
        "entries": [entry._asdict() for entry in entries],
    }


def _without_secrets(document: dict[str, Any]) -> dict[str, Any]:
    """Even what only stands for a password is nobody's to see."""
    for name in ("password", "address"):
        if name in document:
            document[name] = "..."
    return document


def change(made: "Change", at_ns: int) -> dict[str, Any]:
    """One change: what was done and what followed."""
    return {
        "schema": CHANGE,
        "at_ns": at_ns,
        "mio_id": made.account.mio_id,
        "version": made.version,
        "action": made.action,
        "detail": made.detail,
        "effects": [
            {"effect": type(effect).__name__, "words": str(effect), **dataclasses.asdict(effect)}
            for effect in made.effects
        ],
        "remarks": list(made.remarks),
    }


def changes(made: "Iterable[Change]", at_ns: int, **more: Any) -> dict[str, Any]:
    """Many changes, one for each account."""
    return {
        "schema": CHANGES,
        "at_ns": at_ns,
        **more,
        "changes": [change(each, at_ns) for each in made],
    }
