"""A small gateway, as a conversation: it asks, holds, marks, lets out and settles, and says what it saw.

`life` is a generator of calls of the coupon database's methods; whoever drives it decides what becomes of
them: a simulator with links that lose and repeat, or a process that is killed. A call between `defer` and
`flush` (or `begin` and `commit`) counts as answered only when that has returned.
"""

from collections.abc import Generator, Sequence
from dataclasses import dataclass, field, replace
from random import Random
from typing import Any

from engine import calendar
from engine.errors import PoolError, PoolFenced, PoolUnavailable, RefusedError
from tests.proof.facts import Fact, Say

KB = 1024
STEP_BYTES = 1024 * KB
PACKET_BYTES = 1500
"""largest packet; together with the step the most that a crash may leave uncertain on a line (G4)"""
BOUND_BYTES = STEP_BYTES + PACKET_BYTES


@dataclass(frozen=True)
class Call:
    """A call of a store's method; the conversation goes on with its answer or its refusal."""

    method: str
    arguments: tuple[Any, ...] = ()


@dataclass(frozen=True)
class Rest:
    """Nothing to do for a while, in ns."""

    ns: int


Life = Generator[Call | Rest, Any, None]


@dataclass
class Sim:
    """A line that this gateway has open; all figures are cumulative in this run."""

    contract: str
    held: int  # what it held when it was opened and was granted since
    used: int = 0  # let out
    mark: int = 0  # the durable mark


@dataclass
class Gateway:
    """One run of a gateway. `clock` gives the packets' time in ns; `lines` is (contract, line)."""

    name: str
    run: int
    dice: Random
    lines: Sequence[tuple[str, str]]
    say: Say
    clock: Any
    steps: int = 1 << 30
    share: float = 0.5  # of the lines, that it tries to have open
    rests_ns: Sequence[int] = (10**7, 10**9, 30 * 10**9, 10**11, 2 * 10**12)
    sims: dict[str, Sim] = field(default_factory=dict)
    count: int = 0
    month: int = 0
    fenced: bool = False
    pending: list[Fact] = field(default_factory=list)

    def fact(self, what: str, line: str = "", **more: Any) -> Fact:
        """A fact of this run."""
        return Fact(what, self.name, self.run, line=line, **more)

    def new_id(self, kind: str) -> str:
        """A request id that is never used twice."""
        self.count += 1
        return f"{self.name}:{self.run}:{kind}{self.count}"

    def life(self) -> Life:
        """From the start of a run to its clean end; PoolFenced ends it at once."""
        actions = [
            (self.carry, 16),
            (self.attach, 3),
            (self.detach, 1),
            (self.report, 1),
            (self.month_end, 1),
            (self.buy, 1),
        ]
        calls, weights = zip(*actions, strict=True)
        try:
            while self.steps > 0:
                self.steps -= 1
                act = self.dice.choices(calls, weights)[0]
                yield from act()
                yield Rest(self.dice.choice(self.rests_ns))
            yield from self.stop()
        except PoolFenced:
            self.fenced = True

    def group(self, begin: str, end: str, calls: Life) -> Life:
        """Calls that become durable together; what they were answered is said then."""
        self.pending.clear()
        yield Call(begin)
        yield from calls
        yield Call(end)
        for fact in self.pending:
            self.say(fact)
        self.pending.clear()

    def attach(self) -> Life:
        """Open a line, if nobody else has it, and say at once that nothing of it is used."""
        contract, line = self.dice.choice(self.lines)
        if line in self.sims or len(self.sims) > self.share * len(self.lines):
            return
        try:
            yield from self.group("begin", "commit", self._open(contract, line))
        except PoolUnavailable:  # another opens it at this very instant
            self.sims.pop(line, None)
            yield Call("rollback")

    def _open(self, contract: str, line: str) -> Life:
        try:
            held = yield Call("open_line", (contract, line, 0))
        except (PoolFenced, PoolUnavailable):
            raise
        except PoolError:
            return
        used = yield Call("reported", (line,))
        # A run that never marked a line may have used all of it, as far as the database knows.
        yield Call("mark", ([(line, used, used)],))
        self.sims[line] = Sim(contract, used + held, used, used)
        self.pending.append(self.fact("opened", line, contract=contract, amount=held))

    def carry(self) -> Life:
        """Traffic of some lines: grants and marks first, durable, and only then the packets."""
        if not self.sims:
            return
        chosen = self.dice.sample(sorted(self.sims), min(len(self.sims), self.dice.randint(1, 3)))
        wanted = {line: self._traffic() for line in chosen}
        ready: dict[str, int] = {}
        yield from self.group("defer", "flush", self._prepare(wanted, ready))
        for line, amount in ready.items():
            self.let_out(line, amount)

    def _traffic(self) -> int:
        """Bytes of a burst; at most the watermark's step, so that one mark covers it."""
        return self.dice.choice((1, PACKET_BYTES, 300 * KB, STEP_BYTES, STEP_BYTES, STEP_BYTES))

    def _prepare(self, wanted: dict[str, int], ready: dict[str, int]) -> Life:
        for line, amount in wanted.items():
            sim = self.sims[line]
            if sim.held - sim.used < amount:
                yield from self._ask(line, sim)
            ready[line] = min(amount, sim.held - sim.used)
            if sim.mark < sim.used + ready[line]:
                sim.mark = min(sim.used + STEP_BYTES, sim.held)
                yield Call("mark", ([(line, sim.used, sim.mark)],))
                self.pending.append(self.fact("marked", line, amount=sim.used, mark=sim.mark))

    def _ask(self, line: str, sim: Sim) -> Life:
        request, now_ns = self.new_id("r"), self.clock()
        self.say(self.fact("asked", line, request=request))
        answer = yield Call("grant", (request, sim.contract, line, now_ns))
        sim.held += answer.granted_bytes
        self.pending.append(
            self.fact(
                "granted",
                line,
                contract=sim.contract,
                request=request,
                slice_id=answer.slice_id,
                amount=answer.granted_bytes,
                at_ns=now_ns,
            )
        )

    def let_out(self, line: str, amount: int) -> None:
        """Packets go out at high speed and are charged; this cannot be taken back."""
        self.sims[line].used += amount
        self.say(self.fact("let-out", line, amount=amount))

    def _settle(self, line: str, final: bool) -> Life:
        used = self.sims[line].used
        yield Call("settle", (line, used, final))
        self.say(self.fact("settled", line, amount=used))

    def detach(self) -> Life:
        """A session ends: its line may be opened by another gateway."""
        if self.sims:
            line = self.dice.choice(sorted(self.sims))
            yield from self._settle(line, final=True)
            del self.sims[line]

    def report(self) -> Life:
        """A report in between, and a sign of life."""
        if self.sims:
            yield from self._settle(self.dice.choice(sorted(self.sims)), final=False)
        yield Call("renew")

    def month_end(self) -> Life:
        """Credit the month's bundles, each once whoever does it, and book what has expired."""
        now_ns = self.clock()
        month = calendar.month_of(now_ns)
        if month == self.month:
            return
        self.month = month
        yield Call("expire", (now_ns,))
        for number, contract in enumerate(sorted({contract for contract, _ in self.lines})):
            size = (number + 1) * 20 * STEP_BYTES + 4321
            yield from self._credit(contract, month, size)

    def _credit(self, contract: str, month: int, size: int) -> Life:
        since, until = calendar.month_start_ns(month), calendar.bundle_expires_ns(month)
        name = f"bundle:{contract}:{calendar.month_text(month)}"
        given = self.fact("credit", contract=contract, request=name, amount=size, at_ns=since)
        self.say(replace(given, what="credit-asked"))
        yield Call("credit", (name, contract, "bundle", size, since, until))
        self.say(given)

    def buy(self) -> Life:
        """A customer buys coupons; the 31st of a month is refused (C3)."""
        contract, _ = self.dice.choice(self.lines)
        request, now_ns = self.new_id("b"), self.clock()
        coupons, month = self.dice.choice((1, 7, 7)), calendar.month_of(now_ns)
        bought = self.fact(
            "buy", contract=contract, request=request, amount=coupons, mark=month, at_ns=now_ns
        )
        self.say(replace(bought, what="buy-asked"))
        try:
            yield Call("buy", (request, contract, coupons, now_ns))
        except (RefusedError, PoolError) as error:
            if isinstance(error, PoolFenced | PoolUnavailable):
                raise
            return
        self.say(bought)

    def stop(self) -> Life:
        """A clean end: all use is reported, nothing is uncertain."""
        yield Call("settle_all", ([(line, sim.used) for line, sim in self.sims.items()], True))
        for line, sim in self.sims.items():
            self.say(self.fact("settled", line, amount=sim.used))
        yield Call("close", (True,))
