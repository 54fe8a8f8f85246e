"""Ends and plan changes known beforehand, on their way between book, files and data path."""

from pathlib import Path

import pytest

from engine import config, subscribers
from engine.subscribers import actions as do
from engine.subscribers import views
from engine.subscribers.model import NextPlan
from tests.support.books import FIRST, LINES, SETTINGS, at, family, only

TOML = """
[[contract]]
code = "hdd00000001"
plan = "family-share"
started = 2013-10-01
ends = "2014-01"
next_plan = { plan = "light-start", since = "2013-12" }
  [[contract.line]]
  code = "hdo00000001"
  ends = "2013-11"
"""
CSV = """contract,plan,started,contract_ends,next_plan,line,ends
hdd00000001,family-share,2013-10-01,2014-01,light-start:2013-12,hdo00000001,2013-11
"""
DAY = "2013-11-06 12:00:00"


def seen(desk: object, when: str = DAY) -> subscribers.Contract:
    """The one contract as the data path sees it."""
    (contract,) = views.to_book([desk.account], at(when), SETTINGS).contracts  # type: ignore[attr-defined]
    return contract


def test_what_was_cancelled_or_ordered_comes_with_the_contract() -> None:
    """A4, A8, A10: so that a replay over the month's end keeps to it"""
    desk = family(2)
    assert (seen(desk).ends, seen(desk).next_plan, seen(desk).lines[0].ends) == (None, None, None)
    desk.do(do.CancelLine(LINES[0]), "2014-01-10 12:00:00")
    assert seen(desk).lines[0].ends == "2014-01"
    assert (seen(desk).ends, seen(desk).lines[1].ends) == (None, None)
    desk = family(1)
    desk.do(do.ChangePlan(FIRST, "light-start"), "2014-01-10 12:00:00")
    assert seen(desk).next_plan == NextPlan("light-start", "2014-02")
    desk = family(1)
    desk.do(do.Cancel(FIRST), "2014-01-10 12:00:00")
    assert seen(desk).ends == "2014-01"


@pytest.mark.parametrize(("name", "text"), [("a.toml", TOML), ("a.csv", CSV)])
def test_files_may_say_when_contract_and_line_end(tmp_path: Path, name: str, text: str) -> None:
    """A4, A8, A10: and the book takes it in"""
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    book = subscribers.load(path, SETTINGS)
    (contract,) = book.contracts
    assert (contract.ends, contract.lines[0].ends) == ("2014-01", "2013-11")
    assert contract.next_plan == NextPlan("light-start", "2013-12")
    (account,) = views.from_book(book, at(DAY), SETTINGS)
    taken_in = only(account)
    assert taken_in.cancellation is not None
    assert taken_in.cancellation.effective_ns == at("2014-02-01 00:00:00")
    assert taken_in.plan_change is not None
    assert taken_in.plan_change.from_ns == at("2013-12-01 00:00:00")
    assert views.to_book([account], at(DAY), SETTINGS).contracts[0].next_plan == contract.next_plan


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (TOML.replace("light-start", "nothing"), "contract[0].next_plan.plan: no plan of the"),
        (TOML.replace('"2014-01"', '"2014-13"'), 'contract[0].ends: "2014-13" is no month'),
        (TOML.replace("next_plan = {", "next_plan = 3 # {"), "contract[0].next_plan: 3 is no"),
        (TOML + '  [[contract.line]]\n  code = "b"\n', "contract[0].line[1]: one line too many"),
    ],
)
def test_ends_and_plans_that_cannot_be_are_faults(text: str, told: str) -> None:
    """L4, S1"""
    (fault,) = subscribers.check(text, "a.toml", SETTINGS)
    assert told in str(fault)


def test_a_csv_plan_without_a_month_is_a_fault() -> None:
    """A10"""
    (fault,) = subscribers.check(CSV.replace(":2013-12", ""), "a.csv", config.load(None))
    assert "next_plan" in str(fault)
