"""Requests without an answer, answers without a request, restarts, and what does not belong here."""

import pytest

from engine.errors import UsageError
from gateway_sim.codec.path import echo_request, echo_response
from gateway_sim.signalling.control import Fill, Kind, Shape
from gateway_sim.signalling.exchange import ANSWERS_MAX, Answers, Numbers, Requests
from gateway_sim.signalling.node import Step
from gateway_sim.signalling.sgw import EventKind, Sgw
from gateway_sim.signalling.stamped import stamp
from gateway_sim.signalling.terminal import Terminal
from gateway_sim.signalling.transitions import State
from tests.support.scripted_gateway import PEER, USER_ADDRESS, ScriptedGateway, element, scapy_of
from tests.support.sgw import VERSIONS, S, attached, kinds, node, talk, terminal


@VERSIONS
def test_a_request_without_an_answer_goes_out_again_unchanged_then_is_given_up(
    version: int,
) -> None:
    sgw, who = node(t3_ns=2 * S, n3=3), terminal(version)
    first = sgw.attach(who, S)
    assert sgw.next_tick_ns() == 3 * S
    assert sgw.tick(3 * S - 1) == Step()
    assert sgw.tick(3 * S).datagrams == first.datagrams
    assert sgw.tick(5 * S).datagrams == first.datagrams
    over = sgw.tick(7 * S)
    assert (over.datagrams, kinds(over)) == ([], [EventKind.LOST])
    assert over.events[0].text == "timeout"
    assert who.state is State.LOST
    assert sgw.next_tick_ns() is None
    assert sgw.counters["sent again"] == 2
    assert sgw.counters["timeouts"] == 1


@VERSIONS
def test_an_answer_to_the_second_sending_counts_once(version: int) -> None:
    sgw, gateway, who = node(), ScriptedGateway(), terminal(version)
    first = sgw.attach(who, S)
    second = sgw.tick(10 * S)
    answer = gateway.answer(second.datagrams[0][0])
    assert second.datagrams == first.datagrams
    assert kinds(sgw.receive(answer, PEER, 10 * S)) == [EventKind.ATTACHED]
    late = sgw.receive(answer, PEER, 10 * S)
    assert late == Step()
    assert sgw.counters["late answers"] == 1
    assert who.state is State.ATTACHED


@VERSIONS
def test_sequence_numbers_run_and_wrap_and_pass_over_those_under_way(version: int) -> None:
    bits = {1: 16, 2: 24}[version]
    requests = Requests(bits, (1, 2))
    requests._next = (1 << bits) - 1
    assert [requests.number() for _ in range(3)] == [(1 << bits) - 1, 0, 1]
    sgw = node()
    who = [terminal(version, number) for number in range(1, 4)]
    asked = [sgw.attach(item, S).datagrams[0][0] for item in who]
    numbers = [scapy_of(octets).seq for octets in asked]
    sgw.requests[version]._next = numbers[0]
    more = sgw.attach(terminal(version, 9), S)
    assert scapy_of(more.datagrams[0][0]).seq == (numbers[0] + 3) % (1 << bits)


def test_a_node_with_too_many_requests_under_way_refuses_more() -> None:
    sgw = node(version=1)
    sgw.requests[1]._size = 4
    steps = [sgw.attach(terminal(1, number), S) for number in range(1, 5)]
    assert [len(step.datagrams) for step in steps] == [1, 1, 0, 0]
    assert kinds(steps[2]) == [EventKind.FAULT]
    assert kinds(sgw.echo(S, 1)) == [EventKind.FAULT]
    sgw.requests[0]._size = 2
    more = [sgw.echo_user((USER_ADDRESS, 2152), S) for _ in range(2)]
    assert [len(step.datagrams) for step in more] == [1, 0]


def test_the_same_seed_gives_the_same_octets_and_another_seed_others() -> None:
    def morning(seed: int) -> list[bytes]:
        sgw = Sgw("10.8.0.1", "10.8.0.2", gateway=PEER, seed=seed)
        asked = [sgw.attach(terminal(1 + number % 2, number), S) for number in range(1, 20)]
        return [octets for step in asked for octets, _ in step.datagrams]

    assert morning(1) == morning(1)
    assert not set(morning(1)) & set(morning(2))


@VERSIONS
def test_echoes_go_both_ways_with_the_restart_counter(version: int) -> None:
    sgw, gateway = node(), ScriptedGateway()
    step = sgw.receive(gateway.echo(version, 42), PEER, S)
    answer = scapy_of(step.datagrams[0][0])
    assert (answer.gtp_type, answer.seq, step.datagrams[0][1]) == (2, 42, PEER)
    recovery = element(answer, {1: 14, 2: 3}[version])
    assert recovery.restart_counter == 7
    ours = sgw.echo(S, version)
    assert kinds(talk(sgw, gateway, ours, S)) == [EventKind.ECHOED]
    assert sgw.restart_counters == {PEER[0]: 3}
    assert sgw.next_tick_ns() is None


def test_a_silent_path_is_reported_once() -> None:
    sgw = node(t3_ns=S, n3=1)
    sgw.echo(0)
    sgw.echo_user((USER_ADDRESS, 2152), 0)
    assert [(event.kind, event.text) for event in sgw.tick(S).events] == [
        (EventKind.PATH_LOST, "GTPv2-C to 10.9.0.1")
    ]
    assert [event.text for event in sgw.tick_user(S).events] == ["GTP-U to 10.9.0.2"]
    assert sgw.tick(9 * S) == sgw.tick_user(9 * S) == Step()


def test_echoes_of_the_user_path_are_answered_and_asked() -> None:
    """B12: without a sequence number there is nothing to answer with."""
    sgw, peer = node(), (USER_ADDRESS, 2152)
    assert sgw.path(echo_request(7), peer, S).datagrams == [(echo_response(7), peer)]
    silent = bytes([0x30]) + echo_request(7)[1:]
    assert (sgw.path(silent, peer, S).datagrams, sgw.counters["faults"]) == ([], 1)
    asked = sgw.echo_user(peer, S).datagrams[0][0]
    number = int.from_bytes(asked[8:10], "big")
    assert sgw.tick_user(S + 3 * S).datagrams == [(asked, peer)]
    assert kinds(sgw.path(echo_response(number), ("10.6.6.6", 2152), S)) == []
    assert kinds(sgw.path(echo_response(number), peer, S)) == [EventKind.ECHOED]
    assert kinds(sgw.path(echo_response(number), peer, S)) == []


@VERSIONS
def test_a_restarted_gateway_has_lost_all_sessions_but_those_being_made(version: int) -> None:
    sgw, gateway = node(), ScriptedGateway(restarts=255)
    who = [attached(sgw, gateway, terminal(version, number)) for number in range(1, 4)]
    elsewhere = terminal(version, 8)
    asked = sgw.attach(elsewhere, 2 * S)
    leaving = sgw.detach(who[2], 2 * S)
    gateway.restarts = 0  # wraps after 255
    gateway.sessions.clear()
    step = talk(sgw, gateway, sgw.echo(2 * S, version), 2 * S)
    assert [(event.kind, event.terminal) for event in step.events] == [
        (EventKind.RESTARTED, None),
        (EventKind.LOST, who[0]),
        (EventKind.LOST, who[1]),
        (EventKind.ECHOED, None),
    ]
    assert kinds(talk(sgw, gateway, asked, 2 * S)) == [EventKind.ATTACHED]
    assert kinds(talk(sgw, gateway, leaving, 2 * S)) == [EventKind.DETACHED]
    gateway.restarts = 200  # an old message that was under way for long
    assert kinds(talk(sgw, gateway, sgw.echo(3 * S, version), 3 * S)) == [EventKind.ECHOED]
    assert elsewhere.state is State.ATTACHED
    assert sgw.counters["late restart counters"] == 1


@VERSIONS
def test_a_gateway_that_speaks_the_other_version_only_says_so(version: int) -> None:
    sgw, who, other = node(), terminal(version), terminal(3 - version, 2)
    sgw.attach(who, S)
    sgw.attach(other, S)
    answer = stamp(Shape(3 - version, Kind.NOT_SUPPORTED), Fill(0))
    assert kinds(sgw.receive(answer, ("10.6.6.6", 2123), S)) == []
    step = sgw.receive(answer, PEER, S)
    assert [(event.kind, event.terminal) for event in step.events] == [(EventKind.REFUSED, who)]
    assert (who.state, who.cause) == (State.REFUSED, None)
    assert other.state is State.ATTACHING
    assert sgw.receive(answer, PEER, S) == Step()


@pytest.mark.parametrize(("version", "newest"), [(0, 2), (1, 1), (2, 2)])
def test_a_version_that_is_too_new_is_answered_with_the_newest_known(
    version: int, newest: int
) -> None:
    """B47"""
    sgw = node(version=version)
    newer = bytes([0x68 if newest == 2 else 0x48, 32, 0, 8, 0, 0, 0, 0, 1, 2, 3, 0])
    step = sgw.receive(newer, PEER, S)
    answer = scapy_of(step.datagrams[0][0])
    assert (answer.version, answer.gtp_type) == (newest, 3)
    assert answer.seq == (0x010203 if newest == 2 else 0x0203)
    assert kinds(step) == [EventKind.FAULT]
    again = sgw.receive(bytes([newer[0], 3]) + newer[2:], PEER, S)
    assert again.datagrams == []  # two nodes must not tell each other for ever
    older = sgw.receive(bytes([0x0E]) + newer[1:] + bytes(12), PEER, S)
    assert (older.datagrams, kinds(older)) == ([], [EventKind.FAULT])


@VERSIONS
def test_answers_from_elsewhere_or_of_another_kind_or_tunnel_are_faults(version: int) -> None:
    """B18, B46"""
    sgw, gateway, who = node(), ScriptedGateway(), terminal(version)
    good = gateway.answer(sgw.attach(who, S).datagrams[0][0])
    deleted = bytes([good[0], {1: 21, 2: 37}[version]]) + good[2:]
    foreign = good[:4] + b"\x12\x34\x56\x78" + good[8:]
    for octets, peer in ((good, ("10.6.6.6", 2123)), (deleted, PEER), (foreign, PEER)):
        step = sgw.receive(octets, peer, S)
        assert (kinds(step), who.state) == ([EventKind.FAULT], State.ATTACHING)
    assert kinds(sgw.receive(good, PEER, S)) == [EventKind.ATTACHED]


@VERSIONS
def test_a_deletion_from_elsewhere_or_of_another_bearer_ends_nothing(version: int) -> None:
    """B50"""
    sgw, gateway, who = node(), ScriptedGateway(), terminal(version)
    attached(sgw, gateway, who)
    good = gateway.delete(version, 5, who.gateway_control.teid)  # type: ignore[union-attr]
    at = good.index({1: b"\x14\x05", 2: b"\x49\x00\x01\x00\x05"}[version])
    end = at + {1: 2, 2: 5}[version]
    other = good[: end - 1] + b"\x06" + good[end:]
    assert sgw.receive(good, ("10.6.6.6", 2123), S).datagrams == []
    step = sgw.receive(other, PEER, S)
    assert (kinds(step), who.state) == ([EventKind.FAULT], State.ATTACHED)
    assert scapy_of(step.datagrams[0][0]).teid == 0


@VERSIONS
@pytest.mark.parametrize("wish", ["detach", "move"])
def test_what_the_table_does_not_have_changes_nothing_and_is_reported(
    version: int, wish: str
) -> None:
    sgw, who = node(), terminal(version)
    step = getattr(sgw, wish)(who, S)
    assert (step.datagrams, kinds(step)) == ([], [EventKind.FAULT])
    assert step.events[0].text == f"{wish} while idle"
    assert (who.state, sgw.counters["faults"]) == (State.IDLE, 1)


@VERSIONS
def test_garbage_on_either_port_is_a_fault_and_nothing_more(version: int) -> None:
    """B01, B02, B05-B07, B10, B50, B64"""
    sgw, gateway, who = node(), ScriptedGateway(), terminal(version)
    good = gateway.answer(sgw.attach(who, S).datagrams[0][0])
    for cut in range(len(good)):
        step = sgw.receive(good[:cut], PEER, S)
        assert (kinds(step), step.datagrams) == ([EventKind.FAULT], [])
    for octets in (b"", b"\x32\x01\0\0", bytes.fromhex("36ff003400000001000000ff00")):
        assert kinds(sgw.path(octets, PEER, S)) == [EventKind.FAULT]
    assert kinds(sgw.path(bytes.fromhex("301f000000000000"), PEER, S)) == [EventKind.FAULT]
    assert kinds(sgw.receive(good, PEER, S)) == [EventKind.ATTACHED]
    unknown = good[:1] + b"\xc8" + good[2:]
    assert kinds(sgw.receive(unknown, PEER, S)) == [EventKind.FAULT]


def test_an_unknown_tunnel_is_answered_but_not_teid_zero_nor_one_that_is_known() -> None:
    """B19"""
    sgw, peer = node(), (USER_ADDRESS, 2152)
    who = attached(sgw, ScriptedGateway(), terminal())
    assert sgw.unknown_here(0, peer) == sgw.unknown_here(who.teid_down, peer) == Step()
    octets = sgw.unknown_here(0x01020304, peer).datagrams[0][0]
    assert octets.hex() == "321a001000000000" + "00000000" + "1001020304" + "8500040a080002"


def test_kept_answers_are_bounded_and_numbers_are_the_same_for_a_seed() -> None:
    """B50"""
    answers = Answers(S)
    for number in range(ANSWERS_MAX + 1):
        answers.keep((PEER, 2, 99, number), b"x", 0)
    assert answers.find((PEER, 2, 99, 0), 0) is None
    assert answers.find((PEER, 2, 99, 1), 0) == b"x"
    assert answers.find((PEER, 2, 99, 1), S) is None
    first, second = Numbers(1 << 32, 4), Numbers(1 << 32, 4)
    assert [first.next() for _ in range(2_000)] == [second.next() for _ in range(2_000)]


def test_ten_thousand_terminals_have_ten_thousand_teids() -> None:
    sgw = node()
    who = [terminal(2, number) for number in range(1, 10_001)]
    for item in who:
        sgw.attach(item, S)
    assert len(sgw.by_control) == len(sgw.by_user) == 10_000
    assert 0 not in {*sgw.by_control, *sgw.by_user}


def test_a_terminal_has_the_rat_of_its_version_unless_told() -> None:
    """N4"""
    assert [terminal(version).rat for version in (1, 2)] == [1, 6]
    assert Terminal("440100000000001", rat=2, version=1).rat == 2
    with pytest.raises(UsageError):
        node(version=1).echo(S, 2)
