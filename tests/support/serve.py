"""A gateway process of its own on free ports, and a little S-GW that attaches to it."""

import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from engine.signalling import messages as m
from engine.signalling.codec import decode, encode
from tests.support.command import environment
from tests.support.plane import OWN, listen

LINES = """
[[contract]]
code = "hdd{number:08}"
plan = "family-share"
started = 2013-11-01
"""
LINE = """
  [[contract.line]]
  code = "hdo{number:08}"
  imsi = "44010{number:010}"
  coupon = {coupon}
"""
START = "2013-11-05T07:00:00+09:00"
READY_S = 240
"""s; the first start on a machine compiles the kernels"""


def lines(path: Path, count: int = 2, *, coupon: bool = True) -> str:
    """A subscriber file: lines 1 to `count`, contracts of the family plan with three of them each."""
    text = ""
    for n in range(1, count + 1):
        if n % 3 == 1:
            text += LINES.format(number=n // 3 + 1)
        text += LINE.format(number=n, coupon=str(coupon).lower())
    path.write_text(text, encoding="utf-8")
    return str(path)


def free_port() -> int:
    """A UDP port that nobody has."""
    with listen(OWN) as sock:
        return int(sock.getsockname()[1])


@dataclass
class Serving:
    """A gateway that serves: its process, where it listens, and the file of its report."""

    process: "subprocess.Popen[bytes]"
    ready: dict[str, Any]
    report_path: Path

    def end(self, name: str) -> tuple[str, int]:
        """Address and port of one of its ends: gtp_c, gtp_u, sgi."""
        address, _, port = self.ready[name].rpartition(":")
        return address.strip("[]"), int(port)

    def stop(self, number: int = signal.SIGTERM) -> tuple[int, str]:
        """End it by a signal: (exit status, what it said on standard error)."""
        self.process.send_signal(number)
        _, said = self.process.communicate(timeout=60)
        return self.process.returncode, said.decode()

    def report(self) -> dict[str, Any]:
        """The report that it left."""
        found: dict[str, Any] = json.loads(self.report_path.read_text(encoding="utf-8"))
        return found


@contextmanager
def serving(folder: Path, *options: str, before: Sequence[str] = ()) -> Iterator[Serving]:
    """`pktoll serve` on free ports of loopback with these options; killed at the end if it still runs.

    before: words in front of the command, which run it elsewhere.
    """
    ready, report = folder / "ready.json", folder / "report.json"
    command = [
        *before,
        sys.executable,
        "-m",
        "engine",
        "serve",
        "--gtp-c",
        f"{OWN}:0",
        "--gtp-u",
        f"{OWN}:0",
    ]
    command += ["--start", START, "--ready-file", str(ready), "--report", str(report), *options]
    ready.unlink(missing_ok=True)
    process = subprocess.Popen(
        command, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    try:
        for _ in range(READY_S * 20):
            if ready.exists() or process.poll() is not None:
                break
            time.sleep(0.05)
        if not ready.exists():
            process.kill()
            raise AssertionError(process.communicate()[1].decode())
        yield Serving(process, json.loads(ready.read_text(encoding="utf-8")), report)
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate()


class Peer:
    """An S-GW of one address: creates and deletes sessions, and has a socket for user packets."""

    def __init__(self, gateway: Serving, peer_port: int = 0) -> None:
        self.gateway = gateway
        self.control = listen(OWN)
        self.user = listen(OWN, peer_port)
        self._sequence = 0

    def close(self) -> None:
        self.control.close()
        self.user.close()

    def ask(self, message: m.Message) -> m.Message:
        """Send a request and wait for its answer."""
        self._sequence += 1
        asked = replace(message, sequence=self._sequence)
        self.control.sendto(encode(asked), self.gateway.end("gtp_c"))
        while True:
            answer = decode(self.control.recv(4096))
            if answer.sequence == self._sequence and not answer.is_request:
                return answer

    def attach(self, number: int, teid: int) -> tuple[m.Message, int, str]:
        """Create a session for line `number`: (answer, TEID for user packets, IPv4 address)."""
        answer = self.ask(create_request(number, teid))
        ends = [f for b in answer.bearers for f in b.fteids if f.interface == m.S5_PGW_U]
        return answer, ends[0].teid if ends else 0, answer.address4 or ""

    def detach(self, teid: int) -> m.Message:
        """Delete the session that the gateway knows by this control TEID."""
        return self.ask(m.Message(2, m.Kind.DELETE_REQUEST, 0, teid=teid, linked_bearer=5))


def create_request(number: int, teid: int) -> m.Message:
    """A Create Session Request of line `number`, with PAP."""
    return m.Message(
        2,
        m.Kind.CREATE_REQUEST,
        0,
        teid=0,
        imsi=f"44010{number:010}",
        apn="iijmio.jp",
        rat=m.EUTRAN,
        network=("440", "10"),
        pdn_type=m.PDN_IPV4,
        address4="0.0.0.0",
        options=m.Options(pap=m.Pap(b"mio@iij", b"iij", 1)),
        control=m.Fteid(m.S5_SGW_C, teid, OWN),
        bearers=(m.Bearer(5, (m.Fteid(m.S5_SGW_U, teid, OWN),), qci=9),),
        ambr_kbps=(50_000, 150_000),
        selection_mode=0,
    )


@contextmanager
def peer_of(gateway: Serving, peer_port: int = 0) -> Iterator[Peer]:
    """A peer whose sockets are closed at the end."""
    made = Peer(gateway, peer_port)
    try:
        yield made
    finally:
        made.close()
