"""What falls due when a month begins, in mid-replay: ends of contracts and lines, plan changes."""

from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest

from engine.config import Plan
from engine.errors import RefusedError, UsageError
from engine.pool.store import LineNews, StoreOptions, open_store
from engine.runtime import Engine
from engine.subscribers import Book, Contract, Line
from engine.subscribers.model import NextPlan
from tests.support.gateway import (
    DEC_1,
    DNS,
    MS,
    PLAN,
    T0,
    UE_2,
    gateway,
    line,
    packet,
    play,
    settings,
    sim,
    waits,
)

OTHER = "other"
DAY = 86_400 * 1_000 * MS
TWO_PLANS = replace(
    settings(bundle_bytes=5_000),
    plans=(
        *settings(bundle_bytes=5_000).plans,
        Plan(OTHER, OTHER, 3, 7_000, 4_000_000, 2_000_000, 0),
    ),
)


def book(*lines: Line, **changes: object) -> Book:
    """Contract hdd1 since November, with its plan's bundle."""
    base = Contract("hdd1", PLAN, date(2013, 11, 1), lines or (line(),))
    return Book((replace(base, **changes),))  # type: ignore[arg-type]


def contract(engine: Engine) -> dict[str, int]:
    found: dict[str, int] = engine.snapshot()["contracts"][0]
    return found


def test_a_contract_is_in_use_to_the_last_nanosecond_of_its_last_month() -> None:
    """A4, A5: then its lines are refused, its coupons expire, and there is no bundle any more"""
    engine = gateway(book(ends="2013-11"), settings=TWO_PLANS, allow_clock_leap=True)
    assert play(engine, packet(T0), packet(DEC_1 - 1), packet(DEC_1)) == [
        "charged",
        "charged",
        "suspended",
    ]
    assert contract(engine)["credited_bytes"] == 5_000
    assert contract(engine)["in_database_bytes"] == 0
    assert sim(engine)["in_service"] is False
    assert sim(engine)["shown_balance_bytes"] == sim(engine)["balance_bytes"] == 4_800
    for refused in (engine.resume, engine.open_session):
        with pytest.raises(UsageError, match="line a"):
            refused("a", at_ns=DEC_1)
    with pytest.raises(RefusedError, match="has ended"):
        engine.charge("hdd1", coupons=1, at_ns=DEC_1)
    assert play(engine, packet(DEC_1 + 40 * DAY)) == ["suspended"]
    engine.close()


def test_what_is_left_of_the_coupons_expires_with_the_contract() -> None:
    """A4: no refund; a top-up would have been good for longer"""
    engine = gateway(book(ends="2013-11"), settings=TWO_PLANS)
    engine.charge("hdd1", coupons=1, at_ns=T0)
    play(engine, packet(DEC_1 - 1), packet(DEC_1))
    found = contract(engine)
    assert found["credited_bytes"] == found["granted_bytes"] + found["expired_bytes"]
    assert found["expired_bytes"] > 0


def test_one_of_several_lines_may_end_alone() -> None:
    """A8: the others go on, and the contract has its bundle"""
    engine = gateway(book(line(ends="2013-11"), line(2)), settings=TWO_PLANS)
    assert play(engine, packet(DEC_1 - 1), packet(DEC_1), packet(DEC_1, UE_2)) == [
        "charged",
        "suspended",
        "charged",
    ]
    assert contract(engine)["credited_bytes"] == 10_000


@pytest.mark.parametrize("over", [{"ends": "2013-10"}, {"lines": (line(ends="2013-10"),)}])
def test_a_line_that_is_over_at_the_start_stays_so(tmp_path: Path, over: dict[str, object]) -> None:
    """A4: whatever an operator notes of it"""
    url = f"sqlite:///{tmp_path / 'a.db'}"
    engine = gateway(book(**over), settings=TWO_PLANS, store=open_store(url))
    assert play(engine, packet(T0)) == ["suspended"]
    operator = open_store(url, StoreOptions(gateway=None))
    operator.note("a", LineNews(T0, in_service=True))
    operator.close()
    assert play(engine, packet(T0)) == ["suspended"]
    assert contract(engine)["credited_bytes"] == (0 if "ends" in over else 5_000)
    engine.close()


def test_a_plan_that_was_ordered_is_in_force_on_the_first_of_its_month() -> None:
    """A10, S5: other speeds and another bundle; coupons and balances stay"""
    ordered = NextPlan(OTHER, "2013-12")
    engine = gateway(book(next_plan=ordered), settings=TWO_PLANS)
    assert play(engine, packet(DEC_1 - 1)) == ["charged"]
    assert (contract(engine)["plan"], contract(engine)["credited_bytes"]) == (PLAN, 5_000)
    assert play(engine, packet(DEC_1)) == ["charged"]
    found = contract(engine)
    assert (found["plan"], found["credited_bytes"], found["expired_bytes"]) == (OTHER, 12_000, 0)
    assert sim(engine)["balance_bytes"] == 4_800
    engine.close()


def test_packets_queued_before_a_plan_change_leave_when_they_would_have() -> None:
    """A10, P3: nothing overtakes them, and none is late; the exempt packets' queue alike"""
    ordered = NextPlan(OTHER, "2013-12")
    made = replace(
        TWO_PLANS,
        speed=replace(TWO_PLANS.speed, high=replace(TWO_PLANS.speed.high, burst_bytes=100)),
    )
    engine = gateway(book(next_plan=ordered), settings=made)
    dns = {"dst": DNS, "ports": (5_000, 53)}
    queued = [packet(DEC_1 - 1, length=1_100), packet(DEC_1 - 1, length=1_100, **dns)]
    assert [w for p in queued for w in waits(p, engine.process(p))] == [MS, MS]
    after = [packet(DEC_1, length=250), packet(DEC_1, length=250, **dns)]
    # 8 Mbit/s left it 1 ms of queue, less the ns that has passed; 250 bytes more take 1 ms at 2 Mbit/s
    assert [w for p in after for w in waits(p, engine.process(p))] == [2 * MS - 1, 2 * MS - 1]
    engine.close()
