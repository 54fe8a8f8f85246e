"""`pktoll replay` on the benchmark's capture, through the command itself."""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from bench.rounds import Round

OPTIONS = ("--ue-net", "10.0.0.0/8", "--format", "json")


def replay(capture: Path, cores: set[int], durable: bool = False) -> Round:
    """One run on these cores: ns per packet, reading included and compiling not, as its `timing` says.

    `durable`: the coupon database is a new SQLite file on the capture's disk, instead of memory.
    """
    command = [sys.executable, "-m", "engine", "replay", str(capture), *OPTIONS]
    here = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores)  # the command inherits it
    with tempfile.TemporaryDirectory(dir=capture.parent) as folder:
        if durable:
            command += ["--pool", f"sqlite:///{folder}/coupons.db"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    os.sched_setaffinity(0, here)
    if done.returncode != 0:
        raise SystemExit(f"bench: pktoll replay failed ({done.returncode}): {done.stderr.strip()}")
    report = json.loads(done.stdout)
    totals, timing = report["totals"], report["timing"]
    return Round(1e9 / timing["packets_per_s"], totals["packets"], totals["inner_bytes"])
