"""The exempt list as ranges: cut, sorted, each with the rules that hold there."""

import ipaddress
from typing import Any

import numpy as np
import pytest

from engine.config import Endpoint, Exempt, RatingGroup
from engine.errors import ConfigError
from engine.shaper.exempt import ExemptTable, RatingGroups
from engine.shaper.lookup import NOT_EXEMPT, exempt_group, suspect
from engine.wire.addresses import format_address, parse_address, parse_prefix

TCP, UDP, ICMP = 6, 17, 1
MAPPED = 0xFFFF << 32
UDP_OR_TCP: tuple[Any, Any] = ("udp", "tcp")


def table(*endpoints: Endpoint, groups: tuple[RatingGroup, ...] = ()) -> ExemptTable:
    return ExemptTable(Exempt(endpoints, rating_groups=groups), parse_prefix, RatingGroups())


def ranges(made: ExemptTable) -> list[tuple[str, str]]:
    """First and last address of every range, in the order of the first ones."""
    found = [
        (format_address(r["first_hi"], r["first_lo"]), format_address(r["last_hi"], r["last_lo"]))
        for r in made.ranges[: made.count]
    ]
    return sorted(found, key=lambda ends: parse_address(ends[0]))


def group(made: ExemptTable, address: str, protocol: int = TCP, port: int = 0) -> int:
    """Index of the rating group, as the kernels look it up; the filter must not be in the way."""
    hi, lo = (np.int64(half) for half in parse_address(address))
    found = int(exempt_group(*made.tables, (hi, lo), np.int64(protocol << 16 | port)))
    assert found == NOT_EXEMPT or suspect(made.filter, hi, lo)
    return found


def exempt(made: ExemptTable, address: str, protocol: int = TCP, port: int = 0) -> bool:
    return group(made, address, protocol, port) != NOT_EXEMPT


def test_an_empty_list_holds_nothing() -> None:
    """X2"""
    made = table()
    assert made.count == 0
    assert not exempt(made, "0.0.0.0")
    assert not exempt(made, "::")


def test_a_prefix_inside_another_cuts_it_in_three() -> None:
    """X2: the rules of both hold in the middle"""
    made = table(
        Endpoint("net", ("192.0.2.0/24",), "tcp", (80,)),
        Endpoint("host", ("192.0.2.53/32",), "udp", (53,)),
    )
    assert ranges(made) == [
        ("192.0.2.0", "192.0.2.52"),
        ("192.0.2.53", "192.0.2.53"),
        ("192.0.2.54", "192.0.2.255"),
    ]
    assert exempt(made, "192.0.2.53", UDP, 53)
    assert exempt(made, "192.0.2.53", TCP, 80)
    assert exempt(made, "192.0.2.54", TCP, 80)
    assert not exempt(made, "192.0.2.54", UDP, 53)


def test_prefixes_that_touch_stay_two() -> None:
    """X2: the same rule twice in one place is no two rules to undo"""
    rule = ("192.0.2.0/25", "192.0.2.128/25", "192.0.2.0/24")
    made = table(Endpoint("twice", rule, "tcp", (80,)))
    assert ranges(made) == [("192.0.2.0", "192.0.2.127"), ("192.0.2.128", "192.0.2.255")]
    assert exempt(made, "192.0.2.255", TCP, 80)
    assert not exempt(made, "192.0.3.0", TCP, 80)
    assert not exempt(made, "192.0.1.255", TCP, 80)


@pytest.mark.parametrize("prefix", ["10.0.0.0/15", "2000::/15"])
def test_a_prefix_wider_than_a_slot_is_cut_at_the_slots(prefix: str) -> None:
    """X2"""
    made = table(Endpoint("wide", (prefix,)))
    assert made.count == 2
    first, last = ranges(made)[0][0], ranges(made)[1][1]
    assert exempt(made, first)
    assert exempt(made, last)


def test_every_ipv4_address_can_be_exempt() -> None:
    """X2: and IPv6 stays out of it"""
    made = table(Endpoint("all", ("0.0.0.0/0",), "udp"))
    assert exempt(made, "0.0.0.0", UDP)
    assert exempt(made, "255.255.255.255", UDP, 9)
    assert not exempt(made, "255.255.255.255", TCP)
    assert not exempt(made, "::", UDP)
    assert not exempt(made, "2001:db8::1", UDP)


def test_half_of_the_internet_cannot_be_meant() -> None:
    """B79"""
    for prefix in ("::/0", "8000::/1"):
        with pytest.raises(ConfigError, match=f"exempt endpoint all: {prefix} covers half"):
            table(Endpoint("all", ("192.0.2.1/32", prefix)))
    assert table(Endpoint("a quarter", ("4000::/2",))).count == 1 << 14


@pytest.mark.parametrize("low", ["::/16", "::5/128", "::fffe:0:0/95"])
def test_ipv6_below_and_around_the_mapped_addresses_is_not_ipv4(low: str) -> None:
    """X2, B79: the rules of one do not leak into the other, in whichever order they come"""
    for prefixes in ((low, "192.0.2.0/24"), ("192.0.2.0/24", low)):
        made = table(*(Endpoint(text, (text,), UDP_OR_TCP["." in text]) for text in prefixes))
        assert exempt(made, "192.0.2.1", TCP)
        assert not exempt(made, "192.0.2.1", UDP)
        assert not exempt(made, "192.0.3.1", TCP)
        inside = low.partition("/")[0]
        assert exempt(made, inside, UDP)
        assert not exempt(made, inside, TCP)


def test_mapped_addresses_are_ipv4() -> None:
    """X2"""
    made = table(Endpoint("mapped", ("::ffff:192.0.2.0/120",)))
    assert exempt(made, "192.0.2.255")
    assert not exempt(made, "192.0.3.0")


def test_addresses_are_compared_without_a_sign() -> None:
    """X2: upper halves of 2^63 and more come after those below"""
    made = table(Endpoint("both", ("7fff:ffff::/32", "ffff:0:0:8000::/49", "8000::/16")))
    for inside in ("7fff:ffff:ffff::", "ffff:0:0:8000:8000::", "ffff:0:0:8000::", "8000::ffff"):
        assert exempt(made, inside)
    for outside in ("7fff:fffe::1", "ffff:0:0:7fff:ffff::", "ffff:0:1::", "8001::", "7fff::"):
        assert not exempt(made, outside)


def test_ports_and_protocols_are_held_apart() -> None:
    """X2: `any` with ports means the two protocols that have ports"""
    made = table(Endpoint("any", ("192.0.2.1/32",), "any", (53, 80)))
    found = [(p, port) for p in (ICMP, TCP, UDP) for port in (0, 52, 53, 80, 65_535)]
    found = [pair for pair in found if exempt(made, "192.0.2.1", *pair)]
    assert found == [(TCP, 53), (TCP, 80), (UDP, 53), (UDP, 80)]


LEVELS = {
    "an address": ("192.0.2.53/32", 1),
    "sixteen addresses": ("192.0.2.16/28", 16),
    "thirty-two addresses": ("192.0.2.32/27", 32),
    "two /24": ("192.0.2.0/23", 512),
    "a slot": ("192.0.0.0/16", 1 << 16),
    "half a slot": ("192.0.0.0/17", 1 << 15),
    "two slots": ("192.0.0.0/15", 1 << 17),
    "an IPv6 host": ("2001:db8::53/128", 1),
    "a /64": ("2001:db8::/64", 1 << 64),
    "sixteen /64": ("2001:db8::/60", 1 << 68),
    "thirty-two /64": ("2001:db8::/59", 1 << 69),
    "a /48": ("2001:db8::/48", 1 << 80),
    "256 /48": ("2001:db8::/40", 1 << 88),
    "512 /48": ("2001:db8::/39", 1 << 89),
}


@pytest.mark.parametrize("name", LEVELS)
def test_a_prefix_of_any_size_ends_where_it_ends(name: str) -> None:
    """X2: whichever way its range is found"""
    prefix, size = LEVELS[name]
    net = ipaddress.ip_network(prefix)
    assert net.num_addresses == size
    made = table(Endpoint("one", (prefix,)))
    for inside in (0, size // 2, size - 1):
        assert exempt(made, str(net[inside]))
    for outside in (net.network_address - 1, net.broadcast_address + 1):
        assert not exempt(made, str(outside))


def test_a_host_in_a_net_in_a_wider_net() -> None:
    """X2: what is left of the wider ones is found beside it, in pieces of other sizes"""
    nested = ("10.0.0.0/12", "10.5.0.0/18", "10.5.6.0/26", "10.5.6.7/32")
    made = table(*(Endpoint(text, (text,), "udp", (k + 1,)) for k, text in enumerate(nested)))
    expected = {"10.5.6.7": 4, "10.5.6.8": 3, "10.5.6.64": 2, "10.5.64.0": 1, "10.15.255.255": 1}
    for address, holding in expected.items():
        assert [exempt(made, address, UDP, k) for k in (1, 2, 3, 4)] == [
            k <= holding for k in (1, 2, 3, 4)
        ]
    assert not exempt(made, "10.16.0.0", UDP, 1)


def test_the_rule_that_fits_says_the_rating_group() -> None:
    """X3: ports of one server may be of different groups; 0 is the group without a number"""
    groups = (RatingGroup(30, "web"), RatingGroup(10, "dns"))
    made = table(
        Endpoint("dns", ("192.0.2.53/32",), "udp", (53,), rating_group=10),
        Endpoint("web", ("192.0.2.0/24",), "tcp", (80, 443), rating_group=30),
        Endpoint("ping", ("192.0.2.53/32",), "any", (7,)),
        groups=groups,
    )
    queries = [(UDP, 53), (TCP, 80), (TCP, 443), (UDP, 7), (TCP, 53)]
    assert [group(made, "192.0.2.53", *query) for query in queries] == [2, 1, 1, 0, NOT_EXEMPT]


def test_nearly_every_other_address_is_told_by_the_filter() -> None:
    """X2: not more than one in five gets past it, and with few prefixes hardly any"""
    hosts = tuple(f"198.18.{k >> 8}.{k & 255}/32" for k in range(0, 20_000, 2))
    for prefixes, most in (((*hosts, "2001:db8::/48"), 0.2), (hosts[:100], 0.05)):
        made = table(Endpoint("hosts", prefixes, "udp", (53,)))
        random = np.random.default_rng(7)
        others = [int(word) for word in random.integers(0, 1 << 32, 2_000) if word >> 16 != 0xC612]
        passed = sum(bool(suspect(made.filter, np.int64(0), np.int64(MAPPED | o))) for o in others)
        assert passed < most * len(others)
