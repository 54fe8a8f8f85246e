"""`pktoll replay --shaped --dropped`: names that would do harm; and faults when nobody reads the report."""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.support import packets
from tests.support.command import MS, NET, call, environment, frame, write
from tests.support.outputs import read_pcap

Capture = pytest.CaptureFixture[str]


@pytest.fixture
def capture(tmp_path: Path, monkeypatch: Any) -> str:
    """Three packets of one SIM, in the working folder."""
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "three.pcap", [frame(k * MS, teid=1) for k in range(3)])
    return "three.pcap"


@pytest.mark.parametrize("option", ["--shaped", "--dropped"])
@pytest.mark.parametrize("name", ["coupons.db", "./coupons.db-wal", "link"])
def test_packets_are_not_written_over_the_coupon_database(
    capture: str, name: str, option: str, tmp_path: Path, capfd: Capture
) -> None:
    """exit 2: it would be replaced by a capture when the replay is complete"""
    pool = ("--pool", "sqlite:///coupons.db")
    (tmp_path / "link").symlink_to("coupons.db")
    assert call(capfd, "replay", capture, "--ue-net", NET, *pool, "-q").status == 0
    before = (tmp_path / "coupons.db").read_bytes()
    ended = call(capfd, "replay", capture, "--ue-net", NET, *pool, option, name)
    assert (ended.status, ended.out) == (2, "")
    assert ended.err.startswith(f"pktoll: {name}: packets cannot be written over coupons.db")
    assert ended.err.count("\n") == 1
    assert (tmp_path / "coupons.db").read_bytes() == before


def test_beside_the_coupon_database_they_are(capture: str, tmp_path: Path, capfd: Capture) -> None:
    for pool in ("sqlite:///coupons.db", "sqlite://"):
        shaped = ("--shaped", "left.pcap", "-q")
        assert call(capfd, "replay", capture, "--ue-net", NET, "--pool", pool, *shaped).status == 0
        assert len(read_pcap(tmp_path / "left.pcap")[1]) == 3


@pytest.mark.parametrize(
    ("name", "status", "words"),
    [
        ("", 2, "--shaped and --dropped need the name of a file"),
        ("new/", 1, "new/: cannot write packets there: Is a directory"),
        ("no/.", 1, "no/.: cannot write packets there: Is a directory"),
    ],
)
@pytest.mark.parametrize("option", ["--shaped", "--dropped"])
def test_a_name_that_can_only_be_a_folder(
    capture: str, option: str, name: str, status: int, words: str, tmp_path: Path, capfd: Capture
) -> None:
    """before anything is billed"""
    ended = call(capfd, "replay", capture, "--ue-net", NET, option, name)
    assert (ended.status, ended.out, ended.err) == (status, "", f"pktoll: {words}\n")
    assert os.listdir(tmp_path) == ["three.pcap"]


def test_a_file_without_packets_has_a_link_type_that_means_something(
    capture: str, tmp_path: Path, capfd: Capture
) -> None:
    """others refuse a file of a link type that nobody has heard of"""
    frames = [(packets.TIME_NS, bytes(60))]
    for link, expected in ((1240, 1), (182, 1), (113, 113)):
        path = write(tmp_path / "odd.pcap", frames, link=link)
        call(capfd, "replay", path, "--ue-net", NET, "--shaped", "left.pcap", "-q")
        assert read_pcap(tmp_path / "left.pcap") == (expected, [])


@pytest.mark.skipif(shutil.which("tshark") is None, reason="tshark is not installed")
def test_tshark_opens_a_file_without_packets(capture: str, tmp_path: Path, capfd: Capture) -> None:
    path = write(tmp_path / "odd.pcap", [(packets.TIME_NS, bytes(60))], link=1240)
    call(capfd, "replay", path, "--ue-net", NET, "--shaped", "left.pcap", "-q")
    done = subprocess.run(["tshark", "-r", "left.pcap"], capture_output=True, check=False)
    assert (done.returncode, done.stdout) == (0, b"")


# --- nobody reads the report ------------------------------------------------------------------------


def unread(*arguments: str) -> tuple[int, str]:
    """Status and standard error of a command whose standard output nobody reads."""
    out, into = os.pipe()
    os.close(out)
    try:
        done = subprocess.run(
            [sys.executable, "-m", "engine", *arguments],
            stdout=into,
            stderr=subprocess.PIPE,
            text=True,
            timeout=120,
            env=environment(),
            check=False,
        )
    finally:
        os.close(into)
    return done.returncode, done.stderr


@pytest.mark.parametrize("form", ["table", "json"])
def test_a_report_that_nobody_reads_hides_no_fault(capture: str, form: str) -> None:
    """exit 1 and 5: as in `pktoll replay … --fail-if … | head`"""
    arguments = ("replay", capture, "--ue-net", NET, "--format", form, "-q")
    assert unread(*arguments) == (0, "")
    status, err = unread(*arguments, "--shaped", "/dev/full")
    assert (status, err.count("\n")) == (1, 1)
    assert err.startswith("pktoll: /dev/full: cannot write packets there: No space left on device")
    condition = "charged_bytes > 0"
    assert unread(*arguments, "--fail-if", condition) == (
        5,
        f"pktoll: --fail-if {condition} holds\n",
    )


def test_bases_that_nobody_reads_hide_no_cut_capture(capture: str, tmp_path: Path) -> None:
    """exit 4, B52"""
    whole = (tmp_path / capture).read_bytes()
    (tmp_path / capture).write_bytes(whole[:-1])
    status, err = unread("bases", capture, "--ue-net", NET, "-q")
    assert status == 4
    assert err.startswith("pktoll: three.pcap: the file was cut off")
