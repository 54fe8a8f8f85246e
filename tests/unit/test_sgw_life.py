"""The life of a terminal at an S-GW and at an SGSN, against a gateway that scapy reads and writes."""

import hashlib

import pytest

from engine.errors import UsageError
from gateway_sim.codec.path import end_marker, error_indication
from gateway_sim.signalling.control import NOT_FOUND
from gateway_sim.signalling.sgw import EventKind, Sgw
from gateway_sim.signalling.terminal import CHAP, IPV4V6, IPV6, UTRAN, Credentials
from gateway_sim.signalling.transitions import State
from tests.support.scripted_gateway import (
    ACCEPTED,
    ADDRESS,
    DNS,
    DNS6,
    PEER,
    USER_ADDRESS,
    ScriptedGateway,
    element,
    scapy_of,
)
from tests.support.sgw import VERSIONS, S, attached, kinds, node, talk, terminal


@VERSIONS
def test_an_attached_terminal_knows_what_the_gateway_gave_it(version: int) -> None:
    """N1, N2, N4"""
    sgw, gateway, who = node(), ScriptedGateway(), terminal(version)
    attached(sgw, gateway, who)
    assert who.state is State.ATTACHED
    assert (who.ipv4, who.ipv6) == ("10.1.0.1", None)
    assert who.dns == (*DNS, DNS6)
    assert who.gateway_control is not None
    assert who.gateway_control.address == ADDRESS
    assert (who.gateway_user.address, who.teid_up) == (USER_ADDRESS, 0x0A000101)  # type: ignore[union-attr]
    assert (who.cause, who.authenticated) == (ACCEPTED[version], True)
    assert who.charging_id == 0x0A000100
    assert who.attached_ns == S + 1
    assert sgw.by_user[who.teid_down] is who
    assert sgw.next_tick_ns() is None


@VERSIONS
def test_terminals_with_ipv6_get_a_prefix(version: int) -> None:
    """N2, O1"""
    for pdn_type, ipv4 in ((IPV6, None), (IPV4V6, "10.1.0.1")):
        who = attached(node(), ScriptedGateway(), terminal(version, pdn_type=pdn_type))
        assert (who.ipv4, who.ipv6) == (ipv4, "2001:db8:0:7::/64")


@VERSIONS
@pytest.mark.parametrize("without", ["control", "user", "address", "cause"])
def test_an_acceptance_that_lacks_something_is_a_fault_and_a_refusal(
    version: int, without: str
) -> None:
    missing = {"control": (17, 87), "user": (16, 93), "address": (128, 79), "cause": (1, 2)}
    sgw, gateway, who = node(), ScriptedGateway(), terminal(version)
    gateway.without = {missing[without][version - 1]}
    step = talk(sgw, gateway, sgw.attach(who, S), S)
    wanted = {
        "control": "without a control TEID",
        "user": "without a user TEID",
        "address": "without an IPv4 address",
        "cause": "without a cause",
    }
    assert kinds(step) == [EventKind.FAULT, EventKind.REFUSED]
    assert wanted[without] in step.events[0].text
    assert who.state is State.REFUSED
    assert sgw.by_control == {}
    assert sgw.by_user == {}


@VERSIONS
def test_a_refused_terminal_keeps_the_cause_and_may_try_again(version: int) -> None:
    """N1"""
    sgw, gateway, who = node(), ScriptedGateway(), terminal(version)
    gateway.cause = {1: 209, 2: 92}[version]
    step = talk(sgw, gateway, sgw.attach(who, S), S)
    assert kinds(step) == [EventKind.REFUSED]
    assert who.state is State.REFUSED
    assert who.cause == step.events[0].cause == gateway.cause
    assert who.control is None
    gateway.cause = None
    attached(sgw, gateway, who)


@VERSIONS
def test_detaching_forgets_the_session_on_both_sides(version: int) -> None:
    sgw, gateway, who = node(), ScriptedGateway(), terminal(version)
    attached(sgw, gateway, who)
    step = talk(sgw, gateway, sgw.detach(who, 2 * S), 2 * S)
    assert kinds(step) == [EventKind.DETACHED]
    assert who.state is State.IDLE
    assert (who.ipv4, who.teid_up, who.teid_down, who.dns) == (None, 0, 0, ())
    assert gateway.sessions == {}
    assert (sgw.by_control, sgw.by_user, sgw.by_gateway, sgw.waiting) == ({}, {}, {}, {})


@VERSIONS
def test_a_deletion_that_the_gateway_cannot_find_ends_the_session_too(version: int) -> None:
    sgw, gateway, who = node(), ScriptedGateway(), terminal(version)
    attached(sgw, gateway, who)
    gateway.sessions.clear()
    request = sgw.detach(who, 2 * S).datagrams[0][0]
    answer = gateway.answer(request)
    assert kinds(sgw.receive(answer, PEER, 2 * S)) == [EventKind.DETACHED]
    assert who.cause == NOT_FOUND[version][0]


@VERSIONS
def test_moving_changes_the_teids_of_this_side_and_nothing_else(version: int) -> None:
    sgw, gateway, who = node(), ScriptedGateway(), terminal(version)
    attached(sgw, gateway, who)
    before = (who.control, who.user, who.gateway_user, who.ipv4)
    request = sgw.move(who, 2 * S, rat=UTRAN)
    assert (who.control, who.user) == before[:2]  # until the gateway has agreed
    step = talk(sgw, gateway, request, 2 * S)
    assert kinds(step) == [EventKind.MODIFIED]
    assert who.state is State.ATTACHED
    assert who.control != before[0]
    assert who.user != before[1]
    assert (who.gateway_user, who.ipv4, who.rat) == (before[2], before[3], UTRAN)
    assert set(sgw.by_control) == {who.control.teid}  # type: ignore[union-attr]
    assert set(sgw.by_user) == {who.teid_down}
    if version == 2:
        assert element(scapy_of(request.datagrams[0][0]), 82).RAT_type == UTRAN


@VERSIONS
def test_a_refused_move_keeps_the_old_path(version: int) -> None:
    sgw, gateway, who = node(), ScriptedGateway(), terminal(version)
    attached(sgw, gateway, who)
    before = (who.control, who.user, who.rat)
    gateway.cause = {1: 204, 2: 72}[version]
    step = talk(sgw, gateway, sgw.move(who, 2 * S, rat=2), 2 * S)
    assert kinds(step) == [EventKind.MODIFY_REFUSED]
    assert (who.state, who.cause) == (State.ATTACHED, gateway.cause)
    assert (who.control, who.user, who.rat) == before
    assert set(sgw.by_user) == {who.teid_down}


@VERSIONS
def test_a_terminal_moves_to_another_node(version: int) -> None:
    old, gateway, who = node(), ScriptedGateway(), terminal(version)
    attached(old, gateway, who)
    new = Sgw("10.8.1.1", "10.8.1.2", gateway=PEER, seed=6)
    step = talk(new, gateway, new.move(who, 2 * S, origin=old), 2 * S)
    assert kinds(step) == [EventKind.MODIFIED]
    assert (old.by_control, old.by_user, old.by_gateway) == ({}, {}, {})
    assert who.user is not None
    assert who.user.address == "10.8.1.2"
    assert kinds(talk(new, gateway, new.detach(who, 3 * S), 3 * S)) == [EventKind.DETACHED]
    assert gateway.sessions == {}


@VERSIONS
def test_a_terminal_that_was_switched_off_attaches_anew(version: int) -> None:
    """N6"""
    sgw, gateway, who = node(), ScriptedGateway(), terminal(version)
    attached(sgw, gateway, who)
    old = who.user
    attached(sgw, gateway, who, 2 * S)
    assert who.user != old
    assert set(sgw.by_user) == {who.teid_down}
    assert who.ipv4 == "10.1.0.2"


@VERSIONS
def test_the_gateway_ends_a_session_and_asking_again_changes_nothing(version: int) -> None:
    """L1"""
    sgw, gateway, who = node(), ScriptedGateway(), terminal(version)
    attached(sgw, gateway, who)
    request = gateway.delete(version, 99, who.gateway_control.teid)  # type: ignore[union-attr]
    teid = who.gateway_control.teid  # type: ignore[union-attr]
    first = sgw.receive(request, PEER, 2 * S)
    assert kinds(first) == [EventKind.CUT]
    assert who.state is State.IDLE
    assert who.cause == (8 if version == 2 else None)
    again = sgw.receive(request, PEER, 3 * S)
    assert again.datagrams == first.datagrams
    assert again.events == []
    answer = scapy_of(first.datagrams[0][0])
    assert (answer.seq, answer.teid) == (99, teid)
    cause = element(answer, version)
    assert (cause.Cause if version == 2 else cause.CauseValue) == ACCEPTED[version]
    much_later = sgw.receive(request, PEER, 3_600 * S)
    assert kinds(much_later) == [EventKind.FAULT]
    assert scapy_of(much_later.datagrams[0][0]).teid == 0


@VERSIONS
def test_both_sides_delete_at_once(version: int) -> None:
    sgw, gateway, who = node(), ScriptedGateway(), terminal(version)
    attached(sgw, gateway, who)
    mine = sgw.detach(who, 2 * S)
    theirs = gateway.delete(version, 99, who.gateway_control.teid)  # type: ignore[union-attr]
    collision = sgw.receive(theirs, PEER, 2 * S)
    assert (kinds(collision), who.state) == ([], State.DETACHING)
    assert len(collision.datagrams) == 1
    answer = bytearray(gateway.answer(mine.datagrams[0][0]))
    assert kinds(sgw.receive(bytes(answer), PEER, 2 * S)) == [EventKind.DETACHED]


@VERSIONS
def test_an_error_indication_of_the_sessions_own_gateway_ends_it(version: int) -> None:
    """B21"""
    sgw, gateway, who = node(), ScriptedGateway(), terminal(version)
    attached(sgw, gateway, who)
    octets = error_indication(who.teid_up, USER_ADDRESS)
    wrong = sgw.path(octets, ("10.9.0.66", 2152), 2 * S)
    assert (kinds(wrong), who.state) == ([EventKind.FAULT], State.ATTACHED)
    assert kinds(sgw.path(octets, (USER_ADDRESS, 2152), 2 * S)) == [EventKind.LOST]
    assert who.state is State.LOST
    attached(sgw, gateway, who, 3 * S)


def test_an_end_marker_is_reported_with_its_terminal() -> None:
    sgw = node()
    who = attached(sgw, ScriptedGateway(), terminal())
    step = sgw.path(end_marker(who.teid_down), (USER_ADDRESS, 2152), 2 * S)
    assert (kinds(step), step.events[0].terminal) == ([EventKind.END_MARKER], who)


def test_chap_proves_the_password_without_telling_it() -> None:
    """N1"""
    gateway = ScriptedGateway()
    who = terminal(credentials=Credentials(CHAP, "mio@iij", "not-to-be-told"))
    attached(node(), gateway, who)
    asked = element(gateway.asked[0], 78).Protocols
    challenge, response = (item.PPP for item in asked if item.type == 0xC223)
    proof = hashlib.md5(
        bytes([challenge.Identifier]) + b"not-to-be-told" + challenge.value
    ).digest()
    assert (response.value, response.getfieldval("name")) == (proof, b"mio@iij")
    assert b"not-to-be-told" not in bytes(gateway.asked[0])


def test_a_node_of_one_version_takes_no_terminal_of_the_other() -> None:
    with pytest.raises(UsageError, match="speaks version 2"):
        node(version=2).attach(terminal(1), S)
