"""User packets in and out: stamps what is due, judges each arrival against the log of what was sent."""

from dataclasses import dataclass

import numpy as np

from engine.layout import DOWNLINK, UPLINK
from gateway_sim.live import clock
from gateway_sim.live.datagrams import Bytes, Datagrams, Ints, Received
from gateway_sim.live.fleet import Fleet
from gateway_sim.live.logs import (
    ASTRAY,
    DAMAGED,
    FINE,
    UNKNOWN,
    WRONG_PEER,
    WRONG_SOURCE,
    WRONG_TUNNEL,
    Arrived,
    Sent,
)
from gateway_sim.live.marks import (
    DOWN_BIT,
    GTP_BYTES,
    Shape,
    Stamper,
    addresses_of,
    marks_of,
)

G_PDU = 255
_LEAST_BYTES = 64
"""of a slot that is looked at: headers and mark of IPv6"""
_OPTIONS = 0x07
"""E, S and PN flags of GTP-U: any of them puts four octets more in front (TS 29.281 5.1)"""


@dataclass
class Sides:
    """The two sockets of user packets: into and out of the tunnel, and the servers' side of the gateway."""

    gtp: Datagrams
    sgi: Datagrams
    gateway: int
    """IPv4 address << 16 | port of the gateway's GTP-U"""


class Exchange:
    """Holds the logs. `shapes` are those of the streams, by number."""

    def __init__(self, fleet: Fleet, shapes: list[Shape], sides: Sides) -> None:
        self.fleet, self.sides = fleet, sides
        self.sent, self.arrived = Sent(), Arrived()
        self.stampers = [Stamper(shape) for shape in shapes]
        self._again: Bytes = np.zeros_like(sides.gtp.out.data)

    def send(self, stream: int, sims: Ints) -> None:
        """A packet of the stream for each of these SIMs, at most a batch; all are logged before they go."""
        shape = self.stampers[stream].shape
        up = shape.direction == UPLINK
        fleet, out = self.fleet, self.sides.gtp if up else self.sides.sgi
        first = self.sent.size
        self.sent.append(
            sims.size,
            sim=sims,
            stream=stream,
            at_ns=clock.stamp_ns(),
            address=(fleet.prefix if shape.v6 else fleet.address)[sims],
            teid=(fleet.teid_up if up else fleet.teid_down)[sims],
            state=fleet.state[sims],
        )
        numbers = np.arange(first, self.sent.size, dtype=np.int64)
        self.stampers[stream].stamp(out.out.data, self.sent, numbers)
        out.send(np.full(sims.size, shape.length + (GTP_BYTES if up else 0), np.int64))

    def hear(self, batch: Received, direction: int) -> list[tuple[bytes, Ints]]:
        """Log what arrived; returns (octets, row) of what is no G-PDU, for the path's own messages."""
        others: list[tuple[bytes, Ints]] = []
        data, length = batch.data, batch.length
        rows = np.arange(length.size)
        if direction == DOWNLINK:
            user = (length >= GTP_BYTES) & (data[:, 1] == G_PDU)
            for row in np.flatnonzero(~user):
                others.append((data[row, : length[row]].tobytes(), batch.source[row : row + 1]))
            rows = rows[user]
            _shift_options(data, length, rows)
            length = length - GTP_BYTES
        if rows.size:
            width = GTP_BYTES + max(int(length.max()), _LEAST_BYTES)
            self._judge(data[rows, :width], length[rows], batch, rows, direction)
        return others

    def _judge(
        self, data: Bytes, length: Ints, batch: Received, rows: Ints, direction: int
    ) -> None:
        """One flaw at the most for each arrival, the gravest that is found."""
        who, number = marks_of(data, length)
        known = (number >= 0) & (number < self.sent.size)
        number = np.where(known, number, -1)
        flaw = np.where(known, FINE, UNKNOWN)
        at = np.flatnonzero(known)
        way = (who[at] & DOWN_BIT) // DOWN_BIT
        streams = self.sent["stream"][number[at]]
        stated = np.array([s.shape.direction for s in self.stampers], np.int64)[streams]
        flaw[at] = np.where((way != direction) | (stated != direction), ASTRAY, FINE)
        for stream in np.unique(streams):
            chosen = at[(streams == stream) & (flaw[at] == FINE)]
            if chosen.size:
                flaw[chosen] = self._compare(
                    int(stream), data[chosen], length[chosen], number[chosen]
                )
        if direction == UPLINK:
            fine = np.flatnonzero((flaw == FINE) | (flaw == DAMAGED))
            wrong = addresses_of(data[fine]) != self.sent["address"][number[fine]]
            flaw[fine[wrong]] = WRONG_SOURCE
        else:
            self._check_tunnel(data, number, flaw, batch.source[rows])
        self.arrived.append(
            number.size, number=number, at_ns=batch.stamp_ns[rows], length=length, flaw=flaw
        )

    def _compare(self, stream: int, data: Bytes, length: Ints, number: Ints) -> Ints:
        """Make the packets anew and hold them against what came, octet by octet."""
        stamper = self.stampers[stream]
        end = GTP_BYTES + stamper.shape.length
        stamper.stamp(self._again, self.sent, number)
        same = (data[:, GTP_BYTES:end] == self._again[: number.size, GTP_BYTES:end]).all(axis=1)
        found: Ints = np.where(same & (length == stamper.shape.length), FINE, DAMAGED)
        return found

    def _check_tunnel(self, data: Bytes, number: Ints, flaw: Ints, source: Ints) -> None:
        fine = np.flatnonzero(flaw == FINE)
        teid = data[fine, 4:8].view(">u4")[:, 0].astype(np.int64)
        sim = self.sent["sim"][number[fine]]
        fleet = self.fleet
        wrong = teid != self.sent["teid"][number[fine]]
        for other in (fleet.teid_down, fleet.teid_old, fleet.teid_next):
            wrong &= teid != other[sim]
        flaw[fine[wrong]] = WRONG_TUNNEL
        flaw[fine[source[fine] != self.sides.gateway]] = WRONG_PEER

    @property
    def lost(self) -> int:
        """Datagrams that this side's sockets lost."""
        return self.sides.gtp.lost + self.sides.sgi.lost


def _shift_options(data: Bytes, length: Ints, rows: Ints) -> None:
    """Move inner packets that stand behind optional octets to where those without them stand."""
    optional = rows[(data[rows, 0] & _OPTIONS) != 0]
    for row in optional:
        end = int(length[row])
        data[row, GTP_BYTES : end - 4] = data[row, GTP_BYTES + 4 : end].copy()
        length[row] = end - 4
