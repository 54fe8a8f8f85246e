"""Rows of figures: as a table for people, or as one JSON document."""

import json
import os
import platform
import statistics
from collections.abc import Callable, Mapping, Sequence
from itertools import groupby
from typing import NamedTuple

SCHEMA = "pktoll.growth/1"


class Row(NamedTuple):
    """Figures under one heading, by name; a measured one is a dict with median, min and max."""

    section: str
    figures: dict[str, object]

    def median(self, name: str) -> float:
        """Of a measured figure."""
        value = self.figures[name]
        return float(value["median"]) if isinstance(value, dict) else float(str(value))

    def total(self, name: str) -> float:
        """Of a figure that is one packet's: of all packets of the row."""
        return self.median(name) * self.median("packets")


def spread(values: Sequence[float]) -> dict[str, float]:
    """Median, smallest and largest."""
    return {
        "median": round(statistics.median(values), 3),
        "min": round(min(values), 3),
        "max": round(max(values), 3),
    }


def in_turn(runners: Mapping[str, Callable[[], float]], rounds: int) -> dict[str, list[float]]:
    """`rounds` rounds of every runner in turn, after one that is not kept, each time in the other order."""
    kept: dict[str, list[float]] = {name: [] for name in runners}
    for number in range(rounds + 1):
        for name in runners if number % 2 else reversed(list(runners)):
            took = runners[name]()
            if number > 0:
                kept[name].append(took)
    return kept


def text(value: object) -> str:
    """A figure for people: medians with their range, large numbers in groups of three."""
    if isinstance(value, dict):
        return f"{value['median']:.2f} ({value['min']:.2f}-{value['max']:.2f})"
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return f"{value:,}" if isinstance(value, int) else str(value)


def table(rows: Sequence[Row]) -> str:
    """All sections, each with its own columns, which are also those of its first row."""
    out = []
    for section, those in groupby(rows, key=lambda row: row.section):
        group = list(those)
        names = list(dict.fromkeys(name for row in group for name in row.figures))
        cells = [names] + [[text(row.figures.get(name, "")) for name in names] for row in group]
        wide = [max(len(line[k]) for line in cells) for k in range(len(names))]
        out.append(section)
        out += [
            "  " + "  ".join(cell.rjust(w) for cell, w in zip(line, wide, strict=True))
            for line in cells
        ]
    return "\n".join(out)


def document(rows: Sequence[Row]) -> str:
    """One JSON document: what ran where, and every row."""
    machine = {
        "machine": platform.machine(),
        "python": platform.python_version(),
        "cores": len(os.sched_getaffinity(0)),
        "load": round(os.getloadavg()[0], 2),
    }
    found = [{"section": row.section, **row.figures} for row in rows]
    return json.dumps({"schema": SCHEMA, "machine": machine, "rows": found}, indent=2)
