"""The limiter as packets feel it: exact waits, exact drops, no drift, no window above its bound."""

from fractions import Fraction

import pytest

from engine.config import SlowLimit
from tests.support.gateway import (
    DAY,
    MS,
    SERVER,
    T0,
    UE,
    US,
    S,
    book,
    both,
    gateway,
    names,
    packet,
    play,
    settings,
    sim,
    train,
    waits,
)


def test_the_burst_goes_at_once_the_rest_waits_and_the_tail_is_dropped() -> None:
    """P2, P4: 1 000 bytes of burst, a byte a millisecond, 3 000 bytes of queue"""
    engine = gateway(book())
    batch = train(10, 0, length=500)
    verdicts = engine.process(batch)
    assert waits(batch[:8], verdicts[:8]) == [0, 0, *(500 * MS * k for k in range(1, 7))]
    assert names(verdicts) == ["slow"] * 8 + ["queue"] * 2
    up = sim(engine)["up"]
    assert (up["delayed_packets"], up["max_delay_ns"]) == (6, 3_000 * MS)
    assert (up["slow_bytes"], up["dropped_bytes"], up["dropped_packets"]) == (4_000, 1_000, 2)
    assert verdicts["departure_ns"][8:].tolist() == [0, 0]


def test_each_direction_has_a_bucket_of_its_own() -> None:
    """P4"""
    engine = gateway(book())
    up, down = train(4, 0, length=1_000), train(2, 0, SERVER, UE, length=500)
    assert play(engine, up) == ["slow"] * 4
    assert waits(down, engine.process(down)) == [0, 0]


def test_a_wait_is_rounded_up_to_the_nanosecond() -> None:
    """P4, U4: a packet never leaves before its bits are earned"""
    limit = SlowLimit(burst_bytes=3, queue_bytes=20, queue_ms=60_000, rate_bps=7)
    engine = gateway(book(), settings=settings(slow=limit))
    batch = train(3, 0, length=2)
    bits = [0, 8, 24]  # beyond the burst, after each packet
    expected = [-((-bit * S) // 7) for bit in bits]
    assert waits(batch, engine.process(batch)) == expected
    assert expected[1] * Fraction(7, S) > 8 > (expected[1] - 1) * Fraction(7, S)


def test_a_queue_is_bounded_in_time_too() -> None:
    """P4"""
    limit = SlowLimit(burst_bytes=1_000, queue_bytes=100_000, queue_ms=500, rate_bps=8_000)
    engine = gateway(book(), settings=settings(slow=limit))
    assert play(engine, train(4, 0, length=500)) == ["slow"] * 3 + ["queue"]


def test_a_bucket_that_is_looked_at_often_still_fills() -> None:
    """P5: 30 us at 200 kbit/s earn three quarters of a byte; nothing of it may be lost"""
    limit = SlowLimit(burst_bytes=60, queue_bytes=0, queue_ms=0, rate_bps=200_000)
    engine = gateway(book(), settings=settings(slow=limit))
    play(engine, train(800, 30 * US, length=3))
    earned_bytes = 800 * 30 * US * 200_000 // (8 * S)
    assert earned_bytes < both(sim(engine), "slow_bytes") + 3 <= earned_bytes + 60 + 3


@pytest.mark.parametrize("rest_ns", [S, DAY, 25 * DAY, 200 * 365 * DAY])
def test_a_rest_fills_the_bucket_and_no_more(rest_ns: int) -> None:
    """P5: whatever was not used is cut at the burst, and no time overflows"""
    engine = gateway(book())
    assert play(engine, train(4, 0, length=1_000)) == ["slow"] * 4
    batch = train(3, 0, length=500, start_ns=T0 + 3 * S + rest_ns)
    assert waits(batch, engine.process(batch)) == [0, 0, 500 * MS]


def test_a_packet_stamped_earlier_earns_nothing() -> None:
    """P5, G8, B58: time does not go back"""
    engine = gateway(book())
    batch = train(3, -S, length=1_000)
    verdicts = engine.process(batch)
    assert [int(ns) - T0 for ns in verdicts["departure_ns"]] == [0, S, 2 * S]
    assert engine.now_ns == T0


def test_a_dropped_packet_takes_no_room() -> None:
    """P4"""
    engine = gateway(book())
    sizes = (4_001, 4_000, 1)
    batch = [packet(T0, length=size) for size in sizes]
    assert play(engine, *batch) == ["queue", "slow", "queue"]


@pytest.mark.parametrize("gap_ns", [0, 7 * MS, 40 * MS])
def test_no_window_holds_more_than_burst_and_rate(gap_ns: int) -> None:
    """P5"""
    engine = gateway(book())
    batch = train(60, gap_ns, length=70)
    verdicts = engine.process(batch)
    out = [int(v["departure_ns"]) for v in verdicts if v["code"] == verdicts["code"][0]]
    assert out == sorted(out)
    for first, begin_ns in enumerate(out):
        for last in range(first, len(out)):
            bits = (last - first + 1) * 70 * 8
            assert bits * S <= 8_000 * S + 8_000 * (out[last] - begin_ns + 1)
