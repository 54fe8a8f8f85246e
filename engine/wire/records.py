"""The kernel that walks the records of a pcap file (draft-ietf-opsawg-pcap)."""

from typing import Any

from engine.jit import i8s, kernel, rows, u1s
from engine.layout import ENDPOINT, FRAME, INTERFACE, PACKET
from engine.units import NS_PER_S
from engine.wire import state as st
from engine.wire.frame import AGAIN, DATAGRAM, HELD_MAX, ROW, keep_frame, signal, take_frame
from engine.wire.loads import file32


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

    Frames are kept in `frames` (see `keep_frame`) if there is room for any: those that got a row, and
    malformed ones.
    """
    pos = state[st.POS]
    end = state[st.END]
    big = state[st.BIG] != 0
    header_bytes = state[st.HEADER_BYTES]
    swapped = state[st.SWAPPED_LENGTHS] != 0
    interface = interfaces[0]
    factor = interface["factor"]
    count = 0
    kept = 0
    keep = frames.size > 0
    status = st.MORE
    while pos + header_bytes <= end:
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
