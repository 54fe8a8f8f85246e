"""Slices on SQLite: handed out once for a request, made of the contract's coupons in order."""

from engine.errors import PoolError
from engine.pool import sqlite_journal as journal
from engine.pool import sqlite_statements as sql
from engine.pool.bounds import checked_text, checked_time
from engine.pool.refusals import check_repeated
from engine.pool.sqlite import Row
from engine.pool.sqlite_lines import LineRow, Lines
from engine.pool.store import REQUEST_CHARACTERS_MAX, Grant, SliceState
from engine.units import SLICE_BYTES_MAX

NOTHING = Grant(0, 0)


class Grants(Lines):
    """The part of the store that hands out slices."""

    def grant(self, request_id: str, contract: str, line: str, now_ns: int) -> Grant:
        """Hand out the next slice (D1-D3, C5, C6). See `CouponStore.grant`."""
        checked_text("request", request_id, REQUEST_CHARACTERS_MAX)
        checked_text("line", line)
        now_ns = checked_time("now_ns", now_ns)
        self.require_run()
        with self.atomic:
            known = self.db.run(sql.FIND_REQUEST, request_id)
            if known:
                return self._repeated(request_id, (line, contract), known[0])
            row = self.opened(line)
            if row.contract != contract:
                raise PoolError(
                    f"line {line}: belongs to contract {row.contract}, not to {contract}"
                )
            parts = self._parts(row.contract_id, now_ns)
            if not parts:
                return NOTHING
            return self._hand_out(request_id, row, parts, now_ns)

    def _hand_out(
        self, request_id: str, row: LineRow, parts: list[tuple[int, int]], now_ns: int
    ) -> Grant:
        """Book a new slice made of `parts` for the line, and open the line if it is not."""
        granted = sum(taken for _, taken in parts)
        self.db.run(sql.ADD_SLICE, request_id, row.line_id, self.run_id, granted)
        slice_id = self.db.last_id()
        for coupon_id, taken in parts:
            self.db.run(sql.TAKE, taken, coupon_id)
            self.db.run(sql.ADD_PART, slice_id, coupon_id, taken)
            self.journal.write(
                journal.GRANT,
                row.contract,
                taken,
                now_ns,
                line=row.code,
                coupon_id=coupon_id,
                slice_id=slice_id,
                detail=request_id,
            )
        self.db.run(sql.HOLD, granted, 1, row.line_id)
        self.journal.now_ns = max(self.journal.now_ns, now_ns)
        return Grant(slice_id, granted)

    def _repeated(self, request_id: str, asked: tuple[str, str], known: Row) -> Grant:
        """The answer to a request that was granted before (I3, F9)."""
        slice_id, granted, run_id, line, contract, of_this_opening = known
        runs = run_id, self.run_id
        check_repeated(request_id, asked, (line, contract), runs, of_this_opening)
        return Grant(slice_id, granted)

    def _parts(self, contract_id: int, now_ns: int) -> list[tuple[int, int]]:
        """(coupon, bytes) of the next slice, in the order of use (C5, D2, D3)."""
        parts = []
        wanted = SLICE_BYTES_MAX
        for coupon_id, left in self.db.rows(sql.GOOD_COUPONS, contract_id, now_ns, now_ns):
            taken = min(left, wanted)
            parts.append((coupon_id, taken))
            wanted -= taken
            if not wanted:
                break
        return parts

    def slices(self, line: str) -> list[SliceState]:
        """The line's opening entry and slices, oldest first."""
        return [SliceState(*row) for row in self.db.run(sql.SLICES, checked_text("line", line))]
