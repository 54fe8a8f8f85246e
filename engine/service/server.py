"""A ZeroMQ ROUTER around a `Dispatcher`, and a PUB socket for telemetry; inside any loop, without threads.

On this machine only, unless there are keys (G10).
"""

import selectors
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

import zmq

from engine import clock
from engine.errors import PktollError, UsageError
from engine.service import packing, telemetry
from engine.service.dispatch import Dispatcher, EngineLike, Rules
from engine.service.endpoints import check_endpoint, wants_ipv6
from engine.service.keys import Gate, ServerKeys, private_files, secure_server
from engine.service.limits import Rates
from engine.service.protocol import IN_FLIGHT_MAX
from engine.service.replies import Replies
from engine.service.telemetry import Publisher
from engine.service.verbs import VERBS
from engine.units import NS_PER_MS, NS_PER_S

ASKED_MAX = 32
"""requests that wait per peer; what it sends beyond waits with the peer"""
ANSWERS_MAX = 4 * IN_FLIGHT_MAX
"""answers that wait per peer; beyond, they are dropped, for it alone. ZeroMQ hears of what was sent by half
of this at a time, so that half must be more than what a client may have under way"""
HANDSHAKE_MS = 2_000
"""a connection that has not introduced itself by then is closed (B72)"""
BACKLOG = 1_024
SMALL_BODY_BYTES = 16_384
"""a smaller body is copied: it would keep alive the buffer of 8 kB that ZeroMQ received it in"""
BUDGET = 64
"""requests that `serve` answers before it looks at anything else"""


@dataclass(frozen=True, slots=True)
class Options:
    """How a server serves. `telemetry`: endpoint of the PUB socket, None without one; `requests_per_s` and
    `burst`: for each connection or, with keys, each key; the others are as in `dispatch.Rules`."""

    telemetry: str | None = None
    interval_ns: int = NS_PER_S
    keys: ServerKeys | None = None
    verbs: frozenset[str] = frozenset(VERBS)
    known_only: bool = False
    now_ns: Callable[[], int] | None = None
    gateway: Callable[[], dict[str, Any]] | None = None
    clients_max: int = 1_024
    requests_per_s: int = 20_000
    burst: int = 2_000


class Server:
    """Answers requests at one endpoint until `stop`, in the thread that calls `serve`.

    Another program's loop calls `serve_ready` instead when `fd` is readable, and once before it first waits
    for it; and `tick` now and then.
    """

    def __init__(self, engine: EngineLike, endpoint: str, options: Options | None = None) -> None:
        options = options or Options()
        for text in filter(None, (endpoint, options.telemetry)):
            check_endpoint(text, beyond=options.keys is not None)
        self.options = options
        self.engine = engine
        self.answers_lost = 0
        self._stopping = False
        self._rates = Rates(options.requests_per_s, options.burst)
        self._waiting = selectors.DefaultSelector()
        self._context: zmq.Context[Any] = zmq.Context()
        self._sockets: list[zmq.Socket[Any]] = []
        self._gate: Gate | None = None
        self._publisher: Publisher | None = None
        try:
            self._open(endpoint)
        except PktollError:
            self.close()
            raise

    def _open(self, endpoint: str) -> None:
        options = self.options
        if options.keys is not None:
            self._gate = Gate(self._context, options.keys)
            self._watch(self._gate.socket)
        self._socket = self._bound(zmq.ROUTER, endpoint)
        self.endpoint = self._socket.getsockopt_string(zmq.LAST_ENDPOINT)
        self._watch(self._socket)
        self.telemetry: str | None = None
        told: dict[str, Any] | None = None
        if options.telemetry is not None:
            publishing = self._bound(zmq.PUB, options.telemetry)
            self.telemetry = publishing.getsockopt_string(zmq.LAST_ENDPOINT)
            self._publisher = Publisher(publishing, self, options.interval_ns)
            self.engine.keep_events(telemetry.EVENTS_KEPT)
            told = {
                "endpoint": self.telemetry,
                "run": self._publisher.run,
                "topics": list(telemetry.TOPICS),
                "interval_ms": options.interval_ns // NS_PER_MS,
            }
        rules = Rules(
            options.verbs,
            options.known_only,
            options.now_ns,
            options.gateway,
            {"requests_per_s": options.requests_per_s, "burst": options.burst},
            told,
        )
        self.dispatcher = Dispatcher(self.engine, Replies(options.clients_max), rules)

    def _watch(self, made: "zmq.Socket[Any]") -> None:
        self._waiting.register(int(made.getsockopt(zmq.FD)), selectors.EVENT_READ)

    def _bound(self, kind: int, endpoint: str) -> "zmq.Socket[Any]":
        made: zmq.Socket[Any] = self._context.socket(kind)
        self._sockets.append(made)
        publishes = kind == zmq.PUB
        largest = telemetry.SUBSCRIPTION_BYTES_MAX if publishes else packing.MESSAGE_BYTES_MAX
        made.setsockopt(zmq.MAXMSGSIZE, largest)
        made.setsockopt(zmq.RCVHWM, ASKED_MAX)
        made.setsockopt(zmq.SNDHWM, telemetry.QUEUE_MESSAGES if publishes else ANSWERS_MAX)
        made.setsockopt(zmq.LINGER, 0)
        made.setsockopt(zmq.HANDSHAKE_IVL, HANDSHAKE_MS)
        made.setsockopt(zmq.BACKLOG, BACKLOG)
        made.setsockopt(zmq.IPV6, int(wants_ipv6(endpoint)))
        if not publishes:
            made.setsockopt(zmq.ROUTER_MANDATORY, 1)  # so that an answer that cannot go is counted
        if self.options.keys is not None:
            secure_server(made, self.options.keys)
        _bind(made, endpoint)
        return made

    @property
    def fd(self) -> int:
        """Readable when there is something for `serve_ready` to do; good for poll, select and epoll."""
        return int(self._waiting.fileno())

    @property
    def totals(self) -> dict[str, Any]:
        """The engine's totals, and the figures of the program around it."""
        return self.dispatcher.totals()

    @property
    def figures(self) -> dict[str, int]:
        """What the service has counted of itself."""
        asked = self.dispatcher
        return {
            "clients": len(asked.replies),
            "requests": asked.requests,
            "refused": asked.refused,
            "slowed": asked.slowed,
            "answers_lost": self.answers_lost,
            "turned_away": self._gate.turned_away if self._gate else 0,
        }

    def serve_ready(self, budget: int = BUDGET) -> int:
        """Answer what has come, at most `budget` requests; how many there were.

        While it returns `budget` there may be more, of which `fd` does not tell: call it again.
        """
        if self._gate is not None:
            self._gate.serve()
        now_ns = clock.elapsed_ns()
        for count in range(budget):
            try:
                frames = self._socket.recv_multipart(zmq.NOBLOCK, copy=False)
            except zmq.Again:
                return count
            self._answer(frames, now_ns)
        return budget

    def _answer(self, frames: "Sequence[zmq.Frame]", now_ns: int) -> None:
        identity = frames[0].bytes
        user = "" if self._gate is None else _user(frames[0])
        parts = [_content(frame) for frame in frames[1:]]
        if self._rates.allow(user or identity.hex(), now_ns):
            answer = self.dispatcher.answer(parts, user)
        else:
            answer = self.dispatcher.slow_down(parts)
        try:
            self._socket.send_multipart([identity, *answer], zmq.NOBLOCK)
        except zmq.ZMQError:
            self.answers_lost += (
                1  # it has gone, or does not read; who asks again gets the same answer
            )

    def tick(self, now_ns: int) -> None:
        """Tell the listeners what has happened, when it is time; `now_ns`: a clock that never goes back."""
        if self._publisher is not None:
            self._publisher.tick(now_ns)

    def serve(self) -> None:
        """Answer until `stop` is called; hear meanwhile of what others do to the coupon database."""
        heard_ns = 0
        while not self._stopping:
            now_ns = clock.elapsed_ns()
            self.tick(now_ns)
            if now_ns - heard_ns >= NS_PER_S:
                self.engine.hear()
                heard_ns = now_ns
            if not self.serve_ready():
                self._waiting.select(0.1)

    def serve_once(self, timeout_ms: int = 100) -> bool:
        """Answer one message; False if none came in time."""
        until_ns = clock.elapsed_ns() + timeout_ms * NS_PER_MS
        while not self.serve_ready(1):
            left_ns = until_ns - clock.elapsed_ns()
            if left_ns <= 0:
                return False
            self._waiting.select(left_ns / NS_PER_S)
        return True

    def stop(self) -> None:
        """Make `serve` return, within a tenth of a second; may be called from any thread or signal."""
        self._stopping = True

    def close(self) -> None:
        """Give the endpoints back."""
        self._waiting.close()
        for made in self._sockets:
            made.close()
        if self._gate is not None:
            self._gate.close()
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


def _user(frame: "zmq.Frame") -> str:
    """Whose key the connection has, as the gate said."""
    return str(frame.get("User-Id"))


def _content(frame: "zmq.Frame") -> bytes | memoryview:
    return frame.bytes if len(frame) < SMALL_BODY_BYTES else frame.buffer


def _bind(made: "zmq.Socket[Any]", endpoint: str) -> None:
    path = endpoint.removeprefix("ipc://")
    if path != endpoint and _answers(path):
        # ZeroMQ would quietly take the path away from the other server
        raise UsageError(f"{endpoint}: another server answers there; choose another path")
    try:
        with private_files():
            made.bind(endpoint)
    except zmq.ZMQError as error:
        raise PktollError(f"{endpoint}: cannot listen: {error.strerror}") from None


def _answers(path: str) -> bool:
    """Whether a process listens at this path."""
    with socket.socket(socket.AF_UNIX) as probe:
        try:
            probe.connect(path)
        except OSError:
            return False
    return True
