"""Many slices asked for at once: what every coupon store hands out is what it would one by one."""

import pytest

from engine.errors import PoolError
from engine.pool import CouponStore, Grant, open_store
from engine.pool.store import Request
from tests.support.stores import SLICE, credit, family, parts_used

THREE = [
    Request("r1", "hdd1", "hdo1", 5),
    Request("r2", "hdd1", "hdo2", 6),
    Request("r3", "hdd2", "hdo3", 7),
]


def two_contracts(store: CouponStore, size: int) -> None:
    """hdd1 with hdo1 and hdo2, hdd2 with hdo3; a coupon each."""
    family(store, size)
    credit(store, "c9", size, contract="hdd2")
    store.open_line("hdd2", "hdo3", 0)


def test_many_requests_get_what_they_would_one_by_one(store: CouponStore) -> None:
    """D1-D3, C5: in their order, each out of what those before it left."""
    two_contracts(store, SLICE + 7)
    credit(store, "c2", 5, expires_ns=50)
    grants = store.grant_all(THREE)
    assert [grant.granted_bytes for grant in grants] == [SLICE, 12, SLICE]
    assert len({grant.slice_id for grant in grants}) == 3
    assert parts_used(store) == {"c1": SLICE + 7, "c2": 5}
    assert [balance.balance_bytes for balance in store.lines()] == [SLICE, 12, SLICE]
    assert [balance.granted_bytes for balance in store.contracts()] == [SLICE + 12, SLICE]
    assert store.audit() == []


def test_nobody_asks_for_nothing(store: CouponStore) -> None:
    """D1: no request, no slice"""
    assert store.grant_all([]) == []
    assert store.audit() == []


def test_an_empty_contract_hands_out_nothing_among_others(store: CouponStore) -> None:
    """D5: that is stored nowhere, and asked again it may be answered otherwise."""
    two_contracts(store, SLICE)
    assert [grant.granted_bytes for grant in store.grant_all(THREE)] == [SLICE, 0, SLICE]
    assert store.grant_all(THREE[1:2]) == [Grant(0, 0)]
    credit(store, "c2", 9)
    assert [grant.granted_bytes for grant in store.grant_all(THREE)] == [SLICE, 9, SLICE]
    assert store.audit() == []


def test_requests_that_were_granted_get_the_same_slices_again(store: CouponStore) -> None:
    """I3: by whichever call they were made, twice in one call included"""
    two_contracts(store, 3 * SLICE)
    first = store.grant(*THREE[0])
    grants = store.grant_all([*THREE, *THREE])
    assert grants[0] == first
    assert grants[:3] == grants[3:]
    assert store.grant(*THREE[2]) == grants[2]
    assert sum(balance.granted_bytes for balance in store.contracts()) == 3 * SLICE
    assert store.audit() == []


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (Request("r4", "hdd1", "hdo9", 5), "not opened in this run"),
        (Request("r4", "hdd1", "hdo3", 5), "belongs to contract hdd2"),
        (Request("r1", "hdd1", "hdo2", 5), "granted to line hdo1"),
        (Request("", "hdd1", "hdo1", 5), "1 to 128 printable characters"),
        (Request("r4", "hdd1", "hdo1", 1 << 63), "fit in 64 bits"),
    ],
)
def test_one_that_is_refused_raises_and_the_books_agree(
    store: CouponStore, wrong: Request, words: str
) -> None:
    """F9, I3, B69, B77"""
    two_contracts(store, 9 * SLICE)
    store.grant(*THREE[0])
    with pytest.raises(PoolError, match=words):
        store.grant_all([*THREE[1:], wrong])
    assert store.audit() == []


@pytest.mark.parametrize("kind", ["memory", "file"])
def test_in_sqlite_one_that_is_refused_refuses_all(kind: str, tmp_path: object) -> None:
    """F9: nothing is written before all is known to be right, the same name twice included."""
    store = open_store(None if kind == "memory" else f"sqlite:///{tmp_path}/coupons.db")
    two_contracts(store, 9 * SLICE)
    store.begin()
    for wrong in (Request("r1", "hdd1", "hdo2", 5), Request("r4", "hdd1", "hdo3", 5)):
        with pytest.raises(PoolError):
            store.grant_all([*THREE, wrong])
    store.commit()
    assert sum(balance.granted_bytes for balance in store.contracts()) == 0
    assert store.audit() == []
    store.close()


def test_hundreds_at_once_are_handed_out_like_one(store: CouponStore) -> None:
    """D1, D9: more than any statement takes at a time; every slice is in the journal."""
    lines = [("hdd1", f"hdo{number}", 0) for number in range(100)]
    store.open_lines(lines)
    credit(store, "c1", 99 * SLICE + 1)
    requests = [Request(f"r:{line}", "hdd1", line, 5) for _, line, _ in lines]
    grants = store.grant_all(requests)
    assert [grant.granted_bytes for grant in grants] == [SLICE] * 99 + [1]
    assert [store.slices(line)[0].slice_id for _, line, _ in lines] == [g.slice_id for g in grants]
    store.settle_all([(line, 1) for _, line, _ in lines], True)
    assert store.audit() == []
