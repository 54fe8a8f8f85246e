"""How `pktoll replay` grows with its capture: time a packet and memory, and with cores and frame sizes.

A capture of a block of packets is repeated, days long in its own time: as a file in the page cache, or as a
stream on standard input, of which only a block exists. A stream's writer works on the same cores; what it
takes by itself is measured, too.
"""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import numpy as np

from bench import capture, growth_stream
from bench.growth_command import Ran, replay
from bench.growth_rows import Row, spread
from bench.growth_stream import Block

BUILD = Path(__file__).parent / "build"
UE_NET = ("--ue-net", "10.0.0.0/8")
BLOCK_PACKETS = 50_000
STEP = 1_000
"""a block is a multiple of so many packets: whole seconds"""
MIX = 0
"""frame size that stands for the mix of bench.capture, 430 bytes of inner IP on average"""
FREE_BYTES = 1 << 30
"""of the disk that a capture leaves"""


class Source(NamedTuple):
    """A capture to be: `size` byte of inner IP or MIX; `held` captured bytes a frame or None (all).

    `lines`: of a binary subscriber table that the command is given; 0: it knows nobody beforehand.
    """

    packets: int
    sims: int
    size: int = MIX
    held: int | None = None
    stream: bool = False
    lines: int = 0

    @property
    def name(self) -> str:
        """For people."""
        what = "mix" if self.size == MIX else f"{self.size} B"
        cut = "" if self.held is None else f", {self.held} B held"
        table = f", table of {self.lines}" if self.lines else ""
        return f"{'stream' if self.stream else 'file'}, {what}{cut}{table}"


def block_packets(source: Source) -> int:
    """Packets of the block that is repeated: not fewer than there are SIMs."""
    count = min(source.packets, max(BLOCK_PACKETS, -(-source.sims // STEP) * STEP))
    if source.packets % count:
        raise SystemExit(f"bench: {source.packets} packets are no multiple of {count}")
    return count


@contextmanager
def arguments(source: Source, folder: Path) -> Iterator[tuple[list[str], list[str] | None]]:
    """Arguments of `pktoll replay` for this capture, and the command that writes its standard input."""
    count = block_packets(source)
    short = folder / "block.pcap"
    sizes = capture.SIZES if source.size == MIX else np.array([source.size])
    capture.write(short, count, source.sims, sizes=sizes)
    times = source.packets // count
    known = _known(source, folder)
    if source.stream:
        feed = [sys.executable, "-m", "bench.growth_stream", str(short), "--times", str(times)]
        yield ["-", *known], feed if source.held is None else [*feed, "--held", str(source.held)]
        return
    path = folder / "long.pcap"
    block = Block(short, source.held)
    _check_room(folder, block.data.nbytes * times)
    with path.open("wb") as file:
        block.write(file.fileno(), times)
    try:
        yield [str(path), *known], None
    finally:
        path.unlink()


def _known(source: Source, folder: Path) -> list[str]:
    """Options of `pktoll replay` that say who is a SIM."""
    if not source.lines:
        return list(UE_NET)
    table = folder / "lines.sims"
    command = [sys.executable, "-m", "bench.sims_table", str(source.lines), "-o", str(table)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return ["--subscribers", str(table)]


def _check_room(folder: Path, wanted_bytes: int) -> None:
    disk = os.statvfs(folder)
    if disk.f_bavail * disk.f_frsize < wanted_bytes + FREE_BYTES:
        raise SystemExit(f"bench: {folder} has no room for a capture of {wanted_bytes} bytes")


def measure(source: Source, rounds: int, *more: str) -> list[Ran]:
    """So many runs on this capture, after one that is not kept where there are several."""
    BUILD.mkdir(exist_ok=True)
    with (
        tempfile.TemporaryDirectory(dir=BUILD) as folder,
        arguments(source, Path(folder)) as (given, feed),
    ):
        runs = [replay([*given, *more], feed) for _ in range(rounds + (rounds > 1))]
    for ran in runs:
        if ran.packets != source.packets or ran.totals["packets"] != source.packets:
            raise SystemExit(f"bench: {ran.packets} of {source.packets} packets were billed")
    return runs[rounds > 1 :]


def writer_ns(source: Source) -> float:
    """ns a packet that the stream's writer takes, into a reader that does nothing with it."""
    with (
        tempfile.TemporaryDirectory(dir=BUILD) as folder,
        arguments(source._replace(stream=True), Path(folder)) as (_, feed),
    ):
        assert feed is not None
        with subprocess.Popen(feed, stdout=subprocess.PIPE) as writer:
            assert writer.stdout is not None
            room = bytearray(growth_stream.PIPE_BYTES)
            first = os.readv(writer.stdout.fileno(), [room])
            begin_s = time.perf_counter()  # by now the block is made
            done = 0
            while count := os.readv(writer.stdout.fileno(), [room]):
                done += count
            took_s = time.perf_counter() - begin_s
    return took_s * 1e9 / source.packets * (done + first) / max(1, done)


def packets_row(source: Source, rounds: int) -> Row:
    """One capture: time, CPU time and memory."""
    runs = measure(source, rounds)
    figures: dict[str, object] = {
        "packets": source.packets,
        "sims": source.sims,
        "capture": source.name,
        "ns": spread([ran.ns for ran in runs]),
        "cpu_ns": spread([ran.cpu_s * 1e9 / ran.packets for ran in runs]),
        "peak_bytes": max(ran.peak_bytes for ran in runs),
    }
    if source.stream:
        figures["fed_bytes"] = max(ran.fed_bytes for ran in runs)
        figures["writer_ns"] = round(writer_ns(source), 1)
    return Row("packets", figures)


def warm_up() -> None:
    """One run that is not looked at: kernels are compiled, and what is on the disk is in the page cache."""
    measure(Source(1_000, 1), 1)


def growth(rows: list[Row]) -> list[Row]:
    """For neighbours of one kind of capture: what a packet more costs, as beginning and SIMs do not count.

    `marginal_ns` is (time of the longer - time of the shorter) / (packets more), `marginal_cpu_ns` the same
    of CPU time, which other programs touch less; with three captures or more, `…_grown_percent` tells
    how they grew from step to step.
    """
    found: list[Row] = []
    for shorter, longer in pairwise(rows):
        a, b = shorter.figures, longer.figures
        if (a["capture"], a["sims"]) != (b["capture"], b["sims"]):
            continue
        figures: dict[str, object] = {
            "from_packets": a["packets"],
            "to_packets": b["packets"],
            "sims": b["sims"],
            "capture": b["capture"],
            "ns_grown_percent": round(100 * (longer.median("ns") / shorter.median("ns") - 1), 1),
            "peak_grown_bytes": longer.median("peak_bytes") - shorter.median("peak_bytes"),
        }
        more = longer.median("packets") - shorter.median("packets")
        for name in ("ns", "cpu_ns"):
            step = (longer.total(name) - shorter.total(name)) / more
            figures[f"marginal_{name}"] = round(step, 2)
            if found and found[-1].figures["to_packets"] == a["packets"]:
                before = found[-1].median(f"marginal_{name}")
                figures[f"marginal_{name}_grown_percent"] = round(100 * (step / before - 1), 1)
        found.append(Row("growth", figures))
    return found


def sizes_row(size: int, packets: int, rounds: int) -> Row:
    """Frames of one size: all that depends on bytes is reading."""
    source = Source(packets, 1_000, size)
    runs = measure(source, rounds)
    figures = {"inner_bytes": size, "packets": packets, "ns": spread([ran.ns for ran in runs])}
    return Row("sizes", figures)


def cores_rows(packets: int, sims: int, workers: list[int], rounds: int) -> list[Row]:
    """`--workers`, in turn on one capture."""
    with (
        tempfile.TemporaryDirectory(dir=BUILD) as folder,
        arguments(Source(packets, sims), Path(folder)) as (given, _),
    ):
        runs: dict[int, list[Ran]] = {count: [] for count in workers}
        for number in range(rounds + 1):
            for count in workers:
                ran = replay([*given, "--workers", str(count)])
                if number > 0:
                    runs[count].append(ran)
    one = runs[workers[0]]
    if any(ran.totals != one[0].totals for those in runs.values() for ran in those):
        raise SystemExit("bench: the figures depend on --workers")
    return [
        Row(
            "cores",
            {
                "workers": count,
                "packets": packets,
                "sims": sims,
                "ns": spread([ran.ns for ran in those]),
                "cpu_ns": spread([ran.cpu_s * 1e9 / ran.packets for ran in those]),
                "times_as_fast": spread([a.ns / b.ns for a, b in zip(one, those, strict=True)]),
            },
        )
        for count, those in runs.items()
    ]
