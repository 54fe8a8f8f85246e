"""Frames and capture files by hand, byte for byte, with every field open to being wrong."""

import ipaddress
import struct
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from engine.layout import PACKET
from engine.wire import MODE_GTP
from engine.wire.capture import Capture
from engine.wire.endpoints import Endpoints

SGW = "192.168.1.1"
PGW = "192.168.1.2"
UE = "10.1.0.1"
SERVER = "203.0.113.7"
UE6 = "2001:db8:0:1::1"
SERVER6 = "2001:db8:ffff::7"

TIME_NS = 1_383_609_600_123_456_789


def address(text: str) -> bytes:
    return ipaddress.ip_address(text).packed


def udp(
    payload: bytes = b"", src: int = 40_000, dst: int = 443, length: int | None = None
) -> bytes:
    size = 8 + len(payload) if length is None else length
    return struct.pack("!HHHH", src, dst, size, 0) + payload


def tcp(payload: bytes = b"", src: int = 40_000, dst: int = 443) -> bytes:
    return struct.pack("!HHIIBBHHH", src, dst, 1, 1, 0x50, 0x10, 65_535, 0, 0) + payload


def ipv4(
    payload: bytes = b"",
    src: str = UE,
    dst: str = SERVER,
    *,
    protocol: int = 17,
    total: int | None = None,
    ihl: int | None = None,
    fragment: int = 0,
    options: bytes = b"",
    version: int = 4,
) -> bytes:
    words = 5 + len(options) // 4 if ihl is None else ihl
    size = 20 + len(options) + len(payload) if total is None else total
    head = struct.pack("!BBHHHBBH", version << 4 | words, 0, size, 7, fragment, 64, protocol, 0)
    return head + address(src) + address(dst) + options + payload


def ipv6(
    payload: bytes = b"",
    src: str = UE6,
    dst: str = SERVER6,
    *,
    following: int = 17,
    length: int | None = None,
) -> bytes:
    size = len(payload) if length is None else length
    head = struct.pack("!IHBB", 6 << 28, size, following, 64)
    return head + address(src) + address(dst) + payload


def gtp(
    payload: bytes = b"",
    *,
    teid: int = 1,
    kind: int = 255,
    flags: int = 0x30,
    length: int | None = None,
    optional: bytes = b"",
) -> bytes:
    """A GTP-U message; `optional` is what stands between the first eight bytes and the payload."""
    size = len(optional) + len(payload) if length is None else length
    return struct.pack("!BBHI", flags, kind, size, teid) + optional + payload


def tunnel(message: bytes, src: str = SGW, dst: str = PGW, *, port: int = 2152) -> bytes:
    """The outer IPv4 or IPv6 packet around a GTP-U message."""
    datagram = udp(message, port, port)
    if ":" in dst:
        return ipv6(datagram, src, dst)
    return ipv4(datagram, src, dst)


def ethernet(packet: bytes, *tags: int) -> bytes:
    """An Ethernet frame with these tag types (VLAN 5 each) around an IP packet."""
    kind = 0x86DD if packet and packet[0] >> 4 == 6 else 0x0800
    tagged = b"".join(struct.pack("!HH", tag, 5) for tag in tags)
    return bytes(12) + tagged + struct.pack("!H", kind) + packet


def g_pdu_frame(packet: bytes, **fields: Any) -> bytes:
    """An Ethernet frame with a G-PDU around `packet`."""
    return ethernet(tunnel(gtp(packet, **fields)))


# --- capture files ---

Frame = bytes | tuple[int, bytes] | tuple[int, bytes, int]


def _unpack(frame: Frame) -> tuple[int, bytes, int]:
    """(time in ns, captured bytes, length on the wire)."""
    if isinstance(frame, bytes):
        return TIME_NS, frame, len(frame)
    if len(frame) == 2:
        return frame[0], frame[1], len(frame[1])
    return frame


def pcap_header(
    link: int = 1, *, magic: int = 0xA1B2C3D4, order: str = "<", version: tuple[int, int] = (2, 4)
) -> bytes:
    return struct.pack(order + "IHHiIII", magic, *version, 0, 0, 65_535, link)


def record(seconds: int, fraction: int, data: bytes, wire: int, order: str = "<") -> bytes:
    return struct.pack(order + "IIII", seconds, fraction, len(data), wire) + data


def pcap(
    frames: Iterable[Frame], link: int = 1, *, magic: int = 0xA1B2C3D4, order: str = "<"
) -> bytes:
    unit_ns = 1 if magic == 0xA1B23C4D else 1000
    parts = [pcap_header(link, magic=magic, order=order)]
    for frame in frames:
        time_ns, data, wire = _unpack(frame)
        seconds, rest_ns = divmod(time_ns, 10**9)
        whole = record(seconds, rest_ns // unit_ns, data, wire, order)
        extra = bytes(8) if magic == 0xA1B2CD34 else b""
        parts.append(whole[:16] + extra + whole[16:])
    return b"".join(parts)


def _padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % 4)


def block(kind: int, body: bytes, order: str = "<") -> bytes:
    size = 12 + len(_padded(body))
    return struct.pack(order + "II", kind, size) + _padded(body) + struct.pack(order + "I", size)


def option(code: int, value: bytes, order: str = "<") -> bytes:
    return struct.pack(order + "HH", code, len(value)) + _padded(value)


def section(order: str = "<", version: tuple[int, int] = (1, 0)) -> bytes:
    return block(0x0A0D0D0A, struct.pack(order + "IHHq", 0x1A2B3C4D, *version, -1), order)


def interface(link: int = 1, *, options: bytes = b"", snaplen: int = 0, order: str = "<") -> bytes:
    return block(1, struct.pack(order + "HHI", link, 0, snaplen) + options, order)


def enhanced(
    data: bytes, units: int = 0, *, number: int = 0, wire: int | None = None, order: str = "<"
) -> bytes:
    size = len(data) if wire is None else wire
    head = struct.pack(order + "IIIII", number, units >> 32, units & 0xFFFFFFFF, len(data), size)
    return block(6, head + _padded(data), order)


def obsolete(data: bytes, units: int = 0, *, number: int = 0, order: str = "<") -> bytes:
    high, low = units >> 32, units & 0xFFFFFFFF
    head = struct.pack(order + "HHIIII", number, 0, high, low, len(data), len(data))
    return block(2, head + _padded(data), order)


def simple(data: bytes, wire: int | None = None, order: str = "<") -> bytes:
    size = len(data) if wire is None else wire
    return block(3, struct.pack(order + "I", size) + _padded(data), order)


def pcapng(frames: Iterable[Frame], link: int = 1) -> bytes:
    """One little-endian section with one interface that stamps in nanoseconds."""
    parts = [section(), interface(link, options=option(9, b"\x09") + option(0, b""))]
    for frame in frames:
        time_ns, data, wire = _unpack(frame)
        parts.append(enhanced(data, time_ns, wire=wire))
    return b"".join(parts)


# --- reading back ---


def read_all(capture: Capture) -> npt.NDArray[Any]:
    """All packets of a capture, copied into one array."""
    batches = [batch.copy() for batch in capture]
    return np.concatenate(batches) if batches else np.zeros(0, dtype=PACKET)


def parse(
    folder: Path, data: bytes, mode: int = MODE_GTP, **settings: Any
) -> tuple[npt.NDArray[Any], Capture]:
    """The packets of a capture with these bytes, and the capture after reading."""
    path = folder / "capture"
    path.write_bytes(data)
    capture = Capture(str(path), Endpoints(), mode, **settings)
    return read_all(capture), capture


def only(folder: Path, frame: Frame, mode: int = MODE_GTP, link: int = 1) -> Any:
    """The one packet of a capture of one frame."""
    packets, capture = parse(folder, pcap([frame], link), mode)
    assert capture.fault is None
    assert len(packets) == 1
    return packets[0]
