"""Slices on SQLite: handed out once for a request, made of the contract's coupons in order."""

import json
from collections.abc import Sequence
from operator import itemgetter
from typing import Any, NamedTuple

from engine.errors import PoolError
from engine.pool import sqlite_journal as journal
from engine.pool import sqlite_statements as sql
from engine.pool.bounds import checked_text, checked_time
from engine.pool.refusals import check_repeated
from engine.pool.sqlite_lines import LineRow, Lines
from engine.pool.store import REQUEST_CHARACTERS_MAX, Grant, Request, SliceState
from engine.units import SLICE_BYTES_MAX

NOTHING = Grant(0, 0)

_Left = list[Any]
"""a coupon: when it expires, kind, from when on it is good, key, and the bytes left of it"""
order_of_use = itemgetter(0, 1, 2, 3)
"""C5; "bundle" stands before "topup" in the alphabet, too"""


class _Slice(NamedTuple):
    """A slice that is to be made: for which line, of which (coupon, bytes)."""

    request: Request
    line: LineRow
    parts: list[tuple[int, int]]
    granted_bytes: int


class Grants(Lines):
    """The part of the store that hands out slices."""

    def grant(self, request_id: str, contract: str, line: str, now_ns: int) -> Grant:
        """Hand out the next slice (D1-D3, C5, C6). See `CouponStore.grant`."""
        asked = _checked(Request(request_id, contract, line, now_ns))
        self.require_run()
        with self.atomic:
            rows = self.db.run(sql.FIND_LINE_ASKING, asked.request_id, asked.line)
            if not rows or rows[0][0] is not None:  # a line or a request that is to be looked at
                return self._grant_all([asked])[0]
            row = self._checked_open(line, LineRow(*rows[0][1:]))
            left = [list(c[1:]) for c in self.db.run(sql.COUPONS_LEFT_OF, row.contract_id)]
            left.sort(key=order_of_use)
            return self._hand_out([_next_slice(asked, row, left)])[0]

    def grant_all(self, requests: Sequence[Request]) -> list[Grant]:
        """Hand out many slices; where one is refused, none is. See `CouponStore.grant_all`."""
        asked = [_checked(request) for request in requests]
        self.require_run()
        with self.atomic:
            return self._grant_all(asked)

    def _grant_all(self, asked: list[Request]) -> list[Grant]:
        grants = self._repeated(asked)
        new = list({r.request_id: r for r in asked if r.request_id not in grants}.values())
        if new:
            made = self._hand_out(self._slices(new))
            grants |= zip((request.request_id for request in new), made, strict=True)
        return [grants[request.request_id] for request in asked]

    def _repeated(self, asked: list[Request]) -> dict[str, Grant]:
        """What was granted before, by request; PoolError for one that is now another's (I3, F9)."""
        names = json.dumps([request.request_id for request in asked])
        rows = self.db.run(sql.FIND_REQUESTS, names)
        known = {row[0]: row[1:] for row in rows}
        seen: dict[str, Request] = {}
        for request in asked:
            name, contract, line, _ = request
            first = seen.setdefault(name, request)
            if name in known:
                _, _, run_id, its_line, its_contract, of_this_opening = known[name]
                then, runs = (its_line, its_contract), (run_id, self.run_id)
            elif first is not request:
                then, runs = (first.line, first.contract), (self.run_id, self.run_id)
                of_this_opening = True
            else:
                continue
            check_repeated(name, (line, contract), then, runs, of_this_opening)
        return {name: Grant(*row[:2]) for name, row in known.items()}

    def _slices(self, requests: list[Request]) -> list[_Slice]:
        """What each request gets; PoolError for a line that may not ask. Nothing is written."""
        lines = self.all_opened([request.line for request in requests])
        left = self._coupons_left(list(dict.fromkeys(line.contract_id for line in lines.values())))
        found = ((request, lines[request.line]) for request in requests)
        return [_next_slice(asked, line, left[line.contract_id]) for asked, line in found]

    def _coupons_left(self, contract_ids: list[int]) -> dict[int, list[_Left]]:
        """The contracts' coupons that still hold something, in the order of use (C5)."""
        left: dict[int, list[_Left]] = {contract_id: [] for contract_id in contract_ids}
        for contract_id, *coupon in self.db.run(sql.COUPONS_LEFT, json.dumps(contract_ids)):
            left[contract_id].append(coupon)
        for coupons in left.values():
            coupons.sort(key=order_of_use)
        return left

    def _hand_out(self, slices: list[_Slice]) -> list[Grant]:
        """Book new slices, and open lines that are closed; those without parts are nothing."""
        made = [one for one in slices if one.parts]
        rows = [
            (asked.request_id, line.line_id, self.run_id, "coupon", granted)
            for asked, line, _, granted in made
        ]
        ids = self.db.insert(sql.ADD_SLICES, rows)
        parts, entries = [], []
        for slice_id, (asked, _, taken, _) in zip(ids, made, strict=True):
            for coupon_id, size in taken:
                parts.append((slice_id, coupon_id, size))
                said = (journal.GRANT, asked.contract, asked.line, coupon_id, slice_id, size)
                entries.append((self.run_id, *said, asked.now_ns, asked.request_id))
        self.db.run_many(sql.TAKE, [(size, coupon_id) for _, coupon_id, size in parts])
        self.db.insert(sql.ADD_PARTS, parts)
        self.db.run_many(sql.HOLD, [(one.granted_bytes, 1, one.line.line_id) for one in made])
        self.journal.write_all(entries)
        latest_ns = max((one.request.now_ns for one in made), default=self.journal.now_ns)
        self.journal.now_ns = max(self.journal.now_ns, latest_ns)
        keys = iter(ids)
        return [Grant(next(keys), one.granted_bytes) if one.parts else NOTHING for one in slices]

    def slices(self, line: str) -> list[SliceState]:
        """The line's opening entry and slices, oldest first."""
        return [SliceState(*row) for row in self.db.run(sql.SLICES, checked_text("line", line))]


def _checked(request: Request) -> Request:
    """The same with plain figures; PoolError for a name or a time that cannot be."""
    name, contract, line, now_ns = request
    checked_text("request", name, REQUEST_CHARACTERS_MAX)
    checked_text("line", line)
    return Request(name, contract, line, checked_time("now_ns", now_ns))


def _next_slice(asked: Request, line: LineRow, left: list[_Left]) -> _Slice:
    """Take the slice out of what is left of the contract; PoolError where it is another's."""
    if line.contract != asked.contract:
        raise PoolError(
            f"line {asked.line}: belongs to contract {line.contract}, not to {asked.contract}"
        )
    parts = _take_parts(left, asked.now_ns)
    return _Slice(asked, line, parts, sum(size for _, size in parts))


def _take_parts(left: list[_Left], now_ns: int) -> list[tuple[int, int]]:
    """Take the next slice out of coupons in the order of use: (coupon, bytes) of it (C5, C6, D2, D3)."""
    parts = []
    wanted = SLICE_BYTES_MAX
    for coupon in left:
        until_ns, _, from_ns, coupon_id, held = coupon
        if held and from_ns <= now_ns < until_ns:
            taken = min(held, wanted)
            parts.append((coupon_id, taken))
            coupon[-1] -= taken
            wanted -= taken
            if not wanted:
                break
    return parts
