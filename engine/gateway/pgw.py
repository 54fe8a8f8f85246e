"""The control plane of the gateway: P-GW over GTPv2-C (TS 29.274), GGSN over GTPv1-C (TS 29.060).

Without sockets and clock: datagrams and the time go in, datagrams come out. Nothing that a network sends
makes it raise; what it cannot use is answered or dropped, and counted by reason.
"""

import ipaddress
from collections import Counter, deque
from typing import Any

from engine.config import Settings
from engine.errors import SignallingError
from engine.gateway.admission import network_identifier, refusal, refused_network
from engine.gateway.auth import authenticate
from engine.gateway.connections import Connections, Ending, Opened
from engine.gateway.exchange import Answers, Datagram, Key, Request, Requests
from engine.gateway.handover import Handovers
from engine.gateway.limits import Budget, PeerBudgets
from engine.gateway.peers import Peers
from engine.gateway.replies import ANSWERS, KINDS, Replies
from engine.gateway.requests import Reach, ends_of, moved_ends, pco_answer
from engine.gateway.session import DataPlane, Endpoint, Session
from engine.gateway.table import PeerKey, SessionTable
from engine.runtime import Engine
from engine.signalling.causes import Cause
from engine.signalling.codec import decode, encode
from engine.signalling.messages import Kind, Message
from engine.units import NS_PER_MS, NS_PER_S

ANSWERS_MAX = 65_536
REFUSALS_MAX = 4_096
"""kept answers that changed something, and those that did not: a flood of the second keeps the first"""
REQUESTS_MAX = 16_384
FAULTS_PER_S = 1_000
"""answers to requests that cannot be read"""
VERSIONS_PER_S = 10
"""Version Not Supported indications"""
TICK_WORK = 512
"""sessions and datagrams that one tick deals with; what is left is due at once"""
TICK_NS = 100 * NS_PER_MS

_TO_US = {Kind.DELETE_BEARER_RESPONSE: 2, Kind.DELETE_RESPONSE: 1}
"""answers to requests of ours, with their version"""


class Pgw:
    """The P-GW and GGSN of one gateway.

    `control_address` and `user_address` are what peers are told to send to; `restarts` is this gateway's
    restart counter (TS 23.007 18); `own` are its own sockets, `peer_port` is where G-PDUs go. Times are ns
    since 1970, of the gateway's own clock. The caller sends what `receive`, `tick`, `stop` and
    `error_indication` return, after the end of an `engine.together()` if it called them within one.
    """

    def __init__(
        self,
        settings: Settings,
        engine: Engine,
        data: DataPlane,
        control_address: str,
        user_address: str,
        restarts: int,
        table: SessionTable | None = None,
        *,
        own: frozenset[Endpoint] = frozenset(),
        peer_port: int = 2152,
    ) -> None:
        access = self._access = settings.access
        self._engine = engine
        self._replies = Replies(control_address, user_address, restarts)
        self.sessions = SessionTable() if table is None else table
        self._connections = Connections(
            access, engine, data, user_address, self._ask_to_delete, self.sessions
        )
        self._handovers = Handovers(self.sessions.by_teid)
        self._peers = Peers(self.sessions, access.echo_s * NS_PER_S)
        peers = tuple(ipaddress.ip_network(prefix) for prefix in access.peers)
        self._reach = Reach(user_address, own, peer_port, peers)
        self._done, self._refused = Answers(ANSWERS_MAX), Answers(REFUSALS_MAX)
        self._requests = Requests(
            access.t3_response_ms * NS_PER_MS, access.n3_requests, REQUESTS_MAX
        )
        self._creates = PeerBudgets(access.create_per_s_max)
        self._faults, self._versions = Budget(FAULTS_PER_S, 0), Budget(VERSIONS_PER_S, 0)
        self._leaving: deque[tuple[Session, str]] = deque()
        self._outgoing: list[Datagram] = []
        self._counters: Counter[str] = Counter()

    # --- figures ----------------------------------------------------------------------------------

    @property
    def counters(self) -> dict[str, int]:
        """What was received, answered, refused (`refused:<cause>`), dropped (`drop:<reason>`), ended …"""
        mine = self._connections
        return {
            **dict(sorted((self._counters + mine.counters).items())),
            "sessions": len(self.sessions),
            "peers": len(self._peers),
            "teids-missed": self._handovers.missed,
            "records-lost": mine.records.lost,
            **mine.pool_figures(),
        }

    @property
    def waiting(self) -> int:
        """Requests of this gateway that have not been answered yet."""
        return len(self._requests)

    def take_records(self) -> list[dict[str, Any]]:
        """Usage records of the sessions that ended since the last call; see `engine.gateway.records`."""
        return self._connections.records.take()

    # --- in ---------------------------------------------------------------------------------------

    def receive(self, data: bytes, peer: Endpoint, now_ns: int) -> list[Datagram]:
        """One datagram from a peer; what to send."""
        self._counters["received"] += 1
        if not self._reach.speaks_with(peer[0]):
            self._counters["drop:peer"] += 1
            return []
        self._cut(now_ns)
        try:
            message = decode(data)
        except SignallingError as error:
            answer = self._unreadable(error, data, peer, now_ns)
        else:
            answer = self._take(message, data, peer, now_ns)
        return [*([(answer, peer)] if answer else ()), *self._take_outgoing()]

    def _unreadable(
        self, error: SignallingError, data: bytes, peer: Endpoint, now_ns: int
    ) -> bytes | None:
        """What is not a message of ours; a request that is a faulty one is told so (TS 29.274 7.7)."""
        kind = KINDS.get((error.version, error.message_type))
        if error.reason == "version" and error.version > 2:
            if self._versions.take(now_ns):
                self._counters["version-not-supported"] += 1
                return encode(self._replies.version_not_supported(error.sequence or 0))
        elif error.cause and kind is not None and self._faults.take(now_ns):
            self._counters[f"unreadable:{error.reason}"] += 1
            return encode(self._replies.unreadable(error, kind, self._whom(error, data, peer)))
        self._counters[f"drop:{error.reason}"] += 1
        return None

    def _whom(self, error: SignallingError, data: bytes, peer: Endpoint) -> int:
        """The TEID by which the sender of a faulty request knows the session, or itself; 0: not known."""
        session = self._handovers.owned(error.teid, error.version, peer)
        if session is not None:
            return session.teid_peer_control
        try:
            control = decode(data, strict=False).control
        except SignallingError:
            return 0
        return 0 if control is None else control.teid

    def _take(self, message: Message, data: bytes, peer: Endpoint, now_ns: int) -> bytes | None:
        kind = message.kind
        if kind in (Kind.ECHO_REQUEST, Kind.ECHO_RESPONSE):
            return self._echo(message, peer, now_ns)
        if kind not in ANSWERS:
            self._response(message, peer)
            return None
        key = Key(peer, message.version, kind, message.sequence)
        for kept in (self._done, self._refused):
            answer = kept.find(key, data, now_ns)
            if answer is not None:
                self._counters["repeated"] += 1
                return answer
        if message.piggybacked is not None:
            self._counters["drop:piggybacked"] += 1
        reply, changes = self._answer(message, peer, now_ns)
        answer = encode(reply)
        (self._done if changes else self._refused).keep(key, data, answer, now_ns)
        return answer

    def _answer(self, request: Message, peer: Endpoint, now_ns: int) -> tuple[Message, bool]:
        """The answer to a request, and whether it changed something."""
        self._heard(request, peer)
        if request.kind is Kind.CREATE_REQUEST:
            found = self._create(request, peer, now_ns)
        else:
            session = self._handovers.addressed(request, peer, now_ns)
            if session is None:
                found = Cause.NOT_FOUND
            elif request.kind is Kind.MODIFY_REQUEST:
                found = self._modify(request, session, peer, now_ns)
            else:
                self._connections.end(session, "deleted", now_ns)
                found = self._replies.deleted(request, session)
        if isinstance(found, Message):
            self._counters[f"accepted:{request.kind.removesuffix('-request')}"] += 1
            return found, True
        self._counters[f"refused:{found}"] += 1
        session = self._handovers.owned(request.teid, request.version, peer)
        whom = 0 if session is None else session.teid_peer_control
        if request.kind is Kind.CREATE_REQUEST and request.control is not None:
            whom = request.control.teid
        options = pco_answer(request, self._access, None) if found is Cause.AUTHENTICATION else None
        return self._replies.refused(request, found, whom, options), False

    # --- requests ---------------------------------------------------------------------------------

    def _create(self, request: Message, peer: Endpoint, now_ns: int) -> Message | Cause:
        """Create Session Request, Create PDP Context Request (N1-N6, L1-L3, O1)."""
        if not self._creates.take(peer[0], now_ns):
            return Cause.NO_RESOURCES
        if request.teid:
            known = self._handovers.owned(request.teid, request.version, peer)
            if known is None or known.imsi != request.imsi:
                return Cause.NOT_FOUND
        cause = refusal(request, self._access)
        if cause is not None:
            return cause
        if not authenticate(request.options, self._access).right:
            return Cause.AUTHENTICATION
        ends = ends_of(request, peer, self._reach)
        if ends is None:
            return Cause.INCORRECT
        opened = self._connections.open(request, ends, now_ns)
        if not isinstance(opened, Opened):
            return opened
        session = opened.session
        session.apn = network_identifier(session.apn, self._access)
        self._joined(session, request, now_ns)
        options = pco_answer(request, self._access, session.ipv4)
        return self._replies.created(request, session, opened.cause, options)

    def _modify(
        self, request: Message, session: Session, peer: Endpoint, now_ns: int
    ) -> Message | Cause:
        """Modify Bearer Request, Update PDP Context Request: another S-GW or SGSN, TEIDs, RAT."""
        cause = refused_network(request, self._access)
        if cause is not None:
            return cause
        ends = moved_ends(request, session, peer, self._reach)
        if ends is None or not self._connections.may_have(ends, session):
            return Cause.INCORRECT
        self._connections.move(session, ends, now_ns)
        session.rat = session.rat if request.rat is None else request.rat
        if request.network is not None:
            session.network = "-".join(request.network)
        self._joined(session, request, now_ns)
        return self._replies.modified(request, session)

    # --- peers ------------------------------------------------------------------------------------

    def _heard(self, message: Message, peer: Endpoint) -> None:
        key = (message.version, peer[0])
        if self._peers.heard(key, message.recovery):
            self._counters["peer-restarts"] += 1
            self._done.forget(peer[0], message.version)
            self._refused.forget(peer[0], message.version)
            self._leave(key, "peer-restarted")

    def _joined(self, session: Session, request: Message, now_ns: int) -> None:
        """The session is this peer's from now on."""
        address = session.peer_control[0]
        recovery = request.recovery if address == session.heard_from else None
        self._peers.joined((session.version, address), session.peer_control, recovery, now_ns)

    def _leave(self, key: PeerKey, why: str) -> None:
        """A peer has lost its sessions: they end, so many a tick."""
        self._leaving.extend((session, why) for session in self.sessions.take_of_peer(key))

    def _echo(self, message: Message, peer: Endpoint, now_ns: int) -> bytes | None:
        if message.kind is Kind.ECHO_REQUEST:
            self._heard(message, peer)
            self._counters["echo-requests"] += 1
            return encode(self._replies.echo(message.version, message.sequence))
        if self._requests.answered(message.version, message.sequence, peer[0], "echo"):
            self._heard(message, peer)
        else:
            self._counters["drop:unasked"] += 1
        return None

    def _response(self, message: Message, peer: Endpoint) -> None:
        """An answer to a request of ours, whatever it says; all else is not for a P-GW."""
        version = message.version
        if _TO_US.get(message.kind) != version:
            self._counters["drop:unexpected"] += 1
        elif self._requests.answered(version, message.sequence, peer[0], "delete"):
            self._counters["answered"] += 1
        else:
            self._counters["drop:unasked"] += 1

    # --- requests of our own ----------------------------------------------------------------------

    def _ask_to_delete(self, session: Session, ending: Ending, now_ns: int) -> None:
        sequence = self._requests.next_sequence(session.version)
        message = self._replies.delete(session, ending, sequence)
        self._ask(message, session.peer_control, "delete", now_ns)

    def _ask(self, message: Message, peer: Endpoint, purpose: str, now_ns: int) -> None:
        request = Request(encode(message), peer, message.version, message.sequence, purpose)
        self._outgoing.append(self._requests.send(request, now_ns))
        self._counters[f"sent:{purpose}"] += 1

    def _take_outgoing(self) -> list[Datagram]:
        taken, self._outgoing = self._outgoing, []
        return taken

    # --- time -------------------------------------------------------------------------------------

    def tick(self, now_ns: int) -> list[Datagram]:
        """What has become due: repetitions, limits of sessions, lines that were cut, Echo Requests."""
        self._cut(now_ns)
        leaving = [self._leaving.popleft() for _ in range(min(TICK_WORK, len(self._leaving)))]
        self._connections.end_all(leaving, now_ns)
        self._connections.end_due(now_ns, TICK_WORK)
        again, lost = self._requests.due(now_ns, TICK_WORK)
        self._counters["sent-again"] += len(again)
        for request in lost:
            self._lose(request)
        for (version, _), end in self._peers.echoes_due(now_ns, TICK_WORK):
            sequence = self._requests.next_sequence(version)
            self._ask(self._replies.echo(version, sequence, request=True), end, "echo", now_ns)
        return [*again, *self._take_outgoing()]

    def _lose(self, request: Request) -> None:
        self._counters[f"unanswered:{request.purpose}"] += 1
        key = (request.version, request.peer[0])
        if request.purpose == "echo" and self._peers.unanswered(key):
            self._counters["paths-lost"] += 1
            self._leave(key, "peer-silent")

    def next_tick_ns(self, now_ns: int) -> int:
        """When to call `tick` again, at the latest in 100 ms: what the engine cuts is asked for then."""
        if self._leaving:
            return now_ns
        due = (self._requests.next_ns, self.sessions.next_look_ns, self._peers.next_echo_ns)
        at_ns = min((at_ns for at_ns in due if at_ns is not None), default=now_ns + TICK_NS)
        return max(now_ns, min(now_ns + TICK_NS, at_ns))

    def _cut(self, now_ns: int) -> None:
        """End the sessions of lines that were suspended, replaced or ended meanwhile (L1-L3)."""
        lines = self._engine.take_cut()
        if lines:
            found = (self.sessions.by_line.get(line) for line in lines)
            self._connections.end_all([(one, "cut") for one in found if one], now_ns)

    # --- the user plane, and the end --------------------------------------------------------------

    def error_indication(self, teid: int, peer: str, now_ns: int) -> list[Datagram]:
        """The peer at this outer address does not know the TEID to which G-PDUs go (TS 23.007 22)."""
        session = self.sessions.at_tunnel(peer, teid)
        if session is None:
            self._counters["drop:error-indication"] += 1
        else:
            self._connections.end(session, "error-indication", now_ns)
        return self._take_outgoing()

    def stop(self, now_ns: int) -> list[Datagram]:
        """End all sessions; the requests that tell the peers, which `tick` repeats if need be."""
        all_open = list(self.sessions.by_teid.values())
        self._connections.end_all([(session, "stopped") for session in all_open], now_ns)
        return self._take_outgoing()
