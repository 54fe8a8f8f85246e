"""User packets from numpy templates, each with a mark by which it is known when it comes out.

A packet is IPv4 (do not fragment) or IPv6, UDP, then the mark: SIM (its upper bit says downlink),
number of the packet in the run, time of sending; then octets that follow from their place in the slot.
Uplink packets have a GTP-U header in front (TS 29.281 5.1). So an arrival can be made anew and compared.
"""

import ipaddress
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from engine.layout import DOWNLINK, UPLINK
from gateway_sim.live.datagrams import SLOT_BYTES, Bytes, Ints
from gateway_sim.live.logs import Sent

GTP_BYTES = 8
"""version 1, protocol type GTP, no options; message type 255"""
UDP_BYTES = 8
MARK_BYTES = 16
DOWN_BIT = 1 << 31
HOST = 1
"""lower half of a terminal's IPv6 address"""
PORT_FIRST, PORTS = 49_152, 16_384
TTL = 64

PATTERN = ((np.arange(SLOT_BYTES, dtype=np.int64) * 37 + 11) % 251).astype(np.uint8)
_WORDS = PATTERN.view(">u2").astype(np.int64)
_WORD_SUMS: Ints = np.concatenate([np.zeros(1, np.int64), np.cumsum(_WORDS)])


@dataclass(frozen=True, slots=True)
class Shape:
    """What the packets of a stream have in common. `server` is an IPv4 or IPv6 address by `v6`."""

    direction: int
    v6: bool
    server: str
    port: int
    length: int
    """byte; the inner IP packet"""

    @property
    def header_bytes(self) -> int:
        """byte; GTP-U, IP and UDP."""
        return GTP_BYTES + (40 if self.v6 else 20) + UDP_BYTES

    @property
    def least_bytes(self) -> int:
        """byte; an inner packet that has room for the mark and nothing more."""
        return self.header_bytes - GTP_BYTES + MARK_BYTES


def template(shape: Shape) -> Bytes:
    """A slot up to where the pattern is left alone: everything that no packet has for itself."""
    row = PATTERN[: shape.header_bytes + MARK_BYTES].copy()
    row[: shape.header_bytes + MARK_BYTES] = 0
    _put(row, 0, bytes((0x30, 255)) + shape.length.to_bytes(2, "big"))
    ip = GTP_BYTES
    transport = shape.length - (40 if shape.v6 else 20)
    server = ipaddress.ip_address(shape.server).packed
    if shape.v6:
        _put(row, ip, b"\x60\0\0\0" + transport.to_bytes(2, "big") + bytes((17, TTL)))
        _put(row, ip + (24 if shape.direction == UPLINK else 8), server)
    else:
        _put(
            row, ip, b"\x45\0" + shape.length.to_bytes(2, "big") + b"\0\0\x40\0" + bytes((TTL, 17))
        )
        _put(row, ip + (16 if shape.direction == UPLINK else 12), server)
    udp = shape.header_bytes - UDP_BYTES
    port = shape.port.to_bytes(2, "big")
    _put(row, udp + (2 if shape.direction == UPLINK else 0), port)
    _put(row, udp + 4, transport.to_bytes(2, "big"))
    return row


def _put(row: Bytes, at: int, octets: bytes) -> None:
    row[at : at + len(octets)] = np.frombuffer(octets, np.uint8)


class Stamper:
    """Writes packets of one shape into slots."""

    def __init__(self, shape: Shape) -> None:
        self.shape = shape
        self.row = template(shape)
        self.head = self.row.size
        self._pattern_sum = _sum_of_pattern(self.head, GTP_BYTES + shape.length)

    def stamp(self, slots: Bytes, sent: Sent, numbers: Ints) -> None:
        """Packets with these numbers of the log into the first slots, whole."""
        shape, count = self.shape, numbers.size
        out = slots[:count]
        out[:, : self.head] = self.row
        out[:, self.head : GTP_BYTES + shape.length] = PATTERN[self.head : GTP_BYTES + shape.length]
        sim = sent["sim"][numbers]
        self._addresses(out, sent, numbers)
        _write(out, 4, ">u4", sent["teid"][numbers])
        udp = shape.header_bytes - UDP_BYTES
        _write(out, udp + (0 if shape.direction == UPLINK else 2), ">u2", PORT_FIRST + sim % PORTS)
        mark = shape.header_bytes
        _write(out, mark, ">u4", sim + DOWN_BIT * (shape.direction == DOWNLINK))
        _write(out, mark + 4, ">u4", numbers)
        _write(out, mark + 8, ">i8", sent["at_ns"][numbers])
        self._checksums(out)

    def _addresses(self, out: Bytes, sent: Sent, numbers: Ints) -> None:
        """The terminal's, as its session had it when the packet was sent."""
        up = self.shape.direction == UPLINK
        address = sent["address"][numbers]
        if self.shape.v6:
            at = GTP_BYTES + (8 if up else 24)
            _write(out, at, ">i8", address)
            _write(out, at + 8, ">i8", np.int64(HOST))
        else:
            _write(out, GTP_BYTES + (12 if up else 16), ">u4", address)

    def _checksums(self, out: Bytes) -> None:
        """IPv4 header (RFC 791) and UDP with its pseudo header (RFC 768, RFC 8200 8.1)."""
        shape = self.shape
        udp = shape.header_bytes - UDP_BYTES
        if not shape.v6:
            _write(out, GTP_BYTES + 10, ">u2", _fold(_sum(out, GTP_BYTES, udp)))
        addresses = GTP_BYTES + (8 if shape.v6 else 12)
        transport = shape.length - (udp - GTP_BYTES)
        total = _sum(out, addresses, self.head) + (transport + 17 + self._pattern_sum)
        value = _fold(total)
        _write(out, udp + 6, ">u2", np.where(value == 0, 0xFFFF, value))


def _write(out: Bytes, at: int, kind: str, values: Ints | np.int64) -> None:
    size = np.dtype(kind).itemsize
    out[:, at : at + size].view(kind)[:, 0] = values


def _sum(out: Bytes, begin: int, end: int) -> Ints:
    total: Ints = out[:, begin:end].view(">u2").sum(axis=1, dtype=np.int64)
    return total


def _sum_of_pattern(begin: int, end: int) -> int:
    """Sum of 16-bit words of the pattern; an odd last octet counts as the upper half of a word."""
    whole = int(_WORD_SUMS[end // 2] - _WORD_SUMS[begin // 2])
    return whole + (int(PATTERN[end - 1]) << 8 if end % 2 else 0)


def _fold(total: Ints) -> Ints:
    """RFC 1071: ones' complement of the ones' complement sum."""
    total = (total & 0xFFFF) + (total >> 16)
    total = (total & 0xFFFF) + (total >> 16)
    return total ^ 0xFFFF


def marks_of(data: Bytes, length: Ints) -> tuple[Ints, Ints]:
    """(SIM with its upper bit, number) of inner packets at GTP_BYTES of their slots; -1 without."""
    version = data[:, GTP_BYTES] >> 4
    sim = np.full(length.size, -1, np.int64)
    number = np.full(length.size, -1, np.int64)
    for wanted, header_bytes in ((4, GTP_BYTES + 20 + UDP_BYTES), (6, GTP_BYTES + 40 + UDP_BYTES)):
        rows = np.flatnonzero(
            (version == wanted) & (length >= header_bytes - GTP_BYTES + MARK_BYTES)
        )
        words = data[rows, header_bytes : header_bytes + 8].view(">u4").astype(np.int64)
        sim[rows], number[rows] = words[:, 0], words[:, 1]
    return sim, number


def addresses_of(data: Bytes) -> npt.NDArray[np.int64]:
    """Inner source of packets: IPv4 address, or the upper half of an IPv6 one."""
    v4: Ints = data[:, GTP_BYTES + 12 : GTP_BYTES + 16].view(">u4")[:, 0].astype(np.int64)
    v6: Ints = data[:, GTP_BYTES + 8 : GTP_BYTES + 16].view(">i8")[:, 0].astype(np.int64)
    return np.where(data[:, GTP_BYTES] >> 4 == 6, v6, v4)
