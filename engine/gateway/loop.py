"""The gateway's loop: waits for sockets and departures, and gives each its turn.

One batch a socket and turn, so that a flood on one never starves another (B20).
"""

import socket
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Protocol

from engine.gateway import libc
from engine.gateway.hold import NEVER_NS
from engine.gateway.plane import Plane
from engine.gateway.session import Endpoint
from engine.runtime import events
from engine.runtime.collector import brief
from engine.units import NS_PER_MS, NS_PER_S

Datagrams = list[tuple[bytes, Endpoint]]
Ready = Callable[[], bool]
"""sees to a descriptor that can be read from; True where it has more to do at once"""

CONTROL_BATCH = 64
"""control messages of a turn"""
CONTROL_BYTES = 65_535
IDLE_NS = 50 * NS_PER_MS
"""ns; the longest that nothing is looked at: what others did to the coupon database is heard of then"""
STATUS_NS = NS_PER_S
SWITCH_S = 0.0005
"""s; how long the thread that asks the coupon database may keep this one from going on"""
FAREWELL_NS = NS_PER_S
"""ns; how long peers have to answer that their sessions have ended"""


class ControlPlane(Protocol):
    """What the loop asks of a control plane (`engine.gateway.pgw.Pgw`)."""

    def receive(self, data: bytes, peer: Endpoint, now_ns: int) -> Datagrams:
        """A control message: what to send."""

    def tick(self, now_ns: int) -> Datagrams:
        """Time has passed: what to send."""

    def next_tick_ns(self, now_ns: int) -> int:
        """ns since 1970; when `tick` is due next."""

    def error_indication(self, teid: int, peer: str, now_ns: int) -> Datagrams:
        """A peer does not know the TEID to which its G-PDUs go: what to send."""

    def stop(self, now_ns: int) -> Datagrams:
        """Close all sessions: what to send."""

    @property
    def waiting(self) -> int:
        """Requests of its own that have not been answered yet."""


class Loop:
    """Runs a data plane and a control plane until told to stop.

    `sock` is the GTP-C socket; `woken` a descriptor that a signal makes readable, or -1.
    """

    def __init__(
        self, plane: Plane, control: ControlPlane, sock: socket.socket, *, woken: int = -1
    ) -> None:
        self.plane, self.control = plane, control
        self.engine, self.date = plane.engine, plane.date
        self._sock = sock
        self._woken = woken
        self._stopping = False
        self._joined: list[tuple[int, Ready]] = []
        self._busy = False
        self._every_second: list[Callable[[int], None]] = []
        self._second_ns = self.date.now_ns() + STATUS_NS
        self._tick_ns = 0
        self._control_pending = False
        self.poller = libc.Poller()
        self.counters: Counter[str] = Counter()

    def join(self, descriptor: int, ready: Ready) -> None:
        """Have `ready` called when the descriptor can be read from, and after turns in which it said so."""
        self._joined.append((descriptor, ready))

    def every_second(self, tell: Callable[[int], None]) -> None:
        """Have `tell(now_ns)` called about once a second."""
        self._every_second.append(tell)

    def stop(self) -> None:
        """End after this turn; may be called from a signal handler."""
        self._stopping = True

    def run(self) -> None:
        """Serve until `stop`; then close all sessions."""
        sgi = self.plane.sgi.descriptor
        watched = [self._sock.fileno(), self.plane.sock.fileno()]
        extra = [sgi] if sgi >= 0 else []
        extra += [self._woken] if self._woken >= 0 else []
        self.poller.watch(watched + extra + [descriptor for descriptor, _ in self._joined])
        at = 2 + len(extra)
        with _undisturbed():
            while not self._stopping:
                ready = self.poller.wait(self._patience_ns(self.date.now_ns()))
                if ready:
                    self.turn(ready[0], ready[1], sgi >= 0 and ready[2], ready[at:])
            self._end()

    def turn(self, control: bool, uplink: bool, downlink: bool, joined: list[bool]) -> None:
        """See to what is ready: user packets, control messages, others; and to what is due."""
        now_ns = self.date.now_ns()
        plane = self.plane
        downlink = downlink or plane.sgi.pending
        if uplink or downlink or plane.next_ns <= now_ns:
            plane.turn(uplink=uplink, downlink=downlink)
        if control or self._control_pending:
            self._receive_control(now_ns)
        busy = False
        for (_, serve), is_ready in zip(self._joined, joined, strict=True):
            if is_ready or self._busy:
                busy = serve() or busy
                self._tick_ns = 0  # what was asked for may concern a session
        self._busy = busy
        self._pass_time(now_ns)

    def error_indication(self, teid: int, peer: str, now_ns: int) -> None:
        """Told by the data plane; the control plane ends the session."""
        self._send(self.control.error_indication(teid, peer, now_ns))

    # --- time ---------------------------------------------------------------------------------------

    def _patience_ns(self, now_ns: int) -> int:
        if self._busy or self._control_pending:
            return 0
        due_ns = min(self.plane.next_ns, self._tick_ns, self._second_ns, self._event_ns())
        return max(0, min(due_ns - now_ns, IDLE_NS))

    def _event_ns(self) -> int:
        scheduled = self.engine.scheduled
        return scheduled[0].at_ns if scheduled else NEVER_NS

    def _pass_time(self, now_ns: int) -> None:
        while self._event_ns() <= now_ns:
            events.apply(self.engine, self.engine.scheduled.pop(0))
            self._tick_ns = 0
        if self._tick_ns <= now_ns:
            self.engine.hear()
            self._send(self.control.tick(now_ns))
            self._tick_ns = min(self.control.next_tick_ns(now_ns), now_ns + IDLE_NS)
        if self._second_ns <= now_ns:
            self._second_ns = now_ns + STATUS_NS
            for tell in self._every_second:
                tell(now_ns)

    # --- control messages ---------------------------------------------------------------------------

    def _receive_control(self, now_ns: int) -> None:
        """A batch of control messages; their answers go out when what they rest on is durable."""
        answers: Datagrams = []
        with self.engine.together():
            for data, peer in self._control_batch():
                answers += self.control.receive(data, peer, now_ns)
        self._send(answers)

    def _control_batch(self) -> Iterator[tuple[bytes, Endpoint]]:
        self._control_pending = True
        for _ in range(CONTROL_BATCH):
            try:
                data, peer = self._sock.recvfrom(CONTROL_BYTES)
            except OSError:  # nothing more, or word of a peer that is not there
                self._control_pending = False
                return
            self.counters["received"] += 1
            yield data, (peer[0], peer[1])

    def _send(self, datagrams: Datagrams) -> None:
        for data, peer in datagrams:
            try:
                self._sock.sendto(data, peer)
                self.counters["sent"] += 1
            except OSError:  # lost, as on any network: it is sent again, or asked for again
                self.counters["lost"] += 1

    # --- the end ------------------------------------------------------------------------------------

    def _end(self) -> None:
        """Close all sessions, tell the peers, and wait a moment for them to say that they have heard."""
        with self.engine.together():
            farewell = self.control.stop(self.date.now_ns())
        self._send(farewell)
        end_ns = self.date.now_ns() + FAREWELL_NS
        self.poller.watch([self._sock.fileno()])
        while self.control.waiting and (now_ns := self.date.now_ns()) < end_ns:
            if any(self.poller.wait(IDLE_NS)) or self._control_pending:
                self._receive_control(now_ns)
            self._send(self.control.tick(now_ns))
        self.plane.give_up_waiting()

    def figures(self) -> dict[str, Any]:
        """The loop's and the data plane's figures as plain values."""
        control = dict(sorted(self.counters.items()))
        control["socket_drops"] = libc.socket_drops(self._sock)
        return {"control_socket": control, **self.plane.figures()}


@contextmanager
def _undisturbed() -> Iterator[None]:
    """Keep Python itself from making packets late: threads that hold on, and looks for garbage among all
    that was there at the start, or among much."""
    before_s = sys.getswitchinterval()
    sys.setswitchinterval(SWITCH_S)
    try:
        with brief():
            yield
    finally:
        sys.setswitchinterval(before_s)
