"""Quota of a gateway that cannot wait for its coupon database in mid-packet.

One thread talks to the database (`engine.runtime.asker`); the packet path only hands it questions, and
takes the answers between batches. The next slice is asked for when less than the Volume-Quota-Threshold
is left, the next step of a held slice is announced while the one before is in use, and nothing goes into
a SIM's row before it is durable there. What a packet gets that comes before its answer is a setting
(`pending`), and so is what happens when none comes: Credit-Control-Failure-Handling (RFC 8506 8.14).
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from engine.accounting.sims import SimTable
from engine.config.model import WATERMARK_BYTES_MIN, Pool
from engine.errors import PoolError, PoolFenced, PoolUnavailable
from engine.layout import (
    SIM_ATTACHED,
    SIM_COUPON_ON,
    SIM_DETACHED,
    SIM_EMPTY,
    SIM_IN_SERVICE,
    SIM_WAITING,
)
from engine.pool.store import CouponStore, Grant, Notice, UsageRow
from engine.runtime.asker import AskedStore, Asker
from engine.runtime.lines import LineState
from engine.runtime.quota import Quota
from engine.units import NS_PER_S

CATCH_UP_NS = 50_000_000
"""ns; how long the end of several verbs waits for what they asked of the database"""
_MAY_ASK = SIM_COUPON_ON | SIM_IN_SERVICE | SIM_ATTACHED
"""flags of a SIM to which slices are handed out (D8)"""


class LiveQuota(Quota):
    """As `Quota`, but for a packet nothing is waited for. Control verbs do wait for the database.

    Where no other shard is metered at the same time, answers are taken in mid-batch too.
    """

    def __init__(
        self, store: CouponStore, sims: SimTable, first_slice: str, settings: Pool
    ) -> None:
        self._asker = Asker(store, settings.lease_s * NS_PER_S // 3)
        self._direct = store
        super().__init__(AskedStore(store, self._asker), sims, first_slice, settings)
        self._settings = settings
        # Two steps are announced at a time: one in the row, one ready. Together they are the watermark's.
        self._step_bytes = settings.watermark_bytes // 2
        self._marking: set[str] = set()
        self._asking: dict[str, int] = {}
        self._failed: dict[str, int] = {}
        self._lent: dict[str, int] = {}
        self._calendar_ns: dict[str, int] = {}
        self._said: dict[
            tuple[str, int], UsageRow
        ] = {}  # usage that the database has not confirmed
        self._say_again = False

    def held_bytes(self, line: LineState) -> int:
        """byte; the balance on a SIM, exactly: below 0 by what was lent to it and is used."""
        return super().held_bytes(line) - self.lent_bytes(line)

    def held_all(self, lines: Sequence[LineState]) -> list[int]:
        held = super().held_all(lines)
        return [size - self.lent_bytes(line) for line, size in zip(lines, held, strict=True)]

    def lent_bytes(self, line: LineState) -> int:
        return self._lent.get(line.code, 0)

    def close_line(self, line: LineState, now_ns: int) -> None:
        self._asker.settled()
        super().close_line(line, now_ns)

    def settle(self, lines: Iterable[LineState], now_ns: int) -> None:
        self._asker.settle_up()
        self._asker.settled()
        super().report_usage(list(self._said.values()), now_ns)
        super().settle(lines, now_ns)

    def end(self) -> None:
        self._asker.end()

    # --- the packet path --------------------------------------------------------------------------

    def defer(self) -> None:
        """Nothing is deferred: each change is durable by itself."""

    def flush(self) -> None:
        """Nothing to make durable: what is in a row was durable before. Takes what has been answered."""
        self._asker.collect()
        self.note_drained()
        self.usage.report_if_due()

    @property
    def questions(self) -> int:
        return self._asker.open_questions

    @contextmanager
    def together(self) -> Iterator[None]:
        self._asker.hold()
        try:
            yield
        finally:
            self._asker.let_go()
        # So that a SIM has its first slice when it is told that it may send (D1).
        self._asker.catch_up(CATCH_UP_NS)

    def report_usage(self, rows: list[UsageRow], now_ns: int) -> None:
        """Have it reported; with the next report again where the database did not answer."""
        self._said.update((row[:2], row) for row in rows)
        if self._say_again:
            rows = list(self._said.values())
            self._say_again = False
        if not rows:
            return

        def done(answer: Any) -> None:
            if isinstance(answer, PoolUnavailable):
                self._say_again = True
                return
            for row in rows:  # what was refused would be refused again
                if self._said.get(row[:2]) == row:
                    del self._said[row[:2]]

        self._asker.ask(lambda: self._direct.report_usage(rows, now_ns), done)

    def notices(self) -> list[Notice]:
        self._asker.collect()
        heard = list(self._asker.heard)
        self._asker.heard.clear()
        return heard

    def attach(self, line: LineState, calendar_ns: int) -> None:
        if line.closed:
            try:
                self._reopen(line)
            except PoolFenced:
                raise
            except PoolError:  # no answer, or the line is another gateway's
                self._terminate(line)
                return
        row = self._sims.rows[line.row]
        flags = int(row["flags"]) & ~SIM_DETACHED | SIM_ATTACHED
        row["flags"] = flags
        self._calendar_ns[line.code] = calendar_ns
        self._failed.pop(line.code, None)
        if self._at_attach and flags & (SIM_COUPON_ON | SIM_EMPTY) == SIM_COUPON_ON:
            self._ask_ahead(line)
        else:
            self._announce_next(line)

    @property
    def may_wait(self) -> bool:
        """A terminal waits for its first slice."""
        return False

    def attach_all(self, lines: list[LineState], calendar_ns: list[int]) -> None:
        for line, at_ns in zip(lines, calendar_ns, strict=True):
            self.attach(line, at_ns)

    def refill(self, line: LineState, calendar_ns: int) -> None:
        """A packet waits for more than the SIM's row has."""
        self._calendar_ns[line.code] = calendar_ns
        row = self._sims.rows[line.row]
        before = int(row["balance_bytes"])
        if self.alone:
            self._asker.collect()
        if line.ready_bytes:
            self._fill(line)
        if int(row["balance_bytes"]) > before:
            return
        self._ask_ahead(line, needed=True)
        if line.code in self._failed:
            self._fail(line)
        elif self._settings.pending == "pass":
            self._pass(line, SIM_EMPTY)
        else:
            self._set(line, SIM_EMPTY if self._settings.pending == "slow" else SIM_WAITING)

    def _fill(self, line: LineState) -> None:
        """Put what is announced into the row, and have more announced."""
        row = self._sims.rows[line.row]
        row["balance_bytes"] += line.ready_bytes
        line.ready_bytes = 0
        self._ask_ahead(line)
        if line.contract.empty and line.reserve_bytes == 0:
            row["flags"] = int(row["flags"]) | SIM_EMPTY

    def _ask_ahead(self, line: LineState, needed: bool = False) -> None:
        """Announce the next step of what the SIM holds; ask for a slice if that is not much.

        `needed`: a packet waits that needs more than the row has.
        """
        if line.closed:
            return
        self._announce_next(line)
        flags = int(self._sims.rows[line.row]["flags"])
        may = flags & _MAY_ASK == _MAY_ASK and not line.contract.empty
        few = self.held_bytes(line) < max(self._settings.threshold_bytes, 1)
        few = few or (needed and line.reserve_bytes == 0)
        if may and few and line.code not in self._asking:
            self._ask_slice(line)

    def _announce_next(self, line: LineState) -> None:
        """Announce the next step of what the SIM holds, unless one is ready or under way."""
        if line.ready_bytes or not line.reserve_bytes or line.code in self._marking:
            return
        step = min(self._step_bytes, line.reserve_bytes)
        self._marking.add(line.code)

        def done(answer: Any) -> None:
            self._marking.discard(line.code)
            if isinstance(answer, PoolError):
                self._note_failure(line)
                return
            self._failed.pop(line.code, None)
            line.reserve_bytes -= step
            line.ready_bytes += step
            if not line.contract.empty:
                self._set(line, 0)
            if int(self._sims.rows[line.row]["balance_bytes"]) == 0:
                self._fill(line)

        self._announce(line, step, done)

    def _announce(self, line: LineState, step: int, done: Callable[[Any], None]) -> None:
        """Say how far the line may go with what is in its row and `step` bytes more (G4)."""
        used = self.used_bytes(line)
        ahead = max(0, int(self._sims.rows[line.row]["balance_bytes"])) + step
        given = line.initial_balance_bytes + line.granted_bytes - line.settled_bytes
        mark = (line.code, used, min(used + ahead, given))
        self._asker.ask(lambda: self._direct.mark([mark]), done)

    def _ask_slice(self, line: LineState) -> None:
        line.requests += 1
        self._asking[line.code] = line.requests
        request = (
            f"{self.store.run_id}:{line.code}:{line.requests}",
            line.contract.code,
            line.code,
        )
        at_ns = self._calendar_ns[line.code]

        def done(answer: Any) -> None:
            del self._asking[line.code]
            if isinstance(answer, PoolError):
                self._note_failure(line)
            else:
                self._take(line, answer)

        self._asker.ask(lambda: self._direct.grant(*request, at_ns), done)

    # --- answers ----------------------------------------------------------------------------------

    def _take(self, line: LineState, grant: Grant) -> None:
        self._failed.pop(line.code, None)
        if grant.granted_bytes == 0:
            self._set(line, 0)
            self._mark_empty(line.contract)
            return
        line.granted_bytes += grant.granted_bytes
        line.grants += 1
        self.granted_bytes += grant.granted_bytes
        self.grants += 1
        lent = self.lent_bytes(line)
        repaid = min(grant.granted_bytes, lent)
        if repaid:
            self._lent[line.code] = lent - repaid
        line.reserve_bytes += grant.granted_bytes - repaid
        if repaid and not line.closed:
            # It is used already, or may be at any time: the database must not take it for left.
            self._announce(line, 0, lambda answer: self._noted(line, answer))
        self._ask_ahead(line)

    def _noted(self, line: LineState, answer: Any) -> None:
        if isinstance(answer, PoolError):
            self._note_failure(line)

    def _note_failure(self, line: LineState) -> None:
        """The database refused or did not answer; with `retry-and-terminate` it is asked once more."""
        failures = self._failed.get(line.code, 0) + 1
        self._failed[line.code] = failures
        if failures == 1 and self._settings.failure == "retry-and-terminate":
            self._ask_ahead(line)
        if not line.contract.empty:
            self._set(line, 0)

    def _set(self, line: LineState, flag: int) -> None:
        row = self._sims.rows[line.row]
        row["flags"] = int(row["flags"]) & ~(SIM_EMPTY | SIM_WAITING) | flag

    # --- without an answer ------------------------------------------------------------------------

    def _fail(self, line: LineState) -> None:
        """Nothing is left and the database fails: go on in the stated mode."""
        mode = self._settings.failure
        if mode == "continue":
            self._pass(line, SIM_DETACHED)
        elif mode == "terminate" or self._failed[line.code] > 1:
            self._terminate(line)
        else:
            self._set(line, SIM_EMPTY)

    def _pass(self, line: LineState, otherwise: int) -> None:
        """Lend the SIM a packet's worth, up to `continue_bytes` in all; else set `otherwise`."""
        lent = self.lent_bytes(line)
        if lent + WATERMARK_BYTES_MIN > self._settings.continue_bytes:
            row = self._sims.rows[line.row]
            row["flags"] = int(row["flags"]) & ~SIM_WAITING | otherwise
            return
        self._lent[line.code] = lent + WATERMARK_BYTES_MIN
        self._sims.rows[line.row]["balance_bytes"] += WATERMARK_BYTES_MIN

    def _terminate(self, line: LineState) -> None:
        row = self._sims.rows[line.row]
        row["flags"] = int(row["flags"]) & ~SIM_ATTACHED | SIM_DETACHED
        self.cut[line.code] = None
