"""New SIMs of a batch: entered in the coupon database together, as if each had come alone."""

import gc
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engine.errors import UsageError
from engine.layout import SIM_ATTACHED
from engine.pool.store import LineNews, Request, open_store
from engine.runtime import Engine
from engine.runtime.collector import BRIEFLY, brief, keep, put_off
from engine.units import MB
from tests.support.gateway import (
    DAY,
    DEC_1,
    MS,
    T0,
    UE,
    UE_2,
    UE_3,
    S,
    book,
    gateway,
    line,
    names,
    packet,
    play,
    settings,
)

NETS = ("10.0.0.0/8",)
FROM = (UE, UE_2, UE_3)


def crowd(**options: Any) -> Engine:
    """An engine that makes a SIM of every address, with a bundle of 15 MB each."""
    return gateway(settings=settings(bundle_bytes=15 * MB), ue_nets=NETS, **options)


def arrivals(count: int = 3) -> Any:
    """A packet from each of so many addresses, a millisecond apart."""
    batches = [packet(T0 + k * MS, f"10.1.0.{k + 1}") for k in range(count)]
    return np.concatenate(batches)


def asked(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> list[list[Request]]:
    """What the engine will have asked its database for, question by question."""
    said: list[list[Request]] = []
    grant_all = engine.store.grant_all

    def told(requests: Any) -> Any:
        said.append(list(requests))
        return grant_all(requests)

    monkeypatch.setattr(engine.store, "grant_all", told)
    monkeypatch.setattr(engine.store, "grant", lambda *one: told([Request(*one)])[0])
    return said


def test_newcomers_of_a_batch_ask_for_their_first_slices_together(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """D1, D8: each at the time of its first packet"""
    engine = crowd()
    said = asked(engine, monkeypatch)
    assert names(engine.process(arrivals())) == ["charged"] * 3
    assert [[(r.line, r.now_ns) for r in one] for one in said] == [
        [(address, T0 + k * MS) for k, address in enumerate(FROM)]
    ]
    engine.close()


@pytest.mark.parametrize("shards", [1, 3])
@pytest.mark.parametrize("first_slice", ["attach", "first-packet"])
def test_it_makes_no_difference_who_comes_in_the_same_batch(shards: int, first_slice: str) -> None:
    """G8, D1: the same figures as packet by packet, of the SIMs and of their coupons"""
    reports = []
    for pieces in (1, 40):
        chosen = settings(bundle_bytes=15 * MB, first_slice=first_slice)
        engine = gateway(settings=chosen, ue_nets=NETS, shards=shards)
        for batch in np.array_split(np.concatenate([arrivals(40), arrivals(40)]), pieces):
            engine.process(batch)
        slices = [store_slices(engine, line.code) for line in engine.book.lines]
        reports.append((engine.snapshot(), slices))
        engine.close()
    assert reports[0] == reports[1]


def store_slices(engine: Engine, line: str) -> list[int]:
    return [one.granted_bytes for one in engine.store.slices(line)]


def test_a_packet_that_is_dropped_anyhow_opens_no_session() -> None:
    """N7, D1: the next one that is not does"""
    engine = crowd()
    bad = packet(T0)
    bad["code"] = 40
    engine.process(bad)
    assert engine.snapshot()["sims"][0]["grants"] == 0
    assert play(engine, packet(T0 + 1)) == ["charged"]
    assert engine.snapshot()["sims"][0]["grants"] == 1
    engine.close()


def test_a_newcomer_who_was_suspended_in_an_earlier_run_gets_nothing(tmp_path: Path) -> None:
    """L1, D8, I8: neither a session nor a slice"""
    url = f"sqlite:///{tmp_path}/coupons.db"
    with crowd(store=open_store(url)) as engine:
        engine.process(arrivals())
    store = open_store(url)
    store.note(UE_2, LineNews(T0, in_service=False))
    store.close()
    with crowd(store=open_store(url)) as engine:
        assert names(engine.process(arrivals())) == ["charged", "suspended", "charged"]
        assert [sim["balance_bytes"] for sim in engine.snapshot()["sims"]] == [
            10 * MB - 200,
            10 * MB - 100,
            10 * MB - 200,
        ]


def test_an_address_that_is_the_name_of_a_contract_is_refused() -> None:
    """A1: and the engine goes on, with the others that came"""
    engine = crowd()
    engine.attach(imsi="440100000000001", contract=UE_2, at_ns=T0)
    with pytest.raises(UsageError, match=f"contract {UE_2} is there already"):
        engine.process(arrivals())
    assert play(engine, packet(T0 + S, UE_3), packet(T0 + S)) == ["charged"] * 2
    assert [line.code for line in engine.book.lines] == ["440100000000001", UE, UE_3]
    engine.close()


def test_addresses_of_both_kinds_in_one_batch_are_named_as_they_are_written() -> None:
    """N2, O1: an IPv6 address as RFC 5952 has it"""
    engine = gateway(ue_nets=("10.0.0.0/8", "2001:db8::/32"))
    came = [UE, "2001:db8::1", UE_2, "2001:db8:0:1::"]
    engine.process(np.concatenate([packet(T0, address) for address in came]))
    assert [line.address for line in engine.book.lines] == came
    assert [contract.code for contract in engine.book.contracts.values()] == came
    engine.close()


@pytest.mark.parametrize("allow", [False, True])
def test_newcomers_around_a_leap_have_the_coupons_of_their_own_months(allow: bool) -> None:
    """C1, C2, G9: as if each had come in a batch of its own"""
    first, second = T0, T0 + 40 * DAY
    reports = []
    for pieces in (1, 2):
        engine = crowd(allow_clock_leap=allow)
        batch = np.concatenate([packet(first, UE), packet(second, UE_2)])
        for piece in np.array_split(batch, pieces):
            engine.process(piece)
            if pieces == 2:
                engine.snapshot()
        coupons = [[c.credit_id for c in engine.store.coupons(code)] for code in (UE, UE_2)]
        reports.append((engine.snapshot(), coupons))
        engine.close()
    assert reports[0] == reports[1]
    assert reports[0][1] == [
        [f"bundle:{UE}:2013-11", f"bundle:{UE}:2013-12"] if allow else [f"bundle:{UE}:2013-11"],
        [f"bundle:{UE_2}:2013-12"] if allow else [],
    ]


def test_more_newcomers_than_there_is_room_for_are_in_their_shards() -> None:
    """G8: the table of shards grows by as much as it takes"""
    with crowd(shards=3) as engine:
        engine.shards.of_row = np.zeros(2, dtype=np.uint8)
        engine.process(arrivals(9))
        assert engine.shards.of_row[:9].tolist() == [0, 1, 2] * 3
        assert len(engine.snapshot()["sims"]) == 9


# --- sessions that verbs open -------------------------------------------------------------------------


def attach(engine: Engine, number: int, **more: Any) -> None:
    """A session of a SIM that is new, with the address that ends with its number."""
    address = f"10.1.0.{number}"
    engine.attach(imsi=f"44010{number:010}", address=address, at_ns=T0 + number, **more)


def test_sessions_that_are_opened_together_are_entered_when_the_database_is_asked(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """D1, D9: each at its own time, before anything else is asked"""
    engine = gateway(settings=settings(bundle_bytes=15 * MB))
    said = asked(engine, monkeypatch)
    with engine.together(flush=False):
        for number in (1, 2, 3):
            attach(engine, number)
        assert engine.store.lines() == []
        engine.account(packet(T0 + S, UE_2), flush=False)
        assert len(engine.store.lines()) == 3
    assert [[r.now_ns for r in one] for one in said] == [[T0 + 1, T0 + 2, T0 + 3]]
    engine.close()


def test_a_contract_is_used_in_the_order_in_which_its_lines_came() -> None:
    """D5, C5: a line that waits to be entered comes before one that asks after it"""
    engine = gateway(settings=settings(bundle_bytes=10 * MB + 1))
    with engine.together(flush=False):
        attach(engine, 1, contract="hdd1")
        engine.account(packet(T0 + S, UE), flush=False)
        attach(engine, 2, contract="hdd1")
        engine.account(packet(T0 + 2 * S, UE, length=10 * MB), flush=False)
    assert [sim["granted_bytes"] for sim in engine.snapshot()["sims"]] == [10 * MB, 1]
    engine.close()


@pytest.mark.parametrize("verb", ["detach", "suspend", "switch_coupon", "charge", "month", "load"])
def test_every_verb_finds_waiting_sessions_as_if_they_had_not_waited(verb: str) -> None:
    """L1, P3, C3, C1: the figures are the same as with each entered at once"""
    reports = []
    for flush in (False, True):
        engine = gateway(settings=settings(bundle_bytes=15 * MB))
        with engine.together(flush=False):
            for number in (1, 2):
                attach(engine, number)
                if flush:
                    engine.flush()
            say(engine, verb)
            engine.account(packet(DEC_1 + S, UE_2), flush=False)
        with_first = engine.line_report(f"44010{1:010}"), engine.totals()
        reports.append((engine.snapshot(), with_first, engine.store.lines()))
        engine.close()
    assert reports[0] == reports[1]


def say(engine: Engine, verb: str) -> None:
    first = f"44010{1:010}"
    at_ns = T0 + S
    if verb == "charge":
        engine.charge(first, coupons=1, at_ns=at_ns)
    elif verb == "switch_coupon":
        engine.switch_coupon(first, on=False, at_ns=at_ns)
    elif verb == "load":
        engine.load(book(line(3)), at_ns)
    elif verb != "month":
        getattr(engine, verb)(first, at_ns=at_ns)


def test_a_session_that_is_opened_twice_while_it_waits_counts_from_the_first_time() -> None:
    """N6, D1"""
    engine = gateway(settings=settings(bundle_bytes=15 * MB))
    with engine.together(flush=False):
        attach(engine, 1)
        engine.attach(imsi=f"44010{1:010}", address=UE_3, at_ns=T0 + S)
    assert engine.snapshot()["sims"][0]["grants"] == 1
    engine.close()


# --- the collector ------------------------------------------------------------------------------------


def fail_inside() -> None:
    with put_off():
        assert not gc.isenabled()
        raise UsageError("it fails")


@pytest.mark.parametrize("on", [True, False])
def test_the_collector_is_put_off_and_then_as_it_was(on: bool) -> None:
    """also where what is done inside fails"""
    before = gc.isenabled()
    try:
        (gc.enable if on else gc.disable)()
        with pytest.raises(UsageError, match="it fails"):
            fail_inside()
        assert gc.isenabled() == on
    finally:
        (gc.enable if before else gc.disable)()


def test_what_runs_for_long_is_looked_through_often() -> None:
    """what was there before is not looked at; afterwards all is as it was"""
    before = gc.get_threshold()
    gc.set_threshold(123_456, 7, 8)
    try:
        with brief():
            assert gc.get_threshold() == BRIEFLY
            assert gc.get_freeze_count() > 1000
        assert gc.get_threshold() == (123_456, 7, 8)
        assert gc.get_freeze_count() == 0
    finally:
        gc.set_threshold(*before)


def test_what_is_kept_is_old_to_the_collector() -> None:
    """and nothing is moved where a program has frozen what it has"""
    before = gc.isenabled()
    gc.disable()
    try:
        made: list[object] = [[]]
        keep()
        assert any(one is made for one in gc.get_objects(2))
        gc.freeze()
        frozen = gc.get_freeze_count()
        more: list[object] = [[]]
        keep()
        assert gc.get_freeze_count() == frozen
        assert any(one is more for one in gc.get_objects(0))
    finally:
        gc.unfreeze()
        (gc.enable if before else gc.disable)()


def test_a_live_engine_opens_newcomers_without_waiting_for_the_database() -> None:
    """D9: their sessions are open after the batch; what they got meanwhile is the setting's word."""
    with crowd(live=True) as engine:
        verdicts = engine.process(arrivals(3))
        assert (verdicts["code"] > 0).all()
        flags = engine.sims.rows["flags"][:3]
        assert (flags & np.uint16(SIM_ATTACHED)).all()
        assert len(engine.snapshot()["sims"]) == 3
