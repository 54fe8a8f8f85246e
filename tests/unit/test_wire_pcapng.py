"""pcapng files: blocks, sections, interfaces and their clocks, and every way of being broken."""

import struct
from fractions import Fraction
from pathlib import Path

import pytest

from engine import verdict
from engine.layout import PACKET_CUT
from engine.wire import MODE_IP
from engine.wire.capture import INTERFACES_MAX, Capture
from tests.support.packets import (
    block,
    enhanced,
    ethernet,
    interface,
    ipv4,
    ipv6,
    obsolete,
    option,
    parse,
    section,
    simple,
    udp,
)

PACKET = ipv4(udp(b"x" * 33))
FRAME = ethernet(PACKET)
HEAD = section() + interface()


def fault_of(folder: Path, data: bytes) -> Capture:
    _, capture = parse(folder, data, MODE_IP)
    assert capture.fault is not None
    assert capture.fault.offset == capture.truncated_at
    return capture


@pytest.mark.parametrize("order", ["<", ">"])
def test_every_kind_of_packet_block_is_read(order: str, tmp_path: Path) -> None:
    data = (
        section(order)
        + interface(1, order=order)
        + interface(101, order=order)
        + enhanced(FRAME, 5, order=order)
        + obsolete(PACKET, 6, number=1, order=order)
        + simple(FRAME, order=order)
        + enhanced(PACKET, 7, number=1, order=order)
    )
    packets, capture = parse(tmp_path, data, MODE_IP)
    assert capture.fault is None
    assert [int(t) for t in packets["time_ns"]] == [5000, 6000, 6000, 7000]
    assert [int(n) for n in packets["length"]] == [len(PACKET)] * 4
    assert capture.link_types == (1, 101)
    assert capture.time_regressions == 0
    assert (capture.first_ns, capture.last_ns) == (5000, 7000)


def test_other_blocks_are_passed_over(tmp_path: Path) -> None:
    """B62"""
    others = [block(k, bytes(8)) for k in (4, 5, 10, 0xBAD, 0x4000_0BAD, 0x8000_0001, 0)]
    data = HEAD + b"".join(others) + enhanced(FRAME) + others[0]
    packets, capture = parse(tmp_path, data, MODE_IP)
    assert len(packets) == capture.frames == 1
    assert capture.fault is None


def test_empty_custom_blocks_without_number_are_passed_over(tmp_path: Path) -> None:
    """B62"""
    data = HEAD + block(0xBAD, b"") * 20_000 + enhanced(FRAME)
    packets, capture = parse(tmp_path, data, MODE_IP, block_bytes=1 << 16)
    assert len(packets) == 1
    assert capture.fault is None


@pytest.mark.parametrize("size", [1 << 20, (1 << 20) + 4 * 499, 1 << 19, (1 << 19) - 12])
def test_a_block_larger_than_the_buffer_is_passed_over_unheld(size: int, tmp_path: Path) -> None:
    """B62"""
    data = HEAD + block(0xBAD, bytes(size)) + enhanced(FRAME)
    packets, capture = parse(tmp_path, data, MODE_IP, block_bytes=1000)
    assert len(packets) == 1
    assert capture.fault is None
    assert capture._buffer.size < 1 << 20
    wrong = HEAD + block(0xBAD, bytes(size))[:-4] + b"\0\0\0\0" + enhanced(FRAME)
    assert "lengths differ" in str(fault_of(tmp_path, wrong).fault)
    for cut in (1, 4, 5, 5000):
        short = HEAD + block(0xBAD, bytes(size))[:-cut]
        assert fault_of(tmp_path, short).truncated_at == len(HEAD)


@pytest.mark.parametrize("size", [0, 8, 11, 33, 0xFFFF_FFFC])
@pytest.mark.parametrize("kind", [1, 2, 3, 6, 0xBAD])
def test_a_block_length_that_cannot_be_is_reported(kind: int, size: int, tmp_path: Path) -> None:
    """B59"""
    data = HEAD + enhanced(FRAME) + struct.pack("<II", kind, size) + bytes(40)
    packets, capture = parse(tmp_path, data, MODE_IP)
    assert len(packets) == 1
    assert capture.truncated_at == len(HEAD) + len(enhanced(FRAME))


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (HEAD + enhanced(FRAME)[:-4] + bytes(4), "lengths differ"),
        (HEAD + block(0xBAD, b"")[:-4] + bytes(4), "lengths differ"),
        (section()[:-4] + bytes(4), "lengths differ"),
        (section() + interface()[:-4] + bytes(4), "lengths differ"),
        (section()[:4] + struct.pack("<I", 24) + section()[8:], "block length"),
        (section()[:8] + bytes(20), "byte-order"),
        (section(version=(2, 0)), "version 2.0"),
        (section()[:11], "cut off"),
        (section()[:20], "cut off"),
        (HEAD + enhanced(FRAME)[:-1], "cut off"),
        (HEAD + b"\6\0\0", "cut off"),
    ],
)
def test_a_broken_block_is_reported(data: bytes, words: str, tmp_path: Path) -> None:
    """B59"""
    assert words in str(fault_of(tmp_path, data).fault)


def test_a_packet_block_larger_than_any_packet_is_reported(tmp_path: Path) -> None:
    """B59"""
    assert "longer" in str(fault_of(tmp_path, HEAD + block(6, bytes(600_000))).fault)


@pytest.mark.parametrize(
    "data",
    [
        section() + enhanced(FRAME),
        section() + simple(FRAME),
        HEAD + enhanced(FRAME, number=1),
        HEAD + enhanced(FRAME, number=9999),
        HEAD + obsolete(FRAME, number=0xFFFF),
        HEAD + section() + enhanced(FRAME),
    ],
)
def test_a_packet_of_an_undeclared_interface_is_reported(data: bytes, tmp_path: Path) -> None:
    """B60"""
    assert "not declared" in str(fault_of(tmp_path, data).fault)


def test_a_section_of_the_other_byte_order_begins_anew(tmp_path: Path) -> None:
    """B60"""
    data = (
        HEAD
        + enhanced(FRAME, 1)
        + section(">")
        + interface(101, order=">")
        + interface(147, order=">")
        + enhanced(PACKET, 2, order=">")
        + enhanced(PACKET, 3, number=1, order=">")
        + section()
        + interface(229)
        + enhanced(ipv6(udp()), 4)
    )
    packets, capture = parse(tmp_path, data, MODE_IP)
    assert [int(t) for t in packets["time_ns"]] == [1000, 2000, 4000]
    assert capture.link_types == (1, 101, 147, 229)
    assert capture.unsupported == {147: 1}
    assert capture.fault is None


def test_many_interfaces_and_no_more(tmp_path: Path) -> None:
    """B62"""
    some = section() + interface(101) * 99 + interface(1) + enhanced(FRAME, number=99)
    packets, capture = parse(tmp_path, some, MODE_IP)
    assert len(packets) == 1
    assert capture.link_types == (1,)
    capture._state[5] = INTERFACES_MAX
    assert "more than 65536" in str(capture._interface(interface(), False))


CLOCKS = [
    (None, 1_383_609_600_123_456),
    (0, 1_383_609_600),
    (3, 1_383_609_600_123),
    (6, (1 << 53) - 1),
    (9, (1 << 63) - 1),
    (10, 13_836_096_001_234_567_899),
    (12, (1 << 64) - 1),
    (19, (1 << 64) - 1),
    (0x80, 1_383_609_600),
    (0x80 | 1, 3),
    (0x80 | 20, 1_383_609_600 << 20 | 0xFFFFF),
    (0x80 | 31, (1_383_609_600 << 31) | 0x7FFF_FFFF),
    (0x80 | 32, (1_383_609_600 << 32) | 0xFFFF_FFFF),
    (0x80 | 33, (1_383_609_600 << 33) | 0x1_FFFF_FFFF),
    (0x80 | 48, (1 << 64) - 1),
    (0x80 | 63, (1 << 64) - 1),
]


@pytest.mark.parametrize(("tsresol", "units"), CLOCKS)
def test_every_clock_is_read_exactly(tsresol: int | None, units: int, tmp_path: Path) -> None:
    """B61: against fractions, rounded down to a nanosecond"""
    options = b"" if tsresol is None else option(9, bytes([tsresol])) + option(0, b"")
    data = section() + interface(options=options) + enhanced(FRAME, units)
    packets, capture = parse(tmp_path, data, MODE_IP)
    resolution = 6 if tsresol is None else tsresol
    per_second = 2 ** (resolution & 0x7F) if resolution & 0x80 else 10**resolution
    assert packets[0]["time_ns"] == Fraction(units, per_second) * 10**9 // 1
    assert capture.time_regressions == 0


@pytest.mark.parametrize(
    ("tsresol", "units"),
    [
        (0, 1 << 40),
        (0, 1 << 63),
        (6, 1 << 60),
        (9, 1 << 63),
        (0x80, 1 << 34),
        (0x80, (1 << 64) - 1),
        (0x80 | 20, (1 << 64) - 1),
    ],
)
def test_a_stamp_beyond_64_bits_of_ns_is_held_and_counted(
    tsresol: int, units: int, tmp_path: Path
) -> None:
    """B58, B61"""
    options = option(9, bytes([tsresol]))
    data = section() + interface(options=options) + enhanced(FRAME, 1) + enhanced(FRAME, units)
    packets, capture = parse(tmp_path, data, MODE_IP)
    assert packets[0]["time_ns"] == packets[1]["time_ns"] == capture.last_ns
    assert capture.time_regressions == 1


def test_a_clock_offset_is_added(tmp_path: Path) -> None:
    """B61"""
    options = option(14, struct.pack("<q", 1_000_000_000)) + option(0, b"")
    data = section() + interface(options=options) + enhanced(FRAME, 5)
    packets, _ = parse(tmp_path, data, MODE_IP)
    assert packets[0]["time_ns"] == 10**18 + 5000
    late = option(14, struct.pack("<q", 9_000_000_000)) + option(9, b"\x09")
    data = section() + interface(options=late) + enhanced(FRAME, 1 << 62)
    packets, capture = parse(tmp_path, data, MODE_IP)
    assert (packets[0]["time_ns"], capture.time_regressions) == (0, 1)


@pytest.mark.parametrize(
    "options",
    [
        option(9, b"\xc0"),
        option(9, b"\xff"),
        option(9, b"\x14"),
        option(9, b"\x7f"),
        option(9, b"\x06") + option(9, b"\x06"),
        option(9, b"\x06\x00"),
        option(9, b""),
        option(14, bytes(4)),
        option(14, bytes(8)) + option(14, bytes(8)),
        option(14, struct.pack("<q", (1 << 63) - 1)),
        option(14, struct.pack("<q", -(1 << 63))),
        option(14, struct.pack("<q", 9_223_372_037)),
    ],
)
def test_an_impossible_clock_is_reported(options: bytes, tmp_path: Path) -> None:
    """B61"""
    data = HEAD + enhanced(FRAME) + interface(options=options) + enhanced(FRAME)
    capture = fault_of(tmp_path, data)
    assert capture.truncated_at == len(HEAD) + len(enhanced(FRAME))
    assert "time-stamp" in str(capture.fault)
    assert capture.frames == 1


def test_options_that_run_past_their_block_are_reported(tmp_path: Path) -> None:
    """B62"""
    data = section() + interface(options=struct.pack("<HH", 2, 400) + bytes(8))
    assert "runs past its block" in str(fault_of(tmp_path, data).fault)


def test_options_behind_the_last_one_and_scraps_are_ignored(tmp_path: Path) -> None:
    """B62"""
    options = option(2, b"eth0") + option(0, b"") + option(9, b"\xff")
    data = section() + interface(options=options) + enhanced(FRAME)
    assert parse(tmp_path, data, MODE_IP)[1].fault is None


@pytest.mark.parametrize("held", [len(FRAME) + 1, 0xFFFF_FFFF, 262_145])
def test_a_captured_length_beyond_its_block_is_reported(held: int, tmp_path: Path) -> None:
    """B53"""
    padded = FRAME + bytes(-len(FRAME) % 4)
    claimed = min(held + len(padded) - len(FRAME), 0xFFFF_FFFF)
    body = struct.pack("<IIIII", 0, 0, 0, claimed, held) + padded
    data = HEAD + enhanced(FRAME) + block(6, body)
    capture = fault_of(tmp_path, data)
    assert capture.frames == 1
    assert "captured length" in str(capture.fault)


def test_a_simple_packet_is_cut_at_the_snap_length(tmp_path: Path) -> None:
    """B63"""
    data = section() + interface(snaplen=50) + simple(FRAME[:50], len(FRAME))
    packets, capture = parse(tmp_path, data, MODE_IP)
    assert packets[0]["length"] == len(PACKET)
    assert packets[0]["flags"] & PACKET_CUT
    assert packets[0]["code"] == verdict.NONE
    assert capture.frame_bytes == len(FRAME)


def test_a_simple_packet_of_an_offloaded_monster_is_bounded(tmp_path: Path) -> None:
    """B53, B56"""
    body = struct.pack("<I", 300_000) + bytes(300_000)
    assert "captured length" in str(fault_of(tmp_path, HEAD + block(3, body)).fault)


def test_a_packet_cut_by_its_snap_length_keeps_its_length(tmp_path: Path) -> None:
    """B63"""
    data = HEAD + enhanced(FRAME[:40], wire=len(FRAME))
    packets, capture = parse(tmp_path, data, MODE_IP)
    assert packets[0]["length"] == len(PACKET)
    assert capture.cut_packets == 1
