"""One captured frame into one row: the leaf that all walking kernels share."""

from typing import Any

import numpy as np

from engine import verdict
from engine.jit import apart, inlined, leaf, unsigned
from engine.layout import PACKET_CUT, PACKET_GTP, PACKET_SIGNALLING, V4_MAPPED
from engine.wire import gtp
from engine.wire import state as st
from engine.wire.basis import FRAME, INNER_IP, L4_PAYLOAD, OUTER_IP, payload_bytes
from engine.wire.endpoints import GROW, intern_address
from engine.wire.ip import UDP, clear, impossible_source, ip_packet, outer_length, outer_udp
from engine.wire.link import BAD_VERSION, network_offset
from engine.wire.loads import be16, be32, be64, u8

NO_ROW = 0
ROW = 1
AGAIN = 2
"""nothing was counted or written: make the endpoint table larger and parse this frame again"""
DATAGRAM = 3
"""a UDP datagram at other ports than GTP-U's: `signal` says whether it is to have a row"""

HELD_MAX = 262_144
"""byte; a captured length above this is nonsense, and so is all that follows in the file"""
WIRE_MAX = 1 << 20
"""byte; an on-the-wire length above this is nonsense: the longest offloaded packets have 2^19"""

UDP_BYTES = 8
NO_ENDPOINT = -1
NOWHERE = -1
"""answer instead of the offset of a packet that is charged: there is none"""


@inlined
def finish(row: Any, code: Any, flags: Any, at: Any, held_end: Any, wire_end: Any) -> Any:
    """Write code and flags; 1 (and PACKET_CUT) where the capture kept less than the packet."""
    cut = 0
    if held_end < wire_end:
        length = np.int64(row["length"])
        if at + length > held_end or code == verdict.DROP_SHORT:
            cut = 1
            flags |= PACKET_CUT
    row["code"] = code
    row["flags"] = flags
    return cut


@inlined
def infrastructure(row: Any) -> Any:
    """Drop code of a T-PDU for a port of the operator's nodes, whatever its UDP length (N7)."""
    if np.int64(row["protocol"]) == UDP:
        port = np.int64(row["dst_port"])
        if port == gtp.GTP_U_PORT:
            return verdict.DROP_GTP_IN_GTP
        if port == gtp.GTP_C_PORT or port == gtp.PFCP_PORT:
            return verdict.DROP_INFRA
    return verdict.NONE


@inlined
def t_pdu(buf: Any, at: Any, held_end: Any, end: Any, row: Any) -> Any:
    """Fill the row from what a G-PDU carries; (code, flags)."""
    code, flags = ip_packet(buf, at, held_end, end, row)
    if code == verdict.NONE:
        if impossible_source(np.int64(row["src_hi"]), np.int64(row["src_lo"])):
            code = verdict.DROP_SPOOF
        else:
            code = infrastructure(row)
    elif code == verdict.DROP_IHL:
        row["length"] = 0  # nothing that such a header says is to be believed
    return code, flags


@inlined
def destination(buf: Any, at: Any) -> Any:
    """(high, low) half of the destination of the IP header at `at`."""
    if u8(buf, at) >> 4 == 4:
        return np.int64(0), V4_MAPPED | be32(buf, at + 16)
    return be64(buf, at + 24), be64(buf, at + 32)


@leaf
def source(buf: Any, at: Any) -> Any:
    """(high, low) half of the source of the IP header at `at`."""
    if u8(buf, at) >> 4 == 4:
        return np.int64(0), V4_MAPPED | be32(buf, at + 12)
    return be64(buf, at + 8), be64(buf, at + 16)


@leaf
def for_a_node(buf: Any, at: Any, row: Any) -> Any:
    """Whether the T-PDU is addressed to one of the two nodes whose tunnel it is in (outer IP at `at`).

    A terminal's own traffic may well use these ports, with anybody else.
    """
    hi = np.int64(row["dst_hi"])
    lo = np.int64(row["dst_lo"])
    to_hi, to_lo = destination(buf, at)
    from_hi, from_lo = source(buf, at)
    return (hi == to_hi and lo == to_lo) or (hi == from_hi and lo == from_lo)


@inlined
def message_fault(buf: Any, udp: Any, held_end: Any) -> Any:
    """Drop code of a datagram at a GTP-U port of which not even the message type can be read."""
    if udp + UDP_BYTES > held_end:
        return verdict.DROP_SHORT
    length = be16(buf, udp + 4)
    if length < UDP_BYTES:
        return verdict.DROP_LEN
    if length < UDP_BYTES + 2 or udp + UDP_BYTES + 2 > held_end:
        return verdict.DROP_SHORT
    return verdict.NONE


@inlined
def g_pdu_row(buf: Any, at: Any, held_end: Any, end: Any, row: Any) -> Any:
    """Fill the row from the G-PDU at `at`: (code, flags, offset of the T-PDU)."""
    row["teid"] = 0
    code = gtp.header_fault(buf, at, min(held_end, end))
    if code:
        clear(row)
        return code, 0, at
    row["teid"] = be32(buf, at + 4)
    code, payload, claimed_end = gtp.g_pdu(buf, at, held_end, end)
    if code == verdict.NONE or code == verdict.DROP_LEN or code == verdict.DROP_EXT_REQUIRED:
        inner, flags = t_pdu(buf, payload, min(held_end, claimed_end), claimed_end, row)
        return code if code else inner, flags | PACKET_GTP, payload
    clear(row)
    return code, PACKET_GTP, payload


@inlined
def tunnelled(
    buf: Any,
    at: Any,
    held_end: Any,
    wire_end: Any,
    row: Any,
    endpoints: Any,
    tally: Any,
    state: Any,
) -> Any:
    """Fill the row if the IP packet at `at` carries a G-PDU; count other GTP-U messages.

    Answers (ROW, NO_ROW, AGAIN or DATAGRAM; offset of the T-PDU; drop code of what is malformed).
    """
    udp, held, limit, code = outer_udp(buf, at, held_end, wire_end)
    if udp < 0 or udp + 4 > held:
        return NO_ROW, NOWHERE, verdict.NONE
    if be16(buf, udp + 2) != gtp.GTP_U_PORT and be16(buf, udp) != gtp.GTP_U_PORT:
        return DATAGRAM, NOWHERE, verdict.NONE
    fault = message_fault(buf, udp, held)
    if fault:
        state[st.MALFORMED + fault] += 1
        return NO_ROW, NOWHERE, fault
    end = udp + be16(buf, udp + 4)
    if end > limit:
        code = verdict.DROP_LEN
    message = udp + UDP_BYTES
    kind = u8(buf, message + 1)
    if kind != gtp.G_PDU:
        state[st.MESSAGES + kind] += 1
        fault = code if code else gtp.signalling_fault(buf, message, held, end)
        if fault:
            state[st.MALFORMED + fault] += 1
        return NO_ROW, NOWHERE, fault
    hi, lo = destination(buf, at)
    endpoint = intern_address(endpoints, tally, hi, lo)
    if endpoint == GROW:
        return AGAIN, NOWHERE, verdict.NONE
    row["endpoint"] = endpoint
    inner, flags, payload = g_pdu_row(buf, message, held, end, row)
    if inner == verdict.DROP_GTP_IN_GTP or inner == verdict.DROP_INFRA:
        inner = inner if for_a_node(buf, at, row) else verdict.NONE
    state[st.MESSAGES + kind] += 1
    state[st.CUT] += finish(row, code if code else inner, flags, payload, held_end, wire_end)
    basis = state[st.BASIS]
    if basis != INNER_IP:  # only now: until here the inner packet is what is judged
        if basis == OUTER_IP:
            row["length"] = outer_length(at, limit, end)
        elif basis == L4_PAYLOAD:
            row["length"] = payload_bytes(buf, payload, held, np.int64(row["length"]))
    return ROW, payload, verdict.NONE


@inlined
def bare(buf: Any, at: Any, held_end: Any, wire_end: Any, row: Any, state: Any) -> Any:
    """Fill the row from the IP packet at `at`, whatever it carries; count it if it is none.

    Answers (ROW or NO_ROW, drop code of what is malformed).
    """
    row["teid"] = 0
    row["endpoint"] = NO_ENDPOINT
    code, flags = ip_packet(buf, at, held_end, wire_end, row)
    if code == verdict.DROP_SHORT or (code == verdict.DROP_IHL and u8(buf, at) & 15 < 5):
        # no address in it can be relied on: a fault of the frame, not a packet of somebody's
        state[st.MALFORMED + code] += 1
        return NO_ROW, code
    state[st.CUT] += finish(row, code, flags, at, held_end, wire_end)
    if state[st.BASIS] == L4_PAYLOAD:
        row["length"] = payload_bytes(buf, at, held_end, np.int64(row["length"]))
    return ROW, verdict.NONE


@inlined
def account(row: Any, wire: Any, interface: Any, state: Any) -> None:
    """Count the frame, and give the row a time that never goes back."""
    state[st.FRAMES] += 1
    state[st.FRAME_BYTES] += wire
    interface["frames"] += 1
    stamp_ns = state[st.STAMP_NS]
    time_ns = state[st.TIME_NS]
    if stamp_ns > st.BAD_STAMP:
        state[st.FIRST_NS] = min(state[st.FIRST_NS], stamp_ns)
        state[st.LAST_NS] = max(state[st.LAST_NS], stamp_ns)
    if stamp_ns >= time_ns:
        time_ns = stamp_ns
        state[st.TIME_NS] = time_ns
    elif stamp_ns != st.NO_STAMP:
        state[st.REGRESSIONS] += 1
    row["time_ns"] = time_ns


@inlined
def ends(start: Any, sizes: Any, interface: Any) -> Any:
    """(end of the captured bytes, end on the wire, length on the wire) of the frame at `start`."""
    held, wire = sizes
    if wire < held or wire > WIRE_MAX:
        wire = held
    wire_end = start + wire - np.int64(interface["fcs_bytes"])
    return min(start + held, wire_end), wire_end, wire


@leaf
def take_frame(
    buf: Any,
    start: Any,
    sizes: Any,
    interface: Any,
    row: Any,
    endpoints: Any,
    tally: Any,
    state: Any,
) -> Any:
    """Parse the frame at `start`, sizes (captured, on the wire).

    Answers (ROW, NO_ROW, AGAIN or DATAGRAM; offset of the outermost IP header; that of the packet that is
    charged; drop code of a frame that is malformed): what `keep_frame` needs.
    """
    apart()
    held_end, wire_end, wire = ends(start, sizes, interface)
    at = network_offset(buf, start, held_end, np.int64(interface["link"]))
    result, payload, fault = NO_ROW, NOWHERE, verdict.NONE
    if at >= 0:
        if state[st.MODE] == st.MODE_GTP:
            result, payload, fault = tunnelled(
                buf, at, held_end, wire_end, row, endpoints, tally, state
            )
        else:
            result, fault = bare(buf, at, held_end, wire_end, row, state)
            payload = at
    elif at == BAD_VERSION and state[st.MODE] == st.MODE_IP:
        fault = verdict.DROP_IPVER
        state[st.MALFORMED + fault] += 1
    if result != AGAIN:
        if result == ROW and state[st.BASIS] == FRAME:
            row["length"] = wire_end - start
        account(row, wire, interface, state)
    return result, at, payload, fault


@leaf
def signal(buf: Any, start: Any, sizes: Any, interface: Any, at: Any, row: Any, state: Any) -> Any:
    """Fill the row if the datagram in the IP packet at `at` is at the GTP-C port, and these are wanted.

    Answers (ROW or NO_ROW, offset of what it carries). Offset and size stand in `endpoint` and `fragment`
    until the reader has copied it.
    """
    apart()
    if state[st.WANT_SIGNALS] == 0:
        return NO_ROW, NOWHERE
    held_end, wire_end, _ = ends(start, sizes, interface)
    udp, held, _, _ = outer_udp(buf, at, held_end, wire_end)
    if be16(buf, udp) != gtp.GTP_C_PORT and be16(buf, udp + 2) != gtp.GTP_C_PORT:
        return NO_ROW, NOWHERE
    message = udp + UDP_BYTES
    end = udp + be16(buf, udp + 4) if message <= held else 0
    if end < message or end > held:
        state[st.CUT_SIGNALS] += 1
        return NO_ROW, NOWHERE
    clear(row)
    row["src_hi"], row["src_lo"] = source(buf, at)
    row["dst_hi"], row["dst_lo"] = destination(buf, at)
    row["src_port"] = be16(buf, udp)
    row["dst_port"] = be16(buf, udp + 2)
    row["teid"] = 0
    row["endpoint"] = message
    row["fragment"] = end - message
    row["code"] = verdict.NONE
    row["flags"] = PACKET_SIGNALLING
    state[st.SIGNALS] += 1
    return ROW, message


@leaf
def keep_frame(
    frame: Any, start: Any, sizes: Any, interface: Any, place: Any, packet: Any, state: Any
) -> None:
    """Write where the frame that was just taken lies to its layout.FRAME row.

    `place` are the offsets of its headers and its fault as `take_frame` answered, `packet` the index of
    its row or -1. A checksum at its end (FCS) is no part of it.
    """
    apart()
    at, payload, fault = place
    held_end, wire_end, _ = ends(start, sizes, interface)
    frame["number"] = state[st.FRAMES]
    frame["time_ns"] = state[st.TIME_NS]
    frame["start"] = start
    frame["held"] = max(0, held_end - start)
    frame["wire"] = max(0, wire_end - start)
    frame["network"] = at - start if at >= 0 else NOWHERE
    frame["payload"] = payload - start if packet >= 0 else NOWHERE
    frame["packet"] = packet
    frame["link"] = np.int64(interface["link"])
    frame["code"] = fault


@leaf
def add_frame(
    buf: Any, start: Any, sizes: Any, interface: Any, rooms: Any, tables: Any, state: Any
) -> Any:
    """Take the frame at `start` into the next of the rows; False where the endpoint table must grow first.

    rooms: PACKET rows, of which one is free behind the first state[ROWS], and FRAME rows, if frames are
    kept: those that get a row, and malformed ones. tables: that of endpoints and its tally.
    """
    apart()
    packets, frames = rooms
    endpoints, tally = tables
    count = state[st.ROWS]
    row = packets[unsigned(count)]
    result, network, payload, fault = take_frame(
        buf, start, sizes, interface, row, endpoints, tally, state
    )
    if result == AGAIN:
        return False
    if result == DATAGRAM:
        result, payload = signal(buf, start, sizes, interface, network, row, state)
    if frames.size > 0 and (result == ROW or fault):
        kept = state[st.KEPT]
        packet = count if result == ROW else np.int64(-1)
        place = (network, payload, fault)
        keep_frame(frames[unsigned(kept)], start, sizes, interface, place, packet, state)
        state[st.KEPT] = kept + 1
    state[st.ROWS] = count + result
    return True
