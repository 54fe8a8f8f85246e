"""Access: who may attach and with what, bearers of a session, what a live gateway asks of the engine."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from engine.errors import AttachError, RefusedError, UsageError
from engine.pool.store import open_store
from engine.runtime import Engine
from engine.units import MB
from engine.words import CONTROL_STRAYS
from tests.support.gateway import (
    DEC_1,
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

A, B = "440100000000001", "440100000000009"
HERE, PEER, OTHER = "192.0.2.1", "192.0.2.2", "192.0.2.3"
PREFIX = "2001:db8:0:1::/64"


def known(**contract: Any) -> Engine:
    """An engine that knows line `a`, with an open database; outer addresses 0, 1, 2 are ours and theirs."""
    (one,) = book(line(), coupon_bytes=100 * MB).contracts
    everybody = replace(book(), contracts=(replace(one, **contract),))
    engine = gateway(everybody, allow_clock_leap=True)
    for address in (HERE, PEER, OTHER):
        engine.endpoints.intern(*halves(address))
    return engine


def halves(address: str) -> tuple[int, int]:
    row = packet(0, address)
    return int(row["src_hi"][0]), int(row["src_lo"][0])


def refusal(engine: Engine, **asked: Any) -> str:
    with pytest.raises(AttachError) as caught:
        engine.attach(at_ns=T0, **asked)
    assert isinstance(caught.value, RefusedError)
    assert isinstance(caught.value, UsageError)
    return caught.value.reason


def test_a_sim_that_nobody_entered_may_be_refused() -> None:
    """N1, N6"""
    engine = known()
    assert refusal(engine, imsi=B, known_only=True) == "unknown"
    with pytest.raises(AttachError, match="nobody has entered the SIM 440100000000009"):
        engine.admits(imsi=B, at_ns=T0)
    assert engine.admits(imsi=B, at_ns=T0, known_only=False) == (None, (), True)
    assert engine.admits(imsi=A, at_ns=T0) == ("a", (UE,), False)
    assert engine.attach(imsi=A, at_ns=T0, known_only=True) == "a"
    assert len(engine.snapshot()["sims"]) == 1


def test_a_suspended_line_and_one_that_has_ended_are_told_apart() -> None:
    """L1, A4"""
    engine = known()
    engine.suspend("a", at_ns=T0)
    assert refusal(engine, imsi=A) == "suspended"
    with pytest.raises(AttachError, match="suspended"):
        engine.admits(imsi=A, at_ns=T0)
    over = known(ends="2013-11")
    with pytest.raises(AttachError, match="has ended") as caught:
        over.attach(imsi=A, at_ns=DEC_1)
    assert caught.value.reason == "ended"
    assert over.take_cut() == ["a"]


def test_an_old_cards_imsi_is_refused_from_the_moment_the_new_one_is_ready() -> None:
    """L2, L3"""
    engine = known()
    engine.attach(imsi=A, teid_up=5, gateway=HERE, address=UE, at_ns=T0)
    engine.replace_sim("a", iccid="8981100000000000009", imsi=B, at_ns=T0)
    assert engine.take_cut() == ["a"]
    assert refusal(engine, imsi=A, known_only=True) == "replaced"
    assert engine.attach(imsi=B, known_only=True, at_ns=T0) == "a"
    assert sim(engine)["imsi"] == B
    with pytest.raises(UsageError, match="is, or was, somebody's already"):
        engine.replace_sim("a", iccid="8981100000000000010", imsi=A, at_ns=T0)


def test_a_line_that_is_called_after_its_card_is_found_after_the_card_is_replaced() -> None:
    """L2"""
    engine = gateway()
    old, new = "8981100000000000001", "8981100000000000002"
    assert engine.attach(iccid=old, at_ns=T0) == old
    engine.replace_sim(old, iccid=new, at_ns=T0)
    assert engine.line_report(old)["iccid"] == engine.line_report(new)["iccid"] == new
    assert refusal(engine, iccid=old) == "replaced"


def test_a_prefix_needs_the_option_for_it() -> None:
    """O1, N2"""
    assert refusal(known(), imsi=A, address=(UE, PREFIX)) == "no-ipv6"
    engine = known(ipv6=True)
    assert engine.admits(imsi=A, at_ns=T0).ipv6
    engine.attach(imsi=A, address=[UE, PREFIX], at_ns=T0)
    far = "2001:db8:ffff::1"
    both = [packet(T0), packet(T0, "2001:db8:0:1::77", far), packet(T0, far, "2001:db8:0:1::78")]
    assert play(engine, *both) == ["charged"] * 3
    assert sim(engine)["address"] == UE


def test_the_same_teid_may_be_one_sims_up_and_anothers_down() -> None:
    """N6, N7: each is known at the node that gave it out"""
    engine = known()
    engine.attach(imsi=A, teid_up=7, gateway=HERE, teid_down=9, peer=PEER, address=UE, at_ns=T0)
    ends = {"teid_up": 9, "gateway": HERE, "teid_down": 7, "peer": PEER}
    engine.attach(imsi=B, contract="hdd1", address=UE_2, at_ns=T0, **ends)  # type: ignore[arg-type]
    up = [packet(T0, UE, teid=7, endpoint=0), packet(T0, UE_2, teid=9, endpoint=0)]
    down = [
        packet(T0, SERVER, UE, teid=9, endpoint=1),
        packet(T0, SERVER, UE_2, teid=7, endpoint=1),
    ]
    assert play(engine, *up, *down) == ["charged"] * 4
    assert play(engine, packet(T0, SERVER, UE, teid=9, endpoint=0)) == ["spoof"]
    assert play(engine, packet(T0, SERVER, UE, teid=9, endpoint=2)) == ["peer"]
    assert [(s["up"]["packets"], s["down"]["packets"]) for s in engine.snapshot()["sims"]] == [
        (1, 1),
        (2, 1),
    ]


def test_a_session_may_have_more_bearers_and_move() -> None:
    """N6: a dedicated bearer, and a tunnel that goes to another S-GW"""
    engine = known()
    engine.attach(imsi=A, teid_up=7, gateway=HERE, teid_down=9, peer=PEER, address=UE, at_ns=T0)
    engine.bind_bearer("a", teid_up=8, gateway=HERE, teid_down=10, peer=PEER)
    engine.bind_bearer("a", teid_up=8, gateway=HERE)  # again: nothing new
    dedicated = [packet(T0, teid=8, endpoint=0), packet(T0, SERVER, UE, teid=10, endpoint=1)]
    assert play(engine, *dedicated) == ["charged"] * 2
    assert play(engine, packet(T0, UE_3, teid=8, endpoint=0)) == ["spoof"]
    engine.bind_bearer("a", teid_up=12, gateway=HERE, addresses=(UE_3,))
    assert play(engine, packet(T0, UE_3, teid=12, endpoint=0)) == ["charged"]
    engine.release_bearer("a", addresses=(UE_3, UE_2))
    assert play(engine, packet(T0, UE_3, teid=12, endpoint=0)) == ["spoof"]
    engine.release_bearer("a", teid_down=9, peer=PEER)
    engine.release_bearer("a", teid_down=99, peer=PEER)  # never was its own
    engine.bind_bearer("a", teid_down=11, peer=OTHER)
    moved = [
        packet(T0, SERVER, UE, teid=9, endpoint=1),
        packet(T0, SERVER, UE, teid=11, endpoint=2),
    ]
    assert play(engine, *moved) == ["teid", "charged"]
    engine.attach(imsi=A, teid_up=20, gateway=HERE, address=UE, at_ns=T0)
    assert play(engine, *dedicated, *moved) == ["teid"] * 4
    with pytest.raises(UsageError, match="TEID 0"):
        engine.bind_bearer("a", teid_up=0)
    assert int(engine.control[CONTROL_STRAYS]) == 6


def test_a_gateway_that_runs_for_long_needs_no_more_room_for_the_same_sessions() -> None:
    """B20, B48: TEIDs at random, addresses in turn; a replay keeps what it reports"""
    engine, replaying = gateway(live=True), gateway()
    for number in range(600):
        address = f"10.2.{number >> 8}.{number & 255}"
        ends = {"teid_up": 7 * number + 1, "gateway": HERE, "peer": PEER, "teid_down": number + 1}
        for one in (engine, replaying):
            one.attach(imsi=A, address=address, at_ns=T0, **ends)  # type: ignore[arg-type]
            up = packet(T0 + number * 10**9, address, teid=7 * number + 1, endpoint=0)
            assert one.process(up)["departure_ns"] > 0
    assert len(engine.sessions.tunnels) == len(engine.sessions.addresses) == 1024
    assert int(engine.control[CONTROL_STRAYS]) == 0
    assert len(engine.snapshot()["tunnels"]) == 1
    assert len(replaying.sessions.tunnels) > 1024
    assert len(replaying.snapshot()["tunnels"]) == 600
    engine.close()


def test_many_sessions_become_durable_at_once(tmp_path: Path) -> None:
    """D9: with one fsync at the end, also where it ends badly"""
    store = open_store(f"sqlite:///{tmp_path / 'pool.db'}")
    flushes = []
    really = store.flush
    store.flush = lambda: (flushes.append(1), really())[1]  # type: ignore[method-assign]
    engine = gateway(book(line(1), line(2), coupon_bytes=100 * MB), store=store)
    flushes.clear()
    with engine.together():
        engine.attach(imsi=A, at_ns=T0)
        with engine.together():
            engine.attach(imsi="440100000000002", at_ns=T0)
    assert len(flushes) == 1
    with pytest.raises(UsageError), engine.together():
        engine.attach(at_ns=T0)
    assert not engine.in_batch
    assert play(engine, packet(T0)) == ["charged"]
    engine.close()


def test_a_sim_has_its_first_slice_when_several_verbs_end(tmp_path: Path) -> None:
    """D1, D9: also at a gateway that does not wait for its database in mid-packet"""
    store = open_store(f"sqlite:///{tmp_path / 'pool.db'}")
    engine = gateway(book(coupon_bytes=100 * MB), store=store, live=True)
    with engine.together():
        engine.attach(imsi=A, at_ns=T0)
    assert engine.totals()["questions"] == 0
    assert play(engine, packet(T0)) == ["charged"]
    engine.close()


def test_what_happens_is_told_to_those_who_ask() -> None:
    """P3, L1, L2, C3, D5: in order, the latest only"""
    engine = known(coupons=())
    engine.attach(imsi=A, at_ns=T0)
    assert engine.take_events() == []
    engine.keep_events(8)
    engine.switch_coupon("a", on=False, at_ns=T0)
    engine.switch_coupon("a", on=True, at_ns=T0)
    assert play(engine, packet(T0)) == ["slow"]
    engine.charge("hdd1", coupons=1, at_ns=T0 + 1)
    engine.suspend("a", at_ns=T0 + 2)
    engine.resume("a", at_ns=T0 + 2)
    engine.attach(imsi=A, at_ns=T0 + 3)
    engine.detach("a", at_ns=T0 + 4)
    told = engine.take_events()
    assert told[0] == (T0, "switch-on", "a")
    assert [(what, code) for _, what, code in told[1:]] == [
        ("exhausted", "hdd1"),
        ("charge", "hdd1"),
        ("cut", "a"),
        ("suspend", "a"),
        ("resume", "a"),
        ("attach", "a"),
        ("detach", "a"),
    ]
    engine.replace_sim("a", iccid="8981100000000000009", at_ns=T0 + 5)
    assert [what for _, what, _ in engine.take_events()] == ["cut", "replace-sim"]
    assert engine.take_events() == []


def test_figures_may_be_had_in_parts() -> None:
    """Q2: a SIM's, some SIMs', and those of all without looking at each"""
    engine = gateway(book(line(1), line(2), line(3), coupon_bytes=100 * MB))
    engine.attach(imsi=A, rat="UTRAN", at_ns=T0)
    play(engine, packet(T0), packet(T0, UE_2, length=50), packet(T0, "10.9.9.9", teid=5))
    every = engine.snapshot()["sims"]
    assert engine.lines_report(0, 2) + engine.lines_report(2, 100) == every
    assert engine.line_report("440100000000002") == every[1]
    assert (every[0]["code"], every[0]["rat_type"], every[1]["rat_type"]) == ("a", "UTRAN", None)
    totals = engine.totals()
    assert (totals["packets"], totals["inner_bytes"], totals["lines"]) == (3, 250, 3)
    assert totals["drops"] == {"teid": {"packets": 1, "bytes": 100}}
    assert (totals["at_ns"], totals["grants"], totals["granted_bytes"]) == (T0, 2, 20 * MB)
    with pytest.raises(UsageError, match="no line has the code"):
        engine.line_report("nobody")
