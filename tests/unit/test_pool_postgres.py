"""The PostgreSQL store: what it asks of a server, how it connects, its schema, its claims."""

import os
import signal
import sys
import threading
import time

import psycopg
import pytest

from engine.errors import PoolError, PoolUnavailable
from engine.pool import CouponStore, postgres_schema
from engine.pool import postgres as driver
from engine.pool.postgres import Database
from engine.pool.store import Notice, StoreOptions, open_store
from tests.support.postgres import ROLE, Cluster
from tests.support.stores import SLICE, credit, family

SECRET = "sesame-open-up"


def refusal(url: str, kind: type[PoolError] = PoolError, answer_ms: int = 3_000) -> str:
    """The one line with which opening is refused; it never tells the password."""
    with pytest.raises(PoolError) as caught:
        open_store(url, StoreOptions(answer_ms=answer_ms))
    text = str(caught.value)
    assert caught.type is kind, text
    assert "\n" not in text
    assert SECRET not in text
    return text


def operator(url: str) -> CouponStore:
    return open_store(url, StoreOptions(gateway=None))


# --- connecting -----------------------------------------------------------------------------------


def test_a_server_that_is_not_there_is_one_clear_line() -> None:
    """F7: nobody listens, no such host, no such folder."""
    url = f"postgresql://me:{SECRET}@127.0.0.1:1/coupons"
    assert "pool postgresql://me@127.0.0.1:1/coupons: no connection" in refusal(
        url, PoolUnavailable
    )
    url = f"postgresql://me:{SECRET}@nowhere.invalid/coupons"
    assert "no such host" in refusal(url, PoolUnavailable)
    url = f"postgresql:///coupons?host=/nowhere&password={SECRET}"
    assert "pool postgresql:///coupons?host=/nowhere: " in refusal(url, PoolUnavailable)
    assert "not a PostgreSQL URL" in refusal(f"postgresql://me:{SECRET}%zz@host/x")


def test_what_the_server_refuses_is_one_clear_line_without_the_password() -> None:
    """No such role, no such database, no password, a wrong one; the right one is taken."""
    with Cluster() as cluster:
        good = cluster.url_of("postgres")
        assert "no such role" in refusal(good.replace(f"{ROLE}@", f"stranger:{SECRET}@"))
        assert "no such database" in refusal(cluster.url_of("nowhere"))
        cluster.execute(f"ALTER ROLE {ROLE} PASSWORD 'right'")
        (cluster.folder / "data" / "pg_hba.conf").write_text("local all all scram-sha-256\n")
        os.kill(cluster.pid, signal.SIGHUP)
        while "asks for a password" not in (text := refusal_or_none(good)):
            assert not text
        assert "the password or the role" in refusal(good.replace("@", f":{SECRET}@", 1))
        operator(good.replace("@", ":right@", 1)).close()


def refusal_or_none(url: str) -> str:
    """The line with which opening is refused, "" if it is not (the server has not read its rules yet)."""
    try:
        operator(url).close()
    except PoolError as error:
        return str(error)
    return ""


def test_a_server_without_a_connection_left_says_so(postgres: Cluster) -> None:
    """F21: too many clients."""
    url = postgres.emptied()
    held: list[psycopg.Connection] = []
    try:
        while True:
            held.append(psycopg.connect(url))
    except psycopg.OperationalError:
        assert "no connection left" in refusal(url, PoolUnavailable)
    finally:
        for connection in held:
            connection.close()


def test_a_server_whose_settings_could_lose_a_grant_is_refused() -> None:
    """G2: each setting by its name; a standby; a server that is too old."""
    with Cluster() as cluster:
        url = cluster.emptied()
        for setting, words in (
            ("fsync=off", "fsync is off; set it to on"),
            ("full_page_writes=off", "full_page_writes is off; set it to on"),
            ("synchronous_commit=off", "synchronous_commit is off; set it to on"),
            ("synchronous_commit=local", "synchronous_commit is local; set it to on"),
        ):
            cluster.stop()
            cluster.start(f"-c{setting}")
            assert words in refusal(url)
        cluster.stop()
        standby = cluster.folder / "data" / "standby.signal"
        standby.touch()
        cluster.start()
        assert "a standby server; give the address of the primary" in refusal(url)


def test_a_server_that_is_too_old_is_refused(
    postgres: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(driver, "VERSION_MIN", 10_000_000)
    assert "is too old" in refusal(postgres.emptied())


def test_a_server_that_starts_up_is_waited_for() -> None:
    """F3: after a crash it takes a moment; until its socket is there, nobody listens."""
    with Cluster() as cluster:
        url = cluster.emptied()
        cluster.kill()
        cluster.spawn()
        words = "Connection refused"
        while "refused" in words or "No such file" in words:
            words = refusal_or_none(url)
        assert words == ""


def test_what_a_server_promises_is_told(postgres: Cluster) -> None:
    """G2: for `doctor`."""
    store = operator(postgres.emptied())
    told = store.settings()
    store.close()
    assert told["postgresql"].split(".")[0].isdigit()
    assert (told["fsync"], told["full_page_writes"], told["synchronous_commit"]) == ("on",) * 3


def test_without_the_driver_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.startswith("engine.pool.postgres")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(PoolError, match="install pktoll with the extra `postgres`"):
        open_store("postgresql://host/database")


# --- the schema -----------------------------------------------------------------------------------


def test_two_processes_that_make_the_schema_at_once_make_one(postgres: Cluster) -> None:
    """F22: one waits for the other."""
    url = postgres.fresh()
    found: list[object] = []
    start = threading.Barrier(4)

    def run() -> None:
        start.wait()
        try:
            operator(url).close()
            found.append("fine")
        except PoolError as error:
            found.append(error)

    threads = [threading.Thread(target=run) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == ["fine"] * 4


def test_a_schema_that_is_newer_or_not_ours_is_refused(postgres: Cluster) -> None:
    """F22, B81"""
    url = postgres.fresh()
    operator(url).close()
    with psycopg.connect(url) as connection:
        connection.execute("INSERT INTO pktoll.schema_version VALUES (99, 'later')")
    assert "its schema is version 99, this pktoll knows up to" in refusal(url)
    other = postgres.fresh()
    with psycopg.connect(other) as connection:
        connection.execute("CREATE SCHEMA pktoll CREATE TABLE stamps (id int)")
    assert "its schema pktoll is not a coupon database" in refusal(other)


def test_a_role_without_rights_is_told_what_it_lacks(postgres: Cluster) -> None:
    """Neither the right to make the schema nor any on its tables."""
    url = postgres.fresh()
    postgres.execute("DROP ROLE IF EXISTS poor")
    postgres.execute("CREATE ROLE poor LOGIN")
    assert "the role lacks a right" in refusal(url.replace(f"{ROLE}@", "poor@"))


def test_the_rights_that_the_documents_name_are_enough(postgres: Cluster) -> None:
    """A gateway's role need not own the tables."""
    url = postgres.fresh()
    operator(url).close()
    postgres.execute("DROP ROLE IF EXISTS worker")
    postgres.execute("CREATE ROLE worker LOGIN")
    for right in (
        "USAGE ON SCHEMA pktoll",
        "USAGE ON ALL SEQUENCES IN SCHEMA pktoll",
        "SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA pktoll",
    ):
        postgres.execute(f"GRANT {right} TO worker", url.partition("@/")[2].partition("?")[0])
    store = open_store(url.replace(f"{ROLE}@", "worker@"))
    family(store, SLICE)
    store.grant("r1", "hdd1", "hdo1", 5)
    assert store.audit() == []
    store.close()


def test_a_schema_of_version_1_is_brought_to_the_newest_with_all_that_is_in_it(
    postgres: Cluster,
) -> None:
    """F22, R1: what was reported before counts as it did then; the audit agrees with the new schema"""
    url = postgres.fresh()
    db = Database(url, 1000, 60_000, "test")
    db.connect()
    postgres_schema.migrate(db, postgres_schema.load_migrations()[:1])
    db.run("INSERT INTO run VALUES (1, 'gateway', 'clean', 0, 0)")
    db.run("INSERT INTO contract (contract_id, code) VALUES (1, 'hdd1')")
    db.run(
        "INSERT INTO line (line_id, code, contract_id, run_id, is_open, held_bytes)"
        " VALUES (1, 'hdo1', 1, 1, 0, 0)"
    )
    db.run("INSERT INTO usage_day VALUES (1, 16000, 1, 5, 70, 9, 50)")
    db.close()
    store = operator(url)
    assert store.usage("hdo1", 0) == [(16000, 5, 70, 9, 70, 50)]
    assert store.restricting(["hdo1"], 16000) == [("hdo1", 16000, 70)]
    assert not [finding for finding in store.audit() if "schema" in finding or "column" in finding]
    store.close()


def test_a_step_that_fails_leaves_the_schema_as_it_was(postgres: Cluster) -> None:
    """F22: each step of a migration is kept whole or not at all."""
    url = postgres.fresh()
    operator(url).close()
    db = Database(url, 1000, 1000, "test")
    db.connect()
    steps = postgres_schema.load_migrations()
    broken = (
        len(steps) + 1,
        "0099_broken",
        "CREATE TABLE half (id int); SELECT nothing FROM nowhere",
    )
    with pytest.raises(PoolError, match="nowhere"):
        postgres_schema.migrate(db, [*steps, broken])
    db.close()
    store = operator(url)
    assert store.audit() == []
    store.close()


# --- a server of another make ---------------------------------------------------------------------


@pytest.fixture
def stranger(monkeypatch: pytest.MonkeyPatch) -> Cluster:
    """A server without advisory locks, LISTEN and half of the settings, as there are others."""
    cluster = Cluster("-callow_system_table_mods=on")
    url = cluster.emptied()
    with psycopg.connect(url, autocommit=True) as connection:
        for function in (
            "pg_try_advisory_lock(int, int)",
            "pg_advisory_lock(int, int)",
            "pg_advisory_unlock(int, int)",
            "pg_is_in_recovery()",
        ):
            name = function.partition("(")[0]
            connection.execute(
                f"ALTER FUNCTION pg_catalog.{function} RENAME TO {name}_not_here".encode()
            )
        connection.execute("ALTER VIEW pg_catalog.pg_settings RENAME TO all_settings")
        connection.execute(
            "CREATE VIEW pg_catalog.pg_settings AS SELECT * FROM pg_catalog.all_settings"
            " WHERE name NOT IN ('fsync', 'full_page_writes', 'synchronous_commit', 'server_version_num')"
        )
    # Not the name of a channel, so that LISTEN is refused as by a server that does not know it.
    monkeypatch.setattr(driver, "CHANNEL", "1")
    return cluster


def test_a_server_that_knows_less_can_stand_in(stranger: Cluster) -> None:
    """G2, B84: the lease guards the gateway's name; what is not known is listed."""
    with stranger:
        url = stranger.url_of("d0")
        store = open_store(url, StoreOptions(gateway="a", lease_ns=200_000_000))
        assert store.settings()["fsync"] == "unknown to this server"
        family(store, 5 * SLICE)
        store.defer()
        assert store.grant("r1", "hdd1", "hdo1", 5) == (1, SLICE)
        store.flush()
        assert store.notices() == [Notice("all")]
        assert store.notices() == []
        assert "gateway a is running already" in refusal_of(url, "a")
        time.sleep(0.25)
        second = open_store(url, StoreOptions(gateway="a"))
        assert second.recovered
        assert second.audit() == []
        second.close()
        store.close(clean=False)


def refusal_of(url: str, gateway: str) -> str:
    """The line with which a gateway's start is refused."""
    with pytest.raises(PoolError) as caught:
        open_store(url, StoreOptions(gateway=gateway))
    return str(caught.value)


def test_a_name_that_is_no_gateways_is_refused(postgres: Cluster) -> None:
    """B77, B84"""
    for name in ("", "a b", "x" * 65, "'; DROP TABLE run--"):
        assert "a name has 1 to 64 letters" in refusal_of("postgresql://nowhere/x", name)


def test_a_contract_is_credited_once_by_gateways_that_race(postgres: Cluster) -> None:
    """D9: of two that credit the same coupon to a new contract at the same moment one adds it."""
    url = postgres.emptied()
    stores = [open_store(url, StoreOptions(gateway=f"g{n}")) for n in range(4)]
    start = threading.Barrier(len(stores))
    added: list[bool] = []

    def run(store: CouponStore) -> None:
        for number in range(20):
            start.wait()
            added.append(credit(store, f"c{number}", 7, contract=f"hdd{number}"))

    threads = [threading.Thread(target=run, args=(store,)) for store in stores]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert added.count(True) == 20
    assert [c.credited_bytes for c in stores[0].contracts()] == [7] * 20
    assert stores[0].audit() == []
    for store in stores:
        store.close()
