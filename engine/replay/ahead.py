"""Reads ahead: one thread reads and parses the captures while another meters what came before.

Reading and parsing hold no lock that metering needs, so with two cores they overlap. Batches come in the
same order and with the same content as without.
"""

import queue
import threading
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from engine.layout import PACKET

Rows = npt.NDArray[Any]

DEPTH = 48
"""batches of 1 MB that may lie ready: the first packets of many SIMs take long, and reading goes on
meanwhile"""

PATIENCE, WAIT_S = 100, 0.01
"""tries to end the thread, and s between two: reading a file it ends at the first or second"""


class Ahead:
    """Iterates over `batches` from a thread of its own; batches are valid until the next step."""

    def __init__(self, batches: Iterable[Rows]) -> None:
        self._batches = batches
        self._ready: queue.Queue[Rows | BaseException | None] = queue.Queue(DEPTH)
        # The one that was freed last is taken first: it is still in the cache.
        self._free: queue.LifoQueue[Rows] = queue.LifoQueue()
        for _ in range(DEPTH + 2):
            self._free.put(np.zeros(0, dtype=PACKET))
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._read, name="pktoll-read", daemon=True)

    @property
    def waits(self) -> bool:
        """True if no batch lies ready, so that the next step may take as long as a pipe is silent."""
        return self._ready.empty()

    def _read(self) -> None:
        try:
            for batch in self._batches:
                copy = self._free.get()
                if self._stopped.is_set():
                    return
                if len(copy) < len(batch):
                    copy = np.zeros(len(batch), dtype=PACKET)
                # numpy copies records field by field; as bytes it is one move
                copy[: len(batch)].view(np.uint8)[:] = batch.view(np.uint8)
                self._ready.put(copy[: len(batch)])
            self._ready.put(None)
        except BaseException as error:  # handed to the reader of the batches, who raises it
            self._ready.put(error)

    def __iter__(self) -> Iterator[Rows]:
        self._thread.start()
        try:
            while True:
                batch = self._ready.get()
                if batch is None:
                    return
                if isinstance(batch, BaseException):
                    raise batch
                yield batch
                self._free.put(batch if batch.base is None else batch.base)
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
                self._free.put(np.zeros(0, dtype=PACKET))
                self._thread.join(WAIT_S)
