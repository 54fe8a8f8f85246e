"""System calls for a batch of datagrams, and a poll of nanoseconds: Linux, by way of the C library."""

import ctypes
import errno
import os
import socket
import struct
from typing import Any

import numpy as np

UDP_SEGMENT = 103
UDP_GRO = 104
"""linux/udp.h: one buffer for a run of datagrams of one size, sent and received"""
SO_MEMINFO = 55
_MEMINFO_DROPS = 8
SO_RCVBUFFORCE = 33
SO_SNDBUFFORCE = 32

POLLIN, POLLOUT, POLLERR = 1, 4, 8

_libc = ctypes.CDLL(None, use_errno=True)
_word = ctypes.c_ssize_t
_RECEIVE = _libc.recvmmsg
_RECEIVE.argtypes = (ctypes.c_int, _word, ctypes.c_uint, ctypes.c_int, ctypes.c_void_p)
_SEND = _libc.sendmmsg
_SEND.argtypes = (ctypes.c_int, _word, ctypes.c_uint, ctypes.c_int)
_WRITEV = _libc.writev
_WRITEV.argtypes = (ctypes.c_int, _word, ctypes.c_int)
_WRITEV.restype = _word
_PPOLL = _libc.ppoll
_PPOLL.argtypes = (_word, ctypes.c_ulong, _word, ctypes.c_void_p)


def receive_messages(descriptor: int, messages: int, count: int) -> int:
    """recvmmsg without waiting: messages received, 0 where there are none.

    An error that the network reported (ECONNREFUSED …) is about a datagram sent before: it is passed over.
    """
    return max(0, int(_RECEIVE(descriptor, messages, count, socket.MSG_DONTWAIT, None)))


def send_messages(descriptor: int, messages: int, count: int) -> tuple[int, int]:
    """sendmmsg without waiting: (messages sent, errno of the one after them where none was)."""
    sent = int(_SEND(descriptor, messages, count, socket.MSG_DONTWAIT))
    return (sent, 0) if sent >= 0 else (0, ctypes.get_errno())


def write_vector(descriptor: int, vector: int, count: int) -> int:
    """writev: bytes written; OSError."""
    written = int(_WRITEV(descriptor, vector, count))
    if written < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return written


class Poller:
    """Waits for descriptors with a time-out in nanoseconds (ppoll; epoll and select round it)."""

    def __init__(self) -> None:
        self._fds: Any = np.zeros((0, 2), dtype=np.int32)
        self._timeout = np.zeros(2, dtype=np.int64)

    def watch(self, descriptors: list[int], *, writing: int | None = None) -> None:
        """From now on these are waited for, until they can be read from (`writing`: written to)."""
        self._fds = np.zeros((len(descriptors), 2), dtype=np.int32)
        for row, descriptor in zip(self._fds, descriptors, strict=True):
            row[0] = descriptor
            row[1] = POLLOUT if descriptor == writing else POLLIN

    def wait(self, timeout_ns: int) -> list[bool]:
        """Which of them are ready, in their order; an empty list after a signal."""
        self._fds[:, 1] &= 0xFFFF
        self._timeout[0], self._timeout[1] = divmod(max(0, timeout_ns), 1_000_000_000)
        address, timeout = self._fds.ctypes.data, self._timeout.ctypes.data
        if _PPOLL(address, len(self._fds), timeout, None) < 0:
            if ctypes.get_errno() != errno.EINTR:
                raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
            return []
        return [bool(events) for events in (self._fds[:, 1] >> 16).tolist()]


def socket_drops(sock: socket.socket) -> int:
    """Datagrams that the system dropped because the socket's buffer was full."""
    try:
        memory = sock.getsockopt(socket.SOL_SOCKET, SO_MEMINFO, 64)
    except OSError:
        return 0
    words = struct.unpack(f"{len(memory) // 4}I", memory)
    return words[_MEMINFO_DROPS] if len(words) > _MEMINFO_DROPS else 0


def widen(sock: socket.socket, size_bytes: int) -> None:
    """Large buffers: forced where we may, else as large as the system lets anybody have them."""
    for forced, asked in ((SO_RCVBUFFORCE, socket.SO_RCVBUF), (SO_SNDBUFFORCE, socket.SO_SNDBUF)):
        try:
            sock.setsockopt(socket.SOL_SOCKET, forced, size_bytes)
        except PermissionError:
            sock.setsockopt(socket.SOL_SOCKET, asked, size_bytes)
