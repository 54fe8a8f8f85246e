"""The report of a live run as tables for people."""

from typing import Any

from rich.console import Console
from rich.markup import escape

from engine import units
from engine.cli.console import Output
from engine.cli.table import NARROW, new_table, size

_COLOURS = {"pass": "green", "fail": "red", "inconclusive": "yellow", "skipped": "dim"}


def show(document: dict[str, Any], console: Console | None = None) -> None:
    """Print the streams of the run, what every check says, and the result."""
    console = console or Output()
    console.print(_streams(document["streams"], console.width))
    console.print(_checks(document["checks"]))
    for check in document["checks"]:
        for fault in check["faults"]:
            console.print(f"  {check['name']}: {escape(fault)}", highlight=False)
        if check["more_faults"]:
            console.print(f"  {check['name']}: and {check['more_faults']} more", highlight=False)
    result = document["result"]
    seconds = document["length_ns"] // units.NS_PER_S
    console.print(
        f"{escape(document['title'])}: {document['sims']:,} SIMs, {seconds} s: "
        f"[bold {_COLOURS[result]}]{result}[/]",
        highlight=False,
    )


def _streams(streams: list[dict[str, Any]], width: int) -> Any:
    """A line a stream; on a narrow terminal without what the scenario says itself."""
    wide = width >= NARROW
    table = new_table("Traffic: how much arrived, and how long it took, in ms")
    for heading in ("step", "way", "server", "expected"):
        table.add_column(heading, no_wrap=True)
    for heading in ("SIMs", "bytes") if wide else ():
        table.add_column(heading, justify="right", no_wrap=True)
    for heading in ("sent", "arrived", "median", "99 %", "most"):
        table.add_column(heading, justify="right", no_wrap=True)
    for stream in streams:
        table.add_row(
            str(stream["step"]),
            stream["direction"],
            escape(stream["server"]),
            stream["expect"],
            *((f"{stream['sims']:,}", str(stream["packet_bytes"])) if wide else ()),
            f"{stream['sent_packets']:,}",
            f"{stream['arrived_packets']:,}",
            *(_ms(stream[name]) for name in ("wait_ns_p50", "wait_ns_p99", "wait_ns_max")),
        )
    return table


def _ms(time_ns: int) -> str:
    return f"{time_ns / units.NS_PER_MS:,.2f}"


def _checks(checks: list[dict[str, Any]]) -> Any:
    table = new_table("Checks")
    table.add_column("check", no_wrap=True)
    table.add_column("says", no_wrap=True)
    table.add_column("rules", no_wrap=True)
    table.add_column("figures", overflow="fold")
    for check in checks:
        status = check["status"]
        said = f"[{_COLOURS[status]}]{status}[/]"
        table.add_row(check["name"], said, check["rules"], _figures(check["figures"]))
    return table


def _figures(figures: dict[str, Any]) -> str:
    """Figures in words: bytes and times made easier to read, sums of sums left out."""
    words = []
    for name, value in figures.items():
        if not isinstance(value, int):
            continue
        text = f"{value:,}"
        label = name
        if name.endswith("_bytes"):
            label, text = name.removesuffix("_bytes"), size(value) if value >= 0 else f"{value} B"
        elif "_ns" in name:
            label, text = name.replace("_ns", ""), f"{_ms(value)} ms"
        words.append(f"{label.replace('_', ' ')} {text}")
    return escape(", ".join(words))
