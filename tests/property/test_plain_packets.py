"""The short way of plain packets says what the long way says, whatever bit is turned."""

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from hypothesis import example, given, settings
from hypothesis import strategies as some

from engine import jit
from engine.wire import MODE_GTP
from engine.wire import state as st
from engine.wire.capture import Capture
from engine.wire.endpoints import Endpoints
from tests.support.packets import TIME_NS, enhanced, g_pdu_frame, ipv4, ipv6, pcap, pcapng, tcp, udp

INNER = [
    ipv4(udp(b"x" * 20)),
    ipv4(tcp(b"x" * 9), protocol=6),
    ipv6(udp(b"x" * 30)),
    ipv6(tcp(), following=6),
    ipv4(udp(b"")),
]
FRAMES = [g_pdu_frame(inner) for inner in INNER]
Change = tuple[int, int, int]
"""frame, byte, value"""


def _read(data: bytes, keep: bool) -> tuple[Any, ...]:
    """Rows and counts; a capture that keeps its frames has every one of them go the long way."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.pcap"
        path.write_bytes(data)
        endpoints = Endpoints()
        capture = Capture(str(path), endpoints, MODE_GTP, keep=keep)
        rows = [row for batch in capture for row in batch.tolist()]
        fault = None if capture.fault is None else str(capture.fault).partition(":")[2]
        state = capture._state[st.FIRST_NS :].tolist()
        interfaces = capture._interfaces["frames"].tolist()
        return rows, state, interfaces, endpoints.addresses(), capture.offset, fault


def _changed(frames: list[bytes], changes: list[Change]) -> list[bytes]:
    changed = [bytearray(frame) for frame in frames]
    for number, at, value in changes:
        frame = changed[number % len(frames)]
        frame[at % min(len(frame), 120)] = value
    return [bytes(frame) for frame in changed]


changes = some.lists(
    some.tuples(some.integers(0, 11), some.integers(0, 119), some.integers(0, 255)), max_size=6
)
order = some.lists(some.integers(0, len(FRAMES) - 1), min_size=1, max_size=12)
times = some.lists(some.integers(-2, 5), min_size=12, max_size=12)
cuts = some.lists(some.sampled_from([0, 0, 0, 1, 12, 40]), min_size=12, max_size=12)


@settings(max_examples=30 if jit.DISABLED else 200)
@given(order, changes, times, cuts, some.booleans())
@example([0, 1, 2, 3, 4], [], [1] * 12, [0] * 12, False)
@example([0, 1, 2, 3, 4], [], [1] * 12, [0] * 12, True)
@example([0, 0, 1], [(1, 36, 9)], [1] * 12, [0] * 12, False)  # another port than GTP-U's
@example([0, 0, 2], [(2, 58, 255)], [1] * 12, [0] * 12, True)  # IPv6, from a multicast address
@example([0, 0, 0], [(1, 75, 7)], [1] * 12, [0] * 12, False)  # a UDP length that cannot be
@example([0, 0, 0], [(1, 59, 1)], [1] * 12, [0] * 12, False)  # neither TCP nor UDP
@example([0, 0, 0], [(1, 62, 127)], [1] * 12, [0] * 12, False)  # from a loopback address
@example([2, 2, 2], [(1, 92, 8), (1, 93, 104)], [1] * 12, [0] * 12, False)  # to port 2152
@example([0, 0, 0], [], [1] * 12, [0, 12] * 6, True)  # cut short in a block
@example([2, 2, 2], [(1, 54, 255)], [1] * 12, [0] * 12, False)  # IPv6, longer than its tunnel says
@example(
    [0, 0, 0], [(1, 16, 255)], [1] * 12, [0] * 12, False
)  # an outer packet longer than its frame
@example([0, 0, 0], [(1, 72, 8), (1, 73, 104)], [1] * 12, [0] * 12, False)  # to port 2152
def test_plain_packets_get_the_same_rows_and_counts_on_either_way(
    chosen: list[int],
    turned: list[Change],
    steps: list[int],
    short: list[int],
    blocks: bool,
) -> None:
    """B01-B12, N3-N7: a row does not depend on how quickly it was seen to be plain."""
    frames = _changed([FRAMES[k] for k in chosen], turned)
    records: list[Any] = []
    at_ns = TIME_NS
    for frame, step, cut in zip(frames, steps, short, strict=False):
        at_ns += step * 1000
        held = frame[: len(frame) - cut]
        records.append((at_ns, held, len(frame)))
    data = pcapng(records) if blocks else pcap(records)
    assert _read(data, keep=False) == _read(data, keep=True)


def test_a_block_stamped_beyond_all_time_goes_the_long_way() -> None:
    """B07: its time has no room in 64 bits of ns; it counts as simultaneous with the one before."""
    late = enhanced(FRAMES[0], 1 << 63)
    data = pcapng([(TIME_NS, FRAMES[1]), (TIME_NS + 1000, FRAMES[0])]) + late + late
    read = _read(data, keep=False)
    assert read == _read(data, keep=True)
    assert len(read[0]) == 4


def test_plain_packets_do_go_the_short_way(tmp_path: Path) -> None:
    """The comparison above compares two ways: the long one is not asked about plain packets."""
    path = tmp_path / "a.pcap"
    path.write_bytes(pcap([(TIME_NS + 1000 * k, frame) for k, frame in enumerate(FRAMES * 3)]))
    capture = Capture(str(path), Endpoints(), MODE_GTP)
    stamps = np.concatenate([batch["time_ns"].copy() for batch in capture])
    assert len(stamps) == 15
    # only the long way writes down the time stamp of a frame before it looks at it
    assert capture._state[st.STAMP_NS] < capture._state[st.TIME_NS]
