"""The SGi side: where uplink packets go out, and downlink packets come from."""

import fcntl
import os
import socket
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from engine.errors import OutputError
from engine.gateway import libc
from engine.gateway.inbox import SOCKET_BYTES, Inbox
from engine.gateway.send import Outbox
from engine.jit import i8, inlined, kernel, move_bytes, read_file, rows, u1s, unsigned, write_file
from engine.live_layout import IOVEC, PIECE, SPAN
from engine.units import NS_PER_S
from engine.wire.link import LINK_RAW
from engine.wire.loads import u8
from engine.wire.pcap_writer import pcap_header

Rows = npt.NDArray[Any]


class Sgi(Protocol):
    """One way to the packet data network. Nothing of it raises for what comes from there."""

    buffer: Rows
    """uint8: what `receive` has filled"""
    address: int
    spans: Rows
    """SPAN: where in `buffer` each packet lies"""

    @property
    def descriptor(self) -> int:
        """What to wait for; below 0 where nothing ever comes by itself."""

    @property
    def pending(self) -> bool:
        """Whether packets are there that no descriptor tells of."""

    def receive(self) -> int:
        """Take what has come: SPAN rows filled."""

    def send(self, pieces: Rows, now_ns: int) -> int:
        """Send PIECE rows; packets sent. What cannot be sent is counted."""

    def figures(self) -> dict[str, Any]:
        """What was lost, by reason."""

    def close(self) -> None:
        """Let go of what was opened."""


# --- UDP: one inner packet a datagram ----------------------------------------------------------------


class UdpSgi:
    """Inner packets in datagrams to and from one peer; without one given, whoever sends first is it."""

    def __init__(self, sock: socket.socket, peer: tuple[str, int] | None, *, offload: bool) -> None:
        self._sock = sock
        libc.widen(sock, SOCKET_BYTES)
        self._inbox = Inbox(sock, gro=offload)
        self._outbox = Outbox(sock, name_bytes=0, gso=offload)
        self._peer = peer
        self.buffer, self.address = self._inbox.buffer, self._inbox.address
        self.spans = self._inbox.spans
        if peer is not None:
            sock.connect(peer)

    @property
    def descriptor(self) -> int:
        return self._sock.fileno()

    @property
    def pending(self) -> bool:
        return False

    def receive(self) -> int:
        count = self._inbox.receive()
        if count and self._peer is None:
            _, self._peer = self._inbox.datagram(0)
            self._sock.connect(self._peer)
        return count

    def send(self, pieces: Rows, now_ns: int) -> int:
        if self._peer is None:
            self._outbox.lost["no peer yet"] += len(pieces)
            return 0
        return self._outbox.send_packets(pieces, 0)

    def figures(self) -> dict[str, Any]:
        return {
            "lost": dict(self._outbox.lost),
            "socket_drops": libc.socket_drops(self._sock),
        }

    def close(self) -> None:
        self._sock.close()


# --- TUN ---------------------------------------------------------------------------------------------


@kernel(i8, i8, i8, i8, rows(SPAN))
def read_packets(descriptor: Any, address: Any, stride: Any, count: Any, spans: Any) -> Any:
    """Read packets, one a slot of `stride` bytes, until there are no more or `count` are there."""
    for k in range(count):
        length = read_file(descriptor, address + k * stride, stride)
        if length <= 0:
            return np.int64(k)
        span = spans[unsigned(k)]
        span["start"] = k * stride
        span["length"] = length
        span["message"] = 0
    return np.int64(count)


@kernel(i8, rows(PIECE))
def write_packets(descriptor: Any, pieces: Any) -> Any:
    """Write packets; how many of them were taken."""
    taken = np.int64(0)
    for k in range(len(pieces)):
        piece = pieces[unsigned(k)]
        length = np.int64(piece["length"])
        if write_file(descriptor, np.int64(piece["address"]), length) == length:
            taken += 1
    return taken


TUNGETIFF = 0x800454D2
"""ioctl of linux/if_tun.h: the device that a descriptor belongs to"""
IFREQ_BYTES = 40


class TunSgi:
    """A TUN device: the system's own routing is the packet data network."""

    SLOT_BYTES = (1 << 16) + 3 * 64
    PACKETS = 256

    def __init__(self, descriptor: int, name: str) -> None:
        self._descriptor = descriptor
        self.name = name
        self.buffer: Rows = np.zeros(self.PACKETS * self.SLOT_BYTES, dtype=np.uint8)
        self.address: int = self.buffer.ctypes.data
        self.spans: Rows = np.zeros(self.PACKETS, dtype=SPAN)
        self._lost = 0

    @property
    def descriptor(self) -> int:
        return self._descriptor

    @property
    def pending(self) -> bool:
        return False

    def receive(self) -> int:
        slots = self.address, self.SLOT_BYTES, self.PACKETS
        count = int(read_packets(self._descriptor, *slots, self.spans))
        if not count:
            self._check()
        return count

    def _check(self) -> None:
        """OutputError where the device has been taken away: it would be ready for ever."""
        try:
            fcntl.ioctl(self._descriptor, TUNGETIFF, bytes(IFREQ_BYTES))
        except OSError:
            raise OutputError(
                f"--sgi tun:{self.name}: the device has been removed; every slice is settled"
            ) from None

    def send(self, pieces: Rows, now_ns: int) -> int:
        taken = int(write_packets(self._descriptor, pieces))
        self._lost += len(pieces) - taken
        return taken

    def figures(self) -> dict[str, Any]:
        return {"lost": {"not taken by the device": self._lost} if self._lost else {}}

    def close(self) -> None:
        os.close(self._descriptor)


# --- a capture file ----------------------------------------------------------------------------------


class PcapSgi:
    """Uplink packets go to a pcap file (raw IP, nanoseconds); nothing comes back."""

    VECTOR_MAX = 512
    """packets a call: half of what the system takes in one (IOV_MAX)"""

    def __init__(self, path: str) -> None:
        self._descriptor = os.open(
            path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o644
        )
        os.write(self._descriptor, pcap_header(LINK_RAW))
        self.buffer: Rows = np.zeros(1, dtype=np.uint8)
        self.address: int = self.buffer.ctypes.data
        self.spans: Rows = np.zeros(1, dtype=SPAN)
        self._lost: dict[str, int] = {}

    @property
    def descriptor(self) -> int:
        return -1

    @property
    def pending(self) -> bool:
        return False

    def receive(self) -> int:
        return 0

    def send(self, pieces: Rows, now_ns: int) -> int:
        sent = 0
        for first in range(0, len(pieces), self.VECTOR_MAX):
            part = pieces[first : first + self.VECTOR_MAX]
            if self._lost:  # a record may be there in part: what came after it could not be read
                self._lose("after a failed write", len(part))
                continue
            sent += self._write(part, now_ns)
        return sent

    def _write(self, pieces: Rows, now_ns: int) -> int:
        seconds, rest_ns = divmod(now_ns, NS_PER_S)
        headers = np.zeros((len(pieces), 4), dtype=np.uint32)
        headers[:, 0], headers[:, 1] = seconds, rest_ns
        headers[:, 2] = headers[:, 3] = pieces["length"]
        vector = np.zeros(2 * len(pieces), dtype=IOVEC)
        vector["base"][0::2] = headers.ctypes.data + 16 * np.arange(len(pieces))
        vector["length"][0::2] = 16
        vector["base"][1::2], vector["length"][1::2] = pieces["address"], pieces["length"]
        try:
            written = libc.write_vector(self._descriptor, vector.ctypes.data, len(vector))
        except OSError as error:
            self._lose(error.strerror or str(error), len(pieces))
            return 0
        if written < int(vector["length"].sum()):
            self._lose("the file system is full", len(pieces))
            return 0
        return len(pieces)

    def _lose(self, reason: str, packets: int) -> None:
        self._lost[reason] = self._lost.get(reason, 0) + packets

    def figures(self) -> dict[str, Any]:
        return {"lost": dict(self._lost)}

    def close(self) -> None:
        os.close(self._descriptor)


# --- echo --------------------------------------------------------------------------------------------


@inlined
def swap(buf: Any, a: Any, b: Any, count: Any) -> None:
    """Exchange `count` bytes at a and at b."""
    for k in range(count):
        byte = buf[unsigned(a + k)]
        buf[unsigned(a + k)] = buf[unsigned(b + k)]
        buf[unsigned(b + k)] = byte


@kernel(rows(PIECE), u1s, i8, i8, i8, rows(SPAN))
def turn_around(pieces: Any, buf: Any, address: Any, stride: Any, count: Any, spans: Any) -> Any:
    """Copy packets to slots, source and destination exchanged, behind the `count` there; how many then.

    No checksum changes by that, as it is a sum. Ports stay as they are.
    """
    for k in range(len(pieces)):
        if count == len(spans):
            break
        piece = pieces[unsigned(k)]
        at = count * stride
        length = np.int64(piece["length"])
        move_bytes(address + at, np.int64(piece["address"]), length)
        if u8(buf, at) >> 4 == 4:
            swap(buf, at + 12, at + 16, 4)
        else:
            swap(buf, at + 8, at + 24, 16)
        span = spans[unsigned(count)]
        span["start"] = at
        span["length"] = length
        span["message"] = 0
        count += 1
    return np.int64(count)


class EchoSgi:
    """Every uplink packet comes back with its addresses exchanged, on the next turn: for tests."""

    SLOT_BYTES = (1 << 16) + 3 * 64

    def __init__(self, packets: int = 4_096) -> None:
        # Two buffers: what was received from one is still being sent while the other fills.
        self._buffers = [np.zeros(packets * self.SLOT_BYTES, dtype=np.uint8) for _ in range(2)]
        self._lists = [np.zeros(packets, dtype=SPAN) for _ in range(2)]
        self._filling = 0
        self._count = 0
        self._lost = 0
        self._choose(1)

    def _choose(self, at: int) -> None:
        self.buffer: Rows = self._buffers[at]
        self.address: int = self.buffer.ctypes.data
        self.spans: Rows = self._lists[at]

    @property
    def descriptor(self) -> int:
        return -1

    @property
    def pending(self) -> bool:
        return self._count > 0

    def receive(self) -> int:
        count, self._count = self._count, 0
        if count:
            self._choose(self._filling)
            self._filling = 1 - self._filling
        return count

    def send(self, pieces: Rows, now_ns: int) -> int:
        buffer = self._buffers[self._filling]
        before = self._count
        self._count = int(
            turn_around(
                pieces,
                buffer,
                buffer.ctypes.data,
                self.SLOT_BYTES,
                before,
                self._lists[self._filling],
            )
        )
        taken = self._count - before
        self._lost += len(pieces) - taken
        return taken

    def figures(self) -> dict[str, Any]:
        return {"lost": {"no room to echo": self._lost} if self._lost else {}}

    def close(self) -> None:
        """Nothing was opened."""
