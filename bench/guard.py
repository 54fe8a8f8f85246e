"""Whether the data path is still as fast as it was, however busy the machine is; in under two minutes.

    python -m bench.guard [--history FILE] [--repeat N] [--json]
    python -m bench.guard --against FOLDER
    python -m bench.guard --rebase

Each piece of the data path takes turns with a calibration: a kernel that is limited by the same thing
(instructions, memory, or both as a parser is) and that no change to the engine changes. Judged is one over
the other, never a time: slow where it is more than 14 % above its reference in three tries, each with new
tables and more turns than the one before. Judged with it: calls, kernel stops and allocations of a batch,
and compiled signatures. Every gate is shown a fault: 30 % more work, an allocation, a stop, a signature.

The reference is bench/baseline.json. It says nothing about another model of CPU; where the calibrations do
not stand to each other as they did when it was taken, the ratios are only noted. Then keep a history on
that machine (its runs under the same baseline become the reference, from the third on), or compare with
another checkout, measured first.

examples:
  ./dev guard                              as CI does
  ./dev guard --history guard.jsonl        one JSON line a run, schema "pktoll.guard/1"
  ./dev guard --against ../before          this checkout beside another, on any machine
  ./dev guard --repeat 10                  ten runs in fresh processes: does an unchanged tree pass?
  ./dev guard --rebase                     new baseline: when something became faster, or slower on purpose;
                                           when a calibration, a case, or the compiler changed

Exit status: 0 fine, 5 slower or over a limit, 1 the measurement itself failed, 2 usage.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
TESTS = Path("tests") / "regression"
HISTORY, REFERENCE = "PKTOLL_GUARD_HISTORY", "PKTOLL_GUARD_REFERENCE"
"""environment: files that the tests hold a run against (see bench.guard_record)"""
RUNS = 5
"""fresh processes of which a baseline, or another checkout's reference, is the median"""
TIMEOUT_S = 600
FASTER = 0.90
"""of its reference: below, a later slowdown could hide in what was gained"""
REGRESSION, BROKEN = 5, 1

Record = dict[str, Any]


def measured_once() -> Record:
    """Calibrations and ratios of all cases in this process; nothing is judged."""
    from bench.guard_cases import CASES
    from bench.guard_speed import calibrations, measure
    from engine import jit

    jit.warm()
    ratios = {}
    for case in CASES:
        with case.prepare() as work:
            ratios[case.name] = measure(case, work, case.pairs).ratio
    return {"calibrations": calibrations(), "ratios": ratios}


def measured_apart(folder: Path, runs: int) -> list[Record]:
    """The same in fresh processes, with the code of a checkout of the project."""
    if not (folder / "bench" / "guard.py").is_file():  # else another checkout would be measured
        raise SystemExit(f"guard: {folder} could not be measured: it has no bench/guard.py")
    command = [sys.executable, "-m", "bench.guard", "--measure"]
    environment = os.environ | {"PYTHONPATH": str(folder)}
    found = []
    for _ in range(runs):
        done = subprocess.run(
            command, cwd=folder, env=environment, capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise SystemExit(f"guard: {folder} could not be measured:\n{done.stderr.strip()}")
        found.append(json.loads(done.stdout))
    return found


def run(environment: dict[str, str], *, plants: bool = True) -> Record:
    """The tests in a process of their own; a line for the history."""
    from bench import guard_record

    if not (ROOT / TESTS).is_dir():
        raise SystemExit(f"guard: {TESTS} is not here; run this in a checkout of the project")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "benchmark.json"
        command = [sys.executable, "-m", "pytest", str(TESTS), "-q", "-p", "no:cacheprovider"]
        command += ["-p", "no:xdist", "--benchmark-enable", f"--benchmark-json={path}"]
        command += [] if plants else ["-k", "not caught"]
        try:
            done = subprocess.run(
                command,
                cwd=ROOT,
                env=environment,
                capture_output=True,
                text=True,
                check=False,
                timeout=TIMEOUT_S,
            )
        except subprocess.TimeoutExpired:
            raise SystemExit(
                f"guard: no answer within {TIMEOUT_S} s; is the machine overloaded?"
            ) from None
        if not path.exists() or done.returncode not in (0, 1):
            raise SystemExit(f"guard: the tests did not run:\n{done.stdout}{done.stderr}")
        left = json.loads(path.read_text() or "{}").get("guard", {})
    cases = left.get("cases", {})
    failed = [text for text in done.stdout.splitlines() if text.startswith(("FAILED", "ERROR"))]
    line = guard_record.record(
        {
            "calibrations": left.get("calibrations", {}),
            "ratios": {name: found["ratio"] for name, found in cases.items()},
            "cases": cases,
            "counts": left.get("counts", {}),
            "reference": left.get("reference", ""),
        },
        failed,
    )
    return line


def table(line: Record) -> str:
    """A run, for people."""
    judged = any(found["reference"] for found in line["cases"].values())
    words = f"held against {line['reference']}" if judged else f"NOT judged: {line['reference']}"
    rows = [
        f"{'case':9} {'ratio':>7} {'reference':>9} {'':>6} {'tries':>5} {'ns/packet':>9}  {words}"
    ]
    for name, found in line["cases"].items():
        reference = found["reference"]
        off = f"{100 * (found['ratio'] / reference - 1):+5.1f}%" if reference else ""
        rows.append(
            f"{name:9} {found['ratio']:7.3f} {reference or '-':>9} {off:>6} {len(found['tries']):5} "
            f"{found['ns_per_packet']:9.2f}"
        )
    rows += [f"{name} {count}" for name, count in line["counts"].items()]
    rows += [
        f"{name} is faster than its reference: --rebase, or a later slowdown hides in the gain"
        for name, found in line["cases"].items()
        if found["reference"] and found["ratio"] < FASTER * found["reference"]
    ]
    return "\n".join([*rows, *line["faults"], "passed" if line["passed"] else "FAILED"])


def rebase(runs: int) -> None:
    """Measure, and write the baseline."""
    from bench import guard_record

    found = guard_record.rebased(measured_apart(ROOT, runs))
    guard_record.BASELINE.write_text(json.dumps(found, indent=2) + "\n")
    print(f"guard: {guard_record.BASELINE.relative_to(ROOT)} holds the medians of {runs} runs")


def against(folder: Path, runs: int, to: Path) -> None:
    """Measure another checkout and leave its ratios in a file, for the tests to be held against."""
    from bench import guard_record

    found = guard_record.rebased(measured_apart(folder.resolve(), runs))
    to.write_text(json.dumps({"ratios": found["ratios"], "said": f"the checkout in {folder}"}))


def options(arguments: list[str] | None) -> argparse.Namespace:
    """The command line."""
    about, _, rest = (__doc__ or "").partition("examples:")
    parser = argparse.ArgumentParser(
        prog="guard",
        description=about.split("\n\n", 2)[0] + "\n\n" + about.split("\n\n", 2)[2],
        epilog="examples:" + rest,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    one = parser.add_mutually_exclusive_group()
    one.add_argument("--rebase", action="store_true", help="measure, and write the baseline anew")
    one.add_argument("--measure", action="store_true", help="print ratios as JSON, judge nothing")
    one.add_argument("--against", type=Path, metavar="FOLDER", help="checkout to compare with")
    parser.add_argument("--history", type=Path, metavar="FILE", help="JSON lines of earlier runs")
    parser.add_argument("--repeat", type=_count, default=1, metavar="N", help="runs (default 1)")
    parser.add_argument(
        "--runs", type=_count, default=RUNS, metavar="N", help=f"of a baseline ({RUNS})"
    )
    parser.add_argument("--json", action="store_true", help="print the runs as JSON lines")
    return parser.parse_args(arguments)


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of runs: give 1 or more")
    return int(text)


def guarded(chosen: argparse.Namespace) -> int:
    """Run as often as wanted; the planted faults are shown in the first run only."""
    from bench import guard_record

    failed = 0
    environment = dict(os.environ)
    if chosen.history:
        environment[HISTORY] = str(chosen.history.resolve())
    with tempfile.TemporaryDirectory() as folder:
        if chosen.against:
            environment[REFERENCE] = f"{folder}/reference.json"
            against(chosen.against, chosen.runs, Path(environment[REFERENCE]))
        for number in range(chosen.repeat):
            line = run(environment, plants=number == 0)
            if chosen.history:
                guard_record.append(chosen.history, line)
            failed += not line["passed"]
            print(json.dumps(line) if chosen.json else table(line), flush=True)
    if chosen.repeat > 1 and not chosen.json:
        print(f"{chosen.repeat - failed} of {chosen.repeat} runs passed")
    return REGRESSION if failed else 0


def main(arguments: list[str] | None = None) -> int:
    """Measure, judge, print; the exit status."""
    chosen = options(arguments)
    if chosen.measure:
        print(json.dumps(measured_once()))
        return 0
    if chosen.rebase:
        rebase(chosen.runs)
        return 0
    return guarded(chosen)


if __name__ == "__main__":
    sys.exit(main())
