"""Many coupons credited in one call; each test runs on every store."""

import pytest

from engine.errors import PoolError
from engine.pool import CouponStore
from engine.pool.store import Credit, Notice
from tests.support.stores import SLICE, Pool, credit, parts_used


def coupon(name: str, size: int = 7, contract: str = "hdd1") -> Credit:
    return Credit(name, contract, "bundle", size, 0, 100)


def test_many_credits_are_each_as_one(store: CouponStore) -> None:
    """C1, C5, D9: those that are known pass, new contracts are made, the order is kept."""
    credit(store, "c2", 7, 100)
    store.credit_all([coupon("c1"), coupon("c2"), coupon("c3"), coupon("d1", 9, "hdd2")])
    store.credit_all([coupon("c1"), coupon("c2"), coupon("c3"), coupon("d1", 9, "hdd2")])
    store.credit_all([])
    assert [c.credit_id for c in store.coupons("hdd1")] == ["c2", "c1", "c3"]
    assert store.contracts() == [("hdd1", 21, 21, 0, 0), ("hdd2", 9, 9, 0, 0)]
    assert store.audit() == []


@pytest.mark.parametrize(
    ("bad", "words"),
    [
        (coupon("known", 8), "credit known: known already with other figures"),
        (coupon("more", 1 << 62), "contract hdd1 would have"),
        (coupon("none", 0), "must be 1 to"),
        (coupon("buy:1:1"), "names that begin with buy: are of purchases"),
        (coupon("x", 7, "\0"), "printable"),
        (coupon("x")._replace(kind="gift"), "kind 'gift'"),
        (coupon("x")._replace(expires_ns=1 << 63), "64 bits"),
    ],
)
def test_one_that_is_refused_refuses_all(store: CouponStore, bad: Credit, words: str) -> None:
    """B77, B80, D9: also in a group, which goes on without them."""
    credit(store, "known", 7, 100)
    store.begin()
    with pytest.raises(PoolError, match=words):
        store.credit_all([coupon("c1"), coupon("n1", 7, "new"), bad])
    store.commit()
    assert store.contracts() == [("hdd1", 7, 7, 0, 0)]
    assert store.audit() == []


def test_contracts_that_ended_are_left_out(store: CouponStore) -> None:
    """A4: their coupons are not added, those of others are."""
    credit(store, "c1", SLICE)
    store.close_contract("hdd1", 50)
    store.credit_all([coupon("c2"), coupon("d1", 9, "hdd2")])
    assert parts_used(store) == {"c1": 0}
    assert [c.credited_bytes for c in store.contracts()] == [SLICE, 9]
    assert store.audit() == []


def test_others_are_told_of_every_contract_that_was_credited(pool: Pool) -> None:
    """D5: once each, or that anything may have changed."""
    gateway, desk = pool.open("a"), pool.open(None)
    desk.credit_all([coupon("c1"), coupon("c2"), coupon("d1", 9, "hdd2")])
    heard = gateway.notices()
    assert {notice.contract for notice in heard} == {"hdd1", "hdd2"}
    desk.credit_all([coupon(f"e{number}", 1, f"hde{number}") for number in range(1_001)])
    heard = gateway.notices()
    assert heard == [Notice("all")] or len(heard) == 1_001
