"""What a packet gets: charged, slow, free, dropped; switches, slices, the 3-day restriction."""

import numpy as np
import pytest

from engine.config import Limit, SlowLimit
from engine.layout import DOWNLINK, UPLINK
from engine.units import MB
from tests.support.gateway import (
    DAY,
    DNS,
    MS,
    NOV_5,
    RESTRICTED,
    SERVER,
    T0,
    UE,
    UE_2,
    S,
    book,
    both,
    gateway,
    line,
    names,
    packet,
    play,
    settings,
    sim,
    train,
    waits,
)


def test_with_a_balance_packets_are_charged_at_high_speed() -> None:
    """P1, D1, S4"""
    engine = gateway(book(coupon_bytes=5_000))
    batch = train(4, MS, length=1_000)
    verdicts = engine.process(batch)
    assert names(verdicts) == ["charged"] * 4
    assert waits(batch, verdicts) == [0] * 4
    assert verdicts["charged_bytes"].tolist() == [1_000] * 4
    found = sim(engine)
    assert (found["grants"], found["granted_bytes"], found["balance_bytes"]) == (1, 5_000, 1_000)


def test_the_last_packet_takes_what_is_left_and_is_partly_free() -> None:
    """D2, D5, D7: at most one packet is partly free, and no balance is negative"""
    engine = gateway(book(coupon_bytes=1_500))
    verdicts = engine.process(train(4, MS, length=1_000))
    assert names(verdicts) == ["charged", "charged", "slow", "slow"]
    assert verdicts["charged_bytes"].tolist() == [1_000, 500, 0, 0]
    found = sim(engine)
    assert found["up"]["free_bytes"] == 500
    assert (both(found, "charged_bytes"), both(found, "slow_bytes")) == (1_500, 2_000)
    assert found["balance_bytes"] == 0


def test_a_packet_larger_than_two_slices_takes_both() -> None:
    """D3, D7: the rest of one and the whole of the next, whatever they are"""
    engine = gateway(book(line(balance_bytes=300), coupon_bytes=400))
    verdicts = engine.process(packet(T0, length=1_000))
    assert verdicts["charged_bytes"].tolist() == [700]
    assert sim(engine)["up"]["free_bytes"] == 300


def test_slices_are_ten_megabytes() -> None:
    """D1, D2, G3, I2"""
    engine = gateway(book(coupon_bytes=11 * MB))
    play(engine, train(170, 100 * MS, length=65_535))
    found = sim(engine)
    assert (found["grants"], found["granted_bytes"]) == (2, 11 * MB)
    assert both(found, "charged_bytes") == 170 * 65_535
    slices = [s.granted_bytes for s in engine.store.slices("a")]
    assert slices == [10 * MB, 1 * MB]


def test_an_empty_database_slows_the_one_and_not_the_other() -> None:
    """D4, D5: what is on a SIM is nobody else's"""
    engine = gateway(book(line(), line(2), coupon_bytes=9_000))
    assert play(engine, packet(T0), packet(T0, UE_2), packet(T0)) == ["charged", "slow", "charged"]
    assert [sim(engine, k)["balance_bytes"] for k in (0, 1)] == [8_800, 0]


def test_the_coupon_switch_decides() -> None:
    """P2, P3, D8: off asks for nothing; on asks at once"""
    engine = gateway(book(line(coupon=False), coupon_bytes=9_000))
    assert play(engine, packet(T0)) == ["slow"]
    assert sim(engine)["grants"] == 0
    engine.switch_coupon("a", on=True, at_ns=T0 + 1)
    assert play(engine, packet(T0 + 1)) == ["charged"]
    engine.switch_coupon("a", on=False, at_ns=T0 + 2)
    assert play(engine, packet(T0 + 2)) == ["slow"]
    found = sim(engine)
    assert (found["grants"], found["coupon"], found["balance_bytes"]) == (1, False, 8_900)


@pytest.mark.parametrize("direction", [UPLINK, DOWNLINK])
def test_a_switch_in_mid_queue_keeps_order_and_loses_nothing(direction: int) -> None:
    """P3: what is queued leaves as promised, what comes after goes after it"""
    slow_down = settings(
        high=Limit(burst_bytes=1_000, queue_bytes=50_000, queue_ms=60_000), high_bps=80_000
    )
    where = (UE, SERVER) if direction == UPLINK else (SERVER, UE)
    engine = gateway(book(coupon_bytes=MB), settings=slow_down)
    out: list[int] = []
    for step in range(6):
        at_ns = T0 + step * 20 * MS
        verdicts = engine.process(train(2, MS, *where, start_ns=at_ns, length=400))
        assert "queue" not in names(verdicts)
        out += verdicts["departure_ns"].tolist()
        engine.switch_coupon("a", on=step % 2 == 1, at_ns=at_ns + 5 * MS)
    assert out == sorted(out)
    assert sim(engine)["up" if direction == UPLINK else "down"]["max_delay_ns"] > 0


def test_saved_credit_is_no_burst_at_another_rate() -> None:
    """P3, P5: a full bucket of high speed is cut at the burst of the slow state, both ways"""
    engine = gateway(book(coupon_bytes=MB))
    assert play(engine, packet(T0)) == ["charged"]
    engine.switch_coupon("a", on=False, at_ns=T0 + S)
    for where in ((UE, SERVER), (SERVER, UE)):
        batch = train(3, 0, *where, start_ns=T0 + S, length=500)
        assert waits(batch, engine.process(batch)) == [0, 0, 500 * MS]


def test_a_suspended_sim_gets_nothing_and_is_charged_nothing() -> None:
    """L1, N7, D8"""
    engine = gateway(book(coupon_bytes=MB))
    engine.suspend("a", at_ns=T0)
    assert play(engine, packet(T0), packet(T0, SERVER, UE)) == ["suspended"] * 2
    found = sim(engine)
    assert (found["in_service"], found["grants"], both(found, "dropped_bytes")) == (False, 0, 200)
    engine.resume("a", at_ns=T0 + S)
    assert play(engine, packet(T0 + S)) == ["charged"]
    assert sim(engine)["in_service"]


def test_a_detached_sim_gets_nothing_until_it_attaches() -> None:
    """D8, N7"""
    engine = gateway(book(coupon_bytes=MB))
    engine.detach("a", at_ns=T0)
    assert play(engine, packet(T0)) == ["detached"]
    assert sim(engine)["grants"] == 0
    engine.open_session("a", at_ns=T0 + 1)
    assert play(engine, packet(T0 + 1)) == ["charged"]


@pytest.mark.parametrize(("first_slice", "grants"), [("attach", 1), ("first-packet", 0)])
def test_an_exempt_packet_opens_the_session_and_maybe_a_slice(
    first_slice: str, grants: int
) -> None:
    """D1, D8, X3"""
    engine = gateway(book(coupon_bytes=MB), settings=settings(first_slice=first_slice))
    assert play(engine, packet(T0, UE, DNS, ports=(4_000, 53))) == ["exempt"]
    assert sim(engine)["grants"] == grants
    assert play(engine, packet(T0)) == ["charged"]
    assert sim(engine)["grants"] == 1


def test_bytes_above_the_limit_of_three_days_are_slowed_further() -> None:
    """R1, R2, R4: exactly the limit is not above it"""
    tight = SlowLimit(burst_bytes=1, queue_bytes=3_000, queue_ms=60_000, rate_bps=800)
    engine = gateway(book(), settings=settings(restriction_bytes=1_000, restricted=tight))
    batch = train(3, S, length=500)
    assert waits(batch[:2], engine.process(batch[:2])) == [0, 0]
    assert not sim(engine)["regulated"]
    assert waits(batch[2:], engine.process(batch[2:])) == [0]
    assert sim(engine)["regulated"]
    later = train(2, 0, length=100, start_ns=T0 + 60 * S)
    assert waits(later, engine.process(later)) == [990 * MS, 1_990 * MS]


def test_a_charge_lifts_the_restriction_while_it_lasts() -> None:
    """R5: the restriction bites in the slow state only, and is still there behind it"""
    engine = gateway(book(), settings=settings(restriction_bytes=1_000, restricted=RESTRICTED))
    play(engine, train(3, S, length=500))
    engine.charge("hdd1", coupons=1, at_ns=T0 + 100 * S)
    batch = train(3, 0, length=1_000, start_ns=T0 + 100 * S)
    assert waits(batch, engine.process(batch)) == [0, 1 * MS, 2 * MS]  # a byte a microsecond
    assert sim(engine)["regulated"]
    engine.switch_coupon("a", on=False, at_ns=T0 + 200 * S)
    batch = train(2, 0, length=1_000, start_ns=T0 + 200 * S)
    assert waits(batch, engine.process(batch)) == [0, 10 * S]


def test_exempt_traffic_is_not_restricted_and_does_not_count() -> None:
    """R6, X3"""
    engine = gateway(book(), settings=settings(restriction_bytes=1_000, restricted=RESTRICTED))
    dns = train(4, 0, UE, DNS, length=1_000, ports=(4_000, 53))
    assert waits(dns, engine.process(dns)) == [0] * 4
    assert not sim(engine)["regulated"]
    play(engine, train(3, 0, length=500))
    assert sim(engine)["regulated"]
    assert waits(dns, engine.process(dns)) == [0] * 4


@pytest.mark.parametrize(
    ("effective", "expected"),
    [("immediate", [True, True, True, False]), ("next-day", [False, True, True, True])],
)
def test_the_window_is_three_days_of_japan(effective: str, expected: list[bool]) -> None:
    """R3, U2: today and two days before, or the three full days before today; to the nanosecond"""
    made = settings(restriction_bytes=1_000, restricted=RESTRICTED, effective=effective)
    engine = gateway(book(), settings=made)
    last_ns = NOV_5 + DAY - 1
    play(engine, train(3, 0, length=500, start_ns=last_ns))
    found = []
    for day in range(4):
        if day:
            play(engine, packet(NOV_5 + day * DAY, length=1))
        found.append(sim(engine)["regulated"])
    assert found == expected
    play(engine, packet(NOV_5 + 4 * DAY, length=1))
    assert not sim(engine)["regulated"]


def test_a_day_that_comes_again_in_the_ring_is_not_taken_for_another() -> None:
    """R3: four days later the ring of days is at the same place"""
    made = settings(restriction_bytes=1_000, restricted=RESTRICTED)
    engine = gateway(book(), settings=made)
    play(engine, train(3, 0, length=500))
    play(engine, packet(T0 + 4 * DAY, length=1))
    assert not sim(engine)["regulated"]


def test_a_plan_without_a_limit_is_never_restricted() -> None:
    """R2"""
    engine = gateway(book(), settings=settings(restriction_bytes=0, restricted=RESTRICTED))
    play(engine, train(40, S, length=1_000))
    assert not sim(engine)["regulated"]


def test_the_split_of_a_batch_changes_nothing() -> None:
    """G8: stops for sessions and slices included"""
    batch = np.concatenate([train(30, 7 * MS, length=900), packet(T0 + 300 * MS, length=1)])
    whole = gateway(book(coupon_bytes=5_000)).process(batch)
    for split in (1, 4):
        engine = gateway(book(coupon_bytes=5_000))
        parts = [engine.process(batch[k : k + split]) for k in range(0, len(batch), split)]
        assert np.concatenate(parts).tolist() == whole.tolist()
