"""Sessions learnt at S11: alone, and beside the same sessions at S5/S8."""

from dataclasses import replace

import pytest

from engine.signalling.messages import S1U_ENODEB, S1U_SGW, Bearer, Fteid, Kind, Message
from tests.support.epc import (
    ENODEB,
    ENODEB2,
    MME,
    PGW,
    SGW,
    SGW2,
    Story,
    answered,
    billed,
    changes,
    delete,
    follow,
    s5_create,
    s5_move,
    s11_create,
    s11_modify,
)

S5, S11 = (SGW, PGW), (MME, SGW)
AT_S5 = {(104, PGW, "up"), (102, SGW, "down")}
AT_S1U = {(113, SGW, "up"), (114, ENODEB, "down")}


def attach(story: Story, *, named: bool = True, number: int = 1) -> None:
    """Both legs: the S-GW asks the P-GW before it answers the MME."""
    request, answer = (replace(m, sequence=7) for m in s11_create(number, named=named))
    story.say(*S11, request)
    story.ask(*S5, *s5_create(number))
    story.say(SGW, MME, answer)
    story.ask(*S11, *s11_modify(number))


def aside(story: Story) -> set[tuple[int, str, str]]:
    session = follow(story.said)[1][-1].session
    return {(t.teid, t.receiver, t.direction) for t in session.aside}


def test_s11_alone_is_billed_at_s1u() -> None:
    """N6: what the answer says of the P-GW's end is no tunnel in this capture"""
    story = Story()
    story.ask(*S11, *s11_create())
    story.ask(*S11, *s11_modify())
    _, learnt = follow(story.said)
    assert changes(learnt) == [("opened", 0), ("changed", 0)]
    assert billed(learnt) == AT_S1U
    assert aside(story) == {(104, PGW, "up")}
    assert learnt[-1].session.addresses == ("10.1.0.1",)


@pytest.mark.parametrize("named", [True, False])
def test_both_legs_are_one_session_and_billed_at_s5(named: bool) -> None:
    """N6: found by the P-GW's end, or, where S11 does not name it, by when it was opened"""
    story = Story()
    attach(story, named=named)
    follower, learnt = follow(story.said)
    assert follower.table.count == 1
    assert [session for change, session in changes(learnt) if change == "opened"] == [0]
    assert billed(learnt) == AT_S5
    assert aside(story) == AT_S1U


def test_the_s_gw_deletes_at_the_p_gw_before_it_answers() -> None:
    """TS 23.401 5.3.8.2: what the MME hears then is nothing new"""
    story = Story()
    attach(story)
    request, answer = (replace(m, sequence=9) for m in delete(112, 111))
    story.say(*S11, request)
    story.ask(*S5, *delete(103, 101))
    story.say(SGW, MME, answer)
    follower, learnt = follow(story.said)
    assert [change for change, _ in changes(learnt)].count("closed") == 1
    assert (follower.table.count, +follower.counters) == (0, {})


def test_a_session_that_is_over_leaves_nothing_behind() -> None:
    """G7: at none of its ends, nodes and names; so a node that restarts ends it no second time"""
    story = Story()
    attach(story)
    story.say(SGW, PGW, Message(2, Kind.ECHO_REQUEST, 1, recovery=1))
    story.ask(*S5, *delete(103, 101))
    story.say(SGW, PGW, Message(2, Kind.ECHO_REQUEST, 2, recovery=2))
    follower, learnt = follow(story.said)
    assert [change for change, _ in changes(learnt)].count("closed") == 1
    table = follower.table
    assert (table._ends, table._imsis, table._nodes, table.count) == ({}, {}, {}, 0)


def test_the_p_gws_end_with_another_bearer_is_another_session() -> None:
    """TS 29.274 4.1: what the side of the radio network says of it is taken by both"""
    story = Story()
    story.ask(*S5, *s5_create())
    story.ask(*S11, *s11_create(bearer_id=6, apn="ims"))
    assert changes(follow(story.said)[1]) == [("opened", 0), ("opened", 1)]


def test_the_old_s_gw_is_forgotten_without_an_end_of_the_session() -> None:
    """TS 23.401 5.5.1.1.3: a new S-GW, then the old leg is deleted"""
    story = Story()
    attach(story)
    request, answer = (replace(m, sequence=9) for m in s11_create(sgw=SGW2, moves=True))
    story.say(MME, SGW2, request)
    story.ask(SGW2, PGW, *s5_move())
    story.say(SGW2, MME, answer)
    story.ask(*S11, *delete(112, 111))
    follower, learnt = follow(story.said)
    assert follower.table.count == 1
    assert "closed" not in [change for change, _ in changes(learnt)]
    assert billed(learnt) == {(104, PGW, "up"), (122, SGW2, "down")}
    assert aside(story) == {(113, SGW2, "up")}


def test_a_leg_at_s11_ends_alone_where_the_p_gw_keeps_the_session() -> None:
    """TS 23.401 5.3.3.1"""
    story = Story()
    attach(story)
    story.ask(*S11, *delete(112, 111))
    follower, learnt = follow(story.said)
    assert follower.table.count == 1
    assert (billed(learnt), aside(story)) == (AT_S5, set())


def test_a_move_at_s11_alone_is_the_same_session() -> None:
    """TS 23.401 5.5.1.1.3: the request names the P-GW's end, with its TEID"""
    story = Story()
    story.ask(*S11, *s11_create())
    story.ask(MME, SGW2, *s11_create(sgw=SGW2, moves=True))
    _, learnt = follow(story.said)
    assert changes(learnt) == [("opened", 0), ("changed", 0)]
    assert billed(learnt) == {(113, SGW2, "up")}


def test_an_attach_without_a_detach_replaces_both_legs() -> None:
    """N6"""
    story = Story()
    attach(story)
    attach(story, number=2)
    _, learnt = follow(story.said)
    assert changes(learnt)[-4:] == [("closed", 0), ("opened", 1), ("changed", 1), ("changed", 1)]
    assert billed(learnt) == {(204, PGW, "up"), (202, SGW, "down")}


def test_a_second_apn_shares_the_control_tunnel_of_s11() -> None:
    """TS 29.274 4.1: one at S11 for a terminal; what is deleted, and modified, is told by the bearer"""
    story = Story()
    story.ask(*S11, *s11_create())
    request, answer = s11_create(2, apn="ims", bearer_id=6)
    shared = replace(request, teid=112, control=replace(request.control, teid=111))  # type: ignore[type-var]
    story.ask(*S11, shared, replace(answer, teid=111, control=None))
    end = (Fteid(S1U_ENODEB, 214, ENODEB),)
    story.ask(*S11, Message(2, Kind.MODIFY_REQUEST, 0, 112, bearers=(Bearer(6, end),)))
    _, learnt = follow(story.said)
    assert changes(learnt) == [("opened", 0), ("opened", 1), ("changed", 1)]
    assert billed(learnt) == {(213, SGW, "up"), (214, ENODEB, "down")}
    story.ask(*S11, *delete(112, 111, bearer_id=6))
    assert changes(follow(story.said)[1])[3:] == [("closed", 1)]


def test_a_handover_between_enodebs_moves_the_end_of_s1u() -> None:
    """TS 23.401 5.5.1.1.2"""
    story = Story()
    story.ask(*S11, *s11_create())
    story.ask(*S11, *s11_modify())
    story.ask(*S11, *s11_modify(enodeb=ENODEB2, teid=177))
    _, learnt = follow(story.said)
    assert billed(learnt) == {(113, SGW, "up"), (177, ENODEB2, "down")}
    assert [t.teid for t in learnt[0].session.seen] == [113, 104, 114, 177]


@pytest.mark.parametrize("cause", [16, 64])
def test_an_idle_terminal_has_no_end_at_an_enodeb(cause: int) -> None:
    """TS 23.401 5.3.5: until it is back"""
    story = Story()
    story.ask(*S11, *s11_create())
    story.ask(*S11, *s11_modify())
    request = Message(2, Kind.RELEASE_BEARERS_REQUEST, 0, 112)
    story.ask(*S11, request, answered(request, cause=cause))
    up = {(113, SGW, "up")}
    assert billed(follow(story.said)[1]) == (up if cause == 16 else AT_S1U)
    story.ask(*S11, *s11_modify())
    assert billed(follow(story.said)[1]) == AT_S1U


def test_a_dedicated_bearer_is_known_at_both_legs() -> None:
    """TS 23.401 5.4.1"""
    story = Story()
    attach(story)
    offer = Bearer(0, (Fteid(S1U_SGW, 133, SGW),), qci=1)
    request = Message(2, Kind.CREATE_BEARER_REQUEST, 0, 111, linked_bearer=5, bearers=(offer,))
    ends = (Fteid(S1U_ENODEB, 134, ENODEB), *offer.fteids)
    story.ask(SGW, MME, request, answered(request, bearers=(Bearer(6, ends, cause=16),)))
    assert aside(story) == AT_S1U | {(133, SGW, "up"), (134, ENODEB, "down")}


def test_messages_of_sessions_from_before_the_capture_are_counted() -> None:
    """they name ends, and no SIM"""
    story = Story()
    story.ask(*S11, *s11_modify())
    story.ask(*S11, Message(2, Kind.RELEASE_BEARERS_REQUEST, 0, 112))
    follower, learnt = follow(story.said)
    assert (learnt, follower.counters) == ([], {"before": 2})
