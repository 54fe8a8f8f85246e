"""Packets out by UDP: lists of PIECE rows -> messages of sendmmsg, runs of one size as one (GSO)."""

import errno
import socket
from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from engine.gateway import libc
from engine.jit import i8, i8s, inlined, kernel, rows, tuple_of, u1s, unsigned
from engine.layout import aligned_zeros
from engine.live_layout import BEARER, CONTROL, IOVEC, MESSAGE, NAME_BYTES, PIECE
from engine.wire import gtp

Rows = npt.NDArray[Any]
Pack = Callable[[Rows, int], int]
"""makes messages of PIECE rows, from the one with this index on: their number"""

PIECES = 4_096
"""packets that one list of messages holds; more go out in several"""
SEGMENTS_MAX = 64
"""datagrams of a run (linux/udp.h: UDP_MAX_SEGMENTS, of the kernels that have least)"""
RUN_BYTES_MAX = 65_000
"""byte; of a run, headers included: it is one packet to the system"""
HEADER_BYTES = gtp.HEADER_BYTES
WITHOUT_OPTIONS = gtp.VERSION_1 << 5 | gtp.PROTOCOL_TYPE
BUSY_NS = 2_000_000
"""ns; how long a full socket buffer is waited for before the rest of a batch is given up"""
BUSY_WAITS = 3

NAMES, IOVECS, CONTROLS, HEADERS = range(4)
"""where: addresses of the sockaddrs, and of the arrays that messages point into"""
CONTROL_BYTES = 24
SEND = tuple_of(rows(MESSAGE), rows(IOVEC), rows(CONTROL), u1s)
"""messages; IOVEC, CONTROL and GTP-U headers that they point to"""

_CANNOT_SEGMENT = {errno.EINVAL, errno.EMSGSIZE, errno.EIO, errno.EOPNOTSUPP, errno.ENOPROTOOPT}


@inlined
def begin(message: Any, name: Any, iovec: Any) -> None:
    """A message to one receiver, as yet without data."""
    message["name"] = name
    message["iovec"] = iovec
    message["iovecs"] = 0
    message["control"] = 0
    message["control_bytes"] = 0
    message["length"] = 0


@inlined
def segment(message: Any, control: Any, address: Any, size: Any) -> None:
    """Say that the message is a run of datagrams of `size` bytes."""
    message["control"] = address
    message["control_bytes"] = CONTROL_BYTES
    control["value"] = size


@inlined
def goes_on(run: Any, size: Any, segments: Any, segment_max: Any) -> Any:
    """Whether a datagram of `size` bytes can join a run: (datagrams, size of each, bytes, closed)."""
    count, each, total, closed = run
    if closed or count >= segments or each > segment_max:
        return False
    return size <= each and total + size <= RUN_BYTES_MAX


@inlined
def put_header(headers: Any, at: Any, length: Any, teid: Any) -> None:
    """The eight bytes in front of a T-PDU, without options (3GPP TS 29.281 5.1)."""
    headers[unsigned(at)] = WITHOUT_OPTIONS
    headers[unsigned(at + 1)] = gtp.G_PDU
    headers[unsigned(at + 2)] = length >> 8 & 255
    headers[unsigned(at + 3)] = length & 255
    headers[unsigned(at + 4)] = teid >> 24 & 255
    headers[unsigned(at + 5)] = teid >> 16 & 255
    headers[unsigned(at + 6)] = teid >> 8 & 255
    headers[unsigned(at + 7)] = teid & 255


@inlined
def add_part(iovecs: Any, at: Any, address: Any, length: Any) -> None:
    """One piece of memory of a message."""
    iovec = iovecs[unsigned(at)]
    iovec["base"] = address
    iovec["length"] = length


@kernel(rows(PIECE), i8, i8, i8, rows(BEARER), i8s, SEND)
def pack_g_pdus(
    pieces: Any,
    first: Any,
    segments: Any,
    segment_max: Any,
    bearers: Any,
    where: Any,
    send: Any,
) -> Any:
    """Messages that send pieces, from the first on, to their bearers' peers as G-PDUs; their number.

    Neighbours of one size to one peer go as one message, at most `segments`, where no datagram is above
    `segment_max` bytes; the last of them may be shorter. The iovecs are two a piece: header and T-PDU.
    """
    messages, iovecs, controls, headers = send
    m = np.int64(-1)
    run: Any = (np.int64(0), np.int64(0), np.int64(0), True)
    peer_hi, peer_lo = np.int64(0), np.int64(0)
    for k in range(len(pieces) - first):
        piece = pieces[unsigned(first + k)]
        length = np.int64(piece["length"])
        index = np.int64(piece["bearer"])
        bearer = bearers[unsigned(index)]
        size = HEADER_BYTES + length
        same = peer_hi == np.int64(bearer["peer_hi"]) and peer_lo == np.int64(bearer["peer_lo"])
        if same and goes_on(run, size, segments, segment_max):
            segment(messages[unsigned(m)], controls[unsigned(m)], where[CONTROLS] + 24 * m, run[1])
            run = (run[0] + 1, run[1], run[2] + size, size < run[1])
        else:
            m += 1
            begin(messages[unsigned(m)], where[NAMES] + NAME_BYTES * index, where[IOVECS] + 32 * k)
            run = (np.int64(1), size, size, False)
            peer_hi, peer_lo = np.int64(bearer["peer_hi"]), np.int64(bearer["peer_lo"])
        put_header(headers, HEADER_BYTES * k, length, np.int64(bearer["teid_down"]))
        add_part(iovecs, 2 * k, where[HEADERS] + HEADER_BYTES * k, HEADER_BYTES)
        add_part(iovecs, 2 * k + 1, np.int64(piece["address"]), length)
        messages[unsigned(m)]["iovecs"] += 2
    return m + 1


@kernel(rows(PIECE), i8, i8, i8, i8s, SEND)
def pack_packets(
    pieces: Any, first: Any, segments: Any, segment_max: Any, where: Any, send: Any
) -> Any:
    """Messages that send pieces as they are to the one receiver at where[NAMES]; their number."""
    messages, iovecs, controls, _ = send
    m = np.int64(-1)
    run: Any = (np.int64(0), np.int64(0), np.int64(0), True)
    for k in range(len(pieces) - first):
        piece = pieces[unsigned(first + k)]
        size = np.int64(piece["length"])
        if goes_on(run, size, segments, segment_max):
            segment(messages[unsigned(m)], controls[unsigned(m)], where[CONTROLS] + 24 * m, run[1])
            run = (run[0] + 1, run[1], run[2] + size, size < run[1])
        else:
            m += 1
            begin(messages[unsigned(m)], where[NAMES], where[IOVECS] + 16 * k)
            run = (np.int64(1), size, size, False)
        add_part(iovecs, k, np.int64(piece["address"]), size)
        messages[unsigned(m)]["iovecs"] += 1
    return m + 1


class Outbox:
    """Sends lists of pieces from one socket; what cannot be sent is counted, never waited for long."""

    def __init__(
        self, sock: socket.socket, *, name_bytes: int, gso: bool, pieces: int = PIECES
    ) -> None:
        self._sock = sock
        self._waiting = libc.Poller()
        self._waiting.watch([sock.fileno()], writing=sock.fileno())
        self.messages: Rows = aligned_zeros(pieces, MESSAGE)
        self.messages["name_bytes"] = name_bytes
        self._iovecs: Rows = np.zeros(2 * pieces, dtype=IOVEC)
        self._controls: Rows = np.zeros(pieces, dtype=CONTROL)
        self._controls["bytes"] = 18  # a cmsghdr and an unsigned short
        self._controls["level"] = socket.IPPROTO_UDP
        self._controls["kind"] = libc.UDP_SEGMENT
        self._headers: Rows = np.zeros(HEADER_BYTES * pieces, dtype=np.uint8)
        self._send = self.messages, self._iovecs, self._controls, self._headers
        arrays = self._iovecs, self._controls, self._headers
        self._where = np.array([0, *(array.ctypes.data for array in arrays)], dtype=np.int64)
        self.segments = SEGMENTS_MAX if gso else 1
        self.segment_max = RUN_BYTES_MAX
        self.lost: Counter[str] = Counter()
        """packets that could not be sent, by the system's reason"""

    def send_g_pdus(self, pieces: Rows, bearers: Rows, names: int) -> int:
        """Send PIECE rows to the peers of their bearers, whose sockaddrs are at `names`; packets sent."""
        self._where[NAMES] = names

        def pack(part: Rows, first: int) -> int:
            how = first, self.segments, self.segment_max
            return int(pack_g_pdus(part, *how, bearers, self._where, self._send))

        return self._send_all(pieces, 2, pack)

    def send_packets(self, pieces: Rows, name: int) -> int:
        """Send PIECE rows to the sockaddr at `name` (0: to whom the socket is connected); packets sent."""
        self._where[NAMES] = name

        def pack(part: Rows, first: int) -> int:
            how = first, self.segments, self.segment_max
            return int(pack_packets(part, *how, self._where, self._send))

        return self._send_all(pieces, 1, pack)

    def _send_all(self, pieces: Rows, parts: int, pack: Pack) -> int:
        """Pack and send, so many at a time; after a run that the system would not take, the rest anew."""
        sent = 0
        for begin in range(0, len(pieces), len(self.messages)):
            part = pieces[begin : begin + len(self.messages)]
            first, again = 0, True
            while again:
                messages = pack(part, first)
                done, lost, again = self._send_messages(messages, parts)
                first += done + lost
                sent += done
        return sent

    def _pieces(self, begin: int, end: int, parts: int) -> int:
        return int(self.messages["iovecs"][begin:end].sum()) // parts

    def _send_messages(self, count: int, parts: int) -> tuple[int, int, bool]:
        """(packets sent, packets lost, whether the rest is to be packed anew)."""
        at = done = lost = waits = 0
        fd, messages = self._sock.fileno(), self.messages.ctypes.data
        while at < count:
            step, fault = libc.send_messages(fd, messages + 64 * at, count - at)
            done += self._pieces(at, at + step, parts)
            at += step
            if not fault or fault == errno.EINTR:
                continue
            if fault in (errno.EAGAIN, errno.ENOBUFS) and waits < BUSY_WAITS:
                waits += 1
                self._waiting.wait(BUSY_NS)
                continue
            if fault in _CANNOT_SEGMENT and int(self.messages[at]["control_bytes"]):
                self._segment_less(fault, int(self._controls[at]["value"]))
                return done, lost, True
            end = count if fault in (errno.EAGAIN, errno.ENOBUFS) else at + 1
            gone = self._pieces(at, end, parts)
            self.lost[errno.errorcode.get(fault, str(fault))] += gone
            lost += gone
            at = end
        return done, lost, False

    def _segment_less(self, fault: int, size: int) -> None:
        """Runs of this size are not taken: too long for the link, or none at all."""
        if fault in (errno.EINVAL, errno.EMSGSIZE):
            self.segment_max = min(self.segment_max, size - 1)
        else:
            self.segments = 1
