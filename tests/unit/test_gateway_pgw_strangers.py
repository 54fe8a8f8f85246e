"""What somebody who should not be in the network can make the control plane do: nothing much."""

import pytest

from engine.gateway.exchange import Answers, Key
from engine.gateway.handover import MISSES_PER_S, MISSES_PER_S_AND_PEER
from engine.gateway.limits import Budget
from engine.signalling.messages import S5_SGW_C, S5_SGW_U, Bearer, Fteid, Kind, Message
from engine.units import NS_PER_S
from tests.support.gateway import T0
from tests.support.pgw import OTHER, OURS, SGW, VERSIONS, create, modify, sims, world

THIEF = (OTHER, 2123)


def test_who_guesses_teids_to_take_sessions_over_is_soon_not_listened_to() -> None:
    """B50, TEID guessing: the right one does not help either, until a while has passed"""
    with world() as here:
        session = here.attach()
        guess = modify(session, OTHER, (9, 9))
        for n in range(MISSES_PER_S_AND_PEER):
            wrong = modify(session, OTHER, (9, 9), teid=session.teid_control ^ (n + 1), sequence=n)
            assert here.ask(wrong, THIEF).cause == 64
        assert here.ask(guess, THIEF).cause == 64
        assert session.peer_control[0] == SGW
        assert here.pgw.counters["teids-missed"] == MISSES_PER_S_AND_PEER + 1
        here.now_ns += NS_PER_S
        assert here.ask(modify(session, OTHER, (9, 9), sequence=99), THIEF).cause == 16


def test_many_guessers_together_are_limited_as_well() -> None:
    """Outer addresses can be made up"""
    with world() as here:
        session = here.attach()
        for n in range(MISSES_PER_S):
            peer = f"127.0.1.{n}"
            wrong = modify(session, peer, (9, 9), teid=session.teid_control ^ (n + 1))
            assert here.ask(wrong, (peer, 2123)).cause == 64
        assert here.ask(modify(session, OTHER, (9, 9)), THIEF).cause == 64
        assert here.ask(modify(session, SGW, (8, 8))).cause == 16, "its own peer asks as ever"


@pytest.mark.parametrize("version", VERSIONS)
def test_a_peer_that_restarts_in_every_message_costs_no_memory(version: int) -> None:
    """Its sessions end once; what waits to be ended does not grow with what it says"""
    with world(sims(70), pool4=("10.64.0.0/24",)) as here:
        for n in range(1, 71):
            here.attach(version, n, recovery=0)
        for n in range(1, 50):
            here.send(Message(version, Kind.ECHO_REQUEST, n, recovery=n))
            if version == 1:  # its Echo Request has no counter, but a refused Create may
                here.send(create(1, 1, n, recovery=n, apn="example"))
        assert len(here.pgw._leaving) <= 70
        here.later(0)
        assert here.pgw.counters["ended:peer-restarted"] == 70
        assert len(here.pgw.sessions) == 0


@pytest.mark.parametrize(
    ("control", "user"),
    [
        *((SGW, end) for end in ("240.0.0.1", "0.1.2.3", "169.254.0.1", OURS)),
        *((end, SGW) for end in ("240.0.0.1", "0.1.2.3", "169.254.0.1", OURS)),
    ],
)
def test_no_tunnel_ends_at_nobody_or_at_the_gateway_itself(control: str, user: str) -> None:
    """B42: it would send packets and requests to itself"""
    own = frozenset({(OURS, 2123), (OURS, 2152)})
    with world(own=own) as here:
        end = Fteid(S5_SGW_C, 1, control)
        bearers = (Bearer(5, (Fteid(S5_SGW_U, 2, user),), qci=9),)
        assert here.ask(create(control=end, bearers=bearers)).cause == 69
        session = here.attach()
        moved = modify(session, SGW, (1, 2), control=end, bearers=bearers)
        assert here.ask(moved).cause == 69
        assert (session.peer_control, session.peer_user) == ((SGW, 2123), SGW)


def test_no_tunnel_ends_outside_the_peers_of_the_settings() -> None:
    """An allow-list is no list if user packets go elsewhere"""
    with world(peers=(f"{SGW}/32",)) as here:
        user = (Bearer(5, (Fteid(S5_SGW_U, 2, OTHER),), qci=9),)
        assert here.ask(create(bearers=user)).cause == 69
        assert here.ask(create(sequence=2, control=Fteid(S5_SGW_C, 1, OTHER))).cause == 69
        here.attach()


def test_a_loopback_end_is_refused_by_a_gateway_that_is_not_on_it() -> None:
    """Services of the gateway's own machine are no peers"""
    from engine.gateway.admission import end_of

    fteid = Fteid(S5_SGW_U, 1, "127.0.0.1", "::1")
    assert end_of(fteid, "192.0.2.1") is None
    assert end_of(fteid, "2001:db8::1") is None
    assert end_of(fteid, "127.0.0.9") == "127.0.0.1"
    assert end_of(Fteid(S5_SGW_U, 1, None, "::ffff:192.0.2.1"), "2001:db8::1") is None
    assert end_of(Fteid(S5_SGW_U, 1, None, "fe80::1"), "2001:db8::1") is None


def test_answers_of_a_restarted_peer_are_forgotten_and_no_others() -> None:
    """TS 23.007 18; whatever came and went before"""
    answers = Answers(3)
    keys = [Key((SGW, 2123), 2, Kind.CREATE_REQUEST, n) for n in range(4)]
    other = Key(THIEF, 2, Kind.CREATE_REQUEST, 1)
    for key in (*keys, keys[3], other):
        answers.keep(key, b"q", b"a", T0)
    answers.forget(SGW, 1)
    assert len(answers) == 3
    answers.forget(SGW, 2)
    answers.forget(SGW, 2)
    assert [answers.find(key, b"q", T0) for key in (*keys, other)] == [None] * 4 + [b"a"]
    answers.keep(keys[0], b"q", b"b", T0)
    assert answers.find(keys[0], b"q", T0) == b"b"


def test_a_budget_says_what_is_left_without_using_it() -> None:
    """To look is free"""
    budget = Budget(1, 0)
    assert budget.left(0)
    assert budget.left(0)
    assert budget.take(0)
    assert not budget.left(NS_PER_S - 1)
    assert budget.left(NS_PER_S)
