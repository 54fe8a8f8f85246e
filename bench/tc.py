"""Linux `tc tbf` and `tc htb` at work: UDP over veth in two network namespaces, made and removed here.

Real time, real packets: a sender keeps the queue of every discipline filled, and a receiver on the far end
of its veth takes the kernel's time stamp of every frame. Needs root, `ip` and `tc`; nothing outside the
two namespaces is touched. What `tc` counts is the Ethernet frame without its checksum: 14 bytes more than
the IP packet.
"""

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Self

from bench.windows import BIT_NS_PER_BYTE, fullest

NS_PER_S = 10**9
FRAME_BYTES = 14
"""byte; Ethernet header, which tc counts with the packet"""
PROJECT = Path(__file__).resolve().parents[1]
DISCIPLINES = ("tbf", "htb")
SETTLE = Fraction(1, 10)
"""part of the time that is not counted for the rate, and in which the burst is gone"""
ROOM_BYTES = 2_000_000
"""byte; room in the queue, more than a sender ever has under way"""
FEWEST = 20
"""frames from which a rate is told"""


@dataclass(frozen=True)
class Link:
    """A discipline on a veth of its own. `size_bytes` is that of the IP packet."""

    discipline: str
    rate_bps: int
    size_bytes: int
    burst_bytes: int
    number: int

    @property
    def near(self) -> str:
        """The end that sends, through the discipline."""
        return f"near{self.number}"

    @property
    def far(self) -> str:
        """The end that receives."""
        return f"far{self.number}"

    @property
    def host(self) -> str:
        """Address to send to; nobody has it, its neighbour entry says where frames go."""
        return f"10.77.{self.number}.2"


@dataclass(frozen=True)
class Measured:
    """What left a discipline, by the time stamps of the receiver.

    `frame_bps`: in the layer that tc counts; `ip_bps`: the same in IP bytes. `error_ppm` is that of
    `frame_bps`; `over_bytes` the fullest window above burst + rate x window, in frame bytes.
    """

    link: Link
    frames: int
    seconds: float
    frame_bps: float
    ip_bps: float
    error_ppm: float
    over_bytes: float
    spacing_ns: int


def missing() -> str | None:
    """Why disciplines cannot be measured here, or None where they can."""
    if sys.platform != "linux":
        return "this is not Linux"
    if os.geteuid() != 0:
        return "not root: namespaces cannot be made"
    for tool in ("ip", "tc"):
        if _tool(tool) is None:
            return f"no '{tool}' here (Debian: apt-get install iproute2)"
    try:
        with Namespaces("probe") as spaces:
            spaces.add(Link("tbf", 200_000, 1_000, 15_000, 0))
            spaces.add(Link("htb", 200_000, 1_000, 15_000, 1))
    except RuntimeError as error:
        return f"the kernel does not let us: {error}"
    return None


def _tool(name: str) -> str | None:
    return shutil.which(name, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")


class Namespaces:
    """Two network namespaces, joined by a veth for each discipline; gone when left, whatever happens."""

    def __init__(self, name: str) -> None:
        self.near, self.far = (f"pktoll-{os.getpid()}-{name}-{end}" for end in ("near", "far"))

    def __enter__(self) -> Self:
        try:
            for space in (self.near, self.far):
                self.run("ip", "netns", "add", space)
                self.run("ip", "-n", space, "link", "set", "lo", "up")
        except RuntimeError:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        for space in (self.near, self.far):
            if Path("/run/netns", space).exists():
                self.run("ip", "netns", "del", space)

    def run(self, tool: str, *words: object) -> str:
        """Run `ip` or `tc`; its output. Raises RuntimeError with what it says."""
        command = [_tool(tool) or tool, *map(str, words)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise RuntimeError(f"{' '.join(map(str, words))}: {done.stderr.strip()}")
        return done.stdout

    def add(self, link: Link) -> None:
        """Make the veth of a link, with its discipline on the near end."""
        pair = ("peer", "name", link.far, "netns", self.far)
        self.run("ip", "link", "add", link.near, "netns", self.near, "type", "veth", *pair)
        for space, end in ((self.near, link.near), (self.far, link.far)):
            # Without addresses of its own the kernel sends nothing that would be counted with ours.
            self.run("ip", "-n", space, "link", "set", end, "addrgenmode", "none", "arp", "off")
            self.run("ip", "-n", space, "link", "set", end, "up")
        self.run(
            "ip", "-n", self.near, "addr", "add", f"10.77.{link.number}.1/24", "dev", link.near
        )
        self._discipline(link)

    def _discipline(self, link: Link) -> None:
        def tc(*words: object) -> None:
            kind, do, *rest = words
            self.run("tc", "-n", self.near, kind, do, "dev", link.near, *rest)

        rate, burst = f"{link.rate_bps}bit", f"{link.burst_bytes}b"
        if link.discipline == "tbf":
            tc("qdisc", "add", "root", "tbf", "rate", rate, "burst", burst, "limit", ROOM_BYTES)
            return
        tc("qdisc", "add", "root", "handle", "1:", "htb", "default", 1)
        limits = ("rate", rate, "ceil", rate, "burst", burst, "cburst", burst)
        tc("class", "add", "parent", "1:", "classid", "1:1", "htb", *limits)
        tc("qdisc", "add", "parent", "1:1", "bfifo", "limit", ROOM_BYTES)

    def start(self, space: str, part: str, *words: object) -> subprocess.Popen[str]:
        """Run a part of `bench.netns` in a namespace."""
        inside = [_tool("ip") or "ip", "netns", "exec", space, sys.executable, "-m", "bench.netns"]
        return subprocess.Popen(
            [*inside, part, *map(str, words)],
            cwd=PROJECT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )


def measure(links: Sequence[Link], seconds: float) -> list[Measured]:
    """All links at once, for so long; one result each."""
    with ExitStack() as stack:
        spaces = stack.enter_context(Namespaces("tc"))
        for link in links:
            spaces.add(link)
        receiver = stack.enter_context(spaces.start(spaces.far, "receive"))
        assert receiver.stdout is not None
        if receiver.stdout.readline() != "ready\n":
            raise RuntimeError("the receiver did not start")
        orders = json.dumps(
            [asdict(link) | {"near": link.near, "host": link.host} for link in links]
        )
        sender = stack.enter_context(spaces.start(spaces.near, "send", seconds, orders))
        sender.communicate()
        time.sleep(0.2)
        out, _ = receiver.communicate("stop\n")
        if sender.returncode or receiver.returncode:
            raise RuntimeError("sender or receiver failed; what they say is above")
    seen: dict[str, list[list[int]]] = json.loads(out)
    return [judge(link, seen.get(link.far, [])) for link in links]


def judge(link: Link, frames: Sequence[Sequence[int]]) -> Measured:
    """The figures of a link from (time stamp, IP bytes) of each frame that came through.

    The rate is that of the queue: the first tenth, in which the burst goes, is left out.
    """
    if len(frames) < FEWEST:
        raise RuntimeError(
            f"{link.discipline} at {link.rate_bps} bit/s let {len(frames)} frames out"
        )
    times = [stamp for stamp, _ in frames]
    sizes = [size + FRAME_BYTES for _, size in frames]
    begin_ns = times[0] + int((times[-1] - times[0]) * SETTLE)
    begin = next(at for at, stamp in enumerate(times) if stamp >= begin_ns)
    took_ns = times[-1] - times[begin]
    frame_bps = Fraction(sum(sizes[begin + 1 :]) * BIT_NS_PER_BYTE, took_ns)
    ip_bps = frame_bps * link.size_bytes / (link.size_bytes + FRAME_BYTES)
    gaps = [late - early for early, late in zip(times[begin:], times[begin + 1 :], strict=False)]
    worst = fullest(times, sizes, link.rate_bps, link.burst_bytes)
    return Measured(
        link,
        len(frames),
        took_ns / NS_PER_S,
        float(frame_bps),
        float(ip_bps),
        float((frame_bps / link.rate_bps - 1) * 10**6),
        float(worst.over_bytes),
        min(gaps),
    )


SLOW_RATES = (50_000, 64_000, 200_000)
SLOW_SIZES = (64, 576, 1_500)
FAST_RATES = (37_500_000, 112_500_000)
FAST_SIZES = (576, 1_500)
BURST_BYTES = 15_000
RUNS = 3


def survey(quick: bool = False) -> list[Measured]:
    """Every discipline, rate and size of the table: the slow ones together, the fast ones one by one.

    Of a fast one's runs the best one counts: at such rates a moment without a core is seen.
    """
    slow = [
        Link(discipline, rate, size, BURST_BYTES, 0)
        for discipline in DISCIPLINES
        for rate in (SLOW_RATES[2:] if quick else SLOW_RATES)
        for size in (SLOW_SIZES[1:] if quick else SLOW_SIZES)
    ]
    fast = [
        Link(discipline, rate, size, BURST_BYTES, 0)
        for discipline in DISCIPLINES
        for rate in (FAST_RATES[:1] if quick else FAST_RATES)
        for size in (FAST_SIZES[1:] if quick else FAST_SIZES)
    ]
    numbered = [replace(link, number=at) for at, link in enumerate(slow)]
    found = measure(numbered, 4 if quick else 40)
    for link in fast:
        runs = [measure([link], 0.5 if quick else 3)[0] for _ in range(1 if quick else RUNS)]
        found.append(min(runs, key=lambda run: abs(run.error_ppm)))
    return found
