"""Reading on inside a kernel: what is left of a block, and what follows it in the file."""

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engine.jit import i8s, kernel
from engine.layout import CACHE_LINE
from engine.wire import state as st
from engine.wire.refill import refill


@kernel(i8s)
def read_on(state: Any) -> Any:
    return refill(state)


NEVER = (1 << 63) - 1


@pytest.mark.parametrize("begun", [0, 1, 63, 64, 100, 999])
@pytest.mark.parametrize("left", [0, 1, 37, 64, 200])
def test_what_follows_lies_in_memory_as_it_does_in_the_file(
    tmp_path: Path, begun: int, left: int
) -> None:
    """G8: every octet once, at its place; new ones as far from a line's beginning as in the page cache"""
    octets = np.random.default_rng(3).integers(0, 256, 4000, dtype=np.uint8)
    path = tmp_path / "octets"
    path.write_bytes(octets.tobytes())
    buffer = np.zeros(3000, dtype=np.uint8)
    held = octets[begun : begun + 300]
    buffer[:300] = held
    state = np.zeros(st.STATE, dtype=np.int64)
    state[st.BUFFER], state[st.BLOCK], state[st.LIMIT] = buffer.ctypes.data, 1500, NEVER
    state[st.BASE], state[st.POS], state[st.END] = begun, 300 - left, 300
    file = os.open(path, os.O_RDONLY)
    try:
        state[st.FILE] = file
        assert read_on(state)
    finally:
        os.close(file)
    pos, end, base = (int(state[word]) for word in (st.POS, st.END, st.BASE))
    assert base + pos == begun + 300 - left
    assert end - pos == left + 1500
    assert buffer[pos:end].tolist() == octets[base + pos : base + end].tolist()
    assert (int(buffer.ctypes.data) - base) % CACHE_LINE == 0
    assert 0 <= pos < CACHE_LINE


def test_the_buffer_never_begins_before_the_file(tmp_path: Path) -> None:
    """a negative place would overflow where the limit is as far away as can be"""
    path = tmp_path / "octets"
    path.write_bytes(bytes(range(200)))
    for skew in range(CACHE_LINE):
        buffer = np.zeros(1000, dtype=np.uint8)
        buffer[skew : skew + 8] = range(8)
        state = np.zeros(st.STATE, dtype=np.int64)
        state[st.BUFFER], state[st.BLOCK] = buffer.ctypes.data + skew, 100
        state[st.POS], state[st.END], state[st.LIMIT] = 4, 8, NEVER
        with path.open("rb") as file:
            state[st.FILE] = file.fileno()
            assert read_on(state)
        pos, end = int(state[st.POS]), int(state[st.END])
        assert int(state[st.BASE]) >= 0
        assert buffer[skew + pos : skew + end].tolist() == list(range(4, 108))
