"""The 3-day restriction from run to run: in force and lifted as if the gateway had never been restarted."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from engine.errors import PoolFenced
from engine.pool.store import StoreOptions, open_store
from engine.subscribers import Book
from engine.subscribers.model import NextPlan
from tests.support.gateway import DEC_1, UE, UE_2, S, gateway
from tests.support.restriction import (
    FAMILY,
    LIMIT,
    SIZE,
    at,
    fresh,
    regulated,
    rules,
    sent,
    started,
)

SLOW, RESTRICTED = "slow", "restricted"


@pytest.fixture(params=["sqlite", "postgres"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty database of each kind."""
    return fresh(request.param, tmp_path, request)


@pytest.fixture
def file(tmp_path: Path) -> str:
    """An empty database in a file."""
    return f"sqlite:///{tmp_path / 'coupons.db'}"


def run(url: str, *times: int, effective: str = "immediate", **how: Any) -> list[str]:
    """A run of its own with a packet at each of these times."""
    with started(url, times[0], rules(effective), **how) as engine:
        return sent(engine, *times)


@pytest.mark.parametrize("shards", [1, 4])
def test_a_restart_neither_lifts_the_restriction_nor_forgets_what_was_carried(
    url: str, shards: int
) -> None:
    """R1, R3, Q4: in force at once; before the first packet the report says so as well"""
    with started(url, at(0), shards=shards) as engine:
        assert sent(engine, *(at(0, n) for n in range(4))) == [SLOW] * 4
        assert regulated(engine) == [True, False]
    with started(url, at(0, 60), shards=shards) as engine:
        assert regulated(engine) == [True, False]
        assert sent(engine, at(0, 60), at(0, 61)) == [RESTRICTED] * 2
        assert sent(engine, *(at(0, 70 + n) for n in range(5)), ue=UE_2) == [SLOW] * 4 + [
            RESTRICTED
        ]
    with started(url, at(1), shards=shards) as engine:
        assert regulated(engine) == [True, True]
        assert sent(engine, at(1), ue=UE_2) == [RESTRICTED]


def test_bytes_of_one_day_add_up_over_runs(url: str) -> None:
    """R1, I8: what an earlier run carried is reported by that run alone"""
    for number in range(4):
        assert run(url, at(0, 10 * number)) == [SLOW]
    assert run(url, at(0, 50)) == [RESTRICTED]
    store = open_store(url, StoreOptions(gateway=None))
    (today,) = store.usage("a", 0)
    assert (today.without_coupon_bytes, today.restricting_bytes) == (5 * SIZE, 5 * SIZE)
    assert store.audit() == []
    store.close()


@pytest.mark.parametrize(("effective", "first", "last"), [("immediate", 0, 2), ("next-day", 1, 3)])
@pytest.mark.parametrize("restart", [False, True])
def test_it_begins_and_ends_with_the_first_nanosecond_of_a_day(
    file: str, effective: str, first: int, last: int, restart: bool
) -> None:
    """R3, U2: the window is a whole number of JST days; restarted at each instant, or not at all"""
    filled = [at(0, n) for n in range(5)]
    found = {}
    engine = started(file, at(0), rules(effective))
    for ue in (
        UE,
        UE_2,
    ):  # one line for the last ns of a day: what it has queued would hold the next up
        expected = [SLOW] * 4 + [RESTRICTED if first == 0 else SLOW]
        assert sent(engine, *filled, ue=ue) == expected
    for t in (at(day) + ns for day in range(1, 6) for ns in (-1, 0, S)):
        if restart:
            engine.close()
            engine = started(file, t, rules(effective))
        (found[t],) = sent(engine, t, ue=UE if t in map(at, range(1, 6)) else UE_2, size=101)
    engine.close()
    days = {t: (t - at(0)) // (at(1) - at(0)) for t in found}
    assert found == {t: RESTRICTED if first <= days[t] <= last else SLOW for t in found}
    assert sorted(set(found.values())) == [RESTRICTED, SLOW]


@pytest.mark.parametrize("idle_days", [1, 2, 3, 4])
@pytest.mark.parametrize("effective", ["immediate", "next-day"])
def test_idle_days_count_as_days(file: str, effective: str, idle_days: int) -> None:
    """R3: nothing runs at all meanwhile; also over the end of a month"""
    last = (DEC_1 - at(0)) // (at(1) - at(0)) - 2  # 29 November
    run(file, *(at(last, n) for n in range(4)), effective=effective)
    days = 1 + idle_days
    limit = 3 if effective == "immediate" else 4
    expected = RESTRICTED if days < limit else SLOW
    assert run(file, at(last + days), effective=effective) == [expected]


def test_only_what_falls_into_the_window_counts(file: str) -> None:
    """R3: a restart on each of ten days, one packet on each"""
    found = [run(file, at(day), at(day, 5), effective="next-day") for day in range(10)]
    assert found == [[SLOW] * 2] * 2 + [[RESTRICTED] * 2] * 8
    assert run(file, at(20), effective="next-day") == [SLOW]


def test_settings_may_be_others_in_the_next_run(file: str) -> None:
    """R2, R3, S5: mode, limit, switched off and on; slow bytes are counted whatever the settings"""
    with started(file, at(0), rules(enabled=False)) as engine:
        assert sent(engine, *(at(0, n) for n in range(6))) == [SLOW] * 6
        assert regulated(engine)[0] is False
    assert run(file, at(0, 60), effective="next-day") == [SLOW]
    assert run(file, at(0, 70)) == [RESTRICTED]
    assert run(file, at(3), effective="next-day") == [RESTRICTED]
    with started(file, at(3, 60), rules("next-day", limit=10 * LIMIT)) as engine:
        assert sent(engine, at(3, 60)) == [SLOW]
    assert run(file, at(3, 90)) == [SLOW]


@pytest.mark.parametrize("count", [False, True])
def test_exempt_bytes_count_where_the_setting_says_so(file: str, count: bool) -> None:
    """X3, R6: also what an earlier run carried; exempt packets themselves are not restricted"""
    with started(file, at(0), rules(count=count)) as engine:
        assert sent(engine, *(at(0, n) for n in range(4)), dns=True) == ["exempt"] * 4
    with started(file, at(0, 60), rules(count=count)) as engine:
        assert sent(engine, at(0, 60)) == [RESTRICTED if count else SLOW]
        assert sent(engine, at(0, 61), dns=True) == ["exempt"]
    store = open_store(file, StoreOptions(gateway=None))
    (today,) = store.usage("a", 0)
    assert (today.without_coupon_bytes, today.exempt_bytes) == (SIZE, 5 * SIZE)
    assert today.restricting_bytes == SIZE + 5 * SIZE * count
    store.close()


def test_a_restricted_line_with_a_coupon_is_fast_after_a_restart_too(file: str) -> None:
    """R5: the restriction bites in the slow state only"""
    run(file, *(at(0, n) for n in range(5)))
    with started(file, at(0, 60)) as engine:
        engine.charge("hdd1", coupons=1, at_ns=at(0, 60))
        assert sent(engine, at(0, 61)) == ["charged"]
        engine.switch_coupon("a", on=False, at_ns=at(0, 62))
        assert sent(engine, at(0, 62)) == [RESTRICTED]
    assert run(file, at(0, 63)) == [RESTRICTED]


def test_a_replaced_card_does_not_begin_anew(file: str) -> None:
    """L2, R1: it is the line's number that is restricted, usage history and all, whichever card it is on"""
    with started(file, at(0)) as engine:
        assert sent(engine, *(at(0, n) for n in range(3))) == [SLOW] * 3
        engine.replace_sim("a", iccid="8981100000000000002", at_ns=at(0, 10))
        assert sent(engine, at(0, 10), at(0, 11)) == [SLOW, RESTRICTED]
    assert run(file, at(0, 60)) == [RESTRICTED]


def test_a_line_that_moves_takes_its_window_along(url: str) -> None:
    """R1, N6, I5: to another gateway and back within a day, each counting its own"""
    with started(url, at(0), name="one") as one, started(url, at(0), name="two") as two:
        assert sent(one, at(0, 1), at(0, 2)) == [SLOW] * 2
        one.detach("a", at_ns=at(0, 3))
        two.open_session("a", at_ns=at(0, 4))
        assert sent(two, at(0, 4), at(0, 5), at(0, 6)) == [SLOW] * 2 + [RESTRICTED]
        two.detach("a", at_ns=at(0, 7))
        one.open_session("a", at_ns=at(0, 8))
        assert regulated(one) == [True, False]
        assert sent(one, at(0, 8)) == [RESTRICTED]
    store = open_store(url, StoreOptions(gateway=None))
    assert store.usage("a", 0)[0].restricting_bytes == 6 * SIZE
    store.close()


def test_a_run_that_breaks_off_is_gone_on_with_from_what_was_told_last(file: str) -> None:
    """R1, G4"""
    one = started(file, at(0), name="one")
    one.usage.every_ns = 0
    assert sent(one, at(0, 1), at(0, 2), at(0, 3)) == [SLOW] * 3
    one.usage.every_ns = 3600 * S
    assert sent(one, at(0, 4)) == [SLOW]  # not told any more
    one.store.close(clean=False)
    with started(file, at(0, 60), name="one") as again:
        assert sent(again, at(0, 60), at(0, 61)) == [SLOW, RESTRICTED]


def test_another_gateway_takes_a_line_over_with_what_was_told_of_it(url: str) -> None:
    """R1, I4: of one whose lease is over; what that says later counts no more"""
    one = started(url, at(0), name="one", lease_ns=1)
    one.usage.every_ns = 0
    assert sent(one, at(0, 1), at(0, 2), at(0, 3)) == [SLOW] * 3
    with started(url, at(0), name="two") as two:
        assert sent(two, at(0, 10), at(0, 11)) == [SLOW, RESTRICTED]
        with pytest.raises(PoolFenced):
            sent(one, at(0, 12))
        one.close(clean=False)
    store = open_store(url, StoreOptions(gateway=None))
    assert [day.restricting_bytes for day in store.usage("a", 0)] == [5 * SIZE]
    store.close()


def test_a_gateway_whose_day_is_behind_counts_what_is_ahead_when_it_gets_there(file: str) -> None:
    """R3, U2: packet time decides on each gateway"""
    with started(file, at(1), name="ahead") as ahead:
        assert sent(ahead, *(at(1, n) for n in range(4))) == [SLOW] * 4
    with started(file, at(0), name="behind") as behind:
        assert sent(behind, at(0), at(1) - 1) == [SLOW] * 2
        assert regulated(behind)[0] is False
        assert sent(behind, at(1), at(1, 1)) == [RESTRICTED] * 2
    store = open_store(file, StoreOptions(gateway=None))
    assert [day.restricting_bytes for day in store.usage("a", 0)] == [2 * SIZE, 6 * SIZE]
    store.close()


def test_a_clock_that_leaps_leaves_the_window_behind(file: str) -> None:
    """R3, B58: packet time counts days, however it comes; within the run and after it"""
    with started(file, at(0)) as engine:
        assert sent(engine, *(at(0, n) for n in range(5))) == [SLOW] * 4 + [RESTRICTED]
        assert sent(engine, at(9), at(9, 1)) == [SLOW] * 2
        assert sent(engine, at(2)) == [SLOW]  # stamped earlier: it is still day 9
    assert run(file, at(9, 60)) == [SLOW]
    assert run(file, at(9, 61)) == [RESTRICTED]


def test_a_plan_that_changes_at_the_months_turn_brings_its_own_limit(file: str) -> None:
    """A10, R2: what was carried before counts against the new limit"""
    made = rules()
    larger = replace(made.plans[0], name="larger", restriction_bytes=10 * LIMIT)
    made = replace(made, plans=(*made.plans, larger))
    before, after = DEC_1 - 10 * S, DEC_1
    changing = replace(FAMILY.contracts[0], next_plan=NextPlan("larger", "2013-12"))
    subscribers = Book((changing,))
    with started(file, before, made, subscribers) as engine:
        assert sent(engine, *(before + n * S for n in range(5))) == [SLOW] * 4 + [RESTRICTED]
    with started(file, before + 6 * S, made, subscribers) as engine:
        assert sent(engine, before + 6 * S, after, after + S) == [RESTRICTED, SLOW, SLOW]
        assert regulated(engine)[0] is False


def test_lines_that_come_by_their_address_are_found_again(file: str) -> None:
    """R1: `--ue-net`: a SIM is its address, in the next run as well"""
    for expected in ([SLOW] * 3, [SLOW, RESTRICTED, RESTRICTED]):
        store = open_store(file)
        with gateway(settings=rules(), store=store, ue_nets=("10.1.0.0/24",)) as engine:
            assert sent(engine, *(at(0, n) for n in range(3))) == expected


def test_what_is_left_in_the_database_says_whether_the_restriction_is_in_force(file: str) -> None:
    """Q4: noted when a session or a run ends, as of then; without a packet too"""

    def noted() -> list[bool | None]:
        store = open_store(file, StoreOptions(gateway=None))
        found = [row.regulated for row in store.lines()]
        store.close()
        return found

    run(file, *(at(0, n) for n in range(4)))
    assert noted() == [True, None]
    with started(file, at(1)) as engine:
        engine.open_session("a", at_ns=at(1))
        engine.detach("a", at_ns=at(1, 1))
        assert noted() == [True, None]
        engine.open_session("a", at_ns=at(2))
    assert noted() == [True, None]
    with started(file, at(3)) as engine:
        engine.open_session("a", at_ns=at(3))
    assert noted() == [False, None]


def test_a_second_database_knows_nothing(tmp_path: Path) -> None:
    """R1: a planted restart on another file is restricted later"""
    first, second = (f"sqlite:///{tmp_path}/{name}.db" for name in "ab")
    run(first, *(at(0, n) for n in range(4)))
    assert run(second, at(0, 60)) == [SLOW]
    assert run(first, at(0, 60)) == [RESTRICTED]
