"""Sessions as followed from outside: what is known of each, and the table that finds them."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple, TypeVar

from engine.signalling.interfaces import PLANES, Direction
from engine.signalling.messages import RAT_NAMES, Bearer, Fteid

Key = TypeVar("Key")
Value = TypeVar("Value")

End = tuple[str, int]
"""one control-plane end of a tunnel: address, TEID; the TEID names nothing beyond that address"""

TUNNELS_MAX = 256
"""tunnels of a session that are listed; a terminal that moves for ever must not take all memory"""


class Tunnel(NamedTuple):
    """A user-plane TEID: who gave it out and so receives it, which way, and at which interface."""

    teid: int
    receiver: str
    direction: Direction
    interface: str
    core: bool


class Change(StrEnum):
    OPENED = "opened"
    CHANGED = "changed"
    CLOSED = "closed"


@dataclass(slots=True, eq=False)
class Leg:
    """One control tunnel of a session: S11 or S4 (not `core`), S5/S8, S2 or Gn (`core`).

    `near` are the ends of who asked for it, one for each of its addresses, `far` those of who granted it.
    """

    session: "Session"
    core: bool
    near: tuple[End, ...]
    far: tuple[End, ...]
    bearers: dict[int, dict[int, Fteid]] = field(default_factory=dict)
    """by bearer identity, the F-TEIDs by interface type"""

    def learn(self, bearers: Iterable[Bearer]) -> None:
        """Take in the ends that bearers are given, in place of older ones of the same interface.

        A bearer context of instance 1 is one that goes.
        """
        for bearer in bearers:
            if bearer.instance == 1:
                self.bearers.pop(bearer.bearer_id, None)
                continue
            ends = self.bearers.setdefault(bearer.bearer_id, {})
            ends.update((f.interface, f) for f in bearer.fteids if f.interface in PLANES)

    def tunnels(self) -> list[Tunnel]:
        """What these bearers use, in order; both addresses of an end that has two."""
        return [
            Tunnel(fteid.teid, address, plane.direction, plane.name, plane.core)
            for bearer_id in sorted(self.bearers)
            for _, fteid in sorted(self.bearers[bearer_id].items(), key=_by_size)
            for plane in (PLANES[fteid.interface],)
            for address in (fteid.ipv4, fteid.ipv6)
            if address and fteid.teid
        ]


@dataclass(slots=True, eq=False)
class Session:
    """One PDN connection or PDP context, with what was last said of it. Times are ns since 1970.

    `bearer_id` is that of its default bearer; `rat` the name of the RAT type; `cause`, once it is closed,
    says why: "deleted", "replaced" or "restart". `half`: no answer is in the capture, so that only the ends
    of who asked are known.
    """

    number: int
    version: int
    imsi: str | None
    msisdn: str | None
    apn: str | None
    rat: str | None
    bearer_id: int
    addresses: tuple[str, ...]
    opened_ns: int
    half: bool = False
    closed_ns: int | None = None
    cause: str | None = None
    core: Leg | None = None
    access: Leg | None = None
    seen: dict[Tunnel, None] = field(default_factory=dict)
    """every tunnel that it ever had, in order of appearance"""

    @property
    def legs(self) -> list[Leg]:
        return [leg for leg in (self.core, self.access) if leg is not None]

    @property
    def billed(self) -> tuple[Tunnel, ...]:
        """Tunnels whose packets count: at S5/S8, S2 or Gn where that is followed, else at S1-U or S4-U."""
        at_core = self.core is not None
        leg = self.core or self.access
        return tuple(t for t in leg.tunnels() if t.core == at_core) if leg else ()

    @property
    def aside(self) -> tuple[Tunnel, ...]:
        """Its other tunnels: what they carry is carried by a billed one, too."""
        billed = {(t.teid, t.receiver) for t in self.billed}
        found = dict.fromkeys(t for leg in self.legs for t in leg.tunnels())
        return tuple(t for t in found if (t.teid, t.receiver) not in billed)

    @property
    def state(self) -> tuple[object, ...]:
        """All that may change while it is open."""
        return self.addresses, self.rat, self.billed, self.aside

    def list_tunnels(self) -> None:
        """Add the tunnels of now to those that it ever had."""
        for leg in self.legs:
            for tunnel in leg.tunnels():
                if len(self.seen) < TUNNELS_MAX:
                    self.seen.setdefault(tunnel)


class Learnt(NamedTuple):
    """A session was opened, changed or closed at a time, ns since 1970."""

    change: Change
    session: Session
    at_ns: int


def _by_size(end: tuple[int, Fteid]) -> int:
    """Who asks stands before who grants, in both versions' numbers of interfaces."""
    return abs(end[0])


def rat_name(rat: int | None) -> str | None:
    """The name of a RAT type; a number without one stays a number."""
    return None if rat is None else RAT_NAMES.get(rat, str(rat))


class SessionTable:
    """Open sessions, by control-plane end, IMSI, and address of a node. Answers never depend on a hash."""

    def __init__(self) -> None:
        self._ends: dict[End, list[Leg]] = {}
        self._imsis: dict[str, list[Session]] = {}
        self._nodes: dict[str, dict[int, Session]] = {}
        self.count = 0

    def enter(self, session: Session) -> None:
        """A new session; its legs are added one by one."""
        self.count += 1
        if session.imsi is not None:
            self._imsis.setdefault(session.imsi, []).append(session)

    def add(self, leg: Leg) -> None:
        """A leg of an open session, in place of the one that it had there."""
        session = leg.session
        old = session.core if leg.core else session.access
        if old is not None:
            self.remove(old)
        if leg.core:
            session.core = leg
        else:
            session.access = leg
        self._index(leg)

    def remove(self, leg: Leg) -> None:
        """The leg is no more; the session stays."""
        self._forget(leg)
        if leg.core:
            leg.session.core = None
        else:
            leg.session.access = None

    def move(
        self, leg: Leg, near: tuple[End, ...] | None = None, far: tuple[End, ...] | None = None
    ) -> None:
        """One side of a leg has another end now."""
        self._forget(leg)
        leg.near = near or leg.near
        leg.far = far or leg.far
        self._index(leg)

    def close(self, session: Session) -> None:
        """The session is over; what it had stays to be read."""
        for leg in session.legs:
            self._forget(leg, whole=True)
        self.count -= 1
        if session.imsi is not None:
            _drop(self._imsis, session.imsi, session)

    def at(self, *ends: End, core: bool | None = None) -> list[Leg]:
        """Legs with one of these ends, in the order in which they came up."""
        found = dict.fromkeys(leg for end in ends for leg in self._ends.get(end, ()))
        return [leg for leg in found if core in (None, leg.core)]

    def of(self, imsi: str | None) -> list[Session]:
        """Open sessions of a SIM, in the order of opening."""
        return list(self._imsis.get(imsi or "", ()))

    def through(self, node: str) -> list[Session]:
        """Open sessions that have a control-plane end at this address, in the order of opening."""
        return [session for _, session in sorted(self._nodes.get(node, {}).items())]

    def _index(self, leg: Leg) -> None:
        for end in dict.fromkeys((*leg.near, *leg.far)):
            self._ends.setdefault(end, []).append(leg)
            self._nodes.setdefault(end[0], {})[leg.session.number] = leg.session

    def _forget(self, leg: Leg, whole: bool = False) -> None:
        """Take a leg out of the indexes; `whole`: its session goes with it."""
        for end in dict.fromkeys((*leg.near, *leg.far)):
            _drop(self._ends, end, leg)
        others = [] if whole else [other for other in leg.session.legs if other is not leg]
        kept = {address for other in others for address, _ in (*other.near, *other.far)}
        for node in dict.fromkeys(address for address, _ in (*leg.near, *leg.far)):
            sessions = self._nodes.get(node, {})
            if node not in kept and leg.session.number in sessions:
                del sessions[leg.session.number]
                if not sessions:
                    del self._nodes[node]


def _drop(index: dict[Key, list[Value]], key: Key, value: Value) -> None:
    """Take a value out of an index; a key without any goes too."""
    values = index[key]
    values.remove(value)
    if not values:
        del index[key]
