"""A live gateway: no packet waits for the coupon database (Gy: threshold, pending, failure handling)."""

from pathlib import Path

import apsw
import pytest

from engine.errors import PoolFenced
from engine.pool.store import StoreOptions, open_store
from engine.units import MB
from tests.support.gateway import DNS, MS, T0, packet, play, sim, train
from tests.support.live import BIG, KB, answered, bursts, busy, live


@pytest.mark.parametrize(
    ("pending", "meanwhile"), [("slow", "slow"), ("drop", "pending"), ("pass", "charged")]
)
def test_what_a_packet_gets_while_the_answer_is_out(
    tmp_path: Path, pending: str, meanwhile: str
) -> None:
    """G3, D1: the setting says; once the answer is there, packets are charged, and lent bytes are paid"""
    path = tmp_path / "a.db"
    with live(path, 30 * MB, pending=pending) as engine:
        with busy(path):
            assert play(engine, packet(T0)) == [meanwhile]
            assert play(engine, packet(T0, dst=DNS, ports=(5_000, 53))) == ["exempt"]
        answered(engine)
        assert play(engine, packet(T0)) == ["charged"]
        charged = 200 if pending == "pass" else 100
        assert sim(engine)["granted_bytes"] == 10 * MB
        assert sim(engine)["balance_bytes"] == 10 * MB - charged
    with live(path, 30 * MB) as engine:
        assert sim(engine)["balance_bytes"] == 10 * MB - charged


def test_the_next_slice_is_there_before_the_last_is_used_up(tmp_path: Path) -> None:
    """Volume-Quota-Threshold: no packet is slow, and none waits"""
    with live(tmp_path / "a.db", 40 * MB, threshold_bytes=2 * MB) as engine:
        engine.open_session("a", at_ns=T0)
        answered(engine)
        assert bursts(engine, 126) == ["charged"] * 126  # 2.19 MB are left
        assert sim(engine)["grants"] == 1
        assert bursts(engine, 80) == ["charged"] * 80
        assert sim(engine)["grants"] == 2


def test_a_threshold_of_nothing_asks_when_all_is_used(tmp_path: Path) -> None:
    """The last of a slice goes out before there is another"""
    with live(tmp_path / "a.db", 40 * MB, threshold_bytes=0) as engine:
        engine.open_session("a", at_ns=T0)
        answered(engine)
        found = bursts(engine, 163)
        assert found[:161] == ["charged"] * 161
        assert "charged" in found[161:]
        assert sim(engine)["grants"] == 2


def test_a_crash_leaves_at_most_the_watermark_uncertain(tmp_path: Path) -> None:
    """G4: what was announced and not known to be used, though two steps are under way"""
    path = tmp_path / "a.db"
    engine = live(path, 40 * MB, watermark_bytes=256 * KB)
    bursts(engine, 50)
    used = sim(engine)["up"]["charged_bytes"]
    engine.close(clean=False)
    store = open_store(f"sqlite:///{path}", StoreOptions(gateway="live"))
    (state,) = store.lines("hdd1")
    assert 0 < state.uncertain_bytes <= 256 * KB + BIG
    assert state.used_bytes <= used <= state.used_bytes + state.uncertain_bytes
    assert store.audit() == []
    store.close()


def test_a_database_that_fails_ends_the_session_after_a_second_try(tmp_path: Path) -> None:
    """G5, F7: retry-and-terminate; what the SIM holds is used first; an attach brings it back"""
    path = tmp_path / "a.db"
    with live(path, 40 * MB, answer_ms=20) as engine:
        with busy(path):
            assert play(engine, packet(T0)) == ["slow"]
            answered(engine)
            assert play(engine, packet(T0), packet(T0)) == ["detached"] * 2
        engine.open_session("a", at_ns=T0)
        answered(engine)
        assert play(engine, packet(T0)) == ["charged"]


def test_a_database_that_fails_ends_the_session_at_once(tmp_path: Path) -> None:
    """G5, F7: terminate"""
    path = tmp_path / "a.db"
    with live(path, 40 * MB, answer_ms=20, failure="terminate") as engine:
        engine.open_session("a", at_ns=T0)
        answered(engine)
        with busy(path):
            held = [name for _ in range(20) for name in bursts(engine, 1)]
            assert held[:16] == ["charged"] * 16  # a megabyte was announced, and is used
            assert held[-1] == "detached"
            assert set(held) <= {"charged", "slow", "detached"}


def test_a_database_that_fails_may_be_overdrawn_up_to_a_bound(tmp_path: Path) -> None:
    """G5, F7: continue; the first slices that come pay for it, to the byte"""
    path = tmp_path / "a.db"
    options = {"failure": "continue", "continue_bytes": 150_000}
    with live(path, 40 * MB, answer_ms=20, **options) as engine:
        with busy(path):
            assert play(engine, packet(T0, length=1_000)) == ["slow"]
            answered(engine)
            assert bursts(engine, 2) == ["charged", "charged"]
            assert bursts(engine, 1) == ["detached"]
        engine.open_session("a", at_ns=T0)
        answered(engine)
        assert bursts(engine, 2) == ["charged", "charged"]
        report = sim(engine)
        assert report["granted_bytes"] == 10 * MB
        assert report["balance_bytes"] == 10 * MB - report["up"]["charged_bytes"]


def test_what_was_overdrawn_and_never_paid_is_not_settled(tmp_path: Path) -> None:
    """I2: the ledger has no use beyond what was granted"""
    path = tmp_path / "a.db"
    with live(path, 500, answer_ms=20, failure="continue") as engine:
        with busy(path):
            play(engine, packet(T0))
            answered(engine)
            assert play(engine, packet(T0, length=1_000)) == ["charged"]
        assert sim(engine)["balance_bytes"] == 0
    with live(path, 500) as engine:
        answered(engine)
        assert [s.used_bytes for s in engine.store.slices("a")] in ([], [500])


def test_a_charge_by_another_process_wakes_an_empty_contract(tmp_path: Path) -> None:
    """D5, C3: without any call, and without a query a packet"""
    path = tmp_path / "a.db"
    with live(path, 0) as engine:
        play(engine, packet(T0))
        answered(engine)
        assert play(engine, packet(T0)) == ["slow"]
        operator = open_store(f"sqlite:///{path}", StoreOptions(gateway=None))
        operator.buy("by hand", "hdd1", 1, T0)
        operator.close()
        for _ in range(100_000):
            answered(engine)
            if play(engine, packet(engine.now_ns + 10 * MS, length=10)) == ["charged"]:
                break
        assert play(engine, packet(engine.now_ns)) == ["charged"]


def test_a_line_that_was_taken_over_stops_its_gateway(tmp_path: Path) -> None:
    """I4, F11: a zombie hears of it with the next answer"""
    path = tmp_path / "a.db"
    engine = live(path, 40 * MB, lease_s=1)
    play(engine, packet(T0))
    answered(engine)
    with apsw.Connection(str(path)) as other:
        other.execute("UPDATE run SET lease_until_ns = 0")
    thief = open_store(f"sqlite:///{path}", StoreOptions(gateway="other"))
    thief.open_line("hdd1", "a", 0)

    def go_on() -> None:
        bursts(engine, 20)

    with pytest.raises(PoolFenced):
        go_on()
    engine.close(clean=False)
    assert thief.audit() == []
    thief.close()


def test_a_session_that_opens_again_takes_what_the_database_says(tmp_path: Path) -> None:
    """D6, I8: another gateway had the line in between"""
    path = tmp_path / "a.db"
    with live(path, 40 * MB) as engine:
        play(engine, packet(T0))
        answered(engine)
        engine.detach("a", at_ns=T0)
        other = open_store(f"sqlite:///{path}", StoreOptions(gateway="other"))
        held = other.open_line("hdd1", "a", 0)
        other.settle("a", 4 * MB, True)
        other.close()
        engine.open_session("a", at_ns=T0)
        answered(engine)
        assert sim(engine)["balance_bytes"] == held - 4 * MB
        assert play(engine, *[packet(T0)] * 3) == ["charged"] * 3


def test_a_line_that_cannot_be_opened_again_has_no_session(tmp_path: Path) -> None:
    """F6: the packet is dropped, the gateway goes on"""
    path = tmp_path / "a.db"
    with live(path, 40 * MB, answer_ms=20) as engine:
        engine.suspend("a", at_ns=T0)
        engine.resume("a", at_ns=T0)
        with busy(path):
            assert play(engine, packet(T0)) == ["detached"]
        engine.open_session("a", at_ns=T0)


def test_many_small_packets_never_stop_for_the_database(tmp_path: Path) -> None:
    """All of a slice and more, in ordinary batches; the books agree at the end"""
    with live(tmp_path / "a.db", 13 * MB) as engine:
        engine.open_session("a", at_ns=T0)
        answered(engine)
        for number in range(40):
            start_ns = T0 + number * 1_000 * MS
            engine.process(train(300, MS, start_ns=start_ns, length=1_400))
            answered(engine)
        report = sim(engine)
        assert report["up"]["charged_bytes"] == 13 * MB
        assert report["up"]["dropped_packets"] > 0  # the slow queue is short
