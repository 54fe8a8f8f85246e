"""Whose packet is it: by TEID and receiver, by inner address, by raw address; and what strangers get."""

import numpy as np
import pytest

from engine.layout import PACKET, PACKET_GTP
from engine.units import MB
from engine.verdict import DROP_IHL, DROP_LEN
from engine.wire.addresses import parse_address
from engine.words import CONTROL_STRAYS, CONTROL_TUNNELS_OVER, STRAYS_MAX
from tests.conftest import JIT_OFF
from tests.support.gateway import (
    SERVER,
    T0,
    UE,
    UE_2,
    UE_3,
    book,
    both,
    gateway,
    line,
    names,
    packet,
    play,
    sim,
)

PGW, PGW_2 = "192.0.2.1", "192.0.2.2"
TUNNELLED = line(teid_up=65_536, teid_down=65_537, gateway=PGW)


def drops(engine: object) -> dict[str, tuple[int, int]]:
    found = engine.snapshot()["drops"]  # type: ignore[attr-defined]
    return {reason: (drop["packets"], drop["bytes"]) for reason, drop in found.items()}


def test_a_g_pdu_belongs_to_the_session_of_its_teid() -> None:
    """N6: uplink at its gateway, downlink at any receiver"""
    engine = gateway(book(TUNNELLED, coupon_bytes=MB))
    up = packet(T0, teid=65_536, endpoint=0)
    far = engine.endpoints.intern(*parse_address(PGW_2))
    down = packet(T0, SERVER, UE, 200, teid=65_537, endpoint=far)
    assert play(engine, up, down) == ["charged"] * 2
    found = sim(engine)
    assert (found["up"]["charged_bytes"], found["down"]["charged_bytes"]) == (100, 200)


def test_a_known_teid_at_the_wrong_gateway_is_dropped() -> None:
    """B18, N7: it is another's TEID there; nothing is charged"""
    engine = gateway(book(TUNNELLED, coupon_bytes=MB))
    wrong = engine.endpoints.intern(*parse_address(PGW_2))
    assert play(engine, packet(T0, teid=65_536, endpoint=wrong)) == ["peer"]
    assert drops(engine) == {"peer": (1, 100)}
    assert both(sim(engine), "inner_bytes") == 0
    assert engine.snapshot()["totals"]["dropped_bytes"] == 100


@pytest.mark.parametrize("teid", [0, 1, 65_535, 0xFFFFFFFF])
def test_a_teid_of_no_session_is_dropped(teid: int) -> None:
    """B19, N7: although the inner source is a SIM's address"""
    engine = gateway(book(TUNNELLED, coupon_bytes=MB))
    assert play(engine, packet(T0, teid=teid, endpoint=0)) == ["teid"]
    assert drops(engine) == {"teid": (1, 100)}
    found = engine.snapshot()
    assert [t["packets"] for t in found["tunnels"] if t["teid"] == teid] == [1]
    assert both(found["sims"][0], "packets") == 0


def test_random_teids_fill_a_bounded_table() -> None:
    """B20: beyond the limit they are counted, not listed"""
    count = 600 if JIT_OFF else 100_000
    listed = count // 2
    engine = gateway(book(TUNNELLED, coupon_bytes=MB))
    engine.endpoints.intern(*parse_address(PGW))
    engine.control[CONTROL_STRAYS] = STRAYS_MAX - listed
    flood = np.repeat(packet(T0, teid=0, endpoint=0), count)
    flood["teid"] = 0x0100_0000 + np.random.default_rng(20).permutation(count)
    assert set(names(engine.process(flood))) == {"teid"}
    assert drops(engine) == {"teid": (count, 100 * count)}
    assert int(engine.control[CONTROL_TUNNELS_OVER]) == count - listed
    assert len(engine.snapshot()["tunnels"]) == listed
    assert len(engine.sessions.tunnels) < 4 * count + 2_048
    assert play(engine, packet(T0, teid=65_536, endpoint=0)) == ["charged"]


def test_the_table_of_tunnels_grows_and_finds_all_again() -> None:
    """B20, N6: more tunnels than the first table holds, half of them sessions'"""
    engine = gateway()
    for number in range(1, 401):
        teids = {"teid_up": 2 * number, "teid_down": 2 * number + 1}
        engine.attach(imsi=f"{number:06}", contract=f"{number % 2 + 1}", at_ns=T0, **teids)
    engine.endpoints.intern(*parse_address(PGW))
    batch = np.repeat(packet(T0, teid=0, endpoint=0), 900)
    batch["teid"] = np.arange(2, 902)
    found = names(engine.process(batch))
    assert (set(found[:800]), found[800:]) == ({"slow"}, ["teid"] * 100)
    assert len(engine.sessions.tunnels) > 1_300
    assert {both(s, "packets") for s in engine.snapshot()["sims"]} == {2}
    tunnels = engine.snapshot()["tunnels"]
    assert [t["teid"] for t in tunnels] == list(range(2, 902))
    assert {(t["destination"], t["packets"], t["inner_bytes"]) for t in tunnels} == {(PGW, 1, 100)}


def test_an_inner_source_that_is_not_the_session_s_is_dropped() -> None:
    """N7, B17: another SIM's address, nobody's, and its own; nothing dropped is charged"""
    other = line(2, teid_up=65_538, teid_down=65_539)
    engine = gateway(book(TUNNELLED, other, coupon_bytes=MB))
    sources = (UE_2, "198.51.100.9", UE)
    batch = [packet(T0, source, teid=65_536, endpoint=0) for source in sources]
    assert play(engine, *batch) == ["spoof", "spoof", "charged"]
    up = sim(engine)["up"]
    assert (up["dropped_packets"], up["dropped_bytes"], up["charged_bytes"]) == (2, 200, 100)
    assert both(sim(engine, 1), "packets") == 0


def test_a_source_in_the_sim_s_own_prefix_is_its_own() -> None:
    """N2, N7"""
    engine = gateway(book(line(addresses=("2001:db8:0:1::/64",), teid_up=9), coupon_bytes=MB))
    inside = packet(T0, "2001:db8:0:1:ffff::1", "2001:db8:f::1", teid=9)
    outside = packet(T0, "2001:db8:0:2::1", "2001:db8:f::1", teid=9)
    assert play(engine, inside, outside) == ["charged", "spoof"]


def test_without_addresses_an_uplink_is_not_checked() -> None:
    """N7: there is nothing to check against"""
    engine = gateway(book(line(addresses=(), teid_up=9), coupon_bytes=MB))
    assert play(engine, packet(T0, "172.16.0.1", teid=9)) == ["charged"]


def test_a_g_pdu_without_a_session_goes_by_its_inner_address() -> None:
    """N6: for a SIM that has no TEID of its own; source first"""
    engine = gateway(book(line(), line(2), coupon_bytes=30 * MB))
    up = packet(T0, UE, SERVER, teid=1, endpoint=0)
    down = packet(T0, SERVER, UE_2, teid=2, endpoint=0)
    across = packet(T0, UE, UE_2, teid=3, endpoint=0)
    assert play(engine, up, down, across) == ["charged"] * 3
    first, second = sim(engine, 0), sim(engine, 1)
    assert (first["up"]["packets"], second["down"]["packets"]) == (2, 1)


def test_a_malformed_g_pdu_is_dropped_with_its_reason() -> None:
    """N7: of a session that is known for that session, else for nobody"""
    engine = gateway(book(TUNNELLED, coupon_bytes=MB))
    known = packet(T0, teid=65_536, endpoint=0, code=DROP_IHL)
    strange = packet(T0, teid=1, endpoint=0, code=DROP_LEN)
    assert play(engine, known, strange) == ["ihl", "len"]
    assert both(sim(engine), "dropped_packets") == 1
    assert drops(engine) == {"len": (1, 100), "ihl": (1, 100)}


def test_a_packet_from_one_sim_to_another_has_two_legs() -> None:
    """B23, D4: each is charged its own leg once; the verdict is that of the first"""
    engine = gateway(book(line(), line(2, coupon=False), coupon_bytes=MB))
    verdicts = engine.process(packet(T0, UE, UE_2))
    assert (names(verdicts), verdicts["charged_bytes"].tolist()) == (["charged"], [100])
    first, second = sim(engine, 0), sim(engine, 1)
    assert (first["up"]["charged_bytes"], first["down"]["packets"]) == (100, 0)
    assert (second["down"]["slow_bytes"], second["up"]["packets"]) == (100, 0)
    assert engine.snapshot()["totals"]["inner_bytes"] == 200


def test_a_packet_that_a_sim_sends_to_itself_goes_up_and_down() -> None:
    """B23"""
    engine = gateway(book(coupon_bytes=MB))
    assert play(engine, packet(T0, UE, UE)) == ["charged"]
    found = sim(engine)
    assert (found["up"]["charged_bytes"], found["down"]["charged_bytes"]) == (100, 100)


def test_a_raw_packet_of_nobody_is_no_user_traffic() -> None:
    """I6: it is neither charged nor dropped"""
    engine = gateway(book(coupon_bytes=MB))
    verdicts = engine.process(packet(T0, SERVER, "198.51.100.8"))
    assert verdicts["code"].tolist() == [0]
    assert engine.snapshot()["totals"]["packets"] == 0


def test_a_raw_packet_that_is_malformed() -> None:
    """N7: with a SIM's address it is that SIM's; without any address it is dropped for nobody"""
    engine = gateway(book(coupon_bytes=MB))
    nowhere = np.zeros(1, dtype=PACKET)
    nowhere["time_ns"], nowhere["length"], nowhere["code"] = T0, 60, DROP_LEN
    assert play(engine, packet(T0, code=DROP_LEN), nowhere) == ["len", "len"]
    assert both(sim(engine), "dropped_packets") == 1
    assert drops(engine) == {"len": (2, 160)}


def test_an_address_of_a_net_becomes_a_sim_of_the_default_plan() -> None:
    """C1, N6: source or destination, once each, IPv4 and IPv6, raw or in a tunnel"""
    engine = gateway(ue_nets=("10.1.0.0/30", "2001:db8::/32"))
    batch = [
        packet(T0, UE, SERVER),
        packet(T0, SERVER, UE_2),
        packet(T0, UE, SERVER),
        packet(T0, "2001:db8::1", "2001:db9::1"),
        packet(T0, UE_3, SERVER, teid=5, endpoint=0),
        packet(T0, SERVER, "10.1.0.0", teid=6, endpoint=0),
        packet(T0, "10.1.0.4", SERVER, teid=7, endpoint=0),
    ]
    verdicts = engine.process(np.concatenate(batch))
    assert names(verdicts) == ["slow"] * 6 + ["teid"]
    found = {s["address"]: both(s, "packets") for s in engine.snapshot()["sims"]}
    assert found == {UE: 2, UE_2: 1, "2001:db8::1": 1, UE_3: 1, "10.1.0.0": 1}


def test_addresses_grow_beyond_the_first_table() -> None:
    """N6: a thousand SIMs of a net, each found again"""
    engine = gateway(ue_nets=("10.0.0.0/8",))
    batch = np.repeat(packet(T0, "10.0.0.0", SERVER), 1_000)
    batch["src_lo"] += np.arange(1_000)
    for _ in range(2):
        assert set(names(engine.process(batch))) == {"slow"}
    assert len(engine.sessions.addresses) > 1_000
    found = engine.snapshot()["sims"]
    assert len(found) == 1_000
    assert {both(s, "packets") for s in found} == {2}


def test_a_receiver_that_nobody_named() -> None:
    """B19, N6: packets of an embedding program that knows no outer addresses are at any receiver"""
    engine = gateway(book(line(teid_up=9), coupon_bytes=MB))
    teids = (9, 0xFFFFFFFF)
    batch = [packet(T0, teid=teid, endpoint=index) for teid in teids for index in (-1, 77)]
    assert play(engine, *batch) == ["charged", "charged", "teid", "teid"]
    assert play(engine, *batch) == ["charged", "charged", "teid", "teid"]
    tunnels = engine.snapshot()["tunnels"]
    assert [t["teid"] for t in tunnels] == [9, 0xFFFFFFFF] * 2
    assert {(t["destination"], t["packets"]) for t in tunnels} == {("", 2)}


def test_a_packet_knows_its_kind() -> None:
    """N6: the TEID counts only in a G-PDU"""
    engine = gateway(book(line(addresses=(), teid_up=9), coupon_bytes=MB))
    plain = packet(T0, SERVER, "198.51.100.8", teid=9, endpoint=0)
    plain["flags"] &= ~PACKET_GTP & 0xFFFF
    assert engine.process(plain)["code"].tolist() == [0]
