"""Exempt traffic by rating group: its own counters, and what a SIM may have of it on a day (X3, B41x)."""

from typing import Any

import numpy as np
import pytest

from engine.config import Endpoint, Limit, RatingGroup, Settings
from engine.runtime import Engine
from engine.units import MB
from tests.support.gateway import (
    DAY,
    DNS,
    NOV_5,
    SERVER,
    T0,
    TCP,
    UE,
    UE_2,
    UE_3,
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
)

NOV_6 = NOV_5 + DAY
DNS_2, MAIL, WEB = "192.0.2.54", "192.0.2.25", "192.0.2.80"
ENDPOINTS = (
    Endpoint("dns", (f"{DNS}/32",), "udp", (53,), rating_group=10),
    Endpoint("dns over tcp", (f"{DNS_2}/32",), "tcp", (53,), rating_group=10),
    Endpoint("mail", (f"{MAIL}/32",), "tcp", (25,), rating_group=20),
    Endpoint("web", (f"{WEB}/32",)),
)
QUERY: dict[str, Any] = {"dst": DNS, "ports": (4_000, 53)}
ANSWER: dict[str, Any] = {"src": DNS, "dst": UE, "ports": (53, 4_000)}
OVER_TCP: dict[str, Any] = {"dst": DNS_2, "ports": (4_000, 53), "protocol": TCP}
LETTER: dict[str, Any] = {"dst": MAIL, "ports": (4_000, 25), "protocol": TCP}
PAGE: dict[str, Any] = {"dst": WEB}


def made(cap_bytes: int = 0, **changes: Any) -> Settings:
    groups = (RatingGroup(20, "mail"), RatingGroup(10, "dns", cap_bytes))
    return settings(**{"endpoints": ENDPOINTS, "groups": groups, **changes})


def capped(cap_bytes: int, *lines: Any, **options: Any) -> Engine:
    return gateway(book(*lines or (line(coupon=False),)), settings=made(cap_bytes), **options)


def up(at_ns: int = T0, length: int = 100, **fields: Any) -> Rows:
    return packet(at_ns, **{"length": length, **fields})


def of(report: dict[str, Any]) -> dict[int, tuple[int, int, int, int]]:
    """Up and down packets and bytes by rating group's number."""
    units = ("up_packets", "up_bytes", "down_packets", "down_bytes")
    return {
        rated["rating_group"]: tuple(rated[unit] for unit in units)
        for rated in report["rating_groups"]
    }


def test_what_is_exempt_is_counted_by_group_sim_and_direction() -> None:
    """X3: several endpoints in one group; 0 is the one without a number"""
    gate = gateway(book(line(), line(2), coupon_bytes=MB), settings=made())
    batch = [up(**QUERY), up(length=300, **ANSWER), up(**OVER_TCP), up(**LETTER), up(**PAGE), up()]
    play(gate, *batch, up(src=UE_2, length=7, **QUERY))
    report = gate.snapshot()
    assert [of(found) for found in report["sims"]] == [
        {10: (2, 200, 1, 300), 20: (1, 100, 0, 0), 0: (1, 100, 0, 0)},
        {10: (1, 7, 0, 0)},
    ]
    assert of(report) == {0: (1, 100, 0, 0), 10: (3, 207, 1, 300), 20: (1, 100, 0, 0)}
    assert [group["name"] for group in report["rating_groups"]] == ["exempt", "dns", "mail"]
    total = sum(found["up_bytes"] + found["down_bytes"] for found in report["rating_groups"])
    assert total == report["totals"]["exempt_bytes"] == 707


def test_groups_that_carried_nothing_are_not_listed() -> None:
    """X3: neither those that nobody used nor those of which all was beyond the cap, or dropped"""
    narrow = Limit(burst_bytes=100, queue_bytes=0, queue_ms=0)
    gate = gateway(book(line(coupon=False)), settings=made(99, high=narrow))
    assert play(gate, up(**QUERY), up(length=101, **LETTER)) == ["slow", "queue"]
    assert (sim(gate)["rating_groups"], gate.snapshot()["rating_groups"]) == ([], [])


def test_up_to_the_cap_it_is_exempt_and_beyond_it_is_not() -> None:
    """B41x, P2: the crossing packet is not exempt; a smaller one that still fits is"""
    gate = capped(250)
    batch = [up(**QUERY), up(length=150, **ANSWER), up(length=1, **QUERY), up(length=0, **QUERY)]
    assert play(gate, *batch) == ["exempt", "exempt", "slow", "exempt"]
    gate = capped(250)
    assert play(gate, *[up(length=200, **QUERY)] * 2, up(length=50, **QUERY), up(**QUERY)) == [
        "exempt",
        "slow",
        "exempt",
        "slow",
    ]
    assert of(sim(gate)) == {10: (2, 250, 0, 0)}


def test_beyond_the_cap_it_is_charged_while_there_is_a_coupon() -> None:
    """B41x, P1: as if the endpoint were not listed"""
    gate = gateway(book(coupon_bytes=MB), settings=made(250))
    assert play(gate, *[up(**QUERY)] * 4) == ["exempt"] * 2 + ["charged"] * 2
    found = sim(gate)
    assert (both(found, "exempt_bytes"), both(found, "charged_bytes")) == (200, 200)


def test_a_tunnel_through_a_resolver_ends_at_the_cap() -> None:
    """B41x: 1 400 bytes 100 times a second, both ways"""
    wide = Limit(burst_bytes=10_000, queue_bytes=100_000, queue_ms=1_000)
    gate = gateway(book(), settings=made(100_000, high=wide))
    out = train(100, 10**7, UE, DNS, length=1_400, ports=(4_000, 53))
    back = train(100, 10**7, DNS, UE, length=1_400, ports=(53, 4_000))
    batch = np.concatenate([out, back])
    batch = batch[np.argsort(batch["time_ns"], kind="stable")]
    found = names(gate.process(batch))
    assert found[:71] == ["exempt"] * 71
    assert "exempt" not in found[71:]
    assert both(sim(gate), "exempt_bytes") == 71 * 1_400


@pytest.mark.parametrize("at_ns", [NOV_6, NOV_6 + 12 * 3600 * S, NOV_6 + DAY - 1])
def test_a_cap_is_of_a_day_of_japan(at_ns: int) -> None:
    """B41x, U2: afresh at 00:00 JST, to the nanosecond, and not before"""
    gate = capped(100)
    used = [up(NOV_6 - 1, **QUERY), up(NOV_6 - 1, **QUERY), up(at_ns, **QUERY), up(at_ns, **QUERY)]
    assert play(gate, *used) == ["exempt", "slow", "exempt", "slow"]
    last_ns = NOV_6 + DAY - 1
    rest = [up(last_ns, **QUERY), up(last_ns + 1, **QUERY), up(last_ns + 9 * DAY, **QUERY)]
    assert play(gate, *rest) == ["slow", "exempt", "exempt"]
    assert of(sim(gate))[10] == (4, 400, 0, 0)


def test_time_that_goes_back_over_midnight_gives_no_second_day() -> None:
    """B41x, G8"""
    gate = capped(100)
    batch = up(NOV_6, **QUERY), up(NOV_6 - 1, **QUERY), up(NOV_6, **QUERY)
    assert play(gate, *batch) == ["exempt", "slow", "slow"]


def test_a_cap_is_of_one_sim_and_one_group() -> None:
    """B41x: endpoints of a group share it; other SIMs and groups have nothing to do with it"""
    gate = capped(100, line(coupon=False), line(2, coupon=False))
    batch = [up(**QUERY), up(**OVER_TCP), up(**LETTER), up(**PAGE), up(src=UE_2, **OVER_TCP)]
    assert play(gate, *batch) == ["exempt", "slow", "exempt", "exempt", "exempt"]
    assert play(gate, up(src=UE_2, **QUERY), up(**ANSWER)) == ["slow", "slow"]


def test_what_is_dropped_uses_up_no_cap() -> None:
    """B41x, X4, N7"""
    narrow = Limit(burst_bytes=100, queue_bytes=0, queue_ms=0)
    gate = gateway(book(line(coupon=False)), settings=made(200, high=narrow))
    assert play(gate, up(**QUERY), up(**QUERY)) == ["exempt", "queue"]
    gate.suspend("a", at_ns=T0)
    assert play(gate, up(T0 + S, **QUERY)) == ["suspended"]
    gate.resume("a", at_ns=T0 + S)
    assert play(gate, up(T0 + S, **QUERY), up(T0 + 2 * S, **QUERY)) == ["exempt", "slow"]
    found = sim(gate)["up"]
    assert (found["exempt_bytes"], found["dropped_bytes"]) == (200, 200)


def test_between_two_sims_each_leg_counts_for_its_own_sim() -> None:
    """X2, X3: both may be listed"""
    nets = (Endpoint("SIMs", (f"{UE}/32", f"{UE_2}/32"), rating_group=10),)
    groups = (RatingGroup(10, "dns", 150),)
    lines = line(coupon=False), line(2, coupon=False), line(3, coupon=False)
    gate = gateway(book(*lines), settings=settings(endpoints=nets, groups=groups))
    play(gate, up(dst=UE_2), up(dst=UE_2), up(src=UE_3))
    reports = gate.snapshot()["sims"]
    assert [of(found) for found in reports] == [{10: (1, 100, 0, 0)}, {10: (0, 0, 1, 100)}, {}]
    assert reports[1]["down"]["slow_bytes"] == 100


@pytest.mark.parametrize("shards", [1, 3])
@pytest.mark.parametrize("split", [1, 37, 1_000])
def test_any_split_and_any_number_of_shards_count_the_same(split: int, shards: int) -> None:
    """X3, G8: more SIMs and groups than the first tables hold"""
    count = 30
    groups = tuple(RatingGroup(1_000 - k, f"group {k}", 500 * (k % 3)) for k in range(count))
    endpoints = [
        Endpoint(str(k), (f"192.0.2.{k}/32",), rating_group=1_000 - k) for k in range(count)
    ]
    wanted = settings(endpoints=endpoints, groups=groups)
    with gateway(ue_nets=("10.1.0.0/24",), shards=shards, settings=wanted) as gate:
        random = np.random.default_rng(4)
        batch = train(1_000, 10**6, UE, "192.0.2.0", length=150)
        batch["src_lo"] += random.integers(0, 40, 1_000)
        batch["dst_lo"] += random.integers(0, count + 3, 1_000)
        for k in range(0, len(batch), split):
            gate.process(batch[k : k + split])
        report = gate.snapshot()
    exempt: dict[tuple[int, int], int] = {}
    for src, dst in zip(batch["src_lo"].tolist(), batch["dst_lo"].tolist(), strict=True):
        group = int(dst) & 0xFF
        used = exempt.setdefault((src, group), 0)
        cap_bytes = 500 * (group % 3)
        if group < count and (cap_bytes == 0 or used + 150 <= cap_bytes):
            exempt[src, group] += 150
    expected: dict[int, int] = {}
    for (_, group), used in exempt.items():
        if used:
            expected[1_000 - group] = expected.get(1_000 - group, 0) + used
    assert {number: figures[1] for number, figures in of(report).items()} == expected
    assert [found["rating_group"] for found in report["rating_groups"]] == sorted(expected)


def test_a_row_that_is_miscounted_shows() -> None:
    """X3, I6: the sum is that of the SIM's counters, and a planted byte is not in it"""
    gate = capped(0)
    play(gate, up(**QUERY), up(**LETTER), up(**ANSWER))

    def differs() -> int:
        found = sim(gate)
        rated = sum(figures[1] + figures[3] for figures in of(found).values())
        return rated - both(found, "exempt_bytes")

    assert differs() == 0
    gate.shards.all[0].sides.rated[1]["bytes"][0] += 1
    assert differs() == 1


def test_a_packet_to_no_endpoint_is_in_no_group() -> None:
    """X3"""
    gate = capped(0)
    assert play(gate, up(dst=SERVER, ports=(4_000, 53))) == ["slow"]
    assert sim(gate)["rating_groups"] == []
