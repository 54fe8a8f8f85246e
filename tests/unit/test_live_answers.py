"""A live gateway whose answers come late, in mid-batch, after a session's end, or not at all."""

from dataclasses import replace
from pathlib import Path

import apsw
import pytest

from engine import clock
from engine.errors import PoolError, PoolFenced
from engine.layout import SIM_EMPTY
from engine.pool.store import StoreOptions, open_store
from engine.runtime import Engine, store_options
from engine.units import MB
from tests.support.gateway import (
    T0,
    book,
    gateway,
    line,
    packet,
    play,
    settings,
    sim,
)
from tests.support.live import WIDE, answered, busy, live


def taken_over(path: Path, engine: Engine) -> None:
    """Another gateway takes the line, after this one's lease."""
    with apsw.Connection(str(path)) as other:
        other.execute("UPDATE run SET lease_until_ns = 0")
    thief = open_store(f"sqlite:///{path}", StoreOptions(gateway="thief"))
    thief.open_line("hdd1", "a", 0)
    thief.close()


def test_a_gateway_that_was_fenced_cannot_open_a_session(tmp_path: Path) -> None:
    """I4: it stops at once, instead of dropping this one line's packets"""
    path = tmp_path / "a.db"
    engine = live(path, MB)
    taken_over(path, engine)
    engine.population.book.lines[0].closed = True
    with pytest.raises(PoolFenced):
        engine.open_session("a", at_ns=T0)
    engine.close(clean=False)


def test_a_quiet_gateway_extends_its_lease_by_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """G9, I4: whether or not there is traffic; a failure to do so is tried again in a moment"""
    path = tmp_path / "a.db"
    engine = live(path, MB, answer_ms=20, lease_s=3)

    def lease_until() -> int:
        with apsw.Connection(str(path)) as other:
            return int(other.execute("SELECT max(lease_until_ns) FROM run").get)

    begun = lease_until()
    with busy(path):
        later = clock.lease_ns() + 2 * 10**9
        monkeypatch.setattr("engine.clock.lease_ns", lambda: later)
        while not engine.quota._asker._answers:  # type: ignore[attr-defined]
            pass  # the first can only be that it could not be extended
        engine.flush()
    while lease_until() == begun:
        answered(engine)
    monkeypatch.undo()
    engine.close()


def test_shards_take_answers_between_batches_only(tmp_path: Path) -> None:
    """G8: another shard may be at work on the rows that an answer changes"""
    base = settings(high=WIDE, high_bps=10**11)
    store = open_store(f"sqlite:///{tmp_path}/a.db")
    engine = gateway(book(line(), coupon_bytes=MB), settings=base, store=store, live=True, shards=2)
    assert play(engine, packet(T0)) == ["slow"]
    answered(engine)
    assert play(engine, packet(T0)) == ["charged"]
    engine.close()


def test_an_answer_for_a_session_that_has_ended_asks_for_nothing_more(tmp_path: Path) -> None:
    """D8"""
    path = tmp_path / "a.db"
    with live(path, 40 * MB, threshold_bytes=10 * MB) as engine:
        with busy(path):
            play(engine, packet(T0))  # asked, and not answered yet
            engine.book.lines[0].closed = True
        answered(engine)
        assert sim(engine)["grants"] == 1
        assert engine.book.lines[0].ready_bytes == 0
        engine.book.lines[0].closed = False


def test_a_failure_after_the_contract_was_found_empty_changes_nothing(tmp_path: Path) -> None:
    """D5, F7: it stays marked"""
    path = tmp_path / "a.db"
    with live(path, 500, answer_ms=20, threshold_bytes=0) as engine:
        play(engine, packet(T0))
        answered(engine)
        assert play(engine, packet(T0)) == ["charged"]
        with busy(path):
            engine.quota._ask_slice(engine.book.lines[0])  # type: ignore[attr-defined]
            engine.book.lines[0].contract.empty = True
            answered_while_busy(engine)
        assert engine.quota._failed == {"a": 1}  # type: ignore[attr-defined]


def answered_while_busy(engine: Engine) -> None:
    """Wait for the asker without a call to the store, which would fail as well."""
    engine.quota._asker.settled()  # type: ignore[attr-defined]


def test_packets_are_slow_between_a_failure_and_the_second_try(tmp_path: Path) -> None:
    """G5: retry-and-terminate"""
    path = tmp_path / "a.db"
    with live(path, 40 * MB, answer_ms=20) as engine:
        with busy(path):
            play(engine, packet(T0))
            engine.quota._failed["a"] = 1  # type: ignore[attr-defined]
            engine.quota._set(engine.book.lines[0], 0)  # type: ignore[attr-defined]
            assert play(engine, packet(T0, length=10)) == ["slow"]
        answered(engine)


def test_an_answer_that_comes_in_mid_batch_is_used_at_once(tmp_path: Path) -> None:
    """G3: the SIM is not taken for an empty one, whose last packet would be partly free"""
    path = tmp_path / "a.db"
    with live(path, 40 * MB) as engine:
        play(engine, packet(T0))
        engine.quota.store.settings()
        engine.quota._asker.collect()  # type: ignore[attr-defined]
        engine.quota.store.settings()  # the step is announced, and nobody has looked yet
        state = engine.book.lines[0]
        engine.quota.refill(state, T0)
        row = engine.sims.rows[state.row]
        assert int(row["balance_bytes"]) in (MB // 2, MB)  # the next step may be answered by now
        assert int(row["flags"]) & SIM_EMPTY == 0
        answered(engine)


def test_what_was_lent_and_paid_is_not_left_after_a_crash(tmp_path: Path) -> None:
    """G1, G4: use that a slice paid for later is announced with it"""
    path = tmp_path / "a.db"
    engine = live(path, 30 * MB, pending="pass")
    with busy(path):
        assert play(engine, packet(T0, length=5_000)) == ["charged"]
    answered(engine)
    charged = sim(engine)["up"]["charged_bytes"]
    engine.close(clean=False)
    store = open_store(f"sqlite:///{path}", StoreOptions(gateway="live"))
    (state,) = store.lines("hdd1")
    assert state.used_bytes + state.uncertain_bytes >= charged == 5_000
    store.close()


def test_a_step_that_could_not_be_announced_counts_as_a_failure(tmp_path: Path) -> None:
    """G5"""
    with live(tmp_path / "a.db", MB) as engine:
        engine.quota._noted(engine.book.lines[0], PoolError("no answer"))  # type: ignore[attr-defined]
        assert engine.quota._failed == {"a": 1}  # type: ignore[attr-defined]
        answered(engine)


def test_what_is_on_a_sim_is_announced_when_its_session_opens(tmp_path: Path) -> None:
    """D1, C7: so that its first packet need not wait, though no slice is asked for"""
    path = tmp_path / "a.db"
    base = replace(settings(high=WIDE, high_bps=10**11), first_slice="first-packet")
    store = open_store(f"sqlite:///{path}", store_options(base, "live"))
    subscribers = book(line(balance_bytes=5_000), coupon_bytes=MB)
    with gateway(subscribers, settings=base, store=store, live=True) as engine:
        engine.open_session("a", at_ns=T0)
        answered(engine)
        assert play(engine, packet(T0)) == ["charged"]
