"""The shape that nearly every packet of a GTP-U capture has, taken in one piece.

Ethernet, IPv4 without options, UDP to the GTP-U port, a G-PDU without options, and in it TCP or UDP over IP
without options or extensions: all of it captured, and nothing about it odd. Whatever differs in any bit
goes the long way through `engine.wire.frame`, which says the same of these packets.
"""

from typing import Any

import numpy as np

from engine import verdict
from engine.jit import inlined, leaf, unsigned
from engine.layout import PACKET_GTP, PACKET_PORTS, PACKET_V6, V4_MAPPED
from engine.wire import gtp
from engine.wire import state as st
from engine.wire.basis import INNER_IP
from engine.wire.endpoints import slot_of
from engine.wire.ip import TCP, UDP, V4_BYTES, V6_BYTES
from engine.wire.link import LINK_ETHERNET
from engine.wire.loads import be16, be32, be64, u8

NETWORK = 14
"""offsets in the frame: of the outer IP header, its UDP header, GTP header and T-PDU"""
DATAGRAM = NETWORK + V4_BYTES
MESSAGE = DATAGRAM + 8
PAYLOAD = MESSAGE + gtp.HEADER_BYTES


TCP_BYTES, UDP_BYTES = 20, 8
LEAST_BYTES = PAYLOAD + V4_BYTES + UDP_BYTES
"""byte   of the shortest plain frame"""

V4_TYPE = 0x0800_45
"""an Ethernet type, and the first byte of an IPv4 header without options"""
OF_HEADER = 0x3FFF_00FF
"""of the four bytes from the fragment field on: offset and more fragments, both 0 here, and the protocol"""
G_PDU = 0x30_FF
"""GTP version 1, no options; message type"""
V4_MULTICAST = 224


@inlined
def header_differs(buf: Any, start: Any) -> Any:
    """0 where the headers up to the TEID are those of a plain G-PDU."""
    differs = be32(buf, start + NETWORK - 2) >> 8 ^ V4_TYPE
    differs |= be32(buf, start + NETWORK + 6) & OF_HEADER ^ UDP
    differs |= be16(buf, start + DATAGRAM + 2) ^ gtp.GTP_U_PORT
    return differs | be16(buf, start + MESSAGE) ^ G_PDU


@inlined
def plain_ports(buf: Any, at: Any, protocol: Any, left: Any, row: Any) -> Any:
    """Set the ports of a TCP or UDP header at `at`, `left` bytes before the end; False if not plain."""
    ports = be32(buf, at)
    to = ports & 0xFFFF
    if protocol == UDP:
        if left < UDP_BYTES or be16(buf, at + 4) < UDP_BYTES:
            return False
        if to == gtp.GTP_U_PORT or to == gtp.GTP_C_PORT or to == gtp.PFCP_PORT:
            return False
    elif protocol != TCP or left < TCP_BYTES:
        return False
    row["src_port"] = ports >> 16
    row["dst_port"] = to
    row["protocol"] = protocol
    return True


@inlined
def plain_v4(buf: Any, at: Any, claimed: Any, row: Any) -> Any:
    """Fill the row from the IPv4 packet at `at`, in `claimed` bytes of payload; False if not plain."""
    length = be16(buf, at + 2)
    protocol = be32(buf, at + 6) & OF_HEADER  # with a fragment's bits it is no protocol of ours
    source = be32(buf, at + 12)
    top = source >> 24
    if length > claimed or source == 0 or top == 127 or top >= V4_MULTICAST:
        return False
    if not plain_ports(buf, at + V4_BYTES, protocol, length - V4_BYTES, row):
        return False
    row["src_hi"] = 0
    row["src_lo"] = V4_MAPPED | source
    row["dst_hi"] = 0
    row["dst_lo"] = V4_MAPPED | be32(buf, at + 16)
    row["length"] = length
    row["flags"] = PACKET_GTP | PACKET_PORTS
    return True


@inlined
def plain_v6(buf: Any, at: Any, claimed: Any, row: Any) -> Any:
    """The same of an IPv6 packet."""
    length = V6_BYTES + be16(buf, at + 4)
    if length > claimed or claimed < V6_BYTES + UDP_BYTES:
        return False
    src_hi = be64(buf, at + 8)
    dst_hi = be64(buf, at + 24)
    if src_hi == 0 or src_hi >> 56 == -1 or dst_hi == 0:
        return False
    if not plain_ports(buf, at + V6_BYTES, u8(buf, at + 6), length - V6_BYTES, row):
        return False
    row["src_hi"] = src_hi
    row["src_lo"] = be64(buf, at + 16)
    row["dst_hi"] = dst_hi
    row["dst_lo"] = be64(buf, at + 32)
    row["length"] = length
    row["flags"] = PACKET_GTP | PACKET_PORTS | PACKET_V6
    return True


@inlined
def known_endpoint(buf: Any, start: Any, endpoints: Any) -> Any:
    """Number of the outer destination if it stands where it is looked for first, else -1."""
    lo = V4_MAPPED | be32(buf, start + NETWORK + 16)
    entry = endpoints[unsigned(slot_of(np.int64(0), lo) & (endpoints.size - 1))]
    if np.int64(entry["lo"]) != lo or np.int64(entry["hi"]) != 0:
        return np.int64(-1)
    return np.int64(entry["index"])


@inlined
def fits(buf: Any, start: Any, held: Any) -> Any:
    """Bytes of T-PDU in the G-PDU, or -1 where a length claims more than there is around it."""
    network = be16(buf, start + NETWORK + 2)
    datagram = be16(buf, start + DATAGRAM + 4)
    claimed = be16(buf, start + MESSAGE + 2)
    inner = datagram - (PAYLOAD - DATAGRAM) - claimed
    if (held - NETWORK - network | network - V4_BYTES - datagram | inner) < 0:
        return np.int64(-1)
    return claimed


@inlined
def plain_packet(buf: Any, start: Any, held: Any, row: Any, endpoints: Any) -> Any:
    """Fill the row, but for its time, from the frame of `held` bytes at `start`; False if not plain."""
    if header_differs(buf, start):
        return False
    claimed = fits(buf, start, held)
    endpoint = known_endpoint(buf, start, endpoints)
    if (claimed | endpoint) < 0:
        return False
    at = start + PAYLOAD
    if u8(buf, at) == V4_TYPE & 0xFF:
        if not plain_v4(buf, at, claimed, row):
            return False
    elif u8(buf, at) >> 4 != 6 or not plain_v6(buf, at, claimed, row):
        return False
    row["teid"] = be32(buf, start + MESSAGE + 4)
    row["endpoint"] = endpoint
    row["code"] = verdict.NONE
    row["fragment"] = 0
    return True


@leaf
def may_be_plain(interface: Any, state: Any) -> Any:
    """Whether frames of this interface may be: Ethernet without checksums, billed by inner IP."""
    odd = state[st.MODE] ^ st.MODE_GTP | state[st.BASIS] ^ INNER_IP
    return odd | interface["link"] ^ LINK_ETHERNET | interface["fcs_bytes"] == 0


@inlined
def count_plain(interface: Any, state: Any, frames: Any, size: Any, time_ns: Any) -> None:
    """Count `frames` of `size` bytes, the last at `time_ns`, each not earlier than the one before."""
    interface["frames"] += frames
    state[st.TIME_NS] = time_ns
    state[st.LAST_NS] = time_ns
    state[st.FRAMES] += frames
    state[st.FRAME_BYTES] += size
    state[st.MESSAGES + gtp.G_PDU] += frames
