"""Coupons, lines and slices that the open transaction has entered and that are not in their tables yet.

A new SIM is credited, opened and given its first slice within one transaction, and where the database ends
with the process, settled in it. Its rows are written once all of that is known: a row that is added and
changed at once would cost twice. Their keys are given here, as the tables would have given them. Whatever
else is asked of the database has them put down before.
"""

from collections.abc import Collection, Iterable, Sequence
from typing import Any

from engine.pool import sqlite_statements as sql
from engine.pool.sqlite import Database
from engine.pool.store import ContractBalance, Credit

_ROWS_KEPT = 1 << 15
"""coupons, or lines, or slices, that may be unwritten: some 20 MB"""

Coupon = list[Any]
"""when it expires, kind, from when on it is good, key, bytes left; bytes credited, name, contract"""
Line = list[Any]
"""key, key of the contract, code of the contract, bytes on the SIM; run, bytes reported, whether open; its
slices that are here"""
Slice = list[Any]
"""key, request, key of the line, run, bytes granted, bytes used"""


def new_line(
    key: int, contract_id: int, contract: str, held_bytes: int = 0, run_id: int = 0
) -> Line:
    """A line that is open in a run, and of which nothing is reported."""
    return [key, contract_id, contract, held_bytes, run_id, 0, 1, []]


class Fresh:
    """What is unwritten of one transaction, all of it by code or name. Its rows may be changed in place."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self.contracts: dict[str, int] = {}
        """keys of contracts that are new: all their coupons are among those here"""
        self.lines: dict[str, Line] = {}
        self.requests: dict[str, Slice] = {}
        self.alone = False
        """whether there is nothing in the tables but contracts that are new, so that nobody need look"""
        self._coupons: dict[str, Coupon] = {}
        self._of_contract: dict[str, list[Coupon]] = {}
        self._parts: list[tuple[int, int, int]] = []
        self._next_coupon_id = self._next_line_id = self._next_slice_id = 0

    def has_coupons(self, names: Collection[str], contracts: Collection[str]) -> bool:
        """Whether a coupon of one of those names, or of one of those contracts, is here."""
        return bool(self._coupons) and not (
            self._coupons.keys().isdisjoint(names)
            and self._of_contract.keys().isdisjoint(contracts)
        )

    def has_lines(self, codes: Collection[str]) -> bool:
        """Whether one of those lines is here."""
        return bool(self.lines) and not self.lines.keys().isdisjoint(codes)

    def has_requests(self, names: Collection[str]) -> bool:
        """Whether a slice for one of those requests is here."""
        return bool(self.requests) and not self.requests.keys().isdisjoint(names)

    def add_contracts(self, ids: dict[str, int]) -> None:
        """Contracts that have just been entered in their table, by code."""
        if not self.contracts and ids:  # none was there before, and so nothing that is of one
            self.alone = min(ids.values()) == 1
        self.contracts |= ids

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
            self.lines[line] = new_line(key, contract_ids[contract], contract, balance, run_id)
        self._next_line_id += len(openings)
        return range(first, self._next_line_id)

    def add_slices(self, rows: Sequence[tuple[str, Line, int]], run_id: int) -> range:
        """Enter slices of (request, line, bytes), granted by coupons in a run; returns their keys."""
        if len(self.requests) >= _ROWS_KEPT:
            self.put_down()
        if not self.requests:
            self._next_slice_id = self._db.look(sql.LAST_SLICE)[0][0] + 1
        first = self._next_slice_id
        for key, (request, line, size) in enumerate(rows, first):
            self.requests[request] = made = [key, request, line[0], run_id, size, 0]
            line[7].append(made)
        self._next_slice_id += len(rows)
        return range(first, self._next_slice_id)

    def add_parts(self, parts: Iterable[tuple[int, int, int]]) -> None:
        """What the slices are made of: (slice, coupon, bytes)."""
        self._parts += parts

    def settling(self, codes: Iterable[str]) -> list[tuple[Any, ...]]:
        """What `FIND_SETTLING` would find of lines that are here, in their order."""
        found = []
        for code in codes:
            key, _, contract, held, run_id, reported, is_open, _ = self.lines[code]
            found.append((code, key, contract, run_id, is_open, held, reported, 0))
        return found

    def use(self, more: Iterable[tuple[int, str, str, int]]) -> list[tuple[str, str, int, int]]:
        """Book so many bytes of lines that are here, and hold them, as used, the oldest of each first.

        `more` is of (key, line, contract, bytes); returns (contract, line, slice, bytes).
        """
        used = []
        for _, line, contract, amount in more:
            for made in self.lines[line][7]:
                left = made[4] - made[5]
                taken = left if left < amount else amount
                if taken:
                    made[5] += taken
                    used.append((contract, line, made[0], taken))
                    amount -= taken
        return used

    def report(self, booked: Iterable[tuple[int, int, int]]) -> None:
        """What `REPORT` would do, of lines that are here: (bytes reported, whether it is open, key)."""
        by_key = {line[0]: line for line in self.lines.values()}
        for reported, is_open, key in booked:
            line = by_key[key]
            line[5], line[6] = reported, is_open

    def coupons_of(self, contract: str) -> list[Coupon]:
        """The contract's coupons that are here."""
        return self._of_contract.get(contract, [])

    def balances(self) -> list[ContractBalance]:
        """Every contract with its coupons summed up, in the order of the codes; only while `alone`."""
        found = []
        for contract in sorted(self.contracts):
            credited = left = 0
            for coupon in self._of_contract.get(contract, ()):
                left += coupon[4]
                credited += coupon[5]
            found.append(ContractBalance(contract, credited, left, credited - left, 0))
        return found

    def put_down(self) -> None:
        """Write all of it as it stands now; where that fails, the transaction is taken back."""
        if not (self.contracts or self._coupons or self.lines or self.requests):
            return
        coupons = [
            (key, name, contract_id, kind, from_ns, until_ns, credited, left, credited - left, None)
            for until_ns, kind, from_ns, key, left, credited, name, contract_id in (
                self._coupons.values()
            )
        ]
        lines = [
            (key, code, contract_id, run_id, held, reported, is_open)
            for code, (key, contract_id, _, held, run_id, reported, is_open, _) in (
                self.lines.items()
            )
        ]
        slices = [
            (key, request, line_id, run_id, "coupon", granted, used)
            for key, request, line_id, run_id, granted, used in self.requests.values()
        ]
        parts = self._parts
        self.forget()
        try:
            self._db.insert(sql.ADD_COUPONS, coupons, ahead=True)
            self._db.insert(sql.ADD_LINES, lines, ahead=True)
            self._db.insert(sql.ADD_SLICES, slices, ahead=True)
            self._db.insert(sql.ADD_PARTS, parts, ahead=True)
        except BaseException:
            self._db.rollback()
            raise

    def forget(self) -> None:
        """A transaction begins: whatever is here was of one that was taken back."""
        self.contracts, self.lines, self.requests = {}, {}, {}
        self._coupons, self._of_contract, self._parts = {}, {}, []
        self.alone = False
