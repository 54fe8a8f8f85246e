"""Sessions learnt from control messages at Gn: PDP contexts of version 1."""

from dataclasses import replace
from typing import Any

from engine.signalling.messages import (
    GN_GGSN_C,
    GN_GGSN_U,
    GN_SGSN_C,
    GN_SGSN_U,
    Bearer,
    Fteid,
    Kind,
    Message,
)
from tests.support.epc import (
    GGSN,
    IMSI,
    SGSN,
    Story,
    answered,
    billed,
    changes,
    follow,
    gn_create,
)

GN = (SGSN, GGSN)


def gn_story(**fields: Any) -> Story:
    story = Story()
    story.ask(*GN, *gn_create(**fields))
    return story


def test_a_pdp_context_is_a_session() -> None:
    """N4: the GGSN's answer need not repeat the NSAPI"""
    story = gn_story()
    _, learnt = follow(story.said)
    session = learnt[0].session
    assert (session.version, session.rat, session.addresses) == (1, "UTRAN", ("10.1.0.1",))
    assert billed(learnt) == {(104, GGSN, "up"), (102, SGSN, "down")}
    assert [t.interface for t in session.seen] == ["Gn SGSN", "Gn GGSN"]


def gn_update(teid: int, **fields: Any) -> Message:
    end = Fteid(GN_SGSN_U, 142, "192.168.1.33")
    control = Fteid(GN_SGSN_C, 141, "192.168.1.33")
    request = Message(
        1, Kind.MODIFY_REQUEST, 0, teid, control=control, bearers=(Bearer(5, (end,)),)
    )
    return replace(request, **fields)


def test_an_update_moves_a_context_to_another_sgsn() -> None:
    """TS 29.060 7.3.3"""
    story = gn_story()
    story.ask("192.168.1.33", GGSN, gn_update(103))
    _, learnt = follow(story.said)
    assert changes(learnt) == [("opened", 0), ("changed", 0)]
    assert billed(learnt) == {(104, GGSN, "up"), (142, "192.168.1.33", "down")}


def test_the_ggsn_may_have_another_end_after_an_update() -> None:
    """TS 29.060 7.3.4: what comes after is about that one"""
    story = gn_story()
    answer = answered(
        gn_update(103),
        control=Fteid(GN_GGSN_C, 143, GGSN),
        bearers=(Bearer(0, (Fteid(GN_GGSN_U, 144, GGSN),)),),
    )
    story.ask("192.168.1.33", GGSN, gn_update(103), answer)
    story.ask("192.168.1.33", GGSN, gn_delete(143, 5, teardown=True))
    _, learnt = follow(story.said)
    assert [t.teid for t in learnt[0].session.seen] == [102, 104, 142, 144]
    assert changes(learnt)[2:] == [("closed", 0)]


def test_an_update_from_before_the_capture_opens_what_names_its_sim() -> None:
    """TS 29.060 7.3.3: the IMSI may be there; else all that is known is that there is something"""
    story = Story()
    story.ask("192.168.1.33", GGSN, gn_update(103, imsi=IMSI))
    follower, learnt = follow(story.said)
    assert changes(learnt) == [("opened", 0)]
    assert (learnt[0].session.imsi, learnt[0].session.addresses) == (IMSI, ())
    assert billed(learnt) == {(142, "192.168.1.33", "down")}
    story = Story()
    story.ask("192.168.1.33", GGSN, gn_update(103))
    follower, learnt = follow(story.said)
    assert learnt == []
    assert follower.counters == {"before": 1}


def gn_second() -> tuple[Message, Message]:
    """A secondary context, NSAPI 6, beside NSAPI 5."""
    request, answer = gn_create(2, imsi=None)
    bearers = (Bearer(6, (Fteid(GN_SGSN_U, 152, SGSN),)),)
    return replace(request, teid=103, linked_bearer=5, bearers=bearers), answer


def test_a_secondary_context_is_another_bearer() -> None:
    """TS 29.060 7.3.1"""
    story = gn_story()
    story.ask(*GN, *gn_second())
    _, learnt = follow(story.said)
    assert changes(learnt) == [("opened", 0), ("changed", 0)]
    assert {(204, GGSN, "up"), (152, SGSN, "down")} < billed(learnt)
    lone = Story()
    lone.ask(*GN, *gn_second())
    follower, learnt = follow(lone.said)
    assert (learnt, follower.counters) == ([], {"before": 1})


def gn_delete(teid: int, nsapi: int | None, teardown: bool) -> Message:
    bearers = () if nsapi is None else (Bearer(nsapi),)
    return Message(1, Kind.DELETE_REQUEST, 0, teid, teardown=teardown, bearers=bearers)


def test_contexts_are_deleted_one_by_one_or_together() -> None:
    """TS 29.060 7.3.5: teardown, and who asks"""
    story = gn_story()
    story.ask(*GN, *gn_second())
    story.ask(*GN, gn_delete(103, 6, teardown=False))
    _, learnt = follow(story.said)
    assert changes(learnt)[2:] == [("changed", 0)]
    assert billed(learnt) == {(104, GGSN, "up"), (102, SGSN, "down")}
    story.ask(GGSN, SGSN, gn_delete(101, 5, teardown=False))
    assert changes(follow(story.said)[1])[3:] == [("closed", 0)]
    for nsapi, teardown in ((5, True), (None, False)):
        story = gn_story()
        story.ask(*GN, *gn_second())
        story.ask(*GN, gn_delete(103, nsapi, teardown))
        assert changes(follow(story.said)[1])[2:] == [("closed", 0)]
