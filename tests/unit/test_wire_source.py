"""Where the bytes come from: plain, compressed, standard input, FIFO."""

import gzip
import io
import os
import random
import sys
import threading
from pathlib import Path

import pytest

from engine.errors import CaptureError
from engine.wire import MODE_GTP, MODE_IP, source
from engine.wire.capture import Capture
from engine.wire.endpoints import Endpoints
from engine.wire.sniff import sniff
from engine.wire.source import Source
from tests.support.packets import ethernet, g_pdu_frame, ipv4, parse, pcap, read_all, udp

PACKET = ipv4(udp(b"x" * 30))
FRAME = ethernet(PACKET)
PLAIN = pcap([FRAME] * 500)


@pytest.mark.parametrize("block_bytes", [1, 100, 1 << 18])
def test_gzip_is_known_by_its_content(block_bytes: int, tmp_path: Path) -> None:
    data = gzip.compress(pcap([FRAME] * 40))
    packets, capture = parse(tmp_path, data, MODE_IP, block_bytes=block_bytes)
    assert len(packets) == 40
    assert capture.fault is None
    assert capture.consumed_bytes == capture.size_bytes == len(data)


def test_gzip_members_follow_each_other(tmp_path: Path) -> None:
    data = gzip.compress(PLAIN[:1000]) + gzip.compress(b"") + gzip.compress(PLAIN[1000:])
    packets, capture = parse(tmp_path, data, MODE_IP)
    assert len(packets) == 500
    assert capture.fault is None


def test_gzip_data_may_come_byte_by_byte(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(source, "_CHUNK_BYTES", 1)
    data = gzip.compress(PLAIN[:1000]) + gzip.compress(PLAIN[1000:])
    packets, capture = parse(tmp_path, data, MODE_IP)
    assert len(packets) == 500
    assert capture.fault is None


@pytest.mark.parametrize("rest", [b"\0" * 600_000, b"\0", b"\x1f", b"garbage"])
def test_what_stands_behind_gzip_data_is_ignored(rest: bytes, tmp_path: Path) -> None:
    packets, capture = parse(tmp_path, gzip.compress(PLAIN) + rest, MODE_IP)
    assert len(packets) == 500
    assert capture.fault is None


def test_gzip_data_that_end_too_early_are_reported(tmp_path: Path) -> None:
    """F24"""
    data = gzip.compress(PLAIN)
    for size in (2, 5, 40, len(data) - 1):
        packets, capture = parse(tmp_path, data[:size], MODE_IP)
        assert "gzip data end too early" in str(capture.fault)
        assert len(packets) == capture.frames <= 500
    assert len(packets) == 500


def test_damaged_gzip_data_are_reported_and_what_came_before_is_read(tmp_path: Path) -> None:
    chance = random.Random(1)
    frames = [ethernet(ipv4(bytes(chance.choices(b"abcd", k=200)))) for _ in range(3000)]
    data = gzip.compress(pcap(frames))
    packets, capture = parse(tmp_path, data[:-8] + bytes(8), MODE_IP, block_bytes=1 << 14)
    assert "the gzip data are damaged" in str(capture.fault)
    assert len(packets) == 3000
    middle = len(data) // 2
    packets, capture = parse(tmp_path, data[:middle] + b"\xff" * middle, MODE_IP)
    assert capture.fault is not None
    assert 500 < len(packets) < 2500


def test_a_small_gzip_with_a_wrong_check_sum_is_read_whole(tmp_path: Path) -> None:
    """what could be read is billed, to the byte"""
    data = gzip.compress(PLAIN)
    packets, capture = parse(tmp_path, data[:-8] + bytes(8), MODE_IP)
    assert len(packets) == 500
    assert f"the gzip data are damaged at byte {len(PLAIN)}" in str(capture.fault)
    for at in range(20, len(data) - 8, 7):
        packets, capture = parse(
            tmp_path, data[:at] + bytes([data[at] ^ 0xFF]) + data[at + 1 :], MODE_IP
        )
        assert len(packets) <= 500
        assert capture.fault is not None


def test_a_gzip_bomb_needs_little_memory(tmp_path: Path) -> None:
    """B62"""
    bomb = gzip.compress(pcap([b""] * 10) + bytes(16) * (1 << 15))
    assert len(bomb) < 2000
    packets, capture = parse(tmp_path, bomb, MODE_IP, block_bytes=1 << 16)
    assert len(packets) == 0
    assert capture.frames == (1 << 15) + 10
    assert capture._buffer.size < 1 << 20


class _Stdin:
    """Stands in for sys.stdin; gives at most 1000 bytes a read, as a pipe may."""

    def __init__(self, data: bytes) -> None:
        stream = io.BytesIO(data)

        class Trickle(io.RawIOBase):
            def readable(self) -> bool:
                return True

            def readinto(self, room: memoryview) -> int:  # type: ignore[override]
                return stream.readinto(room[:1000])

        self.buffer = Trickle()


@pytest.mark.parametrize("compress", [False, True])
def test_standard_input_is_read_whole_after_a_look_ahead(
    compress: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = pcap([FRAME] * 700 + [g_pdu_frame(PACKET)] * 700)
    data = gzip.compress(plain) if compress else plain
    monkeypatch.setattr(sys, "stdin", _Stdin(data))
    assert sniff("-") == MODE_GTP
    capture = Capture("-", Endpoints(), MODE_GTP)
    assert len(read_all(capture)) == 700
    assert (capture.frames, capture.fault) == (1400, None)
    assert capture.consumed_bytes == len(data)
    assert capture.size_bytes is None


def test_standard_input_without_tunnels_is_read_whole_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", _Stdin(PLAIN))
    assert sniff("-") == MODE_IP
    assert len(read_all(Capture("-", Endpoints(), MODE_IP))) == 500


def test_a_closed_standard_input_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", None)
    with pytest.raises(CaptureError, match="no standard input"):
        Capture("-", Endpoints(), MODE_IP)


@pytest.mark.parametrize("cut", [0, 10])
def test_a_fifo_ends_with_its_writer(cut: int, tmp_path: Path) -> None:
    """B62"""
    path = tmp_path / "fifo"
    os.mkfifo(path)
    data = PLAIN[: len(PLAIN) - cut]
    writer = threading.Thread(target=path.write_bytes, args=(data,))
    writer.start()
    capture = Capture(str(path), Endpoints(), MODE_IP)
    packets = read_all(capture)
    writer.join()
    assert len(packets) == (499 if cut else 500)
    assert (capture.fault is not None) == bool(cut)
    assert capture.size_bytes is None


def test_an_error_of_the_system_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    """F5"""

    class Failing(io.RawIOBase):
        def readinto(self, room: memoryview) -> int:  # type: ignore[override]
            raise OSError(5, "Input/output error")

    class Stdin:
        buffer = Failing()

    monkeypatch.setattr(sys, "stdin", Stdin())
    capture = Capture("-", Endpoints(), MODE_IP)
    assert len(read_all(capture)) == 0
    assert "Input/output error" in str(capture.fault)


def test_a_look_ahead_ends_where_it_was_told_to(tmp_path: Path) -> None:
    (tmp_path / "capture").write_bytes(PLAIN)
    ahead = Source(str(tmp_path / "capture"), 1000)
    room = memoryview(bytearray(800))
    assert [ahead.read_into(room) for _ in range(3)] == [800, 200, 0]
    ahead.close()
    again = Source(str(tmp_path / "capture"))
    assert again.read_into(room) == 800
    again.close()
