"""Between SIM rows and coupon database: when a slice is asked for, and how a run is settled."""

from dataclasses import replace
from pathlib import Path

import apsw
import pytest

from engine import clock
from engine.errors import LedgerError
from engine.pool.store import open_store
from engine.runtime import Engine
from engine.units import MB
from tests.support.gateway import (
    HIGH,
    MS,
    T0,
    UE_2,
    UE_3,
    S,
    book,
    gateway,
    line,
    packet,
    play,
    settings,
    sim,
    train,
)

THREE = tuple(line(number) for number in (1, 2, 3))


def asked(engine: Engine) -> list[int]:
    """How often each line asked for a slice."""
    return [state.requests for state in engine.book.lines]


def test_an_empty_contract_is_asked_once() -> None:
    """D5: its packets then never stop the kernel again, whichever SIM they are of"""
    engine = gateway(book(*THREE, coupon_bytes=250))
    batch = [packet(T0), packet(T0, UE_2), packet(T0, UE_3)]
    assert play(engine, *batch * 5).count("slow") == 12
    assert asked(engine) == [1, 1, 0]


def test_a_charge_wakes_all_lines_of_the_contract() -> None:
    """D5, C3"""
    engine = gateway(book(*THREE))
    assert play(engine, packet(T0), packet(T0, UE_2)) == ["slow", "slow"]
    engine.charge("hdd1", coupons=1, at_ns=T0)
    batch = [packet(T0, UE_2), packet(T0, UE_3), packet(T0)]
    assert play(engine, *batch) == ["charged"] * 3
    assert [sim(engine, k)["granted_bytes"] for k in range(3)] == [10 * MB] * 3


def test_a_switch_wakes_the_contract() -> None:
    """P3: a coupon that was credited in the database since is found at once"""
    engine = gateway(book())
    assert play(engine, packet(T0)) == ["slow"]
    engine.store.credit("by hand", "hdd1", "topup", 5_000, T0, T0 + 10**15)
    assert play(engine, packet(T0)) == ["slow"]
    engine.switch_coupon("a", on=True, at_ns=T0)
    assert play(engine, packet(T0)) == ["charged"]


@pytest.mark.parametrize(
    ("first_slice", "changes", "grants"),
    [
        ("attach", {}, 1),
        ("first-packet", {}, 0),
        ("attach", {"coupon": False}, 0),
        ("attach", {"balance_bytes": 1}, 0),
    ],
)
def test_what_an_attach_hands_out(
    first_slice: str, changes: dict[str, object], grants: int
) -> None:
    """D1, D8"""
    made = settings(first_slice=first_slice)
    engine = gateway(book(line(**changes), coupon_bytes=MB), settings=made)
    engine.open_session("a", at_ns=T0)
    assert sim(engine)["grants"] == grants
    engine.open_session("a", at_ns=T0)
    assert sim(engine)["grants"] == grants


def test_an_attach_to_a_contract_known_to_be_empty_asks_for_nothing() -> None:
    """D5"""
    engine = gateway(book(*THREE))
    engine.open_session("a", at_ns=T0)
    engine.open_session("b", at_ns=T0)
    assert asked(engine) == [1, 0, 0]


def test_what_a_batch_used_is_durable_when_it_returns(tmp_path: Path) -> None:
    """D9, G2: another connection sees it"""
    path = tmp_path / "a.db"
    engine = gateway(book(coupon_bytes=MB), store=open_store(f"sqlite:///{path}"))
    play(engine, packet(T0))
    other = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)
    assert other.execute("SELECT sum(granted_bytes) FROM slice").get == MB
    other.close()
    engine.close()


def test_a_clean_end_settles_what_each_line_used(tmp_path: Path) -> None:
    """I5, I8: the next run starts with what is left, and asks for nothing"""
    url = f"sqlite:///{tmp_path / 'a.db'}"
    with gateway(book(coupon_bytes=5_000), store=open_store(url)) as engine:
        assert play(engine, *[packet(T0)] * 7) == ["charged"] * 7
    with gateway(book(coupon_bytes=5_000), store=open_store(url)) as engine:
        assert engine.store.recovered == []
        assert sim(engine)["balance_bytes"] == 4_300
        assert play(engine, packet(T0)) == ["charged"]
        assert sim(engine)["grants"] == 0
        (slice_,) = engine.store.slices("a")
        assert (slice_.granted_bytes, slice_.used_bytes) == (5_000, 700)


def test_a_run_that_breaks_off_leaves_its_slices_uncertain(tmp_path: Path) -> None:
    """G4: booked as used, named, never given back"""
    url = f"sqlite:///{tmp_path / 'a.db'}"

    def broken_off() -> None:
        with gateway(book(coupon_bytes=MB), store=open_store(url)) as engine:
            play(engine, packet(T0))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        broken_off()
    with gateway(book(coupon_bytes=MB), store=open_store(url)) as engine:
        assert len(engine.store.recovered) == 1
        assert f"{MB} bytes" in engine.store.recovered[0]
        assert play(engine, packet(T0)) == ["slow"]


@pytest.mark.parametrize(
    "plant",
    [
        "UPDATE slice SET used_bytes = used_bytes + 1",
        "UPDATE coupon SET credited_bytes = credited_bytes + 7, granted_bytes = granted_bytes + 7",
    ],
)
def test_books_that_do_not_agree_are_an_error(tmp_path: Path, plant: str) -> None:
    """G6, F18: at the end of the run, naming the row"""
    path = tmp_path / "a.db"
    engine = gateway(book(coupon_bytes=MB), store=open_store(f"sqlite:///{path}"))
    play(engine, packet(T0))
    other = apsw.Connection(str(path))
    other.execute(plant)
    other.close()
    with pytest.raises(LedgerError) as caught:
        engine.close()
    assert caught.value.exit_status == 6
    found = gateway(store=open_store(f"sqlite:///{path}")).store.audit()
    more = f" (and {len(found) - 1} more; `pktoll pool audit` names all)" if len(found) > 1 else ""
    assert str(caught.value) == f"coupon database: {found[0]}{more}"
    engine.close()  # once is enough


def test_counters_that_no_slice_paid_for_are_an_error() -> None:
    """I2, G3: a row that was tampered with does not get past the end of the run"""
    engine = gateway(book(coupon_bytes=MB))
    play(engine, train(3, MS))
    engine.sims.rows[0]["charged"][0] += MB
    with pytest.raises(LedgerError, match="line a: given"):
        engine.close()


def test_a_sim_goes_on_with_what_it_holds_when_another_finds_the_contract_empty() -> None:
    """D5, G4: also where not all of it is announced yet"""
    store = open_store(None)
    store.lasting = True
    made = settings(high=replace(HIGH, burst_bytes=10**8, queue_bytes=10**8))
    made = replace(made, pool=replace(made.pool, watermark_bytes=65_536))
    engine = gateway(book(*THREE, coupon_bytes=200_000), settings=made, store=store)
    assert play(engine, packet(T0, length=60_000)) == ["charged"]
    assert play(engine, packet(T0, UE_2)) == ["slow"]
    verdicts = engine.process(train(4, MS, length=40_000))
    assert verdicts["charged_bytes"].tolist() == [40_000, 40_000, 40_000, 20_000]
    assert asked(engine) == [1, 1, 0]


def test_a_gateway_without_traffic_keeps_its_lease(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """G1: nothing to report and nothing to announce, yet its lines stay its own"""
    url = f"sqlite:///{tmp_path}/coupons.db"
    engine = gateway(book(), store=open_store(url))
    engine.flush()
    lease = "SELECT lease_until_ns FROM run"
    beside = apsw.Connection(f"{tmp_path}/coupons.db", flags=apsw.SQLITE_OPEN_READONLY)
    before_ns = beside.execute(lease).get
    real = clock.lease_ns
    monkeypatch.setattr(clock, "lease_ns", lambda: real() + engine.settings.pool.lease_s * S // 2)
    engine.flush()
    assert beside.execute(lease).get > before_ns
    beside.close()
    engine.close()
