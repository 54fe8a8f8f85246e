"""From a frame to its IP header, for every link type that is looked into."""

import struct
from pathlib import Path

import pytest

from engine import verdict
from engine.wire import MODE_IP
from engine.wire.addresses import format_address
from tests.support.packets import SERVER, SERVER6, UE, UE6, ethernet, ipv4, ipv6, parse, pcap, udp

V4 = ipv4(udp(b"payload!"))
V6 = ipv6(udp(b"payload!"))
MACS = bytes(12)
SNAP = bytes.fromhex("aaaa03000000")


def sll(kind: int, hardware: int = 1) -> bytes:
    return struct.pack("!HHH8sH", 0, hardware, 6, bytes(8), kind)


def sll2(kind: int, hardware: int = 1) -> bytes:
    return struct.pack("!HHIHBB8s", kind, 0, 1, hardware, 0, 6, bytes(8))


def bottom(more: int = 0) -> bytes:
    """An MPLS label stack: some labels and the bottom one."""
    return bytes.fromhex("0001f040") * more + bytes.fromhex("0001f140")


def typed(kind: int, *rest: bytes) -> bytes:
    return MACS + struct.pack("!H", kind) + b"".join(rest)


FOUND = {
    "ethernet": (1, ethernet(V4)),
    "ethernet-v6": (1, ethernet(V6)),
    "vlan": (1, ethernet(V4, 0x8100)),
    "qinq": (1, ethernet(V6, 0x88A8, 0x8100)),
    "old-tags": (1, ethernet(V4, 0x9100, 0x9200, 0x9300)),
    "forty-tags": (1, ethernet(V4, *[0x8100] * 40)),
    "snap": (1, typed(8 + len(V4), SNAP, b"\x08\x00", V4)),
    "vlan-snap": (1, typed(0x8100, struct.pack("!HH", 5, 100), SNAP, b"\x86\xdd", V6)),
    "mpls": (1, typed(0x8847, bottom(), V4)),
    "mpls-three": (1, typed(0x8848, bottom(2), V6)),
    "pseudowire": (1, typed(0x8847, bottom(), bytes(4), ethernet(V4, 0x8100))),
    "fabricpath": (1, typed(0x8903, b"\x40\x20", ethernet(V4, 0x8100))),
    "pppoe": (1, typed(0x8864, bytes.fromhex("110000010020"), b"\x00\x21", V4)),
    "pppoe-v6-short": (1, typed(0x8864, bytes.fromhex("110000010020"), b"\x57", V6)),
    "ppp": (9, b"\xff\x03\x00\x21" + V4),
    "ppp-bare": (9, b"\x00\x57" + V6),
    "ppp-short": (9, b"\xff\x03\x21" + V4),
    "ppp-mpls": (9, b"\xff\x03\x02\x81" + bottom(1) + V6),
    "ppp-hdlc": (50, b"\xff\x03\x00\x21" + V4),
    "ppp-cisco": (50, b"\x0f\x00\x08\x00" + V4),
    "ppp-cisco-multicast": (50, b"\x8f\x00\x86\xdd" + V6),
    "pppoe-link": (51, bytes.fromhex("110000010020") + b"\x00\x21" + V4),
    "c-hdlc": (104, b"\x0f\x00\x08\x00" + V4),
    "null-little": (0, struct.pack("<I", 2) + V4),
    "null-big": (0, struct.pack(">I", 2) + V4),
    "null-v6-linux": (0, struct.pack("<I", 10) + V6),
    "null-v6-bsd": (0, struct.pack(">I", 24) + V6),
    "null-v6-freebsd": (0, struct.pack("<I", 28) + V6),
    "null-v6-darwin": (0, struct.pack("<I", 30) + V6),
    "loop": (108, struct.pack(">I", 2) + V4),
    "raw": (101, V4),
    "raw-12": (12, V6),
    "raw-14": (14, V4),
    "ipv4": (228, V4),
    "ipv6": (229, V6),
    "sll": (113, sll(0x0800) + V4),
    "sll-vlan": (113, sll(0x8100) + b"\x00\x05\x86\xdd" + V6),
    "sll-llc": (113, sll(4) + SNAP + b"\x08\x00" + V4),
    "sll2": (276, sll2(0x86DD) + V6),
    "sll2-llc": (276, sll2(4) + SNAP + b"\x08\x00" + V4),
    "fcs-bits": (1 | 0x24000000, ethernet(V4) + b"\xde\xad\xbe\xef"),
}


@pytest.mark.parametrize("name", FOUND)
def test_the_ip_header_is_found(name: str, tmp_path: Path) -> None:
    link, frame = FOUND[name]
    packets, capture = parse(tmp_path, pcap([frame], link), MODE_IP)
    assert len(packets) == 1
    source = format_address(packets[0]["src_hi"], packets[0]["src_lo"])
    destination = format_address(packets[0]["dst_hi"], packets[0]["dst_lo"])
    assert (source, destination) in ((UE, SERVER), (UE6, SERVER6))
    assert packets[0]["code"] == verdict.NONE
    assert packets[0]["length"] == (len(V4) if source == UE else len(V6))
    assert capture.link_types == (link & 0xFFFF,)
    assert capture.unsupported == {}


@pytest.mark.parametrize("name", FOUND)
def test_a_frame_cut_anywhere_is_no_harm(name: str, tmp_path: Path) -> None:
    """G7"""
    link, frame = FOUND[name]
    frames = [(0, frame[:size], len(frame)) for size in range(len(frame))]
    packets, capture = parse(tmp_path, pcap(frames, link), MODE_IP)
    assert capture.fault is None
    assert capture.frames == len(frame)
    assert len(packets) <= len(frame)
    size = len(V4) if V4 in frame else len(V6)
    assert [int(length) for length in packets["length"]] == [size] * len(packets)


NOT_FOUND = {
    "arp": (1, typed(0x0806, bytes(28))),
    "short-ethernet": (1, bytes(13)),
    "llc-not-snap": (1, typed(100, b"\x42\x42\x03", bytes(60))),
    "labels-without-bottom": (1, typed(0x8847, bytes.fromhex("0001f040") * 3)),
    "labels-and-nothing": (1, typed(0x8847, bottom())),
    "labels-and-other": (1, typed(0x8847, bottom(), b"\x10" + bytes(40))),
    "fabricpath-short": (1, typed(0x8903, b"\x40\x20")),
    "ppp-lcp": (9, b"\xff\x03\xc0\x21" + bytes(8)),
    "ppp-tiny": (9, b"\xff\x03\x21"),
    "ppp-mpls-endless": (9, b"\xff\x03\x02\x81" + bytes(4)),
    "pppoe-tiny": (51, bytes(7)),
    "hdlc-tiny": (50, b"\xff\x03"),
    "c-hdlc-tiny": (104, b"\x0f"),
    "null-other": (0, struct.pack("<I", 7) + V4),
    "null-tiny": (0, b"\x02"),
    "sll-tiny": (113, bytes(15)),
    "sll2-tiny": (276, bytes(19)),
    "sll-netlink": (113, sll(0x0800, 824) + V4),
    "sll2-netlink": (276, sll2(0x0800, 824) + V4),
    "sll-number": (113, sll(1) + V4),
    "sll2-number": (276, sll2(1) + V4),
}


@pytest.mark.parametrize("name", NOT_FOUND)
def test_what_is_no_ip_is_only_counted(name: str, tmp_path: Path) -> None:
    link, frame = NOT_FOUND[name]
    packets, capture = parse(tmp_path, pcap([frame], link), MODE_IP)
    assert len(packets) == 0
    assert capture.frames == 1
    assert capture.frame_bytes == len(frame)
    assert not capture.malformed.any()


@pytest.mark.parametrize(
    ("link", "frame"),
    [
        (1, MACS + b"\x08\x00" + V6),
        (1, MACS + b"\x86\xdd" + V4),
        (1, MACS + b"\x08\x00" + b"\x05" + V4[1:]),
        (101, b"\x00" + V4[1:]),
        (228, V6),
        (229, V4),
        (9, b"\x00\x57" + V4),
        (0, struct.pack("<I", 2) + V6),
    ],
)
def test_a_version_that_contradicts_the_link_layer_is_a_fault(
    link: int, frame: bytes, tmp_path: Path
) -> None:
    """B28"""
    packets, capture = parse(tmp_path, pcap([frame], link), MODE_IP)
    assert len(packets) == 0
    assert capture.malformed[verdict.DROP_IPVER] == 1


def test_frames_of_other_link_types_are_counted_by_type(tmp_path: Path) -> None:
    packets, capture = parse(tmp_path, pcap([V4, V4], 147), MODE_IP)
    assert len(packets) == 0
    assert capture.unsupported == {147: 2}
    assert capture.link_types == (147,)


def test_without_a_frame_the_declared_link_type_stands(tmp_path: Path) -> None:
    _, capture = parse(tmp_path, pcap([], 113), MODE_IP)
    assert capture.link_types == (113,)
    assert capture.unsupported == {}
    assert (capture.first_ns, capture.last_ns) == (None, None)
