"""The 3-day restriction over the end of processes: one that is killed, and commands one after the other."""

import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from engine.pool.store import StoreOptions, open_store
from tests.support import packets
from tests.support.command import PROJECT, call, environment, frame, write
from tests.support.restriction import SIZE, at, fresh, sent, started

DAY, S = 86_400 * 10**9, 10**9
DOOMED = """
import sys
from tests.support.restriction import at, sent, started
engine = started(sys.argv[1], at(0))
engine.usage.every_ns = 0
found = sent(engine, *(at(0, n) for n in range(3)))
engine.usage.every_ns = engine.usage._due_ns = 1 << 62
found += sent(engine, at(0, 10))
print(*found, flush=True)
sys.stdin.read()
"""


@pytest.fixture(params=["sqlite", "postgres"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty database of each kind."""
    return fresh(request.param, tmp_path, request)


def test_what_was_told_before_a_kill_counts_and_no_more(url: str) -> None:
    """R1, G4: kill -9 in mid-day; only what was carried since the last report is missing"""
    with subprocess.Popen(
        [sys.executable, "-c", DOOMED, url],
        cwd=PROJECT,
        env=environment(),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as doomed:
        assert doomed.stdout is not None
        assert doomed.stdout.readline().split() == [b"slow"] * 4
        doomed.send_signal(signal.SIGKILL)
    assert doomed.returncode == -signal.SIGKILL
    store = open_store(url, StoreOptions(gateway=None))
    assert [day.restricting_bytes for day in store.usage("a", 0)] == [3 * SIZE]
    store.close()
    with started(url, at(0, 60)) as engine:
        assert sent(engine, at(0, 60), at(0, 61), at(0, 62)) == ["slow", "restricted", "restricted"]
    with started(url, at(2)) as engine:
        assert sent(engine, at(2)) == ["restricted"]


CONFIG = """
default_plan = "small"
[speed.slow]
burst_bytes = 100_000
queue_bytes = 100_000
[speed.restricted]
burst_bytes = 1
[[plan]]
name = "small"
title = "Small"
sims_max = 1
bundle_bytes = 0
high_down_bps = 1_000_000_000
high_up_bps = 1_000_000_000
restriction_bytes = 3_000
[restriction]
effective = "{}"
"""
NETS = ("10.1.0.0/16",)


class Replays:
    """Replays of captures on one database."""

    def __init__(self, capfd: pytest.CaptureFixture[str], folder: Path, effective: str) -> None:
        self.capfd, self.folder = capfd, folder
        folder.mkdir()
        (folder / "small.toml").write_text(CONFIG.format(effective), encoding="utf-8")
        self.pool = ("--pool", f"sqlite:///{folder}/a.db")

    def do(self, captures: list[str], workers: int) -> dict[str, Any]:
        """The report, by address of the SIM."""
        how = ("--config", str(self.folder / "small.toml"), "--workers", str(workers))
        nets = [word for net in NETS for word in ("--ue-net", net)]
        done = call(self.capfd, "replay", *captures, *how, *nets, *self.pool, "--format", "json")
        assert (done.status, done.err) == (0, "")
        return {sim["address"]: sim for sim in json.loads(done.out)["sims"]}


def count(sims: list[dict[str, Any]], *names: str) -> tuple[int, ...]:
    return tuple(sum(sim["up"][name] for sim in sims) for name in names)


@pytest.mark.parametrize("workers", [1, 4])
@pytest.mark.parametrize("effective", ["immediate", "next-day"])
def test_consecutive_captures_are_as_one(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], effective: str, workers: int
) -> None:
    """R1, R3, G8: a replay for each of ten half days, against one of all: as much is slow and delayed"""
    captures = []
    for half in range(10):
        begin = half * DAY // 2
        frames = [
            frame(begin + (20 * n + m) * S, size=500, src=f"10.1.0.{m + 1}")
            for n in range(4)
            for m in range(2)
            if m == 0 or half < 2
        ]
        captures.append(write(tmp_path / f"{half}.pcap", frames))
    whole = Replays(capfd, tmp_path / "whole", effective).do(captures, workers)
    parts = Replays(capfd, tmp_path / "parts", effective)
    reports = [parts.do([capture], workers) for capture in captures]
    for address, sim in whole.items():
        mine = [report[address] for report in reports if address in report]
        names = ("packets", "slow_bytes", "delayed_packets", "dropped_packets")
        assert count(mine, *names) == count([sim], *names)
        late = effective == "next-day" and address == "10.1.0.2"  # it is silent when that begins
        assert (sim["up"]["delayed_packets"] == 0) is late
        if address in reports[-1]:
            assert reports[-1][address]["regulated"] is sim["regulated"] is True
    assert not whole["10.1.0.2"]["regulated"]
    usage = call(capfd, "pool", "usage", *parts.pool, "--format", "json", "--at", _last())
    days = [day for sim in json.loads(usage.out)["sims"] for day in sim["days"]]
    assert sum(day["restricting_bytes"] for day in days) > 0


def _last() -> str:
    return str(packets.TIME_NS + 5 * DAY)
