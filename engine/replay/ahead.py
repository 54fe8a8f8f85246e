"""Reads ahead: one thread reads and parses the captures while another meters what came before.

Reading and parsing hold no lock that metering needs, so with two cores they overlap. Batches come in the
same order and with the same content as without.
"""

import queue
import threading
from collections.abc import Iterable, Iterator
from typing import Any, Generic, TypeVar

import numpy as np
import numpy.typing as npt

from engine.wire.kept import Kept

Rows = npt.NDArray[Any]
Batch = TypeVar("Batch", Rows, Kept)

DEPTH = 48
"""batches of 1 MB that may lie ready: the first packets of many SIMs take long, and reading goes on
meanwhile"""
DEPTH_KEPT = 8
"""the same of batches that come with their frames, of some 6 MB"""

PATIENCE, WAIT_S = 100, 0.01
"""tries to end the thread, and s between two: reading a file it ends at the first or second"""


def _copied(source: Rows, room: Rows | None) -> Rows:
    """A copy of `source` at the beginning of `room`, or of new room where that is too small."""
    count = len(source)
    if room is None or len(room) < count:
        room = np.zeros(count, dtype=source.dtype)
    # numpy copies records field by field; as bytes it is one move
    room[:count].view(np.uint8)[:] = source.view(np.uint8)
    return room


def _copy(batch: Batch, room: tuple[Rows, ...]) -> tuple[Batch, tuple[Rows, ...]]:
    """A batch of its own with the same content, and the room that it takes, to be used again."""
    if isinstance(batch, Kept):
        parts = (batch.packets, batch.frames, batch.data)
        room = tuple(map(_copied, parts, room or (None,) * len(parts)))
        copies = [copy[: len(part)] for part, copy in zip(parts, room, strict=True)]
        return Kept(*copies), room
    room = (_copied(batch, room[0] if room else None),)
    return room[0][: len(batch)], room


class Ahead(Generic[Batch]):
    """Iterates over `batches` from a thread of its own; batches are valid until the next step.

    At most `depth` of them lie ready.
    """

    def __init__(self, batches: Iterable[Batch], depth: int = DEPTH) -> None:
        self._batches: Iterable[Batch] = batches
        self._ready: queue.Queue[tuple[Batch, tuple[Rows, ...]] | BaseException | None]
        self._ready = queue.Queue(depth)
        # The one that was freed last is taken first: it is still in the cache.
        self._free: queue.LifoQueue[tuple[Rows, ...]] = queue.LifoQueue()
        for _ in range(depth + 2):
            self._free.put(())
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._read, name="pktoll-read", daemon=True)

    @property
    def waits(self) -> bool:
        """True if no batch lies ready, so that the next step may take as long as a pipe is silent."""
        return self._ready.empty()

    def _read(self) -> None:
        try:
            for batch in self._batches:
                room = self._free.get()
                if self._stopped.is_set():
                    return
                self._ready.put(_copy(batch, room))
            self._ready.put(None)
        except BaseException as error:  # handed to the reader of the batches, who raises it
            self._ready.put(error)

    def __iter__(self) -> Iterator[Batch]:
        self._thread.start()
        try:
            while True:
                ready = self._ready.get()
                if ready is None:
                    return
                if isinstance(ready, BaseException):
                    raise ready
                batch, room = ready
                yield batch
                self._free.put(room)
        finally:
            self._stop()

    def _stop(self) -> None:
        """Let the thread come to its end; one that waits for a silent pipe ends with the process."""
        self._stopped.set()
        for _ in range(PATIENCE):
            if not self._thread.is_alive():
                return
            try:
                self._ready.get_nowait()
            except queue.Empty:
                self._free.put(())
                self._thread.join(WAIT_S)
