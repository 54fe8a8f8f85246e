"""What a follower does with half a capture, with nonsense and with too much of everything."""

from dataclasses import replace

import pytest

from engine.signalling import exchanges, follower, sessions
from engine.signalling.exchanges import Exchanges, Request, Restarts
from engine.signalling.follower import Follower
from engine.signalling.messages import Fteid, Kind, Message
from engine.signalling.sessions import rat_name
from tests.support.epc import (
    ENODEB,
    IMSI,
    IMSI2,
    MME,
    MS,
    PGW,
    SGW,
    Story,
    billed,
    changes,
    delete,
    follow,
    s5_create,
    s11_create,
    s11_modify,
)

S5 = (SGW, PGW)


def late(story: Story) -> None:
    """A message of somebody else's, when no answer to what came before can come any more."""
    story.at_ns += exchanges.ANSWER_NS
    story.say(MME, ENODEB, Message(2, Kind.ECHO_REQUEST, 1, recovery=1))


def test_a_request_alone_is_believed_where_the_other_side_is_not_there() -> None:
    """only the ends of who asked are known, and what it says of the terminal"""
    story = Story()
    request, _ = s5_create()
    story.say(*S5, replace(request, sequence=7))
    assert follow(story.said)[1] == []
    late(story)
    _, learnt = follow(story.said)
    assert changes(learnt) == [("opened", 0)]
    assert (learnt[0].session.half, learnt[0].session.imsi) == (True, IMSI)
    assert (billed(learnt), learnt[0].session.addresses) == ({(102, SGW, "down")}, ())
    assert learnt[0].at_ns == story.at_ns


def test_a_request_alone_is_one_session_however_often_it_comes() -> None:
    """TS 29.274 7.6"""
    story = Story()
    request, _ = s5_create()
    for _ in range(3):
        story.say(*S5, replace(request, sequence=7))
        late(story)
    assert changes(follow(story.said)[1]) == [("opened", 0)]


def test_a_request_that_a_present_side_does_not_answer_is_nothing() -> None:
    """the P-GW is heard, and says nothing to it"""
    story = Story()
    request, _ = s5_create()
    story.say(*S5, replace(request, sequence=7))
    story.say(PGW, SGW, Message(2, Kind.ECHO_REQUEST, 8, recovery=1))
    late(story)
    assert follow(story.said)[1] == []


def test_at_the_end_of_a_capture_no_answer_comes_any_more() -> None:
    """a session is listed all the same"""
    story = Story()
    request, _ = s5_create()
    story.say(*S5, replace(request, sequence=7))
    story.say(MME, SGW, Message(2, Kind.MODIFY_REQUEST, 9, 112))
    followed, learnt = follow(story.said)
    assert learnt == []
    assert changes(followed.finish()) == [("opened", 0)]
    assert followed.finish() == []


def test_an_answer_alone_names_no_sim() -> None:
    """it is counted; one more of a session that is known is not"""
    story = Story()
    _, answer = s5_create()
    story.say(PGW, SGW, replace(answer, sequence=7))
    follower_, learnt = follow(story.said)
    assert (learnt, follower_.counters) == ([], {"unasked": 1})
    echo = Message(2, Kind.ECHO_RESPONSE, 7, recovery=1)
    story = Story()
    story.ask(*S5, *s5_create())
    story.ask(MME, SGW, *s11_create(2, imsi=IMSI2))
    asked, told = s11_modify(2)
    story.ask(MME, SGW, asked, told)
    story.say(SGW, MME, replace(told, sequence=story.sequence))
    story.say(PGW, SGW, echo)
    story.say(PGW, SGW, Message(2, Kind.OTHER, 7, message_type=200))
    assert not +follow(story.said)[0].counters


def test_requests_that_are_never_answered_do_not_pile_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """B48, G7: the oldest goes, and it is told"""
    monkeypatch.setattr(exchanges, "REQUESTS_MAX", 3)
    story = Story()
    pairs = [s5_create(k, imsi=f"44010{k:010}") for k in range(1, 5)]
    for k, (request, _) in enumerate(pairs):
        story.say(*S5, replace(request, sequence=k))
    for k, (_, answer) in enumerate(pairs):
        story.say(PGW, SGW, replace(answer, sequence=k))
    followed, learnt = follow(story.said)
    assert [one.session.msisdn for one in learnt] == [f"81{k:010}" for k in (2, 3, 4)]
    assert (followed.evicted, followed.counters) == (1, {"unasked": 1})


def test_sessions_do_not_pile_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """B48, G7: no more are followed than there is room for"""
    monkeypatch.setattr(follower, "SESSIONS_MAX", 2)
    story = Story()
    for k in (1, 2, 3):
        story.ask(*S5, *s5_create(k, imsi=f"44010{k:010}"))
    followed, learnt = follow(story.said)
    assert changes(learnt) == [("opened", 0), ("opened", 1)]
    assert followed.counters == {"crowded": 1}


def test_a_terminal_that_moves_for_ever_has_a_list_that_ends(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """G7: its tunnels are followed all the same"""
    monkeypatch.setattr(sessions, "TUNNELS_MAX", 3)
    story = Story()
    story.ask(MME, SGW, *s11_create())
    for teid in range(1_000, 1_010):
        story.ask(MME, SGW, *s11_modify(teid=teid))
    _, learnt = follow(story.said)
    assert len(learnt[0].session.seen) == 3
    assert (1_009, ENODEB, "down") in billed(learnt)


def test_nodes_do_not_pile_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """G7: whose restart counters, and whose directions, are remembered"""
    monkeypatch.setattr(exchanges, "NODES_MAX", 2)
    heard, restarts = Exchanges(), Restarts()
    for k in range(5):
        heard.hear(f"10.0.0.{k}", PGW)
        assert not restarts.restarted(f"10.0.0.{k}", 2, 1)
    assert [heard.heard(f"10.0.0.{k}", PGW) for k in range(5)] == [False] * 3 + [True] * 2
    assert [restarts.restarted(f"10.0.0.{k}", 2, 2) for k in (4, 3, 0)] == [True, True, False]


@pytest.mark.parametrize(
    ("before", "after", "restarted"),
    [(1, 1, False), (1, 2, True), (255, 0, True), (2, 1, False), (0, 255, False), (5, None, False)],
)
def test_a_restart_counter_goes_up_and_wraps(
    before: int, after: int | None, restarted: bool
) -> None:
    """TS 23.007 18: a smaller one is of an older message; each version has its own"""
    restarts = Restarts()
    assert not restarts.restarted(PGW, 2, before)
    assert restarts.restarted(PGW, 2, after) is restarted
    assert not restarts.restarted(PGW, 1, after)


def test_requests_are_overdue_in_the_order_in_which_they_came() -> None:
    """and not a moment early"""
    waiting = Exchanges()
    for k in range(3):
        message = Message(2, Kind.CREATE_REQUEST, k)
        waiting.ask(Request(message, (SGW, 2123), (PGW, 2123), k * MS))
    end_ns = exchanges.ANSWER_NS + MS
    assert [r.message.sequence for r in waiting.overdue(end_ns)] == [0, 1]
    assert waiting.overdue(end_ns) == []


def test_ends_that_cannot_be_are_no_tunnels() -> None:
    """B19, B42: TEID 0, no address, an interface of something else"""
    story = Story()
    request, answer = s5_create()
    ends = (Fteid(4, 0, SGW), Fteid(5, 9), Fteid(29, 9, SGW))
    bearers = (replace(request.bearers[0], fteids=ends[:1]),)
    followed = Follower()
    asked = replace(request, sequence=7, bearers=bearers, control=Fteid(6, 0, SGW))
    odd = (replace(answer.bearers[0], fteids=ends),)
    told = replace(answer, sequence=7, bearers=odd, control=None)
    assert followed.take(asked, (SGW, 2123), (PGW, 2123), story.at_ns) == []
    (opened,) = followed.take(told, (PGW, 2123), (SGW, 2123), story.at_ns)
    assert (opened.session.billed, opened.session.aside) == ((), ())


def test_a_session_may_be_nobodys() -> None:
    """TS 29.274 7.2.1: an emergency call without a SIM; it replaces nothing"""
    story = Story()
    for number in (1, 2):
        request, answer = s5_create(number)
        story.ask(*S5, replace(request, imsi=None), answer)
    story.ask(*S5, *delete(103, 101))
    assert changes(follow(story.said)[1]) == [("opened", 0), ("opened", 1), ("closed", 0)]


def test_a_rat_without_a_name_is_its_number() -> None:
    """N4"""
    assert [rat_name(rat) for rat in (None, 6, 99)] == [None, "EUTRAN", "99"]
