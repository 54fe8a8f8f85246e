"""Who is meant by a name: contracts and lines by code, and lines by IMSI, ICCID or telephone number.

The contract book knows all of these names; without it, codes are looked up in the coupons' own tables.
"""

from typing import TYPE_CHECKING, NamedTuple

from engine.errors import PktollError
from engine.pool.bounds import checked_text
from engine.pool.store import LineBalance
from engine.subscribers import account as accounts
from engine.subscribers import documents

if TYPE_CHECKING:
    from engine.pool import CouponStore

KINDS = ("contract", "line", "iccid", "imsi", "msisdn")
"""kinds of names, in the order in which they are tried"""


class Target(NamedTuple):
    """A contract, or one line of it."""

    contract: str
    line: str | None = None


class Known(NamedTuple):
    """What the contract book has of a line; None: nothing."""

    iccid: str | None = None
    imsi: str | None = None
    msisdn: str | None = None


class Names:
    """Looks names up; what was found is kept for the next question."""

    def __init__(self, store: "CouponStore") -> None:
        self._store = store
        self._lines: dict[str, Known] = {}

    def find(self, name: str) -> Target:
        """The contract or line of that name; PktollError where there is none, or it can be no name."""
        checked_text("name", name)
        booked = self._booked(name)
        if booked is not None:
            contract, line = booked
            return Target(contract.code, line.code if line else None)
        if self._has_contract(name):
            return Target(name)
        for balance in self._store.lines():
            if balance.code == name:
                return Target(balance.contract, name)
        raise PktollError(
            f"{name!r}: no contract has this code, and no line this code, IMSI, ICCID or number; "
            "see: pktoll pool balance"
        )

    def contract(self, name: str) -> str:
        """The code of a contract that is named by its code; PktollError for a line's name."""
        found = self.find(name)
        if found.line is not None:
            raise PktollError(f"{name!r} is a line; its contract is {found.contract}")
        return found.contract

    def ends_ns(self, contract: str) -> int | None:
        """When the contract ended, or will (A4); None: not as far as the book knows."""
        booked = self._booked(contract)
        if booked is None:
            return None
        found = booked[0]
        if found.ended_ns is None and found.cancellation is not None:
            return found.cancellation.effective_ns
        return found.ended_ns

    def line(self, name: str) -> LineBalance:
        """The line of that name as the coupon database has it; PktollError where it has not."""
        found = self.find(name)
        if found.line is None:
            raise PktollError(f"{name!r} is a contract; name one of its lines")
        for balance in self._store.lines(found.contract):
            if balance.code == found.line:
                return balance
        raise PktollError(
            f"line {found.line}: the coupon database does not have it: its contract is not in use "
            "yet, or it was removed; see: pktoll subscribers show " + found.line
        )

    def of_line(self, code: str) -> Known:
        """The names of a line."""
        if code not in self._lines:
            self._lines[code] = Known()
            stored = self._store.find_account("line", code)
            if stored is not None:
                for contract in documents.from_json(stored.document).contracts:
                    for line in contract.lines:
                        self._lines[line.code] = Known(line.iccid, line.imsi, line.msisdn)
        return self._lines[code]

    def _booked(self, name: str) -> "tuple[accounts.Contract, accounts.Line | None] | None":
        for kind in KINDS:
            stored = self._store.find_account(kind, name)
            if stored is not None:
                contract, line = accounts.resolve(documents.from_json(stored.document), name)
                if contract is not None:
                    return contract, line
        return None

    def _has_contract(self, code: str) -> bool:
        """Whether the coupons' tables have the contract; its code may be all that they have."""
        if self._store.coupons(code) or self._store.lines(code):
            return True
        return any(contract.code == code for contract in self._store.contracts())
