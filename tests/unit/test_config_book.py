"""The contract book's part of the configuration: services, options, terms, the dates of the migration."""

import datetime
from pathlib import Path

import pytest

from engine import config


def told(text: str) -> list[str]:
    """Every fault as its line of text, without the name of the file."""
    return [str(fault).removeprefix("f.toml:") for fault in config.check(text, "f.toml")]


SERVICE = '[[service]]\nname = "{}"\ntitle = "T"\nlines = {}\n'
OPTION = '[[option]]\nname = "{}"\ntitle = "T"\nservices = ["{}"]\n'


def test_the_default_has_the_options_of_the_services_documents() -> None:
    """O1, O2, O3: prices and eligible services"""
    settings = config.load(None)
    facts = {
        option.name: (option.services, option.unit_size, option.price_yen_per_month)
        for option in settings.options
    }
    assert facts["ipv6"] == (("fiberaccess-f", "mobile-d"), 1, 0)
    web = ("web-highgrade-2", "web-standard-2")
    assert facts["secure-web-accounts"] == (web, 10, 3_000)
    assert facts["mail-basic"] == (("safety-mail",), 1, 324)
    carried = {option.name for option in settings.options if option.migrates}
    assert carried == {
        *("mail-basic", "mail-extra", "mail-virus-protection"),
        *("flets-hikari", "flets-hikari-premium", "commufa-hikari", "flets-adsl"),
    }
    assert [option.name for option in settings.options if option.included] == [
        "mail-virus-protection"
    ]
    assert settings.option("fax") is None
    assert settings.service("fax") is None


def test_terms_and_dates_can_be_changed_one_by_one(tmp_path: Path) -> None:
    """A2-A7, A9"""
    path = tmp_path / "own.toml"
    path.write_text("[terms]\nport_days = 10\n[migration]\nmoved_on = 2016-05-01\n")
    settings = config.load(path)
    assert settings.terms == config.Terms(port_days=10)
    assert settings.migration == config.Migration(moved_on=datetime.date(2016, 5, 1))


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        (
            '[terms]\ntake_back_until = "24:00"',
            '2:19: terms.take_back_until: "24:00" is not allowed;',
        ),
        ("[terms]\ntake_back_until = 20:00:00", "2:19: terms.take_back_until: 20:00:00 is not al"),
        (
            "[terms]\nrescission_days = 0",
            "2:19: terms.rescission_days: 0 is not allowed; allowed: an",
        ),
        ("[terms]\nport_day = 1", "2:1: terms.port_day: unknown key, did you mean port_days?;"),
        (
            "[migration]\nfreeze_from = 2016-04-02",
            "2:15: migration.freeze_from: the freeze begins on 2016-04-02, after the move on 2016-04",
        ),
        (
            "[migration]\nmoved_on = 2016-03-01",
            "2:12: migration.moved_on: the freeze begins on 2016-03-28, after the move on 2016-03-01",
        ),
        (
            '[migration]\nmoved_on = "2016"',
            '2:12: migration.moved_on: "2016" is not allowed; allowed:',
        ),
        (
            "[migration]\nfreeze_from = 1969-12-31",
            "2:15: migration.freeze_from: 1969-12-31 is out of range;",
        ),
        (
            'default_service = "safety-mail"',
            '1:19: default_service: default_service "safety-mail" is none of the services with lines;'
            ' allowed: "mobile-d"',
        ),
        (
            OPTION.format("o", "fax"),
            '4:13: option[0].services[0]: option "o": no service is called "fax"',
        ),
        (
            "[[option]]\nname = 'o'\ntitle = 'T'\nservices = []\n",
            "4:12: option[0].services: a list is",
        ),
        (
            OPTION.format("o", "mobile-d") + "services = 5\n",
            "5:13: not TOML: Cannot overwrite a val",
        ),
    ],
)
def test_a_wrong_value_says_where_and_what_is_allowed(text: str, fault: str) -> None:
    """B79, A4, A6, A9, O2"""
    (line,) = told(text)
    assert line.startswith(fault)


def test_a_date_may_be_the_same_for_freeze_and_move() -> None:
    """A9"""
    assert told("[migration]\nfreeze_from = 2016-04-01\n") == []


def test_services_and_options_have_names_of_their_own() -> None:
    """O2, B79"""
    text = SERVICE.format("mobile-d", "true") * 2 + OPTION.format("o", "mobile-d") * 2
    assert told(text) == [
        '6:8: service[1].name: service "mobile-d" is there already, in line 2',
        '14:8: option[1].name: option "o" is there already, in line 10',
    ]


def test_services_of_ones_own_must_do_for_the_default_ones_options() -> None:
    """O2: said by the default configuration, so that the file has no line for them"""
    lines = told(SERVICE.format("mobile-d", "true"))
    assert lines
    assert all(line.startswith("1:3: service[0]: option ") for line in lines)
    assert told(SERVICE.format("mobile-d", "true") + OPTION.format("o", "mobile-d")) == []
    (line,) = told(SERVICE.format("mail", "false") + OPTION.format("o", "mail"))
    assert line == (
        '1:3: service[0]: default_service "mobile-d" is none of the services with lines; allowed: none'
    )


def test_wrong_types_are_told_once() -> None:
    """B79"""
    lines = told("service = [5]\noption = [{name = 5, title = 'T', services = 5}]\n")
    assert [line.split(": ")[:2] for line in lines] == [
        ["1:12", "service[0]"],
        ["2:19", "option[0].name"],
        ["2:46", "option[0].services"],
    ]
    assert told("option = []\n") == []
