"""Captures that can be read only once, kept in temporary files so that they can be read several times."""

import contextlib
import os
import tempfile
from collections.abc import Iterable
from typing import BinaryIO, Self

from engine.errors import CaptureError, PktollError
from engine.wire.source import STDIN, Reader, lend, open_stream, take_back

_CHUNK_BYTES = 1 << 18


class Spool:
    """Reads what of `paths` cannot be opened again (standard input, a FIFO) to its end, at once.

    After each `rewind` a capture of these paths begins at its beginning. CaptureError where a stream cannot
    be opened or read; PktollError where there is no room for it.
    """

    def __init__(self, paths: Iterable[str]) -> None:
        self._kept: dict[str, BinaryIO] = {}
        self._lent: list[Reader] = []
        with contextlib.ExitStack() as undo:
            undo.callback(self.close)
            for path in dict.fromkeys(paths):
                self._keep(path)
            undo.pop_all()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def paths(self) -> tuple[str, ...]:
        """What had to be kept."""
        return tuple(self._kept)

    def _keep(self, path: str) -> None:
        stream, size_bytes = open_stream(path)
        try:
            if size_bytes is None:
                file = tempfile.TemporaryFile(prefix="pktoll-")  # noqa: SIM115 (see close)
                self._kept[path] = file
                _copy(path, stream, file)
        finally:
            if path != STDIN:
                stream.close()

    def rewind(self) -> None:
        """Let each path that was kept be opened once more."""
        self._take_back()
        for path, file in self._kept.items():
            file.seek(0)
            # A descriptor of its own, which its reader may close.
            stream = open(os.dup(file.fileno()), "rb", buffering=0)  # noqa: SIM115 (see _take_back)
            self._lent.append(stream)
            lend(path, stream)

    def _take_back(self) -> None:
        for path in self._kept:
            take_back(path)
        for stream in self._lent:
            stream.close()
        self._lent.clear()

    def close(self) -> None:
        """Remove the temporary files."""
        self._take_back()
        for file in self._kept.values():
            with contextlib.suppress(OSError):  # a full disk is told where it was met
                file.close()
        self._kept.clear()


def _copy(path: str, stream: Reader, file: BinaryIO) -> None:
    room = memoryview(bytearray(_CHUNK_BYTES))
    while True:
        try:
            count = stream.readinto(room)
        except OSError as error:
            raise CaptureError(f"{path}: cannot read on: {error.strerror}") from error
        try:
            if not count:
                file.flush()
                return
            file.write(room[:count])
        except OSError as error:
            raise PktollError(
                f"{tempfile.gettempdir()}: {error.strerror}; {path} is kept there, because it is read more "
                "than once: name another folder with TMPDIR, or give a file"
            ) from error
