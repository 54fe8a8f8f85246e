"""A disk that fails: full, refusing to write or to sync, or losing power with what was not synced.

It stands between SQLite and the real files of one process as SQLite's default file system. What a file
holds for certain is what was there at its last sync; `image` is what a machine may find after power came
back: of the writes since then some are there, some are not, one may be half there or garbled.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random
from typing import Any

import apsw

SECTOR = 512
BASE = apsw.vfs_names()[0]
Write = tuple[int, bytes | None]
"""offset and bytes; None: cut off there"""


class Disk(apsw.VFS):
    """SQLite's file system with a switch for faults and a memory of what was synced."""

    def __init__(self) -> None:
        self.certain: dict[str, bytearray] = {}
        self.since: dict[str, list[Write]] = {}
        self.writes = self.syncs = 0
        self.on_write: Callable[[], None] = lambda: None
        self.on_sync: Callable[[], None] = lambda: None
        super().__init__("proof-disk", BASE, makedefault=True)

    def xOpen(self, name: Any, flags: list[int]) -> apsw.VFSFile:
        """Open a file, remembered from here on."""
        return File(self, name, flags)

    def xDelete(self, name: str, syncdir: bool) -> None:
        """A file is gone; SQLite only removes what may be gone."""
        super().xDelete(name, syncdir)
        self.certain.pop(name, None)
        self.since.pop(name, None)

    def heal(self) -> None:
        """Room again, no more errors."""
        self.on_write = self.on_sync = lambda: None

    def fail_after(self, writes: int, error: Exception) -> None:
        """Let the next `writes` writes pass, and refuse all that follow."""
        left = [writes]

        def refuse() -> None:
            left[0] -= 1
            if left[0] < 0:
                raise error

        self.on_write = refuse

    def fail_syncs(self, error: Exception) -> None:
        """Refuse every sync from now on."""

        def refuse() -> None:
            raise error

        self.on_sync = refuse

    def image(self, folder: Path, dice: Random) -> None:
        """Write every file as it may be found after power was lost now."""
        for name, certain in sorted(self.certain.items()):
            data = bytearray(certain)
            for offset, written in self.since[name]:
                if dice.random() < 0.5:
                    apply(data, offset, torn(written, dice))
            (folder / Path(name).name).write_bytes(data)


def torn(written: bytes | None, dice: Random) -> bytes | None:
    """Perhaps only some sectors of a write, perhaps garbage at its end."""
    roll = dice.random()
    if written is None or roll < 0.6:
        return written
    kept = dice.randrange(0, len(written) + 1, SECTOR) if len(written) >= SECTOR else 0
    return written[:kept] + (dice.randbytes(len(written) - kept) if roll < 0.8 else b"")


def apply(data: bytearray, offset: int, written: bytes | None) -> None:
    """One write, or a cut, on a file's contents."""
    if written is None:
        del data[offset:]
        return
    data.extend(bytes(max(0, offset - len(data))))
    data[offset : offset + len(written)] = written


class File(apsw.VFSFile):
    """One file of the disk."""

    def __init__(self, disk: Disk, name: Any, flags: list[int]) -> None:
        super().__init__(BASE, name, flags)
        self.disk = disk
        self.path = name.filename() if isinstance(name, apsw.URIFilename) else name
        if self.path is not None and self.path not in disk.certain:
            found = Path(self.path)
            disk.certain[self.path] = bytearray(found.read_bytes() if found.exists() else b"")
            disk.since[self.path] = []

    def xWrite(self, data: bytes, offset: int) -> None:
        """Write, unless the disk refuses."""
        self.disk.writes += 1
        self.disk.on_write()
        super().xWrite(data, offset)
        if self.path is not None:
            self.disk.since[self.path].append((offset, bytes(data)))

    def xTruncate(self, size: int) -> None:
        """Cut the file."""
        super().xTruncate(size)
        if self.path is not None:
            self.disk.since[self.path].append((size, None))

    def xSync(self, flags: int) -> None:
        """From now on all that was written is certain, unless the disk refuses."""
        self.disk.syncs += 1
        self.disk.on_sync()
        super().xSync(flags)
        if self.path is not None:
            for offset, written in self.disk.since[self.path]:
                apply(self.disk.certain[self.path], offset, written)
            self.disk.since[self.path].clear()


@contextmanager
def failing_disk() -> Iterator[Disk]:
    """While this is open, every SQLite file of this process is on a disk that can fail."""
    disk = Disk()
    try:
        yield disk
    finally:
        disk.unregister()
