"""Sessions: attached, replaced, taken back; a TEID or an address is one SIM's at a time."""

import pytest

from engine.errors import UsageError
from engine.runtime.lines import binding_of
from engine.runtime.sessions import check_binding
from engine.units import MB
from engine.words import CONTROL_STRAYS
from tests.support.gateway import (
    SERVER,
    T0,
    UE,
    UE_2,
    UE_3,
    book,
    gateway,
    line,
    packet,
    play,
    sim,
)

PGW, PGW_2 = "192.0.2.1", "192.0.2.2"
A, B = "440100000000001", "440100000000002"


def test_a_new_sim_gets_a_contract_of_its_own() -> None:
    """N6: known by IMSI or ICCID, with the default plan"""
    engine = gateway()
    engine.attach(imsi=A, msisdn="819000000001", address=UE, at_ns=T0)
    engine.attach(iccid="8981100000000000002", contract=A, address=UE_2, at_ns=T0)
    assert play(engine, packet(T0), packet(T0, UE_2)) == ["slow", "slow"]
    first, second = sim(engine, 0), sim(engine, 1)
    assert (first["imsi"], first["msisdn"], first["address"]) == (A, "819000000001", UE)
    assert (second["iccid"], second["contract"]) == ("8981100000000000002", A)


def test_an_attach_needs_a_name() -> None:
    """N6"""
    with pytest.raises(UsageError, match="give the SIM's imsi or iccid"):
        gateway().attach(address=UE, at_ns=T0)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"address": "10.1.0.300"}, "'10.1.0.300' is no address"),
        ({"address": "10.1.0.0/64"}, "'10.1.0.0/64' is no address"),
        ({"gateway": "2001:db8::/64"}, "'2001:db8::/64' is no address"),
        ({"teid_up": 0}, "TEID 0: allowed: 1 to 4294967295"),
        ({"teid_down": 1 << 32}, "TEID 4294967296: allowed"),
        ({"plan": "gold"}, "no plan is called 'gold'"),
    ],
)
def test_an_attach_that_makes_no_sense_changes_nothing(
    fields: dict[str, object], words: str
) -> None:
    """B77, N7"""
    engine = gateway()
    with pytest.raises(UsageError, match=words):
        engine.attach(imsi=A, at_ns=T0, **fields)  # type: ignore[arg-type]
    assert engine.snapshot()["sims"] == []


def test_addresses_of_every_kind_are_fine() -> None:
    """N2"""
    addresses = UE, "2001:db8::1", "2001:db8::/64"
    check_binding(binding_of(addresses, teid_up=1, teid_down=0xFFFFFFFF), PGW, None)
    check_binding(binding_of(()))


def test_an_attach_to_a_suspended_line_changes_nothing() -> None:
    """L1: neither state nor addresses"""
    engine = gateway(book(coupon_bytes=MB))
    engine.suspend("a", at_ns=T0)
    with pytest.raises(UsageError, match="line a is suspended; resume it first"):
        engine.attach(imsi=A, address=UE_3, at_ns=T0)
    engine.resume("a", at_ns=T0)
    assert engine.process(packet(T0, UE_3))["code"].tolist() == [0]
    assert play(engine, packet(T0)) == ["charged"]


def test_a_new_session_replaces_the_old() -> None:
    """N6, N7: the old TEIDs and address are nobody's from then on"""
    engine = gateway(book(line(teid_up=5, teid_down=6), coupon_bytes=MB))
    engine.endpoints.intern(0, 1)
    old = [packet(T0, teid=5, endpoint=0), packet(T0, SERVER, UE, teid=6, endpoint=0)]
    assert play(engine, *old) == ["charged"] * 2
    engine.attach(imsi=A, teid_up=15, teid_down=16, address=UE_3, at_ns=T0)
    new = [packet(T0, UE_3, teid=15, endpoint=0), packet(T0, SERVER, UE_3, teid=16, endpoint=0)]
    assert play(engine, *old, *new) == ["teid", "teid", "charged", "charged"]
    assert play(engine, packet(T0, UE, teid=15, endpoint=0)) == ["spoof"]
    assert sim(engine)["address"] == UE_3


def test_what_an_attach_does_not_name_stays() -> None:
    """N6, N7: addresses without TEIDs, TEIDs without addresses"""
    engine = gateway(book(line(teid_up=5, teid_down=6), coupon_bytes=MB))
    engine.attach(imsi=A, at_ns=T0)
    assert play(engine, packet(T0, teid=5), packet(T0, UE_2, teid=5)) == ["charged", "spoof"]
    engine.attach(imsi=A, teid_up=7, at_ns=T0)
    batch = [packet(T0, teid=7), packet(T0, UE_2, teid=7), packet(T0, teid=5)]
    assert play(engine, *batch) == ["charged", "spoof", "teid"]
    engine.attach(imsi=A, address=UE_2, at_ns=T0)
    batch = [packet(T0, UE_2, teid=7), packet(T0, UE, teid=7)]
    assert play(engine, *batch) == ["charged", "spoof"]


def test_a_teid_that_was_seen_before_its_session_opens() -> None:
    """N6, B20: it counts as a stray no longer, at whichever receiver it came"""
    engine = gateway(book(coupon_bytes=MB))
    for number in range(3):
        engine.endpoints.intern(0, number)
    early = [packet(T0, UE_3, teid=5, endpoint=k) for k in range(3)]
    assert play(engine, *early) == ["teid"] * 3
    assert int(engine.control[CONTROL_STRAYS]) == 3
    engine.attach(imsi=A, teid_up=5, address=UE_3, at_ns=T0)
    assert play(engine, *early) == ["charged"] * 3
    assert int(engine.control[CONTROL_STRAYS]) == 0


def test_a_teid_goes_from_one_sim_to_another() -> None:
    """N6, N7: and the address too; the one who had them before takes nothing back"""
    engine = gateway(book(line(teid_up=5), line(2), coupon_bytes=30 * MB))
    assert play(engine, packet(T0, teid=5)) == ["charged"]
    engine.attach(imsi=B, teid_up=5, address=UE, at_ns=T0)
    assert play(engine, packet(T0, teid=5)) == ["charged"]
    assert [sim(engine, k)["up"]["packets"] for k in (0, 1)] == [1, 1]
    engine.attach(imsi=A, teid_up=9, address=UE_3, at_ns=T0)
    assert play(engine, packet(T0, teid=5), packet(T0, UE_3, teid=9)) == ["charged"] * 2
    assert [sim(engine, k)["up"]["packets"] for k in (0, 1)] == [2, 2]


def test_one_teid_at_two_gateways_is_two_sessions() -> None:
    """N6, B18: and at a third gateway it is nobody's"""
    lines = (line(teid_up=5, gateway=PGW), line(2, teid_up=5, gateway=PGW_2))
    engine = gateway(book(*lines, coupon_bytes=30 * MB))
    engine.endpoints.intern(0, 3)
    batch = [packet(T0, source, teid=5, endpoint=k) for k, source in enumerate((UE, UE_2, UE))]
    assert play(engine, *batch) == ["charged", "charged", "peer"]
    assert play(engine, packet(T0, UE_2, teid=5, endpoint=0)) == ["spoof"]
    assert [sim(engine, k)["up"]["charged_bytes"] for k in (0, 1)] == [100, 100]


def test_a_gateway_s_session_is_replaced_too() -> None:
    """N6, B18: at its gateway the TEID is then nobody's"""
    engine = gateway(book(line(teid_up=5, gateway=PGW), coupon_bytes=MB))
    batch = [packet(T0, teid=5, endpoint=0)]
    assert play(engine, *batch) == ["charged"]
    engine.attach(imsi=A, teid_up=6, gateway=PGW, at_ns=T0)
    assert play(engine, *batch, packet(T0, teid=6, endpoint=0)) == ["teid", "charged"]
    engine.attach(imsi=A, teid_up=5, gateway=PGW, at_ns=T0)
    assert play(engine, *batch) == ["charged"]
    assert int(engine.control[CONTROL_STRAYS]) == 1  # TEID 6 now


def test_a_gateway_s_teid_goes_from_one_sim_to_another() -> None:
    """N6: the one who had it before takes nothing back"""
    engine = gateway(book(line(teid_up=5, gateway=PGW), line(2), coupon_bytes=30 * MB))
    engine.attach(imsi=B, teid_up=5, gateway=PGW, at_ns=T0)
    engine.attach(imsi=A, teid_up=6, gateway=PGW, at_ns=T0)
    batch = [packet(T0, UE_2, teid=5, endpoint=0), packet(T0, UE, teid=6, endpoint=0)]
    assert play(engine, *batch) == ["charged", "charged"]


def test_a_session_at_one_gateway_beside_one_at_every_gateway() -> None:
    """N6: the exact one wins; the other keeps the rest, whoever comes first"""
    lines = [line(teid_up=5, gateway=PGW), line(2, teid_up=5)]
    for order in (lines, lines[::-1]):
        engine = gateway(book(*order, coupon_bytes=30 * MB))
        engine.endpoints.intern(0, 1)
        engine.endpoints.intern(0, 2)
        batch = [packet(T0, UE, teid=5, endpoint=0), packet(T0, UE_2, teid=5, endpoint=1)]
        assert play(engine, *batch) == ["charged", "charged"]
        engine.attach(imsi=A, teid_up=6, gateway=PGW, at_ns=T0)
        assert play(engine, packet(T0, UE_2, teid=5, endpoint=0)) == ["charged"]


def test_an_address_comes_back() -> None:
    """N2, N6: given, given back, given again, to an address table that grows in between"""
    engine = gateway()
    engine.attach(imsi=A, address=UE, at_ns=T0)
    engine.attach(imsi=A, address=UE_2, at_ns=T0)
    for number in range(800):
        address = f"10.2.{number // 200}.{number % 200}"
        engine.attach(imsi=f"{number:06}", contract=str(number % 9), address=address, at_ns=T0)
    assert len(engine.sessions.addresses) > 1_024
    assert engine.process(packet(T0, UE))["code"].tolist() == [0]
    engine.attach(imsi=A, address=UE, at_ns=T0)
    assert engine.process(packet(T0, UE_2))["code"].tolist() == [0]
    assert play(engine, packet(T0, UE), packet(T0, "10.2.3.199")) == ["slow"] * 2


def test_tunnels_are_listed_by_address_and_teid() -> None:
    """G8: not in the order in which they were seen"""
    engine = gateway(book(coupon_bytes=MB))
    halves = [(-1, 5), (0, 0xFFFF0A010001), (0x20010DB8 << 32, 1)]
    for hi, lo in halves:
        engine.endpoints.intern(hi, lo)
    batch = [packet(T0, teid=teid, endpoint=k) for teid in (9, 2) for k in range(3)]
    play(engine, *batch)
    found = [(t["destination"], t["teid"]) for t in engine.snapshot()["tunnels"]]
    order = ("10.1.0.1", "2001:db8::1", "ffff:ffff:ffff:ffff::5")
    assert found == [(address, teid) for address in order for teid in (2, 9)]


def test_a_downlink_packet_goes_to_its_own_sim() -> None:
    """N7, B17: nobody pays for what is addressed to another SIM, or to nobody"""
    engine = gateway()
    engine.attach(imsi=A, address=UE, teid_up=7, teid_down=8, at_ns=T0)
    there = packet(T0, "203.0.113.5", teid=8, dst=UE)
    astray = packet(T0, "203.0.113.5", teid=8, dst=UE_2)
    assert play(engine, there, astray) == ["slow", "spoof"]
