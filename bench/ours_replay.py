"""`pktoll replay` on the benchmark's capture, through the command itself."""

import json
import tempfile
from pathlib import Path

from bench import programs, spawned
from bench.rounds import Round
from engine.errors import PktollError

OPTIONS = ("--ue-net", "10.0.0.0/8", "--format", "json")


def command(capture: Path, workers: int, pool: str | None = None) -> list[str | Path]:
    """The command line; the coupon database is in memory without a URL."""
    words = ("-m", "engine", "replay", capture, *OPTIONS, "--workers", str(workers))
    return spawned.python(*words, *(("--pool", pool) if pool else ()))


def _run(
    capture: Path, cores: list[int], workers: int, pool: str | None = None
) -> tuple[spawned.Ended, Round]:
    environment = spawned.with_project()
    ended = spawned.run(command(capture, workers, pool), cores, environment)
    if ended.status != 0:
        raise PktollError(f"bench: pktoll replay failed ({ended.status}): {ended.err.strip()}")
    report = json.loads(ended.out)
    totals, timing = report["totals"], report["timing"]
    ns = 1e9 / timing["packets_per_s"]
    return ended, Round(ns, totals["packets"], totals["inner_bytes"])


def warm(capture: Path) -> None:
    """See that the kernels are compiled before anything is timed."""
    _run(capture, [], 1)


def replay(capture: Path, cores: list[int], workers: int = 1, durable: bool = False) -> Round:
    """One run on these cores: ns per packet, reading included and compiling not, as its `timing` says.

    `durable`: the coupon database is a new SQLite file on the capture's disk, instead of memory.
    """
    if not durable:
        return _run(capture, cores, workers)[1]
    with tempfile.TemporaryDirectory(dir=capture.parent) as folder:
        return _run(capture, cores, workers, f"sqlite:///{folder}/coupons.db")[1]


def whole(captures: programs.Captures, cores: list[int], workers: int = 1) -> Round:
    """The command seen from outside, as the other programs are: start-up apart, processor time too."""
    start, _ = _run(captures.start, cores, workers)
    ended, inside = _run(captures.whole, cores, workers)
    return programs.apart(start, ended, captures.packets, inside.packets)
