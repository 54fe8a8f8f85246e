"""The kernel that walks the records of a pcap file (draft-ietf-opsawg-pcap)."""

from typing import Any

import numpy as np

from engine.jit import apart, i8s, kernel, leaf, rows, u1s, unsigned
from engine.layout import ENDPOINT, FRAME, INTERFACE, PACKET
from engine.units import NS_PER_S
from engine.wire import state as st
from engine.wire.frame import AGAIN, DATAGRAM, HELD_MAX, ROW, keep_frame, signal, take_frame
from engine.wire.loads import file32, le32
from engine.wire.plain import LEAST_BYTES, count_plain, may_be_plain, plain_packet
from engine.wire.refill import refill

RECORD_BYTES = 16
"""of a record's header, but for one kind of old file"""


@leaf
def plain_records(buf: Any, packets: Any, interface: Any, endpoints: Any, state: Any) -> None:
    """Take records of a pcap file in this machine's byte order as long as they are plain and in order.

    A function of its own with few arrays, so that they stay in registers. Goes on from state[POS] and
    state[ROWS]; some frame must have been counted before.
    """
    apart()
    pos = state[st.POS]
    end = state[st.END]
    first = count = state[st.ROWS]
    time_ns = state[st.TIME_NS]
    factor = np.int64(interface["factor"])
    size = 0
    after = min(end - RECORD_BYTES - LEAST_BYTES + 1, state[st.LIMIT] - state[st.BASE])
    while count < packets.size and pos < after:
        held = le32(buf, pos + 8)
        start = pos + RECORD_BYTES
        odd = (
            held ^ le32(buf, pos + 12)
            | (held - LEAST_BYTES | HELD_MAX - held | end - start - held) >> 63
        )
        stamp_ns = le32(buf, pos) * NS_PER_S + le32(buf, pos + 4) * factor
        row = packets[unsigned(count)]
        if odd or stamp_ns < time_ns or not plain_packet(buf, start, held, row, endpoints):
            break
        row["time_ns"] = time_ns = stamp_ns
        size += held
        count += 1
        pos = start + held
    if count > first:
        state[st.POS] = pos
        state[st.ROWS] = count
        count_plain(interface, state, count - first, size, time_ns)


@leaf
def held_records(
    buf: Any,
    packets: Any,
    frames: Any,
    interfaces: Any,
    endpoints: Any,
    tally: Any,
    state: Any,
) -> Any:
    """Turn the records that are whole in the block into rows, as far as there is room; a status."""
    apart()
    pos = state[st.POS]
    end = state[st.END]
    big = state[st.BIG] != 0
    header_bytes = state[st.HEADER_BYTES]
    swapped = state[st.SWAPPED_LENGTHS] != 0
    interface = interfaces[0]
    factor = interface["factor"]
    count = state[st.ROWS]
    kept = state[st.KEPT]
    keep = frames.size > 0
    status = st.MORE
    plain = may_be_plain(interface, state) and not (big or swapped or keep)
    plain = plain and header_bytes == RECORD_BYTES
    while True:
        if plain and state[st.FIRST_NS] != st.NEVER_FIRST:
            state[st.POS] = pos
            state[st.ROWS] = count
            plain_records(buf, packets, interface, endpoints, state)
            pos = state[st.POS]
            count = state[st.ROWS]
        if state[st.BASE] + pos >= state[st.LIMIT]:
            status = st.PAST
            break
        if pos + header_bytes > end:
            break
        held = file32(buf, pos + 8, big)
        wire = file32(buf, pos + 12, big)
        if swapped and held > wire:
            held, wire = wire, held
        start = pos + header_bytes
        if held > HELD_MAX:
            status = st.BAD_CAPLEN
            break
        if start + held > end:
            break
        if count == packets.size or (keep and kept == frames.size):
            status = st.FULL
            break
        state[st.STAMP_NS] = file32(buf, pos, big) * NS_PER_S + file32(buf, pos + 4, big) * factor
        result, network, payload, fault = take_frame(
            buf, start, (held, wire), interface, packets[count], endpoints, tally, state
        )
        if result != ROW:
            if result == AGAIN:
                status = st.GROW
                break
            if result == DATAGRAM:
                result, payload = signal(
                    buf, start, (held, wire), interface, network, packets[count], state
                )
        if keep and (result == ROW or fault):
            place = (network, payload, fault)
            packet = count if result == ROW else -1
            keep_frame(frames[kept], start, (held, wire), interface, place, packet, state)
            kept += 1
        count += result
        pos = start + held
    state[st.POS] = pos
    state[st.ROWS] = count
    state[st.KEPT] = kept
    return status


@kernel(u1s, rows(PACKET), rows(FRAME), rows(INTERFACE), rows(ENDPOINT), i8s, i8s)
def walk_records(
    buf: Any,
    packets: Any,
    frames: Any,
    interfaces: Any,
    endpoints: Any,
    tally: Any,
    state: Any,
) -> Any:
    """Turn records from state[POS] on into rows until something is lacking; a status of `state`.

    Rows go behind the state[ROWS] that are there. Frames are kept in `frames` (see `keep_frame`) if there
    is room for any: those that got a row, and malformed ones. What lacks is read from a file, if it may
    be (see `refill`).
    """
    while True:
        status = held_records(buf, packets, frames, interfaces, endpoints, tally, state)
        if status != st.MORE or not refill(state):
            return status
