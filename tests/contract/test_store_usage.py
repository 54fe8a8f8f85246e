"""Usage by day, and what others did meanwhile; on every store."""

import pytest

from engine.errors import PoolError
from engine.pool import CouponStore, DayUsage, LineNews, Notice
from engine.pool.store import USAGE_DAYS_KEPT
from tests.support.stores import SLICE, Opener, Pool, credit, family


def test_usage_is_kept_by_line_and_day(store: CouponStore) -> None:
    """Q3: with and without coupon, and exempt, oldest first; days without use are left out."""
    family(store, SLICE)
    store.report_usage(
        [("hdo1", 16000, 1, 2, 3, 4), ("hdo1", 16002, 4, 0, 0, 0), ("hdo1", 16001, 0, 0, 0, 0)], 50
    )
    store.report_usage([("hdo2", 16000, 7, 8, 9, 8)], 60)
    assert store.usage("hdo1", 0) == [
        DayUsage(16000, 1, 2, 3, 4, 50),
        DayUsage(16002, 4, 0, 0, 0, 50),
    ]
    assert store.usage("hdo1", 16001) == [DayUsage(16002, 4, 0, 0, 0, 50)]
    assert store.usage("hdo2", 16000) == [DayUsage(16000, 7, 8, 9, 8, 60)]
    assert store.usage("hdo1", 16003) == store.usage("nobody", 0) == []
    assert store.audit() == []


def test_a_repeated_report_of_a_day_replaces_the_one_before(store: CouponStore) -> None:
    """Q3: cumulative for the run; updated when it was said last."""
    family(store, SLICE)
    for amount in (5, 9, 9):
        store.report_usage([("hdo1", 16000, amount, 1, 0, amount)], 50 + amount)
    assert store.usage("hdo1", 0) == [DayUsage(16000, 9, 1, 0, 9, 59)]


def test_a_days_usage_is_the_sum_of_all_runs(reopen: Opener) -> None:
    """Q3, I8: a restart forgets nothing and counts nothing twice."""
    for moment in (50, 60):
        store = reopen()
        store.open_line("hdd1", "hdo1", 0)
        store.report_usage([("hdo1", 16000, 5, 0, 2, 1), ("hdo1", 16000, 7, 1, 2, 3)], moment)
        store.close(clean=False)
    store = reopen()
    assert store.usage("hdo1", 0) == [DayUsage(16000, 14, 2, 4, 6, 60)]
    store.close()


def test_what_counts_towards_the_restriction_is_told_of_other_runs(reopen: Opener) -> None:
    """R1, I8: line by line and day by day, added up; one's own is known to whoever reported it."""
    for moment in (50, 60):
        store = reopen()
        family(store, SLICE)
        rows = [("hdo2", 16001, 0, 0, 9, 5), ("hdo1", 16001, 0, 7, 0, 7)]
        store.report_usage(
            [*rows, ("hdo1", 16003, 9, 0, 9, 0), ("hdo1", 15999, 0, 1, 0, 1)], moment
        )
        store.close(clean=False)
    store = reopen()
    family(store, SLICE)
    store.report_usage([("hdo1", 16001, 0, 100, 0, 100), ("hdo1", 16002, 0, 3, 0, 3)], 70)
    asked = ["hdo2", "hdo1", "hdo9", "hdo1"]
    assert store.restricting(asked, 16000) == [("hdo1", 16001, 14), ("hdo2", 16001, 10)]
    assert store.restricting(["hdo1"], 0) == [("hdo1", 15999, 2), ("hdo1", 16001, 14)]
    assert store.restricting(["hdo1"], 16002) == store.restricting([], 0) == []
    store.defer()
    store.report_usage([("hdo1", 16001, 0, 101, 0, 101)], 70)
    assert store.restricting(["hdo1"], 16001) == [("hdo1", 16001, 14)]
    store.flush()
    with pytest.raises(PoolError, match="lines: day 9223372036854775808"):
        store.restricting(["hdo1"], 1 << 63)
    with pytest.raises(PoolError, match="printable"):
        store.restricting(["\0"], 0)
    store.close()


def test_an_operator_and_another_gateway_see_what_counts_in_every_run(pool: Pool) -> None:
    """R1, I5: of the runs that are still on as well."""
    one, two, operator = pool.open("a"), pool.open("b"), pool.open(None)
    family(one, SLICE)
    one.report_usage([("hdo1", 16001, 0, 7, 0, 7)], 50)
    two.open_line("hdd1", "hdo3", 0)
    two.report_usage([("hdo1", 16001, 0, 4, 0, 4)], 50)
    asked = ["hdo1", "hdo2"]
    assert one.restricting(asked, 16000) == [("hdo1", 16001, 4)]
    assert two.restricting(asked, 16000) == [("hdo1", 16001, 7)]
    assert operator.restricting(asked, 16000) == [("hdo1", 16001, 11)]


def test_days_are_kept_for_thirty_days(store: CouponStore) -> None:
    """Q3: counted back from the line's newest; a late report of an old day is forgotten at once."""
    family(store, SLICE)
    for day in (16000, 16000 + USAGE_DAYS_KEPT - 1):
        store.report_usage([("hdo1", day, 1, 1, 1, 1), ("hdo2", 16000, 1, 1, 1, 1)], day)
    assert len(store.usage("hdo1", 0)) == 2
    store.report_usage([("hdo1", 16000 + USAGE_DAYS_KEPT, 1, 1, 1, 1)], 9)
    assert [d.day for d in store.usage("hdo1", 0)] == [16029, 16030]
    store.report_usage([("hdo1", 16000, 1, 1, 1, 1), ("hdo1", 16001, 1, 1, 1, 1)], 9)
    assert [d.day for d in store.usage("hdo1", 0)] == [16001, 16029, 16030]
    assert len(store.usage("hdo2", 0)) == 1


def test_usage_that_is_refused_changes_nothing(store: CouponStore) -> None:
    """B76, B80: unknown lines, amounts, days and times out of bounds; all or none."""
    family(store, SLICE)
    good = ("hdo1", 16000, 1, 1, 1, 1)
    bad = [
        (("hdo9", 16000, 1, 1, 1, 1), "line hdo9: the coupon database does not know it"),
        (("hdo2", 16000, -1, 1, 1, 1), "line hdo2: usage of -1"),
        (("hdo2", 16000, 1, 1, 1, -2), "line hdo2: usage of -2"),
        (("hdo2", 16000, 1, 1, 1 << 63, 1), "line hdo2: usage of"),
        (("hdo2", 1 << 63, 1, 1, 1, 1), "line hdo2: day 9223372036854775808"),
        (("\0", 16000, 1, 1, 1, 1), "printable"),
    ]
    for row, words in bad:
        with pytest.raises(PoolError, match=words):
            store.report_usage([good, row], 5)
    with pytest.raises(PoolError, match="64 bits"):
        store.report_usage([good], 1 << 63)
    with pytest.raises(PoolError, match="day 9223372036854775808"):
        store.usage("hdo1", 1 << 63)
    store.report_usage([], 5)
    assert store.usage("hdo1", 0) == []


def test_what_others_did_is_told_once_and_in_order(pool: Pool) -> None:
    """D5, P3: a contract that was empty is woken up, a switch takes effect at once."""
    gateway = pool.open("a")
    family(gateway, SLICE)
    assert gateway.notices() == []
    operator, other = pool.open(None), pool.open("b")
    credit(operator, "c9", 5)
    operator.note("hdo2", LineNews(7, coupon_on=False))
    other.note("hdo1", LineNews(8, in_service=False, regulated=True, shown_bytes=5))
    other.buy("b1", "hdd1", 1, 5)
    told = [
        Notice("credit", "hdd1"),
        Notice("state", "hdd1", "hdo2", LineNews(7, coupon_on=False)),
        Notice("state", "hdd1", "hdo1", LineNews(8, in_service=False)),
        Notice("credit", "hdd1"),
    ]
    assert gateway.notices() == told
    assert gateway.notices() == []
    operator.note("hdo2", LineNews(9, coupon_on=True))
    operator.note("hdo2", LineNews(9, coupon_on=True))
    assert gateway.notices() == [Notice("state", "hdd1", "hdo2", LineNews(9, coupon_on=True))]


def test_what_one_did_oneself_is_no_news(pool: Pool) -> None:
    """P3: also between what others did, and in a group."""
    gateway, operator = pool.open("a"), pool.open(None)
    family(gateway, SLICE)
    operator.notices()
    gateway.note("hdo1", LineNews(5, coupon_on=True))
    credit(operator, "c9", 5)
    gateway.begin()
    gateway.note("hdo1", LineNews(6, coupon_on=False))
    assert [n.kind for n in gateway.notices()] == ["credit"]
    gateway.commit()
    gateway.grant("r1", "hdd1", "hdo1", 5)
    assert gateway.notices() == []
    assert [n.news and n.news.coupon_on for n in operator.notices()] == [True, False]
    assert operator.notices() == []


def test_what_was_taken_back_is_no_news(pool: Pool) -> None:
    """D9"""
    gateway, operator = pool.open("a"), pool.open(None)
    operator.begin()
    credit(operator, "c9", 5)
    operator.rollback()
    assert gateway.notices() == []
    credit(operator, "c9", 5)
    assert gateway.notices() == [Notice("credit", "hdd1")]


def test_a_new_run_begins_without_old_news(reopen: Opener) -> None:
    """I8: what is in the database is what it starts with."""
    first = reopen()
    family(first, SLICE)
    first.close()
    second = reopen()
    assert second.notices() == []
    second.close()
