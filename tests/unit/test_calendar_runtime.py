"""The calendar of a run: bundles, charges and month ends, by the packets' own clock."""

from dataclasses import replace
from datetime import date
from typing import Any

import pytest

from engine.calendar import month_start_ns
from engine.errors import RefusedError
from engine.runtime import Engine
from engine.runtime.coupons import NEVER_NS, Calendar
from engine.subscribers import Book, Charge
from engine.units import MB
from tests.support.gateway import (
    DAY,
    DEC_1,
    T0,
    S,
    book,
    gateway,
    names,
    packet,
    play,
    settings,
    sim,
    train,
)

NOVEMBER = 2013 * 12 + 10


def contract(engine: Engine) -> dict[str, Any]:
    found: dict[str, Any] = engine.snapshot()["contracts"][0]
    return found


def started(day: date) -> Book:
    """One line of a contract that started on `day`, with the plan's bundles."""
    (only,) = book(coupon_bytes=None).contracts
    return Book((replace(only, started=day),))


def test_without_a_time_there_is_no_month() -> None:
    """U2: the first packet or call says which month it is"""
    calendar = Calendar(allow_leap=False)
    assert calendar.next_month_ns() == NEVER_NS
    calendar.start(T0)
    assert calendar.next_month_ns() == DEC_1
    calendar.start(T0 + 90 * DAY)
    assert calendar.month == NOVEMBER


def test_a_month_ends_at_midnight_in_japan_to_the_nanosecond() -> None:
    """U2, C1, C6, G9: by the packet's own time"""
    engine = gateway(
        book(coupon_bytes=5_000, expires="2013-11"), settings=settings(first_slice="first-packet")
    )
    play(engine, train(1, 0, start_ns=DEC_1 - S, length=4_000))
    assert contract(engine)["granted_bytes"] == 5_000
    engine = gateway(book(coupon_bytes=5_000, expires="2013-11"))
    assert play(engine, packet(DEC_1 - 1)) == ["charged"]
    engine = gateway(book(coupon_bytes=5_000, expires="2013-11"))
    assert play(engine, packet(DEC_1 - S, code=23), packet(DEC_1)) == ["len", "slow"]
    assert contract(engine)["expired_bytes"] == 5_000


def test_a_balance_on_the_sim_outlives_its_coupon() -> None:
    """D6, C6"""
    engine = gateway(book(coupon_bytes=12 * MB, expires="2013-11"))
    assert play(engine, packet(DEC_1 - 1), packet(DEC_1)) == ["charged", "charged"]
    assert contract(engine)["expired_bytes"] == 2 * MB
    assert sim(engine)["balance_bytes"] == 10 * MB - 200


@pytest.mark.parametrize(
    ("day", "credited"),
    [
        (date(2013, 9, 1), 60_000),
        (date(2013, 10, 1), 60_000),
        (date(2013, 10, 31), 30_000 + 967),
        (date(2013, 11, 1), 30_000),
        (date(2013, 11, 5), 26_000),
        (date(2013, 11, 30), 1_000),
        (date(2013, 12, 1), 0),
    ],
)
def test_what_the_plan_s_bundles_come_to(day: date, credited: int) -> None:
    """C1, C2: of this month and the one before, as far as the contract goes back"""
    engine = gateway(started(day), settings=settings(bundle_bytes=30_000))
    assert contract(engine)["credited_bytes"] == credited


def test_the_first_of_the_month_brings_a_bundle() -> None:
    """C1, D5: an empty contract is at high speed again, and what is old expires"""
    engine = gateway(started(date(2013, 11, 5)), settings=settings(bundle_bytes=300))
    play(engine, *[packet(DEC_1 - 2)] * 3)
    assert play(engine, packet(DEC_1 - 1), packet(DEC_1)) == ["slow", "charged"]
    found = contract(engine)
    assert found["credited_bytes"] == 260 + 300
    engine.process(packet(month_start_ns(NOVEMBER + 2)))
    assert contract(engine)["credited_bytes"] == 260 + 300


def test_a_contract_that_starts_later_waits_for_its_month() -> None:
    """C2"""
    engine = gateway(started(date(2013, 12, 30)), settings=settings(bundle_bytes=31_000))
    assert play(engine, packet(DEC_1 - 1), packet(DEC_1)) == ["slow", "charged"]
    assert contract(engine)["credited_bytes"] == 2_000


def test_a_plan_without_a_bundle_brings_none() -> None:
    """S1, C1"""
    engine = gateway(book(coupon_bytes=None))
    assert play(engine, packet(DEC_1 - 1), packet(DEC_1)) == ["slow", "slow"]
    assert contract(engine)["credited_bytes"] == 0


def test_a_sim_of_a_net_starts_with_the_month_s_bundle() -> None:
    """C1, C2: it is taken to be an old customer's; a bundle that is credited twice counts once"""
    engine = gateway(settings=settings(bundle_bytes=30_000), ue_nets=("10.1.0.0/24",))
    assert play(engine, packet(T0), packet(DEC_1)) == ["charged", "charged"]
    assert contract(engine)["credited_bytes"] == 30_000


def test_a_leap_of_the_clock_burns_nothing() -> None:
    """G9, B58: unless that is allowed"""
    for allow, expired in ((False, 0), (True, 2 * MB)):
        engine = gateway(book(coupon_bytes=12 * MB, expires="2013-11"), allow_clock_leap=allow)
        play(engine, packet(T0), packet(T0 + 40 * DAY))
        assert contract(engine)["expired_bytes"] == expired
        assert engine.calendar.held_leaps == (not allow)


def test_after_a_leap_that_was_held_back_months_go_on_behind() -> None:
    """G9: by the leap, so that a month is never shorter for it"""
    engine = gateway(book(coupon_bytes=12 * MB, expires="2013-11"))
    leap = 40 * DAY
    play(engine, packet(T0), packet(T0 + leap))
    engine.process(packet(DEC_1 + leap - S))
    assert contract(engine)["expired_bytes"] == 0
    engine.process(packet(DEC_1 + leap))
    assert contract(engine)["expired_bytes"] == 2 * MB


def test_calls_are_a_sign_of_time_too() -> None:
    """G9, U2: a month ends on the way to a call's time"""
    engine = gateway(book(coupon_bytes=12 * MB, expires="2013-11"))
    engine.process(packet(DEC_1 - S))
    engine.switch_coupon("a", on=False, at_ns=DEC_1 + S)
    assert contract(engine)["expired_bytes"] == 2 * MB
    assert engine.now_ns == DEC_1 + S


def test_the_thirty_first_coupon_of_a_month_is_refused() -> None:
    """C3, C4: and changes nothing; the next month has thirty again"""
    engine = gateway(book())
    engine.charge("hdd1", coupons=29, at_ns=T0)
    with pytest.raises(RefusedError, match=r"2 additional coupons refused, .* 29 were bought"):
        engine.charge("hdd1", coupons=2, at_ns=T0)
    engine.charge("hdd1", coupons=1, at_ns=T0)
    with pytest.raises(RefusedError, match=r"hdd1: 1 additional coupons refused, .* in 2013-11"):
        engine.charge("hdd1", coupons=1, at_ns=DEC_1 - 1)
    assert contract(engine)["credited_bytes"] == 30 * 100 * MB
    engine.charge("hdd1", coupons=30, at_ns=DEC_1)
    assert contract(engine)["credited_bytes"] == 60 * 100 * MB


def test_a_scheduled_charge_that_is_refused_is_told() -> None:
    """C3: the run goes on"""
    engine = gateway(book())
    engine.schedule([Charge(T0 + 1, "hdd1", 30), Charge(T0 + 2, "hdd1", 1)])
    assert names(engine.process(train(4, 1))) == ["slow", "charged", "charged", "charged"]
    (refusal,) = engine.refusals
    assert refusal.startswith(f"charge at {T0 + 2} ns: contract hdd1: 1 additional coupons refused")
    assert engine.pending_events == 0


def test_an_additional_coupon_is_good_for_three_more_months() -> None:
    """C4: bought in November, until the end of February"""
    engine = gateway(book(), allow_clock_leap=True)
    engine.charge("hdd1", coupons=1, at_ns=T0)
    end_ns = month_start_ns(NOVEMBER + 4)
    engine.process(packet(end_ns - 1, code=23))
    assert contract(engine)["expired_bytes"] == 0
    engine.process(packet(end_ns, code=23))
    assert contract(engine)["expired_bytes"] == 100 * MB
