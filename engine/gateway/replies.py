"""The messages that a gateway sends: answers, and requests of its own."""

from engine.errors import SignallingError
from engine.gateway.connections import Ending
from engine.gateway.session import Session
from engine.signalling.causes import Cause, number
from engine.signalling.messages import (
    GN_GGSN_C,
    GN_GGSN_U,
    PDN_IPV4,
    PDN_IPV4V6,
    PDN_IPV6,
    S5_PGW_C,
    S5_PGW_U,
    Bearer,
    Fteid,
    Kind,
    Message,
    Options,
)

ANSWERS = {
    Kind.ECHO_REQUEST: Kind.ECHO_RESPONSE,
    Kind.CREATE_REQUEST: Kind.CREATE_RESPONSE,
    Kind.MODIFY_REQUEST: Kind.MODIFY_RESPONSE,
    Kind.DELETE_REQUEST: Kind.DELETE_RESPONSE,
}
KINDS = {
    (2, 32): Kind.CREATE_REQUEST,
    (2, 34): Kind.MODIFY_REQUEST,
    (2, 36): Kind.DELETE_REQUEST,
    (1, 16): Kind.CREATE_REQUEST,
    (1, 18): Kind.MODIFY_REQUEST,
    (1, 20): Kind.DELETE_REQUEST,
}
"""requests that are answered even where they cannot be read, by version and message type"""


QOS_BYTES = {4, 12, 13, 15, 17, 21}
"""of a profile with the octet of its priority: of R97, R99, R5, R6 and later (TS 24.008 10.5.6.5)"""


def _negotiated(request: Message) -> bytes | None:
    """The profile asked for, which is not to be exceeded (TS 29.060 7.3.2); None for one of our own."""
    asked = request.qos if request.version == 1 else None
    return asked if asked is not None and len(asked) in QOS_BYTES else None


def _end(interface: int, teid: int, address: str) -> Fteid:
    four = ":" not in address
    return Fteid(interface, teid, address if four else None, None if four else address)


class Replies:
    """Messages of a gateway with these addresses and this restart counter."""

    def __init__(self, control_address: str, user_address: str, restarts: int) -> None:
        self._control, self._user = control_address, user_address
        self._recovery = restarts % 256

    def echo(self, version: int, sequence: int, *, request: bool = False) -> Message:
        """Echo Response, or Echo Request; version 1's request has no restart counter (TS 29.060 7.2.1)."""
        kind = Kind.ECHO_REQUEST if request else Kind.ECHO_RESPONSE
        silent = request and version == 1
        return Message(version, kind, sequence, recovery=None if silent else self._recovery)

    def version_not_supported(self, sequence: int) -> Message:
        """What a message of a later version gets."""
        return Message(2, Kind.VERSION_NOT_SUPPORTED, sequence)

    def refused(
        self, request: Message, cause: Cause, teid: int, options: Options | None = None
    ) -> Message:
        """The answer that refuses a request; `teid`: what the peer knows the session or itself by."""
        return Message(
            request.version,
            ANSWERS[request.kind],
            request.sequence,
            teid,
            cause=number(request.version, cause),
            options=options,
        )

    def unreadable(self, error: SignallingError, kind: Kind, teid: int) -> Message:
        """The answer to a request that could not be read."""
        sequence = error.sequence or 0
        return Message(
            error.version,
            ANSWERS[kind],
            sequence,
            teid,
            cause=error.cause,
            offending=error.offending if error.version == 2 else None,
        )

    def created(
        self, request: Message, session: Session, cause: Cause, options: Options | None
    ) -> Message:
        """Create Session Response (TS 29.274 7.2.2), Create PDP Context Response (TS 29.060 7.3.2)."""
        version = session.version
        control, user = (S5_PGW_C, S5_PGW_U) if version == 2 else (GN_GGSN_C, GN_GGSN_U)
        both = session.ipv4 is not None and session.ipv6 is not None
        return Message(
            version,
            Kind.CREATE_RESPONSE,
            request.sequence,
            session.teid_peer_control,
            cause=number(version, cause),
            pdn_type=PDN_IPV4V6 if both else PDN_IPV4 if session.ipv4 else PDN_IPV6,
            address4=session.ipv4,
            address6=session.ipv6,
            options=options,
            apn_restriction=0 if version == 2 else None,
            control=_end(control, session.teid_control, self._control),
            bearers=(
                Bearer(
                    session.bearer_id,
                    (_end(user, session.teid_up, self._user),),
                    cause=number(version, Cause.ACCEPTED) if version == 2 else None,
                ),
            ),
            recovery=self._recovery,
            charging_id=session.charging_id,
            qos=_negotiated(request),
        )

    def modified(self, request: Message, session: Session) -> Message:
        """Modify Bearer Response (TS 29.274 7.2.8), Update PDP Context Response (TS 29.060 7.3.4)."""
        version = session.version
        accepted = number(version, Cause.ACCEPTED)
        bearers: tuple[Bearer, ...] = ()
        if version == 2 and request.bearers:
            bearers = (Bearer(session.bearer_id, cause=accepted),)
        elif version == 1:
            user = _end(GN_GGSN_U, session.teid_up, self._user)
            bearers = (Bearer(session.bearer_id, (user,)),)
        return Message(
            version,
            Kind.MODIFY_RESPONSE,
            request.sequence,
            session.teid_peer_control,
            cause=accepted,
            control=_end(GN_GGSN_C, session.teid_control, self._control) if version == 1 else None,
            bearers=bearers,
            recovery=self._recovery,
            charging_id=session.charging_id if bearers else None,
            qos=_negotiated(request),
        )

    def deleted(self, request: Message, session: Session) -> Message:
        """Delete Session Response, Delete PDP Context Response."""
        return self.refused(request, Cause.ACCEPTED, session.teid_peer_control)

    def delete(self, session: Session, ending: Ending, sequence: int) -> Message:
        """Delete Bearer Request for the default bearer (TS 29.274 7.2.9.2), which ends the PDN connection;
        Delete PDP Context Request with teardown (TS 29.060 7.3.5)."""
        version = session.version
        cause = None if ending.cause is None else number(version, ending.cause)
        if version == 1:
            return Message(
                1,
                Kind.DELETE_REQUEST,
                sequence,
                session.teid_peer_control,
                cause=cause,
                bearers=(Bearer(session.bearer_id),),
                teardown=True,
            )
        return Message(
            2,
            Kind.DELETE_BEARER_REQUEST,
            sequence,
            session.teid_peer_control,
            cause=cause,
            linked_bearer=session.bearer_id,
        )
