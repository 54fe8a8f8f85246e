"""IP headers: the packet that is charged, into its row; and the outer one of a tunnel, to its UDP.

Every offset is into the block of bytes. `held_end` is where the captured bytes end, `wire_end`
where the packet ended on the wire; the two differ where the capture kept only part of a frame.
Headers are read only where captured; lengths are judged by what was on the wire.
"""

from typing import Any

import numpy as np

from engine import verdict
from engine.jit import inlined, leaf
from engine.layout import (
    PACKET_FIRST,
    PACKET_FRAGMENT,
    PACKET_PORTS,
    PACKET_ROUTED,
    PACKET_V6,
    V4_MAPPED,
)
from engine.wire.loads import be16, be32, be64, u8

V4_BYTES = 20
V6_BYTES = 40

HOP_BY_HOP = 0
TCP = 6
UDP = 17
ROUTING = 43
FRAGMENT = 44
AUTHENTICATION = 51
NO_NEXT = 59
DESTINATION = 60
SCTP = 132
MOBILITY = 135
UDP_LITE = 136
HIP = 139
SHIM6 = 140

FRAGMENT_OFFSET = 0x1FFF
MORE_FRAGMENTS = 0x2000

END_OF_OPTIONS, NO_OPERATION, LOOSE_ROUTE, STRICT_ROUTE = 0, 1, 131, 137
"""IPv4 options (RFC 791 3.1)"""

EXTENSIONS_MAX = 8
"""IPv6 extension headers in one packet; RFC 8504 5.3 lets a node set a limit, and names 8"""
JUMBO_OPTION = 0xC2
"""RFC 2675 2"""
ROUTING_TYPE_0 = 0
"""forbidden by RFC 5095"""

WHOLE = 0
"""fragment state: not fragmented"""
FIRST = 1
"""fragment state: the fragment that holds the upper-layer header; more follow"""
LATER = 2
"""fragment state: a fragment without an upper-layer header"""
ROUTED = 4
"""added to the fragment state: a routing header has segments left"""

DATAGRAM_MAX = 1 << 17
"""byte; more than any UDP length: a first fragment says nothing of where the datagram ends"""


@leaf
def is_extension(kind: Any) -> Any:
    """Whether an IPv6 next-header value is an extension header with a length of its own."""
    if kind == TCP or kind == UDP:
        return False
    if kind == HOP_BY_HOP or kind == ROUTING or kind == FRAGMENT or kind == DESTINATION:
        return True
    return kind == AUTHENTICATION or kind == MOBILITY or kind == HIP or kind == SHIM6


@leaf
def hop_by_hop_fault(buf: Any, at: Any, end: Any) -> Any:
    """DROP_JUMBO where an option claims a jumbogram, DROP_V6EXT where options overrun."""
    at += 2
    while at < end:
        kind = u8(buf, at)
        if kind == JUMBO_OPTION:
            return verdict.DROP_JUMBO
        if kind == 0:
            at += 1
        elif at + 1 >= end:
            return verdict.DROP_V6EXT
        else:
            at += 2 + u8(buf, at + 1)
    return verdict.NONE if at == end else verdict.DROP_V6EXT


@leaf
def extension_bytes(buf: Any, at: Any, kind: Any) -> Any:
    """Size of the IPv6 extension header at `at`, by its own length field."""
    if kind == FRAGMENT:
        return np.int64(8)
    if kind == AUTHENTICATION:
        return (u8(buf, at + 1) + 2) * 4
    return (u8(buf, at + 1) + 1) * 8


@leaf
def skip_extensions(buf: Any, at: Any, held_end: Any, end: Any, kind: Any) -> Any:
    """Walk IPv6 extension headers: (code, protocol, offset of what follows, fragment state).

    Where the capture was cut inside the chain, the header that could not be read is the protocol.
    """
    state = WHOLE
    routed = 0
    count = 0
    while is_extension(kind):
        if count == EXTENSIONS_MAX or at + 8 > end or (kind == HOP_BY_HOP and count):
            return verdict.DROP_V6EXT, kind, at, state
        if at + 8 > held_end:
            return verdict.NONE, kind, held_end, state | routed
        size = extension_bytes(buf, at, kind)
        if at + size > end or (kind == ROUTING and u8(buf, at + 2) == ROUTING_TYPE_0):
            return verdict.DROP_V6EXT, kind, at, state
        if kind == HOP_BY_HOP and at + size <= held_end:
            fault = hop_by_hop_fault(buf, at, at + size)
            if fault:
                return fault, kind, at, state
        if kind == ROUTING and u8(buf, at + 3):
            routed = ROUTED
        if kind == FRAGMENT:
            place = be16(buf, at + 2)
            if place >> 3:
                return verdict.NONE, u8(buf, at), at + size, LATER | routed
            state = FIRST if place & 1 else state
        kind = u8(buf, at)
        at += size
        count += 1
    return verdict.NONE, kind, at, state | routed


@leaf
def fragment_label(buf: Any, at: Any, kind: Any) -> Any:
    """Identification in the fragment header that `skip_extensions` has met (RFC 8200 4.5)."""
    while kind != FRAGMENT:
        size = extension_bytes(buf, at, kind)
        kind = u8(buf, at)
        at += size
    return be32(buf, at + 4)


@inlined
def ports_flag(buf: Any, at: Any, held_end: Any, end: Any, row: Any) -> Any:
    """Set the row's ports where the packet has some; PACKET_PORTS if they can be relied on.

    They cannot where the upper-layer header is not whole in this packet, or a UDP length is
    impossible: such a packet must not pass for one that an exempt rule means.
    """
    protocol = np.int64(row["protocol"])
    if protocol == TCP:
        header_bytes = 20
    elif protocol == UDP or protocol == UDP_LITE:
        header_bytes = 8
    elif protocol == SCTP:
        header_bytes = 12
    else:
        return 0
    if at + 6 > held_end or at + 4 > end:
        return 0
    row["src_port"] = be16(buf, at)
    row["dst_port"] = be16(buf, at + 2)
    if at + header_bytes > end or (protocol == UDP and be16(buf, at + 4) < 8):
        return 0
    return PACKET_PORTS


@inlined
def clear(row: Any) -> None:
    """Fields of a packet whose IP header cannot be read."""
    row["src_hi"] = 0
    row["src_lo"] = 0
    row["dst_hi"] = 0
    row["dst_lo"] = 0
    row["length"] = 0
    row["protocol"] = 0
    row["src_port"] = 0
    row["dst_port"] = 0
    row["fragment"] = 0


@leaf
def source_routed(buf: Any, at: Any, end: Any) -> Any:
    """PACKET_ROUTED where IPv4 options hold a source route that is not used up, or cannot be read."""
    while at < end and u8(buf, at) != END_OF_OPTIONS:
        kind = u8(buf, at)
        if kind == NO_OPERATION:
            at += 1
            continue
        size = u8(buf, at + 1) if at + 1 < end else np.int64(0)
        if size < 2 or at + size > end:
            return PACKET_ROUTED
        # the pointer, from 1, is past the option when the last address was taken
        if (kind == LOOSE_ROUTE or kind == STRICT_ROUTE) and (size < 3 or u8(buf, at + 2) <= size):
            return PACKET_ROUTED
        at += size
    return 0


@inlined
def v4_packet(buf: Any, at: Any, held_end: Any, wire_end: Any, row: Any) -> Any:
    """Fill the row from an IPv4 packet; (code, flags). RFC 791 3.1."""
    present = wire_end - at
    length = be16(buf, at + 2)
    if length == 0:
        # left to the network card by segmentation offload: all that was on the wire
        length = present
    header_bytes = (u8(buf, at) & 15) * 4
    row["src_hi"] = 0
    row["src_lo"] = V4_MAPPED | be32(buf, at + 12)
    row["dst_hi"] = 0
    row["dst_lo"] = V4_MAPPED | be32(buf, at + 16)
    row["length"] = length
    row["protocol"] = u8(buf, at + 9)
    row["src_port"] = 0
    row["dst_port"] = 0
    row["fragment"] = 0
    if header_bytes < V4_BYTES or header_bytes > present:
        return verdict.DROP_IHL, 0
    if length > present or length < header_bytes:
        return verdict.DROP_LEN, 0
    flags = 0
    if header_bytes > V4_BYTES:
        flags = source_routed(buf, at + V4_BYTES, min(at + header_bytes, held_end))
    place = be16(buf, at + 6)
    if place & (FRAGMENT_OFFSET | MORE_FRAGMENTS):
        row["fragment"] = be16(buf, at + 4)
        if place & FRAGMENT_OFFSET:
            return verdict.NONE, flags | PACKET_FRAGMENT
        flags |= PACKET_FIRST
    return verdict.NONE, flags | ports_flag(buf, at + header_bytes, held_end, at + length, row)


@inlined
def is_mapped(hi: Any, lo: Any) -> Any:
    """Whether 128 bits are in ::ffff:0:0/96, where rows hold IPv4 addresses."""
    return hi == 0 and lo >> 32 == V4_MAPPED >> 32


@leaf
def v6_packet(buf: Any, at: Any, held_end: Any, wire_end: Any, row: Any) -> Any:
    """Fill the row from an IPv6 packet; (code, flags). RFC 8200 3 and 4."""
    end = at + V6_BYTES + be16(buf, at + 4)
    kind = u8(buf, at + 6)
    src_hi = be64(buf, at + 8)
    src_lo = be64(buf, at + 16)
    dst_hi = be64(buf, at + 24)
    dst_lo = be64(buf, at + 32)
    row["src_hi"] = src_hi
    row["src_lo"] = src_lo
    row["dst_hi"] = dst_hi
    row["dst_lo"] = dst_lo
    row["length"] = end - at
    row["protocol"] = kind
    row["src_port"] = 0
    row["dst_port"] = 0
    row["fragment"] = 0
    if end - at == V6_BYTES and kind != NO_NEXT:
        return verdict.DROP_JUMBO, PACKET_V6
    if end > wire_end:
        return verdict.DROP_LEN, PACKET_V6
    # RFC 4291 2.5.5.2: never on the wire; in a table such an address would pass for an IPv4 one
    if is_mapped(src_hi, src_lo) or is_mapped(dst_hi, dst_lo):
        return verdict.DROP_SPOOF, PACKET_V6
    code, protocol, upper, state = skip_extensions(buf, at + V6_BYTES, held_end, end, kind)
    row["protocol"] = protocol
    if code:
        return code, PACKET_V6
    flags = PACKET_V6 | PACKET_ROUTED if state & ROUTED else PACKET_V6
    state &= ~ROUTED
    if state != WHOLE:
        row["fragment"] = fragment_label(buf, at + V6_BYTES, kind)
        flags |= PACKET_FRAGMENT if state == LATER else PACKET_FIRST
    if state == LATER:
        return code, flags
    return code, flags | ports_flag(buf, upper, held_end, end, row)


@leaf
def claimed_length(buf: Any, at: Any, held_end: Any, version: Any) -> Any:
    """The packet's length by what is there of its header; 0 where that ends before the length."""
    if version == 4:
        return be16(buf, at + 2) if at + 4 <= held_end else np.int64(0)
    return V6_BYTES + be16(buf, at + 4) if at + 6 <= held_end else np.int64(0)


@inlined
def ip_packet(buf: Any, at: Any, held_end: Any, wire_end: Any, row: Any) -> Any:
    """Fill the row's addresses, length, protocol and ports from a packet; (code, flags)."""
    if at < held_end:
        version = u8(buf, at) >> 4
        if version == 4 and at + V4_BYTES <= held_end:
            return v4_packet(buf, at, held_end, wire_end, row)
        if version == 6 and at + V6_BYTES <= held_end:
            return v6_packet(buf, at, held_end, wire_end, row)
        clear(row)
        if version != 4 and version != 6:
            return verdict.DROP_IPVER, 0
        row["length"] = claimed_length(buf, at, held_end, version)
        return verdict.DROP_SHORT, 0
    clear(row)
    return verdict.DROP_SHORT, 0


@inlined
def impossible_source(hi: Any, lo: Any) -> Any:
    """Whether no host can have this address: unspecified, loopback, multicast or broadcast."""
    if is_mapped(hi, lo):
        top = lo >> 24 & 0xFF
        if top == 0:
            return lo == V4_MAPPED
        return top == 127 or top >> 4 == 14 or lo == V4_MAPPED | 0xFFFFFFFF
    if hi == 0:
        return lo == 0 or lo == 1
    return hi >> 56 & 0xFF == 0xFF


@inlined
def outer_v4(buf: Any, at: Any, wire_end: Any) -> Any:
    """(protocol, offset of the upper layer, end by the header, fragment state) of IPv4."""
    length = be16(buf, at + 2)
    end = at + length if length else wire_end
    place = be16(buf, at + 6)
    state = WHOLE
    if place & FRAGMENT_OFFSET:
        state = LATER
    elif place & MORE_FRAGMENTS:
        state = FIRST
    return u8(buf, at + 9), at + (u8(buf, at) & 15) * 4, end, state


@leaf
def outer_v6(buf: Any, at: Any, held_end: Any) -> Any:
    """The same of an IPv6 packet; a broken header chain has no protocol (-1)."""
    end = at + V6_BYTES + be16(buf, at + 4)
    kind = u8(buf, at + 6)
    code, protocol, upper, state = skip_extensions(buf, at + V6_BYTES, held_end, end, kind)
    return np.int64(-1) if code else protocol, upper, end, state


@leaf
def outer_length(at: Any, limit: Any, udp_end: Any) -> Any:
    """Length of the outer packet at `at` by its own header, of which `outer_udp` gave the limit.

    A first fragment stands for its whole datagram, whose length only UDP says (its own headers and
    the UDP length); those of the fragments that follow are not counted again.
    """
    return (udp_end if limit == at + DATAGRAM_MAX else limit) - at


@inlined
def outer_udp(buf: Any, at: Any, held_end: Any, wire_end: Any) -> Any:
    """Find the outermost packet's UDP header: (its offset, end of the held bytes, limit, code).

    The offset is -1 without one. `limit` is where the datagram must end at the latest.
    """
    version = u8(buf, at) >> 4 if at < held_end else np.int64(0)
    if version == 4 and at + V4_BYTES <= held_end:
        protocol, upper, end, state = outer_v4(buf, at, wire_end)
    elif version == 6 and at + V6_BYTES <= held_end:
        protocol, upper, end, state = outer_v6(buf, at, held_end)
    else:
        return np.int64(-1), held_end, wire_end, verdict.NONE
    if protocol != UDP or state == LATER or upper < at + V4_BYTES:
        return np.int64(-1), held_end, wire_end, verdict.NONE
    code = verdict.DROP_LEN if end > wire_end else verdict.NONE
    limit = at + DATAGRAM_MAX if state == FIRST else end
    return upper, min(held_end, end), limit, code
