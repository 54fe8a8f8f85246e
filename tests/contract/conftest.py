"""Every coupon store, by the fixtures that the contract tests run on."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.pool import CouponStore, open_store
from tests.support.stores import Opener


@pytest.fixture(params=["memory", "file"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[CouponStore]:
    """A fresh store of each kind."""
    url = None if request.param == "memory" else f"sqlite:///{tmp_path}/coupons.db"
    opened = open_store(url)
    yield opened
    opened.close()


@pytest.fixture(params=["file"])
def reopen(request: pytest.FixtureRequest, tmp_path: Path) -> Opener:
    """Opens the same lasting store again; only for stores that outlive a process."""
    assert request.param == "file"
    return lambda: open_store(f"sqlite:///{tmp_path}/coupons.db")
