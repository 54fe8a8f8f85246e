"""Reads one capture with several threads: pieces are parsed at once, and handed on in order.

A piece that does not go on where the one before it ended, or in which something is met that needs order (a
receiver that is new, a time that goes back), is read again in order, up to where the next one begins.
So what comes out is the same for any number of threads, and for none.
"""

import sys
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from typing import Any

import numpy.typing as npt

from engine.wire.capture import Capture
from engine.wire.pieces import Cut, Piece

Rows = npt.NDArray[Any]

AHEAD = 4
"""pieces that may lie ready: while the first packets of many SIMs take long, reading goes on. More of them
are more memory, that costs page faults and drives what was read out of the cache"""
SWITCH_S = 0.0002
"""how long one thread may keep the others out of Python: a piece is parsed outside it in a millisecond, and
must not wait for several to be handed over"""
FIRST_BYTES = 1 << 18
"""what is read in order first: it shows the receivers and the times that pieces are to be made of"""


class _Task:
    """A piece that is parsed, by one of the threads or by the one that asks for it."""

    def __init__(self, threads: ThreadPoolExecutor, parse: Callable[[], Piece]) -> None:
        self._parse = parse
        self._future: Future[Piece] | None = threads.submit(parse)
        self._piece: Piece | None = None

    @property
    def ready(self) -> bool:
        return self._future is None or self._future.done()

    def take_over(self) -> bool:
        """Parse it in this thread; False if another has begun to."""
        if self._future is None or not self._future.cancel():
            return False
        self._piece, self._future = self._parse(), None
        return True

    def wait(self) -> Piece:
        """The piece, as soon as it is there."""
        if self._future is not None:
            return self._future.result()
        assert self._piece is not None
        return self._piece


class Pieces:
    """Iterates over the packets of a divisible capture, with `workers` threads; see Capture.

    The thread that iterates, and meters in between, is one of them: where the next piece is not ready, it
    parses one itself. A single worker leaves that to a thread that reads ahead.
    """

    def __init__(self, capture: Capture, workers: int) -> None:
        self._capture = capture
        self._helps = workers > 1
        self._threads = ThreadPoolExecutor(max(1, workers - 1), thread_name_prefix="pktoll-read")
        self._most = workers + AHEAD
        self._running: deque[_Task] = deque()
        self._rooms: list[Rows] = []
        self._next = 0

    def __iter__(self) -> Iterator[Rows]:
        """Batches, valid until the next step."""
        capture, before_s = self._capture, sys.getswitchinterval()
        sys.setswitchinterval(min(before_s, SWITCH_S))
        try:
            beginning = [batch.copy() for batch in capture.batches_before(FIRST_BYTES)]
            cut = capture.cut()
            if cut is not None:
                self._start_more(cut)
            yield from beginning
            if cut is not None:
                yield from self._adopted(cut)
            yield from capture
        finally:
            sys.setswitchinterval(before_s)
            self._threads.shutdown(cancel_futures=True)
            capture.close()

    def _adopted(self, cut: Cut) -> Iterator[Rows]:
        """Batches of all pieces, in order."""
        capture = self._capture
        for number in range(len(cut)):
            self._start_more(cut)
            piece = self._first()
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
            task = _Task(self._threads, partial(cut.parse, self._next, known, room))
            self._running.append(task)
            self._next += 1

    def _first(self) -> Piece:
        """The first of the pieces that are under way; parses others meanwhile, if that is its part."""
        first = self._running[0]
        while self._helps and not first.ready:
            if not any(task.take_over() for task in self._running):
                break
        return self._running.popleft().wait()
