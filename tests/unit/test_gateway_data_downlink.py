"""From the SGi side to the peer: whose packet it is, and the header in front of it."""

import struct

import pytest

from tests.support import packets
from tests.support.gateway import T0
from tests.support.plane import (
    PEER_2,
    SERVER,
    TEID_DOWN,
    UE,
    g_pdu,
    header,
    inner,
    listen,
    world,
)

GOOD = inner(b"an answer", src=SERVER, dst=UE)


def test_a_packet_goes_to_its_bearers_peer_with_eight_bytes_in_front() -> None:
    """3GPP TS 29.281 5.1: version 1, no options; DSCP, TTL and all else of the packet untouched"""
    with world() as w:
        w.attach()
        w.down(GOOD)
        assert w.out_down == [header(GOOD, TEID_DOWN) + GOOD]
        assert w.figures["down"] == {"packets": 1, "inner_bytes": len(GOOD), "lost": {}}


def test_packets_find_the_session_that_has_their_destination() -> None:
    """N2, N6: by IPv4 address or by IPv6 /64"""
    with world() as w:
        w.attach(1, ipv6="2001:db8:0:1::/64")
        w.attach(2)
        first = inner(b"1", src=SERVER, dst="10.1.0.1")
        second = inner(b"2", src=SERVER, dst="10.1.0.2")
        six = packets.ipv6(packets.udp(b"6"), src=packets.SERVER6, dst="2001:db8:0:1:dead::1")
        w.down(first, second, six)
        teids = [struct.unpack("!I", data[4:8])[0] - TEID_DOWN for data in w.out_down]
        assert teids == [0, 1, 0]


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (inner(src=SERVER, dst="10.1.0.77"), "teid"),
        (packets.ipv6(packets.udp(b"x"), dst="2001:db8::9"), "teid"),
        (b"", "short"),
        (b"\x45" + bytes(10), "short"),
        (b"\x00" * 40, "ipver"),
    ],
    ids=["nobody's IPv4", "nobody's IPv6", "empty", "cut", "no IP"],
)
def test_what_is_nobodys_is_counted_and_never_reaches_the_engine(data: bytes, reason: str) -> None:
    """N7, B28"""
    with world() as w:
        w.attach()
        w.down(data)
        assert w.dropped("drops_down") == {reason: 1}
        assert w.engine.totals()["packets"] == 0


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (packets.ipv4(packets.udp(), src=SERVER, dst=UE, total=60), "len"),
        (packets.ipv4(packets.udp(), src=SERVER, dst=UE, total=0), "len"),
        (packets.ipv4(packets.udp(), src=SERVER, dst=UE, ihl=15), "ihl"),
        (inner(src="127.0.0.1", dst=UE), "spoof"),
        (inner(src="224.0.0.5", dst=UE), "spoof"),
    ],
)
def test_a_bad_packet_for_a_sim_is_dropped_uncharged_and_counted_to_it(
    data: bytes, reason: str
) -> None:
    """N7, B26, B27"""
    with world() as w:
        made = w.attach()
        w.down(data)
        assert w.refused() == {reason: 1}
        assert w.engine.line_report(made.line)["down"]["dropped_packets"] == 1
        assert w.out_down == []


def test_after_a_handover_packets_go_to_the_new_peer_and_the_old_one_is_told() -> None:
    """TS 29.281 7.3.2: End Marker in the old tunnel; nothing more follows there"""
    with world() as w, listen(PEER_2, w.plane.bearers.peer_port) as other:
        made = w.attach()
        made.peer_user, made.teid_down = PEER_2, 0x55
        w.engine.bind_bearer(made.line, teid_down=0x55, peer=PEER_2)
        w.plane.move(made)
        w.down(GOOD)
        assert w.out_down == [struct.pack("!BBHI", 0x30, 254, 0, TEID_DOWN)]
        assert other.recv(2000) == header(GOOD, 0x55) + GOOD


def test_a_modify_that_changes_nothing_on_the_user_plane_says_nothing() -> None:
    """TS 29.274 7.2.7: a change of RAT alone"""
    with world() as w:
        made = w.attach()
        w.plane.move(made)
        assert w.out_down == []


def test_the_peer_is_told_of_the_end_where_that_is_asked_for() -> None:
    """TS 29.281 7.3.2"""
    with world() as w:
        made = w.attach()
        w.plane.close(made, end_marker=True)
        assert w.out_down == [struct.pack("!BBHI", 0x30, 254, 0, TEID_DOWN)]


def test_each_leg_of_a_packet_between_two_sims_is_its_sims_own() -> None:
    """B23: the network side routes it back; each SIM is charged its leg, once"""
    with world() as w:
        one, two = w.attach(1), w.attach(2)
        data = inner(b"hello", src="10.1.0.1", dst="10.1.0.2")
        w.up(g_pdu(data))
        w.down(*w.out_up)
        assert [out[8:] for out in w.out_down] == [data]
        assert w.engine.line_report(one.line)["up"]["packets"] == 1
        assert w.engine.line_report(two.line)["down"]["packets"] == 1
        assert w.engine.totals()["packets"] == 2


@pytest.mark.parametrize("offload", [True, False])
def test_many_packets_of_many_sims_come_whole_and_in_order(offload: bool) -> None:
    """Runs of one size to one peer go as one message, but each G-PDU has its own TEID"""
    with world(offload=offload) as w:
        for number in range(1, 6):
            w.attach(number)
        sent = [
            inner(bytes([n]) * (40 if n % 50 else 90), src=SERVER, dst=f"10.1.0.{n % 5 + 1}")
            for n in range(150)
        ]
        w.down(*sent)
        expected = [header(data, TEID_DOWN + n % 5) + data for n, data in enumerate(sent)]
        assert w.out_down == expected


def test_an_ipv6_peer_is_spoken_to_over_ipv6() -> None:
    """Outer IPv6: the address of a peer is one of the family that the gateway has"""
    with world(own="::1") as w:
        made = w.attach(peer_user="::1")
        w.up(g_pdu(inner(b"up")))
        assert w.refused() == {}
        assert w.out_up == [inner(b"up")]
        w.down(GOOD)
        assert w.out_down == [header(GOOD, TEID_DOWN) + GOOD]
        assert w.plane.last_active_ns(made) == T0
