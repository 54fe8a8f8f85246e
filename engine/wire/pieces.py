"""Pieces of one pcap file, read and parsed each by itself, so that several threads can do it at once.

Where the first record of a piece begins is guessed, from how plausible the lengths and times are that
follow. Nothing rests on the guess: a piece counts only if the one before it ended exactly there, and no
time in it is before one that was read already; else the capture is read on in order, as without pieces.
"""

import os
import threading
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from engine.jit import i8, i8s, kernel, leaf, rows, u1s
from engine.layout import FRAME, INTERFACE, PACKET, aligned_zeros
from engine.units import NS_PER_S
from engine.wire import state as st
from engine.wire.endpoints import COUNT, TALLY
from engine.wire.frame import HELD_MAX, WIRE_MAX
from engine.wire.loads import file32
from engine.wire.signals import Signals
from engine.wire.walk import walk

Rows = npt.NDArray[Any]

PIECE_BYTES = 1 << 24
BLOCK_BYTES = 1 << 18
"""byte; what is read at a time"""
ROWS_MAX = PIECE_BYTES // 80
"""rows of a piece; shorter records are no packets, or are read in order"""
ENDPOINTS_COPIED = 4096
"""rows of the endpoint table, up to which each piece gets a copy; with more receivers than that, captures
are read in order"""
CHAIN = 32
"""records that must follow one another"""
YEARS_S = 20 * 366 * 86_400
"""seconds before and after the capture's beginning at which a record may be stamped"""


_NONE_KEPT: Rows = np.zeros(0, dtype=FRAME)


@leaf
def plausible(buf: Any, pos: Any, since_s: Any, state: Any, interface: Any) -> Any:
    """Captured bytes of a record that may begin at `pos`, or -1."""
    big = state[st.BIG] != 0
    held = file32(buf, pos + 8, big)
    wire = file32(buf, pos + 12, big)
    seconds = file32(buf, pos, big) - since_s
    fraction_ns = file32(buf, pos + 4, big) * interface["factor"]
    snaplen = interface["snaplen"]
    if held == 0 or held > wire or held > HELD_MAX or wire > WIRE_MAX or fraction_ns >= NS_PER_S:
        return np.int64(-1)
    if abs(seconds) > YEARS_S or (snaplen > 0 and held > snaplen):
        return np.int64(-1)
    return held


@kernel(u1s, i8, i8, i8s, rows(INTERFACE))
def find_record(buf: Any, until: Any, since_s: Any, state: Any, interfaces: Any) -> Any:
    """Least offset before `until` at which a chain of plausible records begins.

    Without any it is `until`, or the end of what is in the buffer, whatever is less.
    """
    interface = interfaces[0]
    header_bytes = state[st.HEADER_BYTES]
    end = state[st.END]
    for first in range(min(until, end - header_bytes)):
        pos = np.int64(first)
        for _ in range(CHAIN):
            held = plausible(buf, pos, since_s, state, interface)
            if held < 0:
                break
            pos += header_bytes + held
            if pos + header_bytes > end:
                return first
        if held >= 0:
            return first
    return min(until, end)


class Piece(NamedTuple):
    """What stands in a file from byte `begin` up to `place`, and how it was counted.

    `packets` lie at the beginning of `room`; GTP-C datagrams among them in `signals`.
    """

    begin: int
    place: int
    packets: Rows
    room: Rows
    state: npt.NDArray[np.int64]
    signals: Signals


class Cut:
    """A pcap file cut into pieces, from the first record up to the end that it has now."""

    def __init__(
        self,
        file: int,
        offsets: tuple[int, int],
        interfaces: Rows,
        state: npt.NDArray[np.int64],
    ) -> None:
        """`file` is its descriptor, `offsets` are those of the first record and of the file's end.

        `interfaces` and `state` are the capture's, which has read the header and a record or more.
        """
        self._file = file
        self._first, self._end = offsets
        self._interfaces = interfaces.copy()
        self._state = state.copy()

    def __len__(self) -> int:
        return -(-(self._end - self._first) // PIECE_BYTES)

    def limit(self, number: int) -> int:
        """Offset at which a piece ends: its records begin before that."""
        return min(self._end, self._first + (number + 1) * PIECE_BYTES)

    def parse(self, number: int, endpoints: Rows, room: Rows | None) -> Piece:
        """Read a piece and make rows of it, in any thread; `room` is that of an earlier one, or None.

        It ends early where a receiver is met that `endpoints`, ENDPOINT rows, do not name.
        """
        offset = self._first + number * PIECE_BYTES
        buffer = _buffer()
        state = self._state.copy()
        state[st.COUNTED :] = 0
        state[st.FIRST_NS], state[st.LAST_NS] = st.NEVER_FIRST, st.NEVER_LAST
        state[st.FILE], state[st.LIMIT] = self._file, self.limit(number)
        state[st.BUFFER], state[st.BLOCK] = buffer.ctypes.data, BLOCK_BYTES
        state[st.BASE], state[st.POS] = offset, 0
        state[st.END] = os.preadv(self._file, [buffer[:BLOCK_BYTES].data], offset)
        if number > 0:
            since_s = self._state[st.FIRST_NS] // NS_PER_S
            until = self.limit(number) - offset
            state[st.POS] = find_record(buffer, until, since_s, state, self._interfaces)
        begin = int(state[st.BASE] + state[st.POS])
        signals = Signals()
        room = aligned_zeros(ROWS_MAX, PACKET) if room is None else room
        self._walk(buffer, room, endpoints, state, signals)
        place = int(state[st.BASE] + state[st.POS])
        return Piece(begin, place, room[: int(state[st.ROWS])], room, state, signals)

    def _walk(
        self, buffer: Rows, room: Rows, endpoints: Rows, state: Rows, signals: Signals
    ) -> None:
        """Fill the room from the bytes in the buffer and those that follow in the file."""
        interfaces = self._interfaces.copy()
        tally = np.zeros(TALLY, dtype=np.int64)
        tally[COUNT] = len(endpoints)  # to kernels it is full: they give out no numbers here
        going = True
        while going:
            first = int(state[st.ROWS])
            state[st.SIGNALS] = 0
            tables = _NONE_KEPT, interfaces, endpoints, tally
            going = walk(buffer, room, *tables, state) == st.MORE and state[st.SIGNALS] > 0
            if state[st.SIGNALS]:
                signals.copy(room[first : int(state[st.ROWS])], buffer)


_local = threading.local()


def _buffer() -> npt.NDArray[np.uint8]:
    """This thread's own, reused: memory that was just written is in the cache."""
    buffer: npt.NDArray[np.uint8] | None = getattr(_local, "buffer", None)
    if buffer is None:
        buffer = _local.buffer = np.zeros(BLOCK_BYTES + HELD_MAX + (1 << 16), dtype=np.uint8)
    return buffer
