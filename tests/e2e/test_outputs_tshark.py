"""What tshark makes of shaped and dropped captures: of real ones, and of what waits and is dropped."""

import csv
import os
import subprocess
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from engine.replay import Options, run
from tests.property.test_outputs import MIX
from tests.support.outputs import read_pcap, replay
from tests.support.tshark import fields, need_tshark

FRAMES_MAX = 600
EVERYBODY = ("0.0.0.0/0", "::/0")
WHO: dict[str, Any] = {"ue_nets": EVERYBODY, "encapsulation": "gtp"}


def looked_through(path: Path, home: Path) -> tuple[str, str]:
    """What tshark says of a whole file with all its experts, and on standard error."""
    done = subprocess.run(
        [need_tshark(), "-n", "-r", str(path), "-q", "-z", "expert"],
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
        env=os.environ | {"HOME": str(home)},
    )
    said = [line for line in done.stderr.splitlines() if not line.startswith("Running as user")]
    return done.stdout, "\n".join(said)


def broken(path: Path, home: Path) -> int:
    """Frames that tshark calls malformed."""
    return sum(bool(row[0]) for row in fields(path, ("_ws.malformed",), home))


def real(shared: Path) -> list[Path]:
    """Small real captures with G-PDUs of one link type, that other programs read to the end."""
    with (shared / "captures" / "INDEX.tsv").open(encoding="utf-8") as index:
        return [
            shared / "captures" / row["file"]
            for row in csv.DictReader(index, delimiter="\t")
            if row["category"] == "gtp"
            and int(row["gpdu_frames"] or 0) > 0
            and int(row["packets_tshark"]) <= FRAMES_MAX
            and row["tshark_status"] == "ok"
            and "," not in row["linktypes"]
        ]


def check_times(rows: list[list[str]]) -> None:
    """Ascending, to the nanosecond."""
    times = [int(row[0].replace(".", "")) for row in rows]
    assert all(len(row[0].partition(".")[2]) == 9 for row in rows)
    assert times == sorted(times)


def forwarded(document: Any) -> int:
    """Packets that left, by the counters of the SIMs."""
    ways = [sim[way] for sim in document["sims"] for way in ("up", "down")]
    return sum(way["packets"] - way["dropped_packets"] for way in ways)


def test_real_captures_are_read_by_tshark_without_a_warning(shared: Path, tmp_path: Path) -> None:
    """P4, N6: as many packets as the report says, times ascending, GTP inside; stripped ones without"""
    need_tshark()
    left, dropped = tmp_path / "left.pcap", tmp_path / "dropped.pcapng"
    checked = 0
    for path in real(shared):
        document = run(
            Options((str(path),), shaped=str(left), dropped=str(dropped), **WHO)
        ).document
        rows = fields(left, ("frame.time_epoch", "gtp.message", "_ws.malformed"), tmp_path)
        assert looked_through(left, tmp_path)[1] == "", path.name
        check_times(rows)
        assert len(rows) == forwarded(document), path.name
        assert all("0xff" in row[1] or "255" in row[1] for row in rows), path.name
        bad = sum(bool(row[2]) for row in rows)
        assert bad == 0 or bad <= broken(path, tmp_path), path.name
        if document["drops"]:
            check_drops(document, fields(dropped, ("frame.time_epoch", "frame.comment"), tmp_path))
        run(Options((str(path),), shaped=str(left), gtp="strip", **WHO))
        link, stripped = read_pcap(left)
        assert link == 101
        assert len(stripped) == len(rows), path.name
        assert all(packet.data[0] >> 4 in (4, 6) for packet in stripped), path.name
        checked += bool(rows)
    assert checked > 10


def check_drops(document: Any, rows: list[list[str]]) -> None:
    """As many frames of each reason as the report says."""
    check_times(rows)
    told = Counter(row[1].split(" — ")[0].removeprefix("dropped: ") for row in rows)
    assert told == {name: drop["packets"] for name, drop in document["drops"].items()}


def test_what_waited_is_in_order_and_whole(tmp_path: Path) -> None:
    """P3, P4: no frame is malformed to tshark, and each is where its departure says"""
    report = replay(tmp_path, MIX)
    left, dropped = tmp_path / "left.pcap", tmp_path / "dropped.pcapng"
    rows = fields(left, ("frame.time_epoch", "frame.len", "frame.cap_len"), tmp_path)
    check_times(rows)
    assert len(rows) == int(report.notices[-2].split(": ")[1].split()[0])
    assert any(int(row[1]) > int(row[2]) for row in rows)
    for written in (left, dropped):
        assert looked_through(written, tmp_path)[1] == ""
    comments = fields(dropped, ("frame.comment",), tmp_path)
    assert [
        "dropped: queue — the SIM's queue is full: dropped from its tail (P4); line hdo00000002, uplink"
    ] in (comments)


def test_a_planted_fault_is_seen(tmp_path: Path) -> None:
    """two packets swapped, a file cut short: the checks above find both"""
    replay(tmp_path, MIX)
    left = tmp_path / "left.pcap"
    rows = fields(left, ("frame.time_epoch",), tmp_path)
    with pytest.raises(AssertionError):
        check_times(rows[::-1])
    left.write_bytes(left.read_bytes()[:-3])
    with pytest.raises((AssertionError, subprocess.CalledProcessError)):
        assert looked_through(left, tmp_path)[1] == ""
