"""exempt.charge and exempt.count: what being exempt is worth (X3), and that it stays quick (X1, R6)."""

from typing import Any

import pytest

from engine.config import Limit
from engine.runtime import Engine
from engine.units import MB
from tests.support.gateway import (
    DAY,
    DNS,
    MS,
    NOV_5,
    RESTRICTED,
    T0,
    UE,
    UE_2,
    Rows,
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


def query(at_ns: int = T0, length: int = 100, src: str = UE) -> Rows:
    return packet(at_ns, src, DNS, length, ports=(4_000, 53))


def queries(count: int, gap_ns: int = MS, **fields: Any) -> Rows:
    return train(count, gap_ns, UE, DNS, ports=(4_000, 53), **fields)


def charging(*lines: Any, coupon_bytes: int = 0, **changes: Any) -> Engine:
    made = settings(charge=True, **changes)
    return gateway(book(*lines, coupon_bytes=coupon_bytes), settings=made)


def adds_up(found: dict[str, Any]) -> bool:
    """I1, I6, X3: bytes in one class each, the balance with what was used, the groups with both."""
    classes = ("charged_bytes", "slow_bytes", "exempt_bytes", "free_bytes", "dropped_bytes")
    ways = found["up"], found["down"]
    sums = all(way["inner_bytes"] == sum(way[name] for name in classes) for way in ways)
    held = found["balance_bytes"] + both(found, "charged_bytes")
    return sums and held == found["granted_bytes"]


# --- charge -------------------------------------------------------------------------------------


def test_the_coupon_pays_as_far_as_it_goes_and_the_rest_is_exempt() -> None:
    """X3, X1, D2: never slow, never free in the sense of D7"""
    gate = charging(coupon_bytes=1_500)
    batch = queries(4, length=1_000)
    verdicts = gate.process(batch)
    assert names(verdicts) == ["exempt"] * 4
    assert verdicts["charged_bytes"].tolist() == [1_000, 500, 0, 0]
    assert waits(batch, verdicts) == [0] * 4
    found = sim(gate)
    assert (found["balance_bytes"], found["up"]["charged_bytes"]) == (0, 1_500)
    assert (found["up"]["exempt_bytes"], found["up"]["free_bytes"]) == (2_500, 0)
    assert found["up"]["packets"] == 4
    assert adds_up(found)
    (rated,) = found["rating_groups"]
    assert (rated["up_packets"], rated["up_bytes"]) == (4, 4_000)


def test_an_exempt_packet_asks_for_the_next_slice_when_it_needs_it() -> None:
    """X3, D1, D7: the rest of one and the beginning of the next"""
    gate = charging(coupon_bytes=11 * MB)
    batch = queries(162, 100 * MS, length=65_535)
    assert sum(gate.process(batch)["charged_bytes"].tolist()) == 162 * 65_535
    found = sim(gate)
    assert (found["grants"], found["granted_bytes"]) == (2, 11 * MB)
    assert adds_up(found)


def test_a_balance_that_is_just_enough_asks_for_nothing() -> None:
    """X3, D1"""
    gate = gateway(book(line(balance_bytes=1_000), coupon_bytes=MB), settings=settings(charge=True))
    play(gate, query(length=1_000))
    assert (sim(gate)["grants"], sim(gate)["balance_bytes"]) == (0, 0)
    play(gate, query(length=0))
    assert sim(gate)["grants"] == 0
    play(gate, query(length=1))
    assert (sim(gate)["grants"], sim(gate)["balance_bytes"]) == (1, MB - 1)


@pytest.mark.parametrize("shape", ["off", "empty"])
def test_without_a_coupon_nothing_is_charged_and_nothing_slow(shape: str) -> None:
    """X1, X3: switched off with a balance, or on with nothing left"""
    mine = line(coupon=shape == "empty", balance_bytes=0 if shape == "empty" else 5_000)
    gate = charging(mine)
    batch = queries(5, 0, length=5_000)
    verdicts = gate.process(batch)
    assert (names(verdicts), waits(batch, verdicts)) == (["exempt"] * 5, [0] * 5)
    found = sim(gate)
    assert (both(found, "charged_bytes"), both(found, "exempt_bytes")) == (0, 25_000)
    assert found["grants"] == 0


def test_a_dropped_exempt_packet_is_not_charged_and_asks_for_nothing() -> None:
    """X4, N7"""
    narrow = Limit(burst_bytes=100, queue_bytes=0, queue_ms=0)
    gate = charging(coupon_bytes=MB, high=narrow, first_slice="first-packet")
    assert play(gate, query(length=101)) == ["queue"]
    assert (sim(gate)["grants"], both(sim(gate), "charged_bytes")) == (0, 0)


def test_who_pays_for_exempt_packets_has_less_for_others() -> None:
    """X3, P1, P2"""
    gate = charging(coupon_bytes=300)
    batch = [query(), packet(T0), query(), packet(T0), query()]
    assert play(gate, *batch) == ["exempt", "charged", "exempt", "slow", "exempt"]
    assert adds_up(sim(gate))


def test_others_of_the_contract_are_marked_empty_by_an_exempt_packet() -> None:
    """X3, D5"""
    gate = charging(line(), line(2), coupon_bytes=100)
    assert play(gate, query(length=200), packet(T0, UE_2)) == ["exempt", "slow"]


@pytest.mark.parametrize("split", [1, 4])
def test_a_batch_that_ends_in_mid_slice_makes_no_difference(split: int) -> None:
    """X3, G8"""
    gate = charging(coupon_bytes=3_333)
    batch = queries(12, length=400)
    parts = [gate.process(batch[k : k + split])["charged_bytes"] for k in range(0, 12, split)]
    assert [int(n) for part in parts for n in part] == [400] * 8 + [133, 0, 0, 0]


# --- count --------------------------------------------------------------------------------------


def counting(**changes: Any) -> Engine:
    made = settings(
        **{"count": True, "restriction_bytes": 1_000, "restricted": RESTRICTED, **changes}
    )
    return gateway(book(line(coupon=False), coupon_bytes=MB), settings=made)


def test_exempt_bytes_of_the_slow_state_count_towards_the_restriction() -> None:
    """X3, R1, R6: they bring it about, and are not restricted themselves"""
    gate = counting()
    assert play(gate, query(length=600), query(length=400)) == ["exempt"] * 2
    assert not sim(gate)["regulated"]
    assert play(gate, query(length=1)) == ["exempt"]
    assert sim(gate)["regulated"]
    batch = train(2, 0, length=1_000)
    assert waits(batch, gate.process(batch)) == [0, 10 * S]  # at 800 bit/s
    more = queries(2, 0, length=1_000)
    assert waits(more, gate.process(more)) == [0, 0]


def test_slow_and_exempt_bytes_are_added_up() -> None:
    """X3, R1"""
    gate = counting()
    play(gate, packet(T0, length=500), query(length=500))
    assert not sim(gate)["regulated"]
    play(gate, query(length=1))
    assert sim(gate)["regulated"]
    assert sim(gate)["up"]["slow_bytes"] == 500


def test_without_the_setting_they_do_not_count() -> None:
    """X3, R6"""
    gate = counting(count=False)
    play(gate, *[query(length=1_000)] * 5)
    assert not sim(gate)["regulated"]


def test_at_high_speed_they_do_not_count() -> None:
    """X3, R1, P1"""
    gate = counting()
    gate.switch_coupon("a", on=True, at_ns=T0)
    play(gate, packet(T0), *[query(length=1_000)] * 5)
    assert not sim(gate)["regulated"]
    gate.switch_coupon("a", on=False, at_ns=T0 + S)
    play(gate, query(T0 + S, length=1_001))
    assert sim(gate)["regulated"]


@pytest.mark.parametrize("first_slice", ["attach", "first-packet"])
def test_they_count_where_nothing_is_left_whoever_is_the_first_to_find_out(
    first_slice: str,
) -> None:
    """X3, P2: an empty contract is the slow state, before an ordinary packet has asked too"""
    made = settings(
        count=True, restriction_bytes=1_000, restricted=RESTRICTED, first_slice=first_slice
    )
    gate = gateway(book(), settings=made)
    play(gate, query(length=600))
    gate.switch_coupon("a", on=True, at_ns=T0 + 1)
    play(gate, query(T0 + 1, length=401))
    assert sim(gate)["regulated"]
    gate = gateway(book(line(balance_bytes=500)), settings=made)
    play(gate, packet(T0, length=500), query(length=1_001))
    assert sim(gate)["regulated"]


def test_a_slice_that_is_there_to_be_had_is_high_speed() -> None:
    """X3, P1, D1: so it is asked for, and nothing counts"""
    made = settings(
        count=True, restriction_bytes=1_000, restricted=RESTRICTED, first_slice="first-packet"
    )
    gate = gateway(book(coupon_bytes=MB), settings=made)
    play(gate, query(length=5_000))
    assert not sim(gate)["regulated"]
    assert (sim(gate)["grants"], both(sim(gate), "charged_bytes")) == (1, 0)


def test_the_last_packet_that_the_coupon_pays_in_part_is_still_at_high_speed() -> None:
    """X3, D7: with both settings"""
    made = settings(charge=True, count=True, restriction_bytes=1_000, restricted=RESTRICTED)
    gate = gateway(book(line(balance_bytes=1)), settings=made)
    play(gate, query(length=5_000))
    assert not sim(gate)["regulated"]
    play(gate, query(length=1_001))
    assert sim(gate)["regulated"]


def test_what_is_dropped_counts_for_nothing() -> None:
    """X4, R1"""
    gate = counting(high=Limit(burst_bytes=900, queue_bytes=0, queue_ms=0))
    assert play(gate, query(length=901), query(length=900), query(length=101)) == [
        "queue",
        "exempt",
        "queue",
    ]
    assert not sim(gate)["regulated"]


def test_they_count_for_their_day_of_japan() -> None:
    """X3, R3, U2"""
    gate = counting()
    play(gate, query(NOV_5 + DAY - 1, length=1_001))
    for day, regulated in enumerate([True, True, False], 1):
        play(gate, query(NOV_5 + day * DAY, length=1))
        assert sim(gate)["regulated"] == regulated, day
