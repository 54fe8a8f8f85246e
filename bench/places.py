"""Where programs in C and captures are put, and on which cores things run."""

import hashlib
import os
import platform
import stat
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from engine.errors import PktollError

HERE = Path(__file__).parent
FOLDER = "PKTOLL_BENCH"
"""environment variable: another folder than the usual one"""


def _sources() -> str:
    """Hex digest of what the programs are made of, and for which processor."""
    digest = hashlib.sha256(f"{platform.machine()} {cpu_model()}".encode())
    for path in sorted([HERE / "build.sh", *(HERE / "peers").iterdir()]):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


def cpu_model(path: Path = Path("/proc/cpuinfo")) -> str:
    """As the system names it; "" where it does not."""
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return ""
    return next((s.partition(":")[2].strip() for s in lines if s.startswith("model name")), "")


def build_folder(here: Path = HERE) -> Path:
    """Beside the sources in a checkout; else in the user's cache, never among installed packages."""
    if chosen := os.environ.get(FOLDER):
        return Path(chosen).absolute()
    if (here.parent / "pyproject.toml").is_file():
        return here / "build"
    base = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    return Path(base) / "pktoll" / f"bench-{_sources()}"


def captures_folder(here: Path = HERE) -> Path:
    """Where captures are kept for the next time: with the programs, or for all versions together."""
    folder = build_folder(here)
    return folder.with_name("bench-captures") if folder.name.startswith("bench-") else folder


def make(folder: Path) -> None:
    """Make the folder, for this user alone. PktollError where others may write it: what is run lies
    in it."""
    advice = f"name another one in {FOLDER}"
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        info = folder.stat()
    except OSError as error:
        raise PktollError(f"{folder}: cannot be made: {error.strerror}; {advice}") from None
    if info.st_uid != os.geteuid() or info.st_mode & stat.S_IWOTH:
        raise PktollError(f"{folder}: others may write it, and programs are run from it; {advice}")


def usable_cores() -> list[int]:
    """Cores of this process, the one on which things of one core run first; none where nobody says."""
    if not hasattr(os, "sched_getaffinity"):
        return []
    return sorted(os.sched_getaffinity(0), reverse=True)


@contextmanager
def on_cores(cores: Iterable[int]) -> Iterator[None]:
    """Keep this thread, and what it starts, on these cores for a while; wherever it is if there are
    none."""
    wanted = set(cores)
    if not wanted or not hasattr(os, "sched_setaffinity"):
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, wanted)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)
