"""Several gateways, one real coupon store, a seeded scheduler: every fault of the list, again and again.

All that happens follows from the seed: the same seed gives the same run, to the byte. Gateways talk to the
store through links that lose, delay and repeat; they crash, stall and start twice; clocks step. The naive
model (`tests.proof.model`) does what the store did, in the same order, and must come to the same answers.
"""

import heapq
import itertools
from collections.abc import Callable
from contextlib import suppress
from copy import deepcopy
from dataclasses import replace
from functools import partial
from random import Random
from typing import Any, Literal

from engine import calendar
from engine.errors import PktollError, PoolError
from engine.pool import CouponStore
from engine.pool.store import StoreOptions
from tests.proof import ending, mischief
from tests.proof.clocks import machine_clock
from tests.proof.facts import Fact, Figures, Finding
from tests.proof.gateway import Call, Gateway, Rest
from tests.proof.model import Ledger
from tests.proof.twin import Twin, compare
from tests.proof.world import GROUPS, HOUR, LATE, LINES, START_NS, Opener, Plan, S, Seat


class Simulation:
    """One world, from a seed to its findings."""

    def __init__(self, opener: Opener, plan: Plan) -> None:
        self.opener = opener
        self.plan = plan
        self.dice = Random(plan.seed)
        self.now = self.machine_ns = START_NS
        self.ahead_ns = 0  # how far any clock ever was: the database's time may go on from there
        self.events: list[tuple[int, int, Callable[[], None]]] = []
        self.count = itertools.count()
        self.seats = [Seat(f"gw{n}") for n in range(plan.gateways)]
        self.gateways: dict[int, Gateway] = {}
        self.broken: set[int] = set()
        self.facts: list[Fact] = []
        self.findings: list[Finding] = []
        self.figures = Figures()
        self.twin = Twin(Ledger(refund=plan.refund), self.differ)
        self.twin.on_take_over = self.taken_over
        self.renewed: dict[
            int, int
        ] = {}  # run -> its machine's time when it last extended its lease
        self.uncertain: dict[str, int] = {}
        self.left = plan.steps
        self.month = calendar.month_of(START_NS)
        self.lines = LINES

    @property
    def model(self) -> Ledger:
        """The naive twin of the database."""
        return self.twin.model

    def run(self) -> list[Finding]:
        """Until all steps are done; then every run is ended and the books are checked."""
        with machine_clock(lambda: self.machine_ns, lambda: self.now):
            try:
                for seat in self.seats:
                    self.later(self.dice.randrange(60 * S), partial(self.start, seat))
                while self.events and self.left > 0 and not self.findings:
                    self.now, _, act = heapq.heappop(self.events)
                    act()
                ending.finish(self)
            finally:
                for seat in self.seats:
                    self.drop(seat)
        self.figures.simulated_s = (self.now - START_NS) // S
        return self.findings

    def later(self, delay_ns: int, act: Callable[[], None]) -> None:
        """Do something after a while."""
        heapq.heappush(self.events, (self.now + delay_ns, next(self.count), act))

    def pass_time(self, ns: int) -> None:
        """Nobody does anything for a while; all that was to come comes later."""
        self.events = [(at_ns + ns, number, act) for at_ns, number, act in self.events]

    def of(self, seat: Seat, act: Callable[..., None], *more: Any) -> Callable[[], None]:
        """`act` on the run that has the seat now; nothing if another has it by then."""
        epoch = seat.epoch
        return lambda: act(seat, *more) if seat.epoch == epoch else None

    def options(self, seat: Seat) -> StoreOptions:
        """How the gateway of a seat opens the store."""
        mode: Literal["charge", "refund"] = "refund" if self.plan.refund else "charge"
        short = self.seats.index(seat) < self.plan.short_leases
        return StoreOptions(seat.name, mode, 1 if short else self.plan.lease_ns, answer_ms=30)

    def turn_to(self, seat: Seat) -> None:
        """From now on it is this machine's clock that is read."""
        self.machine_ns = self.now + seat.step_ns
        self.ahead_ns = max(self.ahead_ns, seat.step_ns)

    # Runs: how they begin and end.

    def start(self, seat: Seat) -> None:
        """A gateway's process starts; what its last run left open is recovered."""
        self.turn_to(seat)
        seat.epoch += 1
        try:
            seat.store = self.opener(self.options(seat))
        except PoolError as error:
            self.findings.append(Finding("start", f"{seat.name} cannot start: {error}"))
            return
        before = seat.gateway
        run = seat.store.run_id
        self.model.start(run)
        self.renewed[run] = self.machine_ns
        seat.gateway = self.gateways[run] = Gateway(
            seat.name, run, Random(self.dice.random()), LINES, self.facts.append, lambda: self.now
        )
        seat.life = seat.gateway.life()
        if before is not None:
            self.broken_off(before.run, seat.store)
            self.compare(seat.store)
        self.later(0, self.of(seat, self.go_on))

    def drop(self, seat: Seat) -> None:
        """A crash: the process is gone, with whatever it had not made durable."""
        if seat.store is not None:
            seat.epoch += 1
            store, seat.store = seat.store, None
            store.close(clean=False)
            if seat.before is not None:
                self.twin.model, self.broken, self.uncertain, facts = seat.before
                del self.facts[facts:]
            seat.group = seat.before = None

    def broken_off(self, run: int, store: CouponStore) -> None:
        """A run was recovered: its lines' uncertain bytes are looked at (G4)."""
        gateway = self.gateways[run]
        if self.model.runs[run]:
            self.model.end(run, clean=False)
        if run not in self.broken:
            self.broken.add(run)
            for line in gateway.sims:
                self.facts.append(Fact("broken-off", gateway.name, run, line=line))
        for _, line in LINES:
            total = sum(s.uncertain_bytes for s in store.slices(line))
            more = total - self.uncertain.get(line, 0)
            if more:
                self.uncertain[line] = total
                self.facts.append(Fact("uncertain", gateway.name, run, line=line, amount=more))

    def differ(self, finding: Finding) -> None:
        """The store is not as the model says."""
        if self.plan.lockstep:
            self.findings.append(finding)

    def compare(self, store: CouponStore) -> None:
        """Hold all books against the model's."""
        for finding in compare(store, self.model):
            self.differ(finding)

    def taken_over(self, run: int, other: int) -> None:
        """A line was opened whose run is another's: its lease must have been over (I4)."""
        self.figures.fault("F11 taken over after the lease")
        # A store may spare itself writes: the last eighth of a lease may not have been extended.
        over_ns = self.renewed[other] + self.plan.lease_ns * 7 // 8
        newest_ns = self.now + self.ahead_ns
        if self.plan.timed_leases and newest_ns < over_ns:
            words = f"run {other} had {over_ns - newest_ns} ns left when run {run} took over"
            self.differ(Finding("lease-cut-short", words))
        seat = next(s for s in self.seats if s.gateway and s.run == run)
        assert seat.store is not None
        self.broken_off(other, seat.store)

    def over(self, seat: Seat) -> None:
        """A run came to its end, by itself or fenced; the gateway starts again after a while."""
        assert seat.store is not None
        seat.epoch += 1
        if self.model.runs[seat.run]:
            self.differ(Finding("fencing", f"run {seat.run} stopped, but is open"))
        if seat.gateway is not None and not seat.gateway.fenced:
            seat.gateway = seat.store = None
        self.drop(seat)
        self.later(self.dice.randrange(600 * S), partial(self.start, seat))

    def crash(self, seat: Seat, fault: str) -> None:
        """kill -9, seen from the database; the gateway starts again, soon or late."""
        self.figures.crashes += 1
        self.figures.fault(fault)
        self.drop(seat)
        delay_ns = self.dice.choice((S, S, 600 * S, 3 * self.plan.lease_ns))
        self.later(delay_ns, partial(self.start, seat))

    # A gateway's conversation with the database.

    def go_on(self, seat: Seat, value: Any = None, error: PktollError | None = None) -> None:
        """Hear the gateway until it has to wait: for the link, or because it rests."""
        self.turn_to(seat)
        while seat.life is not None and not self.findings:
            try:
                step = seat.life.throw(error) if error else seat.life.send(value)
            except StopIteration:
                return self.over(seat)
            except PktollError as refused:
                self.differ(Finding("gateway", f"{seat.name} cannot go on: {refused}"))
                return self.crash(seat, "F1 crash after a refusal")
            value, error = None, None
            if isinstance(step, Rest):
                self.left -= 1
                return mischief.rest(self, seat, step.ns)
            if seat.group is None and step.method not in GROUPS:
                return self.transmit(seat, step)
            try:
                value = self.in_group(seat, step)
            except PktollError as refused:
                error = refused
            if seat.store is None:
                return None
        return None

    def do(self, seat: Seat, call: Call) -> Any:
        """Let the store do it, and the model."""
        assert seat.store is not None
        self.note_month(seat.store)
        answer = self.twin.perform(seat.store, seat.run, call)
        if call.method in ("flush", "renew"):
            self.renewed[seat.run] = self.machine_ns
        return answer

    def note_month(self, store: CouponStore) -> None:
        """A month ended since the last call: note what its coupons had granted until then (I7)."""
        month = calendar.month_of(self.now)
        if month > self.month:
            self.month = month
            for contract in sorted({contract for contract, _ in LINES}):
                for c in store.coupons(contract):
                    if c.expires_ns <= self.now:
                        fact = Fact("over", contract=contract, request=c.credit_id)
                        self.facts.append(replace(fact, amount=c.granted_bytes))

    def in_group(self, seat: Seat, call: Call) -> Any:
        """A call whose answer counts when its group is durable; nobody else comes between."""
        if seat.group is None:
            seat.group, seat.before, seat.crash_at = [], None, -1
            if self.dice.random() < 4 * self.plan.crash:
                seat.crash_at = self.dice.randrange(1, 6)
                if call.method == "begin" or not self.plan.durable_calls:
                    kept = deepcopy((self.model, self.broken, self.uncertain))
                    seat.before = (*kept, len(self.facts))
        seat.group.append(call)
        if len(seat.group) > seat.crash_at > 0:
            return self.crash(seat, "F1 crash within a group")
        answer = self.do(seat, call)
        if call.method == "grant":
            self.repeat(seat, call, answer)
        if call.method in GROUPS.values():
            group, seat.group, seat.before = seat.group, None, None
            if self.dice.random() < self.plan.lost:
                self.figures.fault("F2 durable, but the answer was lost")
                for again in group:
                    with suppress(PktollError):  # what was refused is refused again
                        self.do(seat, again)
            elif self.dice.random() < self.plan.crash:
                self.crash(seat, "F2 crash between commit and answer")
            for late in group if seat.store is not None else []:
                self.keep(seat, late)
        return answer

    def repeat(self, seat: Seat, call: Call, answer: Any) -> None:
        """A third of the requests are made again, up to ten times (F8)."""
        if self.dice.random() < self.plan.repeated:
            times = self.dice.choice((1, 1, 1, 2, 10))
            self.figures.repeated_requests += times
            self.figures.fault("F8 repeated", times)
            for _ in range(times):
                again = self.do(seat, call)
                if again != answer:
                    self.answered(seat, call, answer)
                    self.answered(seat, call, again)

    def answered(self, seat: Seat, call: Call, answer: Any) -> None:
        """Note the answer to a request that was made again."""
        if answer.granted_bytes:
            request, contract, line, at_ns = call.arguments
            given = {"contract": contract, "line": line, "request": request, "at_ns": at_ns}
            size = {"slice_id": answer.slice_id, "amount": answer.granted_bytes}
            self.facts.append(Fact("granted", seat.name, seat.run, **given, **size))

    def keep(self, seat: Seat, call: Call) -> None:
        """Now and then a copy of a message arrives hours later, while its session lives (F8)."""
        if call.method in LATE and self.dice.random() < 0.05:
            late = self.of(seat, self.late, call, self.moves(call))
            self.later(self.dice.randrange(3 * HOUR), late)

    def moves(self, call: Call) -> list[int]:
        """How often the lines of a mark went to another gateway."""
        return (
            [self.model.lines[row[0]].moves for row in call.arguments[0]]
            if call.method == "mark"
            else []
        )

    def late(self, seat: Seat, call: Call, moves: list[int]) -> None:
        """A copy of an old message arrives; nobody waits for the answer any more.

        Reports are numbers that grow while a gateway has a line. A session's calls come one after the
        other, so a copy cannot come after another gateway had the line: the first would have been refused.
        """
        if self.moves(call) != moves:
            return
        self.turn_to(seat)
        self.figures.fault("F8 arrived hours late")
        try:
            answer = self.do(seat, call)
        except PktollError:
            return
        if call.method == "grant":
            self.answered(seat, call, answer)

    def transmit(self, seat: Seat, call: Call) -> None:
        """A call alone: it may be lost, its answer may be lost; then it is made again after 1 s (F8)."""
        delay_ns = self.dice.randrange(1, 50 * 10**6)
        if call.method != "close" and self.dice.random() < self.plan.lost:
            self.figures.fault("F8 request lost")
            delay_ns += S
        delay_ns += max(0, seat.clogged_ns - self.now)
        self.later(delay_ns, self.of(seat, self.deliver, call))

    def deliver(self, seat: Seat, call: Call) -> None:
        """The call arrives."""
        self.turn_to(seat)
        if self.dice.random() < self.plan.crash:
            return self.crash(seat, "F1 crash before a call")
        error = answer = None
        try:
            answer = self.do(seat, call)
        except PktollError as refused:
            error = refused
        if call.method == "close":
            return self.go_on(seat, answer, error)
        self.keep(seat, call)
        roll = self.dice.random()
        if roll < self.plan.lost:
            self.figures.fault("F8 answer lost")
            return self.later(S, self.of(seat, self.deliver, call))
        if roll < self.plan.lost + self.plan.crash:
            return self.crash(seat, "F2 crash between commit and answer")
        return self.later(
            self.dice.randrange(1, 50 * 10**6), self.of(seat, self.go_on, answer, error)
        )
