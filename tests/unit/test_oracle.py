"""The naive twin's own directed cases: figures worked out by hand from RULES.md."""

from datetime import date
from fractions import Fraction

import pytest

from tests.oracle import (
    JST_DAY_NS,
    Database,
    Gateway,
    Limiter,
    Plan,
    Rate,
    Settings,
    bundle_bytes,
    day_of,
    end_of_month_after_ns,
    month_start_ns,
)

S = 10**9
MB = 2**20
NOV = month_start_ns(2013, 11)
T0 = NOV + 4 * JST_DAY_NS + 7 * 3600 * S
"""2013-11-05 07:00 JST"""
FOREVER = 2**62
HIGH_UP = Rate(37_500_000, 1_500_000, 3_000_000, 200)
HIGH_DOWN = Rate(112_500_000, 1_500_000, 3_000_000, 200)
SLOW = Rate(200_000, 1_500, 6_000, 3_000)
RESTRICTED = Rate(50_000, 1_500, 6_000, 3_000)
PLAN = Plan((HIGH_UP, HIGH_DOWN), (SLOW, SLOW), (RESTRICTED, RESTRICTED))


def family(*lines: str, coupon_bytes: int = 0, plan: Plan = PLAN, **settings: str) -> Gateway:
    """One contract with a single coupon that does not expire here, and its lines."""
    gateway = Gateway(Settings(**settings))  # type: ignore[arg-type]
    database = gateway.add_contract("hdd1", plan)
    if coupon_bytes:
        database.credit("bundle", coupon_bytes, 0, FOREVER)
    for line in lines:
        gateway.add_line(line, "hdd1")
    return gateway


# --- calendar -----------------------------------------------------------------------------------


def test_a_month_begins_at_midnight_in_japan() -> None:
    """U2"""
    assert month_start_ns(1970, 1) == -9 * 3600 * S
    assert NOV == 1_383_231_600 * S  # 2013-10-31T15:00:00Z
    assert month_start_ns(2013, 14) == month_start_ns(2014, 2)
    assert day_of(NOV) == day_of(NOV - 1) + 1 == day_of(NOV + JST_DAY_NS - 1)


def test_deadlines_fall_at_the_end_of_a_later_month() -> None:
    """C1, C4"""
    assert end_of_month_after_ns(2014, 3, 3) == month_start_ns(2014, 7)
    assert end_of_month_after_ns(2013, 12, 1) == month_start_ns(2014, 2)
    assert end_of_month_after_ns(2012, 1, 1) - month_start_ns(2012, 2) == 29 * JST_DAY_NS


@pytest.mark.parametrize(
    ("started", "month", "expected_bytes"),
    [
        (date(2013, 11, 1), (2013, 11), 1000),
        (date(2013, 11, 16), (2013, 11), 500),
        (date(2013, 11, 30), (2013, 11), 33),
        (date(2012, 2, 29), (2012, 2), 34),
        (date(2013, 12, 31), (2013, 12), 32),
        (date(2013, 12, 31), (2014, 1), 1000),
        (date(2013, 12, 31), (2013, 11), 0),
    ],
)
def test_first_bundle_is_pro_rata(
    started: date, month: tuple[int, int], expected_bytes: int
) -> None:
    """C2"""
    assert bundle_bytes(1000, started, *month) == expected_bytes


# --- coupons ------------------------------------------------------------------------------------


def test_coupons_are_taken_in_turn() -> None:
    """C5, D3"""
    database = Database()
    for kind, credited_ns, expires_ns in [
        ("topup", 1, 200),
        ("bundle", 3, 200),
        ("bundle", 2, 200),
        ("topup", 4, 100),
    ]:
        database.credit(kind, 4 * MB, credited_ns, expires_ns)
    assert database.slice_bytes(50) == 10 * MB
    assert [coupon.left_bytes for coupon in database.coupons] == [4 * MB, 2 * MB, 0, 0]


def test_last_slice_is_what_is_left() -> None:
    """D1, D2"""
    database = Database()
    database.credit("bundle", 25 * MB + 1, 0, FOREVER)
    slices = [database.slice_bytes(0) for _ in range(4)]
    assert slices == [10 * MB, 10 * MB, 5 * MB + 1, 0]


def test_a_coupon_is_good_until_the_last_nanosecond() -> None:
    """C6, I7"""
    for at_ns, good_bytes in [(NOV - 1, 7), (NOV, 0)]:
        database = Database()
        database.credit("bundle", 7, 0, NOV)
        assert database.slice_bytes(at_ns) == good_bytes
        assert database.books(at_ns)["expired_bytes"] == 7 - (7 if at_ns < NOV else 0)


def test_bundles_come_by_the_month() -> None:
    """C1, C2"""
    database = Database(3000, date(2013, 11, 16))
    for at_ns in (T0, month_start_ns(2014, 1) - 1, month_start_ns(2014, 1) - 1):
        database.reach(at_ns)
    books = database.books(month_start_ns(2014, 1))
    assert books == {
        "credited_bytes": 4500,
        "in_database_bytes": 3000,
        "granted_bytes": 0,
        "expired_bytes": 1500,
    }


def test_own_coupons_stand_for_the_bundles_so_far() -> None:
    """C1"""
    for own_coupons, credited_bytes in [(False, 6000), (True, 0)]:
        database = Database(3000, date(2013, 1, 1), own_coupons)
        database.reach(T0)
        assert database.books(T0)["credited_bytes"] == credited_bytes
        database.reach(month_start_ns(2013, 12))
        assert database.books(T0)["credited_bytes"] == credited_bytes + 3000


# --- limiter ------------------------------------------------------------------------------------


def test_a_full_bucket_lets_the_burst_out_at_once_then_paces() -> None:
    """P4, P5"""
    limiter = Limiter(Rate(200_000, 3_000, 3_000, 10_000), 0)
    # 1500 bytes take 60 ms; two fit in the burst, two in the queue
    assert [limiter.offer(0, 1_500) for _ in range(5)] == [0, 0, 60 * 10**6, 120 * 10**6, None]
    assert limiter.offer(0, 0) == 120 * 10**6


def test_a_wait_is_rounded_up_to_the_nanosecond_and_never_drifts() -> None:
    """P5, U4"""
    limiter = Limiter(Rate(3, 1, 100, 60_000), 0)
    limiter.offer(0, 1)
    departures_ns = [limiter.offer(0, 1) for _ in range(3)]
    assert departures_ns == [2_666_666_667, 5_333_333_334, 8 * S]
    assert limiter.clear_ns == 8 * S


def test_slow_bucket_polled_often_still_fills() -> None:
    """P5: 30 us at 200 kbit/s is less than a byte, and still counts"""
    limiter = Limiter(Rate(200_000, 1_500, 0, 0), 0)
    sent_bytes = sum(limiter.offer(k * 30_000, 1) is not None for k in range(100_000))
    assert sent_bytes == 1_500 + (99_999 * 30_000 * 200_000) // (8 * S)


def test_the_shorter_queue_limit_counts() -> None:
    """P4"""
    assert Rate(200_000, 1, 1_500, 3_000).queue_ns() == 60 * 10**6
    assert Rate(200_000, 1, 150_000, 50).queue_ns() == 50 * 10**6


def test_a_rate_change_keeps_promises_and_order() -> None:
    """P3"""
    slow, fast = Rate(8_000, 1_000, 3_000, 60_000), Rate(8_000_000, 1_000, 1_000, 60_000)
    limiter = Limiter(slow, 0)
    assert [limiter.offer(0, 1_000) for _ in range(3)] == [0, S, 2 * S]
    limiter.change(S // 2, fast)
    # behind what is queued, at the new rate, with the whole of the new queue to itself
    assert limiter.offer(S // 2, 1_000) == 2 * S + 10**6
    assert limiter.offer(S // 2, 1) is None
    assert limiter.offer(2 * S + 10**6, 1_000) == 2 * S + 2 * 10**6


def test_a_rate_change_keeps_earned_bytes_up_to_the_new_burst() -> None:
    """P3, P5"""
    limiter = Limiter(Rate(8_000, 1_000, 0, 0), 0)
    limiter.offer(0, 400)
    limiter.change(0, Rate(80_000, 500, 500, 1_000))
    assert [limiter.offer(0, size) for size in (500, 1)] == [0, 100_000]
    limiter = Limiter(Rate(8_000, 1_000, 0, 0), 0)
    limiter.offer(0, 700)
    limiter.change(0, Rate(80_000, 500, 0, 0))
    assert limiter.clear_ns == -Fraction(300 * 8 * S, 80_000)


def test_no_wait_is_longer_than_the_longest() -> None:
    """P4"""
    limiter = Limiter(Rate(8, 1, 100, 60_000), 0, longest_wait_ns=2 * S)
    assert [limiter.offer(0, 1) for _ in range(4)] == [0, S, 2 * S, None]
    limiter.change(0, Rate(16, 1, 100, 60_000))
    assert limiter.offer(0, 1) is None
    assert limiter.offer(S // 2, 1) == 5 * S // 2


# --- gateway ------------------------------------------------------------------------------------


def test_a_packet_continues_on_the_next_slice() -> None:
    """D1, D7"""
    gateway = family("a", coupon_bytes=11 * MB)
    for k in range(10 * MB // 65_536 - 1):
        gateway.packet(T0 + k * S, "a", 1, 65_536)
    line = gateway.lines["a"]
    assert (line.balance_bytes, line.grants) == (65_536, 1)
    line.balance_bytes = 100
    verdict = gateway.packet(T0 + 200 * S, "a", 1, 1_500)
    assert (verdict.charged_bytes, verdict.free_bytes) == (1_500, 0)
    assert (line.balance_bytes, line.grants) == (100 + MB - 1_500, 2)


def test_one_packet_per_exhaustion_is_partly_free() -> None:
    """D5, D7, P2"""
    gateway = family("a", "b", coupon_bytes=1_000)
    gateway.lines["b"].balance_bytes = 5_000
    first = gateway.packet(T0, "a", 0, 1_500)
    assert (first.kind, first.charged_bytes, first.free_bytes) == ("charged", 1_000, 500)
    assert gateway.packet(T0, "a", 0, 1_500).kind == "slow"
    assert gateway.packet(T0, "b", 0, 1_500).charged_bytes == 1_500
    gateway.event(T0 + 1, "charge", contract="hdd1", coupons=(("topup", 100, FOREVER),))
    last = gateway.packet(T0 + 1, "a", 0, 1_500)
    assert (last.charged_bytes, last.free_bytes) == (100, 1_400)


def test_a_packet_of_the_whole_balance_leaves_nothing_and_nothing_free() -> None:
    """D7"""
    gateway = family("a", coupon_bytes=1_500)
    assert gateway.packet(T0, "a", 0, 1_500) == ("charged", 1_500, 0, T0)
    assert gateway.packet(T0, "a", 0, 1).kind == "slow"


def test_the_switch_is_per_line() -> None:
    """P2, P3, D4, D8"""
    gateway = family("a", "b", coupon_bytes=30 * MB)
    gateway.packet(T0, "a", 0, 100)
    gateway.event(T0 + 1, "switch", line="a", on=False)
    assert gateway.packet(T0 + 1, "a", 0, 100).kind == "slow"
    assert gateway.packet(T0 + 1, "b", 0, 100).kind == "charged"
    assert gateway.lines["a"].balance_bytes == 10 * MB - 100
    gateway.event(T0 + 2, "switch", line="a", on=True)
    assert gateway.packet(T0 + 2, "a", 0, 100).kind == "charged"
    assert gateway.contracts()["hdd1"]["granted_bytes"] == 20 * MB


def test_exempt_packets_are_not_charged_but_bounded() -> None:
    """X1, X3, X4"""
    tight = Rate(8_000, 1_000, 0, 0)
    gateway = family("a", plan=Plan((tight, tight), (tight, tight), (tight, tight)))
    kinds = [gateway.packet(T0, "a", 0, 600, exempt=exempt).kind for exempt in (True, True, False)]
    assert kinds == ["exempt", "queue", "slow"]


@pytest.mark.parametrize(("first_slice", "grants"), [("attach", 1), ("first-packet", 0)])
def test_an_exempt_packet_attaches(first_slice: str, grants: int) -> None:
    """D1"""
    gateway = family("a", coupon_bytes=MB, first_slice=first_slice)
    gateway.packet(T0, "a", 0, 100, exempt=True)
    assert gateway.lines["a"].grants == grants


def test_a_suspended_line_does_not_attach() -> None:
    """L1, D8"""
    gateway = family("a", coupon_bytes=MB)
    for do in ("detach", "suspend", "attach", "resume"):
        gateway.event(T0, do, line="a")
    assert gateway.lines["a"].grants == 0
    assert gateway.packet(T0, "a", 0, 100).kind == "detached"


def test_only_a_line_with_a_session_is_served() -> None:
    """L1, D8, N7"""
    gateway = family("a", coupon_bytes=MB)
    gateway.event(T0, "suspend", line="a")
    assert gateway.packet(T0, "a", 0, 100) == ("suspended", 0, 0, None)
    gateway.event(T0, "resume", line="a")
    gateway.event(T0, "detach", line="a")
    assert gateway.packet(T0, "a", 0, 100) == ("detached", 0, 0, None)
    assert gateway.lines["a"].grants == 0
    gateway.event(T0, "attach", line="a")
    assert gateway.lines["a"].grants == 1
    assert gateway.packet(T0, "a", 0, 100).kind == "charged"


@pytest.mark.parametrize("effective", ["immediate", "next-day"])
def test_the_restriction_looks_back_three_days(effective: str) -> None:
    """R1, R2, R3"""
    plan = Plan((HIGH_UP, HIGH_DOWN), (SLOW, SLOW), (RESTRICTED, RESTRICTED), 1_000)
    gateway = family("a", plan=plan, effective=effective)
    states = []
    for day in range(6):
        for _ in range(2):
            gateway.packet(T0 + day * JST_DAY_NS, "a", 0, 600 if day == 0 else 0)
            states.append(gateway.lines["a"].state == "restricted")
    last_day = 2 if effective == "immediate" else 3
    assert states == [1 <= day <= last_day for day in range(6) for _ in range(2)]


def test_the_restriction_starts_above_the_limit_not_at_it() -> None:
    """R1, R5"""
    plan = Plan((HIGH_UP, HIGH_DOWN), (SLOW, SLOW), (RESTRICTED, RESTRICTED), 1_000)
    gateway = family("a", plan=plan)
    gateway.packet(T0, "a", 0, 1_000)
    gateway.packet(T0 + S, "a", 0, 1)
    assert gateway.lines["a"].state == "slow"
    gateway.packet(T0 + 2 * S, "a", 0, 1)
    assert gateway.lines["a"].state == "restricted"
    gateway.event(T0 + 3 * S, "charge", contract="hdd1", coupons=(("topup", 10, FOREVER),))
    assert gateway.packet(T0 + 3 * S, "a", 0, 10).kind == "charged"


def test_a_dropped_packet_is_not_charged_and_takes_no_slice() -> None:
    """N7, P4, I6"""
    tight = Rate(8_000, 1_000, 0, 0)
    gateway = family("a", coupon_bytes=MB, plan=Plan((tight, tight), (SLOW, SLOW), (SLOW, SLOW)))
    gateway.lines["a"].balance_bytes = 500
    assert gateway.packet(T0, "a", 0, 1_001).kind == "queue"
    assert (gateway.lines["a"].balance_bytes, gateway.lines["a"].grants) == (500, 0)
    counters = gateway.lines["a"].counters[0]
    assert (counters.packets, counters.dropped_packets, counters.dropped_bytes) == (1, 1, 1_001)


def test_time_never_goes_back() -> None:
    """G8"""
    gateway = family("a", coupon_bytes=MB)
    gateway.packet(T0, "a", 0, 100)
    assert gateway.packet(T0 - S, "a", 0, 100).departure_ns == T0


@pytest.mark.parametrize(("allow_leap", "kind"), [(False, "charged"), (True, "slow")])
def test_a_leap_over_a_months_end_is_held_back(allow_leap: bool, kind: str) -> None:
    """G9, B58"""
    gateway = Gateway(Settings(allow_leap=allow_leap))
    gateway.add_contract("hdd1", PLAN).credit("bundle", 11 * MB, 0, month_start_ns(2013, 12))
    gateway.add_line("a", "hdd1")
    gateway.add_line("b", "hdd1")
    gateway.packet(T0, "a", 0, 100)
    assert gateway.packet(T0 + 30 * JST_DAY_NS, "b", 0, 100).kind == kind


def test_delays_are_counted() -> None:
    """P4"""
    gateway = family("a")
    for _ in range(3):
        gateway.packet(T0, "a", 1, 1_500)
    counters = gateway.lines["a"].counters[1]
    assert (counters.delayed_packets, counters.max_delay_ns) == (2, 120 * 10**6)


def test_an_unknown_event_is_refused() -> None:
    with pytest.raises(ValueError, match="explode"):
        family("a").event(T0, "explode", line="a")
