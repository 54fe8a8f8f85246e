"""What a SIM takes of memory, by table and as the system counts it, before and after it was active.

    python -m bench.growth_memory KIND SIMS

Each engine is in a process of its own, which prints one JSON object. KIND: `tables`, the tables of kernels
alone (see growth_crowd.crowd); `lines`, lines of a subscriber file as the engine keeps them; `active`, the
same after a packet of each; `slow`, after a packet of each with its coupon off.
"""

import gc
import json
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import numpy as np

from bench.growth_command import status_bytes
from bench.growth_rows import Row

KINDS = ("tables", "lines", "active", "slow")
WARM_SIMS = 16
BATCH = 16_384


def tables_of(engine: Any) -> dict[str, int]:
    """byte; every array that grows with the SIMs, by name, free room in it included."""
    found = {
        "sim_rows": engine.sims.rows.nbytes,
        "addresses": engine.sessions.addresses.nbytes,
        "tunnels": engine.sessions.tunnels.nbytes,
        "shard_of_row": engine.shards.of_row.nbytes,
    }
    sides = [table.nbytes for shard in engine.shards.all for table in shard.sides.tables]
    return found | {"side_rows": sum(sides)}


def _batches(sims: int) -> Iterator[Any]:
    """One packet for every SIM, in order."""
    from bench.growth_crowd import START_NS, STEP_NS, batch

    for first in range(0, sims, BATCH):
        numbers = np.arange(first, min(sims, first + BATCH))
        rows = batch(numbers, tunnels=True)
        rows["time_ns"] = START_NS + STEP_NS * (1 + numbers)
        yield rows


def _engine(kind: str, sims: int) -> Any:
    from bench.growth_crowd import booked, crowd
    from engine.layout import SIM_COUPON_ON

    if kind == "tables":
        return crowd(sims)
    made = booked(sims, tunnels=True)
    if kind == "slow":
        made.sims.rows["flags"] &= ~np.uint16(SIM_COUPON_ON)
    if kind != "lines":
        for rows in _batches(sims):
            made.account(rows)
    return made


def _resident() -> int:
    gc.collect()
    return status_bytes("self", "VmRSS")


def measure(kind: str, sims: int) -> dict[str, Any]:
    """Of this process: build the engine and see what it took; figures a SIM in bytes."""
    few = _engine(kind, WARM_SIMS)  # what is needed once is there before the first look
    before = _resident()
    engine = _engine(kind, sims)
    took = _resident() - before
    tables = tables_of(engine)
    few.close(clean=False)
    engine.close(clean=False)
    return {
        "kind": kind,
        "sims": sims,
        "resident_bytes_per_sim": round(took / sims, 1),
        **{f"{name}_per_sim": round(size / sims, 1) for name, size in tables.items()},
        "tables_per_sim": round(sum(tables.values()) / sims, 1),
    }


def rows(kind: str, counts: list[int]) -> list[Row]:
    """So many SIMs, each engine in a process of its own."""
    found = []
    for sims in counts:
        command = [sys.executable, "-m", "bench.growth_memory", kind, str(sims)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise SystemExit(f"bench: memory of {sims} SIMs: {done.stderr.strip()}")
        found.append(Row("memory", json.loads(done.stdout)))
    return found


def main() -> None:
    """The command line."""
    kind, sims = sys.argv[1:]
    if kind not in KINDS:
        raise SystemExit(f"bench: no kind {kind}; there are: {', '.join(KINDS)}")
    print(json.dumps(measure(kind, int(sims))))


if __name__ == "__main__":
    main()
