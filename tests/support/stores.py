"""Short hands for tests of coupon stores."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from engine.errors import PoolError
from engine.pool import CouponStore, StoreOptions, open_store
from engine.units import MB

SLICE = 10 * MB
LATE = 1 << 62
Opener = Callable[[], CouponStore]


class Pool:
    """A lasting coupon database that several gateways and operators have open at the same time."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._stores: list[CouponStore] = []

    def open(self, gateway: str | None = "a", **options: Any) -> CouponStore:
        """Open it as a gateway, or as an operator (None); closed at the end at the latest."""
        store = open_store(self.url, StoreOptions(gateway=gateway, **options))
        self._stores.append(store)
        return store

    def close(self) -> None:
        """Drop what is still open, as a crash would."""
        for store in self._stores:
            store.close(clean=False)


def credit(
    store: CouponStore, name: str, size: int, expires_ns: int = LATE, **more: int | str
) -> bool:
    """A bundle of contract hdd1 unless told otherwise."""
    given = {"contract": "hdd1", "kind": "bundle", "credited_ns": 0} | more
    return store.credit(name, credited_bytes=size, expires_ns=expires_ns, **given)  # type: ignore[arg-type]


def family(store: CouponStore, size: int) -> None:
    """Contract hdd1 with one coupon and the lines hdo1 and hdo2."""
    credit(store, "c1", size)
    for line in ("hdo1", "hdo2"):
        store.open_line("hdd1", line, 0)


def parts_used(store: CouponStore) -> dict[str, int]:
    """Bytes that each coupon of hdd1 has granted."""
    return {coupon.credit_id: coupon.granted_bytes for coupon in store.coupons("hdd1")}


def url(path: Path) -> str:
    return f"sqlite:///{path}"


def filled(path: Path, contracts: int = 1) -> None:
    """A database with a few rows in every table, closed cleanly."""
    store = open_store(url(path))
    store.begin()
    for number in range(contracts):
        store.credit(f"c{number}", f"hdd{number}", "bundle", 50 * MB, 0, 100)
        store.open_line(f"hdd{number}", f"hdo{number}", 7)
        store.grant(f"r{number}", f"hdd{number}", f"hdo{number}", 5)
    store.commit()
    store.close()


def refusal(path: Path, answer_ms: int = 5_000) -> str:
    """The one line with which opening the file is refused."""
    with pytest.raises(PoolError) as caught:
        open_store(url(path), StoreOptions(answer_ms=answer_ms))
    text = str(caught.value)
    assert "\n" not in text
    assert str(path) in text
    return text
