"""The contract book: plans and the lines they are for, plan changes, options."""

import dataclasses

import pytest

from engine import config
from engine.subscribers import actions as do
from engine.subscribers import options
from engine.subscribers.effects import (
    CancellationReserved,
    ContractEnded,
    Fee,
    LineRemoved,
    OptionAdded,
    OptionEnded,
    PlanChanged,
    PlanOrdered,
)
from tests.support.books import (
    FIRST,
    LAST_NS,
    LINES,
    SECOND,
    SETTINGS,
    Desk,
    at,
    family,
    named_line,
)


@pytest.mark.parametrize(
    ("plan", "sims"), [("minimum-start", 1), ("light-start", 1), ("family-share", 3)]
)
def test_a_contract_has_as_many_lines_as_its_plan_has_sims(plan: str, sims: int) -> None:
    """S1, S2, S3, L4"""
    desk = Desk("2013-11-05")
    desk.do(do.Apply(FIRST, plan=plan), "2013-11-05")
    for number in range(1, sims + 1):
        desk.do(named_line(number), "2013-11-05")
    desk.do(do.Start(FIRST), "2013-11-05")
    words = f"has {sims} lines; plan {plan} is for {sims} (L4)"
    desk.refuses(named_line(sims + 1), "2013-11-06", words)


def test_a_plan_of_a_configuration_of_ones_own_needs_no_code() -> None:
    """S5: ten SIMs"""
    giga = dataclasses.replace(SETTINGS.plans[0], name="giga", sims_max=10)
    desk = Desk("2013-11-05", dataclasses.replace(SETTINGS, plans=(giga,)))
    desk.do(do.Apply(FIRST, plan="giga"), "2013-11-05")
    for number in range(10):
        desk.do(do.AddLine(FIRST, f"hdo{number:08}"), "2013-11-05")
    desk.refuses(do.AddLine(FIRST, "hdo00000010"), "2013-11-05", "plan giga is for 10")


@pytest.mark.parametrize(
    ("ordered", "first"),
    [
        ("2014-01-01", "2014-02-01"),
        (f"2014-02-28 23:59:59{LAST_NS}", "2014-03-01"),
        ("2012-02-29", "2012-03-01"),
        (f"2013-12-31 23:59:59{LAST_NS}", "2014-01-01"),
        ("2014-04-30", "2014-05-01"),
    ],
)
def test_another_plan_is_in_force_from_the_first_of_the_next_month(
    ordered: str, first: str
) -> None:
    """A10: nothing but the plan changes"""
    desk = family(1, when="2011-01-01")
    before = desk.contract()
    (told,) = desk.do(do.ChangePlan(FIRST, "light-start"), ordered)
    assert told == PlanOrdered(FIRST, "light-start", at(ordered), at(first))
    assert desk.contract().plan == "family-share"
    desk.forward(ordered)
    assert desk.contract().plan == "family-share"
    assert desk.forward(first) == [PlanChanged(FIRST, "light-start", at(first))]
    after = desk.contract()
    assert after == dataclasses.replace(before, plan="light-start", plan_ordered_ns=at(ordered))
    assert desk.forward("2030-01-01") == []


def test_a_plan_change_is_refused_where_it_makes_no_sense() -> None:
    """A10, L4, S5"""
    desk = family(2, when="2011-01-01")
    day = "2014-03-03"
    desk.refuses(do.ChangePlan(FIRST, "family-share"), day, "has plan family-share (A10)")
    desk.refuses(do.ChangePlan(FIRST, "giga"), day, "no plan is called giga")
    words = "has 2 lines, and plan light-start is for 1 (A10)"
    desk.refuses(do.ChangePlan(FIRST, "light-start"), day, words)
    desk.do(do.Apply(SECOND), day)
    words = "is applied; change-plan needs one that is active or cancelled"
    desk.refuses(do.ChangePlan(SECOND, "family-share"), day, words)
    desk.do(do.Cancel(FIRST), day)
    words = "ends on 2014-03-31; another plan would be in force from the next day on"
    desk.refuses(do.ChangePlan(FIRST, "minimum-start"), day, words)


def test_a_later_order_takes_the_place_of_the_earlier() -> None:
    """A10"""
    desk = family(1, when="2011-01-01")
    desk.do(do.ChangePlan(FIRST, "light-start"), "2014-03-03")
    desk.do(do.ChangePlan(FIRST, "minimum-start"), "2014-03-04")
    assert desk.forward("2014-04-01") == [PlanChanged(FIRST, "minimum-start", at("2014-04-01"))]


def test_a_plan_change_within_the_minimum_term_comes_before_the_end() -> None:
    """A5, A10"""
    desk = family(1, when="2014-03-10")
    desk.do(do.Cancel(FIRST), "2014-03-11")
    desk.do(do.ChangePlan(FIRST, "light-start"), "2014-03-12")
    desk.refuses(do.TakeBack(FIRST), "2014-03-13", "a plan change was ordered in the same month")
    told = desk.forward("2014-05-01")
    assert told[0] == PlanChanged(FIRST, "light-start", at("2014-04-01"))
    assert told[-1] == ContractEnded(FIRST, at("2014-05-01"), "cancelled", started=True)


def test_lines_that_are_gone_by_then_do_not_count_for_the_new_plan() -> None:
    """A10, A4, L4: and they cannot come back into it"""
    desk = family(2, when="2014-02-10")
    desk.do(do.CancelLine(LINES[1]), "2014-02-11")
    words = "has 2 lines, and plan light-start is for 1"
    desk.refuses(do.ChangePlan(FIRST, "light-start"), "2014-02-12", words)
    desk.do(do.ChangePlan(FIRST, "light-start"), "2014-03-01")
    words = "with that it had 2 lines, and plan light-start is ordered, for 1 (A10)"
    desk.refuses(do.TakeBack(FIRST), "2014-03-02", words)
    words = "has 2 lines; plan light-start is for 1 (L4)"
    desk.refuses(named_line(3), "2014-03-02", words)
    assert desk.forward("2014-04-01") == [
        LineRemoved(FIRST, LINES[1], at("2014-04-01"), "cancelled"),
        PlanChanged(FIRST, "light-start", at("2014-04-01")),
    ]


def test_what_leaves_the_ordered_plan_as_it_is_can_be_taken_back() -> None:
    """A4, A5, A10: cancelled in March to the end of April, plan ordered in April"""
    desk = family(1, when="2014-03-10")
    desk.do(do.Cancel(FIRST), "2014-03-11")
    words = "ends on 2014-04-30; another plan would be in force from the next day on"
    desk.refuses(do.ChangePlan(FIRST, "light-start"), "2014-04-01", words)
    other = family(2, when="2014-03-10")
    other.do(do.CancelLine(LINES[1]), "2014-03-11")
    other.do(do.ChangePlan(FIRST, "light-start"), "2014-04-01")
    other.do(do.ReservePortOut(LINES[0]), "2014-04-02")
    other.do(do.CompletePortOut(LINES[0]), "2014-04-02")
    other.do(do.TakeBack(FIRST), "2014-04-03")
    assert [line.code for line in other.contract().live_lines] == [LINES[1]]
    (told,) = other.forward("2014-06-01")
    assert told == PlanChanged(FIRST, "light-start", at("2014-05-01"))


def test_the_ipv6_option_is_for_eligible_services_only_and_costs_nothing() -> None:
    """O1"""
    desk = family(1)
    day = "2013-11-06"
    (told,) = desk.do(do.AddOption(FIRST, "ipv6"), day)
    assert told == OptionAdded(FIRST, "ipv6", at(day), (Fee("monthly", 0, at(day)),))
    assert options.has_ipv6(desk.contract())
    desk.refuses(do.AddOption(FIRST, "ipv6"), day, "has the option ipv6 already")
    desk.do(do.Apply(SECOND, service="safety-mail"), day)
    words = "is for contracts of fiberaccess-f or mobile-d, not of safety-mail (O1)"
    desk.refuses(do.AddOption(SECOND, "ipv6"), day, words)
    desk.do(do.Apply("hdd00000003", service="fiberaccess-f"), day)
    desk.do(do.AddOption("hdd00000003", "ipv6"), day)


def test_an_option_ends_with_the_month_and_can_be_had_again() -> None:
    """O2, A4"""
    desk = family(1)
    desk.do(do.AddOption(FIRST, "ipv6"), "2013-11-06")
    when = f"2013-11-30 23:59:59{LAST_NS}"
    (told,) = desk.do(do.CancelOption(FIRST, "ipv6"), when)
    assert told == CancellationReserved("option", f"{FIRST}/ipv6", at(when), at("2013-12-01"))
    assert options.has_ipv6(desk.contract())
    assert desk.forward("2013-12-01") == [OptionEnded(FIRST, "ipv6", at("2013-12-01"))]
    assert not options.has_ipv6(desk.contract())
    desk.refuses(do.CancelOption(FIRST, "ipv6"), "2013-12-01", "does not have the option ipv6")
    desk.do(do.AddOption(FIRST, "ipv6"), "2013-12-01")


WEB = config.Option("accounts", "Accounts", ("mobile-d",), 10, 3_000, 2_000, 500)


@pytest.mark.parametrize(
    ("quantity", "yen"), [(1, 3_000), (10, 3_000), (11, 6_000), (20, 6_000), (1_000_000, 3 * 10**8)]
)
def test_an_option_is_data_with_its_price_its_unit_and_its_start(quantity: int, yen: int) -> None:
    """O2: initial and one-off fees at acceptance, the price from the day on which charging starts"""
    desk = family(1)
    desk.settings = dataclasses.replace(SETTINGS, options=(WEB,))
    accepted, charged = at("2013-11-06"), at("2013-12-01")
    order = do.AddOption(FIRST, "accounts", quantity, charged)
    (told,) = desk.do(order, "2013-11-06")
    assert told == OptionAdded(
        FIRST,
        "accounts",
        accepted,
        (
            Fee("initial", 2_000, accepted),
            Fee("one-off", 500, accepted),
            Fee("monthly", yen, charged),
        ),
    )
    use = desk.contract().option("accounts")
    assert use is not None
    assert (use.quantity, use.price_yen_per_month) == (quantity, 3_000)


def test_the_accounts_of_the_secure_web_platform_are_sold_by_ten() -> None:
    """O2"""
    desk = Desk("2013-11-05")
    desk.do(do.Apply(FIRST, service="web-standard-2"), "2013-11-05")
    (told,) = desk.do(do.AddOption(FIRST, "secure-web-accounts", 25), "2013-11-05")
    assert isinstance(told, OptionAdded)
    assert told.fees == (Fee("monthly", 9_000, at("2013-11-05")),)
    assert options.monthly_yen(WEB, 7, None) is None


def test_an_option_that_is_not_there_or_makes_no_sense_is_refused() -> None:
    """O2"""
    desk = family(1)
    day = "2013-11-06"
    desk.refuses(do.AddOption(FIRST, "fax"), day, "no option is called fax; allowed: ipv6, secure")
    for quantity in (0, -1, 1_000_001):
        words = f"add-option: quantity: {quantity} is not allowed; allowed: an integer 1 .. 1000000"
        desk.refuses(do.AddOption(FIRST, "ipv6", quantity), day, words)
    early = do.AddOption(FIRST, "ipv6", charging_from_ns=at(day) - 1)
    desk.refuses(early, day, "starts when it is accepted, or later")
    desk.do(do.AddOption(FIRST, "ipv6", charging_from_ns=at(day)), day)
    desk.do(do.Apply(SECOND, service="safety-mail"), day)
    words = "option mail-virus-protection comes with safety-mail and cannot be ended alone"
    desk.refuses(do.CancelOption(SECOND, "mail-virus-protection"), day, words)
    desk.settings = dataclasses.replace(SETTINGS, options=())
    desk.refuses(do.AddOption(FIRST, "fax"), day, "no option is called fax; allowed: none")
    # What the configuration no longer has can still be ended.
    desk.do(do.CancelOption(FIRST, "ipv6"), day)
