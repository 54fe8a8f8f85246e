"""How the guard judges: statistics, references, histories and the words that a person reads."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bench import guard, guard_record
from bench.guard_cases import CASES, Case, Stopwatch, Work
from bench.guard_record import append, differs, lines, machine, rebased, record, reference
from bench.guard_speed import (
    TOLERANCE,
    TRIES,
    Measured,
    again,
    best,
    is_slow,
    lower,
    plain,
)

HERE = {"touch-1000": 1.0, "walk": 2.0}


def found(ratio: float) -> Measured:
    return Measured("parse", ratio, (ratio, ratio), 10.0, 5.0)


class Nothing(Work):
    def __call__(self, passes: int) -> None:
        assert passes


def a_case(monkeypatch: pytest.MonkeyPatch, ratios: list[float]) -> Case:
    """A case whose next measurements are these."""
    left = iter(ratios)
    pairs: list[int] = []

    def measured(case: Case, work: Work, count: int, **_: Any) -> Measured:
        pairs.append(count)
        assert pairs == sorted(set(pairs)), "each try has more pairs"
        return found(next(left))

    monkeypatch.setattr("bench.guard_speed.measure", measured)
    return Case("parse", "walk", 10, 100, Nothing)


def test_one_fast_try_is_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    case = a_case(monkeypatch, [1.3, 1.05])
    tries = again(case, found(1.2), 1.0)
    assert [one.ratio for one in tries] == [1.2, 1.3, 1.05]
    assert not is_slow(best(tries).ratio, 1.0)


def test_a_fast_case_is_not_measured_again(monkeypatch: pytest.MonkeyPatch) -> None:
    assert len(again(a_case(monkeypatch, []), found(1.1), 1.0)) == 1


def test_a_case_is_slow_when_every_try_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    tries = again(a_case(monkeypatch, [1.18, 1.25]), found(1.3), 1.0)
    assert len(tries) == TRIES
    assert is_slow(best(tries).ratio, 1.0)


def test_the_tolerance_lies_half_way_to_what_must_be_caught() -> None:
    assert abs((1 + TOLERANCE) ** 2 - 1.3) < 0.001


def test_the_lower_tenth_is_not_moved_by_what_disturbs_a_few_slices() -> None:
    quiet = [1.0 + k / 1000 for k in range(24)]
    assert lower(quiet) == 1.002
    assert lower(quiet[:10] + [9.0] * 14) == 1.002
    assert lower([3.0, 1.0, 2.0, 4.0, 5.0], 4) == 2.0


def test_every_planted_slowdown_is_just_that() -> None:
    """30 % more passes are a whole number of them"""
    assert all(case.passes % 10 == 0 for case in CASES)
    assert len({case.name for case in CASES}) == len(CASES)


def test_a_driver_times_the_target_and_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    watch = Stopwatch()
    now_ns = 0

    def spend(ns: int) -> None:
        nonlocal now_ns
        now_ns += ns

    def target() -> None:
        watch.start()
        spend(2_000_000_000)
        watch.stop()
        spend(5_000_000_000)

    monkeypatch.setattr("bench.guard_cases.cpu_ns", lambda: now_ns)
    monkeypatch.setattr("bench.guard_speed.STOPWATCH", watch)
    assert plain(target, lambda: spend(7), 3) == [2.0, 2.0, 2.0]


# --- references -------------------------------------------------------------------------------------


def baseline(folder: Path, ratios: dict[str, float]) -> Path:
    """A baseline of a machine such as this one."""
    path = folder / "baseline.json"
    runs = [{"calibrations": HERE, "ratios": ratios}]
    path.write_text(json.dumps(rebased(runs)))
    return path


@pytest.fixture
def passed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Path]:
    """Adds runs to a history under the baseline in this folder."""
    monkeypatch.setattr(guard_record, "commit", lambda *_: "v1")
    history = tmp_path / "deep" / "guard.jsonl"

    def run(*ratios: float, faults: tuple[str, ...] = (), **changed: Any) -> Path:
        for ratio in ratios:
            line = record({"ratios": {"parse": ratio}}, faults)
            line["baseline"] = guard_record.baseline_name(tmp_path / "baseline.json")
            append(history, line | changed)
        return history

    return run


def test_the_baseline_holds_where_the_calibrations_agree(tmp_path: Path) -> None:
    path = baseline(tmp_path, {"parse": 0.4})
    same = reference({"touch-1000": 1.1, "walk": 1.9}, None, path)
    assert same.ratios == {"parse": 0.4}
    other = reference({"touch-1000": 1.0, "walk": 2.6}, None, path)
    assert other.ratios == {}
    assert other.said.endswith(
        "of another kind of machine: here walk takes 2.60 of mix, there 2.00"
    )


def test_another_python_is_no_reference_for_what_is_held_against_python(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = baseline(tmp_path, {"parse": 0.4, "replay": 100.0})
    here = machine()
    assert reference(HERE, None, path).ratios == {"parse": 0.4, "replay": 100.0}
    monkeypatch.setattr(guard_record, "machine", lambda: here | {"python": "3.99.0"})
    assert reference(HERE, None, path).ratios == {"parse": 0.4}


def test_without_a_baseline_nothing_is_judged(tmp_path: Path) -> None:
    none = reference(HERE, None, tmp_path / "baseline.json")
    assert none.ratios == {}
    assert "--rebase makes one" in none.said


def test_another_cpu_or_compiler_or_set_of_calibrations_is_another_machine() -> None:
    here = machine()
    taken = {"machine": here, "calibrations": HERE}
    assert differs(here, HERE, taken) is None
    assert differs(here, {"walk": 2.0}, taken) == "other calibrations"
    for fact in ("cpu", "numba", "llvmlite"):
        assert differs(here | {fact: "X"}, HERE, taken) == f"{fact} X, there {here[fact]}"


def test_a_history_of_this_machine_goes_before_the_baseline(
    tmp_path: Path, passed: Callable[..., Path]
) -> None:
    path = baseline(tmp_path, {"parse": 0.4})
    assert reference(HERE, passed(0.50, 0.51), path).said == "baseline.json"
    taken = reference({"touch-1000": 9.0, "walk": 9.0}, passed(0.52), path)
    assert taken.said == "3 earlier runs on this machine"
    assert taken.ratios == {"parse": 0.51}


def test_a_slow_creep_does_not_take_its_reference_along(
    tmp_path: Path, passed: Callable[..., Path]
) -> None:
    """every run 5 % above the one before: the fourth is still within the tolerance, the sixth is not"""
    path = baseline(tmp_path, {"parse": 1.0})
    steps = [1.05**k for k in range(6)]
    held = [reference(HERE, passed(step), path).ratios["parse"] for step in steps]
    assert is_slow(steps[5] * 1.05, held[5])


def test_a_history_without_what_is_not_of_this_machine_and_baseline(
    tmp_path: Path, passed: Callable[..., Path]
) -> None:
    path = baseline(tmp_path, {"parse": 0.4})
    passed(0.9, 0.9, 0.9, faults=("FAILED parse",))
    passed(0.9, 0.9, 0.9, machine=guard_record.machine() | {"cpu": "another"})
    history = passed(0.9, 0.9, 0.9, baseline="older")
    with history.open("a") as file:
        file.write('{"schema": "another"}\n[1]\n{"schema": "pktoll.guard/1", "ra')
    assert len(lines(history)) == 9
    assert reference(HERE, history, path).said == "baseline.json"


def test_a_baseline_is_the_median_of_its_runs() -> None:
    runs = [{"calibrations": HERE, "ratios": {"parse": ratio}} for ratio in (0.5, 0.3, 0.4)]
    made = rebased(runs)
    assert made["ratios"] == {"parse": 0.4}
    assert made["calibrations"] == HERE
    assert made["machine"]["cores"]


def test_a_machine_is_named_even_where_the_system_says_nothing(tmp_path: Path) -> None:
    assert guard_record._cpu(tmp_path / "none")
    facts = tmp_path / "cpuinfo"
    facts.write_text("model name : One\nmodel : 7\nmodel name : Two\n")
    assert guard_record._cpu(facts) == "One 7"


def test_a_checkout_is_described_and_a_plain_folder_is_not(tmp_path: Path) -> None:
    assert guard_record.commit(tmp_path) is None


# --- the command ------------------------------------------------------------------------------------


def a_line(ratio: float, held: float | None, faults: list[str]) -> dict[str, Any]:
    case = {"ratio": ratio, "reference": held, "tries": [ratio], "ns_per_packet": 9.5}
    cases = {"cases": {"parse": case}, "ratios": {"parse": ratio}, "reference": "baseline.json"}
    return record(cases | {"counts": {"kernel_calls_per_batch": 3}}, faults)


def test_a_run_is_told_to_people() -> None:
    text = guard.table(a_line(0.44, 0.4, []))
    assert "held against baseline.json" in text
    assert "+10.0%" in text
    assert text.endswith("kernel_calls_per_batch 3\npassed")
    assert "NOT judged" in guard.table(a_line(0.44, None, []))
    assert guard.table(a_line(0.5, 0.4, ["FAILED parse"])).endswith("FAILED parse\nFAILED")
    assert "parse is faster than its reference" in guard.table(a_line(0.3, 0.4, []))


@pytest.mark.parametrize("faults", [[], ["FAILED parse"]])
def test_the_exit_status_says_whether_a_run_failed(
    faults: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    shown: list[bool] = []

    def run(environment: dict[str, str], *, plants: bool) -> dict[str, Any]:
        shown.append(plants)
        assert environment[guard.HISTORY] == str(tmp_path / "h.jsonl")
        return a_line(0.4, 0.4, faults)

    monkeypatch.setattr(guard, "run", run)
    status = guard.main(["--repeat", "2", "--history", str(tmp_path / "h.jsonl")])
    assert status == (guard.REGRESSION if faults else 0)
    assert shown == [True, False]
    assert len(lines(tmp_path / "h.jsonl")) == 2
    assert f"{0 if faults else 2} of 2 runs passed" in capsys.readouterr().out


def test_another_checkout_becomes_the_reference(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def run(environment: dict[str, str], *, plants: bool) -> dict[str, Any]:
        told = json.loads(Path(environment[guard.REFERENCE]).read_text())
        assert told == {"ratios": {"parse": 0.4}, "said": f"the checkout in {tmp_path}"}
        return a_line(0.4, 0.4, [])

    measured = {"calibrations": HERE, "ratios": {"parse": 0.4}}
    monkeypatch.setattr(guard, "run", run)
    monkeypatch.setattr(guard, "measured_apart", lambda *_: [measured])
    assert guard.main(["--against", str(tmp_path), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["schema"] == "pktoll.guard/1"


def test_a_checkout_that_cannot_be_measured_is_said(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match=r"could not be measured: it has no bench/guard\.py"):
        guard.measured_apart(tmp_path, 1)
    (tmp_path / "bench").mkdir()
    (tmp_path / "bench" / "__init__.py").touch()  # without it an installed `bench` would be run
    (tmp_path / "bench" / "guard.py").write_text("raise SystemExit('planted')")
    with pytest.raises(SystemExit, match="could not be measured:\nplanted"):
        guard.measured_apart(tmp_path, 1)


@pytest.mark.parametrize("wrong", ["0", "-1", "many"])
def test_a_number_of_runs_that_is_none_is_refused(
    wrong: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        guard.main(["--repeat", wrong])
    assert ended.value.code == 2
    assert "give 1 or more" in capsys.readouterr().err


def test_the_help_has_examples_and_says_how_it_ends(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        guard.main(["--help"])
    text = capsys.readouterr().out
    assert "./dev guard --history guard.jsonl" in text
    assert "5 slower or over a limit" in text
