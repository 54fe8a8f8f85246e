"""From the GTP-U port to the SGi side: what gets through, and why the rest does not."""

import struct

import pytest

from tests.support import packets
from tests.support.gateway import T0
from tests.support.plane import (
    OWN,
    PEER,
    PEER_2,
    World,
    g_pdu,
    inner,
    listen,
    world,
)

GOOD = inner(b"some words")
ROUTING_0 = packets.ipv6(bytes([17, 0, 0, 0, 0, 0, 0, 0]) + packets.udp(), following=43)
"""IPv6 with a routing header of type 0"""


def with_options(flags: int, *, sequence: int = 0, n_pdu: int = 0, following: int = 0) -> bytes:
    """A G-PDU around GOOD with the four optional bytes."""
    return g_pdu(GOOD, flags=flags, optional=struct.pack("!HBB", sequence, n_pdu, following))


def extended(*headers: bytes, following: int = 0x85) -> bytes:
    """A G-PDU around GOOD with these extension headers, each as it stands on the wire."""
    optional = bytes([0, 0, 0, following]) + b"".join(headers)
    return g_pdu(GOOD, flags=0x34, optional=optional)


DROPPED_HERE = [
    ("B01 nothing", b"", "short"),
    ("one byte", b"\x30", "short"),
    ("B02 seven bytes", g_pdu(b"")[:7], "short"),
    ("B03 version 0", b"\x10" + g_pdu(GOOD)[1:], "version"),
    ("B03 version 2", b"\x48" + g_pdu(GOOD)[1:], "version"),
    ("B04 GTP'", b"\x20" + g_pdu(GOOD)[1:], "proto"),
    ("B05 extension of length 0", bytes.fromhex("36ff003400000001000000ff00") + bytes(48), "ext_len"),
    ("B06 extension past the end", bytes.fromhex("36ff000400000001000000ff"), "short"),
    ("B07 300 extensions", extended(*[b"\x01\x00\x00\x85"] * 299, b"\x01\x00\x00\x00"), "ext_count"),
    ("B08 extension longer than the message", extended(b"\xff" + bytes(50)), "ext_len"),
    ("B09 no payload", g_pdu(b""), "empty"),
    ("B10 more claimed than there is", g_pdu(GOOD, length=len(GOOD) + 1), "len"),
    ("B14 extension to be understood", extended(b"\x01\x00\x00\x00", following=0xC3), "ext_required"),
    ("B19 TEID 0", g_pdu(GOOD, 0), "teid"),
    ("B19 TEID 0xffffffff", g_pdu(GOOD, 0xFFFFFFFF), "teid"),
    ("B19 unknown TEID", g_pdu(GOOD, 77), "teid"),
    ("B11 an echo of 8 bytes", packets.gtp(kind=1, flags=0x32, length=4), "short"),
    ("B12 an echo without a number", packets.gtp(kind=1, optional=bytes(4), flags=0x30), "noseq"),
]  # fmt: skip

DROPPED_OF_SIM = [
    ("B15 GTP-U to the gateway", inner(g_pdu(b""), dst=OWN, dport=2152), "gtp_in_gtp"),
    ("B15 GTP-U to a peer", inner(g_pdu(b""), dst=PEER, dport=2152), "gtp_in_gtp"),
    ("B16 GTP-C to the gateway", inner(b"x", dst=OWN, dport=2123), "infra"),
    ("B16 PFCP to a peer", inner(b"x", dst=PEER, dport=8805), "infra"),
    ("B16 anything to the gateway", inner(b"x", dst=OWN, dport=80), "infra"),
    ("to this machine's loopback", inner(dst="127.8.8.8"), "infra"),
    ("GTP-U to its loopback", inner(g_pdu(b""), dst="127.8.8.8", dport=2152), "infra"),
    ("to nobody", inner(dst="0.0.0.0"), "infra"),
    ("to everybody", inner(dst="255.255.255.255"), "infra"),
    ("to a group", inner(dst="224.0.0.1"), "infra"),
    ("to a neighbour of this machine", inner(dst="169.254.169.254"), "infra"),
    ("B17 another's address", inner(src="10.1.0.9"), "spoof"),
    ("B17 0.0.0.0", inner(src="0.0.0.0"), "spoof"),
    ("B17 loopback", inner(src="127.0.0.1"), "spoof"),
    ("B17 multicast", inner(src="224.0.0.1"), "spoof"),
    ("B17 broadcast", inner(src="255.255.255.255"), "spoof"),
    ("B17 IPv6 without any", packets.ipv6(packets.udp(b"x")), "spoof"),
    ("B25 IHL 4", packets.ipv4(packets.udp(), ihl=4), "ihl"),
    ("B26 IHL 15", packets.ipv4(packets.udp(), ihl=15), "ihl"),
    ("B27 more than is there", packets.ipv4(packets.udp(), total=29), "len"),
    ("B27 less than the header", packets.ipv4(packets.udp(), total=19), "len"),
    ("total length 0", packets.ipv4(packets.udp(), total=0), "len"),
    ("B28 version 0", packets.ipv4(packets.udp(), version=0), "ipver"),
    ("B28 version 5", packets.ipv4(packets.udp(), version=5), "ipver"),
    ("B29 jumbo", packets.ipv6(packets.udp(), length=0), "jumbo"),
    ("B31 routing type 0", ROUTING_0, "v6ext"),
    ("half a header", GOOD[:19], "short"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("data", "reason"), [case[1:] for case in DROPPED_HERE], ids=[case[0] for case in DROPPED_HERE]
)
def test_a_bad_datagram_is_counted_by_its_reason_and_never_reaches_the_engine(
    data: bytes, reason: str
) -> None:
    """B01-B12, B14, B19, G7"""
    with world() as w:
        w.attach()
        w.up(data)
        assert w.dropped() == {reason: 1}
        assert w.engine.totals()["packets"] == 0
        w.up(g_pdu(GOOD))
        assert w.out_up == [GOOD]


@pytest.mark.parametrize(
    ("t_pdu", "reason"), [case[1:] for case in DROPPED_OF_SIM], ids=[c[0] for c in DROPPED_OF_SIM]
)
def test_a_bad_packet_of_a_session_is_dropped_uncharged_and_counted_to_its_sim(
    t_pdu: bytes, reason: str
) -> None:
    """N7, B15-B17, B25-B31, C2, C5, C6"""
    with world() as w:
        made = w.attach()
        w.up(g_pdu(t_pdu))
        assert w.refused() == {reason: 1}
        report = w.engine.line_report(made.line)
        assert report["up"]["dropped_packets"] == 1
        assert report["up"]["charged_bytes"] == report["up"]["slow_bytes"] == 0
        assert (w.dropped(), w.out_up) == ({}, [])


@pytest.mark.parametrize(
    "data",
    [
        extended(b"\x01\x10\x01\x00"),
        extended(b"\x01\x00\x00\x00", following=0x20),
        extended(b"\xff" + bytes(1018) + b"\x00", following=0x20),
        with_options(0x37, sequence=0xBEEF, n_pdu=0x55),
        with_options(0x32, sequence=1, following=0xC3),
        g_pdu(GOOD) + b"behind",
    ],
    ids=["B13", "B14 skipped", "B08 long and whole", "B24", "no E flag", "B10b"],
)
def test_extensions_options_and_trailers_leave_the_packet_as_it_is(data: bytes) -> None:
    """B08, B10b, B13, B14, B24, C8"""
    with world() as w:
        w.attach()
        w.up(data)
        assert w.out_up == [GOOD]
        assert w.figures["trailing_bytes_packets"] == data.endswith(b"behind")


def test_the_longest_datagram_goes_through() -> None:
    """B24: 65,507 bytes of UDP payload"""
    with world() as w:
        w.attach()
        big = inner(size=65_507 - 8)
        w.up(g_pdu(big))
        assert w.out_up == [big]


def test_padding_behind_the_inner_packet_is_cut_off() -> None:
    """B27: only the total length is charged, and only it is let out"""
    with world() as w:
        made = w.attach()
        w.up(g_pdu(GOOD + bytes(10)))
        assert w.out_up == [GOOD]
        assert w.engine.line_report(made.line)["up"]["inner_bytes"] == len(GOOD)


def test_a_known_teid_from_another_address_is_dropped() -> None:
    """B18: a TEID is bound to the peer's outer address"""
    with world() as w, listen(PEER_2) as thief:
        w.attach()
        w.up(g_pdu(GOOD), sender=thief)
        assert w.refused() == {"peer": 1}
        assert w.out_up == []
        w.up(g_pdu(GOOD))
        assert w.out_up == [GOOD]


def test_ports_of_nodes_are_free_to_use_with_other_hosts() -> None:
    """N7, B15, B16: only the gateway's own and the peers' addresses are out of bounds"""
    with world() as w:
        w.attach()
        sent = [inner(b"x", dst="198.51.100.9", dport=port) for port in (2152, 2123, 8805)]
        w.up(*map(g_pdu, sent))
        assert w.out_up == sent


def test_a_peer_is_out_of_bounds_only_while_it_has_sessions() -> None:
    """B16"""
    with world() as w:
        w.attach(1)
        second = w.attach(2, peer_user="192.0.2.3")
        blocked = inner(b"x", dst="192.0.2.3")
        w.up(g_pdu(blocked))
        assert w.refused() == {"infra": 1}
        w.plane.close(second)
        w.up(g_pdu(blocked))
        assert w.out_up == [blocked]


def test_a_session_with_ipv6_sends_from_its_prefix_only() -> None:
    """N2, N7, B17"""
    with world() as w:
        made = w.attach(ipv6="2001:db8:0:1::/64", ipv4=None)
        good = packets.ipv6(packets.udp(b"six"), src="2001:db8:0:1:aa::5")
        w.up(g_pdu(good), g_pdu(packets.ipv6(packets.udp(b"six"), src="2001:db8:0:2::5")))
        assert w.out_up == [good]
        assert w.refused() == {"spoof": 1}
        assert made.bearer >= 0


def test_the_last_packet_either_way_is_what_a_session_is_active_by() -> None:
    """N3; a packet that is dropped keeps no session alive"""
    with world() as w:
        made = w.attach()
        assert w.plane.last_active_ns(made) == T0
        w.up(g_pdu(GOOD), after_ns=5)
        assert w.plane.last_active_ns(made) == T0 + 5
        w.up(g_pdu(inner(src="0.0.0.0")), after_ns=5)
        assert w.plane.last_active_ns(made) == T0 + 5
        w.down(inner(src="198.51.100.7", dst="10.1.0.1"), after_ns=5)
        assert w.plane.last_active_ns(made) == T0 + 15


def test_a_session_that_is_closed_is_unknown_at_once() -> None:
    """N7, B19"""
    with world() as w:
        made = w.attach()
        w.plane.close(made)
        w.up(g_pdu(GOOD))
        assert w.dropped() == {"teid": 1}
        assert made.bearer == -1


def test_a_flood_of_unknown_teids_is_counted_and_leaves_others_served() -> None:
    """B20: no answer to most of it, no growth, and a session's packets go through"""
    with world() as w:
        w.attach()
        before = len(w.plane.bearers.teids)
        for number in range(20):
            w.up(*(g_pdu(GOOD, 1000 + 50 * number + k) for k in range(50)), g_pdu(GOOD))
        assert w.dropped() == {"teid": 1000}
        assert len(w.out_up) == 20
        assert len(w.plane.bearers.teids) == before
        assert w.figures["paths"]["error-indication-sent"] <= 50


@pytest.mark.parametrize("offload", [True, False])
def test_many_datagrams_keep_their_order(offload: bool) -> None:
    """Whether or not the system joins datagrams of one size"""
    with world(offload=offload) as w:
        w.attach()
        sent = [inner(bytes([n]) * (10 + n // 20)) for n in range(200)]
        w.up(*map(g_pdu, sent))
        assert w.out_up == sent


def test_a_run_sent_as_one_is_taken_apart() -> None:
    """UDP GSO in, GRO at the gateway: 30 G-PDUs in one message of the peer"""
    with world() as w:
        w.attach()
        sent = [g_pdu(inner(bytes([n]) * 20)) for n in range(30)]
        run(w, sent)
        w.turn()
        assert w.out_up == [data[8:] for data in sent]


def run(w: World, datagrams: list[bytes]) -> None:
    """Send datagrams of one size as one message."""
    size = struct.pack("H", len(datagrams[0]))
    w.peer.sendmsg(datagrams, [(17, 103, size)], 0, w.near)
