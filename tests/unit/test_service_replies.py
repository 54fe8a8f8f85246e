"""Each request has its effect once, and memory has its bounds."""

import pytest

from engine.errors import ServiceError
from engine.service.protocol import (
    ID_FORGOTTEN,
    ID_REUSED,
    OUT_OF_ORDER,
    TOO_MANY_CLIENTS,
    UNKNOWN_CLIENT,
    Request,
)
from engine.service.replies import ENTRY_BYTES, Replies


def ask(number: int, client: str = "a", body: bytes = b"") -> Request:
    return Request(client, number, "process", {}, body)


def refusal(replies: Replies, request: Request) -> str:
    with pytest.raises(ServiceError) as caught:
        replies.find(request)
    return caught.value.code


def test_a_repeated_request_gets_the_stored_answer() -> None:
    """I3, F8"""
    replies = Replies()
    assert replies.greet("a") == -1
    assert replies.find(ask(0)) is None
    replies.keep(ask(0), [b"", b"answer"])
    assert replies.find(ask(0)) == [b"", b"answer"]
    assert replies.greet("a") == 0
    replies.greet("b")
    assert replies.find(ask(0, client="b")) is None


def test_an_id_is_not_used_for_something_else() -> None:
    """F9"""
    replies = Replies()
    replies.greet("a")
    replies.keep(ask(0), [b""])
    assert refusal(replies, ask(0, body=b"other")) == ID_REUSED


def test_the_order_of_arguments_is_not_content() -> None:
    """F9"""
    replies = Replies()
    replies.greet("a")
    replies.keep(Request("a", 0, "switch", {"line": "1", "on": True}), [b"x"])
    assert replies.find(Request("a", 0, "switch", {"on": True, "line": "1"})) == [b"x"]
    assert refusal(replies, Request("a", 0, "switch", {"on": False, "line": "1"})) == ID_REUSED
    assert refusal(replies, Request("a", 0, "suspend", {"on": True, "line": "1"})) == ID_REUSED


def test_a_request_waits_for_the_one_that_it_comes_after() -> None:
    """F8: nothing overtakes what was lost on the way."""
    replies = Replies()
    replies.greet("a")
    later = Request("a", 1, "process", {}, b"", 0)
    assert refusal(replies, later) == OUT_OF_ORDER
    replies.keep(ask(0), [b"x"])
    assert replies.find(later) is None


def test_a_stranger_is_told_to_say_hello() -> None:
    assert refusal(Replies(), ask(0)) == UNKNOWN_CLIENT


def test_what_is_forgotten_is_never_done_again() -> None:
    """I3"""
    replies = Replies(answers_max=2)
    replies.greet("a")
    for number in (0, 1, 5):
        replies.keep(ask(number), [b"x"])
    assert refusal(replies, ask(0)) == ID_FORGOTTEN
    assert refusal(replies, ask(3)) == ID_FORGOTTEN
    assert replies.find(ask(1)) == [b"x"]
    assert replies.find(ask(6)) is None
    assert replies.kept_bytes == 2 + 2 * ENTRY_BYTES


def test_answers_have_a_bound_in_bytes() -> None:
    """B74: the quietest client loses its answers first."""
    replies = Replies(bytes_max=100 + ENTRY_BYTES)
    for name in ("a", "b"):
        replies.greet(name)
        replies.find(ask(0, client=name))
        replies.keep(ask(0, client=name), [bytes(60)])
    assert replies.kept_bytes == 60 + ENTRY_BYTES
    assert refusal(replies, ask(0, client="a")) == ID_FORGOTTEN
    assert replies.find(ask(0, client="b")) == [bytes(60)]
    replies.keep(ask(1, client="b"), [bytes(101)])
    assert replies.kept_bytes == 0


def test_clients_have_a_bound_and_leave() -> None:
    """B74"""
    replies = Replies(clients_max=1)
    replies.greet("a")
    replies.keep(ask(0), [b"xyz"])
    with pytest.raises(ServiceError) as caught:
        replies.greet("b")
    assert caught.value.code == TOO_MANY_CLIENTS
    replies.forget("a")
    replies.forget("never there")
    assert replies.kept_bytes == 0
    assert replies.greet("b") == -1
