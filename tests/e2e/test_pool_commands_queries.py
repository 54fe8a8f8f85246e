"""`pktoll pool balance`, `history` and `usage`: what was given, bought and used, and what is left."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from engine import calendar
from engine.units import MB
from tests.support import ledgers
from tests.support.command import Ended, call, environment, spawn
from tests.support.desk import documents
from tests.support.ledgers import CONTRACT, EMPTY, FIRST, MONTH_NS, NOW_NS, OTHER, SECOND

Pool = Callable[..., Ended]
AT = str(NOW_NS)


@pytest.fixture
def url(tmp_path: Path) -> str:
    """A filled database."""
    made = f"sqlite:///{tmp_path / 'coupons.db'}"
    ledgers.filled(made)
    return made


@pytest.fixture
def shown(pool: Pool) -> Callable[..., dict[str, Any]]:
    """The JSON document of a command that ends well."""
    return documents(pool)


# --- balance, history, usage (Q1-Q4) ----------------------------------------------------------------


def test_the_balance_is_per_coupon_and_per_sim(shown: Callable[..., dict[str, Any]]) -> None:
    """Q2, Q4, L5, C6"""
    made = shown("balance")
    assert (made["schema"], made["at_ns"]) == ("pktoll.pool-balance/1", NOW_NS)
    contract, empty = made["contracts"]
    assert contract["code"] == CONTRACT
    assert contract["good_bytes"] == 1014 * MB
    assert contract["credited_bytes"] == (30 + 1024 + 1024) * MB
    assert (contract["granted_bytes"], contract["expired_bytes"]) == (10 * MB, 30 * MB)
    assert {
        each["credit_id"]: (each["state"], each["last_good_day"], each["left_bytes"])
        for each in contract["coupons"]
    } == {
        "old": ("expired", "2013-10-31", 0),
        "bundle:now": ("good", "2013-12-31", 1014 * MB),
        "bundle:next": ("not-yet", "2013-12-31", 0),
    }
    first, second = contract["sims"]
    assert first == {
        "line": FIRST,
        "iccid": None,
        "imsi": None,
        "msisdn": None,
        "shown_balance_bytes": 6 * MB,
        "shown_ns": NOW_NS,
        "exact_balance_bytes": 6 * MB,
        "used_bytes": 4 * MB,
        "uncertain_bytes": 0,
        "coupon": True,
        "regulated": False,
        "in_service": True,
        "gateway": None,
    }
    assert (second["exact_balance_bytes"], second["shown_balance_bytes"]) == (7, None)
    assert (second["coupon"], second["in_service"], second["regulated"]) == (False, False, True)
    assert (empty["code"], empty["good_bytes"], empty["coupons"]) == (EMPTY, 0, [])
    assert empty["sims"][0]["in_service"] is None
    (only,) = shown("balance", FIRST)["contracts"]
    assert only == contract | {"sims": [first]}


def test_a_coupon_is_good_to_the_last_nanosecond(shown: Callable[..., dict[str, Any]]) -> None:
    """C6, G9"""
    end_ns = calendar.month_start_ns(ledgers.NOVEMBER + 2)
    good = [
        shown("balance", CONTRACT, "--at", str(ns))["contracts"][0]["good_bytes"]
        for ns in (MONTH_NS - 1, end_ns - 1, end_ns)
    ]
    assert good == [0, 2038 * MB, 0]


def test_the_balance_for_people_names_coupons_sims_and_states(pool: Pool) -> None:
    """Q2, Q4, L5"""
    text = pool("balance").out
    for words in (
        f"contract {CONTRACT}: 1014.00 MB in the database",
        "1 expired not shown",
        "bundle (from 2013-12-01 00:00:00)",
        "coupon on, in service",
        "suspended, coupon off, restricted",
        "not told yet",
        "2013-11-05",
    ):
        assert words in text


def test_a_sim_that_broke_off_shows_what_is_uncertain(
    pool: Pool, shown: Callable[..., dict[str, Any]], url: str
) -> None:
    """G4"""
    ledgers.broken_off(url)
    sim = shown("balance", FIRST)["contracts"][0]["sims"][0]
    assert (sim["uncertain_bytes"], sim["exact_balance_bytes"]) == (MB, 5 * MB)
    assert "(uncertain: 1.00 MB)" in pool("balance", FIRST).out


def test_the_history_is_of_this_month_and_the_two_before(
    pool: Pool, shown: Callable[..., dict[str, Any]]
) -> None:
    """Q1: additional coupons only"""
    september_ns = calendar.month_start_ns(ledgers.NOVEMBER - 2)
    for number, ns in enumerate((september_ns - 1, september_ns, NOW_NS, NOW_NS + 1)):
        arguments = ("--coupons", str(number + 1), "--request", f"r{number}", "--at", str(ns))
        assert pool("charge", CONTRACT, *arguments).status == 0
    made = shown("history", CONTRACT)
    assert (made["schema"], made["contract"]) == ("pktoll.pool-history/1", CONTRACT)
    assert made["months"] == ["2013-09", "2013-10", "2013-11"]
    assert [(each["request_id"], each["bytes"]) for each in made["purchases"]] == [
        ("r2", 300 * MB),
        ("r1", 200 * MB),
    ]
    assert made["purchases"][1]["last_good_day"] == "2013-12-31"
    text = pool("history", CONTRACT).out
    assert "additional coupons of 2013-09, 2013-10, 2013-11 only; no bundle coupons." in text
    assert "2013-11-05 09:00:00" in text
    assert "none bought; additional" in pool("history", EMPTY).out


def test_usage_is_per_sim_and_day_with_what_there_is_of_today(
    pool: Pool, shown: Callable[..., dict[str, Any]]
) -> None:
    """Q3"""
    made = shown("usage")
    assert (made["schema"], made["updated"]) == ("pktoll.pool-usage/1", "periodically")
    assert (made["from_day"], made["to_day"]) == ("2013-11-02", "2013-11-05")
    assert made["updated_ns"] == NOW_NS
    assert [sim["line"] for sim in made["sims"]] == [FIRST, SECOND, OTHER]
    assert made["sims"][0]["days"][1:3] == [
        {
            "day": f"2013-11-0{5 - back}",
            "complete": True,
            "with_coupon_bytes": 100 + back,
            "without_coupon_bytes": back,
            "exempt_bytes": 1,
            "restricting_bytes": back,
            "updated_ns": NOW_NS,
        }
        for back in (2, 1)
    ]
    today = made["sims"][0]["days"][-1]
    assert (today["day"], today["complete"]) == ("2013-11-05", False)
    assert {day["updated_ns"] for day in made["sims"][1]["days"]} == {None}
    week = shown("usage", FIRST, "--days", "30")["sims"]
    assert [len(sim["days"]) for sim in week] == [31]
    assert sum(day["with_coupon_bytes"] for day in week[0]["days"]) == 510
    text = pool("usage", FIRST).out
    assert "2013-11-05 (so far)" in text
    assert "not at every packet; last updated 2013-11-05 09:00:00 JST." in text
    assert "not yet." in pool("usage", OTHER).out


def test_an_empty_database_says_so(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    url = f"sqlite:///{tmp_path / 'new.db'}"
    assert call(capfd, "pool", "init", url).status == 0
    assert "no contract has a coupon yet" in call(capfd, "pool", "balance", url).out
    assert "no SIM is known yet" in call(capfd, "pool", "usage", url).out
    assert "the ledger adds up" in call(capfd, "pool", "audit", url).out


def test_no_colours_where_they_are_not_wanted(url: str) -> None:
    """NO_COLOR, and the time of the machine where no other is given"""
    coloured = environment(FORCE_COLOR="1", COLUMNS="100")
    plain = coloured | {"NO_COLOR": "1"}
    assert "\x1b[3" in spawn("pool", "balance", url, env=coloured).out
    done = spawn("pool", "balance", url, env=plain)
    assert (done.status, done.err) == (0, "")
    assert "\x1b[3" not in done.out
    assert "3 expired not shown" in done.out


@pytest.mark.parametrize(
    ("words", "completed"),
    [
        ("pktoll pool ba", {"balance"}),
        ("pktoll pool sqlite:///a sw", {"switch"}),
        ("pktoll pool switch sqlite:///a hdo1 o", {"on", "off"}),
        ("pktoll pool usage sqlite:///a sqlite:///b --da", {"--days"}),
        ("pktoll pool usage --at never --da", {"--days"}),
        ("pktoll subscribers add sqlite:///a li", {"line"}),
    ],
)
def test_a_shell_completes_words(words: str, completed: set[str]) -> None:
    """and gets no complaints about what is not finished yet"""
    asked = {"COMP_WORDS": words, "COMP_CWORD": str(len(words.split()) - 1)}
    done = spawn(env=environment(_PKTOLL_COMPLETE="bash_complete", **asked))
    assert (done.status, done.err) == (0, "")
    assert {line.partition(",")[2] for line in done.out.splitlines()} == completed
