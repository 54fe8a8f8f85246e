"""`pktoll bench`: all that a user sees of it, at tiny sizes."""

import json
import sys
from pathlib import Path

import pytest

from bench import grants
from engine.cli.main import main
from tests.support.benches import check
from tests.support.command import call, environment, spawn

TINY = ("--quick", "--sims", "64", "--packets", "200")


def test_the_metering_kernel_beside_its_peers(
    capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """JSON as the schema has it; -o keeps a history of the same documents"""
    history = tmp_path / "history.jsonl"
    words = ("bench", "meter", *TINY, "--choice", "zipf", "--cores", "1", "-o", str(history))
    first = call(capfd, *words, "--json")
    assert first.status == 0
    document = json.loads(first.out)
    check(document)
    (ours, *peers) = document["rows"]
    assert (ours["name"], ours["size"], ours["choice"], ours["sizes"]) == (
        "pktoll",
        64,
        "zipf",
        "mix",
    )
    assert all("times_as_fast" in peer and peer["ns_per_packet"]["min"] > 0 for peer in peers)
    assert call(capfd, *words, "-v").out.startswith("meter: 64 SIMs, zipf, mix\n")
    kept = [json.loads(line) for line in history.read_text().splitlines()]
    assert (len(kept), kept[0]) == (2, document)


def test_the_replay_beside_loops_in_c(capfd: pytest.CaptureFixture[str]) -> None:
    """All look at the same packets; two cores are left out where there is one"""
    found = call(capfd, "bench", "replay", *TINY, "--capture-sims", "3", "--format", "json", "-q")
    assert (found.status, found.err) == (0, "")
    document = json.loads(found.out)
    check(document)
    assert {row["size"] for row in document["rows"]} == {200}
    assert {"pktoll", "pktoll, file"} <= {row["name"] for row in document["rows"]}


def test_without_a_compiler_ours_is_measured_alone(tmp_path: Path) -> None:
    """And what was left out is said, with its reason"""
    changed = environment(CC="no-such-compiler", PKTOLL_BENCH=str(tmp_path / "build"))
    found = spawn("bench", "meter", *TINY, "--choice", "uniform", "--cores", "1", env=changed)
    assert found.status == 0
    assert "pktoll: bench: meter_count left out: no C compiler (no-such-compiler)" in found.err
    assert "srTCM" not in found.out


def test_sections_of_another_kind_have_documents_of_their_own(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Here with one gateway; without rows of packets nothing is said of them"""
    monkeypatch.setattr(grants, "GATEWAYS", (1,))
    monkeypatch.setattr(grants, "GROUPS", (64,))
    document = json.loads(call(capfd, "bench", "grants", "--quick", "--json").out)
    check(document)
    (floor, sqlite) = document["apart"]["grants"]["rows"]
    assert (floor["name"], sqlite["name"]) == ("write + fdatasync", "SQLite 1 x 64")
    table = call(capfd, "bench", "grants", "--quick")
    assert (table.status, table.out.split("\n")[0].split()[:3]) == (0, ["grants", "a", "second"])


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("speed",), "speed"),
        (("meter", "--sims", "few"), "whole numbers with commas"),
        (("meter", "--sims", ","), "--sims names nothing"),
        (("meter", "--sizes", "9"), "40 to 1400 bytes"),
        (("meter", "--cores", "3"), "no number of cores 3"),
        (("meter", "--choice", "often"), "often"),
        (("replay", "--packets", "7"), "at least"),
    ],
)
def test_what_makes_no_sense_is_a_usage_error(
    capfd: pytest.CaptureFixture[str], words: tuple[str, ...], said: str
) -> None:
    found = call(capfd, "bench", *words)
    assert (found.status, found.out) == (2, "")
    assert said in found.err


def test_the_schema_ships(capfd: pytest.CaptureFixture[str]) -> None:
    found = call(capfd, "bench", "--schema")
    assert json.loads(found.out)["$id"] == "urn:pktoll:bench:1"


def test_an_installation_without_the_benchmarks_says_so(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "bench", None)
    found = call(capfd, "bench", "meter")
    assert (found.status, "not part of this installation" in found.err) == (1, True)


def test_progress_is_shown_on_a_terminal_only(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ("bench", "meter", *TINY, "--choice", "uniform", "--cores", "1")
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    with pytest.raises(SystemExit) as ended:
        main(words)
    assert (ended.value.code, "meter: 64 SIMs, uniform, mix ..." in capfd.readouterr().err) == (
        0,
        True,
    )
