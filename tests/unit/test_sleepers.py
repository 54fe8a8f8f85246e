"""Lines of a table sleep until they are named, and nobody can tell afterwards."""

from pathlib import Path
from typing import Any

import pytest

from engine.errors import AttachError, UsageError
from engine.gateway.pools import Pool
from engine.runtime import Engine
from engine.subscribers import Contract, Coupon, Line
from engine.subscribers.table import SubscriberTable
from engine.units import MB
from engine.wire.addresses import parse_address
from tests.support.gateway import (
    DEC_1,
    PLAN,
    SERVER,
    T0,
    UE,
    UE_2,
    book,
    gateway,
    line,
    packet,
    play,
    settings,
    sim,
)
from tests.support.simstable import STARTED, write

PGW, PGW_2, OTHER = "192.0.2.1", "192.0.2.2", "192.0.2.9"


def alone(number: int, **fields: Any) -> Contract:
    """A contract of one line, "s<number>", without an address."""
    return Contract(f"c{number}", PLAN, STARTED, (Line(f"s{number}", **fields),))


def table(folder: Path, *contracts: Contract) -> SubscriberTable:
    return SubscriberTable(write(folder / "lines.sims", *contracts), settings())


def asleep(folder: Path, *contracts: Contract) -> Engine:
    """An engine with these contracts as a table, loaded at T0; receivers 0 to 2: PGW, PGW_2, OTHER."""
    engine = gateway()
    for address in (PGW, PGW_2, OTHER):
        engine.endpoints.intern(*parse_address(address))
    engine.load(table(folder, *contracts), T0)
    return engine


def awake(engine: Engine) -> list[str]:
    return [line.code for line in engine.book.lines]


def test_a_line_wakes_with_its_first_packet_and_its_contract_with_it(tmp_path: Path) -> None:
    """D1, N6"""
    family = book(line(1), line(2), coupon_bytes=20 * MB).contracts[0]
    engine = asleep(tmp_path, alone(1, addresses=("10.1.0.9",)), family)
    assert (awake(engine), engine.snapshot()["sleeping_sims"], engine.sims.count) == ([], 3, 0)
    assert play(engine, packet(T0, UE), packet(T0, SERVER, UE_2)) == ["charged", "charged"]
    assert awake(engine) == ["a", "b"]
    found = engine.snapshot()
    assert found["sleeping_sims"] == 1
    assert [contract["code"] for contract in found["contracts"]] == ["hdd1"]
    engine.close()


def test_strangers_wake_nobody_and_stop_no_kernel(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """B20: neither in a tunnel nor without one"""
    tunnelled = line(1, addresses=("10.1.0.1", "2001:db8:0:1::/64"), teid_up=7, teid_down=8)
    engine = asleep(tmp_path, book(tunnelled).contracts[0])
    monkeypatch.setattr(engine.population, "wake", pytest.fail)
    engine.process(packet(T0, "10.1.0.9"))
    engine.process(packet(T0, "2001:db8:0:9::1", "2001:db8::7"))
    strangers = [
        packet(T0, "10.1.0.9", teid=9, endpoint=0),
        # Its address is good in its own tunnels only.
        packet(T0, UE, teid=9, endpoint=0),
        packet(T0, SERVER, UE, teid=9, endpoint=0),
    ]
    assert play(engine, *strangers) == ["teid"] * 3
    assert awake(engine) == []


def test_both_ends_of_a_packet_wake(tmp_path: Path) -> None:
    engine = asleep(
        tmp_path,
        alone(1, addresses=(UE,)),
        alone(2, addresses=("2001:db8:0:2::/64",)),
        alone(3, addresses=(UE_2,)),
    )
    play(engine, packet(T0, UE, UE_2), packet(T0, "2001:db8::7", "2001:db8:0:2:a::1"))
    assert awake(engine) == ["s3", "s1", "s2"]


def test_who_has_a_teid_at_its_receiver_wakes_and_nobody_else(tmp_path: Path) -> None:
    """B18, N6"""
    engine = asleep(
        tmp_path,
        alone(1, teid_up=7, gateway=PGW),
        alone(2, teid_up=7, gateway=PGW_2),
        alone(3, teid_down=7),
    )
    assert play(engine, packet(T0, teid=7, endpoint=2)) == ["slow"]
    assert awake(engine) == ["s3"]
    # Now somebody has it at any receiver; at PGW_2 it is still another's.
    assert play(engine, packet(T0, teid=7, endpoint=1)) == ["slow"]
    assert awake(engine) == ["s3", "s2"]
    assert play(engine, packet(T0, SERVER, UE, teid=7)) == ["slow"]
    assert awake(engine) == ["s3", "s2"]


def test_a_teid_of_another_receiver_is_told_from_one_of_nobody(tmp_path: Path) -> None:
    """B18, B19"""
    lines = [alone(at, teid_up=7, gateway=f"192.0.3.{at}") for at in range(1, 30)]
    engine = asleep(tmp_path, *lines)
    assert play(engine, packet(T0, teid=7, endpoint=2)) == ["peer"]
    assert len(awake(engine)) == 1
    assert play(engine, packet(T0, teid=7, endpoint=1), packet(T0, teid=8)) == ["peer", "teid"]
    assert len(awake(engine)) == 1
    # Taken back from one, it may be everybody's: they all have it first, as if they had never slept.
    engine.attach(imsi="440100000000001", teid_up=7, gateway="192.0.3.5", at_ns=T0)
    assert len(awake(engine)) == 30


@pytest.mark.parametrize("name", ["a", "440100000000001", "8981030000000000018"])
def test_a_verb_wakes_the_line_that_it_names(tmp_path: Path, name: str) -> None:
    """P3, N6"""
    known = line(1, iccid="8981030000000000018")
    engine = asleep(tmp_path, book(known, coupon_bytes=MB).contracts[0])
    engine.switch_coupon(name, on=False, at_ns=T0)
    assert awake(engine) == ["a"]
    assert play(engine, packet(T0, UE)) == ["slow"]
    assert sim(engine)["coupon"] is False


def test_a_name_of_nobody_wakes_nobody(tmp_path: Path) -> None:
    engine = asleep(tmp_path, book(line(1)).contracts[0])
    for name in ("z", "440100000000009", "8981030000000000099"):
        with pytest.raises(UsageError, match="no line has the code"):
            engine.suspend(name, at_ns=T0)
    with pytest.raises(UsageError, match="no contract has the code"):
        engine.charge("hdd9", coupons=1, at_ns=T0)
    assert awake(engine) == []


def test_a_charge_wakes_its_contract_also_one_without_lines(tmp_path: Path) -> None:
    """C3"""
    empty = Contract("empty", PLAN, STARTED, coupons=(Coupon("topup", 1, "2013-12"),))
    engine = asleep(tmp_path, book(line(1)).contracts[0], empty)
    for code in ("hdd1", "empty", "empty"):
        engine.charge(code, coupons=1, at_ns=T0)
    found = {one["code"]: one["in_database_bytes"] for one in engine.snapshot()["contracts"]}
    assert found == {"hdd1": 100 * MB, "empty": 200 * MB + 1}


def test_a_sleeping_line_is_known_to_those_who_attach(tmp_path: Path) -> None:
    """N6, L2"""
    engine = asleep(tmp_path, book(line(1, in_service=False), line(2)).contracts[0])
    assert engine.admits(imsi="440100000000002", at_ns=T0).code == "b"
    with pytest.raises(AttachError, match="suspended"):
        engine.admits(imsi="440100000000001", at_ns=T0)
    with pytest.raises(UsageError, match="is, or was, somebody's"):
        engine.replace_sim("a", iccid="8981030000000000018", imsi="440100000000002", at_ns=T0)


def test_a_new_sim_cannot_have_a_sleeper_s_name_or_contract(tmp_path: Path) -> None:
    """N6"""
    engine = asleep(tmp_path, alone(1, imsi="440100000000001"), alone(2))
    engine.attach(imsi="440100000000007", contract="c1", at_ns=T0)
    assert awake(engine) == ["s1", "440100000000007"]
    assert engine.book.lines[1].contract.code == "c1"
    with pytest.raises(UsageError, match="s2 is another line's"):
        engine.load(book(line(1, code="s2")), T0)


def test_months_pass_for_those_who_sleep(tmp_path: Path) -> None:
    """C1, C6, G9: the bundle of December is there, what ended in November is not"""
    contract = Contract("c1", PLAN, STARTED, (Line("s1", addresses=(UE,)),), ends="2014-01")
    ended = Contract("c2", PLAN, STARTED, (Line("s2", addresses=(UE_2,)),), ends="2013-11")
    plans = settings(bundle_bytes=30 * MB)
    path = write(tmp_path / "lines.sims", contract, ended)
    engine = gateway(settings=plans, allow_clock_leap=True)
    engine.load(SubscriberTable(path, plans), T0)
    engine.switch_coupon("s1", on=True, at_ns=DEC_1)
    assert play(engine, packet(DEC_1, UE_2)) == ["suspended"]
    first, second = engine.snapshot()["contracts"]
    assert (first["credited_bytes"], first["expired_bytes"]) == (60 * MB, 0)
    assert (second["credited_bytes"], second["expired_bytes"]) == (30 * MB, 30 * MB)


def test_a_table_is_loaded_first_and_alone(tmp_path: Path) -> None:
    lines = table(tmp_path, alone(1))
    ways: list[Any] = [
        lambda engine: engine.load(book(line(1)), T0),
        lambda engine: engine.load(lines, T0),
        lambda engine: engine.process(packet(T0, teid=7, endpoint=0)),
    ]
    for way in ways:
        engine = gateway()
        way(engine)
        with pytest.raises(UsageError, match=r"lines\.sims: a subscriber table is loaded before"):
            engine.load(lines, T0)


def test_a_pool_keeps_the_addresses_of_those_who_sleep(tmp_path: Path) -> None:
    """N2"""
    four = [alone(at, addresses=(f"10.64.0.{at}",)) for at in (2, 3, 5)]
    engine = asleep(tmp_path, *four, alone(9, addresses=("2001:db8:100:1::/64",)))
    pool = Pool(4, ("10.64.0.0/29",), engine.population.is_fixed)
    assert [pool.take(0) for _ in range(3)] == ["10.64.0.4", "10.64.0.6", None]
    prefixes = Pool(6, ("2001:db8:100::/62",), engine.population.is_fixed)
    assert prefixes.take(0) == "2001:db8:100:2::/64"
    assert not gateway().population.is_fixed("10.64.0.2")
    assert awake(engine) == []


def test_a_tunnel_that_is_set_aside_is_not_a_sleeper_s(tmp_path: Path) -> None:
    engine = asleep(tmp_path, alone(1, teid_up=7, gateway=PGW, addresses=(UE,)))
    engine.sessions.set_aside(7, PGW, 0)
    assert awake(engine) == ["s1"]
    assert play(engine, packet(T0, teid=7, endpoint=0)) == ["teid"]


def test_an_engine_without_a_table_says_nothing_of_sleepers() -> None:
    engine = gateway(book(line(1)))
    assert "sleeping_sims" not in engine.snapshot()
    assert engine.sessions.nets[0].shape == (0, 4)


def test_an_address_that_was_taken_from_a_line_wakes_nobody_again(tmp_path: Path) -> None:
    """N6, N7"""
    engine = asleep(tmp_path, book(line(1)).contracts[0], alone(2))
    engine.attach(imsi="440100000000001", address=UE_2, at_ns=T0)
    verdicts = engine.process(packet(T0, UE))
    assert verdicts["code"].tolist() == [0]
    assert play(engine, packet(T0, UE_2)) == ["slow"]
    assert awake(engine) == ["a"]
