"""The accuracy table: our limiter in every cell, Linux tbf and htb and DPDK's srTCM beside it.

    ./dev accuracy [--json] [--quick] [--no-tc] [--write docs/accuracy.md]

Ours goes through the engine itself and is the same on every machine; srTCM runs in virtual time; tbf and
htb at real time in namespaces that are made for it (root). `--write` lays the tables into a document,
between their markers, and leaves alone what was not measured. Status 1 where ours is not exact.
"""

import argparse
import json
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

from bench import accuracy_tables, polling, srtcm, streams, tc
from bench.rounds import BUILD, Peer
from bench.streams import Cell, Found

SCHEMA = "pktoll.accuracy/1"
QUICK_RATES = (200_000, 112_500_000)
QUICK_SIZES = ("40", "1500")
EDGE_SIZE = "1400"
EDGE_BURSTS = (1_400, 1_000)
"""byte; as large as a packet, and smaller than one"""


class Results(NamedTuple):
    """All that was measured; where a part was left out, why."""

    ours: list[Found]
    edges: list[Found]
    polled: polling.Polled
    srtcm: list[srtcm.Srtcm] | str
    tc: list[tc.Measured] | str


def edges() -> list[Cell]:
    """Cells at the edge of the bound: packets as large as the burst, and larger."""
    return [Cell(rate, burst, EDGE_SIZE) for burst in EDGE_BURSTS for rate in streams.RATES]


def _srtcm_part(quick: bool) -> list[srtcm.Srtcm] | str:
    subprocess.run([str(Path(__file__).with_name("build.sh"))], check=True)
    if not Peer.built("meter_rate"):
        return "not built: see above"
    return [srtcm.measure(rate) for rate in (QUICK_RATES if quick else streams.RATES)]


def _tc_part(quick: bool, wanted: bool) -> list[tc.Measured] | str:
    why = tc.missing() if wanted else "--no-tc"
    return why or tc.survey(quick)


def run(quick: bool, with_tc: bool) -> Results:
    """Measure all parts, one after the other; says on standard error what it is at."""

    def say(words: str) -> None:
        print(f"accuracy: {words} ...", file=sys.stderr)

    cells = streams.every_cell()
    if quick:
        cells = [c for c in cells if c.rate_bps in QUICK_RATES and c.size in QUICK_SIZES]
    say(f"{len(cells)} cells through the engine")
    ours = streams.measure(cells)
    edge = streams.measure(edges())
    say("a slow bucket that is looked at every 30 us")
    polled = polling.run(60 if quick else polling.SECONDS)
    say("DPDK's srTCM in virtual time")
    markers = _srtcm_part(quick)
    say("tbf and htb at real time")
    disciplines = _tc_part(quick, with_tc)
    for name, part in (("srTCM", markers), ("tbf and htb", disciplines)):
        if isinstance(part, str):
            say(f"{name} left out: {part}")
    return Results(ours, edge, polled, markers, disciplines)


def faults(results: Results) -> list[str]:
    """Where our limiter is not exact; nothing, if it is what it says."""
    found = []
    for one in results.ours:
        limit = f"{one.cell}:"
        if one.pace.error or one.pace.deviation_ns >= 1:
            found.append(f"{limit} the rate is off by {one.pace.error}, {one.pace.deviation_ns} ns")
        if one.excess_bytes:
            found.append(f"{limit} a window holds {one.excess_bytes} bytes too many")
        if one.trickle_lost or one.trickle_delay_ns:
            found.append(f"{limit} a stream of 99 % is held up")
        if one.off_half > 1:
            found.append(f"{limit} a stream of 200 % does not lose half")
    for one in results.edges:
        if one.excess_bytes > accuracy_tables.edge_allowance(one.cell):
            found.append(f"{one.cell}: a window holds {one.excess_bytes} bytes too many")
    if results.polled.out_bytes != results.polled.earned_bytes:
        found.append(f"looked at often: {results.polled}")
    return found


def as_json(results: Results) -> dict[str, Any]:
    """One document; figures that are exact are whole numbers or fractions."""

    def peer(part: Any) -> Any:
        return {"skipped": part} if isinstance(part, str) else [asdict(row) for row in part]

    return {
        "schema": SCHEMA,
        "cells": [_cell(one) for one in results.ours],
        "edges": [_cell(one) for one in results.edges],
        "polled": asdict(results.polled),
        "srtcm": peer(results.srtcm),
        "tc": peer(results.tc),
        "faults": faults(results),
    }


def _cell(one: Found) -> dict[str, object]:
    return one.cell._asdict() | {
        "packets": one.packets,
        "rate_error": str(one.pace.error),
        "deviation_ns": str(one.pace.deviation_ns),
        "spacing_ns": one.pace.spacing_ns,
        "over_bit_ns": max(one.fullest.over_bit_ns, one.trickle_fullest.over_bit_ns),
        "excess_bytes": str(one.excess_bytes),
        "max_delay_ns": one.delay_ns,
        "lost_at_99_percent_packets": one.trickle_lost,
        "max_delay_at_99_percent_ns": one.trickle_delay_ns,
        "lost_at_200_percent_bytes": one.lost,
        "offered_at_200_percent_bytes": one.offered,
    }


def blocks(results: Results) -> dict[str, str]:
    """The tables as Markdown, by the name of their markers; none for what was left out."""
    made = {
        "ours": accuracy_tables.ours(results.ours),
        "edges": accuracy_tables.edges(results.edges),
        "polled": accuracy_tables.polled(results.polled),
    }
    if not isinstance(results.srtcm, str):
        made["srtcm"] = accuracy_tables.srtcm(results.srtcm)
    if not isinstance(results.tc, str):
        made["tc"] = accuracy_tables.tc(results.tc)
    return made


def main(arguments: list[str] | None = None) -> int:
    """The command line; the exit status."""
    parser = argparse.ArgumentParser(prog="accuracy", description="how exact the limiter is")
    parser.add_argument("--json", action="store_true", help="one JSON document on standard output")
    parser.add_argument("--quick", action="store_true", help="some cells, and peers for a moment")
    parser.add_argument("--no-tc", action="store_true", help="without tbf and htb")
    parser.add_argument("--write", type=Path, metavar="FILE", help="lay the tables into a document")
    options = parser.parse_args(arguments)
    if options.write and options.quick:
        parser.error("--write is for all cells: leave --quick out")
    BUILD.mkdir(exist_ok=True)
    results = run(options.quick, not options.no_tc)
    made = blocks(results)
    if options.write:
        text = options.write.read_text(encoding="utf-8")
        options.write.write_text(accuracy_tables.laid_into(text, made), encoding="utf-8")
    elif options.json:
        print(json.dumps(as_json(results), indent=2))
    else:
        print("\n\n".join(made.values()))
    wrong = faults(results)
    for words in wrong:
        print(f"accuracy: NOT EXACT: {words}", file=sys.stderr)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
