"""Addresses of `--ue-net`: each is a SIM, also one that was somebody else's for a while."""

import numpy as np

from engine.layout import PACKET
from engine.runtime import Engine
from engine.units import NS_PER_S
from engine.wire.addresses import parse_address
from tests.support.packets import SERVER, TIME_NS, UE

IMSI = "440100000000001"


def sends(engine: Engine, at_s: int) -> int:
    """The verdict of a packet of 100 bytes from the address."""
    packet = np.zeros(1, dtype=PACKET)
    packet["time_ns"], packet["length"] = TIME_NS + at_s * NS_PER_S, 100
    packet["src_hi"], packet["src_lo"] = parse_address(UE)
    packet["dst_hi"], packet["dst_lo"] = parse_address(SERVER)
    return int(engine.process(packet)["code"][0])


def test_an_address_that_comes_back_is_the_same_sim_as_before() -> None:
    """N6: a session of a SIM that is known by its IMSI had the address in the meantime"""
    with Engine.open(ue_nets=("10.0.0.0/8",)) as engine:
        first = sends(engine, 0)
        for at_s, address in ((1, UE), (3, "10.9.9.9")):
            engine.attach(at_ns=TIME_NS + at_s * NS_PER_S, imsi=IMSI, address=address)
            assert sends(engine, at_s + 1) == first
        assert sends(engine, 9) == first
        bytes_up = {s["code"]: s["up"]["inner_bytes"] for s in engine.snapshot()["sims"]}
    assert bytes_up == {UE: 300, IMSI: 100}
