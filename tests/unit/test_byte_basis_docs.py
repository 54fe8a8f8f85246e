"""docs/byte-basis.md: the figures of its example, and the settings and fields that it names."""

from pathlib import Path
from typing import get_args

from engine.config import model
from engine.replay.bases import FIGURES
from engine.wire.basis import BASES
from tests.support.packets import ethernet, gtp, ipv4, ipv6, parse, pcap, tcp, tunnel, udp

OPTIONS = bytes(12)
PACKETS = (
    ipv4(tcp(), protocol=6),
    ipv4(tcp()[:12] + b"\x80" + tcp()[13:] + OPTIONS, protocol=6),
    ipv4(udp(bytes(36), dst=53)),
    ipv6(udp(bytes(36), dst=53)),
    ipv4(tcp(bytes(1_360)), protocol=6),
)


def test_the_example_of_the_page_is_what_the_parser_says(project: Path, tmp_path: Path) -> None:
    """U3"""
    page = (project / "docs" / "byte-basis.md").read_text(encoding="utf-8")
    example = page.split("## Example")[1].split("\n## ")[0]
    rows = [line.strip("| ").split("|") for line in example.splitlines() if line.startswith("| ")]
    assert [name.strip() for name in rows[0][1:]] == list(BASES)
    stated = [[int(cell) for cell in row[1:]] for row in rows[2:]]
    found = []
    for packet in PACKETS:
        capture = pcap([ethernet(tunnel(gtp(packet)))])
        lengths = [parse(tmp_path, capture, basis=basis)[0]["length"] for basis in BASES.values()]
        found.append([int(length[0]) for length in lengths])
    assert stated == found
    assert f"{90 / 40}" in example


def test_the_page_names_every_setting_and_figure(project: Path) -> None:
    """U3"""
    page = (project / "docs" / "byte-basis.md").read_text(encoding="utf-8")
    assert list(BASES) == list(get_args(model.Settings.__annotations__["count"]))
    assert all(f'`"{name}"`' in page for name in BASES)
    assert all(f"`{name}`" in page for name in FIGURES)
