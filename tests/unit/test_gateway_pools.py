"""Pools of addresses, and the exchange of requests and answers, by themselves."""

import pytest

from engine.gateway.exchange import KEPT_NS, Answers, Key, Request, Requests
from engine.gateway.pools import REST_NS, Pool
from engine.signalling.messages import Kind
from engine.units import NS_PER_S


def test_addresses_are_given_in_order_and_rest_before_they_are_given_again() -> None:
    """N2: network, gateway and broadcast address are nobody's"""
    pool = Pool(4, ("10.64.0.0/29", "10.65.0.0/29"))
    assert (pool.size, pool.held) == (10, 0)
    first = [pool.take(0) for _ in range(3)]
    assert first == ["10.64.0.2", "10.64.0.3", "10.64.0.4"]
    pool.give_back("10.64.0.3", 5)
    assert pool.take(5) == "10.64.0.5"
    pool.give_back("10.64.0.2", 6)
    assert pool.take(5 + REST_NS) == "10.64.0.3"
    assert pool.take(5 + REST_NS) == "10.64.0.6"
    rest = [pool.take(5 + REST_NS) for _ in range(6)]
    # Nothing else is left: the one that has rested longest.
    assert rest == [*(f"10.65.0.{n}" for n in range(2, 7)), "10.64.0.2"]
    assert pool.take(5 + REST_NS) is None
    assert pool.held == pool.size
    pool.give_back("10.65.0.2", 7 + REST_NS)
    assert pool.take(7 + REST_NS) == "10.65.0.2"


def test_prefixes_are_given_from_the_second_on() -> None:
    """O1: the first is the gateway's own"""
    pool = Pool(6, ("2001:db8:100::/62",))
    assert [pool.take(0) for _ in range(4)] == [
        *(f"2001:db8:100:{n}::/64" for n in (1, 2, 3)),
        None,
    ]
    pool.give_back("2001:db8:100:2::/64", 0)
    assert pool.take(0) == "2001:db8:100:2::/64"


def test_an_address_that_a_line_has_for_good_is_given_to_no_other() -> None:
    """N2"""
    pool = Pool(4, ("10.64.0.0/29",))
    pool.keep("10.64.0.3")
    pool.keep("192.0.2.1")  # of no pool
    assert [pool.take(0) for _ in range(3)] == ["10.64.0.2", "10.64.0.4", "10.64.0.5"]
    pool.keep("10.64.0.4")  # its session still has it
    pool.give_back("10.64.0.4", 0)
    pool.give_back("10.64.0.2", 0)
    pool.keep("10.64.0.2")
    assert [pool.take(REST_NS) for _ in range(2)] == ["10.64.0.6", None]
    # What nobody was given does not come in.
    pool.give_back("10.64.0.3", 0)
    pool.give_back("192.0.2.1", 0)
    assert pool.held == 2
    assert pool.take(REST_NS) is None


@pytest.mark.parametrize("version", [4, 6])
def test_no_pool_has_nothing(version: int) -> None:
    pool = Pool(version, ())
    assert (pool.size, pool.take(0)) == (0, None)


KEY = Key(("127.0.0.2", 2123), 2, Kind.CREATE_REQUEST, 1)


def test_answers_are_kept_for_a_while_and_not_too_many() -> None:
    """B50"""
    answers = Answers(2)
    for n in range(3):
        answers.keep(KEY._replace(sequence=n), b"request", b"answer", n)
    assert len(answers) == 2
    assert answers.find(KEY._replace(sequence=0), b"request", 3) is None
    kept = KEY._replace(sequence=2)
    assert answers.find(kept, b"request", 1 + KEPT_NS) == b"answer"
    assert answers.find(kept, b"other", 3) is None
    assert answers.find(kept, b"request", 2 + KEPT_NS) is None
    answers.keep(KEY, b"request", b"answer", 2 + KEPT_NS)
    assert len(answers) == 1
    answers.keep(kept, b"request", b"answer", 2 + KEPT_NS)
    answers.keep(KEY, b"request", b"answer", 3 + KEPT_NS)
    assert len(answers) == 2
    answers.forget("127.0.0.2", 1)
    answers.forget("127.0.0.3", 2)
    assert len(answers) == 2
    answers.forget("127.0.0.2", 2)
    assert len(answers) == 0


def request(requests: Requests, version: int = 2) -> Request:
    sequence = requests.next_sequence(version)
    return Request(b"data", ("127.0.0.2", 2123), version, sequence, "delete")


def test_a_request_is_sent_n3_times_unless_it_is_answered() -> None:
    """T3-RESPONSE, N3-REQUESTS"""
    requests = Requests(NS_PER_S, 3, 10)
    assert requests.next_ns is None
    first, second = request(requests), request(requests)
    for one in (first, second):
        assert requests.send(one, 0) == (b"data", ("127.0.0.2", 2123))
    assert requests.next_ns == NS_PER_S
    assert requests.due(NS_PER_S - 1, 9) == ([], [])
    assert requests.due(NS_PER_S, 1)[0] == [(b"data", first.peer)]
    assert requests.due(NS_PER_S, 9)[0] == [(b"data", first.peer)]
    for sequence, address, purpose in ((9, "127.0.0.2", "delete"), (1, "127.0.0.3", "delete")):
        assert not requests.answered(2, sequence, address, purpose)
    assert not requests.answered(2, 1, "127.0.0.2", "echo")
    assert requests.answered(2, 1, "127.0.0.2", "delete")
    assert not requests.answered(2, 1, "127.0.0.2", "delete")
    assert requests.due(2 * NS_PER_S, 9)[0] == [(b"data", second.peer)]
    assert requests.due(3 * NS_PER_S, 9) == ([], [second])
    assert len(requests) == 0


def test_beyond_the_room_for_requests_each_is_sent_once() -> None:
    """bounded memory"""
    requests = Requests(NS_PER_S, 3, 1)
    for _ in range(3):
        requests.send(request(requests), 0)
    assert len(requests) == 1
    assert len(requests.due(NS_PER_S, 9)[0]) == 1


@pytest.mark.parametrize(("version", "last"), [(1, 0xFFFF), (2, 0x7FFFFF)])
def test_sequence_numbers_begin_again(version: int, last: int) -> None:
    """16 bits, and 24 of which the first is kept for commands"""
    requests = Requests(NS_PER_S, 3, 1)
    requests._sequence[version] = last - 1
    assert [requests.next_sequence(version) for _ in range(3)] == [last, 1, 2]
