"""Walking the blocks of a pcapng file (draft-ietf-opsawg-pcapng)."""

from typing import Any

import numpy as np

from engine.jit import apart, leaf, unsigned
from engine.wire import state as st
from engine.wire.frame import HELD_MAX, add_frame
from engine.wire.loads import file16, file32, le32
from engine.wire.plain import LEAST_BYTES, count_plain, may_be_plain, plain_packet
from engine.wire.stamps import MULTIPLY, stamp_ns

SECTION = 0x0A0D0D0A
INTERFACE_BLOCK = 1
PACKET_BLOCK = 2
"""obsolete, still written by old programs"""
SIMPLE_BLOCK = 3
ENHANCED_BLOCK = 6

BLOCK_BYTES = 12
"""type and two lengths: the least a block can have"""
ENHANCED_HEADER_BYTES, ENHANCED_BYTES = 28, 32
"""before the frame in an enhanced packet block, and without frame and options"""
PACKET_BLOCK_MAX = 2 * HELD_MAX
"""byte; a packet of HELD_MAX and as much again for its options"""


@leaf
def packet_sizes(buf: Any, pos: Any, kind: Any, size: Any, snaplen: Any, big: Any) -> Any:
    """(offset of the frame, captured bytes, bytes on the wire); captured is -1 if it cannot be."""
    if kind == SIMPLE_BLOCK:
        wire = file32(buf, pos + 8, big)
        held = min(wire, size - 16)
        if snaplen:
            held = min(held, snaplen)
        return pos + 12, held if held <= HELD_MAX else -1, wire
    held = file32(buf, pos + 20, big)
    wire = file32(buf, pos + 24, big)
    return pos + 28, held if held <= min(size - 32, HELD_MAX) else -1, wire


@leaf
def block_status(buf: Any, pos: Any, end: Any, big: Any) -> Any:
    """Whether the block at `pos` can be dealt with now: FULL means yes, else why not."""
    if pos + BLOCK_BYTES > end:
        return st.MORE
    kind = file32(buf, pos, big)
    size = file32(buf, pos + 4, big)
    if kind == SECTION:
        return st.HOST
    packet = kind == ENHANCED_BLOCK or kind == SIMPLE_BLOCK or kind == PACKET_BLOCK
    least = 16 if kind == SIMPLE_BLOCK else 32 if packet else BLOCK_BYTES
    if size < least or size & 3:
        return st.BAD_BLOCK
    if kind == INTERFACE_BLOCK:
        return st.HOST
    if packet and size > PACKET_BLOCK_MAX:
        return st.LONG_BLOCK
    if pos + size > end:
        return st.MORE if packet else st.SKIP
    if file32(buf, pos + size - 4, big) != size:
        return st.BAD_TRAILER
    return st.FULL


@leaf
def plain_stamps(interface: Any) -> Any:
    """Whether time stamps of this interface are a whole number of ns each, with nothing to be added."""
    return interface["kind"] == MULTIPLY and interface["offset_ns"] == 0


@leaf
def plain_blocks(buf: Any, packets: Any, interface: Any, endpoints: Any, state: Any) -> None:
    """Take enhanced packet blocks of a pcapng file's first interface, as `plain_records` does records."""
    apart()
    pos = state[st.POS]
    end = state[st.END]
    first = count = state[st.ROWS]
    time_ns = state[st.TIME_NS]
    factor = np.int64(interface["factor"])
    most = st.NEVER_FIRST // factor
    total = 0
    while count < packets.size and pos + ENHANCED_BYTES + LEAST_BYTES <= end:
        size = le32(buf, pos + 4)
        held = le32(buf, pos + 20)
        start = pos + ENHANCED_HEADER_BYTES
        odd = le32(buf, pos) ^ ENHANCED_BLOCK | le32(buf, pos + 8) | held ^ le32(buf, pos + 24)
        room = (
            held - LEAST_BYTES | HELD_MAX - held | size - ENHANCED_BYTES - held | end - pos - size
        )
        if odd | size & 3 | room >> 63 or size > PACKET_BLOCK_MAX:
            break
        units = le32(buf, pos + 12) << 32 | le32(buf, pos + 16)
        if units < 0 or units > most or le32(buf, pos + size - 4) != size:
            break
        stamp_ns = units * factor
        row = packets[unsigned(count)]
        if stamp_ns < time_ns or not plain_packet(buf, start, held, row, endpoints):
            break
        row["time_ns"] = time_ns = stamp_ns
        total += held
        count += 1
        pos += size
    if count > first:
        state[st.POS] = pos
        state[st.ROWS] = count
        count_plain(interface, state, count - first, total, time_ns)


@leaf
def held_blocks(
    buf: Any,
    packets: Any,
    frames: Any,
    interfaces: Any,
    endpoints: Any,
    tally: Any,
    state: Any,
) -> Any:
    """Turn the blocks that are whole in the buffer into rows, as `held_records` does with records."""
    apart()
    pos = state[st.POS]
    end = state[st.END]
    big = state[st.BIG] != 0
    declared = state[st.INTERFACES]
    tables = (endpoints, tally)
    plain = may_be_plain(interfaces[0], state) and not (big or frames.size > 0)
    plain = plain and declared > 0 and plain_stamps(interfaces[0])
    while True:
        if plain and state[st.FIRST_NS] != st.NEVER_FIRST:
            state[st.POS] = pos
            plain_blocks(buf, packets, interfaces[0], endpoints, state)
            pos = state[st.POS]
        status = block_status(buf, pos, end, big)
        if status != st.FULL:
            break
        kind = file32(buf, pos, big)
        size = file32(buf, pos + 4, big)
        if kind != ENHANCED_BLOCK and kind != SIMPLE_BLOCK and kind != PACKET_BLOCK:
            pos += size
            continue
        full = frames.size > 0 and state[st.KEPT] == frames.size
        if full or state[st.ROWS] == packets.size:
            break
        number = 0
        if kind == ENHANCED_BLOCK:
            number = file32(buf, pos + 8, big)
        elif kind == PACKET_BLOCK:
            number = file16(buf, pos + 8, big)
        if number >= declared:
            status = st.BAD_INTERFACE
            break
        interface = interfaces[number]
        start, held, wire = packet_sizes(buf, pos, kind, size, interface["snaplen"], big)
        if held < 0:
            status = st.BAD_CAPLEN
            break
        state[st.STAMP_NS] = st.NO_STAMP
        if kind != SIMPLE_BLOCK:
            high = file32(buf, pos + 12, big)
            state[st.STAMP_NS] = stamp_ns(high, file32(buf, pos + 16, big), interface)
        sizes = (held, wire)
        if not add_frame(buf, start, sizes, interface, (packets, frames), tables, state):
            status = st.GROW
            break
        pos += size
    state[st.POS] = pos
    return status
