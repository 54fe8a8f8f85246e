"""Where a capture's bytes come from: a file, a FIFO or standard input, with gzip or without."""

import os
import sys
import zlib
from typing import Protocol, cast

from engine.errors import CaptureError

STDIN = "-"

GZIP_MAGIC = b"\x1f\x8b"
_GZIP_BITS = 31
"""zlib's window setting for a gzip member"""
_CHUNK_BYTES = 1 << 18


class _Reader(Protocol):
    def readinto(self, buffer: memoryview, /) -> int | None: ...

    def close(self) -> None: ...


_given_back: list[bytes] = []
"""what was looked at of standard input and is still to be read; there is only one such stream"""


def _open(path: str) -> tuple[_Reader, int | None]:
    """The raw stream, unbuffered, and its size where it has one."""
    if path == STDIN:
        if sys.stdin is None:
            raise CaptureError("-: there is no standard input; name a file")
        return cast(_Reader, sys.stdin.buffer), None
    try:
        stream = open(path, "rb", buffering=0)  # noqa: SIM115 (closed by Source.close)
    except OSError as error:
        raise CaptureError(
            f"{path}: cannot open the capture: {error.strerror}; check the path and its permissions"
        ) from error
    info = os.fstat(stream.fileno())
    return stream, info.st_size if info.st_size else None


class Source:
    """Bytes of one capture, decompressed. `fault` is set where the stream itself is broken."""

    def __init__(self, path: str, look_ahead_bytes: int | None = None) -> None:
        """Open the stream; CaptureError where that fails.

        With `look_ahead_bytes` it ends there, and `give_back` undoes the reading of standard input.
        """
        self.path = path
        self.consumed_bytes = 0
        self.fault: str | None = None
        self._raw, self.size_bytes = _open(path)
        self._left = sys.maxsize if look_ahead_bytes is None else look_ahead_bytes
        self._keep = look_ahead_bytes is not None and path == STDIN
        self._kept: list[bytes] = []
        self._inflate: zlib._Decompress | None = None
        self._input = b""
        """compressed bytes, or the beginning of a plain file"""
        self._buffer = bytearray()
        self._started = False

    def _chunk(self, room: memoryview) -> int:
        """Raw bytes into `room`; 0 at the end."""
        if self.path == STDIN and _given_back:
            first = _given_back[0]
            count = min(len(first), len(room))
            room[:count] = first[:count]
            _given_back[0:1] = [first[count:]] if count < len(first) else []
        else:
            try:
                count = self._raw.readinto(room) or 0
            except OSError as error:
                self.fault = f"cannot read on: {error.strerror}"
                return 0
        if self._keep:
            self._kept.append(bytes(room[:count]))
        self.consumed_bytes += count
        return count

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
            try:
                data = self._inflate.decompress(self._input, len(room))
            except zlib.error:
                self.fault = "the gzip data are damaged"
                return 0
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

    def give_back(self) -> None:
        """Let the next reader of standard input begin where this one did."""
        _given_back[0:0] = [chunk for chunk in self._kept if chunk]
        self._kept = []

    def close(self) -> None:
        """Close the file (standard input stays open)."""
        if self.path != STDIN:
            self._raw.close()
