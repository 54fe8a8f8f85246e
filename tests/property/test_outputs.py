"""`--shaped` and `--dropped` hold exactly what a second computation lets out and drops, byte for byte."""

import functools
import sys
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from engine import config, subscribers, verdict
from engine.pool.store import open_store
from engine.runtime import Engine
from engine.wire import MODE_GTP
from engine.wire.capture import Capture
from engine.wire.endpoints import Endpoints
from tests.support import packets
from tests.support.command import MS, frame, write
from tests.support.outputs import Written, files, read_pcap, read_pcapng, replay, replay_files

ARP = bytes(12) + b"\x08\x06" + bytes(28)
V6 = packets.ipv6(packets.udp(bytes(200)), "2001:db8:0:2::9")
WEB = packets.ipv4(packets.tcp(), src="10.1.0.2", dst="192.0.2.80", protocol=6)
KINDS: tuple[Any, ...] = (
    lambda size: frame(size=size, teid=1)[1],
    lambda size: frame(size=size, teid=2, src="203.0.113.7", dst="10.1.0.1")[1],
    lambda size: frame(size=size, teid=3, src="10.1.0.2")[1],
    lambda size: frame(size=size, teid=3, src="10.1.0.2")[1] + b"padding",
    lambda size: packets.g_pdu_frame(V6, teid=3),
    lambda _: packets.g_pdu_frame(WEB, teid=3),
    lambda size: frame(size=size, teid=9, src="203.0.113.8")[1],
    lambda size: frame(size=size, teid=1, src="10.9.9.9")[1],
    lambda _: packets.ethernet(
        packets.tunnel(packets.gtp(teid=0, kind=1, flags=0x32, optional=bytes(4)))
    ),
    lambda _: packets.ethernet(packets.tunnel(b"\x30")),
    lambda _: packets.g_pdu_frame(packets.ipv4(), teid=1, flags=0x48),
    lambda _: ARP,
)
"""charged up and down until 3 000 bytes are used; slow, padded, IPv6, exempt; dropped; no user traffic"""


@dataclass(frozen=True)
class Expected:
    """What a replay must write, in order: (time, frame) and (time, frame, reason)."""

    left: list[tuple[int, Written]]
    dropped: list[tuple[int, Written, str]]


def story(steps: list[tuple[int, int, int]], cut: int) -> list[packets.Frame]:
    """Frames of (ns since the one before, kind, size); of every third, `cut` bytes were not captured."""
    found: list[packets.Frame] = []
    at_ns = packets.TIME_NS
    for number, (gap_ns, kind, size) in enumerate(steps):
        at_ns += gap_ns
        content = KINDS[kind](size)
        held = content[: max(62, len(content) - cut)] if number % 3 == 2 else content
        found.append((at_ns, held, len(content)))
    return found


@functools.cache
def alone(content: bytes, wire: int, folder: Path) -> tuple[bool, str]:
    """Whether a frame has a row when it stands alone, and the reason if it is malformed."""
    path = folder / "alone.pcap"
    path.write_bytes(packets.pcap([(0, content, wire)]))
    capture = Capture(str(path), Endpoints(), MODE_GTP)
    rows = sum(len(batch) for batch in capture)
    reasons = [verdict.NAMES[code] for code in verdict.NAMES if capture.malformed[code]]
    return rows == 1, "".join(reasons)


def computed(frames: list[packets.Frame], folder: Path) -> Expected:
    """The same from the verdicts of `Engine.process` on all rows at once."""
    options = files(folder)
    given_settings = config.load(options["config"])
    book = subscribers.load(options["subscribers"], given_settings)
    endpoints = Endpoints()
    path = write(folder / "whole.pcap", frames)
    rows = packets.read_all(Capture(path, endpoints, MODE_GTP, rows_max=100_000))
    with Engine(given_settings, open_store(None), endpoints=endpoints) as engine:
        engine.load(book, int(rows["time_ns"][0]) if len(rows) else 0)
        verdicts = iter(engine.process(rows))
    left, dropped = [], []
    for one in frames:
        at_ns, content, wire = packets._unpack(one)
        has_row, malformed = alone(content, wire, folder)
        written = Written(at_ns, content, wire, 1)
        if has_row:
            answer = next(verdicts)
            if answer["code"] <= verdict.FORWARD_MAX:
                left.append((int(answer["departure_ns"]), written))
            else:
                dropped.append((at_ns, written, verdict.NAMES[int(answer["code"])]))
        elif malformed:
            dropped.append((at_ns, written, malformed))
    return Expected(sorted(left, key=lambda entry: entry[0]), dropped)


def check(folder: Path, document: dict[str, Any], expected: Expected, *, strip: bool) -> None:
    link, found = read_pcap(folder / "left.pcap")
    assert link == (101 if strip else 1)
    assert [(w.time_ns, w.data, w.wire) for w in found] == [
        (at_ns, *(inner(w) if strip else (w.data, w.wire))) for at_ns, w in expected.left
    ]
    drops = read_pcapng(folder / "dropped.pcapng")
    assert [(w.time_ns, w.data, w.wire) for w in drops] == [
        (at_ns, w.data, w.wire) for at_ns, w, _ in expected.dropped
    ]
    for one, (_, _, reason) in zip(drops, expected.dropped, strict=True):
        assert one.comment.startswith(f"dropped: {reason} — ")
    told = {name: drop["packets"] for name, drop in document["drops"].items()}
    assert Counter(reason for _, _, reason in expected.dropped) == told


def inner(written: Written) -> tuple[bytes, int]:
    """The T-PDU of a frame of ours, by its own length."""
    packet = written.data[50:]
    length = 40 + int.from_bytes(packet[4:6], "big") if packet[0] >> 4 == 6 else 0
    length = length or int.from_bytes(packet[2:4], "big")
    return packet[:length], length


STEPS = st.lists(
    st.tuples(
        st.sampled_from([0, 0, 1, 999, MS, 40 * MS, 700 * MS]),
        st.integers(0, len(KINDS) - 1),
        st.sampled_from([28, 90, 400, 1_400]),
    ),
    max_size=60,
)
QUEUED = [(0, 2, 1_400)] * 3 + [(MS, 0, 400), (MS, 0, 1_400), (MS, 0, 1_400), (MS, 1, 1_400)] * 2
"""more than a queue holds, while others pass at high speed and are slowed when the coupon is used up"""


@example(steps=[], rows_max=1, block_bytes=200, workers=1, cut=0, strip=False)
@example(steps=QUEUED, rows_max=3, block_bytes=200, workers=2, cut=1, strip=True)
@example(
    steps=[*QUEUED, (0, 9, 28), (0, 9, 28)],
    rows_max=2,
    block_bytes=4_000,
    workers=1,
    cut=30,
    strip=False,
)
@given(
    steps=STEPS,
    rows_max=st.integers(1, 30),
    block_bytes=st.sampled_from([100, 1_000, 10_000, None]),
    workers=st.integers(1, 3),
    cut=st.integers(0, 50),
    strip=st.booleans(),
)
@settings(
    max_examples=30,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
def test_files_hold_exactly_what_left_and_what_was_dropped(
    tmp_path_factory: pytest.TempPathFactory,
    steps: list[tuple[int, int, int]],
    rows_max: int,
    block_bytes: int | None,
    workers: int,
    cut: int,
    strip: bool,
) -> None:
    """P3, P4, G8, G7: whatever the batches and workers; drops by reason as in the report"""
    folder = tmp_path_factory.mktemp("outputs")
    frames = story(steps, cut)
    expected = computed(frames, folder)
    with pytest.MonkeyPatch.context() as patch:
        sizes: dict[str, Any] = {"rows_max": rows_max, "block_bytes": block_bytes}
        patch.setattr(
            sys.modules["engine.replay.setup"], "Capture", functools.partial(Capture, **sizes)
        )
        gtp: Any = "strip" if strip else "keep"
        report = replay(folder, frames, workers=workers, gtp=gtp, encapsulation="gtp")
    assert report.faults == []
    totals = report.document["totals"]
    malformed = sum(1 for _, w, _ in expected.dropped if not alone(w.data, w.wire, folder)[0])
    assert totals["packets"] == len(expected.left) + len(expected.dropped) - malformed
    check(folder, report.document, expected, strip=strip)


MIX = story([(k % 7 * MS, k * 7 % len(KINDS), 200 + k) for k in range(90)], 20)


def test_the_mix_has_something_of_everything(tmp_path: Path) -> None:
    """P4: waiting packets, full queues, strangers, malformed ones"""
    expected = computed(MIX, tmp_path)
    assert {"queue", "spoof", "teid", "short", "version"} <= {r for _, _, r in expected.dropped}
    assert sum(at_ns > w.time_ns for at_ns, w in expected.left) > 10
    assert [w for _, w in expected.left] != sorted(
        (w for _, w in expected.left), key=lambda w: w.time_ns
    )


@pytest.mark.parametrize("cut", [0, 13, 90])
def test_captures_in_any_order_give_the_same_files(cut: int, tmp_path: Path) -> None:
    """G8: one file or two, one after the other or interleaved, in whatever order they are named"""
    report = replay(tmp_path, MIX)
    whole = [(tmp_path / name).read_bytes() for name in ("left.pcap", "dropped.pcapng")]
    check(tmp_path, report.document, computed(MIX, tmp_path), strip=False)
    for parts in ((MIX[:cut], MIX[cut:]), (MIX[::2], MIX[1::2])):
        names = [write(tmp_path / f"part-{k}", part) for k, part in enumerate(parts)]
        for given_order in (names, names[::-1]):
            replay_files(tmp_path, *given_order, workers=2)
            again = [(tmp_path / name).read_bytes() for name in ("left.pcap", "dropped.pcapng")]
            if (
                parts[0] == MIX[:cut]
            ):  # equal times go by path, so that interleaved ones may be turned
                assert again == whole
            else:
                assert list(map(len, again)) == list(map(len, whole))
        first = again
        replay_files(tmp_path, *names)
        assert [(tmp_path / n).read_bytes() for n in ("left.pcap", "dropped.pcapng")] == first


def test_one_core_writes_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """G8"""
    replay(tmp_path, MIX)
    ahead = (tmp_path / "left.pcap").read_bytes()
    monkeypatch.setattr("os.sched_getaffinity", lambda _: {0})
    replay(tmp_path, MIX)
    assert (tmp_path / "left.pcap").read_bytes() == ahead


def test_a_planted_swap_is_found(tmp_path: Path) -> None:
    """the check above can fail: two packets in the other order, and one byte"""
    report = replay(tmp_path, MIX)
    expected = computed(MIX, tmp_path)
    expected.left[3], expected.left[4] = expected.left[4], expected.left[3]
    with pytest.raises(AssertionError):
        check(tmp_path, report.document, expected, strip=False)
    content = bytearray((tmp_path / "left.pcap").read_bytes())
    content[-1] ^= 1
    (tmp_path / "left.pcap").write_bytes(content)
    with pytest.raises(AssertionError):
        check(tmp_path, report.document, computed(MIX, tmp_path), strip=False)
