"""What is said once a second while a gateway serves: a line of figures, and warnings of what goes wrong."""

from typing import NamedTuple

from engine.gateway import libc
from engine.gateway.figures import drops_at
from engine.gateway.gateway import Gateway
from engine.live_layout import (
    PLANE_DOWN_PACKETS,
    PLANE_DROPS_DOWN,
    PLANE_DROPS_UP,
    PLANE_UNHELD_PACKETS,
    PLANE_UP_PACKETS,
)
from engine.units import NS_PER_S

UNKNOWN_PER_S = 100
"""unknown TEIDs a second from which on it is said: fewer are left over from sessions that have ended"""


class Seen(NamedTuple):
    """Counters at one time."""

    at_ns: int
    up: int
    down: int
    drops: int
    unknown: int
    unheld: int
    socket_drops: int


class Watch:
    """Compares a gateway's counters with those of the last time. One line of each kind a call at most."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway
        self._before = self._look(gateway.date.now_ns())

    def _look(self, now_ns: int) -> Seen:
        plane = self._gateway.plane
        up = drops_at(plane.words, PLANE_DROPS_UP)
        own = [up, drops_at(plane.words, PLANE_DROPS_DOWN), plane.engine.totals()["drops"]]
        return Seen(
            at_ns=now_ns,
            up=int(plane.words[PLANE_UP_PACKETS]),
            down=int(plane.words[PLANE_DOWN_PACKETS]),
            drops=sum(count["packets"] for drops in own for count in drops.values()),
            unknown=up["teid"]["packets"] if "teid" in up else 0,
            unheld=int(plane.words[PLANE_UNHELD_PACKETS]),
            socket_drops=libc.socket_drops(plane.sock) + plane.sgi.figures().get("socket_drops", 0),
        )

    def look(self, now_ns: int) -> tuple[str, list[str]]:
        """(line of figures, warnings) since the last call."""
        before, seen = self._before, self._look(now_ns)
        self._before = seen
        span_ns = max(1, now_ns - before.at_ns)

        def rate(name: str) -> int:
            return int((getattr(seen, name) - getattr(before, name)) * NS_PER_S // span_ns)

        line = (
            f"sessions {len(self._gateway.pgw.sessions):,}  up {rate('up'):,}/s  "
            f"down {rate('down'):,}/s  dropped {rate('drops'):,}/s  "
            f"waiting {len(self._gateway.plane.hold):,}"
        )
        warnings = []
        if rate("unknown") >= UNKNOWN_PER_S:
            warnings.append(f"{rate('unknown'):,} G-PDUs a second have TEIDs of no session")
        if seen.unheld > before.unheld:
            lost = seen.unheld - before.unheld
            warnings.append(f"no room to wait for {lost:,} packets; give a larger --hold-packets")
        if seen.socket_drops > before.socket_drops:
            lost = seen.socket_drops - before.socket_drops
            warnings.append(f"the system dropped {lost:,} datagrams: more come than can be handled")
        return line, warnings
