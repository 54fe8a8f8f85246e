"""An account as the document that the coupon database keeps, and the names under which it is found."""

import json
from collections import Counter

from pydantic import TypeAdapter

from engine.config.faults import dotted, shown, structural
from engine.errors import PoolError
from engine.subscribers import codes
from engine.subscribers.account import Account, Contract, line_names

SCHEMA = "pktoll.account/1"
ADAPTER: TypeAdapter[Account] = TypeAdapter(Account)


def to_json(account: Account) -> str:
    """The document: JSON on one line, keys sorted, what is None left out; the same for equal accounts."""
    document = ADAPTER.dump_python(account, mode="json", exclude_none=True)
    document["schema"] = SCHEMA
    return json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def from_json(text: str) -> Account:
    """The account in a document; PoolError, in one line, for one that is damaged or of another schema."""
    try:
        raw = json.loads(text)
    except (ValueError, RecursionError):
        raise _damaged("it is not JSON") from None
    if not isinstance(raw, dict):
        raise _damaged("it is no table")
    schema = raw.pop("schema", None)
    if schema != SCHEMA:
        raise PoolError(
            f"contract book: a document has the schema {shown(schema)}, and this version reads only"
            f' "{SCHEMA}"; use the version that wrote it'
        )
    account, wrong = structural(ADAPTER, raw)
    if wrong:
        raise _damaged(f"{dotted(wrong[0].path)}: {wrong[0].what}")
    _check(account)
    return account  # type: ignore[no-any-return]


def names(account: Account) -> list[tuple[str, str]]:
    """(kind, name) of all by which the account is found (N6, as in `engine.pool.CouponStore.find_account`).

    Codes stay names for good, so that none is given twice; refused cards too, so that an old one is
    found and refused (L2, L3). A removed line gives its IMSI, telephone number and card back.
    """
    found: list[tuple[str, str]] = [*codes.of(account)]
    for contract in account.contracts:
        for line in contract.lines:
            found += line_names(line)
    return list(dict.fromkeys(found))


def _damaged(what: str) -> PoolError:
    return PoolError(
        f"contract book: a document is damaged: {what}; restore the database from a copy of it"
    )


def _check(account: Account) -> None:
    """What no change of the book can lead to: one name twice, a live line in an ended contract."""
    found: Counter[tuple[str, str]] = Counter(codes.of(account))
    for contract in account.contracts:
        _check_contract(contract)
        for line in contract.lines:
            found.update(line_names(line))
    twice = [name for (_, name), count in found.items() if count > 1]
    if twice:
        raise _damaged(f"{twice[0]} is there twice")


def _check_contract(contract: Contract) -> None:
    if contract.ended_ns is not None and contract.live_lines:
        raise _damaged(f"contract {contract.code} has ended, and a line of it has not")
