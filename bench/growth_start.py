"""How long `pktoll replay` takes to its first bill: from the command to its end, seen from outside.

A capture of a thousand packets, with kernels in the cache and without; the whole command, its report and
its end included, so the first packet was billed earlier. Python's own compiled modules are kept.
"""

import os
import tempfile
from collections.abc import Callable
from pathlib import Path

from bench import capture
from bench.growth_command import Ran, replay
from bench.growth_packets import UE_NET
from bench.growth_rows import Row, spread

PACKETS, SIMS = 1_000, 10


def _environment(cache: Path) -> dict[str, str]:
    """This one with another kernel cache, and with Python's own cache of modules in it."""
    kept = {name: text for name, text in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    return kept | {"XDG_CACHE_HOME": str(cache), "PYTHONPYCACHEPREFIX": str(cache / "modules")}


def _row(kind: str, runs: list[Ran]) -> Row:
    return Row(
        "start",
        {
            "kernel_cache": kind,
            "runs": len(runs),
            "whole_command_s": spread([ran.wall_s for ran in runs]),
            "cpu_s": spread([ran.cpu_s for ran in runs]),
            "kernels_s": spread([ran.compile_s for ran in runs]),
        },
    )


def rows(cold: int, warm: int) -> list[Row]:
    """So many starts with an empty kernel cache each, and so many with a full one."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        path = folder / "small.pcap"
        capture.write(path, PACKETS, SIMS)

        def start(cache: str) -> Callable[[], Ran]:
            return lambda: replay([str(path), *UE_NET], env=_environment(folder / cache))

        without = [start(f"cold{number}")() for number in range(cold)]
        start("warm" if cold == 0 else "cold0")()
        within = [start("warm" if cold == 0 else "cold0")() for _ in range(warm)]
    found = [_row("empty", without)] if without else []
    return [*found, _row("full", within)] if within else found
