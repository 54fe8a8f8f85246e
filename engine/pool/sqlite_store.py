"""The coupon store on SQLite: the statements behind `engine.pool.store.CouponStore`."""

import operator
from types import TracebackType

from engine.errors import PktollError, PoolError
from engine.pool import sqlite_audit, sqlite_run
from engine.pool import sqlite_journal as journal
from engine.pool import sqlite_statements as sql
from engine.pool.sqlite import Database, Row
from engine.pool.store import (
    BYTES_MAX,
    CODE_CHARACTERS_MAX,
    KINDS,
    REQUEST_CHARACTERS_MAX,
    ContractBalance,
    CouponBalance,
    Grant,
    SliceState,
)
from engine.units import SLICE_BYTES_MAX

NOTHING = Grant(0, 0)
_TIME_LIMIT = 1 << 63


def _text(what: str, text: str, characters_max: int = CODE_CHARACTERS_MAX) -> str:
    """A name fit for messages and for any database: no control or invisible characters."""
    if not 1 <= len(text) <= characters_max or not text.isprintable():
        raise PoolError(f"{what} {text[:80]!r}: must be 1 to {characters_max} printable characters")
    return text


def _bytes(what: str, amount: int, least: int = 0) -> int:
    """An amount as a plain int (numpy's are taken as well) within bounds that no sum overflows."""
    number = operator.index(amount)
    if not least <= number <= BYTES_MAX:
        raise PoolError(f"{what} {number}: must be {least} to {BYTES_MAX} bytes")
    return number


def _time(what: str, ns: int) -> int:
    """An instant as a plain int that fits in int64."""
    number = operator.index(ns)
    if not -_TIME_LIMIT <= number < _TIME_LIMIT:
        raise PoolError(f"{what} {number}: must be ns since 1970 that fit in 64 bits")
    return number


class _Atomic:
    """One call: a transaction of its own, or a part of the caller's group.

    In a group, a refusal (raised before anything was written) leaves the group as it was; anything
    else, an interrupt for one, takes the whole group back, because the call may be half done.
    """

    def __init__(self, db: Database) -> None:
        self._db = db
        self._alone = False

    def __enter__(self) -> None:
        self._alone = not self._db.in_transaction
        if self._alone:
            self._db.begin()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if kind is None:
            if self._alone:
                self._db.commit()
        elif self._alone or not issubclass(kind, PktollError):
            self._db.rollback()


class SqliteStore:
    """A `CouponStore` in a SQLite file, or in memory when `path` is None."""

    def __init__(self, path: str | None) -> None:
        self._db = Database(path)
        self._atomic = _Atomic(self._db)
        self._closed = False
        try:
            self.run_id, self._journal, self.recovered = sqlite_run.start(self._db)
        except PoolError:
            self._db.close()
            raise

    def begin(self) -> None:
        """Open a group of calls that become durable together."""
        if self._db.in_transaction:
            raise PoolError(f"{self._db.where}: a group is open already; commit it first")
        self._db.begin()

    def commit(self) -> None:
        """Make the group durable; returns when it is."""
        if not self._db.in_transaction:
            raise PoolError(f"{self._db.where}: no group is open; nothing of it was kept")
        self._db.commit()

    def rollback(self) -> None:
        """Take the open group back, if there is one."""
        self._db.rollback()

    def credit(
        self,
        credit_id: str,
        contract: str,
        kind: str,
        credited_bytes: int,
        credited_ns: int,
        expires_ns: int,
    ) -> bool:
        """Add a coupon once (C1-C5); False when it was there. See `CouponStore.credit`."""
        _text("credit", credit_id, REQUEST_CHARACTERS_MAX)
        _text("contract", contract)
        if kind not in KINDS:
            raise PoolError(f"credit {credit_id}: kind {kind!r} must be one of {', '.join(KINDS)}")
        amount = _bytes(f"credit {credit_id}:", credited_bytes, 1)
        from_ns = _time("credited_ns", credited_ns)
        until_ns = _time("expires_ns", expires_ns)
        with self._atomic:
            known = self._db.run(sql.FIND_CREDIT, credit_id)
            if known:
                if known[0] != (contract, kind, amount, from_ns, until_ns):
                    raise PoolError(
                        f"{self._db.where}: credit {credit_id}: known already with other figures; use the"
                        " subscriber file that filled this database, or another database"
                    )
                return False
            self._add_coupon(credit_id, contract, kind, amount, (from_ns, until_ns))
        return True

    def _add_coupon(
        self, credit_id: str, contract: str, kind: str, amount: int, good_ns: tuple[int, int]
    ) -> None:
        from_ns, until_ns = good_ns
        contract_id = self._db.value(sql.FIND_CONTRACT, contract)
        if contract_id is not None:
            total = self._db.value(sql.CREDITED, contract_id) + amount
            _bytes(f"credit {credit_id}: contract {contract} would have", total)
        contract_id = contract_id or self._add_contract(contract)
        self._db.run(sql.ADD_COUPON, credit_id, contract_id, kind, from_ns, until_ns, amount)
        detail = journal.credit_detail(kind, until_ns, credit_id)
        coupon_id = self._db.last_id()
        self._journal.write(
            journal.CREDIT, contract, amount, from_ns, coupon_id=coupon_id, detail=detail
        )

    def _add_contract(self, contract: str) -> int:
        self._db.run(sql.ADD_CONTRACT, contract)
        return self._db.last_id()

    def open_line(self, contract: str, line: str, initial_balance_bytes: int) -> int:
        """Open a line for this run; returns its balance in bytes. See `CouponStore.open_line`."""
        _text("contract", contract)
        _text("line", line)
        opening = _bytes(f"line {line}: balance", initial_balance_bytes)
        with self._atomic:
            known = self._db.run(sql.FIND_LINE, line)
            if not known:
                self._add_line(contract, line, opening)
                return opening
            line_id, _, owner, run_id, is_open, reported = known[0]
            if owner != contract:
                raise PoolError(f"line {line}: belongs to contract {owner}, not to {contract}")
            if run_id != self.run_id:
                self._db.run(sql.OPEN_LINE, self.run_id, 0, line_id)
                self._journal.write(journal.OPEN, contract, 0, line=line)
            elif not is_open:
                self._db.run(sql.OPEN_LINE, run_id, reported, line_id)
            return sum(left for _, left in self._db.run(sql.HELD, line_id))

    def _add_line(self, contract: str, line: str, opening: int) -> None:
        contract_id = self._db.value(sql.FIND_CONTRACT, contract) or self._add_contract(contract)
        self._db.run(sql.ADD_LINE, line, contract_id, self.run_id)
        slice_id = None
        if opening:
            self._db.run(sql.ADD_OPENING, self._db.last_id(), self.run_id, opening)
            slice_id = self._db.last_id()
        self._journal.write(journal.OPEN, contract, opening, line=line, slice_id=slice_id)

    def grant(self, request_id: str, contract: str, line: str, now_ns: int) -> Grant:
        """Hand out the next slice (D1-D3, C5, C6). See `CouponStore.grant`."""
        _text("request", request_id, REQUEST_CHARACTERS_MAX)
        _text("line", line)
        now_ns = _time("now_ns", now_ns)
        with self._atomic:
            known = self._db.run(sql.FIND_REQUEST, request_id)
            if known:
                return self._repeated(request_id, (line, contract), known[0])
            row = self._opened_line(line)
            if row[2] != contract:
                raise PoolError(f"line {line}: belongs to contract {row[2]}, not to {contract}")
            parts = self._parts(row[1], now_ns)
            if not parts:
                return NOTHING
            return self._hand_out(request_id, line, row, parts, now_ns)

    def _hand_out(
        self, request_id: str, line: str, row: Row, parts: list[tuple[int, int]], now_ns: int
    ) -> Grant:
        """Book a new slice made of `parts` for the line whose row is `row`."""
        line_id, _, contract, run_id, is_open, reported = row
        granted = sum(taken for _, taken in parts)
        self._db.run(sql.ADD_SLICE, request_id, line_id, run_id, granted)
        slice_id = self._db.last_id()
        for coupon_id, taken in parts:
            self._db.run(sql.TAKE, taken, coupon_id)
            self._db.run(sql.ADD_PART, slice_id, coupon_id, taken)
            self._journal.write(
                journal.GRANT,
                contract,
                taken,
                now_ns,
                line=line,
                coupon_id=coupon_id,
                slice_id=slice_id,
                detail=request_id,
            )
        if not is_open:
            self._db.run(sql.OPEN_LINE, run_id, reported, line_id)
        self._journal.now_ns = max(self._journal.now_ns, now_ns)
        return Grant(slice_id, granted)

    def _repeated(self, request_id: str, asked: tuple[str, str], known: Row) -> Grant:
        """The answer to a request that was granted before (I3, F9)."""
        slice_id, granted, run_id, line, contract = known
        if asked != (line, contract):
            raise PoolError(
                f"request {request_id}: granted to line {line} of contract {contract},"
                f" now asked for line {asked[0]} of contract {asked[1]}"
            )
        if run_id != self.run_id:
            raise PoolError(
                f"request {request_id}: granted in run {run_id}, this is run {self.run_id};"
                " its slice is in the balance that open_line returned, make a new request id"
            )
        return Grant(slice_id, granted)

    def _opened_line(self, line: str) -> Row:
        """The line's row; PoolError where `open_line` was not called for it in this run."""
        rows = self._db.run(sql.FIND_LINE, line)
        if not rows or rows[0][3] != self.run_id:
            raise PoolError(f"line {line}: not opened in this run; call open_line first")
        return rows[0]

    def _parts(self, contract_id: int, now_ns: int) -> list[tuple[int, int]]:
        """(coupon, bytes) of the next slice, in the order of use (C5, D2, D3)."""
        parts = []
        wanted = SLICE_BYTES_MAX
        for coupon_id, left in self._db.rows(sql.GOOD_COUPONS, contract_id, now_ns, now_ns):
            taken = min(left, wanted)
            parts.append((coupon_id, taken))
            wanted -= taken
            if not wanted:
                break
        return parts

    def settle(self, line: str, used_bytes: int, final: bool) -> None:
        """Report all use of this run so far (I2, I5). See `CouponStore.settle`."""
        used = _bytes(f"line {_text('line', line)}: use of", used_bytes)
        with self._atomic:
            line_id, _, contract, _, is_open, reported = self._opened_line(line)
            more = used - reported
            if more <= 0:
                used = reported
            elif not is_open:
                raise PoolError(
                    f"line {line}: settled finally at {reported} bytes, now {used} are reported"
                )
            else:
                self._use(line_id, line, contract, more)
            self._db.run(sql.REPORT, used, int(is_open and not final), line_id)

    def _use(self, line_id: int, line: str, contract: str, more: int) -> None:
        """Book `more` bytes as used, the oldest on the SIM first."""
        held = self._db.run(sql.HELD, line_id)
        on_sim = sum(left for _, left in held)
        if more > on_sim:
            raise PoolError(f"line {line}: {more} bytes more are reported, its SIM held {on_sim}")
        for slice_id, left in held:
            taken = min(left, more)
            if not taken:
                break
            self._db.run(sql.USE, taken, slice_id)
            self._journal.write(journal.USED, contract, taken, line=line, slice_id=slice_id)
            more -= taken

    def expire(self, now_ns: int) -> int:
        """Book coupons whose end has come (C6, I7); returns the bytes that were left of them."""
        now_ns = _time("now_ns", now_ns)
        with self._atomic:
            rows = self._db.run(sql.EXPIRED, now_ns)
            for coupon_id, left, contract in rows:
                self._db.run(sql.EXPIRE, coupon_id)
                self._journal.write(journal.EXPIRE, contract, left, now_ns, coupon_id=coupon_id)
            self._journal.now_ns = max(self._journal.now_ns, now_ns)
        return sum(left for _, left, _ in rows)

    def contracts(self) -> list[ContractBalance]:
        """Every contract with its coupons summed up, in the order of the codes."""
        return [ContractBalance(*row) for row in self._db.run(sql.CONTRACTS)]

    def coupons(self, contract: str) -> list[CouponBalance]:
        """The contract's coupons in the order of use (C5, Q2)."""
        return [
            CouponBalance(*row) for row in self._db.run(sql.COUPONS, _text("contract", contract))
        ]

    def slices(self, line: str) -> list[SliceState]:
        """The line's opening entry and slices, oldest first."""
        return [SliceState(*row) for row in self._db.run(sql.SLICES, _text("line", line))]

    def audit(self) -> list[str]:
        """One line per broken invariant, naming the row (G6); [] when the books agree."""
        return sqlite_audit.audit(self._db, self.run_id)

    def settings(self) -> dict[str, str]:
        """SQLite's version and the settings in force."""
        return self._db.settings()

    def close(self, clean: bool = True) -> None:
        """End the run; a second call does nothing. See `CouponStore.close`."""
        if self._closed:
            return
        self._closed = True
        try:
            if clean:
                sqlite_run.end(self._db, self.run_id)
        finally:
            self._db.close()
