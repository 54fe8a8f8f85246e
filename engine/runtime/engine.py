"""Engine: batches of packets in, verdicts out; sessions, switches and charges between them."""

import threading
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from engine import config as configuration
from engine.accounting.sims import SimTable
from engine.config import Settings
from engine.datapath.classify import classify
from engine.datapath.resolve import resolve
from engine.errors import UsageError
from engine.layout import (
    ADDRESS_HOST,
    CONTROL_NEXT,
    CONTROL_NOW_NS,
    CONTROL_STOP,
    CONTROL_SUBSCRIBED,
    CONTROL_WORDS,
    CONTROL_WORK,
    PACKET,
    RATE_STATES,
    SIM_ATTACHED,
    SIM_COUPON_ON,
    SIM_DETACHED,
    SIM_IN_SERVICE,
    STOP_ATTACH,
    STOP_END,
    STOP_SUBSCRIBER,
    UPLINK,
    VERDICT,
    WORK,
    aligned_zeros,
)
from engine.pool.calendar import month_number, month_of
from engine.pool.store import CouponStore, open_store
from engine.runtime import events, report
from engine.runtime.coupons import NEVER_NS, Calendar, Credits
from engine.runtime.lines import Binding, ContractState, LineBook, LineState
from engine.runtime.quota import Quota
from engine.runtime.sessions import Sessions, check_binding
from engine.runtime.shards import Shards
from engine.shaper.exempt import ExemptTable
from engine.shaper.speeds import rate_table
from engine.subscribers import Book, Contract, Event, Line
from engine.wire.addresses import format_address, parse_prefix
from engine.wire.endpoints import Endpoints

Rows = npt.NDArray[Any]


class Engine:
    """The data plane: meters, charges and shapes packets against a coupon database.

    Time comes from the packets and from the `at_ns` of the calls (ns since 1970); it never goes back.
    Everything is exact and the same for any split into batches and any number of shards (G8).
    """

    def __init__(
        self,
        settings: Settings,
        store: CouponStore,
        *,
        shards: int = 1,
        ue_nets: Iterable[str] = (),
        allow_clock_leap: bool = False,
        endpoints: Endpoints | None = None,
    ) -> None:
        self.settings = settings
        self.store = store
        self.endpoints = Endpoints() if endpoints is None else endpoints
        self.book = LineBook()
        self.sims = SimTable()
        self.control: Rows = np.zeros(CONTROL_WORDS, dtype=np.int64)
        self.sessions = Sessions(tuple(ue_nets), self.endpoints, self.control)
        self.quota = Quota(store, self.sims, settings.first_slice)
        self.calendar = Calendar(allow_clock_leap)
        self.window_skip_days = 1 if settings.restriction.effective == "next-day" else 0
        self.shards = Shards(shards, self.window_skip_days)
        self.rates = rate_table(settings)
        self.exempt = ExemptTable(settings.exempt.endpoints, parse_prefix)
        self._credits = Credits(self.quota)
        self._profiles = {plan.name: at * RATE_STATES * 2 for at, plan in enumerate(settings.plans)}
        self._given: dict[str, Contract] = {}
        self._events: list[Event] = []
        self.refusals: list[str] = []
        self._work: Rows = np.zeros(0, dtype=WORK)
        self._unwanted: Rows = np.zeros(0, dtype=VERDICT)
        self._lock = threading.Lock()
        self._closed = False

    @classmethod
    def open(
        cls, config: str | Path | None = None, pool: str | None = None, **options: Any
    ) -> Self:
        """An engine on a configuration file (None: the packaged one) and a coupon database.

        `pool` is None (in memory) or "sqlite:///file". Options are those of the class. Raises
        ConfigError, PoolError, UsageError.
        """
        return cls(configuration.load(config), open_store(pool), **options)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self.close(clean=kind is None)

    @property
    def now_ns(self) -> int:
        """The engine's time: the latest packet's or call's; 0 before the first."""
        return int(self.control[CONTROL_NOW_NS])

    # --- who may attach ---------------------------------------------------------------------------

    def load(self, book: Book, at_ns: int) -> None:
        """Enter the contracts and lines of a subscriber file; their coupons are credited as of `at_ns`."""
        self._advance(at_ns)
        for contract in book.contracts:
            state = self._add_contract(contract.code, contract.plan, contract)
            for line in contract.lines:
                self._add_line(state, line)
        self.quota.expire(self.calendar.coupon_ns(self.now_ns))
        self.quota.commit()

    def _add_contract(self, code: str, plan: str, given: Contract | None) -> ContractState:
        if code in self.book.contracts:
            raise UsageError(f"contract {code} is there already")
        if plan not in self._profiles:
            raise UsageError(f"contract {code}: no plan is called {plan!r}")
        number = len(self.book.contracts)
        state = ContractState(
            code=code,
            plan=plan,
            profile=self._profiles[plan],
            shard=number % len(self.shards.all),
            bundle_bytes=self.settings.plan(plan).bundle_bytes,
            started_month=month_number(given.started) if given else month_of(self.now_ns),
        )
        self.book.contracts[code] = state
        if given is not None:
            self._given[code] = given
        self._credits.open_contract(state, given, self.calendar.coupon_ns(self.now_ns))
        return state

    def _add_line(self, contract: ContractState, line: Line) -> LineState:
        flags = SIM_COUPON_ON * line.coupon | SIM_IN_SERVICE * line.in_service
        base = contract.profile
        burst = int(self.rates[base]["cap_credit"]), int(self.rates[base + 1]["cap_credit"])
        state = LineState(
            row=self.sims.count,
            code=line.code,
            contract=contract,
            iccid=line.iccid,
            imsi=line.imsi,
            msisdn=line.msisdn,
            address=line.addresses[0] if line.addresses else None,
        )
        self.book.add(state)
        state.initial_balance_bytes = self.quota.open_line(state, line.balance_bytes)
        self.sims.add(base, flags, state.initial_balance_bytes, burst)
        self.shards.place(state.row, contract.shard)
        state.bound = (line.addresses, (line.teid_up, line.teid_down), line.gateway)
        self.sessions.bind_line(state.row, state.bound)
        return state

    def _add_subscriber(self, packet: Any) -> None:
        """The first packet of a `--ue-net` address: it becomes a SIM of the default plan."""
        end = "src" if self.control[CONTROL_SUBSCRIBED] == UPLINK else "dst"
        hi, lo = int(packet[f"{end}_hi"]), int(packet[f"{end}_lo"])
        address = format_address(hi, lo)
        contract = self._add_contract(address, self.settings.default_plan, None)
        line = self._add_line(contract, Line(code=address))
        line.address = address
        line.bound = ((address,), (None, None), None)
        self.sessions.bind_halves(hi, lo, line.row, ADDRESS_HOST)

    # --- control ----------------------------------------------------------------------------------

    def attach(
        self,
        *,
        at_ns: int,
        imsi: str | None = None,
        iccid: str | None = None,
        msisdn: str | None = None,
        contract: str | None = None,
        plan: str | None = None,
        teid_up: int | None = None,
        teid_down: int | None = None,
        address: str | None = None,
        gateway: str | None = None,
    ) -> None:
        """Open a session of a SIM, known from a subscriber file or new; it replaces an open one (N6).

        A new SIM joins `contract`, or a contract of its own with `plan` (default: the default plan).
        `address` is an IPv4 or IPv6 address or an IPv6 /64; `gateway` the outer address to which
        `teid_up` belongs. Raises UsageError.
        """
        self._advance(at_ns)
        name = iccid or imsi
        if name is None:
            raise UsageError("attach: give the SIM's imsi or iccid")
        given: Binding = ((address,) if address else (), (teid_up, teid_down), gateway)
        check_binding(given)
        line = self.book.known(iccid) or self.book.known(imsi)
        if line is None:
            code, plan = contract or name, plan or self.settings.default_plan
            owner = self.book.contracts.get(code) or self._add_contract(code, plan, None)
            line = self._add_line(owner, Line(code=name, imsi=imsi, iccid=iccid, msisdn=msisdn))
        self._check_in_service(line)
        line.bound = self.sessions.rebind(line.row, line.bound, given)
        line.address = address or line.address
        self.open_session(line.code, at_ns=at_ns)

    def _check_in_service(self, line: LineState) -> None:
        if not int(self.sims.rows[line.row]["flags"]) & SIM_IN_SERVICE:
            raise UsageError(f"attach: line {line.code} is suspended; resume it first (L1)")

    def open_session(self, line: str, *, at_ns: int) -> None:
        """Open the session of the line with this code, ICCID or IMSI, as its addresses and TEIDs stand."""
        self._advance(at_ns)
        state = self.book.find(line)
        self._check_in_service(state)
        self.quota.attach(state, self.calendar.coupon_ns(self.now_ns))
        self.quota.commit()

    def detach(self, line: str, *, at_ns: int) -> None:
        """Close the session of the line with this code, ICCID or IMSI; its packets are dropped then."""
        self._advance(at_ns)
        self._set_flags(self.book.find(line), SIM_DETACHED, SIM_ATTACHED)

    def switch_coupon(self, line: str, *, on: bool, at_ns: int) -> None:
        """Turn the coupon of the line with this code, ICCID or IMSI on or off, at once (P3)."""
        self._advance(at_ns)
        state = self.book.find(line)
        self._set_flags(state, SIM_COUPON_ON * on, SIM_COUPON_ON)
        self.quota.wake(state.contract)

    def suspend(self, line: str, *, at_ns: int) -> None:
        """Suspend the line with this code, ICCID or IMSI; its session is cut at once (L1)."""
        self._advance(at_ns)
        self._set_flags(self.book.find(line), 0, SIM_IN_SERVICE | SIM_ATTACHED)

    def resume(self, line: str, *, at_ns: int) -> None:
        """Take a suspended line back into service; its next packet opens a session (L1)."""
        self._advance(at_ns)
        self._set_flags(self.book.find(line), SIM_IN_SERVICE, 0)

    def charge(self, contract: str, *, coupons: int, at_ns: int) -> None:
        """Buy additional coupons of 100 MB for a contract (C3, C4)."""
        self._advance(at_ns)
        state = self.book.contract(contract)
        self._credits.charge(state, coupons, self.calendar.coupon_ns(at_ns))
        self.quota.commit()

    def _set_flags(self, line: LineState, set_: int, clear: int) -> None:
        row = self.sims.rows[line.row]
        row["flags"] = int(row["flags"]) & ~clear | set_

    def schedule(self, scheduled: Iterable[Event], *, known: bool = True) -> None:
        """Have events applied when packet time reaches theirs: before the first packet at or after it.

        Raises UsageError for a line or a contract that is not known; where lines are still to be found
        (`known` False), such an event is refused when its time comes.
        """
        scheduled = list(scheduled)
        for event in scheduled if known else ():
            events.check(self, event)
        self._events = sorted([*self._events, *scheduled], key=lambda e: e.at_ns)

    @property
    def pending_events(self) -> int:
        """Scheduled events whose time no packet has reached."""
        return len(self._events)

    def _advance(self, at_ns: int) -> None:
        """Let the engine's time reach `at_ns`, month ends on the way included; it never goes back."""
        if not isinstance(at_ns, int | np.integer) or not 0 <= at_ns < NEVER_NS:
            raise UsageError(f"at_ns: {at_ns!r}; allowed: ns since 1970, 0 .. {NEVER_NS - 1}")
        self.calendar.start(at_ns)
        while self.calendar.next_month_ns() <= at_ns:
            self._pass_month(self.now_ns, at_ns)
        self.control[CONTROL_NOW_NS] = max(self.now_ns, at_ns)

    def _pass_month(self, before_ns: int, after_ns: int) -> None:
        month_start_ns = self.calendar.coupon_ns(self.calendar.next_month_ns())
        if not self.calendar.pass_month(before_ns, after_ns):
            return
        self.quota.expire(month_start_ns)
        for contract in self.book.contracts.values():
            month = month_of(month_start_ns)
            if contract.bundle_bytes and month >= contract.started_month:
                self._credits.bundle(contract, month, self._given.get(contract.code))
            self.quota.wake(contract)

    # --- packets ----------------------------------------------------------------------------------

    def process(self, batch: Rows) -> Rows:
        """Meter a batch: PACKET[n] in the order of arrival to VERDICT[n], in a new array.

        When it returns, every slice that the batch used is durable in the coupon database (D9).
        """
        verdicts = np.zeros(np.size(batch), dtype=VERDICT)
        self.account(batch, verdicts)
        return verdicts

    def account(self, batch: Rows, verdicts: Rows | None = None) -> None:
        """The same for callers that want the figures only, or have room for the verdicts."""
        if getattr(batch, "dtype", None) != PACKET or batch.ndim != 1:
            raise UsageError("process: a batch is a one-dimensional array of engine.layout.PACKET")
        packets = np.ascontiguousarray(batch)
        begin = 0
        while begin < len(packets):
            begin = self._until_boundary(packets, verdicts, begin)
        self.quota.commit()

    def _until_boundary(self, packets: Rows, verdicts: Rows | None, begin: int) -> int:
        """Meter up to the next event or month's end, or apply it; returns the next packet's index."""
        first_ns = max(self.now_ns, int(packets["time_ns"][begin]))
        self.calendar.start(first_ns)
        month_ns = self.calendar.next_month_ns()
        event_ns = self._events[0].at_ns if self._events else NEVER_NS
        if event_ns <= first_ns:  # its time is known to have come, and month ends before it with it
            events.apply(self, self._events.pop(0))
            return begin
        if month_ns <= first_ns:
            self._pass_month(self.now_ns, first_ns)
            return begin
        boundary_ns = min(month_ns, event_ns)
        times = packets["time_ns"][begin:]
        end = len(packets)
        if int(times.max()) >= boundary_ns:
            end = begin + int(np.argmax(times >= boundary_ns))
        self._run(packets[begin:end], None if verdicts is None else verdicts[begin:end])
        return end

    def _run(self, packets: Rows, verdicts: Rows | None) -> None:
        if len(self._work) < 2 * len(packets):
            self._work = aligned_zeros(2 * len(packets), WORK)
            self._unwanted = aligned_zeros(len(packets), VERDICT)
        lost = self._unwanted if verdicts is None else verdicts
        control, sessions, work = self.control, self.sessions, self._work
        control[CONTROL_NEXT] = control[CONTROL_WORK] = 0
        while True:
            tables = sessions.tunnels, sessions.addresses, sessions.nets
            resolve(packets, *tables, work, lost, control)
            if control[CONTROL_STOP] == STOP_END:
                break
            if control[CONTROL_STOP] == STOP_SUBSCRIBER:
                self._add_subscriber(packets[int(control[CONTROL_NEXT])])
            else:
                sessions.make_room()
        count = int(control[CONTROL_WORK])
        if self.exempt.count:
            exempt = self.exempt
            classify(packets, work, count, exempt.index, exempt.ranges, exempt.rules)
        self.shards.run(self.sims, self.rates, work[:count], verdicts, self._on_stop)

    def _on_stop(self, stop: int, work: Any) -> None:
        """A packet waits for its session or for a slice."""
        line = self.book.lines[int(work["row"])]
        coupon_ns = self.calendar.coupon_ns(int(work["time_ns"]))
        with self._lock:
            if stop == STOP_ATTACH:
                self.quota.attach(line, coupon_ns)
            else:
                self.quota.grant(line, coupon_ns)

    # --- reports ----------------------------------------------------------------------------------

    def snapshot(self) -> dict[str, Any]:
        """Totals, drops, SIMs, contracts and tunnels as of now; plain values, as in the JSON report.

        Raises LedgerError if the counters do not add up (I6).
        """
        return report.snapshot(self)

    def close(self, clean: bool = True) -> None:
        """Settle every slice and close the database; LedgerError if the books do not agree."""
        if self._closed:
            return
        self._closed = True
        self.shards.close()
        settled = False
        try:
            if clean:
                used = {line.code: report.used_bytes(self, line) for line in self.book.lines}
                self.quota.settle(used)
                settled = True
        finally:
            self.store.close(settled)
