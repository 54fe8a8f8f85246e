"""Documents of the coupon database and their tables, where a whole command would not get to."""

from contextlib import closing
from pathlib import Path
from typing import Any

import apsw
import pytest

from engine import calendar
from engine.cli import pool, pool_tables, pool_views
from engine.cli.pool_names import Names
from engine.cli.pool_tables import jst, more, sizes, state_of
from engine.errors import PoolError, PoolUnavailable
from engine.pool import CouponStore, open_store
from engine.pool.store import LineBalance, StoreOptions
from engine.units import MB, NS_PER_DAY
from tests.support import ledgers
from tests.support.ledgers import CONTRACT, NOW_NS

OPERATOR = StoreOptions(gateway=None)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A filled database."""
    ledgers.filled(f"sqlite:///{tmp_path / 'coupons.db'}")
    return tmp_path / "coupons.db"


class Busy:
    """A store on which others are at work: whenever lines are listed, a coupon has just been credited."""

    def __init__(self, store: CouponStore, times: int) -> None:
        self._store = store
        self._left = times

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    def lines(self, contract: str | None = None) -> list[LineBalance]:
        if self._left:
            self._left -= 1
            self._store.credit(f"c{self._left}", CONTRACT, "bundle", MB, 0, NOW_NS * 2)
        return self._store.lines(contract)


@pytest.mark.parametrize(("times", "steady"), [(0, True), (2, True), (3, False)])
def test_sums_are_taken_again_while_others_are_at_work(
    path: Path, capsys: pytest.CaptureFixture[str], times: int, steady: bool
) -> None:
    """D9, G6: and said to be of no one instant where that does not help"""
    store = open_store(f"sqlite:///{path}", OPERATOR)
    made = pool_views.audit(Busy(store, times))
    store.close()
    assert made["adds_up"]
    assert made["sums"]["steady"] is steady
    if steady:
        assert made["sums"]["coupons"]["credited_bytes"] == (2078 + times) * MB
    pool_tables.show_audit(made)
    assert ("not of one instant" in capsys.readouterr().out) is not steady


def test_a_database_that_cannot_be_read_is_no_finding(path: Path) -> None:
    """G6: an audit that found nothing does not say that something is wrong, nor that all is well"""

    class Gone(Busy):
        def lines(self, contract: str | None = None) -> list[LineBalance]:
            raise PoolError("gone")

    store = open_store(f"sqlite:///{path}", OPERATOR)
    with pytest.raises(PoolError, match="gone"):
        pool_views.audit(Gone(store, 0))
    store.close()


def test_whoever_buys_from_a_database_that_does_not_answer_is_told_how_to_repeat_it(
    path: Path,
) -> None:
    """G1, F6"""
    store = open_store(f"sqlite:///{path}", StoreOptions(gateway=None, answer_ms=20))
    with closing(apsw.Connection(str(path))) as busy:
        busy.execute("BEGIN IMMEDIATE")
        with pytest.raises(PoolUnavailable, match="is not known: repeat it with --request r1"):
            pool.buy(store, "r1", CONTRACT, 1, NOW_NS)
        busy.execute("ROLLBACK")
    assert pool.buy(store, "r1", CONTRACT, 1, NOW_NS)
    assert not pool.buy(store, "r1", CONTRACT, 1, NOW_NS)
    store.close()


def test_the_last_day_of_a_coupon_is_the_one_before_its_expiry() -> None:
    """C1, C4: 29 February and the year's end too"""
    for month, day in (("2014-01", "2013-12-31"), ("2016-03", "2016-02-29")):
        start_ns = calendar.month_start_ns(calendar.parse_month(month))
        assert pool_views.last_day(start_ns) == day
        assert pool_views.last_day(start_ns + 1) == f"{month}-01"


def test_times_and_sizes_are_written_for_people() -> None:
    """U1, U2"""
    assert jst(None) == "-"
    assert jst(NOW_NS) == "2013-11-05 09:00:00"
    assert jst(NOW_NS - 1) == "2013-11-05 08:59:59"
    assert jst(-NS_PER_DAY) == "1969-12-31 09:00:00"
    assert (sizes(None), sizes(7), sizes(10 * MB)) == ("-", "7 B", "10.00 MB")
    assert more(0, "SIMs") == []
    assert more(1_000, "SIMs") == ["and 1,000 more SIMs: --format json shows all"]


@pytest.mark.parametrize(
    ("in_service", "coupon", "regulated", "words"),
    [
        (None, None, None, "not told yet"),
        (True, True, False, "[green]coupon on[/], in service"),
        (True, None, True, "[red]restricted[/]"),
        (False, False, None, "[red]suspended[/], [yellow]coupon off[/]"),
    ],
)
def test_the_state_of_a_sim_says_what_is_known(
    in_service: bool | None, coupon: bool | None, regulated: bool | None, words: str
) -> None:
    """Q4"""
    sim = {"in_service": in_service, "coupon": coupon, "regulated": regulated}
    assert state_of(sim) == words


def test_long_tables_are_cut_and_say_so(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    store = open_store(f"sqlite:///{path}", StoreOptions(gateway="gw"))
    store.begin()
    for number in range(60):
        store.credit(f"c{number}", f"hdd1{number:07}", "bundle", MB, 0, NOW_NS * 2)
        store.open_line(f"hdd2{number:07}", f"hdo2{number:07}", 0)
    store.settle_all([(f"hdo2{number:07}", 0) for number in range(60)], True)
    store.commit()
    names = Names(store)
    document = pool_views.balance(store, names, None, NOW_NS)
    assert len(document["contracts"]) == 122
    pool_tables.show_balance(document)
    assert "and 72 more contracts: --format json shows all" in capsys.readouterr().out
    pool_tables.show_usage(pool_views.usage(store, names, None, 3, NOW_NS))
    assert "and 13 more SIMs: --format json shows all" in capsys.readouterr().out
    assert names.contract("hdd10000001") == "hdd10000001"
    store.close()
