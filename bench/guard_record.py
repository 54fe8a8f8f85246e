"""What a run of the guard is held against, and the line that it leaves behind.

A ratio to a calibration is the same from run to run on one machine, not from one model of CPU to another.
So the reference is, in this order: what was measured on purpose just before (another checkout, say); the
earlier runs of this very machine that passed under the same baseline; the baseline that comes with the
project, if the calibrations stand to each other here as they did where it was taken. Else there is none.
"""

import contextlib
import hashlib
import json
import os
import platform
import statistics
import subprocess
from collections.abc import Iterable
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

from bench.guard_cases import CASES
from bench.guard_speed import lower
from engine import clock, jit

SCHEMA = "pktoll.guard/1"
BASELINE = Path(__file__).parent / "baseline.json"
RUNS_MIN = 3
"""earlier runs on this machine that make a reference"""
ALIKE = 0.2
"""two machines are alike if no calibration, beside `mix`, differs by more than this; 12 % were seen on one
and the same machine, with four others at work on its two cores"""
SAME_CODE = ("cpu", "numba", "llvmlite")
"""facts on which compiled code and its speed depend"""
INTERPRETED = frozenset(case.name for case in CASES if case.beside == "python")
"""cases whose ratio depends on Python's own speed, too: 27 % between two builds of 3.11"""
SAME_MACHINE = ("system", "cpu", "cores", "python", "numba", "llvmlite")
LIBRARIES = ("numba", "llvmlite", "numpy")

Record = dict[str, Any]


class Reference(NamedTuple):
    """Ratios to hold a run against, empty where there are none; and where they are from, or why not."""

    ratios: dict[str, float]
    said: str


def machine() -> Record:
    """Facts that tell machines, and what compiles on them, apart."""
    found = {
        "system": f"{platform.system()} {platform.machine()}",
        "cpu": _cpu(Path("/proc/cpuinfo")),
        "cores": os.cpu_count(),
        "python": platform.python_version(),
    }
    return found | {name: version(name) for name in LIBRARIES}


def _cpu(facts: Path) -> str:
    """The model: its name alone says too little where a hypervisor hides it."""
    words: dict[str, str] = {}
    with contextlib.suppress(OSError):
        for line in facts.read_text().splitlines():
            name, _, value = line.partition(":")
            words.setdefault(name.strip(), value.strip())
    parts = [words.get(k, "") for k in ("model name", "cpu family", "model", "stepping")]
    return " ".join(part for part in parts if part) or platform.processor() or "unknown"


def commit(folder: Path = BASELINE.parent) -> str | None:
    """`git describe` of the project, or None where it is no checkout."""
    command = ["git", "-C", str(folder), "describe", "--always", "--dirty"]
    with contextlib.suppress(OSError):
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        return done.stdout.strip() or None
    return None


def baseline_name(path: Path = BASELINE) -> str:
    """Tells baselines apart: a new one begins every history anew."""
    return hashlib.sha256(path.read_bytes()).hexdigest()[:12] if path.exists() else ""


def record(measured: Record, faults: Iterable[str]) -> Record:
    """One line of a history. `measured`: ratios, calibrations, counts and so on."""
    told = list(faults)
    return {
        "schema": SCHEMA,
        "at": datetime.fromtimestamp(clock.now_ns() // 10**9, UTC).isoformat(),
        "commit": commit(),
        "sources": jit.source_hash(),
        "machine": machine(),
        "baseline": baseline_name(),
        **measured,
        "faults": told,
        "passed": not told,
    }


def append(history: Path, line: Record) -> None:
    """Add a run to a history, which is made if it is not there."""
    history.parent.mkdir(parents=True, exist_ok=True)
    with history.open("a") as file:
        file.write(json.dumps(line) + "\n")


def lines(history: Path) -> list[Record]:
    """The runs in a history, without what is none (a line that was cut off, another schema)."""
    found = []
    for text in history.read_text().splitlines() if history.exists() else []:
        with contextlib.suppress(ValueError):
            line = json.loads(text)
            if isinstance(line, dict) and line.get("schema") == SCHEMA:
                found.append(line)
    return found


def differs(mine: Record, calibrations: dict[str, float], other: Record) -> str | None:
    """What tells a machine, with these calibrations, from a baseline's; None if nothing does."""
    for fact in SAME_CODE:
        if mine[fact] != other["machine"][fact]:
            return f"{fact} {mine[fact]}, there {other['machine'][fact]}"
    theirs = other["calibrations"]
    if calibrations.keys() != theirs.keys():
        return "other calibrations"
    off = {name: calibrations[name] / theirs[name] for name in theirs}
    name = max(off, key=lambda k: abs(off[k] - 1))
    if abs(off[name] - 1) <= ALIKE:
        return None
    return f"{name} takes {calibrations[name]:.2f} of mix, there {theirs[name]:.2f}"


def reference(
    calibrations: dict[str, float], history: Path | None = None, baseline: Path = BASELINE
) -> Reference:
    """What to hold a run against on a machine with these calibrations."""
    runs = _mine(history, baseline) if history else []
    if len(runs) >= RUNS_MIN:
        names = {name for run in runs for name in run["ratios"]}
        # Of all of them: a slow creep, each step within the tolerance, takes their middle along too late.
        ratios = {n: lower([r["ratios"][n] for r in runs if n in r["ratios"]], 2) for n in names}
        return Reference(ratios, f"{len(runs)} earlier runs on this machine")
    if not baseline.exists():
        return Reference({}, f"there is no {baseline.name}: ./dev guard --rebase makes one")
    taken = json.loads(baseline.read_text())
    here = machine()
    other = differs(here, calibrations, taken)
    if other is None:
        ratios = taken["ratios"]
        if here["python"] != taken["machine"]["python"]:  # another interpreter, built otherwise
            ratios = {name: ratio for name, ratio in ratios.items() if name not in INTERPRETED}
        return Reference(ratios, baseline.name)
    return Reference({}, f"{baseline.name} is of another kind of machine: here {other}")


def _mine(history: Path, baseline: Path) -> list[Record]:
    """Runs of this machine that passed under this baseline."""
    here, name = machine(), baseline_name(baseline)
    return [
        run
        for run in lines(history)
        if run["passed"]
        and run["baseline"] == name
        and all(run["machine"].get(fact) == here[fact] for fact in SAME_MACHINE)
    ]


def rebased(runs: list[Record]) -> Record:
    """The baseline that these measurements make: the median of each figure."""
    return {
        "schema": SCHEMA,
        "commit": commit(),
        "machine": machine(),
        **{
            part: {
                name: round(statistics.median(run[part][name] for run in runs), 4)
                for name in runs[0][part]
            }
            for part in ("calibrations", "ratios")
        },
    }
