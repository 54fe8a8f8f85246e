"""The live simulator without a gateway: a test plays the other end, or makes up a whole run."""

import contextlib
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

import gateway_sim
from engine.layout import DOWNLINK, UPLINK
from gateway_sim.live.datagrams import Datagrams
from gateway_sim.live.driver import Pacing
from gateway_sim.live.exchange import Exchange, Sides
from gateway_sim.live.figures import Figures
from gateway_sim.live.fleet import OPEN, Fleet
from gateway_sim.live.logs import FINE, Arrived, Sent
from gateway_sim.live.marks import GTP_BYTES
from gateway_sim.live.script import Script, load
from gateway_sim.scenario import Scenario

MS = 10**6
S = 10**9
HEAD = """
title = "made up"
seed = 1
start = 2013-11-05T12:00:00+09:00
duration_s = 60
[network]
sgw = "203.0.113.129"
pgw = "203.0.113.1"
"""
SERVERS = """
[[server]]
name = "news"
address = "198.18.0.80"
address6 = "2001:2:0:1::80"
port = 443
protocol = "udp"
[[server]]
name = "own"
address = "192.0.2.80"
port = 443
protocol = "udp"
[[server]]
name = "mail"
address = "192.0.2.25"
port = 993
"""
LINES = """
[[population]]
contracts = 4
lines = 2
plan = "family-share"
started = 2013-11-01
network = "10.64.0.0/24"
"""


def text(*steps: str, live: str = 'exempt = ["own"]', lines: str = LINES) -> str:
    """A scenario file with these steps, each the body of a table."""
    return f"{HEAD}\n[live]\n{live}\n{SERVERS}\n{lines}\n" + "".join(
        f"[[step]]\n{step}\n" for step in steps
    )


def script_of(folder: Path, *steps: str, **more: str) -> tuple[Scenario, Script]:
    """A scenario and its script."""
    path = folder / "made-up.toml"
    path.write_text(text(*steps, **more), encoding="utf-8")
    scenario = gateway_sim.load(path)
    return scenario, load(path, scenario)


def traffic(**keys: Any) -> str:
    """The body of a traffic step."""
    given = {
        "at_ms": 0,
        "do": "traffic",
        "server": "news",
        "for_ms": 100,
        "packet_bytes": 200,
    } | keys
    words = {True: "true", False: "false"}
    return "\n".join(
        f"{key} = {words[value] if isinstance(value, bool) else repr(value)}"
        for key, value in given.items()
    )


class Rig:
    """An exchange with every SIM attached; `gateway` and `internet` are the sockets of the other end."""

    def __init__(self, script: Script, stack: contextlib.ExitStack, count: int = 8) -> None:
        self.gateway, self.internet = (
            stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) for _ in range(2)
        )
        for udp in (self.gateway, self.internet):
            udp.bind(("127.0.0.1", 0))
            udp.settimeout(5)
        gtp = stack.enter_context(Datagrams("127.0.0.1", 0))
        sgi = stack.enter_context(Datagrams("127.0.0.1", 0, GTP_BYTES))
        gtp.to(*self.gateway.getsockname())
        sgi.to(*self.internet.getsockname())
        self.fleet = Fleet(count)
        for sim in range(count):
            prefix = f"2001:db8:0:{sim + 1:x}::/64"
            self.fleet.open(sim, f"10.64.0.{sim + 1}", prefix, 1000 + sim, 2000 + sim)
        port = self.gateway.getsockname()[1]
        sides = Sides(gtp, sgi, 0x7F00_0001 << 16 | port)
        self.exchange = Exchange(self.fleet, [s.shape for s in script.streams], sides)
        self.gtp, self.sgi = gtp, sgi

    def offer(self, stream: int, *sims: int) -> list[bytes]:
        """Send a packet of the stream for each SIM; what came to the other end."""
        self.exchange.send(stream, np.array(sims, np.int64))
        up = self.exchange.stampers[stream].shape.direction == UPLINK
        end = self.gateway if up else self.internet
        return [end.recv(65_535) for _ in sims]

    def deliver_up(self, inner: bytes) -> None:
        """A packet comes out of the gateway's SGi side."""
        self.internet.sendto(inner, (self.sgi.address, self.sgi.port))

    def deliver_down(self, datagram: bytes, source: socket.socket | None = None) -> None:
        """A datagram comes from the gateway's GTP-U side."""
        (source or self.gateway).sendto(datagram, (self.gtp.address, self.gtp.port))

    def hear(self, direction: int, count: int = 1) -> list[tuple[bytes, Any]]:
        """Take in so many datagrams."""
        others = []
        udp = self.gtp if direction == DOWNLINK else self.sgi
        until = time.monotonic() + 5
        while count > 0:
            batch = udp.receive()
            assert batch is not None or time.monotonic() < until
            if batch is not None:
                others += self.exchange.hear(batch, direction)
                count -= batch.length.size
        return others

    def flaws(self) -> list[int]:
        """What was said of each arrival so far."""
        found: list[int] = self.exchange.arrived["flaw"].tolist()
        return found


def g_pdu(teid: int, inner: bytes, options: bytes = b"") -> bytes:
    """A G-PDU; with four octets of `options` behind its header, the flag that says so."""
    length = (len(inner) + len(options)).to_bytes(2, "big")
    return (
        bytes((0x32 if options else 0x30, 255)) + length + teid.to_bytes(4, "big") + options + inner
    )


@contextlib.contextmanager
def rig(script: Script) -> Iterator[Rig]:
    """A rig whose sockets are closed at the end."""
    with contextlib.ExitStack() as stack:
        yield Rig(script, stack)


class Story:
    """Figures of a run that a test makes up, packet by packet."""

    def __init__(self, script: Script, sims: int = 8) -> None:
        self.script, self.sims = script, sims
        self.sent, self.arrived = Sent(), Arrived()

    def send(self, stream: int, sim: int, at_ns: int, state: int = OPEN) -> int:
        """A packet; its number."""
        self.sent.append(1, sim=sim, stream=stream, at_ns=at_ns, address=0, teid=0, state=state)
        return self.sent.size - 1

    def arrive(self, number: int, at_ns: int, flaw: int = FINE) -> None:
        """It comes out."""
        length = (
            self.script.streams[int(self.sent["stream"][number])].shape.length if number >= 0 else 0
        )
        self.arrived.append(1, number=number, at_ns=at_ns, length=length, flaw=flaw)

    def through(self, stream: int, sim: int, at_ns: int, wait_ns: int = MS) -> None:
        """A packet that comes out after a while."""
        self.arrive(self.send(stream, sim, at_ns), at_ns + wait_ns)

    def figures(self, **more: Any) -> Figures:
        """The figures so far."""
        codes = [f"hdo{sim + 1:08d}" for sim in range(self.sims)]
        contracts = [f"hdd{sim // 2 + 1:08d}" for sim in range(self.sims)]
        fields = {"pacing": Pacing()} | more
        return Figures(self.script, codes, contracts, self.sent, self.arrived, **fields)


def counters(**values: int) -> dict[str, int]:
    """Counters of a SIM and direction as the gateway tells them."""
    names = ("packets", "inner_bytes", "charged_bytes", "slow_bytes", "exempt_bytes", "free_bytes")
    more = ("dropped_packets", "dropped_bytes", "delayed_packets", "max_delay_ns")
    return dict.fromkeys((*names, *more), 0) | values


def snapshot(sims: int = 8, **rows: dict[str, Any]) -> dict[str, Any]:
    """A gateway's snapshot: SIMs that did nothing, but for those given by name (sim0 …)."""
    return {
        "sims": [
            {
                "code": f"hdo{sim + 1:08d}",
                "up": counters(),
                "down": counters(),
                "grants": 0,
                "granted_bytes": 0,
                "balance_bytes": 0,
            }
            | rows.get(f"sim{sim}", {})
            for sim in range(sims)
        ]
    }
