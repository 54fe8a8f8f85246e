"""A small world for `--shaped` and `--dropped`, and readers of what they write, by the formats alone."""

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine.replay import Options, Report, run
from tests.support import packets
from tests.support.command import write

CONFIG = """
[speed.slow]
rate_bps = 8_000
burst_bytes = 1_000
queue_bytes = 3_000
queue_ms = 10_000
"""
"""a byte a millisecond, 1 000 bytes at once, 3 000 waiting"""
BOOK = """
[[contract]]
code = "hdd00000001"
plan = "family-share"
started = 2013-10-01
  [[contract.coupon]]
  kind = "bundle"
  bytes = 3_000
  expires = "2013-12"
  [[contract.line]]
  code = "hdo00000001"
  addresses = ["10.1.0.1"]
  teid_up = 1
  teid_down = 2
[[contract]]
code = "hdd00000002"
plan = "minimum-start"
started = 2013-10-01
  [[contract.line]]
  code = "hdo00000002"
  addresses = ["10.1.0.2", "2001:db8:0:2::/64"]
  teid_up = 3
  teid_down = 4
[[contract]]
code = "hdd00000003"
plan = "minimum-start"
started = 2013-10-01
  [[contract.line]]
  code = "hdo00000003"
  addresses = ["10.1.0.3"]
"""
"""SIM 1 has a coupon for its first 3 000 bytes; SIMs 2 and 3 have none"""


@dataclass(frozen=True)
class Written:
    """One packet of a file."""

    time_ns: int
    data: bytes
    wire: int
    link: int
    comment: str = ""


def files(folder: Path) -> dict[str, str]:
    """The options of a replay in this world."""
    (folder / "world.toml").write_text(CONFIG)
    (folder / "lines.toml").write_text(BOOK)
    return {"config": str(folder / "world.toml"), "subscribers": str(folder / "lines.toml")}


def replay(folder: Path, frames: Sequence[packets.Frame], **options: Any) -> Report:
    """Replay frames in this world, to `left.pcap` and `dropped.pcapng` unless other names are given."""
    capture = write(folder / "in.pcap", frames, link=options.pop("link", 1))
    return replay_files(folder, capture, **options)


def replay_files(folder: Path, *captures: str, **options: Any) -> Report:
    """The same of captures that are there."""
    wanted = {"shaped": str(folder / "left.pcap"), "dropped": str(folder / "dropped.pcapng")}
    return run(Options(captures=captures, **(files(folder) | wanted | options)))


def read_pcap(path: Path) -> tuple[int, list[Written]]:
    """Link type and packets of a little-endian pcap file with nanosecond stamps."""
    content = path.read_bytes()
    magic, major, minor, zone, figures, _, link = struct.unpack_from("<IHHiIII", content)
    assert (magic, major, minor, zone, figures) == (0xA1B23C4D, 2, 4, 0, 0)
    found = []
    at = 24
    while at < len(content):
        seconds, rest_ns, held, wire = struct.unpack_from("<IIII", content, at)
        assert rest_ns < 10**9
        at += 16 + held
        assert at <= len(content)
        found.append(Written(seconds * 10**9 + rest_ns, content[at - held : at], wire, link))
    return link, found


def read_pcapng(path: Path) -> list[Written]:
    """Packets of a little-endian pcapng file of one section, interfaces of ns and one comment a packet."""
    content = path.read_bytes()
    links: list[int] = []
    found = []
    at = 0
    while at < len(content):
        kind, size = struct.unpack_from("<II", content, at)
        body, (again,) = (
            content[at + 8 : at + size - 4],
            struct.unpack_from("<I", content, at + size - 4),
        )
        assert size == again
        assert size % 4 == 0
        if at == 0:
            assert (kind, body) == (0x0A0D0D0A, struct.pack("<IHHq", 0x1A2B3C4D, 1, 0, -1))
        elif kind == 1:
            links.append(struct.unpack_from("<H", body)[0])
            assert body[8:] == packets.option(9, b"\x09") + packets.option(0, b"")
        else:
            assert kind == 6
            found.append(_packet(body, links))
        at += size
    return found


def _packet(body: bytes, links: list[int]) -> Written:
    number, high, low, held, wire = struct.unpack_from("<IIIII", body)
    end = 20 + held + -held % 4
    assert body[20 + held : end] == bytes(end - 20 - held)
    code, size = struct.unpack_from("<HH", body, end)
    comment = body[end + 4 : end + 4 + size]
    assert code == 1
    assert body[end:] == packets.option(1, comment) + packets.option(0, b"")
    return Written(high << 32 | low, body[20 : 20 + held], wire, links[number], comment.decode())
