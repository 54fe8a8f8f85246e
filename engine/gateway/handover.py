"""Which session a Modify or Delete request is about, and who may take a session over from its peer."""

from collections.abc import Mapping

from engine.gateway.limits import Budget, PeerBudgets
from engine.gateway.session import Endpoint, Session
from engine.signalling.messages import Kind, Message

MISSES_PER_S = 20
MISSES_PER_S_AND_PEER = 5
"""take-overs that name a TEID of no session: who guesses needs longer than any session lasts"""


class Handovers:
    """Finds the session that a request is about among those of `by_teid`."""

    def __init__(self, by_teid: Mapping[int, Session]) -> None:
        self._by_teid = by_teid
        self._misses = Budget(MISSES_PER_S, 0)
        self._misses_of = PeerBudgets(MISSES_PER_S_AND_PEER)
        self.missed = 0

    def owned(self, teid: int | None, version: int, peer: Endpoint) -> Session | None:
        """The session with this TEID, if it is this peer's (B50)."""
        session = self._by_teid.get(teid or 0)
        if session is None or session.version != version:
            return None
        return session if peer[0] in (session.peer_control[0], session.heard_from) else None

    def addressed(self, request: Message, peer: Endpoint, now_ns: int) -> Session | None:
        """The session that a Modify or Delete is about.

        It must come from the session's peer; but a Modify may come from a new one, which names itself as
        the one that controls the session from now on, and knows the session's TEID.
        """
        session = self.owned(request.teid, request.version, peer)
        if session is None and request.kind is Kind.MODIFY_REQUEST and request.control is not None:
            if peer[0] in (request.control.ipv4, request.control.ipv6):
                session = self._taken_over(request, peer[0], now_ns)
        if session is None:
            return None
        named = [bearer.bearer_id for bearer in request.bearers if bearer.instance == 0]
        if request.version == 2 and request.linked_bearer is not None:
            named.append(request.linked_bearer)
        return session if all(one == session.bearer_id for one in named) else None

    def _taken_over(self, request: Message, address: str, now_ns: int) -> Session | None:
        """The session with the request's TEID, whoever its peer is.

        A TEID is the only key that a new peer shows. Who has named too many wrong ones gets no session by
        the right one either, until a while has passed.
        """
        if not (self._misses.left(now_ns) and self._misses_of.left(address, now_ns)):
            self.missed += 1
            return None
        session = self._by_teid.get(request.teid or 0)
        if session is not None and session.version == request.version:
            if request.imsi in (None, session.imsi):
                return session
        self._misses.take(now_ns)
        self._misses_of.take(address, now_ns)
        self.missed += 1
        return None
