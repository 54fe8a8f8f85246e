"""Reads one capture with several threads: pieces are parsed at once, and handed on in order.

A piece that does not go on where the one before it ended, or in which something is met that needs order (a
receiver that is new, a time that goes back), is read again in order, up to where the next one begins.
So what comes out is the same for any number of threads, and for none.
"""

from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import numpy.typing as npt

from engine.wire.capture import Capture
from engine.wire.pieces import Cut, Piece

Rows = npt.NDArray[Any]

AHEAD_EACH = 2
"""pieces a thread may be ahead"""


FIRST_BYTES = 1 << 18
"""what is read in order first: it shows the receivers and the times that pieces are to be made of"""


class Pieces:
    """Iterates over the packets of a divisible capture, with `workers` threads; see Capture."""

    def __init__(self, capture: Capture, workers: int) -> None:
        self._capture = capture
        self._threads = ThreadPoolExecutor(workers, thread_name_prefix="pktoll-read")
        self._most = workers * (1 + AHEAD_EACH)
        self._running: deque[Future[Piece]] = deque()
        self._rooms: list[Rows] = []
        self._next = 0

    def __iter__(self) -> Iterator[Rows]:
        """Batches, valid until the next step."""
        capture = self._capture
        try:
            yield from capture.batches_before(FIRST_BYTES)
            cut = capture.cut()
            if cut is not None:
                yield from self._adopted(cut)
            yield from capture
        finally:
            self._threads.shutdown(cancel_futures=True)
            capture.close()

    def _adopted(self, cut: Cut) -> Iterator[Rows]:
        """Batches of all pieces, in order."""
        capture = self._capture
        for number in range(len(cut)):
            self._start_more(cut)
            piece = self._running.popleft().result()
            if capture.stopped:
                return
            if capture.adopt(piece) and len(piece.packets):
                yield piece.packets
            self._rooms.append(piece.room)
            if capture.offset < cut.limit(number):
                yield from capture.batches_before(cut.limit(number))

    def _start_more(self, cut: Cut) -> None:
        while self._next < len(cut) and len(self._running) < self._most:
            room = self._rooms.pop() if self._rooms else None
            known = self._capture.endpoints_now()
            self._running.append(self._threads.submit(cut.parse, self._next, known, room))
            self._next += 1
