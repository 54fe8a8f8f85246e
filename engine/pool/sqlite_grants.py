"""Slices on SQLite: handed out once for a request, made of the contract's coupons in order."""

from collections.abc import Sequence
from operator import itemgetter
from typing import NamedTuple

from engine.errors import PoolError
from engine.pool import sqlite_journal as journal
from engine.pool import sqlite_statements as sql
from engine.pool.bounds import are_plain, are_times, checked_text, checked_time
from engine.pool.refusals import check_repeated
from engine.pool.sqlite import Row, keys, texts
from engine.pool.sqlite_fresh import Coupon, Line, new_line
from engine.pool.sqlite_lines import Lines
from engine.pool.store import REQUEST_CHARACTERS_MAX, Grant, Request, SliceState
from engine.units import SLICE_BYTES_MAX

NOTHING = Grant(0, 0)

_NOT_OPENED = (0, 0, "", 0, None)
"""what `FIND_ASKING` would have of a line that is not known: it was opened in no run"""
order_of_use = itemgetter(0, 1, 2, 3)
"""C5; "bundle" stands before "topup" in the alphabet, too"""


_Part = tuple[int, int]
"""coupon and bytes of it that a slice is made of"""


class _Found(NamedTuple):
    """Lines and coupons of the tables that are granted from, and what of them is to be changed.

    Of a line, as in `Fresh`, but the bytes are those granted to it now. Of a coupon: when it expires, kind,
    from when on it is good, key, bytes left, and bytes left before. As in `Fresh`, so far.
    """

    lines: dict[str, Line]
    coupons: list[Coupon]


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
            _, line_id, contract_id, owner, run_id, removed_ns = rows[0]
            self.check_open(line, run_id, removed_ns)
            asking = new_line(line_id, contract_id, owner)
            _check_owners([asked], [asking])
            left = [[*row, row[-1]] for row in self.db.run(sql.COUPONS_LEFT_OF, contract_id)]
            left.sort(key=order_of_use)
            found = _Found({line: asking}, left)
            return self._hand_out([asked], [asking], [_take_parts(left, asked.now_ns)], found)[0]

    def grant_all(self, requests: Sequence[Request]) -> list[Grant]:
        """Hand out many slices; where one is refused, none is. See `CouponStore.grant_all`."""
        asked = _all_checked(requests)
        self.require_run()
        with self.atomic:
            return self._grant_all(asked)

    def _grant_all(self, asked: Sequence[Request]) -> list[Grant]:
        names = [request[0] for request in asked]
        if self.fresh.has_requests(names):
            self.fresh.put_down()
        rows = [] if self.fresh.alone else self.db.look(sql.FIND_REQUESTS, texts(names))
        if not rows and len(set(names)) == len(names):
            return self._grant_new(asked)
        grants = self._repeated(asked, rows)
        new = list({r.request_id: r for r in asked if r.request_id not in grants}.values())
        made = self._grant_new(new)
        grants |= zip((request.request_id for request in new), made, strict=True)
        return [grants[name] for name in names]

    def _repeated(self, asked: Sequence[Request], rows: list[Row]) -> dict[str, Grant]:
        """What was granted before, by request; PoolError for one that is now another's (I3, F9)."""
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

    def _grant_new(self, asked: Sequence[Request]) -> list[Grant]:
        """Hand out slices that were not asked for before; PoolError for a line that may not ask."""
        found = _Found(self._asking([request[2] for request in asked]), [])
        fresh = self.fresh.lines
        lines = [fresh.get(request[2]) or found.lines[request[2]] for request in asked]
        _check_owners(asked, lines)
        left = self._coupons_left(lines, found.coupons)
        slices = [_take_parts(left[request[1]], request[3]) for request in asked]
        return self._hand_out(asked, lines, slices, found)

    def _asking(self, codes: list[str]) -> dict[str, Line]:
        """Those of the lines that are in the table; PoolError where one may not ask."""
        fresh = self.fresh.lines
        others = [code for code in dict.fromkeys(codes) if code not in fresh]
        rows = self.db.look(sql.FIND_ASKING, texts(others)) if others else []
        known = {code: row for code, *row in rows}
        found = {}
        for code in others:
            line_id, contract_id, contract, run_id, removed_ns = known.get(code, _NOT_OPENED)
            self.check_open(code, run_id, removed_ns)
            found[code] = new_line(line_id, contract_id, contract)
        return found

    def _coupons_left(self, lines: list[Line], found: list[Coupon]) -> dict[str, list[Coupon]]:
        """What the lines' contracts have, in the order of use (C5); those of the table are also `found`."""
        new, coupons_of = self.fresh.contracts, self.fresh.coupons_of
        left = {line[2]: coupons_of(line[2]) for line in lines}
        others = {line[1]: line[2] for line in lines if line[2] not in new}
        if others:
            left |= {contract: [*left[contract]] for contract in others.values()}
            for key, *coupon in self.db.look(sql.COUPONS_LEFT, keys(others)):
                found.append([*coupon, coupon[-1]])
                left[others[key]].append(found[-1])
        for coupons in left.values():
            if len(coupons) > 1:
                coupons.sort(key=order_of_use)
        return left

    def _hand_out(
        self,
        asked: Sequence[Request],
        lines: list[Line],
        slices: list[list[_Part]],
        found: _Found,
    ) -> list[Grant]:
        """Book new slices, and open lines that are closed; those without parts are nothing."""
        rows = []
        for request, line, taken in zip(asked, lines, slices, strict=True):
            if taken:
                granted = taken[0][1] if len(taken) == 1 else sum([size for _, size in taken])
                line[3] += granted
                line[6] = 1
                rows.append((request[0], line, granted))
        ids = self._add_slices(rows, found)
        parts = self._note_parts(asked, slices, ids.start)
        if found.lines:
            self.db.insert(sql.ADD_PARTS, parts)
        else:
            self.fresh.add_parts(parts)
        takes = [(was - left, key) for *_, key, left, was in found.coupons if left < was]
        self.db.update(sql.TAKE, takes)
        holds = [(granted, 1, key) for key, _, _, granted, *_ in found.lines.values() if granted]
        self.db.update(sql.HOLD, holds)
        made = map(Grant, ids, [row[-1] for row in rows])
        return [next(made) if taken else NOTHING for taken in slices]

    def _add_slices(self, rows: list[tuple[str, Line, int]], found: _Found) -> range:
        """Enter slices of (request, line, bytes); returns their keys.

        Where a line is in its table, it is changed at once, for which all else is put down anyhow.
        """
        if not found.lines:
            return self.fresh.add_slices(rows, self.run_id)
        run_id = self.run_id
        made = [(None, name, line[0], run_id, "coupon", size, 0) for name, line, size in rows]
        return self.db.insert(sql.ADD_SLICES, made)

    def _note_parts(
        self, asked: Sequence[Request], slices: list[list[_Part]], slice_id: int
    ) -> list[tuple[int, int, int]]:
        """Tell the journal what each slice is made of, their keys are counted from `slice_id` on; returns
        (slice, coupon, bytes) of all."""
        parts, said, latest_ns = [], [], self.journal.now_ns
        for (name, contract, line, now_ns), taken in zip(asked, slices, strict=True):
            if taken:
                for key, size in taken:
                    parts.append((slice_id, key, size))
                    said.append((contract, line, key, slice_id, size, now_ns, name))
                slice_id += 1
                if now_ns > latest_ns:
                    latest_ns = now_ns
        self.journal.add(journal.grant_entries(self.run_id, said))
        self.journal.now_ns = latest_ns
        return parts

    def slices(self, line: str) -> list[SliceState]:
        """The line's opening entry and slices, oldest first."""
        return [SliceState(*row) for row in self.db.run(sql.SLICES, checked_text("line", line))]


def _checked(request: Request) -> Request:
    """The same with plain figures; PoolError for a name or a time that cannot be."""
    name, contract, line, now_ns = request
    checked_text("request", name, REQUEST_CHARACTERS_MAX)
    checked_text("line", line)
    return Request(name, contract, line, checked_time("now_ns", now_ns))


def _all_checked(requests: Sequence[Request]) -> Sequence[Request]:
    """`_checked` of each, in bulk where there is nothing to find."""
    if requests:
        names, _, lines, times = zip(*requests, strict=True)
        if are_plain(names, REQUEST_CHARACTERS_MAX) and are_plain(lines) and are_times(times):
            return requests
    return [_checked(request) for request in requests]


def _check_owners(asked: Sequence[Request], lines: list[Line]) -> None:
    """PoolError where a line is another contract's."""
    for request, line in zip(asked, lines, strict=True):
        if line[2] != request[1]:
            raise PoolError(
                f"line {request[2]}: belongs to contract {line[2]}, not to {request[1]}"
            )


def _take_parts(left: list[Coupon], now_ns: int) -> list[_Part]:
    """Take the next slice out of coupons in the order of use: (coupon, bytes) of it (C5, C6, D2, D3)."""
    parts = []
    wanted = SLICE_BYTES_MAX
    for coupon in left:
        held = coupon[4]
        if held and coupon[2] <= now_ns < coupon[0]:
            taken = held if held < wanted else wanted
            parts.append((coupon[3], taken))
            coupon[4] = held - taken
            wanted -= taken
            if not wanted:
                break
    return parts
