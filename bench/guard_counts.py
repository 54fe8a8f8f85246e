"""What does not depend on how fast a machine is: calls, allocations and compiled signatures, as counts.

A batch in the steady state is one call of each kernel, and a handful of steps in Python that are the same
for a batch ten times as large; a slice is one stop more; nothing is allocated that grows with the batch but
what the caller is given.
"""

import gc
import sys
import tempfile
import threading
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

import engine.runtime.engine as driver
import engine.runtime.shards as metering
from bench import capture
from engine import config, jit
from engine.layout import PACKET, PACKET_GTP, V4_MAPPED, VERDICT
from engine.pool.store import open_store
from engine.replay.options import Options
from engine.replay.run import run as replay
from engine.runtime import Engine
from engine.subscribers import Book, Contract, Coupon, Line
from engine.units import MB

Rows = npt.NDArray[Any]

SIMS = 20
SMALL, LARGE = 500, 5_000
"""packets of a batch; what is counted must not tell one from the other"""
START_NS = 1_383_602_400 * 10**9
STEP_NS = 10_000_000
"""10 ms a packet, 200 ms a packet and SIM: no limit is ever felt"""
PACKET_BYTES = 1_000
SLICE_PACKETS = 30_000
"""30 MB of one SIM: two or three slices of 10 MB after the first"""

LIMITS = {
    "kernel_calls_per_batch": 3,
    "meter_calls_per_slice": 1,
    "python_calls_per_batch": 90,
    "python_calls_per_batch_growth": 0,
    "allocated_bytes_per_batch": 8_192,
    "allocated_bytes_per_batch_growth": 512,
    "blocks_kept_per_100_batches": 20,
    "python_calls_per_1000_packets_replayed": 60,
    "kernels_not_of_one_signature": 0,
    "kernels_that_allocate": 0,
}
"""most that is allowed of each; a batch that crosses no day, no event and no month's end"""

KERNELS = ((driver, "resolve"), (metering, "meter"), (metering, "release"))
"""where a batch's kernels are called from"""
ALLOCATES = (b"NRT_Allocate", b"NRT_MemInfo_alloc")
"""symbols of numba's run-time in a kernel that may allocate"""


def engine(coupon_bytes: int = 0) -> Engine:
    """An engine with SIMS lines: rich ones, or ones that live on slices of so large a coupon."""
    coupons = (Coupon("topup", coupon_bytes, "2013-12"),) if coupon_bytes else ()
    lines = (
        Line(
            code=f"l{n}",
            balance_bytes=0 if coupon_bytes else 1 << 46,
            addresses=(f"10.0.0.{n}",),
            teid_up=n + 1,
        )
        for n in range(SIMS)
    )
    contracts = tuple(
        Contract(f"c{line.code}", "minimum-start", date(2013, 11, 1), (line,), coupons)
        for line in lines
    )
    made = Engine(config.load(None), open_store(None))
    made.endpoints.intern(0, V4_MAPPED | 203 << 24)
    made.load(Book(contracts), START_NS)
    return made


class Traffic:
    """Batches of uplink packets, each later than all before; of all SIMs in turn, or of the first."""

    def __init__(self, sims: int = SIMS) -> None:
        self._sims = sims
        self._sent = 0

    def batch(self, packets: int) -> Rows:
        """The next so many packets, in a new array."""
        rows = np.zeros(packets, PACKET)
        numbers = np.arange(self._sent, self._sent + packets)
        self._sent += packets
        rows["time_ns"] = START_NS + STEP_NS * (1 + numbers)
        sims = numbers % self._sims
        rows["src_lo"] = V4_MAPPED | 10 << 24 | sims
        rows["dst_lo"] = V4_MAPPED | 198 << 24
        rows["teid"], rows["length"], rows["flags"] = sims + 1, PACKET_BYTES, PACKET_GTP
        return rows


@contextmanager
def counting(module: Any, name: str, calls: list[str]) -> Iterator[None]:
    """Calls of a module's function by its name there, noted down."""
    real = getattr(module, name)

    def counted(*arguments: Any) -> Any:
        calls.append(name)
        return real(*arguments)

    setattr(module, name, counted)
    try:
        yield
    finally:
        setattr(module, name, real)


def kernel_calls(work: Callable[[], object]) -> list[str]:
    """Names of the kernels that `work` calls, in order."""
    calls: list[str] = []
    with ExitStack() as stack:
        for module, name in KERNELS:
            stack.enter_context(counting(module, name, calls))
        work()
    return calls


def python_calls(work: Callable[[], object]) -> int:
    """Functions that are called meanwhile, those in C and in new threads included."""
    events: list[None] = []  # an append is one step; adding to a number is not, where threads do it

    def note(_frame: Any, event: str, _argument: Any) -> None:
        if event in ("call", "c_call"):
            events.append(None)

    before = sys.getprofile(), threading.getprofile()
    threading.setprofile(note)
    sys.setprofile(note)
    try:
        work()
    finally:
        sys.setprofile(before[0])
        threading.setprofile(before[1])
    return len(events)


def allocated_bytes(work: Callable[[], object]) -> int:
    """The most that is allocated at once by Python and numpy meanwhile."""
    gc.collect()
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        tracemalloc.reset_peak()
        work()
        return tracemalloc.get_traced_memory()[1] - before
    finally:
        tracemalloc.stop()


def of_batches(made: Engine) -> dict[str, int]:
    """Counts of `Engine.process` in its steady state."""
    traffic = Traffic()
    process = made.process
    process(traffic.batch(LARGE))  # sessions open; arrays grow to what the larger batch takes
    process(traffic.batch(LARGE))
    small, large = traffic.batch(SMALL), traffic.batch(LARGE)
    calls = kernel_calls(lambda: process(small)), kernel_calls(lambda: process(large))
    small, large = traffic.batch(SMALL), traffic.batch(LARGE)
    python = python_calls(lambda: process(small)), python_calls(lambda: process(large))
    allocated = [
        min(allocated_bytes(lambda rows=rows: process(rows)) for rows in batches)  # type: ignore[misc]
        - VERDICT.itemsize * len(batches[0])
        for batches in ([traffic.batch(packets) for _ in range(3)] for packets in (SMALL, LARGE))
    ]
    return {
        "kernel_calls_per_batch": max(map(len, calls)),
        "python_calls_per_batch": max(python),
        "python_calls_per_batch_growth": max(0, python[1] - python[0]),
        "allocated_bytes_per_batch": max(allocated),
        "allocated_bytes_per_batch_growth": max(0, allocated[1] - allocated[0]),
        # Another thread's blocks may come in between; a leak of ours is there every time.
        "blocks_kept_per_100_batches": min(blocks_kept(process, traffic) for _ in range(3)),
    }


def blocks_kept(process: Callable[[Rows], object], traffic: Traffic) -> int:
    """Blocks of memory that Python holds after a hundred batches and did not hold before."""
    batches = [traffic.batch(SMALL) for _ in range(110)]
    for batch in batches[:10]:
        process(batch)
    gc.collect()
    before = sys.getallocatedblocks()
    for batch in batches[10:]:
        process(batch)
    gc.collect()
    return max(0, sys.getallocatedblocks() - before)


def stops_per_slice() -> int:
    """Calls of the metering kernel for each slice of a SIM that has a coupon to live on."""
    with engine(coupon_bytes=100 * MB) as made:
        traffic = Traffic(sims=1)
        made.process(traffic.batch(1))
        before = made.quota.grants
        calls = kernel_calls(lambda: made.process(traffic.batch(SLICE_PACKETS))).count("meter")
        slices = made.quota.grants - before
        if slices < 2:
            raise SystemExit(f"guard: {slices} slices were handed out, there should be 2 or more")
        return -(-(calls - 1) // slices)


def python_calls_replayed(packets: int, step: int) -> int:
    """Function calls for each 1 000 packets more of a capture, rounded up."""
    with tempfile.TemporaryDirectory() as folder:
        calls = []
        for number in (packets, packets + step):
            path = Path(folder) / f"{number}.pcap"
            capture.write(path, number, SIMS)
            options = Options((str(path),), ue_nets=("10.0.0.0/8",))
            replay(options)
            calls.append(python_calls(lambda options=options: replay(options)))  # type: ignore[misc]
    return max(0, -(-1_000 * (calls[1] - calls[0]) // step))


def several_signatures(kernels: list[tuple[str, int, int]]) -> list[str]:
    """Kernels that were compiled for other types than those they are declared for."""
    return [name for name, signatures, _ in kernels if signatures != 1]


def allocating(folder: Path) -> list[str]:
    """Compiled kernels in a cache folder whose code names numba's allocator."""
    return sorted(
        entry.name
        for entry in folder.rglob("*.nbc")
        if any(symbol in entry.read_bytes() for symbol in ALLOCATES)
    )


def counts() -> dict[str, int]:
    """All of them. Where no cache folder is to be had, kernels cannot be looked into."""
    with engine() as made:
        found = of_batches(made)
    found["meter_calls_per_slice"] = stops_per_slice()
    found["python_calls_per_1000_packets_replayed"] = python_calls_replayed(10_000, 20_000)
    if not jit.DISABLED:
        jit.warm()
        found["kernels_not_of_one_signature"] = len(several_signatures(jit.kernels()))
    if jit.CACHE is not None:
        found["kernels_that_allocate"] = len(allocating(jit.CACHE))
    return found


def faults(found: dict[str, int]) -> list[str]:
    """Counts above their limit, for people."""
    return [
        f"{name}: {count}, at most {LIMITS[name]}"
        for name, count in found.items()
        if count > LIMITS[name]
    ]
