"""pcap files: every variant, every way of being broken, and what is counted on the way."""

import os
import struct
from pathlib import Path
from typing import Any

import pytest

from engine import verdict
from engine.errors import CaptureError
from engine.layout import PACKET_CUT
from engine.wire import MODE_GTP, MODE_IP
from engine.wire.capture import Capture
from engine.wire.endpoints import Endpoints
from engine.wire.sniff import sniff
from tests.support.packets import (
    TIME_NS,
    Frame,
    enhanced,
    ethernet,
    g_pdu_frame,
    interface,
    ipv4,
    option,
    parse,
    pcap,
    pcap_header,
    read_all,
    record,
    section,
    udp,
)

PACKET = ipv4(udp(b"x" * 30))
FRAME = ethernet(PACKET)


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("magic", [0xA1B2C3D4, 0xA1B23C4D, 0xA1B2CD34])
def test_every_magic_number_is_read(magic: int, order: str, tmp_path: Path) -> None:
    """B57"""
    frames: list[Frame] = [(TIME_NS + k * 1000, FRAME, len(FRAME)) for k in range(3)]
    packets, capture = parse(tmp_path, pcap(frames, magic=magic, order=order), MODE_IP)
    exact = magic == 0xA1B23C4D
    begin_ns = TIME_NS if exact else TIME_NS // 1000 * 1000
    assert [int(t) for t in packets["time_ns"]] == [begin_ns + k * 1000 for k in range(3)]
    assert (capture.first_ns, capture.last_ns) == (begin_ns, begin_ns + 2000)
    assert (capture.frames, capture.frame_bytes) == (3, 3 * len(FRAME))
    assert capture.fault is None


@pytest.mark.parametrize("version", [(2, 2), (2, 3), (543, 0)])
def test_old_files_with_the_lengths_the_other_way_round(
    version: tuple[int, int], tmp_path: Path
) -> None:
    data = pcap_header(version=version) + struct.pack("<IIII", 1, 0, 1500, len(FRAME)) + FRAME
    packets, capture = parse(tmp_path, data, MODE_IP)
    assert len(packets) == 1
    assert capture.frame_bytes == 1500


@pytest.mark.parametrize(
    ("data", "offset", "words"),
    [
        (b"", 0, "empty"),
        (b"\xd4", 0, "magic"),
        (b"\xd4\xc3\xb2", 0, "magic"),
        (b"\xd4\xc3\xb2\xa1", 0, "cut off"),
        (pcap([])[:23], 0, "cut off"),
        (b"\0" * 100, 0, "magic"),
        (b"GET / HTTP/1.1\r\n", 0, "magic"),
    ],
)
def test_what_is_no_capture_is_named(data: bytes, offset: int, words: str, tmp_path: Path) -> None:
    """B51"""
    packets, capture = parse(tmp_path, data)
    assert len(packets) == 0
    assert capture.fault is not None
    assert capture.fault.offset == capture.truncated_at == offset
    assert words in str(capture.fault)
    assert str(capture.fault).startswith(f"{capture.path}: ")
    assert "\n" not in str(capture.fault)


@pytest.mark.parametrize("held", range(1, 16))
def test_a_record_header_that_is_cut_is_reported(held: int, tmp_path: Path) -> None:
    """B52, F24"""
    whole = pcap([FRAME])
    packets, capture = parse(tmp_path, whole + whole[24 : 24 + held], MODE_IP)
    assert len(packets) == 1
    assert capture.truncated_at == len(whole)
    assert "cut off" in str(capture.fault)


def test_a_frame_that_is_cut_is_not_counted(tmp_path: Path) -> None:
    """B52, F24"""
    whole = pcap([FRAME, FRAME])
    packets, capture = parse(tmp_path, whole[:-1], MODE_IP)
    assert len(packets) == capture.frames == 1
    assert capture.truncated_at == 24 + 16 + len(FRAME)


@pytest.mark.parametrize("held", [0xFFFF_FFFF, 262_145])
def test_a_captured_length_that_cannot_be_stops_the_reading(held: int, tmp_path: Path) -> None:
    """B53"""
    data = pcap([FRAME]) + struct.pack("<IIII", 1, 0, held, held) + bytes(300_000)
    packets, capture = parse(tmp_path, data, MODE_IP)
    assert len(packets) == 1
    assert capture.truncated_at == 24 + 16 + len(FRAME)
    assert "captured length" in str(capture.fault)


def test_the_longest_frame_is_read(tmp_path: Path) -> None:
    """B53"""
    frame = FRAME + bytes(262_144 - len(FRAME))
    packets, capture = parse(tmp_path, pcap([frame, FRAME]), MODE_IP, block_bytes=1000)
    assert len(packets) == 2
    assert capture.fault is None


def test_a_captured_length_past_the_file_is_a_cut(tmp_path: Path) -> None:
    """B53"""
    data = pcap([FRAME]) + struct.pack("<IIII", 1, 0, 100, 100) + bytes(99)
    packets, capture = parse(tmp_path, data, MODE_IP)
    assert len(packets) == 1
    assert capture.truncated_at == 24 + 16 + len(FRAME)


def test_a_wire_length_below_the_captured_one_is_ignored(tmp_path: Path) -> None:
    """B54"""
    packets, capture = parse(tmp_path, pcap([(0, FRAME, 7)]), MODE_IP)
    assert packets[0]["length"] == len(PACKET)
    assert packets[0]["flags"] & PACKET_CUT == 0
    assert capture.frame_bytes == len(FRAME)


def test_an_empty_frame_is_a_frame(tmp_path: Path) -> None:
    """B55"""
    packets, capture = parse(tmp_path, pcap([b"", (0, b"", 60), FRAME]), MODE_IP)
    assert len(packets) == 1
    assert (capture.frames, capture.frame_bytes) == (3, 60 + len(FRAME))


@pytest.mark.parametrize("wire", [0xFFFF_FFFF, (1 << 20) + 1])
def test_a_monstrous_wire_length_is_not_believed(wire: int, tmp_path: Path) -> None:
    """B56"""
    offloaded = ethernet(ipv4(udp(b"x"), total=0))
    packets, capture = parse(tmp_path, pcap([(0, offloaded, wire), (0, FRAME, wire)]), MODE_IP)
    assert [int(length) for length in packets["length"]] == [29, len(PACKET)]
    assert capture.frame_bytes == len(offloaded) + len(FRAME)


def test_a_long_offloaded_packet_is_believed(tmp_path: Path) -> None:
    """B56"""
    offloaded = ethernet(ipv4(udp(b"x"), total=0))
    packets, capture = parse(tmp_path, pcap([(0, offloaded, 70_014)]), MODE_IP)
    assert packets[0]["length"] == 70_000
    assert packets[0]["flags"] & PACKET_CUT
    assert capture.frame_bytes == 70_014


def test_microseconds_beyond_a_second_are_added_up(tmp_path: Path) -> None:
    """B57"""
    data = pcap_header() + record(5, 3_000_001, FRAME, len(FRAME))
    packets, _ = parse(tmp_path, data, MODE_IP)
    assert packets[0]["time_ns"] == 8_000_001_000
    largest = pcap_header() + record(0xFFFF_FFFF, 0xFFFF_FFFF, FRAME, len(FRAME))
    packets, _ = parse(tmp_path, largest, MODE_IP)
    assert packets[0]["time_ns"] == 0xFFFF_FFFF * (10**9 + 1000)


def test_time_that_goes_back_is_held_and_counted(tmp_path: Path) -> None:
    """B58, U4"""
    times = [2 * 10**18, 10**18, 0, 2 * 10**18, 4 * 10**18, 2 * 10**18 + 1]
    packets, capture = parse(tmp_path, pcap([(t, FRAME) for t in times]), MODE_IP)
    held = [2 * 10**18] * 4 + [4 * 10**18] * 2
    assert [int(t) for t in packets["time_ns"]] == held
    assert capture.time_regressions == 3
    assert (capture.first_ns, capture.last_ns) == (0, 4 * 10**18)


def test_frames_that_are_no_packets_move_the_clock_too(tmp_path: Path) -> None:
    """B58"""
    arp = bytes(12) + b"\x08\x06" + bytes(28)
    packets, capture = parse(tmp_path, pcap([(5000, arp), (1000, FRAME)]), MODE_IP)
    assert packets[0]["time_ns"] == 5000
    assert len(packets) == 1
    assert capture.frames == 2
    assert capture.time_regressions == 1


@pytest.mark.parametrize("held", [34, 42, 50])
def test_a_packet_cut_by_the_capture_is_charged_by_its_header(held: int, tmp_path: Path) -> None:
    """B63"""
    packets, capture = parse(tmp_path, pcap([(0, FRAME[:held], len(FRAME))]), MODE_IP)
    assert packets[0]["code"] == verdict.NONE
    assert packets[0]["length"] == len(PACKET)
    assert packets[0]["flags"] & PACKET_CUT
    assert capture.cut_packets == 1
    assert capture.frame_bytes == len(FRAME)


def test_a_g_pdu_cut_at_96_bytes_is_charged_by_its_header(tmp_path: Path) -> None:
    """B63"""
    inner = ipv4(udp(bytes(1400)))
    frame = g_pdu_frame(inner)
    packets, capture = parse(tmp_path, pcap([(0, frame[:96], len(frame))]), MODE_GTP)
    assert (packets[0]["code"], packets[0]["length"]) == (verdict.NONE, len(inner))
    assert packets[0]["dst_port"] == 443
    assert capture.cut_packets == 1


def test_a_cut_packet_whose_lengths_disagree_is_dropped(tmp_path: Path) -> None:
    """B63"""
    packets, _ = parse(tmp_path, pcap([(0, FRAME[:34], len(FRAME) - 1)]), MODE_IP)
    assert packets[0]["code"] == verdict.DROP_LEN


def test_padding_that_was_cut_does_not_make_a_packet_cut(tmp_path: Path) -> None:
    """B63"""
    packets, capture = parse(tmp_path, pcap([(0, FRAME, len(FRAME) + 6)]), MODE_IP)
    assert packets[0]["flags"] & PACKET_CUT == 0
    assert capture.cut_packets == 0


def test_missing_files_and_folders_are_named_when_they_are_opened(tmp_path: Path) -> None:
    """B62"""
    for path in (tmp_path / "none.pcap", tmp_path):
        with pytest.raises(CaptureError, match="cannot open") as caught:
            Capture(str(path), Endpoints(), MODE_GTP)
        assert str(path) in str(caught.value)
        assert caught.value.exit_status == 4


def test_a_device_without_an_end_or_a_beginning_is_no_capture() -> None:
    """B62"""
    for path, words in (("/dev/zero", "magic"), ("/dev/null", "empty")):
        capture = Capture(path, Endpoints(), MODE_GTP)
        assert len(read_all(capture)) == 0
        assert words in str(capture.fault)
        assert capture.size_bytes is None


def test_a_link_to_a_capture_is_followed(tmp_path: Path) -> None:
    """B62"""
    (tmp_path / "real").write_bytes(pcap([FRAME]))
    (tmp_path / "link").symlink_to("real")
    capture = Capture(str(tmp_path / "link"), Endpoints(), MODE_IP)
    assert len(read_all(capture)) == 1
    assert capture.size_bytes == capture.consumed_bytes == os.path.getsize(tmp_path / "real")


def test_batches_are_views_of_one_buffer_and_of_the_size_asked_for(tmp_path: Path) -> None:
    (tmp_path / "capture").write_bytes(pcap([(1000 * k, FRAME) for k in range(10)]))
    capture = Capture(str(tmp_path / "capture"), Endpoints(), MODE_IP, rows_max=4)
    batches: list[Any] = []
    for batch in capture:
        assert int(batch["time_ns"][0]) == 4000 * len(batches)
        batches.append(batch)
    assert [len(batch) for batch in batches] == [4, 4, 2]
    assert batches[0].base is batches[1].base


def test_a_reader_that_stops_early_leaves_no_file_open(tmp_path: Path) -> None:
    (tmp_path / "capture").write_bytes(pcap([FRAME] * 10))
    capture = Capture(str(tmp_path / "capture"), Endpoints(), MODE_IP, rows_max=1)
    batches = iter(capture)
    next(batches)
    capture.close()
    assert capture.frames == 1
    del batches


def test_sniff_tells_tunnels_from_bare_packets(tmp_path: Path) -> None:
    path = tmp_path / "capture"
    path.write_bytes(pcap([FRAME] * 3 + [g_pdu_frame(PACKET)]))
    assert sniff(str(path)) == MODE_GTP
    path.write_bytes(pcap([FRAME, g_pdu_frame(PACKET, kind=26)]))
    assert sniff(str(path)) == MODE_IP
    path.write_bytes(b"nonsense")
    assert sniff(str(path)) == MODE_IP
    with pytest.raises(CaptureError):
        sniff(str(tmp_path / "none"))


def test_sniff_looks_at_the_first_16_mb_only(tmp_path: Path) -> None:
    path = tmp_path / "capture"
    big = FRAME + bytes(262_144 - len(FRAME))
    path.write_bytes(pcap([big] * 64 + [g_pdu_frame(PACKET)]))
    assert sniff(str(path)) == MODE_IP
    path.write_bytes(pcap([big] * 63 + [g_pdu_frame(PACKET)]))
    assert sniff(str(path)) == MODE_GTP


def test_the_first_packet_before_1970_is_held_at_1970(tmp_path: Path) -> None:
    """B58: pcapng alone can say so, by its offset option"""
    offset = option(14, struct.pack("<q", -10))
    data = section() + interface(options=offset) + enhanced(FRAME, 3_000_000)
    packets, capture = parse(tmp_path, data, MODE_IP)
    assert packets[0]["time_ns"] == 0
    assert capture.first_ns == -7 * 10**9
    assert capture.time_regressions == 1
