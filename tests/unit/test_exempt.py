"""The exempt list as ranges: cut, sorted, each with the rules that hold there."""

from typing import Any

import numpy as np
import pytest

from engine.config import Endpoint
from engine.errors import ConfigError
from engine.shaper.exempt import ExemptTable, is_exempt
from engine.wire.addresses import format_address, parse_address, parse_prefix

TCP, UDP, ICMP = 6, 17, 1
UDP_OR_TCP: tuple[Any, Any] = ("udp", "tcp")


def table(*endpoints: Endpoint) -> ExemptTable:
    return ExemptTable(endpoints, parse_prefix)


def ranges(made: ExemptTable) -> list[tuple[str, str]]:
    """First and last address of every range."""
    return [
        (format_address(r["first_hi"], r["first_lo"]), format_address(r["last_hi"], r["last_lo"]))
        for r in made.ranges[: made.count]
    ]


def exempt(made: ExemptTable, address: str, protocol: int = TCP, port: int = 0) -> bool:
    hi, lo = (np.int64(half) for half in parse_address(address))
    key = np.int64(protocol << 16 | port)
    return bool(is_exempt(made.index, made.ranges, made.rules, hi, lo, key))


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
