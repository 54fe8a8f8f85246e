"""Whether a Create request may have a session, as far as it and the settings say (N1, N2, N4, N5, O1).

Pure decisions: who the SIM is, and whether there is room, is asked elsewhere.
"""

import ipaddress
import re
from typing import NamedTuple

from engine.config import Access
from engine.errors import AttachError, PktollError, PoolUnavailable
from engine.signalling.causes import Cause
from engine.signalling.messages import (
    PDN_IPV4,
    PDN_IPV4V6,
    PDN_IPV6,
    RAT_NAMES,
    Fteid,
    Message,
)

_OPERATOR = re.compile(r"(.+)\.mnc([0-9]{3})\.mcc([0-9]{3})\.gprs")
"""network identifier before an operator identifier (TS 23.003 9.1.2)"""

ATTACH_CAUSES = {
    "unknown": Cause.UNKNOWN_IMSI,
    "replaced": Cause.UNKNOWN_IMSI,
    "suspended": Cause.NO_SUBSCRIPTION,
    "ended": Cause.NO_SUBSCRIPTION,
    "no-ipv6": Cause.TYPE_NOT_SUPPORTED,
}
"""what a refused SIM is told, by `AttachError.reason`"""


_NOBODY = (
    ipaddress.ip_network("0.0.0.0/8"),
    ipaddress.ip_network("240.0.0.0/4"),
    ipaddress.ip_network("::ffff:0:0/96"),
)
"""addresses of no host (RFC 1122 3.2.1.3, RFC 1112 4), and IPv4 in disguise (RFC 4291 2.5.5.2)"""


class Kinds(NamedTuple):
    """Which addresses a session gets, and the cause with which it is accepted."""

    ipv4: bool
    ipv6: bool
    cause: Cause


def refusal(request: Message, access: Access) -> Cause | None:
    """Why this request cannot have a session whoever the SIM is, password apart; None: it may."""
    if request.control is None or not request.bearers or request.imsi is None:
        return Cause.MISSING
    if request.version == 1 and request.linked_bearer is not None:
        return Cause.NOT_SUPPORTED  # a secondary PDP context: a session has one bearer
    if network_identifier(request.apn or "", access) not in access.apns:
        return Cause.UNKNOWN_APN
    return refused_network(request, access) or _refused_unnamed(request, access)


def _refused_unnamed(request: Message, access: Access) -> Cause | None:
    """Why a request is refused that names no network: version 2 must (TS 29.274 7.2.1), version 1 may
    (Routeing Area Identity and User Location Information are optional, TS 29.060 7.3.1)."""
    if request.network is not None:
        return None
    if request.version != 1:
        return Cause.MISSING
    return Cause.ROAMING if access.unnamed_network == "refuse" else None


def refused_network(request: Message, access: Access) -> Cause | None:
    """Why a request from this serving network, or over this radio, is refused (N4, N5).

    Of what it does not say, nothing is refused.
    """
    if request.network is not None and "-".join(request.network) not in access.networks:
        return Cause.ROAMING
    if request.rat is not None and RAT_NAMES.get(request.rat) not in access.rats:
        return Cause.RAT_DENIED
    return None


def network_identifier(apn: str, access: Access) -> str:
    """The APN in lower case, without the operator identifier of a network that is served."""
    name = apn.lower()
    match = _OPERATOR.fullmatch(name)
    if match is None:
        return name
    identifier, mnc, mcc = match.groups()
    served = [network.split("-") for network in access.networks]
    own = any((mcc, mnc) == (code, number.zfill(3)) for code, number in served)
    return identifier if own else name


def kinds_of(pdn_type: int | None, ipv6: bool) -> Kinds | None:
    """Which addresses a session of this PDN type gets; `ipv6`: it may have a /64. None: no session.

    Whoever asks for both and may have IPv4 only gets that, and is told that the network wants it so.
    """
    if pdn_type in (None, PDN_IPV4):
        return Kinds(True, False, Cause.ACCEPTED)
    if pdn_type == PDN_IPV4V6:
        return Kinds(True, ipv6, Cause.ACCEPTED if ipv6 else Cause.NEW_TYPE_PREFERENCE)
    return Kinds(False, True, Cause.ACCEPTED) if pdn_type == PDN_IPV6 and ipv6 else None


def end_of(fteid: Fteid | None, like: str) -> str | None:
    """The address of a tunnel's end that can be reached from `like`; None where it has none."""
    if fteid is None or fteid.teid == 0:
        return None
    text = fteid.ipv6 if ":" in like else fteid.ipv4
    if text is None:
        return None
    address = ipaddress.ip_address(text)
    if address.is_unspecified or address.is_multicast or address.is_link_local:
        return None
    if address.is_loopback and not ipaddress.ip_address(like).is_loopback:
        return None
    if any(address in prefix for prefix in _NOBODY if prefix.version == address.version):
        return None
    return str(address)


def cause_of(error: PktollError) -> Cause:
    """With which cause a request is refused that the engine does not take."""
    if isinstance(error, AttachError):
        return ATTACH_CAUSES.get(error.reason, Cause.NO_SUBSCRIPTION)
    return Cause.PEER_SILENT if isinstance(error, PoolUnavailable) else Cause.SYSTEM_FAILURE
