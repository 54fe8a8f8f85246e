"""The open sessions, by all that a message or a packet may name; and when each is looked at."""

import heapq
import secrets
from collections.abc import Callable

from engine.gateway.session import Session

TEID_BITS = 32
PeerKey = tuple[int, str]
"""GTP-C version and outer address of a peer"""


def random_teid() -> int:
    """32 bits that nobody can guess from others."""
    return secrets.randbits(TEID_BITS)


class SessionTable:
    """Open sessions. One a line; TEIDs, addresses and ends of tunnels are one session's each."""

    def __init__(self, draw: Callable[[], int] = random_teid) -> None:
        self.by_teid: dict[int, Session] = {}
        self.by_imsi: dict[str, Session] = {}
        self.by_line: dict[str, Session] = {}
        self.by_address: dict[str, Session] = {}
        self._by_tunnel: dict[tuple[str, int], Session] = {}
        self._of_peer: dict[PeerKey, dict[int, Session]] = {}
        self._teids_up: set[int] = set()
        self._draw = draw
        self._looks: list[tuple[int, int]] = []

    def __len__(self) -> int:
        return len(self.by_teid)

    def teids(self) -> tuple[int, int]:
        """(control, up): two that no session has; 0 is nobody's (TS 29.281 5.1)."""
        control = up = 0
        while control == 0 or control in self.by_teid:
            control = self._draw()
        while up == 0 or up in self._teids_up:
            up = self._draw()
        return control, up

    def add(self, session: Session) -> None:
        """Enter a session; what it is found by is free."""
        self.by_teid[session.teid_control] = session
        self.by_imsi[session.imsi] = session
        self.by_line[session.line] = session
        self._teids_up.add(session.teid_up)
        for address in session.addresses:
            self.by_address[address] = session
        self._enter_peer(session)

    def remove(self, session: Session) -> None:
        """Take a session out."""
        del self.by_teid[session.teid_control]
        del self.by_imsi[session.imsi]
        del self.by_line[session.line]
        self._teids_up.remove(session.teid_up)
        for address in session.addresses:
            del self.by_address[address]
        self._leave_peer(session)

    def move(self, session: Session, move: Callable[[Session], None]) -> None:
        """Have the session's peer changed by `move`, and find it under the new one from now on."""
        self._leave_peer(session)
        move(session)
        self._enter_peer(session)

    def is_open(self, session: Session) -> bool:
        """Whether this very session is in the table."""
        return self.by_teid.get(session.teid_control) is session

    def at_tunnel(self, peer_user: str, teid_down: int) -> Session | None:
        """The session whose G-PDUs go down to this end."""
        return self._by_tunnel.get((peer_user, teid_down))

    def take_of_peer(self, key: PeerKey) -> list[Session]:
        """A peer's sessions, in the order in which they came. They stay open, and are its no longer: what
        is given once is not given again."""
        return list(self._of_peer.pop(key, {}).values())

    def has_peer(self, key: PeerKey) -> bool:
        """Whether a peer has sessions."""
        return key in self._of_peer

    def _enter_peer(self, session: Session) -> None:
        self._by_tunnel[session.peer_user, session.teid_down] = session
        key = session.version, session.peer_control[0]
        self._of_peer.setdefault(key, {})[session.teid_control] = session

    def _leave_peer(self, session: Session) -> None:
        del self._by_tunnel[session.peer_user, session.teid_down]
        key = session.version, session.peer_control[0]
        of_peer = self._of_peer.get(key, {})
        of_peer.pop(session.teid_control, None)
        if not of_peer:
            self._of_peer.pop(key, None)

    # --- limits -----------------------------------------------------------------------------------

    def look_at(self, session: Session, at_ns: int) -> None:
        """Have `due` return the session at this time; it has one such time."""
        heapq.heappush(self._looks, (at_ns, session.teid_control))
        if len(self._looks) > 2 * len(self.by_teid) + 1024:  # most are of sessions that have ended
            self._looks = [look for look in self._looks if look[1] in self.by_teid]
            heapq.heapify(self._looks)

    def due(self, now_ns: int) -> Session | None:
        """One whose time has come; None where there is none."""
        while self._looks and self._looks[0][0] <= now_ns:
            session = self.by_teid.get(heapq.heappop(self._looks)[1])
            if session is not None:
                return session
        return None

    @property
    def next_look_ns(self) -> int | None:
        """When `due` may have one; None: never."""
        return self._looks[0][0] if self._looks else None
