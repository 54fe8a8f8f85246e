"""The exempt endpoints: whether a packet agrees with the list, and what its fragments inherit (X1-X4)."""

from dataclasses import dataclass, field
from typing import Any

FRAGMENT_NS = 30 * 10**9
"""how long fragments may come after their first one"""


@dataclass(frozen=True)
class Fragment:
    """A piece of a fragmented packet; `packet` tells that from all others of the SIM and direction."""

    first: bool
    packet: Any


@dataclass
class ExemptList:
    """What the configuration says: rating groups, each with its cap a day (0: none), and X3's settings.

    Every group stands for one server; that of a group which is not here is not listed.
    """

    caps_bytes: dict[int, int] = field(default_factory=lambda: {0: 0})
    charge: bool = False
    count: bool = False


class Exemption:
    """The list in force, what it was before where that still matters, and the fragments on their way."""

    def __init__(self, listed: ExemptList) -> None:
        self.listed = listed
        self.caps_bytes = dict(listed.caps_bytes)
        self.firsts: dict[Any, tuple[int | None, int]] = {}

    def reload(self, listed: ExemptList) -> None:
        """X2: another list; the cap of a group that it does not name stays for what inherits it."""
        self.listed = listed
        self.caps_bytes |= listed.caps_bytes

    def group_of(
        self, now_ns: int, session: Any, wanted: int | None, fragment: Fragment | None
    ) -> int | None:
        """The rating group of a packet, or None where it is not exempt.

        `wanted` is the group of the server with which address, protocol and port agree. A later
        fragment shows no port: it has what the last first one of its packet had, exempt or not (X4).
        """
        group = wanted if wanted in self.listed.caps_bytes else None
        if fragment is None:
            return group
        packet = (session, fragment.packet)
        if fragment.first:
            self.firsts[packet] = (group, now_ns)
            return group
        inherited, seen_ns = self.firsts.get(packet, (None, now_ns))
        return inherited if now_ns - seen_ns <= FRAGMENT_NS else None
