"""Golden cases: a capture, what is known about its SIMs, and what must come out, all kept as files.

`pytest tests/golden --regen` writes them anew; then look at the difference before keeping it. The twin
checks the figures themselves: a golden file cannot hold what it does not agree with.
"""

import json
from collections import Counter
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import tests.oracle
from engine import config, replay, subscribers, verdict
from engine.pool.store import open_store
from engine.runtime import Engine
from engine.wire import MODE_GTP, MODE_IP
from engine.wire.capture import Capture
from engine.wire.endpoints import Endpoints
from tests.golden.scripts import SCRIPTS, Script
from tests.oracle.cases import Packet, play
from tests.oracle.mutants import mutant

UNITS = ("up_packets", "up_bytes", "down_packets", "down_bytes")
HERE = Path(__file__).parent
SIZE_MAX_BYTES = 100_000

Rows = list[list[Any]]


def _path(name: str, file: str) -> str | None:
    path = HERE / name / file
    return str(path) if path.exists() else None


def _report(name: str, script: Script, workers: int = 1) -> dict[str, Any]:
    """The JSON report without what differs between two runs."""
    book, events = _path(name, "subscribers.toml"), _path(name, "events.jsonl")
    options = replay.Options(
        captures=(str(HERE / name / "capture.pcap"),),
        config=_path(name, "config.toml"),
        subscribers=book,
        events=events,
        ue_nets=script.ue_nets,
        workers=workers,
    )
    report = replay.run(options)
    assert (report.exit_status, report.faults) == (0, [])
    document = json.loads(json.dumps(report.document))
    del document["timing"], document["capture"]["files"]
    return document  # type: ignore[no-any-return]


def _verdicts(name: str, script: Script, rows_max: int) -> Rows:
    """[verdict, charged bytes, departure] of every packet, from capture and engine."""
    settings, endpoints = config.load(_path(name, "config.toml")), Endpoints()
    book, events = _path(name, "subscribers.toml"), _path(name, "events.jsonl")
    mode = MODE_GTP if script.teids else MODE_IP
    nets = script.ue_nets
    found: Rows = []
    with Engine(settings, open_store(None), ue_nets=nets, endpoints=endpoints) as engine:
        if book:
            engine.load(subscribers.load(book, settings), script.captured[0][0])
        engine.schedule(subscribers.events.load(events) if events else ())
        path = str(HERE / name / "capture.pcap")
        for batch in Capture(path, endpoints, mode, rows_max=rows_max):
            for row in engine.process(batch):
                code, departure_ns = int(row["code"]), int(row["departure_ns"])
                found.append([verdict.NAMES[code], int(row["charged_bytes"]), departure_ns])
    return found


def _write(name: str, script: Script) -> None:
    folder = HERE / name
    folder.mkdir(exist_ok=True)
    (folder / "capture.pcap").write_bytes(script.pcap())
    for file, text in (
        ("subscribers.toml", script.subscribers()),
        ("events.jsonl", script.events()),
        ("config.toml", script.config),
    ):
        if text is not None:
            (folder / file).write_text(text, encoding="utf-8")
    report = json.dumps(_report(name, script), indent=1) + "\n"
    (folder / "report.json").write_text(report, encoding="utf-8")
    lines = [json.dumps(row) for row in _verdicts(name, script, 16_384)]
    text = "[\n" + ",\n".join(lines) + "\n]\n"
    (folder / "verdicts.json").write_text(text, encoding="utf-8")


def _kept(name: str, file: str) -> Any:
    return json.loads((HERE / name / file).read_text(encoding="utf-8"))


@pytest.fixture(params=SCRIPTS)
def golden(request: pytest.FixtureRequest, regen: bool) -> tuple[str, Script]:
    """Name and script of a golden case, its files written anew if that was asked for."""
    name = str(request.param)
    script = SCRIPTS[name]()
    if regen:
        _write(name, script)
    return name, script


def test_the_capture_is_the_one_that_the_script_tells(golden: tuple[str, Script]) -> None:
    """G8"""
    name, script = golden
    assert (HERE / name / "capture.pcap").read_bytes() == script.pcap()
    for file, text in (
        ("subscribers.toml", script.subscribers()),
        ("events.jsonl", script.events()),
        ("config.toml", script.config),
    ):
        path = HERE / name / file
        assert (path.read_text(encoding="utf-8") if path.exists() else None) == text


def test_golden_files_are_small(golden: tuple[str, Script]) -> None:
    for path in (HERE / golden[0]).iterdir():
        assert path.stat().st_size < SIZE_MAX_BYTES, path.name


@pytest.mark.parametrize("workers", [1, 2])
def test_the_report_is_the_one_that_is_kept(golden: tuple[str, Script], workers: int) -> None:
    """G8, I6"""
    name, script = golden
    assert _report(name, script, workers) == _kept(name, "report.json")


@pytest.mark.parametrize("rows_max", [16_384, 7])
def test_the_verdicts_are_those_that_are_kept(golden: tuple[str, Script], rows_max: int) -> None:
    """G8"""
    name, script = golden
    assert _verdicts(name, script, rows_max) == _kept(name, "verdicts.json")


def _disagreements(name: str, script: Script, oracle: ModuleType) -> list[str]:
    """Where the kept files and the twin tell different stories."""
    outcome = play(script.case(), oracle)
    report = _kept(name, "report.json")
    found = [
        f"{code} {key}"
        for code, sim in zip(script.lines(), report["sims"], strict=True)
        for key, expected in outcome.lines[code].items()
        if sim[key] != expected
    ]
    totals = Counter[str]()
    for line in outcome.lines.values():
        for rated in line["rating_groups"]:
            totals.update(
                {f"{rated['rating_group']} {k}": v for k, v in rated.items() if k in UNITS}
            )
    for rated in report["rating_groups"]:
        found += [k for k in UNITS if rated[k] != totals.pop(f"{rated['rating_group']} {k}", 0)]
    found += list(+totals)
    for contract in report["contracts"]:
        books = outcome.contracts[contract["code"]]
        found += [f"{contract['code']} {key}" for key in books if contract[key] != books[key]]
    places = [k for k, step in enumerate(script.steps) if isinstance(step, Packet)]
    decided = zip(places, outcome.verdicts, strict=True)
    own = [list(v) for place, v in decided if place not in script.second_legs]
    kept = _kept(name, "verdicts.json")
    assert len(own) == len(kept) == report["capture"]["packets"]
    pairs = enumerate(zip(own, kept, strict=True))
    return found + [f"packet {number}" for number, (told, read) in pairs if told != read]


def test_the_twin_agrees_with_what_is_kept(golden: tuple[str, Script]) -> None:
    """D1-D8, P1-P5, X1-X4, C1, C6, I6, U2, U3, B36, B37, B41x"""
    name, script = golden
    assert _disagreements(name, script, tests.oracle) == []
    tunnels = {(t["teid"], t["destination"]): t for t in _kept(name, "report.json")["tunnels"]}
    found = {key: [t["packets"], t["inner_bytes"]] for key, t in tunnels.items()}
    assert found == script.tunnels()


@pytest.mark.parametrize(
    ("name", "fault"),
    [
        ("family-exhausted", "slice of 10 MB and a byte"),
        ("switched-off", "high speed with the coupon off"),
        ("month-end", "month ends in UTC"),
        ("ipv6", "remainder of the last packet charged"),
        ("vlan", "no slice below 10 MB"),
        ("exempt-groups", "the crossing packet is exempt"),
        ("exempt-groups", "an unmatched fragment is exempt"),
        ("exempt-groups", "the first of two first fragments decides"),
        ("exempt-groups", "groups are counted up only"),
    ],
)
def test_a_planted_fault_does_not_agree(name: str, fault: str) -> None:
    """A golden file that agrees with anything would prove nothing."""
    with mutant(fault) as faulty:
        assert _disagreements(name, SCRIPTS[name](), faulty)
