"""Packets in by UDP: recvmmsg into slots of one buffer, runs of one size in one slot (GRO)."""

import socket
from typing import Any

import numpy as np
import numpy.typing as npt

from engine.gateway import libc
from engine.gateway.receive import split
from engine.layout import aligned_zeros
from engine.live_layout import CONTROL, IOVEC, MESSAGE, NAME_BYTES, SPAN

Rows = npt.NDArray[Any]

SLOT_BYTES = (1 << 16) + 3 * 64
"""byte; room for the longest datagram. Not a power of two: slots would all begin in the same lines of the
cache, and evict each other's headers"""
MESSAGES = 512
"""datagrams that one call receives: with fewer, what Python does once a batch is felt"""
RUNS = 64
"""messages that one call receives while they are runs of datagrams: of 64 each, in newer systems of 128"""
SPANS = MESSAGES * 128
"""datagrams of a batch at the most"""
LONG_RUN = 8
"""datagrams a message from which on the next call receives fewer messages"""
SOCKET_BYTES = 16 << 20


class Inbox:
    """Receives batches from one socket; `spans` says where in `buffer` each datagram lies."""

    def __init__(self, sock: socket.socket, *, gro: bool) -> None:
        self._descriptor = sock.fileno()
        self.gro = gro and _coalesce(sock)
        self._messages_max = MESSAGES
        self.buffer: Rows = np.zeros(MESSAGES * SLOT_BYTES, dtype=np.uint8)
        self.address: int = self.buffer.ctypes.data
        self.names: Rows = np.zeros(MESSAGES * NAME_BYTES, dtype=np.uint8)
        self.spans: Rows = np.zeros(SPANS + 1, dtype=SPAN)
        self._iovecs: Rows = np.zeros(MESSAGES, dtype=IOVEC)
        self._controls: Rows = np.zeros(MESSAGES, dtype=CONTROL)
        self._messages: Rows = aligned_zeros(MESSAGES, MESSAGE)
        steps = np.arange(MESSAGES)
        self._iovecs["base"] = self.address + steps * SLOT_BYTES
        self._iovecs["length"] = 1 << 16
        self._messages["name"] = self.names.ctypes.data + steps * NAME_BYTES
        self._messages["iovec"] = self._iovecs.ctypes.data + steps * IOVEC.itemsize
        self._messages["iovecs"] = 1
        self._room = np.array([28, CONTROL.itemsize if self.gro else 0], dtype=np.int64)
        self._messages["name_bytes"], self._messages["control_bytes"] = self._room
        self._messages_at: int = self._messages.ctypes.data
        if self.gro:
            self._messages["control"] = self._controls.ctypes.data + steps * CONTROL.itemsize

    def receive(self) -> int:
        """Take what has come: SPAN rows filled, 0 where there is nothing."""
        count = libc.receive_messages(self._descriptor, self._messages_at, self._messages_max)
        if not count:
            return 0
        tables = self._room, self._controls, self.spans
        spans = int(split(self._messages, count, SLOT_BYTES, *tables))
        self._messages_max = RUNS if spans > LONG_RUN * count else MESSAGES
        return spans

    def datagram(self, index: int) -> tuple[bytes, tuple[str, int]]:
        """A datagram by its index in `spans`, and who sent it."""
        start, length, message = self.spans[index].tolist()
        name = self.names[message * NAME_BYTES : (message + 1) * NAME_BYTES].tobytes()
        return self.buffer[start : start + length].tobytes(), sender_of(name)


def sender_of(name: bytes) -> tuple[str, int]:
    """Address and port of a sockaddr."""
    port = int.from_bytes(name[2:4], "big")
    if int.from_bytes(name[:2], "little") == socket.AF_INET:
        return socket.inet_ntop(socket.AF_INET, name[4:8]), port
    return socket.inet_ntop(socket.AF_INET6, name[8:24]), port


def _coalesce(sock: socket.socket) -> bool:
    """Ask for runs of datagrams in one buffer; whether the system can."""
    try:
        sock.setsockopt(socket.IPPROTO_UDP, libc.UDP_GRO, 1)
    except OSError:
        return False
    return True
