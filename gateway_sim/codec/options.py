"""Protocol Configuration Options by scapy (TS 24.008 10.5.6.3), with every length of PPP given.

scapy writes a length of one octet where PPP has two (RFC 1661 5), so none is left to it.
"""

from typing import Any

from gateway_sim.signalling.terminal import CHAP, IPV4, IPV6, NO_AUTH, PAP, Credentials

IPCP, PAP_ID, CHAP_ID = 0x8021, 0xC023, 0xC223
DNS_IPV6, DNS_IPV4 = 0x0003, 0x000D
"""containers by which a terminal asks for name servers, empty, and gets them"""
CONFIGURE_REQUEST = 1
PRIMARY_DNS, SECONDARY_DNS = 129, 131
"""options of IPCP (RFC 1877 1.1, 1.3)"""
IDENTIFIER = 1
"""of PAP, CHAP and IPCP packets; one exchange a session needs no other"""
CHALLENGER = b"terminal"
"""the name in a challenge; the terminal itself is the one who challenges, on behalf of the gateway"""


def protocols(credentials: Credentials, pdn_type: int, chap: tuple[bytes, bytes]) -> list[Any]:
    """What a terminal asks: to be known by PAP or CHAP, and for name servers.

    `chap` is (challenge, response).
    """
    found = []
    if credentials.kind == PAP:
        found.append(_pap(credentials))
    elif credentials.kind == CHAP:
        found.append(_chap(1, chap[0], CHALLENGER))
        found.append(_chap(2, chap[1], credentials.user.encode()))
    if credentials.kind != NO_AUTH or pdn_type != IPV6:
        found.append(_ipcp())
    if pdn_type != IPV6:
        found.append(_empty(DNS_IPV4))
    if pdn_type != IPV4:
        found.append(_empty(DNS_IPV6))
    return found


def _pap(credentials: Credentials) -> Any:
    """Authenticate-Request (RFC 1334 2.2.1)."""
    from scapy.contrib.gtp_v2 import PCO_PasswordAuthentificationProtocol, PCO_PPP_Auth

    user, password = credentials.user.encode(), credentials.password.encode()
    size = 4 + 1 + len(user) + 1 + len(password)
    packet = PCO_PPP_Auth(
        Code=1,
        Identifier=IDENTIFIER,
        length=size,
        PeerID_length=len(user),
        PeerID=user,
        Password_length=len(password),
        Password=password,
    )
    return PCO_PasswordAuthentificationProtocol(type=PAP_ID, length=size, PPP=packet)


def _chap(code: int, value: bytes, name: bytes) -> Any:
    """Challenge (code 1) or Response (code 2) (RFC 1994 4.1)."""
    from scapy.contrib.gtp_v2 import (
        PCO_ChallengeHandshakeAuthenticationProtocol,
        PCO_PPP_Challenge,
    )

    size = 4 + 1 + len(value) + len(name)
    packet = PCO_PPP_Challenge(
        Code=code,
        Identifier=IDENTIFIER,
        length=size,
        value_size=len(value),
        value=value,
        name=name,
    )
    return PCO_ChallengeHandshakeAuthenticationProtocol(type=CHAP_ID, length=size, PPP=packet)


def _ipcp() -> Any:
    """A Configure-Request for two name servers (RFC 1877)."""
    from scapy.contrib.gtp_v2 import PCO_IPCP, PCO_PPP, PCO_Primary_DNS, PCO_Secondary_DNS

    options = [
        PCO_Primary_DNS(type=PRIMARY_DNS, length=6, address="0.0.0.0"),
        PCO_Secondary_DNS(type=SECONDARY_DNS, length=6, address="0.0.0.0"),
    ]
    size = 4 + 6 * len(options)
    packet = PCO_PPP(Code=CONFIGURE_REQUEST, Identifier=IDENTIFIER, length=size, Options=options)
    return PCO_IPCP(type=IPCP, length=size, PPP=packet)


def _empty(container: int) -> Any:
    from scapy.contrib.gtp_v2 import PCO_DNS_Server_IPv4, PCO_DNS_Server_IPv6

    of = {DNS_IPV4: PCO_DNS_Server_IPv4, DNS_IPV6: PCO_DNS_Server_IPv6}[container]
    return of(type=container, length=0)
