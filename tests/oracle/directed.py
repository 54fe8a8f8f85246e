"""Directed stories: each aims at one rule or trap and is small enough to be followed by hand."""

from dataclasses import replace

from .calendar import JST_DAY_NS, month_start_ns
from .cases import Case, ContractSpec, CouponSpec, Event, LineSpec, Packet
from .limiter import Rate

US, MS, S = 10**3, 10**6, 10**9
MB = 2**20
NOV = month_start_ns(2013, 11)
DEC = month_start_ns(2013, 12)
T0 = NOV + 4 * JST_DAY_NS + 7 * 3600 * S
"""2013-11-05 07:00 JST"""
BIG = 65_535
TIGHT = Rate(8_000, 1_000, 3_000, 10_000)
"""a byte a millisecond, 1 000 bytes at once, 3 000 waiting"""
QUICK = Rate(80_000, 1_000, 3_000, 10_000)


def until(year: int, month: int, *sizes_bytes: int) -> tuple[CouponSpec, ...]:
    """Bundle coupons good until the end of a month."""
    return tuple(CouponSpec("bundle", size, year, month) for size in sizes_bytes)


def alone(*coupon_bytes: int, **line: object) -> tuple[ContractSpec, ...]:
    """A contract of one SIM, `a`."""
    spec = LineSpec("a", **line)  # type: ignore[arg-type]
    return (ContractSpec("hdd1", (spec,), until(2013, 12, *coupon_bytes)),)


def pair(*coupon_bytes: int) -> tuple[ContractSpec, ...]:
    """A contract of two SIMs, `a` and `b`."""
    lines = (LineSpec("a"), LineSpec("b"))
    return (ContractSpec("hdd1", lines, until(2013, 12, *coupon_bytes)),)


def _train(count: int, size_bytes: int, gap_ns: int, line: str = "a", start_ns: int = T0) -> list:  # type: ignore[type-arg]
    return [Packet(start_ns + k * gap_ns, line, k % 2, size_bytes) for k in range(count)]


def _slow_bucket_polled_often() -> Case:
    """P5: every 30 us earns 0.75 bytes at 200 kbit/s"""
    steps = [Packet(T0 + k * 30 * US, "a", 1, 3) for k in range(600)]
    return Case(tuple(steps), alone(), slow=Rate(200_000, 60, 0, 0))


def _packet_equal_to_the_balance() -> Case:
    """D7: nothing is free, and the next one is slow"""
    steps = (Packet(T0, "a", 0, 1_500), Packet(T0 + MS, "a", 1, 40))
    return Case(steps, alone(1_500))


def _exact_balance_asks_for_nothing() -> Case:
    """D1, D7: the next slice comes when it is needed, not when the last one is just used up"""
    return Case((Packet(T0, "a", 0, 1_500),), alone(MB, balance_bytes=1_500))


def _one_byte_left() -> Case:
    """D7"""
    return Case(tuple(_train(3, 1_500, MS)), alone(1))


def _one_byte_on_the_sim_and_one_in_the_database() -> Case:
    """D7, C7"""
    return Case(tuple(_train(3, 1_500, MS)), alone(1, balance_bytes=1))


def _last_slice_is_smaller() -> Case:
    """D1, D2, D7: 161 packets use up 10 MB, the next slice is 700 bytes"""
    return Case(tuple(_train(163, BIG, 50 * MS)), alone(10 * MB + 700))


def _three_slices() -> Case:
    """D1, D2, D3: 10 MB, 10 MB of two coupons, 1 MB"""
    return Case(tuple(_train(340, BIG, 50 * MS)), alone(12 * MB, 9 * MB))


def _race_for_the_last_slice() -> Case:
    """D1, D4, D5: the first to ask gets it, the other is slow"""
    order = ((T0, "a"), (T0, "b"), (T0 + MS, "b"), (T0 + MS, "a"))
    return Case(tuple(Packet(at_ns, line, 0, 100) for at_ns, line in order), pair(9 * MB))


def _switch_off_in_mid_queue() -> Case:
    """P3: what is queued leaves as promised, what follows goes after it"""
    steps: list[Packet | Event] = [Packet(T0, "a", 1, 1_000) for _ in range(4)]
    steps.append(Event(T0 + 50 * MS, "switch", line="a", on=False))
    steps += [Packet(T0 + (50 + k) * MS, "a", k % 2, 500) for k in range(9)]
    steps.append(Event(T0 + 120 * MS, "switch", line="a", on=True))
    steps += [Packet(T0 + (120 + 9 * k) * MS, "a", 1, 500) for k in range(40)]
    return Case(tuple(steps), alone(MB), high_up=QUICK, high_down=QUICK, slow=TIGHT)


def _switched_to_and_fro() -> Case:
    """P3, P4: a change every few packets, each of which finds a queue"""
    steps: list[Packet | Event] = []
    for k in range(60):
        at_ns = T0 + k * 37 * MS
        if k % 3 == 0:
            steps.append(Event(at_ns, "switch", line="a", on=k % 2 == 0))
        steps.append(Packet(at_ns, "a", 1, 700))
    return Case(tuple(steps), alone(MB), high_up=QUICK, high_down=QUICK, slow=TIGHT)


def _saved_credit_is_cut_at_the_new_burst() -> Case:
    """P5: off and on again leaves no more than the smaller burst, in the silent direction too"""
    steps: list[Packet | Event] = [Packet(T0, "a", 1, 100)]
    steps.append(Event(T0 + S, "switch", line="a", on=False))
    steps += [Packet(T0 + S, "a", 0, 400) for _ in range(4)]
    steps.append(Event(T0 + S + 1, "switch", line="a", on=True))
    steps += [Packet(T0 + S + 1, "a", k % 2, 400) for k in range(8)]
    wide = replace(QUICK, burst_bytes=50_000)
    return Case(tuple(steps), alone(MB), high_up=wide, high_down=wide, slow=TIGHT)


def _queue_limited_in_time() -> Case:
    """P4: half a second of queue, though 30 000 bytes would be allowed"""
    steps = [Packet(T0 + k * MS, "a", k % 2, 1 + k) for k in range(80)]
    return Case(tuple(steps), alone(), slow=Rate(8_000, 1_000, 30_000, 500))


def _odd_rates_round_up() -> Case:
    """P4, U4: 7 bit/s and 3 333 bit/s do not divide a second"""
    steps = [Packet(T0 + k * 999_999_937, "a", 1, 1 + k % 5) for k in range(40)]
    return Case(tuple(steps), alone(), slow=Rate(7, 3, 20, 60_000))


def _longest_wait() -> Case:
    """P4: each change of rate opens a new queue, but no wait is longer than two minutes"""
    steps: list[Packet | Event] = []
    for k in range(12):
        steps.append(Event(T0 + k, "switch", line="a", on=k % 2 == 0))
        steps += [Packet(T0 + k, "a", 0, 1)] * 20
    slow, high = Rate(8, 1, 60, 60_000), Rate(4, 1, 60, 60_000)
    return Case(tuple(steps), alone(MB), high_up=high, high_down=high, slow=slow)


def _widest_burst() -> Case:
    """P5: the largest burst that a configuration may ask for, after a long rest"""
    wide = Rate(112_500_000, 500_000_000, 500_000_000, 60_000)
    steps = [Packet(T0 + k * 3600 * S, "a", k % 2, 1_500) for k in range(4)]
    return Case(tuple(steps), alone(MB), high_up=wide, high_down=wide)


def _exempt_has_its_own_queue() -> Case:
    """X1, X3, X4: not behind the slow queue, but not above high speed either"""
    steps = tuple(Packet(T0 + k * MS, "a", 1, 600, exempt=k % 2 == 1) for k in range(12))
    return Case(steps, alone(), high_up=TIGHT, high_down=QUICK, slow=TIGHT)


def _exempt_packet_opens_the_session() -> Case:
    """D1, D8, X3"""
    return Case((Packet(T0, "a", 0, 60, exempt=True),), alone(MB))


def _first_packet_opens_the_slice() -> Case:
    """D1: with `first-packet` an exempt packet asks for nothing"""
    return replace(_exempt_packet_opens_the_session(), first_slice="first-packet")


def _coupon_off_asks_for_nothing() -> Case:
    """D8, P2"""
    return Case(tuple(_train(3, 1_000, MS)), alone(MB, coupon_on=False))


def _coupon_switched_on() -> Case:
    """D8, P3: with the next packet"""
    steps = (*_train(3, 1_000, MS), Event(T0 + S, "switch", line="a", on=True))
    return Case((*steps, Packet(T0 + S, "a", 0, 100)), alone(MB, coupon_on=False))


def _dropped_packet_asks_for_nothing() -> Case:
    """N7, D7: a packet longer than balance and queue takes neither balance nor slice"""
    people = alone(MB, balance_bytes=500)
    return Case((Packet(T0, "a", 0, 4_001),), people, high_up=TIGHT, high_down=TIGHT)


def _dropped_packet_takes_no_room() -> Case:
    """P4, D7: what was dropped leaves its place in the queue to the next"""
    steps = (Packet(T0, "a", 0, 4_001), Packet(T0, "a", 0, 4_000), Packet(T0, "a", 0, 4_000))
    return Case(steps, alone(MB, balance_bytes=500), high_up=TIGHT, high_down=TIGHT)


def _suspended_and_resumed() -> Case:
    """L1, D8, N7"""
    steps = (
        Event(T0, "suspend", line="a"),
        Packet(T0, "a", 0, 100),
        Packet(T0, "b", 0, 100),
        Event(T0 + S, "resume", line="a"),
        Packet(T0 + S, "a", 0, 100),
    )
    return Case(steps, pair(MB))


def _detached_and_attached() -> Case:
    """D1, D8: an attach asks for a slice before any packet"""
    steps = (
        Event(T0, "detach", line="a"),
        Packet(T0, "a", 0, 100),
        Event(T0 + S, "attach", line="a"),
        Packet(T0 + S, "b", 0, 100),
        Packet(T0 + S, "a", 0, 100),
    )
    return Case(steps, pair(9 * MB))


def _day_boundary(effective: str) -> Case:
    """R1, R2, R3, U2: 00:00 JST, to the nanosecond"""
    steps: list[Packet | Event] = []
    for day in range(7):
        midnight_ns = NOV + (4 + day) * JST_DAY_NS
        sizes = (600, 401) if day == 0 else (1, 1)
        steps += [Packet(midnight_ns, "a", 0, sizes[0])]
        steps += [Packet(midnight_ns + JST_DAY_NS - 1, "a", 0, size) for size in (sizes[1], 1, 1)]
    slow, restricted = Rate(8_000, 1_000, 3_000, 60_000), Rate(800, 1, 3_000, 60_000)
    return Case(
        tuple(steps),
        alone(),
        slow=slow,
        restricted=restricted,
        restriction_bytes=1_000,
        effective=effective,
    )


def _restriction_at_the_limit_and_above() -> Case:
    """R1, R5: exactly the limit is not above it; a charge lifts it while it lasts"""
    steps: list[Packet | Event] = [Packet(T0 + k * S, "a", 0, 500) for k in range(2)]
    steps += [Packet(T0 + (2 + k) * S, "a", 0, 10) for k in range(3)]
    steps.append(Event(T0 + 9 * S, "charge", contract="hdd1", coupons=1))
    steps += [Packet(T0 + (9 + k) * S, "a", 0, 500) for k in range(3)]
    steps.append(Event(T0 + 13 * S, "switch", line="a", on=False))
    steps += [Packet(T0 + 13 * S, "a", 0, 500)]
    restricted = Rate(800, 1, 3_000, 60_000)
    return Case(tuple(steps), alone(), restricted=restricted, restriction_bytes=1_000)


def _restriction_needs_three_days_not_four() -> Case:
    """R3: 400 bytes a day are 1 200 in three days and 800 in two"""
    steps = [Packet(T0 + d * JST_DAY_NS, "a", 0, size) for d in range(6) for size in (400, 1)]
    restricted = Rate(800, 1, 3_000, 60_000)
    return Case(tuple(steps), alone(), restricted=restricted, restriction_bytes=1_190)


def _month_boundary() -> Case:
    """C6, D6, G9: the last nanosecond of November; a balance on the SIM stays"""
    lines = tuple(LineSpec(code) for code in "abc")
    contract = ContractSpec("hdd1", lines, until(2013, 11, 15 * MB))
    steps = (
        Packet(DEC - 1, "a", 0, 100),
        Packet(DEC, "b", 0, 100),
        Packet(DEC, "a", 0, 100),
        Packet(DEC + 1, "c", 0, 100),
    )
    return Case(steps, (contract,))


def _nearest_expiry_first() -> Case:
    """C5, C6: of two coupons the one that expires is used up, whichever came first"""
    coupons = until(2013, 12, 3_000) + until(2013, 11, 2_000)
    contract = ContractSpec("hdd1", (LineSpec("a"),), (*until(2014, 1, 11 * MB), *coupons))
    return Case((Packet(DEC - S, "a", 0, 100), Packet(DEC, "a", 0, 100)), (contract,))


def _emptiness_ends_with_a_charge() -> Case:
    """D5, C3: both SIMs are at high speed again at once"""
    steps: list[Packet | Event] = [Packet(T0 + k * MS, "ab"[k % 2], 0, 100) for k in range(6)]
    steps.append(Event(T0 + S, "charge", contract="hdd1", coupons=2))
    steps += [Packet(T0 + S + k * MS, "ab"[k % 2], 0, 100) for k in range(4)]
    return Case(tuple(steps), pair(150))


def _bundle_of_the_next_month() -> Case:
    """C1, C2: an empty contract has a coupon again at 00:00 JST on the first"""
    contract = ContractSpec("hdd1", (LineSpec("a"), LineSpec("b")), None)
    steps = tuple(
        Packet(at_ns, line, 0, 1_000)
        for at_ns in (DEC - 2, DEC - 1, DEC, DEC + 1, month_start_ns(2014, 1))
        for line in "ab"
    )
    return Case(steps, (contract,), bundle_bytes=1_500, allow_leap=True)


def _time_goes_back() -> Case:
    """G8, B58: an earlier stamp counts as the latest"""
    steps = (Packet(T0, "a", 0, 1_000), Packet(T0 - S, "a", 0, 1_000), Packet(T0, "b", 0, 100))
    return Case(steps, pair(500), slow=TIGHT)


def _leap_of_the_clock(allow_leap: bool) -> Case:
    """G9, B58: a leap of more than a day over a month's end burns nothing unless that is allowed"""
    contract = ContractSpec("hdd1", (LineSpec("a"), LineSpec("b")), until(2013, 11, 11 * MB))
    times_ns = (T0, T0 + 40 * JST_DAY_NS, DEC + 90 * JST_DAY_NS, DEC + 91 * JST_DAY_NS)
    steps = tuple(Packet(at_ns, "abab"[k], 0, 400) for k, at_ns in enumerate(times_ns))
    return Case(steps, (contract,), bundle_bytes=1_000, allow_leap=allow_leap)


def _month_end_between_two_events() -> Case:
    """G9: a call is a sign of time, too; no two of these are more than a day apart"""
    contract = ContractSpec("hdd1", (LineSpec("a"),), until(2013, 11, 5_000))
    steps = (
        Packet(DEC - S, "a", 0, 100, exempt=True),
        Event(DEC + 3_600 * S, "switch", line="a", on=False),
        Event(DEC + 7_200 * S, "switch", line="a", on=True),
        Packet(DEC + JST_DAY_NS, "a", 0, 100),
    )
    return Case(steps, (contract,), bundle_bytes=700, first_slice="first-packet")


def _coupon_expired_before_the_start() -> Case:
    """C6, B80: it is credited and expired, and never handed out"""
    contract = ContractSpec("hdd1", (LineSpec("a"),), until(2013, 10, 5_000))
    return Case((Packet(T0, "a", 0, 100),), (contract,))


def _attached_while_suspended() -> Case:
    """L1, D8: a suspended SIM opens no session; the next one opens with a packet, exempt or not"""
    steps = (
        Event(T0, "suspend", line="a"),
        Event(T0 + S, "attach", line="a"),
        Event(T0 + 2 * S, "resume", line="a"),
        Packet(T0 + 2 * S, "a", 0, 100, exempt=True),
    )
    return Case(steps, alone(MB))


def _attached_while_suspended_and_detached() -> Case:
    """L1, D8: the refused attach does not undo the detach either"""
    steps = (
        Event(T0, "detach", line="a"),
        Event(T0, "suspend", line="a"),
        Event(T0 + S, "attach", line="a"),
        Event(T0 + 2 * S, "resume", line="a"),
        Packet(T0 + 2 * S, "a", 0, 100),
    )
    return Case(steps, alone(MB))


def _two_contracts() -> Case:
    """D1, D4: what one contract uses up the other still has"""
    contracts = (
        ContractSpec("hdd1", (LineSpec("a"), LineSpec("b")), until(2013, 12, 1_000)),
        ContractSpec("hdd2", (LineSpec("c"),), until(2013, 12, 1_000)),
    )
    steps = tuple(Packet(T0 + k * MS, "abc"[k % 3], k % 2, 400) for k in range(12))
    return Case(steps, contracts)


CASES: dict[str, Case] = {
    "slow bucket polled often": _slow_bucket_polled_often(),
    "packet equal to the balance": _packet_equal_to_the_balance(),
    "exact balance asks for nothing": _exact_balance_asks_for_nothing(),
    "one byte left": _one_byte_left(),
    "one byte here and one there": _one_byte_on_the_sim_and_one_in_the_database(),
    "last slice is smaller": _last_slice_is_smaller(),
    "three slices": _three_slices(),
    "race for the last slice": _race_for_the_last_slice(),
    "switch off in mid-queue": _switch_off_in_mid_queue(),
    "switched to and fro": _switched_to_and_fro(),
    "saved credit is cut": _saved_credit_is_cut_at_the_new_burst(),
    "queue limited in time": _queue_limited_in_time(),
    "odd rates round up": _odd_rates_round_up(),
    "longest wait": _longest_wait(),
    "widest burst": _widest_burst(),
    "exempt has its own queue": _exempt_has_its_own_queue(),
    "exempt packet opens the session": _exempt_packet_opens_the_session(),
    "first packet opens the slice": _first_packet_opens_the_slice(),
    "coupon off asks for nothing": _coupon_off_asks_for_nothing(),
    "dropped packet asks for nothing": _dropped_packet_asks_for_nothing(),
    "dropped packet takes no room": _dropped_packet_takes_no_room(),
    "coupon switched on": _coupon_switched_on(),
    "suspended and resumed": _suspended_and_resumed(),
    "detached and attached": _detached_and_attached(),
    "day boundary, immediate": _day_boundary("immediate"),
    "day boundary, next day": _day_boundary("next-day"),
    "restriction at the limit": _restriction_at_the_limit_and_above(),
    "restriction over three days": _restriction_needs_three_days_not_four(),
    "month boundary": _month_boundary(),
    "nearest expiry first": _nearest_expiry_first(),
    "emptiness ends with a charge": _emptiness_ends_with_a_charge(),
    "bundle of the next month": _bundle_of_the_next_month(),
    "time goes back": _time_goes_back(),
    "leap held back": _leap_of_the_clock(False),
    "leap allowed": _leap_of_the_clock(True),
    "month end between two events": _month_end_between_two_events(),
    "coupon expired before the start": _coupon_expired_before_the_start(),
    "attached while suspended": _attached_while_suspended(),
    "attached while suspended and detached": _attached_while_suspended_and_detached(),
    "two contracts": _two_contracts(),
}
