"""The contract book: the move of IIJ4U contracts, and the freeze before it."""

import dataclasses
import datetime
from pathlib import Path

import pytest

from engine import config
from engine.errors import ConfigError, RefusedError
from engine.subscribers import actions as do
from engine.subscribers import book, documents, migration
from engine.subscribers.account import Account, OptionUse
from engine.subscribers.effects import (
    AccountOpened,
    ContractAdded,
    ContractEnded,
    ContractStarted,
    Fee,
    OptionAdded,
)
from engine.subscribers.migration import Customer, LegacyContract, LegacyOption, migrate
from tests.support.books import FIRST, LAST_NS, MIO, SECOND, SETTINGS, at, family, only

MOVED = "2016-04-01"
BEFORE_FREEZE = f"2016-03-27 23:59:59{LAST_NS}"
BEFORE_MOVE = f"2016-03-31 23:59:59{LAST_NS}"
OLD = datetime.date(2003, 5, 20)
YOUNG = datetime.date(2010, 1, 31)

TEXT = """
[[customer]]
name = "u1"
  [[customer.contract]]
  code = "iij4u-1"
  started = 2010-01-31
  password = "vault:young"
  address = "crm:young"
    [[customer.contract.option]]
    name = "mail-basic"
  [[customer.contract]]
  code = "iij4u-2"
  started = 2003-05-20
  password = "vault:old"
  address = "crm:old"
    [[customer.contract.option]]
    name = "mail-basic"
    [[customer.contract.option]]
    name = "mail-extra"
    quantity = 2
    [[customer.contract.option]]
    name = "flets-hikari"
    price_yen_per_month = 1500
"""


def customer(*options: str, name: str = "u1", mio_id: str | None = None) -> Customer:
    """A customer with one contract and these options."""
    items = tuple(LegacyOption(option) for option in options)
    contract = LegacyContract(f"iij4u-{name}", OLD, "vault:1", "crm:1", items)
    return Customer(name, (contract,), mio_id)


def moved(customers: list[Customer], *accounts: Account) -> list[book.Outcome]:
    """Move them at the first instant at which it can be done."""
    return migrate(customers, accounts, at(MOVED), SETTINGS)


def test_nothing_of_iij4u_can_be_changed_during_the_freeze() -> None:
    """A9: from 00:00:00 of 28 March on, until the move"""
    who = customer("mail-basic", "dial-up")
    for when in ("2016-03-28", "2016-03-30 12:00:00", BEFORE_MOVE):
        words = "u1: nothing can be changed from 00:00 of 2016-03-28 until the move on 2016-04-01"
        with pytest.raises(RefusedError, match=words):
            migration.end_option(who, "iij4u-u1", "dial-up", at(when), SETTINGS)
        with pytest.raises(RefusedError, match=words):
            migration.change_details(who, "iij4u-u1", at(when), SETTINGS, password="vault:2")
    for when in (BEFORE_FREEZE, MOVED):
        less = migration.end_option(who, "iij4u-u1", "dial-up", at(when), SETTINGS)
        assert less == customer("mail-basic")
        other = migration.change_details(who, "iij4u-u1", at(when), SETTINGS, password="vault:2")
        assert other.contracts[0].password == "vault:2"
        other = migration.change_details(other, "iij4u-u1", at(when), SETTINGS, address="crm:2")
        assert (other.contracts[0].password, other.contracts[0].address) == ("vault:2", "crm:2")


def test_what_is_not_there_cannot_be_ended() -> None:
    """A9"""
    who = customer("mail-basic")
    with pytest.raises(RefusedError, match="u1 has no contract x"):
        migration.end_option(who, "x", "mail-basic", at(MOVED), SETTINGS)
    with pytest.raises(RefusedError, match="u1 has no option fax"):
        migration.end_option(who, "iij4u-u1", "fax", at(MOVED), SETTINGS)


def test_contracts_move_on_one_date_and_not_before() -> None:
    """A9"""
    with pytest.raises(RefusedError, match="are moved on 2016-04-01, not before"):
        migrate([customer("mail-basic")], [], at(BEFORE_MOVE), SETTINGS)
    assert len(moved([customer("mail-basic")])) == 1


def test_an_option_that_does_not_migrate_must_be_ended_before() -> None:
    """A9, O3: then nothing at all has moved"""
    who = customer("mail-basic", "ipv6")
    for blocked in (who, customer("dial-up")):
        with pytest.raises(RefusedError, match="does not migrate; it must be ended before"):
            moved([customer("mail-basic", name="u0"), blocked])
    ready = migration.end_option(who, "iij4u-u1", "ipv6", at(BEFORE_FREEZE), SETTINGS)
    assert len(moved([ready])) == 1


def test_a_customer_without_a_mio_id_gets_one_with_the_details_of_the_oldest_contract(
    tmp_path: Path,
) -> None:
    """A9, O3: several contracts end in one mioID, each service with a code of its own"""
    path = tmp_path / "iij4u.toml"
    path.write_text(TEXT)
    family_account = family(1).account
    (outcome,) = moved(list(migration.load(path)), family_account)
    account = outcome.account
    assert account.mio_id == "MA00000002"
    assert (account.password, account.address) == ("vault:old", "crm:old")
    assert account.migrated == ("iij4u-1", "iij4u-2")
    now, started = at(MOVED), at("2003-05-20")
    virus = OptionUse("mail-virus-protection", 1, now, now, 0)
    assert [(c.code, c.service, c.started_ns, c.options) for c in account.contracts] == [
        (
            "hdd00000002",
            "safety-mail",
            at("2010-01-31"),
            (OptionUse("mail-basic", 1, now, now, 324), virus),
        ),
        (
            "hdd00000003",
            "safety-mail",
            started,
            (
                OptionUse("mail-basic", 1, now, now, 324),
                OptionUse("mail-extra", 2, now, now, 324),
                virus,
            ),
        ),
        (
            "hdd00000004",
            "fiberaccess-df",
            started,
            (OptionUse("flets-hikari", 1, now, now, 1_500),),
        ),
    ]
    assert outcome.effects[0] == AccountOpened("MA00000002", now)
    assert outcome.effects[-3:] == (
        ContractAdded("hdd00000004", now),
        ContractStarted("hdd00000004", None, now),
        OptionAdded("hdd00000004", "flets-hikari", now, (Fee("monthly", 1_500, now),)),
    )
    assert documents.from_json(documents.to_json(account)) == account
    # Neither rescinded nor within a minimum term: use began long ago.
    desk = family(1)
    desk.account = account
    desk.refuses(do.Rescind("hdd00000004"), MOVED, "within 8 days")
    desk.do(do.Cancel("hdd00000004"), MOVED)
    (ended,) = desk.forward("2016-05-01")
    assert ended == ContractEnded("hdd00000004", at("2016-05-01"), "cancelled", started=True)


def test_a_customer_with_a_mio_id_keeps_its_details_and_gets_the_contracts() -> None:
    """A9"""
    desk = family(1)
    desk.do(do.ChangeDetails(password="vault:mine"), "2013-11-06")
    desk.do(do.Cancel(FIRST), "2016-03-10")
    (outcome,) = moved([customer("mail-basic", mio_id=MIO)], desk.account)
    account = outcome.account
    assert (account.mio_id, account.password, account.address) == (MIO, "vault:mine", None)
    assert [contract.code for contract in account.contracts] == [FIRST, SECOND]
    assert account.contracts[0].state == "ended"
    assert isinstance(outcome.effects[1], ContractEnded)
    assert not any(isinstance(effect, AccountOpened) for effect in outcome.effects)


def test_an_application_that_was_not_complete_is_so_with_moved_contracts() -> None:
    """A9, A3"""
    account, _ = book.open_account(MIO, at("2016-03-20"))
    (outcome,) = moved([customer("flets-adsl", mio_id=MIO)], account)
    assert outcome.account.completed_ns == at(MOVED)
    assert only(outcome.account).options[0].price_yen_per_month is None
    assert book.advance(outcome.account, at("2020-01-01"), SETTINGS).effects == ()


def test_what_was_moved_is_not_moved_again() -> None:
    """A9, G1: whatever is repeated, in one file or in two"""
    who = customer("mail-basic")
    (outcome,) = moved([who])
    with pytest.raises(RefusedError, match="iij4u-u1 has been moved already, to MA00000001"):
        moved([who], outcome.account)
    with pytest.raises(RefusedError, match="has been moved already"):
        moved([who, who])


def test_a_mio_id_that_cannot_take_them_is_refused() -> None:
    """A9, A3, U2"""
    who = customer("mail-basic", mio_id=MIO)
    with pytest.raises(RefusedError, match="the book has no MA00000001"):
        moved([who])
    lapsed, _ = book.open_account(MIO, at("2016-02-01"))
    with pytest.raises(RefusedError, match="has lapsed"):
        moved([who], lapsed)
    later = family(1, when="2016-05-01").account
    with pytest.raises(RefusedError, match="before what is there"):
        moved([who], later)
    with pytest.raises(RefusedError, match="no time that the book can keep"):
        migrate([who], [later], 1 << 63, SETTINGS)


def test_new_codes_follow_those_that_are_given_and_those_of_the_file() -> None:
    """A9, A1, A2"""
    others = [customer("mail-basic", name=f"u{number}") for number in range(3)]
    named = family(1)
    fourth = customer("mail-basic", name="u9", mio_id=MIO)
    outcomes = moved([*others, fourth], named.account)
    assert [outcome.account.mio_id for outcome in outcomes] == [
        "MA00000002",
        "MA00000003",
        "MA00000004",
        MIO,
    ]
    codes = [outcome.account.contracts[-1].code for outcome in outcomes]
    assert codes == ["hdd00000002", "hdd00000003", "hdd00000004", "hdd00000005"]
    contracts = tuple(
        LegacyContract(f"c{number}", OLD, options=(LegacyOption("mail-basic"),))
        for number in range(11)
    )
    with pytest.raises(RefusedError, match="has 10 contracts of safety-mail"):
        moved([Customer("many", contracts)])


def test_a_contract_without_options_leaves_an_account_that_lapses_in_time() -> None:
    """A9, A3"""
    (outcome,) = moved([customer()])
    assert outcome.account.contracts == ()
    assert book.advance(outcome.account, at("2016-07-01"), SETTINGS).effects == ()
    assert book.advance(outcome.account, at("2016-07-02"), SETTINGS).account.lapsed_ns == at(
        "2016-07-02"
    )


def test_the_dates_are_settings_and_an_included_option_is_not_there_twice() -> None:
    """A9, O3"""
    dates = config.Migration(datetime.date(2020, 2, 28), datetime.date(2020, 2, 29))
    settings = dataclasses.replace(SETTINGS, migration=dates)
    who = customer("mail-virus-protection")
    with pytest.raises(RefusedError, match="moved on 2020-02-29"):
        migrate([who], [], at("2020-02-29") - 1, settings)
    (outcome,) = migrate([who], [], at("2020-02-29"), settings)
    assert [use.name for use in only(outcome.account).options] == ["mail-virus-protection"]


def test_a_start_that_cannot_be_kept_is_refused() -> None:
    """A9, U2"""
    contract = LegacyContract("c", datetime.date(2250, 1, 1), options=(LegacyOption("mail-basic"),))
    with pytest.raises(RefusedError, match="no time that the book can keep"):
        moved([Customer("u1", (contract,))])


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("customer = 1", "1:12: customer: 1 is not allowed; allowed: a list of: a table with name"),
        (
            "[[customer]]\nname = 'a'\n",
            "1:3: customer[0].contract: is missing; allowed: a list, at",
        ),
        ("[[customer]\n", "1:11: not TOML: "),
        (
            TEXT.replace("iij4u-2", "iij4u-1"),
            '12:10: customer[0].contract[1].code: contract "iij4u',
        ),
        (TEXT.replace("2003-05-20", "1969-05-20"), "13:13: customer[0].contract[1].started: 1969"),
        (TEXT.replace('"u1"', '"u1"\nmio_id = "MB1"'), '4:10: customer[0].mio_id: "MB1" is not'),
        (TEXT.replace("quantity = 2", "quantity = 0"), "20:16: customer[0].contract[1].option[1]."),
    ],
)
def test_a_wrong_customer_file_says_where(tmp_path: Path, text: str, fault: str) -> None:
    """B79, A9"""
    (said,) = migration.check(text, "f")
    assert str(said).startswith(f"f:{fault}")
    path = tmp_path / "f.toml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=r"f\.toml:[0-9]+:[0-9]+: "):
        migration.load(path)
