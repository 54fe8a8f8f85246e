"""What a request of a peer says about itself: the ends of its tunnels, the options of its terminal."""

from dataclasses import replace
from ipaddress import IPv4Network, IPv6Network, ip_address
from typing import NamedTuple

from engine.config import Access
from engine.gateway.admission import end_of
from engine.gateway.auth import authenticate
from engine.gateway.connections import Ends
from engine.gateway.session import Endpoint, Session
from engine.signalling import options
from engine.signalling.messages import GN_SGSN_U, S5_SGW_U, Fteid, Message, Options

GTP_C_PORT = 2123
_USER = {1: GN_SGSN_U, 2: S5_SGW_U}


class Reach(NamedTuple):
    """To where this gateway sends. `user_address`: from where user packets go; `peer_port`: to which port
    of peers; `own`: its own sockets, at which no tunnel may end; `peers`: with whom it speaks, all if
    empty."""

    user_address: str
    own: frozenset[Endpoint] = frozenset()
    peer_port: int = 2152
    peers: tuple[IPv4Network | IPv6Network, ...] = ()

    def speaks_with(self, address: str) -> bool:
        """Whether the settings let this outer address be spoken with."""
        if not self.peers:
            return True
        found = ip_address(address)
        return any(found in prefix for prefix in self.peers)

    def control_end(self, control: Fteid, peer: Endpoint) -> Endpoint | None:
        """Where requests go: a peer that answers from where it listens keeps its port."""
        address = end_of(control, peer[0])
        if address is None or not self.speaks_with(address):
            return None
        end = address, peer[1] if address == peer[0] else GTP_C_PORT
        return None if end in self.own else end

    def user_end(self, user: Fteid) -> str | None:
        """Where G-PDUs go."""
        address = end_of(user, self.user_address)
        if address is None or not self.speaks_with(address):
            return None
        return None if (address, self.peer_port) in self.own else address


def _user_end(request: Message) -> Fteid | None:
    for bearer in request.bearers:
        if bearer.instance == 0:
            return bearer.fteid(_USER[request.version])
    return None


def ends_of(request: Message, peer: Endpoint, reach: Reach) -> Ends | None:
    """The ends that a Create request names; None where one is missing or cannot be sent to."""
    user, control = _user_end(request), request.control
    if user is None or control is None:
        return None
    user_to, control_to = reach.user_end(user), reach.control_end(control, peer)
    if user_to is None or control_to is None:
        return None
    return Ends(control_to, control.teid, user_to, user.teid, peer[0])


def moved_ends(request: Message, session: Session, peer: Endpoint, reach: Reach) -> Ends | None:
    """The ends after a Modify request: what it does not name stays; None where one cannot be sent to."""
    control, teid_control = session.peer_control, session.teid_peer_control
    user, teid_down = session.peer_user, session.teid_down
    heard_from = session.heard_from
    if request.control is not None:
        end = reach.control_end(request.control, peer)
        if end is None:
            return None
        control, teid_control, heard_from = end, request.control.teid, peer[0]
    fteid = _user_end(request)
    if fteid is not None:
        address = reach.user_end(fteid)
        if address is None:
            return None
        user, teid_down = address, fteid.teid
    return Ends(control, teid_control, user, teid_down, heard_from)


def pco_answer(request: Message, access: Access, ipv4: str | None) -> Options | None:
    """What the terminal's options are answered with (TS 24.008 10.5.6.3), when it has this address.

    Without IPv4 it gets no IPv4 server; after a wrong password, nothing but that.
    """
    asked = request.options
    right, told = authenticate(asked, access)
    if not right:
        return None if told is None else Options(auth_answer=told)
    dns = (*(access.dns4 if ipv4 else ()), *access.dns6)
    answer = options.answer(asked, dns, right, ipv4)
    return None if answer is None else replace(answer, auth_answer=told)
