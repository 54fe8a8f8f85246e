"""The PostgreSQL store when rows are held, clocks are set back, statements refused; many lines at once."""

import time
from collections.abc import Iterator

import psycopg
import pytest

from engine.errors import PoolError, PoolUnavailable
from engine.pool import CouponStore
from engine.pool.postgres import Database
from engine.pool.store import LineNews, StoreOptions, open_store
from tests.support.postgres import Cluster, need_server
from tests.support.stores import SLICE, family

GATEWAYS = (
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE 'pktoll %'"
)


@pytest.fixture(scope="module")
def server() -> Iterator[Cluster]:
    """A server that these tests may kill."""
    need_server()
    with Cluster() as cluster:
        yield cluster


def opened(url: str, gateway: str | None = "a", answer_ms: int = 10_000) -> CouponStore:
    return open_store(url, StoreOptions(gateway=gateway, answer_ms=answer_ms))


def second_name(url: str) -> str:
    """The database's name in a URL of the tests' server."""
    return url.partition("@/")[2].partition("?")[0]


def test_rows_that_somebody_holds_are_waited_for_and_then_reported(server: Cluster) -> None:
    """F6: bounded wait, definite error, no second grant; also in a group."""
    url = server.emptied()
    store = opened(url, answer_ms=200)
    family(store, 2 * SLICE)
    with psycopg.connect(url) as hand:
        hand.execute("SELECT 1 FROM pktoll.contract FOR UPDATE")
        with pytest.raises(PoolUnavailable, match="another process holds these rows"):
            store.grant("r1", "hdd1", "hdo1", 5)
        store.begin()
        with pytest.raises(PoolUnavailable, match="another process holds these rows"):
            store.grant("r1", "hdd1", "hdo1", 5)
    store.rollback()
    store.grant("r1", "hdd1", "hdo1", 5)
    assert len(store.slices("hdo1")) == 1
    store.close()


def test_a_statement_that_is_refused_by_a_constraint_is_told_in_one_line(server: Cluster) -> None:
    """I2: the schema holds what the code should have."""
    url = server.emptied()
    store = opened(url)
    family(store, SLICE)
    server.execute(
        "ALTER TABLE pktoll.slice ADD CONSTRAINT no CHECK (granted_bytes < 5)", second_name(url)
    )
    try:
        with pytest.raises(PoolError, match="the database refused a statement") as caught:
            store.grant("r1", "hdd1", "hdo1", 5)
        assert "\n" not in str(caught.value)
    finally:
        server.execute("ALTER TABLE pktoll.slice DROP CONSTRAINT no", second_name(url))
    assert store.contracts() == [("hdd1", SLICE, SLICE, 0, 0)]
    store.close()


def test_a_server_clock_that_was_set_back_makes_no_lease_longer(server: Cluster) -> None:
    """F13: the newest time stored is the least that the clock shows."""
    url = server.emptied()
    ahead = time.time_ns() + 10**15
    first = opened(url, "a")
    server.execute(f"UPDATE pktoll.run SET renewed_ns = {ahead}", second_name(url))
    second = opened(url, "b")
    rows = server.execute(
        "SELECT renewed_ns, lease_until_ns FROM pktoll.run WHERE run_id = 2", second_name(url)
    )
    assert rows == [(ahead, ahead + StoreOptions().lease_ns)]
    second.close()
    first.close(clean=False)


def test_a_statement_that_a_server_knows_and_refuses_is_an_error(server: Cluster) -> None:
    """A server that lacks something is told from one that fails."""
    database = Database(server.emptied(), 1_000, 60_000, "test")
    database.connect()
    assert database.optional("LISTEN 5") is None
    assert database.optional("SET lock_timeout TO 5") == []
    with pytest.raises(PoolError, match="division by zero"):
        database.optional("SELECT 1 / 0")
    database.close()
    with pytest.raises(PoolError, match="closed already"):
        database.connect()


def test_many_lines_go_in_pieces_and_are_kept_whole_or_not_at_all(
    server: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    """G4, I2: more lines than one statement takes; one that is refused takes the others with it."""
    for module in ("lines", "session", "usage"):
        monkeypatch.setattr(f"engine.pool.postgres_{module}.LINES_AT_ONCE", 2)
    url = server.emptied()
    store = opened(url)
    names = [f"hdo{number}" for number in range(5)]
    assert store.open_lines([("hdd1", name, 9) for name in names]) == [9] * 5
    store.mark([(name, 1, 5) for name in names])
    with pytest.raises(PoolError, match="line hdo4: a mark of 10"):
        store.mark([(name, 2, 6 if name != "hdo4" else 10) for name in names])
    assert [store.reported(name) for name in names] == [1] * 5
    server.execute(GATEWAYS)
    store.mark([(name, 2, 6) for name in names])
    store.begin()
    with pytest.raises(PoolError, match="line hdo3: a mark of 10"):
        store.mark([(name, 3, 7 if name != "hdo3" else 10) for name in names])
    with pytest.raises(PoolError, match="not opened in this run"):
        store.mark([(name, 3, 7) for name in (*names, "nobody")])
    store.commit()
    assert [store.reported(name) for name in names] == [2] * 5
    news = [(name, LineNews(5, coupon_on=True)) for name in (*names, "hdo0")]
    store.note_all(news)
    store.report_usage([(name, day, 1, 2, 3, 2) for name in names for day in (1, 2)], 5)
    assert [line.coupon_on for line in store.lines()] == [True] * 5
    store.settle_all([(name, 3) for name in names[:3]], False)
    store.close(clean=False)
    store = opened(url)
    assert len(store.recovered) == 5
    assert store.open_lines([("hdd1", name, 0) for name in names]) == [3] * 5
    assert store.audit() == []
    store.settle_all([(name, 0) for name in names], True)
    store.close()


def test_a_lost_connection_while_marking_in_pieces_is_no_refusal(
    server: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    """F7: the group is gone with it."""
    monkeypatch.setattr("engine.pool.postgres_lines.LINES_AT_ONCE", 1)
    store = opened(server.emptied())
    family(store, SLICE)
    store.begin()
    server.execute(GATEWAYS)
    with pytest.raises(PoolUnavailable):
        store.mark([("hdo1", 0, 0), ("hdo2", 0, 0)])
    store.close(clean=False)
