"""Between SIM rows and coupon database: asks for slices, announces use, marks empty contracts, settles.

What a SIM holds is in two parts: `balance_bytes` of its row, which the kernel may use without asking,
and `reserve_bytes` behind it. With a database that outlives the process only as much is put into the row as
was announced there (`CouponStore.mark`), so that a crash leaves no more than one step uncertain (G4). The
kernel stops for a refill as it does for a slice; what packets get is the same for any step.
"""

from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from engine import clock
from engine.accounting.sims import SimTable
from engine.config.model import Pool
from engine.errors import LedgerError
from engine.layout import (
    SIM_ATTACHED,
    SIM_COUPON_ON,
    SIM_DETACHED,
    SIM_EMPTY,
    SIM_IN_SERVICE,
    SIM_REGULATED,
)
from engine.pool.store import CouponStore, Credit, LineNews, Notice, Request, UsageRow
from engine.runtime.balances import Balances
from engine.runtime.collector import put_off
from engine.runtime.lines import ContractState, LineState
from engine.units import NS_PER_S

if TYPE_CHECKING:
    from engine.runtime.usage import UsageDays


class Quota(Balances):
    """Grants for the rows of a SIM table. `calendar_ns` of the calls is the coupon calendar's time.

    `alone`: no other shard is metered at the same time. `usage`, which sets itself, is told of lines that
    come and go.
    """

    alone = True
    usage: "UsageDays"

    def __init__(
        self, store: CouponStore, sims: SimTable, first_slice: str, settings: Pool
    ) -> None:
        self.store = store
        self._sims = sims
        self._at_attach = first_slice == "attach"
        self._step_bytes = settings.watermark_bytes if store.lasting else 0
        self._marks: dict[str, tuple[int, int]] = {}
        self._draining: dict[str, LineState] = {}
        self._draining_rows: npt.NDArray[np.int64] = np.zeros(0, np.int64)
        self._deferred = False
        self._lease_ns = settings.lease_s * NS_PER_S // 3
        self._renewed_ns = clock.lease_ns()
        self.grants = 0
        self.granted_bytes = 0
        self.cut: dict[str, None] = {}
        """codes of lines whose session was closed without their SIM asking for it"""
        self.on_empty: Callable[[ContractState], None] = lambda contract: None
        """told of a contract of which the database has nothing left"""
        self.before_asking: Callable[[], None] = lambda: None
        """called before anything is asked of the database, and before anybody is told any figures"""

    @property
    def may_wait(self) -> bool:
        """Whether what is to be asked may wait, so that much can be asked at once: nobody else uses the
        database, which ends with this process, and no other shard is metered at the same time."""
        return self.alone and not self.store.lasting

    # --- durability -------------------------------------------------------------------------------

    def defer(self) -> None:
        """What follows becomes durable with the next `flush`."""
        self.before_asking()
        if not self._deferred:
            self.store.defer()
            self._deferred = True

    @property
    def questions(self) -> int:
        """How many questions to the coupon database have not been answered."""
        return 0

    def flush(self) -> None:
        """Make every slice handed out and every mark so far durable; no verdict is released before (D9).

        Also shows, by extending the lease, that nobody has taken over: a gateway that slept for too long
        gets PoolFenced here, before anything of the batch is let out (I4).
        """
        self.note_drained()
        self.usage.report_if_due()
        asked_ns = clock.lease_ns()
        if self._marks:
            self.defer()
            self.store.mark([(code, *mark) for code, mark in self._marks.items()])
            self._marks.clear()
        if self._deferred:
            self.store.flush()
            self._deferred = False
        elif self.store.lasting and asked_ns - self._renewed_ns >= self._lease_ns:
            self.store.renew()
        else:
            return
        self._renewed_ns = asked_ns

    def together(self) -> AbstractContextManager[None]:
        """What is asked for inside may be asked of the database at once, at the end."""
        return nullcontext()

    def note_drained(self) -> None:
        """Bring up to date what is shown for SIMs of empty contracts that have come to 0 MB (L5).

        Looked for whenever something else could change their balance, so that it does not matter when
        batches end.
        """
        self.before_asking()
        if not self._draining:
            return
        if self._draining_rows.size != len(self._draining):
            found = (line.row for line in self._draining.values())
            self._draining_rows = np.fromiter(found, np.int64, len(self._draining))
        balances = self._sims.rows["balance_bytes"][self._draining_rows]
        if (balances > 0).all():  # looked at without Python, for there may be many
            return
        for code, line in list(self._draining.items()):
            if self.held_bytes(line) <= 0:
                del self._draining[code]
                self.show(line, int(self._sims.rows[line.row]["last_ns"].max()))

    def report_usage(self, rows: list[UsageRow], now_ns: int) -> None:
        """Keep what lines carried on JST days (Q3, R1), with the next `flush`."""
        if rows:
            self.defer()
            self.store.report_usage(rows, now_ns)

    def take_in(self, lines: list[LineState]) -> None:
        """Lines are here that other runs may have had (R1)."""
        self.usage.take_in(lines)

    def notices(self) -> list[Notice]:
        """What others did to the database since the last call."""
        return self.store.notices() if self.store.lasting else []

    # --- what SIMs hold ---------------------------------------------------------------------------

    def refill(self, line: LineState, calendar_ns: int) -> None:
        """A packet waits for more than the SIM's row has: the next step of what it holds, or a slice."""
        if line.reserve_bytes == 0:
            self.grant(line, calendar_ns)
        if line.reserve_bytes > 0:
            self._step(line)

    def _step(self, line: LineState) -> None:
        """Put the next step into the row, and have it announced before it is let out."""
        row = self._sims.rows[line.row]
        used = self.used_bytes(line)
        step = min(self._step_bytes, line.reserve_bytes)
        line.reserve_bytes -= step
        row["balance_bytes"] += step
        self.defer()
        self._marks[line.code] = used, used + int(row["balance_bytes"])
        if line.contract.empty and line.reserve_bytes == 0:
            row["flags"] = int(row["flags"]) | SIM_EMPTY

    # --- lines ------------------------------------------------------------------------------------

    def open_lines(self, lines: list[LineState], initial_bytes: list[int]) -> None:
        """Enter lines in the database; a SIM begins with the balance that earlier runs left it (D6, I8)."""
        self.defer()
        asked = [
            (line.contract.code, line.code, initial)
            for line, initial in zip(lines, initial_bytes, strict=True)
        ]
        for line, balance in zip(lines, self.store.open_lines(asked), strict=True):
            if balance:
                line.initial_balance_bytes = balance
                self._hold(line, balance)

    def enter_lines(
        self, lines: list[LineState], initial_bytes: list[int], known: dict[str, int]
    ) -> None:
        """Enter the lines of a book, of which the database knows some, with their balances.

        In a database that others use too, a line is opened with its session only: any gateway may have it.
        """
        if not self.store.lasting:
            self.open_lines(lines, initial_bytes)
            return
        new = [at for at, line in enumerate(lines) if line.code not in known]
        self.open_lines([lines[at] for at in new], [initial_bytes[at] for at in new])
        self.store.settle_all([(lines[at].code, 0) for at in new], True)
        for line in lines:
            line.closed = True
            if line.code in known:
                line.initial_balance_bytes = known[line.code]
                self._hold(line, line.initial_balance_bytes)

    def close_line(self, line: LineState, now_ns: int) -> None:
        """The session has ended: settle for good, so that other gateways may have the line (L5)."""
        if line.closed:
            return
        self.defer()
        self._marks.pop(line.code, None)
        self.usage.let_go(line, now_ns)
        self.store.settle(line.code, self.used_bytes(line), True)
        self.show(line, now_ns, bool(int(self._sims.rows[line.row]["flags"]) & SIM_REGULATED))
        line.closed = True

    def _reopen(self, line: LineState) -> None:
        """Open a line with its session: another gateway may have used some of what the SIM held."""
        self.defer()
        balance = self.store.open_line(line.contract.code, line.code, 0)
        self.take_in([line])
        line.closed = False
        row = self._sims.rows[line.row]
        held = self.held_bytes(line)
        if balance != held:
            row["balance_bytes"] = line.reserve_bytes = line.ready_bytes = 0
            line.initial_balance_bytes += balance - held
            self._hold(line, balance)
            row["flags"] = int(row["flags"]) & ~SIM_EMPTY
        line.settled_bytes += self.used_bytes(line) - self.store.reported(line.code)

    def show(self, line: LineState, now_ns: int, regulated: bool | None = None) -> None:
        """Bring the balance that customers are shown up to date (L5), and the restriction, if told (Q4)."""
        line.shown_bytes = max(0, self.held_bytes(line))
        self.note(line, LineNews(now_ns, regulated=regulated, shown_bytes=line.shown_bytes))

    def note(self, line: LineState, news: LineNews) -> None:
        """Keep a line's state in the database (Q4)."""
        self.defer()
        self.store.note(line.code, news)

    # --- coupons ----------------------------------------------------------------------------------

    def credit(self, credits: list[Credit]) -> None:
        """Credit coupons; each once for its id, however often asked."""
        if credits:
            self.defer()
            self.store.credit_all(credits)

    def buy(self, contract: ContractState, coupons: int, calendar_ns: int) -> None:
        """Buy additional coupons (C3, C4); RefusedError where the month has had its 30."""
        self.defer()
        request_id = f"{self.store.run_id}:{contract.code}:buy:{contract.purchases + 1}"
        self.store.buy(request_id, contract.code, coupons, calendar_ns)
        contract.purchases += 1
        self.wake(contract)

    def expire(self, calendar_ns: int) -> None:
        """Book coupons as expired (C6)."""
        self.defer()
        self.store.expire(calendar_ns)

    def close_contract(self, contract: ContractState, calendar_ns: int) -> None:
        """A contract is over: what its coupons hold expires (A4)."""
        self.defer()
        self.store.close_contract(contract.code, calendar_ns)

    def wake(self, contract: ContractState) -> None:
        """Forget that a contract was empty: after a charge, a switch or a month's end."""
        self.note_drained()
        contract.empty = False
        for line in contract.lines:
            row = self._sims.rows[line.row]
            row["flags"] = int(row["flags"]) & ~SIM_EMPTY

    def attach(self, line: LineState, calendar_ns: int) -> None:
        """Open the session of a line that is in service; it gets its first slice at once if the setting
        says so (D1, D8)."""
        self.before_asking()
        if line.closed:
            self._reopen(line)
        row = self._sims.rows[line.row]
        flags = int(row["flags"]) & ~SIM_DETACHED | SIM_ATTACHED
        row["flags"] = flags
        may = flags & (SIM_COUPON_ON | SIM_EMPTY) == SIM_COUPON_ON
        if self._at_attach and may and self.held_bytes(line) == 0:
            self.grant(line, calendar_ns)

    def attach_all(self, lines: list[LineState], calendar_ns: list[int]) -> None:
        """`attach` for lines that were opened just now and are in service, each at its time.

        The database is asked for the first slices of all of them at once.
        """
        rows = np.array([line.row for line in lines], dtype=np.int64)
        flags = self._sims.rows["flags"][rows] & np.uint16(0xFFFF ^ SIM_DETACHED)
        flags |= np.uint16(SIM_ATTACHED)
        self._sims.rows["flags"][rows] = flags
        if not self._at_attach:
            return
        may = flags & np.uint16(SIM_COUPON_ON | SIM_EMPTY) == SIM_COUPON_ON
        may &= self._sims.rows["balance_bytes"][rows] == 0
        asking = [at for at in np.flatnonzero(may) if lines[at].reserve_bytes == 0]
        if asking:
            self.grant_all([lines[at] for at in asking], [calendar_ns[at] for at in asking])

    def grant(self, line: LineState, calendar_ns: int) -> None:
        """Ask for the next slice; with nothing left all lines of the contract are marked empty (D5)."""
        self.defer()
        (request,) = self._requests([line], [calendar_ns])
        granted = self.store.grant(*request).granted_bytes
        self._take_slice(line, granted)

    def grant_all(self, lines: list[LineState], calendar_ns: list[int]) -> None:
        """`grant` for lines with a contract each, all in one question."""
        self.defer()
        requests = self._requests(lines, calendar_ns)
        sizes = [grant.granted_bytes for grant in self.store.grant_all(requests)]
        if self._step_bytes or 0 in sizes:
            for line, size in zip(lines, sizes, strict=True):
                self._take_slice(line, size)
            return
        for line, size in zip(lines, sizes, strict=True):
            line.granted_bytes += size
            line.grants += 1
        self.granted_bytes += sum(sizes)
        self.grants += len(sizes)
        self._sims.rows["balance_bytes"][[line.row for line in lines]] += sizes

    def _requests(self, lines: list[LineState], calendar_ns: list[int]) -> list[Request]:
        run_id = self.store.run_id
        for line in lines:
            line.requests += 1
        return [
            Request(f"{run_id}:{line.code}:{line.requests}", line.contract.code, line.code, ns)
            for line, ns in zip(lines, calendar_ns, strict=True)
        ]

    def _take_slice(self, line: LineState, granted_bytes: int) -> None:
        """The database's answer: a slice, or 0."""
        if granted_bytes == 0:
            self._mark_empty(line.contract)
            return
        line.granted_bytes += granted_bytes
        line.grants += 1
        self.granted_bytes += granted_bytes
        self.grants += 1
        self._hold(line, granted_bytes)

    def _mark_empty(self, contract: ContractState) -> None:
        """No packet of the contract need stop for a slice, until it is woken; SIMs use what they hold."""
        if not contract.empty:
            self.on_empty(contract)
        contract.empty = True
        for line in contract.lines:
            row = self._sims.rows[line.row]
            if line.reserve_bytes + line.ready_bytes == 0:
                row["flags"] = int(row["flags"]) | SIM_EMPTY
            if line.shown_bytes != 0:
                self._draining[line.code] = line

    # --- the end ----------------------------------------------------------------------------------

    def settle(self, lines: Iterable[LineState], now_ns: int) -> None:
        """Report what each line used, for good; LedgerError if the books do not agree afterwards."""
        with put_off():
            self._settle(lines, now_ns)

    def _settle(self, lines: Iterable[LineState], now_ns: int) -> None:
        self.defer()
        self._marks.clear()
        left = [line for line in lines if not line.closed]
        held = self.held_all(left)
        used = [self._used(line, held) for line, held in zip(left, held, strict=True)]
        self.store.settle_all(
            [(line.code, size) for line, size in zip(left, used, strict=True)], True
        )
        if self.store.lasting:
            self.store.note_all([(line.code, self._last_news(line, now_ns)) for line in left])
        self.flush()
        faults = self.store.audit()
        if faults:
            raise LedgerError(f"coupon database: {faults[0]}" + _more(len(faults) - 1))

    def end(self) -> None:
        """Nothing will be asked any more."""

    def _last_news(self, line: LineState, now_ns: int) -> LineNews:
        """What the next run and the customer should know of a line whose session ends with this one."""
        flags = int(self._sims.rows[line.row]["flags"])
        line.shown_bytes = max(0, self.held_bytes(line))
        return LineNews(
            now_ns,
            coupon_on=bool(flags & SIM_COUPON_ON),
            in_service=bool(flags & SIM_IN_SERVICE),
            regulated=bool(flags & SIM_REGULATED),
            shown_bytes=line.shown_bytes,
        )


def _more(count: int) -> str:
    return f" (and {count} more; `pktoll pool audit` names all)" if count else ""
