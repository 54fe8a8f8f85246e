"""The outer packet of a tunnel: which datagrams are GTP-U, to whom, and what of fragments."""

from pathlib import Path

import pytest

from engine import verdict
from engine.layout import PACKET_FRAGMENT
from engine.wire.addresses import parse_address
from engine.wire.capture import Capture
from tests.support.packets import (
    PGW,
    SGW,
    address,
    ethernet,
    gtp,
    ipv4,
    ipv6,
    only,
    parse,
    pcap,
    tunnel,
    udp,
)

T_PDU = ipv4(udp(b"x" * 20))


def message_frame(message: bytes) -> bytes:
    return ethernet(tunnel(message))


def no_packet(folder: Path, frame: bytes) -> Capture:
    packets, capture = parse(folder, pcap([frame]))
    assert len(packets) == 0
    assert capture.fault is None
    return capture


def test_endpoints_are_told_apart_and_ipv6_is_one(tmp_path: Path) -> None:
    frames = [
        ethernet(tunnel(gtp(T_PDU), SGW, PGW)),
        ethernet(tunnel(gtp(T_PDU), "2001:db8::1", "2001:db8::2")),
        ethernet(tunnel(gtp(T_PDU), PGW, SGW)),
        ethernet(tunnel(gtp(T_PDU), SGW, PGW)),
    ]
    packets, capture = parse(tmp_path, pcap(frames))
    assert list(packets["endpoint"]) == [0, 1, 2, 0]
    assert capture._endpoints.addresses()[1] == parse_address("2001:db8::2")


def test_more_endpoints_than_the_table_first_holds(tmp_path: Path) -> None:
    frames = [ethernet(tunnel(gtp(T_PDU), SGW, f"172.16.{k % 200}.{k // 200}")) for k in range(400)]
    packets, capture = parse(tmp_path, pcap(frames))
    assert list(packets["endpoint"]) == list(range(400))
    assert capture.messages[255] == 400
    assert capture.frames == 400


def test_either_port_makes_gtp_and_no_other_does(tmp_path: Path) -> None:
    frames = [
        ethernet(ipv4(udp(gtp(T_PDU), 2152, 1), SGW, PGW)),
        ethernet(ipv4(udp(gtp(T_PDU), 1, 2152), SGW, PGW)),
        ethernet(ipv4(udp(gtp(T_PDU), 1, 2153), SGW, PGW)),
        ethernet(ipv4(udp(gtp(T_PDU), 2152, 2152), SGW, PGW, protocol=6)),
        ethernet(ipv4(udp(gtp(T_PDU), 2152, 2152)[:3], SGW, PGW)),
    ]
    packets, capture = parse(tmp_path, pcap(frames))
    assert [int(teid) for teid in packets["teid"]] == [1, 1]
    assert capture.frames == 5


def test_gtp_quoted_in_icmp_is_no_user_traffic(tmp_path: Path) -> None:
    quoted = tunnel(gtp(T_PDU))
    capture = no_packet(tmp_path, ethernet(ipv4(b"\x03\x03" + bytes(6) + quoted, protocol=1)))
    assert not capture.malformed.any()


def test_a_fragmented_datagram_counts_once_at_its_first_fragment(tmp_path: Path) -> None:
    inner = ipv4(udp(bytes(1400)))
    datagram = udp(gtp(inner), 2152, 2152)
    frames = [
        ethernet(ipv4(datagram[:800], SGW, PGW, fragment=0x2000)),
        ethernet(ipv4(datagram[800:], SGW, PGW, fragment=100)),
    ]
    packets, capture = parse(tmp_path, pcap(frames))
    assert len(packets) == 1
    assert packets[0]["code"] == verdict.NONE
    assert packets[0]["length"] == len(inner)
    assert not packets[0]["flags"] & PACKET_FRAGMENT
    assert capture.cut_packets == 0


def test_an_ipv6_fragment_is_treated_alike(tmp_path: Path) -> None:
    inner = ipv4(udp(bytes(1400)))
    datagram = udp(gtp(inner), 2152, 2152)
    ends = ("2001:db8::1", "2001:db8::2")
    frames = [
        ethernet(ipv6(bytes.fromhex("1100000100000001") + datagram[:800], *ends, following=44)),
        ethernet(ipv6(bytes.fromhex("1100032000000001") + datagram[800:], *ends, following=44)),
    ]
    packets, _ = parse(tmp_path, pcap(frames))
    assert [int(length) for length in packets["length"]] == [len(inner)]
    assert packets[0]["code"] == verdict.NONE


OUTER = {
    "total-length-lies": (ipv4(udp(gtp(T_PDU), 2152, 2152), SGW, PGW, total=400), verdict.DROP_LEN),
    "udp-length-lies": (
        ipv4(udp(gtp(T_PDU), 2152, 2152, length=400), SGW, PGW),
        verdict.DROP_LEN,
    ),
    "offloaded": (ipv4(udp(gtp(T_PDU), 2152, 2152), SGW, PGW, total=0), verdict.NONE),
    "options": (
        ipv4(udp(gtp(T_PDU), 2152, 2152), SGW, PGW, options=bytes([1] * 40)),
        verdict.NONE,
    ),
}


@pytest.mark.parametrize("name", OUTER)
def test_what_the_outer_headers_say_is_checked(name: str, tmp_path: Path) -> None:
    packet, code = OUTER[name]
    row = only(tmp_path, ethernet(packet))
    assert row["code"] == code
    assert row["length"] == len(T_PDU)


@pytest.mark.parametrize("length", [0, 7])
def test_an_outer_udp_length_below_8_is_malformed(length: int, tmp_path: Path) -> None:
    capture = no_packet(
        tmp_path, ethernet(ipv4(udp(gtp(T_PDU), 2152, 2152, length=length), SGW, PGW))
    )
    assert capture.malformed[verdict.DROP_LEN] == 1


BROKEN_OUTER: dict[str, bytes] = {
    "ihl": ipv4(udp(gtp(T_PDU), 2152, 2152), SGW, PGW, ihl=4),
    "short": ipv4(udp(gtp(T_PDU), 2152, 2152), SGW, PGW)[:19],
    "short-v6": tunnel(gtp(T_PDU), "2001:db8::1", "2001:db8::2")[:39],
    "v6-chain": ipv6(bytes(64), following=0),
    "udp-cut": ipv4(udp(gtp(T_PDU), 2152, 2152), SGW, PGW)[:22],
}


@pytest.mark.parametrize("name", BROKEN_OUTER)
def test_a_broken_outer_packet_is_no_user_traffic(name: str, tmp_path: Path) -> None:
    capture = no_packet(tmp_path, ethernet(BROKEN_OUTER[name]))
    assert capture.frames == 1


def test_a_udp_header_cut_by_the_capture_is_short(tmp_path: Path) -> None:
    """B63"""
    frame = message_frame(gtp(T_PDU))
    packets, capture = parse(tmp_path, pcap([(0, frame[: 14 + 20 + 5], len(frame))]))
    assert len(packets) == 0
    assert capture.malformed[verdict.DROP_SHORT] == 1


def test_a_malformed_message_with_a_wrong_outer_length_counts_once(tmp_path: Path) -> None:
    datagram = udp(gtp(kind=1, flags=0x31, optional=bytes(4)), 2152, 2152, length=500)
    capture = no_packet(tmp_path, ethernet(ipv4(datagram, SGW, PGW)))
    assert capture.malformed[verdict.DROP_LEN] == 1
    assert capture.malformed.sum() == 1


def test_address_bytes_are_those_of_the_header() -> None:
    """The builders themselves: what they put on the wire is what RFC 791 says."""
    packet = ipv4(b"", SGW, PGW)
    assert packet[12:20] == address(SGW) + address(PGW)
    assert packet[:4] == bytes.fromhex("45000014")
