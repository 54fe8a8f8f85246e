"""Coupons and lines that the open transaction has entered and that are not in their tables yet.

A new SIM is credited, opened and given its first slice within one transaction. Its rows are written once
all of that is known: a row that is added and changed at once would cost twice. Their keys are given here,
as the tables would have given them. Whatever else is asked of the database has them put down before.
"""

from collections.abc import Collection, Sequence
from typing import Any

from engine.pool import sqlite_statements as sql
from engine.pool.sqlite import Database
from engine.pool.store import Credit

_ROWS_KEPT = 4096
"""coupons, or lines, that may be unwritten"""

Coupon = list[Any]
"""when it expires, kind, from when on it is good, key, bytes left; bytes credited, name, contract"""
Line = list[Any]
"""key, key of the contract, code of the contract, bytes on the SIM; run"""


class Fresh:
    """What is unwritten of one transaction, all of it by code or name. Its rows may be changed in place."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self.contracts: dict[str, int] = {}
        """keys of contracts that are new: all their coupons are among those here"""
        self.lines: dict[str, Line] = {}
        self._coupons: dict[str, Coupon] = {}
        self._of_contract: dict[str, list[Coupon]] = {}
        self._next_coupon_id = self._next_line_id = 0

    def has_coupons(self, names: Collection[str], contracts: Collection[str]) -> bool:
        """Whether a coupon of one of those names, or of one of those contracts, is here."""
        return bool(self._coupons) and not (
            self._coupons.keys().isdisjoint(names)
            and self._of_contract.keys().isdisjoint(contracts)
        )

    def has_lines(self, codes: Collection[str]) -> bool:
        """Whether one of those lines is here."""
        return bool(self.lines) and not self.lines.keys().isdisjoint(codes)

    def add_coupons(self, credits: Sequence[Credit], contract_ids: dict[str, int]) -> range:
        """Enter new coupons of contracts that are known; returns the keys that they get."""
        if len(self._coupons) >= _ROWS_KEPT:
            self.put_down()
        if not self._coupons:
            self._next_coupon_id = self._db.look(sql.LAST_COUPON)[0][0] + 1
        first, of_contract = self._next_coupon_id, self._of_contract
        for key, (name, contract, kind, amount, from_ns, until_ns) in enumerate(credits, first):
            coupon = [until_ns, kind, from_ns, key, amount, amount, name, contract_ids[contract]]
            self._coupons[name] = coupon
            if contract in of_contract:
                of_contract[contract].append(coupon)
            else:
                of_contract[contract] = [coupon]
        self._next_coupon_id += len(credits)
        return range(first, self._next_coupon_id)

    def add_lines(
        self, openings: Sequence[tuple[str, str, int]], contract_ids: dict[str, int], run_id: int
    ) -> range:
        """Enter new lines of (contract, line, bytes on the SIM), open in a run; returns their keys."""
        if len(self.lines) >= _ROWS_KEPT:
            self.put_down()
        if not self.lines:
            self._next_line_id = self._db.look(sql.LAST_LINE)[0][0] + 1
        first = self._next_line_id
        for key, (contract, line, balance) in enumerate(openings, first):
            self.lines[line] = [key, contract_ids[contract], contract, balance, run_id]
        self._next_line_id += len(openings)
        return range(first, self._next_line_id)

    def coupons_of(self, contract: str) -> list[Coupon]:
        """The contract's coupons that are here."""
        return self._of_contract.get(contract, [])

    def put_down(self) -> None:
        """Write all of it as it stands now; where that fails, the transaction is taken back."""
        if not self._coupons and not self.lines:
            return
        coupons = [
            (key, name, contract_id, kind, from_ns, until_ns, credited, left, credited - left, None)
            for until_ns, kind, from_ns, key, left, credited, name, contract_id in (
                self._coupons.values()
            )
        ]
        lines = [
            (key, code, contract_id, run_id, held, 1)
            for code, (key, contract_id, _, held, run_id) in self.lines.items()
        ]
        self.forget()
        try:
            self._db.insert(sql.ADD_COUPONS, coupons, ahead=True)
            self._db.insert(sql.ADD_LINES, lines, ahead=True)
        except BaseException:
            self._db.rollback()
            raise

    def forget(self) -> None:
        """A transaction begins: whatever is here was of one that was taken back."""
        self.contracts, self.lines, self._coupons, self._of_contract = {}, {}, {}, {}
