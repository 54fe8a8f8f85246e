"""What the benchmarks ran on, as far as it decides their figures."""

import importlib.metadata
import os
import platform
import shutil
import subprocess
from pathlib import Path

from bench import places
from engine import __version__

HUGE_PAGES = Path("/sys/kernel/mm/transparent_hugepage/enabled")
MEMORY = Path("/proc/meminfo")


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return ""


def compiler() -> str:
    """The first line that the C compiler says of itself; "" without one."""
    name = os.environ.get("CC", "cc")
    if shutil.which(name) is None:
        return ""
    done = subprocess.run([name, "--version"], capture_output=True, text=True, check=False)
    return (done.stdout.splitlines() or [""])[0]


def memory_bytes(path: Path = MEMORY) -> int:
    """Of the whole machine; 0 where the system does not say."""
    for line in _read(path).splitlines():
        if line.startswith("MemTotal:"):
            return int(line.split()[1]) * 1024
    return 0


def load() -> float:
    """Processes that ran or wanted to run, over the last minute."""
    return round(os.getloadavg()[0], 2)


def facts() -> dict[str, object]:
    """Names that do not tell who or where it is."""
    return {
        "machine": platform.machine(),
        "cpu": places.cpu_model(),
        "cores": os.cpu_count() or 1,
        "usable_cores": len(places.usable_cores()) or 1,
        "memory_bytes": memory_bytes(),
        "kernel": f"{platform.system()} {platform.release()}",
        "huge_pages": _read(HUGE_PAGES).partition("[")[2].partition("]")[0],
        "python": platform.python_version(),
        "numpy": _version("numpy"),
        "numba": _version("numba"),
        "compiler": compiler(),
        "pktoll": __version__,
    }
