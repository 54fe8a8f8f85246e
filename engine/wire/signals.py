"""GTP-C datagrams out of captures: their bytes, kept from when they were read until somebody takes them."""

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from engine.layout import PACKET_SIGNALLING
from engine.wire.addresses import format_address

Rows = npt.NDArray[Any]

NUMBER_MAX = 0x7FFF_FFFF
"""numbers stand in PACKET.endpoint"""


class Signal(NamedTuple):
    """One GTP-C datagram: when, between which ends, and what it carries."""

    time_ns: int
    source: str
    source_port: int
    destination: str
    destination_port: int
    data: bytes


class Signals:
    """The datagrams that captures came upon, of which rows with PACKET_SIGNALLING say the number.

    One thread may put datagrams in while another takes them out.
    """

    def __init__(self) -> None:
        self._held: dict[int, bytes] = {}
        self._next = 0

    def __len__(self) -> int:
        return len(self._held)

    def copy(self, packets: Rows, buffer: npt.NDArray[np.uint8]) -> None:
        """Copy the datagrams of these PACKET rows out of the buffer that they lie in; number the rows."""
        for at in np.flatnonzero(packets["flags"] & PACKET_SIGNALLING):
            row = packets[at]
            begin = int(row["endpoint"])
            self._held[self._next] = buffer[begin : begin + int(row["fragment"])].tobytes()
            row["endpoint"] = self._next
            row["fragment"] = 0
            self._next = (self._next + 1) & NUMBER_MAX

    def take_over(self, others: "Signals", packets: Rows) -> None:
        """Have the datagrams of `others`, to which rows among these point; number the rows anew."""
        for at in np.flatnonzero(packets["flags"] & PACKET_SIGNALLING):
            self._held[self._next] = others._held.pop(int(packets[at]["endpoint"]))
            packets["endpoint"][at] = self._next
            self._next = (self._next + 1) & NUMBER_MAX

    def take(self, row: Any) -> Signal:
        """The datagram of a row, once."""
        return Signal(
            int(row["time_ns"]),
            format_address(row["src_hi"], row["src_lo"]),
            int(row["src_port"]),
            format_address(row["dst_hi"], row["dst_lo"]),
            int(row["dst_port"]),
            self._held.pop(int(row["endpoint"])),
        )
