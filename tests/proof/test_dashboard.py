"""The proof's own command: one table, JSON, its seeds, and exit status 6 where something does not hold."""

import json
import sys

import pytest

from tests.proof import __main__, rounds
from tests.proof.dashboard import Dashboard
from tests.proof.facts import Finding
from tests.proof.places import opener
from tests.proof.planted import PLANTED, with_bug
from tests.proof.rounds import Round
from tests.proof.world import Opener


def run(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, *arguments: str
) -> tuple[int, str]:
    """Exit status and output of the command."""
    monkeypatch.setattr(sys, "argv", ["proof", *arguments])
    with pytest.raises(SystemExit) as stopped:
        __main__.main()
    assert isinstance(stopped.value.code, int)
    return stopped.value.code, capsys.readouterr().out


QUICK = [
    "--store",
    "sqlite",
    "--only",
    "simulation",
    "--only",
    "storage",
    "--rounds",
    "2",
    "--steps",
    "500",
]


def test_one_table_says_that_everything_holds(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """G6: the figures of the dashboard"""
    status, text = run(capsys, monkeypatch, *QUICK)
    assert status == 0
    rows = dict(line.split("  ", 1) for line in text.splitlines() if "  " in line)
    figures = {name: value.strip() for name, value in rows.items()}
    assert figures["rounds"] == "4"
    assert figures["acknowledged grants lost"] == "0"
    assert figures["bytes granted twice"] == "0"
    assert figures["conservation error, bytes"] == "0"
    assert text.endswith("everything holds\n")


def test_a_seed_replays_the_same_figures_as_json(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """G8: what is printed can be had again"""
    documents = []
    for seed in ("9", "9", "10"):
        status, text = run(capsys, monkeypatch, *QUICK, "--seed", seed, "--json")
        assert status == 0
        documents.append(json.loads(text))
    assert documents[0] == documents[1] != documents[2]
    assert documents[0]["schema"] == "pktoll.proof/1"
    assert documents[0]["faults_injected"] == documents[0]["faults_survived"] > 100
    assert documents[0]["holds"] is True


def test_a_bug_in_the_store_ends_with_status_6_and_says_how_to_see_it_again(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """G6: the command is shown a store that grants twice"""

    def wrong(url: str) -> Opener:
        return with_bug(PLANTED["no request id"].bug, opener(url), lambda sql, values: None)

    monkeypatch.setattr(rounds, "opener", wrong)
    status, text = run(capsys, monkeypatch, *QUICK, "--only", "simulation", "--seed", "4")
    assert status == 6
    assert "DOES NOT HOLD" in text
    assert "--only simulation --store sqlite --seed 4 --rounds 1" in text


def test_a_planted_bug_that_nobody_names_does_not_hold() -> None:
    """A checker that misses a planted bug is itself a finding."""
    done = Round("planted", "sqlite", 1, planted=1)
    done.findings.append(Finding("planted", "no check named it"))
    board = Dashboard(1)
    board.add(done)
    assert not board.holds
    assert "planted bugs caught" in board.as_table()
    assert "0 of 1" in board.as_table()
