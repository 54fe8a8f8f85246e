"""Runs `pktoll replay` as anybody would, and sees from outside what it takes: time, CPU time, memory.

The memory is the most that was ever resident (VmHWM of /proc), which counts from the program's start: a
child's rusage would count what its parent held, too, when it was forked.
"""

import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from typing import Any, NamedTuple

CHUNK_BYTES = 1 << 20
ENDS_BYTES = 1 << 16
"""kept of the beginning and of the end of a long report"""


class Ran(NamedTuple):
    """What a run took.

    `fed_bytes`: most resident when all of standard input was written (0 without), before the report;
    `peak_bytes`: ever. `busy_s`: reading and billing, without starting and compiling, as the command says.
    """

    totals: dict[str, Any]
    packets: int
    busy_s: float
    compile_s: float
    wall_s: float
    cpu_s: float
    fed_bytes: int
    peak_bytes: int

    @property
    def ns(self) -> float:
        """A packet, reading included and compiling not."""
        return self.busy_s * 1e9 / self.packets


def status_bytes(pid: int | str, name: str) -> int:
    """byte; a figure of /proc/PID/status (VmRSS, VmHWM …); 0 where the process has none any more."""
    try:
        with open(f"/proc/{pid}/status", encoding="ascii") as file:
            found = re.search(rf"^{name}:\s+(\d+) kB", file.read(), re.MULTILINE)
    except (FileNotFoundError, ProcessLookupError):
        return 0
    return int(found[1]) << 10 if found else 0


def replay(
    arguments: Sequence[str], feed: Sequence[str] | None = None, env: dict[str, str] | None = None
) -> Ran:
    """Run `pktoll replay` with these arguments; `feed`, a command, writes to its standard input.

    SystemExit where it fails.
    """
    command = [sys.executable, "-m", "engine", "replay", *arguments, "--format", "jsonl", "--quiet"]
    writer = None if feed is None else subprocess.Popen(feed, stdout=subprocess.PIPE)
    with tempfile.TemporaryFile() as errors:
        begin_s = time.perf_counter()
        child = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL if writer is None else writer.stdout,
            stdout=subprocess.PIPE,
            stderr=errors,
            env=env,
        )
        fed_bytes = 0 if writer is None else _fed(writer, child.pid)
        text, peak_bytes = _report(child)
        _, status, usage = os.wait4(child.pid, 0)
        wall_s = time.perf_counter() - begin_s
        child.returncode = os.waitstatus_to_exitcode(status)
        errors.seek(0)
        if child.returncode != 0 or (writer is not None and writer.returncode != 0):
            words = errors.read().decode(errors="replace").strip()
            raise SystemExit(f"bench: pktoll replay failed ({child.returncode}): {words}")
    capture, totals, timing = (_record(text, kind) for kind in ("capture", "totals", "timing"))
    return Ran(
        totals,
        capture["packets"],
        timing["read_s"] + timing["process_s"],
        timing["compile_s"],
        wall_s,
        usage.ru_utime + usage.ru_stime,
        fed_bytes,
        peak_bytes,
    )


def _fed(writer: "subprocess.Popen[bytes]", pid: int) -> int:
    """byte; most resident of `pid` when the writer had written all."""
    assert writer.stdout is not None
    writer.stdout.close()  # so that the writer hears of it if the command ends early
    writer.wait()
    return status_bytes(pid, "VmHWM")


def _report(child: "subprocess.Popen[bytes]") -> tuple[bytes, int]:
    """Beginning and end of what it prints, and the most memory up to then.

    It prints when all is known, and cannot end before the last piece is taken: memory is looked at then.
    """
    assert child.stdout is not None
    head, tail, peak_bytes = b"", b"", 0
    with child.stdout as out:
        while piece := os.read(out.fileno(), CHUNK_BYTES):
            peak_bytes = max(peak_bytes, status_bytes(child.pid, "VmHWM"))
            if len(head) < ENDS_BYTES:
                head += piece
            else:
                tail = (tail + piece)[-ENDS_BYTES:]
    return head + b"\n" + tail, peak_bytes


def _record(text: bytes, kind: str) -> dict[str, Any]:
    for line in text.splitlines():
        if line.startswith(f'{{"record": "{kind}"'.encode()):
            found: dict[str, Any] = json.loads(line)
            return found
    raise SystemExit(f"bench: the report of pktoll replay has no {kind}")
