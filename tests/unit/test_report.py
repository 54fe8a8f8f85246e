"""The figures add up, or nobody sees them."""

import re

import pytest

from engine.errors import LedgerError
from engine.runtime import Engine
from engine.runtime.report import BYTE_CLASSES
from engine.units import MB
from engine.verdict import CODES, FORWARD_MAX, NAMES, NONE
from engine.words import (
    CONTROL_BYTES,
    CONTROL_CAPS,
    CONTROL_DROPS,
    CONTROL_LOST_BYTES,
    CONTROL_LOST_PACKETS,
    CONTROL_PACKETS,
)
from tests.support.gateway import (
    DNS,
    MS,
    SERVER,
    T0,
    UE,
    UE_2,
    book,
    both,
    gateway,
    line,
    packet,
    play,
    train,
)


@pytest.fixture
def engine() -> Engine:
    """Two SIMs whose packets are of every class."""
    made = gateway(book(line(), line(2), coupon_bytes=1_250))
    play(made, train(3, MS, length=500), packet(T0, UE_2), packet(T0, UE, UE_2))
    play(made, packet(T0, UE, DNS, ports=(4_000, 53)), packet(T0, UE_2, length=5_000))
    made.process(packet(T0, "203.0.113.9", "203.0.113.8"))
    play(made, packet(T0, SERVER, "203.0.113.8", teid=9))
    return made


def test_every_byte_is_in_one_class(engine: Engine) -> None:
    """I6"""
    report = engine.snapshot()
    totals = report["totals"]
    assert all(totals[name] > 0 for name in BYTE_CLASSES)
    assert totals["inner_bytes"] == sum(totals[name] for name in BYTE_CLASSES)
    for sim in report["sims"]:
        for way in ("up", "down"):
            assert sim[way]["inner_bytes"] == sum(sim[way][name] for name in BYTE_CLASSES)
    assert totals["packets"] == 3 + 1 + 2 + 2 + 1
    lost = totals["dropped_bytes"] - sum(both(sim, "dropped_bytes") for sim in report["sims"])
    assert lost == 100
    assert report["drops"] == {
        "teid": {"packets": 1, "bytes": 100},
        "queue": {"packets": 1, "bytes": 5_000},
    }
    assert (totals["grants"], totals["granted_bytes"]) == (1, 1_250)


@pytest.mark.parametrize(
    "word", [CONTROL_PACKETS, CONTROL_BYTES, CONTROL_LOST_PACKETS, CONTROL_LOST_BYTES]
)
def test_a_planted_packet_or_byte_is_found(engine: Engine, word: int) -> None:
    """I6, G6"""
    engine.control[word] += 1
    with pytest.raises(LedgerError, match=r"counters: \d+ packets of \d+ bytes came in, but"):
        engine.snapshot()


@pytest.mark.parametrize("name", ["slow_bytes", "exempt_bytes", "free_bytes", "dropped_bytes"])
def test_a_planted_byte_in_any_class_is_found(engine: Engine, name: str) -> None:
    """I6, G6"""
    side = int(engine.sims.rows[0]["side"])
    engine.shards.all[0].sides.usage[2 * side][name] += 1
    with pytest.raises(LedgerError, match="counters: "):
        engine.snapshot()


@pytest.mark.parametrize("planted", [1, -1, -MB])
def test_a_balance_that_nobody_gave_is_found(engine: Engine, planted: int) -> None:
    """I1, I2: and the line is named"""
    engine.sims.rows[1]["balance_bytes"] += planted
    with pytest.raises(LedgerError) as caught:
        engine.snapshot()
    assert re.fullmatch(r"line b: given 0 bytes, but used and held are -?\d+", str(caught.value))


def test_a_balance_below_zero_is_found_although_it_adds_up(engine: Engine) -> None:
    """I2"""
    engine.sims.rows[1]["balance_bytes"] -= 5
    engine.book.lines[1].granted_bytes -= 5
    with pytest.raises(LedgerError, match="line b"):
        engine.snapshot()


def test_drops_of_all_shards_are_summed_up() -> None:
    """I6, G8"""
    engine = gateway(ue_nets=("10.1.0.0/24",), shards=2)
    play(engine, *[packet(T0, source, length=5_000) for source in (UE, UE_2)])
    assert engine.snapshot()["drops"] == {"queue": {"packets": 2, "bytes": 10_000}}
    assert [int(s.control[CONTROL_DROPS + 2 * 36]) for s in engine.shards.all] == [1, 1]


def test_a_contract_that_holds_nothing_is_listed_with_zeros() -> None:
    """I1"""
    engine = gateway(book())
    expected = dict.fromkeys(
        ("credited_bytes", "in_database_bytes", "granted_bytes", "expired_bytes"), 0
    )
    assert engine.snapshot()["contracts"] == [{"code": "hdd1", "plan": "plan", **expected}]
    engine = gateway()
    engine.population.add_contract("hdd2", "plan", None, T0, T0)
    assert engine.snapshot()["contracts"] == [{"code": "hdd2", "plan": "plan", **expected}]


def test_every_code_has_a_name_and_a_place() -> None:
    """G7: a table indexed by code has room for all, and names tell them apart"""
    assert len(set(NAMES.values())) == len(NAMES)
    assert NONE not in NAMES
    assert max(NAMES) < CODES
    assert CONTROL_DROPS + 2 * CODES == CONTROL_CAPS
    assert [name for code, name in NAMES.items() if code <= FORWARD_MAX] == [
        "charged",
        "slow",
        "exempt",
    ]
