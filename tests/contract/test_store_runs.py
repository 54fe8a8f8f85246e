"""Several gateways on one database: names, leases, take-over and the fence; on every lasting store."""

from collections.abc import Callable

import pytest

from engine.errors import PoolError, PoolFenced
from engine.pool import CouponStore, Grant, LineNews
from engine.pool.store import Account, BookEntry
from engine.units import MB
from tests.support.stores import SLICE, Pool, credit, family

OVER = 1  # ns of lease: over as soon as anybody looks


def silent(pool: Pool, used: int = 7, mark: int = MB) -> CouponStore:
    """Gateway a with line hdo1 open and marked, whose lease is over; it lives on."""
    store = pool.open("a", lease_ns=OVER)
    family(store, 9 * SLICE)
    store.grant("a1", "hdd1", "hdo1", 5)
    store.mark([("hdo1", used, mark)])
    return store


def test_gateways_share_coupons_but_not_lines(pool: Pool) -> None:
    """D1, D4, I4: a line has one owner while its lease lasts; the same goes for an orderly change."""
    first, second = pool.open("a"), pool.open("b")
    assert (first.run_id, second.run_id) == (1, 2)
    family(first, 3 * SLICE)
    assert second.open_line("hdd1", "hdo3", 0) == 0
    first.grant("a1", "hdd1", "hdo1", 5)
    second.grant("b1", "hdd1", "hdo3", 5)
    with pytest.raises(PoolError, match="line hdo1: open at gateway a"):
        second.open_line("hdd1", "hdo1", 0)
    with pytest.raises(PoolError, match="line hdo1: not opened in this run"):
        second.grant("b2", "hdd1", "hdo1", 5)
    first.settle("hdo1", 10, True)
    assert second.open_line("hdd1", "hdo1", 0) == SLICE - 10
    with pytest.raises(PoolError, match="line hdo1: open at gateway b"):
        first.open_line("hdd1", "hdo1", 0)
    with pytest.raises(PoolError, match="line hdo1: not opened in this run"):
        first.settle("hdo1", 11, True)
    with pytest.raises(PoolError, match="line hdo1: not opened in this run"):
        first.mark([("hdo1", 11, 11)])
    assert second.recovered == []
    assert [line.gateway for line in second.lines()] == ["b", "a", "b"]
    assert second.audit() == first.audit() == []


def test_a_refused_opening_of_many_opens_none(pool: Pool) -> None:
    """I4: one line that is in use elsewhere refuses the call."""
    first, second = pool.open("a"), pool.open("b")
    family(first, SLICE)
    with pytest.raises(PoolError, match="line hdo2: open at gateway a"):
        second.open_lines([("hdd1", "new", 5), ("hdd1", "hdo2", 0)])
    assert [line.code for line in second.lines()] == ["hdo1", "hdo2"]


def test_a_request_is_not_answered_again_once_the_line_was_elsewhere(pool: Pool) -> None:
    """G1, I3: its slice is in the balance that the other gateway got, and used there."""
    first, second = pool.open("a"), pool.open("b")
    family(first, 3 * SLICE)
    assert first.grant("a1", "hdd1", "hdo1", 5) == first.grant("a1", "hdd1", "hdo1", 5)
    first.settle("hdo1", 0, True)
    assert second.open_line("hdd1", "hdo1", 0) == SLICE
    with pytest.raises(PoolError, match="request a1: line hdo1 was open elsewhere since"):
        first.grant("a1", "hdd1", "hdo1", 5)
    second.settle("hdo1", SLICE, True)
    assert first.open_line("hdd1", "hdo1", 0) == 0
    assert first.reported("hdo1") == 0
    with pytest.raises(PoolError, match="request a1: line hdo1 was open elsewhere since"):
        first.grant("a1", "hdd1", "hdo1", 5)
    assert first.audit() == []
    again = first.grant("a2", "hdd1", "hdo1", 5)
    first.settle("hdo1", 5, False)
    assert first.grant("a2", "hdd1", "hdo1", 5) == again
    assert first.audit() == []


def test_a_request_id_of_another_gateway_is_refused(pool: Pool) -> None:
    """F9, B76: one slice for an id, whoever asks."""
    first, second = pool.open("a"), pool.open("b")
    family(first, 3 * SLICE)
    second.open_line("hdd1", "hdo3", 0)
    first.grant("r1", "hdd1", "hdo1", 5)
    with pytest.raises(PoolError, match="request r1: granted to line hdo1"):
        second.grant("r1", "hdd1", "hdo3", 5)


def test_a_gateway_that_is_silent_too_long_is_taken_over_and_fenced(pool: Pool) -> None:
    """I4, F11, B76: the whole run is settled; nothing that the zombie says counts any more."""
    zombie = silent(pool)
    heir = pool.open("b")
    assert heir.open_line("hdd1", "hdo1", 0) == SLICE - MB
    assert [(s.used_bytes, s.uncertain_bytes) for s in heir.slices("hdo1")] == [(7, MB - 7)]
    (text,) = heir.recovered
    assert f"{MB - 7} bytes of slice 1 counted as used" in text
    assert "because gateway a was silent for longer than its lease" in text
    before = (heir.slices("hdo1"), heir.contracts(), heir.lines())
    news = LineNews(5, coupon_on=False)
    entry = BookEntry("MA000001", 1, 5, "apply", "")
    calls: list[Callable[[], object]] = [
        lambda: zombie.grant("a1", "hdd1", "hdo1", 5),
        lambda: zombie.grant("a2", "hdd1", "hdo2", 5),
        lambda: zombie.settle("hdo1", 8, False),
        lambda: zombie.mark([("hdo1", 8, 8)]),
        lambda: zombie.open_line("hdd1", "hdo2", 0),
        lambda: credit(zombie, "c9", 5),
        lambda: zombie.buy("b9", "hdd1", 1, 5),
        lambda: zombie.note("hdo1", news),
        lambda: zombie.report_usage([("hdo1", 1, 1, 1, 1, 1)], 5),
        lambda: zombie.save_account(Account("MA000001", 1, "{}"), [], entry),
        lambda: zombie.expire(1 << 62),
        lambda: zombie.renew(),
        lambda: zombie.close(),
    ]
    for call in calls:
        with pytest.raises(PoolFenced, match="run 1 of gateway a is over"):
            call()
    assert (heir.slices("hdo1"), heir.contracts(), heir.lines()) == before
    heir.settle("hdo1", 5, True)
    assert heir.audit() == []


def test_a_line_that_is_taken_over_fences_the_other_lines_of_that_run_as_well(pool: Pool) -> None:
    """I4: what they may have used is uncertain, in one go, and they may be opened by anybody."""
    zombie = silent(pool)
    zombie.open_line("hdd1", "hdo3", 60)
    heir = pool.open("b")
    heir.open_line("hdd1", "hdo2", 0)
    assert len(heir.recovered) == 2
    assert [line.gateway for line in heir.lines()] == [None, "b", None]
    assert pool.open("c").open_line("hdd1", "hdo3", 0) == 0
    assert heir.audit() == []


def test_what_is_uncertain_after_a_take_over_may_be_given_back(pool: Pool) -> None:
    """G4 "refund": the one who takes over decides by its setting."""
    silent(pool)
    heir = pool.open("b", uncertain="refund")
    assert heir.open_line("hdd1", "hdo1", 0) == SLICE - 7
    assert "uncertain, given back" in heir.recovered[0]
    assert heir.audit() == []


def test_a_living_gateway_keeps_its_name(pool: Pool) -> None:
    """B84, F20: a second start is refused, even with the lease over; another name is not."""
    first = pool.open("a", lease_ns=OVER)
    with pytest.raises(PoolError, match="gateway a is running already"):
        pool.open("a", answer_ms=100)
    pool.open("b")
    first.renew()
    first.close()
    assert pool.open("a").run_id == 3


def test_a_gateway_that_comes_back_settles_its_own_run_at_once(pool: Pool) -> None:
    """G4, F1: its name was free, so its last process is dead; nobody waits for the lease."""
    first = pool.open("a")
    family(first, SLICE)
    first.grant("a1", "hdd1", "hdo1", 5)
    other = pool.open("b")
    other.open_line("hdd1", "hdo3", 40)
    first.close(clean=False)
    with pytest.raises(PoolError, match="line hdo1: open at gateway a"):
        other.open_line("hdd1", "hdo1", 0)
    again = pool.open("a")
    assert len(again.recovered) == 1
    assert again.open_line("hdd1", "hdo1", 0) == 0
    assert other.slices("hdo3")[0].uncertain_bytes == 0
    other.settle("hdo3", 5, True)
    assert again.audit() == []


@pytest.mark.parametrize("name", ["", "x" * 65, "a b", "a/b", "a\n", "\0", "ä", "'; --"])
def test_a_gateway_name_that_is_none_is_refused(pool: Pool, name: str) -> None:
    """B77, B84: it is part of a file's name and of messages."""
    with pytest.raises(PoolError, match=r"gateway .*1 to 64 letters, digits"):
        pool.open(name)


def test_an_operator_has_no_run(pool: Pool) -> None:
    """B76: credits, purchases, notes and the book, while gateways run; no slices, no lines."""
    gateway = pool.open("a")
    family(gateway, SLICE)
    operator = pool.open(None)
    assert operator.run_id == 0
    assert operator.recovered == []
    credit(operator, "c2", 5)
    operator.buy("b1", "hdd1", 1, 5)
    operator.note("hdo1", LineNews(5, coupon_on=False))
    operator.renew()
    operator.flush()
    assert operator.purchases("hdd1", 0)[0].coupons == 1
    for call in (
        lambda: operator.open_line("hdd1", "hdo1", 0),
        lambda: operator.grant("r1", "hdd1", "hdo1", 5),
        lambda: operator.settle("hdo1", 0, False),
        lambda: operator.mark([("hdo1", 0, 0)]),
        lambda: operator.reported("hdo1"),
        lambda: operator.report_usage([("hdo1", 1, 1, 1, 1, 1)], 5),
    ):
        with pytest.raises(PoolError, match="opened without a gateway's name"):
            call()
    assert gateway.grant("r1", "hdd1", "hdo1", 5) == Grant(1, SLICE)
    assert operator.audit() == gateway.audit() == []
    operator.begin()
    credit(operator, "c3", 5)
    operator.close()
    assert len(gateway.coupons("hdd1")) == 4


def test_a_fenced_gateway_may_start_anew(pool: Pool) -> None:
    """F11: under its own name, with a new run."""
    zombie = silent(pool)
    pool.open("b").open_line("hdd1", "hdo1", 0)
    with pytest.raises(PoolFenced):
        zombie.renew()
    zombie.close(clean=False)
    again = pool.open("a")
    assert again.recovered == []
    assert again.open_line("hdd1", "hdo2", 0) == 0
    assert again.audit() == []


def test_deferred_calls_of_a_fenced_gateway_are_refused(pool: Pool) -> None:
    """G1, I4: what nobody keeps must not be let out."""
    zombie = silent(pool)
    zombie.defer()
    pool.open("b").open_line("hdd1", "hdo1", 0)
    with pytest.raises(PoolFenced):
        zombie.grant("a9", "hdd1", "hdo2", 5)
    assert pool.open("b2").slices("hdo2") == []
