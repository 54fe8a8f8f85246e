"""Small captures of two SIMs whose packets are explained: 100-byte packets at a byte a millisecond."""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.support.command import Ended, call, write
from tests.support.packets import TIME_NS, ethernet, g_pdu_frame, ipv4, udp

MS = 10**6
LINE, OTHER = "hdo00000001", "hdo00000002"
RESOLVER, PORTAL, NEWS = "192.0.2.53", "192.0.2.80", "198.18.0.80"

CONFIG = """
default_plan = "tiny"
{top}

[speed.high]
burst_bytes = 1_000
queue_bytes = 150
queue_ms = 3_000

[speed.slow]
rate_bps = 8_000
burst_bytes = 100
queue_bytes = {slow_queue_bytes}
queue_ms = 60_000

[speed.restricted]
rate_bps = 4_000
burst_bytes = 100
queue_bytes = 300
queue_ms = 3_000

[[exempt.rating_group]]
id = 10
name = "dns"
cap_bytes_per_day = 250

[[exempt.endpoint]]
name = "statistics"
prefixes = ["192.0.2.53/32"]
protocol = "tcp"
ports = [80]

[[exempt.endpoint]]
name = "resolver"
prefixes = ["192.0.2.53/32"]
protocol = "udp"
ports = [53]
rating_group = 10

[[exempt.endpoint]]
name = "portal"
prefixes = ["192.0.2.80/32"]

[[plan]]
name = "tiny"
title = "Tiny"
sims_max = 3
bundle_bytes = 0
high_down_bps = 112_500_000
high_up_bps = {high_bps}
restriction_bytes = {restriction_bytes}
"""

LINES = """
[[contract]]
code = "hdd00000001"
plan = "tiny"
started = 2013-10-01

  [[contract.coupon]]
  kind = "bundle"
  bytes = {coupon_bytes}
  expires = "2013-12"

  [[contract.line]]
  code = "hdo00000001"
  imsi = "440100000000001"
  coupon = {coupon}
  balance_bytes = {balance_bytes}
  addresses = ["10.1.0.1"]
  {teids}

  [[contract.line]]
  code = "hdo00000002"
  addresses = ["10.1.0.2"]
"""


def to(address: str = NEWS, *, port: int = 443, size: int = 100, **fields: Any) -> bytes:
    """An uplink UDP packet of the first SIM."""
    return ipv4(udp(bytes(size - 28), dst=port), dst=address, **fields)


def up(at_ms: int, packet: bytes, teid: int = 1) -> tuple[int, bytes]:
    """A frame with the packet in the first SIM's uplink tunnel."""
    return TIME_NS + at_ms * MS, g_pdu_frame(packet, teid=teid)


def plain(at_ms: int, packet: bytes) -> tuple[int, bytes]:
    """A frame with the packet outside any tunnel."""
    return TIME_NS + at_ms * MS, ethernet(packet)


@dataclass
class World:
    """Files of a replay in a folder, and the command that explains its packets."""

    folder: Path
    capfd: pytest.CaptureFixture[str]
    coupon_bytes: int = 1_000
    coupon: bool = True
    balance_bytes: int = 0
    restriction_bytes: int = 0
    high_bps: int = 37_500_000
    slow_queue_bytes: int = 300
    tunnelled: bool = True
    top: str = ""
    events: list[dict[str, Any]] = field(default_factory=list)

    def capture(self, *frames: Any, name: str = "world.pcap") -> str:
        """The path of a capture with these frames."""
        return write(self.folder / name, frames)

    def options(self) -> list[str]:
        """The options that say who is who; writes their files."""
        texts = {
            "config": CONFIG.format(
                top=self.top,
                high_bps=self.high_bps,
                slow_queue_bytes=self.slow_queue_bytes,
                restriction_bytes=self.restriction_bytes,
            ),
            "subscribers": LINES.format(
                coupon_bytes=self.coupon_bytes,
                coupon=str(self.coupon).lower(),
                balance_bytes=self.balance_bytes,
                teids="teid_up = 1\n  teid_down = 2" if self.tunnelled else "",
            ),
            "events": "".join(json.dumps(event) + "\n" for event in self.events),
        }
        arguments = []
        for name, text in texts.items():
            ending = "jsonl" if name == "events" else "toml"
            path = self.folder / f"{name}.{ending}"
            path.write_text(text)
            arguments += [f"--{name}", str(path)] if text else []
        return arguments

    def run(self, *arguments: str) -> Ended:
        """A command with these options."""
        return call(self.capfd, *arguments, *self.options())

    def explain(self, capture: str, number: int, *arguments: str) -> dict[str, Any]:
        """What is said of a packet, as JSON."""
        words = ("explain", capture, "--packet", str(number), "--format", "json", *arguments)
        ended = self.run(*words)
        assert ended.status == 0, ended.err
        document: dict[str, Any] = json.loads(ended.out)
        assert document["schema"] == "pktoll.explain/1"
        return document

    def text(self, capture: str, number: int, *arguments: str) -> str:
        """The same for people."""
        ended = self.run("explain", capture, "--packet", str(number), *arguments)
        assert ended.status == 0, ended.err
        return ended.out

    def replay(self, *captures: str) -> dict[str, Any]:
        """The report of a whole replay."""
        document: dict[str, Any] = json.loads(self.run("replay", *captures, "--format", "json").out)
        return document


def rules(part: dict[str, Any]) -> list[str]:
    """The ids of the rules in the order of decision."""
    return [step["rule"] for step in part["steps"]]


def at(milliseconds: int) -> int:
    """An event's time, so many ms into the captures."""
    return TIME_NS + milliseconds * MS
