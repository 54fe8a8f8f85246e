"""Peers of the control plane: echoes, restarts, silence, and where requests to them go."""

import pytest

from engine.signalling.codec import encode
from engine.signalling.messages import Kind, Message
from engine.units import NS_PER_S
from tests.support.gateway import T0
from tests.support.pgw import (
    OTHER,
    SGW,
    VERSIONS,
    create,
    delete,
    imsi_of,
    modify,
    sims,
    world,
)


@pytest.mark.parametrize("version", VERSIONS)
def test_an_echo_is_answered_with_the_restart_counter(version: int) -> None:
    """TS 23.007 18"""
    with world() as here:
        answer = here.ask(Message(version, Kind.ECHO_REQUEST, 77, recovery=1))
        assert (answer.kind, answer.sequence, answer.recovery) == (Kind.ECHO_RESPONSE, 77, 7)
        assert here.pgw.counters["peers"] == 0


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("says", ["create", "modify", "echo"])
def test_a_peer_that_restarted_has_lost_its_sessions(version: int, says: str) -> None:
    """TS 23.007 18: a changed restart counter; sessions of others, and new ones, stay"""
    with world(echo_s=60) as here:
        old = here.attach(version, 1, recovery=1)
        request = encode(create(version, 1, 50, recovery=1))
        here.send(request)
        old = here.pgw.sessions.by_imsi[imsi_of(1)]
        other = here.attach(version, 2, peer=OTHER, recovery=9)
        strange = here.attach(3 - version, 3, recovery=5)
        if says == "create":
            here.attach(version, 3, recovery=2)
            assert not here.pgw.sessions.is_open(strange)
        elif says == "modify":
            here.ask(modify(old, SGW, (1_001, 2_001), recovery=2))
        else:
            # In version 1 only the answer to ours has the counter.
            here.wires.active_ns.update({imsi_of(n): T0 + 90 * NS_PER_S for n in (1, 2, 3)})
            asked = here.later(60 * NS_PER_S)
            mine = [one for one in asked if one.version == version]
            assert {one.kind for one in asked} == {Kind.ECHO_REQUEST}
            assert [one.recovery for one in mine] == [7 if version == 2 else None] * 2
            message = Message(version, Kind.ECHO_RESPONSE, mine[0].sequence, recovery=2)
            assert here.send(message) == []
        assert here.pgw.next_tick_ns(here.now_ns) == here.now_ns
        here.later(0)
        assert not here.pgw.sessions.is_open(old)
        assert here.pgw.sessions.is_open(other)
        assert len(here.pgw.sessions) == 2
        assert here.pgw.counters["ended:peer-restarted"] == 1
        assert here.pgw.counters["peer-restarts"] == 1
        # Its sequence numbers begin anew: this is no repetition.
        here.send(request)
        assert here.pgw.counters.get("repeated") is None


def test_a_peer_that_answers_no_echo_loses_its_sessions() -> None:
    """Two rounds of N3-REQUESTS; anything that it says in between shows that it is there"""
    with world(echo_s=60, n3_requests=2) as here:
        here.attach(recovery=1)

        def silent_round() -> int:
            """Echo Requests sent from one that is due to the one after."""
            here.wires.active_ns[imsi_of(1)] = here.now_ns
            return sum(len(here.later(NS_PER_S)) for _ in range(60))

        assert silent_round() == 1
        assert silent_round() == 2  # its second sending, and the next one's first
        assert here.pgw.counters["unanswered:echo"] == 1
        here.send(Message(2, Kind.ECHO_REQUEST, 1, recovery=1))
        silent_round()
        assert here.pgw.counters["unanswered:echo"] == 2
        assert here.pgw.counters.get("paths-lost") is None
        silent_round()
        assert here.pgw.counters["paths-lost"] == 1
        assert here.pgw.counters["ended:peer-silent"] == 1
        silent_round()
        assert here.pgw.counters["peers"] == 0
        assert here.later(100 * NS_PER_S) == []


def test_peers_without_sessions_are_forgotten() -> None:
    """bounded by the sessions that there are, echoes or not"""
    with world(sims(2), echo_s=0, pool4=("10.64.0.0/20",)) as here:
        here.attach(number=2)
        for n in range(600):
            peer = f"127.1.{n // 250}.{n % 250 + 1}"
            here.attach(peer=peer)
        assert here.pgw.counters["peers"] < 300
    with world(echo_s=60) as here:
        here.ask(delete(here.attach()))
        assert here.later(60 * NS_PER_S) == []
        assert here.pgw.counters["peers"] == 0


def test_a_peer_that_was_forgotten_and_comes_back_gets_one_echo_a_round() -> None:
    """many peers came and went in between"""
    with world(sims(2), echo_s=60, idle_s=0, pool4=("10.64.0.0/20",)) as here:
        here.attach(number=2)
        for n in range(300):
            here.attach(peer=f"127.1.{n // 250}.{n % 250 + 1}")
        here.attach(peer="127.1.0.1")
        asked = here.later(60 * NS_PER_S)
        assert len(asked) == 2


def test_a_request_about_a_session_goes_where_its_peer_listens() -> None:
    """an F-TEID beside the address that the request came from: the port of GTP-C"""
    with world() as here:
        session = here.attach(source=(OTHER, 5_000), recovery=3)
        assert session.peer_control == (SGW, 2123)
        assert here.ask(delete(session), (OTHER, 5_000)).cause == 16
        session = here.attach(source=(SGW, 5_000))
        assert session.peer_control == (SGW, 5_000)
        ((_, peer),) = here.pgw.stop(T0)
        assert peer == (SGW, 5_000)


def test_only_the_peers_of_the_settings_are_spoken_with() -> None:
    """an allow-list, where GTP has no keys of its own"""
    with world(peers=("127.0.0.2/32", "::1/128")) as here:
        here.attach()
        assert here.send(Message(2, Kind.ECHO_REQUEST, 1, recovery=1), (OTHER, 2123)) == []
        assert here.pgw.counters["drop:peer"] == 1


def test_an_echo_of_a_peer_that_is_gone_meanwhile_is_given_up() -> None:
    """its last session ended before the answer was due"""
    with world(echo_s=1, n3_requests=3) as here:
        session = here.attach()
        assert len(here.later(NS_PER_S)) == 1
        here.ask(delete(session))
        assert here.pgw.counters["peers"] == 1
        for _ in range(4):
            here.later(NS_PER_S)
        assert here.pgw.counters["peers"] == 0
        assert here.pgw.counters["unanswered:echo"] == 1
        assert here.pgw.counters.get("paths-lost") is None


def test_a_session_that_a_restarted_peer_deletes_itself_ends_once() -> None:
    """TS 23.007 18: before its turn comes"""
    with world() as here:
        first, second = (here.attach(number=n, recovery=1) for n in (1, 2))
        assert here.ask(delete(first, recovery=2)).cause == 16
        here.later(0)
        assert not here.pgw.sessions.is_open(second)
        assert here.pgw.counters["ended:peer-restarted"] == 1
        assert here.pgw.counters["ended:deleted"] == 1
        third = here.attach(number=1, recovery=2)
        here.send(Message(2, Kind.ECHO_REQUEST, 7, recovery=3))
        assert here.ask(delete(third, 8)).cause == 16
        here.later(0)
        assert here.pgw.counters["ended:peer-restarted"] == 1
