"""Marks ahead of use, and what a run that breaks off leaves uncertain; on every store."""

import pytest

from engine.errors import PoolError
from engine.pool import CouponStore
from engine.units import MB
from tests.support.stores import SLICE, Opener, Pool, credit, family


def broken_off(first: CouponStore, used: int, mark: int) -> None:
    """hdo1 holds 2 slices, of which `used` are certain and `mark` may be; then the gateway dies."""
    family(first, 4 * SLICE)
    first.grant("r1", "hdd1", "hdo1", 5)
    first.grant("r2", "hdd1", "hdo1", 5)
    first.mark([("hdo1", used, mark)])
    first.close(clean=False)


@pytest.mark.parametrize(
    ("used", "mark", "slices"),
    [
        (0, 0, [(0, 0), (0, 0)]),
        (0, MB, [(0, MB), (0, 0)]),
        (3, 3, [(3, 0), (0, 0)]),
        (SLICE - 1, SLICE + 1, [(SLICE - 1, 1), (0, 1)]),
        (SLICE + 4, 2 * SLICE, [(SLICE, 0), (4, SLICE - 4)]),
        (2 * SLICE, 2 * SLICE, [(SLICE, 0), (SLICE, 0)]),
    ],
)
def test_only_what_lies_between_use_and_mark_is_uncertain(
    reopen: Opener, used: int, mark: int, slices: list[tuple[int, int]]
) -> None:
    """G4, F1: what is certain is booked as used, the rest is on the SIM; nothing is lost in silence."""
    broken_off(reopen(), used, mark)
    second = reopen()
    found = [(s.used_bytes, s.uncertain_bytes) for s in second.slices("hdo1")]
    assert found == slices
    assert len(second.recovered) == (used < mark)
    for text in second.recovered:
        assert text.startswith(f"line hdo1 of contract hdd1: {mark - used} bytes of slice ")
        assert text.endswith("counted as used, because the run before was not closed")
    assert second.open_line("hdd1", "hdo1", 0) == 2 * SLICE - mark
    assert second.reported("hdo1") == 0
    assert second.audit() == []
    second.close()


def test_what_is_uncertain_may_be_given_back(pool: Pool) -> None:
    """G4 "refund": named all the same, and on the SIM again; what is certain stays used."""
    broken_off(pool.open("a"), 7, MB)
    second = pool.open("a", uncertain="refund")
    (text,) = second.recovered
    assert f"{MB - 7} bytes of slice 1 uncertain, given back" in text
    assert [(s.used_bytes, s.uncertain_bytes) for s in second.slices("hdo1")] == [(7, 0), (0, 0)]
    assert second.open_line("hdd1", "hdo1", 0) == 2 * SLICE - 7
    assert second.audit() == []
    second.settle("hdo1", 2 * SLICE - 7, True)
    assert second.lines()[0][2:5] == (0, 2 * SLICE, 0)
    assert second.audit() == []


def test_a_run_that_never_marks_may_have_used_all(reopen: Opener) -> None:
    """G4: programs that only grant are safe as well; the first mark replaces that."""
    first = reopen()
    family(first, 4 * SLICE)
    first.grant("r1", "hdd1", "hdo1", 5)
    first.grant("r2", "hdd1", "hdo2", 5)
    first.mark([("hdo2", 0, 0)])
    first.close(clean=False)
    second = reopen()
    assert [s.uncertain_bytes for s in second.slices("hdo1")] == [SLICE]
    assert [s.uncertain_bytes for s in second.slices("hdo2")] == [0]
    assert second.audit() == []
    second.close()


def test_marks_of_an_earlier_run_do_not_bind_the_next(reopen: Opener) -> None:
    """G4, I8: all figures begin at 0 again, and without a mark all is uncertain again."""
    broken_off(reopen(), 5, 10)
    second = reopen()
    left = second.open_line("hdd1", "hdo1", 0)
    assert left == 2 * SLICE - 10
    with pytest.raises(PoolError, match="line hdo1: a mark of"):
        second.mark([("hdo1", 0, left + 1)])
    second.close(clean=False)
    third = reopen()
    assert sum(s.uncertain_bytes for s in third.slices("hdo1")) == 5 + left
    third.close()


def test_marks_never_fall(reopen: Opener) -> None:
    """G4, F8: a smaller figure, late or repeated, is passed over."""
    first = reopen()
    family(first, SLICE)
    first.grant("r1", "hdd1", "hdo1", 5)
    first.mark([("hdo1", 5, 100), ("hdo1", 3, 200), ("hdo1", 4, 50)])
    first.mark([("hdo1", 0, 0)])
    assert first.reported("hdo1") == 5
    first.close(clean=False)
    second = reopen()
    assert [s[3:] for s in second.slices("hdo1")] == [(5, 195)]
    second.close()


def test_a_settlement_beyond_the_mark_counts(reopen: Opener) -> None:
    """I5, G4: settled use is certain, whatever was marked."""
    first = reopen()
    family(first, SLICE)
    first.grant("r1", "hdd1", "hdo1", 5)
    first.mark([("hdo1", 5, 100)])
    first.settle("hdo1", 300, False)
    first.close(clean=False)
    second = reopen()
    assert [s[3:] for s in second.slices("hdo1")] == [(300, 0)]
    assert second.recovered == []
    second.close()


def test_a_settlement_below_the_marked_use_books_the_marked_use(store: CouponStore) -> None:
    """I5: used = max(used, reported); marked use is certain."""
    family(store, SLICE)
    store.grant("r1", "hdd1", "hdo1", 5)
    store.mark([("hdo1", 50, 100)])
    assert store.reported("hdo1") == 50
    store.settle("hdo1", 20, True)
    assert [s.used_bytes for s in store.slices("hdo1")] == [50]
    assert store.audit() == []


def test_a_mark_that_is_refused_changes_nothing(store: CouponStore) -> None:
    """B76, I2: used above the mark, a mark above what was granted, unknown lines; all or none."""
    family(store, SLICE)
    store.grant("r1", "hdd1", "hdo1", 5)
    good = ("hdo1", 7, 9)
    with pytest.raises(PoolError, match="3 bytes used and a mark of 2, not in order"):
        store.mark([good, ("hdo1", 3, 2)])
    with pytest.raises(PoolError, match="not in order"):
        store.mark([good, ("hdo1", -1, 2)])
    with pytest.raises(PoolError, match=f"mark of {SLICE + 1} bytes, its SIM held {SLICE}"):
        store.mark([good, ("hdo1", 0, SLICE + 1)])
    with pytest.raises(PoolError, match="line hdo9: not opened in this run"):
        store.mark([good, ("hdo9", 0, 0)])
    with pytest.raises(PoolError, match="printable characters"):
        store.mark([good, ("a\nb", 0, 0)])
    assert store.reported("hdo1") == 0
    store.begin()
    credit(store, "c2", SLICE)
    with pytest.raises(PoolError, match="its SIM held"):
        store.mark([good, ("hdo1", 0, SLICE + 1)])
    store.mark([("hdo1", 1, 1)])
    store.commit()
    assert store.reported("hdo1") == 1
    assert len(store.coupons("hdd1")) == 2


def test_a_line_that_was_settled_finally_is_not_marked_further(store: CouponStore) -> None:
    """G4: nothing of it could be uncertain, so nothing more may be used; a grant opens it again."""
    family(store, 2 * SLICE)
    store.grant("r1", "hdd1", "hdo1", 5)
    store.settle("hdo1", 10, True)
    store.mark([("hdo1", 10, 10)])
    with pytest.raises(PoolError, match="line hdo1: settled finally at 10 bytes, now marked at 11"):
        store.mark([("hdo1", 10, 11)])
    store.grant("r2", "hdd1", "hdo1", 5)
    store.mark([("hdo1", 10, SLICE + 11)])
    assert store.audit() == []


def test_a_clean_end_leaves_nothing_uncertain(reopen: Opener) -> None:
    """F20, G4: the caller's word; marks do not matter then."""
    first = reopen()
    family(first, SLICE)
    first.grant("r1", "hdd1", "hdo1", 5)
    first.mark([("hdo1", 5, MB)])
    first.settle("hdo1", 6, True)
    first.close()
    second = reopen()
    assert second.recovered == []
    assert [s[3:] for s in second.slices("hdo1")] == [(6, 0)]
    second.close()
