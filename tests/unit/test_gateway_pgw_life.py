"""Sessions after they were opened: moves, ends, limits, peers that restart or fall silent, repetitions."""

from dataclasses import replace

import pytest

from engine.gateway.exchange import KEPT_NS
from engine.gateway.pgw import TICK_NS, TICK_WORK
from engine.signalling.causes import Cause, number
from engine.signalling.codec import decode, encode
from engine.signalling.messages import (
    GERAN,
    GN_SGSN_C,
    HSPA_EVOLUTION,
    S5_SGW_C,
    WLAN,
    Bearer,
    Fteid,
    Kind,
    Message,
)
from engine.units import NS_PER_S
from tests.support.gateway import T0
from tests.support.pgw import (
    OTHER,
    PEER,
    SGW,
    VERSIONS,
    World,
    create,
    delete,
    imsi_of,
    modify,
    sims,
    world,
)

MINUTE = 60 * NS_PER_S


def answered(here: World, asked: Message, peer: tuple[str, int] = PEER) -> None:
    """The peer answers a request to delete."""
    two = asked.version == 2
    kind = Kind.DELETE_BEARER_RESPONSE if two else Kind.DELETE_RESPONSE
    cause = number(asked.version, Cause.ACCEPTED)
    assert here.send(Message(asked.version, kind, asked.sequence, 1, cause=cause), peer) == []


@pytest.mark.parametrize("version", VERSIONS)
def test_a_session_moves_to_another_peer(version: int) -> None:
    """N4: relocation with new TEIDs and another RAT; packets go to the new end"""
    with world() as here:
        session = here.attach(version)
        rat = HSPA_EVOLUTION
        answer = here.ask(modify(session, OTHER, (5, 6), rat=rat), (OTHER, 2124))
        assert answer.kind is Kind.MODIFY_RESPONSE
        assert (answer.cause, answer.teid) == (number(version, Cause.ACCEPTED), 5)
        assert (session.peer_control, session.teid_peer_control) == ((OTHER, 2124), 5)
        assert (session.peer_user, session.teid_down, session.rat) == (OTHER, 6, rat)
        assert here.wires.told[-1] == ("move", imsi_of(1))
        assert here.pgw.sessions.at_tunnel(OTHER, 6) is session
        assert here.pgw.sessions.at_tunnel(SGW, 2_001) is None
        # The engine knows it by the new end.
        state = here.engine.book.find("l1")
        assert {t.teid for t in state.bound.tunnels} == {session.teid_up, 6}
        # The old peer has nothing to say any more.
        assert here.ask(delete(session, 9)).cause == number(version, Cause.NOT_FOUND)
        assert here.ask(delete(session, 9), (OTHER, 2124)).cause == number(version, Cause.ACCEPTED)


@pytest.mark.parametrize("version", VERSIONS)
def test_what_a_move_does_not_name_stays(version: int) -> None:
    """a change of RAT alone; of version 1 the ends are always named"""
    with world() as here:
        session = here.attach(version)
        ends = (session.peer_control, session.peer_user, session.teid_down)
        bearers = modify(session, SGW, (1_001, 2_001)).bearers if version == 1 else ()
        request = modify(session, SGW, (0, 0), rat=GERAN, control=None, bearers=bearers)
        answer = here.ask(request)
        assert answer.cause == number(version, Cause.ACCEPTED)
        assert session.rat == GERAN
        assert (session.peer_control, session.peer_user, session.teid_down) == ends
        assert here.wires.told == [("open", imsi_of(1))]
        same = modify(session, SGW, (1_001, 2_001), sequence=8, network=("440", "10"))
        assert here.ask(same).cause == number(version, Cause.ACCEPTED)
        assert here.pgw.counters.get("moved") is None
        assert session.rat == GERAN


@pytest.mark.parametrize("version", VERSIONS)
def test_a_move_that_may_not_be_changes_nothing(version: int) -> None:
    """N5, B42, B50: foreign network and radio, unknown bearer, ends that nobody has, another's tunnel"""
    with world() as here:
        session, other = here.attach(version, 1), here.attach(version, 2, peer=OTHER)
        before = replace(session)
        teids = (1_001, 2_001)
        nobody = (Bearer(6, modify(session, SGW, teids).bearers[0].fteids),)
        interface = S5_SGW_C if version == 2 else GN_SGSN_C
        nowhere = Fteid(interface, 5, "0.0.0.0")
        for sequence, (request, source, cause) in enumerate(
            [
                (modify(session, SGW, teids, network=("440", "20")), PEER, Cause.ROAMING),
                (modify(session, SGW, teids, rat=WLAN), PEER, Cause.RAT_DENIED),
                (modify(session, SGW, teids, bearers=nobody), PEER, Cause.NOT_FOUND),
                (modify(session, SGW, teids, control=nowhere), PEER, Cause.INCORRECT),
                (modify(session, "224.0.0.1", (5, 6), control=None), PEER, Cause.INCORRECT),
                (modify(session, OTHER, (1_001, other.teid_down)), PEER, Cause.INCORRECT),
                (modify(session, SGW, teids), (OTHER, 2123), Cause.NOT_FOUND),
                (modify(session, OTHER, (7, 8), control=None), (OTHER, 2123), Cause.NOT_FOUND),
                (modify(session, OTHER, (7, 8), imsi=imsi_of(2)), (OTHER, 2123), Cause.NOT_FOUND),
                (modify(session, OTHER, (7, 8), teid=9), (OTHER, 2123), Cause.NOT_FOUND),
            ]
        ):
            if version == 2 and request.imsi is not None:
                request = replace(request, teid=5)  # its Modify has no IMSI
            answer = here.ask(replace(request, sequence=sequence), source)
            assert answer.cause == number(version, cause), (request, answer)
            assert session == before
        assert [what for what, _ in here.wires.told] == ["open", "open"]


def test_a_version_1_move_that_names_another_sim_is_not_believed() -> None:
    """B50: the TEID is right, the IMSI is not"""
    with world() as here:
        session = here.attach(1)
        request = modify(session, OTHER, (7, 8), imsi=imsi_of(2))
        assert decode(encode(request)).imsi == imsi_of(2)
        assert here.ask(request, (OTHER, 2123)).cause == 192
        assert here.ask(replace(request, imsi=imsi_of(1)), (OTHER, 2123)).cause == 128


@pytest.mark.parametrize("version", VERSIONS)
def test_deleting_ends_a_session_and_gives_its_address_back(version: int) -> None:
    """N2, L5"""
    with world() as here:
        session = here.attach(version)
        answer = here.ask(delete(session))
        assert (answer.kind, answer.teid) == (Kind.DELETE_RESPONSE, 1_001)
        assert answer.cause == number(version, Cause.ACCEPTED)
        assert len(here.pgw.sessions) == 0
        assert here.pgw.counters["pool4-held"] == 0
        assert here.wires.open_now == {}
        again = here.ask(delete(session, 9))
        assert (again.cause, again.teid) == (number(version, Cause.NOT_FOUND), 0)


@pytest.mark.parametrize("version", VERSIONS)
def test_a_delete_of_another_peer_or_bearer_is_not_found(version: int) -> None:
    """B50: and nothing changes"""
    with world() as here:
        session = here.attach(version)
        not_found = number(version, Cause.NOT_FOUND)
        assert here.ask(delete(session), (OTHER, 2123)).cause == not_found
        other = {"linked_bearer": 6} if version == 2 else {"bearers": (Bearer(6),)}
        assert here.ask(delete(session, 3, **other)).cause == not_found
        for teid in (0, 1, session.teid_up, 0xFFFFFFFF):
            assert here.ask(delete(session, 4, teid=teid)).cause == not_found
        assert here.pgw.sessions.is_open(session)
        # Nor does the other version find it.
        assert here.ask(replace(delete(session, 5), version=3 - version)).cause in (64, 192, 202)
        assert here.pgw.sessions.is_open(session)


@pytest.mark.parametrize("version", VERSIONS)
def test_the_same_request_again_gets_the_same_octets_and_does_nothing(version: int) -> None:
    """B50: sequence replay"""
    with world() as here:
        request = encode(create(version))
        first = here.send(request)
        here.now_ns += KEPT_NS - 1
        assert here.send(request) == first
        assert here.pgw.counters["repeated"] == 1
        assert [what for what, _ in here.wires.told] == ["open"]
        # From another port it is another exchange, and so it is when it is too late.
        assert here.send(request, (SGW, 999)) != first
        here.now_ns += 1
        assert here.send(request) != first
        session = here.pgw.sessions.by_imsi[imsi_of(1)]
        gone = here.send(delete(session))
        assert here.send(delete(session)) == gone
        # The same number for something else is something else.
        assert decode(here.send(create(version, 2))[0][0]).cause in (16, 128)
        assert here.send(request) != first
        refused = here.send(create(version, 9))
        assert here.send(create(version, 9)) == refused
        assert here.pgw.counters["refused:IMSI not known"] == 1


@pytest.mark.parametrize("version", VERSIONS)
def test_idle_and_old_sessions_are_ended_and_the_peer_is_asked_n3_times(version: int) -> None:
    """N3; T3-RESPONSE and N3-REQUESTS"""
    with world(idle_s=1_800, session_s=7_200, n3_requests=3) as here:
        session = here.attach(version)
        here.wires.active_ns[session.imsi] = T0 + 20 * MINUTE
        assert here.pgw.next_tick_ns(T0) == T0 + TICK_NS
        assert here.later(30 * MINUTE) == []
        assert here.pgw.sessions.is_open(session)
        (asked,) = here.later(20 * MINUTE)
        kind = Kind.DELETE_BEARER_REQUEST if version == 2 else Kind.DELETE_REQUEST
        assert (asked.kind, asked.teid) == (kind, 1_001)
        assert (asked.linked_bearer if version == 2 else asked.bearers[0].bearer_id) == 5
        assert here.pgw.counters["ended:idle"] == 1
        assert len(here.pgw.sessions) == 0
        assert here.later(NS_PER_S - 1) == []
        assert here.pgw.next_tick_ns(here.now_ns) == here.now_ns + 1
        assert [here.later(NS_PER_S) for _ in range(3)] == [[asked], [asked], []]
        assert here.pgw.counters["unanswered:delete"] == 1
        assert here.pgw.waiting == 0
        # Packets keep a session, but not beyond its age.
        session = here.attach(version)
        opened_ns = here.now_ns
        for _ in range(7):
            here.wires.active_ns[session.imsi] = here.now_ns
            assert here.later(17 * MINUTE) == []
        (asked,) = here.later(opened_ns + 7_200 * NS_PER_S - here.now_ns)
        assert asked.cause == number(version, Cause.REACTIVATION)
        answered(here, asked)
        assert here.pgw.waiting == 0
        assert here.later(NS_PER_S) == []
        assert here.pgw.counters["ended:session-limit"] == 1


def test_without_limits_a_session_lasts() -> None:
    """N3: both are settings"""
    with world(idle_s=0, session_s=0) as here:
        session = here.attach()
        assert here.later(10**6 * NS_PER_S) == []
        assert here.pgw.sessions.is_open(session)
    with world(idle_s=0, session_s=60) as here:
        here.attach()
        assert len(here.later(MINUTE)) == 1


@pytest.mark.parametrize("version", VERSIONS)
def test_a_suspended_line_is_cut_at_once(version: int) -> None:
    """L1, L2"""
    with world() as here:
        first, second = here.attach(version, 1), here.attach(version, 2)
        here.engine.suspend("l1", at_ns=T0)
        (asked,) = here.later(0)
        assert asked.teid == 1_001
        assert not here.pgw.sessions.is_open(first)
        assert here.pgw.sessions.is_open(second)
        assert here.pgw.counters["ended:cut"] == 1
        here.engine.replace_sim("l2", iccid="8981100000000000009", at_ns=T0)
        # Whatever comes first sees to it; a line that has no session is nobody's.
        ((data, _),) = here.send(b"")
        assert decode(data).teid == 1_002
        here.engine.resume("l1", at_ns=T0)
        here.engine.suspend("l1", at_ns=T0)
        assert here.later(0) == []


def test_a_suspension_long_ago_does_not_cut_a_new_session() -> None:
    """L1: what the engine cut is looked at before anything new is opened"""
    with world() as here:
        here.attach()
        here.engine.suspend("l1", at_ns=T0)
        here.engine.resume("l1", at_ns=T0)
        answers = [decode(data) for data, _ in here.send(create(sequence=9))]
        assert [one.kind for one in answers] == [
            Kind.CREATE_RESPONSE,
            Kind.DELETE_BEARER_REQUEST,
        ]
        assert len(here.pgw.sessions) == 1
        here.later(0)
        assert len(here.pgw.sessions) == 1


@pytest.mark.parametrize("version", VERSIONS)
def test_an_error_indication_ends_the_session_of_that_tunnel(version: int) -> None:
    """B21: the one of another peer is passed over"""
    with world() as here:
        session = here.attach(version)
        assert here.pgw.error_indication(2_001, OTHER, T0) == []
        assert here.pgw.error_indication(2_002, SGW, T0) == []
        assert here.pgw.counters["drop:error-indication"] == 2
        assert here.pgw.sessions.is_open(session)
        ((data, peer),) = here.pgw.error_indication(2_001, SGW, T0)
        assert (decode(data).teid, peer) == (1_001, PEER)
        assert len(here.pgw.sessions) == 0


@pytest.mark.parametrize("version", VERSIONS)
def test_stopping_ends_every_session_and_tells_the_peers(version: int) -> None:
    """what is not answered is asked again, as ever"""
    with world() as here:
        for n in (1, 2, 3):
            here.attach(version, n)
        asked = [decode(data) for data, _ in here.pgw.stop(here.now_ns)]
        assert sorted(one.teid or 0 for one in asked) == [1_001, 1_002, 1_003]
        assert len({one.sequence for one in asked}) == 3
        assert (len(here.pgw.sessions), here.pgw.waiting) == (0, 3)
        answered(here, asked[1], (OTHER, 2123))  # not whom it was asked
        for one in asked[:2]:
            answered(here, one)
        assert here.later(NS_PER_S) == [asked[2]]
        assert here.pgw.counters["ended:stopped"] == 3
        assert here.pgw.counters["drop:unasked"] == 1


def test_what_nobody_asked_for_is_dropped() -> None:
    """answers without a request, and messages that are for an S-GW"""
    with world() as here:
        for message in (
            Message(2, Kind.ECHO_RESPONSE, 5, recovery=1),
            Message(2, Kind.DELETE_BEARER_RESPONSE, 5, 0, cause=16),
            Message(1, Kind.DELETE_RESPONSE, 5, 0, cause=128),
        ):
            assert here.send(message) == []
        assert here.pgw.counters["drop:unasked"] == 3
        for message in (
            Message(2, Kind.DELETE_RESPONSE, 5, 0, cause=16),
            Message(2, Kind.CREATE_RESPONSE, 5, 0, cause=94),
            Message(2, Kind.VERSION_NOT_SUPPORTED, 5),
            Message(2, Kind.RELEASE_BEARERS_REQUEST, 5, 0),
            Message(2, Kind.OTHER, 5, 0, message_type=64),
        ):
            assert here.send(message) == []
        assert here.pgw.counters["drop:unexpected"] == 5


def test_a_move_may_tell_of_bearers_that_are_not_the_sessions() -> None:
    """TS 29.274 7.2.7: contexts to be removed, which a session with one bearer has not"""
    with world() as here:
        session = here.attach()
        request = modify(session, SGW, (1_001, 2_001), bearers=(Bearer(6, instance=1),))
        assert here.ask(request).cause == 16
        assert (session.peer_user, session.teid_down) == (SGW, 2_001)


def test_a_gateway_without_work_looks_up_in_a_while() -> None:
    """what the engine cuts is asked for ten times a second"""
    with world(idle_s=0, session_s=0) as here:
        assert here.pgw.next_tick_ns(T0) == T0 + TICK_NS
        here.attach()
        assert here.pgw.next_tick_ns(T0) == T0 + TICK_NS
        assert here.later(0) == []


def test_looks_at_sessions_that_have_ended_are_dropped() -> None:
    """bounded memory, whatever comes and goes within the idle limit"""
    with world() as here:
        here.attach()
        here.ask(delete(here.attach()))
        assert here.later(1_800 * NS_PER_S) == []
        table, session = here.pgw.sessions, here.attach()
        for n in range(5_000):
            table.look_at(replace(session, teid_control=n + 1), here.now_ns + n)
        assert len(table._looks) < 1_100
        assert table.is_open(session)
        assert len(here.later(1_800 * NS_PER_S)) == 1


@pytest.mark.parametrize("cause", ["restart", "idle"])
def test_much_at_once_is_dealt_with_in_parts(cause: str) -> None:
    """A peer with many sessions restarts, or all are idle: no turn of the loop is taken up by it."""
    count = TICK_WORK + 10
    with world(sims(count), pool4=("10.64.0.0/16",)) as here:
        for n in range(1, count + 1):
            here.attach(number=n, recovery=1)
        if cause == "restart":
            here.send(Message(2, Kind.ECHO_REQUEST, 1, recovery=2))
        else:
            here.now_ns += 1_800 * NS_PER_S
        here.later(0)
        assert len(here.pgw.sessions) == 10
        assert here.pgw.next_tick_ns(here.now_ns) == here.now_ns
        here.later(0)
        assert len(here.pgw.sessions) == 0
        assert len(here.pgw.take_records()) == count
