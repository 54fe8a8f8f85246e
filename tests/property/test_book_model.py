"""The contract book against a naive model, through any order of actions and any passing of time."""

import dataclasses
from collections.abc import Callable
from functools import partial
from random import Random
from typing import Any

import pytest
from hypothesis import settings

from engine.errors import RefusedError
from engine.subscribers import (
    account,
    admission,
    book,
    changes,
    contract_rules,
    documents,
    due,
    line_rules,
    terms,
)
from engine.subscribers import actions as do
from tests.property.book_machine import (
    CARDS,
    CLOCKS,
    IMSIS,
    NS_PER_DAY,
    NUMBERS,
    STARTS,
    WORDS_OF_CONTRACTS,
    WORDS_OF_LINES,
    BookMachine,
)
from tests.property.naive_book import EVENING_NS, Model

WALKS = 30

TestBook = BookMachine.TestCase
TestBook.settings = settings(max_examples=settings().max_examples // 2, stateful_step_count=40)


def evening(machine: BookMachine, dice: Random) -> None:
    """A cancellation, and on some last evening the wish to take it back."""
    machine.on_contract("cancel", 0)
    machine.let_time_pass("last day", 0, dice.choice((EVENING_NS - 1, EVENING_NS)))
    machine.on_contract("take_back", 0)


def regret(machine: BookMachine, dice: Random) -> None:
    """A contract that is to be rescinded on the eighth day of its document, or on the ninth."""
    machine.on_contract("send_document", 0)
    machine.let_time_pass("days", dice.choice((7, 8)), dice.choice(CLOCKS))
    machine.on_contract("rescind", 0)


def moving_in(machine: BookMachine, dice: Random) -> None:
    """A family applies, with two or three lines whose names are free, and begins."""
    machine.apply("family-share", True, False)
    taken = machine.model.taken()
    for _ in range(dice.randrange(2, 4)):
        names = [dice.choice([*sorted(set(x) - taken), None]) for x in (IMSIS, NUMBERS, CARDS)]
        taken.update(name for name in names if name)
        machine.add_line(0, (names[0], names[1], names[2]), dice.random() < 0.3, None)
    machine.on_contract("start", 0)


def leaving(machine: BookMachine, dice: Random) -> None:
    """All numbers of a contract go elsewhere; the line that was cancelled before is the last."""
    contract = machine.contract(dice.randrange(3))
    lines = list(machine.model.live_lines(contract or ""))
    for line in lines[:1] * (len(lines) > 1) * dice.randrange(2):
        machine.act(do.CancelLine(line), partial(Model.cancel_line, line=line))
    for line in lines[-1:0:-1] + lines[:1] * dice.randrange(2):
        machine.act(do.ReservePortOut(line), partial(Model.reserve_port_out, line=line))
        machine.act(do.CompletePortOut(line), partial(Model.complete_port_out, line=line))
    if dice.random() < 0.5:
        machine.let_time_pass("later", 7, 0)


def walk(seed: int, steps: int) -> None:
    """A long random walk; a lapsed mioID is followed by a new one."""
    dice = Random(seed)
    machine = BookMachine()

    def begin() -> None:
        machine.open(begin=dice.choice(STARTS), clock=dice.choice(CLOCKS))

    def a(names: tuple[str, ...]) -> str | None:
        return dice.choice((None, *names))

    plans = ("minimum-start", "light-start", "family-share", "family-share", "family-share")
    actions: list[tuple[int, Callable[[], None]]] = [
        (2, lambda: machine.apply(dice.choice(plans), dice.random() < 0.8, dice.random() < 0.1)),
        (1, lambda: machine.complete()),
        (3, lambda: machine.on_contract("start", dice.randrange(3))),
        (3, lambda: machine.on_contract(dice.choice(WORDS_OF_CONTRACTS), dice.randrange(4))),
        (2, lambda: machine.on_contract(dice.choice(["cancel", "take_back"]), dice.randrange(3))),
        (1, lambda: machine.change_plan(dice.choice(plans), dice.randrange(3))),
        (
            9,
            lambda: machine.add_line(
                dice.randrange(3),
                (a(IMSIS), a(NUMBERS), a(CARDS)),
                dice.random() < 0.4,
                dice.choice([None, None, None, 0, 8, 9]),
            ),
        ),
        (9, lambda: machine.on_line(dice.choice(WORDS_OF_LINES), dice.randrange(7))),
        (2, lambda: machine.on_line("complete_port_in", dice.randrange(7))),
        (3, lambda: machine.replace_sim(dice.choice(CARDS), dice.randrange(7))),
        (
            3,
            lambda: machine.let_time_pass(
                dice.choice(["edge", "edge", "edge", "last day", "days", "later"]),
                dice.randrange(10),
                dice.choice(CLOCKS),
            ),
        ),
        (1, lambda: machine.bring_forward()),
        (1, lambda: evening(machine, dice)),
        (1, lambda: regret(machine, dice)),
        (1, lambda: leaving(machine, dice)),
        (1, lambda: moving_in(machine, dice)),
    ]
    # Every walk has its own habits: some things it does all the time, others hardly ever.
    weights = [weight * dice.choice((1, 1, 4, 16)) for weight, _ in actions]
    begin()
    for call in dice.choices([call for _, call in actions], weights, k=steps):
        call()
        machine.agree()
        if machine.model.lapsed:
            begin()


def walks(number: int) -> None:
    """Some walks, the same ones every time."""
    for seed in range(number):
        walk(seed, 150)


def test_long_walks_keep_to_the_rules() -> None:
    """A1-A8, A10, L1-L4, N6, O1"""
    walks(WALKS)


Plant = Callable[[pytest.MonkeyPatch], None]


def swap(module: Any, name: str, make: Callable[[Any], Any]) -> Plant:
    """Put a wrong function in the place of a right one, made of it."""
    return lambda patch: patch.setattr(module, name, make(getattr(module, name)))


def kept(line: account.Line) -> Any:
    """The names of a line as if it had not been removed."""
    return account.line_names(dataclasses.replace(line, removed_ns=None))


PLANTED: dict[str, Plant] = {
    "taken back at 20:00:00": swap(terms, "take_back_ends_ns", lambda f: lambda *a: f(*a) + 1),
    "taken back until 19:59:59": swap(terms, "take_back_ends_ns", lambda f: lambda *a: f(*a) - 1),
    "minimum term a month short": swap(
        terms, "cancellation_ns", lambda f: lambda begun, ordered, t: f(None, ordered, t)
    ),
    "minimum term a month long": swap(
        terms,
        "cancellation_ns",
        lambda f: (
            lambda begun, ordered, t: f(begun, ordered, dataclasses.replace(t, minimum_months=2))
        ),
    ),
    "rescinded on the ninth day": swap(
        terms, "rescission_ends_ns", lambda f: lambda *a: f(*a) + NS_PER_DAY
    ),
    "lapses a day late": swap(terms, "months_later_ns", lambda f: lambda *a: f(*a) + NS_PER_DAY),
    "a reservation of sixteen days": swap(
        terms, "reservation_ends_ns", lambda f: lambda *a: f(*a) + NS_PER_DAY
    ),
    "six days are enough": swap(terms, "days_left", lambda f: lambda *a: f(*a) + 1),
    "the old card is forgotten": swap(
        line_rules, "RefusedCard", lambda f: lambda at_ns, lost, iccid, imsi: f(at_ns, lost)
    ),
    "a removed line is still named": swap(documents, "line_names", lambda f: kept),
    "an old card attaches": swap(
        admission,
        "_old_card",
        lambda f: lambda *a: "",
    ),
    "a found card is resumed": lambda patch: patch.setitem(
        book.OF_LINE, do.Resume, (line_rules.resume, ("suspended", "lost"))
    ),
    "the last line can be removed": swap(line_rules, "_check_last", lambda f: lambda *a: None),
    "a line too many": swap(line_rules, "_check_sims", lambda f: lambda *a: None),
    "a voice line too many": swap(line_rules, "check_voice", lambda f: lambda *a: None),
    "an eleventh contract": swap(contract_rules, "check_contracts", lambda f: lambda *a: None),
    "taken back beside a plan change": swap(
        contract_rules, "_check_plan_order", lambda f: lambda *a: None
    ),
    "a plan too small": swap(contract_rules, "_check_fit", lambda f: lambda *a: None),
    "a contract goes on without lines": swap(due, "end_line", lambda f: changes.remove_line),
    "a month ends a nanosecond late": swap(
        terms, "month_ends_ns", lambda f: lambda ordered: f(ordered) + 1
    ),
}


@pytest.mark.parametrize("bug", PLANTED)
def test_the_model_catches_a_planted_bug(bug: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A2-A8, A10, L2-L4, N6: a checker that nobody has seen fail proves nothing."""
    PLANTED[bug](monkeypatch)
    with pytest.raises((AssertionError, RefusedError)):
        walks(WALKS)
