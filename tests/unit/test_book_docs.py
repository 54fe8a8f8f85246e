"""docs/contract-book.md says what the code does: its tables are made from it."""

import re
from collections.abc import Sequence
from pathlib import Path

import pytest

from engine import config
from engine.errors import RefusedError
from engine.subscribers import book, effects
from engine.subscribers.refusals import REFUSALS, refused
from tests.support.books import FIRST, LINES, MIO, SETTINGS, at

STATES = ("applied", "active", "cancelled", "ended")
LINE_STATES = ("in-service", "suspended", "lost", "porting-in", "removed")
BLOCK = re.compile(r"<!-- (\w+) -->\n(.*?)<!-- end -->", re.S)
TERMS = (
    ("contracts of one service that a mioID may have", "service_contracts_max", "A2"),
    ("voice lines that a mioID may have", "voice_lines_max", "A2"),
    ("months until a mioID lapses whose application is not completed", "application_months", "A3"),
    ("months until a mioID lapses that has no contract", "empty_months", "A3"),
    ("time of the last day until which a cancellation is taken back", "take_back_until", "A4"),
    ("whole months of the minimum term, after the first", "minimum_months", "A5"),
    ("days in which a contract can be rescinded", "rescission_days", "A6"),
    ("days for which a number portability reservation is good", "port_days", "A7"),
    ("days of it that must be left to come in with a number", "port_in_days", "A7"),
)
DATES = (
    ("IIJ4U: nothing changes from 00:00 of", "freeze_from", "A9"),
    ("IIJ4U: contracts are moved at 00:00 of", "moved_on", "A9"),
)


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(row)} |\n" for row in lines)


def states(rules: dict[type, tuple[object, tuple[str, ...]]], every: tuple[str, ...]) -> str:
    """Actions against the states in which they can be taken."""
    rows = [
        [f"`{kind.do}`", *("yes" if state in allowed else "" for state in every)]  # type: ignore[attr-defined]
        for kind, (_, allowed) in rules.items()
    ]
    return table(["action", *every], rows)


def made() -> dict[str, str]:
    """The tables by their names."""
    terms = [
        [words, f"{getattr(SETTINGS.terms, name)}", f"`{name}`", rule]
        for words, name, rule in TERMS
    ]
    dates = [
        [words, f"{getattr(SETTINGS.migration, name)}", f"`{name}`", rule]
        for words, name, rule in DATES
    ]
    refusals = sorted(REFUSALS.values(), key=lambda one: (one.rule[0], len(one.rule), one.rule))
    return {
        "contracts": states(book.OF_CONTRACT, STATES),  # type: ignore[arg-type]
        "lines": states(book.OF_LINE, LINE_STATES),  # type: ignore[arg-type]
        "terms": table(["what", "default", "setting", "rule"], terms + dates),
        "refusals": table(
            ["rule", "words"],
            [["any" if "{" in one.rule else one.rule, one.words] for one in refusals],
        ),
    }


def filled(text: str) -> str:
    """The document with its tables made anew."""
    tables = made()
    return BLOCK.sub(lambda match: f"<!-- {match[1]} -->\n{tables[match[1]]}<!-- end -->", text)


def test_the_tables_of_the_document_are_made_from_the_code(project: Path, regen: bool) -> None:
    """A1-A10, L1-L4: which action in which state, every refusal, every period"""
    path = project / "docs" / "contract-book.md"
    text = path.read_text(encoding="utf-8")
    if regen:
        path.write_text(filled(text), encoding="utf-8")
    assert path.read_text(encoding="utf-8") == filled(text), "run: pytest … --regen"
    assert [match[1] for match in BLOCK.finditer(text)] == list(made())
    wrong = text.replace("| yes |", "| no |", 1)
    assert filled(wrong) == text != wrong


def test_every_period_of_the_settings_is_in_the_table() -> None:
    """A2-A7, A9: and the defaults of the classes are those of the configuration"""
    assert [name for _, name, _ in TERMS] == list(config.Terms.__slots__)
    assert [name for _, name, _ in DATES] == list(config.Migration.__slots__)
    assert SETTINGS.terms == config.Terms()
    assert SETTINGS.migration == config.Migration()
    service = SETTINGS.service(SETTINGS.default_service)
    assert service is not None
    assert service.lines


def test_every_refusal_is_one_the_code_makes(project: Path) -> None:
    """A1: no words without a place that says them"""
    folder = project / "engine" / "subscribers"
    code = "".join(path.read_text(encoding="utf-8") for path in sorted(folder.glob("*.py")))
    assert [key for key in REFUSALS if code.count(f'"{key}"') < 2] == []


def test_what_a_refusal_shows_is_short_and_printable() -> None:
    """B77"""
    text = str(refused("no-contract", mio_id=MIO, code="\u202e" + "x" * 10_000))
    assert text.startswith("MA00000001 has no contract \\u202exxx")
    assert text.endswith("... (A1)")
    assert len(text) < 300
    assert isinstance(refused("past", mio_id=MIO, changed_ns=2, at_ns=1), RefusedError)


EFFECTS: list[tuple[effects.Effect, str]] = [
    (effects.AccountOpened(MIO, 0), "MA00000001 is registered"),
    (effects.AccountLapsed(MIO, 0), "MA00000001 has lapsed"),
    (effects.ContractAdded(FIRST, 0), "contract hdd00000001 is applied for"),
    (
        effects.ContractStarted(FIRST, "light-start", 0),
        "contract hdd00000001 has started with plan light-start",
    ),
    (effects.ContractStarted(FIRST, None, 0), "contract hdd00000001 has started"),
    (
        effects.ContractEnded(FIRST, 0, "rescinded", True),
        "contract hdd00000001 has ended: rescinded",
    ),
    (effects.LineAdded(FIRST, LINES[0], 0), "line hdo00000001 is added to hdd00000001"),
    (
        effects.LineRemoved(FIRST, LINES[0], 0, "cancelled"),
        "line hdo00000001 is removed from hdd00000001: cancelled",
    ),
    (effects.LineSuspended(LINES[0], 0), "line hdo00000001 is suspended"),
    (effects.LineResumed(LINES[0], 0), "line hdo00000001 is in service"),
    (
        effects.SimReplaced(LINES[0], "891", "892", 0),
        "line hdo00000001 has the card 892; 891 is refused from now on",
    ),
    (effects.SimReplaced(LINES[0], None, "892", 0), "line hdo00000001 has the card 892"),
    (
        effects.PlanOrdered(FIRST, "light-start", 0, at("2014-04-01")),
        "contract hdd00000001 has plan light-start from 2014-04-01 on",
    ),
    (effects.PlanChanged(FIRST, "light-start", 0), "contract hdd00000001 has plan light-start"),
    (
        effects.CancellationReserved("line", LINES[0], 0, at("2014-03-01")),
        "line hdo00000001 is cancelled as of the end of 2014-02-28",
    ),
    (
        effects.CancellationWithdrawn("option", f"{FIRST}/ipv6", 0),
        "option hdd00000001/ipv6 goes on",
    ),
    (effects.OptionAdded(FIRST, "ipv6", 0, ()), "contract hdd00000001 has the option ipv6"),
    (effects.OptionEnded(FIRST, "ipv6", 0), "contract hdd00000001 has the option ipv6 no longer"),
    (
        effects.PortOutReserved(LINES[0], 0, at("2014-03-01")),
        "line hdo00000001 may take its number elsewhere until 2014-02-28",
    ),
    (
        effects.ReservationLapsed(LINES[0], 0),
        "line hdo00000001 keeps its number: the reservation has run out",
    ),
]


@pytest.mark.parametrize(("effect", "words"), EFFECTS)
def test_an_effect_is_one_line_for_people(effect: effects.Effect, words: str) -> None:
    """A4, A7, L1, L2"""
    assert str(effect) == words
