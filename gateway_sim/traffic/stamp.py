"""Packets in columns -> records of a pcap: a header of the flow, a few fields a packet, checksums.

The payload is zeros.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from engine.layout import UPLINK
from engine.units import NS_PER_S
from gateway_sim.codec.headers import OUTER_BYTES
from gateway_sim.scenario import Scenario
from gateway_sim.traffic.draw import Ints
from gateway_sim.traffic.flows import Flows
from gateway_sim.traffic.headers import (
    GTP,
    INNER,
    OUTER_IP,
    OUTER_UDP,
    RECORD_BYTES,
    WIDTH_BYTES,
    Bytes,
    Headers,
)
from gateway_sim.traffic.packets import Packets
from gateway_sim.traffic.plan import FLAG_SYN

Words = npt.NDArray[np.uint16]


class Frames(NamedTuple):
    """Whole frames of one length, in time order, to be put between the packets of flows."""

    time_ns: Ints
    data: Bytes  # one row a frame


class Page:
    """A buffer for records, zero but where something was written since it was last wiped."""

    def __init__(self) -> None:
        self.data: Bytes = np.zeros(0, np.uint8)
        self.size = 0
        self._written: list[tuple[Ints, int]] = []

    def prepare(self, size: int) -> None:
        """All zeros, and room for `size` bytes."""
        if self.data.size < size + WIDTH_BYTES:
            self.data = np.zeros(size + size // 4 + WIDTH_BYTES, np.uint8)
        for at, width in self._written:
            self._windows(width)[at] = 0
        self._written.clear()
        self.size = size

    def put(self, at: Ints, rows: Bytes) -> None:
        """Each row to its place."""
        if at.size:
            self._windows(rows.shape[1])[at] = rows
            self._written.append((at, rows.shape[1]))

    def records(self) -> memoryview:
        """What the page holds."""
        return self.data[: self.size].data

    def _windows(self, width: int) -> Bytes:
        windows: Bytes = np.lib.stride_tricks.sliding_window_view(self.data, width, writeable=True)
        return windows


class Stamper:
    """Holds one header for each flow and direction, and how far each TCP flow has got."""

    def __init__(self, scenario: Scenario, flows: Flows, moved_ns: Ints | None = None) -> None:
        """`moved_ns`: when each flow's downlink gets another TEID (a handover), if any does."""
        self.headers = Headers(scenario, flows)
        self.moved_ns = moved_ns
        self.sequences = Sequences(self.headers.shape, np.repeat(flows.header_bytes, 2))
        self.stamped = 0

    def stamp(self, packets: Packets, frames: Sequence[Frames], page: Page) -> None:
        """Fill the page with the pcap records of packets and frames, in order of time.

        Frames come before packets of the same instant, those of one source in its own order.
        """
        places = _places(packets, frames)
        page.prepare(places[-1])
        for group, at in zip(frames, places[:-2], strict=True):
            page.put(at, _recorded(group))
        if not packets.slot.size:
            return
        seq, ack = self.sequences.take(packets)
        shapes = self.headers.shape[packets.slot]
        for shape in np.flatnonzero(np.bincount(shapes, minlength=4)).tolist():
            chosen = np.flatnonzero(shapes == shape)
            part = Packets(*(column[chosen] for column in packets))
            rows = self.headers.bytes[part.slot]
            self._fill(rows, part, self.stamped + chosen, (seq[chosen], ack[chosen]))
            page.put(places[-2][chosen], rows[:, : self.headers.size_bytes[shape]])
        self.stamped += packets.slot.size

    def _fill(self, rows: Bytes, part: Packets, number: Ints, turn: tuple[Ints, Ints]) -> None:
        """The fields of packets of one shape."""
        headers, slot = self.headers, part.slot
        if self.moved_ns is not None:
            flow = slot >> 1
            moved = np.flatnonzero((slot & 1 != UPLINK) & (part.time_ns >= self.moved_ns[flow]))
            rows[moved, 2 * GTP + 4 : 2 * GTP + 8] = _octets32(headers.teid_moved[flow[moved]])
        shape = int(headers.shape[slot[0]])
        words = rows.view(np.uint16)
        _stamp_record(rows, part.time_ns, part.length_bytes + OUTER_BYTES)
        _stamp_outer(words, part.length_bytes, number, headers.outer_sum[slot])
        if shape >= 2:
            _put16(words, INNER + 2, part.length_bytes - 40)
        else:
            _stamp_inner(words, part.length_bytes, number, headers.inner_sum[slot])
        if shape % 2:
            _stamp_tcp(words, part, turn, headers.upper_sum[slot], v6=shape >= 2)
        else:
            _stamp_udp(words, part, turn[0], headers.upper_sum[slot], v6=shape >= 2)


class Sequences:
    """How far each flow has got, each way: TCP sequence numbers used up, or number of datagrams."""

    def __init__(self, shape: Ints, header_bytes: Ints) -> None:
        self.tcp = shape % 2 != 0
        self.header_bytes = header_bytes
        self.sent = np.zeros(shape.size, np.int64)
        # numpy sorts integers of 16 bits by radix, several times faster than wider ones
        self.narrow: type[Any] = np.uint16 if shape.size <= 1 << 17 else np.int64

    def take(self, packets: Packets) -> tuple[Ints, Ints]:
        """What was sent before each packet, its own way and the other; for UDP: datagrams."""
        order = np.argsort((packets.slot >> 1).astype(self.narrow), kind="stable")
        slot = packets.slot[order]
        flow, up = slot >> 1, (slot & 1) == UPLINK
        used = packets.length_bytes[order] - self.header_bytes[slot]
        used += (packets.flags[order] & FLAG_SYN) != 0
        used = np.where(self.tcp[slot], used, 1)
        begins = np.flatnonzero(np.diff(flow, prepend=-1))
        runs = np.diff(begins, append=flow.size)
        numbers = []
        for way in (0, 1):
            mine = np.where(up == (way == UPLINK), used, 0)
            before = np.cumsum(mine) - mine
            offset = self.sent[2 * flow[begins] + way] - before[begins]
            self.sent[2 * flow[begins] + way] += np.add.reduceat(mine, begins)
            numbers.append(before + np.repeat(offset, runs))
        seq, ack = np.empty_like(slot), np.empty_like(slot)
        seq[order] = np.where(up == (UPLINK == 0), numbers[0], numbers[1])
        ack[order] = np.where(up == (UPLINK == 0), numbers[1], numbers[0])
        return seq, ack


def _places(packets: Packets, frames: Sequence[Frames]) -> list[Any]:
    """Where the records of each group of frames and of the packets begin; the last item is the size."""
    own_bytes = packets.length_bytes + (RECORD_BYTES + OUTER_BYTES)
    if not frames:
        ends = np.cumsum(own_bytes)
        return [ends - own_bytes, int(ends[-1])]
    sizes = [np.full(group.time_ns.size, RECORD_BYTES + group.data.shape[1]) for group in frames]
    sizes.append(own_bytes)
    times = np.concatenate([*(group.time_ns for group in frames), packets.time_ns])
    order = np.argsort(times, kind="stable")
    size = np.concatenate(sizes)
    ends = np.cumsum(size[order])
    at = np.empty_like(ends)
    at[order] = ends - size[order]
    return [*np.split(at, np.cumsum([part.size for part in sizes])[:-1]), int(ends[-1])]


def _recorded(frames: Frames) -> Bytes:
    """Frames behind their record headers."""
    rows = np.zeros((frames.time_ns.size, RECORD_BYTES + frames.data.shape[1]), np.uint8)
    rows[:, RECORD_BYTES:] = frames.data
    head = np.zeros((frames.time_ns.size, RECORD_BYTES), np.uint8)
    _stamp_record(head, frames.time_ns, np.full(frames.time_ns.size, frames.data.shape[1]))
    rows[:, :RECORD_BYTES] = head
    return rows


def _stamp_record(rows: Bytes, time_ns: Ints, length: Ints) -> None:
    """The record header of a little-endian pcap with nanosecond stamps."""
    record = rows.view("<u4")
    seconds = time_ns // NS_PER_S
    record[:, 0] = seconds
    record[:, 1] = time_ns - seconds * NS_PER_S
    record[:, 2] = record[:, 3] = length


def _octets32(value: Ints) -> Bytes:
    """Big-endian integers as rows of four bytes."""
    return value.astype(">u4").view(np.uint8).reshape(-1, 4)


def _put16(words: Words, at: int, value: Ints) -> None:
    """The lower 16 bits, in network order."""
    words[:, at] = value.astype(">u2").view(np.uint16)


def _put32(words: Words, at: int, value: Ints) -> None:
    _put16(words, at, value >> 16)
    _put16(words, at + 1, value)


def fold(total: Ints) -> Ints:
    """The checksum of RFC 1071 from the sum of 16-bit words."""
    total = (total & 0xFFFF) + (total >> 16)
    total = (total & 0xFFFF) + (total >> 16)
    return total ^ 0xFFFF


def _stamp_outer(words: Words, length: Ints, number: Ints, base: Ints) -> None:
    """Outer IPv4 with its checksum, UDP and GTP-U lengths."""
    identification = number & 0xFFFF
    whole = length + (OUTER_BYTES - 14)
    _put16(words, OUTER_IP + 1, whole)
    _put16(words, OUTER_IP + 2, identification)
    _put16(words, OUTER_IP + 5, fold(base + whole + identification))
    _put16(words, OUTER_UDP + 2, length + (OUTER_BYTES - 34))
    _put16(words, GTP + 1, length)  # what follows the first 8 bytes (TS 29.281 5.1)


def _stamp_inner(words: Words, length: Ints, number: Ints, base: Ints) -> None:
    identification = number & 0xFFFF
    _put16(words, INNER + 1, length)
    _put16(words, INNER + 2, identification)
    _put16(words, INNER + 5, fold(base + length + identification))


def _stamp_tcp(words: Words, part: Packets, turn: tuple[Ints, Ints], base: Ints, v6: bool) -> None:
    begin = INNER + (20 if v6 else 10)
    seq, ack = turn[0] & 0xFFFF_FFFF, turn[1] & 0xFFFF_FFFF
    ack = np.where(part.flags == FLAG_SYN, 0, ack)
    _put32(words, begin + 2, seq)
    _put32(words, begin + 4, ack)
    words[:, begin + 6] |= part.flags.astype(">u2").view(np.uint16)
    total = base + part.length_bytes - (40 if v6 else 20) + part.flags
    total += (seq & 0xFFFF) + (seq >> 16) + (ack & 0xFFFF) + (ack >> 16)
    _put16(words, begin + 8, fold(total))


def _stamp_udp(words: Words, part: Packets, number: Ints, base: Ints, v6: bool) -> None:
    begin, identification = INNER + (20 if v6 else 10), number & 0xFFFF
    datagram_bytes = part.length_bytes - (40 if v6 else 20)
    _put16(words, begin + 2, datagram_bytes)
    _put16(words, begin + 4, identification)
    value = fold(base + 2 * datagram_bytes + identification)
    # RFC 768: a checksum of zero means "none", so a computed zero is sent as all ones
    _put16(words, begin + 3, np.where(value == 0, 0xFFFF, value))
