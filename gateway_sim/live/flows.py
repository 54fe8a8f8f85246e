"""Which packets are due: every SIM of a stream has a packet each interval, from its own beginning on."""

from dataclasses import dataclass, field

import numpy as np

from gateway_sim.live.datagrams import Ints
from gateway_sim.live.script import Stream

FAR_NS = 1 << 62


@dataclass
class Flow:
    """A stream under way: the next packet of each of its SIMs. Times are ns since the run's start."""

    number: int
    stream: Stream
    sims: Ints
    next_ns: Ints = field(init=False)
    end_ns: Ints = field(init=False)

    def __post_init__(self) -> None:
        stream = self.stream
        begin = stream.begin_ns + np.arange(self.sims.size, dtype=np.int64) * stream.stagger_ns
        self.next_ns = begin
        self.end_ns = begin + stream.length_ns

    @property
    def first_ns(self) -> int:
        """When the next packet is due; FAR_NS when the stream is at its end."""
        return int(self.next_ns.min(initial=FAR_NS))

    def take(self, now_ns: int, most: int) -> tuple[Ints, int]:
        """SIMs whose packets are due now, those longest due first, and how late the first is (ns).

        At most so many: what is beyond `most` stays due.
        """
        due = np.flatnonzero(self.next_ns <= now_ns)
        if not due.size:
            return self.sims[:0], 0
        if due.size > most:
            due = due[np.argsort(self.next_ns[due], kind="stable")[:most]]
        else:
            due = due[np.argsort(self.next_ns[due], kind="stable")]
        late_ns = now_ns - int(self.next_ns[due[0]])
        after = self.next_ns[due] + self.stream.interval_ns
        self.next_ns[due] = np.where(after < self.end_ns[due], after, FAR_NS)
        return self.sims[due], late_ns
