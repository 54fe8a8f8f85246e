"""The exempt list against the standard library's networks, on prefixes that overlap at will."""

import ipaddress

import numpy as np
from hypothesis import example, given
from hypothesis import strategies as st

from engine.config import Endpoint
from engine.shaper.exempt import ExemptTable, is_exempt
from engine.wire.addresses import parse_address, parse_prefix

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
NUMBERS = {"tcp": (6,), "udp": (17,)}

# Few bits vary, so that prefixes meet, hold one another, and share slots of the first table.
FEW = st.integers(0, 7)


@st.composite
def addresses(draw: st.DrawFn) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    """Near the edges of slots, of halves and of the mapped IPv4 addresses."""
    if draw(st.booleans()):
        base = draw(st.sampled_from([0, 0x0A000000, 0x0A00FFF8, 0xC0000200, 0xFFFFFFF8]))
        return ipaddress.IPv4Address(base | draw(FEW))
    high = draw(st.sampled_from([0, 0x20010DB8, 0x2001FFFF, 0x80000000, 0xFFFFFFFF]))
    middle = draw(st.sampled_from([0, 1 << 63, (1 << 64) - 8, 0xFFFE << 32]))
    return ipaddress.IPv6Address(high << 96 | middle | draw(FEW))


@st.composite
def prefixes(draw: st.DrawFn) -> str:
    address = draw(addresses())
    if address.version == 4:
        length = draw(st.sampled_from([8, 15, 16, 17, 24, 29, 30, 31, 32]))
    else:
        length = draw(st.sampled_from([12, 15, 16, 17, 32, 63, 64, 65, 80, 95, 126, 127, 128]))
    return str(ipaddress.ip_network(f"{address}/{length}", strict=False))


PORTS = st.sampled_from([(), (53,), (80, 443), (53, 80)])
PROTOCOLS = st.sampled_from(["tcp", "udp", "any"])


@st.composite
def endpoints(draw: st.DrawFn) -> Endpoint:
    texts = draw(st.lists(prefixes(), min_size=1, max_size=4))
    return Endpoint("e", tuple(texts), draw(PROTOCOLS), draw(PORTS))


def holds(endpoint: Endpoint, address: str, protocol: int, port: int) -> bool:
    """X2 in plain words: address, protocol and port; "any" with ports are those that have ports."""
    wanted = ipaddress.ip_address(address)
    networks: list[Network] = [ipaddress.ip_network(text) for text in endpoint.prefixes]
    if not any(wanted in network for network in networks if network.version == wanted.version):
        return False
    if endpoint.ports and port not in endpoint.ports:
        return False
    if endpoint.protocol == "any":
        return not endpoint.ports or protocol in (6, 17)
    return protocol in NUMBERS[endpoint.protocol]


Query = tuple[str, int, int]
QUERIES = st.tuples(
    addresses().map(str), st.sampled_from([1, 6, 17]), st.sampled_from([0, 53, 80, 443, 65_535])
)


def planted(*texts: str) -> list[Endpoint]:
    return [Endpoint("e", (text,), "any", ()) for text in texts]


@example(book=planted("::/16", "192.0.2.0/24"), queries=[("192.0.2.1", 6, 80), ("::1", 6, 80)])
@example(book=planted("::/16"), queries=[("10.0.0.1", 6, 80), ("::", 17, 0)])
@example(book=planted("0.0.0.0/0", "10.0.0.0/15"), queries=[("10.0.255.255", 6, 80)])
@example(book=planted("8000::/2", "ffff::/16"), queries=[("bfff::", 1, 0), ("ffff::", 1, 0)])
@given(
    book=st.lists(endpoints(), min_size=1, max_size=5),
    queries=st.lists(QUERIES, min_size=1, max_size=30),
)
def test_the_list_says_what_the_networks_say(book: list[Endpoint], queries: list[Query]) -> None:
    """X2, B79: overlapping prefixes of both families with rules of their own"""
    table = ExemptTable(tuple(book), parse_prefix)
    edges = [
        (str(edge), 6, 80)
        for endpoint in book
        for network in map(ipaddress.ip_network, endpoint.prefixes)
        for edge in (network.network_address, network.broadcast_address)
        if ":" not in str(edge) or edge.ipv4_mapped is None  # those are IPv4 addresses here
    ]
    for address, protocol, port in [*queries, *edges]:
        hi, lo = (np.int64(half) for half in parse_address(address))
        key = np.int64(protocol << 16 | port)
        found = bool(is_exempt(table.index, table.ranges, table.rules, hi, lo, key))
        expected = any(holds(endpoint, address, protocol, port) for endpoint in book)
        assert found == expected, (address, protocol, port)
