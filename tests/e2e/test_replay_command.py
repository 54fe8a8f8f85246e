"""`pktoll replay` as a user runs it: exit statuses, streams, terminals, the coupon database."""

import csv
import io
import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import apsw
import pytest

from engine.units import MB
from tests.support import packets
from tests.support.command import MS, NET, call, environment, frame, spawn, write

BOOK = """
[[contract]]
code = "hdd00000001"
plan = "minimum-start"
started = 2013-10-01
  [[contract.coupon]]
  kind = "bundle"
  bytes = {bytes}
  expires = "2013-12"
  [[contract.line]]
  code = "hdo00000001"
  imsi = "440100000000001"
  addresses = ["10.1.0.1"]
"""

Capture = pytest.CaptureFixture[str]


@pytest.fixture
def capture(tmp_path: Path) -> str:
    """Ten packets of one SIM, 100 bytes each."""
    return write(tmp_path / "ten.pcap", [frame(k * MS) for k in range(10)])


def lines_file(folder: Path, coupon_bytes: int = MB) -> str:
    path = folder / "lines.toml"
    path.write_text(BOOK.format(bytes=coupon_bytes))
    return str(path)


def test_a_capture_is_billed(capture: str) -> None:
    """exit 0: in a process of its own"""
    ended = spawn("replay", capture, "--ue-net", NET, "--format", "json")
    assert (ended.status, ended.err) == (0, "")
    document = json.loads(ended.out)
    assert document["capture"]["files"] == [capture]
    assert document["totals"]["charged_bytes"] == 1_000


def test_a_database_that_cannot_be_opened(capture: str, tmp_path: Path) -> None:
    """exit 1"""
    ended = spawn("replay", capture, "--pool", f"sqlite:///{tmp_path}/no/such.db")
    assert ended.status == 1
    assert ended.out == ""
    assert re.fullmatch(r"pktoll: .*no/such\.db.*\n", ended.err)


def test_a_prefix_that_is_none(capture: str) -> None:
    """exit 2"""
    ended = spawn("replay", capture, "--ue-net", "10.0.0.1/8")
    assert ended.status == 2
    assert ended.err.startswith("pktoll: --ue-net 10.0.0.1/8: ")
    assert ended.err.count("\n") == 1


def test_a_subscriber_file_with_two_faults(capture: str, tmp_path: Path) -> None:
    """exit 3: each in a line, with its place"""
    path = tmp_path / "lines.toml"
    path.write_text(BOOK.format(bytes=-1).replace("10.1.0.1", "10.1.0.1111"))
    ended = spawn("replay", capture, "--subscribers", str(path))
    assert ended.status == 3
    found = ended.err.splitlines()
    assert len(found) == 2
    assert all(re.match(rf"pktoll: {re.escape(str(path))}:\d+:\d+: ", line) for line in found)


@pytest.mark.parametrize("missing_bytes", [1, 60])
def test_a_capture_that_is_cut_is_billed_up_to_there(
    capture: str, missing_bytes: int, capfd: Capture
) -> None:
    """exit 4, F24, B52: with the offset, in the report and in the message"""
    data = Path(capture).read_bytes()
    Path(capture).write_bytes(data[:-missing_bytes])
    run = spawn if missing_bytes == 1 else lambda *arguments: call(capfd, *arguments)
    ended = run("replay", capture, "--ue-net", NET, "--format", "json")
    assert ended.status == 4
    document = json.loads(ended.out)
    size = len(frame()[1]) + 16
    assert document["capture"]["truncated_at"] == len(data) - size
    assert document["capture"]["packets"] == document["totals"]["packets"] == 9
    assert f"{len(data) - size}" in ended.err
    assert ended.err.count("\n") == 1


def test_a_capture_that_is_none(tmp_path: Path, capfd: Capture) -> None:
    """exit 4, B51"""
    for name, content in (("empty", b""), ("words", b"no capture at all, just words")):
        (tmp_path / name).write_bytes(content)
    for name in ("empty", "words", "absent", "."):
        ended = call(capfd, "replay", str(tmp_path / name), "--ue-net", NET)
        assert ended.status == 4
        assert re.fullmatch(r"pktoll: .+\n", ended.err)
        assert str(tmp_path) in ended.err


@pytest.mark.parametrize(
    ("condition", "status"),
    [("dropped_bytes > 0", 0), ("charged_bytes >= 1000", 5), ("gold > 1", 2), ("packets", 2)],
)
def test_fail_if(capture: str, condition: str, status: int) -> None:
    """exit 5, and 2 where the condition makes no sense"""
    ended = spawn("replay", capture, "--ue-net", NET, "-q", "--fail-if", condition)
    assert ended.status == status
    assert bool(ended.err) == (status != 0)
    assert bool(ended.out) == (
        status != 2
    )  # what makes no sense is refused before anything is billed


def test_a_cut_capture_weighs_more_than_a_condition(capture: str, capfd: Capture) -> None:
    """exit 4, both are told"""
    Path(capture).write_bytes(Path(capture).read_bytes()[:-1])
    conditions = ("--fail-if", "packets > 1", "--fail-if", "packets > 1e", "--fail-if", "packets>2")
    ended = call(capfd, "replay", capture, "--ue-net", NET, *conditions[:2], *conditions[4:])
    assert ended.status == 4
    assert ended.err.count("--fail-if packets") == 2
    assert call(capfd, "replay", capture, *conditions).status == 2


def test_books_that_do_not_add_up(capture: str, tmp_path: Path) -> None:
    """exit 6, G6, F18: the row is named"""
    database = tmp_path / "a.db"
    arguments = ("--subscribers", lines_file(tmp_path), "--pool", f"sqlite:///{database}")
    assert spawn("replay", capture, *arguments).status == 0
    planted = apsw.Connection(str(database))
    planted.execute("UPDATE slice SET used_bytes = used_bytes + 1")
    planted.close()
    ended = spawn("replay", capture, *arguments, "--format", "json")
    assert (ended.status, ended.out) == (6, "")
    assert re.fullmatch(r"pktoll: coupon database: .+\n", ended.err)


def test_standard_input(capture: str) -> None:
    """`-`: the same bill"""
    data = Path(capture).read_bytes()
    ended = spawn("replay", "-", "--ue-net", NET, "--format", "json", input=data)
    assert ended.status == 0
    document = json.loads(ended.out)
    assert (document["capture"]["files"], document["totals"]["charged_bytes"]) == (["-"], 1_000)


def test_an_empty_standard_input() -> None:
    """B51: exit 4"""
    ended = spawn("replay", "-", "--format", "json", stdin=subprocess.DEVNULL)
    assert ended.status == 4
    assert "pktoll: " in ended.err


def test_every_format_says_the_same(capture: str, capfd: Capture) -> None:
    """numbers as they are"""
    run = {f: call(capfd, "replay", capture, "--ue-net", NET, "--format", f) for f in FORMATS}
    assert {ended.status for ended in run.values()} == {0}
    document = json.loads(run["json"].out)
    records = [json.loads(line) for line in run["jsonl"].out.splitlines()]
    assert [r for r in records if r.pop("record") == "sim"] == document["sims"]
    (row,) = csv.DictReader(io.StringIO(run["csv"].out))
    assert (row["address"], row["up_charged_bytes"]) == ("10.1.0.1", "1000")
    assert "10.1.0.1" in run["table"].out


FORMATS = ("table", "json", "jsonl", "csv")


def test_no_colour_where_there_is_no_terminal(capture: str) -> None:
    """plain text, whatever TERM says"""
    ended = spawn("replay", capture, env=environment(TERM="xterm-256color", NO_COLOR="1"))
    assert ended.status == 0
    assert "\x1b" not in ended.out + ended.err
    assert "neither --subscribers nor --ue-net was given" in ended.err


def on_terminal(capture: str, stream: str, *arguments: str, **variables: str) -> str:
    """What a terminal at that stream is sent."""
    leader, follower = os.openpty()
    streams = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, stream: follower}
    command = [sys.executable, "-m", "engine", "replay", capture, "--ue-net", NET, *arguments]
    changed = environment(TERM="xterm-256color", **variables)
    with subprocess.Popen(command, env=changed, **streams) as process:
        os.close(follower)
        seen = b""
        while chunk := _read(leader):
            seen += chunk
        assert process.wait(timeout=120) == 0
    os.close(leader)
    return seen.decode()


def _read(leader: int) -> bytes:
    try:
        return os.read(leader, 65_536)
    except OSError:  # Linux's way to say that nobody holds the other end any more
        return b""


def test_a_progress_bar_on_a_terminal_only(capture: str) -> None:
    """-q silences it"""
    seen = on_terminal(capture, "stderr")
    assert "reading" in seen
    assert "\x1b[" in seen
    assert on_terminal(capture, "stderr", "-q") == ""


def test_colours_on_a_terminal_unless_they_are_not_wanted(capture: str) -> None:
    """NO_COLOR"""
    colour = re.compile(r"\x1b\[[0-9;]*3[0-7]m")
    assert colour.search(on_terminal(capture, "stdout"))
    assert not colour.search(on_terminal(capture, "stdout", NO_COLOR="1"))


@pytest.mark.parametrize(("sims", "unbuffered"), [(1, ""), (1, "1"), (3_000, "")])
def test_a_reader_that_goes_away(tmp_path: Path, sims: int, unbuffered: str) -> None:
    """`| head -1`: no error, no message, whether that shows at the end or before"""
    many = [frame(size=28, src=f"10.1.{k // 250}.{k % 250}") for k in range(sims)]
    capture = write(tmp_path / "many.pcap", many)
    reader, writer = os.pipe()
    os.close(reader)
    ended = spawn(
        *("replay", capture, "--ue-net", NET, "--format", "jsonl"),
        env=environment(PYTHONUNBUFFERED=unbuffered),
        capture_output=False,
        stdout=writer,
        stderr=subprocess.PIPE,
    )
    os.close(writer)
    assert (ended.status, ended.err) == (0, "")


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_shell_completion(shell: str) -> None:
    """a script for the shell"""
    changed = environment(_PKTOLL_COMPLETE=f"{shell}_source")
    ended = spawn(env=changed)
    assert ended.status == 0
    assert "_PKTOLL_COMPLETE" in ended.out


def test_completion_names_the_commands() -> None:
    words = environment(_PKTOLL_COMPLETE="bash_complete", COMP_WORDS="pktoll re", COMP_CWORD="1")
    assert "replay" in spawn(env=words).out


def test_the_schema_is_printed(capfd: Capture) -> None:
    ended = call(capfd, "replay", "--schema")
    assert ended.status == 0
    assert json.loads(ended.out)["$id"] == "urn:pktoll:replay:1"


# --- the coupon database ---


def replay_with(pool: Path, capture: str, folder: Path, capfd: Capture) -> dict[str, object]:
    book = lines_file(folder, 1_500)
    arguments = ("--subscribers", book, "--pool", f"sqlite:///{pool}", "--format", "json")
    ended = call(capfd, "replay", capture, *arguments)
    assert (ended.status, ended.err) == (0, "")
    document: dict[str, object] = json.loads(ended.out)
    return document


def test_a_second_replay_goes_on_where_the_first_ended(
    capture: str, tmp_path: Path, capfd: Capture
) -> None:
    """I8, D6, D9: on the same coupon database"""
    pool = tmp_path / "coupons.db"
    found = [replay_with(pool, capture, tmp_path, capfd) for _ in range(3)]
    totals = [document["totals"] for document in found]
    assert [t["charged_bytes"] for t in totals] == [1_000, 500, 0]  # type: ignore[index]
    assert [t["slow_bytes"] for t in totals] == [0, 500, 1_000]  # type: ignore[index]
    assert [t["granted_bytes"] for t in totals] == [1_500, 0, 0]  # type: ignore[index]


def stopped_in_mid_replay(folder: Path, number: int) -> tuple[list[str], int, str]:
    """A replay of a pipe that falls silent, sent a signal once a slice is handed out: its arguments, how
    it ended, and what it said."""
    pool = folder / "coupons.db"
    arguments = ["--subscribers", lines_file(folder), "--pool", f"sqlite:///{pool}"]
    arguments += ["--encapsulation", "ip"]
    command = [sys.executable, "-m", "engine", "replay", "-", *arguments]
    data = packets.pcap([frame(size=40)]) + packets.pcap([frame(size=40)])[24:] * 20_000
    pipes = {"stdin": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(command, env=environment(), **pipes) as process:  # type: ignore[call-overload]
        process.stdin.write(data)
        process.stdin.flush()
        while not granted_bytes(pool):
            assert process.poll() is None
        process.send_signal(number)
        process.wait(timeout=120)
        said = process.stderr.read().decode()
    return arguments, process.returncode, said


def test_a_replay_that_was_killed_leaves_its_slice_uncertain(tmp_path: Path) -> None:
    """G1, G4, F1: kill -9 in mid-replay; the next run names what is uncertain, and audits"""
    arguments, status, _ = stopped_in_mid_replay(tmp_path, signal.SIGKILL)
    assert status == -signal.SIGKILL
    small = write(tmp_path / "one.pcap", [frame()])
    ended = spawn("replay", small, *arguments, "--format", "json")
    assert ended.status == 0
    named = f"line hdo00000001 of contract hdd00000001: {MB} bytes of slice 1 counted as used"
    assert named in ended.err
    totals = json.loads(ended.out)["totals"]
    assert (totals["slow_bytes"], totals["granted_bytes"]) == (100, 0)


def granted_bytes(path: Path) -> int:
    """What a database has handed out durably; 0 while it is not there yet."""
    try:
        reader = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)
        reader.set_busy_timeout(1_000)
        return int(reader.execute("SELECT coalesce(sum(granted_bytes), 0) FROM slice").get)
    except apsw.Error:
        return 0
