"""The contract book: codes, application, limits of a mioID, and its lapse."""

import dataclasses

import pytest

from engine.errors import RefusedError
from engine.subscribers import actions as do
from engine.subscribers import book, codes
from engine.subscribers.effects import AccountLapsed, AccountOpened, ContractAdded, ContractEnded
from tests.support.books import FIRST, LAST_NS, MIO, SECOND, SETTINGS, Desk, at, family, named_line


@pytest.mark.parametrize(
    ("kind", "code"),
    [(codes.MIO, "MAab12CD34"), (codes.CONTRACT, "hdd0000000A"), (codes.LINE, "hdo99999999")],
)
def test_a_code_is_its_prefix_and_eight_letters_or_digits(kind: codes.Kind, code: str) -> None:
    """A1"""
    assert codes.check(kind, code) == code
    for wrong in (
        code[:-1],
        code + "0",
        code.lower() if kind == codes.MIO else code.upper(),
        code[:-1] + "-",
        code[:-1] + "٣",
        code + "\n",
        "",
        "x" * 10_000,
    ):
        with pytest.raises(RefusedError, match="8 letters or digits") as caught:
            codes.check(kind, wrong)
        assert len(str(caught.value)) < 300
        assert str(caught.value).isascii()


def test_the_next_code_follows_the_greatest_number_and_is_never_one_that_was_given() -> None:
    """A1"""
    assert codes.next_code(codes.CONTRACT, []) == "hdd00000001"
    taken = {"hdd00000007", "hdo00000009", "hddABCDEFGH", "hdd0000012X"}
    assert codes.next_code(codes.CONTRACT, taken) == "hdd00000008"
    assert codes.next_code(codes.MIO, taken) == "MA00000001"
    with pytest.raises(RefusedError, match="no line code is left"):
        codes.next_code(codes.LINE, ["hdo99999999"])
    desk = family()
    desk.do(do.RemoveLine("hdo00000002"), "2013-11-06")
    assert codes.next_code(codes.LINE, codes.used(codes.LINE, [desk.account])) == "hdo00000003"
    assert codes.used(codes.MIO, [desk.account]) == {MIO}


def test_an_account_is_opened_under_a_mio_id() -> None:
    """A1"""
    outcome = book.open_account(MIO, at("2013-11-01"), "vault:1", "vault:2")
    assert outcome.effects == (AccountOpened(MIO, at("2013-11-01")),)
    assert (outcome.account.password, outcome.account.address) == ("vault:1", "vault:2")
    assert outcome.account.contracts == ()
    with pytest.raises(RefusedError, match="no mioID"):
        book.open_account("MB00000001", 0)
    with pytest.raises(RefusedError, match="change-details: password: "):
        book.open_account(MIO, 0, "")


@pytest.mark.parametrize("at_ns", [-1, 1 << 63, 7_400_000_000 * 10**9])
def test_a_time_that_cannot_be_kept_is_refused(at_ns: int) -> None:
    """U2, A1"""
    with pytest.raises(RefusedError, match="no time that the book can keep"):
        book.open_account(MIO, at_ns)
    account, _ = book.open_account(MIO, 0)
    with pytest.raises(RefusedError, match="no time that the book can keep"):
        book.perform(account, do.Apply(FIRST), at_ns, SETTINGS)


def test_nothing_is_entered_before_what_is_there() -> None:
    """U2: an account's time never goes back"""
    desk = Desk("2013-11-02 10:00:00")
    desk.refuses(do.Apply(FIRST), f"2013-11-02 09:59:59{LAST_NS}", "before what is there (U2)")
    desk.do(do.Apply(FIRST), "2013-11-02 10:00:00")


def test_an_application_is_for_a_service_and_a_plan_that_exist() -> None:
    """A1, S5"""
    desk = Desk("2013-11-01")
    assert desk.do(do.Apply(FIRST), "2013-11-01") == [ContractAdded(FIRST, at("2013-11-01"))]
    assert (desk.contract().service, desk.contract().plan) == ("mobile-d", "light-start")
    assert desk.contract().state == "applied"
    for action, words in (
        (do.Apply("hdd1"), "hdd1 is no service code; one is hdd and 8 letters"),
        (do.Apply(FIRST), "hdd00000001 is taken"),
        (do.Apply(SECOND, plan="giga"), "no plan is called giga; allowed: minimum-start,"),
        (do.Apply(SECOND, plan=""), "no plan is called"),
        (do.Apply(SECOND, service=""), "no service is called"),
        (do.Apply(SECOND, service="fax"), "no service is called fax; allowed: mobile-d,"),
        (do.Apply(SECOND, service="safety-mail", plan="light-start"), "neither plans nor lines"),
    ):
        desk.refuses(action, "2013-11-01", words)
    desk.do(do.Apply(SECOND, service="safety-mail"), "2013-11-01")
    mail = desk.contract(SECOND)
    assert mail.plan is None
    assert [option.name for option in mail.options] == ["mail-virus-protection"]
    desk.refuses(do.AddLine(SECOND, "hdo00000001"), "2013-11-01", "neither plans nor lines")
    desk.do(do.Start(SECOND), "2013-11-01")
    desk.refuses(do.ChangePlan(SECOND, "light-start"), "2013-11-01", "neither plans nor lines")
    bare = dataclasses.replace(SETTINGS, services=())
    with pytest.raises(RefusedError, match="allowed: none"):
        book.perform(desk.account, do.Apply("hdd00000003"), at("2013-11-01"), bare)


def test_a_mio_id_has_at_most_ten_contracts_of_one_service() -> None:
    """A2: the eleventh is refused; an ended one does not count, nor one of another service"""
    desk = Desk("2013-11-01")
    for number in range(1, 11):
        desk.do(do.Apply(f"hdd{number:08}"), "2013-11-01")
    eleventh = do.Apply("hdd00000011")
    desk.refuses(eleventh, "2013-11-01", "has 10 contracts of mobile-d; one mioID may have no more")
    desk.do(do.Apply("hdd00000012", service="safety-mail"), "2013-11-01")
    desk.do(do.Rescind("hdd00000003"), "2013-11-01")
    desk.do(eleventh, "2013-11-01")


def test_a_mio_id_has_at_most_five_voice_lines_over_all() -> None:
    """A2"""
    desk = Desk("2013-11-01")
    for number in (1, 2, 3):
        desk.do(do.Apply(f"hdd{number:08}", plan="family-share"), "2013-11-01")
    for number in range(5):
        contract = f"hdd{number // 3 + 1:08}"
        desk.do(do.AddLine(contract, f"hdo{number:08}", voice=True), "2013-11-01")
    sixth = do.AddLine("hdd00000003", "hdo00000005", voice=True)
    desk.refuses(sixth, "2013-11-01", "has 5 voice lines; one mioID may have no more (A2)")
    desk.do(dataclasses.replace(sixth, voice=False), "2013-11-01")
    desk.do(do.RemoveLine("hdo00000000"), "2013-11-01")
    desk.do(do.AddLine("hdd00000003", "hdo00000006", voice=True), "2013-11-01")


@pytest.mark.parametrize(
    ("registered", "last"),
    [
        ("2013-11-05 00:00:00", "2013-12-05"),
        (f"2013-11-05 23:59:59{LAST_NS}", "2013-12-05"),
        ("2013-12-31 12:00:00", "2014-01-31"),
        ("2014-01-31 12:00:00", "2014-02-28"),
        ("2012-01-31 12:00:00", "2012-02-29"),
        ("2012-02-29 12:00:00", "2012-03-29"),
        ("2013-03-31 12:00:00", "2013-04-30"),
    ],
)
def test_an_application_that_is_not_completed_lapses_after_a_month(
    registered: str, last: str
) -> None:
    """A3: good to the last instant of the same day a month later, or of that month's last day"""
    desk = Desk(registered)
    desk.do(do.Apply(FIRST, plan="family-share", completed=False), registered)
    desk.do(named_line(1), registered)
    desk.refuses(do.Start(FIRST), registered, "is not complete; use begins after that")
    assert desk.forward(f"{last} 23:59:59{LAST_NS}") == []
    late = Desk(registered)
    late.account = desk.account
    desk.do(do.Complete(), f"{last} 23:59:59{LAST_NS}")
    end_ns = at(f"{last} 23:59:59{LAST_NS}") + 1
    outcome = book.advance(late.account, end_ns, SETTINGS)
    why = "the application was not completed in time"
    assert outcome.effects[-2:] == (
        ContractEnded(FIRST, end_ns, why, started=False),
        AccountLapsed(MIO, end_ns),
    )
    assert outcome.account.lapsed_ns == end_ns
    with pytest.raises(RefusedError, match="has lapsed and is good for nothing more"):
        book.perform(late.account, do.Complete(), end_ns, SETTINGS)
    assert desk.forward("2100-01-01") == []


def test_an_application_is_completed_once_and_not_without_a_contract() -> None:
    """A3"""
    desk = Desk("2013-11-01")
    desk.refuses(do.Complete(), "2013-11-01", "has applied for nothing")
    desk.do(do.Apply(FIRST, completed=False), "2013-11-01")
    desk.do(do.Complete(), "2013-11-02")
    desk.refuses(do.Complete(), "2013-11-03", "is complete already")
    assert desk.account.completed_ns == at("2013-11-02")
    desk.do(do.Apply(SECOND), "2013-11-04")
    assert desk.account.completed_ns == at("2013-11-02")
    assert desk.forward("2014-11-01") == []


@pytest.mark.parametrize(
    ("cancelled", "last"),
    [
        ("2014-03-10", "2014-06-30"),
        ("2013-11-10", "2014-02-28"),
        ("2011-11-10", "2012-02-29"),
        ("2013-12-10", "2014-03-31"),
    ],
)
def test_a_mio_id_without_a_contract_lapses_three_months_after_the_last_ended(
    cancelled: str, last: str
) -> None:
    """A3, A4"""
    desk = family(1, when="2010-01-01")
    desk.do(do.Apply(SECOND), "2010-01-02")
    desk.do(do.Rescind(SECOND), "2010-01-03")
    desk.do(do.Cancel(FIRST), cancelled)
    effects = desk.forward(f"{last} 23:59:59{LAST_NS}")
    assert not any(isinstance(effect, AccountLapsed) for effect in effects)
    desk.refuses(do.Start(FIRST), f"{last} 23:59:59{LAST_NS}", "is ended; start needs one that is")
    (lapsed,) = book.advance(desk.account, at(f"{last} 23:59:59{LAST_NS}") + 1, SETTINGS).effects
    assert lapsed == AccountLapsed(MIO, at(f"{last} 23:59:59{LAST_NS}") + 1)
    # A new contract before that keeps the mioID.
    desk.do(do.Apply("hdd00000003"), f"{last} 23:59:59{LAST_NS}")
    assert desk.forward("2100-01-01") == []


def test_a_contract_that_ends_in_mid_month_counts_from_its_own_day() -> None:
    """A3, A6"""
    desk = family(1, when="2013-11-05 10:00:00")
    desk.do(do.Rescind(FIRST), "2013-11-07 10:00:00")
    assert desk.forward(f"2014-02-07 23:59:59{LAST_NS}") == []
    assert desk.forward("2014-02-08") == [AccountLapsed(MIO, at("2014-02-08"))]
    assert desk.forward("2014-03-08") == []


def test_details_are_kept_as_references() -> None:
    """A1"""
    desk = family(1)
    assert desk.do(do.ChangeDetails(password="vault:9"), "2013-11-06") == []
    desk.do(do.ChangeDetails(address="crm:4"), "2013-11-06")
    assert (desk.account.password, desk.account.address) == ("vault:9", "crm:4")
    desk.refuses(do.ChangeDetails(), "2013-11-06", "neither a password nor an address")
    desk.refuses(do.ChangeDetails(address="x" * 257), "2013-11-06", "change-details: address: ")


def test_unknown_contracts_and_lines_are_refused_whatever_they_are_called() -> None:
    """A1, B77"""
    desk = family(1)
    for name in ("hdd00000009", "'; DROP TABLE--", "x" * 10_000, "a\0b", "\u202eab", "é"):
        desk.refuses(do.Cancel(name), "2013-11-06", f"{MIO} has no contract ")
        desk.refuses(do.Suspend(name), "2013-11-06", f"{MIO} has no line ")


def test_an_action_is_told_in_one_line_without_secrets() -> None:
    """A1"""
    assert do.describe(do.Apply(FIRST, plan="light-start")) == f"contract={FIRST} plan=light-start"
    assert do.describe(do.Complete()) == ""
    assert do.describe(do.ChangeDetails(password="secret")) == "password=..."
    line = do.AddLine(FIRST, "hdo00000001", voice=True, addresses=("10.0.0.1", "10.0.0.2"))
    assert do.describe(line) == (
        f"contract={FIRST} line=hdo00000001 voice=True addresses=10.0.0.1,10.0.0.2"
    )
    assert list(do.ACTIONS.values()) == [*book.OF_ACCOUNT, *book.OF_CONTRACT, *book.OF_LINE]
