"""Sessions learnt from control messages at S5/S8."""

from dataclasses import replace

import pytest

from engine.signalling.messages import (
    EUTRAN,
    GERAN,
    S5_PGW_C,
    S5_SGW_U,
    Bearer,
    Fteid,
    Kind,
    Message,
)
from tests.support.epc import (
    IMSI,
    IMSI2,
    NOT_FOUND,
    PGW,
    SGW,
    SGW2,
    Story,
    billed,
    changes,
    delete,
    follow,
    s5_create,
    s5_dedicate,
    s5_move,
    s5_take_back,
)

S5 = (SGW, PGW)


def test_a_session_opens_when_the_answer_accepts_it() -> None:
    """N6, N4: with all that request and answer said of it"""
    story = Story()
    request, answer = s5_create()
    story.say(*S5, replace(request, sequence=7))
    _, early = follow(story.said)
    assert early == []
    story.say(PGW, SGW, replace(answer, sequence=7))
    _, learnt = follow(story.said)
    (opened,) = learnt
    session = opened.session
    assert (opened.change, opened.at_ns) == ("opened", story.at_ns)
    assert (session.imsi, session.msisdn, session.apn) == (IMSI, "810000000001", "iijmio.jp")
    assert (session.rat, session.addresses, session.version) == ("EUTRAN", ("10.1.0.1",), 2)
    assert billed(learnt) == {(104, PGW, "up"), (102, SGW, "down")}
    assert session.aside == ()
    assert [t.interface for t in session.seen] == ["S5/S8 S-GW", "S5/S8 P-GW"]


def test_a_session_that_is_refused_does_not_open() -> None:
    """N1"""
    story = Story()
    request, answer = s5_create()
    story.ask(*S5, request, replace(answer, cause=92, bearers=()))
    follower, learnt = follow(story.said)
    assert learnt == []
    assert follower.counters == {"refused": 1}


@pytest.mark.parametrize("cause", [16, 17, 18, 19])
def test_every_cause_that_accepts_opens(cause: int) -> None:
    """TS 29.274 8.4"""
    story = Story()
    request, answer = s5_create()
    story.ask(*S5, request, replace(answer, cause=cause))
    assert changes(follow(story.said)[1]) == [("opened", 0)]


def test_a_bearer_that_the_answer_refuses_gets_no_end() -> None:
    """TS 29.274 7.2.2: accepted partially"""
    story = Story()
    request, answer = s5_create()
    two = (*request.bearers, Bearer(6, (Fteid(S5_SGW_U, 109, SGW),)))
    refused = Bearer(6, (Fteid(5, 110, PGW),), cause=73)
    story.ask(
        *S5,
        replace(request, bearers=two),
        replace(answer, cause=17, bearers=(*answer.bearers, refused)),
    )
    assert (110, PGW, "up") not in billed(follow(story.said)[1])


def test_retransmissions_change_nothing() -> None:
    """TS 29.274 7.6: requests and answers as often as they come"""
    story = Story()
    request, answer = (replace(m, sequence=7) for m in s5_create())
    for source, destination, message in (
        (*S5, request),
        (*S5, request),
        (PGW, SGW, answer),
        (PGW, SGW, answer),
        (*S5, request),
        (PGW, SGW, answer),
    ):
        story.say(source, destination, message)
    follower, learnt = follow(story.said)
    assert changes(learnt) == [("opened", 0)]
    assert not +follower.counters


def test_an_answer_is_that_of_the_request_with_its_ends_and_number() -> None:
    """TS 29.274 7.6: of two S-GWs with the same sequence number, each gets its own"""
    story = Story()
    first, second = s5_create(1), s5_create(2, imsi=IMSI2, sgw=SGW2)
    for node, (request, _) in ((SGW, first), (SGW2, second)):
        story.say(node, PGW, replace(request, sequence=7))
    for node, (_, answer) in ((SGW2, second), (SGW, first)):
        story.say(PGW, node, replace(answer, sequence=7))
    learnt = follow(story.said)[1]
    assert [(one.session.imsi, one.session.addresses) for one in learnt] == [
        (IMSI2, ("10.1.0.2",)),
        (IMSI, ("10.1.0.1",)),
    ]


def test_a_session_is_deleted() -> None:
    """N6"""
    story = Story()
    story.ask(*S5, *s5_create())
    story.ask(*S5, *delete(103, 101))
    follower, learnt = follow(story.said)
    assert changes(learnt) == [("opened", 0), ("closed", 0)]
    assert (learnt[1].session.cause, learnt[1].session.closed_ns) == ("deleted", story.at_ns)
    assert follower.table.count == 0


def test_a_session_that_is_not_found_is_over() -> None:
    """TS 29.274 7.2.10: cause 64"""
    story = Story()
    story.ask(*S5, *s5_create())
    request, answer = delete(103, 101)
    story.ask(*S5, request, replace(answer, cause=NOT_FOUND[2]))
    assert changes(follow(story.said)[1])[-1] == ("closed", 0)


def test_a_deletion_that_is_refused_deletes_nothing() -> None:
    """TS 29.274 7.2.10"""
    story = Story()
    story.ask(*S5, *s5_create())
    request, answer = delete(103, 101)
    story.ask(*S5, request, replace(answer, cause=72))
    follower, learnt = follow(story.said)
    assert changes(learnt) == [("opened", 0)]
    assert follower.counters == {"refused": 1}


def test_a_deletion_for_somebody_elses_end_deletes_nothing() -> None:
    """B50: a foreign TEID, another bearer"""
    story = Story()
    story.ask(*S5, *s5_create())
    story.ask(*S5, *delete(999, 101))
    story.ask(*S5, *delete(103, 101, bearer_id=9))
    assert changes(follow(story.said)[1]) == [("opened", 0)]


def test_a_handover_to_another_s_gw_moves_both_its_ends() -> None:
    """TS 23.401 5.5.1.1.3: what comes after goes to the new ends; the P-GW's stay"""
    story = Story()
    story.ask(*S5, *s5_create())
    story.ask(SGW2, PGW, *s5_move())
    story.ask(SGW2, PGW, *delete(103, 121))
    _, learnt = follow(story.said)
    assert changes(learnt) == [("opened", 0), ("changed", 0), ("closed", 0)]
    assert [t.teid for t in learnt[0].session.seen] == [102, 104, 122]
    moved = follow(story.said[:4])[1]
    assert billed(moved) == {(104, PGW, "up"), (122, SGW2, "down")}


def test_the_rat_may_change_with_the_ends() -> None:
    """N4"""
    story = Story()
    story.ask(*S5, *s5_create())
    request, answer = s5_move()
    story.ask(SGW2, PGW, replace(request, rat=GERAN), answer)
    _, learnt = follow(story.said)
    assert learnt[-1].session.rat == "GERAN"


def test_a_handover_that_is_refused_moves_nothing() -> None:
    """TS 29.274 7.2.8"""
    story = Story()
    story.ask(*S5, *s5_create())
    request, answer = s5_move()
    story.ask(SGW2, PGW, request, replace(answer, cause=64))
    assert changes(follow(story.said)[1]) == [("opened", 0)]


def test_a_modification_that_says_nothing_new_is_not_told() -> None:
    """TS 29.274 7.2.7"""
    story = Story()
    story.ask(*S5, *s5_create())
    story.ask(*S5, Message(2, Kind.MODIFY_REQUEST, 0, 103, rat=EUTRAN))
    assert changes(follow(story.said)[1]) == [("opened", 0)]


def test_a_dedicated_bearer_has_tunnels_of_its_own() -> None:
    """TS 23.401 5.4.1: opened by the P-GW, taken back by it"""
    story = Story()
    story.ask(*S5, *s5_create())
    story.ask(PGW, SGW, *s5_dedicate())
    _, learnt = follow(story.said)
    both = {(104, PGW, "up"), (102, SGW, "down")}
    assert billed(learnt) == both | {(134, PGW, "up"), (132, SGW, "down")}
    story.ask(PGW, SGW, *s5_take_back(bearer_id=6))
    _, learnt = follow(story.said)
    assert changes(learnt) == [("opened", 0), ("changed", 0), ("changed", 0)]
    assert billed(learnt) == both


def test_a_dedicated_bearer_is_told_by_its_place_where_its_end_is_not_repeated() -> None:
    """TS 29.274 7.2.4"""
    story = Story()
    story.ask(*S5, *s5_create())
    request, answer = s5_dedicate()
    alone = replace(answer.bearers[0], fteids=answer.bearers[0].fteids[:1])
    story.ask(PGW, SGW, request, replace(answer, bearers=(alone,)))
    assert (134, PGW, "up") in billed(follow(story.said)[1])


def test_a_dedicated_bearer_without_an_identity_is_none() -> None:
    """TS 29.274 7.2.4: the identity is the answer's to give"""
    story = Story()
    story.ask(*S5, *s5_create())
    story.ask(PGW, SGW, *s5_dedicate(bearer_id=0))
    assert changes(follow(story.said)[1]) == [("opened", 0)]


@pytest.mark.parametrize("linked", [5, 9])
def test_a_dedicated_bearer_that_is_refused_or_anothers_is_none(linked: int) -> None:
    """TS 29.274 7.2.4"""
    story = Story()
    story.ask(*S5, *s5_create())
    request, answer = s5_dedicate(linked=linked)
    cause = 16 if linked == 9 else 94
    story.ask(PGW, SGW, request, replace(answer, cause=cause))
    assert changes(follow(story.said)[1]) == [("opened", 0)]


def test_without_its_default_bearer_a_session_is_over() -> None:
    """TS 29.274 7.2.9.2: the P-GW names the linked bearer"""
    story = Story()
    story.ask(*S5, *s5_create())
    story.ask(PGW, SGW, *s5_dedicate())
    story.ask(PGW, SGW, *s5_take_back())
    _, learnt = follow(story.said)
    assert changes(learnt)[-1] == ("closed", 0)
    assert learnt[-1].session.cause == "deleted"


def test_a_bearer_that_is_not_given_back_stays() -> None:
    """TS 29.274 7.2.10.2"""
    story = Story()
    story.ask(*S5, *s5_create())
    request, answer = s5_take_back()
    story.ask(PGW, SGW, request, replace(answer, cause=94))
    story.ask(PGW, SGW, replace(request, linked_bearer=9), answer)
    assert changes(follow(story.said)[1]) == [("opened", 0)]


def test_a_bearer_marked_for_removal_goes() -> None:
    """TS 29.274 7.2.8: bearer contexts of instance 1"""
    story = Story()
    story.ask(*S5, *s5_create())
    story.ask(PGW, SGW, *s5_dedicate())
    request, answer = s5_move()
    gone = (Bearer(6, cause=16, instance=1),)
    story.ask(SGW2, PGW, request, replace(answer, bearers=(*answer.bearers, *gone)))
    assert billed(follow(story.said)[1]) == {(104, PGW, "up"), (122, SGW2, "down")}


@pytest.mark.parametrize(("apn", "bearer_id"), [("iijmio.jp", 5), ("iijmio.jp", 6), ("other", 5)])
def test_a_new_session_replaces_the_old_one(apn: str, bearer_id: int) -> None:
    """N6: of the same SIM with the same APN or bearer"""
    story = Story()
    story.ask(*S5, *s5_create())
    story.ask(*S5, *s5_create(2, apn=apn, bearer_id=bearer_id))
    _, learnt = follow(story.said)
    assert changes(learnt) == [("opened", 0), ("closed", 0), ("opened", 1)]
    assert (learnt[1].session.cause, learnt[1].at_ns) == ("replaced", story.at_ns)


def test_a_sim_may_have_sessions_of_several_apns() -> None:
    """TS 23.401 5.10: and so may two SIMs"""
    story = Story()
    story.ask(*S5, *s5_create())
    story.ask(*S5, *s5_create(2, apn="ims", bearer_id=6))
    story.ask(*S5, *s5_create(3, imsi=IMSI2))
    follower, learnt = follow(story.said)
    assert changes(learnt) == [("opened", 0), ("opened", 1), ("opened", 2)]
    assert follower.table.count == 3


def test_the_ends_of_a_session_that_is_over_may_be_given_out_anew() -> None:
    """B50: the same TEIDs for another address are another session"""
    story = Story()
    story.ask(*S5, *s5_create())
    request, answer = s5_create()
    story.ask(*S5, request, replace(answer, address4="10.1.0.77"))
    _, learnt = follow(story.said)
    assert changes(learnt) == [("opened", 0), ("closed", 0), ("opened", 1)]


@pytest.mark.parametrize("who", [SGW, PGW])
def test_a_node_that_restarts_has_no_sessions_any_more(who: str) -> None:
    """TS 23.007 18: those through this node, whoever hears of it, and no others"""
    story = Story()
    story.ask(*S5, *s5_create())
    request, answer = s5_create(2, imsi=IMSI2, sgw=SGW2)
    far = Fteid(S5_PGW_C, 203, "192.168.1.9")
    story.ask(SGW2, "192.168.1.9", request, replace(answer, control=far))
    other = PGW if who == SGW else SGW
    for counter in (3, 3, 4):
        echo = Message(2, Kind.ECHO_REQUEST, 0, recovery=counter)
        story.ask(who, other, echo)
    _, learnt = follow(story.said)
    assert changes(learnt) == [("opened", 0), ("opened", 1), ("closed", 0)]
    assert learnt[-1].session.cause == "restart"


def test_a_session_may_come_with_the_news_of_a_restart() -> None:
    """TS 23.007 18: the old ones end, then the new one opens"""
    story = Story()
    request, answer = s5_create()
    story.ask(*S5, replace(request, recovery=1), answer)
    request, answer = s5_create(2, imsi=IMSI2)
    story.ask(*S5, replace(request, recovery=2), answer)
    assert changes(follow(story.said)[1]) == [("opened", 0), ("closed", 0), ("opened", 1)]


def test_a_piggybacked_message_counts() -> None:
    """TS 29.274 5.5.1: a Create Bearer Request with the Create Session Response"""
    story = Story()
    request, answer = s5_create()
    offer, granted = s5_dedicate()
    asked = story.say(*S5, replace(request, sequence=7))
    rider = replace(offer, sequence=8)
    story.say(PGW, SGW, replace(answer, sequence=asked.sequence, piggybacked=rider))
    story.say(SGW, PGW, replace(granted, sequence=8))
    assert (134, PGW, "up") in billed(follow(story.said)[1])
