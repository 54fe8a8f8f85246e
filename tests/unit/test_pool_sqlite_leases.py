"""Leases, clock steps, restored backups, and deferred calls that are lost, on SQLite files."""

from pathlib import Path

import apsw
import pytest

from engine import clock
from engine.errors import PoolError, PoolFenced, PoolUnavailable
from engine.pool import StoreOptions
from engine.pool.sqlite_store import SqliteStore
from engine.units import NS_PER_DAY, NS_PER_S
from tests.support.stores import SLICE, family

LEASE_NS = 60 * NS_PER_S
START_NS = 1_400_000_000 * NS_PER_S


class Clocks:
    """The machine's date, which people set, and its steady clock, which nobody does."""

    def __init__(self) -> None:
        self.date_ns = START_NS
        self.steady_ns = 5 * NS_PER_S

    def sleep(self, seconds: float) -> None:
        """Both go on."""
        passed = int(seconds * NS_PER_S)
        self.date_ns += passed
        self.steady_ns += passed


@pytest.fixture
def clocks(monkeypatch: pytest.MonkeyPatch) -> Clocks:
    made = Clocks()
    monkeypatch.setattr(clock, "now_ns", lambda: made.date_ns)
    monkeypatch.setattr(clock, "lease_ns", lambda: made.steady_ns)
    return made


def opened(path: Path, gateway: str | None = "a", **options: int) -> SqliteStore:
    return SqliteStore(str(path / "a.db"), StoreOptions(gateway=gateway, **options))  # type: ignore[arg-type]


def may_take_over(path: Path) -> bool:
    """Whether a second gateway gets hdo1 now; if so, the first one is fenced."""
    other = opened(path, "b")
    try:
        return other.open_line("hdd1", "hdo1", 0) == 0
    except PoolError as error:
        return "open at gateway a" not in str(error)
    finally:
        other.close()


@pytest.mark.parametrize("extend", ["none", "renew", "flush"])
def test_a_lease_lasts_from_when_it_was_extended_last(
    tmp_path: Path, clocks: Clocks, extend: str
) -> None:
    """I4, F11: to the nanosecond."""
    store = opened(tmp_path)
    family(store, SLICE)
    clocks.sleep(50)
    if extend != "none":
        getattr(store, extend)()
        clocks.sleep(50)
    clocks.date_ns += 10 * NS_PER_S - 1
    clocks.steady_ns += 10 * NS_PER_S - 1
    assert not may_take_over(tmp_path)
    clocks.date_ns += 1
    clocks.steady_ns += 1
    assert may_take_over(tmp_path)
    store.close(clean=False)


def test_a_flush_of_something_extends_the_lease(tmp_path: Path, clocks: Clocks) -> None:
    """I4: in the same transaction as what was deferred."""
    store = opened(tmp_path)
    family(store, SLICE)
    clocks.sleep(1)
    store.defer()
    store.grant("r1", "hdd1", "hdo1", 5)
    store.flush()
    clocks.sleep(59.5)
    assert not may_take_over(tmp_path)
    clocks.sleep(0.5)
    assert may_take_over(tmp_path)
    store.close(clean=False)


def test_a_flush_of_nothing_seldom_writes(tmp_path: Path, clocks: Clocks) -> None:
    """G2: not an fsync for every batch; the lease is extended once an eighth of it is over."""
    store = opened(tmp_path)
    family(store, SLICE)
    other = apsw.Connection(str(tmp_path / "a.db"))
    lease = "SELECT lease_until_ns FROM run"
    clocks.sleep(7)
    store.flush()
    assert other.execute(lease).get == START_NS + LEASE_NS
    clocks.sleep(0.5)
    store.flush()
    assert other.execute(lease).get == clocks.date_ns + LEASE_NS
    other.close()
    store.close()


@pytest.mark.parametrize("step_ns", [-600 * NS_PER_S, -START_NS, -NS_PER_DAY])
def test_a_step_back_does_not_extend_leases(tmp_path: Path, clocks: Clocks, step_ns: int) -> None:
    """F12, F13: 10 minutes, to 1970, a day; a store that is open goes on at a steady pace."""
    store, other = opened(tmp_path), opened(tmp_path, "b")
    family(store, SLICE)
    clocks.sleep(10)
    other.renew()
    clocks.date_ns += step_ns
    clocks.sleep(20)
    store.renew()
    clocks.sleep(59)
    with pytest.raises(PoolError, match="open at gateway a"):
        other.open_line("hdd1", "hdo1", 0)
    clocks.sleep(1)
    assert other.open_line("hdd1", "hdo1", 0) == 0
    with pytest.raises(PoolFenced):
        store.renew()
    store.close(clean=False)
    other.close()


def test_a_store_that_is_opened_after_a_step_back_begins_at_the_newest_time(
    tmp_path: Path, clocks: Clocks
) -> None:
    """F13: the stored time is the guard; its lease is not in the past either."""
    store = opened(tmp_path)
    family(store, SLICE)
    clocks.date_ns -= 600 * NS_PER_S
    other = opened(tmp_path, "b")
    assert other.now() == START_NS
    clocks.sleep(59)
    with pytest.raises(PoolError, match="open at gateway a"):
        other.open_line("hdd1", "hdo1", 0)
    clocks.sleep(1)
    other.open_line("hdd1", "hdo1", 0)
    store.close(clean=False)
    other.close()


def test_a_step_ahead_ends_leases_and_never_coupons(tmp_path: Path, clocks: Clocks) -> None:
    """F12, G9: a day ahead, to 2038; expiry goes by the packets' time only."""
    store = opened(tmp_path)
    family(store, SLICE)
    clocks.date_ns = 2_200_000_000 * NS_PER_S
    assert may_take_over(tmp_path)
    operator = opened(tmp_path, None)
    assert operator.contracts() == [("hdd1", SLICE, SLICE, 0, 0)]
    assert operator.audit() == []
    operator.close()
    store.close(clean=False)


def test_what_a_fenced_run_says_is_counted(tmp_path: Path, clocks: Clocks) -> None:
    """I4: refused and counted on the run's row; it does not go into the group of the next."""
    store = opened(tmp_path)
    family(store, SLICE)
    clocks.sleep(60)
    assert may_take_over(tmp_path)
    for _ in range(3):
        with pytest.raises(PoolFenced, match="nothing that is said in its name counts any more"):
            store.settle("hdo1", 0, False)
    assert store.db.run("SELECT refused_reports FROM run ORDER BY run_id") == [(3,), (0,)]
    with pytest.raises(PoolFenced):
        store.begin()
    with pytest.raises(PoolError, match="no group is open"):
        store.commit()
    store.close(clean=False)


def backup(path: Path) -> apsw.Connection:
    """A copy of the database as it is now, by SQLite's own means."""
    copy = apsw.Connection(str(path / "copy.db"))
    source = apsw.Connection(str(path / "a.db"))
    with copy.backup("main", source, "main") as running:
        running.step()
    source.close()
    return copy


def restore(copy: apsw.Connection, path: Path) -> None:
    target = apsw.Connection(str(path / "a.db"))
    with target.backup("main", copy, "main") as running:
        running.step()
    target.close()
    copy.close()


def test_a_restored_backup_is_noticed_by_a_gateway_that_wrote_more(tmp_path: Path) -> None:
    """F17: slices that it holds are not in the database any more; it must stop."""
    store = opened(tmp_path)
    family(store, 3 * SLICE)
    copy = backup(tmp_path)
    store.grant("r1", "hdd1", "hdo1", 5)
    restore(copy, tmp_path)
    for _ in range(2):
        with pytest.raises(PoolFenced, match="was restored from an older backup"):
            store.grant("r2", "hdd1", "hdo1", 5)
    store.close(clean=False)


def test_a_restored_backup_is_noticed_although_others_wrote_on(tmp_path: Path) -> None:
    """F17: the journal is as long as it was, but not ours."""
    store = opened(tmp_path)
    family(store, 3 * SLICE)
    copy = backup(tmp_path)
    store.grant("r1", "hdd1", "hdo1", 5)
    restore(copy, tmp_path)
    other = opened(tmp_path, "b")
    other.open_lines([("hdd1", f"new{number}", 0) for number in range(9)])
    with pytest.raises(PoolFenced, match="was restored from an older backup"):
        store.settle("hdo1", 5, False)
    store.close(clean=False)
    other.close()


def test_a_backup_from_before_the_run_is_noticed(tmp_path: Path) -> None:
    """F17: the database does not know who is speaking."""
    opened(tmp_path).close()
    copy = backup(tmp_path)
    store = opened(tmp_path)
    restore(copy, tmp_path)
    with pytest.raises(PoolFenced, match=r"does not know run 2: it was restored"):
        store.renew()
    store.close(clean=False)


@pytest.mark.parametrize("replaced", [False, True])
def test_a_file_that_was_removed_or_replaced_is_noticed(tmp_path: Path, replaced: bool) -> None:
    """F17, B81: what was written to a file that has no name any more would be lost."""
    store = opened(tmp_path)
    family(store, 3 * SLICE)
    (tmp_path / "a.db").rename(tmp_path / "old.db")
    for suffix in ("-wal", "-shm"):
        (tmp_path / f"a.db{suffix}").rename(tmp_path / f"old.db{suffix}")
    if replaced:
        opened(tmp_path, "b").close()
    with pytest.raises(PoolFenced, match="another file has taken its place"):
        store.grant("r1", "hdd1", "hdo1", 5)
    store.close(clean=False)


def fill(store: SqliteStore, limit: bool) -> None:
    """Let the database grow no more, or again."""
    pages = store.db.value("PRAGMA page_count") if limit else 1_000_000
    store.db.run(f"PRAGMA max_page_count = {pages}")


def test_deferred_calls_that_are_lost_fail_the_flush(tmp_path: Path) -> None:
    """F5, G1: earlier answers of the same batch went with them; with room again it goes on."""
    store = opened(tmp_path)
    family(store, 1 << 40)
    fill(store, limit=True)
    store.defer()

    def grant_on() -> None:
        for number in range(1000):
            store.grant(f"r{number}", "hdd1", "hdo1", 5)

    with pytest.raises(PoolUnavailable, match="the disk is full; make room"):
        grant_on()
    for call in (grant_on, store.flush):
        with pytest.raises(PoolUnavailable, match="what was asked since the last flush was taken"):
            call()
    fill(store, limit=False)
    store.defer()
    assert store.grant("r0", "hdd1", "hdo1", 5).granted_bytes == SLICE
    store.flush()
    assert [s.request_id for s in store.slices("hdo1")] == ["r0"]
    assert store.audit() == []
    store.close()


def test_a_flush_that_fails_keeps_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """F5, D9: an error at the commit itself."""
    store = opened(tmp_path)
    family(store, 1 << 40)
    store.defer()
    store.grant("r0", "hdd1", "hdo1", 5)
    store.db._connection.set_commit_hook(lambda: True)
    with pytest.raises(PoolError, match="the database refused a statement"):
        store.flush()
    store.db._connection.set_commit_hook(None)
    assert store.slices("hdo1") == []
    store.grant("r0", "hdd1", "hdo1", 5)
    assert len(store.slices("hdo1")) == 1
    assert store.audit() == []
    store.close()


def test_a_clean_end_with_lost_calls_is_no_clean_end(tmp_path: Path) -> None:
    """G4: what was reported in them is not known; the next run finds the line open."""
    store = opened(tmp_path)
    family(store, 1 << 40)
    store.grant("r0", "hdd1", "hdo1", 5)
    store.defer()
    store.settle("hdo1", SLICE, True)
    with pytest.raises(PoolError, match="refused a statement"):
        store.db.run("no statement")
    with pytest.raises(PoolUnavailable, match="taken back by a failure"):
        store.close()
    again = opened(tmp_path)
    assert len(again.recovered) == 1
    again.close()


def test_an_interrupt_takes_back_what_was_deferred(tmp_path: Path) -> None:
    """D9: the call may be half done, so none of the transaction can be kept."""
    store = opened(tmp_path)
    family(store, 1 << 40)
    store.defer()
    store.grant("r0", "hdd1", "hdo1", 5)

    def interrupt(cursor: apsw.Cursor, statement: str, bindings: object) -> bool:
        if "UPDATE coupon" in statement:
            raise KeyboardInterrupt
        return True

    store.db._connection.exec_trace = interrupt
    with pytest.raises(KeyboardInterrupt):
        store.grant("r1", "hdd1", "hdo1", 5)
    store.db._connection.exec_trace = None
    with pytest.raises(PoolUnavailable, match="none of it may be let out"):
        store.begin()
    assert store.slices("hdo1") == []
    store.close()


def test_a_group_that_cannot_begin_leaves_the_store_usable(tmp_path: Path) -> None:
    """F6: a lock that is held too long is a definite error, and no more."""
    store = opened(tmp_path, answer_ms=10)
    family(store, SLICE)
    other = opened(tmp_path, "b")
    other.begin()
    for call in (store.begin, store.renew, lambda: store.grant("r1", "hdd1", "hdo1", 5)):
        with pytest.raises(PoolUnavailable, match="in use by another process; try again"):
            call()
    store.defer()
    with pytest.raises(PoolUnavailable, match="in use by another process"):
        store.grant("r1", "hdd1", "hdo1", 5)
    store.flush()
    assert store.slices("hdo1") == []
    other.rollback()
    assert store.grant("r1", "hdd1", "hdo1", 5).granted_bytes == SLICE
    other.close()
    store.close()


def test_nothing_is_left_in_memory() -> None:
    """G4: a store in memory keeps no lease and needs no marks; it still checks what it is told."""
    store = SqliteStore(None)
    assert not store.lasting
    family(store, SLICE)
    store.flush()
    with pytest.raises(PoolError, match="its SIM held 0"):
        store.mark([("hdo1", 0, 1)])
    store.close()
