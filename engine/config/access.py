"""Who may attach to a live gateway, and with what: `[access]` of a configuration (N1-N6, O1)."""

import ipaddress
import re
from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from engine.config.faults import shown
from engine.config.kinds import STRICT, Count, Prefix, Text, integer, network

POOL4_BITS = 8, 29
"""a shorter prefix is no private one, a longer has no address beside network, gateway and broadcast"""
POOL6_BITS = 16, 60
PREFIX6_BITS = 64
"""an IPv6 session has a /64 (TS 23.401 5.3.1.2.2)"""
APN_MAX = 63
"""octets of a network identifier, with the length octet of its first label (TS 23.003 9.1.1)"""
NAMES_MAX = 32
SESSIONS_MAX = 4_000_000
DAYS_30_S = 30 * 86_400

_LABEL = re.compile(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?")
_LABELS_KEPT = ("rac", "lac", "sgsn", "rnc")
"""what a network identifier may not begin with, and it may not end in .gprs (TS 23.003 9.1.1)"""

Rat = Literal["EUTRAN", "UTRAN", "GERAN", "HSPA Evolution", "WLAN", "GAN"]


def network_identifier(text: str) -> str:
    """An APN without operator identifier, in lower case; ValueError where it is none."""
    name = text.lower()
    labels = name.split(".")
    right = len(name) < APN_MAX and all(_LABEL.fullmatch(label) for label in labels)
    if not right or name.startswith(_LABELS_KEPT) or labels[-1] == "gprs":
        raise ValueError(
            f"{shown(text)} is no APN network identifier (TS 23.003 9.1.1); "
            'allowed: labels of letters, digits and hyphens, as "iijmio.jp"'
        )
    return name


def _pool(text: str, version: int, bits: tuple[int, int]) -> str:
    net = ipaddress.ip_network(network(text))
    if net.version != version or not bits[0] <= net.prefixlen <= bits[1]:
        raise ValueError(
            f"{shown(text)} cannot be a pool; allowed: IPv{version} /{bits[0]} to /{bits[1]}"
        )
    return str(net)


def pool4(text: str) -> str:
    """A prefix of which IPv4 addresses are given out; ValueError where it cannot be."""
    return _pool(text, 4, POOL4_BITS)


def pool6(text: str) -> str:
    """A prefix of which /64s are given out; ValueError where it cannot be."""
    return _pool(text, 6, POOL6_BITS)


def _server(text: str, version: int) -> str:
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        address = None
    if address is None or address.version != version:
        raise ValueError(f"{shown(text)} is no address; allowed: one of IPv{version}")
    return str(address)


def server4(text: str) -> str:
    """An IPv4 address; ValueError where it is none."""
    return _server(text, 4)


def server6(text: str) -> str:
    """An IPv6 address; ValueError where it is none."""
    return _server(text, 6)


Apn = Annotated[str, Field(strict=True), AfterValidator(network_identifier)]
Pool4 = Annotated[str, Field(strict=True), AfterValidator(pool4)]
Pool6 = Annotated[str, Field(strict=True), AfterValidator(pool6)]
Server4 = Annotated[str, Field(strict=True), AfterValidator(server4)]
Server6 = Annotated[str, Field(strict=True), AfterValidator(server6)]
Plmn = Annotated[
    str,
    Field(
        strict=True,
        pattern="^[0-9]{3}-[0-9]{2,3}$",
        json_schema_extra={"allowed": 'MCC-MNC, as "440-10"'},
    ),
]
Span = Annotated[int, integer(0, DAYS_30_S)]


@dataclass(frozen=True, slots=True)
class Access:
    """Who may attach to a live gateway, with what, and for how long.

    networks: MCC-MNC of the serving networks that sessions are taken from (N5).
    unnamed_network: what becomes of a GTPv1-C request that names no network, as it need not (N5).
    peers: prefixes of the outer addresses that are spoken with; none: every address.
    idle_s, session_s: a session without packets, or open, for so long is ended; 0: never (N3).
    pool4, pool6: of these a session gets an address, and with the IPv6 option a /64 (N2, O1).
    create_per_s_max: sessions that one peer may ask for in a second; what is beyond is refused.
    echo_s: between Echo Requests to a peer with sessions; 0: none.
    t3_response_ms, n3_requests: how long an answer is waited for, and how often a request is sent
        (T3-RESPONSE and N3-REQUESTS, TS 29.274 7.6 and TS 29.060 7.6).
    """

    __pydantic_config__ = STRICT

    apns: Annotated[tuple[Apn, ...], Field(min_length=1, max_length=NAMES_MAX)] = ("iijmio.jp",)
    user: Text = "mio@iij"
    password: Text = "iij"
    networks: Annotated[tuple[Plmn, ...], Field(min_length=1, max_length=NAMES_MAX)] = ("440-10",)
    unnamed_network: Literal["accept", "refuse"] = "accept"
    rats: Annotated[tuple[Rat, ...], Field(min_length=1)] = (
        *("EUTRAN", "UTRAN", "GERAN", "HSPA Evolution"),
    )
    peers: Annotated[tuple[Prefix, ...], Field(max_length=NAMES_MAX)] = ()
    idle_s: Span = 1_800
    session_s: Span = 86_400
    pool4: Annotated[tuple[Pool4, ...], Field(min_length=1, max_length=NAMES_MAX)] = (
        "10.64.0.0/10",
    )
    pool6: Annotated[tuple[Pool6, ...], Field(max_length=NAMES_MAX)] = ("2001:db8:100::/40",)
    dns4: Annotated[tuple[Server4, ...], Field(max_length=4)] = ("192.0.2.53", "192.0.2.54")
    dns6: Annotated[tuple[Server6, ...], Field(max_length=4)] = ("2001:db8::53", "2001:db8::54")
    sessions_max: Annotated[int, integer(1, SESSIONS_MAX)] = 200_000
    create_per_s_max: Count = 2_000
    echo_s: Annotated[int, integer(0, 3_600)] = 60
    t3_response_ms: Annotated[int, integer(10, 60_000)] = 1_000
    n3_requests: Annotated[int, integer(1, 10)] = 3
