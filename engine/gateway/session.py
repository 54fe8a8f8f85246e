"""A PDN connection or PDP context as the gateway has it, and what its control plane asks of the data plane.

A session has one bearer, the default one; of version 1 it is the PDP context.
"""

from dataclasses import dataclass, field
from typing import Any, Protocol

Endpoint = tuple[str, int]
"""a UDP end: address as text, port"""
NO_BEARER = -1


@dataclass(slots=True)
class Session:
    """One open session. TEIDs without "peer" or "down" in the name were given out by this gateway."""

    version: int  # of GTP-C: 2 over S5/S8, 1 over Gn
    imsi: str
    teid_control: int
    teid_up: int  # in G-PDUs that come up
    teid_down: int  # in G-PDUs that go down
    peer_control: Endpoint  # where requests of this gateway about the session go
    teid_peer_control: int
    peer_user: str  # outer address of the peer: G-PDUs come from and go to it
    bearer_id: int  # EBI or NSAPI
    apn: str
    rat: int | None
    line: str  # the engine's code of the line
    ipv4: str | None
    ipv6: str | None  # the /64, "2001:db8:0:1::/64"
    opened_ns: int  # since 1970
    heard_from: str = ""  # where the peer's latest request about the session came from
    msisdn: str | None = None
    charging_id: int = 0
    network: str = ""  # MCC-MNC of the serving network, "440-10"
    contract: str | None = None
    bearer: int = NO_BEARER  # index in the data plane's BEARER table; set by DataPlane.open
    opening: dict[str, Any] = field(default_factory=dict)  # the line's figures when it was opened

    @property
    def addresses(self) -> tuple[str, ...]:
        """What the terminal was given: IPv4 address, IPv6 /64, or both."""
        return tuple(address for address in (self.ipv4, self.ipv6) if address)


class DataPlane(Protocol):
    """What carries the packets of sessions; nothing of it raises for what a network sent."""

    def open(self, session: Session) -> None:
        """Carry the packets of a new session; sets `session.bearer`."""

    def move(self, session: Session) -> None:
        """The session's `teid_down` or `peer_user` is another now."""

    def close(self, session: Session, *, end_marker: bool = False) -> None:
        """Carry no more; `end_marker`: tell the peer on the user plane that nothing follows."""

    def last_active_ns(self, session: Session) -> int:
        """ns since 1970; of the last packet in either direction, of the opening where there was none."""
