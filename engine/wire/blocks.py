"""The kernel that walks the blocks of a pcapng file (draft-ietf-opsawg-pcapng)."""

from typing import Any

from engine.jit import i8s, kernel, leaf, rows, u1s
from engine.layout import ENDPOINT, FRAME, INTERFACE, PACKET
from engine.wire import state as st
from engine.wire.frame import AGAIN, DATAGRAM, HELD_MAX, ROW, keep_frame, signal, take_frame
from engine.wire.loads import file16, file32
from engine.wire.stamps import stamp_ns

SECTION = 0x0A0D0D0A
INTERFACE_BLOCK = 1
PACKET_BLOCK = 2
"""obsolete, still written by old programs"""
SIMPLE_BLOCK = 3
ENHANCED_BLOCK = 6

BLOCK_BYTES = 12
"""type and two lengths: the least a block can have"""
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


@kernel(u1s, rows(PACKET), rows(FRAME), rows(INTERFACE), rows(ENDPOINT), i8s, i8s)
def walk_blocks(
    buf: Any,
    packets: Any,
    frames: Any,
    interfaces: Any,
    endpoints: Any,
    tally: Any,
    state: Any,
) -> Any:
    """Turn blocks from state[POS] on into rows until something is lacking; a status of `state`.

    Frames are kept in `frames` (see `keep_frame`) if there is room for any: those that got a row, and
    malformed ones.
    """
    pos = state[st.POS]
    end = state[st.END]
    big = state[st.BIG] != 0
    declared = state[st.INTERFACES]
    count = kept = 0
    keep = frames.size > 0
    while True:
        status = block_status(buf, pos, end, big)
        if status != st.FULL:
            break
        kind = file32(buf, pos, big)
        size = file32(buf, pos + 4, big)
        if kind != ENHANCED_BLOCK and kind != SIMPLE_BLOCK and kind != PACKET_BLOCK:
            pos += size
            continue
        if count == packets.size or (keep and kept == frames.size):
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
        pos += size
    state[st.POS] = pos
    state[st.ROWS] = count
    state[st.KEPT] = kept
    return status
