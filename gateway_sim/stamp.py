"""Packets in columns -> records of a pcap: header templates, a few fields a packet, checksums.

Offsets are in 16-bit words of a stamped header: the 16 bytes of the pcap record header stand before
it, and every field of every header begins at an even byte. The payload is zeros.
"""

import ipaddress
from typing import Any

import numpy as np
import numpy.typing as npt

from engine.layout import DOWNLINK, UPLINK
from engine.units import NS_PER_S
from gateway_sim.codec import OUTER_BYTES, template
from gateway_sim.draw import Ints
from gateway_sim.scenario import TCP, UDP, Activity, Line, Scenario
from gateway_sim.traffic import FLAG_SYN, Packets

RECORD_BYTES = 16
WIDTH_BYTES = 128
OUTER_IP = (RECORD_BYTES + 14) // 2
OUTER_UDP = OUTER_IP + 10
GTP = OUTER_UDP + 4
INNER = (RECORD_BYTES + OUTER_BYTES) // 2
PORT_FIRST = 49_152
PORTS = 16_384
DNS_PORT = 53

Words = npt.NDArray[np.uint16]
Bytes = npt.NDArray[np.uint8]


class Stamper:
    """Holds one header for each flow and direction, and how far each TCP flow has got."""

    def __init__(self, scenario: Scenario) -> None:
        flows = scenario.flows()
        self.headers: Bytes = np.zeros((2 * len(flows), WIDTH_BYTES), np.uint8)
        self.size_bytes = np.zeros(2 * len(flows), np.int64)  # record and headers
        self.shape = np.zeros(2 * len(flows), np.int64)  # 2 * IPv6 + TCP
        self.sent_bytes = np.zeros(
            2 * len(flows), np.int64
        )  # TCP sequence numbers used up; UDP: datagrams
        self.stamped = 0
        templates: dict[tuple[bool, int], bytes] = {}
        for flow, (line, activity) in enumerate(flows):
            shape = (activity.v6, activity.server.protocol)
            if shape not in templates:
                templates[shape] = template(*shape)
            for direction in (UPLINK, DOWNLINK):
                header = _header(scenario, templates[shape], flow, line, activity, direction)
                slot = 2 * flow + direction
                self.headers[slot, : len(header)] = np.frombuffer(header, np.uint8)
                self.size_bytes[slot] = len(header)
                self.shape[slot] = 2 * activity.v6 + (activity.server.protocol == TCP)

    def stamp(self, packets: Packets) -> Bytes:
        """The pcap records of these packets, one after the other."""
        record_bytes = packets.length_bytes + (RECORD_BYTES + OUTER_BYTES)
        ends = np.cumsum(record_bytes)
        out = np.zeros(int(ends[-1]) + WIDTH_BYTES, np.uint8)
        seq, ack = self._sequence(packets)
        shapes = self.shape[packets.slot]
        for shape in np.unique(shapes):
            chosen = np.flatnonzero(shapes == shape)
            part = Packets(*(column[chosen] for column in packets))
            words = self.headers[part.slot].view(">u2")
            _stamp_outer(words, part, self.stamped + chosen)
            _stamp_inner(words, part, self.stamped + chosen, v6=shape >= 2)
            if shape % 2:
                _stamp_tcp(words, part, seq[chosen], ack[chosen], v6=shape >= 2)
            else:
                _stamp_udp(words, part, seq[chosen], v6=shape >= 2)
            size = int(self.size_bytes[part.slot[0]])
            windows = np.lib.stride_tricks.sliding_window_view(out, size, writeable=True)
            windows[ends[chosen] - record_bytes[chosen]] = words.view(np.uint8)[:, :size]
        self.stamped += packets.slot.size
        return out[: ends[-1]]

    def _sequence(self, packets: Packets) -> tuple[Ints, Ints]:
        """TCP sequence and acknowledgement number of each packet: what was sent before it.

        For UDP: how many datagrams went before it, each way.
        """
        order = np.argsort(packets.slot >> 1, kind="stable")
        slot = packets.slot[order]
        flow, direction = slot >> 1, slot & 1
        headers_bytes = self.size_bytes[slot] - RECORD_BYTES - OUTER_BYTES
        segment_bytes = packets.length_bytes[order] - headers_bytes
        segment_bytes += (packets.flags[order] & FLAG_SYN) != 0
        used = np.where(self.shape[slot] % 2, segment_bytes, 1)
        first = np.searchsorted(flow, flow)  # index of the flow's first packet here
        numbers = []
        for way in (UPLINK, DOWNLINK):
            mine = np.where(direction == way, used, 0)
            before = np.cumsum(mine) - mine
            numbers.append(before - before[first] + self.sent_bytes[2 * flow + way])
        np.add.at(self.sent_bytes, slot, used)
        seq, ack = np.empty_like(slot), np.empty_like(slot)
        seq[order] = np.where(direction == UPLINK, numbers[0], numbers[1])
        ack[order] = np.where(direction == UPLINK, numbers[1], numbers[0])
        return seq, ack


def _header(
    scenario: Scenario, made: bytes, flow: int, line: Line, activity: Activity, direction: int
) -> bytes:
    """A template with the flow's addresses, TEID and ports, behind an empty record header."""
    up = direction == UPLINK
    bytes_ = bytearray(RECORD_BYTES) + made
    nodes = [ipaddress.ip_address(scenario.sgw).packed, ipaddress.ip_address(scenario.pgw).packed]
    ends = [_terminal(line, activity.v6), _server(activity)]
    ports = [PORT_FIRST + flow % PORTS, activity.server.port]
    teid = line.teid_up if up else line.teid_down
    if not up:
        nodes, ends, ports = nodes[::-1], ends[::-1], ports[::-1]
    inner = 2 * INNER
    address = inner + (8 if activity.v6 else 12)
    upper = inner + (40 if activity.v6 else 20)
    if activity.server.protocol == UDP:
        bytes_ += _numbered(activity.server.port, up)
    _put(bytes_, 2 * OUTER_IP + 12, b"".join(nodes))
    _put(bytes_, 2 * GTP + 4, teid.to_bytes(4, "big"))
    _put(bytes_, address, b"".join(ends))
    _put(bytes_, upper, b"".join(port.to_bytes(2, "big") for port in ports))
    return bytes(bytes_)


def _numbered(port: int, up: bool) -> bytes:
    """The first words of a datagram: its number, stamped later, and flags where that makes it DNS.

    RFC 1035 4.1.1: a query that asks for recursion, and the answer that offers it.
    """
    flags = (0x0100 if up else 0x8180) if port == DNS_PORT else 0
    return b"\0\0" + flags.to_bytes(2, "big")


def _put(target: bytearray, offset: int, value: bytes) -> None:
    target[offset : offset + len(value)] = value


def _terminal(line: Line, v6: bool) -> bytes:
    """The line's first address of this version; in a /64 the terminal is host number 1."""
    networks = [ipaddress.ip_network(text) for text in line.addresses]
    network = next(item for item in networks if (item.version == 6) == v6)
    return (network.network_address + (1 if v6 else 0)).packed


def _server(activity: Activity) -> bytes:
    server = activity.server
    return ipaddress.ip_address((activity.v6 and server.address6) or server.address).packed


def _put32(words: Words, at: int, value: Ints) -> None:
    words[:, at] = (value >> 16) & 0xFFFF
    words[:, at + 1] = value & 0xFFFF


def checksum(words: npt.NDArray[Any]) -> Ints:
    """RFC 1071 checksum of each row of 16-bit words."""
    total: Ints = words.sum(axis=1, dtype=np.int64)
    total = (total & 0xFFFF) + (total >> 16)
    total = (total & 0xFFFF) + (total >> 16)
    return total ^ 0xFFFF


def _stamp_outer(words: Words, packets: Packets, number: Ints) -> None:
    """Record header (little-endian), outer IPv4 with its checksum, UDP and GTP-U lengths."""
    length = packets.length_bytes
    record = words.view("<u4")
    record[:, 0] = packets.time_ns // NS_PER_S
    record[:, 1] = packets.time_ns % NS_PER_S
    record[:, 2] = length + OUTER_BYTES
    record[:, 3] = length + OUTER_BYTES
    words[:, OUTER_IP + 1] = length + (OUTER_BYTES - 14)
    words[:, OUTER_IP + 2] = number & 0xFFFF
    words[:, OUTER_IP + 5] = checksum(words[:, OUTER_IP:OUTER_UDP])
    words[:, OUTER_UDP + 2] = length + (OUTER_BYTES - 34)
    words[:, GTP + 1] = length  # what follows the first 8 bytes (TS 29.281 5.1)


def _stamp_inner(words: Words, packets: Packets, number: Ints, v6: bool) -> None:
    if v6:
        words[:, INNER + 2] = packets.length_bytes - 40
        return
    words[:, INNER + 1] = packets.length_bytes
    words[:, INNER + 2] = number & 0xFFFF
    words[:, INNER + 5] = checksum(words[:, INNER : INNER + 10])


def _transport(words: Words, packets: Packets, v6: bool) -> tuple[int, Ints, Words]:
    """Where the transport header begins, its length in bytes, the addresses of its checksum."""
    begin, addresses = (INNER + 20, INNER + 4) if v6 else (INNER + 10, INNER + 6)
    return begin, packets.length_bytes - (40 if v6 else 20), words[:, addresses:begin]


def _stamp_tcp(words: Words, packets: Packets, seq: Ints, ack: Ints, v6: bool) -> None:
    begin, segment_bytes, addresses = _transport(words, packets, v6)
    _put32(words, begin + 2, seq)
    _put32(words, begin + 4, np.where(packets.flags == FLAG_SYN, 0, ack))
    words[:, begin + 6] |= packets.flags.astype(np.uint16)
    pseudo = np.stack([segment_bytes, np.full_like(segment_bytes, TCP)], axis=1)
    words[:, begin + 8] = checksum(
        np.concatenate([addresses, pseudo, words[:, begin : begin + 10]], axis=1)
    )


def _stamp_udp(words: Words, packets: Packets, number: Ints, v6: bool) -> None:
    begin, datagram_bytes, addresses = _transport(words, packets, v6)
    words[:, begin + 2] = datagram_bytes
    words[:, begin + 4] = number & 0xFFFF
    pseudo = np.stack([datagram_bytes, np.full_like(datagram_bytes, UDP)], axis=1)
    value = checksum(np.concatenate([addresses, pseudo, words[:, begin : begin + 6]], axis=1))
    # RFC 768: a checksum of zero means "none", so a computed zero is sent as all ones
    words[:, begin + 3] = np.where(value == 0, 0xFFFF, value)
