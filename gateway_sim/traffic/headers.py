"""One header for each flow and direction, with all that does not change from packet to packet.

Places are in 16-bit words of a header: the 16 bytes of the pcap record header stand before it, and
every field of every header begins at an even byte.
"""

import ipaddress
from collections.abc import Callable
from socket import AF_INET, AF_INET6, inet_pton
from typing import Any

import numpy as np
import numpy.typing as npt

from engine.layout import DOWNLINK, UPLINK
from gateway_sim.codec.headers import OUTER_BYTES, control_template, template
from gateway_sim.scenario import TCP, UDP, Line, Scenario
from gateway_sim.traffic.draw import Ints
from gateway_sim.traffic.flows import Flows

RECORD_BYTES = 16
WIDTH_BYTES = 128
OUTER_IP = (RECORD_BYTES + 14) // 2
OUTER_UDP = OUTER_IP + 10
GTP = OUTER_UDP + 4
INNER = (RECORD_BYTES + OUTER_BYTES) // 2
PORT_FIRST = 49_152
PORTS = 16_384
DNS_PORT = 53

Bytes = npt.NDArray[np.uint8]


class Headers:
    """The headers, and the sums of their words that checksums start from, by slot (2 * flow + direction).

    `shape` is 2 * IPv6 + TCP; `size_bytes` is that of the record header and all headers of a shape.
    """

    def __init__(self, scenario: Scenario, flows: Flows) -> None:
        pairs = scenario.flows()
        self.bytes: Bytes = np.zeros((2 * len(pairs), WIDTH_BYTES), np.uint8)
        self.shape: Ints = np.repeat(2 * flows.v6 + flows.tcp, 2).astype(np.int64)
        self.size_bytes = np.zeros(4, np.int64)
        self.teid_moved = np.array([line.teid_moved for line, _ in pairs], np.int64)
        terminals = _Terminals()
        ends = [(terminals.of(line, a.v6), _server(a.server, a.v6)) for line, a in pairs]
        teids = np.array([(line.teid_up, line.teid_down) for line, _ in pairs], ">u4")
        ports = np.array([activity.server.port for _, activity in pairs], ">u2")
        nodes = [_packed(scenario.sgw), _packed(scenario.pgw)]
        for shape in np.unique(self.shape).tolist():
            chosen = np.flatnonzero(self.shape[::2] == shape)
            both = [
                np.frombuffer(b"".join(ends[n][end] for n in chosen), np.uint8) for end in (0, 1)
            ]
            columns = [column.reshape(chosen.size, -1) for column in both]
            for way in (UPLINK, DOWNLINK):
                made = _made(shape, nodes, columns, chosen, ports[chosen], way)
                made[:, 2 * GTP + 4 : 2 * GTP + 8] = _octets(teids[chosen, way], 4)
                self.bytes[2 * chosen + way, : made.shape[1]] = made
                self.size_bytes[shape] = made.shape[1]
        words = self.bytes.view(">u2")
        self.outer_sum = _sum(words[:, OUTER_IP:OUTER_UDP])
        self.inner_sum = _sum(words[:, INNER : INNER + 10])
        self.upper_sum = _upper_sums(words, self.shape)


def _made(
    shape: int, nodes: list[Bytes], ends: list[Bytes], flow: Ints, ports: Any, way: int
) -> Bytes:
    """Headers of one shape and direction, each behind an empty record header."""
    v6, tcp = shape >= 2, shape % 2
    pattern = bytes(RECORD_BYTES) + template(v6, TCP if tcp else UDP)
    if not tcp:
        pattern += bytes(4)
    rows = np.tile(np.frombuffer(pattern, np.uint8), (flow.size, 1))
    local = _octets((PORT_FIRST + flow % PORTS).astype(">u2"), 2)
    remote = _octets(ports, 2)
    address = 2 * INNER + (8 if v6 else 12)
    upper = 2 * INNER + (40 if v6 else 20)
    if not tcp:
        flags = np.where(ports == DNS_PORT, 0x0100 if way == UPLINK else 0x8180, 0)
        rows[:, upper + 10 : upper + 12] = _octets(flags.astype(">u2"), 2)  # RFC 1035 4.1.1
    pairs = ((nodes[0], nodes[1]), (ends[0], ends[1]), (local, remote))
    for at, pair in zip((2 * OUTER_IP + 12, address, upper), pairs, strict=True):
        first, second = pair if way == UPLINK else pair[::-1]
        width = first.shape[-1]
        rows[:, at : at + width] = first
        rows[:, at + width : at + 2 * width] = second
    return rows


def _octets(column: Any, width: int) -> Bytes:
    """A column of big-endian integers as rows of bytes."""
    return np.ascontiguousarray(column).view(np.uint8).reshape(-1, width)


def _sum(words: npt.NDArray[Any]) -> Ints:
    total: Ints = words.sum(axis=1, dtype=np.int64)
    return total


def _upper_sums(words: npt.NDArray[Any], shape: Ints) -> Ints:
    """Pseudo header (RFC 9293 3.1, RFC 8200 8.1) and transport header, without what a packet adds."""
    v4 = _sum(words[:, INNER + 6 : INNER + 20])
    v6 = _sum(words[:, INNER + 4 : INNER + 30])
    return np.where(shape >= 2, v6, v4) + np.where(shape % 2, TCP, UDP)


def control_header(source: bytes, target: bytes) -> Callable[[int], Bytes]:
    """Ethernet, IPv4 and UDP of a control message, as a function of the message's size in bytes."""

    def made(size: int) -> Bytes:
        octets = bytearray(control_template())
        octets[16:18] = (len(octets) + size - 14).to_bytes(2, "big")
        octets[26:34] = source + target
        octets[38:40] = (size + 8).to_bytes(2, "big")
        total = int(np.frombuffer(bytes(octets[14:34]), ">u2").sum(dtype=np.int64))
        total = (total & 0xFFFF) + (total >> 16)
        octets[24:26] = ((total & 0xFFFF) + (total >> 16) ^ 0xFFFF).to_bytes(2, "big")
        return np.frombuffer(bytes(octets), np.uint8)

    return made


class _Terminals:
    """Addresses of terminals in octets; a line's are parsed once."""

    def __init__(self) -> None:
        self._line: Line | None = None
        self._of: dict[bool, bytes] = {}

    def of(self, line: Line, v6: bool) -> bytes:
        """The line's first address of this version; in a /64 the terminal is host number 1."""
        if line is not self._line:
            self._line, self._of = line, {}
            for text in line.addresses:
                six = ":" in text
                packed = packed_address(text)
                self._of.setdefault(six, packed[:-1] + b"\1" if six else packed)
        return self._of[v6]


def packed_address(text: str) -> bytes:
    """An address that the loader has checked, or that of a prefix, in octets; for many, and quick."""
    family = AF_INET6 if ":" in text else AF_INET
    return inet_pton(family, text.partition("/")[0])


_servers: dict[tuple[str, str | None, bool], bytes] = {}


def _server(server: Any, v6: bool) -> bytes:
    key = (server.address, server.address6, v6)
    if key not in _servers:
        _servers[key] = ipaddress.ip_address((v6 and server.address6) or server.address).packed
    return _servers[key]


def _packed(address: str) -> Bytes:
    return np.frombuffer(ipaddress.ip_address(address).packed, np.uint8)
