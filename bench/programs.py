"""Whole programs on one capture: what each takes for a packet, from outside, start-up apart.

A program runs twice in a round: on a capture of START_PACKETS packets, which shows what it takes to start
(and how long it sleeps before it begins), and on the capture. The difference, over the packets of the
difference, is its wall clock and processor time per packet, with all processes that it made. What a
program counted is compared with what is in the file. Slow ones get a capture of the first packets only.
"""

import re
import shutil
import socket
import sys
import tempfile
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

import gateway_sim
from bench import spawned
from bench.rounds import Round
from engine.errors import PktollError

START_PACKETS = 100
SLOW_PACKETS = 100_000
"""of a capture for programs that take microseconds per packet"""
LEAST_NS = 1_000_000
"""what is less is lost in the noise of two starts"""
LOOPS = Path(__file__).with_name("loops.py")
SCAPY_LOOP = Path(gateway_sim.__file__).with_name("codec") / "raw_reader.py"
"""not imported from here: only `gateway_sim.codec` has to do with scapy"""

PMACCTD = """daemonize: false
pcap_savefile: {capture}
plugins: print
aggregate: src_host, dst_host, proto, src_port, dst_port
tunnel_0: gtp, 2152
print_output: csv
print_output_file: {folder}/out.csv
print_refresh_time: 3600
"""
"""ports in the aggregate make it look into GTP-U; at the end of the file it writes its table and ends"""
LARGE_BUFFERS = "plugin_pipe_size: 104857600\nplugin_buffer_size: 1024000\n"
"""the best found: with the usual ones its two processes wait for each other at nearly every packet"""

Command = Callable[[Path, Path], list[str | Path]]
"""(capture, empty folder) -> what to run"""
Count = Callable[[spawned.Ended, Path], int]
"""packets that the program says it saw"""


class Program(NamedTuple):
    """A program of somebody else's: how it is called, what it says, what it does and does not do."""

    name: str
    does: str
    needs: str  # an executable, or a module of Python with "python:" before it
    package: str  # what to install for it
    command: Command
    counted: Count
    packets_max: int = 0  # of the capture; 0: all

    def missing(self) -> str | None:
        """Why it is left out, or None where it is here."""
        kind, _, module = self.needs.partition(":")
        if kind == "python" and module:
            return None if find_spec(module) else f"no Python package {module} ({self.package})"
        return None if shutil.which(self.needs) else f"not installed ({self.package})"


def _pmacctd(more: str = "") -> Command:
    def command(capture: Path, folder: Path) -> list[str | Path]:
        text = PMACCTD.format(capture=capture, folder=folder) + more
        (folder / "pmacctd.conf").write_text(text)
        return ["pmacctd", "-f", folder / "pmacctd.conf"]

    return command


def _pmacctd_count(_: spawned.Ended, folder: Path) -> int:
    lines = (folder / "out.csv").read_text().splitlines()
    column = lines[0].split(",").index("PACKETS")
    return sum(int(line.split(",")[column]) for line in lines[1:])


def _nfpcapd(capture: Path, folder: Path) -> list[str | Path]:
    return ["nfpcapd", "-r", capture, "-w", folder]


def _softflowd(capture: Path, _: Path) -> list[str | Path]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as unread:
        unread.bind(("127.0.0.1", 0))
        port = unread.getsockname()[1]
    # Names in the folder that it runs in: with absolute ones version 1.1.0 does not end with its file.
    files = ["-p", "pid", "-c", "control"]
    return ["softflowd", "-d", "-r", capture, "-n", f"127.0.0.1:{port}", *files]


def _tshark(capture: Path, _: Path) -> list[str | Path]:
    return ["tshark", "-n", "-q", "-r", capture, "-z", "io,stat,0", "-z", "endpoints,ip"]


def _loop(name: str) -> Command:
    return lambda capture, _: [sys.executable, LOOPS, name, capture]


def _said(pattern: str) -> Count:
    """The sum of the first groups of what was said on either stream; 0 where nothing was."""

    def count(ended: spawned.Ended, _: Path) -> int:
        found = re.findall(pattern, ended.out + ended.err, re.M)
        return sum(int(number) for number in found)

    return count


DEBIAN = "Debian: apt-get install"
PROGRAMS = (
    Program(
        "pmacctd, large buffers",
        "flows by inner addresses and ports (GTP-U), a table at the end; no SIMs, no policy",
        "pmacctd",
        f"{DEBIAN} pmacct",
        _pmacctd(LARGE_BUFFERS),
        _pmacctd_count,
    ),
    Program(
        "pmacctd",
        "the same with its usual buffers, in which its two processes wait for each other",
        "pmacctd",
        f"{DEBIAN} pmacct",
        _pmacctd(),
        _pmacctd_count,
        SLOW_PACKETS,
    ),
    Program(
        "nfpcapd",
        "flows by outer addresses and ports into a file; does not look inside GTP-U",
        "nfpcapd",
        f"{DEBIAN} nfdump",
        _nfpcapd,
        _said(r"Total: Processed: (\d+)"),
    ),
    Program(
        "softflowd",
        "flows by outer addresses and ports as NetFlow; does not look inside GTP-U",
        "softflowd",
        f"{DEBIAN} softflowd",
        _softflowd,
        _said(r"^Packets processed: (\d+)"),
    ),
    Program(
        "tshark",
        "dissects every layer, counts by address, inner ones too; no SIMs, no policy",
        "tshark",
        f"{DEBIAN} tshark",
        _tshark,
        _said(r"^\|\s+[\d.]+ <> +[\d.]+ *\| +(\d+) \|"),
        SLOW_PACKETS,
    ),
    Program(
        "dpkt",
        "a loop in Python over its pcap reader: counts packets and bytes, parses nothing",
        "python:dpkt",
        "pip install dpkt",
        _loop("dpkt"),
        _said(r"^(\d+) packets"),
        SLOW_PACKETS,
    ),
    Program(
        "dpkt, GTP-U",
        "a loop in Python: parses Ethernet, IP, UDP with it, and GTP-U by hand; counts per TEID",
        "python:dpkt",
        "pip install dpkt",
        _loop("dpkt-gtp"),
        _said(r"^(\d+) packets"),
        SLOW_PACKETS,
    ),
    Program(
        "scapy, raw",
        "a loop in Python over its raw reader: counts packets and bytes, parses nothing",
        "python:scapy",
        "pip install scapy",
        lambda capture, _: [sys.executable, SCAPY_LOOP, capture],
        _said(r"^(\d+) packets"),
        SLOW_PACKETS,
    ),
)


def run(
    program: Program, capture: Path, packets: int, cores: list[int] | tuple[int, ...] = ()
) -> spawned.Ended:
    """Run a program on a capture of so many packets. PktollError where it fails, or saw none.

    What it counted is `seen`, in the status's place: a program that loses packets is not thrown away.
    """
    with tempfile.TemporaryDirectory(prefix="pktoll-bench-") as text:
        folder = Path(text)
        ended = spawned.run(program.command(capture, folder), cores, cwd=folder)
        if ended.status != 0:
            last = (ended.err.strip() or ended.out.strip() or "says nothing").splitlines()[-1]
            raise PktollError(f"bench: {program.name} failed ({ended.status}): {last}")
        seen = program.counted(ended, folder)
    if not 0 < seen <= packets:
        raise PktollError(f"bench: {program.name} counted {seen} packets of {packets}")
    return ended._replace(status=seen)


class Captures(NamedTuple):
    """The same packets: all, the first of them for slow programs, and a few to see a start."""

    whole: Path
    packets: int
    slow: Path
    slow_packets: int
    start: Path


def once(program: Program, captures: Captures, cores: list[int] | tuple[int, ...] = ()) -> Round:
    """A round: ns per packet by wall clock and processor time, start-up apart."""
    full, packets = captures.whole, captures.packets
    if 0 < program.packets_max < packets:
        full, packets = captures.slow, captures.slow_packets
    start = run(program, captures.start, START_PACKETS, cores)
    ended = run(program, full, packets, cores)
    return apart(start, ended, packets, ended.status)


def apart(start: spawned.Ended, whole: spawned.Ended, packets: int, seen: int) -> Round:
    """What a packet takes, from a run on START_PACKETS and one on `packets`; `seen` were counted."""
    more = packets - START_PACKETS
    wall_ns = max(LEAST_NS, whole.wall_ns - start.wall_ns) / more
    cpu_ns = max(LEAST_NS, whole.cpu_ns - start.cpu_ns) / more
    sums = start.wall_ns / 1e9, whole.wall_ns / 1e9, whole.cpu_ns / 1e9
    return Round(wall_ns, seen, 0, cpu_ns, *sums)
