"""What there is before SQLite is let at it: its version, files it would misread, remains of a lost one."""

import os
import stat
from glob import escape, glob

from engine.errors import PoolError

LOCK_SUFFIX = "-lock"
"""the file that is locked while a store is set up; with a gateway's name, while that gateway lives"""
_VERSION_MIN = (3, 51, 3)


def check_version(version: str) -> None:
    """PoolError where the SQLite library is one that can corrupt a WAL."""
    if tuple(int(part) for part in version.split(".")) < _VERSION_MIN:
        least = ".".join(map(str, _VERSION_MIN))
        raise PoolError(
            f"pool: SQLite {version} can corrupt a database; install apsw {least} or newer"
        )


def check_path(where: str, path: str) -> None:
    """Refuse what SQLite would misread or wait on for ever: folders, pipes, devices (B62, B81)."""
    if "\0" in path:
        raise PoolError("pool: the file name holds a NUL character; give another name")
    try:
        mode = os.stat(path).st_mode
    except FileNotFoundError:
        return
    except OSError as error:
        reason = f"cannot be opened ({error.strerror}); give another file"
        raise PoolError(f"{where}: {reason}") from None
    if not stat.S_ISREG(mode):
        raise PoolError(f"{where}: not a regular file; give the name of a file")


def check_remains(where: str, path: str) -> None:
    """Refuse to begin anew where a coupon database was lost (B81).

    A file of 0 bytes is a new database, as `touch` and an interrupted creation leave it; SQLite would
    also take it for one after a crash of the file system, and would then throw the write-ahead log
    away, with grants in it that were answered. So what lies beside it decides.
    """
    if os.path.exists(path) and os.path.getsize(path):
        return
    wal = f"{path}-wal"
    if os.path.exists(wal) and os.path.getsize(wal):
        raise PoolError(
            f"{where}: its contents are gone, but {wal} still holds changes to them;"
            " restore both from a backup, or remove what is left to begin anew"
        )
    locks = sorted(glob(f"{escape(path)}{LOCK_SUFFIX}-*"))
    if os.path.exists(path) and locks:
        raise PoolError(
            f"{where}: 0 bytes long, but {locks[0]} shows that gateways have used it;"
            " restore it from a backup, or remove both to begin anew"
        )


def identity(path: str | None) -> tuple[int, int] | None:
    """Which file it is, whatever its name; None for a database in memory or a file that is gone."""
    if path is None:
        return None
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_dev, found.st_ino
