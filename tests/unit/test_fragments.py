"""Fragments of exempt packets: those that follow inherit what the first one got, and no others (X4)."""

from typing import Any

import numpy as np
import pytest

from engine.config import Endpoint, Exempt, Limit, RatingGroup, Settings
from engine.datapath.classify import FRAGMENT_NS, SETS, WAYS, first_way, is_of, label_of
from engine.layout import FRAGMENT, PACKET_FIRST, PACKET_FRAGMENT, PACKET_PORTS
from engine.runtime import Engine
from engine.subscribers import ReloadExempt, Switch
from tests.conftest import JIT_OFF
from tests.support.gateway import (
    DNS,
    MS,
    SERVER,
    T0,
    TCP,
    UE,
    UE_2,
    Rows,
    S,
    book,
    gateway,
    line,
    names,
    packet,
    play,
    settings,
    sim,
)

DNS6, UE6, UE6_2 = "2001:db8::53", "2001:db8:0:1::7", "2001:db8:0:2::7"
WEB = "192.0.2.80"
ENDPOINTS = (
    Endpoint("dns", (f"{DNS}/32", f"{DNS6}/128"), "udp", (53,), rating_group=10),
    Endpoint("dns over tcp", (f"{DNS}/32",), "tcp", (53,), rating_group=20),
    Endpoint("web", (f"{WEB}/32",), rating_group=30),
)
GROUPS = (RatingGroup(10, "dns"), RatingGroup(20, "tcp"), RatingGroup(30, "web"))
BOOK = book(
    line(addresses=(UE, "2001:db8:0:1::/64"), coupon=False),
    line(2, addresses=(UE_2, "2001:db8:0:2::/64"), coupon=False),
)
QUERY, ANSWER = (4_000, 53), (53, 4_000)


def made(**changes: Any) -> Settings:
    return settings(**{"endpoints": ENDPOINTS, "groups": GROUPS, **changes})


def engine(**options: Any) -> Engine:
    return gateway(BOOK, **{"settings": made(), **options})


def first(src: str = UE, dst: str = DNS, at_ns: int = T0, **fields: Any) -> Rows:
    """A first fragment of a query, as long as it says nothing else."""
    said: dict[str, Any] = {"ports": QUERY, "fragment": 7, "flags": PACKET_FIRST} | fields
    return packet(at_ns, src, dst, **said)


def later(src: str = UE, dst: str = DNS, at_ns: int = T0, **fields: Any) -> Rows:
    return packet(at_ns, src, dst, **{"fragment": 7, "flags": PACKET_FRAGMENT} | fields)


PATHS: dict[str, tuple[str, str, tuple[int, int]]] = {
    "up": (UE, DNS, QUERY),
    "down": (DNS, UE, ANSWER),
    "IPv6, up": (UE6, DNS6, QUERY),
    "IPv6, down": (DNS6, UE6, ANSWER),
}


@pytest.mark.parametrize("name", PATHS)
def test_later_fragments_inherit_from_the_first(name: str) -> None:
    """X4, X2, X3: as many as come, and in the rating group of the first"""
    src, dst, ports = PATHS[name]
    gate = engine()
    batch = [first(src, dst, ports=ports), *[later(src, dst, T0 + k) for k in range(3)]]
    assert play(gate, *batch) == ["exempt"] * 4
    (rated,) = sim(gate)["rating_groups"]
    way = "down" if src in (DNS, DNS6) else "up"
    assert (rated["rating_group"], rated[f"{way}_packets"]) == (10, 4)


@pytest.mark.parametrize("dst", [DNS, WEB])
@pytest.mark.parametrize("flags", [PACKET_FRAGMENT, PACKET_FRAGMENT | PACKET_PORTS])
def test_a_fragment_whose_first_one_was_not_seen_is_not_exempt(dst: str, flags: int) -> None:
    """X4, B37: not even where the whole address is"""
    assert play(engine(), later(dst=dst, flags=flags)) == ["slow"]


@pytest.mark.parametrize(
    "fields",
    [
        {"ports": (4_000, 54)},
        {"ports": None},
        {"protocol": TCP, "ports": (4_000, 80)},
        {"dst": SERVER},
    ],
    ids=["another port", "a tiny one, without ports (B34)", "another protocol", "another address"],
)
def test_a_first_fragment_that_is_not_exempt_lets_none_be(fields: dict[str, Any]) -> None:
    """X4, B34"""
    same = {key: value for key, value in fields.items() if key in ("protocol", "dst")}
    assert play(engine(), first(**fields), later(**same)) == ["slow"] * 2


def test_where_no_port_matters_a_tiny_first_fragment_is_enough() -> None:
    """X2, X4, B34"""
    assert play(engine(), first(dst=WEB, ports=None), later(dst=WEB)) == ["exempt"] * 2


def test_a_fragment_at_offset_1_inherits_like_any_other() -> None:
    """X4, B35: RFC 3128's has no ports, whatever it would overwrite"""
    batch = first(protocol=TCP), later(protocol=TCP, length=28)
    assert play(engine(), *batch) == ["exempt"] * 2


def test_a_second_first_fragment_decides_for_those_after_it() -> None:
    """X4, B36: the one before is forgotten, whichever of them was exempt"""
    batch = [first(), later(), first(ports=(4_000, 80)), later(), later(), first(), later()]
    assert play(engine(), *batch) == ["exempt"] * 2 + ["slow"] * 3 + ["exempt"] * 2


def test_a_fragment_before_its_first_one_is_not_exempt() -> None:
    """X4: what was let out cannot be taken back, and what was charged is not given back"""
    assert play(engine(), later(), first(), later()) == ["slow", "exempt", "exempt"]


STRANGERS: dict[str, dict[str, Any]] = {
    "another SIM": {"src": UE_2},
    "the other direction": {"src": DNS, "dst": UE},
    "another protocol": {"protocol": TCP},
    "another identification": {"fragment": 8},
    "no identification": {"fragment": 0},
    "another server of the list": {"dst": WEB},
    "another server": {"dst": SERVER},
}


@pytest.mark.parametrize("name", STRANGERS)
def test_only_fragments_of_the_same_packet_inherit(name: str) -> None:
    """X4, RFC 791 3.2: SIM and direction, both addresses, protocol, identification"""
    assert play(engine(), first(), later(**STRANGERS[name])) == ["exempt", "slow"]


@pytest.mark.parametrize(
    ("fields", "verdict"),
    [
        ({"src": UE6, "dst": DNS6}, "exempt"),
        ({"src": UE6, "dst": DNS6, "protocol": TCP}, "exempt"),  # RFC 8200 4.5 does not ask for it
        ({"src": UE6, "dst": DNS6, "fragment": 7 + (1 << 16)}, "slow"),
        ({"src": "2001:db8:0:1::8", "dst": DNS6}, "slow"),
        ({"src": UE6_2, "dst": DNS6}, "slow"),
    ],
)
def test_only_ipv6_fragments_of_the_same_packet_inherit(
    fields: dict[str, Any], verdict: str
) -> None:
    """X4, RFC 8200 4.5: addresses and all 32 bits of the identification"""
    assert play(engine(), first(UE6, DNS6), later(**fields)) == ["exempt", verdict]


def test_protocols_and_groups_of_one_identification_are_held_apart() -> None:
    """X3, X4: UDP and TCP packets of the same number at the same time"""
    gate = engine()
    play(gate, first(), first(protocol=TCP), later(), later(protocol=TCP), later(protocol=TCP))
    rated = {r["rating_group"]: r["up_packets"] for r in sim(gate)["rating_groups"]}
    assert rated == {10: 2, 20: 3}


@pytest.mark.parametrize("start_ns", [0, T0])
def test_a_first_fragment_is_forgotten_after_half_a_minute(start_ns: int) -> None:
    """X4: to the nanosecond; what follows within it does not make it last"""
    gate = gateway(settings=made(), ue_nets=("10.1.0.0/16",))
    fragments = [first(at_ns=start_ns), *[later(at_ns=start_ns + k * 10 * S) for k in range(1, 4)]]
    assert play(gate, *fragments) == ["exempt"] * 4
    assert "exempt" not in play(gate, later(at_ns=start_ns + FRAGMENT_NS + 1))
    assert FRAGMENT_NS == 30 * S


def test_forgotten_is_forgotten_in_1970_too() -> None:
    """X4, B36: captures may begin at time 0"""
    gate = gateway(settings=made(), ue_nets=("10.1.0.0/16",))
    batch = first(at_ns=0), first(at_ns=0, ports=(4_000, 80)), later(at_ns=0)
    assert play(gate, *batch) == ["exempt", "slow", "slow"]


def test_time_that_goes_back_makes_no_fragment_young() -> None:
    """X4, G8"""
    batch = first(), packet(T0 + 31 * S), later(at_ns=T0 + S)
    assert play(engine(), *batch) == ["exempt", "slow", "slow"]


def test_a_dropped_first_fragment_says_nothing() -> None:
    """N7, X4: spoofed, or malformed: it never gets as far as the list"""
    assert play(engine(), first(code=31), later()) == ["spoof", "slow"]
    assert play(engine(), first(), first(ports=(1, 2), code=23), later()) == [
        "exempt",
        "len",
        "exempt",
    ]


def test_each_leg_between_two_sims_has_fragments_of_its_own() -> None:
    """X2, X4: going up to a SIM that is listed is exempt, coming down from one that is not is not"""
    gate = engine(settings=made(endpoints=(Endpoint("a SIM", (f"{UE_2}/32",), "udp", (53,)),)))
    assert play(gate, first(dst=UE_2), later(dst=UE_2), later(UE_2, UE)) == ["exempt"] * 2 + [
        "slow"
    ]
    assert [sim(gate, k)["up"]["exempt_bytes"] for k in (0, 1)] == [200, 0]
    assert sim(gate, 1)["down"]["exempt_bytes"] == 0


STORY = [
    first(at_ns=T0),
    first(DNS, UE, T0 + 1, ports=ANSWER, fragment=9),
    later(at_ns=T0 + 2),
    later(UE_2, DNS, T0 + 3),
    first(UE_2, DNS, T0 + 4),
    later(DNS, UE, T0 + 5, fragment=9),
    later(UE_2, DNS, T0 + 6),
    first(at_ns=T0 + 7, ports=(4_000, 80)),
    later(at_ns=T0 + 8),
]
TOLD = ["exempt", "exempt", "exempt", "slow", "exempt", "exempt", "exempt", "slow", "slow"]


@pytest.mark.parametrize("shards", [1, 4])
@pytest.mark.parametrize("split", [1, 2, 9])
def test_batches_shards_and_events_make_no_difference(split: int, shards: int) -> None:
    """X4, G8: the first fragment in one batch, piece or call, the next in another"""
    gate = engine(shards=shards)
    gate.schedule([Switch(T0 + k, "a", False) for k in range(1, 9, 3)])
    found = []
    for k in range(0, len(STORY), split):
        found += play(gate, *STORY[k : k + split])
        gate.switch_coupon("b", on=False, at_ns=T0 + k)
    assert found == TOLD
    gate.close()


def test_another_list_does_not_change_what_the_first_fragment_was() -> None:
    """X4: later fragments inherit under a list without that server; a first one is new every time"""
    nothing = Exempt((Endpoint("web", (f"{WEB}/32",)),))
    batch = [first(), first(fragment=8), *[later(at_ns=T0 + k) for k in range(1, 4)]]
    batch += [first(at_ns=T0 + 4, fragment=8), later(at_ns=T0 + 5, fragment=8), later(at_ns=T0 + 6)]
    gate = engine()
    gate.schedule([ReloadExempt(T0 + 2, "other.toml", nothing)])
    assert play(gate, *batch) == ["exempt"] * 5 + ["slow", "slow", "exempt"]


def test_a_server_that_is_listed_anew_has_no_old_fragments() -> None:
    """X4: its first fragment was not exempt, so those that follow are not"""
    gate = engine(settings=made(endpoints=()))
    gate.schedule([ReloadExempt(T0 + 2, "full.toml", Exempt(ENDPOINTS, rating_groups=GROUPS))])
    batch = [first(), later(at_ns=T0 + 3), first(at_ns=T0 + 4), later(at_ns=T0 + 5)]
    assert play(gate, *batch) == ["slow", "slow", "exempt", "exempt"]


def clashing(count: int) -> list[int]:
    """Identifications of first fragments that share a place in the table."""
    row = first()
    found: list[int] = []
    label = 0
    while len(found) < count:
        row["fragment"] = label = label + 1
        if first_way(row[0], np.int64(0), np.int64(label | 17 << 32)) == 0:
            found.append(label)
    return found


def test_the_oldest_of_too_many_at_one_place_pays() -> None:
    """X4, B38: which one that is does not depend on chance"""
    labels = clashing(WAYS + 1)
    gate = engine()
    play(gate, *[first(at_ns=T0 + k, fragment=label) for k, label in enumerate(labels)])
    followers = [later(at_ns=T0 + 10, fragment=label) for label in labels]
    assert play(gate, *followers) == ["slow"] + ["exempt"] * WAYS
    play(gate, first(at_ns=T0 + 11, fragment=labels[2]))  # no second place for the same packet
    assert play(gate, *followers) == ["slow"] + ["exempt"] * WAYS


@pytest.mark.parametrize("field", ["src_hi", "src_lo", "dst_hi", "dst_lo", "fragment"])
def test_packets_that_share_a_place_are_told_apart(field: str) -> None:
    """X4: every half of both addresses counts, wherever the table keeps the packet"""
    p = first(UE6, DNS6)[0]
    row = np.zeros(1, dtype=FRAGMENT)[0]
    for name in ("src_hi", "src_lo", "dst_hi", "dst_lo"):
        row[name] = p[name]
    row["label"], row["session"] = label_of(p), 5
    assert is_of(row, p, np.int64(5), label_of(p))
    assert not is_of(row, p, np.int64(4), label_of(p))
    p[field] += 1
    assert not is_of(row, p, np.int64(5), label_of(p))


def test_a_flood_of_fragments_takes_no_more_memory() -> None:
    """B38: a million identifications; what is pushed out is charged, nothing is exempt by mistake"""
    count = 3 * SETS * WAYS // 2 if JIT_OFF else 1_000_000
    wide = made(high=Limit(400_000_000, 400_000_000, 60_000), high_bps=8_000_000_000)
    gate = gateway(BOOK, settings=wide)
    places = gate.fragments
    assert (len(places), places.nbytes) == (SETS * WAYS, SETS * WAYS * 64)
    flood = np.repeat(first(UE6, DNS6), count)
    flood["fragment"] = np.arange(count) + 1_000
    flood["time_ns"] += np.arange(count)
    assert set(names(gate.process(flood))) == {"exempt"}
    assert gate.fragments is places
    followers = np.repeat(later(UE6, DNS6, T0 + count, length=1), 3_000)
    followers["fragment"][:1_000] = flood["fragment"][:1_000]
    followers["fragment"][1_000:2_000] = flood["fragment"][-1_000:]
    followers["fragment"][2_000:] = 1 << 31 | flood["fragment"][-1_000:]
    found = names(gate.process(followers))
    assert found[:1_000].count("exempt") <= 200 * JIT_OFF  # a shorter flood leaves some of them
    assert found[1_000:2_000].count("exempt") > 990
    assert found[2_000:].count("exempt") == 0


def test_a_cap_looks_at_every_fragment_by_itself() -> None:
    """X4, B41x: what inherits is the class; bytes beyond the cap are not exempt, first or not"""
    gate = engine(settings=made(groups=(RatingGroup(10, "dns", 250), *GROUPS[1:])))
    batch = first(), later(), later(), later(length=50), later(at_ns=T0 + MS, length=1)
    assert play(gate, *batch) == ["exempt", "exempt", "slow", "exempt", "slow"]
