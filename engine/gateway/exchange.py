"""Requests and answers as UDP loses and repeats them (TS 29.274 7.6, TS 29.060 7.6).

An answer is kept, so that the same request gets the same octets again and has no second effect. A request
of ours is sent up to N3-REQUESTS times, T3-RESPONSE apart.
"""

import heapq
from collections import OrderedDict
from dataclasses import dataclass
from typing import NamedTuple

from engine.gateway.session import Endpoint
from engine.signalling.messages import Kind
from engine.units import NS_PER_S

KEPT_NS = 30 * NS_PER_S
"""longer than any peer repeats a request: T3-RESPONSE times N3-REQUESTS is some seconds"""

Datagram = tuple[bytes, Endpoint]


class Key(NamedTuple):
    """What a request is told apart by, among those of its peer."""

    peer: Endpoint
    version: int
    kind: Kind
    sequence: int


class _Kept(NamedTuple):
    request: bytes
    answer: bytes
    until_ns: int


class Answers:
    """Answers given, the latest `answers_max`, each for 30 s."""

    def __init__(self, answers_max: int) -> None:
        self._max = answers_max
        self._kept: OrderedDict[Key, _Kept] = OrderedDict()
        self._of_peer: dict[tuple[str, int], set[Key]] = {}

    def __len__(self) -> int:
        return len(self._kept)

    def find(self, key: Key, request: bytes, now_ns: int) -> bytes | None:
        """The answer to the same request, octet by octet: a sequence number may be used again."""
        kept = self._kept.get(key)
        if kept is None or kept.request != request or kept.until_ns <= now_ns:
            return None
        return kept.answer

    def keep(self, key: Key, request: bytes, answer: bytes, now_ns: int) -> None:
        """Remember what was answered; forgets what is too old."""
        if key in self._kept:
            self._drop(key)
        self._kept[key] = _Kept(request, answer, now_ns + KEPT_NS)
        self._of_peer.setdefault((key.peer[0], key.version), set()).add(key)
        while len(self._kept) > self._max or next(iter(self._kept.values())).until_ns <= now_ns:
            self._drop(next(iter(self._kept)))

    def _drop(self, key: Key) -> None:
        del self._kept[key]
        of_peer = self._of_peer[key.peer[0], key.version]
        of_peer.remove(key)
        if not of_peer:
            del self._of_peer[key.peer[0], key.version]

    def forget(self, address: str, version: int) -> None:
        """A peer has restarted: its sequence numbers begin anew. Costs what is forgotten, and no more: a
        peer may say that it has restarted in every message."""
        for key in self._of_peer.pop((address, version), ()):
            del self._kept[key]


@dataclass(slots=True)
class Request:
    """One of ours that waits for its answer."""

    data: bytes
    peer: Endpoint
    version: int
    sequence: int
    purpose: str
    sent: int = 1
    due_ns: int = 0


_Name = tuple[int, int, str, str]


class Requests:
    """Our requests that wait for answers, at most `requests_max`."""

    def __init__(self, t3_ns: int, n3: int, requests_max: int) -> None:
        self._t3_ns, self._n3, self._max = t3_ns, n3, requests_max
        self._waiting: dict[_Name, Request] = {}
        self._due: list[tuple[int, _Name]] = []
        self._sequence = {1: 0, 2: 0}

    def __len__(self) -> int:
        return len(self._waiting)

    def next_sequence(self, version: int) -> int:
        """1 and on; the highest bit of version 2's is that of commands' answers (TS 29.274 7.6)."""
        bits = 23 if version == 2 else 16
        self._sequence[version] = self._sequence[version] % ((1 << bits) - 1) + 1
        return self._sequence[version]

    def send(self, request: Request, now_ns: int) -> Datagram:
        """The datagram to send now; it is repeated as long as there is room to remember that."""
        if len(self._waiting) < self._max:
            name = (request.version, request.sequence, request.peer[0], request.purpose)
            request.due_ns = now_ns + self._t3_ns
            self._waiting[name] = request
            heapq.heappush(self._due, (request.due_ns, name))
        return request.data, request.peer

    def answered(self, version: int, sequence: int, address: str, purpose: str) -> bool:
        """Whether this answers a request for that purpose, which then waits no longer."""
        return self._waiting.pop((version, sequence, address, purpose), None) is not None

    def due(self, now_ns: int, most: int) -> tuple[list[Datagram], list[Request]]:
        """What is to be sent again now, at most `most`, and which requests are given up."""
        again: list[Datagram] = []
        lost: list[Request] = []
        while self._due and self._due[0][0] <= now_ns and len(again) + len(lost) < most:
            due_ns, name = heapq.heappop(self._due)
            request = self._waiting.get(name)
            if request is None or request.due_ns != due_ns:
                continue
            if request.sent >= self._n3:
                del self._waiting[name]
                lost.append(request)
                continue
            request.sent += 1
            request.due_ns = now_ns + self._t3_ns
            heapq.heappush(self._due, (request.due_ns, name))
            again.append((request.data, request.peer))
        return again, lost

    @property
    def next_ns(self) -> int | None:
        """When something is due; None where nothing waits."""
        return self._due[0][0] if self._due else None
