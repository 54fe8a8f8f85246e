"""Terminals and the real gateway over a network that loses, repeats and delays: both agree in the end."""

from collections import deque

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway_sim.codec import path as codec_path
from gateway_sim.signalling import heard
from gateway_sim.signalling.sgw import Event, EventKind, Sgw, Step
from gateway_sim.signalling.terminal import Terminal
from gateway_sim.signalling.transitions import TABLE, Signal, State
from tests.support.pgw import OURS, World, imsi_of, world

GATEWAY, SOURCE = (OURS, 2123), ("127.0.0.2", 2123)
T3_NS = 3_000_000_000
TERMINALS = 3
WISHES = ("attach", "detach", "move")
FATES = ("ok", "ok", "lost", "twice", "late")

orders = st.lists(
    st.tuples(
        st.sampled_from(("wish", "wish", "wish", "other wish", "suspend", "resume", "wait")),
        st.integers(0, TERMINALS - 1),
    ),
    max_size=20,
)
fates = st.lists(st.sampled_from(FATES), max_size=40)


class Network:
    """What is under way in both directions, in one queue; fates are used up, then all goes well."""

    def __init__(self, there: World, fates: list[str]) -> None:
        self.there, self.fates = there, deque(fates)
        self.here = Sgw(SOURCE[0], SOURCE[0], gateway=GATEWAY, seed=1, t3_ns=T3_NS, n3=50)
        self.who = [Terminal(imsi_of(n + 1), version=1 + n % 2) for n in range(TERMINALS)]
        self.way: deque[tuple[bool, bytes]] = deque()
        self.events: list[Event] = []

    def put(self, up: bool, octets: bytes) -> None:
        fate = self.fates.popleft() if self.fates else "ok"
        if fate == "late" and self.way:
            self.way.insert(0, (up, octets))
        elif fate != "lost":
            self.way.append((up, octets))
        if fate == "twice":
            self.way.append((up, octets))

    def take(self, step: Step) -> None:
        self.events += step.events
        for octets, peer in step.datagrams:
            assert peer == GATEWAY
            self.put(True, octets)

    def run(self) -> None:
        while self.way:
            up, octets = self.way.popleft()
            if not up:
                self.take(self.here.receive(octets, GATEWAY, self.there.now_ns))
                continue
            for answer, whom in self.there.send(octets, SOURCE):
                assert whom == SOURCE
                self.put(False, answer)

    def later(self) -> None:
        self.there.now_ns += T3_NS
        self.take(self.here.tick(self.there.now_ns))
        for octets, _ in self.there.pgw.tick(self.there.now_ns):
            self.put(False, octets)
        self.run()

    def do(self, order: str, number: int) -> None:
        now_ns, who = self.there.now_ns, self.who[number]
        if order in ("suspend", "resume"):
            getattr(self.there.engine, order)(f"l{number + 1}", at_ns=now_ns)
        elif order == "wait":
            self.later()
        else:
            legal = [wish for wish in WISHES if (who.state, Signal(wish)) in TABLE]
            for wish in legal[-1 if order == "wish" else 0 :][:1]:
                self.take(getattr(self.here, wish)(who, now_ns))
            if number % 2:  # the others stay under way until something else makes them move
                self.run()


def check(network: Network) -> None:
    """What each side holds is what the other one holds."""
    held = {session.imsi: session for session in network.there.wires.open_now.values()}
    for who in network.who:
        assert who.state in (State.IDLE, State.ATTACHED, State.REFUSED, State.LOST), who.state
        session = held.pop(who.imsi, None)
        assert (session is not None) == (who.state is State.ATTACHED), who.state
        if session is not None:
            assert (session.teid_up, session.teid_down) == (who.teid_up, who.teid_down)
            assert session.ipv4 == who.ipv4
    assert held == {}
    attached = [who for who in network.who if who.state is State.ATTACHED]
    assert sorted(network.here.by_user) == sorted(who.teid_down for who in attached)
    assert len(network.here.by_control) == len(network.here.by_gateway) == len(attached)
    assert network.here.waiting == {}


@settings(max_examples=60)
@given(orders, fates)
def test_both_sides_agree_once_the_network_has_calmed_down(
    orders: list[tuple[str, int]], fates: list[str]
) -> None:
    """L1, N6, B50"""
    with world() as there:
        network = Network(there, fates)
        for order, number in orders:
            network.do(order, number)
        network.run()
        for _ in range(12):
            network.later()
        check(network)


def test_the_check_sees_a_session_that_one_side_has_alone() -> None:
    """The planted fault: a request to delete that never goes out."""
    with world() as there:
        network = Network(there, [])
        network.take(network.here.attach(network.who[0], there.now_ns))
        network.run()
        check(network)
        network.who[0].state = State.IDLE
        with pytest.raises(AssertionError):
            check(network)


@given(st.binary(max_size=200))
def test_no_octets_make_either_reader_raise(octets: bytes) -> None:
    """B01-B12, B50"""
    heard.read(octets)
    codec_path.read(octets)
    sgw = Sgw("127.0.0.2", "127.0.0.2")
    for step in (sgw.receive(octets, GATEWAY, 0), sgw.path(octets, GATEWAY, 0)):
        assert {event.kind for event in step.events} <= {EventKind.FAULT, EventKind.END_MARKER}


@given(
    st.sampled_from(("4821", "4823", "4863", "3211", "3213", "3214")),
    st.lists(
        st.tuples(
            st.sampled_from((1, 2, 3, 14, 16, 17, 73, 78, 79, 87, 93, 94, 127, 128, 132, 133, 163)),
            st.binary(max_size=24),
            st.integers(-2, 2),
        ),
        max_size=8,
    ),
)
def test_elements_with_wrong_lengths_never_raise(
    head: str, elements: list[tuple[int, bytes, int]]
) -> None:
    """B41-B46, B49, B50"""
    two = head.startswith("4")
    body = b""
    for kind, content, more in elements:
        told = max(0, len(content) + more).to_bytes(2, "big")
        body += bytes([kind]) + told + (b"\0" if two else b"") + content
    start = bytes.fromhex(head)
    size = len(body) + (8 if two else 4)
    octets = start + size.to_bytes(2, "big") + bytes(4) + b"\0\0\1\0" + body
    read = heard.read(octets)
    assert read.kind is not None
    assert all(part.isdigit() for part in (read.ipv4 or "0.0.0.0").split("."))
