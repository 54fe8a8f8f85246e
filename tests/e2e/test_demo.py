"""`pktoll gen` and `pktoll demo`, as a user runs them."""

import io
import json
import shlex
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console

import gateway_sim
from engine.cli import demo
from engine.cli.main import main
from engine.cli.timeline import BINS, KINDS, Timeline, plot, timeline
from engine.units import MB

MORNING = str(Path(__file__).parents[1] / "support" / "morning.toml")


def run(*arguments: str) -> int:
    """The exit status of a command."""
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    return int(ended.value.code or 0)


def billed(folder: Path, capfd: pytest.CaptureFixture[str], scenario: str) -> dict[str, Any]:
    """The report of the demonstration's own commands on a scenario."""
    for words in demo.commands():
        command, *arguments = shlex.split(words)[1:]
        arguments = [scenario if word == demo.SCENARIO else word for word in arguments]
        if command == "replay":
            arguments += ["--format", "json"]
        capfd.readouterr()
        assert run(command, *arguments) == 0
    document: dict[str, Any] = json.loads(capfd.readouterr().out)
    assert {path.name for path in folder.iterdir()} == set(demo.FILES)
    return document


def of(sim: dict[str, Any], name: str) -> int:
    return int(sim["up"][name]) + int(sim["down"][name])


def test_the_commands_of_the_demo_bill_a_morning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """D1, D2, D5, P1, P2, P3, P4, X1, C7: and the timeline adds up to the bill."""
    monkeypatch.chdir(tmp_path)
    document = billed(tmp_path, capfd, MORNING)
    first, second = document["sims"]
    assert (first["granted_bytes"], first["balance_bytes"]) == (200_000, 0)
    assert of(first, "charged_bytes") == 200_000
    assert of(first, "slow_bytes") > 0
    assert first["down"]["max_delay_ns"] > 0
    assert of(first, "dropped_bytes") > 0
    assert of(first, "exempt_bytes") > 0
    assert second["grants"] == 0
    assert of(second, "slow_bytes") > 0
    assert of(second, "charged_bytes") + second["balance_bytes"] == 100_000

    scenario = gateway_sim.load(MORNING)
    made = timeline(*demo.FILES, (scenario.start_ns, scenario.end_ns))
    for sim, kinds in zip(document["sims"], made.bytes_by.sum(axis=2).tolist(), strict=True):
        names = ("charged_bytes", "slow_bytes", "exempt_bytes", "dropped_bytes")
        figures = [of(sim, name) for name in names]
        figures[0] += of(sim, "free_bytes")  # part of a packet that went out at high speed
        assert kinds == figures
    off = slice(BINS * 3 // 8 + 1, BINS * 6 // 8)
    assert made.bytes_by[1, 0, off].sum() == 0
    assert made.bytes_by[1, 1, off].sum() > 0


def test_the_demo_needs_nothing(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(demo, "SCENARIO", MORNING)
    assert run("demo") == 0
    said = capfd.readouterr()
    assert said.err == ""
    for words in ("A short morning", "819000000002", "slow", "exempt", "07:04", *demo.commands()):
        assert words in said.out


def test_the_demo_reports_what_the_replay_could_not_read(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    whole = gateway_sim.generate

    def cut(scenario: gateway_sim.Scenario, path: str) -> gateway_sim.Summary:
        summary = whole(scenario, path)
        with open(path, "r+b") as file:
            file.truncate(summary.file_bytes - 10)
        return summary

    monkeypatch.setattr(demo, "SCENARIO", MORNING)
    monkeypatch.setattr(gateway_sim, "generate", cut)
    assert run("demo") == 4
    assert "family.pcap" in capfd.readouterr().err


@pytest.mark.jit
def test_the_family_shares_45_mb(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """D1, D2, D4, D5, S3: slices of 10 MB while they last, 200 kbit/s after the last byte."""
    monkeypatch.chdir(tmp_path)
    document = billed(tmp_path, capfd, "family")
    totals, (contract,) = document["totals"], document["contracts"]
    assert (contract["credited_bytes"], contract["in_database_bytes"]) == (45 * MB, 0)
    assert (totals["grants"], totals["granted_bytes"]) == (5, 45 * MB)
    left = sum(sim["balance_bytes"] for sim in document["sims"])
    assert totals["charged_bytes"] + left == 45 * MB
    assert left > 0
    parts = ("charged_bytes", "slow_bytes", "exempt_bytes", "free_bytes", "dropped_bytes")
    assert totals["inner_bytes"] == sum(totals[part] for part in parts)
    assert all(totals[part] > 0 for part in parts)


def test_gen_says_where_it_cannot_write(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    place = tmp_path / "none" / "a.pcap"
    assert run("gen", MORNING, "-o", str(place)) == 1
    (line,) = capfd.readouterr().err.splitlines()
    assert f"{place}: cannot be written" in line
    assert run("gen", "nothing", "-o", str(tmp_path / "a.pcap")) == 3
    assert "cell, commute, family" in capfd.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_gen_does_not_write_one_file_over_another(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """exit 2, before anything is written"""
    with pytest.raises(SystemExit) as ended:
        main(["gen", "family", "-o", str(tmp_path / "a"), "--subscribers", str(tmp_path / "a")])
    assert ended.value.code == 2
    assert "must name different files" in capfd.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_gen_writes_only_what_is_asked_for(tmp_path: Path) -> None:
    assert run("gen", MORNING, "-o", str(tmp_path / "a.pcap")) == 0
    assert [path.name for path in tmp_path.iterdir()] == ["a.pcap"]


@pytest.mark.skipif(not shutil.which("tshark"), reason="tshark is not installed")
def test_tshark_finds_no_fault(tmp_path: Path) -> None:
    path = tmp_path / "a.pcap"
    gateway_sim.generate(gateway_sim.load(MORNING), path)
    checks = [
        word for name in ("ip", "udp", "tcp") for word in ("-o", f"{name}.check_checksum:TRUE")
    ]
    wrong = "_ws.expert.severity >= warning or _ws.malformed"
    found = subprocess.run(
        ["tshark", "-r", path, *checks, "-Y", wrong], capture_output=True, text=True, check=True
    )
    assert found.stdout == ""


def test_the_plot_is_on_one_scale() -> None:
    book = gateway_sim.load(MORNING)
    made = Timeline((), book.start_ns, book.end_ns, np.zeros((0, len(KINDS), BINS), np.int64))
    assert "07:00" in drawn(made, "utf-8")
    lines: Any = tuple(book.lines())
    bytes_by = np.zeros((2, len(KINDS), BINS), np.int64)
    bytes_by[0, 0, :3] = [6_400, 1_600, 1]
    bytes_by[1, 1, 47] = 6_401
    made = Timeline(lines, book.start_ns, book.end_ns, bytes_by)
    head, high, slow, axis = drawn(made, "utf-8").splitlines()
    assert "10 s" in head
    assert "6,401" in head
    assert high.rstrip().endswith("819000000001     high █▄▁")
    assert slow.endswith(" " * 47 + "█")
    assert slow.index("█") - axis.index("07:00") == 47
    assert "high #=." in drawn(made, "ascii")


def drawn(made: Timeline, encoding: str) -> str:
    file = io.TextIOWrapper(io.BytesIO(), encoding=encoding, newline="")
    plot(Console(file=file, width=120), made)
    file.flush()
    file.seek(0)
    return file.read()
