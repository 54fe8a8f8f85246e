"""IP packets, inside a tunnel and bare: which are dropped, and what is read of the others."""

import struct
from pathlib import Path
from typing import Any

import pytest

from engine import verdict
from engine.layout import PACKET_FIRST, PACKET_FRAGMENT, PACKET_GTP, PACKET_PORTS, PACKET_V6
from engine.wire import MODE_GTP, MODE_IP
from tests.support.packets import (
    SERVER,
    UE,
    UE6,
    ethernet,
    g_pdu_frame,
    ipv4,
    ipv6,
    only,
    parse,
    pcap,
    tcp,
    udp,
)


def tunnelled(folder: Path, packet: bytes) -> Any:
    return only(folder, g_pdu_frame(packet))


def bare(folder: Path, packet: bytes) -> Any:
    return only(folder, ethernet(packet), MODE_IP)


@pytest.mark.parametrize(
    "source",
    ["0.0.0.0", "127.0.0.1", "127.255.255.255", "224.0.0.1", "239.1.2.3", "255.255.255.255"],
)
def test_a_source_that_nobody_has_is_dropped_in_a_tunnel(source: str, tmp_path: Path) -> None:
    """B17, N7"""
    packet = ipv4(udp(), source)
    assert tunnelled(tmp_path, packet)["code"] == verdict.DROP_SPOOF
    assert bare(tmp_path, packet)["code"] == verdict.NONE


@pytest.mark.parametrize("source", ["::", "::1", "ff02::1"])
def test_an_ipv6_source_that_nobody_has_is_dropped_in_a_tunnel(source: str, tmp_path: Path) -> None:
    """B17, N7"""
    packet = ipv6(udp(), source)
    assert tunnelled(tmp_path, packet)["code"] == verdict.DROP_SPOOF
    assert bare(tmp_path, packet)["code"] == verdict.NONE


@pytest.mark.parametrize("source", ["0.0.0.1", "126.1.1.1", "128.0.0.1", "240.0.0.1", "223.1.1.1"])
def test_an_unusual_source_is_let_through(source: str, tmp_path: Path) -> None:
    assert tunnelled(tmp_path, ipv4(udp(), source))["code"] == verdict.NONE


@pytest.mark.parametrize("source", ["::2", "::1:0:0:0", "2001:db8::1", "fe80::1"])
def test_an_unusual_ipv6_source_is_let_through(source: str, tmp_path: Path) -> None:
    assert tunnelled(tmp_path, ipv6(udp(), source))["code"] == verdict.NONE


@pytest.mark.parametrize(
    ("source", "destination"), [("::ffff:10.1.0.1", UE6), (UE6, "::ffff:10.1.0.1")]
)
def test_a_mapped_address_on_the_wire_does_not_pass_for_ipv4(
    source: str, destination: str, tmp_path: Path
) -> None:
    """B17: RFC 4291 2.5.5.2"""
    packet = ipv6(udp(), source, destination)
    assert tunnelled(tmp_path, packet)["code"] == verdict.DROP_SPOOF
    assert bare(tmp_path, packet)["code"] == verdict.DROP_SPOOF


@pytest.mark.parametrize("words", range(5))
def test_a_header_length_below_20_bytes_is_dropped(words: int, tmp_path: Path) -> None:
    """B25, C5"""
    packet = ipv4(udp(b"x"), ihl=words)
    row = tunnelled(tmp_path, packet)
    assert (row["code"], row["length"]) == (verdict.DROP_IHL, 0)
    packets, capture = parse(tmp_path, pcap([ethernet(packet)]), MODE_IP)
    assert len(packets) == 0
    assert capture.malformed[verdict.DROP_IHL] == 1


def test_a_header_longer_than_the_packet_is_dropped(tmp_path: Path) -> None:
    """B26, C5"""
    packet = ipv4(ihl=15)
    assert tunnelled(tmp_path, packet)["code"] == verdict.DROP_IHL
    assert bare(tmp_path, packet)["code"] == verdict.DROP_IHL


def test_a_total_length_beyond_the_bytes_there_is_dropped(tmp_path: Path) -> None:
    """B27"""
    packet = ipv4(udp(b"x"), total=30)
    assert [int(row[f]) for row in [tunnelled(tmp_path, packet)] for f in ("code", "length")] == [
        verdict.DROP_LEN,
        30,
    ]
    assert bare(tmp_path, packet)["code"] == verdict.DROP_LEN


def test_a_total_length_below_the_header_is_dropped(tmp_path: Path) -> None:
    """B27"""
    for total in (1, 19):
        packet = ipv4(udp(b"x"), total=total)
        assert tunnelled(tmp_path, packet)["code"] == verdict.DROP_LEN
        assert bare(tmp_path, packet)["code"] == verdict.DROP_LEN
    options = ipv4(udp(b"x"), total=24, options=bytes(8))
    assert tunnelled(tmp_path, options)["code"] == verdict.DROP_LEN


def test_padding_behind_the_packet_is_not_counted(tmp_path: Path) -> None:
    """B27, U3"""
    packet = ipv4(udp(b"x"), total=29) + bytes(17)
    for row in (tunnelled(tmp_path, packet), bare(tmp_path, packet)):
        assert (row["code"], row["length"]) == (verdict.NONE, 29)


def test_a_total_length_of_0_is_what_was_on_the_wire(tmp_path: Path) -> None:
    packet = ipv4(tcp(bytes(3000)), protocol=6, total=0)
    for row in (tunnelled(tmp_path, packet), bare(tmp_path, packet)):
        assert (row["code"], row["length"]) == (verdict.NONE, 3040)
        assert row["flags"] & PACKET_PORTS


@pytest.mark.parametrize("version", [0, 5, 15])
def test_another_version_in_a_tunnel_is_dropped(version: int, tmp_path: Path) -> None:
    """B28"""
    row = tunnelled(tmp_path, ipv4(udp(), version=version))
    assert (row["code"], row["length"]) == (verdict.DROP_IPVER, 0)


@pytest.mark.parametrize("packet", [ipv4(udp()), ipv6(udp())])
def test_a_header_that_is_not_whole_is_short(packet: bytes, tmp_path: Path) -> None:
    """C5, B63: dropped, with the length that its header claims if it goes that far"""
    size = 19 if packet[0] >> 4 == 4 else 39
    row = tunnelled(tmp_path, packet[:size])
    assert (row["code"], row["length"]) == (verdict.DROP_SHORT, len(packet))
    row = tunnelled(tmp_path, packet[:3])
    assert (row["code"], row["length"]) == (verdict.DROP_SHORT, 0)
    packets, capture = parse(tmp_path, pcap([ethernet(packet)[: 14 + size]]), MODE_IP)
    assert len(packets) == 0
    assert capture.malformed[verdict.DROP_SHORT] == 1


def test_an_ip_header_longer_than_its_message_is_short(tmp_path: Path) -> None:
    """The next bytes are those of somebody else's padding."""
    row = only(tmp_path, g_pdu_frame(ipv4(udp()), length=10))
    assert (row["code"], row["length"]) == (verdict.DROP_SHORT, 28)
    row = only(tmp_path, g_pdu_frame(ipv4(udp()), length=3))
    assert (row["code"], row["length"]) == (verdict.DROP_SHORT, 0)


def test_an_ethernet_frame_without_a_packet_is_short(tmp_path: Path) -> None:
    packets, capture = parse(tmp_path, pcap([bytes(12) + b"\x08\x00"]), MODE_IP)
    assert len(packets) == 0
    assert capture.malformed[verdict.DROP_SHORT] == 1
    packets, capture = parse(tmp_path, pcap([bytes(12) + b"\x08\x00"]), MODE_GTP)
    assert len(packets) == 0


def test_ipv6_with_payload_length_0_is_dropped(tmp_path: Path) -> None:
    """B29, C6"""
    for packet in (ipv6(length=0), ipv6(udp(b"x"), length=0)):
        assert tunnelled(tmp_path, packet)["code"] == verdict.DROP_JUMBO
        assert bare(tmp_path, packet)["code"] == verdict.DROP_JUMBO


def test_ipv6_with_nothing_behind_its_header_is_a_packet(tmp_path: Path) -> None:
    row = tunnelled(tmp_path, ipv6(following=59))
    assert (row["code"], row["length"]) == (verdict.NONE, 40)


def options(*content: int) -> bytes:
    """A hop-by-hop header with these six bytes of options, before UDP."""
    return bytes([17, 0, *content])


@pytest.mark.parametrize(
    ("content", "code"),
    [
        ((0xC2, 4, 0, 1, 0, 0), verdict.DROP_JUMBO),
        ((0, 0, 0xC2, 2, 0, 0), verdict.DROP_JUMBO),
        ((1, 4, 0, 0, 0, 0), verdict.NONE),
        ((0, 0, 0, 0, 0, 0), verdict.NONE),
        ((5, 2, 0, 0, 1, 0), verdict.NONE),
        ((1, 5, 0, 0, 0, 0), verdict.DROP_V6EXT),
        ((1, 3, 0, 0, 0, 1), verdict.DROP_V6EXT),
    ],
)
def test_a_jumbogram_option_is_dropped_and_options_are_bounded(
    content: tuple[int, ...], code: int, tmp_path: Path
) -> None:
    """B30, B31"""
    row = tunnelled(tmp_path, ipv6(options(*content) + udp(b"x"), following=0))
    assert row["code"] == code


def chain(count: int) -> bytes:
    """This many destination-options headers, the last before UDP."""
    return bytes([60, 0, 1, 4, 0, 0, 0, 0]) * (count - 1) + bytes([17, 0, 1, 4, 0, 0, 0, 0])


EXTENDED = {
    "eight": (60, chain(8) + udp(b"x"), verdict.NONE),
    "nine": (60, chain(9) + udp(b"x"), verdict.DROP_V6EXT),
    "fifty": (60, chain(50) + udp(b"x"), verdict.DROP_V6EXT),
    "past-the-end": (0, bytes([17, 9]) + bytes(6), verdict.DROP_V6EXT),
    "not-whole": (60, bytes([17, 0, 1, 4]), verdict.DROP_V6EXT),
    "routing-0": (43, bytes([17, 0, 0, 1]) + bytes(4) + udp(b"x"), verdict.DROP_V6EXT),
    "routing-4": (43, bytes([17, 0, 4, 0]) + bytes(4) + udp(b"x"), verdict.NONE),
    "hop-by-hop-later": (60, bytes([0, 0, 1, 4, 0, 0, 0, 0]) + chain(1), verdict.DROP_V6EXT),
    "authentication": (51, bytes([17, 4]) + bytes(22) + udp(b"x"), verdict.NONE),
    "mobility": (135, bytes([59, 0]) + bytes(6), verdict.NONE),
    "hip": (139, bytes([59, 0]) + bytes(6), verdict.NONE),
    "shim6": (140, bytes([59, 0]) + bytes(6), verdict.NONE),
    "esp": (50, bytes(16), verdict.NONE),
}


@pytest.mark.parametrize("name", EXTENDED)
def test_ipv6_extension_headers_are_walked_within_limits(name: str, tmp_path: Path) -> None:
    """B31, C5"""
    following, payload, code = EXTENDED[name]
    packet = ipv6(payload, following=following)
    for row in (tunnelled(tmp_path, packet), bare(tmp_path, packet)):
        assert row["code"] == code
        assert row["length"] == len(packet)
        if udp(b"x") in payload and code == verdict.NONE:
            assert (row["protocol"], row["dst_port"]) == (17, 443)
            assert row["flags"] & PACKET_PORTS


def test_a_payload_length_beyond_the_bytes_there_is_dropped(tmp_path: Path) -> None:
    """B27"""
    assert tunnelled(tmp_path, ipv6(udp(), length=9))["code"] == verdict.DROP_LEN


def test_a_chain_cut_by_the_capture_leaves_the_packet_without_ports(tmp_path: Path) -> None:
    """B63"""
    frame = ethernet(ipv6(chain(2) + udp(b"x"), following=60))
    for held in (14 + 40 + 4, 14 + 40 + 12):
        row = only(tmp_path, (0, frame[:held], len(frame)), MODE_IP)
        assert row["code"] == verdict.NONE
        assert row["protocol"] == 60
        assert not row["flags"] & PACKET_PORTS


@pytest.mark.parametrize(
    ("protocol", "header", "whole"),
    [(6, tcp(), 20), (17, udp(), 8), (132, bytes([0, 80, 0, 80]) + bytes(8), 12), (136, udp(), 8)],
)
def test_ports_count_only_where_the_header_is_whole(
    protocol: int, header: bytes, whole: int, tmp_path: Path
) -> None:
    """B32, C5"""
    for size in range(len(header) + 1):
        row = tunnelled(tmp_path, ipv4(header[:size], protocol=protocol))
        assert row["code"] == verdict.NONE
        assert row["length"] == 20 + size
        assert bool(row["flags"] & PACKET_PORTS) == (size >= whole)


@pytest.mark.parametrize("length", [0, 1, 7])
def test_an_impossible_udp_length_has_no_ports(length: int, tmp_path: Path) -> None:
    """B33"""
    row = tunnelled(tmp_path, ipv4(udp(b"12345678", dst=53, length=length)))
    assert row["code"] == verdict.NONE
    assert not row["flags"] & PACKET_PORTS


def test_a_first_fragment_has_ports_if_they_are_whole(tmp_path: Path) -> None:
    """B34"""
    first = PACKET_GTP | PACKET_FIRST
    tiny = tunnelled(tmp_path, ipv4(tcp()[:8], protocol=6, fragment=0x2000))
    assert tiny["flags"] == first
    whole = tunnelled(tmp_path, ipv4(udp(bytes(8)), fragment=0x2000))
    assert whole["flags"] == first | PACKET_PORTS
    v6 = tunnelled(tmp_path, ipv6(bytes.fromhex("1100000100000001") + udp(), following=44))
    assert v6["flags"] == first | PACKET_PORTS | PACKET_V6


def v6_fragment(place: int, label: int, following: int = 17) -> bytes:
    """A fragment header (RFC 8200 4.5): offset and M flag as they stand there, identification."""
    return struct.pack("!BBHI", following, 0, place, label)


def test_fragments_of_a_packet_have_its_identification(tmp_path: Path) -> None:
    """X4: 16 bits in IPv4, 32 in IPv6, wherever in the chain of headers; no other packet has one"""
    late = chain(3)[:-8] + bytes([44, 0, 1, 4, 0, 0, 0, 0])
    found = {
        "first": ipv4(udp(bytes(8)), fragment=0x2000),
        "middle": ipv4(bytes(8), fragment=0x2001),
        "last": ipv4(bytes(8), fragment=2),
        "v6 first": ipv6(v6_fragment(1, 0xFEDCBA98) + udp(), following=44),
        "v6 last": ipv6(v6_fragment(8, 0xFEDCBA98) + bytes(8), following=44),
        "v6 behind options": ipv6(late + v6_fragment(9, 0xFEDCBA98) + udp(), following=60),
        "v6 before options": ipv6(v6_fragment(1, 5, 60) + chain(2) + udp(), following=44),
    }
    whole = {
        "whole": ipv4(udp(), fragment=0x4000),
        "v6 whole": ipv6(udp()),
        "v6 atomic (RFC 6946)": ipv6(v6_fragment(0, 9) + udp(), following=44),
    }
    labels = {name: int(bare(tmp_path, packet)["fragment"]) for name, packet in found.items()}
    assert labels == {name: 0xFEDCBA98 if "v6" in name else 7 for name in found} | {
        "v6 before options": 5
    }
    for packet in whole.values():
        row = tunnelled(tmp_path, packet)
        assert (row["fragment"], row["flags"] & (PACKET_FIRST | PACKET_FRAGMENT)) == (0, 0)
        assert row["flags"] & PACKET_PORTS


def test_a_fragment_header_that_the_capture_cut_off_tells_nothing(tmp_path: Path) -> None:
    """B63, X4: the first bytes of a chain are no first fragment"""
    frame = ethernet(ipv6(v6_fragment(1, 5) + udp(), following=44))
    row = only(tmp_path, (0, frame[: 14 + 40 + 7], len(frame)), MODE_IP)
    assert (row["fragment"], row["flags"] & PACKET_PORTS, row["protocol"]) == (0, 0, 44)
    row = only(tmp_path, (0, frame[: 14 + 40 + 8], len(frame)), MODE_IP)
    assert (row["fragment"], row["flags"] & PACKET_FIRST) == (5, PACKET_FIRST)


def test_later_fragments_have_no_ports(tmp_path: Path) -> None:
    """B35, B36, B37"""
    fragments = [
        ipv4(tcp()[8:], protocol=6, fragment=1),
        ipv4(udp(dst=53), fragment=0x2001),
        ipv4(udp(dst=53), fragment=0x1FFF),
        ipv6(bytes.fromhex("1100000800000001") + udp(dst=53), following=44),
    ]
    for packet in fragments:
        for row in (tunnelled(tmp_path, packet), bare(tmp_path, packet)):
            assert row["code"] == verdict.NONE
            assert row["length"] == len(packet)
            assert row["flags"] & PACKET_FRAGMENT
            assert not row["flags"] & PACKET_PORTS
            assert row["dst_port"] == 0


def test_fragments_are_counted_each_by_itself_and_nothing_is_kept(tmp_path: Path) -> None:
    """B36, B38"""
    packet = ipv4(bytes(64), fragment=0x2004)
    packets, capture = parse(tmp_path, pcap([ethernet(packet)] * 300), MODE_IP, rows_max=16)
    assert int(packets["length"].sum()) == 300 * len(packet)
    assert (packets["flags"] == PACKET_FRAGMENT).all()
    assert len(capture._endpoints) == 0


def test_ip_options_are_charged_with_the_packet(tmp_path: Path) -> None:
    """B39"""
    packet = ipv4(udp(b"x"), options=bytes([1] * 40))
    assert packet[0] & 15 == 15
    row = tunnelled(tmp_path, packet)
    assert (row["code"], row["length"], row["dst_port"]) == (verdict.NONE, 69, 443)


def test_an_acknowledgement_is_40_bytes(tmp_path: Path) -> None:
    """B40"""
    packet = ipv4(tcp(), UE, SERVER, protocol=6)
    packets, _ = parse(tmp_path, pcap([g_pdu_frame(packet)] * 50))
    assert int(packets["length"].sum()) == 50 * 40


def test_only_the_outermost_header_counts_without_gtp(tmp_path: Path) -> None:
    packet = ipv4(ipv4(udp(b"x"), "192.0.2.1"), protocol=4)
    row = bare(tmp_path, packet)
    assert row["length"] == len(packet)
    assert (row["teid"], row["endpoint"], row["flags"]) == (0, -1, 0)
