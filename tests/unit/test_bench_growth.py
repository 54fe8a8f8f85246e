"""The measurements of growth: captures that are repeated truly, and figures that are read rightly."""

import json
import os
import struct
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

from bench import capture, growth, growth_ledger, growth_packets, growth_rows
from bench.growth_command import replay as measured_replay
from bench.growth_command import status_bytes
from bench.growth_crowd import FIRST_LO, START_NS, batch, booked, crowd
from bench.growth_engine import all_charged
from bench.growth_memory import tables_of
from bench.growth_packets import Source, arguments, block_packets
from bench.growth_rows import Row
from bench.growth_stream import US_PER_S, Block
from engine.layout import CHARGED_SHIFT
from engine.pool.store import StoreOptions, open_store
from engine.replay import Options, run
from engine.units import NS_PER_DAY
from tests.support.command import PROJECT, environment

PACKETS, SIMS, TIMES, STEP_US = 200, 7, 3, 5_000
UE_NETS = ("10.0.0.0/8",)


class Record(NamedTuple):
    """A record of a pcap file."""

    time_us: int
    held: int
    wire: int
    frame: bytes


def records(path: Path) -> list[Record]:
    """Every record of a little-endian pcap file, read anew."""
    data = path.read_bytes()
    at, found = 24, []
    while at < len(data):
        second, micro, held, wire = struct.unpack_from("<IIII", data, at)
        frame = data[at + 16 : at + 16 + held]
        found.append(Record(second * US_PER_S + micro, held, wire, frame))
        at += 16 + held
    return found


@pytest.fixture
def short(tmp_path: Path) -> Path:
    """A capture to be repeated."""
    path = tmp_path / "short.pcap"
    capture.write(path, PACKETS, SIMS)
    return path


def repeated(short: Path, held: int | None = None) -> Path:
    """The file that repeats it."""
    path = short.with_name("long.pcap")
    with path.open("wb") as file:
        Block(short, held, STEP_US).write(file.fileno(), TIMES)
    return path


@pytest.mark.parametrize("held", [None, 80, 120])
def test_a_repeated_capture_goes_steadily_on(short: Path, held: int | None) -> None:
    """every packet as often, a step after the one before, also where one round ends and the next begins"""
    once, often = records(short), records(repeated(short, held))
    assert [r.wire for r in often] == [r.wire for r in once] * TIMES
    assert [r.frame for r in often] == [r.frame[:held] for r in once] * TIMES
    assert all(r.held == len(r.frame) for r in often)
    steps = np.diff([r.time_us for r in often])
    assert (often[0].time_us, set(steps.tolist())) == (once[0].time_us, {STEP_US})


def billed(path: Path) -> dict[str, Any]:
    """The report of a replay."""
    report = run(Options((str(path),), ue_nets=UE_NETS))
    assert report.exit_status == 0
    return report.document


@pytest.mark.parametrize("held", [None, 80])
def test_a_capture_that_is_repeated_is_billed_as_often(short: Path, held: int | None) -> None:
    """cut or whole: the lengths of the headers are billed"""
    once, often = billed(short), billed(repeated(short, held))
    counted = ("packets", "inner_bytes", "charged_bytes")
    for name in (*counted, "slow_bytes", "dropped_bytes"):
        assert often["totals"][name] == TIMES * once["totals"][name], name
    assert once["totals"]["charged_bytes"] > 0
    assert often["capture"]["packets"] == TIMES * PACKETS
    assert len(often["sims"]) == len(once["sims"]) == SIMS
    for one, more in zip(once["sims"], often["sims"], strict=True):
        for way in ("up", "down"):
            assert [more[way][n] for n in counted] == [TIMES * one[way][n] for n in counted]


@pytest.mark.parametrize("size", [40, 1400])
def test_all_packets_are_of_the_size_that_is_asked_for(tmp_path: Path, size: int) -> None:
    path = tmp_path / "sized.pcap"
    capture.write(path, PACKETS, SIMS, sizes=np.array([size]))
    totals = billed(path)["totals"]
    assert (totals["packets"], totals["inner_bytes"]) == (PACKETS, PACKETS * size)


@pytest.mark.parametrize("cut", [0, 20, 24, -1])
def test_what_is_no_whole_capture_is_not_repeated(short: Path, cut: int) -> None:
    short.write_bytes(short.read_bytes()[:cut])
    with pytest.raises(SystemExit, match=r"not a little-endian pcap|empty or broken off"):
        Block(short)


def test_rounds_begin_at_whole_seconds(short: Path) -> None:
    with pytest.raises(SystemExit, match="not whole seconds"):
        Block(short, step_us=3_001)


def test_the_writer_ends_with_its_reader(short: Path) -> None:
    command = [sys.executable, "-m", "bench.growth_stream", str(short), "--times", "1000000"]
    options: dict[str, Any] = {"env": environment(), "cwd": PROJECT}
    pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen([*command, "--step-us", "5000"], **pipes, **options) as writer:
        assert writer.stdout is not None
        assert writer.stderr is not None
        assert writer.stdout.read(4) == short.read_bytes()[:4]
        writer.stdout.close()
        assert writer.stderr.read() == b""
    assert writer.returncode == 1


def test_memory_is_read_of_a_process_that_lives() -> None:
    before = status_bytes("self", "VmRSS")
    room = bytearray(64 << 20)
    room[::4096] = b"\1" * (len(room) // 4096)
    assert status_bytes(os.getpid(), "VmRSS") - before > 60 << 20
    assert status_bytes("self", "VmHWM") >= status_bytes("self", "VmRSS")
    with subprocess.Popen([sys.executable, "-c", ""]) as gone:
        gone.wait()
        assert status_bytes(gone.pid, "VmRSS") == 0
    assert status_bytes(gone.pid, "VmRSS") == 0


@pytest.mark.parametrize("stream", [False, True])
def test_a_run_is_seen_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stream: bool) -> None:
    """the command itself, with a file and with a stream"""
    monkeypatch.setattr(growth_packets, "BLOCK_PACKETS", 1_000)
    monkeypatch.setenv("PYTHONPATH", str(PROJECT))
    monkeypatch.chdir(PROJECT)
    with arguments(Source(2_000, SIMS, stream=stream), tmp_path) as (given, feed):
        ran = measured_replay(given, feed)
    assert (ran.packets, ran.totals["packets"], ran.totals["dropped_bytes"]) == (2_000, 2_000, 0)
    assert 0 < ran.busy_s < ran.wall_s
    assert ran.cpu_s > 0
    assert ran.ns == pytest.approx(ran.busy_s * 1e9 / 2_000)
    assert ran.peak_bytes > 30 << 20
    assert (ran.fed_bytes > 0) == stream
    assert not (tmp_path / "long.pcap").exists()


def test_a_run_that_fails_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(PROJECT))
    with pytest.raises(SystemExit, match=r"failed \(4\): pktoll: .*nowhere\.pcap"):
        measured_replay([str(tmp_path / "nowhere.pcap")])


def test_a_block_is_a_whole_part_of_all_packets() -> None:
    assert block_packets(Source(1_000_000, 1_000)) == growth_packets.BLOCK_PACKETS
    assert block_packets(Source(2_000_000, 999_001)) == 1_000_000
    with pytest.raises(SystemExit, match="no multiple"):
        block_packets(Source(1_000_001, 1_000))


def run_of(packets: int, ns: float, peak_bytes: int = 0) -> Row:
    """A row as measured."""
    figures = {"packets": packets, "sims": 1, "capture": "file", "peak_bytes": peak_bytes}
    return Row(
        "packets",
        {**figures, "ns": growth_rows.spread([ns]), "cpu_ns": growth_rows.spread([2 * ns])},
    )


def test_growth_is_told_apart_from_what_a_run_costs_once() -> None:
    """a start of 10 ms hides that each packet of the last step took a fifth longer: the planted fault"""
    times_ns = {10**6: 10**7 + 50 * 10**6, 10**7: 10**7 + 500 * 10**6}
    times_ns[10**8] = times_ns[10**7] + 60 * 90 * 10**6
    rows = [run_of(n, t / n, 5 * k) for k, (n, t) in enumerate(times_ns.items())]
    first, second = (row.figures for row in growth_packets.growth(rows))
    assert (first["marginal_ns"], second["marginal_ns"]) == (50, 60)
    assert (first["marginal_cpu_ns"], second["marginal_cpu_ns"]) == (100, 120)
    assert (first["ns_grown_percent"], second["marginal_ns_grown_percent"]) == (-15, 20)
    assert second["marginal_cpu_ns_grown_percent"] == 20
    assert second["peak_grown_bytes"] == 5
    assert growth_packets.growth([rows[0], Row("", {**rows[1].figures, "sims": 2})]) == []


def test_every_sim_of_a_crowd_is_found_and_charged() -> None:
    """by address and by TEID: each row is its own SIM's, and nothing is dropped"""
    for tunnels in (False, True):
        engine = crowd(300, tunnels)
        engine.account(batch(np.repeat(np.arange(300), np.arange(300) % 3), tunnels=tunnels))
        packets = engine.sims.rows["charged"] >> CHARGED_SHIFT
        assert packets.sum(axis=1).tolist() == [0, 1, 2] * 100
        all_charged(engine, 300)
        engine.account(batch(np.array([0, 300]), tunnels=tunnels))  # SIM 300 is not there
        with pytest.raises(SystemExit, match="301 of 302 packets"):
            all_charged(engine, 302)
        assert tables_of(engine)["sim_rows"] == 300 * 64
        engine.close(clean=False)


def test_lines_without_a_balance_take_slices_of_their_contract() -> None:
    """not all at once: what they begin with differs"""
    engine = booked(12, lines_per_contract=3, balance_bytes=0)
    rows = batch(np.tile(np.arange(12), 50))
    rows["length"], rows["time_ns"] = 30_000, START_NS + 10**9 * np.arange(1, 601)
    engine.account(rows)
    assert len(engine.book.contracts) == 4
    assert 0 < engine.totals()["grants"] < 12
    assert engine.totals()["drops"] == {}
    assert int(rows["src_lo"].min()) >= FIRST_LO
    engine.close(clean=False)


def test_contracts_are_carried_over_the_end_of_a_month(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """each has its slice and its second coupon, and what the file holds is counted"""
    path = tmp_path / "coupons.db"
    row = growth_ledger.contracts_row("file", f"sqlite:///{path}", path, 20)
    assert row.figures["file_bytes"] == round(path.stat().st_size / 20)
    store = open_store(f"sqlite:///{path}", StoreOptions(gateway=None))
    assert [coupon.expires_ns for coupon in store.coupons("c0")] == [
        growth_ledger.DECEMBER_NS + 31 * NS_PER_DAY,
        growth_ledger.DECEMBER_NS + 62 * NS_PER_DAY,
    ]
    store.close()
    monkeypatch.setattr(growth_ledger, "LINES", 100)
    monkeypatch.setattr(growth_ledger, "_packets", lambda engine, contracts: None)
    assert 50 < growth_ledger.slices_row().median("bytes") < 500
    with pytest.raises(SystemExit, match="0 of 20 lines were given a slice"):
        growth_ledger.contracts_row("memory", None, None, 20)


def test_sections_are_printed_and_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "rows.json"
    growth.main(["memory", "--smoke", "--json", str(path)])
    rows = json.loads(path.read_text(encoding="utf-8"))["rows"]
    assert [row["kind"] for row in rows] == ["tables", "slow"]
    assert all(row["tables_per_sim"] > 64 for row in rows)
    assert rows[0]["resident_bytes_per_sim"] > 64
    assert capsys.readouterr().out.splitlines()[0] == "memory"
    with pytest.raises(SystemExit):
        growth.main(["nothing"])


def test_figures_are_told_to_people_and_programs() -> None:
    order: list[str] = []

    def runner(name: str) -> float:
        order.append(name)
        return 1.0

    runners = {name: partial(runner, name) for name in "ab"}
    assert growth_rows.in_turn(runners, 2) == {"a": [1.0, 1.0], "b": [1.0, 1.0]}
    assert order == ["b", "a", "a", "b", "b", "a"]
    rows = [Row("one", {"sims": 1_000, "ns": growth_rows.spread([3.0, 1.0, 2.0])})]
    assert growth_rows.table([*rows, Row("one", {"sims": 5, "more": "x"})]).splitlines() == [
        "one",
        "   sims                ns  more",
        "  1,000  2.00 (1.00-3.00)      ",
        "      5                       x",
    ]
    document = json.loads(growth_rows.document(rows))
    assert document["rows"] == [
        {"section": "one", "sims": 1_000, "ns": {"median": 2.0, "min": 1.0, "max": 3.0}}
    ]
