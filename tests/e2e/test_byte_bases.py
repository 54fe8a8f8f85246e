"""Real captures on the four byte bases, frame by frame against what tshark says of their headers."""

from collections import Counter
from pathlib import Path

import pytest

from engine.wire import MODE_GTP, MODE_IP
from engine.wire.basis import BASES
from engine.wire.capture import Capture
from engine.wire.endpoints import Endpoints
from tests.support.tshark import Stack, stacks

GTP = (
    "arkime__gtp-u.pcap",  # ICMP in IPv4 in IPv4
    "arkime__ipv6-gtp6.pcap",  # all IPv6
    "5gtv__free5gc.pcap",  # Linux cooked capture
    "nDPI__rtmp.pcap",  # TCP, sequence numbers
    "nDPI__ipv6_in_gtp.pcap",
    "open5gs__testattach.pcapng",
    "open5gs__volte.pcapng",
    "trex-core__exp__tcp2_http_simple_gtpu_ipv6_c.pcap",  # outer IPv6
    "trex-core__exp__tcp2_http_vlan_gtpu_c.pcap",  # a tag
    "zeek__tunnels__gtp__gtp7_ipv6.pcap",
    "zeek__tunnels__gtp__gtp_ext_header.pcap",  # outer fragments
    "zeek__tunnels__gtp__gtp1_gn_normal_incl_fragmentation.pcap",
)
MIX = (
    "nDPI__443-curl.pcap",
    "nDPI__ocsp.pcapng",
    "nDPI__git.pcap",
    "nDPI__line.pcap",
    "nDPI__malware.pcap",
    "nDPI__zoom2.pcap",
)
Lengths = tuple[int, ...]


def by_us(path: Path, mode: int) -> list[Lengths]:
    """Every packet's length on each basis, in the order of the capture."""
    found = []
    for basis in BASES.values():
        batches = Capture(str(path), Endpoints(), mode, basis=basis)
        found.append([int(length) for batch in batches for length in batch["length"]])
    return list(zip(*found, strict=True))


def by_tshark(path: Path, mode: int, home: Path) -> list[Lengths]:
    """The same: G-PDUs with their inner packets, or outermost packets."""
    found = []
    for stack in stacks(path, home):
        at = 0 if mode == MODE_IP else stack.outside
        if at is not None and at < len(stack.layers):
            found.append(_lengths(stack, at, mode))
    return found


def _lengths(stack: Stack, at: int, mode: int) -> Lengths:
    layer = stack.layers[at]
    if mode == MODE_IP:
        return layer.length, layer.length, stack.frame_bytes, layer.payload
    outer = stack.layers[at - 1]
    return layer.length, outer.datagram, stack.frame_bytes, layer.payload


@pytest.mark.parametrize("name", GTP)
def test_tunnelled_packets_have_the_lengths_that_tshark_sees(
    shared: Path, tmp_path: Path, name: str
) -> None:
    """U3: ip.len or ipv6.plen inside and outside, frame.len, and what tcp.hdr_len leaves"""
    path = shared / "captures" / "gtp" / name
    expected = by_tshark(path, MODE_GTP, tmp_path)
    assert by_us(path, MODE_GTP) == expected
    assert expected


@pytest.mark.parametrize("name", MIX)
def test_plain_packets_have_the_lengths_that_tshark_sees(
    shared: Path, tmp_path: Path, name: str
) -> None:
    """U3"""
    path = shared / "captures" / "mix" / name
    expected = by_tshark(path, MODE_IP, tmp_path)
    assert by_us(path, MODE_IP) == expected
    bare = Counter(lengths[3] == 0 for lengths in expected)
    assert bare[True] > 0
    assert bare[False] > 0
