"""Sessions learnt from the control messages of others: who has which tunnels, from when until when.

What a request asks for takes effect when the answer that accepts it is seen. Where the capture holds
nothing of the side that answers, a request for a session is believed alone, once no answer can come
any more; then only the ends of the side that asked are known. Nothing here raises for what a message
says, and the memory of all of it is bounded.
"""

from collections import Counter

from engine.signalling.exchanges import ANSWER_NS, ANSWERS, Endpoint, Exchanges, Request, Restarts
from engine.signalling.granted import (
    accepted,
    addresses_of,
    ends_of,
    gone,
    granted,
    offered,
)
from engine.signalling.interfaces import ACCESS_CONTROL, CORE_CONTROL, NEAR_CONTROL, PLANES
from engine.signalling.messages import Fteid, Kind, Message
from engine.signalling.sessions import (
    Change,
    Learnt,
    Leg,
    Session,
    SessionTable,
    rat_name,
)

SESSIONS_MAX = 1 << 20
"""open sessions that are followed"""


class Follower:
    """Give it every message in the order of the capture; it tells what became of sessions.

    `counters`: what could not be used, by reason.
    """

    def __init__(self) -> None:
        self.table = SessionTable()
        self.counters: Counter[str] = Counter()
        self._exchanges = Exchanges()
        self._restarts = Restarts()
        self._numbers = 0
        self._at_ns = 0
        self._told: dict[Session, tuple[object, ...]] = {}
        self._out: list[Learnt] = []
        self._effects = {
            Kind.CREATE_REQUEST: self._create,
            Kind.MODIFY_REQUEST: self._modify,
            Kind.DELETE_REQUEST: self._delete,
            Kind.CREATE_BEARER_REQUEST: self._create_bearer,
            Kind.DELETE_BEARER_REQUEST: self._delete_bearer,
            Kind.RELEASE_BEARERS_REQUEST: self._release,
        }

    def take(
        self, message: Message, source: Endpoint, destination: Endpoint, time_ns: int
    ) -> list[Learnt]:
        """Take in a message seen at a time, ns since 1970, that never goes back."""
        self._at_ns = time_ns
        for request in self._exchanges.overdue(time_ns):
            self._unanswered(request)
        self._exchanges.hear(source[0], destination[0])
        if self._restarts.restarted(source[0], message.version, message.recovery):
            for session in self.table.through(source[0]):
                self._close(session, "restart")
        self._exchange(message, source, destination)
        if message.piggybacked is not None:
            self._exchange(message.piggybacked, source, destination)
        return self._learnt()

    def finish(self) -> list[Learnt]:
        """The capture is at its end: no answers come any more."""
        for request in self._exchanges.overdue(self._at_ns + 2 * ANSWER_NS):
            self._unanswered(request)
        return self._learnt()

    @property
    def evicted(self) -> int:
        """Requests that were forgotten because there were too many at a time."""
        return self._exchanges.evicted

    def _exchange(self, message: Message, source: Endpoint, destination: Endpoint) -> None:
        if message.is_request:
            self._exchanges.ask(Request(message, source, destination, self._at_ns))
            return
        if message.kind not in ANSWERS:
            return
        request = self._exchanges.answer(message, source, destination)
        if request is None:
            if not self._known(message, destination):
                self.counters["unasked"] += 1
            return
        effect = self._effects.get(request.message.kind)
        if effect is not None:
            effect(request, message)

    def _known(self, answer: Message, receiver: Endpoint) -> bool:
        """Whether an answer may be a retransmission: it is about a session that is, or was, followed."""
        kinds = (Kind.CREATE_RESPONSE, Kind.MODIFY_RESPONSE, Kind.CREATE_BEARER_RESPONSE)
        if answer.kind not in kinds:
            return True
        ends = ((receiver[0], answer.teid or 0), *ends_of(answer.control))
        return bool(self.table.at(*ends))

    def _unanswered(self, request: Request) -> None:
        """No answer came: none was given, or the capture lacks that side."""
        message = request.message
        if self._exchanges.heard(request.receiver[0], request.sender[0]):
            return
        if message.kind is Kind.CREATE_REQUEST and message.control is not None:
            self._open(request, None)

    # --- opening ----------------------------------------------------------------------------------

    def _create(self, request: Request, answer: Message) -> None:
        if not accepted(answer):
            self.counters["refused"] += 1
        elif request.message.version == 1 and request.message.linked_bearer is not None:
            self._second_context(request, answer)
        else:
            self._open(request, answer)

    def _open(self, request: Request, answer: Message | None) -> None:
        """A session, or another leg of one; a retransmission changes nothing."""
        asked = request.message
        leg = self._leg(request, answer)
        linked = asked.linked_bearer if asked.version == 2 else None
        ids = (b.bearer_id for b in asked.bearers if b.instance == 0)
        bearer_id = linked or min(ids, default=0)
        session = self._session_of(request, answer, leg, bearer_id)
        if session is None:
            session = self._new(request, answer, bearer_id)
        if session is None:
            return
        leg.session = session
        leg.learn(asked.bearers)
        if answer is not None:
            leg.learn(granted(asked, answer))
        self.table.add(leg)
        self._touch(session)

    def _leg(self, request: Request, answer: Message | None) -> Leg:
        """The control tunnel between who asked and who answered."""
        asked = request.message
        control = asked.control or (answer.control if answer else None)
        core = control is None or control.interface not in ACCESS_CONTROL
        near = ends_of(asked.control, request.sender[0])
        far = ends_of(answer.control, request.receiver[0]) if answer is not None else ()
        if not core and asked.teid:  # in a control tunnel that the terminal has already
            far = ((request.receiver[0], asked.teid),)
        return Leg(_NOBODY, core, near, far)

    def _session_of(
        self, request: Request, answer: Message | None, leg: Leg, bearer_id: int
    ) -> Session | None:
        """The open session that this is another leg of, or a retransmission for."""
        asked = request.message
        given = addresses_of(answer, asked)
        for other in self.table.at(*leg.near, core=leg.core):
            old = other.session
            same = other.near == leg.near and other.far == leg.far and old.imsi == asked.imsi
            if same and old.bearer_id == bearer_id and old.addresses == given:
                return old
        return None if leg.core else self._beside(request, answer, bearer_id)

    def _beside(self, request: Request, answer: Message | None, bearer_id: int) -> Session | None:
        """The session whose other leg, on the side of the radio network, this is.

        The P-GW's end of it is named in the answer, and in the request where the terminal moves to
        another S-GW. Where it is not, it is the one that was opened between the request and the answer.
        """
        asked = request.message
        for message in (asked, answer):
            for control in (message.pgw, message.control) if message is not None else ():
                if control is not None and control.interface in CORE_CONTROL:
                    for other in self.table.at(*ends_of(control), core=True):
                        if other.session.bearer_id == bearer_id:
                            return other.session
        moves = asked.pgw is not None and asked.pgw.teid != 0
        for session in self.table.of(asked.imsi):
            fresh = session.opened_ns >= request.at_ns and session.access is None
            if session.bearer_id == bearer_id and (fresh or moves):
                return session
        return None

    def _new(self, request: Request, answer: Message | None, bearer_id: int) -> Session | None:
        """A session of its own; one of the same SIM with this APN or bearer identity is replaced."""
        asked = request.message
        for old in self.table.of(asked.imsi):
            if old.bearer_id == bearer_id or old.apn == asked.apn:
                self._close(old, "replaced")
        if self.table.count >= SESSIONS_MAX:
            self.counters["crowded"] += 1
            return None
        session = Session(
            number=self._numbers,
            version=asked.version,
            imsi=asked.imsi,
            msisdn=asked.msisdn,
            apn=asked.apn,
            rat=rat_name(asked.rat),
            bearer_id=bearer_id,
            addresses=addresses_of(answer, asked),
            opened_ns=self._at_ns,
            half=answer is None,
        )
        self._numbers += 1
        self.table.enter(session)
        return session

    def _second_context(self, request: Request, answer: Message) -> None:
        """A secondary PDP context: another bearer of the session with the linked NSAPI (TS 29.060)."""
        asked = request.message
        end = request.receiver[0], asked.teid or 0
        legs = [leg for leg in self.table.at(end) if asked.linked_bearer in leg.bearers]
        self._mid_session(legs)
        for leg in legs[:1]:
            leg.learn(asked.bearers)
            leg.learn(granted(asked, answer))
            self._touch(leg.session)

    # --- changing ---------------------------------------------------------------------------------

    def _modify(self, request: Request, answer: Message) -> None:
        """Other ends, after a handover or a return from idle; either side may ask in version 1."""
        if not accepted(answer):
            self.counters["refused"] += 1
            return
        asked = request.message
        ids = {bearer.bearer_id for bearer in asked.bearers}
        legs = self.table.at((request.receiver[0], asked.teid or 0))
        legs = [leg for leg in legs if not ids or ids & leg.bearers.keys()]
        if not legs and asked.version == 1 and asked.imsi is not None:
            self._open(request, answer)
            return
        self._mid_session(legs)
        for leg in legs:
            leg.learn(b for b in asked.bearers if b.bearer_id in leg.bearers)
            leg.learn(b for b in granted(asked, answer) if b.bearer_id in leg.bearers)
            self._move(leg, asked.control, request.sender[0])
            self._move(leg, answer.control, request.receiver[0])
            session = leg.session
            session.rat = rat_name(asked.rat) or session.rat
            session.addresses = session.addresses or addresses_of(answer, asked)
            self._touch(session)

    def _move(self, leg: Leg, control: Fteid | None, node: str) -> None:
        """The sender's control-plane end is another now, where it says so."""
        ends = ends_of(control, node)
        if control is None or not ends:
            return
        if control.interface in NEAR_CONTROL:
            self.table.move(leg, near=ends)
        else:
            self.table.move(leg, far=ends)

    def _create_bearer(self, request: Request, answer: Message) -> None:
        """A dedicated bearer: the P-GW offers its end without an identity, the answer gives that."""
        asked = request.message
        legs = self.table.at((request.receiver[0], asked.teid or 0))
        legs = [leg for leg in legs if asked.linked_bearer in (None, leg.session.bearer_id)]
        self._mid_session(legs)
        if not accepted(answer):
            self.counters["refused"] += 1
            return
        for leg in legs[:1]:
            for at, bearer in enumerate(granted(asked, answer)):
                if bearer.bearer_id:
                    leg.learn(offered(asked, bearer, at))
                    leg.learn((bearer,))
            self._touch(leg.session)

    def _release(self, request: Request, answer: Message) -> None:
        """The terminal is idle: the eNodeB's ends are no more (TS 23.401 5.3.5)."""
        if not accepted(answer):
            return
        legs = self.table.at((request.receiver[0], request.message.teid or 0), core=False)
        self._mid_session(legs)
        for leg in legs:
            for ends in leg.bearers.values():
                for interface in [i for i in ends if PLANES[i].direction == "down"]:
                    del ends[interface]
            self._touch(leg.session)

    # --- closing ----------------------------------------------------------------------------------

    def _delete(self, request: Request, answer: Message) -> None:
        """Delete Session; Delete PDP Context, whoever asks."""
        if not gone(answer):
            self.counters["refused"] += 1
            return
        asked = request.message
        ids = {bearer.bearer_id for bearer in asked.bearers}
        if asked.linked_bearer is not None:
            ids.add(asked.linked_bearer)
        for leg in self.table.at((request.receiver[0], asked.teid or 0)):
            named = {leg.session.bearer_id} if asked.version == 2 else leg.bearers.keys()
            if not ids or ids & named:
                single = asked.version == 1 and bool(ids) and not asked.teardown
                self._remove(leg, ids if single else None)

    def _delete_bearer(self, request: Request, answer: Message) -> None:
        """The P-GW takes back a dedicated bearer, or with the default one the whole session."""
        if not gone(answer):
            return
        asked = request.message
        ids = {bearer.bearer_id for bearer in asked.bearers}
        legs = self.table.at((request.receiver[0], asked.teid or 0))
        self._mid_session(legs)
        for leg in legs:
            if asked.linked_bearer is None:
                self._remove(leg, ids)
            elif asked.linked_bearer == leg.session.bearer_id:
                self._remove(leg, None)

    def _remove(self, leg: Leg, bearers: set[int] | None) -> None:
        """Bearers of a leg end (None: all); the session does with the last one at the P-GW's side."""
        session = leg.session
        for bearer_id in list(leg.bearers):
            if bearers is None or bearer_id in bearers:
                del leg.bearers[bearer_id]
        if leg.bearers:
            self._touch(session)
        elif leg.core or session.core is None:
            self._close(session, "deleted")
        else:
            self.table.remove(leg)
            self._touch(session)

    def _close(self, session: Session, cause: str) -> None:
        session.closed_ns, session.cause = self._at_ns, cause
        self.table.close(session)
        self._told.pop(session, None)
        self._out.append(Learnt(Change.CLOSED, session, self._at_ns))

    # --- telling ----------------------------------------------------------------------------------

    def _mid_session(self, legs: list[Leg]) -> None:
        """Count what is about a session that was opened before the capture began."""
        if not legs:
            self.counters["before"] += 1

    def _touch(self, session: Session) -> None:
        """Something about a session may be new."""
        session.list_tunnels()
        state = session.state
        if session not in self._told:
            self._out.append(Learnt(Change.OPENED, session, self._at_ns))
        elif self._told[session] != state:
            self._out.append(Learnt(Change.CHANGED, session, self._at_ns))
        self._told[session] = state

    def _learnt(self) -> list[Learnt]:
        out, self._out = self._out, []
        return out


_NOBODY = Session(-1, 0, None, None, None, None, 0, (), 0)
"""whose a leg is before it is known"""
