"""The PostgreSQL store when the server dies, hangs, forgets, or somebody else holds the rows."""

import signal
import threading
from collections.abc import Iterator

import psycopg
import pytest

from engine.errors import PoolError, PoolFenced, PoolUnavailable
from engine.pool import CouponStore
from engine.pool.postgres_schema import LOCK_CLASS
from engine.pool.postgres_session import name_key
from engine.pool.store import Account, BookEntry, LineNews, Notice, StoreOptions, open_store
from tests.support.postgres import Cluster, need_server
from tests.support.stores import SLICE, credit, family

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


def later(cluster: Cluster, seconds: float) -> threading.Thread:
    """Start the server again in a while."""
    thread = threading.Timer(seconds, cluster.start)
    thread.start()
    return thread


def test_a_call_survives_a_server_that_is_killed_and_comes_back(server: Cluster) -> None:
    """F3, F7, G1, G2: nothing acknowledged is lost, nothing is granted twice, deferred or not."""
    store = opened(server.emptied())
    family(store, 10 * SLICE)
    first = store.grant("r1", "hdd1", "hdo1", 5)
    store.defer()
    deferred = [store.grant(f"r{n}", "hdd1", "hdo1", 5) for n in (2, 3)]
    store.mark([("hdo1", 5, 2 * SLICE)])
    store.note("hdo1", LineNews(5, coupon_on=True))
    store.settle("hdo1", 7, False)
    server.kill()
    thread = later(server, 0.3)
    # The number may leave a gap: a crash burns some that were set aside.
    assert store.grant("r4", "hdd1", "hdo1", 5).granted_bytes == SLICE
    thread.join()
    store.flush()
    again = [store.grant(f"r{n}", "hdd1", "hdo1", 5) for n in (1, 2, 3)]
    assert again == [first, *deferred]
    assert [s.used_bytes for s in store.slices("hdo1")] == [7, 0, 0, 0]
    assert store.reported("hdo1") == 7
    assert store.notices() == [Notice("all")]
    assert store.audit() == []
    store.close()


def test_a_server_that_is_down_is_unavailable_and_later_is_not(server: Cluster) -> None:
    """F7: a definite error in bounded time; the same store goes on when the server is back."""
    store = opened(server.emptied(), answer_ms=200)
    family(store, 2 * SLICE)
    store.defer()
    store.grant("r1", "hdd1", "hdo1", 5)
    server.kill()
    for _ in range(2):
        with pytest.raises(PoolUnavailable):
            store.grant("r2", "hdd1", "hdo1", 5)
        with pytest.raises(PoolUnavailable):
            store.flush()
    server.start()
    store.flush()
    assert store.grant("r2", "hdd1", "hdo1", 5).granted_bytes == SLICE
    assert store.audit() == []
    store.close()


def test_a_server_that_hangs_is_noticed(server: Cluster) -> None:
    """F7: it takes connections and says nothing, and no time-out of its own can help."""
    store = opened(server.emptied(), answer_ms=300)
    family(store, SLICE)
    server.signal(signal.SIGSTOP)
    try:
        with pytest.raises(PoolUnavailable, match="does not answer"):
            store.grant("r1", "hdd1", "hdo1", 5)
        with pytest.raises(PoolUnavailable):
            store.renew()
    finally:
        server.signal(signal.SIGCONT)
    assert store.grant("r1", "hdd1", "hdo1", 5).granted_bytes == SLICE
    assert len(store.slices("hdo1")) == 1
    store.close()


def test_a_connection_that_is_cut_is_made_anew(server: Cluster) -> None:
    """F2, F8: also for calls that store several rows; each counts once."""
    store = opened(server.emptied())
    family(store, SLICE)
    server.execute(GATEWAYS)
    assert store.buy("b1", "hdd1", 2, 5)
    server.execute(GATEWAYS)
    assert credit(store, "c2", 5)
    server.execute(GATEWAYS)
    account = Account("MA00000001", 1, "{}")
    store.save_account(account, [("line", "hdo1")], BookEntry("MA00000001", 1, 5, "apply", ""))
    server.execute(GATEWAYS)
    assert store.find_account("line", "hdo1") == account
    server.execute(GATEWAYS)
    assert store.expire(6) == 0
    assert len(store.purchases("hdd1", 0)) == 1
    assert store.audit() == []
    server.execute(GATEWAYS)
    store.close()


def test_a_change_of_the_book_said_again_after_a_loss_counts_once(server: Cluster) -> None:
    """F2: it was stored, and the answer was lost."""
    store = opened(server.emptied())
    account = Account("MA00000001", 1, "{}")
    entry = BookEntry("MA00000001", 1, 5, "apply", "")
    store.defer()
    store.save_account(account, [], entry)
    server.execute(GATEWAYS)
    store.flush()
    assert store.book_entries("MA00000001") == [entry]
    with pytest.raises(PoolError, match="version 1 is stored, not 0"):
        store.save_account(account, [], entry)
    store.close()


def test_a_group_is_taken_back_whole_when_the_connection_is_lost(server: Cluster) -> None:
    """D9: no half of it is kept, and what follows is no part of nothing."""
    store = opened(server.emptied())
    family(store, 5 * SLICE)
    store.begin()
    store.grant("r1", "hdd1", "hdo1", 5)
    server.execute(GATEWAYS)
    with pytest.raises(PoolUnavailable, match="does not answer"):
        store.grant("r2", "hdd1", "hdo1", 5)
    with pytest.raises(PoolUnavailable, match="the group was taken back"):
        store.grant("r3", "hdd1", "hdo1", 5)
    with pytest.raises(PoolUnavailable, match="the group was taken back"):
        store.commit()
    store.begin()
    store.grant("r4", "hdd1", "hdo1", 5)
    store.commit()
    store.begin()
    server.execute(GATEWAYS)
    with pytest.raises(PoolUnavailable):
        store.lines()
    store.begin()
    store.rollback()
    assert [s.request_id for s in store.slices("hdo1")] == ["r4"]
    store.close()


def test_what_was_deferred_and_lost_and_is_answered_otherwise_must_not_be_let_out(
    server: Cluster,
) -> None:
    """D9, F17: the bytes went to another gateway meanwhile; from then on the store refuses everything."""
    url = server.emptied()
    store, other = opened(url), opened(url, "b")
    family(store, SLICE)
    other.open_line("hdd1", "hdo9", 0)
    store.defer()
    store.grant("r1", "hdd1", "hdo1", 5)
    with psycopg.connect(url, autocommit=True) as hand:
        # The crash that loses what was not flushed, and another gateway that is quicker.
        hand.execute("SET search_path TO pktoll")
        hand.execute("SET session_replication_role TO replica")
        for table in ("slice_part", "slice"):
            hand.execute(f"DELETE FROM {table}".encode())
        hand.execute("UPDATE coupon SET in_database_bytes = credited_bytes, granted_bytes = 0")
        hand.execute("UPDATE line SET held_bytes = 0")
    other.grant("r2", "hdd1", "hdo9", 5)
    server.execute(GATEWAYS.replace("%", "a"))
    for _ in range(2):
        with pytest.raises(PoolError, match="must not be let out"):
            store.flush()
    with pytest.raises(PoolError, match="must not be let out"):
        store.grant("r3", "hdd1", "hdo1", 5)
    store.close()
    other.close()


def test_what_was_deferred_and_is_refused_when_said_again_must_not_be_let_out(
    server: Cluster,
) -> None:
    """D9: a refusal is another answer."""
    url = server.emptied()
    store = opened(url)
    family(store, SLICE)
    store.defer()
    store.mark([("hdo1", 0, 0)])
    with psycopg.connect(url, autocommit=True) as hand:
        hand.execute("UPDATE pktoll.line SET code = 'gone' WHERE code = 'hdo1'")
    server.execute(GATEWAYS)
    with pytest.raises(PoolError, match="must not be let out"):
        store.flush()
    store.close()


def test_a_run_that_was_taken_over_while_the_connection_was_lost_is_fenced(server: Cluster) -> None:
    """F11, I4: also when its calls were only deferred; the report is counted."""
    url = server.emptied()
    store = opened(url)
    family(store, SLICE)
    store.defer()
    store.grant("r1", "hdd1", "hdo1", 5)
    server.execute(GATEWAYS)
    second = opened(url)
    assert "hdo1" in second.recovered[0]
    with pytest.raises(PoolFenced, match="run 1 of gateway a is over"):
        store.flush()
    with pytest.raises(PoolFenced):
        store.grant("r2", "hdd1", "hdo1", 5)
    store.close(clean=False)
    rows = server.execute(
        "SELECT refused_reports FROM pktoll.run ORDER BY run_id", second_name(url)
    )
    assert rows[0][0] >= 1  # type: ignore[operator]
    second.close()


def second_name(url: str) -> str:
    """The database's name in a URL of the tests' server."""
    return url.partition("@/")[2].partition("?")[0]


def test_a_name_that_another_holds_on_to_is_waited_for(server: Cluster) -> None:
    """B84, F8: the server may not have noticed that the old connection is gone."""
    url = server.emptied()
    store = opened(url, answer_ms=300)
    credit(store, "c1", 5)
    with psycopg.connect(url, autocommit=True) as hand:
        server.execute(GATEWAYS)
        keys = server.execute("SELECT classid, objid FROM pg_locks WHERE locktype = 'advisory'")
        assert keys == []
        hand.execute(f"SELECT pg_advisory_lock({LOCK_CLASS}, {name_key('a')})".encode())
        with pytest.raises(PoolUnavailable, match="held by a lost connection"):
            store.renew()
        hand.execute("SELECT pg_advisory_unlock_all()")
        store.renew()
    store.close()


def test_a_database_that_was_restored_from_a_backup_is_refused(server: Cluster) -> None:
    """F17: it does not know the run, or not the last that the run wrote."""
    for change in (
        "UPDATE pktoll.run SET renewed_ns = 5",
        "DELETE FROM pktoll.run",
    ):
        url = server.emptied()
        store = opened(url)
        server.execute(change, second_name(url))
        server.execute(GATEWAYS)
        with pytest.raises(PoolFenced, match="restored from an older backup"):
            store.renew()
        store.close(clean=False)


def test_an_end_whose_answer_was_lost_is_an_end(server: Cluster) -> None:
    """F2, I8: the run was closed cleanly, nobody was told; another may have started since."""
    url = server.emptied()
    store = opened(url)
    server.execute("UPDATE pktoll.run SET state = 'clean'", second_name(url))
    server.execute(GATEWAYS)
    store.close()
    again = opened(url)
    assert again.recovered == []
    again.close()


def test_what_cannot_be_said_again_now_is_said_again_later(server: Cluster) -> None:
    """F6, F7, D9: rows are held by somebody just when the connection comes back."""
    url = server.emptied()
    store = opened(url, answer_ms=300)
    family(store, SLICE)
    store.defer()
    store.grant("r1", "hdd1", "hdo1", 5)
    server.execute(GATEWAYS)
    with psycopg.connect(url) as hand:
        hand.execute("SELECT 1 FROM pktoll.contract FOR UPDATE")
        for call in (store.flush, store.contracts):
            with pytest.raises(PoolUnavailable):
                call()
    store.flush()
    assert store.audit() == []
    store.close()


def test_an_interrupt_in_a_group_takes_the_group_back(
    server: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    """D9: the call may be half done."""
    store = opened(server.emptied())
    family(store, SLICE)
    store.begin()
    credit(store, "c2", 5)

    def interrupted(self: object, news: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("engine.pool.postgres_credits.Credits.tell", interrupted)
    with pytest.raises(KeyboardInterrupt):
        credit(store, "c3", 5)
    with pytest.raises(PoolUnavailable, match="the group was taken back"):
        store.commit()
    assert [coupon.credit_id for coupon in store.coupons("hdd1")] == ["c1"]
    store.close()


def test_an_operators_connection_is_made_anew_too(server: Cluster) -> None:
    """F7: without a run there is nothing to prove and nothing to say again."""
    store = opened(server.emptied(), None)
    assert credit(store, "c1", 5)
    server.execute(GATEWAYS)
    assert store.contracts() == [("hdd1", 5, 5, 0, 0)]
    store.begin()
    server.execute(GATEWAYS)
    store.rollback()
    assert store.audit() == []
    store.close()
