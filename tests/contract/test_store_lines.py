"""Many lines at once, removed lines, state of lines, deferred calls; on every store."""

import pytest

from engine.errors import PoolError
from engine.pool import CouponStore, LineNews, SliceState
from engine.units import MB
from tests.support.stores import SLICE, Opener, Pool, credit, family


def test_many_lines_are_opened_in_the_order_asked_for(store: CouponStore) -> None:
    """C7, I8: new and known, of several contracts, with and without a balance, one of them twice."""
    store.open_line("hdd1", "hdo1", 40)
    asked = [("hdd2", "hdo3", 7), ("hdd1", "hdo1", 99), ("hdd3", "hdo2", 0), ("hdd2", "hdo3", 8)]
    assert store.open_lines(asked) == [7, 40, 0, 7]
    assert store.open_lines([]) == []
    assert [(line.code, line.contract, line.balance_bytes) for line in store.lines()] == [
        ("hdo1", "hdd1", 40),
        ("hdo2", "hdd3", 0),
        ("hdo3", "hdd2", 7),
    ]
    assert [code for code, *_ in store.contracts()] == ["hdd1", "hdd2", "hdd3"]
    assert [s.granted_bytes for s in store.slices("hdo3")] == [7]
    assert store.audit() == []


def test_opening_many_lines_refuses_all_or_none(store: CouponStore) -> None:
    """B76, I4: another contract's line, also within the call; a bad balance."""
    store.open_line("hdd1", "hdo1", 0)
    for line in (("hdd2", "hdo1", 0), ("hdd2", "new", 0)):
        with pytest.raises(PoolError, match="belongs to contract hdd1, not to hdd2"):
            store.open_lines([("hdd1", "new", 5), line])
    with pytest.raises(PoolError, match="line hdo3: balance -1"):
        store.open_lines([("hdd1", "new", 5), ("hdd1", "hdo3", -1)])
    assert [line.code for line in store.lines()] == ["hdo1"]
    assert store.audit() == []


def test_many_lines_are_settled_together_or_not_at_all(store: CouponStore) -> None:
    """I2, I5: one report that is refused refuses the call; lines without use are only closed."""
    family(store, 2 * SLICE)
    store.open_line("hdd1", "hdo3", 0)
    store.grant("r1", "hdd1", "hdo1", 5)
    store.grant("r2", "hdd1", "hdo2", 5)
    with pytest.raises(PoolError, match="line hdo3: 1 bytes more are reported, its SIM held 0"):
        store.settle_all([("hdo1", 5), ("hdo2", 6), ("hdo3", 1)], True)
    with pytest.raises(PoolError, match="line hdo9: not opened in this run"):
        store.settle_all([("hdo1", 5), ("hdo9", 0)], True)
    assert [store.reported(line) for line in ("hdo1", "hdo2")] == [0, 0]
    store.settle_all([("hdo1", 5), ("hdo2", 0), ("hdo3", 0), ("hdo1", 9), ("hdo1", 4)], True)
    store.settle_all([], True)
    assert [line.balance_bytes for line in store.lines()] == [SLICE - 9, SLICE, 0]
    assert [line.gateway for line in store.lines()] == [None, None, None]
    assert store.audit() == []


def test_the_use_that_was_reported_is_known(store: CouponStore) -> None:
    """I5: cumulative in this run."""
    family(store, SLICE)
    store.grant("r1", "hdd1", "hdo1", 5)
    assert store.reported("hdo1") == 0
    store.settle("hdo1", 7, False)
    store.settle("hdo1", 3, True)
    assert store.reported("hdo1") == 7
    with pytest.raises(PoolError, match="line hdo9: not opened in this run"):
        store.reported("hdo9")


def test_a_removed_lines_balance_is_gone(store: CouponStore) -> None:
    """L4, I1: booked as used; the line is never opened again, and its slices stay in the books."""
    credit(store, "c1", 2 * SLICE)
    store.open_line("hdd1", "hdo1", 8)
    store.grant("r1", "hdd1", "hdo1", 5)
    with pytest.raises(PoolError, match="line hdo1: open"):
        store.remove_line("hdo1", 6)
    store.settle("hdo1", 3, True)
    assert store.remove_line("hdo1", 6) == SLICE + 5
    assert store.remove_line("hdo1", 7) == 0
    assert store.slices("hdo1") == [
        SliceState(1, "", 8, 8, 0),
        SliceState(2, "r1", SLICE, SLICE, 0),
    ]
    assert store.lines() == []
    for call in (
        lambda: store.open_line("hdd1", "hdo1", 0),
        lambda: store.note("hdo1", LineNews(5, coupon_on=True)),
        lambda: store.report_usage([("hdo1", 1, 1, 1, 1, 1)], 5),
    ):
        with pytest.raises(PoolError, match="line hdo1: was removed for good"):
            call()
    with pytest.raises(PoolError, match="line hdo9: the coupon database does not know it"):
        store.remove_line("hdo9", 6)
    assert store.contracts()[0].granted_bytes == SLICE
    assert store.audit() == []


def test_a_removed_line_gets_no_slice_and_leaves_the_group_as_it_was(store: CouponStore) -> None:
    """L4, D8: in the very run that removed it; what else is in the group is kept"""
    family(store, 3 * SLICE)
    store.grant("r1", "hdd1", "hdo1", 5)
    store.settle("hdo1", 0, True)
    store.begin()
    store.remove_line("hdo1", 5)
    for _ in range(2):
        with pytest.raises(PoolError, match="hdo1: was removed for good"):
            store.grant("r2", "hdd1", "hdo1", 5)
    assert store.grant("r3", "hdd1", "hdo2", 5).granted_bytes == SLICE
    store.commit()
    assert store.contracts()[0].granted_bytes == 2 * SLICE
    assert store.audit() == []


def test_a_line_that_holds_nothing_is_removed_as_well(store: CouponStore) -> None:
    """L4: without a byte, without a slice."""
    store.open_line("hdd1", "hdo1", 0)
    store.settle("hdo1", 0, True)
    assert store.remove_line("hdo1", 6) == 0
    assert store.lines() == []
    assert store.audit() == []


def test_a_line_is_not_removed_while_another_gateway_has_it_open(pool: Pool) -> None:
    """L4: unless that one was silent for longer than its lease; then what is uncertain stays so."""
    gateway, operator = pool.open("a"), pool.open(None)
    family(gateway, SLICE)
    gateway.grant("r1", "hdd1", "hdo1", 5)
    with pytest.raises(PoolError, match="line hdo1: open at gateway a"):
        operator.remove_line("hdo1", 6)
    gateway.mark([("hdo1", 3, MB)])
    gateway.close(clean=False)
    silent = pool.open("a", lease_ns=1)
    silent.open_line("hdd1", "hdo1", 0)
    silent.mark([("hdo1", 1, 5)])
    assert operator.remove_line("hdo1", 6) == SLICE - MB - 5
    used = SLICE - (MB - 3) - 4
    assert [s[3:] for s in operator.slices("hdo1")] == [(used, SLICE - used)]
    assert operator.audit() == []


def test_the_state_of_a_line_is_kept_as_it_was_said(store: CouponStore) -> None:
    """Q4, L5: what was not said stays as it was; never said is None."""
    family(store, SLICE)
    first = store.lines()[0]
    assert first[5:10] == (None, None, None, None, None)
    store.note("hdo1", LineNews(5, coupon_on=True, regulated=False))
    store.note_all(
        [
            ("hdo1", LineNews(6, in_service=False, shown_bytes=77)),
            ("hdo2", LineNews(6, regulated=True)),
            ("hdo1", LineNews(7, coupon_on=False, in_service=True)),
        ]
    )
    store.note_all([])
    first, second = store.lines("hdd1")
    assert first[5:10] == (77, 6, False, True, False)
    assert second[5:10] == (None, None, None, None, True)
    assert store.lines("hdd9") == []
    assert store.audit() == []


def test_the_shown_balance_is_not_the_exact_one(store: CouponStore) -> None:
    """L5, Q2: each by its own name."""
    family(store, SLICE)
    store.grant("r1", "hdd1", "hdo1", 5)
    store.note("hdo1", LineNews(5, shown_bytes=SLICE))
    store.settle("hdo1", 1000, False)
    line = store.lines()[0]
    assert (line.balance_bytes, line.shown_bytes, line.shown_ns) == (SLICE - 1000, SLICE, 5)
    assert (line.used_bytes, line.uncertain_bytes, line.gateway) == (1000, 0, "gateway")


def test_news_that_are_refused_change_nothing(store: CouponStore) -> None:
    """B76, B80: unknown lines, amounts and times out of bounds; all or none."""
    family(store, SLICE)
    good = ("hdo1", LineNews(5, coupon_on=True))
    bad = [
        ("hdo9", LineNews(5), "line hdo9: the coupon database does not know it"),
        ("hdo2", LineNews(1 << 63), "64 bits"),
        ("hdo2", LineNews(5, shown_bytes=-1), "line hdo2: shown balance of -1"),
        ("\0", LineNews(5), "printable"),
    ]
    for line, news, words in bad:
        with pytest.raises(PoolError, match=words):
            store.note_all([good, (line, news)])
    assert store.lines()[0].coupon_on is None


def test_state_outlives_the_run(reopen: Opener) -> None:
    """I8, Q4"""
    first = reopen()
    family(first, SLICE)
    first.note("hdo1", LineNews(5, True, False, True, 9))
    first.close()
    second = reopen()
    assert second.lines()[0][5:] == (9, 5, True, False, True, None)
    second.close()


def test_deferred_calls_are_durable_after_the_flush(pool: Pool) -> None:
    """G2, D9: and are calls like any other to the one who makes them."""
    first = pool.open("a")
    family(first, 4 * SLICE)
    first.defer()
    first.defer()
    assert first.grant("r1", "hdd1", "hdo1", 5).granted_bytes == SLICE
    with pytest.raises(PoolError, match="not opened"):
        first.grant("r2", "hdd1", "hdo9", 5)
    first.mark([("hdo1", 0, 5)])
    assert len(first.slices("hdo1")) == 1
    first.flush()
    first.flush()
    assert len(pool.open("b").slices("hdo1")) == 1
    first.close(clean=False)
    again = pool.open("a")
    assert [s[3:] for s in again.slices("hdo1")] == [(0, 5)]
    assert again.audit() == []


def test_a_group_may_follow_deferred_calls(pool: Pool) -> None:
    """D9: what was deferred before it is kept, even where the group is taken back."""
    first = pool.open("a")
    family(first, 4 * SLICE)
    first.defer()
    first.grant("r1", "hdd1", "hdo1", 5)
    first.begin()
    first.grant("r2", "hdd1", "hdo2", 5)
    first.rollback()
    first.grant("r3", "hdd1", "hdo1", 5)
    first.rollback()
    first.flush()
    assert [s.request_id for s in first.slices("hdo1")] == ["r1", "r3"]
    assert first.slices("hdo2") == []
    with pytest.raises(PoolError, match="no group is open"):
        first.commit()
    first.close()
    assert pool.open("a").audit() == []


def test_a_clean_end_keeps_what_was_deferred(pool: Pool) -> None:
    """F20, G2: nobody has to flush before."""
    first = pool.open("a")
    family(first, 4 * SLICE)
    first.defer()
    first.grant("r1", "hdd1", "hdo1", 5)
    first.close()
    assert len(pool.open("a").slices("hdo1")) == 1
