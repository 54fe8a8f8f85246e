"""What tshark makes of a capture: one table of fields a frame, read by its stack of protocols."""

import os
import shutil
import subprocess
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

FIELDS = (
    "frame.number",
    "frame.protocols",
    "frame.len",
    "ip.len",
    "ip.hdr_len",
    "ip.flags.mf",
    "ip.frag_offset",
    "ipv6.plen",
    "tcp.hdr_len",
    "udp.length",
    "gtp.message",
)
WHOLE = ("ip.defragment", "ipv6.defragment", "tcp.desegment_tcp_streams")
"""preferences that are off: every frame is taken for itself"""
TRANSPORTS = {"udp": 8, "udplite": 8, "sctp": 12}
EXTENSIONS = {"ipv6.hopopts", "ipv6.fraghdr", "ipv6.routing", "ipv6.dstopts", "ah"}


def need_tshark() -> str:
    """The program; where it is missing the test is skipped, in a run of all checks it fails."""
    found = shutil.which("tshark")
    if found is None:
        text = "tshark is not installed: what it would say of captures is not compared"
        if os.environ.get("CI"):
            pytest.fail(text)
        pytest.skip(text)
    return found


def fields(path: Path, names: tuple[str, ...], home: Path) -> list[list[str]]:
    """One row a frame, with all values of a field in one cell, joined by commas."""
    command = [need_tshark(), "-n", "-r", str(path), "-T", "fields"]
    command += [word for name in WHOLE for word in ("-o", f"{name}:FALSE")]
    command += ["-E", "separator=/t", "-E", "aggregator=,", "-E", "occurrence=a"]
    command += [word for name in names for word in ("-e", name)]
    environment = os.environ | {"HOME": str(home)}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    return [line.split("\t") for line in done.stdout.splitlines()]


@dataclass(frozen=True)
class Layer:
    """One IP header: what it says of its packet, and what the transport header behind it says."""

    length: int
    header: int
    later: bool
    first: bool
    transport_bytes: int
    udp_length: int

    @property
    def payload(self) -> int:
        """byte; behind the transport header, or the IP header of a later fragment."""
        return self.length - self.header - (0 if self.later else self.transport_bytes)

    @property
    def datagram(self) -> int:
        """byte; of the whole packet, by UDP's word where this is the first fragment of it."""
        return self.header + self.udp_length if self.first else self.length


@dataclass(frozen=True)
class Stack:
    """The IP headers of a frame from the outside in, and how many stand before the first G-PDU."""

    frame_bytes: int
    layers: tuple[Layer, ...]
    outside: int | None


def stacks(path: Path, home: Path) -> Iterator[Stack]:
    """Every frame of a capture; the n-th token of a protocol owns the n-th value of its fields."""
    for row in fields(path, FIELDS, home):
        cells = {
            name: cell.split(",") if cell else [] for name, cell in zip(FIELDS, row, strict=True)
        }
        yield _stack(row[1].split(":"), cells)


def _stack(tokens: list[str], cells: dict[str, list[str]]) -> Stack:
    seen: Counter[str] = Counter()
    layers: list[Layer] = []
    outside = None
    for at, token in enumerate(tokens):
        if token in ("ip", "ipv6"):
            layers.append(_layer(token, tokens[at + 1 :], cells, seen))
        if token == "gtp" and outside is None and cells["gtp.message"][:1] in (["0xff"], ["255"]):
            outside = len(layers)
        seen[token] += 1
    return Stack(int(cells["frame.len"][0]), tuple(layers), outside)


def _layer(kind: str, after: list[str], cells: dict[str, list[str]], seen: Counter[str]) -> Layer:
    following = next((token for token in after if token not in EXTENSIONS), "")
    size = TRANSPORTS.get(following, 0)
    if following == "tcp" and seen["tcp"] < len(cells["tcp.hdr_len"]):
        size = int(cells["tcp.hdr_len"][seen["tcp"]])
    n = seen[kind]
    udp = cells["udp.length"][seen["udp"]] if following == "udp" else "0"
    if kind == "ipv6":
        return Layer(int(cells["ipv6.plen"][n]) + 40, 40, False, False, size, int(udp))
    later = int(cells["ip.frag_offset"][n]) > 0
    more = cells["ip.flags.mf"][n] in ("1", "True")
    header = int(cells["ip.hdr_len"][n])
    first = more and not later
    return Layer(int(cells["ip.len"][n]), header, later, first, size, int(udp))
