"""Frames that wait for their departure: the order in which they go, and what is kept meanwhile."""

from typing import Any

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from engine.layout import FRAME
from engine.replay import waiting
from engine.replay.waiting import Waiting

BATCHES = st.lists(
    st.lists(st.tuples(st.integers(0, 20), st.integers(0, 5)), max_size=8), min_size=1, max_size=12
)
"""(time until departure, length) of each frame of batches that arrive 5 apart"""


def frames_of(contents: list[tuple[int, bytes]], buffer: Any = None) -> tuple[Any, Any]:
    """FRAME rows of (departure, bytes), and their bytes; in `buffer` if given."""
    rows = np.zeros(len(contents), dtype=FRAME)
    lengths = [len(content) for _, content in contents]
    rows["held"] = rows["wire"] = lengths
    rows["start"] = np.cumsum(lengths) - lengths
    rows["time_ns"] = [departure_ns for departure_ns, _ in contents]
    data = np.frombuffer(bytearray(b"".join(content for _, content in contents)), dtype=np.uint8)
    if buffer is None:
        return rows, data
    buffer[: len(data)] = data
    return rows, buffer


def said(pieces: Any) -> list[tuple[int, bytes]]:
    """(departure, bytes) of all frames, in the order in which the parts of each piece are to be read."""
    found = []
    for parts in pieces:
        frames = [
            (int(row["time_ns"]), data[row["start"] : row["start"] + row["held"]].tobytes())
            for rows, data in parts
            for row in rows
        ]
        found += sorted(frames, key=lambda frame: frame[0])
    return found


@pytest.mark.parametrize("step", [1, 3, 1 << 16])
@example(batches=[[(20, 3), (0, 2), (10, 1)], [], [(0, 5), (5, 4)], [(0, 1)]])
@given(batches=BATCHES)
def test_frames_leave_in_the_order_of_departures_then_of_arrivals(
    batches: list[list[tuple[int, int]]], step: int
) -> None:
    """P3, P4, G8: none before its time is known to have come, none later; whatever the batches"""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(waiting, "STEP", step)
        held = Waiting()
        buffer = np.zeros(64, dtype=np.uint8)  # overwritten with every batch, as a capture's is
        expected: list[tuple[int, bytes]] = []
        left: list[tuple[int, bytes]] = []
        number = 0
        for k, batch in enumerate(batches):
            now_ns = 5 * k
            arrived = []
            for wait_ns, size in batch:
                arrived.append((now_ns + wait_ns, bytes([number % 251]) * size))
                number += 1
            expected += arrived
            left += said(held.let_out(*frames_of(arrived, buffer), now_ns))
            due = sorted((f for f in expected if f[0] <= now_ns), key=lambda frame: frame[0])
            assert left == due
            assert len(held) == len(expected) - len(left)
        left += said(held.rest())
        assert left == sorted(expected, key=lambda frame: frame[0])
        assert len(held) == 0


def test_only_what_waits_is_kept_in_memory() -> None:
    """G7: bounded by the queues, however long the capture is"""
    held = Waiting()
    most = 0
    for k in range(300):
        arrived = [(k, bytes(1_000))] * 20 + [(k + 10, bytes(100))] * 5
        for _ in held.let_out(*frames_of(arrived), k):
            pass
        assert len(held) == 5 * min(k + 1, 10)
        most = max(most, held.held_bytes)
    assert most <= 3 * 10 * 5 * 100


def test_few_runs_however_many_batches_wait() -> None:
    """G7: each is merged a few times, not with every batch"""
    held = Waiting()
    for k in range(500):
        for _ in held.let_out(*frames_of([(10**6 - k, bytes(10))]), k):
            pass
        assert len(held._runs) <= 12
    assert [departure_ns for departure_ns, _ in said(held.rest())] == list(
        range(10**6 - 499, 10**6 + 1)
    )


def test_a_frame_that_waits_for_long_does_not_keep_the_bytes_of_others() -> None:
    """G7: a run of which little is left gives up the rest"""
    held = Waiting()
    first = [(10**6, bytes(10))] + [(1, bytes(1_000))] * 50
    assert said(held.let_out(*frames_of(first), 0)) == []
    assert held.held_bytes == 50_010
    assert len(said(held.let_out(*frames_of([(10**5, bytes(100_000))]), 5))) == 50
    assert held.held_bytes == 100_010
