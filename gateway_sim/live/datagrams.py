"""UDP in batches: one system call for hundreds of datagrams, columns of numpy in and out.

A slot of `data` has room for a GTP-U header in front of the inner packet, so that a packet stands at
the same place whether it goes into the tunnel or comes out of it. Little-endian 64-bit Linux only:
rows of `struct mmsghdr` and `struct iovec` are written as integers.
"""

import ctypes
import errno
import os
import socket
import struct
import sys
from types import TracebackType
from typing import NamedTuple, Self

import numpy as np
import numpy.typing as npt

from engine.errors import PktollError
from engine.units import NS_PER_S

Ints = npt.NDArray[np.int64]
Bytes = npt.NDArray[np.uint8]

SLOTS = 512
SLOT_BYTES = 2048
GTP_U_BYTES_MAX = SLOT_BYTES - 64
"""byte; the longest inner packet that is sent: its slot has room for any header in front"""
CONTROL_BYTES = 64
BUFFER_BYTES = 32 << 20
"""asked for; what an unprivileged process gets is the system's limit"""

_SO_RCVBUFFORCE, _SO_SNDBUFFORCE, _SO_TIMESTAMPNS, _SO_MEMINFO = 33, 32, 35, 55
_MEMINFO_DROPS = 8
_NAME, _NAME_LENGTH, _IOV, _IOVS, _CONTROL, _CONTROL_LENGTH, _FLAGS, _LENGTH = range(8)
"""words of a row of `struct mmsghdr`"""


class Received(NamedTuple):
    """A batch: `data` are views of the slots, good until the next receive."""

    data: Bytes
    length: Ints
    stamp_ns: Ints
    source: Ints
    """IPv4 address << 16 | port of the sender"""


class Datagrams:
    """A UDP socket on IPv4 that sends to one peer, from and to rows of slots.

    `start` is where in a slot a datagram begins. PktollError where the address cannot be had.
    """

    def __init__(self, address: str, port: int, start: int = 0) -> None:
        if sys.byteorder != "little" or struct.calcsize("P") != 8:
            raise PktollError("sim: batches of datagrams need a little-endian 64-bit system")
        self._libc = ctypes.CDLL(None, use_errno=True)
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        try:
            self.socket.bind((address, port))
            self.socket.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
        except OSError as error:
            self.socket.close()
            raise PktollError(
                f"sim: cannot listen on UDP {address}:{port}: {error.strerror}"
            ) from None
        _enlarge(self.socket)
        self.address, self.port = self.socket.getsockname()
        self._in = Slots(start)
        self.out = Slots(start)
        self.sent = self.received = 0

    def to(self, address: str, port: int) -> None:
        """From now on datagrams go to this peer."""
        packed = struct.pack("<H", socket.AF_INET) + struct.pack(">H", port)
        self.out.name_all(packed + socket.inet_aton(address) + bytes(8))

    def receive(self) -> Received | None:
        """What has come, up to a batch; None where nothing has."""
        slots = self._in
        slots.ready()
        count = self._call(self._libc.recvmmsg, slots, SLOTS, socket.MSG_DONTWAIT, None)
        if count <= 0:
            return None
        self.received += count
        return Received(
            slots.data[:count],
            slots.messages[:count, _LENGTH] & 0xFFFF_FFFF,
            slots.stamps(count),
            slots.senders(count),
        )

    def send(self, length: Ints) -> None:
        """Send the first slots of `out.data`, so many bytes of each."""
        slots, count, done = self.out, int(length.size), 0
        slots.iovecs[:count, 1] = length
        while done < count:
            sent = self._call(self._libc.sendmmsg, slots, count - done, 0, first=done)
            if sent > 0:
                done += sent
        self.sent += count

    def _call(
        self,
        function: "ctypes._NamedFuncPointer",
        slots: "Slots",
        count: int,
        *rest: object,
        first: int = 0,
    ) -> int:
        at = ctypes.c_void_p(slots.messages.ctypes.data + first * slots.messages.strides[0])
        done = int(function(self.socket.fileno(), at, count, *rest))
        if done < 0:
            number = ctypes.get_errno()
            if number not in (errno.EAGAIN, errno.EINTR, errno.ECONNREFUSED, errno.ENOBUFS):
                raise PktollError(f"sim: UDP {self.address}:{self.port}: {os.strerror(number)}")
        return done

    @property
    def lost(self) -> int:
        """Datagrams that the kernel threw away because this socket was not read in time."""
        held = self.socket.getsockopt(socket.SOL_SOCKET, _SO_MEMINFO, 36)
        return int(struct.unpack("=9I", held)[_MEMINFO_DROPS])

    def fileno(self) -> int:
        """For poll."""
        return self.socket.fileno()

    def close(self) -> None:
        """Give the socket back."""
        self.socket.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def _enlarge(udp: socket.socket) -> None:
    """The largest buffers that this process may have."""
    for forced, plain in (
        (_SO_RCVBUFFORCE, socket.SO_RCVBUF),
        (_SO_SNDBUFFORCE, socket.SO_SNDBUF),
    ):
        try:
            udp.setsockopt(socket.SOL_SOCKET, forced, BUFFER_BYTES)
        except PermissionError:
            udp.setsockopt(socket.SOL_SOCKET, plain, BUFFER_BYTES)


class Slots:
    """Room for a batch, and the kernel's description of it."""

    def __init__(self, start: int) -> None:
        self.start = start
        self.data: Bytes = np.zeros((SLOTS, SLOT_BYTES), np.uint8)
        self.names: Bytes = np.zeros((SLOTS, 16), np.uint8)
        self.control: Ints = np.zeros((SLOTS, CONTROL_BYTES // 8), np.int64)
        self.iovecs: Ints = np.zeros((SLOTS, 2), np.int64)
        self.messages: Ints = np.zeros((SLOTS, 8), np.int64)
        rows = np.arange(SLOTS)
        self.iovecs[:, 0] = self.data.ctypes.data + rows * SLOT_BYTES + start
        self.messages[:, _NAME] = self.names.ctypes.data + rows * 16
        self.messages[:, _NAME_LENGTH] = 16
        self.messages[:, _IOV] = self.iovecs.ctypes.data + rows * 16
        self.messages[:, _IOVS] = 1

    def name_all(self, name: bytes) -> None:
        """One peer for every slot."""
        self.names[:] = np.frombuffer(name, np.uint8)

    def ready(self) -> None:
        """Make every slot fit to receive: the kernel writes lengths over what it was told."""
        self.iovecs[:, 1] = SLOT_BYTES - self.start
        self.messages[:, _NAME_LENGTH] = 16
        rows = np.arange(SLOTS)
        self.messages[:, _CONTROL] = self.control.ctypes.data + rows * CONTROL_BYTES
        self.messages[:, _CONTROL_LENGTH] = CONTROL_BYTES
        self.messages[:, _FLAGS] = 0

    def stamps(self, count: int) -> Ints:
        """Times of arrival, ns since 1970: a control message of length, level and type, timespec."""
        return self.control[:count, 2] * NS_PER_S + self.control[:count, 3]

    def senders(self, count: int) -> Ints:
        """IPv4 address << 16 | port."""
        port = self.names[:count, 2:4].view(">u2")[:, 0].astype(np.int64)
        address = self.names[:count, 4:8].view(">u4")[:, 0].astype(np.int64)
        return address << 16 | port
