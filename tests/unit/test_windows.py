"""When the database is told what lines carried, and what is taken in of what others told it."""

from dataclasses import replace
from datetime import date
from pathlib import Path

import numpy as np
import pytest

from engine import clock
from engine.errors import PoolError, PoolUnavailable
from engine.layout import SIM_REGULATED
from engine.pool.store import CouponStore, StoreOptions, open_store
from engine.runtime import Engine, usage
from engine.subscribers import Book, Contract, Line
from engine.words import CONTROL_SIDE_NEXT
from tests.support.gateway import PLAN, UE_2, S, gateway, packet
from tests.support.live import answered, busy
from tests.support.restriction import SIZE, at, regulated, rules, sent, started


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'a.db'}"


def told(url: str, line: str = "a") -> list[int]:
    """What the database knows of a line's days that counts."""
    store = open_store(url, StoreOptions(gateway=None))
    found = [day.restricting_bytes for day in store.usage(line, 0)]
    store.close()
    return found


def many(count: int) -> Book:
    """A contract for each of so many lines, 10.1.0.0 onwards."""
    lines = (Line(code=f"l{n:05}", addresses=(f"10.1.{n >> 8}.{n & 255}",)) for n in range(count))
    started_on = date(2013, 11, 1)
    return Book(tuple(Contract(f"c{line.code}", PLAN, started_on, (line,), ()) for line in lines))


# --- when it is told ------------------------------------------------------------------------------


def test_what_was_carried_is_told_every_ten_seconds(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Q3, R1: of the machine's time; that is what a crash may lose"""
    with started(url) as engine:
        begin_ns = clock.lease_ns()
        monkeypatch.setattr("engine.clock.lease_ns", lambda: begin_ns + 9 * S)
        sent(engine, at(0, 1))
        assert told(url) == []
        monkeypatch.setattr("engine.clock.lease_ns", lambda: begin_ns + 11 * S)
        sent(engine, at(0, 2))
        assert told(url) == [2 * SIZE]
        sent(engine, at(0, 3))
        assert told(url) == [2 * SIZE]
        monkeypatch.setattr("engine.clock.lease_ns", lambda: begin_ns + 22 * S)
        engine.flush()
        assert told(url) == [3 * SIZE]
    with started(url, name="other") as engine:  # nothing yet to be told
        engine.usage.every_ns = 0
        engine.flush()
        assert told(url) == [3 * SIZE]


def test_many_lines_are_told_some_at_a_time(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Q3: packets wait for one part only; the next part has its share of the ten seconds to wait"""
    monkeypatch.setattr(usage, "ROWS_AT_ONCE", 1)
    monkeypatch.setattr(usage, "REST", 0)
    now = [clock.lease_ns()]
    monkeypatch.setattr("engine.clock.lease_ns", lambda: now[0])
    with started(url) as engine:
        now[0] += 10 * S
        engine.process(
            np.concatenate([packet(at(0), length=SIZE), packet(at(0), UE_2, length=SIZE)])
        )
        assert (told(url, "a"), told(url, "b")) == ([SIZE], [])
        now[0] += 5 * S - 1
        engine.flush()
        assert told(url, "b") == []
        now[0] += 1
        engine.flush()
        assert told(url, "b") == [SIZE]


def test_a_database_that_ends_with_the_process_is_told_nothing() -> None:
    """R1: there is no next run"""
    with gateway(many(1), settings=rules()) as engine:
        engine.usage.every_ns = 0
        assert sent(engine, at(0), ue="10.1.0.0") == ["slow"]
        assert engine.store.usage("l00000", 0) == []


def test_a_live_gateway_does_not_wait_for_the_database(tmp_path: Path, url: str) -> None:
    """Q3, R1: what it cannot tell it tells later, and nothing is told twice"""
    made = rules()
    made = replace(made, pool=replace(made.pool, answer_ms=50))
    store = open_store(url, StoreOptions(gateway="live", answer_ms=50))
    with gateway(many(1), settings=made, store=store, live=True) as engine:
        engine.usage.every_ns = 0
        sent(engine, at(0, 1), ue="10.1.0.0")
        answered(engine)
        assert told(url, "l00000") == [SIZE]
        with busy(tmp_path / "a.db"):
            assert sent(engine, at(0, 2), ue="10.1.0.0") == ["slow"]
            assert sent(engine, at(1), ue="10.1.0.0") == ["slow"]
            answered(engine)
        answered(engine)
        assert told(url, "l00000") == [2 * SIZE, SIZE]
    assert told(url, "l00000") == [2 * SIZE, SIZE]


def test_a_live_gateway_tells_more_before_the_last_is_answered(tmp_path: Path, url: str) -> None:
    """Q3: an answer is for what was said, not for what was said since"""
    store = open_store(url, StoreOptions(gateway="live"))
    with gateway(many(1), settings=rules(), store=store, live=True) as engine:
        engine.usage.every_ns = 0
        sent(engine, at(0, 1), ue="10.1.0.0")
        answered(engine)
        with busy(tmp_path / "a.db"):
            for n in range(2, 5):
                assert sent(engine, at(0, n), ue="10.1.0.0") == ["slow"]
        answered(engine)
        assert told(url, "l00000") == [4 * SIZE]


@pytest.mark.parametrize("failure", [PoolUnavailable("away"), PoolError("no")])
def test_what_a_live_gateway_could_not_tell_is_told_at_the_end(
    url: str, monkeypatch: pytest.MonkeyPatch, failure: PoolError
) -> None:
    """Q3: where the database was away; what it refused would be refused again"""
    store = open_store(url, StoreOptions(gateway="live"))

    def refuse(*_: object) -> None:
        raise failure

    with gateway(many(1), settings=rules(), store=store, live=True) as engine:
        engine.usage.every_ns = 0
        with monkeypatch.context() as patched:
            patched.setattr(store, "report_usage", refuse)
            sent(engine, at(0, 1), ue="10.1.0.0")
            answered(engine)
        engine.usage.every_ns = 1 << 60
    assert told(url, "l00000") == ([SIZE] if isinstance(failure, PoolUnavailable) else [])


# --- what is taken in -----------------------------------------------------------------------------


def side_rows(engine: Engine) -> int:
    return sum(int(shard.control[CONTROL_SIDE_NEXT]) - 1 for shard in engine.shards.all)


@pytest.mark.parametrize("ue_nets", [(), ("10.1.0.0/16",)])
@pytest.mark.parametrize("shards", [1, 3])
def test_a_large_book_is_looked_up_at_once_and_costs_only_where_something_counts(
    url: str, ue_nets: tuple[str, ...], shards: int
) -> None:
    """R1: one question at the start; lines without a history are given no side rows"""
    count, busy_ones = 1_500, 1_100
    asked: list[int] = []

    def gateway_of(store: CouponStore) -> Engine:
        engine = gateway(settings=rules(), store=store, ue_nets=ue_nets, shards=shards)
        look_up = store.restricting

        def restricting(lines: list[str], first_day: int) -> list[tuple[str, int, int]]:
            asked.append(len(lines))
            return look_up(lines, first_day)

        store.restricting = restricting  # type: ignore[method-assign, assignment]
        if not ue_nets:
            engine.load(many(count), at(0))
        return engine

    every = [packet(at(0), f"10.1.{n >> 8}.{n & 255}", length=4 * SIZE) for n in range(busy_ones)]
    with gateway_of(open_store(url)) as engine:
        engine.process(np.concatenate(every))
    asked.clear()
    with gateway_of(open_store(url)) as engine:
        if not ue_nets:
            assert asked == [count]
            assert side_rows(engine) == busy_ones
            assert regulated(engine) == [True] * busy_ones + [False] * (count - busy_ones)
        verdicts = engine.process(np.concatenate(every))
        assert set((verdicts["departure_ns"] > at(0)).tolist()) == {True}
        assert side_rows(engine) == busy_ones
        if ue_nets:
            assert asked == [busy_ones]


def test_what_the_database_forgot_meanwhile_still_counts(url: str) -> None:
    """R1, Q3: a gateway whose clock leaps by more than thirty days has it forget the days before"""
    with started(url, name="one") as one, started(url, name="two") as two:
        assert sent(one, *(at(0, n) for n in range(3))) == ["slow"] * 3
        one.detach("a", at_ns=at(0, 3))
        two.open_session("a", at_ns=at(0, 4))
        two.detach("a", at_ns=at(0, 4))
        one.open_session("a", at_ns=at(40))
        assert sent(one, at(40)) == ["slow"]
        one.detach("a", at_ns=at(40))
        assert told(url) == [SIZE]
        two.open_session("a", at_ns=at(0, 5))
        assert sent(two, at(0, 6), at(0, 7)) == ["slow", "restricted"]


def test_a_day_that_is_long_past_is_told_without_what_others_counted(url: str) -> None:
    """R1: sessions may open days after the last packet; its day is reported when the next one comes"""
    with started(url, name="one") as one:
        assert sent(one, at(0)) == ["slow"]
    with started(url, name="two") as two:
        two.usage.every_ns = 1 << 60
        assert sent(two, at(0, 1)) == ["slow"]
        two.open_session("b", at_ns=at(5))
        assert sent(two, at(5)) == ["slow"]
    assert told(url) == [2 * SIZE, SIZE]


def test_the_flag_of_the_restriction_is_of_the_instant(url: str) -> None:
    """Q4, R3: brought up to date by reports, whatever else the row's flags say"""
    with started(url, made=rules("next-day"), shards=2) as engine:
        assert sent(engine, *(at(0, n) for n in range(5))) == ["slow"] * 5
        before = engine.sims.rows["flags"][:2].tolist()
        engine.usage.report(at(0, 10))
        assert engine.sims.rows["flags"][:2].tolist() == before
        engine.usage.report(at(1))
        assert engine.sims.rows["flags"][:2].tolist() == [before[0] | SIM_REGULATED, before[1]]
        engine.usage.report(at(4))
        assert engine.sims.rows["flags"][:2].tolist() == before
