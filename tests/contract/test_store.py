"""What every coupon store must do; each test runs on every store."""

import pytest

from engine import calendar
from engine.errors import PoolError
from engine.pool import CouponStore, Grant
from engine.units import MB
from tests.support.stores import SLICE, credit, family, parts_used


def test_a_slice_is_ten_megabytes_and_the_last_is_what_is_left(store: CouponStore) -> None:
    """D1, D2, U1"""
    family(store, SLICE + 1)
    assert store.grant("r1", "hdd1", "hdo1", 5) == Grant(1, SLICE)
    assert store.grant("r2", "hdd1", "hdo2", 5) == Grant(2, 1)
    assert store.grant("r3", "hdd1", "hdo1", 5) == Grant(0, 0)
    assert [s.granted_bytes for s in store.slices("hdo1")] == [SLICE]
    (balance,) = store.contracts()
    assert balance == ("hdd1", SLICE + 1, 0, SLICE + 1, 0)
    assert store.audit() == []


def test_a_slice_may_be_made_of_several_coupons(store: CouponStore) -> None:
    """D3, C5"""
    family(store, 4 * MB)
    credit(store, "c2", 1)
    credit(store, "c3", 50 * MB)
    assert store.grant("r1", "hdd1", "hdo1", 5).granted_bytes == SLICE
    assert parts_used(store) == {"c1": 4 * MB, "c2": 1, "c3": 6 * MB - 1}
    assert store.audit() == []


def test_coupons_are_used_nearest_expiry_first_then_bundle_then_older_then_as_credited(
    store: CouponStore,
) -> None:
    """C5: each tie is broken by the next figure; the order of crediting comes last."""
    store.open_line("hdd1", "hdo1", 0)
    credit(store, "late", SLICE, 901)
    credit(store, "second", SLICE, 900, kind="topup", credited_ns=3)
    credit(store, "third", SLICE, 900, kind="topup", credited_ns=3)
    credit(store, "older", SLICE, 900, kind="topup", credited_ns=2)
    credit(store, "young bundle", SLICE, 900, credited_ns=4)
    credit(store, "first", SLICE, 899, kind="topup", credited_ns=4)
    order = ["first", "young bundle", "older", "second", "third", "late"]
    assert [coupon.credit_id for coupon in store.coupons("hdd1")] == order
    for number, name in enumerate(order):
        store.grant(f"r{number}", "hdd1", "hdo1", 10)
        assert [c for c, used in parts_used(store).items() if used] == order[: number + 1], name


@pytest.mark.parametrize("month", ["2014-03", "2013-09", "2027-11", "2028-02"])
def test_a_coupon_is_good_to_the_last_nanosecond_of_its_last_month(
    store: CouponStore, month: str
) -> None:
    """C4, C6, G9: 30 June 23:59:59.999999999 JST and the next ns; year's end; 29 February."""
    expires_ns = calendar.topup_expires_ns(calendar.parse_month(month))
    family(store, 1)
    credit(store, "top", 3 * SLICE, expires_ns, kind="topup")
    assert store.grant("r1", "hdd1", "hdo1", expires_ns - 1).granted_bytes == SLICE
    assert store.expire(expires_ns - 1) == 0
    assert store.grant("r2", "hdd1", "hdo1", expires_ns).granted_bytes == 1
    assert parts_used(store) == {"top": SLICE, "c1": 1}
    assert store.expire(expires_ns) == 2 * SLICE
    assert store.contracts() == [("hdd1", 3 * SLICE + 1, 0, SLICE + 1, 2 * SLICE)]
    assert store.audit() == []


def test_an_expired_coupon_stays_expired_when_the_clock_goes_back(store: CouponStore) -> None:
    """I7: expired never falls; a second call books nothing."""
    family(store, SLICE)
    credit(store, "short", SLICE, 100)
    assert store.expire(100) == SLICE
    assert store.expire(100) == 0
    assert store.grant("r1", "hdd1", "hdo1", 5).granted_bytes == SLICE
    assert store.grant("r2", "hdd1", "hdo1", 5) == Grant(0, 0)
    assert [c.expired_bytes for c in store.coupons("hdd1")] == [SLICE, 0]


def test_a_coupon_is_not_good_before_it_was_credited(store: CouponStore) -> None:
    """C1: next month's bundle does nothing for the last packet of this month."""
    store.open_line("hdd1", "hdo1", 0)
    credit(store, "next", SLICE, credited_ns=100)
    assert store.grant("r1", "hdd1", "hdo1", 99) == Grant(0, 0)
    assert store.grant("r2", "hdd1", "hdo1", 100).granted_bytes == SLICE
    assert store.audit() == []


def test_expiry_leaves_what_is_on_a_sim_alone(store: CouponStore) -> None:
    """C6, D6"""
    store.open_line("hdd1", "hdo1", 0)
    credit(store, "short", SLICE + 5, 100)
    store.grant("r1", "hdd1", "hdo1", 99)
    assert store.expire(100) == 5
    store.settle("hdo1", SLICE, True)
    assert [s.on_sim_bytes for s in store.slices("hdo1")] == [0]
    assert store.audit() == []


def test_a_coupon_that_was_over_when_credited_is_never_handed_out(store: CouponStore) -> None:
    """B80: expiry in the past, and at the very instant of crediting."""
    store.open_line("hdd1", "hdo1", 0)
    credit(store, "past", SLICE, 50, credited_ns=100)
    credit(store, "instant", SLICE, 100, credited_ns=100)
    assert store.grant("r1", "hdd1", "hdo1", 100) == Grant(0, 0)
    assert store.expire(100) == 2 * SLICE
    assert store.audit() == []


def test_contracts_do_not_share_coupons(store: CouponStore) -> None:
    """D1, D4: a contract's coupons serve its own lines only, in the order of the codes."""
    family(store, SLICE)
    credit(store, "c2", SLICE, contract="hdd0")
    store.open_line("hdd0", "hdo9", 0)
    store.grant("r1", "hdd1", "hdo1", 5)
    assert store.grant("r2", "hdd1", "hdo2", 5) == Grant(0, 0)
    assert [(c.code, c.in_database_bytes) for c in store.contracts()] == [
        ("hdd0", SLICE),
        ("hdd1", 0),
    ]


def test_a_repeated_request_gets_the_same_slice(store: CouponStore) -> None:
    """I3, G1, F2: ten times, later, and when nothing is left."""
    family(store, SLICE)
    first = store.grant("r1", "hdd1", "hdo1", 5)
    assert {store.grant("r1", "hdd1", "hdo1", 5 + n) for n in range(10)} == {first}
    assert len(store.slices("hdo1")) == 1
    assert store.audit() == []


def test_a_request_that_got_nothing_may_get_a_slice_after_a_charge(store: CouponStore) -> None:
    """D5, I3: nothing was stored under its id."""
    family(store, SLICE)
    store.grant("r1", "hdd1", "hdo1", 5)
    assert store.grant("r2", "hdd1", "hdo2", 5) == Grant(0, 0)
    credit(store, "c2", SLICE)
    assert store.grant("r2", "hdd1", "hdo2", 6) == Grant(2, SLICE)


def test_a_request_with_other_parameters_is_refused(store: CouponStore) -> None:
    """F9, I4: another line, another contract."""
    family(store, 3 * SLICE)
    store.grant("r1", "hdd1", "hdo1", 5)
    with pytest.raises(PoolError, match="request r1: granted to line hdo1"):
        store.grant("r1", "hdd1", "hdo2", 5)
    with pytest.raises(
        PoolError, match="of contract hdd1, now asked for line hdo1 of contract hdd2"
    ):
        store.grant("r1", "hdd2", "hdo1", 5)
    assert store.contracts()[0].granted_bytes == SLICE


def test_a_line_that_is_not_open_gets_nothing(store: CouponStore) -> None:
    """B76: an unknown SIM, a line of another contract."""
    family(store, SLICE)
    with pytest.raises(PoolError, match="line hdo7: not opened in this run"):
        store.grant("r1", "hdd1", "hdo7", 5)
    with pytest.raises(PoolError, match="line hdo7: not opened in this run"):
        store.settle("hdo7", 0, False)
    with pytest.raises(PoolError, match="line hdo1: belongs to contract hdd1, not to hdd2"):
        store.grant("r1", "hdd2", "hdo1", 5)
    with pytest.raises(PoolError, match="line hdo1: belongs to contract hdd1, not to hdd2"):
        store.open_line("hdd2", "hdo1", 0)


def test_a_credit_counts_once(store: CouponStore) -> None:
    """D9: the same id again is no second coupon; with other figures it is refused."""
    assert credit(store, "c1", 7) is True
    assert credit(store, "c1", 7) is False
    for change in (
        {"size": 8},
        {"expires_ns": 5},
        {"kind": "topup"},
        {"credited_ns": 1},
        {"contract": "x"},
    ):
        with pytest.raises(PoolError, match="credit c1: known already with other figures"):
            credit(store, "c1", **({"size": 7} | change))  # type: ignore[arg-type]
    assert store.contracts() == [("hdd1", 7, 7, 0, 0)]
