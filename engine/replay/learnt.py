"""Sessions learnt from the control messages in captures, and what a replay's engine does with them."""

from collections import Counter
from collections.abc import Callable, Collection
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from engine.errors import AttachError, SignallingError
from engine.layout import PACKET_SIGNALLING, TUNNEL_ASIDE, TUNNEL_OVER
from engine.runtime import Engine
from engine.signalling.codec import NOT_FOLLOWED, decode
from engine.signalling.follower import Follower
from engine.signalling.sessions import Change, Learnt, Session, Tunnel
from engine.wire.signals import Signal, Signals
from engine.words import CONTROL_ASSUMED

Rows = npt.NDArray[Any]
Key = tuple[int, str]
"""TEID and receiver"""

LISTED_MAX = 100_000
"""sessions that a report lists"""


class Use(NamedTuple):
    """What a tunnel is to its session: `billed`, or carrying what a billed one carries, too."""

    tunnel: Tunnel
    billed: bool


def _ends(tunnel: Tunnel) -> dict[str, Any]:
    """A tunnel as the arguments of `Engine.bind_bearer`."""
    if tunnel.direction == "up":
        return {"teid_up": tunnel.teid, "gateway": tunnel.receiver}
    return {"teid_down": tunnel.teid, "peer": tunnel.receiver}


class Learner:
    """Gives packets to an engine, and has sessions opened, moved and closed where they stand among them.

    Each takes effect at its message's place in the capture, whatever the batches are.
    """

    def __init__(
        self,
        engine: Engine,
        signals: Signals | None,
        *,
        known_only: bool,
        assumed: bool,
        skip: Callable[[Rows], None] | None = None,
    ) -> None:
        """`signals`: what the captures hold of control messages, None where these are not to be followed.

        `known_only`: a SIM that nobody has entered is not made. `assumed`: nobody said whose addresses
        are SIMs. `skip` is told of rows that the engine is not given.
        """
        self.follower = Follower()
        self.sessions: list[Session] = []
        self.lines: dict[Session, str] = {}
        """the code of the line that bills, or billed, a session"""
        self.messages = 0
        self.unlisted = 0
        self.broken: Counter[str] = Counter()
        self.refusals: Counter[str] = Counter()
        self._engine = engine
        self._signals = signals
        self._known_only = known_only
        self._skip = skip
        self._attached: dict[str, list[Session]] = {}
        """by line, its sessions that are open"""
        self._tunnels: dict[Session, dict[Key, Use]] = {}
        self._owner: dict[Key, Session] = {}
        self._assumed = assumed
        self._shut: set[Session] = set()
        """open sessions whose packets are dropped"""

    def account(self, packets: Rows) -> int:
        """Have the engine meter a batch; how many of its rows were packets."""
        if not self._signals:  # none, or nothing that is still to be taken out of it
            self._engine.account(packets, flush=False)
            return len(packets)
        places = np.flatnonzero(packets["flags"] & PACKET_SIGNALLING)
        begin = 0
        with self._engine.together(flush=False):
            for at in places:
                self._meter(packets[begin:at])
                self._apply(self._signals.take(packets[at]))
                if self._skip is not None:
                    self._skip(packets[at : at + 1])
                begin = int(at) + 1
        self._meter(packets[begin:])
        return len(packets) - len(places)

    def _meter(self, packets: Rows) -> None:
        if len(packets):
            self._engine.account(packets, flush=False)

    def finish(self) -> None:
        """The captures are at their end."""
        for learnt in self.follower.finish():
            if learnt.change is Change.OPENED:  # there are no packets any more to be billed
                self._list(learnt.session)

    def of_packet(self, teid: int | None, receiver: str | None) -> tuple[Session, Use] | None:
        """The open session that has this tunnel now, and what the tunnel is to it."""
        key = teid or 0, receiver or ""
        session = self._owner.get(key)
        return None if session is None else (session, self._tunnels[session][key])

    # --- control messages -------------------------------------------------------------------------

    def _apply(self, signal: Signal) -> None:
        self.messages += 1
        try:
            message = decode(signal.data, strict=False, skip=NOT_FOLLOWED)
        except SignallingError as error:
            self.broken[error.reason] += 1
            return
        source = signal.source, signal.source_port
        destination = signal.destination, signal.destination_port
        for learnt in self.follower.take(message, source, destination, signal.time_ns):
            self._learn(learnt)

    def _learn(self, learnt: Learnt) -> None:
        session = learnt.session
        if learnt.change is Change.OPENED:
            self._list(session)
            self._engine.control[CONTROL_ASSUMED] = self._assumed
        if learnt.change is Change.CLOSED:
            self._use(session, {})
            self._shut.discard(session)
            self._detach(session, learnt.at_ns)
            return
        billed = {(t.teid, t.receiver): Use(t, True) for t in session.billed}
        aside = {(t.teid, t.receiver): Use(t, False) for t in session.aside}
        for key in (*billed, *aside):
            self._take_from(key, session)
        bound: Collection[Tunnel] = ()
        if session not in self.lines and billed:
            bound = self._attach(session, learnt.at_ns)
        self._use(session, billed | aside, bound)

    def _list(self, session: Session) -> None:
        if len(self.sessions) < LISTED_MAX:
            self.sessions.append(session)
        else:
            self.unlisted += 1

    # --- lines ------------------------------------------------------------------------------------

    def _attach(self, session: Session, at_ns: int) -> Collection[Tunnel]:
        """Find, or make, the line that bills the session, and have its session opened there.

        A SIM with several PDN connections has one session in the engine, with all their tunnels. Returns
        the tunnels that the line has been given with it.
        """
        if session.imsi is None:
            self.refusals["unnamed"] += 1
            return ()
        try:
            code, bound = self._admit(session, at_ns)
        except AttachError as error:
            self._refuse(session, error.reason)
            return ()
        self.lines[session] = code
        self._attached.setdefault(code, []).append(session)
        return bound

    def _refuse(self, session: Session, reason: str) -> None:
        """The line may not attach, though in the capture it did.

        Packets of a suspended one are dropped as that; packets of a SIM that nobody knows may still be
        somebody's by their address.
        """
        self.refusals[reason] += 1
        line = self._engine.book.known(session.imsi)
        if reason == "suspended" and line is not None:
            self.lines[session] = line.code
            self._engine.bind_bearer(line.code, addresses=session.addresses)
        elif reason != "unknown":
            self._shut.add(session)

    def _admit(self, session: Session, at_ns: int) -> tuple[str, Collection[Tunnel]]:
        imsi, msisdn = session.imsi, session.msisdn
        found = self._engine.admits(
            at_ns=at_ns, imsi=imsi, msisdn=msisdn, known_only=self._known_only
        )
        addresses = tuple(a for a in session.addresses if found.ipv6 or ":" not in a)
        if len(addresses) < len(session.addresses):
            self.refusals["no-ipv6"] += 1
        if found.code is not None and self._attached.get(found.code):
            self._engine.bind_bearer(found.code, addresses=addresses)
            return found.code, ()
        first: dict[str, Tunnel] = {}
        for tunnel in session.billed:
            first.setdefault(tunnel.direction, tunnel)
        ends: dict[str, Any] = {}
        for tunnel in first.values():
            ends |= _ends(tunnel)
        code = self._engine.attach(
            at_ns=at_ns, imsi=imsi, msisdn=msisdn, rat=session.rat, address=addresses, **ends
        )
        return code, first.values()

    def _detach(self, session: Session, at_ns: int) -> None:
        code = self.lines.get(session)
        if code is None or session not in self._attached.get(code, ()):
            return
        others = self._attached[code]
        others.remove(session)
        if others:
            kept = {address for other in others for address in other.addresses}
            gone = tuple(address for address in session.addresses if address not in kept)
            self._engine.release_bearer(code, addresses=gone)
        else:
            del self._attached[code]
            self._engine.detach(code, at_ns=at_ns)

    # --- tunnels ----------------------------------------------------------------------------------

    def _take_from(self, key: Key, session: Session) -> None:
        """A TEID that was somebody's is given out anew: what it was does not count any more."""
        owner = self._owner.get(key)
        if owner is None or owner is session:
            return
        use = self._tunnels[owner].pop(key)
        del self._owner[key]
        self._release(owner, use)

    def _release(self, session: Session, use: Use) -> None:
        code = self.lines.get(session)
        if use.billed and code is not None:
            self._engine.release_bearer(code, **_ends(use.tunnel))

    def _use(
        self, session: Session, wanted: dict[Key, Use], bound: Collection[Tunnel] = ()
    ) -> None:
        """From now on the session has these tunnels, and no others; its line has `bound` already."""
        tables, code = self._engine.sessions, self.lines.get(session)
        had = self._tunnels.pop(session, {})
        for key, use in had.items():
            if wanted.get(key) != use:
                self._release(session, use)
            if key not in wanted:
                del self._owner[key]
                tables.set_aside(*key, TUNNEL_OVER)
        for key, use in wanted.items():
            if had.get(key) == use and code is not None:
                continue
            if use.billed and use.tunnel in bound:
                pass
            elif use.billed and code is not None:
                self._engine.bind_bearer(code, **_ends(use.tunnel))
            elif use.billed:
                tables.set_aside(*key, TUNNEL_OVER if session in self._shut else 0)
            else:
                tables.set_aside(*key, TUNNEL_ASIDE)
            self._owner[key] = session
        if wanted:
            self._tunnels[session] = wanted
