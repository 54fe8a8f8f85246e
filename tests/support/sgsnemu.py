"""Debian's SGSN emulator (osmo-ggsn), which attaches to `pktoll serve` from one namespace to another."""

import json
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from tests.support.osmo import Namespace, join
from tests.support.serve import Serving, serving

SGSN, GGSN = "10.9.0.1", "10.9.0.2"
"""outer addresses of the emulator and of the gateway"""
HOST = "198.51.100.7"
"""a host of the internet, behind the gateway's TUN device"""
IMSI = "440100000000001"
DONE_S = 30.0
SETTINGS = '[access]\npool4 = ["10.64.0.0/24"]\npool6 = []\n'
NAMED = ("--apn", "iijmio.jp", "--uid", "mio@iij", "--pwd", "iij")
"""what the service's terminals say (N1)"""


class Site(NamedTuple):
    """The gateway at work; the namespace of the emulator, and that of the gateway with its host."""

    gateway: Serving
    here: Namespace
    there: Namespace
    folder: Path

    def emulate(self, *options: str, until: str) -> str:
        """Run the emulator until it has said something; all that it said."""
        with self.emulator(*options) as emulator:
            return emulator.heard(until)

    @contextmanager
    def emulator(self, *options: str) -> Iterator["Emulator"]:
        """The emulator at work; ended by its own process id."""
        path = self.folder / "sgsnemu.txt"
        words = ["stdbuf", "-o0", "sgsnemu", "--listen", SGSN, "--remote", GGSN]
        words += [] if "--imsi" in options else ["--imsi", IMSI]
        with path.open("wb") as said:
            process = subprocess.Popen(
                self.here.command(*words, *options),
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=said,
                cwd=self.folder,
            )
        try:
            yield Emulator(process, path)
        finally:
            process.kill()
            process.wait(10)

    def device(self, name: str) -> dict[str, dict[str, int]]:
        """The system's counters of an interface of the gateway's namespace."""
        ((found),) = json.loads(self.there.ip("-s", "-j", "link", "show", name))
        counters: dict[str, dict[str, int]] = found["stats64"]
        return counters


class Emulator(NamedTuple):
    """A running emulator and what it says."""

    process: "subprocess.Popen[bytes]"
    path: Path

    def heard(self, words: str) -> str:
        """All that it said, once these words are in it; it stays long after its last word."""
        end = time.monotonic() + DONE_S
        while time.monotonic() < end:
            over = self.process.poll() is not None
            said = self.path.read_text(errors="replace")
            if words in said:
                return said
            assert not over, f"ended without saying {words!r}: {said}"
            time.sleep(0.02)
        raise AssertionError(f"it did not say {words!r}: {self.path.read_text(errors='replace')}")


@contextmanager
def site(folder: Path, lines: str, *options: str) -> Iterator[Site]:
    """A gateway with a TUN device, and a place for the emulator; `lines`: the subscriber file."""
    settings = folder / "settings.toml"
    settings.write_text(SETTINGS, encoding="utf-8")
    with ExitStack() as stack:
        here = stack.enter_context(Namespace("sgsn"))
        there = stack.enter_context(Namespace("pgw"))
        for one in (here, there):
            one.without_ipv6()
        join(here, there, (SGSN, GGSN))
        there.ip("address", "add", f"{HOST}/32", "dev", "lo")
        words = ["--config", str(settings), "--subscribers", lines, "--sgi", "tun:pgw0", "-q"]
        words += ["--gtp-c", f"{GGSN}:2123", "--gtp-u", f"{GGSN}:2152", "--beyond-loopback"]
        running = serving(folder, *words, *options, before=there.command())
        yield Site(stack.enter_context(running), here, there, folder)


@contextmanager
def captured(namespace: Namespace, path: Path) -> Iterator[None]:
    """Everything that passes the cable, in a capture file."""
    words = ["dumpcap", "-q", "-P", "-i", "wire", "-f", "udp", "-w", str(path)]
    process = subprocess.Popen(namespace.command(*words), stderr=subprocess.PIPE)
    try:
        assert process.stderr is not None
        for line in iter(process.stderr.readline, b""):
            if line.startswith(b"File:"):
                break
        yield
        _see_last(namespace, path)
    finally:
        process.terminate()
        process.communicate(timeout=30)


def _see_last(namespace: Namespace, path: Path) -> None:
    """Send a datagram of our own, and wait until it is in the file: then all before it is."""
    mark = b"the last one of this capture"
    end = time.monotonic() + DONE_S
    with namespace.udp(SGSN, 0) as sock:
        while mark not in path.read_bytes():
            assert time.monotonic() < end, "nothing is captured"
            sock.sendto(mark, (GGSN, 9))
            time.sleep(0.05)


def records(path: Path) -> list[dict[str, Any]]:
    """The usage records that a gateway wrote."""
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
