"""Whole programs beside ours: run, waited for with all that they start, and counted."""

import ctypes
import os
import sys
from pathlib import Path
from typing import Any

import pytest

from bench import capture, ours_replay, programs, replaying, spawned
from bench.programs import Captures, Program
from bench.rounds import Round
from engine.errors import PktollError
from tests.support.benches import row

PACKETS = 300
SIMS = 4
BURNS = "import time\nend = time.process_time() + 0.2\nwhile time.process_time() < end: pass"
ORPHAN = f"import os\nif os.fork() == 0:\n    {BURNS.replace(chr(10), chr(10) + '    ')}"


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Captures:
    """A capture of 300 packets, its first 200 and its first 100."""
    folder = tmp_path_factory.mktemp("captures")
    for name, count in (("whole", PACKETS), ("slow", 200), ("start", 100)):
        capture.write(folder / name, count, SIMS)
    return Captures(folder / "whole", PACKETS, folder / "slow", 200, folder / "start")


def python(code: str, says: int = PACKETS, **fields: Any) -> Program:
    """A program in Python that says that it saw so many packets."""
    made = Program(
        "planted",
        "nothing",
        sys.executable,
        "nowhere",
        lambda *_: [sys.executable, "-c", code],
        lambda *_: says,
    )
    return made._replace(**fields)


def test_time_of_a_program_is_seen_from_outside() -> None:
    ended = spawned.run([sys.executable, "-c", f"{BURNS}\nprint('done')"])
    assert (ended.status, ended.out) == (0, "done\n")
    assert ended.cpu_ns > 200_000_000
    assert ended.wall_ns > 200_000_000


def test_time_of_what_it_leaves_behind_counts() -> None:
    """A child that outlives the program it was started by is waited for"""
    if sys.platform != "linux":
        pytest.skip("orphans go to the system's first process here")
    assert spawned.run([sys.executable, "-c", ORPHAN]).cpu_ns > 200_000_000


def adopts() -> bool:
    """Whether this process is the one that orphans below it come to."""
    found = ctypes.c_int()
    ctypes.CDLL(None).prctl(37, ctypes.byref(found), 0, 0, 0)  # PR_GET_CHILD_SUBREAPER
    return bool(found.value)


@pytest.mark.skipif(sys.platform != "linux", reason="orphans go to the first process here")
def test_orphans_are_ours_for_as_long_as_a_program_runs() -> None:
    """afterwards nobody would take note of their end: a server's stop was waited for a minute"""
    before = adopts()
    with spawned.adopting():
        assert adopts()
    spawned.run([sys.executable, "-c", ""])
    assert adopts() == before


def test_what_does_not_end_is_ended() -> None:
    ended = spawned.run(["sleep", "60"], seconds_max=0.2)
    assert (ended.status, ended.wall_ns < 30 * 10**9) == (-9, True)


def test_a_program_runs_where_it_is_told_to() -> None:
    core = min(os.sched_getaffinity(0))
    code = "import os; print(sorted(os.sched_getaffinity(0)))"
    assert spawned.run([sys.executable, "-c", code], [core]).out.strip() == f"[{core}]"
    assert core in os.sched_getaffinity(0)


def test_missing_programs_are_said() -> None:
    assert python("", needs="no-such-program").missing() == "not installed (nowhere)"
    assert (
        python("", needs="python:no_such_module").missing()
        == "no Python package no_such_module (nowhere)"
    )
    assert python("").missing() is None
    assert python("", needs="python:json").missing() is None


def test_a_program_that_fails_or_lies_is_refused(found: Captures) -> None:
    """Its last line is said; no packets, or more than there are, are no measurement"""
    fails = python("import sys; sys.exit('one\\ncannot read it')")
    with pytest.raises(PktollError, match=r"planted failed \(1\): cannot read it"):
        programs.run(fails, found.whole, PACKETS)
    for says in (0, PACKETS + 1):
        with pytest.raises(PktollError, match=f"counted {says} packets of {PACKETS}"):
            programs.run(python("", says), found.whole, PACKETS)
    assert programs.run(python("", PACKETS - 1), found.whole, PACKETS).status == PACKETS - 1


def test_a_start_is_not_counted_among_the_packets() -> None:
    start = spawned.Ended(100, "", "", 2_000_000_000, 500_000_000)
    whole = start._replace(wall_ns=5_000_000_000, cpu_ns=1_500_000_000)
    made = programs.apart(start, whole, 1_100, 1_099)
    assert made == Round(3_000_000.0, 1_099, 0, 1_000_000.0, 2.0, 5.0, 1.5)
    assert programs.apart(whole, start, 1_100, 1).ns == programs.LEAST_NS / 1_000


def test_slow_programs_get_the_first_packets(found: Captures) -> None:
    slow = python("", 100, packets_max=100)
    asked: list[Path] = []
    command = slow.command

    def noted(path: Path, folder: Path) -> list[str | Path]:
        asked.append(path)
        return command(path, folder)

    slow = slow._replace(command=noted)
    assert programs.once(slow, found).packets == 100
    assert asked == [found.start, found.slow]


@pytest.mark.parametrize(
    "name", ["nfpcapd", "softflowd", "tshark", "dpkt", "dpkt, GTP-U", "scapy, raw"]
)
def test_programs_that_are_here_count_every_packet(found: Captures, name: str) -> None:
    (one,) = (p for p in programs.PROGRAMS if p.name == name)
    if why := one.missing():
        pytest.skip(f"{name}: {why}")
    assert programs.run(one, found.whole, PACKETS).status == PACKETS


def test_pmacctd_is_asked_to_look_into_gtp(tmp_path: Path) -> None:
    """Its table is summed up, whatever stands beside the packets (running it takes it some seconds)"""
    words = programs._pmacctd(programs.LARGE_BUFFERS)(tmp_path / "c.pcap", tmp_path)
    text = (tmp_path / "pmacctd.conf").read_text()
    assert words[:2] == ["pmacctd", "-f"]
    assert text.endswith(programs.LARGE_BUFFERS)
    assert ("tunnel_0: gtp, 2152" in text, f"{tmp_path}/c.pcap" in text) == (True, True)
    (tmp_path / "out.csv").write_text("SRC_IP,PACKETS,BYTES\n10.0.0.1,7,700\n10.0.0.2,5,50\n")
    assert programs._pmacctd_count(spawned.Ended(0, "", "", 1, 1), tmp_path) == 12


def test_ours_beside_another_program(found: Captures) -> None:
    """`pktoll replay` from outside, a loop in Python that is told the truth, one that is missing"""
    others = [python(""), python("", needs="no-such-program", name="absent")]
    others[0] = others[0]._replace(command=lambda c, _: [sys.executable, programs.SCAPY_LOOP, c])
    others[0] = others[0]._replace(counted=programs._said(r"^(\d+) packets"))
    rows = replaying.beside_programs(found, "mix", (1, 0), [], (1,), others)
    assert [(one.name, one.rounds[0].packets) for one in rows] == [
        ("pktoll", PACKETS),
        ("planted", PACKETS),
    ]
    assert all(one.rounds[0].whole_cpu_s > 0 for one in rows)


def test_whoever_reads_other_packets_is_seen() -> None:
    ours = row("pktoll", [3.0], packets=10, bytes=100)
    replaying._agree([ours, row("file_read", [1.0], packets=10, bytes=777)])
    for name, cores in (("pcap_gtp", 1), ("pktoll", 2)):
        with pytest.raises(PktollError, match="packets and inner bytes differ"):
            replaying._agree([ours, row(name, [3.0], cores, packets=10, bytes=99)])


def test_a_replay_that_fails_is_said(tmp_path: Path) -> None:
    (tmp_path / "c.pcap").write_bytes(b"no capture")
    with pytest.raises(PktollError, match=r"pktoll replay failed \(4\)"):
        ours_replay.replay(tmp_path / "c.pcap", [])


def test_captures_are_as_long_as_their_sizes_allow() -> None:
    assert replaying.packets_for("mix") == capture.PACKETS == replaying.packets_for("40")
    assert replaying.packets_for("1400") * (1400 + 66) <= replaying.LARGEST_BYTES
