"""docs/live.md names every key of a script, every verb and every check."""

import re
from pathlib import Path

import pytest

from gateway_sim.live import script as module
from gateway_sim.live.figures import Figures
from gateway_sim.live.report import CHECKS
from gateway_sim.reader import Reader
from tests.support.simlive import Story, script_of, traffic


@pytest.fixture
def page(project: Path) -> str:
    return (project / "docs" / "live.md").read_text(encoding="utf-8")


def test_every_key_is_described(page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: dict[str, set[str]] = {}
    done = Reader.done

    def note(reader: Reader) -> None:
        name = str(reader.table.get("do", reader.path[0] if reader.path else ""))
        asked.setdefault(name, set()).update(reader.asked)
        done(reader)

    monkeypatch.setattr(Reader, "done", note)
    steps = [
        f'at_ms = 0\ndo = "{do}"' + ("\non = true" if do == "switch" else "")
        for do in (*module.OF_TERMINALS, *module.OF_OPERATOR)
    ]
    script_of(tmp_path, *steps, traffic(up_bps=8_000))
    rows = {
        name: line
        for line in page.splitlines()
        if line.startswith("| `")
        for name in re.findall(r"`([\w-]+)`", line.split("|")[1])
    }
    assert asked["live"] <= rows.keys()
    for do in (*module.OF_TERMINALS, *module.OF_OPERATOR, module.TRAFFIC):
        told = set(re.findall(r"`([\w-]+)`", rows[do]))
        assert asked[do] - {"at_ms", "do", "sims"} <= told, do


def test_every_check_is_described(page: str, tmp_path: Path) -> None:
    figures: Figures = Story(script_of(tmp_path, traffic(up_bps=8_000))[1]).figures()
    for check in CHECKS:
        assert f"| {check(figures).name} |" in page


def test_every_scenario_for_live_runs_is_named(page: str, project: Path) -> None:
    for path in (project / "configs" / "scenarios").glob("live-*.toml"):
        assert f"pktoll sim {path.stem}" in page
