"""GTP-C messages by hand, octet for octet, with every field open to being wrong; and those of captures."""

import struct
from collections.abc import Iterator
from pathlib import Path

IMSI = bytes.fromhex("44101032547698f0")
"""440-10 1234567890"""
LINKS = {1: (12, 14), 113: (14, 16)}
"""link type: where the EtherType stands, and where the packet begins"""


def ie2(kind: int, body: bytes, instance: int = 0, length: int | None = None) -> bytes:
    """An element of version 2."""
    size = len(body) if length is None else length
    return bytes([kind]) + struct.pack("!HB", size, instance) + body


def v2(
    kind: int,
    body: bytes = b"",
    *,
    teid: int | None = 0,
    sequence: int = 1,
    flags: int = 0x40,
    length: int | None = None,
) -> bytes:
    """A message of version 2."""
    tail = struct.pack("!I", sequence << 8) + body
    if teid is not None:
        flags |= 0x08
        tail = struct.pack("!I", teid) + tail
    size = len(tail) if length is None else length
    return struct.pack("!BBH", flags, kind, size) + tail


def ie1(kind: int, body: bytes, length: int | None = None) -> bytes:
    """An element of version 1: with a length where its type is 128 or more."""
    if kind < 128:
        return bytes([kind]) + body
    return bytes([kind]) + struct.pack("!H", len(body) if length is None else length) + body


def v1(
    kind: int,
    body: bytes = b"",
    *,
    teid: int = 0,
    sequence: int = 1,
    flags: int = 0x32,
    extension: int = 0,
    length: int | None = None,
) -> bytes:
    """A message of version 1; `body` starts with extension headers where `extension` names the first."""
    optional = struct.pack("!HBB", sequence, 0, extension) if flags & 7 else b""
    size = len(optional + body) if length is None else length
    return struct.pack("!BBHI", flags, kind, size, teid) + optional + body


def fteid(interface: int = 6, teid: int = 0x1000, flags: int = 0x80, rest: bytes = b"") -> bytes:
    """Contents of an F-TEID, at 127.0.0.2 unless told otherwise."""
    return bytes([flags | interface]) + struct.pack("!I", teid) + (rest or b"\x7f\0\0\x02")


CONTEXT = {
    "ebi": ie2(73, b"\x05"),
    "fteid": ie2(87, fteid(4, 0x2000), 2),
    "qos": ie2(80, bytes([0x7C, 9]) + bytes(20)),
}
CREATE = {
    "imsi": ie2(1, IMSI),
    "rat": ie2(82, b"\x06"),
    "network": ie2(83, bytes.fromhex("44f001")),
    "control": ie2(87, fteid()),
    "apn": ie2(71, b"\x06iijmio\x02jp"),
    "pdn": ie2(99, b"\x01"),
    "paa": ie2(79, b"\x01" + bytes(4)),
    "bearer": ie2(93, b"".join(CONTEXT.values())),
}


def create2(**parts: bytes) -> bytes:
    """A Create Session Request; a part that is named takes the place of its own, or comes last."""
    return v2(32, b"".join((CREATE | parts).values()))


def context(**parts: bytes) -> bytes:
    """A bearer context for it."""
    return ie2(93, b"".join((CONTEXT | parts).values()))


CREATE_PDP = {
    "imsi": ie1(2, IMSI),
    "data": ie1(16, struct.pack("!I", 0x2000)),
    "control": ie1(17, struct.pack("!I", 0x1000)),
    "nsapi": ie1(20, b"\x05"),
    "user": ie1(128, b"\xf1\x21"),
    "apn": ie1(131, b"\x06iijmio\x02jp"),
    "gsn_control": ie1(133, b"\x7f\0\0\x02"),
    "gsn_user": ie1(133, b"\x7f\0\0\x03"),
}


def create1(**parts: bytes) -> bytes:
    """A Create PDP Context Request; a part that is named takes the place of its own, or comes last."""
    return v1(16, b"".join((CREATE_PDP | parts).values()))


def datagrams(path: Path) -> Iterator[tuple[int, bytes]]:
    """(number of the frame, payload) of the UDP datagrams in a small capture of little endian."""
    for number, link, frame in _frames(path.read_bytes()):
        at, start = LINKS[link]
        while frame[at : at + 2] in (b"\x81\x00", b"\x88\xa8"):
            at, start = at + 4, start + 4
        packet = frame[start:]
        if packet[:1] and packet[0] >> 4 == 4 and packet[9] == 17:
            datagram = packet[(packet[0] & 0xF) * 4 : int.from_bytes(packet[2:4], "big")]
        elif packet[:1] and packet[0] >> 4 == 6 and packet[6] == 17:
            datagram = packet[40 : 40 + int.from_bytes(packet[4:6], "big")]
        else:
            continue
        yield number, datagram[8 : int.from_bytes(datagram[4:6], "big")]


def _frames(data: bytes) -> Iterator[tuple[int, int, bytes]]:
    """(number, link type, octets) of each frame of a pcap or pcapng file."""
    if data[:4] == b"\x0a\x0d\x0d\x0a":
        yield from _enhanced(data)
        return
    at, number = 24, 0
    while at < len(data):
        size = int.from_bytes(data[at + 8 : at + 12], "little")
        number += 1
        yield number, data[20], data[at + 16 : at + 16 + size]
        at += 16 + size


def _enhanced(data: bytes) -> Iterator[tuple[int, int, bytes]]:
    links: list[int] = []
    at, number = 0, 0
    while at < len(data):
        kind, size = struct.unpack_from("<II", data, at)
        if kind == 1:
            links.append(int.from_bytes(data[at + 8 : at + 10], "little"))
        elif kind == 6:
            number += 1
            interface, kept = struct.unpack_from("<I8xI", data, at + 8)
            yield number, links[interface], data[at + 28 : at + 28 + kept]
        at += size
