"""Which packets are exempt: by the network side's address, protocol and port."""

from typing import Any

import pytest

from engine.config import Endpoint, Limit
from engine.layout import PACKET_FRAGMENT, PACKET_PORTS
from engine.units import MB
from tests.support.gateway import (
    DNS,
    MS,
    SERVER,
    T0,
    TCP,
    UDP,
    UE,
    UE_2,
    book,
    both,
    gateway,
    line,
    packet,
    play,
    settings,
    sim,
    train,
    waits,
)

MAIL, WEB, DNS6 = "192.0.2.25", "192.0.2.81", "2001:db8::53"
UE6 = "2001:db8:0:1::7"
ENDPOINTS = (
    Endpoint("dns", (f"{DNS}/32", f"{DNS6}/128"), "udp", (53,)),
    Endpoint("mail", (f"{MAIL}/32",), "tcp", (25, 110, 143, 465, 587, 993, 995)),
    Endpoint("web", ("192.0.2.80/31",)),
    Endpoint("any", ("192.0.2.128/25",), "any", (80, 443)),
)
SUBSCRIBER = line(addresses=(UE, "2001:db8:0:1::/64"), coupon=False)

EXEMPT: dict[str, dict[str, Any]] = {
    "DNS, up": {"dst": DNS, "ports": (4_000, 53)},
    "DNS, down": {"src": DNS, "dst": UE, "ports": (53, 4_000)},
    "DNS over IPv6, up": {"src": UE6, "dst": DNS6, "ports": (4_000, 53)},
    "DNS over IPv6, down": {"src": DNS6, "dst": UE6, "ports": (53, 4_000)},
    "mail, last port of the list": {"dst": MAIL, "ports": (4_000, 995), "protocol": TCP},
    "every port": {"dst": WEB, "ports": (4_000, 9), "protocol": TCP},
    "every protocol, without ports": {"dst": WEB, "protocol": 1},
    "TCP of any": {"dst": "192.0.2.128", "ports": (4_000, 443), "protocol": TCP},
    "UDP of any": {"dst": "192.0.2.255", "ports": (4_000, 443), "protocol": UDP},
}
CHARGED: dict[str, dict[str, Any]] = {
    "another port": {"dst": DNS, "ports": (4_000, 54)},
    "another protocol": {"dst": DNS, "ports": (4_000, 53), "protocol": TCP},
    "the address before": {"dst": "192.0.2.52", "ports": (4_000, 53)},
    "the address after": {"dst": "192.0.2.54", "ports": (4_000, 53)},
    "the port on the subscriber's side, up": {"dst": DNS, "ports": (53, 4_000)},
    "the port on the subscriber's side, down": {"src": DNS, "dst": UE, "ports": (4_000, 53)},
    "the source port of another server (B43x)": {"src": SERVER, "dst": UE, "ports": (53, 4_000)},
    "port 53 of another server (B42x)": {"dst": SERVER, "ports": (4_000, 53)},
    "ports that are not complete (B32)": {"dst": DNS},
    "a protocol without ports where ports are asked for": {"dst": "192.0.2.128", "protocol": 1},
    "an IPv6 address with the IPv4 one in it": {"src": UE6, "dst": "2001:db8::c000:235"},
}


@pytest.mark.parametrize("name", EXEMPT)
def test_exempt(name: str) -> None:
    """X1, X2, X3: neither slowed nor charged, coupon or not"""
    engine = gateway(book(SUBSCRIBER), settings=settings(endpoints=ENDPOINTS))
    fields = {"src": UE, "length": 3_000} | EXEMPT[name]
    batch = packet(T0, **fields)
    assert play(engine, batch, batch) == ["exempt"] * 2
    found = sim(engine)
    assert (both(found, "exempt_bytes"), both(found, "inner_bytes")) == (6_000, 6_000)
    engine.switch_coupon("a", on=True, at_ns=T0)
    engine.charge("hdd1", coupons=1, at_ns=T0)
    assert play(engine, batch) == ["exempt"]
    assert both(sim(engine), "charged_bytes") == 0


@pytest.mark.parametrize("name", CHARGED)
def test_not_exempt(name: str) -> None:
    """X2, B32, B42x, B43x"""
    engine = gateway(book(SUBSCRIBER), settings=settings(endpoints=ENDPOINTS))
    assert play(engine, packet(T0, **({"src": UE} | CHARGED[name]))) == ["slow"]


@pytest.mark.parametrize("dst", [DNS, WEB])
@pytest.mark.parametrize("flags", [PACKET_FRAGMENT, PACKET_FRAGMENT | PACKET_PORTS])
def test_a_later_fragment_is_not_exempt(dst: str, flags: int) -> None:
    """X4, B37: not even where the whole address is"""
    engine = gateway(book(SUBSCRIBER), settings=settings(endpoints=ENDPOINTS))
    assert play(engine, packet(T0, UE, dst, flags=flags)) == ["slow"]


def test_what_is_dropped_anyway_is_not_exempt() -> None:
    """N7: a drop that the parser decided on stays one"""
    engine = gateway(book(SUBSCRIBER), settings=settings(endpoints=ENDPOINTS))
    assert play(engine, packet(T0, UE, DNS, ports=(4_000, 53), code=23)) == ["len"]


def test_exempt_traffic_keeps_to_high_speed_and_to_its_own_queue() -> None:
    """X4, P4: no way round the gateway; not behind the slow queue either"""
    made = settings(high=Limit(burst_bytes=1_000, queue_bytes=2_000, queue_ms=1_000))
    engine = gateway(book(), settings=made)
    assert play(engine, train(4, 0, length=1_000)) == ["slow"] * 4
    batch = train(4, 0, UE, DNS, length=1_000, ports=(4_000, 53))
    verdicts = engine.process(batch)
    assert waits(batch[:3], verdicts[:3]) == [0, 1 * MS, 2 * MS]  # a byte a microsecond
    assert int(verdicts["code"][3]) == 36
    down = train(1, 0, DNS, UE, length=1_000, ports=(53, 4_000))
    assert waits(down, engine.process(down)) == [0]
    up = sim(engine)["up"]
    assert (up["exempt_bytes"], up["dropped_bytes"]) == (3_000, 1_000)


def test_time_that_goes_back_fills_no_exempt_bucket() -> None:
    """X4, G8"""
    made = settings(high=Limit(burst_bytes=1_000, queue_bytes=2_000, queue_ms=1_000))
    engine = gateway(book(), settings=made)
    batch = train(3, -MS, UE, DNS, length=1_000, ports=(4_000, 53))
    verdicts = engine.process(batch)
    assert [int(ns) - T0 for ns in verdicts["departure_ns"]] == [0, 1 * MS, 2 * MS]


def test_the_match_is_on_the_network_side_of_each_leg() -> None:
    """X2, B23: between two SIMs each leg has its own network side"""
    made = settings(endpoints=(Endpoint("a SIM that serves", (f"{UE_2}/32",)),))
    engine = gateway(book(line(), line(2), coupon_bytes=30 * MB), settings=made)
    assert play(engine, packet(T0, UE, UE_2)) == ["exempt"]
    first, second = sim(engine, 0), sim(engine, 1)
    assert (first["up"]["exempt_bytes"], second["down"]["charged_bytes"]) == (100, 100)


def test_without_a_list_nothing_is_exempt() -> None:
    """X2"""
    engine = gateway(book(), settings=settings(endpoints=()))
    assert play(engine, packet(T0, UE, DNS, ports=(4_000, 53))) == ["slow"]
