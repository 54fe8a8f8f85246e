"""Opens and ends sessions: what keeps table, pools, engine, data plane and records in step."""

from collections import Counter
from collections.abc import Callable
from typing import NamedTuple

from engine.config import Access
from engine.errors import PktollError
from engine.gateway.admission import Kinds, cause_of, kinds_of
from engine.gateway.pools import Pool
from engine.gateway.records import Records, figures, record_of
from engine.gateway.session import DataPlane, Endpoint, Session
from engine.gateway.table import SessionTable
from engine.runtime import Engine
from engine.runtime.access import Admitted
from engine.signalling.causes import Cause
from engine.signalling.messages import RAT_NAMES, Message
from engine.units import NS_PER_S


class Ending(NamedTuple):
    """What the end of a session looks like: causeForRecClosing of its record (TS 32.298 5.1.2.2.7), whether
    the peer is asked to delete its side, and with which cause."""

    closing: str
    asks_peer: bool = False
    cause: Cause | None = None


ENDINGS = {
    "deleted": Ending("normalRelease"),
    "replaced": Ending("normalRelease"),
    "idle": Ending("normalRelease", True),
    "session-limit": Ending("timeLimit", True, Cause.REACTIVATION),
    "cut": Ending("managementIntervention", True),
    "address-claimed": Ending("managementIntervention", True, Cause.REACTIVATION),
    "stopped": Ending("managementIntervention", True),
    "error-indication": Ending("abnormalRelease", True),
    "tunnel-taken": Ending("abnormalRelease"),
    "peer-restarted": Ending("abnormalRelease"),
    "peer-silent": Ending("abnormalRelease"),
    "engine-failed": Ending("abnormalRelease"),
}
"""every way in which a session ends; the docs have the list"""

EndingHook = Callable[[Session, Ending, int], None]


class Ends(NamedTuple):
    """The peer's ends of a session's tunnels; `heard_from` is where its request came from."""

    control: Endpoint
    teid_control: int
    user: str
    teid_down: int
    heard_from: str


class Opened(NamedTuple):
    """A new session, and the cause with which it is accepted."""

    session: Session
    cause: Cause


class Connections:
    """The open sessions and what they hold. `asks` is called for an end that the peer is to be told of."""

    def __init__(
        self,
        access: Access,
        engine: Engine,
        data: DataPlane,
        user_address: str,
        asks: EndingHook,
        table: SessionTable,
    ) -> None:
        self.table = table
        self.records = Records()
        self.counters: Counter[str] = Counter()
        self._access, self._engine, self._data = access, engine, data
        self._user_address, self._asks = user_address, asks
        fixed = engine.population.is_fixed
        self._pools = {4: Pool(4, access.pool4, fixed), 6: Pool(6, access.pool6, fixed)}
        self._last_charging_id = 0
        for line in engine.book.lines:
            for address in line.fixed:
                self._pool(address).keep(address)

    def pool_figures(self) -> dict[str, int]:
        """Addresses and /64s that are given out."""
        return {f"pool{version}-held": pool.held for version, pool in self._pools.items()}

    # --- opening ----------------------------------------------------------------------------------

    def open(self, request: Message, ends: Ends, now_ns: int) -> Opened | Cause:
        """A session for this request, if its SIM may have one; it replaces the line's old one (N6)."""
        try:
            admitted = self._engine.admits(at_ns=now_ns, imsi=request.imsi)
        except PktollError as error:
            return cause_of(error)
        kinds = kinds_of(request.pdn_type, admitted.ipv6 and self._has6(admitted))
        if kinds is None:
            return Cause.TYPE_NOT_SUPPORTED
        old = self.table.by_line.get(admitted.code or "")
        if old is None and len(self.table) >= self._access.sessions_max:
            return Cause.NO_RESOURCES
        if not self.may_have(ends, old):
            return Cause.INCORRECT
        return self._open(request, ends, admitted, kinds, now_ns)

    def may_have(self, ends: Ends, session: Session | None) -> bool:
        """Whether the end on the user plane is nobody's, the session's own, or of a session of the same
        peer, which has forgotten it then. Nobody gets hold of another peer's tunnel by naming it."""
        other = self.table.at_tunnel(ends.user, ends.teid_down)
        if other is None or other is session:
            return True
        return ends.heard_from in (other.peer_control[0], other.heard_from)

    def free_tunnel(self, ends: Ends, session: Session | None, now_ns: int) -> None:
        """End the session that the same peer had at this end of a tunnel."""
        other = self.table.at_tunnel(ends.user, ends.teid_down)
        if other is not None and other is not session:
            self.end(other, "tunnel-taken", now_ns)

    def _open(
        self, request: Message, ends: Ends, admitted: Admitted, kinds: Kinds, now_ns: int
    ) -> Opened | Cause:
        session = None
        try:
            with self._engine.together():
                self._clear_way(ends, admitted, now_ns)
                session = self._session(request, ends, admitted, kinds, now_ns)
                if session is not None:
                    self._attach(session, now_ns)
        except PktollError as error:
            self.counters["engine-failures"] += 1
            self._undo(session, now_ns)
            return cause_of(error)
        return Cause.NO_ADDRESS if session is None else Opened(session, kinds.cause)

    def _clear_way(self, ends: Ends, admitted: Admitted, now_ns: int) -> None:
        """End what stands in the way of a line's new session: its old one, whoever has its addresses."""
        old = self.table.by_line.get(admitted.code or "")
        if old is not None:
            self.end(old, "replaced", now_ns)
        self.free_tunnel(ends, None, now_ns)
        for address in admitted.addresses:
            self._pool(address).keep(address)
            holder = self.table.by_address.get(address)
            if holder is not None:
                self.end(holder, "address-claimed", now_ns)

    def _session(
        self, request: Message, ends: Ends, admitted: Admitted, kinds: Kinds, now_ns: int
    ) -> Session | None:
        """The session to be, with its addresses; None where there are none."""
        ipv4 = self._address(4, admitted, now_ns) if kinds.ipv4 else None
        ipv6 = self._address(6, admitted, now_ns) if kinds.ipv6 else None
        if (ipv4 is None) > (not kinds.ipv4) or (ipv6 is None) > (not kinds.ipv6):
            self._give_back((ipv4, ipv6), now_ns)
            return None
        control, up = self.table.teids()
        self._last_charging_id = self._last_charging_id % 0xFFFFFFFF + 1
        return Session(
            version=request.version,
            imsi=request.imsi or "",
            teid_control=control,
            teid_up=up,
            teid_down=ends.teid_down,
            peer_control=ends.control,
            teid_peer_control=ends.teid_control,
            peer_user=ends.user,
            bearer_id=request.bearers[0].bearer_id,
            apn=request.apn or "",
            rat=request.rat,
            line=admitted.code or "",
            ipv4=ipv4,
            ipv6=ipv6,
            opened_ns=now_ns,
            heard_from=ends.heard_from,
            msisdn=request.msisdn,
            charging_id=self._last_charging_id,
            network="-".join(request.network or ()),
        )

    def _attach(self, session: Session, now_ns: int) -> None:
        self._engine.attach(
            at_ns=now_ns,
            imsi=session.imsi,
            teid_up=session.teid_up,
            teid_down=session.teid_down,
            address=session.addresses,
            gateway=self._user_address,
            peer=session.peer_user,
            rat=RAT_NAMES.get(session.rat or 0),
            known_only=True,
        )
        report = self._engine.line_report(session.line)
        session.contract = report["contract"]
        session.msisdn = report["msisdn"] or session.msisdn
        session.opening = figures(report)
        self.table.add(session)
        self._data.open(session)
        self.counters["opened"] += 1
        self.look_again(session, now_ns)

    def _undo(self, session: Session | None, now_ns: int) -> None:
        """The engine failed while the session was being opened, or could not make it durable."""
        if session is not None and self.table.is_open(session):
            self.end(session, "engine-failed", now_ns)
        elif session is not None:
            self._give_back(session.addresses, now_ns)

    # --- addresses --------------------------------------------------------------------------------

    def _pool(self, address: str) -> Pool:
        return self._pools[6 if ":" in address else 4]

    def _has6(self, admitted: Admitted) -> bool:
        return self._pools[6].size > 0 or self._fixed(6, admitted) is not None

    @staticmethod
    def _fixed(version: int, admitted: Admitted) -> str | None:
        """The address, or the /64, that the line always has; a session has no IPv6 address but a /64."""
        fours = (address for address in admitted.addresses if ":" not in address)
        sixes = (address for address in admitted.addresses if address.endswith("/64"))
        return next(sixes if version == 6 else fours, None)

    def _address(self, version: int, admitted: Admitted, now_ns: int) -> str | None:
        return self._fixed(version, admitted) or self._pools[version].take(now_ns)

    def _give_back(self, addresses: tuple[str | None, ...], now_ns: int) -> None:
        for address in addresses:
            if address is not None:
                self._pool(address).give_back(address, now_ns)

    # --- while it is open -------------------------------------------------------------------------

    def move(self, session: Session, ends: Ends, now_ns: int) -> None:
        """The session has other ends at its peer, or another peer; see `may_have`."""
        self.free_tunnel(ends, session, now_ns)
        old = session.peer_user, session.teid_down

        def moved(session: Session) -> None:
            session.peer_control, session.teid_peer_control = ends.control, ends.teid_control
            session.peer_user, session.teid_down = ends.user, ends.teid_down
            session.heard_from = ends.heard_from

        self.table.move(session, moved)
        if old != (ends.user, ends.teid_down):
            line = session.line
            self._engine.bind_bearer(line, teid_down=ends.teid_down, peer=ends.user)
            self._engine.release_bearer(line, teid_down=old[1], peer=old[0])
            self._data.move(session)
            self.counters["moved"] += 1

    def look_again(self, session: Session, now_ns: int) -> None:
        """Have the session looked at when it may have been idle, or open, for long enough (N3)."""
        ends_ns = self._ends_ns(session)
        if ends_ns is not None:
            self.table.look_at(session, max(ends_ns[0], now_ns + 1))

    def _ends_ns(self, session: Session) -> tuple[int, str] | None:
        """When the session is to end as things stand, and why; None: never."""
        found = []
        if self._access.idle_s:
            last_ns = self._data.last_active_ns(session)
            found.append((last_ns + self._access.idle_s * NS_PER_S, "idle"))
        if self._access.session_s:
            limit_ns = session.opened_ns + self._access.session_s * NS_PER_S
            found.append((limit_ns, "session-limit"))
        return min(found, default=None)

    def end_due(self, now_ns: int, most: int) -> None:
        """End sessions over a limit, looking at no more than `most` now."""
        over = []
        for _ in range(most):
            session = self.table.due(now_ns)
            if session is None:
                break
            ends_ns = self._ends_ns(session)
            if ends_ns is not None and ends_ns[0] <= now_ns:
                over.append((session, ends_ns[1]))
            else:
                self.look_again(session, now_ns)
        self.end_all(over, now_ns)

    # --- ending -----------------------------------------------------------------------------------

    def end(self, session: Session, why: str, now_ns: int) -> None:
        """End a session here and now, for a reason of `ENDINGS`; its line's use is settled.

        A database that fails keeps none open: the engine's line is closed before it is asked.
        """
        ending = ENDINGS[why]
        self.table.remove(session)
        self._data.close(session)
        try:
            self._engine.detach(session.line, at_ns=now_ns)
        except PktollError:
            self.counters["engine-failures"] += 1
        self._give_back(session.addresses, now_ns)
        report = self._engine.line_report(session.line)
        self.records.add(record_of(session, report, now_ns, ending.closing, why))
        self.counters[f"ended:{why}"] += 1
        if ending.asks_peer:
            self._asks(session, ending, now_ns)

    def end_all(self, leaving: list[tuple[Session, str]], now_ns: int) -> None:
        """End those of these that are still open, with one commit for all of them."""
        if not leaving:
            return
        try:
            with self._engine.together():
                for session, why in leaving:
                    if self.table.is_open(session):
                        self.end(session, why, now_ns)
        except PktollError:
            self.counters["engine-failures"] += 1
