"""Packets with a source route: their destination is not where they are going, so they are not exempt."""

import struct
from pathlib import Path
from typing import Any

import pytest

from engine.config import Endpoint
from engine.layout import PACKET_FIRST, PACKET_FRAGMENT, PACKET_PORTS, PACKET_ROUTED
from engine.wire import MODE_IP
from tests.support.gateway import DNS, MS, T0, book, gateway, line, names, settings
from tests.support.packets import address, ethernet, ipv4, ipv6, only, parse, pcap, udp

UE, UE6, DNS6 = "10.1.0.1", "fd00:0:0:1::1", "2001:db8::53"
LOOSE, STRICT, RECORD = 131, 137, 7
UDP, ROUTING, FRAGMENT = 17, 43, 44
MORE, OFFSET = 0x2000, 8
QUESTION = udp(bytes(40), dst=53)


def route(kind: int = LOOSE, pointer: int = 4, length: int = 7) -> bytes:
    """An IPv4 option with one address, padded to 8 bytes."""
    return bytes((kind, length, pointer)) + address("198.51.100.9") + b"\0"


def routing(left: int, following: int = UDP) -> bytes:
    """An IPv6 routing header of type 4 with one address."""
    return bytes((following, 2, 4, left)) + bytes(4) + address("2001:db8:ffff::9")


def v6(payload: bytes, following: int = ROUTING) -> bytes:
    return ipv6(payload, UE6, DNS6, following=following)


def fragment_header(offset: int, more: bool, following: int = UDP) -> bytes:
    return struct.pack("!BBHI", following, 0, offset << 3 | more, 7)


def flags_of(folder: Path, packet: bytes, held: int | None = None) -> int:
    frame = ethernet(packet)
    return int(only(folder, (T0, frame[:held], len(frame)), MODE_IP)["flags"])


@pytest.mark.parametrize(
    ("options", "routed"),
    [
        (route(), True),
        (route(STRICT), True),
        (route(pointer=8), False),
        (route(pointer=7), True),
        (route(RECORD), False),
        (b"\1" + route()[:7], True),
        (b"\0" + route()[:7], False),
        (route(RECORD)[:7] + b"\1" + route(), True),
        (route(length=0), True),
        (route(RECORD, length=9), True),
        (route(length=2), True),
        (b"\1\1\1\x07", True),
        (b"\1\1\1\1", False),
    ],
)
def test_an_ipv4_source_route_counts_until_it_is_used_up(
    tmp_path: Path, options: bytes, routed: bool
) -> None:
    """X2: RFC 791 3.1; options that cannot be read count as one"""
    flags = flags_of(tmp_path, ipv4(QUESTION, UE, DNS, options=options))
    assert bool(flags & PACKET_ROUTED) == routed
    assert flags & PACKET_PORTS
    later = flags_of(tmp_path, ipv4(QUESTION, UE, DNS, options=options, fragment=OFFSET))
    assert bool(later & PACKET_ROUTED) == routed
    assert later & PACKET_FRAGMENT


def test_options_that_the_capture_cut_off_tell_nothing(tmp_path: Path) -> None:
    """X2, B32: neither do ports then"""
    packet = ipv4(QUESTION, UE, DNS, options=route(RECORD)[:7] + b"\1" + route())
    assert flags_of(tmp_path, packet, held=14 + 28) & (PACKET_ROUTED | PACKET_PORTS) == 0


@pytest.mark.parametrize("left", [0, 1, 255])
def test_an_ipv6_routing_header_counts_while_segments_are_left(tmp_path: Path, left: int) -> None:
    """X2: RFC 8200 4.4, in whole packets and in fragments"""
    want = PACKET_ROUTED if left else 0
    whole = v6(routing(left) + QUESTION)
    first = v6(routing(left, FRAGMENT) + fragment_header(0, more=True) + QUESTION)
    later = v6(routing(left, FRAGMENT) + fragment_header(OFFSET, more=False) + bytes(40))
    kinds = PACKET_FIRST | PACKET_FRAGMENT
    for packet, kind in ((whole, 0), (first, PACKET_FIRST), (later, PACKET_FRAGMENT)):
        flags = flags_of(tmp_path, packet)
        assert flags & (PACKET_ROUTED | kinds) == want | kind
    cut = v6(routing(left, FRAGMENT) + fragment_header(0, more=True) + QUESTION)
    assert flags_of(tmp_path, cut, held=14 + 40 + 24) & PACKET_ROUTED == want


def verdicts(folder: Path, *packets: bytes, **config: Any) -> list[str]:
    """What packets of one SIM without a coupon get, 100 ms apart."""
    frames = [(T0 + k * 100 * MS, ethernet(packet)) for k, packet in enumerate(packets)]
    rows, _ = parse(folder, pcap(frames, magic=0xA1B23C4D), MODE_IP)
    made = settings(**config)
    people = book(line(addresses=(UE, "fd00:0:0:1::/64")))
    with gateway(people, settings=made) as engine:
        return names(engine.process(rows))


def endpoints(*, ports: tuple[int, ...]) -> Any:
    return (Endpoint("dns", (f"{DNS}/32", f"{DNS6}/128"), "any", ports),)


@pytest.mark.parametrize("ports", [(53,), ()])
def test_a_packet_that_goes_on_by_a_source_route_is_not_exempt(
    tmp_path: Path, ports: tuple[int, ...]
) -> None:
    """X2, X4: or a waypoint on the list would be a way to anywhere"""
    plain, used_up, routed = (
        ipv4(QUESTION, UE, DNS, options=options) for options in (b"", route(pointer=8), route())
    )
    plain6, used_up6, routed6 = (
        v6(QUESTION, UDP),
        v6(routing(0) + QUESTION),
        v6(routing(1) + QUESTION),
    )
    packets = (plain, used_up, routed, plain6, used_up6, routed6)
    want = ["exempt", "exempt", "slow"] * 2
    assert verdicts(tmp_path, *packets, endpoints=endpoints(ports=ports)) == want


def test_a_later_fragment_with_a_source_route_does_not_inherit(tmp_path: Path) -> None:
    """X4: its first one went to the exempt server, this one does not"""
    first = ipv4(QUESTION, UE, DNS, fragment=MORE)
    astray = ipv4(bytes(40), UE, DNS, fragment=OFFSET, options=route())
    later = ipv4(bytes(40), UE, DNS, fragment=OFFSET)
    want = ["exempt", "slow", "exempt"]
    assert verdicts(tmp_path, first, astray, later) == want
    first6 = v6(fragment_header(0, more=True) + QUESTION, FRAGMENT)
    astray6 = v6(routing(1, FRAGMENT) + fragment_header(OFFSET, more=False) + bytes(40))
    later6 = v6(fragment_header(OFFSET, more=False) + bytes(40), FRAGMENT)
    exempt = endpoints(ports=(53,))
    assert verdicts(tmp_path, first6, astray6, later6, endpoints=exempt) == want


def test_a_first_fragment_with_a_source_route_makes_the_packet_forgotten(tmp_path: Path) -> None:
    """X4, B36"""
    first = ipv4(QUESTION, UE, DNS, fragment=MORE)
    astray = ipv4(QUESTION, UE, DNS, fragment=MORE, options=route())
    later = ipv4(bytes(40), UE, DNS, fragment=OFFSET)
    assert verdicts(tmp_path, first, astray, later) == ["exempt", "slow", "slow"]
