"""Reading on inside a kernel: the next block of a file, behind what is left of the one before."""

from typing import Any

import numpy as np

from engine.jit import apart, leaf, move_bytes, read_at
from engine.layout import CACHE_LINE
from engine.wire import state as st

BEYOND_BYTES = 4096
"""what is read at a time of the record that goes on past the limit"""


@leaf
def refill(state: Any) -> Any:
    """Read on if the kernel may: True if there is more in the buffer now.

    Not in a stream that may have to be waited for, nor before GTP-C datagrams that lie in the buffer have
    been copied, nor at the end or where reading fails: who called the kernel looks into all of these.
    """
    apart()
    if state[st.FILE] < 0 or state[st.SIGNALS] > 0:
        return False
    pos = state[st.POS]
    left = state[st.END] - pos
    begin = state[st.BUFFER]
    offset = state[st.BASE] + state[st.END]
    # What follows then lies in memory as it does in the page cache, so whole lines are copied (some 5 %).
    shift = offset - begin - left & CACHE_LINE - 1
    if shift > state[st.BASE] + pos:
        shift = np.int64(0)  # the buffer never begins before the file does
    move_bytes(begin + shift, begin + pos, left)
    state[st.BASE] += pos - shift
    state[st.POS] = shift
    state[st.END] = shift + left
    wanted = min(state[st.BLOCK], max(state[st.LIMIT] - BEYOND_BYTES - offset, 0) + BEYOND_BYTES)
    count = read_at(state[st.FILE], begin + shift + left, wanted, offset)
    if count <= 0:
        state[st.FILE] = st.NO_FILE
        return False
    state[st.END] += count
    return True
