"""The engine's own promises: batches, events, time, shards, ends."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import engine as package
from engine import Engine
from engine.errors import PoolError, UsageError
from engine.layout import PACKET, PACKET_PORTS, VERDICT
from engine.subscribers import (
    Attach,
    Book,
    Charge,
    Contract,
    Detach,
    Event,
    Line,
    Resume,
    Suspend,
    Switch,
)
from engine.units import MB
from tests.support.gateway import (
    MS,
    PLAN,
    T0,
    UE_2,
    S,
    book,
    both,
    gateway,
    line,
    names,
    packet,
    play,
    settings,
    sim,
    train,
)


def test_open_takes_files_or_what_is_packaged(tmp_path: Path) -> None:
    """D9"""
    with Engine.open() as gateway_:
        assert [plan.name for plan in gateway_.settings.plans][-1] == "family-share"
        assert gateway_.store.settings()
    database = tmp_path / "a.db"
    with Engine.open(None, f"sqlite:///{database}", shards=2):
        assert database.exists()


def test_the_package_has_an_engine_and_nothing_else() -> None:
    assert package.Engine is Engine
    with pytest.raises(AttributeError, match="module 'engine' has no attribute 'Motor'"):
        _ = package.Motor


@pytest.mark.parametrize("shards", [0, 65, -1])
def test_shards_are_bounded(shards: int) -> None:
    """G7"""
    with pytest.raises(UsageError, match=f"shards: {shards}; allowed: 1 to 64"):
        gateway(shards=shards)


@pytest.mark.parametrize(
    "batch", [np.zeros((2, 2), dtype=PACKET), np.zeros(3, dtype=np.int64)], ids=["2-D", "integers"]
)
def test_a_batch_is_a_row_of_packets(batch: Any) -> None:
    with pytest.raises(UsageError, match="one-dimensional array"):
        gateway().process(batch)


def test_no_packets_no_verdicts() -> None:
    engine = gateway(book())
    verdicts = engine.process(np.zeros(0, dtype=PACKET))
    assert (len(verdicts), verdicts.dtype) == (0, VERDICT)


def test_a_batch_need_not_lie_in_one_piece() -> None:
    """every other packet of a larger array"""
    engine = gateway(book(coupon_bytes=MB))
    assert names(engine.process(train(10, MS)[::2])) == ["charged"] * 5
    assert engine.now_ns == T0 + 8 * MS


def test_more_packets_than_ever_before() -> None:
    """the working table grows with the batch, two rows a packet"""
    engine = gateway(book(line(), line(2), coupon_bytes=30 * MB))
    for count in (1, 50, 3):
        engine.process(train(count, 0, "10.1.0.1", UE_2, start_ns=T0))
    assert [both(sim(engine, k), "packets") for k in (0, 1)] == [54, 54]


@pytest.mark.parametrize(
    ("event", "verdicts"),
    [
        (Switch(T0 + 2, "a", False), ["charged", "charged", "slow", "slow"]),
        (Suspend(T0 + 2, "a"), ["charged", "charged", "suspended", "suspended"]),
        (Detach(T0 + 2, "a"), ["charged", "charged", "detached", "detached"]),
        (Resume(T0 + 2, "a"), ["charged"] * 4),
        (Attach(T0 + 2, "a"), ["charged"] * 4),
        (Charge(T0 + 2, "hdd1", 1), ["charged"] * 4),
    ],
    ids=lambda value: getattr(value, "do", None),
)
def test_an_event_takes_effect_before_the_first_packet_at_its_time(
    event: Event, verdicts: list[str]
) -> None:
    """P3, L1, G8: in one batch or in many"""
    for split in (4, 1):
        engine = gateway(book(coupon_bytes=MB))
        engine.schedule([event])
        batch = train(4, 1)
        found = [name for k in range(0, 4, split) for name in play(engine, batch[k : k + split])]
        assert found == verdicts


def test_events_may_come_in_any_order_and_at_the_same_time() -> None:
    """G8: those of one time in the order in which they were given"""
    engine = gateway(book(coupon_bytes=MB))
    engine.schedule([Switch(T0 + 3, "a", True), Switch(T0 + 1, "a", False)])
    engine.schedule([Switch(T0 + 1, "a", True), Switch(T0 + 1, "a", False)])
    assert names(engine.process(train(5, 1))) == ["charged", "slow", "slow", "charged", "charged"]
    engine.schedule([Switch(T0 + 9 * S, "a", False)])
    assert engine.pending_events == 1


def test_an_event_from_before_the_first_packet() -> None:
    """G8"""
    engine = gateway(book(coupon_bytes=MB))
    engine.schedule([Switch(5, "a", False)])
    assert play(engine, packet(T0)) == ["slow"]
    assert engine.now_ns == T0


@pytest.mark.parametrize(
    ("event", "words"),
    [
        (Switch(T0, "hdo9", True), "no line has the code, ICCID or IMSI 'hdo9'"),
        (Charge(T0, "hdd9", 1), "no contract has the code 'hdd9'"),
    ],
)
def test_events_of_nobody_are_refused_at_once(event: Event, words: str) -> None:
    engine = gateway(book())
    with pytest.raises(UsageError, match=words):
        engine.schedule([event])
    assert engine.pending_events == 0


def test_a_refused_attach_is_told_and_the_run_goes_on() -> None:
    """L1"""
    engine = gateway(book(coupon_bytes=MB))
    engine.schedule([Suspend(T0 + 1, "a"), Attach(T0 + 2, "a"), Resume(T0 + 3, "a")])
    found = names(engine.process(train(4, 1)))
    assert found == ["charged", "suspended", "suspended", "charged"]
    assert len(engine.refusals) == 1
    assert "line a is suspended" in engine.refusals[0]


def test_a_line_is_known_by_code_iccid_and_imsi() -> None:
    """N6"""
    subscriber = line(iccid="8981100000000000001")
    engine = gateway(book(subscriber, coupon_bytes=MB))
    for name in ("a", "8981100000000000001", "440100000000001"):
        engine.switch_coupon(name, on=False, at_ns=T0)
        assert not sim(engine)["coupon"]
        engine.switch_coupon(name, on=True, at_ns=T0)


@pytest.mark.parametrize(
    ("contracts", "words"),
    [
        (("hdd1", "hdd1"), "contract hdd1 is there already"),
        (("hdd1", "hdd2"), "line a: a is another line's already"),
    ],
)
def test_a_name_is_given_once(contracts: tuple[str, str], words: str) -> None:
    """N6"""
    started = book().contracts[0].started
    made = [Contract(code, PLAN, started, (Line(code="a"),), ()) for code in contracts]
    with pytest.raises(UsageError, match=words):
        gateway(Book(tuple(made)))


def test_a_plan_that_nobody_offers() -> None:
    """S5"""
    with pytest.raises(UsageError, match="contract hdd1: no plan is called 'gold'"):
        gateway(Book((Contract("hdd1", "gold", book().contracts[0].started),)))


def test_a_line_out_of_service_at_the_start() -> None:
    """L1"""
    engine = gateway(book(line(in_service=False), coupon_bytes=MB))
    assert play(engine, packet(T0)) == ["suspended"]
    with pytest.raises(UsageError, match="suspended"):
        engine.open_session("a", at_ns=T0)


def test_any_number_of_shards_says_the_same() -> None:
    """G8: contracts are apart; more shards than contracts, more SIMs than the first tables hold"""
    found = []
    for shards in (1, 2, 5):
        with gateway(ue_nets=("10.1.0.0/16",), shards=shards) as engine:
            batch = train(1_500, US_30)
            batch["src_lo"] += np.arange(1_500) * 7 % 1_100
            verdicts = engine.process(batch)
            found.append((verdicts.tolist(), engine.snapshot()))
    assert found[0] == found[1] == found[2]
    assert len(found[0][1]["sims"]) == 1_100


US_30 = 30_000


def test_what_fails_in_a_shard_comes_out() -> None:
    """G1: nothing goes on behind a database that failed"""
    engine = gateway(book(coupon_bytes=MB), shards=2)
    engine.store.close()
    with pytest.raises(PoolError):
        play(engine, packet(T0))
    engine.close(clean=False)
    engine.close()


def test_time_never_goes_back() -> None:
    """G8, B58: calls and packets stamped earlier are at the latest time there was"""
    engine = gateway(book(coupon_bytes=MB))
    engine.process(packet(T0 + S))
    engine.switch_coupon("a", on=True, at_ns=T0)
    verdicts = engine.process(packet(T0))
    assert verdicts["departure_ns"].tolist() == [T0 + S]
    assert engine.now_ns == T0 + S


def test_before_anything_there_is_no_time() -> None:
    engine = gateway()
    assert engine.now_ns == 0
    assert engine.snapshot()["totals"]["packets"] == 0


def test_the_exempt_list_is_not_looked_at_when_it_is_empty() -> None:
    """X2"""
    engine = gateway(book(coupon_bytes=MB), settings=settings(endpoints=()))
    assert play(engine, packet(T0, flags=PACKET_PORTS)) == ["charged"]


@pytest.mark.parametrize("batch", [[1], None, np.zeros(3), np.zeros((2, 2), dtype=PACKET)])
def test_a_batch_of_anything_else_is_refused(batch: Any) -> None:
    with pytest.raises(UsageError, match="a batch is a one-dimensional array"):
        gateway().process(batch)


@pytest.mark.parametrize("at_ns", [None, -5, 1 << 70, 1.5])
def test_a_time_that_is_none_is_refused(at_ns: Any) -> None:
    with pytest.raises(UsageError, match=r"at_ns: .*; allowed: ns since 1970"):
        gateway().attach(imsi="440100000000007", at_ns=at_ns)
