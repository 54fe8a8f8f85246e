"""Directed stories of exempt packets: rating groups and caps, what they cost, fragments, another list."""

from .calendar import JST_DAY_NS
from .cases import Case, Event, ExemptSpec, Packet
from .directed import DEC, MB, MS, NOV, QUICK, T0, TIGHT, S, alone, pair
from .limiter import Rate

OFF = alone(MB, coupon_on=False)
DNS, WEB = 10, 20
CAPPED = ExemptSpec(((0, 0), (DNS, 250), (WEB, 0)))
CHARGED = ExemptSpec(((DNS, 0),), charge=True)
COUNTED = ExemptSpec(((DNS, 0),), count=True)
MIDNIGHT = NOV + 5 * JST_DAY_NS


def _to(group: int, at_ns: int = T0, size_bytes: int = 100, **fields: object) -> Packet:
    """A packet up to the server of a rating group, as long as it says nothing else."""
    said = {"line": "a", "direction": 0, **fields}
    return Packet(at_ns, size_bytes=size_bytes, exempt=True, group=group, **said)  # type: ignore[arg-type]


def _groups_are_counted_apart() -> Case:
    """X3: by SIM, group and direction; 0 is a group like any other"""
    steps = [_to(g, T0 + k, 60 + k, direction=k % 2) for k, g in enumerate((DNS, WEB, 0, DNS, DNS))]
    others = [_to(WEB, T0 + 9, 70, line="b"), _to(30, T0 + 9), Packet(T0 + 9, "a", 0, 10)]
    return Case((*steps, *others), pair(MB), exempt=CAPPED)


def _another_port_is_not_exempt() -> Case:
    """X2: nor is a server that is not listed"""
    steps = (_to(DNS), _to(DNS, odd_port=True), _to(30), Packet(T0, "a", 0, 100))
    return Case(steps, OFF, exempt=CAPPED)


def _up_to_the_cap() -> Case:
    """B41x: both directions; the crossing packet is not exempt, a smaller one is"""
    sizes = (100, 100, 51, 50, 1, 100)
    steps = tuple(_to(DNS, T0 + k, size, direction=k % 2) for k, size in enumerate(sizes))
    return Case((*steps, _to(WEB, T0 + 9, 1_000)), OFF, exempt=CAPPED)


def _a_cap_of_each_sim() -> Case:
    """B41x: what one SIM had is no business of another"""
    steps = (_to(DNS, size_bytes=200), _to(DNS, size_bytes=200, line="b"), _to(DNS, T0 + 1))
    return Case(steps, pair(MB), exempt=CAPPED)


def _a_cap_of_each_day() -> Case:
    """B41x, U2: to the nanosecond of 00:00 JST"""
    times_ns = (MIDNIGHT - 2, MIDNIGHT - 1, MIDNIGHT, MIDNIGHT + 1, MIDNIGHT + 9 * 3600 * S)
    return Case(tuple(_to(DNS, at_ns, 200) for at_ns in times_ns), OFF, exempt=CAPPED)


def _dropped_uses_up_no_cap() -> Case:
    """B41x, N7: neither what its queue had no room for nor what a suspended SIM sent"""
    narrow = Rate(8_000, 100, 0, 0)
    steps: tuple[Packet | Event, ...] = (
        *(_to(DNS) for _ in range(3)),
        Event(T0 + S, "suspend", line="a"),
        _to(DNS, T0 + S),
        Event(T0 + 2 * S, "resume", line="a"),
        *(_to(DNS, T0 + k * S) for k in (2, 3, 4)),
    )
    return Case(steps, OFF, high_up=narrow, high_down=narrow, slow=TIGHT, exempt=CAPPED)


def _the_coupon_pays() -> Case:
    """X3: the whole of a packet, a part of one, then nothing; never slow"""
    steps = [_to(DNS, T0 + k * MS, 1_000, direction=k % 2) for k in range(4)]
    return Case((*steps, Packet(T0 + S, "a", 0, 100)), alone(2_500), exempt=CHARGED)


def _the_coupon_pays_over_two_slices() -> Case:
    """X3, D7"""
    steps = tuple(_to(DNS, T0 + k * 50 * MS, 65_535) for k in range(162))
    return Case(steps, alone(10 * MB + 700, balance_bytes=1), exempt=CHARGED)


def _a_balance_that_is_just_enough() -> Case:
    """X3, D1: the next slice is asked for when it is needed"""
    return Case((_to(DNS),), alone(MB, balance_bytes=100), exempt=CHARGED)


def _off_nothing_is_paid() -> Case:
    """X3, P2, D4: although there is a balance"""
    people = alone(MB, balance_bytes=500, coupon_on=False)
    return Case((_to(DNS), Packet(T0, "a", 0, 100)), people, exempt=CHARGED)


def _dropped_pays_nothing() -> Case:
    """X4, N7: nor does it ask for a slice"""
    narrow = Rate(8_000, 100, 0, 0)
    people = alone(MB, balance_bytes=50)
    return Case((_to(DNS, size_bytes=101),), people, high_up=narrow, exempt=CHARGED)


def _slow_and_exempt_count_together() -> Case:
    """X3, R1, R6: off, then on, then off again; and the exempt ones are not restricted"""
    steps: tuple[Packet | Event, ...] = (
        _to(DNS, size_bytes=600),
        Event(T0 + 1, "switch", line="a", on=True),
        Packet(T0 + 1, "a", 0, 100),
        _to(DNS, T0 + 1, 5_000),
        Event(T0 + 2, "switch", line="a", on=False),
        Packet(T0 + 2, "a", 0, 400),
        Packet(T0 + S, "a", 0, 1),
        _to(DNS, T0 + S, 100),
        *(Packet(T0 + 2 * S, "a", 0, 100) for _ in range(3)),
        *(_to(DNS, T0 + 2 * S, 1_000) for _ in range(3)),
    )
    tight = Rate(800, 1, 3_000, 60_000)
    return Case(steps, OFF, restricted=tight, restriction_bytes=1_000, exempt=COUNTED)


def _exempt_alone_restricts(spec: ExemptSpec) -> Case:
    """X3, R1, P2: where nothing is left, found out by an exempt packet; of no matter without the setting"""
    steps = [_to(DNS, T0 + k * MS, 500) for k in range(4)]
    tail = [Packet(T0 + S, "a", 0, 100), Packet(T0 + S, "a", 0, 100)]
    tight = Rate(800, 1, 3_000, 60_000)
    return Case(
        (*steps, *tail),
        alone(),
        restricted=tight,
        restriction_bytes=1_000,
        first_slice="first-packet",
        exempt=spec,
    )


def _a_slice_is_to_be_had() -> Case:
    """X3, P1, D1: so the SIM is at high speed, and nothing counts; another gets none of it"""
    steps = (_to(DNS, size_bytes=5_000), Packet(T0, "b", 0, 100), Packet(T0, "a", 0, 100))
    people = pair(9 * MB)
    return Case(steps, people, restriction_bytes=1_000, first_slice="first-packet", exempt=COUNTED)


def _paid_in_part_is_high_speed() -> Case:
    """X3, D7: both settings; only what comes after it counts"""
    both = ExemptSpec(((DNS, 0),), charge=True, count=True)
    steps = tuple(_to(DNS, T0 + k, 1_000) for k in range(3))
    return Case(steps, alone(1), restriction_bytes=1_000, exempt=both)


def _first(at_ns: int = T0, **fields: object) -> Packet:
    return _to(DNS, at_ns, piece="first", **{"label": 7, **fields})  # type: ignore[arg-type]


def _later(at_ns: int = T0, group: int = DNS, **fields: object) -> Packet:
    return _to(group, at_ns, piece="later", **{"label": 7, **fields})  # type: ignore[arg-type]


def _fragments_inherit() -> Case:
    """X4, B37: those of the packet, and no others; not those before their first one"""
    steps = [
        _later(),
        _first(T0 + 1),
        _later(T0 + 2),
        _later(T0 + 3, label=8),
        _later(T0 + 4, direction=1),
        _later(T0 + 5, line="b"),
        _later(T0 + 6, group=WEB),
        Packet(T0 + 7, "a", 0, 100, piece="later", label=7),
        _later(T0 + 8, size_bytes=30),
    ]
    return Case(tuple(steps), pair(MB), exempt=CAPPED)


def _the_last_first_fragment_decides() -> Case:
    """X4, B34, B36"""
    odd = {"odd_port": True}
    steps = (_first(), _later(T0 + 1), _first(T0 + 2, **odd), _later(T0 + 3), _first(T0 + 4))
    return Case((*steps, _later(T0 + 5)), OFF, exempt=ExemptSpec(((DNS, 0),)))


def _fragments_are_forgotten() -> Case:
    """X4: 30 s after the first, however many came in between"""
    steps = [_first(), *(_later(T0 + k * 15 * S) for k in (1, 2)), _later(T0 + 30 * S + 1)]
    return Case(tuple(steps), OFF, exempt=ExemptSpec(((DNS, 0),)))


def _fragments_have_a_cap() -> Case:
    """X4, B41x: each by itself"""
    steps = (_first(), _later(T0 + 1), _later(T0 + 2), _later(T0 + 3, size_bytes=50))
    return Case(steps, OFF, exempt=CAPPED)


def _another_list() -> Case:
    """X2, X3: groups, caps and settings of the new one; counters and what was used of a cap stay"""
    steps = (
        _to(DNS, size_bytes=200),
        Event(T0 + 1, "exempt", exempt=ExemptSpec(((WEB, 0), (DNS, 300)))),
        _to(DNS, T0 + 1),
        _to(DNS, T0 + 2, 1),
        Event(T0 + 3, "exempt", exempt=ExemptSpec(((WEB, 0),), charge=True)),
        _to(DNS, T0 + 3),
        _to(WEB, T0 + 4),
        Event(T0 + 5, "exempt", exempt=CAPPED),
        _to(DNS, T0 + 5, 1),
        _to(WEB, T0 + 6),
    )
    return Case(steps, alone(MB), exempt=CAPPED)


def _fragments_and_another_list() -> Case:
    """X4: what the first one was, it was under the list of its time"""
    steps = (
        _first(),
        _first(label=8),
        Event(T0 + 1, "exempt", exempt=ExemptSpec(((WEB, 0),))),
        _later(T0 + 1),
        _first(T0 + 2, label=8),
        Event(T0 + 3, "exempt", exempt=ExemptSpec(((DNS, 0),))),
        _later(T0 + 3),
        _later(T0 + 3, label=8),
    )
    return Case(steps, OFF, exempt=ExemptSpec(((WEB, 0), (DNS, 0))))


def _capped_packets_wait_and_pay() -> Case:
    """B41x, P4: beyond the cap they are in the queue of all others, and their exempt ones before it"""
    steps = tuple(_to(DNS, T0 + k * MS, 120, direction=k % 2) for k in range(30))
    return Case(steps, OFF, high_up=QUICK, high_down=QUICK, slow=TIGHT, exempt=CAPPED)


def _month_end_with_a_setting_that_asks() -> Case:
    """X3, D1, C6: an exempt packet finds the new month's coupon, too"""
    steps = (_to(DNS, DEC - 1, 500), _to(DNS, DEC, 500), Packet(DEC + 1, "a", 0, 100))
    people = alone()
    return Case(steps, people, restriction_bytes=400, bundle_bytes=900, exempt=COUNTED)


EXEMPT_CASES: dict[str, Case] = {
    "groups are counted apart": _groups_are_counted_apart(),
    "another port is not exempt": _another_port_is_not_exempt(),
    "up to the cap": _up_to_the_cap(),
    "a cap of each SIM": _a_cap_of_each_sim(),
    "a cap of each day": _a_cap_of_each_day(),
    "dropped uses up no cap": _dropped_uses_up_no_cap(),
    "the coupon pays": _the_coupon_pays(),
    "the coupon pays over two slices": _the_coupon_pays_over_two_slices(),
    "a balance that is just enough": _a_balance_that_is_just_enough(),
    "off nothing is paid": _off_nothing_is_paid(),
    "dropped pays nothing": _dropped_pays_nothing(),
    "slow and exempt count together": _slow_and_exempt_count_together(),
    "exempt alone restricts": _exempt_alone_restricts(COUNTED),
    "exempt alone does not": _exempt_alone_restricts(ExemptSpec(((DNS, 0),))),
    "a slice is to be had": _a_slice_is_to_be_had(),
    "paid in part is high speed": _paid_in_part_is_high_speed(),
    "fragments inherit": _fragments_inherit(),
    "the last first fragment decides": _the_last_first_fragment_decides(),
    "fragments are forgotten": _fragments_are_forgotten(),
    "fragments have a cap": _fragments_have_a_cap(),
    "another list": _another_list(),
    "fragments and another list": _fragments_and_another_list(),
    "capped packets wait and pay": _capped_packets_wait_and_pay(),
    "month end with a setting that asks": _month_end_with_a_setting_that_asks(),
}
