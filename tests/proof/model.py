"""A naive twin of the coupon database: dicts and lists, written from the rules, no code of a store.

It is told what was done, in the order in which the store did it, and says what the store must have
answered: a number, or `No` where a store must refuse. What decides whether a lease is over is not
modelled: the caller says whether a line was taken over.
"""

from dataclasses import dataclass, field

SLICE_BYTES = 10 * 1024 * 1024
TOPUP_BYTES = 100 * 1024 * 1024
TOPUPS_A_MONTH = 30


class No(Exception):
    """A store must refuse this, and change nothing."""


class Fenced(No):
    """Another gateway has taken over from this run."""


@dataclass
class Coupon:
    """A coupon: credited = left + granted + expired."""

    credit_id: str
    contract: str
    kind: str
    since_ns: int
    until_ns: int
    credited: int
    number: int
    left: int = 0
    granted: int = 0
    expired: int = 0

    @property
    def order(self) -> tuple[int, int, int, int]:
        """C5: nearest expiry, bundle before additional, the older first."""
        return (self.until_ns, int(self.kind == "topup"), self.since_ns, self.number)


@dataclass
class Piece:
    """A slice, or the balance that a line came with (request "")."""

    request: str
    granted: int
    used: int = 0
    uncertain: int = 0

    @property
    def left(self) -> int:
        """What the SIM still holds of it."""
        return self.granted - self.used - self.uncertain


@dataclass
class Line:
    """A SIM: who has it, and what was said about it in that run."""

    contract: str
    run: int
    is_open: bool = True
    base: int = 0  # what the SIM held when this run opened it first
    granted: int = 0  # what it was granted in this run
    settled: int = 0
    used: int = 0  # certain, as of the last mark
    mark: int | None = None  # None: never said, so anything that it holds may have been used
    moves: int = 0  # how often it went from one run to another
    pieces: list[Piece] = field(default_factory=list)
    gone: int = 0

    @property
    def held(self) -> int:
        """Bytes on the SIM as far as they were settled."""
        return sum(piece.left for piece in self.pieces)

    def spend(self, amount: int, uncertain: bool = False) -> None:
        """Book use, the oldest bytes first."""
        for piece in self.pieces:
            spent = min(piece.left, amount)
            if uncertain:
                piece.uncertain += spent
            else:
                piece.used += spent
            amount -= spent
        assert amount == 0, "more than the SIM held"


@dataclass
class Answer:
    """What a request was answered, for ever."""

    run: int
    contract: str
    line: str
    granted: int
    moves: int


@dataclass
class Bought:
    """A purchase, by its request."""

    contract: str
    month: int
    coupons: int
    at_ns: int


@dataclass
class Ledger:
    """All the books. Months are numbers that the caller makes; runs are the stores' numbers."""

    refund: bool = False
    coupons: list[Coupon] = field(default_factory=list)
    lines: dict[str, Line] = field(default_factory=dict)
    removed: dict[str, Line] = field(default_factory=dict)
    runs: dict[int, bool] = field(default_factory=dict)  # run -> still open
    answers: dict[str, Answer] = field(default_factory=dict)
    bought: dict[str, Bought] = field(default_factory=dict)
    closed: set[str] = field(default_factory=set)

    def start(self, run: int) -> None:
        """A gateway began a run."""
        assert run not in self.runs, f"run {run} begins a second time"
        self.runs[run] = True

    def end(self, run: int, clean: bool) -> None:
        """A run ended; broken off, its open lines keep what they may have used as uncertain (G4)."""
        if not self.runs[run]:
            return
        self.runs[run] = False
        for line in self.lines.values():
            if line.run == run and line.is_open:
                line.is_open = False
                if not clean:
                    self._break_off(line)

    def _break_off(self, line: Line) -> None:
        held = line.held
        reach = line.settled + held if line.mark is None else max(line.mark, line.settled)
        certain = max(line.used, line.settled)
        line.spend(certain - line.settled)
        doubtful = min(reach, line.settled + held) - certain
        if not self.refund:
            line.spend(doubtful, uncertain=True)

    def known(self, contract: str) -> bool:
        """Whether anybody spoke of this contract yet."""
        names = {coupon.contract for coupon in self.coupons}
        lines = [*self.lines.values(), *self.removed.values()]
        return contract in names | {line.contract for line in lines}

    def credit(self, credit_id: str, contract: str, kind: str, size: int, good: range) -> bool:
        """Add a coupon good in `good` (ns); False if it was there."""
        for coupon in self.coupons:
            if coupon.credit_id == credit_id:
                if (contract, kind, size, good.start, good.stop) != (
                    coupon.contract,
                    coupon.kind,
                    coupon.credited,
                    coupon.since_ns,
                    coupon.until_ns,
                ):
                    raise No("other figures")
                return False
        if contract in self.closed:
            return False
        self._add(credit_id, contract, kind, size, good)
        return True

    def _add(self, credit_id: str, contract: str, kind: str, size: int, good: range) -> None:
        number = len(self.coupons)
        self.coupons.append(
            Coupon(credit_id, contract, kind, good.start, good.stop, size, number, size)
        )

    def buy(self, request: str, contract: str, coupons: int, month: int, good: range) -> bool:
        """C3, C4: at most 30 a month and contract, each request once."""
        if request in self.bought:
            known = self.bought[request]
            if (known.contract, known.coupons, known.at_ns) != (contract, coupons, good.start):
                raise No("other figures")
            return False
        if not self.known(contract) or contract in self.closed:
            raise No("contract unknown or at its end")
        so_far = sum(
            b.coupons for b in self.bought.values() if (b.contract, b.month) == (contract, month)
        )
        if so_far + coupons > TOPUPS_A_MONTH:
            raise No("more than 30 in a month")
        self.bought[request] = Bought(contract, month, coupons, good.start)
        self._add(request, contract, "topup", coupons * TOPUP_BYTES, good)
        return True

    def open_line(self, run: int, contract: str, name: str, balance: int, taken: bool) -> int:
        """A gateway opens a line; `taken`: another's lease over it had ended."""
        self.alive(run)
        if name in self.removed:
            raise No("removed")
        if name not in self.lines:
            self.lines[name] = Line(contract, run, base=balance)
            if balance:
                self.lines[name].pieces.append(Piece("", balance))
            return balance
        line = self.lines[name]
        if line.contract != contract:
            raise No("belongs to another contract")
        if line.run != run and line.is_open:
            if not taken:
                raise No("another gateway has it")
            self.end(line.run, clean=False)
        if line.run != run:
            line.run, line.base, line.granted = run, line.held, 0
            line.settled, line.used, line.mark = 0, 0, None
            line.moves += 1
        line.is_open = True
        return line.held

    def alive(self, run: int) -> None:
        """Every call of a run first proves that nobody took over from it."""
        if not self.runs.get(run):
            raise Fenced("another has taken over")

    def _opened(self, run: int, name: str) -> Line:
        self.alive(run)
        line = self.lines.get(name)
        if line is None or line.run != run:
            raise No("not opened in this run")
        return line

    def reported(self, run: int, name: str) -> int:
        """What this run said is used for certain."""
        line = self._opened(run, name)
        return max(line.settled, line.used)

    def grant(self, run: int, request: str, contract: str, name: str, now_ns: int) -> int:
        """D1-D3, C5, C6, I3: bytes of the slice, 0 when nothing is left."""
        self.alive(run)
        if request in self.answers:
            answer = self.answers[request]
            if (answer.run, answer.contract, answer.line) != (run, contract, name):
                raise No("known otherwise")
            known = self.lines.get(name) or self.removed.get(name)
            if known is None or (known.moves, known.run) != (answer.moves, run):
                raise No("another gateway had the line since")
            return answer.granted
        line = self._opened(run, name)
        if line.contract != contract:
            raise No("belongs to another contract")
        size = self._take(contract, now_ns)
        if size:
            line.pieces.append(Piece(request, size))
            line.granted += size
            line.is_open = True
            self.answers[request] = Answer(run, contract, name, size, line.moves)
        return size

    def _take(self, contract: str, now_ns: int) -> int:
        wanted = SLICE_BYTES
        for coupon in sorted(self.coupons, key=lambda c: c.order):
            if coupon.contract == contract and coupon.since_ns <= now_ns < coupon.until_ns:
                taken = min(coupon.left, wanted)
                coupon.left -= taken
                coupon.granted += taken
                wanted -= taken
        return SLICE_BYTES - wanted

    def mark(self, run: int, name: str, used: int, mark: int) -> None:
        """G4: `used` is certain, and up to `mark` may be used; neither ever falls."""
        line = self._opened(run, name)
        if used > mark or mark > line.base + line.granted:
            raise No("beyond what it was granted")
        if not line.is_open and mark > line.settled:
            raise No("settled finally")
        line.used = max(line.used, used)
        line.mark = max(line.mark or 0, mark)

    def settle(self, run: int, name: str, used: int, final: bool) -> None:
        """I5: all that the run used so far."""
        line = self._opened(run, name)
        used = max(used, line.used)
        more = used - line.settled
        if more > 0:
            if not line.is_open:
                raise No("settled finally")
            if more > line.held:
                raise No("more than the SIM held")
            line.spend(more)
            line.settled = used
        if final:
            line.is_open = False

    def expire(self, now_ns: int) -> int:
        """C6: what is left of coupons whose end has come."""
        return self._void([c for c in self.coupons if c.until_ns <= now_ns])

    def close_contract(self, contract: str) -> int:
        """A4, A6: what its coupons hold is gone at once."""
        if not self.known(contract):
            raise No("contract unknown")
        self.closed.add(contract)
        return self._void([c for c in self.coupons if c.contract == contract])

    def _void(self, coupons: list[Coupon]) -> int:
        total = sum(coupon.left for coupon in coupons)
        for coupon in coupons:
            coupon.expired += coupon.left
            coupon.left = 0
        return total

    def remove_line(self, name: str, taken: bool = False) -> int:
        """L4: what its SIM holds is gone; `taken`: the lease of who had it open had ended."""
        if name in self.removed:
            return 0
        if name not in self.lines:
            raise No("unknown")
        if taken:
            self.end(self.lines[name].run, clean=False)
        if self.lines[name].is_open:
            raise No("a gateway has it open")
        line = self.removed[name] = self.lines.pop(name)
        gone = line.held
        line.spend(gone)
        line.gone = gone
        return gone
