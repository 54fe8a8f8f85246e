"""The contract book: lines added and removed, suspended, lost, and their cards replaced."""

import pytest

from engine.subscribers import actions as do
from engine.subscribers import documents
from engine.subscribers.account import RefusedCard
from engine.subscribers.effects import (
    LineAdded,
    LineRemoved,
    LineResumed,
    LineSuspended,
    SimReplaced,
)
from tests.support.books import FIRST, LINES, Desk, at, family, named_line

OLD, NEW = "8981100000000000001", "8981100000000000009"
DAY = "2013-11-06 12:00:00"


def test_a_line_is_known_by_its_names() -> None:
    """N6, A1"""
    desk = family(0)
    told = desk.do(named_line(1, addresses=("10.1.0.1", "2001:DB8::/64")), DAY)
    assert told == [LineAdded(FIRST, LINES[0], at(DAY))]
    line = desk.line()
    assert (line.imsi, line.msisdn, line.iccid) == ("440100000000001", "819000000001", OLD)
    assert line.addresses == ("10.1.0.1", "2001:db8::/64")
    named = {("line", LINES[0]), ("imsi", line.imsi), ("msisdn", line.msisdn), ("iccid", OLD)}
    assert named < set(documents.names(desk.account))


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("imsi", "4401", 'imsi: "4401" is not allowed; allowed: 5 to 15 digits, in quotes (N6)'),
        ("imsi", "4" * 16, "5 to 15 digits"),
        ("msisdn", "+819000000001", "5 to 15 digits"),
        ("iccid", "89811000000000000x1", "10 to 22 digits"),
        ("iccid", "٨" * 19, "10 to 22 digits"),
        ("addresses", ("10.1.0.0/24",), "allowed: one address (N2)"),
        ("addresses", ("x",), "is no address"),
        ("form", "huge", 'allowed: "standard" or "micro" or "nano" (L2)'),
        ("voice", 1, "allowed: true or false"),
        ("line", "hdo1", "is no line code"),
        ("line", LINES[0], "is taken; a code is never given twice"),
        ("imsi", "440100000000001", f"IMSI 440100000000001 is that of line {LINES[0]} (N6)"),
        ("msisdn", "819000000001", "telephone number 819000000001 is that of line"),
        ("iccid", OLD, f"ICCID {OLD} is that of line"),
    ],
)
def test_a_line_with_a_wrong_or_taken_name_is_refused(
    field: str, value: object, words: str
) -> None:
    """N6, A1, N2, B77"""
    desk = family(1)
    fields = {"contract": FIRST, "line": LINES[1], field: value}
    desk.refuses(do.AddLine(**fields), DAY, words)  # type: ignore[arg-type]


def test_a_removed_line_is_gone_at_once_with_its_names() -> None:
    """L4, N6: its code stays taken"""
    desk = family(2)
    assert desk.do(do.RemoveLine(LINES[0]), DAY) == [
        LineRemoved(FIRST, LINES[0], at(DAY), "removed")
    ]
    names = documents.names(desk.account)
    assert ("line", LINES[0]) in names
    gone = {("imsi", "440100000000001"), ("msisdn", "819000000001"), ("iccid", OLD)}
    assert not gone & set(names)
    desk.refuses(do.RemoveLine(LINES[0]), DAY, "is removed; remove-line needs one that is")
    desk.refuses(do.AddLine(FIRST, LINES[0]), DAY, "is taken; a code is never given twice")
    desk.do(do.AddLine(FIRST, LINES[2], "440100000000001", "819000000001", OLD), DAY)
    assert desk.line(LINES[2]).imsi == "440100000000001"


def test_a_line_is_suspended_and_resumed_at_any_time() -> None:
    """L1: the contract goes on"""
    desk = family(2)
    other = desk.line(LINES[1])
    for _ in range(2):
        assert desk.do(do.Suspend(LINES[0]), DAY) == [LineSuspended(LINES[0], at(DAY))]
        assert (desk.line().state, desk.contract().state) == ("suspended", "active")
        words = "is suspended; suspend needs one that is in-service (L1)"
        desk.refuses(do.Suspend(LINES[0]), DAY, words)
        assert desk.do(do.Resume(LINES[0]), DAY) == [LineResumed(LINES[0], at(DAY))]
        assert desk.line().state == "in-service"
        words = "is in-service; resume needs one that is suspended (L1)"
        desk.refuses(do.Resume(LINES[0]), DAY, words)
    assert desk.line(LINES[1]) == other


def test_a_new_card_keeps_number_and_balance_and_refuses_the_old_one() -> None:
    """L2: defect, loss, or another form"""
    desk = family(1)
    before = desk.line()
    told = desk.do(do.ReplaceSim(LINES[0], NEW, form="nano"), DAY)
    assert told == [SimReplaced(LINES[0], OLD, NEW, at(DAY))]
    line = desk.line()
    assert (line.iccid, line.form, line.state) == (NEW, "nano", "in-service")
    assert (line.code, line.imsi, line.msisdn) == (before.code, before.imsi, before.msisdn)
    assert (line.balance_bytes, line.added_ns) == (before.balance_bytes, before.added_ns)
    assert line.refused == (RefusedCard(at(DAY), lost=False, iccid=OLD, imsi=None),)
    names = documents.names(desk.account)
    assert ("iccid", OLD) in names
    assert ("iccid", NEW) in names


def test_a_card_that_was_replaced_never_comes_back() -> None:
    """L2, L3: neither to its line nor to another, nor after the line is removed"""
    desk = family(2)
    desk.do(do.ReplaceSim(LINES[0], NEW), DAY)
    words = f"card {OLD} was replaced, and stays refused (L3)"
    desk.refuses(do.ReplaceSim(LINES[0], OLD), DAY, words)
    desk.refuses(do.ReplaceSim(LINES[1], OLD), DAY, words)
    desk.refuses(do.AddLine(FIRST, LINES[2], iccid=OLD), DAY, words)
    desk.refuses(do.ReplaceSim(LINES[0], NEW), DAY, f"has the card {NEW} already")
    taken = f"ICCID 8981100000000000002 is that of line {LINES[1]}"
    desk.refuses(do.ReplaceSim(LINES[0], "8981100000000000002"), DAY, taken)
    desk.do(do.RemoveLine(LINES[0]), DAY)
    desk.refuses(do.AddLine(FIRST, LINES[2], iccid=OLD), DAY, words)
    assert ("iccid", OLD) in documents.names(desk.account)
    assert ("iccid", NEW) not in documents.names(desk.account)


def test_a_new_card_with_another_imsi_refuses_the_old_imsi_too() -> None:
    """L2, N6"""
    desk = family(1)
    desk.do(do.ReplaceSim(LINES[0], NEW, imsi="440100000000077"), DAY)
    assert desk.line().imsi == "440100000000077"
    assert desk.line().refused == (
        RefusedCard(at(DAY), lost=False, iccid=OLD, imsi="440100000000001"),
    )
    words = "card 440100000000001 was replaced, and stays refused"
    desk.refuses(do.AddLine(FIRST, LINES[1], imsi="440100000000001"), DAY, words)
    # The same IMSI said again is no other one.
    desk.do(do.ReplaceSim(LINES[0], "8981100000000000008", imsi="440100000000077"), DAY)
    assert desk.line().refused[1].imsi is None


def test_a_line_whose_card_was_not_known_gets_one() -> None:
    """L2"""
    desk = family(0)
    desk.do(do.AddLine(FIRST, LINES[0]), DAY)
    assert desk.do(do.ReplaceSim(LINES[0], NEW), DAY) == [SimReplaced(LINES[0], None, NEW, at(DAY))]
    assert desk.line().refused == ()


def test_a_lost_card_stays_refused_when_it_is_found() -> None:
    """L3: only a new card puts the line into service again"""
    desk = family(1)
    assert desk.do(do.ReportLost(LINES[0]), DAY) == [LineSuspended(LINES[0], at(DAY))]
    assert desk.line().state == "lost"
    words = "a card that was reported lost stays refused, found or not; replace it (L3)"
    desk.refuses(do.Resume(LINES[0]), DAY, words)
    desk.refuses(do.ReportLost(LINES[0]), DAY, words)
    assert desk.do(do.ReplaceSim(LINES[0], NEW), DAY) == [
        SimReplaced(LINES[0], OLD, NEW, at(DAY)),
        LineResumed(LINES[0], at(DAY)),
    ]
    assert desk.line().state == "in-service"
    assert desk.line().refused == (RefusedCard(at(DAY), lost=True, iccid=OLD, imsi=None),)
    desk.refuses(do.ReplaceSim(LINES[0], OLD), DAY, "was replaced, and stays refused")


def test_a_line_suspended_before_its_card_was_lost_or_changed() -> None:
    """L1, L2, L3: suspended it stays where the card changes its form; lost, the operator resumes it"""
    desk = family(1)
    desk.do(do.Suspend(LINES[0]), DAY)
    desk.do(do.ReplaceSim(LINES[0], NEW, form="micro"), DAY)
    assert desk.line().state == "suspended"
    assert desk.do(do.ReportLost(LINES[0]), DAY) == []
    desk.do(do.ReplaceSim(LINES[0], "8981100000000000008"), DAY)
    assert desk.line().state == "in-service"


def test_a_line_that_is_lost_can_end() -> None:
    """L3, L4, A8"""
    desk = family(2)
    desk.do(do.ReportLost(LINES[0]), DAY)
    desk.do(do.RemoveLine(LINES[0]), DAY)
    assert desk.line().state == "removed"
    desk.refuses(do.ReplaceSim(LINES[0], NEW), DAY, "is removed; replace-sim needs one that is")


def test_names_are_looked_for_in_all_contracts_of_the_account() -> None:
    """N6"""
    desk = Desk("2013-11-05")
    for code in (FIRST, "hdd00000002"):
        desk.do(do.Apply(code), "2013-11-05")
    desk.do(named_line(1), "2013-11-05")
    other = do.AddLine("hdd00000002", LINES[1], imsi="440100000000001")
    desk.refuses(other, "2013-11-05", "is that of line hdo00000001")
