"""`pktoll replay --shaped --dropped` as a user runs it: what is written where, and what is refused."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from engine.replay.targets import Target
from engine.runtime import Engine
from tests.support import packets
from tests.support.command import MS, NET, call, environment, frame, spawn, write
from tests.support.outputs import BOOK, files, read_pcap, read_pcapng, replay

Capture = pytest.CaptureFixture[str]
ELSEWHERE = "203.0.113.9"


@pytest.fixture
def capture(tmp_path: Path) -> str:
    """Ten packets of one SIM and one of nobody, 100 bytes each."""
    frames = [frame(k * MS, teid=1) for k in range(10)]
    frames.append(frame(20 * MS, teid=7, src=ELSEWHERE))
    return write(tmp_path / "ten.pcap", frames)


def outputs(folder: Path, *more: str) -> tuple[str, ...]:
    left, dropped = str(folder / "left.pcap"), str(folder / "dropped.pcapng")
    return ("--ue-net", NET, "--shaped", left, "--dropped", dropped, *more)


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def two_links(order: str = "<") -> bytes:
    """A pcapng file with an Ethernet frame and a bare IP packet."""
    raw = packets.ipv4(packets.udp(bytes(72)))
    parts = [packets.section(order), packets.interface(1), packets.interface(101)]
    parts += [packets.enhanced(packets.ethernet(raw)), packets.enhanced(raw, number=1)]
    return b"".join(parts)


def test_the_report_is_the_same_with_the_files_beside_it(capture: str, tmp_path: Path) -> None:
    """exit 0, I6: in a process of its own"""
    plain, written = (
        spawn("replay", capture, "--format", "json", *options)
        for options in (("--ue-net", NET), outputs(tmp_path))
    )
    assert (plain.status, plain.err, written.status) == (0, "", 0)
    reports = [json.loads(ended.out) for ended in (plain, written)]
    for report in reports:
        del report["timing"]
    assert reports[0] == reports[1]
    assert written.err == (
        f"pktoll: note: {tmp_path}/left.pcap: 10 packets that left\n"
        f"pktoll: note: {tmp_path}/dropped.pcapng: 1 dropped packet\n"
    )
    link, left = read_pcap(tmp_path / "left.pcap")
    assert link == 1
    assert [(w.time_ns, w.data) for w in left] == [frame(k * MS, teid=1) for k in range(10)]
    (lost,) = read_pcapng(tmp_path / "dropped.pcapng")
    assert lost.comment == "dropped: teid — no session has this TEID or address (N7)"
    assert names(tmp_path) == {"ten.pcap", "left.pcap", "dropped.pcapng"}


def test_packets_wait_for_their_departure(tmp_path: Path) -> None:
    """P2, P4, D5: 1 000 bytes at once, then a byte a millisecond; what does not fit has a comment"""
    burst = [frame(0, size=1_000, teid=3, src="10.1.0.2") for _ in range(5)]
    late = frame(500 * MS, size=100, teid=1)
    report = replay(tmp_path, [*burst, late])
    _, left = read_pcap(tmp_path / "left.pcap")
    waits = [w.time_ns - packets.TIME_NS for w in left]
    assert waits == [0, 500 * MS, 1_000 * MS, 2_000 * MS, 3_000 * MS]
    assert left[1].data == late[1]
    (lost,) = read_pcapng(tmp_path / "dropped.pcapng")
    assert (lost.time_ns, lost.data) == burst[4]
    assert lost.comment == (
        "dropped: queue — the SIM's queue is full: dropped from its tail (P4); line hdo00000002, uplink"
    )
    assert report.document["drops"] == {"queue": {"packets": 1, "bytes": 1_000}}


def test_a_packet_between_two_sims_leaves_once_a_leg(tmp_path: Path) -> None:
    """B23, I6: packets less dropped packets of the report, each leg for itself"""
    frames = [frame(k * MS, size=1_000, src="10.1.0.1", dst="10.1.0.3") for k in range(9)]
    report = replay(tmp_path, frames, gtp="strip")
    totals = report.document["totals"]
    _, left = read_pcap(tmp_path / "left.pcap")
    lost = read_pcapng(tmp_path / "dropped.pcapng")
    assert totals["packets"] == 18
    assert len(left) == 18 - len(lost)
    assert {w.data for w in left} == {frames[0][1][14:]}
    assert len(lost) == sum(drop["packets"] for drop in report.document["drops"].values())
    assert {w.comment.rpartition("; ")[2] for w in lost} == {
        "line hdo00000003, downlink",
        "line hdo00000001, uplink",
    }


def test_stripped_packets_are_as_long_as_they_say(tmp_path: Path) -> None:
    """B27, B63: without padding; a cut one keeps its length on the wire; offloaded ones have none"""
    packet = packets.ipv4(packets.udp(bytes(72)))
    offloaded = packets.ipv4(packets.udp(bytes(72)), total=0)
    v6 = packets.ipv6(packets.udp(bytes(72)), "2001:db8:0:2::1")
    frames: list[packets.Frame] = [
        packets.ethernet(packet) + bytes(6),
        (packets.TIME_NS, packets.ethernet(packet)[:60], 114),
        packets.ethernet(offloaded),
        packets.ethernet(v6) + bytes(6),
    ]
    replay(tmp_path, frames, gtp="strip")
    link, left = read_pcap(tmp_path / "left.pcap")
    assert link == 101
    found = [(w.data, w.wire) for w in left]
    assert found == [(packet, 100), (packet[:46], 100), (offloaded, 100), (v6, 120)]


def test_nothing_that_left_is_a_file_without_packets(tmp_path: Path) -> None:
    replay(tmp_path, [], link=113)
    assert read_pcap(tmp_path / "left.pcap") == (113, [])
    assert read_pcapng(tmp_path / "dropped.pcapng") == []


def test_only_malformed_frames(tmp_path: Path) -> None:
    """G7, B02: a batch without a packet"""
    report = replay(tmp_path, [packets.ethernet(packets.tunnel(b"\x30"))], encapsulation="gtp")
    (lost,) = read_pcapng(tmp_path / "dropped.pcapng")
    assert lost.comment == "dropped: short — a header runs past the end of the packet"
    assert report.document["drops"]["short"]["packets"] == 1


# --- link types ---


def test_link_types_that_do_not_go_together(tmp_path: Path, capfd: Capture) -> None:
    """exit 2, B60: refused before anything is billed; stripped, or dropped, they do go together"""
    path = tmp_path / "two.pcapng"
    path.write_bytes(two_links())
    ended = call(capfd, "replay", str(path), *outputs(tmp_path))
    assert (ended.status, ended.out) == (2, "")
    assert ended.err == (
        f"pktoll: {tmp_path}/left.pcap: frames of link types 1 and 101 cannot be in one pcap file; "
        "--gtp strip writes the IP packets inside, which can\n"
    )
    assert names(tmp_path) == {"two.pcapng"}
    assert call(capfd, "replay", str(path), *outputs(tmp_path, "--gtp", "strip")).status == 0
    assert len(read_pcap(tmp_path / "left.pcap")[1]) == 2
    net = ("--ue-net", "10.9.0.0/16")
    lines = tmp_path / "lines.toml"
    lines.write_text(BOOK)
    (tmp_path / "events.jsonl").write_text(
        json.dumps({"at_ns": 0, "do": "suspend", "line": "hdo00000001"}) + "\n"
    )
    options = ("--subscribers", str(lines), "--events", str(tmp_path / "events.jsonl"), *net)
    ended = call(
        capfd, "replay", str(path), *options, "--dropped", str(tmp_path / "dropped.pcapng")
    )
    assert ended.status == 0
    lost = read_pcapng(tmp_path / "dropped.pcapng")
    assert [w.link for w in lost] == [1, 101]
    assert lost[0].comment == (
        "dropped: suspended — the line is suspended (L1); line hdo00000001, uplink"
    )


def test_link_types_that_show_too_late_to_refuse(tmp_path: Path) -> None:
    """exit 2, B60: standard input cannot be looked at twice, so the bill is done, and no file is there"""
    ended = subprocess.run(
        [sys.executable, "-m", "engine", "replay", "-", *outputs(tmp_path), "--format", "json"],
        input=two_links(),
        capture_output=True,
        check=False,
        timeout=120,
        env=environment(),
    )
    assert ended.returncode == 2
    assert json.loads(ended.stdout)["totals"]["packets"] == 2
    assert (
        b"--gtp strip writes the IP packets inside, which can. The bill is complete\n"
        in ended.stderr
    )
    assert names(tmp_path) == {"dropped.pcapng"}


# --- where it is written ---


def test_standard_output_takes_the_packets_and_standard_error_the_report(capture: str) -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "engine", "replay", capture, "--ue-net", NET, "--shaped", "-"],
        capture_output=True,
        check=True,
        timeout=120,
        env=environment(),
    )
    assert ended.stdout[24:] == Path(capture).read_bytes()[24 : -16 - len(frame(teid=7)[1])]
    assert b"10 packets that left" in ended.stderr
    assert b"charged" in ended.stderr


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (
            ("--shaped", "-", "--dropped", "-"),
            "standard output ('-') can take --shaped or --dropped",
        ),
        (("--gtp", "strip"), "--gtp strip is about the packets of --shaped"),
        (("--shaped", "ten.pcap"), "ten.pcap: packets cannot be written over"),
        (("--dropped", "new", "--shaped", "./new"), "new: packets cannot be written over ./new"),
    ],
)
def test_names_that_make_no_sense(
    capture: str, options: tuple[str, ...], words: str, capfd: Capture, monkeypatch: Any
) -> None:
    """exit 2: and nothing is billed, nothing is lost"""
    monkeypatch.chdir(Path(capture).parent)
    before = Path(capture).read_bytes()
    ended = call(capfd, "replay", capture, "--ue-net", NET, *options)
    assert (ended.status, ended.out) == (2, "")
    assert ended.err.startswith(f"pktoll: {words}")
    assert ended.err.count("\n") == 1
    assert Path(capture).read_bytes() == before
    assert names(Path(capture).parent) == {"ten.pcap"}


def test_packets_are_not_written_to_a_terminal(capture: str) -> None:
    """exit 2"""
    leader, follower = os.openpty()
    ended = spawn("replay", capture, "--shaped", "-", capture_output=False, stdout=follower)
    os.close(follower)
    os.close(leader)
    assert ended.status == 2


def test_a_place_that_cannot_be_written(capture: str, tmp_path: Path, capfd: Capture) -> None:
    """exit 1, F5: before anything is billed; what was opened already leaves nothing"""
    pool = f"sqlite:///{tmp_path}/coupons.db"
    options = ("--pool", pool, "--shaped", str(tmp_path / "a"), "--dropped", str(tmp_path / "no/b"))
    ended = call(capfd, "replay", capture, "--ue-net", NET, *options)
    assert (ended.status, ended.out) == (1, "")
    assert ended.err == (
        f"pktoll: {tmp_path}/no/b: cannot write packets there: No such file or directory\n"
    )
    assert names(tmp_path) == {"ten.pcap"}


def test_a_full_disk_ends_the_file_not_the_bill(capture: str, tmp_path: Path) -> None:
    """exit 1, F5: one line, the report, and a database that a second replay finds in order"""
    pool = ("--pool", f"sqlite:///{tmp_path}/coupons.db", "--format", "json", "--ue-net", NET)
    ended = spawn("replay", capture, *pool, "--shaped", "/dev/full", "-q")
    assert (ended.status, ended.err) == (
        1,
        "pktoll: /dev/full: cannot write packets there: No space left on device. The bill is complete\n",
    )
    assert json.loads(ended.out)["totals"]["charged_bytes"] == 1_000
    again = spawn("replay", capture, *pool, "--dropped", str(tmp_path / "dropped.pcapng"), "-q")
    assert (again.status, again.err) == (0, "")


def test_a_capture_that_breaks_off(capture: str, tmp_path: Path, capfd: Capture) -> None:
    """exit 4, F24, B52: what was read of it is written"""
    Path(capture).write_bytes(Path(capture).read_bytes()[:-1])
    assert call(capfd, "replay", capture, *outputs(tmp_path)).status == 4
    assert len(read_pcap(tmp_path / "left.pcap")[1]) == 10
    assert read_pcapng(tmp_path / "dropped.pcapng") == []


def test_a_signal_ends_the_reading_not_the_files(tmp_path: Path) -> None:
    """F20: what was read up to there is written, the packets that wait included"""
    frames = [frame(0, size=1_000, teid=3, src="10.1.0.2") for _ in range(3)]
    options = [f"--{name}={path}" for name, path in files(tmp_path).items()]
    options += ["--encapsulation", "gtp", "--shaped", str(tmp_path / "left")]
    program = subprocess.Popen(
        [sys.executable, "-m", "engine", "replay", "-", *options],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        env=environment(),
    )
    assert program.stdin is not None
    program.stdin.write(packets.pcap(frames, magic=0xA1B23C4D))
    program.stdin.flush()
    for _ in range(2_000):
        if any(name.startswith(".pktoll-") for name in names(tmp_path)):
            break
        assert program.poll() is None
        time.sleep(0.05)
    program.send_signal(signal.SIGINT)
    with program:
        assert program.wait(timeout=60) == 4
        assert program.stderr is not None
        assert b"stopped before the captures' end" in program.stderr.read()
    _, left = read_pcap(tmp_path / "left")
    assert [w.data for w in left] == [content for _, content in frames[: len(left)]]
    assert names(tmp_path) == {"left", "world.toml", "lines.toml"}


def test_books_that_do_not_add_up_make_no_file(
    capture: str, tmp_path: Path, capfd: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """exit 6, G6"""
    account = Engine.account

    def planted(self: Engine, batch: Any, **options: Any) -> None:
        account(self, batch, **options)
        self.control[13] += 1

    monkeypatch.setattr(Engine, "account", planted)
    assert call(capfd, "replay", capture, *outputs(tmp_path)).status == 6
    assert names(tmp_path) == {"ten.pcap"}


def test_what_goes_out_at_once_is_paid_for_before(
    capture: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """D9: to a stream nothing is written before the coupon database has it; a file waits anyway"""
    said: list[str] = []
    account, flush, put = Engine.account, Engine.flush, Target.write

    def metered(self: Engine, batch: Any, **options: Any) -> None:
        account(self, batch, **options)
        said.append("metered")

    def flushed(self: Engine) -> None:
        flush(self)
        said.append("durable")

    def written(self: Target, content: Any) -> None:
        put(self, content)
        said.append("written")

    monkeypatch.setattr(Engine, "account", metered)
    monkeypatch.setattr(Engine, "flush", flushed)
    monkeypatch.setattr(Target, "write", written)
    frames = [frame(k * MS, teid=1) for k in range(10)]
    replay(tmp_path, frames, shaped="/dev/null", dropped=None)
    begin = said.index("metered")
    assert said[begin : begin + 3] == ["metered", "durable", "written"]


def test_times_that_a_pcap_file_cannot_hold(tmp_path: Path, capfd: Capture) -> None:
    """B58: after 7 February 2106 they stay at its last nanosecond, and that is said"""
    late_ns = 2**32 * 10**9
    stamps = (late_ns - 5, late_ns, late_ns + 10**18)
    content = packets.pcapng([(at_ns, frame(teid=1)[1]) for at_ns in stamps])
    (tmp_path / "late.pcapng").write_bytes(content)
    ended = call(capfd, "replay", str(tmp_path / "late.pcapng"), *outputs(tmp_path))
    assert ended.status == 0
    found = [w.time_ns for w in read_pcap(tmp_path / "left.pcap")[1]]
    assert found == [late_ns - 5, late_ns - 1, late_ns - 1]
    assert re.search(r"warning: .*left\.pcap: 2 packets have times .*\(1970 to 2106\)\n", ended.err)


def test_packets_of_nobody_are_in_neither_file(tmp_path: Path) -> None:
    """N7: plain IP between two strangers is no user traffic; only one of the files is asked for here"""
    frames = [frame(0, src=ELSEWHERE, dst="203.0.113.8"), frame(MS, src="10.1.0.1")]
    replay(tmp_path, frames, dropped=None)
    assert [(w.time_ns, w.data) for w in read_pcap(tmp_path / "left.pcap")[1]] == frames[1:]
    replay(tmp_path, frames, shaped=None)
    assert read_pcapng(tmp_path / "dropped.pcapng") == []
    assert names(tmp_path) == {"in.pcap", "left.pcap", "dropped.pcapng", "world.toml", "lines.toml"}


def test_comments_are_forgotten_and_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """G7: a flood of SIMs does not fill the memory with texts"""
    frames = [frame(k, teid=7, src=ELSEWHERE) for k in range(3)]
    frames += [frame(9, teid=1, src=ELSEWHERE), frame(10, teid=3, src=ELSEWHERE)]
    replay(tmp_path, frames)
    before = (tmp_path / "dropped.pcapng").read_bytes()
    monkeypatch.setattr("engine.replay.dropped.TEXTS_MAX", 1)
    replay(tmp_path, frames)
    assert (tmp_path / "dropped.pcapng").read_bytes() == before
    assert len({w.comment for w in read_pcapng(tmp_path / "dropped.pcapng")}) == 3
