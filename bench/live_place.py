"""Places for the live benchmark: namespaces joined by a veth, or one alone; and what runs there."""

import contextlib
import ctypes
import os
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from bench.rounds import BUILD
from gateway_sim.signalling.sgw import Sgw
from gateway_sim.signalling.terminal import Terminal

PROJECT = Path(__file__).resolve().parents[1]
HOST = "198.51.100.7"
"""in the internet: with which the terminals speak"""
POOL, DEVICE_ADDRESS, TERMINALS = "10.64.0.0/16", "10.64.0.1/16", "10.64.0.0/16"
APN = "iijmio.jp"
CONTROL, USER, SGI = 2123, 2152, 7000
READY_S = 300
"""s; the first start on a machine compiles the kernels"""
NICE = -15
"""of senders and gateways alike: a shared machine is to disturb none more than another"""
_CLONE_NEWNET = 0x40000000


def missing() -> str | None:
    """Why gateways cannot be measured here, or None where they can."""
    if sys.platform != "linux":
        return "this is not Linux"
    if os.geteuid() != 0:
        return "not root: network namespaces and TUN devices cannot be made"
    if shutil.which("ip") is None:
        return "no 'ip' here (Debian: apt-get install iproute2)"
    if not all(os.access(BUILD / name, os.X_OK) for name in ("live_blast", "live_floor")):
        return "the sender in C was not built; why is above"
    if not os.access("/dev/net/tun", os.R_OK | os.W_OK):
        return "no /dev/net/tun"
    try:
        with Place("probe", looped=False):
            return None
    except subprocess.CalledProcessError as error:
        return f"the kernel does not let us: {error.stderr.strip()}"


def run(*words: object) -> str:
    """Run a command to its end; its output. Raises CalledProcessError."""
    done = subprocess.run(
        [str(word) for word in words], capture_output=True, text=True, check=True, timeout=60
    )
    return done.stdout


def _keep_to(core: int) -> None:
    """Put this process on one core, ahead of what else the machine does there.

    Linux shares cores between sessions first (sched(7), autogroup), so the session's nice value
    counts, too.
    """
    os.sched_setaffinity(0, {core})
    os.setsid()
    with contextlib.suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, 0, NICE)
        Path("/proc/self/autogroup").write_text(str(NICE))


class Place:
    """Where one gateway works: the LTE side and the internet in one namespace, the gateway in another.

    looped: both in one namespace, joined by its loopback. Gone at the end, with all that is in it.
    """

    def __init__(self, name: str, *, looped: bool) -> None:
        self.outside = f"pktoll-{os.getpid()}-{name}-a"
        self.inside = self.outside if looped else f"pktoll-{os.getpid()}-{name}-b"
        self.looped = looped
        self.near, self.far = ("127.0.0.2", "127.0.0.3") if looped else ("10.9.0.1", "10.9.0.2")

    def __enter__(self) -> "Place":
        try:
            for space in {self.outside, self.inside}:
                run("ip", "netns", "add", space)
                self._set(space, "ipv6/conf/all/disable_ipv6", 1)
                self._set(space, "ipv6/conf/default/disable_ipv6", 1)
                run("ip", "-n", space, "link", "set", "lo", "up")
            run("ip", "-n", self.outside, "address", "add", f"{HOST}/32", "dev", "lo")
            if not self.looped:
                self._join()
            self._set(self.inside, "ipv4/ip_forward", 1)
            for name in ("all", "default"):
                self._set(self.inside, f"ipv4/conf/{name}/rp_filter", 0)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        for space in {self.outside, self.inside}:
            with contextlib.suppress(subprocess.CalledProcessError):
                run("ip", "netns", "delete", space)

    def _join(self) -> None:
        pair = ("peer", "name", "wire", "netns", self.inside)
        run("ip", "link", "add", "wire", "netns", self.outside, "type", "veth", *pair)
        for space, address in ((self.outside, self.near), (self.inside, self.far)):
            run("ip", "-n", space, "address", "add", f"{address}/24", "dev", "wire")
            run("ip", "-n", space, "link", "set", "wire", "up")
        run("ip", "-n", self.outside, "route", "add", TERMINALS, "via", self.far)
        run("ip", "-n", self.inside, "route", "add", f"{HOST}/32", "via", self.near)
        self._set(self.inside, "ipv4/conf/wire/rp_filter", 0)

    def _set(self, space: str, name: str, value: int) -> None:
        run(*self.command(space, "sh", "-c", f"echo {value} >/proc/sys/net/{name}"))

    def command(self, space: str, *words: object) -> list[str]:
        """The words that run a command in one of the namespaces."""
        return ["ip", "netns", "exec", space, *map(str, words)]

    @contextmanager
    def running(
        self, space: str, words: Sequence[object], core: int, log: Path
    ) -> Iterator["subprocess.Popen[str]"]:
        """A process in a namespace and on one core, ended by its own id; its complaints go to `log`."""
        with log.open("ab") as complaints:
            process = subprocess.Popen(
                self.command(space, *words),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=complaints,
                text=True,
                cwd=log.parent,
                env=os.environ | {"PYTHONPATH": str(PROJECT)},
                preexec_fn=lambda: _keep_to(core),
            )
        try:
            yield process
        finally:
            process.terminate()
            try:
                process.communicate(timeout=30)
            except subprocess.TimeoutExpired:
                process.kill()
                process.communicate()

    def udp(self, port: int) -> socket.socket:
        """A socket at the LTE side's address: a thread goes into the namespace and makes it there."""
        made: list[socket.socket | OSError] = []

        def make() -> None:
            libc = ctypes.CDLL(None, use_errno=True)
            with open(f"/run/netns/{self.outside}", "rb") as handle:
                if libc.setns(handle.fileno(), _CLONE_NEWNET) != 0:
                    made.append(OSError(ctypes.get_errno(), "setns"))
                    return
            made.append(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))

        thread = threading.Thread(target=make)
        thread.start()
        thread.join()
        if isinstance(made[0], OSError):
            raise made[0]
        made[0].settimeout(5)
        made[0].bind((self.near, port))
        return made[0]


class Tunnel(NamedTuple):
    """A session: the TEID of what goes up, and the terminal's address."""

    teid: int
    address: str


def imsi_of(number: int) -> str:
    """The IMSI of the terminal with this number, from 1 on."""
    return f"44010{number:010}"


def attach(place: Place, count: int) -> list[Tunnel]:
    """Sessions of `count` terminals, made by an SGSN over GTPv1-C."""
    sgsn = Sgw(place.near, place.near, gateway=(place.far, CONTROL), seed=1, version=1)
    made = []
    with place.udp(CONTROL) as sock:
        for number in range(1, count + 1):
            terminal = Terminal(imsi_of(number), apn=APN, version=1)
            ((octets, peer),) = sgsn.attach(terminal, time.monotonic_ns()).datagrams
            sock.sendto(octets, peer)
            while terminal.teid_up == 0:
                data, source = sock.recvfrom(4_096)
                step = sgsn.receive(data, source, time.monotonic_ns())
                for answer, whom in step.datagrams:
                    sock.sendto(answer, whom)
                if terminal.cause is not None and not terminal.ipv4:
                    raise SystemExit(f"bench: session {number} refused, cause {terminal.cause}")
            made.append(Tunnel(terminal.teid_up, terminal.ipv4 or ""))
    return made


def cpu_ns(process: int) -> int:
    """ns that all threads of a process have run."""
    tasks = Path(f"/proc/{process}/task")
    return sum(int((task / "schedstat").read_text().split()[0]) for task in tasks.iterdir())


class Sent(NamedTuple):
    """One round of the sender."""

    sent: int
    ns: float
    received: int


class Blaster:
    """The sender in C, which waits for its turn."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._process = process
        assert process.stdout is not None
        if process.stdout.readline() != "ready\n":
            raise SystemExit("bench: the sender did not start; what it says is above")

    def __call__(self, way: str, size: int, packets_per_s: float, ms: float) -> Sent:
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin is not None
        assert stdout is not None
        stdin.write(f"{way} {size} {packets_per_s} {ms}\n")
        stdin.flush()
        words = stdout.readline().split()
        if len(words) != 3:
            raise SystemExit("bench: the sender gave no answer; what it says is above")
        return Sent(int(words[0]), float(words[1]), int(words[2]))


@contextmanager
def blaster(place: Place, tunnels: Sequence[Tunnel], core: int, folder: Path) -> Iterator[Blaster]:
    """The sender at work for these sessions."""
    path = folder / f"sessions-{len(tunnels)}"
    path.write_text("".join(f"{teid} {address}\n" for teid, address in tunnels))
    near, far = place.near, place.far
    words = [BUILD / "live_blast", path, f"{near}:{USER}", f"{far}:{USER}"]
    words += [f"{near}:{SGI}", f"{far}:{SGI}", HOST]
    with place.running(place.outside, words, core, folder / "blast.log") as process:
        yield Blaster(process)
