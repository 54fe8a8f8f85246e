"""The kernel that walks through a capture: both formats, so that what they share is compiled once."""

from typing import Any

from engine.jit import i8s, kernel, rows, u1s
from engine.layout import ENDPOINT, FRAME, INTERFACE, PACKET
from engine.wire import state as st
from engine.wire.blocks import held_blocks
from engine.wire.records import held_records
from engine.wire.refill import refill


@kernel(u1s, rows(PACKET), rows(FRAME), rows(INTERFACE), rows(ENDPOINT), i8s, i8s, aside=True)
def walk(
    buf: Any,
    packets: Any,
    frames: Any,
    interfaces: Any,
    endpoints: Any,
    tally: Any,
    state: Any,
) -> Any:
    """Turn what stands from state[POS] on into rows until something is lacking; a status of `state`.

    Arguments as for `held_records`. What lacks is read from a file, if it may be (see `refill`).
    """
    while True:
        if state[st.BLOCKS]:
            status = held_blocks(buf, packets, frames, interfaces, endpoints, tally, state)
        else:
            status = held_records(buf, packets, frames, interfaces, endpoints, tally, state)
        if status != st.MORE or not refill(state):
            return status
