"""What a server tells whoever listens: totals, drops and events, numbered, over a PUB socket.

A message is two frames: the topic, and a msgpack map with `v`, `run`, `seq`, `at_ns` and the topic's own
keys (docs/protocol.md). `seq` counts a topic's messages from 0 in one run of the server: who finds a gap,
or another `run`, asks the service for a snapshot. A listener that is slow loses messages; it delays nobody.
"""

import secrets
from typing import Any, Protocol

import zmq

from engine.service import packing

TOPICS = ("totals", "drops", "events")
QUEUE_MESSAGES = 256
"""messages that wait for a slow listener; what comes beyond is lost to it"""
EVENTS_MAX = 256
"""events in one message, some 20 kB"""
EVENTS_KEPT = 4_096
"""events between two ticks; with more, the oldest are not told"""
SUBSCRIPTION_BYTES_MAX = 1_024
"""a topic is short, but the messages with which CURVE begins have some 400 bytes"""
API_VERSION = 1


class EngineLike(Protocol):
    """Whose events are told."""

    @property
    def now_ns(self) -> int: ...

    def take_events(self) -> list[tuple[int, str, str]]: ...


class ServerLike(Protocol):
    """Whose figures are told."""

    @property
    def engine(self) -> EngineLike: ...

    @property
    def totals(self) -> dict[str, Any]: ...

    @property
    def figures(self) -> dict[str, int]: ...


class Publisher:
    """Makes the messages: every `interval_ns` the totals, and what was dropped and has happened since."""

    def __init__(
        self,
        socket: "zmq.Socket[Any]",
        server: ServerLike,
        interval_ns: int,
        run: str | None = None,
    ) -> None:
        self.run = run or secrets.token_hex(8)
        self.interval_ns = interval_ns
        self._socket = socket
        self._server = server
        self._seqs = dict.fromkeys(TOPICS, 0)
        self._told: dict[str, dict[str, int]] = {}
        self._due_ns = -1

    def tick(self, now_ns: int) -> bool:
        """Tell what there is to tell if it is time; `now_ns` is a clock that never goes back."""
        if now_ns < self._due_ns:
            return False
        self._due_ns = now_ns + self.interval_ns
        events = self._server.engine.take_events()
        for at in range(0, len(events), EVENTS_MAX):
            self._publish("events", {"events": [list(e) for e in events[at : at + EVENTS_MAX]]})
        totals = self._server.totals
        fresh = self._fresh(totals["drops"])
        if fresh:
            self._publish("drops", {"drops": fresh})
        next_seqs = dict(self._seqs)
        told = {"totals": totals, "service": self._server.figures, "next": next_seqs}
        self._publish("totals", told)
        return True

    def _fresh(self, drops: dict[str, dict[str, int]]) -> dict[str, dict[str, int]]:
        """What was dropped since the last time, by reason."""
        before, self._told = self._told, drops
        nothing = {"packets": 0, "bytes": 0}
        return {
            reason: {unit: count[unit] - before.get(reason, nothing)[unit] for unit in nothing}
            for reason, count in drops.items()
            if count != before.get(reason)
        }

    def _publish(self, topic: str, what: dict[str, Any]) -> None:
        head = {"v": API_VERSION, "run": self.run, "seq": self._seqs[topic]}
        self._seqs[topic] += 1
        data = packing.pack({**head, "at_ns": self._server.engine.now_ns, **what})
        self._socket.send_multipart([topic.encode(), data], zmq.NOBLOCK)
