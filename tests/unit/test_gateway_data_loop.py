"""The loop: what is ready gets its turn, what is due happens, and the end is a clean one."""

import socket
from collections import deque
from collections.abc import Iterator
from typing import Any

import pytest

from engine.gateway.ends import End, bound, end_of
from engine.gateway.loop import CONTROL_BATCH, IDLE_NS, Loop
from engine.subscribers.model import Suspend
from engine.units import NS_PER_S
from tests.support import packets
from tests.support.gateway import MS, T0, book, settings
from tests.support.plane import OWN, PEER, SERVER, TEID_DOWN, UE, World, g_pdu, inner, listen, world

Datagrams = list[tuple[bytes, tuple[str, int]]]


class Control:
    """A control plane that notes what it is asked, and answers what it hears."""

    def __init__(self) -> None:
        self.heard: list[bytes] = []
        self.ticks: list[int] = []
        self.farewell: Datagrams = []
        self.waiting = 0
        self.lost: list[tuple[int, str]] = []
        self.answers: deque[Datagrams] = deque()

    def receive(self, data: bytes, peer: tuple[str, int], now_ns: int) -> Datagrams:
        self.heard.append(data)
        self.waiting = max(0, self.waiting - 1)
        return [(b"answer", peer)]

    def tick(self, now_ns: int) -> Datagrams:
        self.ticks.append(now_ns)
        return []

    def next_tick_ns(self, now_ns: int) -> int:
        return now_ns + 10 * IDLE_NS

    def error_indication(self, teid: int, peer: str, now_ns: int) -> Datagrams:
        self.lost.append((teid, peer))
        return []

    def stop(self, now_ns: int) -> Datagrams:
        return self.farewell


class Made:
    """A loop with its control plane and the socket of a peer."""

    def __init__(self, w: World, loop: Loop, control: Control, peer: socket.socket) -> None:
        self.w, self.loop, self.control, self.peer = w, loop, control, peer
        self.at = end_of(loop._sock)

    def turn(self, *, control: bool = False, uplink: bool = False, downlink: bool = False) -> None:
        self.loop.turn(control, uplink, downlink, [False] * len(self.loop._joined))


@pytest.fixture
def made() -> Iterator[Made]:
    with world(made=settings()) as w, bound(End(OWN, 0), "test") as sock, listen(OWN) as peer:
        control = Control()
        yield Made(w, Loop(w.plane, control, sock), control, peer)


def test_each_side_gets_its_turn(made: Made) -> None:
    w = made.w
    w.attach()
    w.peer.sendto(g_pdu(inner(b"up")), w.near)
    made.turn(uplink=True)
    assert w.out_up == [inner(b"up")]
    w.far.sendto(inner(b"down", src=SERVER, dst=UE), w.plane.sgi._sock.getsockname())  # type: ignore[attr-defined]
    made.turn(downlink=True)
    assert len(w.out_down) == 1
    made.peer.sendto(b"create", made.at)
    made.turn(control=True)
    assert made.peer.recv(100) == b"answer"


def test_a_flood_of_control_messages_leaves_the_other_sides_their_turns(made: Made) -> None:
    """So many a turn; the rest in the next, without waiting"""
    for _ in range(CONTROL_BATCH + 5):
        made.peer.sendto(b"x", made.at)
    made.turn(control=True)
    assert len(made.control.heard) == CONTROL_BATCH
    assert made.loop._patience_ns(T0) == 0
    made.turn()
    assert len(made.control.heard) == CONTROL_BATCH + 5
    assert made.loop.figures()["control_socket"]["received"] == CONTROL_BATCH + 5


def test_the_control_plane_is_asked_at_its_time_and_at_least_every_moment(made: Made) -> None:
    """Others' changes of the coupon database are heard of then, packets or not"""
    made.turn()
    made.w.date.at_ns += IDLE_NS - 1
    made.turn()
    made.w.date.at_ns += 1
    made.turn()
    assert made.control.ticks == [T0, T0 + IDLE_NS]


def test_what_waits_is_let_go_in_time_though_nothing_comes(made: Made) -> None:
    """The time to wait is that to the next departure, to the nanosecond"""
    w = made.w
    w.attach()
    made.loop._second_ns = T0 + NS_PER_S
    w.peer.sendto(g_pdu(inner(size=600)), w.near)
    w.peer.sendto(g_pdu(inner(size=601)), w.near)
    made.turn(uplink=True)
    assert w.out_up == [inner(size=600)]
    assert made.loop._patience_ns(T0) == IDLE_NS
    w.date.at_ns += 201 * MS - 9
    made.turn()
    assert made.loop._patience_ns(w.date.now_ns()) == 9
    w.date.at_ns += 9
    made.turn()
    assert w.out_up == [inner(size=601)]


def test_events_happen_when_their_time_has_come_though_nothing_comes(made: Made) -> None:
    """L1: without a packet that would bring the engine's time there"""
    w = made.w
    w.engine.load(book(), T0)
    w.engine.schedule([Suspend(T0 + 5, "a")])
    made.turn()
    assert w.engine.pending_events == 1
    made.loop._tick_ns = made.loop._second_ns = T0 + NS_PER_S
    assert made.loop._patience_ns(T0) == 5
    w.date.at_ns += 5
    made.turn()
    assert w.engine.pending_events == 0
    assert w.engine.line_report("a")["in_service"] is False
    assert made.control.ticks[-1] == T0 + 5, "the line's session is cut at once"


def test_once_a_second_somebody_is_told_the_time(made: Made) -> None:
    """Not in the first turn: rates are over a second"""
    seconds: list[int] = []
    made.loop.every_second(seconds.append)
    for _ in range(5):
        made.turn()
        made.w.date.at_ns += NS_PER_S // 2
    assert seconds == [T0 + NS_PER_S, T0 + 2 * NS_PER_S]


def test_what_cannot_be_sent_is_counted_and_raises_nothing(made: Made) -> None:
    made.loop._send([(b"x", ("2001:db8::1", 9))])
    assert made.loop.counters == {"lost": 1}


def test_an_error_indication_reaches_the_control_plane(made: Made) -> None:
    """TS 29.281 7.3.1"""
    made.w.plane.on_error = made.loop.error_indication
    made.w.attach()
    body = b"\x10" + TEID_DOWN.to_bytes(4, "big")
    made.w.up(packets.gtp(body, kind=26, teid=0, flags=0x32, optional=bytes(4)))
    assert made.control.lost == [(TEID_DOWN, PEER)]


def test_what_is_joined_is_served_again_while_it_says_that_there_is_more(made: Made) -> None:
    """A service that has a budget a turn"""
    calls: list[int] = []

    def serve() -> bool:
        calls.append(len(calls))
        return len(calls) == 1

    made.loop.join(0, serve)
    made.turn()
    assert calls == []
    made.loop.turn(False, False, False, [True])
    assert made.loop._patience_ns(T0) == 0
    made.turn()
    made.turn()
    assert calls == [0, 1]


def test_it_runs_until_it_is_told_to_stop_and_says_farewell(made: Made) -> None:
    """Peers are told; their answers are waited for, a moment"""
    made.control.farewell = [(b"delete", end_of(made.peer))]
    made.control.waiting = 1
    near, far = socket.socketpair()
    with near, far:

        def serve() -> bool:
            made.loop.stop()
            made.peer.sendto(b"deleted", made.at)
            return False

        made.loop.join(near.fileno(), serve)
        far.send(b"x")
        made.loop.run()
    assert made.peer.recv(100) == b"delete"
    assert made.control.heard == [b"deleted"]
    assert made.control.waiting == 0


def test_a_signal_ends_a_wait(made: Made) -> None:
    """A descriptor that becomes readable; nothing else was ready"""
    near, far = socket.socketpair()
    with near, far:
        loop = Loop(made.w.plane, made.control, made.loop._sock, woken=near.fileno())
        waited: list[list[bool]] = []

        def turn(*ready: Any) -> None:
            waited.append(list(ready))
            loop.stop()

        loop.turn = turn  # type: ignore[assignment, method-assign]
        far.send(b"x")
        loop.run()
    assert waited == [[False, False, False, []]]


def test_peers_that_do_not_answer_are_not_waited_for_long(
    made: Made, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engine.gateway.loop.IDLE_NS", 1)
    made.control.waiting = 1
    left = iter(range(100))

    def now_ns() -> int:
        return T0 + next(left) * NS_PER_S // 2

    monkeypatch.setattr(made.w.date, "now_ns", now_ns)
    made.loop._stopping = True
    made.loop.run()
    assert made.control.waiting == 1
    assert made.control.ticks, "requests are sent again meanwhile"
