"""Captures that are streams: FIFOs, pipes, standard input, and a signal that ends the reading."""

import contextlib
import fcntl
import json
import os
import signal
import struct
import subprocess
import sys
import termios
import threading
import time
from pathlib import Path

import pytest

from tests.support import packets
from tests.support.command import NET, environment, frame, spawn, write


def feed(path: Path, data: bytes) -> threading.Thread:
    """Write `data` to a FIFO once, as a shell's `cat FILE > FIFO &` does."""
    thread = threading.Thread(target=path.write_bytes, args=(data,))
    thread.start()
    return thread


@pytest.mark.parametrize("count", [1, 3_000])
def test_a_fifo_is_billed_like_a_file(count: int, tmp_path: Path) -> None:
    """B62: it can be opened only once, though the beginning is looked at first"""
    data = packets.pcap([frame(k) for k in range(count)])
    os.mkfifo(tmp_path / "fifo")
    writer = feed(tmp_path / "fifo", data)
    ended = spawn("replay", str(tmp_path / "fifo"), "--ue-net", NET, "--format", "json")
    writer.join()
    assert (ended.status, ended.err) == (0, "")
    assert json.loads(ended.out)["totals"]["packets"] == count


def test_an_empty_fifo_ends(tmp_path: Path) -> None:
    """B51, B62"""
    os.mkfifo(tmp_path / "fifo")
    writer = feed(tmp_path / "fifo", b"")
    ended = spawn("replay", str(tmp_path / "fifo"), "--ue-net", NET)
    writer.join()
    assert ended.status == 4
    assert "the file is empty at byte 0" in ended.err


def test_standard_input_cannot_be_named_twice() -> None:
    ended = spawn("replay", "-", "-", "--ue-net", NET, stdin=subprocess.DEVNULL)
    assert ended.status == 2
    assert ended.err == ("pktoll: standard input ('-') is named twice, but can be read only once\n")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_the_reading_not_the_bill(number: int, tmp_path: Path) -> None:
    """F20: a live capture that is stopped is billed up to there, and leaves nothing uncertain"""
    pool = f"sqlite:///{tmp_path}/coupons.db"
    asked = ["--ue-net", NET, "--pool", pool, "--format", "json", "-v"]
    command = [sys.executable, "-m", "engine", "replay", "-", *asked]
    pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
    with subprocess.Popen(command, env=environment(), **pipes) as process:  # type: ignore[call-overload]
        process.stdin.write(packets.pcap([frame(k) for k in range(500)]))
        process.stdin.flush()
        wait_for_reader(process.stdin.fileno())
        process.send_signal(number)
        out, err = process.stdout.read(), process.stderr.read().decode()
    assert process.returncode == 4, err
    assert "stopped before the captures' end; what was read up to there is billed" in err
    document = json.loads(out)
    assert document["totals"]["packets"] == 500
    assert document["capture"]["truncated_at"] > 0
    again = spawn("replay", write(tmp_path / "one.pcap", [frame()]), *asked)
    assert again.status == 0
    assert "uncertain" not in again.err
    assert "counted as used" not in again.err


def test_a_fifo_that_nobody_writes_to_can_be_left(tmp_path: Path) -> None:
    """B62: the wait for its other end is stopped like that for its bytes"""
    os.mkfifo(tmp_path / "fifo")
    command = [sys.executable, "-m", "engine", "replay", str(tmp_path / "fifo"), "--ue-net", NET]
    with subprocess.Popen(command, env=environment(), stderr=subprocess.PIPE) as process:
        while not has_open(process.pid, tmp_path / "fifo") and process.poll() is None:
            time.sleep(0.02)
        process.send_signal(signal.SIGTERM)
        err = process.stderr.read().decode()  # type: ignore[union-attr]
    assert process.returncode == 4
    assert "stopped before the captures' end" in err


def has_open(pid: int, path: Path) -> bool:
    """Whether a process has a file open."""
    folder = Path(f"/proc/{pid}/fd")
    for name in os.listdir(folder):
        with contextlib.suppress(OSError):  # closed meanwhile
            if os.readlink(folder / name) == str(path):
                return True
    return False


def test_a_signal_that_is_ignored_stays_so(tmp_path: Path) -> None:
    """nohup: a long run outlives the terminal"""
    command = ["nohup", sys.executable, "-m", "engine", "replay", "-", "--ue-net", NET]
    pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
    with subprocess.Popen(command, env=environment(), **pipes) as process:  # type: ignore[call-overload]
        data = packets.pcap([frame(k) for k in range(500)])
        process.stdin.write(data[:-10])
        process.stdin.flush()
        wait_for_reader(process.stdin.fileno())
        process.send_signal(signal.SIGHUP)
        process.stdin.write(data[-10:])
        out, err = process.communicate()
    assert process.returncode == 0, err
    assert b"500 packets of SIMs" in out


def wait_for_reader(pipe: int) -> None:
    """Until the other side has read all that is in the pipe."""
    waiting = 1
    while waiting:
        time.sleep(0.02)
        (waiting,) = struct.unpack("i", fcntl.ioctl(pipe, termios.FIONREAD, bytes(4)))
    time.sleep(0.2)
