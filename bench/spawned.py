"""A program that is started, waited for and measured from outside: wall clock and processor time."""

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from bench import places

PROJECT = places.HERE.parent
SECONDS_MAX = 900
_SUBREAPER, _IS_SUBREAPER = 36, 37
"""PR_SET_CHILD_SUBREAPER and PR_GET_CHILD_SUBREAPER of prctl(2)"""


class Ended(NamedTuple):
    """How a program ended, what it said, and what it took with all that it started."""

    status: int
    out: str
    err: str
    wall_ns: int
    cpu_ns: int


@contextlib.contextmanager
def adopting() -> Iterator[None]:
    """Within, processes whose parent has gone become ours, so that their time can be had.

    Not for longer: whoever waits for an orphan's end would wait for ever, as nobody here takes note of it.
    """
    if sys.platform != "linux":
        yield
        return
    ask = ctypes.CDLL(None).prctl
    was = ctypes.c_int()
    ask(_IS_SUBREAPER, ctypes.byref(was), 0, 0, 0)
    ask(_SUBREAPER, 1, 0, 0, 0)
    try:
        yield
    finally:
        ask(_SUBREAPER, was.value, 0, 0, 0)


def _wait(pid: int) -> tuple[int, int]:
    """Wait for a process, and then for what is left of its group: its status and their CPU time in ns."""
    _, status, usage = os.wait4(pid, 0)
    spent_s = usage.ru_utime + usage.ru_stime
    while True:
        try:
            _, _, usage = os.wait4(-pid, 0)
        except ChildProcessError:
            return os.waitstatus_to_exitcode(status), round(spent_s * 1e9)
        spent_s += usage.ru_utime + usage.ru_stime


def _kill(group: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(group, signal.SIGKILL)


def run(
    command: Sequence[str | Path],
    cores: Iterable[int] = (),
    environment: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    seconds_max: float = SECONDS_MAX,
) -> Ended:
    """Run a program to its end, on these cores; nothing is given to it on standard input.

    After `seconds_max` it is killed, with all that it started, and ends with status -9.
    """
    changed = {**os.environ, "LC_ALL": "C", **(environment or {})}
    with (
        adopting(),
        tempfile.TemporaryFile() as out,
        tempfile.TemporaryFile() as err,
        places.on_cores(cores),
    ):
        begin_ns = time.perf_counter_ns()
        process = subprocess.Popen(
            [str(word) for word in command],
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=err,
            env=changed,
            cwd=cwd,
            start_new_session=True,
        )
        late = threading.Timer(seconds_max, _kill, (process.pid,))
        late.start()
        process.returncode, cpu_ns = _wait(process.pid)
        late.cancel()
        wall_ns = time.perf_counter_ns() - begin_ns
        said = [(file.seek(0), file.read().decode(errors="replace"))[1] for file in (out, err)]
    return Ended(process.returncode, said[0], said[1], wall_ns, cpu_ns)


def python(*words: str | Path) -> list[str | Path]:
    """A command of this interpreter."""
    return [sys.executable, *words]


def with_project() -> dict[str, str]:
    """The environment in which `python -m engine` is this very program, wherever it is called from."""
    paths = [str(PROJECT), *filter(None, [os.environ.get("PYTHONPATH")])]
    return {"PYTHONPATH": os.pathsep.join(paths)}
