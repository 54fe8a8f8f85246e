"""What a packet's length is on each byte basis: inner IP, outer IP, frame and L4 payload."""

import struct
from pathlib import Path
from typing import Any

import pytest

from engine import verdict
from engine.wire import MODE_GTP, MODE_IP
from engine.wire.basis import BASES
from tests.support.packets import (
    PGW,
    SGW,
    Frame,
    ethernet,
    gtp,
    ipv4,
    ipv6,
    parse,
    pcap,
    tcp,
    tunnel,
    udp,
)

VLAN, QINQ = 0x8100, 0x88A8
ETHERNET = 14
TUNNEL = 20 + 8 + 8
"""byte; outer IPv4, UDP and GTP-U headers"""
SACK = bytes((1, 1, 5, 10)) + bytes(8)
"""12 bytes of TCP options"""
FRAGMENT_HEADER = bytes((17, 0)) + struct.pack("!HI", 0, 7)


def segment(payload: bytes, options: bytes = b"") -> bytes:
    """A TCP segment with options."""
    whole = bytearray(tcp(options + payload))
    whole[12] = (20 + len(options)) // 4 << 4
    return bytes(whole)


def lengths(folder: Path, frame: Frame, mode: int = MODE_IP, link: int = 1) -> dict[str, int]:
    """The length of a capture's one packet on each basis; all else must be the same."""
    found = {}
    rows = []
    for name, basis in BASES.items():
        packets, capture = parse(folder, pcap([frame], link), mode, basis=basis)
        assert capture.fault is None
        (row,) = packets
        found[name] = int(row["length"])
        row["length"] = 0
        rows.append(row)
    assert all(row == rows[0] for row in rows)
    return found


def four(inner: int, outer: int, frame: int, payload: int) -> dict[str, int]:
    return dict(zip(BASES, (inner, outer, frame, payload), strict=True))


PACKETS: dict[str, tuple[bytes, int]] = {
    # name: packet, bytes behind its transport header
    "UDP": (ipv4(udp(bytes(72))), 72),
    "TCP": (ipv4(segment(bytes(60)), protocol=6), 60),
    "TCP with options": (ipv4(segment(bytes(60), SACK), protocol=6), 60),
    "bare ACK": (ipv4(segment(b""), protocol=6), 0),
    "bare ACK with options": (ipv4(segment(b"", SACK), protocol=6), 0),
    "UDP-Lite": (ipv4(udp(bytes(30)), protocol=136), 30),
    "SCTP": (ipv4(bytes(12) + bytes(16), protocol=132), 16),
    "ICMP": (ipv4(bytes(64), protocol=1), 64),
    "ESP": (ipv4(bytes(80), protocol=50), 80),
    "IPv4 options": (ipv4(udp(bytes(72)), options=bytes(40)), 72),
    "first fragment": (ipv4(udp(bytes(72), length=500), fragment=0x2000), 72),
    "later fragment": (ipv4(bytes(80), fragment=10), 80),
    "IPv6": (ipv6(udp(bytes(52))), 52),
    "IPv6 and TCP": (ipv6(segment(bytes(9), SACK), following=6), 9),
    "IPv6 hop-by-hop": (ipv6(bytes((17, 0, 1, 4)) + bytes(4) + udp(bytes(50)), following=0), 50),
    "IPv6 destination options": (
        ipv6(bytes((6, 1, 1, 12)) + bytes(12) + segment(b"x"), following=60),
        1,
    ),
    "IPv6 first fragment": (
        ipv6(bytes((17, 0, 0, 1)) + bytes(4) + udp(bytes(40), length=90), following=44),
        40,
    ),
    "IPv6 later fragment": (ipv6(bytes((17, 0, 0, 16)) + bytes(4) + bytes(90), following=44), 90),
    "IPv6 ICMP": (ipv6(bytes(24), following=58), 24),
    "IPv6 without an upper layer": (ipv6(b"", following=59), 0),
    "TCP offset below 5": (ipv4(bytes(12) + b"\x10" + bytes(27), protocol=6), 20),
    "TCP offset past the packet": (ipv4(bytes(12) + b"\xf0" + bytes(17), protocol=6), 0),
    "TCP header cut by the length": (ipv4(bytes(10), protocol=6), 0),
}


@pytest.mark.parametrize("name", PACKETS)
def test_the_four_lengths_of_a_plain_packet(tmp_path: Path, name: str) -> None:
    """U3: total length twice, the frame around it, and what its transport header leaves"""
    packet, payload = PACKETS[name]
    size = len(packet)
    assert lengths(tmp_path, ethernet(packet)) == four(size, size, size + ETHERNET, payload)
    tagged = ethernet(packet, QINQ, VLAN)
    assert lengths(tmp_path, tagged) == four(size, size, size + ETHERNET + 8, payload)


@pytest.mark.parametrize("name", PACKETS)
def test_the_four_lengths_of_a_tunnelled_packet(tmp_path: Path, name: str) -> None:
    """U3: the payload is that of the packet inside"""
    packet, payload = PACKETS[name]
    size = len(packet)
    whole = ethernet(tunnel(gtp(packet)), VLAN)
    expected = four(size, size + TUNNEL, size + TUNNEL + ETHERNET + 4, payload)
    assert lengths(tmp_path, whole, MODE_GTP) == expected


@pytest.mark.parametrize("name", PACKETS)
def test_padding_counts_in_the_frame_only(tmp_path: Path, name: str) -> None:
    """U3, B27: the frame on the wire is longer than what its headers say"""
    packet, payload = PACKETS[name]
    size = len(packet)
    padded = ethernet(packet) + bytes(46)
    assert lengths(tmp_path, padded) == four(size, size, size + ETHERNET + 46, payload)


@pytest.mark.parametrize("name", PACKETS)
def test_a_cut_packet_is_counted_by_its_headers(tmp_path: Path, name: str) -> None:
    """U3, B63: nothing depends on how much of the payload was captured"""
    packet, payload = PACKETS[name]
    size = len(packet)
    for mode, frame, around in (
        (MODE_IP, ethernet(packet), 0),
        (MODE_GTP, ethernet(tunnel(gtp(packet))), TUNNEL),
    ):
        held = frame[: len(frame) - max(payload - 1, 0)]
        expected = four(size, size + around, len(frame), payload)
        assert lengths(tmp_path, (0, held, len(frame)), mode) == expected


def test_a_tcp_header_that_was_not_captured_is_taken_for_the_least(tmp_path: Path) -> None:
    """U3, B63: 20 bytes without options"""
    packet = ipv4(segment(bytes(60), SACK), protocol=6)
    frame = ethernet(packet)
    for held, payload in ((ETHERNET + 20 + 12, 72), (ETHERNET + 20 + 13, 60)):
        found = lengths(tmp_path, (0, frame[:held], len(frame)))
        assert found["l4-payload"] == payload


def test_a_packet_whose_ip_header_was_not_captured_has_no_payload(tmp_path: Path) -> None:
    """U3, B63: of both versions, and where nothing of it was"""
    for packet in (ipv4(udp(bytes(72))), ipv6(udp(bytes(52)))):
        frame = ethernet(tunnel(gtp(packet)))
        for held, inner in ((19, 100), (0, 0)):
            cut = (0, frame[: ETHERNET + TUNNEL + held], len(frame))
            expected = four(inner, 100 + TUNNEL, len(frame), 0)
            assert lengths(tmp_path, cut, MODE_GTP) == expected


def test_a_frame_check_sequence_is_not_counted(tmp_path: Path) -> None:
    """U3: where the capture says that its frames have one"""
    packet = ipv4(udp(bytes(72)))
    frame = ethernet(packet) + bytes(4)
    assert lengths(tmp_path, frame)["frame"] == 118
    link = 1 | 1 << 26 | 2 << 28  # two 16-bit words of FCS
    assert lengths(tmp_path, frame, link=link) == four(100, 100, 114, 72)


def test_a_frame_without_link_layer_is_the_packet(tmp_path: Path) -> None:
    """U3"""
    assert lengths(tmp_path, ipv4(udp(bytes(72))), link=101) == four(100, 100, 100, 72)


@pytest.mark.parametrize(
    ("message", "code", "inner", "payload"),
    [
        (gtp(ipv4(udp(bytes(72)), total=101)), verdict.DROP_LEN, 101, 73),
        (gtp(ipv4(udp(bytes(72)), src="127.0.0.1")), verdict.DROP_SPOOF, 100, 72),
        (gtp(b"\x20" + ipv4(udp(bytes(72)))[1:]), verdict.DROP_IPVER, 0, 0),
        (gtp(b"\x44" + ipv4(udp(bytes(72)))[1:]), verdict.DROP_IHL, 0, 0),
        (gtp(ipv6(bytes(60), following=0, length=0)), verdict.DROP_JUMBO, 40, 0),
        (gtp(ipv4(udp(bytes(72))), flags=0x50), verdict.DROP_VERSION, 0, 0),
    ],
)
def test_a_broken_packet_is_dropped_at_the_length_of_each_basis(
    tmp_path: Path, message: bytes, code: int, inner: int, payload: int
) -> None:
    """U3, N7: the code is the same on all of them"""
    frame = ethernet(tunnel(message))
    packets, _ = parse(tmp_path, pcap([frame]))
    assert int(packets[0]["code"]) == code
    expected = four(inner, len(frame) - ETHERNET, len(frame), payload)
    assert lengths(tmp_path, frame, MODE_GTP) == expected


def test_a_fragmented_tunnel_packet_counts_in_its_first_frame(tmp_path: Path) -> None:
    """U3: the frames of the other fragments hold no packet of their own"""
    datagram = udp(gtp(ipv4(udp(bytes(1_372)))), 2152, 2152)
    first = ethernet(ipv4(datagram[:800], SGW, PGW, fragment=0x2000))
    later = ethernet(ipv4(datagram[800:], SGW, PGW, fragment=100))
    found: dict[str, Any] = {}
    for name, basis in BASES.items():
        packets, _ = parse(tmp_path, pcap([first, later]), basis=basis)
        found[name] = packets["length"].tolist()
    assert found == {
        "inner-ip": [1_400],
        "outer-ip": [1_400 + TUNNEL],
        "frame": [len(first)],
        "l4-payload": [1_372],
    }
