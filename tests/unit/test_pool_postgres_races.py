"""Gateways that want the same rows of one PostgreSQL database at the same moment."""

import threading
from collections.abc import Callable, Iterator
from functools import partial

import psycopg
import pytest

from engine.errors import PoolError, PoolFenced, RefusedError
from engine.pool import CouponStore, Grant
from engine.pool import postgres_statements as sql
from engine.pool.postgres_store import PostgresStore
from engine.pool.store import Account, BookEntry, LineNews, StoreOptions, open_store
from tests.support.postgres import Cluster
from tests.support.racers import race
from tests.support.stores import SLICE, Pool, credit, family

WAITS = "SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock'"


def operator(url: str) -> CouponStore:
    return open_store(url, StoreOptions(gateway=None))


def together(*calls: Callable[[], object]) -> list[object]:
    """What calls that start at the same moment return or raise."""
    found: list[object] = [None] * len(calls)
    start = threading.Barrier(len(calls))

    def run(number: int) -> None:
        start.wait()
        try:
            found[number] = calls[number]()
        except Exception as error:  # whatever it is, it is the call's answer
            found[number] = error

    threads = [threading.Thread(target=run, args=(number,)) for number in range(len(calls))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return found


def test_eight_processes_race_for_the_last_slice_and_the_last_byte(postgres: Cluster) -> None:
    """F10, G1, D2, I3: every byte is granted once, and the last one to one of them; a third is repeated."""
    url = postgres.emptied()
    store = operator(url)
    for number in range(20):
        credit(store, f"c{number}", SLICE, 100 + number)
    credit(store, "last", 1, 1000)
    answers = [grant for each in race(url, 8, 6, repeat=2) for grant in each]
    assert sum(grant.granted_bytes for grant in answers) == 20 * SLICE + 1
    assert sum(grant.granted_bytes == 1 for grant in answers) == 1
    assert len({grant.slice_id for grant in answers if grant.slice_id}) == 21
    assert store.contracts() == [("hdd1", 20 * SLICE + 1, 0, 20 * SLICE + 1, 0)]
    assert store.audit() == []
    store.close()


@pytest.fixture
def two(postgres: Cluster) -> Iterator[tuple[CouponStore, CouponStore]]:
    """Two gateways with a line each, and one slice and a byte for both."""
    pool = Pool(postgres.emptied())
    first, second = pool.open("a"), pool.open("b")
    credit(first, "c1", SLICE + 1)
    first.open_line("hdd1", "hdo1", 0)
    second.open_line("hdd1", "hdo2", 0)
    yield first, second
    pool.close()


def test_who_waited_for_the_contract_sees_what_the_other_left(
    two: tuple[CouponStore, CouponStore],
) -> None:
    """F10: the read before the wait is worth nothing (8.00 GB out of 6.05, otherwise)."""
    first, second = two
    first.begin()
    assert first.grant("r1", "hdd1", "hdo1", 5).granted_bytes == SLICE
    waiting = threading.Timer(0.3, first.commit)
    waiting.start()
    assert second.grant("r2", "hdd1", "hdo2", 5).granted_bytes == 1
    waiting.join()
    assert second.grant("r3", "hdd1", "hdo2", 5) == Grant(0, 0)
    assert first.audit() == []


def test_without_the_comparison_the_same_race_ends_badly(
    two: tuple[CouponStore, CouponStore], monkeypatch: pytest.MonkeyPatch
) -> None:
    """F10, I2: a planted read-then-write grant; only the constraints of the schema stop it."""
    planted = sql.GRANT.replace("JOIN seen ON seen.journal_rows = held.journal_rows", "")
    assert planted != sql.GRANT
    first, second = two
    first.begin()
    first.grant("r1", "hdd1", "hdo1", 5)
    waiting = threading.Timer(0.3, first.commit)
    waiting.start()
    monkeypatch.setattr(sql, "GRANT", planted)
    with pytest.raises(PoolError, match="the database refused a statement"):
        second.grant("r2", "hdd1", "hdo2", 5)
    waiting.join()


def test_one_request_said_by_two_connections_at_once_is_one_slice(postgres: Cluster) -> None:
    """I3, F8: a reconnected gateway whose first call is still on its way."""
    url = postgres.emptied()
    store = open_store(url, StoreOptions(gateway="a"))
    credit(store, "c1", 10 * SLICE)
    store.open_line("hdd1", "hdo1", 0)
    twin = operator(url)
    twin.run_id = store.run_id
    for number in range(20):
        asked = (f"r{number}", "hdd1", "hdo1", 5)
        answers = together(partial(store.grant, *asked), partial(twin.grant, *asked))
        assert answers[0] == answers[1]
    assert sum(s.granted_bytes for s in store.slices("hdo1")) == 10 * SLICE
    assert store.audit() == []
    twin.close(clean=False)
    store.close()


def test_a_line_that_two_gateways_enter_at_once_is_one_line(postgres: Cluster) -> None:
    """I4, C7: one has it open, the other is refused; the opening balance is given once."""
    pool = Pool(postgres.emptied())
    first, second = pool.open("a"), pool.open("b")
    for number in range(20):
        lines = [("hdd1", f"hdo{number}", 7), ("hdd1", f"hdx{number}", 7)]
        found = together(
            partial(first.open_lines, lines), partial(second.open_lines, list(reversed(lines)))
        )
        assert [7, 7] in found
        refused = next(answer for answer in found if answer != [7, 7])
        assert "open at gateway" in str(refused)
        assert first.slices(f"hdo{number}")[0].granted_bytes == 7
    assert first.audit() == []
    pool.close()


def test_two_gateways_that_take_over_the_same_silent_one_do_it_once(postgres: Cluster) -> None:
    """I4, G4: what is uncertain is booked once."""
    pool = Pool(postgres.emptied())
    silent = pool.open("silent", lease_ns=1)
    family(silent, 5 * SLICE)
    silent.grant("r1", "hdd1", "hdo1", 5)
    silent.grant("r2", "hdd1", "hdo2", 5)
    silent.mark([("hdo1", 3, 10), ("hdo2", 3, 10)])
    first, second = pool.open("a"), pool.open("b")
    found = together(
        lambda: first.open_line("hdd1", "hdo1", 0), lambda: second.open_line("hdd1", "hdo2", 0)
    )
    assert found == [SLICE - 10, SLICE - 10]
    assert sorted(len(store.recovered) for store in (first, second)) == [0, 2]
    with pytest.raises(PoolFenced):
        silent.renew()
    with pytest.raises(PoolFenced):
        silent.settle("hdo1", 5, True)
    assert first.audit() == []
    pool.close()


def test_a_gateway_that_gives_a_sign_of_life_in_time_keeps_its_lines(postgres: Cluster) -> None:
    """I4, F11: its lease seemed over when the lines were looked at, and was extended before the fence."""
    pool = Pool(postgres.emptied())
    alive, other = pool.open("a"), pool.open("b")
    assert isinstance(other, PostgresStore)
    with pytest.raises(PoolError, match="gateway a: gave a sign of life just now"):
        other.take_over(alive.run_id, "a")
    alive.renew()
    alive.close()
    other.take_over(alive.run_id, "a")
    assert other.recovered == []
    pool.close()


def test_the_31st_coupon_is_refused_to_one_of_two_that_race(postgres: Cluster) -> None:
    """C3: whoever buys, at the same moment, in two months' counts of one contract."""
    pool = Pool(postgres.emptied())
    first, second = pool.open(None), pool.open(None)
    credit(first, "c1", 5)
    first.buy("b0", "hdd1", 29, 5)
    found = together(lambda: first.buy("b1", "hdd1", 1, 5), lambda: second.buy("b2", "hdd1", 1, 5))
    assert True in found
    assert sum(isinstance(answer, RefusedError) for answer in found) == 1
    again = together(*(lambda s=s: s.buy("b0", "hdd1", 29, 6) for s in (first, second)))
    assert again == [False, False]
    assert sum(purchase.coupons for purchase in first.purchases("hdd1", 0)) == 30
    assert first.audit() == []
    pool.close()


def test_of_two_that_change_an_account_one_is_told_to_read_again(postgres: Cluster) -> None:
    """A new account as well as a known one: no change is lost."""
    pool = Pool(postgres.emptied())
    stores = [pool.open(None), pool.open(None)]
    for version in range(1, 11):
        found = together(*(lambda s=s, v=version, n=n: save(s, v, n) for n, s in enumerate(stores)))
        assert found.count(None) == 1
        refused = next(answer for answer in found if answer is not None)
        assert "it was changed by another process" in str(refused)
    assert [entry.version for entry in stores[0].book_entries("MA00000001")] == list(range(1, 11))
    assert stores[0].audit() == []
    pool.close()


def test_who_made_an_account_second_waited_and_is_told_to_read_again(postgres: Cluster) -> None:
    """A1: the same new mioID from two desks; the second had looked before the first was done."""
    url = postgres.emptied()
    store = operator(url)
    with psycopg.connect(url) as other:
        other.execute("INSERT INTO pktoll.account VALUES ('MA00000001', 1, 'by the other')")
        found: list[object] = []

        def ask() -> None:
            found.extend(together(lambda: save(store, 1, 1)))

        waiting = threading.Thread(target=ask)
        waiting.start()
        with psycopg.connect(url, autocommit=True) as watch:
            while not watch.execute(WAITS).fetchall():
                pass
        other.commit()
        waiting.join()
    assert "it was changed by another process" in str(found[0])
    store.close()


def save(store: CouponStore, version: int, writer: int) -> None:
    account = Account("MA00000001", version, f"by {writer}")
    store.save_account(account, [], BookEntry("MA00000001", version, 5, "change", ""))


def test_notes_grants_credits_and_expiries_do_not_stand_in_each_others_way(
    postgres: Cluster,
) -> None:
    """D9: no deadlock, nothing lost, whatever is mixed; each of them all the time on one contract."""
    pool = Pool(postgres.emptied())
    first, second, desk = pool.open("a"), pool.open("b"), pool.open(None)
    credit(first, "c0", 30 * SLICE)
    first.open_line("hdd1", "hdo1", 0)
    second.open_line("hdd1", "hdo2", 0)

    def grants(store: CouponStore, line: str) -> None:
        for number in range(15):
            store.defer()
            store.grant(f"{line}-{number}", "hdd1", line, 5)
            store.mark([(line, number, number + 5)])
            store.settle(line, number, False)
            store.flush()

    def office() -> None:
        for number in range(15):
            credit(desk, f"d{number}", 3, 3 + number)
            desk.note("hdo1", LineNews(number, coupon_on=bool(number % 2)))
            desk.expire(4 + number)

    found = together(lambda: grants(first, "hdo1"), lambda: grants(second, "hdo2"), office)
    assert found == [None] * 3
    assert desk.audit() == []
    assert len(first.slices("hdo1")) == len(first.slices("hdo2")) == 15
    pool.close()


def test_two_gateways_that_start_at_once_get_numbers_of_their_own(postgres: Cluster) -> None:
    """I4: the number of a run is given once; who comes second asks again."""
    url = postgres.emptied()
    started: list[CouponStore] = []
    with psycopg.connect(url) as hand:
        hand.execute(
            "INSERT INTO pktoll.run (run_id, gateway, state, renewed_ns, lease_until_ns)"
            " VALUES (1, 'z', 'clean', 0, 0)"
        )
        thread = threading.Thread(
            target=lambda: started.append(open_store(url, StoreOptions(gateway="a")))
        )
        thread.start()
        while not postgres.execute(WAITS):
            pass
    thread.join()
    assert started[0].run_id == 2
    assert started[0].audit() == []
    started[0].close()


def test_rows_locked_crosswise_end_in_no_deadlock(postgres: Cluster) -> None:
    """D9: the server ends one of the two, and that one is said again."""
    url = postgres.emptied()
    store = open_store(url, StoreOptions(gateway="a", answer_ms=20_000))
    credit(store, "c1", SLICE)
    credit(store, "c2", SLICE, contract="hdd2")
    store.open_line("hdd1", "hdo1", 0)
    with psycopg.connect(url) as hand:
        # The other way round: first the line, then the contract.
        hand.execute("SET deadlock_timeout TO '10s'")
        hand.execute("SELECT 1 FROM pktoll.line FOR UPDATE")
        answer: list[Grant] = []
        thread = threading.Thread(
            target=lambda: answer.append(store.grant("r1", "hdd1", "hdo1", 5))
        )
        thread.start()
        while not postgres.execute(WAITS):
            pass
        hand.execute("UPDATE pktoll.contract SET closed_ns = NULL")
    thread.join()
    assert answer == [(answer[0].slice_id, SLICE)]
    assert store.audit() == []
    store.close()
