"""Datagrams that have come in -> PACKET rows: G-PDUs from peers, IP packets from the SGi side.

What belongs to no session is dropped and counted here and never reaches the engine; what does belong to one
goes to it with the drop code, if any, that its octets have earned.
"""

import socket
from typing import Any

import numpy as np

from engine import verdict
from engine.datapath.tables import find_address, tunnel_slot
from engine.jit import i8, i8s, inlined, kernel, leaf, rows, tuple_of, u1s, unsigned
from engine.layout import ADDRESS, PACKET, PACKET_GTP, PACKET_V6, TUNNEL, V4_MAPPED
from engine.live_layout import (
    BEARER,
    CONTROL,
    MESSAGE,
    NAME_BYTES,
    PIECE,
    PLANE_BUFFER,
    PLANE_DROPS_DOWN,
    PLANE_DROPS_UP,
    PLANE_ENDPOINT,
    PLANE_MESSAGES,
    PLANE_NOW_NS,
    PLANE_OTHER_LIST,
    PLANE_OTHERS,
    PLANE_OTHERS_MAX,
    PLANE_OTHERS_OVER,
    PLANE_ROWS,
    PLANE_STRAY_LIST,
    PLANE_STRAYS,
    PLANE_STRAYS_MAX,
    PLANE_TRAILERS,
    SPAN,
)
from engine.wire import gtp
from engine.wire.frame import t_pdu
from engine.wire.ip import impossible_source, ip_packet
from engine.wire.loads import be16, be32, be64, u8

TABLES = tuple_of(rows(TUNNEL), rows(ADDRESS), rows(ADDRESS), rows(BEARER))
"""bearers by TEID and by address, nodes, BEARER rows: `Bearers.tables`"""

GRO_KIND = 104
"""UDP_GRO: the control message that says of what size the datagrams of a buffer are"""
_AF_INET = int(socket.AF_INET)
LINK_LOCAL_V4 = 0xA9FE0000
LINK_LOCAL_V6 = 0xFE80 >> 6
"""169.254.0.0/16, and the first ten bits of fe80::/10"""


@kernel(rows(MESSAGE), i8, i8, i8s, rows(CONTROL), rows(SPAN))
def split(messages: Any, count: Any, stride: Any, room: Any, controls: Any, spans: Any) -> Any:
    """Where each datagram lies in a buffer of `stride` bytes a message: SPAN rows; their number.

    A message may be a run of datagrams of one size, the last one perhaps shorter (UDP_GRO). room: int64[2],
    the name's and the control message's bytes, which the system call has overwritten and are set anew.
    """
    n = np.int64(0)
    for m in range(count):
        message = messages[unsigned(m)]
        length = np.int64(message["length"])
        size = length
        control = controls[unsigned(m)]
        told = np.int64(message["control_bytes"]) >= 20 and np.int64(control["value"]) > 0
        if told and np.int64(control["kind"]) == GRO_KIND:
            size = np.int64(control["value"])
        at = np.int64(0)
        while True:
            span = spans[unsigned(n)]
            span["start"] = m * stride + at
            span["length"] = min(size, length - at)
            span["message"] = m
            at += size
            n += 1
            if at >= length or n >= len(spans):
                break
        message["name_bytes"] = room[0]
        message["control_bytes"] = room[1]
        if n >= len(spans):
            break
    return n


@inlined
def sender(names: Any, message: Any) -> Any:
    """(high, low) half of the address in the sockaddr of a message."""
    at = message * NAME_BYTES
    if u8(names, at) == _AF_INET:
        return np.int64(0), V4_MAPPED | be32(names, at + 4)
    return be64(names, at + 8), be64(names, at + 16)


@inlined
def refuse(plane: Any, drops: Any, code: Any, length: Any) -> None:
    """Count a datagram that the engine never sees."""
    plane[drops + 2 * code] += 1
    plane[drops + 2 * code + 1] += length


@leaf
def list_other(plane: Any, k: Any) -> None:
    """Have the span looked at after the batch, while there is room for it."""
    count = plane[PLANE_OTHERS]
    if count < PLANE_OTHERS_MAX:
        plane[PLANE_OTHER_LIST + count] = k
        plane[PLANE_OTHERS] = count + 1
    else:
        plane[PLANE_OTHERS_OVER] += 1


@leaf
def list_stray(plane: Any, k: Any) -> None:
    """Have an Error Indication considered for a G-PDU of no session, while there is room for it."""
    count = plane[PLANE_STRAYS]
    if count < PLANE_STRAYS_MAX:
        plane[PLANE_STRAY_LIST + count] = k
        plane[PLANE_STRAYS] = count + 1


@leaf
def path_message(buf: Any, at: Any, end: Any, k: Any, plane: Any) -> None:
    """A message that is no G-PDU: counted, and listed where it has no fault (B11, B12)."""
    plane[PLANE_MESSAGES + u8(buf, at + 1)] += 1
    code = gtp.signalling_fault(buf, at, end, end)
    if code:
        refuse(plane, PLANE_DROPS_UP, code, end - at)
    else:
        list_other(plane, k)


@inlined
def inner_fault(buf: Any, at: Any, code: Any, flags: Any) -> Any:
    """The packet's drop code; one of IPv4 whose length is 0 has none on a live wire."""
    if code == verdict.NONE and flags & PACKET_V6 == 0 and be16(buf, at + 2) == 0:
        return verdict.DROP_LEN
    return code


@leaf
def never_beyond(hi: Any, lo: Any) -> Any:
    """Whether no host behind the SGi side has this address: nobody's, this machine's, a group's, or of a
    link (RFC 3927, RFC 4291 2.5.6)."""
    if impossible_source(hi, lo):
        return True
    if hi == 0:
        return lo >> 16 == (V4_MAPPED | LINK_LOCAL_V4) >> 16
    return hi >> 54 & 0x3FF == LINK_LOCAL_V6


@inlined
def node_fault(row: Any, code: Any, nodes: Any) -> Any:
    """Drop code of a packet to one of the operator's nodes (B15, B16), or to what only a machine itself or
    a link of it would take for its own; other hosts may have the nodes' ports."""
    if code != verdict.NONE and code != verdict.DROP_GTP_IN_GTP and code != verdict.DROP_INFRA:
        return code
    hi, lo = np.int64(row["dst_hi"]), np.int64(row["dst_lo"])
    if find_address(nodes, hi, lo) < 0:
        return verdict.DROP_INFRA if never_beyond(hi, lo) else verdict.NONE
    return code if code == verdict.DROP_GTP_IN_GTP else verdict.DROP_INFRA


@inlined
def to_g_pdu(buf: Any, at: Any, end: Any, k: Any, plane: Any) -> Any:
    """(offset of the T-PDU, its end) of a G-PDU without fault; (-1, 0) for what is dealt with."""
    if at + 2 > end:
        refuse(plane, PLANE_DROPS_UP, verdict.DROP_SHORT, end - at)
        return np.int64(-1), np.int64(0)
    if u8(buf, at + 1) != gtp.G_PDU:
        path_message(buf, at, end, k, plane)
        return np.int64(-1), np.int64(0)
    plane[PLANE_MESSAGES + gtp.G_PDU] += 1
    payload, claimed_end = np.int64(0), np.int64(0)
    code = gtp.header_fault(buf, at, end)
    if code == verdict.NONE:
        code, payload, claimed_end = gtp.g_pdu(buf, at, end, end)
    if code:
        refuse(plane, PLANE_DROPS_UP, code, end - at)
        if code == verdict.DROP_EXT_REQUIRED:
            list_other(plane, k)
        return np.int64(-1), np.int64(0)
    plane[PLANE_TRAILERS] += np.int64(claimed_end < end)
    return payload, claimed_end


@kernel(u1s, rows(SPAN), i8, u1s, TABLES, rows(PACKET), rows(PIECE), i8s)
def take_uplink(
    buf: Any,
    spans: Any,
    count: Any,
    names: Any,
    tables: Any,
    packets: Any,
    pieces: Any,
    plane: Any,
) -> None:
    """Datagrams at the GTP-U port to PACKET rows, and beside them PIECE rows: where the T-PDUs lie.

    Rows are added from plane[PLANE_ROWS] on; the arrays have room for them. Messages that are no G-PDUs,
    and G-PDUs of no session, are counted, and some of them listed for an answer.
    """
    teids, _, nodes, bearers = tables
    n = plane[PLANE_ROWS]
    now_ns = plane[PLANE_NOW_NS]
    for k in range(count):
        span = spans[unsigned(k)]
        at = np.int64(span["start"])
        end = at + np.int64(span["length"])
        payload, claimed_end = to_g_pdu(buf, at, end, k, plane)
        if payload < 0:
            continue
        teid = be32(buf, at + 4)
        index = np.int64(teids[unsigned(tunnel_slot(teids, teid))]["row"])
        if index < 0:
            refuse(plane, PLANE_DROPS_UP, verdict.DROP_TEID, end - at)
            if teid != 0:
                list_stray(plane, k)
            continue
        row = packets[unsigned(n)]
        bearer = bearers[unsigned(index)]
        code, flags = t_pdu(buf, payload, claimed_end, claimed_end, row)
        code = node_fault(row, inner_fault(buf, payload, code, flags), nodes)
        hi, lo = sender(names, np.int64(span["message"]))
        if hi != np.int64(bearer["peer_hi"]) or lo != np.int64(bearer["peer_lo"]):
            code = verdict.DROP_PEER
        elif code == verdict.NONE:
            bearer["last_ns"] = now_ns
        row["time_ns"] = now_ns
        row["teid"] = teid
        row["endpoint"] = plane[PLANE_ENDPOINT]
        row["code"] = code
        row["flags"] = flags | PACKET_GTP
        piece = pieces[unsigned(n)]
        piece["address"] = plane[PLANE_BUFFER] + payload
        piece["length"] = np.int64(row["length"])
        piece["bearer"] = index
        n += 1
    plane[PLANE_ROWS] = n


@kernel(u1s, rows(SPAN), i8, TABLES, rows(PACKET), rows(PIECE), i8s)
def take_downlink(
    buf: Any, spans: Any, count: Any, tables: Any, packets: Any, pieces: Any, plane: Any
) -> None:
    """The same for IP packets from the SGi side, which belong to the bearer that has their destination."""
    _, addresses, _, bearers = tables
    n = plane[PLANE_ROWS]
    now_ns = plane[PLANE_NOW_NS]
    for k in range(count):
        span = spans[unsigned(k)]
        at = np.int64(span["start"])
        end = at + np.int64(span["length"])
        row = packets[unsigned(n)]
        code, flags = ip_packet(buf, at, end, end, row)
        code = inner_fault(buf, at, code, flags)
        slot = find_address(addresses, np.int64(row["dst_hi"]), np.int64(row["dst_lo"]))
        if slot < 0:
            unknown = code if code else verdict.DROP_TEID
            refuse(plane, PLANE_DROPS_DOWN, unknown, end - at)
            continue
        if code == verdict.DROP_IHL:
            row["length"] = 0  # as in wire.frame: nothing that such a header says is to be believed
        elif code == verdict.NONE:
            if impossible_source(np.int64(row["src_hi"]), np.int64(row["src_lo"])):
                code = verdict.DROP_SPOOF
        index = np.int64(addresses[unsigned(slot)]["row"])
        bearer = bearers[unsigned(index)]
        if code == verdict.NONE:
            bearer["last_ns"] = now_ns
        row["time_ns"] = now_ns
        row["teid"] = np.int64(bearer["teid_down"])
        row["endpoint"] = np.int64(bearer["endpoint"])
        row["code"] = code
        row["flags"] = flags | PACKET_GTP
        piece = pieces[unsigned(n)]
        piece["address"] = plane[PLANE_BUFFER] + at
        piece["length"] = np.int64(row["length"])
        piece["bearer"] = index
        n += 1
    plane[PLANE_ROWS] = n
