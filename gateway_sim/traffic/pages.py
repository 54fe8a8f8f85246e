"""Pages of records on their way to a file: one is written by a thread while the next is filled."""

from queue import SimpleQueue
from threading import Thread
from types import TracebackType
from typing import BinaryIO

from gateway_sim.traffic.stamp import Page

PAGES = 3


class Pages:
    """A context in which pages are filled and written, in order; it ends when all are written.

    What the file raises is raised by the next `empty`, or at the end.
    """

    def __init__(self, target: BinaryIO, header: bytes) -> None:
        """`header` is written before the first page."""
        self._target = target
        self._header = header
        self._empty: SimpleQueue[Page] = SimpleQueue()
        self._full: SimpleQueue[Page | None] = SimpleQueue()
        self._failure: BaseException | None = None
        self._thread = Thread(target=self._work, name="gen-writer")
        for _ in range(PAGES):
            self._empty.put(Page())

    def __enter__(self) -> "Pages":
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, what: BaseException | None, at: TracebackType | None
    ) -> None:
        self._full.put(None)
        self._thread.join()
        if self._failure is not None and kind is None:
            raise self._failure

    def empty(self) -> Page:
        """A page to fill; waits while all are on their way."""
        page = self._empty.get()
        if self._failure is not None:
            raise self._failure
        return page

    def write(self, page: Page) -> None:
        """Hand a filled page over."""
        self._full.put(page)

    def _work(self) -> None:
        self._put(memoryview(self._header))
        while (page := self._full.get()) is not None:
            self._put(page.records())
            self._empty.put(page)

    def _put(self, data: memoryview) -> None:
        try:
            while data and self._failure is None:
                data = data[self._target.write(data) :]  # a raw file or a pipe may take less
        except Exception as failure:  # it belongs to the other thread
            self._failure = failure
