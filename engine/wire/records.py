"""Walking the records of a pcap file (draft-ietf-opsawg-pcap)."""

from typing import Any

import numpy as np

from engine.jit import apart, leaf, unsigned
from engine.units import NS_PER_S
from engine.wire import state as st
from engine.wire.frame import HELD_MAX, add_frame
from engine.wire.loads import file32, le32
from engine.wire.plain import LEAST_BYTES, count_plain, may_be_plain, plain_packet

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
    """Turn the records that are whole in the block into rows, as far as there is room; a status.

    Rows go behind the state[ROWS] that are there. Frames are kept in `frames` (see `keep_frame`) if there
    is room for any: those that got a row, and malformed ones.
    """
    apart()
    pos = state[st.POS]
    end = state[st.END]
    big = state[st.BIG] != 0
    header_bytes = state[st.HEADER_BYTES]
    swapped = state[st.SWAPPED_LENGTHS] != 0
    interface = interfaces[0]
    factor = interface["factor"]
    tables = (endpoints, tally)
    status = st.MORE
    plain = may_be_plain(interface, state) and not (big or swapped or frames.size > 0)
    plain = plain and header_bytes == RECORD_BYTES
    while True:
        if plain and state[st.FIRST_NS] != st.NEVER_FIRST:
            state[st.POS] = pos
            plain_records(buf, packets, interface, endpoints, state)
            pos = state[st.POS]
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
        full = frames.size > 0 and state[st.KEPT] == frames.size
        if full or state[st.ROWS] == packets.size:
            status = st.FULL
            break
        state[st.STAMP_NS] = file32(buf, pos, big) * NS_PER_S + file32(buf, pos + 4, big) * factor
        sizes = (held, wire)
        if not add_frame(buf, start, sizes, interface, (packets, frames), tables, state):
            status = st.GROW
            break
        pos = start + held
    state[st.POS] = pos
    return status
