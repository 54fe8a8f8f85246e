"""Every coupon store, by the fixtures that the contract tests run on.

`store` is a fresh store of each kind; `reopen` opens the same lasting store again; `pool` is a lasting
database that several gateways open.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.pool import CouponStore, open_store
from tests.support.postgres import Cluster
from tests.support.stores import Opener, Pool


def _url(kind: str, request: pytest.FixtureRequest, tmp_path: Path) -> str | None:
    if kind == "postgres":
        cluster: Cluster = request.getfixturevalue("postgres")
        return cluster.emptied()
    return None if kind == "memory" else f"sqlite:///{tmp_path}/coupons.db"


@pytest.fixture(params=["memory", "file", "postgres"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[CouponStore]:
    """A fresh store of each kind."""
    opened = open_store(_url(request.param, request, tmp_path))
    yield opened
    opened.close()


@pytest.fixture(params=["file", "postgres"])
def pool(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Pool]:
    """A fresh database of each kind that outlives a process."""
    url = _url(request.param, request, tmp_path)
    assert url is not None
    opened = Pool(url)
    yield opened
    opened.close()


@pytest.fixture
def reopen(pool: Pool) -> Opener:
    """Opens the same lasting store again."""
    return lambda: pool.open("gateway")
