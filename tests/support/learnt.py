"""Replays of captures with control messages: small ones to give to them, and what they said."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from engine.replay import Options, Report, run
from tests.support.command import write
from tests.support.epc import (
    ENODEB,
    IMSI,
    MME,
    PGW,
    SGW,
    Story,
    s5_create,
    s11_create,
    s11_modify,
)

S5 = (SGW, PGW)
WEB = "203.0.113.7"
UP, DOWN = ("10.1.0.1", WEB), (WEB, "10.1.0.1")
Document = dict[str, Any]

BOOK = f"""
[[contract]]
code = "hdd00000001"
plan = "family-share"
started = 2013-10-01
  [[contract.line]]
  code = "hdo00000001"
  imsi = "{IMSI}"
"""


def bill(folder: Path, story: Story, *, book: str | None = None, **options: Any) -> Report:
    """A replay of what was on the wire; nobody's traffic is a SIM's by its address alone."""
    path = write(folder / "capture.pcap", story.frames)
    if book is not None:
        (folder / "lines.toml").write_text(book)
        options["subscribers"] = str(folder / "lines.toml")
    elif "ue_nets" not in options:
        options["ue_nets"] = ("198.51.100.0/24",)
    report = run(Options(captures=(path,), **options))
    assert report.faults == []
    return report


def sims(report: Report) -> dict[str, tuple[int, int]]:
    """Packets up and down that left, by IMSI or address."""
    return {
        sim["imsi"] or sim["address"]: tuple(
            sim[way]["packets"] - sim[way]["dropped_packets"] for way in ("up", "down")
        )
        for sim in report.document["sims"]
    }


def dropped(report: Report) -> dict[str, int]:
    return {reason: drop["packets"] for reason, drop in report.document["drops"].items()}


def traffic(story: Story, number: int = 1, *, up: int = 1, down: int = 1) -> None:
    """Packets of session `number` at S5/S8, as `s5_create` opened it."""
    address = f"10.1.0.{number}"
    for _ in range(up):
        story.g_pdu(100 * number + 4, *S5, (address, WEB))
    for _ in range(down):
        story.g_pdu(100 * number + 2, PGW, SGW, (WEB, address))


def both_legs() -> Story:
    """Every packet twice: at S1-U and at S5/S8."""
    story = Story()
    request, answer = (replace(m, sequence=7) for m in s11_create())
    story.say(MME, SGW, request)
    story.ask(*S5, *s5_create())
    story.say(SGW, MME, answer)
    story.ask(MME, SGW, *s11_modify())
    for _ in range(3):
        story.g_pdu(113, ENODEB, SGW, UP)
        story.g_pdu(104, *S5, UP)
        story.g_pdu(102, PGW, SGW, DOWN)
        story.g_pdu(114, SGW, ENODEB, DOWN)
    return story
