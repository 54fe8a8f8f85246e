"""The contract book: rescission within days of the document, and numbers that come and go."""

import pytest

from engine.subscribers import actions as do
from engine.subscribers.effects import (
    ContractEnded,
    LineAdded,
    LineRemoved,
    LineResumed,
    PortOutReserved,
    ReservationLapsed,
)
from tests.support.books import FIRST, LAST_NS, LINES, Desk, at, family, named_line


@pytest.mark.parametrize(
    ("document", "eighth", "ninth"),
    [
        ("2013-11-05 00:00:00", "2013-11-12", "2013-11-13"),
        (f"2013-11-05 23:59:59{LAST_NS}", "2013-11-12", "2013-11-13"),
        ("2012-02-22 10:00:00", "2012-02-29", "2012-03-01"),
        ("2013-02-22 10:00:00", "2013-03-01", "2013-03-02"),
        ("2013-12-25 10:00:00", "2014-01-01", "2014-01-02"),
    ],
)
def test_a_contract_can_be_rescinded_within_eight_days_of_its_document(
    document: str, eighth: str, ninth: str
) -> None:
    """A6: the document's day is the first; to the last instant of the eighth; it ends at once"""
    desk = family(2, when=document)
    words = f"within 8 days of the contract document, until 24:00 of {eighth} (A6)"
    desk.refuses(do.Rescind(FIRST), ninth, words)
    when = f"{eighth} 23:59:59{LAST_NS}"
    assert desk.do(do.Rescind(FIRST), when) == [
        LineRemoved(FIRST, LINES[0], at(when), "rescinded"),
        LineRemoved(FIRST, LINES[1], at(when), "rescinded"),
        ContractEnded(FIRST, at(when), "rescinded", started=True),
    ]
    assert desk.contract().ended_ns == at(when)


def test_the_documents_day_counts_and_not_that_of_the_start() -> None:
    """A6: and before the document has come, the days have not begun"""
    desk = Desk("2013-11-01")
    desk.do(do.Apply(FIRST), "2013-11-01")
    desk.do(do.SendDocument(FIRST), "2013-11-04")
    desk.refuses(do.SendDocument(FIRST), "2013-11-05", "has its document already")
    desk.do(do.Start(FIRST), "2013-11-10")
    desk.refuses(do.Rescind(FIRST), "2013-11-12", "until 24:00 of 2013-11-11")
    other = Desk("2013-11-01")
    other.do(do.Apply(FIRST), "2013-11-01")
    (ended,) = other.do(do.Rescind(FIRST), "2014-06-01")
    assert ended == ContractEnded(FIRST, at("2014-06-01"), "rescinded", started=False)


def test_rescission_is_for_cancelled_contracts_too_and_for_that_one_only() -> None:
    """A6, A8"""
    desk = family(1)
    desk.do(do.Apply("hdd00000002"), "2013-11-05 10:00:00")
    other = desk.contract("hdd00000002")
    desk.do(do.Cancel(FIRST), "2013-11-06")
    desk.do(do.Rescind(FIRST), "2013-11-07")
    assert desk.contract().state == "ended"
    assert desk.contract().cancellation is None
    assert desk.contract("hdd00000002") == other


@pytest.mark.parametrize(
    ("issued", "fifteenth", "sixteenth"),
    [
        ("2013-11-20 00:00:00", "2013-12-04", "2013-12-05"),
        (f"2013-11-20 23:59:59{LAST_NS}", "2013-12-04", "2013-12-05"),
        ("2012-02-15 12:00:00", "2012-02-29", "2012-03-01"),
        ("2013-12-20 12:00:00", "2014-01-03", "2014-01-04"),
    ],
)
def test_a_reservation_for_leaving_is_good_for_fifteen_days(
    issued: str, fifteenth: str, sixteenth: str
) -> None:
    """A7: the day of issue is the first; the line ends when the transfer completes, not before"""
    desk = family(2, when="2011-01-01")
    none = "has no reservation that is good; one is good for 15 days from its issue"
    desk.refuses(do.CompletePortOut(LINES[0]), issued, none)
    (told,) = desk.do(do.ReservePortOut(LINES[0]), issued)
    assert told == PortOutReserved(LINES[0], at(issued), at(sixteenth))
    again = f"has a reservation already, good until 24:00 of {fifteenth}"
    last = f"{fifteenth} 23:59:59{LAST_NS}"
    desk.refuses(do.ReservePortOut(LINES[0]), last, again)
    assert desk.line().state == "in-service"
    late = Desk("2011-01-01")
    late.account = desk.account
    why = "its number has gone elsewhere"
    assert desk.do(do.CompletePortOut(LINES[0]), last) == [
        LineRemoved(FIRST, LINES[0], at(last), why)
    ]
    assert desk.contract().state == "active"
    late.refuses(do.CompletePortOut(LINES[0]), sixteenth, none)
    assert late.forward(sixteenth) == [ReservationLapsed(LINES[0], at(sixteenth))]
    assert late.line().state == "in-service"
    late.do(do.ReservePortOut(LINES[0]), sixteenth)


def test_the_contract_ends_with_its_last_line_gone_elsewhere() -> None:
    """A7, A8: a line that is cancelled already holds it until its own end"""
    desk = family(2, when="2011-01-01")
    desk.do(do.CancelLine(LINES[1]), "2014-03-03")
    desk.do(do.ReservePortOut(LINES[0]), "2014-03-04")
    desk.do(do.CompletePortOut(LINES[0]), "2014-03-05")
    assert desk.contract().state == "active"
    why = "its last line has ended"
    assert desk.forward("2014-04-01") == [
        LineRemoved(FIRST, LINES[1], at("2014-04-01"), "cancelled"),
        ContractEnded(FIRST, at("2014-04-01"), why, started=True),
    ]
    single = family(1, when="2011-01-01")
    single.do(do.ReservePortOut(LINES[0]), "2014-03-04")
    assert single.do(do.CompletePortOut(LINES[0]), "2014-03-05")[-1] == ContractEnded(
        FIRST, at("2014-03-05"), why, started=True
    )


def test_a_line_without_a_number_cannot_take_it_anywhere() -> None:
    """A7"""
    desk = family(1)
    desk.do(do.AddLine(FIRST, LINES[1]), "2013-11-06")
    desk.refuses(do.ReservePortOut(LINES[1]), "2013-11-06", "has no telephone number")
    moving = do.AddLine(FIRST, LINES[2], port_in_issued_ns=at("2013-11-06"))
    desk.refuses(moving, "2013-11-06", "has no telephone number")


@pytest.mark.parametrize(
    ("issued", "last", "after"),
    [
        ("2013-11-10 00:00:00", "2013-11-18", "2013-11-19"),
        (f"2013-11-10 23:59:59{LAST_NS}", "2013-11-18", "2013-11-19"),
        ("2012-02-21 09:00:00", "2012-02-29", "2012-03-01"),
    ],
)
def test_coming_in_with_a_number_needs_seven_days_of_the_reservation(
    issued: str, last: str, after: str
) -> None:
    """A7: today included, seven of its fifteen days are left on the ninth"""
    desk = family(1, when="2011-01-01")
    moving = named_line(2, port_in_issued_ns=at(issued))
    words = "has 6 days left; coming in with a number needs 7 (A7)"
    desk.refuses(moving, after, words)
    desk.refuses(moving, "2010-12-31", "before what is there")
    desk.refuses(
        named_line(2, port_in_issued_ns=at(issued) + 1), issued, "is issued later than now"
    )
    desk.refuses(moving, "2014-12-01", "has 0 days left")
    when = f"{last} 23:59:59{LAST_NS}"
    assert desk.do(moving, when) == [LineAdded(FIRST, LINES[1], at(when))]
    assert desk.line(LINES[1]).state == "porting-in"
    desk.refuses(do.Suspend(LINES[1]), when, "is porting-in; suspend needs one that is in-service")
    assert desk.do(do.CompletePortIn(LINES[1]), when) == [LineResumed(LINES[1], at(when))]
    assert desk.line(LINES[1]).state == "in-service"
    desk.refuses(do.CompletePortIn(LINES[1]), when, "needs one that is porting-in")


def test_a_number_that_does_not_come_in_time_ends_its_line() -> None:
    """A7: good to the last instant of the fifteenth day"""
    desk = family(1)
    desk.do(named_line(2, port_in_issued_ns=at("2013-11-10 12:00:00")), "2013-11-11")
    assert desk.forward(f"2013-11-24 23:59:59{LAST_NS}") == []
    in_time = Desk("2013-11-05")
    in_time.account = desk.account
    in_time.do(do.CompletePortIn(LINES[1]), f"2013-11-24 23:59:59{LAST_NS}")
    assert desk.forward("2013-11-25") == [
        LineRemoved(FIRST, LINES[1], at("2013-11-25"), "its number did not come in time")
    ]
    desk.refuses(do.CompletePortIn(LINES[1]), "2013-11-25", "is removed; complete-port-in needs")
    assert desk.contract().state == "active"


def test_a_reservation_must_be_a_time_that_can_be_kept() -> None:
    """A7, B80"""
    desk = family(1)
    for wrong in (-1, 1 << 63, True, "2013-11-05"):
        words = "add-line: port_in_issued_ns: "
        desk.refuses(named_line(2, port_in_issued_ns=wrong), "2013-11-06", words)
