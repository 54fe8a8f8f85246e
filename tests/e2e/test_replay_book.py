"""`pktoll replay` on a coupon database that has a contract book, and that it shares with others."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from engine.errors import UsageError
from engine.pool import open_store
from engine.replay import Options, run
from tests.support import packets
from tests.support.command import call, environment, frame, write

BOOK = """
[[contract]]
code = "hdd00000001"
plan = "minimum-start"
started = 2013-10-01
  [[contract.coupon]]
  kind = "topup"
  bytes = 1_000
  expires = "2014-01"
  [[contract.line]]
  code = "hdo00000001"
  iccid = "8981100000000000001"
  addresses = ["10.1.0.1"]
"""
S = 10**9


def capture(folder: Path, count: int = 3) -> str:
    """Packets of 100 bytes, a second apart."""
    frames = [frame(number * S, src="10.1.0.1") for number in range(count)]
    return write(folder / "day.pcap", frames)


def filled(capfd: pytest.CaptureFixture[str], folder: Path) -> str:
    (folder / "book.toml").write_text(BOOK, encoding="utf-8")
    url = f"sqlite:///{folder}/coupons.db"
    made = call(
        capfd, "pool", "init", url, "--subscribers", str(folder / "book.toml"), "--at", at(0)
    )
    assert made.status == 0, made.err
    return url


def at(seconds: int) -> str:
    return str(packets.TIME_NS + seconds * S)


def bill(capfd: pytest.CaptureFixture[str], *arguments: str) -> dict[str, object]:
    ended = call(capfd, "replay", *arguments, "--format", "json")
    assert ended.status == 0, ended.err
    found: dict[str, object] = json.loads(ended.out)
    return found


def test_a_replay_needs_no_subscriber_file_where_the_database_has_a_book(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """L1, L2, P3, Q4: what was done to contract and line before is in force"""
    url = filled(capfd, tmp_path)
    day = capture(tmp_path)
    (sim,) = bill(capfd, day, "--pool", url)["sims"]  # type: ignore[misc]
    assert (sim["iccid"], sim["up"]["charged_bytes"]) == ("8981100000000000001", 300)
    call(
        capfd,
        "subscribers",
        "replace-sim",
        "hdo00000001",
        "--iccid",
        "8981100000000000002",
        url,
        "--at",
        at(9),
    )
    call(capfd, "pool", "switch", "hdo00000001", "off", url, "--at", at(9))
    (sim,) = bill(capfd, day, "--pool", url)["sims"]  # type: ignore[misc]
    assert (sim["iccid"], sim["up"]["slow_bytes"]) == ("8981100000000000002", 300)
    call(capfd, "pool", "switch", "hdo00000001", "on", url, "--at", at(9))
    call(capfd, "subscribers", "suspend", "hdo00000001", url, "--at", at(9))
    document = bill(capfd, day, "--pool", url)
    assert document["drops"] == {"suspended": {"packets": 3, "bytes": 300}}
    assert call(capfd, "pool", "audit", url).status == 0


def test_events_name_lines_of_the_book(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """P3, L2: at their times; one of a stranger is refused before anything is billed"""
    url = filled(capfd, tmp_path)
    events = tmp_path / "events.jsonl"
    events.write_text(f'{{"at_ns": {at(1)}, "do": "switch", "line": "hdo00000001", "on": false}}\n')
    document = bill(capfd, capture(tmp_path), "--pool", url, "--events", str(events))
    assert document["totals"]["charged_bytes"] == 100  # type: ignore[index]
    events.write_text(f'{{"at_ns": {at(1)}, "do": "suspend", "line": "nobody"}}\n')
    ended = call(capfd, "replay", capture(tmp_path), "--pool", url, "--events", str(events))
    assert ended.status == 2
    assert "nobody" in ended.err


def test_prefixes_or_a_file_are_taken_instead_of_the_book(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """What is said on the command line counts"""
    url = filled(capfd, tmp_path)
    document = bill(capfd, capture(tmp_path), "--pool", url, "--ue-net", "10.1.0.0/24")
    assert [c["code"] for c in document["contracts"]] == ["10.1.0.1"]  # type: ignore[attr-defined]


def test_a_replay_that_makes_no_sense_leaves_the_database_closed(tmp_path: Path) -> None:
    """F20: nothing of it is uncertain, and it can be opened again"""
    url = f"sqlite:///{tmp_path}/coupons.db"
    with pytest.raises(ValueError, match="prefix length"):
        run(Options(captures=(capture(tmp_path),), pool=url, ue_nets=("10.1.0.0/99",)))
    store = open_store(url)
    assert store.recovered == []
    store.close()


def test_two_replays_at_once_need_two_names(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """F20, B84: the second under a name is refused; under another it shares the database"""
    url = f"sqlite:///{tmp_path}/coupons.db"
    prefix = ("--ue-net", "10.1.0.0/24")
    holder = open_store(url)  # the default name of gateways, not of replays
    bill(capfd, capture(tmp_path), "--pool", url, *prefix)
    ended = call(capfd, "replay", capture(tmp_path), "--pool", url, *prefix, "--gateway", "gateway")
    assert ended.status == 1
    assert "gateway" in ended.err
    assert ended.err.count("\n") == 1
    holder.close()


def test_a_reader_of_the_table_may_leave(tmp_path: Path) -> None:
    """`pktoll replay … | head`: no error, and the bill is settled all the same"""
    url = f"sqlite:///{tmp_path}/coupons.db"
    reader, writer = os.pipe()
    os.close(reader)
    command = [sys.executable, "-m", "engine", "replay", capture(tmp_path), "--pool", url]
    done = subprocess.run(
        [*command, "-q"], env=environment(), stdout=writer, stderr=subprocess.PIPE, check=False
    )
    os.close(writer)
    assert (done.returncode, done.stderr) == (0, b"")
    store = open_store(url)
    assert [line.used_bytes for line in store.lines()] == [300]
    store.close()


@pytest.mark.parametrize("workers", [0, 65])
def test_a_number_of_workers_that_cannot_be_is_refused(tmp_path: Path, workers: int) -> None:
    """Before anything is opened; the command's option has the same bounds."""
    with pytest.raises(UsageError, match="1 to 64"):
        run(Options(captures=(capture(tmp_path),), workers=workers))
