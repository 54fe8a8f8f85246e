"""Where a capture's bytes come from: a file, a FIFO or standard input, with gzip or without."""

import os
import select
import stat
import sys
import zlib
from typing import Protocol, cast

from engine.errors import CaptureError
from engine.wire.state import NO_FILE

STDIN = "-"

GZIP_MAGIC = b"\x1f\x8b"
_GZIP_BITS = 31
"""zlib's window setting for a gzip member"""
_CHUNK_BYTES = 1 << 18


class Reader(Protocol):
    """What is needed of a stream."""

    def fileno(self) -> int: ...

    def readinto(self, buffer: memoryview, /) -> int | None: ...

    def close(self) -> None: ...


_looked_at: dict[str, tuple[Reader, list[bytes]]] = {}
"""streams that cannot be opened a second time, by path, with what was read of them to look ahead"""


class Stop:
    """Ends the reading of streams when somebody asks for it, in a signal handler or another thread."""

    def __init__(self) -> None:
        self.wanted = False
        self.wake, self._ring = os.pipe()

    def ask(self) -> None:
        """From now on every stream is at its end, those too that are being waited for."""
        self.wanted = True
        os.write(self._ring, b"!")

    def before(self, stream: Reader) -> bool:
        """Wait until there is something to read; True if the stop was asked for before that."""
        if not self.wanted:
            select.select([stream.fileno(), self.wake], [], [])
        return self.wanted


def open_stream(path: str, stop: Stop | None = None) -> tuple[Reader, int | None]:
    """The raw stream, unbuffered, and its size where it is a file that can be opened again."""
    if path == STDIN:
        if sys.stdin is None:
            raise CaptureError("-: there is no standard input; name a file")
        # Below Python's buffer, whose lock a thread that waits for input would hold at the program's end.
        return cast(Reader, getattr(sys.stdin.buffer, "raw", sys.stdin.buffer)), None
    try:
        # A FIFO is opened without waiting for its writer, so that the wait can be stopped.
        file = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
        stream = open(file, "rb", buffering=0)  # noqa: SIM115 (closed by Source.close)
    except OSError as error:
        raise CaptureError(
            f"{path}: cannot open the capture: {error.strerror}; check the path and its permissions"
        ) from error
    info = os.fstat(file)
    if stat.S_ISFIFO(info.st_mode) and stat.S_ISFIFO(os.lstat(path).st_mode):
        select.select([file, *([] if stop is None else [stop.wake])], [], [])
    os.set_blocking(file, True)
    return stream, info.st_size if stat.S_ISREG(info.st_mode) else None


def lend(path: str, stream: Reader) -> None:
    """Have the next Source of this path read `stream`, from where it stands, instead of what is there."""
    _looked_at[path] = stream, []


def take_back(path: str) -> None:
    """Forget what was lent under this path and not asked for."""
    _looked_at.pop(path, None)


def _salvage(inflate: "zlib._Decompress", data: bytes, most: int) -> bytes:
    """What comes out of damaged gzip data before the damage, `most` bytes of it."""
    good, bad = 0, len(data)
    while bad - good > 1:
        middle = (good + bad) // 2
        try:
            inflate.copy().decompress(data[:middle], most)
            good = middle
        except zlib.error:
            bad = middle
    return inflate.copy().decompress(data[:good], most)


class Source:
    """Bytes of one capture, decompressed. `fault` is set where the stream itself is broken."""

    def __init__(
        self, path: str, look_ahead_bytes: int | None = None, stop: Stop | None = None
    ) -> None:
        """Open the stream; CaptureError where that fails.

        With `look_ahead_bytes` it ends there; a stream that cannot be opened again (standard input, a
        FIFO) is then left to the next Source of this path, from its beginning.
        """
        self.path = path
        self.consumed_bytes = 0
        self.fault: str | None = None
        self.size_bytes: int | None = None
        if path in _looked_at:
            self._raw, self._given = _looked_at.pop(path)
        else:
            self._raw, self.size_bytes = open_stream(path, stop)
            self._given = []
        self._stop = stop
        self._look_ahead = look_ahead_bytes is not None
        self._left = sys.maxsize if look_ahead_bytes is None else look_ahead_bytes
        self._kept: list[bytes] = []
        self._keep = look_ahead_bytes is not None and self.size_bytes is None
        if self._keep:
            _looked_at[path] = self._raw, self._kept
        self._inflate: zlib._Decompress | None = None
        self._input = b""
        """compressed bytes, or the beginning of a plain file"""
        self._buffer = bytearray()
        self._started = False

    def descriptor(self) -> int:
        """The file, where a kernel may read on in it by itself from `consumed_bytes`; else NO_FILE.

        It may not in what is compressed, has to be waited for, is only looked at or was given back.
        """
        plain = self._started and self._inflate is None and not self._input and not self._given
        if not plain or self.size_bytes is None or self._look_ahead or self.stopped():
            return NO_FILE
        return self._raw.fileno()

    def move_to(self, offset: int) -> None:
        """The file was read up to `offset` by a kernel."""
        if self.size_bytes is not None and self._inflate is None and offset != self.consumed_bytes:
            os.lseek(self._raw.fileno(), offset, os.SEEK_SET)
            self.consumed_bytes = offset

    def _chunk(self, room: memoryview) -> int:
        """Raw bytes into `room`; 0 at the end."""
        if self._given:
            first = self._given[0]
            count = min(len(first), len(room))
            room[:count] = first[:count]
            self._given[0:1] = [first[count:]] if count < len(first) else []
        elif self.stopped():
            return 0
        else:
            try:
                count = self._raw.readinto(room) or 0
            except OSError as error:
                self.fault = f"cannot read on: {error.strerror}"
                return 0
        if self._keep and count:
            self._kept.append(bytes(room[:count]))
        self.consumed_bytes += count
        return count

    def stopped(self) -> bool:
        """Whether a stop was asked for; waits with a stream that may have nothing to read yet."""
        if self._stop is None:
            return False
        return self._stop.wanted if self.size_bytes is not None else self._stop.before(self._raw)

    def _start(self) -> None:
        """Tell gzip from plain by the first two bytes."""
        self._started = True
        head = bytearray(len(GZIP_MAGIC))
        filled = 0
        while filled < len(head):
            count = self._chunk(memoryview(head)[filled:])
            if count == 0:
                break
            filled += count
        self._input = bytes(head[:filled])
        if self._input == GZIP_MAGIC:
            self._inflate = zlib.decompressobj(_GZIP_BITS)
            self._buffer = bytearray(_CHUNK_BYTES)

    def read_into(self, room: memoryview) -> int:
        """Fill `room` as far as the stream goes; the number of bytes, fewer at the end."""
        if not self._started:
            self._start()
        room = room[: self._left]
        filled = 0
        while filled < len(room) and self.fault is None:
            if self._inflate is None:
                count = self._plain(room[filled:])
            else:
                count = self._inflated(room[filled:])
            if count == 0:
                break
            filled += count
        if self._look_ahead:
            self._left -= filled
        return filled

    def _plain(self, room: memoryview) -> int:
        if self._input:
            count = min(len(self._input), len(room))
            room[:count] = self._input[:count]
            self._input = self._input[count:]
            return count
        return self._chunk(room)

    def _inflated(self, room: memoryview) -> int:
        """Bytes of the members one after the other; what stands behind the last is ignored."""
        assert self._inflate is not None
        data = b""
        while not data:
            if self._inflate.eof:
                if not self._next_member():
                    return 0
            elif not self._input:
                self._input = self._compressed()
            ended = not self._input
            before = self._inflate.copy()
            try:
                data = self._inflate.decompress(self._input, len(room))
            except zlib.error:
                self.fault = "the gzip data are damaged"
                data = _salvage(before, self._input, len(room))
                break
            self._input = self._inflate.unconsumed_tail
            if ended and not data:
                self.fault = self.fault or "the gzip data end too early"
                return 0
        room[: len(data)] = data
        return len(data)

    def _compressed(self) -> bytes:
        """The next piece of the file; empty at its end."""
        count = self._chunk(memoryview(self._buffer))
        return bytes(self._buffer[:count])

    def _next_member(self) -> bool:
        """Begin the next gzip member, if there is one."""
        assert self._inflate is not None
        rest = self._inflate.unused_data
        while len(rest) < len(GZIP_MAGIC):
            piece = self._compressed()
            if not piece:
                return False
            rest += piece
        if not rest.startswith(GZIP_MAGIC):
            return False
        self._inflate = zlib.decompressobj(_GZIP_BITS)
        self._input = rest
        return True

    def close(self) -> None:
        """Close the file; standard input, and what was only looked at, stay open."""
        if self.path != STDIN and not self._keep:
            self._raw.close()
