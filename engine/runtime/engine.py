"""Engine: batches of packets in, verdicts out; sessions, switches and charges between them."""

import threading
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from engine import config as configuration
from engine import verdict
from engine.accounting.sims import SimTable
from engine.config import Settings
from engine.datapath.classify import free_fragments
from engine.datapath.resolve import resolve
from engine.errors import UsageError
from engine.layout import PACKET, VERDICT, WORK, aligned_zeros
from engine.pool.store import CouponStore, StoreOptions, open_store
from engine.runtime import events, report
from engine.runtime.bookkeeper import Bookkeeper
from engine.runtime.collector import put_off
from engine.runtime.control import Control
from engine.runtime.coupons import NEVER_NS, Calendar
from engine.runtime.live import LiveQuota
from engine.runtime.months import Months
from engine.runtime.population import Population
from engine.runtime.quota import Quota
from engine.runtime.report_rows import sim_rows
from engine.runtime.sessions import Sessions
from engine.runtime.shards import Job, Shards
from engine.runtime.usage import UsageDays
from engine.shaper.exempt import RatingGroups
from engine.shaper.markers import mark_table
from engine.units import NS_PER_S
from engine.wire.endpoints import Endpoints
from engine.words import (
    CONTROL_BOUNDARY_NS,
    CONTROL_EXEMPT,
    CONTROL_NEXT,
    CONTROL_STOP,
    CONTROL_SUBSCRIBED,
    CONTROL_WORDS,
    CONTROL_WORK,
    STOP_ATTACH,
    STOP_BOUNDARY,
    STOP_END,
    STOP_SLEEPER,
    STOP_SUBSCRIBER,
)

Rows = npt.NDArray[Any]

Watch = Callable[[Rows, Rows, Rows], None]
"""told what became of each piece of a batch, in order: packets, PACKET[n]; WORK rows as metered, one a leg,
in packet order; VERDICT[n] whose code is not 0 for packets of nobody. Valid during the call."""


class Engine(Control):
    """The data plane: meters, charges and shapes packets against a coupon database.

    Time comes from the packets and from the `at_ns` of the calls (ns since 1970); it never goes back.
    Everything is exact and the same for any split into batches and any number of shards (G8).

    With `live`, no packet waits for the coupon database: slices are asked for early, and what a packet gets
    while the answer is out, or when none comes, is a setting (`pool.pending`, `pool.failure`).
    """

    watch: Watch | None

    def __init__(
        self,
        settings: Settings,
        store: CouponStore,
        *,
        shards: int = 1,
        ue_nets: Iterable[str] = (),
        allow_clock_leap: bool = False,
        endpoints: Endpoints | None = None,
        live: bool = False,
    ) -> None:
        self.settings = settings
        self.store = store
        self.endpoints = Endpoints() if endpoints is None else endpoints
        self.sims = SimTable()
        self.control: Rows = np.zeros(CONTROL_WORDS, dtype=np.int64)
        self.sessions = Sessions(tuple(ue_nets), self.endpoints, self.control, forget=live)
        kind = LiveQuota if live else Quota
        self.quota = kind(store, self.sims, settings.first_slice, settings.pool)
        self.quota.alone = shards == 1
        self.bookkeeper = Bookkeeper(self.quota.store, settings)
        self.calendar = Calendar(allow_clock_leap)
        self.window_skip_days = 1 if settings.restriction.effective == "next-day" else 0
        self.shards = Shards(shards, settings)
        self.groups = RatingGroups()
        self.fragments = free_fragments()
        self._take_exempt(settings.exempt)
        self.population = Population(settings, self.sims, self.shards, self.sessions, self.quota)
        self.book = self.population.book
        self.rates = self.population.rates
        self.months = Months(self.population, self.sims, self.shards, self.quota)
        tables = self.sims, self.shards, self.book, self.rates
        self.usage = UsageDays(self.quota, *tables, self.control)
        self.scheduled = []
        self.refusals = []
        self.in_batch = False
        self.watch = None
        self.told = None
        self.profiles = mark_table(settings)
        self._work: Rows = np.zeros(0, dtype=WORK)
        self._unwanted: Rows = np.zeros(0, dtype=VERDICT)
        self._lock = threading.Lock()
        self._closed = False

    @classmethod
    def open(
        cls,
        config: str | Path | None = None,
        pool: str | None = None,
        gateway: str = "gateway",
        **options: Any,
    ) -> Self:
        """An engine on a configuration file (None: the packaged one) and a coupon database.

        `pool` is None (in memory), "sqlite:///file" or "postgresql://…"; `gateway` the name by which this
        gateway is known there. Other options are those of the class. Raises ConfigError, PoolError,
        UsageError.
        """
        settings = configuration.load(config)
        return cls(settings, open_store(pool, store_options(settings, gateway)), **options)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self.close(clean=kind is None)

    # --- packets ----------------------------------------------------------------------------------

    def process(self, batch: Rows) -> Rows:
        """Meter a batch: PACKET[n] in the order of arrival to VERDICT[n], in a new array.

        When it returns, every slice that the batch used is durable in the coupon database (D9).
        """
        verdicts = np.empty(np.size(batch), dtype=VERDICT)  # the kernels write every row
        self.account(batch, verdicts)
        return verdicts

    def account(self, batch: Rows, verdicts: Rows | None = None, *, flush: bool = True) -> None:
        """The same for callers that want the figures only, or have room for the verdicts.

        Without `flush` the caller calls `flush()` later, and lets nothing of the batch out before.
        """
        if getattr(batch, "dtype", None) != PACKET or batch.ndim != 1:
            raise UsageError("process: a batch is a one-dimensional array of engine.layout.PACKET")
        packets = np.ascontiguousarray(batch)
        self.hear()
        begin = 0
        within, self.in_batch = self.in_batch, True
        try:
            while begin < len(packets):
                begin = self._until_boundary(packets, verdicts, begin)
        finally:
            self.in_batch = within
        if flush:
            self.flush()

    def _until_boundary(self, packets: Rows, verdicts: Rows | None, begin: int) -> int:
        """Meter up to the next event or end of a day or month, or see to that; the next packet's index."""
        first_ns = max(self.now_ns, int(packets["time_ns"][begin]))
        self.calendar.start(first_ns)
        month_ns = self.calendar.next_month_ns()
        day_ns = self.usage.end_ns(first_ns)
        event_ns = self.scheduled[0].at_ns if self.scheduled else NEVER_NS
        if event_ns <= first_ns:  # its time is known to have come, and month ends before it with it
            events.apply(self, self.scheduled.pop(0))
            return begin
        if month_ns <= first_ns:
            self._pass_month(self.now_ns, first_ns)
            return begin
        if day_ns <= first_ns:
            self.usage.pass_day(self.now_ns, first_ns)
            return begin
        self.control[CONTROL_BOUNDARY_NS] = min(month_ns, event_ns, day_ns)
        return begin + self._run(packets[begin:], None if verdicts is None else verdicts[begin:])

    def _run(self, packets: Rows, verdicts: Rows | None) -> int:
        """Meter the packets up to CONTROL_BOUNDARY_NS; how many those are."""
        if len(self._work) < 2 * len(packets):
            self._work = aligned_zeros(2 * len(packets), WORK)
            self._unwanted = aligned_zeros(len(packets), VERDICT)
        lost = self._unwanted if verdicts is None else verdicts
        control, work = self.control, self._work
        control[CONTROL_NEXT] = control[CONTROL_WORK] = control[CONTROL_EXEMPT] = 0
        if self.watch is not None:
            lost["code"][: len(packets)] = verdict.NONE
        with put_off():
            self._resolve(packets, lost)
        end = int(control[CONTROL_NEXT])
        self.population.enter_newcomers()
        count = int(control[CONTROL_WORK])
        settings, exempt_max = (self.rates, self.profiles), int(control[CONTROL_EXEMPT])
        job = Job(settings, verdicts, exempt_max, self._on_stop, self.watch is not None)
        self._meter(packets[:end], work[:count], job)
        if self.watch is not None:
            self.watch(packets[:end], work[:count], lost[:end])
        return end

    def _resolve(self, packets: Rows, lost: Rows) -> None:
        """Find whose the packets are, up to CONTROL_BOUNDARY_NS, and make those who are new."""
        control, sessions = self.control, self.sessions
        exempt = (*self.exempt.tables, self.fragments)
        while True:
            tables = sessions.tunnels, sessions.addresses, sessions.nets, exempt
            self.population.expect()
            resolve(packets, *tables, self._work, lost, control)
            self.population.meet(self.calendar.coupon_ns)
            stop = int(control[CONTROL_STOP])
            if stop == STOP_END or stop == STOP_BOUNDARY:
                break
            if stop == STOP_SUBSCRIBER:
                packet = packets[int(control[CONTROL_NEXT])]
                direction = int(control[CONTROL_SUBSCRIBED])
                self.population.add_subscriber(packet, direction, self.now_ns, self.coupon_ns)
            elif stop == STOP_SLEEPER:
                self.population.wake(int(control[CONTROL_SUBSCRIBED]))
            else:
                sessions.make_room()

    def _meter(self, packets: Rows, work: Rows, job: Job) -> None:
        """Have the shards meter the work of these packets; the answers stand in it then."""
        self.shards.run(self.sims, job, work)

    def _on_stop(self, stop: int, work: Any) -> None:
        """A packet waits for its session or for a slice."""
        line = self.book.lines[int(work["row"])]
        coupon_ns = self.calendar.coupon_ns(int(work["time_ns"]))
        with self._lock:
            if stop == STOP_ATTACH:
                self.quota.attach(line, coupon_ns)
            else:
                self.quota.refill(line, coupon_ns)

    # --- reports ----------------------------------------------------------------------------------

    def snapshot(self) -> dict[str, Any]:
        """Totals, drops, SIMs, contracts and tunnels as of now; plain values, as in the JSON report.

        Raises LedgerError if the counters do not add up (I6).
        """
        return report.snapshot(self)

    def totals(self) -> dict[str, Any]:
        """Packets, bytes, grants and drops as of now, without looking at every SIM."""
        return report.brief(self)

    def lines_report(self, after: int, limit: int) -> list[dict[str, Any]]:
        """Rows `after` to `after + limit - 1` of `snapshot()["sims"]`, for those who read it in parts."""
        self.quota.note_drained()
        return sim_rows(self, self.book.lines[after : after + limit])

    def line_report(self, line: str) -> dict[str, Any]:
        """The row of `snapshot()["sims"]` of the line with this code, ICCID or IMSI; UsageError without."""
        self.quota.note_drained()
        return sim_rows(self, [self.book.find(line)])[0]

    def close(self, clean: bool = True) -> None:
        """Settle every slice and close the database; LedgerError if the books do not agree."""
        if self._closed:
            return
        self._closed = True
        self.shards.close()
        settled = False
        try:
            if clean:
                report.check_lines(self)
                self.usage.report(self.now_ns)
                self.quota.settle(self.book.lines, self.now_ns)
                settled = True
        finally:
            self.quota.end()
            self.store.close(settled)


def store_options(settings: Settings, gateway: str = "gateway") -> StoreOptions:
    """How a gateway of this name opens its coupon database under these settings."""
    pool = settings.pool
    return StoreOptions(
        gateway=gateway,
        uncertain=pool.uncertain,
        lease_ns=pool.lease_s * NS_PER_S,
        answer_ms=pool.answer_ms,
    )
