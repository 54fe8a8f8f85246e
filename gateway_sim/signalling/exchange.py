"""Requests that wait for an answer, and answers that are kept for requests that come again.

TS 29.274 7.6 and TS 29.060 7.6: a request goes out again, the same octets, each T3-RESPONSE until
N3-REQUESTS have been sent; who gets it twice answers twice alike, and does it once.
"""

import heapq
from dataclasses import dataclass

from engine.units import NS_PER_S
from gateway_sim.signalling.control import Kind
from gateway_sim.signalling.terminal import Terminal
from gateway_sim.traffic.draw import Draw

Peer = tuple[str, int]
"""address and UDP port"""
T3_NS = 3 * NS_PER_S
N3 = 5
"""T3-RESPONSE and N3-REQUESTS: settings of a node; these are usual values"""
ANSWERS_MAX = 4_096
_BLOCK = 1_024


class Numbers:
    """An endless row of integers below a limit, the same for the same seed."""

    def __init__(self, limit: int, *seed: int) -> None:
        self._limit, self._draw = limit, Draw(*seed)
        self._block: list[int] = []

    def next(self) -> int:
        """The next one."""
        if not self._block:
            self._block = self._draw.below(self._limit, _BLOCK).tolist()[::-1]
        return self._block.pop()


@dataclass(slots=True, eq=False)
class Pending:
    """A request under way; `terminal` is None where it is about a path."""

    sequence: int
    octets: bytes
    peer: Peer
    kind: Kind
    terminal: Terminal | None
    sent: int = 1
    done: bool = False


class Requests:
    """The requests of one version under way at a node, by sequence number."""

    def __init__(self, bits: int, seed: tuple[int, ...], t3_ns: int = T3_NS, n3: int = N3) -> None:
        self.pending: dict[int, Pending] = {}
        self._size = 1 << bits
        self._next = int(Draw(*seed, bits).below(self._size, 1)[0])
        self._t3_ns, self._n3 = t3_ns, n3
        self._due: list[tuple[int, int, Pending]] = []
        self._serial = 0

    @property
    def full(self) -> bool:
        """Whether too many are under way to tell a late answer from a new one."""
        return len(self.pending) >= self._size // 2

    def number(self) -> int:
        """The next sequence number that no request under way has; not to be called when full."""
        while self._next in self.pending:
            self._next = (self._next + 1) % self._size
        number = self._next
        self._next = (number + 1) % self._size
        return number

    def add(self, pending: Pending, now_ns: int) -> None:
        """A request that goes out now."""
        self.pending[pending.sequence] = pending
        self._schedule(pending, now_ns)

    def finish(self, pending: Pending) -> None:
        """It is answered, or of no interest any more."""
        pending.done = True
        self.pending.pop(pending.sequence, None)

    def due(self, now_ns: int) -> tuple[list[Pending], list[Pending]]:
        """(those to be sent again now, those that were sent often enough and got no answer)."""
        again, over = [], []
        while self._due and self._due[0][0] <= now_ns:
            pending = heapq.heappop(self._due)[2]
            if pending.done:
                continue
            if pending.sent < self._n3:
                pending.sent += 1
                self._schedule(pending, now_ns)
                again.append(pending)
            else:
                self.finish(pending)
                over.append(pending)
        return again, over

    def next_ns(self) -> int | None:
        """When `due` has something to say; None while nothing is under way."""
        while self._due and self._due[0][2].done:
            heapq.heappop(self._due)
        return self._due[0][0] if self._due else None

    def _schedule(self, pending: Pending, now_ns: int) -> None:
        self._serial += 1
        heapq.heappush(self._due, (now_ns + self._t3_ns, self._serial, pending))


class Answers:
    """Answers that were given lately, by who asked and with which number; the oldest go first."""

    def __init__(self, kept_ns: int = T3_NS * N3) -> None:
        self._kept: dict[tuple[Peer, int, int, int], tuple[bytes, int]] = {}
        self._kept_ns = kept_ns

    def find(self, key: tuple[Peer, int, int, int], now_ns: int) -> bytes | None:
        """The answer to (peer, version, type, sequence), if the request came before."""
        octets, until_ns = self._kept.get(key, (None, 0))
        return octets if now_ns < until_ns else None

    def keep(self, key: tuple[Peer, int, int, int], octets: bytes, now_ns: int) -> None:
        """Keep one."""
        self._kept.pop(key, None)
        if len(self._kept) >= ANSWERS_MAX:
            del self._kept[next(iter(self._kept))]
        self._kept[key] = (octets, now_ns + self._kept_ns)
