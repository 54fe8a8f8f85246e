"""Slices on PostgreSQL: one statement each, handed out once for a request."""

from collections.abc import Sequence

from engine.errors import PoolError
from engine.pool import postgres_statements as sql
from engine.pool.bounds import checked_text, checked_time
from engine.pool.postgres import Row
from engine.pool.postgres_session import Session
from engine.pool.refusals import check_repeated, removed
from engine.pool.store import REQUEST_CHARACTERS_MAX, Grant, Request, SliceState
from engine.units import SLICE_BYTES_MAX

NOTHING = Grant(0, 0)


class Grants(Session):
    """The part of the store that hands out slices."""

    def grant(self, request_id: str, contract: str, line: str, now_ns: int) -> Grant:
        """Hand out the next slice (D1-D3, C5, C6). See `CouponStore.grant`."""
        said: dict[str, object] = {
            "request": checked_text("request", request_id, REQUEST_CHARACTERS_MAX),
            "contract": contract,
            "line": checked_text("line", line),
            "now_ns": checked_time("now_ns", now_ns),
            "slice_max": SLICE_BYTES_MAX,
            "slice": None,
            "run": self.run_id,
        }
        self.require_run()
        grant = self.call(lambda again: self._grant(said))
        self.now_ns = max(self.now_ns, now_ns)
        return grant

    def grant_all(self, requests: Sequence[Request]) -> list[Grant]:
        """Hand out many slices, one statement each. See `CouponStore.grant_all`."""
        return [self.grant(*request) for request in requests]

    def _grant(self, said: dict[str, object]) -> Grant:
        row = self.db.run(sql.GRANT, said)[0]
        if self._is_stale(row):
            # Another gateway was at the contract: wait for its row, and look at the coupons after that.
            with self.db.transaction():
                self.db.run(sql.LOCK_CONTRACT, said)
                row = self.db.run(sql.GRANT, said)[0]
        grant = self._answer(said, row)
        if grant.slice_id:
            # Should it have to be said again, then under the number that was told.
            said["slice"] = grant.slice_id
        return grant

    def _is_stale(self, row: Row) -> bool:
        """Whether the contract changed while its row was waited for; then nothing was done."""
        is_on, _, _, known, *_ = row
        return bool(is_on) and known is None and row[9] is False

    def _answer(self, said: dict[str, object], row: Row) -> Grant:
        is_on, line_run, owner, known_id, known_bytes, *known = row[:9]
        line, contract = said["line"], said["contract"]
        if not is_on:
            self.fenced()
        if known_id is not None:
            run_id, known_line, known_contract, of_this_opening = known
            names = known_line, known_contract
            runs = run_id, self.run_id
            check_repeated(said["request"], (line, contract), names, runs, of_this_opening)
            return Grant(known_id, known_bytes)
        if line_run != self.run_id:
            raise PoolError(f"line {line}: not opened in this run; call open_line first")
        if owner != contract:
            raise PoolError(f"line {line}: belongs to contract {owner}, not to {contract}")
        if row[12] is not None:
            raise removed(str(line))
        return NOTHING if row[10] is None else Grant(row[10], row[11])

    def slices(self, line: str) -> list[SliceState]:
        """The line's opening entry and slices, oldest first."""
        said = {"line": checked_text("line", line)}
        return [SliceState(*r) for r in self.read(lambda again: self.db.run(sql.SLICES, said))]
