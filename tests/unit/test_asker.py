"""The thread that talks to the coupon database: order, groups, answers, the end."""

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from engine.errors import PoolError, PoolUnavailable, UsageError
from engine.pool.store import Credit, open_store
from engine.runtime.asker import Asker
from engine.units import NS_PER_S

HOUR_NS = 3600 * NS_PER_S
MONTH_END_NS = 1_388_502_000 * NS_PER_S


class Talk:
    """An asker on a database in a file, whose thread can be kept waiting, and whose commits are counted."""

    def __init__(self, path: Path) -> None:
        self.store = open_store(f"sqlite:///{path}")
        self.flushes = 0
        self.flush = self.store.flush
        self.store.flush = self._flush  # type: ignore[method-assign]
        self.asker = Asker(self.store, HOUR_NS)
        self.answers: list[Any] = []

    def _flush(self) -> None:
        self.flushes += 1
        self.flush()

    def ask_credit(self, number: int) -> None:
        credit = Credit(f"c{number}", f"hdd{number}", "bundle", 100, MONTH_END_NS, MONTH_END_NS)
        self.asker.ask(lambda: self.store.credit_all([credit]), self.answers.append)

    def kept_waiting(self) -> threading.Event:
        """Until it is set, the thread stands still."""
        gate = threading.Event()
        self.asker.ask(lambda: gate.wait() and None, lambda _: None)
        while not self.asker._tasks.empty():
            pass
        return gate


@pytest.fixture
def talk(tmp_path: Path) -> Iterator[Talk]:
    made = Talk(tmp_path / "pool.db")
    yield made
    made.asker.end()
    made.store.close()


def test_questions_that_wait_together_are_durable_together_before_they_are_answered(
    talk: Talk,
) -> None:
    """D9, G2"""
    gate = talk.kept_waiting()
    for number in range(5):
        talk.ask_credit(number)
    assert talk.asker.open_questions == 6
    gate.set()
    talk.asker.settled()
    assert talk.asker.open_questions == 0
    assert talk.answers == [None] * 5
    assert talk.flushes == 1
    assert len(talk.store.contracts()) == 5


def test_who_waits_for_an_answer_shares_no_transaction(talk: Talk) -> None:
    """G2: what it is told holds, whatever becomes of the others"""
    gate = talk.kept_waiting()
    talk.ask_credit(0)
    talk.ask_credit(1)
    waiting = threading.Thread(target=lambda: talk.asker.wait(talk.store.contracts))
    waiting.start()
    gate.set()
    waiting.join()
    talk.ask_credit(2)
    talk.asker.settled()
    assert talk.flushes == 1
    assert talk.answers == [None] * 3


def test_a_group_that_does_not_become_durable_is_not_answered_as_if_it_had(talk: Talk) -> None:
    """D9, F5: none of it holds, and asking again works"""

    def fail() -> None:
        talk.flush = really
        talk.store.db.rollback()  # type: ignore[attr-defined]
        really()

    really, talk.flush = talk.flush, fail
    gate = talk.kept_waiting()
    talk.ask_credit(0)
    talk.ask_credit(1)
    gate.set()
    talk.asker.settled()
    assert [type(answer) for answer in talk.answers] == [PoolUnavailable] * 2
    assert talk.store.contracts() == []
    talk.answers.clear()
    talk.ask_credit(0)
    talk.asker.settled()
    assert talk.answers == [None]
    assert len(talk.store.contracts()) == 1


def test_what_is_held_goes_together_or_when_somebody_waits(talk: Talk) -> None:
    """D9"""
    talk.asker.hold()
    talk.asker.hold()
    talk.ask_credit(0)
    talk.ask_credit(1)
    talk.asker.wait(lambda: None)
    talk.asker.collect()
    assert talk.answers == []
    talk.asker.settled()
    assert talk.answers == [None] * 2
    talk.ask_credit(2)
    talk.asker.wait(lambda: None)
    talk.asker.collect()
    assert len(talk.answers) == 2
    talk.asker.let_go()
    talk.asker.settled()
    assert len(talk.answers) == 3


def test_catching_up_takes_what_answers_give_rise_to_and_ends_in_time(talk: Talk) -> None:
    """D1, F7"""
    credit = Credit("c9", "hdd9", "bundle", 100, MONTH_END_NS, MONTH_END_NS)
    talk.asker.ask(lambda: talk.store.credit_all([credit]), lambda _: talk.ask_credit(1))
    talk.asker.catch_up(60 * NS_PER_S)
    assert talk.answers == [None]
    gate = talk.kept_waiting()
    talk.ask_credit(2)
    talk.asker.catch_up(1)
    talk.asker.catch_up(0)
    assert talk.answers == [None]
    gate.set()
    talk.asker.settled()
    assert talk.answers == [None] * 2


def test_a_waiting_caller_gets_what_was_raised(talk: Talk) -> None:
    """F7"""

    def refuse() -> None:
        raise UsageError("no")

    with pytest.raises(UsageError, match="no"):
        talk.asker.wait(refuse)


def test_what_was_asked_before_the_end_is_still_run(tmp_path: Path) -> None:
    """G2"""
    talk = Talk(tmp_path / "pool.db")
    gate = talk.kept_waiting()
    talk.ask_credit(0)
    talk.ask_credit(1)
    talk.asker._tasks.put(None)
    gate.set()
    talk.asker._thread.join()
    talk.asker.collect()
    assert talk.answers == [None] * 2
    assert not isinstance(talk.answers[0], PoolError)
    talk.store.close()


def test_who_serves_packets_does_not_wait_for_a_database_that_is_late(
    talk: Talk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """G5: what has not begun is given up and never run; what is asked next is refused at once"""
    monkeypatch.setattr("engine.runtime.asker.LATE_NS", 1)
    gate = talk.kept_waiting()
    ran: list[int] = []
    with pytest.raises(PoolUnavailable, match="does not answer"):
        talk.asker.wait(lambda: ran.append(1))
    with pytest.raises(PoolUnavailable):
        talk.asker.settled()
    talk.asker.settle_up()
    threading.Timer(0.1, gate.set).start()
    assert talk.asker.wait(lambda: "at last") == "at last"
    assert ran == []


def test_what_is_given_up_while_it_waits_in_the_queue_is_not_run(
    talk: Talk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """G5: the database comes to be late while somebody waits"""
    monkeypatch.setattr("engine.runtime.asker.LATE_NS", 10**8)
    gate = talk.kept_waiting()
    ran: list[int] = []
    with pytest.raises(PoolUnavailable):
        talk.asker.wait(lambda: ran.append(1))
    talk.asker.settle_up()
    gate.set()
    assert talk.asker.wait(lambda: "next") == "next"
    assert ran == []


def test_what_has_begun_is_waited_for_however_late_it_is(
    talk: Talk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody could say whether it was done"""
    monkeypatch.setattr("engine.runtime.asker.LATE_NS", 1)
    gate = threading.Event()
    threading.Timer(0.2, gate.set).start()
    assert talk.asker.wait(gate.wait) is True


def test_a_database_that_did_not_answer_is_given_less_time(
    talk: Talk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """G5: an outage costs its full patience once"""
    monkeypatch.setattr("engine.runtime.asker.LATE_AGAIN_NS", 1)

    def silent() -> None:
        raise PoolUnavailable("gone")

    with pytest.raises(PoolUnavailable, match="gone"):
        talk.asker.wait(silent)
    gate = talk.kept_waiting()
    with pytest.raises(PoolUnavailable, match="asked again later"):
        talk.asker.wait(lambda: None)
    gate.set()
    talk.asker.settle_up()
    talk.asker.settled()
    assert not talk.asker._silent


def test_at_the_end_a_database_that_is_gone_is_asked_in_vain_once(talk: Talk) -> None:
    """A gateway that is told to stop does so, whatever was still to be asked"""
    ran: list[int] = []

    def silent() -> None:
        ran.append(1)
        raise PoolUnavailable("gone")

    talk.asker.settle_up()
    for _ in range(3):
        with pytest.raises(PoolUnavailable):
            talk.asker.wait(silent)
    assert ran == [1]


def test_the_thread_ends_although_the_database_stays_silent(tmp_path: Path) -> None:
    """What was asked has its turn between two looks, however long those take"""
    made = Talk(tmp_path / "pool.db")

    def silent() -> Any:
        raise PoolUnavailable("gone")

    made.store.notices = silent  # type: ignore[method-assign]
    made.asker._looked_ns -= HOUR_NS
    while not made.asker._silent:
        pass
    made.asker._looked_ns -= HOUR_NS
    made.asker.ask(lambda: "asked", made.answers.append)
    made.asker.end()
    made.asker.collect()
    assert made.answers == ["asked"] or isinstance(made.answers[0], PoolUnavailable)
    made.store.close()
