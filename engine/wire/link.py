"""Link layers: from the start of a frame to its outermost IP header.

Link types are those of the pcap registry (https://www.tcpdump.org/linktypes.html).
"""

from typing import Any

import numpy as np

from engine.jit import inlined, leaf
from engine.wire.loads import be16, be32, le32, u8

LINK_NULL = 0
LINK_ETHERNET = 1
LINK_PPP = 9
LINK_RAW_BSD = 12
LINK_RAW_OPENBSD = 14
LINK_PPP_HDLC = 50
LINK_PPP_ETHER = 51
LINK_RAW = 101
LINK_C_HDLC = 104
LINK_LOOP = 108
LINK_SLL = 113
LINK_IPV4 = 228
LINK_IPV6 = 229
LINK_SLL2 = 276

SUPPORTED = frozenset(
    {LINK_NULL, LINK_ETHERNET, LINK_PPP, LINK_RAW_BSD, LINK_RAW_OPENBSD, LINK_PPP_HDLC}
    | {LINK_PPP_ETHER, LINK_RAW, LINK_C_HDLC, LINK_LOOP, LINK_SLL, LINK_IPV4, LINK_IPV6, LINK_SLL2}
)
"""link types that are looked into; frames of others are only counted"""

NOT_IP = -1
"""answer instead of an offset: no IP header, or not enough bytes to tell"""
BAD_VERSION = -2
"""answer instead of an offset: the link layer promises IP, but the version is another"""

ETHERTYPE_AT = 12
ETHERNET_BYTES = 14
TYPE_IPV4 = 0x0800
TYPE_IPV6 = 0x86DD
TYPE_CUSTOMER_TAG = 0x8100
TYPE_SERVICE_TAG = 0x88A8
TYPE_OLD_TAG = 0x9100
TYPE_OLD_TAG_LAST = 0x9300
"""0x9100, 0x9200 and 0x9300 were used for outer tags before 802.1ad"""
TYPE_FABRICPATH = 0x8903
TYPE_MPLS = 0x8847
TYPE_MPLS_UPSTREAM = 0x8848
TYPE_PPPOE_SESSION = 0x8864
LENGTH_MAX = 1500
"""an Ethernet type field up to this is a length, and an LLC header follows (IEEE 802.3 3.2.6)"""
LLC_SNAP = 0xAAAA

SLL_LLC = 0x0004
ARPHRD_NETLINK = 824
"""hardware type of a cooked capture whose protocol field is no Ethernet type"""

PPP_IPV4 = 0x0021
PPP_IPV6 = 0x0057
PPP_MPLS = 0x0281


@inlined
def of_version(buf: Any, at: Any, end: Any, version: Any) -> Any:
    """`at`, unless what stands there is not the IP version that the link layer promised."""
    if at < end and u8(buf, at) >> 4 != version:
        return np.int64(BAD_VERSION)
    return at


@leaf
def of_either_version(buf: Any, at: Any, end: Any) -> Any:
    """`at`, unless what stands there is neither IPv4 nor IPv6."""
    if at < end and u8(buf, at) >> 4 == 6:
        return at
    return of_version(buf, at, end, 4)


@leaf
def after_labels(buf: Any, at: Any, end: Any) -> Any:
    """Past an MPLS label stack (RFC 3032 2.1), or NOT_IP where it does not end."""
    while at + 4 <= end:
        bottom = u8(buf, at + 2) & 1
        at += 4
        if bottom:
            return at
    return np.int64(NOT_IP)


@leaf
def after_ppp(buf: Any, at: Any, end: Any) -> Any:
    """Past a PPP protocol field of one or two bytes (RFC 1661 2: its last byte is the odd one)."""
    if at + 2 > end:
        return np.int64(NOT_IP)
    protocol = u8(buf, at)
    at += 1
    if not protocol & 1:
        protocol = protocol << 8 | u8(buf, at)
        at += 1
    if protocol == PPP_IPV4:
        return of_version(buf, at, end, 4)
    if protocol == PPP_IPV6:
        return of_version(buf, at, end, 6)
    if protocol == PPP_MPLS:
        at = after_labels(buf, at, end)
        return of_either_version(buf, at, end) if at >= 0 else at
    return np.int64(NOT_IP)


@leaf
def inner_type_at(buf: Any, kind: Any, at: Any, end: Any) -> Any:
    """Offset of the next Ethernet type field behind one of value `kind` that ends at `at`.

    Behind a tag it is the last two bytes of the tag; behind an LLC/SNAP header (RFC 1042) those of
    that header; a FabricPath header and the control word of a pseudowire (RFC 4385 3) have a whole
    Ethernet frame behind them.
    """
    if kind == TYPE_CUSTOMER_TAG or kind == TYPE_SERVICE_TAG:
        return at + 2
    if TYPE_OLD_TAG <= kind <= TYPE_OLD_TAG_LAST and kind & 0xFF == 0:
        return at + 2
    if kind == TYPE_FABRICPATH:
        return at + 2 + ETHERTYPE_AT
    if kind == TYPE_MPLS:
        return at + 4 + ETHERTYPE_AT
    if kind <= LENGTH_MAX and at + 8 <= end and be16(buf, at) == LLC_SNAP:
        return at + 6
    return np.int64(NOT_IP)


@leaf
def after_type(buf: Any, kind: Any, at: Any, end: Any) -> Any:
    """Past whatever follows an Ethernet type field of value `kind` that ends at `at`."""
    while True:
        if kind == TYPE_IPV4:
            return of_version(buf, at, end, 4)
        if kind == TYPE_IPV6:
            return of_version(buf, at, end, 6)
        if kind == TYPE_PPPOE_SESSION:
            return after_ppp(buf, at + 6, end)
        if kind == TYPE_MPLS or kind == TYPE_MPLS_UPSTREAM:
            at = after_labels(buf, at, end)
            if at < 0 or at >= end:
                return np.int64(NOT_IP)
            # only the first four bits tell what labels lead to; 0 begins a control word
            version = u8(buf, at) >> 4
            if version:
                return at if version == 4 or version == 6 else np.int64(NOT_IP)
            kind = np.int64(TYPE_MPLS)
        type_at = inner_type_at(buf, kind, at, end)
        if type_at < 0 or type_at + 2 > end:
            return np.int64(NOT_IP)
        kind = be16(buf, type_at)
        at = type_at + 2


@leaf
def after_hdlc(buf: Any, at: Any, end: Any) -> Any:
    """Past PPP in HDLC-like framing (RFC 1662 3.1), bare PPP, or a Cisco HDLC header."""
    if at + 4 > end:
        return np.int64(NOT_IP)
    first = be16(buf, at)
    if first == 0xFF03:
        return after_ppp(buf, at + 2, end)
    if first == 0x0F00 or first == 0x8F00:
        return after_type(buf, be16(buf, at + 2), at + 4, end)
    return after_ppp(buf, at, end)


@leaf
def after_family(buf: Any, at: Any, end: Any, either_order: Any) -> Any:
    """Past the address family of a BSD loopback header, in network or in either byte order."""
    if at + 4 > end:
        return np.int64(NOT_IP)
    family = be32(buf, at)
    if either_order:
        family = min(family, le32(buf, at))
    if family == 2:
        return of_version(buf, at + 4, end, 4)
    # AF_INET is 2 everywhere; AF_INET6 is 10, 24, 28 or 30 after the system that captured
    if family == 10 or family == 24 or family == 28 or family == 30:
        return of_version(buf, at + 4, end, 6)
    return np.int64(NOT_IP)


@leaf
def after_cooked(buf: Any, kind: Any, hardware: Any, at: Any, end: Any) -> Any:
    """Past the header of a Linux cooked capture that ends at `at`, of protocol `kind`."""
    if kind == SLL_LLC:
        return after_type(buf, np.int64(LENGTH_MAX), at, end)
    # smaller numbers are not Ethernet types here, and a netlink family can be any number
    if kind <= LENGTH_MAX or hardware == ARPHRD_NETLINK:
        return np.int64(NOT_IP)
    return after_type(buf, kind, at, end)


@leaf
def network_offset(buf: Any, at: Any, end: Any, link: Any) -> Any:
    """Offset of the outermost IP header of the frame at `at`, or NOT_IP, or BAD_VERSION."""
    if link == LINK_ETHERNET:
        if at + ETHERNET_BYTES > end:
            return np.int64(NOT_IP)
        return after_type(buf, be16(buf, at + ETHERTYPE_AT), at + ETHERNET_BYTES, end)
    if link == LINK_SLL:
        if at + 16 > end:
            return np.int64(NOT_IP)
        return after_cooked(buf, be16(buf, at + 14), be16(buf, at + 2), at + 16, end)
    if link == LINK_SLL2:
        if at + 20 > end:
            return np.int64(NOT_IP)
        return after_cooked(buf, be16(buf, at), be16(buf, at + 8), at + 20, end)
    if link == LINK_RAW or link == LINK_RAW_BSD or link == LINK_RAW_OPENBSD:
        return of_either_version(buf, at, end)
    if link == LINK_IPV4:
        return of_version(buf, at, end, 4)
    if link == LINK_IPV6:
        return of_version(buf, at, end, 6)
    if link == LINK_NULL or link == LINK_LOOP:
        return after_family(buf, at, end, link == LINK_NULL)
    if link == LINK_PPP or link == LINK_PPP_HDLC:
        return after_hdlc(buf, at, end)
    if link == LINK_C_HDLC and at + 4 <= end:
        return after_type(buf, be16(buf, at + 2), at + 4, end)
    if link == LINK_PPP_ETHER:
        return after_ppp(buf, at + 6, end)
    return np.int64(NOT_IP)
