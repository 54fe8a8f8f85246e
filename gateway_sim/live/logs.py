"""What was sent and what arrived, packet by packet, in columns that grow."""

from typing import Any

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]

FINE, UNKNOWN, ASTRAY, DAMAGED, WRONG_SOURCE, WRONG_TUNNEL, WRONG_PEER = range(7)
"""what is said of an arrival"""
FLAWS = {
    UNKNOWN: "is none that was sent",
    ASTRAY: "came out on the side that it was sent from",
    DAMAGED: "is not, octet for octet, what was sent",
    WRONG_SOURCE: "has another inner source than its session's address",
    WRONG_TUNNEL: "came in another tunnel than its session's",
    WRONG_PEER: "came from another node than the gateway",
}


class Columns:
    """Integer columns of one length, with room ahead."""

    def __init__(self, *names: str) -> None:
        self.size = 0
        self._held: dict[str, Ints] = {name: np.zeros(1 << 16, np.int64) for name in names}

    def __getitem__(self, name: str) -> Ints:
        return self._held[name][: self.size]

    def append(self, count: int, **values: Any) -> None:
        """Rows at the end; every column is given, as one value or as an array."""
        end = self.size + count
        for name, column in self._held.items():
            if end > column.size:
                grown = np.zeros(2 * end, np.int64)
                grown[: self.size] = column[: self.size]
                self._held[name] = column = grown
            column[self.size : end] = values[name]
        self.size = end


class Sent(Columns):
    """A row a packet, by its number: SIM, stream, time, address and TEID of the session, its state.

    `lo` of an IPv6 packet is always host 1, so `address` holds the prefix there.
    """

    def __init__(self) -> None:
        super().__init__("sim", "stream", "at_ns", "address", "teid", "state")


class Arrived(Columns):
    """A row a datagram: number of the packet (-1: unknown), the kernel's time, bytes, its flaw."""

    def __init__(self) -> None:
        super().__init__("number", "at_ns", "length", "flaw")
