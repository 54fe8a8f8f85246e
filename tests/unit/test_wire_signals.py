"""GTP-C datagrams out of captures: whole ones, at their place among the packets, with their bytes."""

import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engine.layout import PACKET, PACKET_GTP, PACKET_SIGNALLING
from engine.wire import MODE_GTP, MODE_IP
from engine.wire.capture import Capture
from engine.wire.endpoints import OTHERS, Endpoints
from engine.wire.merge import merge, merge_kept
from engine.wire.signals import NUMBER_MAX, Signal, Signals
from engine.wire.sniff import about_session, sniff
from tests.support.packets import (
    PGW,
    SGW,
    TIME_NS,
    Frame,
    enhanced,
    ethernet,
    g_pdu_frame,
    interface,
    ipv4,
    ipv6,
    pcap,
    section,
    udp,
)

SGW6, PGW6 = "2001:db8::1", "2001:db8::2"
CREATE = bytes.fromhex("48200008 00000000 00000100")
"""the header of a Create Session Request, and nothing behind it"""
MS = 10**6


def control(message: bytes = CREATE, *, src: int = 2123, dst: int = 2123, **fields: Any) -> bytes:
    """A frame with a control datagram from the S-GW to the P-GW."""
    return ethernet(ipv4(udp(message, src, dst), SGW, PGW, **fields))


def user(number: int) -> bytes:
    return g_pdu_frame(ipv4(udp(src=number)))


def taken(path: Path, **options: Any) -> tuple[list[Signal | int], Capture]:
    """What a capture holds, in order: control datagrams, and the source ports of packets."""
    signals = Signals()
    capture = Capture(str(path), Endpoints(), MODE_GTP, signals=signals, **options)
    found: list[Signal | int] = []
    for batch in capture:
        for row in batch:
            signalling = int(row["flags"]) & PACKET_SIGNALLING
            found.append(signals.take(row) if signalling else int(row["src_port"]))
    assert len(signals) == 0
    return found, capture


def written(folder: Path, *frames: Frame, **fields: Any) -> Path:
    path = folder / "capture.pcap"
    path.write_bytes(pcap(frames, **fields))
    return path


@pytest.mark.parametrize("ports", [(2123, 2123), (40_364, 2123), (2123, 40_364)])
def test_a_control_datagram_is_handed_out(ports: tuple[int, int], tmp_path: Path) -> None:
    """TS 29.274 4.2.1: requests go to 2123, from any port; answers go back there"""
    src, dst = ports
    path = written(tmp_path, (TIME_NS, control(src=src, dst=dst)))
    (signal,), capture = taken(path)
    assert signal == (TIME_NS // 1000 * 1000, SGW, src, PGW, dst, CREATE)
    assert (capture.frames, capture.cut_signals, capture.fault) == (1, 0, None)


def test_ipv6_carries_control_datagrams_too(tmp_path: Path) -> None:
    """TS 29.274 4.2.1"""
    path = written(tmp_path, ethernet(ipv6(udp(CREATE, 2123, 2123), SGW6, PGW6)))
    (signal,), _ = taken(path)
    assert isinstance(signal, Signal)
    assert (signal.source, signal.destination, signal.data) == (SGW6, PGW6, CREATE)


@pytest.mark.parametrize("link", [(1, ethernet), (101, bytes)])
@pytest.mark.parametrize("keep", [False, True])
def test_every_link_type_and_format_has_them(link: Any, keep: bool, tmp_path: Path) -> None:
    """pcap and pcapng; padding behind the datagram is none of it"""
    number, wrap = link
    frame = wrap(ipv4(udp(CREATE, 2123, 2123), SGW, PGW)) + bytes(18)
    for name, data in (
        ("a", pcap([frame], number)),
        ("b", section() + interface(number) + enhanced(frame)),
    ):
        (tmp_path / name).write_bytes(data)
        (signal,), _ = taken(tmp_path / name, keep=keep)
        assert isinstance(signal, Signal)
        assert signal.data == CREATE


@pytest.mark.parametrize("keep", [False, True])
@pytest.mark.parametrize(("rows_max", "block_bytes"), [(1, 100), (3, 300), (1_000, 1 << 18)])
def test_they_keep_their_place_and_their_bytes(
    rows_max: int, block_bytes: int, keep: bool, tmp_path: Path
) -> None:
    """G8: whatever is read at a time"""
    frames: list[Frame] = []
    wanted: list[Any] = []
    for k in range(60):
        message = CREATE + bytes([k] * k)
        frames.append(control(message) if k % 3 == 0 else user(k))
        wanted.append(message if k % 3 == 0 else k)
    found, _ = taken(
        written(tmp_path, *frames), rows_max=rows_max, block_bytes=block_bytes, keep=keep
    )
    assert [one.data if isinstance(one, Signal) else one for one in found] == wanted


def test_whoever_does_not_ask_for_them_gets_none(tmp_path: Path) -> None:
    """and nobody does where plain IP packets are billed"""
    path = written(tmp_path, control(), user(7))
    packets = [row for batch in Capture(str(path), Endpoints(), MODE_GTP) for row in batch.copy()]
    assert [int(row["flags"]) & PACKET_GTP for row in packets] == [PACKET_GTP]
    bare = Capture(str(path), Endpoints(), MODE_IP, signals=Signals())
    assert not any(np.any(batch["flags"] & PACKET_SIGNALLING) for batch in bare)


@pytest.mark.parametrize(
    "frame",
    [
        ethernet(ipv4(udp(CREATE, 2123, 2123, length=2_000), SGW, PGW, fragment=0x2000)),
        (TIME_NS, control()[:46], len(control())),
        (TIME_NS, control()[:40], len(control())),
        ethernet(ipv4(udp(CREATE, 2123, 2123, length=7), SGW, PGW)),
        ethernet(ipv4(udp(CREATE, 2123, 2123, length=99), SGW, PGW)),
    ],
    ids=["first-fragment", "cut", "cut-in-udp", "length-7", "length-99"],
)
def test_what_is_not_whole_is_counted(frame: Frame, tmp_path: Path) -> None:
    """B50: fragments are not put together"""
    found, capture = taken(written(tmp_path, frame))
    assert found == []
    assert capture.cut_signals == 1


def test_other_datagrams_are_none(tmp_path: Path) -> None:
    """a later fragment, DNS, TCP at the port, a user's packet to the port inside a tunnel"""
    inner = g_pdu_frame(ipv4(udp(CREATE, 2123, 2123)))
    found, capture = taken(
        written(
            tmp_path,
            control(fragment=10),
            control(dst=53, src=53),
            ethernet(ipv4(udp(CREATE, 2123, 2123), SGW, PGW, protocol=6)),
            inner,
        )
    )
    assert (found, capture.cut_signals) == ([2123], 0)


@pytest.mark.parametrize("keep", [False, True])
def test_several_captures_are_merged_with_theirs(keep: bool, tmp_path: Path) -> None:
    """G8: in the order of time, of paths where times are equal"""
    signals, endpoints = Signals(), Endpoints()
    for name, steps in (("a", (0, 4, 8)), ("b", (2, 4, 6))):
        frames = [(TIME_NS + k * MS, control(CREATE + bytes([k, ord(name)]))) for k in steps]
        (tmp_path / name).write_bytes(pcap(frames))
    captures = [
        Capture(str(tmp_path / n), endpoints, MODE_GTP, signals=signals, keep=keep) for n in "ba"
    ]
    batches = [kept.packets for kept in merge_kept(captures)] if keep else merge(captures)
    said = [signals.take(row).data[-2:] for batch in batches for row in batch]
    assert said == [
        bytes([k, ord(n)]) for k, n in ((0, "a"), (2, "b"), (4, "a"), (4, "b"), (6, "b"), (8, "a"))
    ]


def test_numbers_begin_anew_at_the_end() -> None:
    """they stand in 31 bits"""
    signals = Signals()
    signals._next = NUMBER_MAX
    rows = np.zeros(2, dtype=PACKET)
    rows["flags"], rows["fragment"], rows["endpoint"] = PACKET_SIGNALLING, 1, (0, 1)
    signals.copy(rows, np.frombuffer(b"ab", dtype=np.uint8))
    assert rows["endpoint"].tolist() == [NUMBER_MAX, 0]
    assert [signals.take(row).data for row in rows] == [b"a", b"b"]


@pytest.mark.parametrize(
    ("message", "about"),
    [
        (CREATE, True),
        (bytes.fromhex("32100004 00000000 00010000"), True),
        (CREATE[:7], False),
        (CREATE[:-1], False),
        (bytes.fromhex("40010004 00000100"), False),
        (bytes.fromhex("32010004 00000000 00010000"), False),
        (bytes.fromhex("6820000800000000 00000100"), False),
    ],
    ids=["v2", "v1", "short", "cut", "v2-echo", "v1-echo", "v3"],
)
def test_a_capture_with_sessions_is_one_of_tunnels(
    message: bytes, about: bool, tmp_path: Path
) -> None:
    """even before the first G-PDU; echoes alone are not enough"""
    assert about_session(message) is about
    path = str(written(tmp_path, control(message)))
    assert sniff(path, sessions=True) == (MODE_GTP if about else MODE_IP)
    assert sniff(path) == MODE_IP
    broken = str(written(tmp_path, ethernet(ipv4(udp(b"\x48\xff" + bytes(8), 2152, 2152)))))
    assert sniff(broken) == MODE_IP


def test_a_g_pdu_is_enough_without_sessions(tmp_path: Path) -> None:
    """N6"""
    path = str(written(tmp_path, control(), user(1)))
    assert sniff(path) == sniff(path, sessions=True) == MODE_GTP


def test_addresses_may_be_given_numbers_while_another_thread_reads(tmp_path: Path) -> None:
    """one number an address, whoever comes first, and while the table grows"""
    endpoints = Endpoints()
    path = written(
        tmp_path,
        *(
            ethernet(
                ipv4(
                    udp(bytes.fromhex("30ff000000000001"), 2152, 2152),
                    SGW,
                    f"10.0.{k >> 8}.{k & 255}",
                )
            )
            for k in range(600)
        ),
    )
    capture = Capture(str(path), endpoints, MODE_GTP, block_bytes=500, rows_max=4)
    thread = threading.Thread(target=lambda: [None for _ in capture])
    thread.start()
    numbers = [endpoints.intern(0, 0xFFFF_0000_0000 | 10 << 24 | k) for k in range(600)]
    thread.join()
    assert numbers == [endpoints.intern(0, 0xFFFF_0000_0000 | 10 << 24 | k) for k in range(600)]
    assert sorted(numbers) == list(range(600)) == list(range(len(endpoints)))
    assert OTHERS not in numbers
