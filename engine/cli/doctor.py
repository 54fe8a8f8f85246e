"""`pktoll doctor`: what this machine has, what is missing, and what to do about it."""

import importlib
import importlib.metadata
import json
import os
import platform
import shutil
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import click

from engine import units

SCHEMA = "pktoll.doctor/1"
FINE = "fine"
NOTE = "note"
BROKEN = "broken"
"""states of a check; only a broken one makes the command fail"""

PACKAGES = ("numpy", "numba", "apsw", "pyzmq", "msgpack", "pydantic", "scapy")
PYTHON_MIN = (3, 11)
HUGE_PAGES = Path("/sys/kernel/mm/transparent_hugepage/enabled")
ROOMS_WITH_KERNELS = ("engine.runtime", "engine.replay")
DURABLE = {"journal_mode": "wal", "synchronous": "2", "foreign_keys": "1"}
"""what a coupon database in a file must read back (G2)"""


class Check(NamedTuple):
    """One line of the report: what was found, and what to do unless it is fine."""

    name: str
    value: str
    state: str = FINE
    advice: str = ""


def python(version: tuple[int, ...] = tuple(sys.version_info[:3])) -> Check:
    """The interpreter; 3.11 is the oldest that the program is tested with."""
    value = f"{platform.python_implementation()} {'.'.join(map(str, version))}"
    if version < PYTHON_MIN:
        return Check("Python", value, BROKEN, "install Python 3.11 or newer")
    return Check("Python", value)


def package(name: str) -> Check:
    """The installed version of a package that the program needs."""
    try:
        return Check(name, importlib.metadata.version(name))
    except importlib.metadata.PackageNotFoundError:
        return Check(name, "missing", BROKEN, f"pip install {name}")


def cores() -> Check:
    """CPUs of the machine, and how many of them this process may use."""
    count = os.cpu_count() or 1
    affinity = getattr(os, "sched_getaffinity", None)
    usable = len(affinity(0)) if affinity else count
    return Check("CPUs", f"{usable} usable of {count} ({platform.machine()})")


def cache(folder: Path | None, disabled: bool) -> Check:
    """Where compiled kernels are kept, and whether there are any for this version's sources."""
    name = "kernel cache"
    if disabled:
        advice = "unset NUMBA_DISABLE_JIT: without the compiler all is some 200 times slower"
        return Check(name, "the JIT is off", NOTE, advice)
    if folder is None:
        advice = "point XDG_CACHE_HOME at a folder that only you can write"
        return Check(name, "none: kernels are compiled at every start", NOTE, advice)
    count = len(list(folder.rglob("*.nbi")))
    if count == 0:
        return Check(name, f"{folder}: empty", NOTE, "pktoll doctor --warm fills it")
    return Check(name, f"{folder}: {count} functions")


def kernels(warm: bool) -> list[Check]:
    """The cache, and with `warm` how long it took to compile or load every kernel."""
    from engine import jit

    if not warm:
        return [cache(jit.CACHE, jit.DISABLED)]
    for room in ROOMS_WITH_KERNELS:
        importlib.import_module(room)
    took_ns = jit.warm()
    found = jit.kernels()
    loaded = sum(1 for _, _, hits in found if hits)
    value = f"{took_ns // units.NS_PER_MS} ms for {len(found)} ({loaded} from the cache)"
    return [cache(jit.CACHE, jit.DISABLED), Check("kernels", value)]


def database(url: str | None = None) -> Check:
    """SQLite's version, and that a file keeps what is committed to it (a file is made and removed)."""
    from engine.pool import open_store
    from engine.pool.store import StoreOptions

    with tempfile.TemporaryDirectory(prefix="pktoll-") as folder:
        made = f"sqlite:///{folder}/doctor.db"
        store = open_store(url or made, StoreOptions(gateway=None))
        settings = store.settings()
        store.close()
    version = settings.pop("sqlite")
    value = " ".join([version, *(f"{key}={text}" for key, text in settings.items())])
    wrong = [key for key, text in DURABLE.items() if settings[key] != text]
    if wrong:
        return Check("SQLite", value, BROKEN, f"not durable: {', '.join(wrong)}; use a local disk")
    return Check("SQLite", value)


def time_zone(name: str = "Asia/Tokyo") -> Check:
    """Time zone data agree that Japan is 9 hours ahead all year; the engine itself needs none (U2)."""
    from datetime import datetime, timedelta
    from zoneinfo import ZoneInfo

    zone = ZoneInfo(name)
    expected = timedelta(microseconds=units.JST_OFFSET_NS // units.NS_PER_US)
    months = [
        datetime(year, month, 1, tzinfo=zone) for year in (2013, 2026) for month in range(1, 13)
    ]
    if any(month.utcoffset() != expected for month in months):
        return Check(f"time zone {name}", "not UTC+9 all year", BROKEN, "pip install -U tzdata")
    return Check(f"time zone {name}", "UTC+9 all year")


def huge_pages(path: Path = HUGE_PAGES) -> Check:
    """Whether large tables of SIMs may lie in huge pages, which saves a miss or two a packet."""
    name = "huge pages"
    try:
        text = path.read_text()
    except OSError:
        return Check(name, "unknown on this system", NOTE, "none needed below a million SIMs")
    chosen = text.partition("[")[2].partition("]")[0]
    if chosen == "never":
        advice = f"echo madvise > {path} (as root) speeds up tables of a million SIMs"
        return Check(name, chosen, NOTE, advice)
    return Check(name, chosen)


def tool(name: str, purpose: str) -> Check:
    """A program that only tests or comparisons use."""
    found = shutil.which(name)
    if found is None:
        return Check(name, "not found", NOTE, f"only needed {purpose}")
    return Check(name, found)


def library(name: str, purpose: str) -> Check:
    """A library that only benchmarks use."""
    from ctypes.util import find_library

    found = find_library(name)
    if found is None:
        return Check(f"lib{name}", "not found", NOTE, f"only needed {purpose}")
    return Check(f"lib{name}", found)


def attempt(name: str, look: Callable[[], Check | list[Check]], advice: str) -> list[Check]:
    """The checks of one look; whatever goes wrong in it is itself a finding."""
    try:
        found = look()
    except Exception as error:  # a doctor must be able to report any illness
        reason = " ".join(str(error).split()) or type(error).__name__
        return [Check(name, reason, BROKEN, advice)]
    return found if isinstance(found, list) else [found]


def examine(warm: bool) -> list[Check]:
    """Every check, in the order of the report."""
    reinstall = "install pktoll again, in a fresh environment"
    return [
        python(),
        *(package(name) for name in PACKAGES),
        cores(),
        *attempt("kernels", lambda: kernels(warm), reinstall),
        *attempt("SQLite", database, "see that the temporary folder can be written (TMPDIR)"),
        *attempt("time zone", time_zone, "pip install -U tzdata"),
        huge_pages(),
        tool("tshark", "for comparisons in the tests"),
        library("pcap", "for comparisons in the benchmarks"),
    ]


def _show(checks: list[Check]) -> None:
    from rich.table import Table
    from rich.text import Text

    from engine.cli.console import Output

    colours = {FINE: "green", NOTE: "yellow", BROKEN: "bold red"}
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("check", "state", "found", "what to do"):
        table.add_column(column, overflow="fold")
    for check in checks:
        state = Text(check.state, style=colours[check.state])
        table.add_row(check.name, state, Text(check.value), Text(check.advice))
    Output().print(table)


@click.command(name="doctor")
@click.option("--warm", is_flag=True, help="Compile every kernel now, so that no later run has to.")
@click.option(
    "--format", "form", type=click.Choice(["table", "json"]), default="table", show_default=True
)
def command(warm: bool, form: str) -> int:
    """Look at what this machine has, and compile the kernels.

    Ends with status 1 when something that pktoll needs is broken.
    """
    checks = examine(warm)
    if form == "json":
        document = {"schema": SCHEMA, "checks": [check._asdict() for check in checks]}
        click.echo(json.dumps(document, indent=2))
    else:
        _show(checks)
    return int(any(check.state == BROKEN for check in checks))
