"""The SIMs of a run in columns: which session each has, and in which state what it sends is."""

import ipaddress

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]

CLOSED, UNSURE, OPEN, SHUT = range(4)
"""session of a SIM as seen from outside. UNSURE: between a request and its answer nobody knows. SHUT: the
operator was told that it is cut, but this side not yet: nothing may pass, and it may still be counted."""


class Fleet:
    """Columns by SIM number, in the order of the scenario's lines.

    address: IPv4 as an integer, 0 without; prefix: upper half of the IPv6 /64, as a signed integer.
    teid_up is the gateway's, teid_down this side's; teid_old the one before the last move, teid_next
    the one that a move under way asks for.
    """

    def __init__(self, count: int) -> None:
        self.count = count
        self.state: Ints = np.zeros(count, np.int64)
        self.address: Ints = np.zeros(count, np.int64)
        self.prefix: Ints = np.zeros(count, np.int64)
        self.teid_up: Ints = np.zeros(count, np.int64)
        self.teid_down: Ints = np.zeros(count, np.int64)
        self.teid_old: Ints = np.zeros(count, np.int64)
        self.teid_next: Ints = np.zeros(count, np.int64)

    def open(
        self, sim: int, ipv4: str | None, ipv6: str | None, teid_up: int, teid_down: int
    ) -> None:
        """A session stands: addresses as the gateway gave them, TEIDs of either side."""
        self.address[sim] = int(ipaddress.IPv4Address(ipv4)) if ipv4 else 0
        self.prefix[sim] = _upper_half(ipv6) if ipv6 else 0
        self.teid_up[sim], self.teid_down[sim], self.teid_old[sim] = teid_up, teid_down, teid_down
        self.state[sim] = OPEN

    def move(self, sim: int, teid_up: int, teid_down: int) -> None:
        """The session goes on in another tunnel; what was on its way comes in the old one."""
        self.teid_old[sim] = self.teid_down[sim]
        self.teid_up[sim], self.teid_down[sim] = teid_up, teid_down
        self.state[sim] = OPEN


def _upper_half(prefix: str) -> int:
    packed = ipaddress.IPv6Address(prefix.partition("/")[0]).packed
    return int.from_bytes(packed[:8], "big", signed=True)
