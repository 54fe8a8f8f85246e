"""User-plane ends of tunnels by interface type: their names, which way they receive, and where they are."""

from typing import Literal, NamedTuple

from engine.signalling.messages import (
    GN_GGSN_C,
    GN_GGSN_U,
    GN_SGSN_C,
    GN_SGSN_U,
    S1U_ENODEB,
    S1U_SGW,
    S5_PGW_C,
    S5_PGW_U,
    S5_SGW_C,
    S5_SGW_U,
    S11_MME_C,
    S11_SGW_C,
)

Direction = Literal["up", "down"]

S12_RNC, S12_SGW = 2, 3
S4_SGSN_U, S4_SGW_U, S4_SGSN_C = 15, 16, 17
S2B_EPDG_C, S2B_EPDG_U, S2B_PGW_C, S2B_PGW_U = 30, 31, 32, 33
S2A_TWAN_U, S2A_TWAN_C, S2A_PGW_C, S2A_PGW_U = 34, 35, 36, 37
S11_MME_U, S11_SGW_U = 38, 39


class Plane(NamedTuple):
    """An interface type of the user plane. `direction` is that of the packets that this end receives;
    `core`: it is at the P-GW or GGSN, where operators bill, and not on the side of the radio network."""

    name: str
    direction: Direction
    core: bool


PLANES = {
    S1U_ENODEB: Plane("S1-U eNodeB", "down", False),
    S1U_SGW: Plane("S1-U S-GW", "up", False),
    S12_RNC: Plane("S12 RNC", "down", False),
    S12_SGW: Plane("S12 S-GW", "up", False),
    S5_SGW_U: Plane("S5/S8 S-GW", "down", True),
    S5_PGW_U: Plane("S5/S8 P-GW", "up", True),
    S4_SGSN_U: Plane("S4 SGSN", "down", False),
    S4_SGW_U: Plane("S4 S-GW", "up", False),
    S2B_EPDG_U: Plane("S2b ePDG", "down", True),
    S2B_PGW_U: Plane("S2b P-GW", "up", True),
    S2A_TWAN_U: Plane("S2a TWAN", "down", True),
    S2A_PGW_U: Plane("S2a P-GW", "up", True),
    S11_MME_U: Plane("S11-U MME", "down", False),
    S11_SGW_U: Plane("S11-U S-GW", "up", False),
    GN_SGSN_U: Plane("Gn SGSN", "down", True),
    GN_GGSN_U: Plane("Gn GGSN", "up", True),
}
"""TS 29.274 8.22; the last two are of version 1"""

NEAR_CONTROL = frozenset((S5_SGW_C, S11_MME_C, S4_SGSN_C, S2B_EPDG_C, S2A_TWAN_C, GN_SGSN_C))
"""control-plane ends of the side that asks for sessions"""
CORE_CONTROL = frozenset(
    (S5_SGW_C, S5_PGW_C, S2B_EPDG_C, S2B_PGW_C, S2A_TWAN_C, S2A_PGW_C, GN_SGSN_C, GN_GGSN_C)
)
"""control-plane ends of the path to the P-GW or GGSN"""
ACCESS_CONTROL = frozenset((S11_MME_C, S11_SGW_C, S4_SGSN_C))
