"""The one thread of a live gateway that talks to the coupon database."""

import queue
import threading
from collections import deque
from collections.abc import Callable
from typing import Any

from engine import clock
from engine.errors import PoolError, PoolFenced
from engine.pool.store import CouponStore, Notice

POLL_NS = 50_000_000
"""ns; how often others' changes are looked for"""
Task = Callable[[], Any]
Done = Callable[[Any], None]


class Asker:
    """The one thread that uses the store. `ask` returns at once, `wait` with the answer."""

    def __init__(self, store: CouponStore, renew_ns: int) -> None:
        self._store = store
        self._renew_ns = renew_ns
        self._renewed_ns = clock.lease_ns()
        self._tasks: queue.SimpleQueue[tuple[Task, Done] | None] = queue.SimpleQueue()
        self._answers: deque[tuple[Done, Any]] = deque()
        self.heard: deque[Notice] = deque()
        self._thread = threading.Thread(target=self._run, name="coupon database", daemon=True)
        self._thread.start()

    def ask(self, task: Task, done: Done) -> None:
        """Have `task` run; `done(answer)` is called by a later `collect`, a PoolError being an answer."""
        self._tasks.put((task, done))

    def wait(self, task: Task) -> Any:
        """Run `task` in the store's thread and return what it returns, or raise what it raises."""
        answer: queue.SimpleQueue[tuple[bool, Any]] = queue.SimpleQueue()

        def tell() -> None:
            try:
                answer.put((True, task()))
            except BaseException as error:
                answer.put((False, error))

        self._tasks.put((tell, lambda _: None))
        fine, value = answer.get()
        if not fine:
            raise value
        return value

    def collect(self) -> None:
        """Take the answers that have come; PoolFenced if another gateway has taken over."""
        while self._answers:
            done, answer = self._answers.popleft()
            if isinstance(answer, PoolFenced):
                raise answer
            done(answer)

    def settled(self) -> None:
        """Wait until every question asked so far is answered, then take the answers."""
        self.wait(lambda: None)
        self.collect()

    def end(self) -> None:
        """End the thread after what was asked."""
        self._tasks.put(None)
        self._thread.join()

    def _run(self) -> None:
        looked_ns = clock.elapsed_ns()
        while True:
            left_ns = POLL_NS - (clock.elapsed_ns() - looked_ns)
            try:
                if left_ns <= 0:  # others' changes are looked for however much is asked
                    raise queue.Empty
                asked = self._tasks.get(timeout=left_ns / 1e9)
            except queue.Empty:
                asked = self._look, self._hear
                looked_ns = clock.elapsed_ns()
            if asked is None:
                return
            task, done = asked
            try:
                answer = task()
            except PoolError as error:
                answer = error
            self._answers.append((done, answer))

    def _look(self) -> list[Notice]:
        now_ns = clock.lease_ns()
        if now_ns - self._renewed_ns >= self._renew_ns:
            self._store.renew()
            self._renewed_ns = now_ns
        return self._store.notices()

    def _hear(self, found: list[Notice] | PoolError) -> None:
        if not isinstance(found, PoolError):  # one that does not answer is asked again in a moment
            self.heard.extend(found)


class AskedStore:
    """A store whose every method runs in the asker's thread, while the caller waits."""

    def __init__(self, store: CouponStore, asker: Asker) -> None:
        self._store = store
        self._asker = asker

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._store, name)
        if not callable(found):
            return found
        return lambda *given, **named: self._asker.wait(lambda: found(*given, **named))
