"""What every coupon store refuses, and what it keeps from run to run; each test runs on every store."""

from collections.abc import Callable

import numpy as np
import pytest

from engine.errors import PoolError
from engine.pool import CouponStore
from tests.support.stores import LATE, SLICE, Opener, credit, family


@pytest.mark.parametrize("size", [0, -1, (1 << 62) + 1, 1 << 63, 1 << 200])
def test_a_coupon_of_no_or_too_many_bytes_is_refused(store: CouponStore, size: int) -> None:
    """B80, I2"""
    with pytest.raises(PoolError, match="must be 1 to 4611686018427387904 bytes"):
        credit(store, "c1", size)
    assert store.contracts() == []


def test_coupons_whose_sum_leaves_the_bounds_are_refused(store: CouponStore) -> None:
    """B80: the sum cannot overflow, and the refusal leaves the coupon that was there."""
    credit(store, "c1", 1 << 62)
    with pytest.raises(PoolError, match="contract hdd1 would have 4611686018427387905"):
        credit(store, "c2", 1)
    assert store.contracts() == [("hdd1", 1 << 62, 1 << 62, 0, 0)]
    store.open_line("hdd1", "hdo1", 1 << 62)
    store.grant("r1", "hdd1", "hdo1", 5)
    store.settle("hdo1", 1 << 62, True)
    assert store.audit() == []


def test_a_time_outside_int64_is_refused(store: CouponStore) -> None:
    """B69, B80"""
    family(store, SLICE)
    for moment in (1 << 63, -(1 << 63) - 1):
        with pytest.raises(PoolError, match="must be ns since 1970 that fit in 64 bits"):
            store.grant("r1", "hdd1", "hdo1", moment)
        with pytest.raises(PoolError, match="expires_ns"):
            credit(store, "c2", 1, moment)
        with pytest.raises(PoolError, match="now_ns"):
            store.expire(moment)


def test_a_kind_that_is_none_is_refused(store: CouponStore) -> None:
    """C1, C4: there are bundles and top-ups."""
    with pytest.raises(PoolError, match="kind 'gift' must be one of bundle, topup"):
        credit(store, "c1", 1, kind="gift")


HOSTILE = ["", "a\0b", "x" * 10_000, "a\nb", "\u202eevil", "\ud800"]


@pytest.mark.parametrize("text", HOSTILE)
def test_names_that_cannot_be_printed_are_refused(store: CouponStore, text: str) -> None:
    """B77: empty, NUL, 10 kB, line breaks, right-to-left override, half a surrogate pair."""
    family(store, SLICE)
    calls: list[Callable[[], object]] = [
        lambda: credit(store, text, 1),
        lambda: credit(store, "c9", 1, contract=text),
        lambda: store.open_line(text, "hdo1", 0),
        lambda: store.open_line("hdd1", text, 0),
        lambda: store.grant(text, "hdd1", "hdo1", 5),
        lambda: store.grant("r1", "hdd1", text, 5),
        lambda: store.settle(text, 0, False),
        lambda: store.coupons(text),
        lambda: store.slices(text),
    ]
    for call in calls:
        with pytest.raises(PoolError, match="printable characters") as caught:
            call()
        assert len(str(caught.value)) < 600
        assert "\n" not in str(caught.value)


def test_names_are_data_never_statements(store: CouponStore) -> None:
    """B77: quotes and statements in a name are a name."""
    name = "'; DROP TABLE slice--"
    credit(store, name, SLICE, contract=name)
    store.open_line(name, name, 3)
    store.grant(name, name, name, 5)
    store.settle(name, 4, True)
    assert [s.used_bytes for s in store.slices(name)] == [3, 1]
    assert store.audit() == []


def test_numpy_integers_are_taken(store: CouponStore) -> None:
    """U4: rows of the engine hold numpy integers."""
    credit(store, "c1", np.int64(SLICE), np.int64(LATE))
    store.open_line("hdd1", "hdo1", np.int64(3))  # type: ignore[arg-type]
    store.grant("r1", "hdd1", "hdo1", np.int64(5))  # type: ignore[arg-type]
    store.settle("hdo1", np.int64(4), False)  # type: ignore[arg-type]
    assert store.audit() == []
    with pytest.raises(TypeError):
        store.settle("hdo1", 4.5, False)  # type: ignore[arg-type]


def test_use_is_cumulative_and_spends_the_oldest_bytes_first(store: CouponStore) -> None:
    """I1, I5, C7: a prepaid balance goes first; a lower or equal report changes nothing."""
    credit(store, "c1", 3 * SLICE)
    assert store.open_line("hdd1", "hdo1", 100) == 100
    store.grant("r1", "hdd1", "hdo1", 5)
    store.grant("r2", "hdd1", "hdo1", 5)
    store.settle("hdo1", 40, False)
    store.settle("hdo1", 40, False)
    store.settle("hdo1", 10, False)
    assert [s.used_bytes for s in store.slices("hdo1")] == [40, 0, 0]
    store.settle("hdo1", 100 + SLICE + 7, False)
    assert [s.used_bytes for s in store.slices("hdo1")] == [100, SLICE, 7]
    assert [s.on_sim_bytes for s in store.slices("hdo1")] == [0, 0, SLICE - 7]
    assert store.contracts() == [("hdd1", 3 * SLICE, SLICE, 2 * SLICE, 0)]
    assert store.audit() == []


def test_more_use_than_the_sim_held_is_refused(store: CouponStore) -> None:
    """I2, B76: used above granted, negative use."""
    family(store, SLICE)
    store.grant("r1", "hdd1", "hdo1", 5)
    store.settle("hdo1", 10, False)
    with pytest.raises(PoolError, match=f"line hdo1: {SLICE} bytes more .* held {SLICE - 10}"):
        store.settle("hdo1", SLICE + 10, False)
    with pytest.raises(PoolError, match="line hdo1: use of -1: must be 0 to"):
        store.settle("hdo1", -1, False)
    assert [s.used_bytes for s in store.slices("hdo1")] == [10]


def test_a_final_report_may_be_repeated_and_not_raised(store: CouponStore) -> None:
    """I5, B76: settle after final; 1 000 identical reports; a grant opens the line again."""
    family(store, 2 * SLICE)
    store.grant("r1", "hdd1", "hdo1", 5)
    store.settle("hdo1", 10, True)
    for _ in range(1000):
        store.settle("hdo1", 10, True)
    with pytest.raises(PoolError, match="line hdo1: settled finally at 10 bytes, now 11"):
        store.settle("hdo1", 11, True)
    store.grant("r2", "hdd1", "hdo1", 5)
    store.settle("hdo1", 11, True)
    assert store.open_line("hdd1", "hdo1", 0) == 2 * SLICE - 11
    store.settle("hdo1", 12, True)
    assert [s.used_bytes for s in store.slices("hdo1")] == [12, 0]
    assert store.audit() == []


def test_opening_a_line_twice_changes_nothing(store: CouponStore) -> None:
    """C7: the opening balance is given once."""
    assert store.open_line("hdd1", "hdo1", 50) == 50
    assert store.open_line("hdd1", "hdo1", 50) == 50
    assert [s.granted_bytes for s in store.slices("hdo1")] == [50]
    assert store.contracts() == [("hdd1", 0, 0, 0, 0)]
    with pytest.raises(PoolError, match="line hdo2: balance -1"):
        store.open_line("hdd1", "hdo2", -1)


def test_a_group_is_kept_whole_or_not_at_all(store: CouponStore) -> None:
    """D9: what was handed out in a group that is taken back was never handed out."""
    family(store, 3 * SLICE)
    store.begin()
    store.grant("r1", "hdd1", "hdo1", 5)
    store.rollback()
    store.rollback()
    assert store.slices("hdo1") == []
    store.begin()
    store.grant("r1", "hdd1", "hdo1", 5)
    with pytest.raises(PoolError, match="not opened"):
        store.grant("r2", "hdd1", "nobody", 5)
    store.commit()
    assert len(store.slices("hdo1")) == 1
    assert store.audit() == []


def test_groups_do_not_nest_and_do_not_end_twice(store: CouponStore) -> None:
    """D9: a commit that had nothing to keep must not look like one that had."""
    with pytest.raises(PoolError, match="no group is open"):
        store.commit()
    store.begin()
    with pytest.raises(PoolError, match="a group is open already"):
        store.begin()
    store.commit()


def test_a_closed_store_refuses_everything(store: CouponStore) -> None:
    """D9: nothing can be handed out that nobody would keep."""
    family(store, SLICE)
    store.close()
    store.close()
    with pytest.raises(PoolError, match="closed already"):
        store.grant("r1", "hdd1", "hdo1", 5)
    store.rollback()


def test_the_state_after_a_clean_stop_is_the_state_before(reopen: Opener) -> None:
    """I8, D6: balances, coupons and slices; the first balance is not given twice."""
    first = reopen()
    family(first, 2 * SLICE)
    first.grant("r1", "hdd1", "hdo1", 5)
    first.settle("hdo1", 100, True)
    before = (first.contracts(), first.coupons("hdd1"), first.slices("hdo1"))
    first.close()
    second = reopen()
    assert second.recovered == []
    assert second.run_id == first.run_id + 1
    assert (second.contracts(), second.coupons("hdd1"), second.slices("hdo1")) == before
    assert second.open_line("hdd1", "hdo1", 77) == SLICE - 100
    second.settle("hdo1", 5, True)
    assert [s.used_bytes for s in second.slices("hdo1")] == [105]
    assert second.audit() == []
    second.close()


def test_a_request_of_an_earlier_run_is_refused(reopen: Opener) -> None:
    """I3, G1: its slice is in the balance already, so answering again would grant it twice."""
    first = reopen()
    family(first, 2 * SLICE)
    first.grant("r1", "hdd1", "hdo1", 5)
    first.close()
    second = reopen()
    assert second.open_line("hdd1", "hdo1", 0) == SLICE
    with pytest.raises(PoolError, match="request r1: granted in run 1, this is run 2"):
        second.grant("r1", "hdd1", "hdo1", 5)
    second.close()


def test_a_line_of_an_earlier_run_must_be_opened_again(reopen: Opener) -> None:
    """B76: the report of a run that is over says nothing about this one."""
    first = reopen()
    family(first, SLICE)
    first.close()
    second = reopen()
    with pytest.raises(PoolError, match="line hdo1: not opened in this run"):
        second.settle("hdo1", 0, True)
    second.close()


def test_what_a_broken_run_left_unsettled_is_uncertain_and_named(reopen: Opener) -> None:
    """G4, D9, I1: never given back, never dropped in silence; settled lines are not touched."""
    first = reopen()
    family(first, 5 * SLICE)
    first.open_line("hdd1", "hdo3", 60)
    first.open_line("hdd1", "idle", 0)
    for number, line in enumerate(("hdo1", "hdo1", "hdo2")):
        first.grant(f"r{number}", "hdd1", line, 5)
    first.settle("hdo1", SLICE + 1, False)
    first.settle("hdo2", 2, True)
    first.close(clean=False)
    second = reopen()
    assert second.recovered == [
        f"line hdo1 of contract hdd1: {SLICE - 1} bytes of slice 3 counted as used,"
        " because the run before was not closed",
        "line hdo3 of contract hdd1: 60 bytes of slice 1 counted as used,"
        " because the run before was not closed",
    ]
    assert second.slices("hdo1")[1].uncertain_bytes == SLICE - 1
    assert [second.open_line("hdd1", line, 0) for line in ("hdo1", "hdo2", "hdo3")] == [
        0,
        SLICE - 2,
        0,
    ]
    assert second.audit() == []
    second.close()
    third = reopen()
    assert third.recovered == []
    third.close()


def test_an_open_group_is_lost_with_its_run_and_kept_by_a_clean_end(reopen: Opener) -> None:
    """G2: only what was committed, or closed cleanly, is there afterwards."""
    first = reopen()
    first.begin()
    family(first, SLICE)
    first.close(clean=False)
    second = reopen()
    assert second.contracts() == []
    second.begin()
    family(second, SLICE)
    second.close()
    third = reopen()
    assert third.contracts() == [("hdd1", SLICE, SLICE, 0, 0)]
    third.close()
