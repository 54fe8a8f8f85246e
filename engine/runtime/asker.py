"""The one thread of a live gateway that talks to the coupon database."""

import queue
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from engine import clock
from engine.errors import PoolError, PoolFenced, PoolUnavailable
from engine.pool.store import CouponStore, Notice

POLL_NS = 50_000_000
"""ns; how often others' changes are looked for"""
GROUP_MAX = 256
"""questions that become durable with one fsync, where so many are there"""
LATE_NS = 1_000_000_000
"""ns; a database that needs longer for an answer is not waited for any more, while others wait for us"""
LATE_AGAIN_NS = 50_000_000
"""ns; the same where it did not answer the last time either"""
LOOK_S = 0.025
"""s; how often a caller who waits looks whether the database is late"""
Task = Callable[[], Any]
Done = Callable[[Any], None]


@dataclass(slots=True)
class Question:
    """What is to be run, who is told of its answer in the asker's thread, and whether others may be run in
    the same transaction. One that is withdrawn before it begins is never run."""

    task: Task
    tell: Done
    joins: bool
    begun: bool = False
    withdrawn: bool = False


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
        self._last = False
        self._begun_ns: int | None = None
        self._silent = False
        self._lock = threading.Lock()
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
        """Run `task` in the store's thread and return what it returns, or raise what it raises.

        PoolUnavailable, and the task is never run, where the database is late with what came before it: the
        caller has packets to serve (G5).
        """
        answers: queue.SimpleQueue[Any] = queue.SimpleQueue()
        question = Question(task, answers.put, False)
        if not self._is_late():
            self._tasks.put(question)
        else:
            question.withdrawn = True
        while not question.withdrawn:
            try:
                answer = answers.get(timeout=LOOK_S)
            except queue.Empty:
                if self._is_late():
                    self._withdraw(question)
                continue
            if isinstance(answer, BaseException):
                raise answer
            return answer
        raise PoolUnavailable("the coupon database does not answer; it is asked again later")

    def _is_late(self) -> bool:
        begun_ns = self._begun_ns
        if self._last or begun_ns is None:
            return False
        limit_ns = LATE_AGAIN_NS if self._silent else LATE_NS
        return clock.elapsed_ns() - begun_ns > limit_ns

    def _withdraw(self, question: Question) -> None:
        with self._lock:
            question.withdrawn = not question.begun

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

    def settle_up(self) -> None:
        """Nothing is served any more: from now on `wait` waits however late the database is. But it is
        asked in vain once only; what was to be asked after that has the same answer."""
        self._last, self._silent = True, False

    def end(self) -> None:
        """End the thread after what was asked; a database that is silent is not asked again."""
        self._last = True
        self._tasks.put(None)
        self._thread.join()

    def _run(self) -> None:
        while True:
            group = self._group()
            if not group:
                return
            group = self._begin(group)
            answers = self._answers_to(group)
            self._begun_ns = None
            if answers:
                self._silent = isinstance(answers[-1], PoolUnavailable)
            for question, answer in zip(group, answers, strict=True):
                question.tell(answer)
            self._told.set()

    def _answers_to(self, group: list[Question]) -> list[Any]:
        if self._last and self._silent:
            self._looked_ns = clock.elapsed_ns()
            return [PoolUnavailable("the coupon database does not answer")] * len(group)
        return self._all(group) if len(group) > 1 else [_answer(one.task) for one in group]

    def _begin(self, group: list[Question]) -> list[Question]:
        """What of a group is still to be run; from now on nothing of it can be withdrawn."""
        self._begun_ns = clock.elapsed_ns()
        with self._lock:
            for question in group:
                question.begun = not question.withdrawn
        return [question for question in group if question.begun]

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
        try:
            if now_ns - self._renewed_ns >= self._renew_ns:
                self._store.renew()
                self._renewed_ns = now_ns
            return self._store.notices()
        finally:  # however long it took: what is asked has its turn before the next look
            self._looked_ns = clock.elapsed_ns()

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
