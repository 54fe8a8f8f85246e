"""The contract book and the data path: who may attach, and books to and from subscriber files."""

import dataclasses
import datetime
from pathlib import Path

import pytest

from engine import config, subscribers
from engine.errors import RefusedError
from engine.subscribers import actions as do
from engine.subscribers import documents, views
from engine.subscribers.admission import Admission, admission
from tests.support.books import (
    FIRST,
    LAST_NS,
    LINES,
    MIO,
    SECOND,
    SETTINGS,
    Desk,
    at,
    family,
    named_line,
    only,
)

DAY = "2013-11-06 12:00:00"
NAMES = (LINES[0], "440100000000001", "819000000001", "8981100000000000001")


def asked(desk: Desk, name: str, when: str, kind: str | None = None) -> Admission:
    """The answer to a line that wants to attach."""
    return admission(desk.account, name, at(when), SETTINGS, kind)


@pytest.mark.parametrize("name", NAMES)
def test_a_line_in_service_may_attach_by_any_of_its_names(name: str) -> None:
    """N6, D8, O1"""
    desk = family(2)
    answer = Admission(True, "", FIRST, LINES[0], "family-share", ipv6=False, in_service=True)
    assert asked(desk, name, DAY) == answer
    desk.do(do.AddOption(FIRST, "ipv6"), DAY)
    assert asked(desk, name, DAY).ipv6


def test_a_name_can_be_looked_for_as_one_kind_only() -> None:
    """N6"""
    desk = family(1)
    for kind, name in zip(("line", "imsi", "msisdn", "iccid"), NAMES, strict=True):
        assert asked(desk, name, DAY, kind).may_attach
        for other in {"line", "imsi", "msisdn", "iccid"} - {kind}:
            answer = asked(desk, name, DAY, other)
            assert answer == Admission(False, f"{MIO} has no line of that name", kind="unknown")


@pytest.mark.parametrize(
    ("actions", "reason"),
    [
        ([do.Suspend(LINES[0])], f"line {LINES[0]} is suspended"),
        ([do.ReportLost(LINES[0])], f"line {LINES[0]} was reported lost; its card stays refused"),
        ([do.RemoveLine(LINES[0])], f"line {LINES[0]} is removed"),
    ],
)
def test_a_line_out_of_service_may_not_attach(actions: list[do.Action], reason: str) -> None:
    """L1, L3, L4, D8"""
    desk = family(2)
    for action in actions:
        desk.do(action, DAY)
    answer = asked(desk, LINES[0], DAY)
    assert (answer.may_attach, answer.reason, answer.in_service) == (False, reason, False)
    assert asked(desk, LINES[1], DAY).may_attach
    by_card = asked(desk, NAMES[3], DAY)
    assert not by_card.may_attach


def test_the_old_card_is_refused_from_the_moment_the_new_one_is_ready() -> None:
    """L2, L3: found again or not, and after the line has ended"""
    desk = family(2)
    old, new = NAMES[3], "8981100000000000009"
    assert asked(desk, old, DAY).may_attach
    desk.do(do.ReplaceSim(LINES[0], new, imsi="440100000000009"), DAY)
    for name in (old, "440100000000001"):
        answer = asked(desk, name, DAY)
        reason = f"the card {name} of line {LINES[0]} was replaced; it stays refused"
        assert (answer.may_attach, answer.reason) == (False, reason)
    for name in (new, "440100000000009", "819000000001", LINES[0]):
        assert asked(desk, name, DAY).may_attach
    desk.do(do.RemoveLine(LINES[0]), DAY)
    assert "was replaced" in asked(desk, old, DAY).reason
    assert asked(desk, new, DAY).reason == f"{MIO} has no line of that name"


def test_a_line_serves_from_the_start_of_its_contract_to_its_end() -> None:
    """A4, D8: to the nanosecond, whether or not anybody has brought the book forward"""
    desk = Desk("2013-11-05")
    desk.do(do.Apply(FIRST), "2013-11-05")
    desk.do(named_line(1), "2013-11-05")
    answer = asked(desk, LINES[0], "2013-11-05")
    assert (answer.may_attach, answer.in_service) == (False, True)
    assert (answer.reason, answer.kind) == (f"contract {FIRST} has not started", "ended")
    desk.do(do.Start(FIRST), "2013-11-10 09:00:00")
    assert not asked(desk, LINES[0], f"2013-11-10 08:59:59{LAST_NS}").may_attach
    assert asked(desk, LINES[0], "2013-11-10 09:00:00").may_attach
    desk.do(do.Cancel(FIRST), "2013-11-11")
    assert asked(desk, NAMES[1], f"2013-12-31 23:59:59{LAST_NS}").may_attach
    gone = asked(desk, NAMES[1], "2014-01-01")
    assert gone == Admission(False, f"{MIO} has no line of that name", kind="unknown")
    assert asked(desk, LINES[0], "2014-01-01").reason == f"line {LINES[0]} is removed"


def test_a_line_waits_for_its_number() -> None:
    """A7"""
    desk = family(1)
    desk.do(named_line(2, port_in_issued_ns=at(DAY)), DAY)
    assert asked(desk, LINES[1], DAY).reason == f"line {LINES[1]} waits for its number"
    desk.do(do.CompletePortIn(LINES[1]), DAY)
    assert asked(desk, LINES[1], DAY).may_attach


def test_a_plan_is_seen_from_the_first_of_the_month_on() -> None:
    """A10"""
    desk = family(1)
    desk.do(do.ChangePlan(FIRST, "light-start"), DAY)
    assert asked(desk, LINES[0], f"2013-11-30 23:59:59{LAST_NS}").plan == "family-share"
    assert asked(desk, LINES[0], "2013-12-01").plan == "light-start"
    for when, plan in (
        (f"2013-11-30 23:59:59{LAST_NS}", "family-share"),
        ("2013-12-01", "light-start"),
    ):
        (contract,) = views.to_book([desk.account], at(when), SETTINGS).contracts
        assert contract.plan == plan


def test_the_example_file_goes_into_the_book_and_comes_out_again(project: Path) -> None:
    """A1, N6, S3, C7: an account each, and the same file out of them"""
    book = subscribers.load(project / "configs/subscribers/family.toml", SETTINGS)
    accounts = views.from_book(book, at(DAY), SETTINGS)
    assert [account.mio_id for account in accounts] == ["MA00000001", "MA00000002"]
    assert only(accounts[1]).lines[0].state == "suspended"
    assert [use.name for use in only(accounts[0]).options] == ["ipv6"]
    for account in accounts:
        assert documents.from_json(documents.to_json(account)) == account
    (one, two) = views.to_book(accounts, at(DAY), SETTINGS).contracts
    assert one.ipv6  # said now; the file's address implied it
    one = dataclasses.replace(one, ipv6=False)
    assert (one, dataclasses.replace(two, mio_id=None)) == book.contracts
    assert two.mio_id == "MA00000002"


def line(number: int, **fields: object) -> subscribers.Line:
    """A line of a file."""
    return subscribers.Line(f"hdo{number:08}", **fields)  # type: ignore[arg-type]


def contract(number: int, *lines: subscribers.Line, **fields: object) -> subscribers.Contract:
    """A contract of a file."""
    given: dict[str, object] = {
        "code": f"hdd{number:08}",
        "plan": "family-share",
        "started": datetime.date(2013, 11, 1),
        **fields,
    }
    return subscribers.Contract(lines=lines, **given)  # type: ignore[arg-type]


def test_contracts_of_one_mio_id_share_an_account_and_others_get_the_next() -> None:
    """A1, A9"""
    book = subscribers.Book(
        (
            contract(1, line(1)),
            contract(2, line(2), mio_id="MA00000005", started=datetime.date(2012, 2, 29)),
            contract(3),
            contract(4, mio_id="MA00000005"),
        )
    )
    known = Desk("2013-11-01").account
    accounts = views.from_book(
        book, at(DAY), SETTINGS, [dataclasses.replace(known, mio_id="MA00000007")]
    )
    assert [account.mio_id for account in accounts] == ["MA00000008", "MA00000005", "MA00000009"]
    shared = accounts[1]
    assert [one.code for one in shared.contracts] == ["hdd00000002", "hdd00000004"]
    assert shared.registered_ns == shared.completed_ns == at("2012-02-29")
    assert shared.changed_ns == at(DAY)
    assert views.to_book(accounts, at(DAY), SETTINGS).contracts[0].started == datetime.date(
        2013, 11, 1
    )


def test_a_contract_of_a_file_can_start_later() -> None:
    """A1, A4"""
    book = subscribers.Book((contract(1, line(1), started=datetime.date(2013, 12, 1)),))
    (account,) = views.from_book(book, at(DAY), SETTINGS)
    desk = family(1)
    desk.account = account
    assert not asked(desk, LINES[0], f"2013-11-30 23:59:59{LAST_NS}").may_attach
    assert asked(desk, LINES[0], "2013-12-01").may_attach
    (seen,) = views.to_book([account], at(DAY), SETTINGS).contracts
    assert seen == dataclasses.replace(book.contracts[0], mio_id=MIO)


@pytest.mark.parametrize(
    ("contracts", "words"),
    [
        ([contract(1, code="c1")], "c1 is no service code"),
        ([contract(1, subscribers.Line("l1"))], "l1 is no line code"),
        ([contract(1, mio_id="me")], "me is no mioID"),
        ([contract(1), contract(1)], "hdd00000001 is taken"),
        ([contract(1, line(1)), contract(2, line(1))], "hdo00000001 is taken"),
        ([contract(1, plan="giga")], "no plan is called giga"),
        ([contract(1, *(line(n) for n in range(4)))], "has 4 lines; plan family-share is for 3"),
        ([contract(n, mio_id=MIO) for n in range(11)], "has 10 contracts of mobile-d"),
        ([contract(1, started=datetime.date(2250, 1, 1))], "no time that the book can keep"),
    ],
)
def test_a_file_that_breaks_the_rules_is_refused(
    contracts: list[subscribers.Contract], words: str
) -> None:
    """A1, A2, L4, S5"""
    with pytest.raises(RefusedError, match=words):
        views.from_book(subscribers.Book(tuple(contracts)), at(DAY), SETTINGS)


def test_what_is_in_the_book_already_is_not_imported_again() -> None:
    """A1, G1"""
    book = subscribers.Book((contract(1, line(1), mio_id=MIO),))
    (account,) = views.from_book(book, at(DAY), SETTINGS)
    with pytest.raises(RefusedError, match="MA00000001 is in the book already"):
        views.from_book(book, at(DAY), SETTINGS, [account])
    for again in (contract(1), contract(2, line(1))):
        with pytest.raises(RefusedError, match="is taken; a code is never given twice"):
            views.from_book(subscribers.Book((again,)), at(DAY), SETTINGS, [account])
    with pytest.raises(RefusedError, match="no time that the book can keep"):
        views.from_book(book, -1, SETTINGS)


def test_ipv6_addresses_are_there_with_the_option_only() -> None:
    """O1, N2"""
    both = ("10.1.0.1", "2001:db8::/64")
    book = subscribers.Book((contract(1, line(1, addresses=both)),))
    (account,) = views.from_book(book, at(DAY), SETTINGS)
    desk = family(1)
    desk.account = account
    assert asked(desk, LINES[0], DAY).ipv6
    desk.do(do.CancelOption(FIRST, "ipv6"), DAY)
    for when, addresses in ((f"2013-11-30 23:59:59{LAST_NS}", both), ("2013-12-01", both[:1])):
        (seen,) = views.to_book([desk.account], at(when), SETTINGS).contracts
        assert seen.lines[0].addresses == addresses
    assert not asked(desk, LINES[0], "2013-12-01").ipv6
    ineligible = tuple(
        dataclasses.replace(option, services=("fiberaccess-f",)) for option in SETTINGS.options
    )
    settings: config.Settings = dataclasses.replace(SETTINGS, options=ineligible)
    with pytest.raises(RefusedError, match="option ipv6 is for contracts of fiberaccess-f"):
        views.from_book(book, at(DAY), settings)


def test_the_data_path_sees_only_what_is_in_use() -> None:
    """L1, L2, L4, A4, A7: ended contracts, removed lines and old cards are left out"""
    desk = family(3)
    desk.do(do.Suspend(LINES[0]), DAY)
    desk.do(do.ReplaceSim(LINES[1], "8981100000000000009"), DAY)
    desk.do(do.RemoveLine(LINES[2]), DAY)
    desk.do(named_line(4, port_in_issued_ns=at(DAY)), DAY)
    desk.do(do.Apply(SECOND), DAY)
    desk.do(do.Apply("hdd00000003", service="safety-mail"), DAY)
    desk.do(do.Start("hdd00000003"), DAY)
    (seen,) = views.to_book([desk.account], at(DAY), SETTINGS).contracts
    assert [(one.code, one.iccid, one.in_service) for one in seen.lines] == [
        (LINES[0], "8981100000000000001", False),
        (LINES[1], "8981100000000000009", True),
        (LINES[3], "8981100000000000004", False),
    ]
    assert (seen.code, seen.mio_id, seen.started) == (FIRST, MIO, datetime.date(2013, 11, 5))
    desk.do(do.Cancel(FIRST), DAY)
    end = at("2014-01-01")
    assert len(views.to_book([desk.account], end - 1, SETTINGS).contracts) == 1
    assert views.to_book([desk.account], end, SETTINGS) == subscribers.Book(())
