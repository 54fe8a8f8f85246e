"""Text <-> pairs of int64, and the table of outer addresses."""

import ipaddress

import numpy as np
import pytest

from engine.wire import endpoints as ep
from engine.wire.addresses import format_address, parse_address, parse_prefix
from engine.wire.endpoints import Endpoints


@pytest.mark.parametrize(
    "text", ["0.0.0.0", "10.1.2.3", "255.255.255.255", "::", "::1", "2001:db8::1", "ff02::1:2"]
)
def test_an_address_survives_the_way_there_and_back(text: str) -> None:
    halves = parse_address(text)
    assert all(-(1 << 63) <= half < 1 << 63 for half in halves)
    assert format_address(*halves) == text


def test_ipv4_is_held_in_its_mapped_form() -> None:
    assert parse_address("1.2.3.4") == (0, 0xFFFF_0102_0304)
    assert parse_address("::ffff:1.2.3.4") == parse_address("1.2.3.4")
    assert format_address(0, 0xFFFF_0102_0304) == "1.2.3.4"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "10.0.0",
        "10.0.0.256",
        "fe80::1%eth0",
        "host",
        "1.2.3.4/8",
        "1.2.3.04",
        "1.2.3.4\0",
        "1.2.3.４",
    ],
)
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        parse_address(text)


@pytest.mark.parametrize(
    "text", ["10.0.0.0/8", "0.0.0.0/0", "10.1.2.3/32", "2001:db8::/32", "::/0", "2001:db8:0:1::/64"]
)
def test_a_prefix_holds_what_the_library_says(text: str) -> None:
    hi, lo, mask_hi, mask_lo = parse_prefix(text)
    network = ipaddress.ip_network(text)
    for probe in (network[0], network[-1], ipaddress.ip_address("10.0.0.1")):
        probe_hi, probe_lo = parse_address(str(probe))
        inside = probe_hi & mask_hi == hi and probe_lo & mask_lo == lo
        assert inside == (probe.version == network.version and probe in network) or text == "::/0"


def test_an_address_alone_is_a_prefix_of_all_its_bits() -> None:
    assert parse_prefix("10.1.2.3") == (*parse_address("10.1.2.3"), -1, -1)


@pytest.mark.parametrize(
    "text", ["10.0.0.1/8", "10.0.0.0/33", "2001:db8::/129", "2001:db8::1/64", "10.0.0.0/", "10/8"]
)
def test_a_prefix_that_is_none_is_refused(text: str) -> None:
    """B79"""
    with pytest.raises(ValueError, match=r".+"):
        parse_prefix(text)


def test_endpoints_are_numbered_in_the_order_of_first_appearance() -> None:
    endpoints = Endpoints()
    names = [f"2001:db8::{k:x}" for k in range(200)] + [f"10.0.{k}.1" for k in range(200)]
    pairs = [parse_address(name) for name in names]
    assert [endpoints.intern(*pair) for pair in pairs] == list(range(400))
    assert [endpoints.intern(*pair) for pair in reversed(pairs)] == list(reversed(range(400)))
    assert len(endpoints) == 400
    assert endpoints.addresses() == pairs
    assert endpoints.overflows == 0


def test_endpoints_that_find_no_number_share_the_last_one() -> None:
    endpoints = Endpoints()
    first = endpoints.intern(0, 1)
    endpoints.tally[ep.COUNT] = ep.OTHERS
    assert endpoints.intern(0, 2) == ep.OTHERS
    assert endpoints.intern(0, 1) == first
    assert endpoints.overflows == 1
    assert endpoints.addresses()[ep.OTHERS] == parse_address("::")
    assert len(endpoints.addresses()) == ep.ENDPOINTS_MAX


def test_addresses_made_to_collide_cost_a_bounded_number_of_probes() -> None:
    """G7: every address with the same hash is looked for in the same place"""
    endpoints = Endpoints()
    # the hash folds both halves together, so that equal halves cancel out
    pairs = [(k, k ^ ((k ^ (k >> 31)) ^ (k ^ (k >> 29)))) for k in range(1 << 10)]
    slots = {int(ep.slot_of(np.int64(hi), np.int64(lo))) for hi, lo in pairs}
    assert len(slots) == 1
    numbers = [endpoints.intern(hi, lo) for hi, lo in pairs]
    assert numbers[: ep.PROBES_MAX] == list(range(ep.PROBES_MAX))
    assert set(numbers[ep.PROBES_MAX :]) == {ep.OTHERS}
    assert endpoints.overflows == (1 << 10) - ep.PROBES_MAX
