"""The exempt list against the standard library's networks, on prefixes that overlap at will."""

import ipaddress
from random import Random
from typing import Any

import numpy as np
import pytest
from hypothesis import event, example, given
from hypothesis import strategies as st

from engine.config import Endpoint, Exempt, RatingGroup
from engine.jit import leaf
from engine.shaper.exempt import ExemptTable, RatingGroups
from engine.shaper.lookup import NOT_EXEMPT, exempt_group, noticed, suspect
from engine.wire.addresses import parse_address, parse_prefix
from tests.conftest import JIT_OFF

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
PROTOCOLS: st.SearchStrategy[Any] = st.sampled_from(["tcp", "udp", "any"])


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
"""address, protocol, port"""


@leaf
def look_up(tables, addresses, keys, out):  # type: ignore[no-untyped-def]
    """Ask the kernels' functions for many addresses: rating group, and whether the filter lets pass."""
    filter_words, places, ranges, rules = tables
    for k in range(len(keys)):
        hi, lo = addresses[k, 0], addresses[k, 1]
        out[k, 0] = exempt_group(filter_words, places, ranges, rules, (hi, lo), keys[k])
        out[k, 1] = suspect(filter_words, hi, lo)


def looked_up(table: ExemptTable, queries: list[Query]) -> list[tuple[int, bool]]:
    """(index of the rating group or NOT_EXEMPT, whether the filter lets it pass) of each query."""
    addresses = np.array([parse_address(address) for address, _, _ in queries], dtype=np.int64)
    keys = np.array([protocol << 16 | port for _, protocol, port in queries], dtype=np.int64)
    out = np.zeros((len(queries), 2), dtype=np.int64)
    look_up(table.tables, addresses, keys, out)
    return [(int(group), bool(near)) for group, near in out]


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
    table = ExemptTable(Exempt(tuple(book)), parse_prefix, RatingGroups())
    edges = [
        (str(edge), 6, 80)
        for endpoint in book
        for network in map(ipaddress.ip_network, endpoint.prefixes)
        for edge in (network.network_address, network.broadcast_address)
        if ":" not in str(edge) or edge.ipv4_mapped is None  # those are IPv4 addresses here
    ]
    for address, protocol, port in [*queries, *edges]:
        group, near = looked_up(table, [(address, protocol, port)])[0]
        expected = any(holds(endpoint, address, protocol, port) for endpoint in book)
        assert (group >= 0) == expected, (address, protocol, port)
        assert near or not expected, address


@example(nets=["::/0"], queries=[("10.0.0.1", 6, 80), ("2001:db8::1", 6, 80)])
@example(nets=["::/64"], queries=[("10.0.0.1", 6, 80), ("::1", 6, 80)])
@example(nets=["0.0.0.0/0"], queries=[("255.255.255.255", 6, 80), ("::", 6, 80)])
@example(nets=["8000::/2"], queries=[("bfff:ffff::", 6, 80), ("80ff::", 6, 80)])
@given(
    nets=st.lists(prefixes(), min_size=1, max_size=4),
    queries=st.lists(QUERIES, min_size=1, max_size=30),
)
def test_whatever_lies_in_a_prefix_of_sims_is_noticed(
    nets: list[str], queries: list[Query]
) -> None:
    """N6, X2: what the kernels pass over after two bits is in no `--ue-net`, whatever the list."""
    parsed = [parse_prefix(text) for text in nets]
    table = ExemptTable(Exempt(()), parse_prefix, RatingGroups(), parsed)
    plain = ExemptTable(Exempt(()), parse_prefix, RatingGroups())
    inside = 0
    for text, _, _ in queries:
        hi, lo = map(np.int64, parse_address(text))
        held = any(hi & net[2] == net[0] and lo & net[3] == net[1] for net in parsed)
        inside += held
        assert noticed(table.filter, hi, lo) or not held, text
        assert not suspect(table.filter, hi, lo)
        assert not noticed(plain.filter, hi, lo)
    event(f"inside: {inside > 0}")


def test_few_addresses_elsewhere_are_noticed() -> None:
    """X2: the packaged list of single hosts, and one /8 of SIMs."""
    endpoint = Endpoint("e", tuple(f"198.51.100.{k}" for k in range(40)), "any", ())
    nets = [parse_prefix("10.0.0.0/8"), parse_prefix("2001:db8::/32")]
    table = ExemptTable(Exempt((endpoint,)), parse_prefix, RatingGroups(), nets)
    random = Random(5)
    draws = [0xFFFF << 32 | random.randrange(0x0B000000, 1 << 32) for _ in range(4000)]
    seen = sum(bool(noticed(table.filter, np.int64(0), np.int64(lo))) for lo in draws)
    seen6 = sum(
        bool(noticed(table.filter, np.int64(0x2000 << 48 | draw << 12), np.int64(1)))
        for draw in draws
    )
    assert seen < 200
    assert seen6 < 200


# --- ten thousand prefixes ---

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
SPACES = {
    "spread": (("0.0.0.0/0", 8), ("::/0", 16)),
    "dense": (("10.5.0.0/16", 16), ("2001:db8::/32", 32)),
}
"""where a list's prefixes are from, and the shortest that there may be"""
TOP = {4: (1 << 32) - 1, 6: (1 << 128) - 1}
KINDS: dict[int, Any] = {4: ipaddress.IPv4Network, 6: ipaddress.IPv6Network}
PREFIXES = 10_000
SAMPLE = 1_000 if JIT_OFF else 5_000


def some_network(random: Random, space: str, shortest: int) -> Network:
    """A prefix of any length inside `space`; half of them nest in few places."""
    net = ipaddress.ip_network(space)
    length = random.randint(shortest, net.max_prefixlen)
    free = net.max_prefixlen - net.prefixlen
    host = random.getrandbits(free)
    if random.random() < 0.5:
        host &= ~(-1 << free // 2) | 3 << free - 2
    return ipaddress.ip_network((int(net.network_address) | host, length), strict=False)


def long_list(random: Random, name: str) -> list[Endpoint]:
    """Endpoints of ten prefixes, of both families, in 50 rating groups."""
    endpoints_ = []
    for number in range(PREFIXES // 10):
        texts = {str(some_network(random, *random.choice(SPACES[name]))) for _ in range(10)}
        protocol: Any = random.choice(["tcp", "udp", "any"])
        ports = random.choice([(53,), (80, 443), (25, 993)]) if number % 40 else ()
        group = number % 50
        endpoints_.append(Endpoint(str(number), tuple(sorted(texts)), protocol, ports, group))
    return endpoints_


class Networks:
    """The same list as a plain dictionary of the standard library's networks."""

    def __init__(self, book: list[Endpoint]) -> None:
        self.of: dict[Network, list[Endpoint]] = {}
        for endpoint in book:
            for text in endpoint.prefixes:
                self.of.setdefault(ipaddress.ip_network(text), []).append(endpoint)
        lengths = {(net.version, net.prefixlen) for net in self.of}
        self.lengths = {v: sorted(n for k, n in lengths if k == v) for v in (4, 6)}

    def groups(self, address: str, protocol: int, port: int) -> set[int]:
        """Rating groups of all that hold for a packet."""
        wanted = ipaddress.ip_address(address)
        return {
            endpoint.rating_group
            for length in self.lengths[wanted.version]
            for endpoint in self.of.get(
                KINDS[wanted.version]((int(wanted), length), strict=False), ()
            )
            if not endpoint.ports or port in endpoint.ports
            if (protocol in (6, 17) or not endpoint.ports)
            if endpoint.protocol == "any" or protocol in NUMBERS[endpoint.protocol]
        }


def some_queries(random: Random, name: str, book: list[Endpoint]) -> list[Query]:
    """Anywhere, in the space of the list, and at and beside the ends of its prefixes."""
    nets = [ipaddress.ip_network(text) for endpoint in book for text in endpoint.prefixes]
    found: list[Address] = []
    for net in random.sample(nets, SAMPLE // 5):
        for edge in (net.network_address, net.broadcast_address):
            found += [
                edge,
                *(edge + step for step in (-1, 1) if 0 < int(edge) + step < TOP[net.version]),
            ]
    while len(found) < SAMPLE:
        space, _ = random.choice([*SPACES[name], ("0.0.0.0/0", 0), ("::/0", 0)])
        found.append(some_network(random, space, ipaddress.ip_network(space).prefixlen)[0])
    return [
        (str(address), random.choice([1, 6, 17]), random.choice([0, 53, 80, 443, 9]))
        for address in found
        if not isinstance(address, ipaddress.IPv6Address) or address.ipv4_mapped is None
    ]


@pytest.mark.parametrize("name", SPACES)
def test_ten_thousand_prefixes_say_what_the_networks_say(name: str) -> None:
    """X2, B79: random and dense, nested, both families; and the filter stops none that is exempt"""
    random = Random(name)
    book = long_list(random, name)
    groups = tuple(RatingGroup(k, f"group {k}") for k in range(1, 50))
    table = ExemptTable(Exempt(tuple(book), rating_groups=groups), parse_prefix, RatingGroups())
    networks = Networks(book)
    queries = some_queries(random, name, book)
    held = 0
    for query, (group, near) in zip(queries, looked_up(table, queries), strict=True):
        expected = networks.groups(*query)
        assert group in expected if expected else group == NOT_EXEMPT, query
        assert near or not expected, query
        held += bool(expected)
    assert len(queries) // 20 < held < len(queries) * 19 // 20


def test_the_comparison_finds_a_prefix_that_is_a_bit_too_long() -> None:
    """A checker that cannot fail proves nothing"""
    random = Random("planted")
    book = long_list(random, "dense")
    queries = some_queries(random, "dense", book)
    networks = Networks(book)
    for at, endpoint in enumerate(book):
        short = [text for text in endpoint.prefixes if not text.endswith(("/32", "/128"))]
        longer = [str(next(ipaddress.ip_network(text).subnets())) for text in short]
        book[at] = Endpoint(endpoint.name, (*longer, "192.0.2.1/32"), endpoint.protocol)
    table = ExemptTable(Exempt(tuple(book)), parse_prefix, RatingGroups())
    found = [group != NOT_EXEMPT for group, _ in looked_up(table, queries)]
    assert found != [bool(networks.groups(*query)) for query in queries]
