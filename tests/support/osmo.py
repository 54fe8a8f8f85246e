"""Debian's osmo-ggsn in a network namespace of its own, so that nothing of it is seen outside."""

import ctypes
import os
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType

import pytest

ADDRESS = "127.0.0.2"
"""of the GGSN, both planes"""
INSIDE = "172.16.222.254"
"""of its TUN device: what can be reached through it"""
POOL = "172.16.222.0/24"
DNS = ("192.0.2.53", "192.0.2.54")
APN = "iijmio.jp"
READY_S = 10.0
_CLONE_NEWNET = 0x40000000

CONFIG = """\
log stderr
 logging filter all 1
 logging color 0
 logging level set-all notice
ggsn ggsn0
 gtp state-dir {state}
 gtp bind-ip {address}
 apn {apn}
  gtpu-mode tun
  tun-device tun4
  type-support v4
  ip prefix dynamic {pool}
  ip dns 0 {dns[0]}
  ip dns 1 {dns[1]}
  ip ifconfig {inside}/24
  no shutdown
 default-apn {apn}
 no shutdown ggsn
"""


def need(*programs: str) -> None:
    """Programs, and to be root; without them a test is skipped, in a run of all checks it fails."""
    missing = [name for name in programs if shutil.which(name) is None]
    if os.geteuid() != 0:
        missing.append("the right to make network namespaces")
    if missing:
        text = (
            f"{', '.join(missing)}: not here, so nothing is shown of other people's GGSN and SGSN"
        )
        if os.environ.get("CI"):
            pytest.fail(text)
        pytest.skip(text)


class Namespace:
    """A network namespace with its loopback up, gone at the end with all that is in it."""

    def __init__(self, name: str) -> None:
        self.name = f"pktoll-{name}-{os.getpid()}"

    def __enter__(self) -> "Namespace":
        subprocess.run(["ip", "netns", "add", self.name], check=True, timeout=30)
        subprocess.run(["ip", "-n", self.name, "link", "set", "lo", "up"], check=True, timeout=30)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        subprocess.run(["ip", "netns", "delete", self.name], check=True, timeout=30)

    def command(self, *words: str) -> list[str]:
        """The words that run a command in it."""
        return ["ip", "netns", "exec", self.name, *words]

    def ip(self, *words: str) -> str:
        """What `ip` says in it."""
        done = subprocess.run(
            ["ip", "-n", self.name, *words], check=True, timeout=30, capture_output=True, text=True
        )
        return done.stdout

    def without_ipv6(self) -> None:
        """Let no interface in it say anything by itself."""
        switch = "echo 1 >/proc/sys/net/ipv6/conf/all/disable_ipv6"
        also = "echo 1 >/proc/sys/net/ipv6/conf/default/disable_ipv6"
        subprocess.run(self.command("sh", "-c", f"{switch}; {also}"), check=True, timeout=30)

    def udp(self, address: str, port: int) -> socket.socket:
        """A UDP socket that is in it."""
        sock = self.socket(socket.SOCK_DGRAM)
        sock.bind((address, port))
        return sock

    def socket(self, kind: socket.SocketKind) -> socket.socket:
        """A socket that is in it: a thread goes in, makes the socket, and ends there."""
        made: list[socket.socket | OSError] = []

        def inside() -> None:
            libc = ctypes.CDLL(None, use_errno=True)
            with open(f"/run/netns/{self.name}", "rb") as handle:
                if libc.setns(handle.fileno(), _CLONE_NEWNET) != 0:
                    made.append(OSError(ctypes.get_errno(), "setns"))
                    return
            made.append(socket.socket(socket.AF_INET, kind))

        thread = threading.Thread(target=inside)
        thread.start()
        thread.join()
        if isinstance(made[0], OSError):
            raise made[0]
        made[0].settimeout(5)
        return made[0]


def join(one: Namespace, other: Namespace, addresses: tuple[str, str], net: int = 24) -> None:
    """Put a cable between two namespaces; the ends are called `wire`."""
    ends = ("wire", "netns", one.name, "type", "veth", "peer", "name", "wire", "netns", other.name)
    subprocess.run(["ip", "link", "add", *ends], check=True, timeout=30)
    for namespace, address in zip((one, other), addresses, strict=True):
        namespace.ip("address", "add", f"{address}/{net}", "dev", "wire")
        namespace.ip("link", "set", "wire", "up")


@contextmanager
def osmo_ggsn(namespace: Namespace, folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A GGSN that answers, with its files in `folder`; ended by its own process id."""
    state = folder / "state"
    state.mkdir(exist_ok=True)
    config = folder / "osmo-ggsn.cfg"
    config.write_text(
        CONFIG.format(state=state, address=ADDRESS, apn=APN, pool=POOL, dns=DNS, inside=INSIDE)
    )
    with (folder / "osmo-ggsn.log").open("wb") as log:
        command = namespace.command("osmo-ggsn", "-c", str(config))
        process = subprocess.Popen(command, stdout=log, stderr=log, cwd=folder)
        try:
            _wait(namespace, process, folder / "osmo-ggsn.log")
            yield process
        finally:
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait(10)


def _wait(namespace: Namespace, process: subprocess.Popen[bytes], log: Path) -> None:
    """Until it answers an Echo Request of version 1."""
    echo = bytes.fromhex("32010004" + "00000000" + "00010000")
    until = time.monotonic() + READY_S
    with namespace.udp("127.0.0.9", 2123) as sock:
        sock.settimeout(0.1)
        while time.monotonic() < until and process.poll() is None:
            sock.sendto(echo, (ADDRESS, 2123))
            try:
                if sock.recv(2_048)[1:2] == b"\2":
                    return
            except OSError:
                time.sleep(0.05)
    raise AssertionError(f"osmo-ggsn does not answer: {log.read_text(errors='replace')[-2_000:]}")
