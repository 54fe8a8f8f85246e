"""Captures that keep their frames: where they lie, which are kept, and how batches of them are joined."""

import itertools
from pathlib import Path
from typing import Any

import pytest

from engine import verdict
from engine.replay.ahead import Ahead
from engine.wire import MODE_GTP, MODE_IP
from engine.wire.capture import BLOCK_BYTES_READ, BLOCK_KEPT_BYTES, Capture
from engine.wire.endpoints import Endpoints
from engine.wire.kept import Kept
from engine.wire.merge import merge_kept
from tests.support.packets import (
    TIME_NS,
    Frame,
    enhanced,
    ethernet,
    g_pdu_frame,
    gtp,
    interface,
    ipv4,
    option,
    pcap,
    pcap_header,
    pcapng,
    section,
    tunnel,
    udp,
)

PDU = ipv4(udp(b"payload"))
ARP = bytes(12) + b"\x08\x06" + bytes(28)
ECHO = ethernet(tunnel(gtp(kind=1, flags=0x32, optional=bytes(4), teid=0)))
SHORT = ethernet(tunnel(b"\x30"))
OLD = ethernet(tunnel(gtp(PDU, flags=0x48)))
"""a G-PDU of a version that there is not: it has a row, with its drop code"""


def kept(path: Path, data: bytes, mode: int = MODE_GTP, **options: Any) -> list[tuple[Any, ...]]:
    """(number, packet's place, bytes, payload's bytes, time, length on the wire, code) of every frame."""
    path.write_bytes(data)
    capture = Capture(str(path), Endpoints(), mode, keep=True, **options)
    found: list[tuple[Any, ...]] = []
    rows = 0
    for batch in capture:
        for frame in capture.kept:
            begin, end = int(frame["start"]), int(frame["start"] + frame["held"])
            content = capture.data[begin:end].tobytes()
            inner = content[int(frame["payload"]) :] if frame["payload"] >= 0 else b""
            place = int(frame["packet"])
            if place >= 0:
                assert batch[place]["time_ns"] == frame["time_ns"]
                place += rows
            figures = (int(frame["time_ns"]), int(frame["wire"]), int(frame["code"]))
            found.append((int(frame["number"]), place, content, inner, *figures))
        rows += len(batch)
    assert capture.fault is None
    return found


FRAMES: list[Frame] = [
    (TIME_NS, ARP),
    (TIME_NS + 1, g_pdu_frame(PDU)),
    (TIME_NS + 2, ECHO),
    (TIME_NS + 3, SHORT),
    (TIME_NS + 3, g_pdu_frame(PDU, teid=2)[:60], 77),
    (TIME_NS + 9, OLD),
    (TIME_NS + 8, SHORT),
]
"""what is kept of them: number, packet, malformed code"""
EXPECTED = [
    (2, 0, verdict.NONE),
    (4, -1, verdict.DROP_SHORT),
    (5, 1, verdict.NONE),
    (6, 2, verdict.NONE),
    (7, -1, verdict.DROP_SHORT),
]


@pytest.mark.parametrize("rows_max", [1, 2, 3, 100])
@pytest.mark.parametrize("block_bytes", [100, 333, None])
@pytest.mark.parametrize("form", ["pcap", "pcapng"])
def test_frames_that_matter_are_kept_with_their_bytes(
    form: str, block_bytes: int | None, rows_max: int, tmp_path: Path
) -> None:
    """G8: numbered from 1 as they stand in the file, whatever the batch; signalling and ARP are not kept"""
    data = pcapng(FRAMES) if form == "pcapng" else pcap(FRAMES, magic=0xA1B23C4D)
    found = kept(tmp_path / "a", data, rows_max=rows_max, block_bytes=block_bytes)
    assert [(number, packet, code) for number, packet, *_, code in found] == EXPECTED
    for number, packet, content, inner, time_ns, wire, _ in found:
        given: Any = FRAMES[number - 1]
        assert content == given[1]
        assert wire == (given[2] if len(given) > 2 else len(given[1]))
        assert time_ns == max(frame[0] for frame in FRAMES[:number])
        start = 42 if given[1] == OLD else 50  # what the message holds could not be found
        assert inner == (given[1][start:] if packet >= 0 else b"")


def test_bare_packets_are_kept_from_their_ip_header_on(tmp_path: Path) -> None:
    """B26, B28"""
    broken = ethernet(ipv4(version=5)), ethernet(PDU[:10])
    frames = [ethernet(PDU, 0x8100), *broken, ethernet(ipv4(total=999))]
    found = kept(tmp_path / "a", pcap(frames), MODE_IP)
    assert [content for _, _, content, *_ in found] == frames
    assert [code for *_, code in found] == [0, verdict.DROP_IPVER, verdict.DROP_SHORT, 0]
    assert [inner for _, _, _, inner, *_ in found] == [PDU, b"", b"", ipv4(total=999)]


@pytest.mark.parametrize("held", [0, 3, 61])
def test_a_checksum_behind_the_frame_is_not_kept(held: int, tmp_path: Path) -> None:
    """B57: it would be taken for a part of the packet where the file does not speak of it"""
    frame = PDU + b"FCS!"
    header = pcap_header(2 << 28 | 1 << 26 | 101)
    data = pcap([(0, frame[:held], len(frame)), frame])[24:]
    found = kept(tmp_path / "a", header + data, MODE_IP)
    whole = found[-1]
    assert (whole[2], whole[5]) == (PDU, len(PDU))
    assert found[0][2] == frame[: min(held, len(PDU))]


def test_a_frame_shorter_than_its_checksum_is_empty(tmp_path: Path) -> None:
    """B55"""
    header = pcap_header(2 << 28 | 1 << 26 | 101)
    ((_, packet, content, _, _, wire, code),) = kept(
        tmp_path / "a", header + pcap([b"ab"])[24:], MODE_IP
    )
    assert (packet, content, wire, code) == (-1, b"", 0, verdict.DROP_SHORT)


def test_interfaces_and_their_link_types(tmp_path: Path) -> None:
    """B60"""
    parts = [section(), interface(1), interface(101), enhanced(PDU, number=1)]
    parts += [enhanced(ethernet(PDU)), section(">"), interface(228, order=">")]
    parts.append(enhanced(PDU, order=">"))
    (tmp_path / "a").write_bytes(b"".join(parts))
    capture = Capture(str(tmp_path / "a"), Endpoints(), MODE_IP, keep=True)
    assert [int(link) for _ in capture for link in capture.kept["link"]] == [101, 1, 228]


def test_what_is_kept_is_read_in_larger_blocks(tmp_path: Path) -> None:
    """a batch ends with its block, as its bytes do"""
    frame = ethernet(ipv4(udp(bytes(1_400))))
    (tmp_path / "a").write_bytes(pcap([frame] * 400))
    sizes = [
        [len(batch) for batch in Capture(str(tmp_path / "a"), Endpoints(), MODE_IP, keep=keep)]
        for keep in (False, True)
    ]
    assert sizes == [[400], [400]]
    assert BLOCK_BYTES_READ < 400 * len(frame) < BLOCK_KEPT_BYTES


# --- several captures, and reading ahead ---


def write(folder: Path, name: str, times: list[int], first: int) -> str:
    """Every other frame is malformed; source ports count on from `first`."""
    frames: list[Frame] = [
        (at, SHORT if k % 2 else g_pdu_frame(ipv4(udp(src=first + k))))
        for k, at in enumerate(times)
    ]
    (folder / name).write_bytes(pcap(frames, magic=0xA1B23C4D))
    return str(folder / name)


def said(batches: Any) -> list[tuple[int, int, int, bytes]]:
    """(time, number, source port or 0, bytes) of every frame of batches."""
    found = []
    for batch in batches:
        assert isinstance(batch, Kept)
        places = [int(frame["packet"]) for frame in batch.frames if frame["packet"] >= 0]
        assert places == list(range(len(batch.packets)))
        for frame in batch.frames:
            begin = int(frame["start"])
            port = int(batch.packets[frame["packet"]]["src_port"]) if frame["packet"] >= 0 else 0
            content = batch.data[begin : begin + int(frame["held"])].tobytes()
            found.append((int(frame["time_ns"]), int(frame["number"]), port, content))
    return found


@pytest.mark.parametrize("rows_max", [1, 2, 100])
def test_captures_are_joined_in_time_order_with_their_bytes(rows_max: int, tmp_path: Path) -> None:
    """G8: time, then path, then place in the file"""
    files = {
        "a": write(tmp_path, "a", [1, 5, 5, 5, 9], 100),
        "b": write(tmp_path, "b", [5, 5, 6], 200),
        "c": write(tmp_path, "c", [0, 5, 9, 9], 300),
    }
    order = "c a aaabb c b a cc".replace(" ", "")
    ports = [300, 100, 0, 102, 0, 200, 0, 0, 202, 104, 302, 0]
    for given in itertools.permutations(files.values()):
        captures = [
            Capture(path, Endpoints(), MODE_GTP, rows_max=rows_max, keep=True) for path in given
        ]
        found = said(Ahead(merge_kept(captures), 2))
        assert [port for _, _, port, _ in found] == ports
        numbers = dict.fromkeys("abc", 0)
        for name, (_, number, port, content) in zip(order, found, strict=True):
            numbers[name] += 1
            assert number == numbers[name]
            assert content == (g_pdu_frame(ipv4(udp(src=port))) if port else SHORT)


def test_one_capture_is_passed_through_and_read_ahead(tmp_path: Path) -> None:
    """G8: batches grow and shrink, and their copies are used again"""
    path = write(tmp_path, "a", list(range(40)), 100)
    plain = said(merge_kept([Capture(path, Endpoints(), MODE_GTP, keep=True)]))
    for block_bytes in (90, 400, 1_000):
        capture = Capture(path, Endpoints(), MODE_GTP, keep=True, block_bytes=block_bytes)
        assert said(Ahead(merge_kept([capture]), 1)) == plain
    assert len(plain) == 40


def test_stamps_of_pcapng_options_are_kept_too(tmp_path: Path) -> None:
    """B61"""
    parts = [
        section(),
        interface(options=option(9, b"\x00") + option(14, (7).to_bytes(8, "little"))),
    ]
    parts.append(enhanced(ethernet(PDU), 5))
    ((*_, time_ns, _, _),) = kept(tmp_path / "a", b"".join(parts), MODE_IP)
    assert time_ns == 12 * 10**9
