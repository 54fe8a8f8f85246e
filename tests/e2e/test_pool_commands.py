"""`pktoll pool` from the outside, on a database in a file: what it prints, and what it changes."""

from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import apsw
import pytest

from engine import calendar
from engine.pool import open_store
from engine.pool.store import StoreOptions
from engine.units import MB, NS_PER_DAY
from tests.support import ledgers
from tests.support.command import Ended, call
from tests.support.desk import documents
from tests.support.ledgers import CONTRACT, EMPTY, FIRST, MONTH_NS, NOW_NS, document

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


def everything(pool: Pool) -> list[str]:
    """All that can be seen of the database."""
    views = [pool(name, "--format", "json") for name in ("balance", "usage", "audit")]
    return [done.out for done in views] + [pool("history", CONTRACT, "--format", "json").out]


# --- init -------------------------------------------------------------------------------------------


def test_init_makes_a_database_once_and_is_harmless_twice(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """G2"""
    path = tmp_path / "new.db"
    url = f"sqlite:///{path}"
    made = document(capfd, "pool", "init", url)
    assert path.exists()
    assert (made["schema"], made["database"], made["existed"]) == ("pktoll.pool-init/1", url, False)
    assert made["imported"] is None
    assert made["settings"]["journal_mode"] == "wal"
    ledgers.filled(url)
    before = document(capfd, "pool", "balance", url, "--at", AT)
    assert document(capfd, "pool", "init", url)["existed"] is True
    assert document(capfd, "pool", "balance", url, "--at", AT) == before
    words = call(capfd, "pool", "init", url).out
    assert words.startswith(f"{url}: is there, with the newest schema (")
    assert words.count("\n") == 1


def test_init_imports_a_subscriber_file(
    tmp_path: Path, project: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """C1, C7"""
    url = f"sqlite:///{tmp_path / 'new.db'}"
    book = str(project / "configs" / "subscribers" / "family.toml")
    done = call(capfd, "pool", "init", url, "--subscribers", book, "--at", AT)
    assert (done.status, done.err) == (0, "")
    first, second = done.out.splitlines()
    assert first.startswith(f"{url}: made (")
    assert second.startswith(f"{book}: 2 contracts in 2 accounts imported, ")
    assert document(capfd, "pool", "balance", url, "--at", AT)["contracts"][0]["sims"]
    again = document(capfd, "pool", "init", url, "--subscribers", book, "--at", AT)["imported"]
    assert (again["contracts"], again["contracts_known"], again["lines_entered"]) == (0, 2, 0)


def test_init_with_a_wrong_file_makes_nothing(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """B79"""
    url = f"sqlite:///{tmp_path / 'new.db'}"
    book = tmp_path / "book.csv"
    book.write_text("contract,plan,started,line\nhdd00000001,giga,2013-11-01,hdo00000001\n")
    done = call(capfd, "pool", "init", url, "--subscribers", str(book))
    assert done.status == 3
    assert "no plan of the configuration" in done.err
    assert list(tmp_path.iterdir()) == [book]


# --- which database ---------------------------------------------------------------------------------


def test_the_database_may_be_named_in_four_ways(
    url: str, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """--pool, an argument before or after the command, the environment"""
    ways = (
        ("balance", CONTRACT, "--pool", url),
        ("balance", CONTRACT, url),
        ("balance", url, CONTRACT),
        (url, "balance", CONTRACT),
    )
    said = [call(capfd, "pool", *way, "--at", AT) for way in ways]
    monkeypatch.setenv("PKTOLL_POOL", url)
    said.append(call(capfd, "pool", "balance", CONTRACT, "--at", AT))
    monkeypatch.setenv("PKTOLL_POOL", "sqlite:///not-this-one.db")
    said.append(call(capfd, "pool", "balance", CONTRACT, url, "--at", AT))
    assert {done.status for done in said} == {0}
    assert len({done.out for done in said}) == 1


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (
            ("balance",),
            "no database; name it by --pool URL, the URL as an argument, or PKTOLL_POOL",
        ),
        (("balance", "sqlite:///a", "sqlite:///b"), "the database is named twice"),
        (("balance", "sqlite:///a", "--pool", "sqlite:///b"), "the database is named twice"),
        (("balance", "sqlite://"), "gone when the command ends"),
        (("balance", "mysql://me:pw@host/db"), "pool 'mysql://me@host/db': not a coupon database"),
        (("balance", "sqlite:///"), "not a coupon database; write sqlite:///"),
        (("charge", "sqlite:///a"), "Missing argument 'CONTRACT'"),
        (("charge", "x", "sqlite:///a", "--coupons", "0"), "0 is not in the range x>=1"),
        (("switch", "x", "maybe", "sqlite:///a"), "'maybe' is not one of 'on', 'off'"),
        (("usage", "sqlite:///a", "--days", "31"), "31 is not in the range 1<=x<=30"),
        (
            ("balance", "sqlite:///a", "--at", "yesterday"),
            "is no time; allowed: such as 2013-11-05",
        ),
        (("nonsense", "sqlite:///a"), "No such command 'nonsense'"),
    ],
)
def test_a_wrong_command_line_is_status_2_and_one_line(
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    arguments: tuple[str, ...],
    words: str,
) -> None:
    monkeypatch.delenv("PKTOLL_POOL", raising=False)
    done = call(capfd, "pool", *arguments)
    assert (done.status, done.out) == (2, "")
    assert words in done.err
    assert done.err.count("\n") == 1


@pytest.mark.parametrize(
    "arguments",
    [
        ("balance",),
        ("usage",),
        ("audit",),
        ("history", "x"),
        ("charge", "x"),
        ("switch", "x", "on"),
    ],
)
def test_a_database_that_is_not_there_is_refused_and_not_made(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], arguments: tuple[str, ...]
) -> None:
    done = call(capfd, "pool", *arguments, f"sqlite:///{tmp_path}/none.db")
    assert (done.status, done.out) == (1, "")
    assert "none.db: no such coupon database; make it with: pktoll pool init sqlite:///" in done.err
    assert done.err.count("\n") == 1
    assert not list(tmp_path.iterdir())


# --- charge (C3, C4) --------------------------------------------------------------------------------


def test_a_charge_says_when_it_expires_and_what_the_month_has_left(
    pool: Pool, shown: Callable[..., dict[str, Any]]
) -> None:
    """C3, C4"""
    made = shown("charge", CONTRACT, "--coupons", "3", "--request", "first")
    assert made["schema"] == "pktoll.pool-charge/1"
    assert (made["coupons"], made["bytes"], made["new"]) == (3, 300 * MB, True)
    assert made["expires_ns"] == calendar.month_start_ns(ledgers.NOVEMBER + 4)
    assert made["last_good_day"] == "2014-02-28"
    assert (made["month"], made["month_coupons"], made["month_coupons_left"]) == ("2013-11", 3, 27)
    words = pool("charge", CONTRACT).out
    assert f"contract {CONTRACT}: 1 additional coupons, 100.00 MB, bought" in words
    assert "good to the end of 2014-02-28" in words
    assert "26 more may be bought in 2013-11; request charge:" in words
    contract = shown("balance", CONTRACT)["contracts"][0]
    assert [each["left_bytes"] for each in contract["coupons"] if each["kind"] == "topup"] == [
        100 * MB
    ] * 4


def test_a_request_is_bought_once_however_often_it_is_repeated(
    pool: Pool, shown: Callable[..., dict[str, Any]]
) -> None:
    """G1, F9: in a later month too, where nothing is said of that month"""
    first = shown("charge", CONTRACT, "--request", "r")
    before = everything(pool)
    later = str(MONTH_NS + 40 * NS_PER_DAY)
    again = shown("charge", CONTRACT, "--request", "r", "--at", later)
    assert again == first | {"new": False}
    assert everything(pool) == before
    assert (
        "was bought already at 2013-11-05 09:00:00 JST"
        in pool("charge", CONTRACT, "--request", "r").out
    )
    for arguments in ((CONTRACT, "--coupons", "2"), (EMPTY,)):
        done = pool("charge", *arguments, "--request", "r")
        assert done.status == 1
        assert "r" in done.err
        assert done.err.count("\n") == 1
    assert everything(pool) == before


def test_the_31st_coupon_of_a_month_is_refused_and_changes_nothing(
    pool: Pool, shown: Callable[..., dict[str, Any]]
) -> None:
    """C3"""
    assert pool("charge", CONTRACT, "--coupons", "29").status == 0
    before = everything(pool)
    for coupons in ("2", "31", "10" * 10):
        done = pool("charge", CONTRACT, "--coupons", coupons)
        assert (done.status, done.out) == (1, "")
        assert "30" in done.err
        assert done.err.count("\n") == 1
        assert everything(pool) == before
    last = str(calendar.month_start_ns(ledgers.NOVEMBER + 1) - 1)
    assert shown("charge", CONTRACT, "--at", last)["month_coupons_left"] == 0
    done = pool("charge", CONTRACT, "--at", last)
    assert done.status == 1
    next_month = str(calendar.month_start_ns(ledgers.NOVEMBER + 1))
    assert shown("charge", CONTRACT, "--at", next_month)["month_coupons_left"] == 29


def test_a_charge_is_quiet_when_told(pool: Pool) -> None:
    done = pool("charge", CONTRACT, "-q")
    assert (done.status, done.out, done.err) == (0, "", "")


# --- switch (P3, L5) --------------------------------------------------------------------------------


def test_a_switch_to_off_shows_the_exact_balance_from_then_on(
    pool: Pool, shown: Callable[..., dict[str, Any]], url: str
) -> None:
    """L5, Q4"""
    with closing(apsw.Connection(url.removeprefix("sqlite:///"))) as database:
        database.execute("UPDATE line SET shown_bytes = 1, shown_ns = 1 WHERE code = ?", [FIRST])
    made = shown("switch", FIRST, "off")
    assert made == {
        "schema": "pktoll.pool-switch/1",
        "line": FIRST,
        "contract": CONTRACT,
        "at_ns": NOW_NS,
        "coupon": False,
        "changed": True,
    }
    sim = shown("balance", FIRST)["contracts"][0]["sims"][0]
    assert (sim["coupon"], sim["shown_balance_bytes"], sim["shown_ns"]) == (False, 6 * MB, NOW_NS)
    assert pool("switch", FIRST, "off").out == f"line {FIRST}: coupon off, as it was\n"
    assert pool("switch", FIRST, "on", "--at", str(NOW_NS + 1)).out == f"line {FIRST}: coupon on\n"
    sim = shown("balance", FIRST)["contracts"][0]["sims"][0]
    assert (sim["coupon"], sim["shown_ns"]) == (True, NOW_NS)


def test_a_switch_reaches_a_gateway_that_is_at_work(
    pool: Pool, shown: Callable[..., dict[str, Any]], url: str
) -> None:
    """P3, L5: which itself says what is shown"""
    store = open_store(url, StoreOptions(gateway="gw"))
    store.open_line(CONTRACT, FIRST, 0)
    store.grant("g", CONTRACT, FIRST, NOW_NS)
    store.notices()
    assert pool("switch", FIRST, "off").status == 0
    (notice,) = store.notices()
    assert (notice.kind, notice.line) == ("state", FIRST)
    assert notice.news is not None
    assert (notice.news.coupon_on, notice.news.shown_bytes) == (False, None)
    sim = shown("balance", FIRST)["contracts"][0]["sims"][0]
    assert (sim["shown_balance_bytes"], sim["exact_balance_bytes"]) == (6 * MB, 16 * MB)
    assert pool("charge", CONTRACT).status == 0
    assert [each.kind for each in store.notices()] == ["credit"]
    store.settle(FIRST, 0, True)
    store.close()
