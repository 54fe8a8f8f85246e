"""The parser under every split, random bytes, mutated captures; its clocks against fractions."""

import random
import tempfile
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from hypothesis import example, given
from hypothesis import strategies as some

from engine import verdict
from engine.layout import INTERFACE, PACKET_GTP
from engine.wire import MODE_GTP, MODE_IP, stamps
from engine.wire.capture import Capture
from engine.wire.state import BAD_STAMP
from tests.support.packets import (
    PGW,
    SGW,
    block,
    enhanced,
    ethernet,
    g_pdu_frame,
    gtp,
    interface,
    ipv4,
    ipv6,
    option,
    parse,
    pcap,
    pcapng,
    section,
    tcp,
    tunnel,
    udp,
)

INNER = [
    ipv4(udp(b"x" * 40)),
    ipv4(tcp(b"x" * 300), protocol=6),
    ipv6(udp(b"x" * 90)),
    ipv6(bytes([17, 0, 1, 4, 0, 0, 0, 0]) + udp(b"x"), following=60),
]
MESSAGES = [gtp(inner, teid=7 + k) for k, inner in enumerate(INNER)] + [
    gtp(INNER[0], flags=0x34, optional=b"\0\1\0\x85\x01\x10\x05\x00"),
    gtp(kind=1, flags=0x32, optional=bytes(4)),
    gtp(kind=254),
]
FRAMES: list[Any] = (
    [(k * 1000, ethernet(tunnel(message))) for k, message in enumerate(MESSAGES)]
    + [(9000, ethernet(tunnel(MESSAGES[0], "2001:db8::1", "2001:db8::2"), 0x8100))]
    + [(9000, ethernet(inner)) for inner in INNER]
    + [(12_000, g_pdu_frame(INNER[1])[:80], 406), (11_000, bytes(12) + b"\x08\x06" + bytes(28))]
)
NG = (
    pcapng(FRAMES)
    + block(0xBAD, bytes(600))
    + section(">")
    + interface(1, options=option(9, b"\x94", ">"), order=">")
    + b"".join(enhanced(frame[1], 1 << 20, order=">") for frame in FRAMES)
)
CAPTURES = [pcap(FRAMES), pcap(FRAMES, magic=0xA1B2CD34, order=">"), NG]


def summary(capture: Capture) -> tuple[Any, ...]:
    return (
        capture.frames,
        capture.frame_bytes,
        capture.first_ns,
        capture.last_ns,
        capture.link_types,
        capture.unsupported,
        capture.time_regressions,
        capture.cut_packets,
        capture.malformed.tolist(),
        capture.messages.tolist(),
        capture.truncated_at,
        capture._endpoints.addresses(),
    )


def read(data: bytes, mode: int, **settings: Any) -> tuple[npt.NDArray[Any], Capture]:
    with tempfile.TemporaryDirectory() as folder:
        return parse(Path(folder), data, mode, **settings)


@example(which=2, mode=MODE_GTP, rows_max=1, block_bytes=1, cut=0)
@given(
    which=some.integers(0, 2),
    mode=some.sampled_from([MODE_GTP, MODE_IP]),
    rows_max=some.integers(1, 40),
    block_bytes=some.integers(1, 3000),
    cut=some.integers(0, 300),
)
def test_no_split_changes_the_result(
    which: int, mode: int, rows_max: int, block_bytes: int, cut: int
) -> None:
    """G8"""
    data = CAPTURES[which][: len(CAPTURES[which]) - cut]
    whole, once = read(data, mode)
    packets, split = read(data, mode, rows_max=rows_max, block_bytes=block_bytes)
    assert packets.tobytes() == whole.tobytes()
    assert summary(split) == summary(once)
    assert len(whole) >= 5


def check(packets: npt.NDArray[Any], capture: Capture, mode: int) -> None:
    """What holds for any bytes whatever."""
    assert (np.diff(packets["time_ns"]) >= 0).all()
    assert (packets["time_ns"] >= 0).all()
    assert ((packets["length"] >= 0) & (packets["length"] <= 1 << 20)).all()
    assert all(int(code) == verdict.NONE or int(code) in verdict.NAMES for code in packets["code"])
    assert len(packets) <= capture.frames
    known = len(capture._endpoints.addresses())
    if mode == MODE_GTP:
        assert ((packets["endpoint"] >= 0) & (packets["endpoint"] < known)).all()
        assert capture.messages[255] == len(packets)
    else:
        assert (packets["endpoint"] == -1).all()
        assert not (packets["flags"] & PACKET_GTP).any()


@given(data=some.binary(max_size=400), which=some.integers(0, 2), mode=some.integers(0, 1))
def test_random_bytes_behind_a_header_do_no_harm(data: bytes, which: int, mode: int) -> None:
    """G7, B51-B62"""
    heads = [pcap([]), section() + interface(), b""]
    packets, capture = read(heads[which] + data, mode)
    check(packets, capture, mode)


@given(payload=some.binary(max_size=200), kind=some.integers(0, 4), mode=some.integers(0, 1))
def test_random_payloads_do_no_harm(payload: bytes, kind: int, mode: int) -> None:
    """G7, B01-B37"""
    frame = [
        payload,
        ethernet(payload),
        ethernet(ipv4(udp(payload, 2152, 2152), SGW, PGW)),
        ethernet(tunnel(b"\x34\xff" + payload)),
        g_pdu_frame(ipv6(payload, following=payload[0] % 64 if payload else 0)),
    ][kind]
    packets, capture = read(pcap([frame]), mode)
    check(packets, capture, mode)
    assert capture.fault is None


@given(
    which=some.integers(0, 2),
    mode=some.integers(0, 1),
    seed=some.integers(0, 1 << 30),
    changes=some.integers(1, 12),
)
def test_mutated_captures_do_no_harm(which: int, mode: int, seed: int, changes: int) -> None:
    """G7"""
    chance = random.Random(seed)
    data = bytearray(CAPTURES[which])
    for _ in range(changes):
        data[chance.randrange(len(data))] = chance.choice([0, 1, 4, 0x7F, 0x80, 0xFF])
    packets, capture = read(bytes(data), mode, block_bytes=777)
    check(packets, capture, mode)


@example(tsresol=0xBF, units=(1 << 64) - 1)
@example(tsresol=0x93, units=(1 << 64) - 1)
@given(
    tsresol=some.one_of(some.integers(0, 19), some.integers(0x80, 0xBF)),
    units=some.one_of(some.integers(0, (1 << 64) - 1), some.integers(0, 1 << 40)),
)
def test_stamps_agree_with_fractions(tsresol: int, units: int) -> None:
    """B61"""
    row = np.zeros(1, dtype=INTERFACE)[0]
    clock = stamps.resolution(tsresol)
    assert clock is not None
    row["kind"], row["factor"] = clock
    time_ns = stamps.stamp_ns(np.int64(units >> 32), np.int64(units & 0xFFFFFFFF), row)
    per_second = 2 ** (tsresol & 0x7F) if tsresol & 0x80 else 10**tsresol
    exact = Fraction(units, per_second) * 10**9 // 1
    if exact < 9_223_372_035 * 10**9:
        assert time_ns == exact
    else:
        assert time_ns in (BAD_STAMP, exact)


def test_resolutions_that_cannot_be_are_refused() -> None:
    """B61"""
    refused = [k for k in range(256) if stamps.resolution(k) is None]
    assert refused == [*range(20, 0x80), *range(0x80 + 64, 0x100)]


def test_a_table_that_grows_in_mid_block_repeats_nothing() -> None:
    """The frame that found the table full is parsed again, once"""
    frames = [
        ethernet(tunnel(gtp(INNER[0]), SGW, f"10.9.{k // 250}.{k % 250}")) for k in range(600)
    ]
    for data in (pcap(frames), pcapng(frames)):
        packets, capture = read(data, MODE_GTP)
        assert list(packets["endpoint"]) == list(range(600))
        assert capture.messages[255] == capture.frames == 600
