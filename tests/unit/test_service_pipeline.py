"""Requests under way: their order, what is asked again, what nobody waits for; and rates."""

import pytest

from engine.errors import ServiceError
from engine.service import protocol
from engine.service.limits import Rates
from engine.service.pipeline import AGAIN, PASSED, TAKEN, Pipeline
from engine.service.protocol import NO_AFTER, NO_ID, Answer, Request
from engine.units import NS_PER_S


def refused(number: int, code: str) -> Answer:
    return Answer(number, None, {"code": code, "message": "no"})


def sent(pipeline: Pipeline) -> list[Request]:
    return [protocol.decode(frames) for frames in pipeline.unanswered()]


def test_each_request_comes_after_the_one_before_it() -> None:
    """F8"""
    pipeline = Pipeline("a")
    pipeline.start(6)
    for verb in ("process", "totals", "process"):
        pipeline.ask(verb, {})
    assert [(r.request_id, r.after) for r in sent(pipeline)] == [(7, 6), (8, NO_AFTER), (9, 7)]


def test_answers_in_any_order_find_their_requests() -> None:
    pipeline = Pipeline("a")
    first, second = pipeline.ask("process", {}), pipeline.ask("process", {})
    assert pipeline.take(Answer(second, {})) == TAKEN
    assert (len(pipeline), pipeline.answered([second]), pipeline.answered([first])) == (1, 1, 0)
    assert pipeline.claim(first) is None
    assert pipeline.claim(second) == Answer(second, {})
    assert pipeline.claim(second) is None


def test_what_was_slowed_down_stays_under_way() -> None:
    """F8"""
    pipeline = Pipeline("a")
    first, second = pipeline.ask("process", {}), pipeline.ask("process", {})
    assert pipeline.take(refused(first, protocol.SLOW_DOWN)) == AGAIN
    assert pipeline.take(refused(second, protocol.OUT_OF_ORDER)) == PASSED
    assert pipeline.take(refused(NO_ID, protocol.SLOW_DOWN)) == AGAIN
    assert [r.request_id for r in sent(pipeline)] == [first, second]


def test_a_late_answer_is_passed_over() -> None:
    assert Pipeline("a").take(Answer(3, {})) == PASSED


def test_an_answer_without_an_id_is_everybodys() -> None:
    """B77: the server could not read the request."""
    pipeline = Pipeline("a")
    pipeline.ask("process", {})
    with pytest.raises(ServiceError, match="no"):
        pipeline.take(refused(NO_ID, protocol.BAD_REQUEST))
    assert len(pipeline) == 0


def test_what_nobody_waits_for_holds_up_nothing() -> None:
    pipeline = Pipeline("a")
    first, second = pipeline.ask("process", {}), pipeline.ask("process", {})
    pipeline.take(Answer(first, {}))
    pipeline.abandon([first, second])
    third = pipeline.ask("process", {})
    assert [(r.request_id, r.after) for r in sent(pipeline)] == [(third, NO_AFTER)]
    assert pipeline.claim(first) is None


def test_a_peer_may_ask_so_often_and_no_more() -> None:
    """B74: exactly `burst` at once, then one every 1/rate."""
    rates = Rates(requests_per_s=10, burst=3)
    assert [rates.allow("a", 0) for _ in range(5)] == [True] * 3 + [False] * 2
    assert rates.allow("b", 0)
    tenth = NS_PER_S // 10
    assert [rates.allow("a", tenth - 1), rates.allow("a", tenth), rates.allow("a", tenth)] == [
        False,
        True,
        False,
    ]
    assert [rates.allow("a", NS_PER_S) for _ in range(4)] == [True] * 3 + [False]


def test_peers_that_are_quiet_are_forgotten() -> None:
    """B74: bounded memory for any number of connections."""
    rates = Rates(requests_per_s=1, burst=1, peers_max=2)
    assert [rates.allow(peer, 0) for peer in "abac"] == [True, True, False, True]
    assert rates.allow("b", 0) is False
    assert rates.allow("a", 0) is True
