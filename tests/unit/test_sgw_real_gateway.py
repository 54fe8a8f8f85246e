"""The LTE side against the gateway of the engine, in one process: both ends of the same messages."""

from collections.abc import Callable

import pytest

from engine.gateway.session import Session
from gateway_sim.signalling.sgw import EventKind, Sgw, Step
from gateway_sim.signalling.terminal import CHAP, GERAN, IPV4V6, NO_AUTH, PAP, Credentials, Terminal
from gateway_sim.signalling.transitions import State
from tests.support.pgw import OURS, World, imsi_of, sims, world
from tests.support.sgw import VERSIONS, kinds

GATEWAY = (OURS, 2123)
HERE = "127.0.0.2"
SOURCE = (HERE, 2123)


def sgw(address: str = HERE, **given: object) -> Sgw:
    return Sgw(address, address, gateway=GATEWAY, seed=3, **given)  # type: ignore[arg-type]


def of(number: int, version: int, **given: object) -> Terminal:
    return Terminal(imsi_of(number), version=version, **given)  # type: ignore[arg-type]


def talk(there: World, here: Sgw, step: Step) -> list[EventKind]:
    """Carry datagrams to and fro until nobody has more to say."""
    done: list[EventKind] = []
    source = (here.address, 2123)
    while True:
        done += kinds(step)
        if not step.datagrams:
            return done
        back = Step()
        for octets, peer in step.datagrams:
            assert peer == GATEWAY
            for answer, whom in there.send(octets, source):
                assert whom == source
                back += here.receive(answer, GATEWAY, there.now_ns)
        step = back


def told(there: World, here: Sgw, later_ns: int) -> list[EventKind]:
    """Let time pass at the gateway; what this side makes of what comes by itself."""
    there.now_ns += later_ns
    done: list[EventKind] = []
    for octets, _ in there.pgw.tick(there.now_ns):
        done += talk(there, here, here.receive(octets, GATEWAY, there.now_ns))
    return done


def only(there: World) -> Session:
    (session,) = there.wires.open_now.values()
    return session


@VERSIONS
@pytest.mark.parametrize("kind", [PAP, CHAP])
def test_both_sides_know_the_same_session(version: int, kind: str) -> None:
    """N1, N2, N4, N6"""
    with world() as there:
        here, who = sgw(), of(1, version, credentials=Credentials(kind))
        assert talk(there, here, here.attach(who, there.now_ns)) == [EventKind.ATTACHED]
        session = only(there)
        assert (session.imsi, session.version, session.rat) == (who.imsi, version, who.rat)
        assert (session.teid_up, session.teid_down) == (who.teid_up, who.teid_down)
        assert who.control is not None
        assert session.teid_peer_control == who.control.teid
        assert (session.peer_user, session.ipv4) == (HERE, who.ipv4)
        assert who.dns == ("192.0.2.53", "192.0.2.54")
        assert who.authenticated is True
        assert here.restart_counters == {OURS: 7}
        assert talk(there, here, here.detach(who, there.now_ns)) == [EventKind.DETACHED]
        assert there.wires.open_now == {}


WRONG: dict[str, tuple[Callable[[int], Terminal], dict[int, int]]] = {
    "password": (
        lambda v: of(1, v, credentials=Credentials(PAP, "mio@iij", "no")),
        {1: 209, 2: 92},
    ),
    "chap": (lambda v: of(1, v, credentials=Credentials(CHAP, "mio@iij", "no")), {1: 209, 2: 92}),
    "user": (lambda v: of(1, v, credentials=Credentials(PAP, "mo@ij", "iij")), {1: 209, 2: 92}),
    "nobody": (lambda v: of(1, v, credentials=Credentials(NO_AUTH)), {1: 209, 2: 92}),
    "apn": (lambda v: of(1, v, apn="internet"), {1: 219, 2: 78}),
}


@VERSIONS
@pytest.mark.parametrize("what", WRONG)
def test_a_wrong_name_password_or_apn_is_refused_with_its_cause(version: int, what: str) -> None:
    """N1"""
    make, causes = WRONG[what]
    with world() as there:
        here, who = sgw(), make(version)
        assert talk(there, here, here.attach(who, there.now_ns)) == [EventKind.REFUSED]
        assert (who.state, who.cause) == (State.REFUSED, causes[version])
        assert there.wires.open_now == {}
        assert here.by_control == {}


@VERSIONS
def test_strangers_and_visited_networks_are_refused(version: int) -> None:
    """N5, N6"""
    with world() as there:
        here = sgw()
        for who in (of(99, version), of(1, version, network=("440", "20"))):
            assert talk(there, here, here.attach(who, there.now_ns)) == [EventKind.REFUSED]
            assert who.ipv4 is None
        assert there.wires.open_now == {}


@VERSIONS
def test_a_moved_session_has_its_new_ends_at_the_gateway(version: int) -> None:
    """N4"""
    with world() as there:
        here, who = sgw(), of(1, version)
        talk(there, here, here.attach(who, there.now_ns))
        address = who.ipv4
        step = here.move(who, there.now_ns, rat=GERAN)
        assert talk(there, here, step) == [EventKind.MODIFIED]
        session = only(there)
        assert (session.teid_down, session.teid_up) == (who.teid_down, who.teid_up)
        assert (session.rat, who.ipv4) == (GERAN, address)
        other = sgw("127.0.0.3")
        step = other.move(who, there.now_ns, origin=here)
        assert talk(there, other, step) == [EventKind.MODIFIED]
        assert (session.peer_user, session.teid_down) == ("127.0.0.3", who.teid_down)
        assert talk(there, other, other.detach(who, there.now_ns)) == [EventKind.DETACHED]


@VERSIONS
def test_suspending_a_line_cuts_its_session_and_refuses_it_until_it_is_resumed(
    version: int,
) -> None:
    """L1"""
    with world() as there:
        here, who = sgw(), of(1, version)
        talk(there, here, here.attach(who, there.now_ns))
        line = only(there).line
        there.engine.suspend(line, at_ns=there.now_ns)
        assert told(there, here, 1_000_000) == [EventKind.CUT]
        assert (who.state, who.ipv4) == (State.IDLE, None)
        assert talk(there, here, here.attach(who, there.now_ns)) == [EventKind.REFUSED]
        there.engine.resume(line, at_ns=there.now_ns)
        assert talk(there, here, here.attach(who, there.now_ns)) == [EventKind.ATTACHED]


@VERSIONS
def test_attaching_anew_replaces_the_session(version: int) -> None:
    """N6"""
    with world() as there:
        here, who = sgw(), of(1, version)
        talk(there, here, here.attach(who, there.now_ns))
        before = who.teid_up
        assert talk(there, here, here.attach(who, there.now_ns)) == [EventKind.ATTACHED]
        assert only(there).teid_up == who.teid_up != before
        assert told(there, here, 1_000_000_000) == []


@VERSIONS
def test_a_session_without_packets_is_cut_by_the_gateway(version: int) -> None:
    """N3"""
    with world(idle_s=60) as there:
        here, who = sgw(), of(1, version)
        talk(there, here, here.attach(who, there.now_ns))
        assert told(there, here, 61_000_000_000) == [EventKind.CUT]
        assert there.wires.open_now == {}


@VERSIONS
def test_ipv6_is_for_those_who_booked_it(version: int) -> None:
    """N2, O1"""
    with world() as there:
        here, who = sgw(), of(1, version, pdn_type=IPV4V6)
        assert talk(there, here, here.attach(who, there.now_ns)) == [EventKind.ATTACHED]
        assert who.ipv4 is not None
        assert who.ipv6 is None
        assert who.cause in (18, 19, 129, 130)


def test_echoes_go_both_ways() -> None:
    with world(echo_s=60) as there:
        here, who = sgw(), of(1, 2)
        assert talk(there, here, here.echo(there.now_ns)) == [EventKind.ECHOED]
        talk(there, here, here.attach(who, there.now_ns))
        told(there, here, 61_000_000_000)
        assert here.counters["echoes answered"] >= 1


def test_five_hundred_terminals_of_both_kinds_come_and_go() -> None:
    """N4, N6, B48: as many answers as requests, and none is a fault."""
    count = 500
    with world(sims(count), pool4=("10.64.0.0/16",)) as there:
        here = sgw()
        who = [of(number, 1 + number % 2) for number in range(1, count + 1)]
        for item in who:
            assert talk(there, here, here.attach(item, there.now_ns)) == [EventKind.ATTACHED]
        assert len({item.ipv4 for item in who}) == count
        assert {item.teid_up for item in who} == {s.teid_up for s in there.wires.open_now.values()}
        for item in who:
            assert talk(there, here, here.detach(item, there.now_ns)) == [EventKind.DETACHED]
        assert there.wires.open_now == {}
        assert here.counters["faults"] == 0
