"""G-PDUs of tunnels that were seen before: the short way says what the long way says."""

from typing import Any

import numpy as np
import pytest

from engine.datapath.known import PLACES, place_of, remember
from engine.datapath.tables import free_addresses, free_tunnels
from engine.layout import DOWNLINK, PACKET, PACKET_GTP, TUNNEL_SEEN, TUNNEL_STATE
from engine.runtime import Engine
from engine.wire.addresses import parse_address

T0 = 1_383_602_400 * 10**9
SERVER = "203.0.113.7"


def packet(teid: int, src: str, dst: str, k: int) -> Any:
    """One G-PDU, at its time."""
    row = np.zeros(1, dtype=PACKET)
    row["time_ns"], row["teid"], row["endpoint"] = T0 + k * 1000, teid, 0
    row["src_hi"], row["src_lo"] = parse_address(src)
    row["dst_hi"], row["dst_lo"] = parse_address(dst)
    row["length"], row["protocol"], row["flags"] = 100, 17, PACKET_GTP
    return row[0]


def traffic() -> Any:
    """Packets of 60 SIMs both ways, with strangers, forged sources and moved tunnels among them."""
    rows = []
    for k in range(600):
        sim = k * 7 % 60
        address = f"10.1.0.{sim + 1}"
        ends = (address, SERVER) if k % 3 else (SERVER, address)
        if k % 37 == 0:
            ends = ("10.1.0.77", SERVER)
        if k % 41 == 0:
            ends = (SERVER, "198.51.100.1")
        if k % 29 == 0 and k > 60:  # two SIMs, in the tunnel of either
            ends = (address, f"10.1.0.{(sim + 5) % 60 + 1}")[:: 1 if k % 3 else -1]
        rows.append(packet(sim * 2 + 1 if k % 3 else sim * 2 + 2, *ends, k))
    return np.array(rows, dtype=PACKET)


def engine(rows: int, *, attached: bool) -> Engine:
    """With tables of so many rows; the SIMs have sessions, or are whoever is in 10.1.0.0/16."""
    made = Engine.open(None, None, ue_nets=() if attached else ("10.1.0.0/16",))
    made.sessions.tunnels, made.sessions.addresses = free_tunnels(rows), free_addresses(rows)
    for sim in range(60 if attached else 0):
        made.attach(
            imsi=f"44010{sim:010}",
            at_ns=T0,
            address=f"10.1.0.{sim + 1}",
            teid_up=sim * 2 + 1,
            teid_down=sim * 2 + 2,
        )
    return made


@pytest.mark.parametrize("attached", [False, True])
def test_what_a_packet_gets_does_not_depend_on_what_its_tunnel_remembers(attached: bool) -> None:
    """N6, N7, G8: all in one batch, and one by one with what tunnels remember wiped out, agree."""
    packets = traffic()
    with engine(1 << 15, attached=attached) as far, engine(1 << 8, attached=attached) as near:
        whole = far.process(packets)
        for k in range(len(packets)):
            assert near.process(packets[k : k + 1])[0] == whole[k]
            near.sessions.tunnels["direction"] &= TUNNEL_STATE
        assert len(set(whole["code"].tolist())) > 1
        figures = far.snapshot(), near.snapshot()
        assert figures[0]["tunnels"] == figures[1]["tunnels"]
        assert figures[0]["sims"] == figures[1]["sims"]
        known = [int(place_of(row)) for row in far.sessions.tunnels if int(row["packets"])]
        assert sum(place >= 0 for place in known) >= 60


def test_an_address_that_changed_hands_is_looked_up_again() -> None:
    """N6: the tunnel's memory is of a place, and counts only while the address is still the SIM's."""
    with engine(1 << 8, attached=True) as gateway:
        up = np.array([packet(1, "10.1.0.1", SERVER, k) for k in range(2)], dtype=PACKET)
        assert set(gateway.process(up)["code"].tolist()) == {1}
        first = gateway.book.find("440100000000000").code
        gateway.detach(first, at_ns=T0 + 5000)
        gateway.attach(imsi="440109999999999", at_ns=T0 + 6000, address="10.1.0.1", teid_up=500)
        later = np.array([packet(500, "10.1.0.1", SERVER, 9)], dtype=PACKET)
        assert gateway.process(later)["code"].tolist() == [1]
        forged = np.array([packet(1, "10.1.0.1", SERVER, 10)], dtype=PACKET)
        assert gateway.process(forged)["code"].tolist() != [1]


def test_a_place_beyond_what_a_row_can_hold_is_not_remembered() -> None:
    """The field has 25 bits for it; a tunnel without a memory goes the long way."""
    row = np.zeros(1, dtype=free_tunnels(1).dtype)[0]
    row["direction"] = TUNNEL_SEEN
    remember(row, DOWNLINK, PLACES - 1)
    assert int(row["direction"]) == TUNNEL_SEEN
    assert int(place_of(row)) == -1
    remember(row, DOWNLINK, PLACES - 2)
    assert int(row["direction"]) & ~(-1 << 6) == TUNNEL_SEEN | DOWNLINK
    assert int(place_of(row)) == PLACES - 2
