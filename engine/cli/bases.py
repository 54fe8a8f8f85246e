"""`pktoll bases`: one capture billed on inner IP, outer IP, frame and L4 payload, side by side."""

import csv
import io
import json
import sys
from typing import Any

import click

from engine.cli.captures import announce, check_prefixes, tell, who_is_who
from engine.cli.main import fail, printing

HEADINGS = {
    "inner-ip": "inner IP",
    "outer-ip": "outer IP",
    "frame": "frame",
    "l4-payload": "L4 payload",
}
ROWS = {
    "packets": "packets",
    "bytes": "bytes",
    "charged_bytes": "charged",
    "slow_bytes": "slow",
    "exempt_bytes": "exempt",
    "free_bytes": "free",
    "dropped_bytes": "dropped",
    "grants": "slices",
    "granted_bytes": "handed out",
}
SIM_ROWS = ("bytes", "charged_bytes", "slow_bytes", "dropped_bytes")
SIMS_SHOWN = 50
WIDTH_MAX = 1_000
"""columns; wider than any table here"""

Document = dict[str, Any]


@click.command(
    epilog="""
    \b
    Examples:
      pktoll bases capture.pcap --ue-net 10.45.0.0/16
      pktoll bases s5u.pcapng --subscribers lines.toml --sims --format csv
    """
)
@click.argument("captures", nargs=-1, required=True, metavar="CAPTURE...")
@who_is_who
@click.option("--sims", is_flag=True, help="The figures of every SIM, too.")
@click.option(
    "--format",
    "form",
    type=click.Choice(["table", "json", "csv"]),
    default="table",
    show_default=True,
)
@click.option("-q", "--quiet", is_flag=True, help="No remarks.")
def command(captures: tuple[str, ...], sims: bool, form: str, quiet: bool, **who: Any) -> int:
    """Bill captures on four byte bases, side by side.

    The inner IP packet, the outer IP packet around its tunnel, the whole frame, and what stands behind the
    TCP or UDP header. Each basis is a replay of its own with a coupon database in memory.
    """
    # Imported here: the engine brings numba, which `--help` need not wait for.
    from engine.replay.bases import compare
    from engine.replay.options import Options

    check_prefixes(who["ue_nets"])
    announce(quiet, who["subscribers"])
    found = compare(Options(captures=captures, **who), sims=sims)
    with printing():
        if form == "table":
            show(found.document)
        else:
            sys.stdout.write(FORMATS[form](found.document))
    tell(found.notices, found.warnings, quiet)
    for fault in found.faults:
        fail(fault)
    return found.exit_status


def as_json(document: Document) -> str:
    """One document, indented."""
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def as_csv(document: Document) -> str:
    """A row for each basis, or for each SIM and basis."""
    text = io.StringIO()
    rows = [dict(basis) for basis in document["bases"]]
    if "sims" in document:
        rows = [
            {name: value for name, value in sim.items() if name != "bases"} | basis
            for sim in document["sims"]
            for basis in sim["bases"]
        ]
    names = list(rows[0]) if rows else []
    writer = csv.DictWriter(text, names, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


FORMATS = {"json": as_json, "csv": as_csv}


def show(document: Document) -> None:
    """The table for people: a column for each basis, exact figures."""
    from rich.table import Table

    from engine.cli.console import Output
    from engine.cli.table import new_table

    console = Output()
    table = _columns(new_table("Billed on"), document["bases"])
    for name, words in ROWS.items():
        table.add_row(words, *(f"{basis[name]:,}" for basis in document["bases"]))
    for name, words in (("ratio", "bytes : inner IP"), ("charged_ratio", "charged : inner IP")):
        table.add_row(words, *map(_quotient, (basis[name] for basis in document["bases"])))
    shown: list[Table] = [table, *([_sims(document["sims"])] if "sims" in document else [])]
    for part in shown:
        _print_whole(console, part)
    console.print("[dim]A replay for each basis, with a coupon database in memory.[/]")


def _print_whole(console: Any, table: Any) -> None:
    """Wider than the terminal where it must be: half a figure would be a wrong one."""
    from rich.measure import Measurement

    least = Measurement.get(console, console.options.update(max_width=WIDTH_MAX), table).minimum
    console.width = max(console.width, least)
    console.print(table)


def _columns(table: Any, bases: list[Document]) -> Any:
    table.add_column("")
    for basis in bases:
        heading = HEADINGS[basis["basis"]]
        table.add_column(heading, justify="right", no_wrap=True, min_width=len(heading))
    return table


def _quotient(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}"


def _sims(sims: list[Document]) -> Any:
    """Under each SIM's name, what is not the same in a plain way: its bytes, and what became of them."""
    from engine.cli.table import new_table, sim_name

    table = new_table("SIMs")
    table.add_column("SIM", no_wrap=True)
    bases = sims[0]["bases"] if sims else []
    _columns(table, bases)
    for sim in sims[:SIMS_SHOWN]:
        name = sim_name(sim)
        for row in SIM_ROWS:
            figures = [basis[row] for basis in sim["bases"]]
            if any(figures) or row == "bytes":
                table.add_row(name, ROWS[row], *(f"{figure:,}" for figure in figures))
                name = ""
    if len(sims) > SIMS_SHOWN:
        table.caption = f"and {len(sims) - SIMS_SHOWN:,} more: --format json or csv shows all"
    return table
