"""A listener to a server's telemetry, which notices what it missed."""

from collections.abc import Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

import zmq

from engine.errors import UsageError
from engine.service import packing
from engine.service.endpoints import check_endpoint, wants_ipv6
from engine.service.keys import ClientKeys, secure_client
from engine.service.telemetry import TOPICS

QUEUE_MESSAGES = 1_000


@dataclass(frozen=True, slots=True)
class Told:
    """One message: `what` has the topic's keys; `gap`: something was missed before it, or the server is
    another one, so what is known should be asked for anew (`Client.snapshot`)."""

    topic: str
    run: str
    seq: int
    at_ns: int
    gap: bool
    what: dict[str, Any]


class Order:
    """Which message of each topic comes next; without sockets."""

    def __init__(self, topics: Sequence[str]) -> None:
        self._run = ""
        self._next: dict[str, int] = {}
        self._topics = topics

    def take(self, frames: Sequence[bytes]) -> Told:
        """The message in these frames; UsageError where it is none of this protocol."""
        if len(frames) == 2:
            match packing.unpack(frames[1], trusted=True):
                case {"run": str(run), "seq": int(seq), "at_ns": int(at_ns), **rest}:
                    topic = frames[0].decode(errors="replace")
                    what = {str(name): value for name, value in rest.items() if name != "v"}
                    return Told(topic, run, seq, at_ns, self._gap(topic, run, seq, what), what)
        raise UsageError("not a message of the service's telemetry")

    def _gap(self, topic: str, run: str, seq: int, what: dict[str, Any]) -> bool:
        if run != self._run:
            another = self._run != ""
            self._run, self._next = run, {topic: seq + 1}
            return another
        missed = self._next.setdefault(topic, seq) != seq
        self._next[topic] = seq + 1
        # totals also tell how far the other topics are: the last of a topic's messages may be the lost one
        for other, number in what.get("next", {}).items():
            if other in self._topics and other != topic:
                missed = missed or self._next.setdefault(other, number) != number
                self._next[other] = number
        return missed


class Listener:
    """A SUB socket on some topics of a server's telemetry (`server["telemetry"]["endpoint"]`)."""

    def __init__(
        self, endpoint: str, topics: Sequence[str] = TOPICS, keys: ClientKeys | None = None
    ) -> None:
        check_endpoint(endpoint, beyond=keys is not None)
        self._order = Order(topics)
        self._context: zmq.Context[Any] = zmq.Context()
        self._socket = self._context.socket(zmq.SUB)
        self._socket.setsockopt(zmq.LINGER, 0)
        self._socket.setsockopt(zmq.RCVHWM, QUEUE_MESSAGES)
        self._socket.setsockopt(zmq.IPV6, int(wants_ipv6(endpoint)))
        if keys is not None:
            secure_client(self._socket, keys)
        for topic in topics:
            self._socket.setsockopt_string(zmq.SUBSCRIBE, topic)
        self._socket.connect(endpoint)

    def receive(self, timeout_ms: int = 5_000) -> Told | None:
        """The next message, or None where none came in time."""
        if not self._socket.poll(timeout_ms):
            return None
        return self._order.take(self._socket.recv_multipart())

    def close(self) -> None:
        """Give the connection back."""
        self._socket.close()
        self._context.term()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
