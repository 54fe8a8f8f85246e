"""A capture read in pieces, by several threads, is the capture read in order."""

from collections.abc import Callable
from gzip import compress
from pathlib import Path
from typing import Any

import pytest

from engine.layout import PACKET_SIGNALLING
from engine.replay.pieces import Pieces
from engine.wire import MODE_GTP, pieces
from engine.wire import state as st
from engine.wire.capture import Capture
from engine.wire.endpoints import Endpoints
from engine.wire.signals import Signals
from engine.wire.source import Stop
from tests.support.packets import (
    TIME_NS,
    ethernet,
    g_pdu_frame,
    gtp,
    ipv4,
    pcap,
    pcapng,
    tcp,
    tunnel,
    udp,
)

Frame = tuple[int, bytes]
MS = 1_000_000


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pieces of 4 kB, so that small captures have many."""
    monkeypatch.setattr(pieces, "PIECE_BYTES", 4096)
    monkeypatch.setattr("engine.wire.capture.PIECE_BYTES", 4096)
    monkeypatch.setattr("engine.replay.pieces.FIRST_BYTES", 2000)


def _frames(count: int) -> list[Frame]:
    sizes = (0, 40, 300, 1200)
    inner = [ipv4(udp(bytes(size))) for size in sizes] + [ipv4(tcp(bytes(9)), protocol=6)]
    return [(TIME_NS + k * MS, g_pdu_frame(inner[k % len(inner)])) for k in range(count)]


def _seen(capture: Capture, batches: Any, signals: Signals | None) -> tuple[Any, ...]:
    rows: list[Any] = []
    for batch in batches:
        for row in batch:
            said = row.tolist()
            if signals is not None and int(row["flags"]) & PACKET_SIGNALLING:
                rows.append(signals.take(row))
            else:
                rows.append(said)
    state = capture._state[st.FIRST_NS :].tolist()
    fault = None if capture.fault is None else str(capture.fault)
    return rows, state, capture._interfaces["frames"].tolist(), capture.offset, fault


def _both(path: Path, *, follow: bool = False, workers: int = 2) -> tuple[Any, Any]:
    """What is seen in order, and what in pieces."""
    found = []
    for cut in (False, True):
        signals = Signals() if follow else None
        endpoints = Endpoints()
        capture = Capture(str(path), endpoints, MODE_GTP, signals=signals)
        batches: Any = capture
        if cut:
            assert capture.divisible()
            batches = Pieces(capture, workers)
        found.append((_seen(capture, batches, signals), endpoints.addresses()))
    return found[0], found[1]


def _disorder(frames: list[Frame]) -> list[Frame]:
    """Neighbours change places all over the capture, so that at some borders time goes back."""
    for k in range(0, len(frames) - 1, 2):
        frames[k], frames[k + 1] = frames[k + 1], frames[k]
    return frames


def _receivers(frames: list[Frame]) -> list[Frame]:
    """Every fortieth packet is for a receiver that was not seen before."""
    inner = gtp(ipv4(udp(bytes(40))))
    for k in range(0, len(frames), 40):
        frames[k] = frames[k][0], ethernet(tunnel(inner, dst=f"192.168.7.{k // 40}"))
    return frames


def _nothing(frames: list[Frame]) -> list[Frame]:
    return frames


def _embedded(frames: list[Frame]) -> list[Frame]:
    """Packets that carry a capture file: where they begin is not where a record begins."""
    carried = pcap(_frames(8))
    for k in range(0, len(frames), 30):
        frames[k] = frames[k][0], g_pdu_frame(ipv4(udp(carried[24:])))
    return frames


def _long(frames: list[Frame]) -> list[Frame]:
    """A record that is longer than a piece."""
    frames[50] = frames[50][0], g_pdu_frame(ipv4(udp(bytes(9000))))
    return frames


@pytest.mark.parametrize("workers", [1, 3])
@pytest.mark.parametrize("change", [_nothing, _disorder, _receivers, _embedded, _long])
def test_pieces_are_the_capture(
    tmp_path: Path, change: Callable[[list[Frame]], list[Frame]], workers: int
) -> None:
    """G8: the rows and counts of a capture do not depend on how many threads read it."""
    path = tmp_path / "a.pcap"
    path.write_bytes(pcap(change(_frames(400))))
    in_order, in_pieces = _both(path, workers=workers)
    assert in_order == in_pieces
    assert len(in_order[0][0]) == 400


def test_control_messages_come_at_their_place(tmp_path: Path) -> None:
    """G8: datagrams that are kept for later are the same ones, wherever pieces begin."""
    frames = _frames(300)
    for k in range(7, 300, 11):
        frames[k] = frames[k][0], ethernet(ipv4(udp(bytes([k % 251]) * 30, dst=2123)))
    path = tmp_path / "a.pcap"
    path.write_bytes(pcap(frames))
    in_order, in_pieces = _both(path, follow=True)
    assert in_order == in_pieces


def test_a_capture_that_breaks_off_does_so_at_the_same_place(tmp_path: Path) -> None:
    """B03, G8."""
    path = tmp_path / "a.pcap"
    path.write_bytes(pcap(_frames(400))[:-7])
    in_order, in_pieces = _both(path)
    assert in_order == in_pieces
    assert in_order[0][-1] is not None


def test_damage_in_the_middle_ends_the_capture_there(tmp_path: Path) -> None:
    """B04, G8: what stands after it is not read, though pieces of it were."""
    data = bytearray(pcap(_frames(400)))
    data[9000:9400] = b"\xff" * 400
    path = tmp_path / "a.pcap"
    path.write_bytes(data)
    in_order, in_pieces = _both(path)
    assert in_order == in_pieces


def test_whole_pieces_are_adopted(tmp_path: Path) -> None:
    """Or the comparisons would compare reading in order with itself."""
    path = tmp_path / "a.pcap"
    path.write_bytes(pcap(_frames(400)))
    capture = Capture(str(path), Endpoints(), MODE_GTP)
    assert capture.divisible()
    next(iter(capture.batches_before(2000)))
    cut = capture.cut()
    assert cut is not None
    assert len(cut) > 20
    piece = cut.parse(0, capture.endpoints_now(), None)
    assert capture.adopt(piece)
    after = cut.parse(1, capture.endpoints_now(), piece.room)
    beyond = cut.parse(2, capture.endpoints_now(), None)
    assert not capture.adopt(beyond)
    assert capture.adopt(after)
    assert capture.adopt(beyond)
    capture.close()


def test_a_stop_ends_the_pieces(tmp_path: Path) -> None:
    """What was handed on up to there stays, and no piece is adopted any more."""
    path = tmp_path / "a.pcap"
    path.write_bytes(pcap(_frames(400)))
    stop = Stop()
    capture = Capture(str(path), Endpoints(), MODE_GTP, stop=stop, block_bytes=512)
    batches = iter(Pieces(capture, 2))
    rows = len(next(batches)) + len(next(batches))
    stop.ask()
    assert rows + sum(len(batch) for batch in batches) < 400


@pytest.mark.parametrize("what", ["short", "compressed", "pcapng", "kept"])
def test_what_has_to_be_read_in_order_is_not_divisible(tmp_path: Path, what: str) -> None:
    """Pieces are for files in which any byte can be gone to, and records found."""
    frames = _frames(8 if what == "short" else 400)
    data = pcapng(frames) if what == "pcapng" else pcap(frames)
    path = tmp_path / "a.pcap"
    path.write_bytes(compress(data) if what == "compressed" else data)
    capture = Capture(str(path), Endpoints(), MODE_GTP, keep=what == "kept")
    assert not capture.divisible()
    capture.close()


def test_with_very_many_receivers_a_capture_is_read_in_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """G8: every piece would get a copy of their table."""
    monkeypatch.setattr("engine.wire.capture.ENDPOINTS_COPIED", 8)
    path = tmp_path / "a.pcap"
    path.write_bytes(pcap(_frames(400)))
    in_order, in_pieces = _both(path)
    assert in_order == in_pieces
