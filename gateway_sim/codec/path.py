"""Messages about a path of GTP-U, by scapy, and what they say (TS 29.281 7)."""

import ipaddress
from functools import lru_cache
from typing import NamedTuple

from gateway_sim.signalling.heard import ipv4_text

ECHO_REQUEST, ECHO_RESPONSE, ERROR_INDICATION, END_MARKER, G_PDU = 1, 2, 26, 254, 255
EXTENSIONS_MAX = 8
TEID_DATA, PEER_ADDRESS = 16, 133


class PathMessage(NamedTuple):
    """What came; `teid` of an error indication is the one that the sender does not know."""

    message_type: int
    sequence: int | None
    teid: int
    address: str = ""
    fault: str = ""


@lru_cache(maxsize=16)
def _template(message_type: int, elements: bytes = b"") -> bytes:
    """With an S flag there are four octets more; an end marker has none (5.1, 7.3.2)."""
    from scapy.contrib.gtp import GTP_U_Header

    numbered = message_type != END_MARKER
    header = GTP_U_Header(
        S=int(numbered),
        gtp_type=message_type,
        length=len(elements) + 4 * numbered,
        teid=0,
        seq=0,
    )
    return bytes(header) + elements


def _numbered(octets: bytes, sequence: int) -> bytes:
    return octets[:8] + sequence.to_bytes(2, "big") + octets[10:]


def echo_request(sequence: int) -> bytes:
    """Is this path alive (7.2.1)?"""
    return _numbered(_template(ECHO_REQUEST), sequence)


@lru_cache(maxsize=1)
def _restart() -> bytes:
    from scapy.contrib.gtp import IE_Recovery

    return bytes(IE_Recovery(restart_counter=0))


def echo_response(sequence: int) -> bytes:
    """It is; the restart counter means nothing here and is 0 (7.2.2)."""
    return _numbered(_template(ECHO_RESPONSE, _restart()), sequence)


@lru_cache(maxsize=16)
def _error(address: str) -> bytes:
    from scapy.contrib.gtp import IE_TEIDI, IE_GSNAddress

    teid = IE_TEIDI(TEIDI=0)
    if ":" in address:
        where = IE_GSNAddress(length=16, ipv6_address=address)
    else:
        where = IE_GSNAddress(length=4, ipv4_address=address)
    return _template(ERROR_INDICATION, bytes(teid) + bytes(where))


def error_indication(teid: int, address: str) -> bytes:
    """A G-PDU came to `address`, of this node, with a TEID that it does not know (7.3.1)."""
    octets = _error(address)
    return octets[:13] + teid.to_bytes(4, "big") + octets[17:]


def end_marker(teid: int) -> bytes:
    """The last on a path that moves elsewhere (7.3.2)."""
    return _template(END_MARKER)[:4] + teid.to_bytes(4, "big")


def read(data: bytes) -> PathMessage:
    """A message that is no G-PDU; never raises."""
    if len(data) < 8 or data[0] >> 4 != 3:
        return PathMessage(0, None, 0, fault="short" if len(data) < 8 else "version")
    kind, teid = data[1], int.from_bytes(data[4:8], "big")
    end = 8 + int.from_bytes(data[2:4], "big")
    begin = 12 if data[0] & 7 else 8
    if not begin <= end <= len(data):
        return PathMessage(kind, None, teid, fault="length")
    sequence = int.from_bytes(data[8:10], "big") if data[0] & 2 else None
    following = data[11] if data[0] & 4 else 0
    for _ in range(EXTENSIONS_MAX):
        if not following:
            break
        size = 4 * data[begin] if begin < end else 0
        if not size or begin + size > end:
            return PathMessage(kind, sequence, teid, fault="extension")
        begin += size
        following = data[begin - 1]
    if kind == ERROR_INDICATION:
        return _unknown(data[begin:end], sequence)
    return PathMessage(kind, sequence, teid, fault="extension" if following else "")


def _unknown(body: bytes, sequence: int | None) -> PathMessage:
    """TEID Data I and the address of the node that does not know it, in this order (7.3.1)."""
    teid, rest = int.from_bytes(body[1:5], "big"), body[5:]
    size = int.from_bytes(rest[1:3], "big")
    if body[:1] != b"\x10" or rest[:1] != b"\x85" or size not in (4, 16) or len(rest) < 3 + size:
        return PathMessage(ERROR_INDICATION, sequence, 0, fault="element")
    octets = rest[3 : 3 + size]
    address = ipv4_text(octets) if size == 4 else str(ipaddress.IPv6Address(octets))
    return PathMessage(ERROR_INDICATION, sequence, teid, address)
