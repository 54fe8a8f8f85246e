"""Tunnels that say themselves what becomes of their packets: billed elsewhere, or over."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from engine import verdict
from engine.layout import PACKET, PACKET_GTP, TUNNEL_ASIDE, TUNNEL_OVER
from engine.runtime import Engine
from engine.wire.addresses import parse_address
from engine.words import CONTROL_ASSUMED, CONTROL_NOT_USER
from tests.support.packets import PGW, SERVER, SGW, TIME_NS, UE

IMSI = "440100000000001"


def g_pdu(
    engine: Engine, teid: int, receiver: str, inner: tuple[str, str], code: int = 0
) -> npt.NDArray[Any]:
    packet = np.zeros(1, dtype=PACKET)
    packet["time_ns"], packet["teid"], packet["length"] = TIME_NS, teid, 100
    packet["endpoint"] = engine.endpoints.intern(*parse_address(receiver))
    packet["src_hi"], packet["src_lo"] = parse_address(inner[0])
    packet["dst_hi"], packet["dst_lo"] = parse_address(inner[1])
    packet["flags"], packet["code"] = PACKET_GTP, code
    return packet


def code_of(engine: Engine, packet: npt.NDArray[Any]) -> int:
    return int(engine.process(packet)["code"][0])


@pytest.mark.parametrize("code", [verdict.NONE, verdict.DROP_LEN])
def test_what_is_billed_elsewhere_is_nobodys_here(code: int) -> None:
    """N6: counted in its tunnel, and not as a packet of a SIM"""
    with Engine.open(ue_nets=("10.0.0.0/8",)) as engine:
        engine.sessions.set_aside(7, SGW, TUNNEL_ASIDE)
        assert code_of(engine, g_pdu(engine, 7, SGW, (UE, SERVER), code)) == verdict.NONE
        snapshot = engine.snapshot()
        assert (snapshot["totals"]["packets"], snapshot["sims"]) == (0, [])
        assert snapshot["tunnels"] == [
            {"teid": 7, "destination": SGW, "packets": 1, "inner_bytes": 100}
        ]
        assert engine.control[CONTROL_NOT_USER] == 1


@pytest.mark.parametrize(
    ("code", "reason"), [(verdict.NONE, verdict.DROP_TEID), (verdict.DROP_LEN, verdict.DROP_LEN)]
)
def test_what_is_over_is_dropped_whoever_has_the_address(code: int, reason: int) -> None:
    """N7, B19: at this receiver; what is broken keeps its own reason"""
    with Engine.open(ue_nets=("10.0.0.0/8",)) as engine:
        engine.sessions.set_aside(7, SGW, TUNNEL_OVER)
        assert code_of(engine, g_pdu(engine, 7, SGW, (UE, SERVER), code)) == reason
        assert engine.snapshot()["sims"] == []
        assert code_of(engine, g_pdu(engine, 7, PGW, (UE, SERVER))) == verdict.CHARGED


def test_a_tunnel_may_be_somebodys_again() -> None:
    """N6: and nobody's after that"""
    with Engine.open() as engine:
        engine.sessions.set_aside(7, PGW, TUNNEL_OVER)
        line = engine.attach(
            at_ns=TIME_NS, imsi=IMSI, teid_up=7, gateway=PGW, address=UE, teid_down=8
        )
        packet = g_pdu(engine, 7, PGW, (UE, SERVER))
        assert code_of(engine, packet) == verdict.CHARGED
        engine.release_bearer(line, teid_up=7, gateway=PGW)
        engine.sessions.set_aside(7, PGW, TUNNEL_ASIDE)
        assert code_of(engine, packet) == verdict.NONE
        engine.sessions.set_aside(7, PGW, 0)
        assert code_of(engine, packet) == verdict.DROP_TEID


@pytest.mark.parametrize("inner", [(UE, "10.9.9.9"), ("10.9.9.9", UE)])
@pytest.mark.parametrize("assumed", [0, 1])
def test_a_strange_tunnel_with_a_sessions_packets_makes_no_sim(
    inner: tuple[str, str], assumed: int
) -> None:
    """N6: where it is only assumed who is one; where somebody said so, that holds"""
    with Engine.open(ue_nets=("10.0.0.0/8",)) as engine:
        engine.attach(at_ns=TIME_NS, imsi=IMSI, teid_up=7, gateway=PGW, address=UE)
        engine.control[CONTROL_ASSUMED] = assumed
        for _ in range(2):
            answer = code_of(engine, g_pdu(engine, 99, SGW, inner))
            assert answer == (verdict.DROP_TEID if assumed else verdict.CHARGED)
        assert len(engine.snapshot()["sims"]) == 2 - assumed
        assert code_of(engine, g_pdu(engine, 99, SGW, ("10.9.9.9", SERVER))) == verdict.CHARGED
