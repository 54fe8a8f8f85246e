"""Buying additional coupons, and what becomes of coupons when a contract ends; on every store."""

import pytest

from engine import calendar
from engine.errors import PoolError, RefusedError
from engine.pool import CouponStore, Grant
from engine.pool.store import TOPUP_BYTES
from engine.units import MB, NS_PER_DAY
from tests.support.stores import LATE, SLICE, Pool, credit, family


def month(text: str) -> int:
    return calendar.month_start_ns(calendar.parse_month(text))


MARCH = month("2014-03")
APRIL = month("2014-04")


def known_contract(store: CouponStore) -> None:
    """Contract hdd1, without any coupon."""
    store.open_line("hdd1", "hdo1", 0)


def test_the_31st_coupon_of_a_month_is_refused_and_changes_nothing(store: CouponStore) -> None:
    """C3: to the last nanosecond of the month; the next month starts again at 0."""
    known_contract(store)
    assert store.buy("b1", "hdd1", 29, MARCH)
    assert store.buy("b2", "hdd1", 1, APRIL - 1)
    before = (store.coupons("hdd1"), store.purchases("hdd1", 0), store.contracts())
    with pytest.raises(RefusedError, match=r"at most 30 a month; 30 were bought in 2014-03"):
        store.buy("b3", "hdd1", 1, APRIL - 1)
    assert (store.coupons("hdd1"), store.purchases("hdd1", 0), store.contracts()) == before
    assert store.buy("b3", "hdd1", 30, APRIL)
    assert len(store.coupons("hdd1")) == 60
    assert store.audit() == []


@pytest.mark.parametrize("coupons", [31, 30 + (1 << 40)])
def test_more_than_a_month_allows_is_refused_at_once(store: CouponStore, coupons: int) -> None:
    """C3: also the first purchase, and by a lot."""
    known_contract(store)
    with pytest.raises(RefusedError, match=r"at most 30 a month; 0 were bought"):
        store.buy("b1", "hdd1", coupons, MARCH)
    assert store.contracts() == [("hdd1", 0, 0, 0, 0)]


@pytest.mark.parametrize(("bought", "last"), [("2014-03", "2014-06"), ("2013-11", "2014-02")])
def test_a_coupon_that_was_bought_is_good_to_the_end_of_the_third_month(
    store: CouponStore, bought: str, last: str
) -> None:
    """C4: bought in March, good to 30 June 23:59:59.999999999; bought in November, to 28 February."""
    known_contract(store)
    end_ns = calendar.expires_of(last)
    store.buy("b1", "hdd1", 1, month(bought) + 5)
    store.buy("b2", "hdd1", 1, calendar.month_start_ns(calendar.parse_month(bought) + 1) - 1)
    (first, second) = store.coupons("hdd1")
    assert {first.expires_ns, second.expires_ns} == {end_ns}
    assert first.credited_bytes == TOPUP_BYTES == 100 * MB
    assert store.grant("r1", "hdd1", "hdo1", end_ns - 1).granted_bytes == SLICE
    assert store.grant("r2", "hdd1", "hdo1", end_ns) == Grant(0, 0)
    assert store.expire(end_ns) == 190 * MB
    assert store.audit() == []


def test_a_purchase_counts_once(store: CouponStore) -> None:
    """C3, F2, F9: repeated, also at a later time; refused with another number or contract."""
    known_contract(store)
    credit(store, "c2", 1, contract="hdd2")
    assert store.buy("b1", "hdd1", 2, MARCH) is True
    assert store.buy("b1", "hdd1", 2, MARCH) is False
    assert store.buy("b1", "hdd1", 2, APRIL) is False
    with pytest.raises(PoolError, match="request b1: bought 2 coupons for contract hdd1"):
        store.buy("b1", "hdd1", 3, MARCH)
    with pytest.raises(PoolError, match="request b1: bought 2 coupons for contract hdd1"):
        store.buy("b1", "hdd2", 2, MARCH)
    assert [p[:4] for p in store.purchases("hdd1", 0)] == [("b1", MARCH, 2, 200 * MB)]
    assert store.audit() == []


def test_a_purchase_that_makes_no_sense_is_refused(store: CouponStore) -> None:
    """B76, B80: no coupons, an unknown contract, times outside the calendar, a sum that overflows."""
    known_contract(store)
    for coupons in (0, -1):
        with pytest.raises(PoolError, match="buy at least 1"):
            store.buy("b1", "hdd1", coupons, MARCH)
    with pytest.raises(PoolError, match="contract hdd9: the coupon database does not know it"):
        store.buy("b1", "hdd9", 1, MARCH)
    for moment in (1 << 63, (1 << 63) - 1):
        with pytest.raises(PoolError, match="64 bits"):
            store.buy("b1", "hdd1", 1, moment)
    credit(store, "c1", (1 << 62) - TOPUP_BYTES)
    store.buy("b1", "hdd1", 1, MARCH)
    with pytest.raises(PoolError, match="contract hdd1 would have"):
        store.buy("b2", "hdd1", 1, MARCH)
    assert len(store.purchases("hdd1", 0)) == 1


def test_names_of_coupons_that_were_bought_cannot_be_taken(store: CouponStore) -> None:
    """D9: nor can a purchase be made to look as if it was done."""
    with pytest.raises(PoolError, match="names that begin with buy: are of purchases"):
        credit(store, "buy:b1:1", 5)


def test_purchases_are_listed_newest_first_from_a_time_on(store: CouponStore) -> None:
    """Q1: additional coupons only."""
    known_contract(store)
    credit(store, "c1", 5)
    credit(store, "c2", 5, kind="topup")
    for number, moment in enumerate((MARCH, APRIL, APRIL, APRIL + NS_PER_DAY)):
        store.buy(f"b{number}", "hdd1", 1 + number, moment)
    names = [p.request_id for p in store.purchases("hdd1", MARCH)]
    assert names == ["b3", "b2", "b1", "b0"]
    assert [p.request_id for p in store.purchases("hdd1", MARCH + 1)] == ["b3", "b2", "b1"]
    newest = store.purchases("hdd1", 0)[0]
    assert newest == ("b3", APRIL + NS_PER_DAY, 4, 400 * MB, month("2014-08"))
    assert store.purchases("hdd9", 0) == []


def test_the_limit_holds_whoever_buys(pool: Pool) -> None:
    """C3: gateways, an operator, and a run that came later."""
    stores = [pool.open("a"), pool.open("b"), pool.open(None)]
    known_contract(stores[0])
    for number, store in enumerate(stores):
        assert store.buy(f"b{number}", "hdd1", 9, MARCH)
    stores[0].close()
    again = pool.open("a")
    with pytest.raises(RefusedError, match="27 were bought in 2014-03"):
        again.buy("b9", "hdd1", 4, MARCH)
    assert again.buy("b1", "hdd1", 9, MARCH) is False
    assert again.buy("b9", "hdd1", 3, MARCH)
    assert again.audit() == []


def test_a_contract_that_ends_loses_what_its_coupons_hold_and_gets_no_more(
    store: CouponStore,
) -> None:
    """A4, A6, I7: what is on SIMs stays; a repeated call books nothing."""
    family(store, 3 * SLICE)
    store.grant("r1", "hdd1", "hdo1", 5)
    store.buy("b1", "hdd1", 1, MARCH)
    assert store.close_contract("hdd1", APRIL) == 2 * SLICE + TOPUP_BYTES
    assert store.close_contract("hdd1", APRIL + 1) == 0
    assert store.grant("r2", "hdd1", "hdo1", 6) == Grant(0, 0)
    assert store.contracts()[0].in_database_bytes == 0
    assert store.contracts()[0].expired_bytes == 2 * SLICE + TOPUP_BYTES
    assert sum(s.on_sim_bytes for s in store.slices("hdo1")) == SLICE
    assert credit(store, "c9", 5) is False
    with pytest.raises(RefusedError, match="contract hdd1: has ended, and buys no coupons"):
        store.buy("b2", "hdd1", 1, APRIL)
    assert store.buy("b1", "hdd1", 1, MARCH) is False
    with pytest.raises(PoolError, match="contract hdd9: the coupon database does not know it"):
        store.close_contract("hdd9", 5)
    assert store.expire(LATE) == 0
    assert store.audit() == []
