"""What has a later departure waits for it, and comes out whole, in order, and not before."""

import struct
from dataclasses import replace
from itertools import pairwise

import pytest

from engine.live_layout import PLANE_FREE_LARGE, PLANE_FREE_SMALL
from tests.support.gateway import MS, SLOW, T0, S, settings
from tests.support.plane import (
    SERVER,
    TEID_DOWN,
    World,
    g_pdu,
    header,
    inner,
    session,
    world,
)

QUEUE = settings(slow=replace(SLOW, queue_bytes=60_000, queue_ms=60_000))
"""the slow state of tests.support.gateway, a byte a millisecond after 1 000 bytes, and a long queue"""
SIZE = 500


def numbered(count: int, size: int = SIZE, number: int = 1) -> list[bytes]:
    """Packets up from a SIM, which can be told apart."""
    return [
        inner(struct.pack("!I", n) + bytes(size - 32), src=f"10.1.0.{number}") for n in range(count)
    ]


def test_packets_leave_at_their_departures_and_not_before() -> None:
    """P4, P5: 1 000 bytes at once, then a packet of 500 bytes every 500 ms"""
    with world(made=QUEUE) as w:
        w.attach()
        sent = numbered(5)
        w.up(*map(g_pdu, sent))
        assert w.out_up == sent[:2]
        assert w.plane.next_ns == T0 + 500 * MS
        w.turn(after_ns=500 * MS - 1)
        assert w.out_up == []
        w.turn(after_ns=1)
        assert w.out_up == sent[2:3]
        w.turn(after_ns=S)
        assert w.out_up == sent[3:]
        assert len(w.plane.hold) == 0


def test_the_greatest_lateness_and_the_most_that_waited_are_known() -> None:
    """A figure: how late a packet left after its departure"""
    with world(made=QUEUE) as w:
        w.attach()
        w.up(*map(g_pdu, numbered(4)))
        w.turn(after_ns=500 * MS + 7)
        w.turn(after_ns=500 * MS)
        hold = w.figures["hold"]
        assert (hold["packets_max"], hold["late_max_ns"]) == (2, 7)


def test_downlink_packets_wait_too_and_get_their_header_when_they_leave() -> None:
    """P4 per direction"""
    with world(made=QUEUE) as w:
        w.attach()
        sent = [inner(bytes([n]) * 472, src=SERVER, dst="10.1.0.1") for n in range(4)]
        w.down(*sent)
        assert w.out_down == [header(data, TEID_DOWN) + data for data in sent[:2]]
        w.turn(after_ns=2 * S)
        assert w.out_down == [header(data, TEID_DOWN) + data for data in sent[2:]]


def test_what_has_waited_goes_before_what_has_just_come() -> None:
    """Order within SIM and direction, when both are due in one turn"""
    with world(made=QUEUE) as w:
        w.attach()
        sent = numbered(6)
        w.up(*map(g_pdu, sent[:4]))
        assert w.out_up == sent[:2]
        w.up(*map(g_pdu, sent[4:]), after_ns=1500 * MS)
        assert w.out_up == sent[2:5]
        w.turn(after_ns=S)
        assert w.out_up == sent[5:]


def test_a_handover_takes_what_waits_along() -> None:
    """Packets that wait are sent to where the session is when they leave"""
    with world(made=QUEUE) as w:
        made = w.attach()
        sent = [inner(bytes([n]) * 472, src=SERVER, dst="10.1.0.1") for n in range(3)]
        w.down(*sent)
        made.teid_down = 0x77
        w.plane.move(made)
        assert len(w.out_down) == 3, "two packets and an End Marker"
        w.turn(after_ns=S)
        assert w.out_down == [header(sent[2], 0x77) + sent[2]]


@pytest.mark.parametrize("again", [False, True])
def test_what_waits_for_a_session_that_ends_is_not_sent_but_counted(again: bool) -> None:
    """L1: cut at once; also where the bearer's row is another session's by then"""
    with world(made=QUEUE) as w:
        made = w.attach()
        w.up(*map(g_pdu, numbered(5)))
        assert len(w.out_up) == 2
        w.plane.close(made)
        if again:
            w.plane.open(session(2))
        w.turn(after_ns=10 * S)
        assert w.out_up == []
        hold = w.figures["hold"]
        assert (hold["closed_packets"], hold["closed_bytes"]) == (3, 3 * SIZE)
        assert int(w.plane.bearers.rows["held"].sum()) == 0


def free(w: World) -> tuple[int, int]:
    """Free slots, small and large."""
    return int(w.plane.words[PLANE_FREE_SMALL]), int(w.plane.words[PLANE_FREE_LARGE])


def test_slots_are_given_back_and_used_again() -> None:
    """Bounded memory: as many slots as at the start, of both sizes"""
    with world(made=QUEUE) as w:
        w.attach()
        before = free(w)
        for _ in range(5):
            sent = [*numbered(4), *numbered(1, size=4000)]
            w.up(*map(g_pdu, sent))
            assert free(w) < before
            w.turn(after_ns=20 * S)
            assert w.out_up == sent
            assert free(w) == before


def test_while_room_is_short_only_sims_that_have_packets_waiting_are_refused() -> None:
    """Nothing is charged that could not be kept, and a SIM within its rate is served as ever"""
    with world(made=QUEUE, hold_packets=256) as w:
        greedy, modest = w.attach(1), w.attach(2)
        for _ in range(10):
            w.up(*(g_pdu(inner(bytes(40))) for _ in range(30)))
        assert w.refused()["hold"] > 0
        data = inner(b"modest", src="10.1.0.2")
        w.up(*(g_pdu(inner(bytes(40))) for _ in range(30)), g_pdu(data, modest.teid_up))
        assert data in w.out_up
        assert w.engine.line_report(greedy.line)["up"]["dropped_packets"] == w.refused()["hold"]
        assert w.figures["hold"]["no_room_packets"] == 0


def test_what_finds_no_slot_at_all_is_lost_and_counted() -> None:
    """A burst of many SIMs at once that none of the slots is left for"""
    with world(made=QUEUE, hold_packets=256) as w:
        w.attach()
        w.up(*map(g_pdu, numbered(6, size=4000)))
        assert len(w.plane.hold) == 1, "one large slot"
        hold = w.figures["hold"]
        assert (hold["no_room_packets"], hold["no_room_bytes"]) == (5, 20_000)
        w.turn(after_ns=100 * S)
        assert len(w.out_up) == 1


def test_more_than_a_turn_lets_out_follows_in_the_next_and_nothing_overtakes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The lists are bounded; what comes meanwhile queues up behind"""
    monkeypatch.setattr("engine.gateway.plane.RELEASED_MAX", 3)
    with world(made=QUEUE) as w:
        w.attach()
        sent = numbered(12)
        w.up(*map(g_pdu, sent[:8]))
        assert w.out_up == sent[:2]
        w.up(*map(g_pdu, sent[8:]), after_ns=60 * S)
        assert w.out_up == sent[2:5]
        assert w.plane.next_ns == 0, "there is more to do at once"
        w.turn()
        assert w.out_up == sent[5:8]
        w.turn()
        assert w.out_up == sent[8:10]
        w.turn(after_ns=S)
        assert w.out_up == sent[10:]


def test_many_sims_leave_in_the_order_of_their_departures() -> None:
    """One heap for all: what is due first leaves first, whoever's it is"""
    with world(made=QUEUE) as w:
        for number in range(1, 7):
            w.attach(number)
        for number in range(1, 7):  # later SIMs begin later
            made = numbered(5, 500 + 20 * number, number)
            w.up(*(g_pdu(data, 0x0A0B0C0D + number - 1) for data in made), after_ns=MS)
        w.out_up  # noqa: B018 (what left at once)
        left = []
        while len(w.plane.hold):
            w.turn(after_ns=w.plane.next_ns - w.date.now_ns())
            left += [(w.date.now_ns(), data) for data in w.out_up]
        assert len(left) == 6 * 4
        assert all(a[0] <= b[0] for a, b in pairwise(left))
        for number in range(1, 7):
            mine = [data[28:32] for _, data in left if data[15] == number]
            assert mine == [struct.pack("!I", n) for n in range(1, 5)]


def test_at_the_end_all_that_waits_is_counted() -> None:
    """Nothing is lost silently"""
    with world(made=QUEUE) as w:
        made = w.attach()
        w.up(*map(g_pdu, numbered(9)))
        w.plane.close(made)
        w.plane.give_up_waiting()
        assert len(w.plane.hold) == 0
        assert w.figures["hold"]["closed_packets"] == 7
