"""`pktoll gen` as people run it: lists, sizes, pipes, faults; and what a replay makes of its captures."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import gateway_sim
from gateway_sim import loader
from tests.support import storm
from tests.support.command import PROJECT, call, environment, spawn
from tests.support.tshark import need_tshark

ERROR = "_ws.expert.severity >= error or _ws.malformed"
CUT = 12_000
"""packets of a scenario that tshark is shown"""


def faults_seen_by_tshark(path: Path, home: Path, *, without: str = "") -> str:
    """Frames in which tshark finds an error, all checksums checked."""
    wanted = f"({ERROR}) and not ({without})" if without else ERROR
    command = [need_tshark(), "-n", "-r", str(path), "-Y", wanted]
    command += [w for name in ("ip", "udp", "tcp") for w in ("-o", f"{name}.check_checksum:TRUE")]
    found = subprocess.run(
        command, capture_output=True, text=True, check=True, env=environment(HOME=str(home))
    )
    return found.stdout


@pytest.mark.parametrize("name", [name for name, _ in loader.titles() if name != "attack"])
def test_tshark_finds_no_error_in_a_scenario(name: str, tmp_path: Path) -> None:
    """Every checksum and length, of users' packets and of control messages."""
    path = tmp_path / "a.pcap"
    gateway_sim.generate(gateway_sim.load(name), path, packets_max=CUT)
    assert faults_seen_by_tshark(path, tmp_path) == ""
    path.write_bytes(path.read_bytes()[:200] + b"\xff" + path.read_bytes()[201:])
    assert faults_seen_by_tshark(path, tmp_path) != ""


def test_tshark_finds_errors_of_an_attack_only_where_it_is_malformed(tmp_path: Path) -> None:
    path = tmp_path / "a.pcap"
    kinds = tuple(kind for kind in gateway_sim.traffic.attacks.KINDS if kind != "malformed")
    old, new = "spread_s = 1\n", "spread_s = 1\nhandover_percent = 60\n"
    scenario = gateway_sim.load(storm.write(tmp_path, kinds=kinds, old=old, new=new))
    gateway_sim.generate(scenario, path)
    assert faults_seen_by_tshark(path, tmp_path) == ""
    gateway_sim.generate(gateway_sim.load(storm.write(tmp_path)), path)
    assert faults_seen_by_tshark(path, tmp_path) != ""


@pytest.mark.parametrize("book", [True, False])
def test_a_replay_drops_what_the_attack_expects(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], book: bool
) -> None:
    """N7, B02-B07, B09-B12, B14-B17, B19, B20, B25, B27-B29, B31, B37: to the packet, by reason; with
    a subscriber file, and with none but the control messages in the capture."""
    files = {key: str(tmp_path / key) for key in ("a.pcap", "a.toml", "a.json")}
    path = str(storm.write(tmp_path))
    made = call(
        capfd,
        *("gen", path, "-o", files["a.pcap"], "--subscribers", files["a.toml"]),
        *("--expect", files["a.json"]),
    )
    assert (made.status, made.err) == (0, "")
    expected = json.loads(Path(files["a.json"]).read_text())
    known = ["--subscribers", files["a.toml"]] if book else []
    done = call(capfd, "replay", files["a.pcap"], *known, "--format", "json", "-q")
    assert done.status == 0
    found: dict[str, Any] = json.loads(done.out)
    drops = {reason: figures["packets"] for reason, figures in found["drops"].items()}
    assert drops == {r: figures["packets"] for r, figures in expected["drops"].items()}
    assert len(found["sims"]) == 10
    assert expected["passed"] == storm.PACKETS_EACH
    fragments_bytes = storm.PACKETS_EACH * 64
    browsed = sum(sim[way]["charged_bytes"] for sim in found["sims"] for way in ("up", "down"))
    scenario = gateway_sim.load(path)
    plain = gateway_sim.generate(scenario, str(tmp_path / "b.pcap"))
    exempt = found["totals"]["exempt_bytes"]
    assert browsed + exempt == plain.inner_bytes + fragments_bytes
    assert exempt > 0


def test_the_scenarios_that_come_along_are_listed(capfd: pytest.CaptureFixture[str]) -> None:
    listed = call(capfd, "gen", "--list")
    assert listed.status == 0
    lines = dict(line.split(maxsplit=1) for line in listed.out.splitlines())
    assert lines == dict(loader.titles())
    assert "busy-cell" in lines


@pytest.mark.parametrize(
    ("name", "sims", "packets"), [("family", 3, 76_520), ("busy-cell", 10_000, 2_132_030)]
)
def test_a_dry_run_says_how_large_it_would_be(
    name: str, sims: int, packets: int, capfd: pytest.CaptureFixture[str]
) -> None:
    """within 5 percent, without writing anything"""
    done = call(capfd, "gen", name, "--dry-run")
    assert done.status == 0
    words = done.out.split(": ", 1)[1].split()
    assert int(words[0]) == sims
    about = int(words[words.index("packets,") - 1])
    assert abs(about - packets) < packets / 20


def test_a_capture_goes_down_a_pipe(tmp_path: Path) -> None:
    """`gen -o - | replay -`"""
    path = storm.write(tmp_path, kinds=())
    made = subprocess.run(
        [sys.executable, "-m", "engine", "gen", str(path), "-o", "-", "--packets-max", "50"],
        capture_output=True,
        check=True,
        env=environment(),
    )
    assert b"50 packets" in made.stderr
    gateway_sim.generate(gateway_sim.load(path), tmp_path / "a.pcap", packets_max=50)
    assert (tmp_path / "a.pcap").read_bytes() == made.stdout
    quiet = spawn("gen", str(path), "-q", "-o", str(tmp_path / "b.pcap"), "--packets-max", "50")
    assert (quiet.status, quiet.out, quiet.err) == (0, "", "")
    assert (tmp_path / "b.pcap").read_bytes() == made.stdout


def test_a_reader_that_has_gone_is_no_error() -> None:
    """`gen -o - | head`"""
    with subprocess.Popen(
        [sys.executable, "-m", "engine", "gen", "cell", "-q", "-o", "-"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment(),
        cwd=PROJECT,
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.read(24)[:4] == b"\x4d\x3c\xb2\xa1"
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait(60) == 0


def test_a_full_disk_is_said_in_one_line(capfd: pytest.CaptureFixture[str]) -> None:
    done = call(capfd, "gen", "cell", "-o", "/dev/full")
    (line,) = done.err.splitlines()
    assert done.status == 1
    assert "/dev/full: cannot be written: No space left on device" in line


@pytest.mark.parametrize("option", ["--subscribers", "--events", "--expect"])
def test_the_file_that_cannot_be_written_is_named(
    option: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    capture = str(tmp_path / "a.pcap")
    asked = ("gen", "family", "-q", "--packets-max", "1", "-o", capture, option)
    for place, why in (
        ("/dev/full", "No space left on device"),
        (f"{tmp_path}/none/x", "No such file or directory"),
    ):
        done = call(capfd, *asked, place)
        assert done.status == 1
        assert done.err == f"pktoll: {place}: cannot be written: {why}; choose another place\n"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((), "say with -o where"),
        (("-o", "x", "--packets-max", "0"), "--packets-max"),
        (("-o", "x", "--expect", "x"), "must name different files"),
    ],
)
def test_what_makes_no_sense_is_refused(
    arguments: tuple[str, ...], words: str, capfd: pytest.CaptureFixture[str]
) -> None:
    """exit 2, before anything is written"""
    done = call(capfd, "gen", "family", *arguments)
    assert done.status == 2
    assert words in done.err


def test_control_messages_can_be_asked_for(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    path = storm.write(tmp_path, kinds=(), old="signalling = true\n", new="\n")
    plain = call(capfd, "gen", str(path), "-o", str(tmp_path / "a.pcap"))
    asked = call(capfd, "gen", str(path), "-o", str(tmp_path / "a.pcap"), "--signalling")
    assert "other frames" not in plain.out
    assert "44 other frames" in asked.out


def test_a_scenario_without_packets_is_refused(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    path = storm.write(tmp_path, kinds=())
    path.write_text(path.read_text().split("  [[population.activity]]")[0])
    done = call(capfd, "gen", str(path), "-o", str(tmp_path / "a.pcap"))
    assert done.status == 3
    assert f"{path}: nothing in it sends packets" in done.err
    assert not (tmp_path / "a.pcap").exists()
    assert call(capfd, "gen", str(path), "--dry-run").status == 3


def test_a_terminal_sees_how_far_it_is(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = str(storm.write(tmp_path, kinds=()))
    output = str(tmp_path / "a.pcap")
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    shown = call(capfd, "gen", path, "-o", output)
    assert "storm" in shown.err
    assert call(capfd, "gen", path, "-o", output, "-q").err == ""


def test_a_capture_is_not_written_to_a_terminal(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    done = call(capfd, "gen", "family", "-o", "-")
    assert done.status == 2
    assert "pipe it on" in done.err
