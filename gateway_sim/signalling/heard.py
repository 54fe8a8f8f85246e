"""What a gateway says in GTP-C, read by own code: scapy takes a millisecond and trusts lengths.

TS 29.274 (version 2) and TS 29.060 (version 1), as far as an S-GW or SGSN must understand answers and
deletions. Of equal elements the first counts; unknown ones are passed over.
"""

import ipaddress
from collections.abc import Iterator
from dataclasses import dataclass, field

from gateway_sim.codec.options import (
    CHAP_ID,
    DNS_IPV4,
    DNS_IPV6,
    IPCP,
    PAP_ID,
    PRIMARY_DNS,
    SECONDARY_DNS,
)
from gateway_sim.signalling.control import KINDS, Kind
from gateway_sim.signalling.terminal import Fteid

ELEMENTS_MAX = 256
EXTENSIONS_MAX = 8
V2_CAUSE, V2_RECOVERY, V2_EBI, V2_PCO, V2_PAA = 2, 3, 73, 78, 79
V2_FTEID, V2_BEARER, V2_CHARGING_ID, V2_APCO = 87, 93, 94, 163
PGW_USER, PGW_CONTROL = 5, 7
"""interface types of the P-GW's F-TEIDs on S5/S8 (8.22)"""
V1_CAUSE, V1_RECOVERY, V1_TEID_DATA, V1_TEID_CONTROL, V1_NSAPI = 1, 14, 16, 17, 20
V1_CHARGING_ID, V1_ADDRESS, V1_PCO, V1_GSN = 127, 128, 132, 133
V1_FIXED_BYTES = {1: 1, 2: 8, 3: 6, 4: 4, 5: 4, 8: 1, 9: 28, 11: 1, 12: 3, 13: 1, 14: 1, 15: 1}
V1_FIXED_BYTES |= {16: 4, 17: 4, 18: 5, 19: 1, 20: 1, 21: 1, 22: 1, 23: 1, 24: 1, 25: 2, 26: 2}
V1_FIXED_BYTES |= {27: 2, 28: 2, 29: 1, 127: 4}
"""elements without a length (TS 29.060 table 37)"""
PDP_IPV4, PDP_IPV6, PDP_IPV4V6 = 0x21, 0x57, 0x8D
PASSED = {(PAP_ID, 2): True, (PAP_ID, 3): False, (CHAP_ID, 3): True, (CHAP_ID, 4): False}
"""(protocol, code) of an answer -> whether it says yes (RFC 1334 2.2.2, RFC 1994 4.2)"""


@dataclass(slots=True)
class Heard:
    """One message; what it does not carry is None or empty. `fault` says why it cannot be read."""

    version: int = 0
    message_type: int = 0
    kind: Kind | None = None
    sequence: int = 0
    teid: int | None = None
    fault: str = ""
    cause: int | None = None
    recovery: int | None = None
    control: Fteid | None = None
    user: Fteid | None = None
    ipv4: str | None = None
    ipv6: str | None = None
    dns: tuple[str, ...] = ()
    authenticated: bool | None = None
    charging_id: int | None = None
    bearers: list[int] = field(default_factory=list)
    """EBIs or NSAPIs that are named"""


def read(data: bytes) -> Heard:
    """Read a datagram; never raises."""
    if len(data) < 8:
        return Heard(fault="short")
    version = data[0] >> 5
    heard = Heard(version, data[1], KINDS.get(version, {}).get(data[1]))
    if version == 2:
        heard.fault = _read2(data, heard)
    elif version == 1 and data[0] & 0x10:
        heard.fault = _read1(data, heard)
    else:
        heard.fault = "version"
    return heard


def ipv4_text(octets: bytes) -> str:
    """Dotted decimal of four octets."""
    return f"{octets[0]}.{octets[1]}.{octets[2]}.{octets[3]}"


def _address(octets: bytes) -> str | None:
    if len(octets) == 4:
        return ipv4_text(octets)
    return str(ipaddress.IPv6Address(octets)) if len(octets) == 16 else None


def _prefix(octets: bytes, bits: int = 64) -> str:
    return str(ipaddress.IPv6Network((octets, min(bits, 128)), strict=False))


# --- version 2 ------------------------------------------------------------------------------------


def _read2(data: bytes, heard: Heard) -> str:
    """The header (TS 29.274 5.1), then the elements; what a piggybacked message says is left."""
    begin = 12 if data[0] & 0x08 else 8
    end = 4 + int.from_bytes(data[2:4], "big")
    if not begin <= end <= len(data) or (end < len(data) and not data[0] & 0x10):
        return "length"
    if begin == 12:
        heard.teid = int.from_bytes(data[4:8], "big")
    heard.sequence = int.from_bytes(data[begin - 4 : begin - 1], "big")
    return _elements2(data[begin:end], heard, False)


def _elements2(data: bytes, heard: Heard, nested: bool) -> str:
    at, count = 0, 0
    seen: set[tuple[int, int]] = set()
    while at < len(data):
        end = at + 4 + int.from_bytes(data[at + 1 : at + 3], "big")
        count += 1
        if at + 4 > len(data) or end > len(data) or count > ELEMENTS_MAX:
            return "element"
        mark, body = (data[at], data[at + 3] & 0x0F), data[at + 4 : end]
        fault = "" if mark in seen else _element2(data[at], body, heard, nested)
        if fault:
            return fault
        if data[at] != V2_EBI:  # a deletion may name several bearers
            seen.add(mark)
        at = end
    return ""


def _element2(kind: int, body: bytes, heard: Heard, nested: bool) -> str:
    if kind == V2_BEARER:
        return "" if nested else _elements2(body, heard, True)
    if kind == V2_CAUSE and not nested and body:
        heard.cause = body[0]
    elif kind == V2_RECOVERY and body:
        heard.recovery = body[0]
    elif kind == V2_EBI and body:
        heard.bearers.append(body[0] & 0x0F)
    elif kind == V2_FTEID:
        return _fteid(body, heard)
    elif kind == V2_PAA:
        return _paa(body, heard)
    elif kind in (V2_PCO, V2_APCO):
        return _options(body, heard)
    elif kind == V2_CHARGING_ID and len(body) >= 4:
        heard.charging_id = int.from_bytes(body[:4], "big")
    return ""


def _fteid(body: bytes, heard: Heard) -> str:
    """8.22; with both addresses, IPv4 is used."""
    v4, v6 = body[:1] >= b"\x80", bool(body and body[0] & 0x40)
    if len(body) < 5 + 4 * v4 + 16 * v6 or not (v4 or v6):
        return "f-teid"
    address = _address(body[5:9] if v4 else body[5:21]) or ""
    end = Fteid(int.from_bytes(body[1:5], "big"), address)
    if body[0] & 0x3F == PGW_CONTROL:
        heard.control = heard.control or end
    elif body[0] & 0x3F == PGW_USER:
        heard.user = heard.user or end
    return ""


def _paa(body: bytes, heard: Heard) -> str:
    """8.14."""
    kind = body[0] & 7 if body else 0
    if len(body) != {1: 5, 2: 18, 3: 22}.get(kind):
        return "paa"
    if kind != 1:
        heard.ipv6 = _prefix(body[2:18], body[1])
    if kind != 2:
        heard.ipv4 = ipv4_text(body[-4:])
    return ""


# --- version 1 ------------------------------------------------------------------------------------


def _read1(data: bytes, heard: Heard) -> str:
    """The header (TS 29.060 6): with any of E, S and PN there are four octets more."""
    end = 8 + int.from_bytes(data[2:4], "big")
    begin = 12 if data[0] & 7 else 8
    if end != len(data) or end < begin:
        return "length"
    heard.teid = int.from_bytes(data[4:8], "big")
    heard.sequence = int.from_bytes(data[8:10], "big") if data[0] & 2 else 0
    following = data[11] if data[0] & 4 else 0
    for _ in range(EXTENSIONS_MAX):
        if not following:
            break
        size = 4 * data[begin] if begin < end else 0
        if not size or begin + size > end:
            return "extension"
        begin += size
        following = data[begin - 1]
    return "extension" if following else _elements1(data[begin:end], heard)


def _split1(data: bytes) -> Iterator[tuple[int, bytes]]:
    """(type, body) of each element; type -1 where it cannot be told where the next begins."""
    at = 0
    while at < len(data):
        kind = data[at]
        size = V1_FIXED_BYTES.get(kind, -1)
        at += 1
        if kind >= 128:
            size = int.from_bytes(data[at : at + 2], "big")
            at += 2
        if size < 0 or at + size > len(data):
            yield -1, b""
            return
        yield kind, data[at : at + size]
        at += size


def _elements1(data: bytes, heard: Heard) -> str:
    found: dict[int, bytes] = {}
    addresses: list[str] = []
    for kind, body in _split1(data):
        if kind < 0 or len(addresses) > ELEMENTS_MAX:
            return "element"
        found.setdefault(kind, body)
        if kind == V1_GSN:
            address = _address(body)
            if address is None:
                return "gsn-address"
            addresses.append(address)
    return _found1(found, addresses, heard)


def _found1(found: dict[int, bytes], addresses: list[str], heard: Heard) -> str:
    """The first GSN address is for control, the second for user traffic (TS 29.060 7.3.2)."""
    if V1_CAUSE in found:
        heard.cause = found[V1_CAUSE][0]
    if V1_RECOVERY in found:
        heard.recovery = found[V1_RECOVERY][0]
    if V1_NSAPI in found:
        heard.bearers.append(found[V1_NSAPI][0] & 0x0F)
    if V1_CHARGING_ID in found:
        heard.charging_id = int.from_bytes(found[V1_CHARGING_ID], "big")
    if V1_TEID_CONTROL in found and addresses:
        heard.control = Fteid(int.from_bytes(found[V1_TEID_CONTROL], "big"), addresses[0])
    if V1_TEID_DATA in found and len(addresses) > 1:
        heard.user = Fteid(int.from_bytes(found[V1_TEID_DATA], "big"), addresses[1])
    fault = _end_user_address(found[V1_ADDRESS], heard) if V1_ADDRESS in found else ""
    if not fault and V1_PCO in found:
        fault = _options(found[V1_PCO], heard)
    return fault


def _end_user_address(body: bytes, heard: Heard) -> str:
    """7.7.27: organisation, number, then IPv4, IPv6, or IPv4 before IPv6."""
    number = body[1] if len(body) > 1 else 0
    if len(body) != {PDP_IPV4: 6, PDP_IPV6: 18, PDP_IPV4V6: 22}.get(number):
        return "end-user-address"
    if number != PDP_IPV6:
        heard.ipv4 = ipv4_text(body[2:6])
    if number != PDP_IPV4:
        heard.ipv6 = _prefix(body[-16:])
    return ""


# --- what both have -------------------------------------------------------------------------------


def _options(body: bytes, heard: Heard) -> str:
    """Name servers, each once, and what was said to PAP or CHAP (TS 24.008 10.5.6.3)."""
    at, servers = 1, dict.fromkeys(heard.dns)
    while at < len(body):
        protocol, size = (
            int.from_bytes(body[at : at + 2], "big"),
            int.from_bytes(body[at + 2 : at + 3]),
        )
        content = body[at + 3 : at + 3 + size]
        at += 3 + size
        if at > len(body):
            return "options"
        if protocol in (DNS_IPV4, DNS_IPV6):
            servers[_address(content) or ""] = None
        elif protocol == IPCP:
            servers.update(dict.fromkeys(_ipcp(content)))
        elif content and (protocol, content[0]) in PASSED:
            heard.authenticated = PASSED[protocol, content[0]]
    heard.dns = tuple(server for server in servers if server not in ("", "0.0.0.0"))
    return ""


def _ipcp(packet: bytes) -> Iterator[str]:
    """The name servers of a Configure-Ack or -Nak (codes 2 and 3)."""
    at = 4
    while packet[:1] in (b"\2", b"\3") and at + 2 <= len(packet) and packet[at + 1] >= 2:
        kind, size = packet[at], packet[at + 1]
        if kind in (PRIMARY_DNS, SECONDARY_DNS) and size == 6 and at + 6 <= len(packet):
            yield ipv4_text(packet[at + 2 : at + 6])
        at += size
