"""The contract book: ends of contracts, lines and options at the month's end, and taking them back."""

import dataclasses

import pytest

from engine import config
from engine.subscribers import actions as do
from engine.subscribers import book
from engine.subscribers.effects import (
    CancellationReserved,
    CancellationWithdrawn,
    ContractEnded,
    LineRemoved,
    OptionEnded,
)
from tests.support.books import FIRST, LAST_NS, LINES, SECOND, SETTINGS, Desk, at, family

MONTH_ENDS = [
    ("2014-01-31", "2014-02-01"),
    ("2014-02-28", "2014-03-01"),
    ("2012-02-29", "2012-03-01"),
    ("2013-04-30", "2013-05-01"),
    ("2013-12-31", "2014-01-01"),
]


@pytest.mark.parametrize(("last", "first"), MONTH_ENDS)
def test_a_cancellation_takes_effect_at_the_end_of_its_month(last: str, first: str) -> None:
    """A4: ordered on the first instant of the month or on the last, in service until the end"""
    for ordered in (f"{last[:8]}01", f"{last} 23:59:59{LAST_NS}"):
        desk = family(2, when="2010-01-01")
        told = desk.do(do.Cancel(FIRST), ordered)
        assert told == [CancellationReserved("contract", FIRST, at(ordered), at(first))]
        assert desk.contract().state == "cancelled"
        assert desk.forward(f"{last} 23:59:59{LAST_NS}") == []
        assert desk.line().state == "in-service"
        assert desk.forward(first) == [
            LineRemoved(FIRST, LINES[0], at(first), "cancelled"),
            LineRemoved(FIRST, LINES[1], at(first), "cancelled"),
            ContractEnded(FIRST, at(first), "cancelled", started=True),
        ]
        assert desk.contract().state == "ended"
        assert (desk.contract().ended_ns, desk.contract().why_ended) == (at(first), "cancelled")
        assert [line.state for line in desk.contract().lines] == ["removed", "removed"]


@pytest.mark.parametrize(("last", "first"), MONTH_ENDS)
def test_a_cancellation_can_be_taken_back_until_eight_in_the_evening_of_the_last_day(
    last: str, first: str
) -> None:
    """A4: at 19:59:59.999999999 it can, at 20:00:00 not"""
    desk = family(1, when="2010-01-01")
    desk.do(do.Cancel(FIRST), f"{last[:8]}03")
    late = f"until 20:00 JST of its last day, {last}, and not later"
    desk.refuses(do.TakeBack(FIRST), f"{last} 20:00:00", late)
    desk.refuses(do.TakeBack(FIRST), f"{last} 23:59:59{LAST_NS}", late)
    desk.refuses(do.TakeBack(FIRST), first, "is ended; take-back needs one that is")
    told = desk.do(do.TakeBack(FIRST), f"{last} 19:59:59{LAST_NS}")
    assert told == [
        CancellationWithdrawn("contract", FIRST, at(f"{last} 19:59:59{LAST_NS}")),
    ]
    assert desk.contract().state == "active"
    assert desk.forward("2020-01-01") == []


def test_the_time_of_taking_back_is_a_setting() -> None:
    """A4"""
    desk = family(1, when="2010-01-01")
    desk.settings = dataclasses.replace(SETTINGS, terms=config.Terms(take_back_until="18:30"))
    desk.do(do.Cancel(FIRST), "2014-03-03")
    desk.refuses(do.TakeBack(FIRST), "2014-03-31 18:30:00", "until 18:30 JST")
    desk.do(do.TakeBack(FIRST), f"2014-03-31 18:29:59{LAST_NS}")


def test_taking_back_withdraws_all_that_was_reserved_with_it() -> None:
    """A4: lines and options too, of this contract only (A8)"""
    desk = family(3, when="2010-01-01")
    desk.do(do.AddOption(FIRST, "ipv6"), "2010-01-01")
    desk.do(do.Apply(SECOND), "2010-01-01")
    desk.do(do.CancelLine(LINES[1]), "2014-03-03")
    desk.do(do.CancelOption(FIRST, "ipv6"), "2014-03-04")
    desk.do(do.Cancel(FIRST), "2014-03-05")
    desk.do(do.Cancel(SECOND), "2014-03-05")
    when = "2014-03-06"
    assert desk.do(do.TakeBack(FIRST), when) == [
        CancellationWithdrawn("contract", FIRST, at(when)),
        CancellationWithdrawn("line", LINES[1], at(when)),
        CancellationWithdrawn("option", f"{FIRST}/ipv6", at(when)),
    ]
    (ended,) = desk.forward("2020-01-01")
    assert ended == ContractEnded(SECOND, at("2014-04-01"), "cancelled", started=False)
    assert len(desk.contract().live_lines) == 3
    assert desk.contract().option("ipv6") is not None
    desk.refuses(do.TakeBack(FIRST), "2020-01-01", "no cancellation that could be taken back")


def test_lines_and_options_can_be_taken_back_without_a_contract_cancelled() -> None:
    """A4, A8"""
    desk = family(2, when="2010-01-01")
    desk.do(do.CancelLine(LINES[0]), "2014-02-03")
    desk.refuses(do.CancelLine(LINES[0]), "2014-02-03", "is cancelled already")
    told = desk.do(do.TakeBack(FIRST), f"2014-02-28 19:59:59{LAST_NS}")
    assert told == [CancellationWithdrawn("line", LINES[0], at(f"2014-02-28 19:59:59{LAST_NS}"))]
    assert desk.line().cancellation is None


def test_what_is_too_late_stays_cancelled_and_the_rest_is_taken_back() -> None:
    """A4, A5: the option's end is this month's, the contract's that of its minimum term"""
    desk = family(1, when="2014-02-10")
    desk.do(do.AddOption(FIRST, "ipv6"), "2014-02-10")
    desk.do(do.CancelOption(FIRST, "ipv6"), "2014-02-11")
    desk.refuses(do.CancelOption(FIRST, "ipv6"), "2014-02-11", "is cancelled already")
    desk.do(do.Cancel(FIRST), "2014-02-11")
    told = desk.do(do.TakeBack(FIRST), "2014-02-28 20:00:00")
    assert told == [CancellationWithdrawn("contract", FIRST, at("2014-02-28 20:00:00"))]
    assert desk.forward("2015-01-01") == [OptionEnded(FIRST, "ipv6", at("2014-03-01"))]


def test_taking_back_is_refused_when_a_plan_change_was_ordered_in_the_same_month() -> None:
    """A4, A10"""
    desk = family(1, when="2010-01-01")
    desk.do(do.ChangePlan(FIRST, "light-start"), "2014-03-01")
    desk.do(do.Cancel(FIRST), f"2014-03-31 12:00:00{LAST_NS}")
    words = "cannot be taken back when a plan change was ordered in the same month (A4)"
    desk.refuses(do.TakeBack(FIRST), "2014-03-31 13:00:00", words)
    # The contract ends, and no plan comes into force any more.
    assert [type(effect) for effect in desk.forward("2014-04-01")] == [LineRemoved, ContractEnded]


def test_a_plan_change_of_another_month_does_not_stand_in_the_way() -> None:
    """A4, A10: ordered on the last instant of the month before"""
    desk = family(1, when="2010-01-01")
    desk.do(do.ChangePlan(FIRST, "light-start"), f"2014-02-28 23:59:59{LAST_NS}")
    desk.do(do.Cancel(FIRST), "2014-03-01")
    desk.do(do.TakeBack(FIRST), "2014-03-01")
    assert desk.contract().state == "active"
    assert desk.contract().plan == "light-start"


@pytest.mark.parametrize(
    ("started", "ordered", "end"),
    [
        ("2014-06-20", "2014-06-20", "2014-08-01"),
        ("2014-06-01", f"2014-06-30 23:59:59{LAST_NS}", "2014-08-01"),
        (f"2014-06-30 23:59:59{LAST_NS}", "2014-07-01", "2014-08-01"),
        ("2014-06-20", f"2014-07-31 23:59:59{LAST_NS}", "2014-08-01"),
        ("2014-06-20", "2014-08-01", "2014-09-01"),
        ("2013-12-31", "2014-01-02", "2014-02-01"),
        ("2013-11-30", "2013-12-01", "2014-01-01"),
        ("2012-02-29", "2012-02-29", "2012-04-01"),
        ("2014-01-31", "2014-01-31", "2014-03-01"),
    ],
)
def test_the_minimum_term_runs_to_the_end_of_the_month_after_the_first(
    started: str, ordered: str, end: str
) -> None:
    """A5: a cancellation before takes effect at its end; a line's too"""
    desk = family(2, when=started)
    (told,) = desk.do(do.Cancel(FIRST), ordered)
    assert told == CancellationReserved("contract", FIRST, at(ordered), at(end))
    last_day = book.advance(desk.account, at(end) - 1, SETTINGS)
    assert last_day.effects == ()
    assert desk.forward(end)[-1] == ContractEnded(FIRST, at(end), "cancelled", started=True)
    other = family(2, when=started)
    (told,) = other.do(do.CancelLine(LINES[0]), ordered)
    assert told == CancellationReserved("line", LINES[0], at(ordered), at(end))


def test_a_contract_that_is_not_in_use_yet_has_no_minimum_term() -> None:
    """A4, A5"""
    desk = Desk("2014-06-20")
    desk.do(do.Apply(FIRST), "2014-06-20")
    desk.do(do.Cancel(FIRST), "2014-06-20")
    desk.refuses(do.Start(FIRST), "2014-06-21", "is cancelled; start needs one that is applied")
    (ended,) = desk.forward("2014-07-01")
    assert ended == ContractEnded(FIRST, at("2014-07-01"), "cancelled", started=False)


def test_a_contract_is_cancelled_once_and_an_ended_one_not_at_all() -> None:
    """A4"""
    desk = family(1, when="2010-01-01")
    desk.do(do.Cancel(FIRST), "2014-03-03")
    words = "is cancelled; cancel needs one that is applied or active"
    desk.refuses(do.Cancel(FIRST), "2014-03-04", words)
    desk.refuses(do.AddLine(FIRST, LINES[2]), "2014-03-04", "is cancelled; add-line needs")
    desk.forward("2014-04-01")
    for action in (do.Cancel(FIRST), do.Rescind(FIRST), do.AddOption(FIRST, "ipv6")):
        desk.refuses(action, "2014-04-01", f"is ended; {action.do} needs one that is")
    desk.refuses(do.Suspend(LINES[0]), "2014-04-01", "is removed; suspend needs one that is")


def test_one_of_several_contracts_ends_alone() -> None:
    """A8"""
    desk = family(1, when="2010-01-01")
    desk.do(do.Apply(SECOND), "2010-01-01")
    desk.do(do.AddLine(SECOND, LINES[3]), "2010-01-01")
    desk.do(do.Start(SECOND), "2010-01-01")
    untouched = desk.contract(SECOND)
    desk.do(do.Cancel(FIRST), "2014-03-03")
    desk.forward("2014-04-01")
    assert desk.contract().state == "ended"
    assert desk.contract(SECOND) == untouched


def test_one_of_several_lines_ends_alone_and_the_last_one_not() -> None:
    """A8, L4, A4"""
    desk = family(2, when="2010-01-01")
    untouched = desk.line(LINES[1])
    desk.do(do.CancelLine(LINES[0]), "2014-03-03")
    keeps = "a contract keeps 1 line at least: cancel the contract (A8)"
    desk.refuses(do.CancelLine(LINES[1]), "2014-03-04", keeps)
    desk.refuses(do.RemoveLine(LINES[1]), "2014-03-04", keeps)
    assert desk.forward(f"2014-03-31 23:59:59{LAST_NS}") == []
    assert desk.forward("2014-04-01") == [
        LineRemoved(FIRST, LINES[0], at("2014-04-01"), "cancelled")
    ]
    assert desk.line(LINES[1]) == untouched
    desk.refuses(do.RemoveLine(LINES[1]), "2014-04-01", keeps)
    assert desk.contract().state == "active"


def test_what_is_due_at_one_instant_happens_in_a_fixed_order() -> None:
    """A4, A10, G8: lines, options, contracts, by their codes; then nothing is left for plans"""
    desk = family(3, when="2010-01-01")
    desk.do(do.AddOption(FIRST, "ipv6"), "2010-01-01")
    desk.do(do.CancelLine(LINES[2]), "2014-03-03")
    desk.do(do.CancelLine(LINES[1]), "2014-03-04")
    desk.do(do.CancelOption(FIRST, "ipv6"), "2014-03-05")
    desk.do(do.Cancel(FIRST), "2014-03-06")
    end = at("2014-04-01")
    assert desk.forward("2014-06-30") == [
        LineRemoved(FIRST, LINES[1], end, "cancelled"),
        LineRemoved(FIRST, LINES[2], end, "cancelled"),
        OptionEnded(FIRST, "ipv6", end),
        LineRemoved(FIRST, LINES[0], end, "cancelled"),
        ContractEnded(FIRST, end, "cancelled", started=True),
    ]


def test_an_action_first_lets_happen_what_is_due() -> None:
    """A4: nobody needs to have asked on the first of the month"""
    desk = family(2, when="2010-01-01")
    desk.do(do.CancelLine(LINES[1]), "2014-03-03")
    told = desk.do(do.Suspend(LINES[0]), "2014-05-01")
    assert told[0] == LineRemoved(FIRST, LINES[1], at("2014-04-01"), "cancelled")
    assert len(told) == 2
    desk.do(do.Cancel(FIRST), "2014-05-02")
    desk.refuses(do.Resume(LINES[0]), "2014-06-01", "is removed; resume needs")
