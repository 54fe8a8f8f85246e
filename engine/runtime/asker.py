"""The one thread of a live gateway that talks to the coupon database."""

import queue
import threading
from collections import deque
from collections.abc import Callable
from typing import Any, NamedTuple

from engine import clock
from engine.errors import PoolError, PoolFenced
from engine.pool.store import CouponStore, Notice

POLL_NS = 50_000_000
"""ns; how often others' changes are looked for"""
GROUP_MAX = 256
"""questions that become durable with one fsync, where so many are there"""
Task = Callable[[], Any]
Done = Callable[[Any], None]


class Question(NamedTuple):
    """What is to be run, who is told of its answer in the asker's thread, and whether others may be run in
    the same transaction."""

    task: Task
    tell: Done
    joins: bool


class Asker:
    """The one thread that uses the store. `ask` returns at once, `wait` with the answer.

    Questions that are there together, with nobody waiting for one of them, are a group: they become durable
    with one fsync, and only then is any of them answered.
    """

    def __init__(self, store: CouponStore, renew_ns: int) -> None:
        self._store = store
        self._renew_ns = renew_ns
        self._renewed_ns = clock.lease_ns()
        self._tasks: queue.SimpleQueue[Question | None] = queue.SimpleQueue()
        self._next: Question | None = None
        self._held: list[Question] | None = None
        self._answers: deque[tuple[Done, Any]] = deque()
        self._told = threading.Event()
        self.open_questions = 0
        """asked, and not yet collected"""
        self.heard: deque[Notice] = deque()
        self._looked_ns = clock.elapsed_ns()
        self._thread = threading.Thread(target=self._run, name="coupon database", daemon=True)
        self._thread.start()

    def ask(self, task: Task, done: Done) -> None:
        """Have `task` run; `done(answer)` is called by a later `collect`, a PoolError being an answer."""
        self.open_questions += 1
        question = Question(task, lambda answer: self._answers.append((done, answer)), True)
        if self._held is None:
            self._tasks.put(question)
        else:
            self._held.append(question)

    def hold(self) -> None:
        """Keep what is asked from now on, so that it is there together when it is let go."""
        self._held = self._held or []

    def let_go(self) -> None:
        """Have what was kept run."""
        held, self._held = self._held or [], None
        for question in held:
            self._tasks.put(question)

    def wait(self, task: Task) -> Any:
        """Run `task` in the store's thread and return what it returns, or raise what it raises."""
        answers: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._tasks.put(Question(task, answers.put, False))
        answer = answers.get()
        if isinstance(answer, BaseException):
            raise answer
        return answer

    def collect(self) -> None:
        """Take the answers that have come; PoolFenced if another gateway has taken over."""
        while self._answers:
            done, answer = self._answers.popleft()
            self.open_questions -= done != self._hear
            if isinstance(answer, PoolFenced):
                raise answer
            done(answer)

    def settled(self) -> None:
        """Wait until every question asked so far is answered, then take the answers."""
        held = self._held is not None
        self.let_go()
        self.wait(lambda: None)
        self.collect()
        if held:
            self.hold()

    def catch_up(self, limit_ns: int) -> None:
        """Take answers until none is out, those to what they give rise to included; no longer than that."""
        end_ns = clock.elapsed_ns() + limit_ns
        while self.open_questions:
            left_ns = end_ns - clock.elapsed_ns()
            if left_ns <= 0 or not self._told.wait(left_ns / 1e9):
                return
            self._told.clear()
            self.collect()

    def end(self) -> None:
        """End the thread after what was asked."""
        self._tasks.put(None)
        self._thread.join()

    def _run(self) -> None:
        while True:
            group = self._group()
            if not group:
                return
            one = len(group) == 1
            answers = [_answer(group[0].task)] if one else self._all(group)
            for question, answer in zip(group, answers, strict=True):
                question.tell(answer)
            self._told.set()

    def _group(self) -> list[Question]:
        """What to run next; nothing at the end."""
        group: list[Question] = []
        question = self._next or self._first()
        self._next = None
        while question is not None:
            group.append(question)
            full = len(group) == GROUP_MAX or not question.joins
            if full or self._tasks.empty():
                break
            question = self._tasks.get()
            if question is None:
                self._tasks.put(None)  # for the next call
            elif not question.joins:
                self._next = question
                break
        return group

    def _first(self) -> Question | None:
        """The next question, or a look at what others did where it is time for one; None at the end."""
        left_ns = POLL_NS - (clock.elapsed_ns() - self._looked_ns)
        try:
            if left_ns <= 0:  # others' changes are looked for however much is asked
                raise queue.Empty
            return self._tasks.get(timeout=left_ns / 1e9)
        except queue.Empty:
            self._looked_ns = clock.elapsed_ns()
            return Question(
                self._look, lambda found: self._answers.append((self._hear, found)), False
            )

    def _all(self, group: list[Question]) -> list[Any]:
        """The answers to a group, durable; where that fails, none of them holds."""
        try:
            self._store.defer()
            answers = [_answer(question.task) for question in group]
            self._store.flush()
        except PoolError as error:
            return [error] * len(group)
        return answers

    def _look(self) -> list[Notice]:
        now_ns = clock.lease_ns()
        if now_ns - self._renewed_ns >= self._renew_ns:
            self._store.renew()
            self._renewed_ns = now_ns
        return self._store.notices()

    def _hear(self, found: list[Notice] | PoolError) -> None:
        if not isinstance(found, PoolError):  # one that does not answer is asked again in a moment
            self.heard.extend(found)


def _answer(task: Task) -> Any:
    """What the task returns, or what it raises."""
    try:
        return task()
    except BaseException as error:
        return error


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
