"""What the P-GW or GGSN answers, for captures that hold both sides: by scapy, then stamped.

A message is built once with marks in place of what differs; where they stand, others get their own.
Accepted requests only: GTPv2-C (TS 29.274 7.2.2, 7.2.8, 7.2.10.1), GTPv1-C (TS 29.060 7.3.2, 7.3.4,
7.3.6).
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from gateway_sim.codec.gtpv1 import PDP_TYPE
from gateway_sim.codec.gtpv2 import PRIORITY, QCI
from gateway_sim.codec.options import DNS_IPV4, IDENTIFIER, PAP_ID
from gateway_sim.signalling.control import SEQUENCE_BITS, TYPES, Kind
from gateway_sim.signalling.terminal import BEARER_ID, IPV4, IPV6

PGW_USER, PGW_CONTROL = 5, 7
"""interface types of an F-TEID on S5/S8 (8.22)"""
ACCEPTED = {1: 128, 2: 16}
PREFIX_BITS = 64
INTERFACE_ID = (1).to_bytes(8, "big")


@dataclass(frozen=True, slots=True)
class Answer:
    """All of an answer that many sessions have alike; `dns` is the name server that is given."""

    version: int
    kind: Kind
    address: str
    restarts: int = 0
    pdn_type: int = IPV4
    dns: str = "192.0.2.53"


@dataclass(frozen=True, slots=True)
class Given:
    """What differs: `teid` is the header's, the receiver's; the others are this side's."""

    sequence: int
    teid: int = 0
    teid_control: int = 0
    teid_user: int = 0
    charging_id: int = 0
    ipv4: bytes = b""
    ipv6: bytes = b""  # 8 octets: a /64


MARK = Given(
    sequence=0,
    teid=0,
    teid_control=0xE3C5B7A9,
    teid_user=0xE4C6D8BA,
    charging_id=0xE5C7F9CB,
    ipv4=b"\xe6\xc8\xea\xdc",
    ipv6=b"\xe7\xc9\xfb\xed\xa1\xa2\xa3\xa4",
)
"""values of which each occurs once in a message that has it"""


def stamp(answer: Answer, given: Given) -> bytes:
    """The answer as octets."""
    made, places = _template(answer)
    octets = bytearray(made)
    for name, at, size in places:
        value = getattr(given, name)
        octets[at : at + size] = value if isinstance(value, bytes) else value.to_bytes(size, "big")
    return bytes(octets)


@lru_cache(maxsize=64)
def _template(answer: Answer) -> tuple[bytes, tuple[tuple[str, int, int], ...]]:
    """Octets, and (field, offset, size) of all that is stamped."""
    octets = build(answer, MARK)
    size = SEQUENCE_BITS[answer.version] // 8
    places = [("teid", 4, 4), ("sequence", 8, size)]
    if answer.version == 2 and not octets[0] & 0x08:
        places = [("sequence", 4, size)]
    for name in ("teid_control", "teid_user", "charging_id", "ipv4", "ipv6"):
        value = getattr(MARK, name)
        mark = value if isinstance(value, bytes) else value.to_bytes(4, "big")
        if mark in octets:
            places.append((name, octets.index(mark), len(mark)))
    return octets, tuple(places)


def build(answer: Answer, given: Given) -> bytes:
    """The answer by scapy alone."""
    return (_build_v2 if answer.version == 2 else _build_v1)(answer, given)


def _pco(answer: Answer) -> bytes:
    """PAP was right, and a name server (RFC 1334 2.2.2, TS 24.008 10.5.6.3)."""
    import ipaddress

    acknowledged = bytes([2, IDENTIFIER, 0, 5, 0])
    server = ipaddress.IPv4Address(answer.dns).packed
    found = b"\x80" + PAP_ID.to_bytes(2, "big") + bytes([len(acknowledged)]) + acknowledged
    if answer.pdn_type != IPV6:
        found += DNS_IPV4.to_bytes(2, "big") + bytes([len(server)]) + server
    return found


def _build_v2(answer: Answer, given: Given) -> bytes:
    from scapy.contrib.gtp_v2 import GTPHeader, GTPV2Command

    body = bytes(GTPV2Command(IE_list=_elements_v2(answer, given)))
    if answer.kind == Kind.CREATE_RESPONSE:
        octets = _pco(answer)
        body += b"\x4e" + len(octets).to_bytes(2, "big") + b"\0" + octets
    tunnelled = answer.kind != Kind.ECHO_RESPONSE
    header = GTPHeader(
        P=0,
        T=int(tunnelled),
        gtp_type=TYPES[2][answer.kind],
        teid=given.teid,
        seq=given.sequence,
        length=len(body) + (8 if tunnelled else 4),
    )
    return bytes(header) + body


def _elements_v2(answer: Answer, given: Given) -> list[Any]:
    from scapy.contrib import gtp_v2 as v2

    recovery = v2.IE_RecoveryRestart(restart_counter=answer.restarts)
    if answer.kind == Kind.ECHO_RESPONSE:
        return [recovery]
    cause = v2.IE_Cause(Cause=ACCEPTED[2])
    if answer.kind == Kind.DELETE_RESPONSE:
        return [cause, recovery]
    bearer: list[Any] = [v2.IE_EPSBearerID(EBI=BEARER_ID), v2.IE_Cause(Cause=ACCEPTED[2])]
    if answer.kind == Kind.MODIFY_RESPONSE:
        return [cause, v2.IE_BearerContext(IE_list=bearer), recovery]
    ends = [
        v2.IE_FTEID(
            instance=instance,
            ipv4_present=1,
            InterfaceType=interface,
            GRE_Key=teid,
            ipv4=answer.address,
        )
        for instance, interface, teid in (
            (1, PGW_CONTROL, given.teid_control),
            (2, PGW_USER, given.teid_user),
        )
    ]
    bearer += [
        ends[1],
        v2.IE_Bearer_QoS(PCI=1, PriorityLevel=PRIORITY, PVI=0, QCI=QCI),
        v2.IE_ChargingID(ChargingID=given.charging_id),
    ]
    return [
        cause,
        ends[0],
        _paa(answer, given),
        v2.IE_APN_Restriction(APN_Restriction=0),
        v2.IE_BearerContext(IE_list=bearer),
        recovery,
    ]


def _paa(answer: Answer, given: Given) -> Any:
    import ipaddress

    from scapy.contrib.gtp_v2 import IE_PAA

    fields: dict[str, Any] = {"PDN_type": answer.pdn_type}
    if answer.pdn_type != IPV6:
        fields["ipv4"] = str(ipaddress.IPv4Address(given.ipv4))
    if answer.pdn_type != IPV4:
        fields["ipv6_prefix_length"] = PREFIX_BITS
        fields["ipv6"] = int.from_bytes(given.ipv6 + INTERFACE_ID, "big")
    return IE_PAA(**fields)


def _build_v1(answer: Answer, given: Given) -> bytes:
    from scapy.contrib.gtp import GTPHeader

    body = b"".join(bytes(element) for element in _elements_v1(answer, given))
    header = GTPHeader(
        S=1,
        gtp_type=TYPES[1][answer.kind],
        length=len(body) + 4,
        teid=given.teid,
        seq=given.sequence,
    )
    return bytes(header) + body


def _elements_v1(answer: Answer, given: Given) -> list[Any]:
    from scapy.contrib import gtp as v1

    from gateway_sim.codec.gtpv1 import _qos

    recovery = v1.IE_Recovery(restart_counter=answer.restarts)
    if answer.kind == Kind.ECHO_RESPONSE:
        return [recovery]
    cause = v1.IE_Cause(CauseValue=ACCEPTED[1])
    if answer.kind == Kind.DELETE_RESPONSE:
        return [cause]
    tunnel = [
        v1.IE_TEIDI(TEIDI=given.teid_user),
        v1.IE_TEICP(TEICI=given.teid_control),
        v1.IE_ChargingId(Charging_id=given.charging_id),
    ]
    nodes = [v1.IE_GSNAddress(length=4, ipv4_address=answer.address) for _ in range(2)]
    if answer.kind == Kind.MODIFY_RESPONSE:
        return [cause, recovery, *tunnel, *nodes, _qos()]
    octets = _pco(answer)
    options = v1.IE_ProtocolConfigurationOptions(length=len(octets), Protocol_Configuration=octets)
    reordering = v1.IE_ReorderingRequired(reordering_required=254)
    address = _user_address(answer, given)
    return [cause, reordering, recovery, *tunnel, address, options, *nodes, _qos()]


def _user_address(answer: Answer, given: Given) -> Any:
    """End User Address (TS 29.060 7.7.27)."""
    import ipaddress

    from scapy.contrib.gtp import IE_EndUserAddress

    fields: dict[str, Any] = {"PDPTypeNumber": PDP_TYPE[answer.pdn_type], "length": 2}
    if answer.pdn_type != IPV6:
        fields["PDPAddress"] = str(ipaddress.IPv4Address(given.ipv4))
        fields["length"] += 4
    if answer.pdn_type != IPV4:
        fields["IPv6_PDPAddress"] = str(ipaddress.IPv6Address(given.ipv6 + INTERFACE_ID))
        fields["length"] += 16
    return IE_EndUserAddress(**fields)
