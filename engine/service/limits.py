"""How many requests a second a peer may make; whoever asks for more is told when to ask again."""

from collections import OrderedDict

from engine.units import NS_PER_S

PEERS_MAX = 4_096
"""peers remembered; the one that was quiet for longest is forgotten first, and begins afresh"""


class Rates:
    """A token bucket for each peer, as the time at which it will be full again; exact integers."""

    def __init__(self, requests_per_s: int, burst: int, peers_max: int = PEERS_MAX) -> None:
        self.cost_ns = NS_PER_S // requests_per_s
        self.depth_ns = burst * self.cost_ns
        self.peers_max = peers_max
        self._full_ns: OrderedDict[str, int] = OrderedDict()

    def allow(self, peer: str, now_ns: int) -> bool:
        """Whether this peer may have one more request carried out at `now_ns`."""
        full_ns = max(self._full_ns.get(peer, 0), now_ns) + self.cost_ns
        if full_ns - now_ns > self.depth_ns:
            return False
        self._full_ns[peer] = full_ns
        self._full_ns.move_to_end(peer)
        if len(self._full_ns) > self.peers_max:
            self._full_ns.popitem(last=False)
        return True
