"""Files that a replay writes packets to: a name that is right when the content is, or a stream."""

import contextlib
import errno
import os
import stat
import sys
import time
from typing import Any

from engine.errors import OutputError
from engine.wire.source import STDIN, Stop

STDOUT = STDIN
"""the name of standard output, as of standard input"""
FOLDERS = ("", os.curdir, os.pardir)
"""last parts of a name that can only be a folder's"""
WAIT_S = 0.05
"""s between two looks for a FIFO's reader"""


class Target:
    """Where packets are written to: a file, which is there under its name only when it is complete; or a
    FIFO, a device or standard output, as it goes.

    `fault` says why nothing more can be written; what is written after that goes nowhere.
    """

    def __init__(self, path: str, stop: Stop | None = None) -> None:
        """Open it; OutputError where that fails."""
        self.path = path
        self.fault: OutputError | None = None
        self._part: str | None = None
        self._place = os.path.realpath(path)
        """the name behind symbolic links, which stay what they are"""
        try:
            self._file = self._open(stop)
        except OSError as error:
            raise self._failure(error) from error

    @property
    def streams(self) -> bool:
        """Whether what is written is out at once, to be taken by others."""
        return self._part is None

    def _failure(self, error: OSError, more: str = "") -> OutputError:
        return OutputError(f"{self.path}: cannot write packets there: {error.strerror}{more}")

    def _open(self, stop: Stop | None) -> int:
        if self.path == STDOUT:
            sys.stdout.flush()
            return os.dup(sys.stdout.fileno())
        try:
            mode = os.stat(self.path).st_mode
        except FileNotFoundError:
            if os.path.basename(self.path) in FOLDERS:
                raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR)) from None
            return self._make(None)
        if stat.S_ISFIFO(mode):
            return self._open_fifo(stop)
        if stat.S_ISREG(mode) and os.access(self.path, os.W_OK):
            return self._make(stat.S_IMODE(mode))
        return os.open(self.path, os.O_WRONLY)  # a device; or the reason why that cannot be

    def _open_fifo(self, stop: Stop | None) -> int:
        """Wait for the reader, in a way that can be stopped."""
        while True:
            try:
                file = os.open(self.path, os.O_WRONLY | os.O_NONBLOCK)
            except OSError as error:
                if error.errno != errno.ENXIO or (stop is not None and stop.wanted):
                    raise
                time.sleep(WAIT_S)
            else:
                os.set_blocking(file, True)
                return file

    def _make(self, mode: int | None) -> int:
        """A file beside the place, to be renamed when it is complete, with the mode of what it replaces."""
        folder = os.path.dirname(self._place)
        number = 0
        while os.path.lexists(part := os.path.join(folder, f".pktoll-{os.getpid()}-{number}.part")):
            number += 1
        file = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
        if mode is not None:
            os.fchmod(file, mode)
        self._part = part
        return file

    def write(self, content: Any) -> None:
        """Write bytes (anything with a buffer)."""
        view = memoryview(content)
        try:
            while len(view) and self.fault is None:
                view = view[os.write(self._file, view) :]
        except OSError as error:
            more = "" if self.streams else "; no file was made"
            self.fail(self._failure(error, f"{more}. The bill is complete"))

    def fail(self, fault: OutputError) -> None:
        """Give up: what was written is removed."""
        self.fault = fault
        self.close()

    def finish(self) -> None:
        """All is written: the file gets its name."""
        if self.fault is not None:
            return
        try:
            file, self._file = self._file, -1
            os.close(file)
            if self._part is not None:
                os.replace(self._part, self._place)
                self._part = None
        except OSError as error:
            self.fail(self._failure(error, ". The bill is complete"))

    def close(self) -> None:
        """Close it; a file that is not complete is removed."""
        if self._file >= 0:
            with contextlib.suppress(OSError):  # whatever was written is of no use
                os.close(self._file)
            self._file = -1
        if self._part is not None:
            with contextlib.suppress(OSError):
                os.unlink(self._part)
            self._part = None
