"""Reading ahead in a thread: the same batches, no thread left behind, no fault lost."""

import threading
from collections.abc import Iterator

import numpy as np
import pytest

from engine.errors import CaptureError
from engine.layout import PACKET
from engine.replay.ahead import DEPTH, Ahead


def batches(*sizes: int) -> Iterator[np.ndarray]:
    """Batches in one buffer that is overwritten with each, as a capture's is."""
    buffer = np.zeros(max(sizes, default=0), dtype=PACKET)
    for number, size in enumerate(sizes):
        buffer["time_ns"] = number
        yield buffer[:size]


def readers() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "pktoll-read"]


@pytest.mark.parametrize("sizes", [(), (3,), (0, 3), (1, 5, 2, 9, 9, 1, 4), tuple(range(1, 40))])
def test_batches_come_in_order_and_unharmed(sizes: tuple[int, ...]) -> None:
    """G8: although the buffer that they came in is overwritten meanwhile"""
    found = [(len(batch), set(batch["time_ns"].tolist())) for batch in Ahead(batches(*sizes))]
    assert found == [(size, {k} if size else set()) for k, size in enumerate(sizes)]
    assert readers() == []


def test_what_fails_while_reading_ahead_is_raised_in_its_place() -> None:
    """B52: after the batches that were read before"""

    def broken() -> Iterator[np.ndarray]:
        yield from batches(2, 2)
        raise CaptureError("cut", 99)

    iterator = iter(Ahead(broken()))
    assert [len(next(iterator)) for _ in range(2)] == [2, 2]
    with pytest.raises(CaptureError, match="cut") as caught:
        next(iterator)
    assert caught.value.offset == 99
    assert readers() == []


@pytest.mark.parametrize("taken", [1, 2, 3, DEPTH, DEPTH + 1, DEPTH + 3])
def test_who_stops_early_leaves_no_thread(taken: int) -> None:
    """G7: wherever the reader waits just then"""
    read = 0

    def endless() -> Iterator[np.ndarray]:
        nonlocal read
        while True:
            read += 1
            yield from batches(1)

    iterator = iter(Ahead(endless()))
    for _ in range(taken):
        next(iterator)
    iterator.close()  # type: ignore[attr-defined]
    assert readers() == []
    assert taken <= read <= taken + 2 * DEPTH + 4


def test_a_source_that_is_silent_holds_nobody_up() -> None:
    """G7: Ctrl-C, or a fault behind, while the reader waits for a pipe"""
    silence = threading.Event()

    def silent() -> Iterator[np.ndarray]:
        yield from batches(1)
        assert silence.wait(timeout=60)

    iterator = iter(Ahead(silent()))
    next(iterator)
    iterator.close()  # type: ignore[attr-defined]
    (left,) = readers()
    assert left.daemon
    silence.set()
    left.join(timeout=60)
    assert readers() == []


def test_no_more_is_read_ahead_than_there_is_room_for() -> None:
    """G7: memory is bounded by the depth"""
    read = 0
    ready = threading.Event()

    def counted() -> Iterator[np.ndarray]:
        nonlocal read
        for batch in batches(*[1] * 4 * DEPTH):
            read += 1
            if read > DEPTH:
                ready.set()
            yield batch

    iterator = iter(Ahead(counted()))
    next(iterator)
    assert ready.wait(timeout=60)
    assert read <= 1 + DEPTH + 2
    iterator.close()  # type: ignore[attr-defined]
