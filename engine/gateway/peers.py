"""The S-GWs and SGSNs that have sessions here: their restart counters, and whether they still answer."""

from collections import deque
from dataclasses import dataclass

from engine.gateway.session import Endpoint
from engine.gateway.table import PeerKey, SessionTable

SWEEP_MIN = 256
ROUNDS_MAX = 2
"""Echo Requests in a row, each sent N3-REQUESTS times, that may stay without an answer"""


@dataclass(slots=True)
class Peer:
    """`recovery` is None until the peer has said it; `silent` counts what it did not answer."""

    end: Endpoint
    recovery: int | None = None
    silent: int = 0


class Peers:
    """Peers with sessions, and others not: what a stranger says is not remembered."""

    def __init__(self, table: SessionTable, echo_ns: int) -> None:
        self._table, self._echo_ns = table, echo_ns
        self._known: dict[PeerKey, Peer] = {}
        self._echoes: deque[tuple[int, PeerKey, Peer]] = deque()
        self._sweep_at = SWEEP_MIN

    def __len__(self) -> int:
        return len(self._known)

    def heard(self, key: PeerKey, recovery: int | None) -> bool:
        """A peer said something; whether it has restarted since it said its counter last (TS 23.007 18)."""
        peer = self._known.get(key)
        if peer is None:
            return False
        peer.silent = 0
        if recovery is None:
            return False
        before, peer.recovery = peer.recovery, recovery
        return before not in (None, recovery)

    def joined(self, key: PeerKey, end: Endpoint, recovery: int | None, now_ns: int) -> None:
        """A session of the peer was opened, or moved to it."""
        peer = self._known.get(key)
        if peer is None:
            self._sweep()
            peer = self._known[key] = Peer(end)
            if self._echo_ns:
                self._echoes.append((now_ns + self._echo_ns, key, peer))
        peer.end = end
        if recovery is not None:
            peer.recovery = recovery

    def _sweep(self) -> None:
        """Forget peers whose sessions have all ended, when there are many."""
        if len(self._known) >= self._sweep_at:
            self._known = {key: p for key, p in self._known.items() if self._table.has_peer(key)}
            self._sweep_at = SWEEP_MIN + 2 * len(self._known)

    def echoes_due(self, now_ns: int, most: int) -> list[tuple[PeerKey, Endpoint]]:
        """To whom an Echo Request is to be sent now; peers whose sessions have all ended are forgotten."""
        found: list[tuple[PeerKey, Endpoint]] = []
        while self._echoes and self._echoes[0][0] <= now_ns and len(found) < most:
            _, key, peer = self._echoes.popleft()
            if self._known.get(key) is not peer:
                continue
            if not self._table.has_peer(key):
                del self._known[key]
                continue
            self._echoes.append((now_ns + self._echo_ns, key, peer))
            found.append((key, peer.end))
        return found

    def unanswered(self, key: PeerKey) -> bool:
        """An Echo Request was given up; whether the peer counts as gone now."""
        peer = self._known.get(key)
        if peer is None:
            return False
        peer.silent += 1
        return peer.silent >= ROUNDS_MAX

    @property
    def next_echo_ns(self) -> int | None:
        """When an Echo Request is due; None: none."""
        return self._echoes[0][0] if self._echoes else None
