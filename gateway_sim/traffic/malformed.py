"""Datagrams to the GTP-U port that break a rule each, and the reason by which a gateway drops them.

Each is a function of the tunnel's TEID and of a right inner packet; what it breaks is in its name.
Reasons are those of `engine.verdict.NAMES`.
"""

from collections.abc import Callable
from typing import NamedTuple

G_PDU, ECHO_REQUEST = 0xFF, 0x01
PLAIN, EXTENDED, SEQUENCED = 0x30, 0x34, 0x32
"""flags: version 1, GTP, and none of the options, an extension header, a sequence number"""
UNUSED_OPTIONAL, UNUSED_REQUIRED = 0x20, 0xC1
"""extension types of nobody: one to be skipped, one that the receiver must know (TS 29.281 5.2.1)"""
CHAIN = 9
"""extension headers, one more than a gateway looks at"""


class Malformed(NamedTuple):
    """How it is broken, by which reason it is dropped, and the datagram's payload."""

    name: str
    reason: str
    build: Callable[[bytes, bytes], bytes]


def message(
    teid: bytes, body: bytes, flags: int = PLAIN, kind: int = G_PDU, more: int = 0
) -> bytes:
    """A GTP-U message; its length field says `more` than is there."""
    return bytes([flags, kind]) + (len(body) + more).to_bytes(2, "big") + teid + body


def _extended(teid: bytes, kind: int, rest: bytes) -> bytes:
    """Behind four octets of options, the last of which announces an extension header."""
    return message(teid, bytes([0, 0, 0, kind]) + rest, EXTENDED)


def _v6(next_header: int, payload: bytes, payload_length: int) -> bytes:
    ends = bytes.fromhex("20010db8 00000000 00000000 00000001") * 2
    return (
        b"\x60\0\0\0"
        + payload_length.to_bytes(2, "big")
        + bytes([next_header, 64])
        + ends
        + payload
    )


ALL = (
    Malformed("a header of 7 octets", "short", lambda teid, ip: message(teid, b"")[:7]),
    Malformed("version 2", "version", lambda teid, ip: message(teid, ip, 0x50)),
    Malformed("GTP'", "proto", lambda teid, ip: message(teid, ip, 0x20)),
    Malformed(
        "extension of length 0", "ext_len", lambda teid, ip: _extended(teid, 0x85, b"\0" + ip)
    ),
    Malformed("extension past the end", "short", lambda teid, ip: _extended(teid, 0x85, b"")),
    Malformed(
        "chain of extensions",
        "ext_count",
        lambda teid, ip: _extended(
            teid,
            UNUSED_OPTIONAL,
            bytes([1, 0, 0, UNUSED_OPTIONAL]) * (CHAIN - 1) + b"\x01\0\0\0" + ip,
        ),
    ),
    Malformed(
        "unknown required extension",
        "ext_required",
        lambda teid, ip: _extended(teid, UNUSED_REQUIRED, b"\x01\0\0\0" + ip),
    ),
    Malformed("G-PDU of nothing", "empty", lambda teid, ip: message(teid, b"")),
    Malformed("longer than it is", "len", lambda teid, ip: message(teid, ip, more=4)),
    Malformed("Echo of 8 octets", "short", lambda teid, ip: message(teid, b"", SEQUENCED, 1)),
    Malformed("Echo without number", "noseq", lambda teid, ip: message(teid, bytes(4), PLAIN, 1)),
    Malformed("IHL of 2", "ihl", lambda teid, ip: message(teid, b"\x42" + ip[1:])),
    Malformed("IHL past the end", "ihl", lambda teid, ip: message(teid, b"\x4f" + ip[1:20])),
    Malformed(
        "total length past the end",
        "len",
        lambda teid, ip: message(teid, ip[:2] + (len(ip) + 9).to_bytes(2, "big") + ip[4:]),
    ),
    Malformed("IP version 5", "ipver", lambda teid, ip: message(teid, b"\x55" + ip[1:])),
    Malformed("IPv6 of length 0", "jumbo", lambda teid, ip: message(teid, _v6(17, ip[20:], 0))),
    Malformed(
        "routing header of type 0",
        "v6ext",
        lambda teid, ip: message(teid, _v6(43, bytes([17, 0, 0, 1, 0, 0, 0, 0]) + ip[20:], 8)),
    ),
)
