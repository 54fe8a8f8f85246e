"""GTP-U: what becomes of every kind of message, well-formed or not."""

from pathlib import Path
from typing import Any

import pytest

from engine import verdict
from engine.layout import PACKET_GTP, PACKET_PORTS, PACKET_V6
from engine.wire import MODE_GTP
from engine.wire.addresses import parse_address
from engine.wire.capture import Capture
from tests.support.packets import (
    PGW,
    SERVER,
    SERVER6,
    SGW,
    UE,
    UE6,
    ethernet,
    g_pdu_frame,
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


def code_of(folder: Path, message: bytes) -> int:
    return int(only(folder, message_frame(message))["code"])


def no_packet(folder: Path, frame: bytes) -> Capture:
    packets, capture = parse(folder, pcap([frame]))
    assert len(packets) == 0
    assert capture.fault is None
    return capture


def test_a_g_pdu_becomes_a_packet(tmp_path: Path) -> None:
    """N6, U3"""
    frame = g_pdu_frame(T_PDU, teid=0xFEDC_BA98)
    packets, capture = parse(tmp_path, pcap([frame]))
    packet = packets[0]
    assert packet["code"] == verdict.NONE
    assert packet["teid"] == 0xFEDC_BA98
    assert packet["endpoint"] == 0
    assert capture._endpoints.addresses() == [parse_address(PGW)]
    assert packet["length"] == len(T_PDU)
    assert (packet["src_hi"], packet["src_lo"]) == parse_address(UE)
    assert (packet["dst_hi"], packet["dst_lo"]) == parse_address(SERVER)
    assert (packet["src_port"], packet["dst_port"], packet["protocol"]) == (40_000, 443, 17)
    assert packet["flags"] == PACKET_GTP | PACKET_PORTS
    assert capture.messages[255] == 1
    assert not capture.malformed.any()


@pytest.mark.parametrize("size", [0, 1])
def test_a_datagram_too_short_for_a_type_is_malformed(size: int, tmp_path: Path) -> None:
    """B01"""
    capture = no_packet(tmp_path, message_frame(gtp(T_PDU)[:size]))
    assert capture.malformed[verdict.DROP_SHORT] == 1


@pytest.mark.parametrize("size", range(2, 8))
def test_a_g_pdu_shorter_than_its_header_is_short(size: int, tmp_path: Path) -> None:
    """B02"""
    packet = only(tmp_path, message_frame(gtp(T_PDU)[:size]))
    assert packet["code"] == verdict.DROP_SHORT
    assert packet["length"] == 0
    assert not packet["flags"] & PACKET_GTP


@pytest.mark.parametrize("head", ["10ff", "48ff", "50ff", "ffff"])
def test_other_versions_of_gtp_are_dropped(head: str, tmp_path: Path) -> None:
    """B03"""
    message = bytes.fromhex(head) + gtp(T_PDU)[2:]
    assert code_of(tmp_path, message) == verdict.DROP_VERSION


def test_gtp_prime_is_dropped(tmp_path: Path) -> None:
    """B04"""
    assert code_of(tmp_path, gtp(T_PDU, flags=0x20)) == verdict.DROP_PROTO


def test_an_extension_header_of_length_0_ends_the_parsing(tmp_path: Path) -> None:
    """B05, C1"""
    message = bytes.fromhex("36ff003400000001000000ff00")
    assert code_of(tmp_path, message) == verdict.DROP_EXT_LEN


def test_an_extension_header_past_the_end_is_short(tmp_path: Path) -> None:
    """B06, C4"""
    message = bytes.fromhex("36ff003400000001000000ff")
    assert code_of(tmp_path, message) == verdict.DROP_SHORT


def extensions(*kinds: int, units: int = 1) -> bytes:
    """Sequence number, N-PDU number and a chain of extension headers of 4 * units bytes."""
    parts = [b"\0\1\0" + bytes([kinds[0]])]
    for following in (*kinds[1:], 0):
        parts.append(bytes([units]) + bytes(4 * units - 2) + bytes([following]))
    return b"".join(parts)


@pytest.mark.parametrize(
    ("count", "code"),
    [(8, verdict.NONE), (9, verdict.DROP_EXT_COUNT), (300, verdict.DROP_EXT_COUNT)],
)
def test_a_chain_of_extension_headers_is_bounded(count: int, code: int, tmp_path: Path) -> None:
    """B07, C3"""
    message = gtp(T_PDU, flags=0x34, optional=extensions(*[0x40] * count))
    assert code_of(tmp_path, message) == code


def test_an_extension_header_of_1020_bytes_is_skipped_if_it_is_there(tmp_path: Path) -> None:
    """B08, C3"""
    optional = extensions(0x85, units=255)
    packet = only(tmp_path, message_frame(gtp(T_PDU, flags=0x34, optional=optional)))
    assert packet["code"] == verdict.NONE
    assert packet["length"] == len(T_PDU)
    short = gtp(T_PDU, flags=0x34, optional=optional[:5])
    assert code_of(tmp_path, short) == verdict.DROP_EXT_LEN


@pytest.mark.parametrize("flags", [0x30, 0x32])
def test_a_g_pdu_without_a_payload_is_empty(flags: int, tmp_path: Path) -> None:
    """B09, C2"""
    optional = bytes(4) if flags & 7 else b""
    message = gtp(b"", flags=flags, optional=optional)
    packet = only(tmp_path, message_frame(message))
    assert packet["code"] == verdict.DROP_EMPTY
    assert packet["length"] == 0
    assert packet["flags"] == PACKET_GTP


def test_a_length_beyond_the_datagram_is_a_lie(tmp_path: Path) -> None:
    """B10"""
    packet = only(tmp_path, message_frame(gtp(T_PDU, length=len(T_PDU) + 1)))
    assert packet["code"] == verdict.DROP_LEN
    assert packet["length"] == len(T_PDU)


def test_bytes_behind_the_message_are_ignored(tmp_path: Path) -> None:
    """B10b"""
    packet = only(tmp_path, message_frame(gtp(T_PDU) + b"trailer"))
    assert packet["code"] == verdict.NONE
    assert packet["length"] == len(T_PDU)


def test_a_length_that_leaves_no_room_for_the_options_is_a_lie(tmp_path: Path) -> None:
    message = gtp(T_PDU, flags=0x32, optional=bytes(4), length=2)
    assert code_of(tmp_path, message) == verdict.DROP_LEN


def test_options_that_are_not_there_are_short(tmp_path: Path) -> None:
    assert code_of(tmp_path, gtp(b"", flags=0x32, length=0)) == verdict.DROP_SHORT


def test_an_extension_header_past_the_captured_part_is_short(tmp_path: Path) -> None:
    """B63"""
    frame = message_frame(gtp(T_PDU, flags=0x34, optional=extensions(0x85, units=8)))
    held = 14 + 20 + 8 + 8 + 4 + 8
    packet = only(tmp_path, (0, frame[:held], len(frame)))
    assert packet["code"] == verdict.DROP_SHORT


@pytest.mark.parametrize("size", [8, 9, 10, 11])
def test_an_echo_request_shorter_than_12_bytes_is_malformed(size: int, tmp_path: Path) -> None:
    """B11, C7"""
    message = gtp(kind=1, flags=0x32, optional=bytes(4))[:size]
    capture = no_packet(tmp_path, message_frame(message))
    assert capture.malformed[verdict.DROP_SHORT] == 1
    assert capture.messages[1] == 1


def test_an_echo_request_without_a_sequence_number_is_malformed(tmp_path: Path) -> None:
    """B12, C9"""
    capture = no_packet(tmp_path, message_frame(gtp(kind=1, flags=0x31, optional=bytes(4))))
    assert capture.malformed[verdict.DROP_NOSEQ] == 1


def test_proper_signalling_is_counted_by_type(tmp_path: Path) -> None:
    frames = [
        message_frame(gtp(kind=1, flags=0x32, optional=bytes(4))),
        message_frame(gtp(kind=2, flags=0x32, optional=bytes(4) + b"\x0e\x00")),
        message_frame(gtp(kind=26, flags=0x32, optional=bytes(4), payload=bytes(9))),
    ]
    packets, capture = parse(tmp_path, pcap(frames))
    assert len(packets) == 0
    assert {k: int(n) for k, n in enumerate(capture.messages) if n} == {1: 1, 2: 1, 26: 1}
    assert not capture.malformed.any()


@pytest.mark.parametrize(
    ("message", "code"),
    [
        (gtp(kind=26, flags=0x50), verdict.DROP_VERSION),
        (gtp(kind=26, flags=0x20), verdict.DROP_PROTO),
        (gtp(kind=26)[:7], verdict.DROP_SHORT),
        (gtp(kind=26, length=1), verdict.DROP_LEN),
    ],
)
def test_malformed_signalling_is_counted_by_reason(
    message: bytes, code: int, tmp_path: Path
) -> None:
    """G7"""
    capture = no_packet(tmp_path, message_frame(message))
    assert capture.malformed[code] == 1
    assert capture.malformed.sum() == 1


@pytest.mark.parametrize(
    "kinds", [(0x85,), (0xC0,), (0x40, 0xC0), (0x81, 0x82, 0x83, 0x84), (0x20,), (0x03,), (0x77,)]
)
def test_known_and_optional_extension_headers_are_skipped(
    kinds: tuple[int, ...], tmp_path: Path
) -> None:
    """B13, B14, C8"""
    message = gtp(T_PDU, flags=0x34, optional=extensions(*kinds))
    packet = only(tmp_path, message_frame(message))
    assert packet["code"] == verdict.NONE
    assert (packet["length"], packet["dst_port"]) == (len(T_PDU), 443)


@pytest.mark.parametrize("kinds", [(0xC1,), (0xFF,), (0x85, 0xE0), (0x9A, 0x40)])
def test_an_unknown_extension_header_that_must_be_understood(
    kinds: tuple[int, ...], tmp_path: Path
) -> None:
    """B14"""
    message = gtp(T_PDU, flags=0x34, optional=extensions(*kinds))
    packet = only(tmp_path, message_frame(message))
    assert packet["code"] == verdict.DROP_EXT_REQUIRED
    assert packet["length"] == len(T_PDU)


@pytest.mark.parametrize(
    ("port", "code"),
    [
        (2152, verdict.DROP_GTP_IN_GTP),
        (2123, verdict.DROP_INFRA),
        (8805, verdict.DROP_INFRA),
        (2153, verdict.NONE),
    ],
)
@pytest.mark.parametrize("payload", [b"", gtp(b""), gtp(T_PDU)])
def test_a_tunnelled_packet_for_a_node_of_the_operator(
    port: int, code: int, payload: bytes, tmp_path: Path
) -> None:
    """B15, B16, C2, N7"""
    packet = only(tmp_path, g_pdu_frame(ipv4(udp(payload, dst=port), dst=PGW)))
    assert packet["code"] == code


@pytest.mark.parametrize("port", [2152, 2123, 8805])
def test_a_terminal_may_use_such_ports_with_anybody_else(port: int, tmp_path: Path) -> None:
    """B15, B16: they are in the range of ports that systems give out"""
    packet = only(tmp_path, g_pdu_frame(ipv4(udp(b"", dst=port), dst="198.51.100.7")))
    assert packet["code"] == verdict.NONE
    packet = only(tmp_path, g_pdu_frame(ipv4(udp(b"", dst=port), dst=SGW)))
    assert packet["code"] != verdict.NONE


@pytest.mark.parametrize(("dst", "code"), [("2001:db8::2", 26), ("2001:db8::1", 26), (SERVER6, 0)])
def test_nodes_of_an_ipv6_tunnel(dst: str, code: int, tmp_path: Path) -> None:
    """B16"""
    inner = ipv6(udp(b"", dst=2123), UE6, dst)
    outer = tunnel(gtp(inner), "2001:db8::1", "2001:db8::2")
    assert only(tmp_path, ethernet(outer))["code"] == code


def test_a_udp_length_of_0_hides_no_gtp(tmp_path: Path) -> None:
    """B15, B33"""
    packet = only(tmp_path, g_pdu_frame(ipv4(udp(gtp(T_PDU), dst=2152, length=0), dst=PGW)))
    assert packet["code"] == verdict.DROP_GTP_IN_GTP


def test_an_end_marker_is_no_user_traffic_whatever_it_carries(tmp_path: Path) -> None:
    """B22"""
    capture = no_packet(tmp_path, message_frame(gtp(T_PDU, kind=254)))
    assert capture.messages[254] == 1
    assert not capture.malformed.any()


def test_unused_fields_are_ignored_and_the_longest_datagram_is_read(tmp_path: Path) -> None:
    """B24"""
    inner = ipv4(udp(bytes(65_507 - 8 - 4 - 20 - 8)))
    message = gtp(inner, flags=0x3F, optional=b"\xde\xad\xbe\x00")
    assert len(message) == 65_507
    packet = only(tmp_path, message_frame(message))
    assert packet["code"] == verdict.NONE
    assert packet["length"] == len(inner)


def test_inner_ipv6_is_flagged(tmp_path: Path) -> None:
    inner = ipv6(udp(b"12345678", dst=53))
    packet = only(tmp_path, g_pdu_frame(inner))
    assert packet["length"] == len(inner)
    assert packet["flags"] == PACKET_GTP | PACKET_PORTS | PACKET_V6
    assert packet["dst_port"] == 53


def test_every_cut_of_a_g_pdu_is_read_without_harm(tmp_path: Path) -> None:
    """B63, G7"""
    frame = message_frame(gtp(T_PDU, flags=0x34, optional=extensions(0x85, 0xC0)))
    frames: list[Any] = [(0, frame[:size], len(frame)) for size in range(len(frame))]
    packets, capture = parse(tmp_path, pcap(frames), MODE_GTP)
    assert capture.frames == len(frame)
    assert {int(code) for code in packets["code"]} == {verdict.NONE, verdict.DROP_SHORT}
    assert capture.cut_packets == len(packets)
