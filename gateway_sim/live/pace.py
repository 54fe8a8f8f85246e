"""The script's clock: it stands still while the gateway is behind, so that steps come in their order."""

from bisect import bisect_right
from collections.abc import Iterable

from engine.units import NS_PER_MS

LATE_NS = 100 * NS_PER_MS
"""lateness of packets that is made up for; what is beyond it moves the rest of the script"""


class Pace:
    """Time since the run's start, less all the time that was waited for the gateway.

    `begins`: when steps begin. None begins before all that began before it is done.
    """

    def __init__(self, begins: Iterable[int], running_ns: int) -> None:
        self._begins = sorted(set(begins))
        self._start_ns = running_ns
        self.now_ns = 0
        self.slipped_ns = 0

    def at(self, running_ns: int, waiting: bool) -> int:
        """The script's time; `waiting`: something that has begun is not done yet."""
        now_ns = running_ns - self._start_ns - self.slipped_ns
        if waiting:
            following = bisect_right(self._begins, self.now_ns)
            if following < len(self._begins) and now_ns >= self._begins[following]:
                self.slip(now_ns - self._begins[following] + 1)
                now_ns = self._begins[following] - 1
        self.now_ns = max(self.now_ns, now_ns)
        return self.now_ns

    def late(self, late_ns: int) -> None:
        """A packet goes so long after it was due."""
        if late_ns > LATE_NS:
            self.slip(late_ns - LATE_NS)

    def slip(self, time_ns: int) -> None:
        """Stand still for so long."""
        self.slipped_ns += time_ns
