"""docs/scenarios.md says of every key what the loader reads, and of no other."""

import re
import tomllib
from pathlib import Path

import pytest

import gateway_sim
from gateway_sim.reader import Reader
from gateway_sim.terminals import KINDS as ACTIVITIES
from gateway_sim.terminals import PATTERNS
from gateway_sim.traffic.attacks import BULK, KINDS, MALFORMED
from tests.support import storm
from tests.support.scenarios import POPULATION, SMALL, write

PAGE = (Path(__file__).parents[2] / "docs" / "scenarios.md").read_text(encoding="utf-8")
ALIKE = {"contract.line.activity": "activity", "population.activity": "activity"}
OF_VERBS = {"line", "on", "contract", "coupons"}
"""keys of an event that its verb asks for; the page has them beside the verbs"""


def documented() -> dict[str, set[str]]:
    """Section -> keys in the first column of its first table."""
    found: dict[str, set[str]] = {}
    for part in PAGE.split("\n### ")[1:]:
        name, body = part.split("\n", 1)
        table = re.search(r"^\| key \|.*?\n\n", body + "\n\n", re.DOTALL | re.MULTILINE)
        assert table is not None, name
        cells = [row.split("|")[1] for row in table.group().splitlines()[2:] if row]
        found[name] = set(re.findall(r"`([^`]+)`", " ".join(cells)))
    return found


def asked(folder: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, set[str]]:
    """Section -> keys that the loader asks for in two scenarios that have all tables."""
    found: dict[str, set[str]] = {}
    done = Reader.done

    def noting(reader: Reader) -> None:
        name = ".".join(part for part in reader.path if isinstance(part, str)) or "top level"
        found.setdefault(ALIKE.get(name, name), set()).update(reader.asked)
        done(reader)

    monkeypatch.setattr(Reader, "done", noting)
    gateway_sim.load(write(folder, SMALL + POPULATION))
    gateway_sim.load(storm.write(folder))
    return found


def test_the_page_has_every_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read = asked(tmp_path, monkeypatch)
    read["event"] -= OF_VERBS
    assert documented() == read


def test_the_page_has_every_kind_with_its_figures() -> None:
    rows = dict(re.findall(r"^\| `([a-z-]+)` \| (.* \| .*) \|$", PAGE, re.MULTILINE))
    for name, kind in ACTIVITIES.items():
        every = f"{kind.every_s} s" if kind.every_s else "at its rate"
        figures = [every, f"{kind.jitter_percent} %", str(kind.burst_bytes)]
        figures += ["yes" if kind.vary else "no", f"{kind.up_percent} %", str(kind.rate_bps)]
        assert rows[name] == " | ".join(figures)
    for name in KINDS:
        reason = "by what is broken" if name == MALFORMED else BULK[name][0]
        assert reason in rows[name].split("|")[1]
    assert all(f"`{name}`" in PAGE for name in PATTERNS)


def test_the_example_is_a_scenario(tmp_path: Path) -> None:
    text = PAGE.split("```toml\n")[1].split("```")[0]
    assert tomllib.loads(text)["seed"] == 7
    assert gateway_sim.estimate(gateway_sim.load(write(tmp_path, text))).packets > 1_000
