"""GTP-U between nodes: echoes, error indications, notifications, and how many of them there may be."""

import struct

import pytest

from engine.gateway import paths
from engine.gateway.paths import Budget, Paths, body_of, elements, end_marker, message
from engine.units import NS_PER_S
from tests.support import packets
from tests.support.gateway import T0
from tests.support.plane import OWN, PEER, PEER_2, TEID_DOWN, g_pdu, inner, listen, world

ECHO = struct.pack("!BBHIHBB", 0x32, 1, 4, 0, 0xBEEF, 0, 0)
ECHOED = struct.pack("!BBHIHBBBB", 0x32, 2, 6, 0, 0xBEEF, 0, 0, 14, 0)


def indication(teid: int, address: bytes = b"\x7f\0\0\2") -> bytes:
    """An Error Indication as a peer sends it (TS 29.281 7.3.1)."""
    body = struct.pack("!BI", 16, teid) + struct.pack("!BH", 133, len(address)) + address
    return packets.gtp(body, teid=0, kind=26, flags=0x32, optional=bytes(4))


def test_an_echo_is_answered_with_its_sequence_number_to_where_it_came_from() -> None:
    """TS 29.281 7.2.2: Recovery is there, and 0"""
    with world() as w:
        w.up(ECHO)
        assert w.out_down == [ECHOED]
        assert w.figures["messages"] == {"echo-request": 1}
        with listen(PEER_2) as other:
            w.up(ECHO, sender=other)
            assert other.recv(100) == ECHOED


def test_an_unknown_teid_gets_an_error_indication_that_names_it() -> None:
    """B19, TS 29.281 7.3.1: TEID Data I and the address that the packet was sent to"""
    with world() as w:
        w.up(g_pdu(inner(), 0xDEADBEEF))
        (answer,) = w.out_down
        assert answer[:8] == struct.pack("!BBHI", 0x32, 26, 16, 0)
        assert elements(answer[12:]) == {16: b"\xde\xad\xbe\xef", 133: b"\x7f\0\0\1"}


def test_teid_0_gets_no_error_indication() -> None:
    """B19"""
    with world() as w:
        w.up(g_pdu(inner(), 0))
        assert w.out_down == []


def test_error_indications_are_few_however_many_teids_are_guessed() -> None:
    """B20: a flood is not reflected; with the next second there may be more"""
    with world() as w:
        for _ in range(4):
            w.up(*(g_pdu(inner(), 1000 + k) for k in range(40)))
        assert len(w.out_down) == paths.COMPLAINTS_PER_S_AND_PEER
        w.up(g_pdu(inner(), 77), after_ns=NS_PER_S)
        assert len(w.out_down) == 1


def test_once_the_budget_of_all_peers_is_spent_nothing_more_is_looked_at() -> None:
    """B20: bounded work"""
    with world() as w:
        w.plane.paths.complaints = Budget(1, 1)
        w.up(*(g_pdu(inner(), 1000 + k) for k in range(20)))
        assert len(w.out_down) == 1
        assert w.plane.paths.complaints.over == 0


def test_an_error_indication_ends_the_session_of_that_tunnel() -> None:
    """TS 29.281 7.3.1: of the bearer whose G-PDUs go to that TEID at that peer"""
    told: list[tuple[int, str, int]] = []
    with world() as w:
        w.plane.on_error = lambda *what: told.append(what)
        w.attach()
        w.up(indication(TEID_DOWN))
        assert told == [(TEID_DOWN, PEER, T0)]
        assert w.figures["paths"] == {"error-indication-believed": 1}


@pytest.mark.parametrize(
    "data",
    [
        indication(TEID_DOWN + 9),
        indication(TEID_DOWN)[:-9],
        packets.gtp(b"\x10\x01", teid=0, kind=26, flags=0x32, optional=bytes(4)),
        packets.gtp(b"", teid=0, kind=26, flags=0x32, optional=bytes(4)),
        packets.gtp(b"\x63abcdef", teid=0, kind=26, flags=0x32, optional=bytes(4)),
    ],
    ids=["another TEID", "cut", "IE cut", "no IE", "an IE of no known length"],
)
def test_other_error_indications_change_nothing(data: bytes) -> None:
    """B21, B44: none of them ends a session"""
    with world() as w:
        made = w.attach()
        w.up(data)
        assert made.bearer >= 0
        assert w.figures["paths"].get("error-indication-believed", 0) == 0


def test_an_error_indication_from_the_wrong_peer_is_ignored() -> None:
    """B21"""
    with world() as w, listen(PEER_2) as other:
        w.attach()
        w.up(indication(TEID_DOWN), sender=other)
        assert w.figures["paths"] == {"error-indication-ignored": 1}


def test_without_a_control_plane_an_error_indication_is_only_counted() -> None:
    """Data plane alone"""
    with world() as w:
        w.attach()
        w.up(indication(TEID_DOWN))
        assert w.figures["paths"] == {"error-indication-believed": 1}


def test_end_markers_and_unknown_messages_are_counted_and_ignored() -> None:
    """B22: whatever they carry; RFC-less types too"""
    with world() as w:
        w.attach()
        w.up(
            packets.gtp(inner(), kind=254, teid=TEID_DOWN),
            packets.gtp(b"", kind=31, teid=0),
            packets.gtp(b"x", kind=99, teid=0),
        )
        figures = w.figures
        assert figures["messages"] == {
            "supported-extension-headers-notification": 1,
            "99": 1,
            "end-marker": 1,
        }
        assert figures["paths"] == {"unknown-message": 1}
        assert (w.out_up, w.out_down) == ([], [])


def test_an_extension_that_must_be_understood_is_answered_with_those_that_are() -> None:
    """B14, TS 29.281 7.2.3"""
    with world() as w:
        w.attach()
        optional = bytes([0, 0, 0, 0xC3, 1, 0, 0, 0])
        w.up(packets.gtp(inner(), teid=TEID_DOWN, flags=0x34, optional=optional))
        assert w.dropped() == {"ext_required": 1}
        assert w.out_down == [
            struct.pack("!BBHIHBB4B", 0x32, 31, 8, 0, 1, 0, 0, 141, 2, 0x85, 0xC0)
        ]
        w.plane.paths.complaints = Budget(0, 0)
        w.up(packets.gtp(inner(), teid=TEID_DOWN, flags=0x34, optional=optional))
        assert w.out_down == []


def test_more_messages_than_a_turn_looks_at_get_no_answer_but_are_counted() -> None:
    """Bounded work a turn"""
    with world() as w:
        w.up(*[ECHO] * 100)
        assert len(w.out_down) == 64
        assert w.figures["unanswered_messages"] == 36


def test_echoes_beyond_what_a_peer_may_ask_for_get_no_answer() -> None:
    """A flood of Echo Requests costs bounded work"""
    asked = Paths(OWN, 2152, lambda teid, peer: False)
    answers = [asked.receive(ECHO, (PEER, 2152), T0) for _ in range(200)]
    assert sum(map(len, answers)) == paths.ANSWERS_PER_S_AND_PEER
    assert asked.answers.over == 100


def test_a_budget_has_a_bound_for_all_and_one_for_each_and_begins_anew_each_second() -> None:
    budget = Budget(5, 2)
    assert [budget.spend(peer, T0) for peer in "aaabbbcc"] == [1, 1, 0, 1, 1, 0, 1, 0]
    assert budget.over == 3
    assert not budget.left(T0)
    assert budget.spend("a", T0 + NS_PER_S)


def test_peers_beyond_those_that_are_counted_share_one_count() -> None:
    """Bounded memory: a flood from many forged addresses"""
    budget = Budget(10_000, 3)
    spent = [budget.spend(f"peer {n}", T0) for n in range(1_000)]
    assert sum(spent) == paths.PEERS_MAX + 3


def test_a_message_that_cannot_be_sent_is_counted() -> None:
    """Nothing that a network does makes the gateway raise"""
    with world() as w:
        w.plane.say((b"x", ("2001:db8::1", 9)))
        assert w.figures["paths"] == {"not-sent": 1}


def test_bodies_behind_options_and_extensions_are_found() -> None:
    """TS 29.281 5.2"""
    body = bytes([14, 0])
    chain = bytes([0, 0, 0, 0x85]) + b"\x01\0\0\0"
    assert body_of(message(2, body)) == body
    assert body_of(message(2, body, sequence=3)) == body
    assert body_of(packets.gtp(body, kind=2, flags=0x34, optional=chain)) == body
    for broken in (
        b"\0\0\0\x85",
        b"\0\0\0\x85\0\0\0\0",
        b"\0\0\0\x85\x09\0\0\0",
        b"\0\0\0\x85" + b"\x01\0\0\x85" * 9,
    ):
        assert body_of(packets.gtp(b"", kind=2, flags=0x34, optional=broken)) == b""


def test_the_first_of_an_element_counts_and_a_cut_one_ends_the_list() -> None:
    """B44, B50: lengths past the end"""
    assert elements(bytes([14, 1, 14, 2])) == {14: b"\1"}
    assert elements(bytes([14, 1, 133, 0xFF, 0xFF, 1])) == {14: b"\1"}
    assert elements(bytes([133])) == {}


def test_an_end_marker_is_eight_bytes() -> None:
    """TS 29.281 7.3.2"""
    assert end_marker(0x01020304) == bytes.fromhex("30fe000001020304")
