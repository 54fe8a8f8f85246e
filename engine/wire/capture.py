"""A capture file as batches of packets, in fixed memory, whatever its size."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from engine.errors import CaptureError
from engine.layout import CACHE_LINE, FRAME, INTERFACE, PACKET, aligned_zeros
from engine.wire import formats
from engine.wire import state as st
from engine.wire.basis import INNER_IP
from engine.wire.blocks import BLOCK_BYTES, PACKET_BLOCK_MAX
from engine.wire.endpoints import Endpoints
from engine.wire.pieces import ENDPOINTS_COPIED, PIECE_BYTES, Cut, Piece
from engine.wire.seen import Seen
from engine.wire.signals import Signals
from engine.wire.source import Source, Stop
from engine.wire.state import NO_FILE
from engine.wire.walk import walk

BLOCK_BYTES_READ = 1 << 18
"""byte; what is read of a capture at a time"""
BLOCK_KEPT_BYTES = 1 << 22
"""byte; what is read at a time where frames are kept: no batch goes on past a block then"""

INTERFACES_MAX = 65_536
"""interfaces of a section; more would be a file made to fill the memory"""
KEPT_MAX = PACKET_BLOCK_MAX
"""byte; the longest record that is held in one piece, and so the room behind a block"""


class Capture(Seen):
    """One capture: iterate over it for its packets, then read its counters and its `fault`."""

    def __init__(
        self,
        path: str,
        endpoints: Endpoints,
        mode: int,
        *,
        basis: int = INNER_IP,
        rows_max: int = 16_384,
        block_bytes: int | None = None,
        look_ahead_bytes: int | None = None,
        stop: Stop | None = None,
        keep: bool = False,
        signals: Signals | None = None,
    ) -> None:
        """Open `path` ('-' is standard input); CaptureError where that fails.

        `mode` is MODE_GTP or MODE_IP; `block_bytes` are read at a time, `rows_max` packets yielded.
        `basis` (engine.wire.basis) says what the length of a packet is (U3).
        `look_ahead_bytes` ends the stream early, `stop` when it is asked for: see Source.
        With `keep` a batch comes with `kept`, layout.FRAME rows in the order of the file: those of its
        packets and of malformed frames (a batch may hold only such), which lie in the bytes `data`.
        With `signals` GTP-C datagrams get rows too, in MODE_GTP (layout.PACKET_SIGNALLING).
        """
        self.path = path
        self.mode = mode
        super().__init__(Source(path, look_ahead_bytes, stop))
        self._endpoints = endpoints
        self._signals = signals
        self._rows_max = rows_max
        self._block_bytes = block_bytes or (BLOCK_KEPT_BYTES if keep else BLOCK_BYTES_READ)
        self._frames = np.zeros(rows_max if keep else 0, dtype=FRAME)
        self.kept = self._frames[:0]
        self.data: npt.NDArray[np.uint8] = np.zeros(0, dtype=np.uint8)
        self._buffer: npt.NDArray[np.uint8] = np.zeros(0, dtype=np.uint8)
        self._state[st.MODE] = mode
        self._state[st.BASIS] = basis
        self._state[st.WANT_SIGNALS] = signals is not None
        self._state[st.LIMIT] = st.NO_LIMIT
        self._going: bool | None = None

    def __iter__(self) -> Iterator[npt.NDArray[Any]]:
        """Batches of layout.PACKET rows, valid until the next step. Stops at the first fault."""
        try:
            yield from self._batches(aligned_zeros(self._rows_max, PACKET))
        finally:
            self.close()

    def _batches(self, packets: npt.NDArray[Any]) -> Iterator[npt.NDArray[Any]]:
        self.start()
        filled = 0
        while self._going:
            status = self._step(packets[filled:])
            filled += int(self._state[st.ROWS])
            self._point()
            if status == st.PAST:
                break
            # What is kept goes at once: its bytes are gone when the buffer is filled anew. So do GTP-C
            # datagrams, so that no more of them are held than a block has.
            if status == st.FULL or self.kept.size or self._state[st.SIGNALS]:
                yield packets[:filled]
                filled = 0
            if status != st.FULL:
                self._going = self._go_on(status)
        if filled:
            yield packets[:filled]

    def start(self) -> None:
        """Read the file's header, if that was not done yet."""
        if self._going is None:
            self._buffer = np.zeros(self._block_bytes + KEPT_MAX + CACHE_LINE, dtype=np.uint8)
            self._state[st.BUFFER] = self._buffer.ctypes.data
            self._state[st.BLOCK] = self._block_bytes
            self._going = self._begin()

    # --- in pieces ---

    def divisible(self) -> bool:
        """Whether the capture can be read in pieces.

        It has to be read in order where it comes as a stream, or compressed, or as pcapng, or its frames
        are kept; and a short one is not worth the trouble.
        """
        self.start()
        plain = self._frames.size == 0 and not self._state[st.BLOCKS]
        if not plain or not self._going or self._state[st.SWAPPED_LENGTHS]:
            return False
        long = self.size_bytes is not None and self.size_bytes >= 2 * PIECE_BYTES
        return long and self._source.descriptor() != NO_FILE

    def cut(self) -> Cut | None:
        """The rest of a divisible capture in pieces, once its beginning was read; None where it is so odd
        that they would be no use."""
        file = self._source.descriptor()
        if file == NO_FILE or len(self._endpoints.table) > ENDPOINTS_COPIED or not self._going:
            return None
        offsets = self.offset, int(self.size_bytes or 0)
        return Cut(file, offsets, self._interfaces, self._state)

    def batches_before(self, limit: int) -> Iterator[npt.NDArray[Any]]:
        """Batches, as of `iter`, of the records that begin before a place in the file, from here on."""
        self._state[st.LIMIT] = limit
        yield from self._batches(aligned_zeros(self._rows_max, PACKET))
        self._state[st.LIMIT] = st.NO_LIMIT

    def adopt(self, piece: Piece) -> bool:
        """Count a piece as read; False, and nothing is changed, if it does not go on from here."""
        state, theirs = self._state, piece.state
        if piece.begin != self._place() or theirs[st.FIRST_NS] < state[st.TIME_NS]:
            return False
        state[st.FIRST_NS] = min(state[st.FIRST_NS], theirs[st.FIRST_NS])
        state[st.LAST_NS] = max(state[st.LAST_NS], theirs[st.LAST_NS])
        state[st.TIME_NS] = max(state[st.TIME_NS], theirs[st.TIME_NS])
        state[st.SUMS :] += theirs[st.SUMS :]
        self._interfaces["frames"][0] += theirs[st.FRAMES]
        state[st.BASE], state[st.POS], state[st.END] = piece.place, 0, 0
        self._source.move_to(piece.place)
        if self._signals is not None and len(piece.signals):
            self._signals.take_over(piece.signals, piece.packets)
        return True

    @property
    def stopped(self) -> bool:
        """True where the reading of a file was asked to end."""
        return self._source.stopped()

    def endpoints_now(self) -> npt.NDArray[Any]:
        """A copy of the endpoint table, for a piece."""
        with self._endpoints.lock:
            return self._endpoints.table.copy()

    def _step(self, packets: npt.NDArray[Any]) -> int:
        """Have the kernel go on; why it came back."""
        state = self._state
        state[st.SIGNALS] = state[st.ROWS] = state[st.KEPT] = 0
        state[st.FILE] = NO_FILE if self._frames.size else self._source.descriptor()
        endpoints = self._endpoints
        with endpoints.lock:
            tables = self._interfaces, endpoints.table, endpoints.tally
            status = int(walk(self._buffer, packets, self._frames, *tables, self._state))
        self._source.move_to(int(state[st.BASE] + state[st.END]))
        if self._signals is not None and self._state[st.SIGNALS]:
            self._signals.copy(packets[: int(self._state[st.ROWS])], self._buffer)
        return status

    def _point(self) -> None:
        """Show what was kept, and no more bytes than those of the frames."""
        self.kept = self._frames[: int(self._state[st.KEPT])]
        if self.kept.size:
            begin = int(self.kept["start"][0])
            end = int(self.kept["start"][-1] + self.kept["held"][-1])
            self.kept["start"] -= begin
            self.data = self._buffer[begin:end]

    def _go_on(self, status: int) -> bool:
        """Do what the kernel came back for; False at the end, or where there is no going on."""
        if status == st.MORE:
            return self._refill() > 0 or self._end()
        if status == st.GROW:
            self._endpoints.grow()
            return True
        if status == st.HOST:
            return self._declaration()
        if status == st.SKIP:
            return self._skip()
        return self._fail(st.WORDS[status])

    # --- the buffer ---

    def _place(self) -> int:
        """Offset in the stream of the record at hand."""
        return int(self._state[st.BASE] + self._state[st.POS])

    def _held(self) -> int:
        """Bytes in the buffer from the record at hand on."""
        return int(self._state[st.END] - self._state[st.POS])

    def _refill(self) -> int:
        """Move what is left to the front and read another block behind it; the bytes read."""
        position, end = int(self._state[st.POS]), int(self._state[st.END])
        self._buffer[: end - position] = self._buffer[position:end]
        self._state[st.BASE] += position
        end -= position
        room = self._buffer[end : end + self._block_bytes].data
        count = self._source.read_into(room)
        self._state[st.POS] = 0
        self._state[st.END] = end + count
        return count

    def _ensure(self, count: int) -> bool:
        """Have `count` bytes (KEPT_MAX at most) from the record at hand on; False if they end."""
        while self._held() < count:
            if self._refill() == 0:
                return False
        return True

    def _peek(self, count: int) -> bytes:
        position = int(self._state[st.POS])
        return self._buffer[position : position + count].tobytes()

    # --- the end ---

    def _fail(self, what: str) -> bool:
        """Stop, and say where."""
        offset = self._place()
        self.fault = CaptureError(
            f"{self.path}: {what} at byte {offset}; only what stands before it was read", offset
        )
        return False

    def _end(self) -> bool:
        """The stream is at its end; is the capture?"""
        if self._source.fault is not None:
            self._fail(self._source.fault)
        elif self._held():
            self._fail("the file was cut off in the record")
        return False

    # --- headers ---

    def _begin(self) -> bool:
        """Tell the format by its magic number."""
        enough = self._ensure(4)
        head = self._peek(min(4, self._held()))
        if not head:
            return self._fail(self._source.fault or "the file is empty")
        if head == formats.SECTION_MAGIC:
            self._state[st.BLOCKS] = 1
            return True
        order = formats.pcap_order(head) if enough else None
        if order is None:
            words = "neither a pcap nor a pcapng file: unknown magic number"
            return self._fail(words if enough else self._source.fault or words)
        if not self._ensure(formats.PCAP_HEADER_BYTES):
            return self._end()
        header = formats.pcap_header(self._peek(formats.PCAP_HEADER_BYTES), order)
        self._state[st.POS] += formats.PCAP_HEADER_BYTES
        self._state[st.BIG] = header.big
        self._state[st.HEADER_BYTES] = header.record_header_bytes
        self._state[st.SWAPPED_LENGTHS] = header.swapped_lengths
        self._declare(header.interface)
        return True

    def _declare(self, interface: formats.Interface) -> None:
        number = int(self._state[st.INTERFACES])
        if number == self._interfaces.size:
            larger = np.zeros(2 * number, dtype=INTERFACE)
            larger[:number] = self._interfaces
            self._interfaces = larger
        row = self._interfaces[number]
        row["link"] = interface.link
        row["fcs_bytes"] = interface.fcs_bytes
        row["snaplen"] = interface.snaplen
        row["kind"] = interface.kind
        row["factor"] = interface.factor
        row["offset_ns"] = interface.offset_ns
        row["frames"] = 0
        self._state[st.INTERFACES] = number + 1

    def _declaration(self) -> bool:
        """pcapng: take in the section header or interface description at hand."""
        head = self._peek(BLOCK_BYTES)
        section = head[:4] == formats.SECTION_MAGIC
        big: bool | None = bool(self._state[st.BIG])
        if section:
            big = formats.section_order(head)
            if big is None:
                return self._fail("section without a byte-order mark")
        size = int.from_bytes(head[4:8], "big" if big else "little")
        least = formats.SECTION_BYTES_MIN if section else formats.INTERFACE_BYTES_MIN
        if size < least or size & 3 or size > KEPT_MAX:
            return self._fail(st.WORDS[st.BAD_BLOCK])
        if not self._ensure(size):
            return self._end()
        block = self._peek(size)
        if block[-4:] != block[4:8]:
            return self._fail(st.WORDS[st.BAD_TRAILER])
        fault = self._section(block, bool(big)) if section else self._interface(block, bool(big))
        if fault is not None:
            return self._fail(fault)
        self._state[st.POS] += size
        return True

    def _section(self, block: bytes, big: bool) -> str | None:
        fault = formats.section_fault(block, big)
        if fault is None:
            self._links = self._all_links()
            self._interfaces["frames"] = 0
            self._state[st.INTERFACES] = 0
            self._state[st.BIG] = big
        return fault

    def _interface(self, block: bytes, big: bool) -> str | None:
        if self._state[st.INTERFACES] == INTERFACES_MAX:
            return f"more than {INTERFACES_MAX} interfaces in a section"
        interface = formats.interface_block(block, big)
        if isinstance(interface, str):
            return interface
        self._declare(interface)
        return None

    def _skip(self) -> bool:
        """pcapng: pass over a block that may be larger than the buffer, holding none of it."""
        order: Any = "big" if self._state[st.BIG] else "little"
        head = self._peek(8)
        size = int.from_bytes(head[4:8], order)
        if size <= KEPT_MAX:
            return self._refill() > 0 or self._end()
        place = self._place()
        left = size - 4
        while left > 0:
            step = min(left, self._held())
            self._state[st.POS] += step
            left -= step
            if left and self._refill() == 0:
                return self._cut_off(place)
        if not self._ensure(4):
            return self._cut_off(place)
        if self._peek(4) != head[4:8]:
            return self._fail(st.WORDS[st.BAD_TRAILER])
        self._state[st.POS] += 4
        return True

    def _cut_off(self, place: int) -> bool:
        """The stream ended inside the block that began at `place`."""
        self._state[st.POS] = place - int(self._state[st.BASE])
        what = self._source.fault or "the file was cut off in the block"
        return self._fail(what)

    def close(self) -> None:
        """Close the file; what was counted stays."""
        self._source.close()
