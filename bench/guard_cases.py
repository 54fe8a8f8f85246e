"""What the guard measures: each case drives one piece of the data path the way the engine does.

This is the one module to adapt when a kernel's arguments change. A case is prepared once and then does
passes; a pass is some packets' work. Only what is guarded is timed, by a stopwatch that runs meanwhile on
this process's CPU time.
"""

import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple, Self

import numpy as np
import numpy.typing as npt

from bench import capture, embedding, ours_exempt
from bench.calibration import cpu_ns
from engine import config, layout, words
from engine.accounting.sims import SideTables
from engine.datapath.meter import meter
from engine.datapath.resolve import resolve
from engine.replay.options import Options
from engine.replay.run import run as replay
from engine.runtime.coupons import NEVER_NS
from engine.shaper.markers import mark_table
from engine.shaper.speeds import rate_table
from engine.wire import MODE_GTP, state
from engine.wire.capture import Capture
from engine.wire.endpoints import Endpoints
from engine.wire.formats import PCAP_HEADER_BYTES
from engine.wire.walk import walk

Rows = npt.NDArray[Any]
BATCH_ROWS = 16_384
BATCH_MADE = 10_000
STEP_NS = 1_000
SIZES = np.array([64, 64, 64, 64, 128, 576, 1080, 1400], dtype=np.int64)
"""bytes; 430 on average"""
FAST_STEP_NS = 100
SLOW_STEP_NS = 20_000
"""1 000 SIMs at 200 kbit/s and 430 bytes: 17.2 ms a packet, so some wait and few are lost"""
PLAIN = layout.SIM_IN_SERVICE | layout.SIM_COUPON_ON | layout.SIM_ATTACHED
SLOW = layout.SIM_IN_SERVICE | layout.SIM_ATTACHED
BLOCK_PACKETS = 2_000
"""1 MB: what is parsed has just been read, and is in the cache"""
CAPTURE_PACKETS = 20_000
CAPTURE_SIMS = 100


class Stopwatch:
    """Adds up the CPU time of what is guarded; called, it says the seconds so far."""

    def __init__(self) -> None:
        self._total_ns = 0
        self._begin_ns = 0

    def start(self) -> None:
        """From here on."""
        self._begin_ns = cpu_ns()

    def stop(self) -> None:
        """Up to here."""
        self._total_ns += cpu_ns() - self._begin_ns

    def __call__(self) -> float:
        return self._total_ns / 1e9


STOPWATCH = Stopwatch()


class Work:
    """What a case does: called for so many passes, the stopwatch says what they took."""

    def __call__(self, passes: int) -> None:
        raise NotImplementedError

    def close(self) -> None:
        """Give back what is not memory."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class Case(NamedTuple):
    """`prepare` makes the work; `passes` of it are one slice, some ms long.

    `beside`: the calibration that is limited by the same thing; `packets` a pass; `pairs` of slices of the
    case and of its calibration make a measurement. Passes come in tens, so that 30 % are just that;
    `turns` of the calibration are a slice of it.
    """

    name: str
    beside: str
    passes: int
    packets: int
    prepare: Callable[[], Work]
    pairs: int = 24
    turns: int = 1


class Metering(Work):
    """The metering kernel on a table of SIMs and batches of work that were drawn beforehand."""

    def __init__(self, sims: int, flags: int, step_ns: int, *, policed: bool = False) -> None:
        settings = replace(config.load(None), limiter="police" if policed else "shape")
        rates = rate_table(settings)
        self.sims = layout.aligned_zeros(sims, layout.SIM)
        self.sims["balance_bytes"] = 1 << 50
        self.sims["credit"] = rates["cap_credit"][0]
        self.sims["flags"] = flags
        self.sides = SideTables(sims + 2 if flags == SLOW or policed else 2, policed=policed)
        self.settings = rates, mark_table(settings)
        self.work = layout.aligned_zeros(BATCH_ROWS, layout.WORK)
        self.control = np.zeros(words.CONTROL_WORDS, dtype=np.int64)
        self.control[words.CONTROL_SIDE_NEXT] = 1
        self.control[words.CONTROL_POLICE] = 2 if policed else 0
        self._now_ns = 0
        self._step_ns = step_ns
        random = np.random.Generator(np.random.PCG64(5))
        self._drawn = [self._draw(random) for _ in range(max(4, min(64, sims // BATCH_ROWS)))]
        self._next = 0

    def _draw(self, random: np.random.Generator) -> Rows:
        rows = layout.aligned_zeros(BATCH_ROWS, layout.WORK)
        rows["time_ns"] = self._step_ns * np.arange(1, BATCH_ROWS + 1)
        rows["row"] = random.integers(0, len(self.sims), BATCH_ROWS)
        rows["length"] = SIZES[random.integers(0, len(SIZES), BATCH_ROWS)]
        rows["flags"] = random.integers(0, 2, BATCH_ROWS)
        rows["packet"] = np.arange(BATCH_ROWS)
        return rows

    def __call__(self, passes: int) -> None:
        for _ in range(passes):
            self.work[:] = self._drawn[self._next % len(self._drawn)]
            self.work["time_ns"] += self._now_ns
            self._next += 1
            self._now_ns += self._step_ns * BATCH_ROWS
            self.control[words.CONTROL_NEXT] = 0
            self.control[words.CONTROL_WORK] = BATCH_ROWS
            STOPWATCH.start()
            meter(self.sims, self.sides.tables, self.settings, self.work, self.control)
            STOPWATCH.stop()
            if self.control[words.CONTROL_STOP] != words.STOP_END:
                raise SystemExit("guard: the metering kernel stopped where nothing should stop it")


class Embedded(Work):
    """The engine for 10 000 SIMs in batches of 10 000, or its resolving kernel alone."""

    def __init__(self, only_resolve: bool) -> None:
        self.engine = embedding.engine(None)
        self._traffic = embedding.Traffic(10 * BATCH_MADE)
        self._base_ns = embedding.START_NS
        self._work = layout.aligned_zeros(2 * BATCH_MADE, layout.WORK)
        self._verdicts = np.empty(BATCH_MADE, layout.VERDICT)
        self._one = self._process
        self(10)  # every session is open before the first slice
        if only_resolve:
            self._one = self._resolve

    def _process(self, batch: Rows) -> None:
        # With room for the verdicts: whether a new array costs page faults depends on how the heap lies.
        STOPWATCH.start()
        self.engine.account(batch, self._verdicts)
        STOPWATCH.stop()
        if not self._verdicts["departure_ns"].all():
            raise SystemExit("guard: packets were lost that should have got out")

    def _resolve(self, batch: Rows) -> None:
        made = self.engine
        control, sessions = made.control, made.sessions
        tables = sessions.tunnels, sessions.addresses, sessions.nets
        control[words.CONTROL_NEXT] = control[words.CONTROL_WORK] = 0
        control[words.CONTROL_EXEMPT] = 0
        control[words.CONTROL_BOUNDARY_NS] = NEVER_NS
        exempt = (*made.exempt.tables, made.fragments)
        STOPWATCH.start()
        resolve(batch, *tables, exempt, self._work, self._verdicts, control)
        STOPWATCH.stop()
        if control[words.CONTROL_WORK] != len(batch):
            raise SystemExit("guard: packets were not resolved that should have been")

    def close(self) -> None:
        self.engine.close(clean=False)

    def __call__(self, passes: int) -> None:
        """A pass is a batch."""
        batches: list[Rows] = []
        for _ in range(passes):
            if not batches:
                self._base_ns += self._traffic.span_ns
                batches = self._traffic.batches(BATCH_MADE, self._base_ns)
            self._one(batches.pop(0))


class Exempted(Work):
    """The engine under a list of 10 000 exempt prefixes, to which half of the packets go."""

    def __init__(self) -> None:
        self.engine = ours_exempt.engine(10_000)
        random = np.random.Generator(np.random.PCG64(3))
        self.batches = [ours_exempt.batch(random, 0.5) for _ in range(4)]
        self.base_ns = ours_exempt.START_NS
        self(len(self.batches))

    def close(self) -> None:
        self.engine.close(clean=False)

    def __call__(self, passes: int) -> None:
        for at in range(passes):
            rows = self.batches[at % len(self.batches)]
            rows["time_ns"] = self.base_ns + STEP_NS * np.arange(1, len(rows) + 1)
            self.base_ns += STEP_NS * len(rows)
            STOPWATCH.start()
            self.engine.account(rows)
            STOPWATCH.stop()


class Parsing(Work):
    """The parsing kernel on a block of records that lies in memory."""

    def __init__(self) -> None:
        self.endpoints = Endpoints()
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "block.pcap"
            capture.write(path, BLOCK_PACKETS, CAPTURE_SIMS)
            opened = Capture(str(path), self.endpoints, MODE_GTP)
            opened.start()
            self._octets = np.frombuffer(path.read_bytes(), dtype=np.uint8).copy()
            self._begun = opened._state.copy()  # the header is read, no record is
            self._interfaces = opened._interfaces
            opened.close()
        self._begun[state.POS] = PCAP_HEADER_BYTES
        self._begun[state.END] = len(self._octets)
        self._begun[state.BASE] = 0
        self._begun[state.FILE] = state.NO_FILE
        self._packets = layout.aligned_zeros(BLOCK_PACKETS + 1, layout.PACKET)
        self._frames = np.zeros(0, dtype=layout.FRAME)
        self._state = self._begun.copy()
        self._walk()  # the receiver is known from here on
        if self._walk() == state.GROW:
            self.endpoints.grow()

    def _walk(self) -> int:
        self._state[:] = self._begun
        tables = self._interfaces, self.endpoints.table, self.endpoints.tally
        STOPWATCH.start()
        status = walk(self._octets, self._packets, self._frames, *tables, self._state)
        STOPWATCH.stop()
        return int(status)

    def __call__(self, passes: int) -> None:
        """A pass is the block."""
        for _ in range(passes):
            self._walk()
            if self._state[state.ROWS] != BLOCK_PACKETS:
                raise SystemExit(f"guard: {self._state[state.ROWS]} of {BLOCK_PACKETS} were parsed")


class Reading(Work):
    """A small capture in the page cache: read and turned into rows, or replayed from end to end."""

    def __init__(self, whole: bool) -> None:
        self._folder = tempfile.TemporaryDirectory()
        self.path = str(Path(self._folder.name) / "guard.pcap")
        capture.write(Path(self.path), CAPTURE_PACKETS, CAPTURE_SIMS)
        self._one = self._replay if whole else self._read

    def _read(self) -> None:
        rows = sum(map(len, Capture(self.path, Endpoints(), MODE_GTP)))
        if rows != CAPTURE_PACKETS:
            raise SystemExit(f"guard: {rows} of {CAPTURE_PACKETS} packets were read")

    def _replay(self) -> None:
        replay(Options((self.path,), ue_nets=("10.0.0.0/8",)))

    def close(self) -> None:
        self._folder.cleanup()

    def __call__(self, passes: int) -> None:
        """A pass is the capture."""
        STOPWATCH.start()
        for _ in range(passes):
            self._one()
        STOPWATCH.stop()


def _metering(sims: int, flags: int, step_ns: int, policed: bool = False) -> Callable[[], Work]:
    return lambda: Metering(sims, flags, step_ns, policed=policed)


CASES = (
    Case("parse", "walk", 100, BLOCK_PACKETS, Parsing),
    Case("resolve", "touch-10000", 20, BATCH_MADE, lambda: Embedded(only_resolve=True)),
    Case("meter-1k", "touch-1000", 80, BATCH_ROWS, _metering(1_000, PLAIN, FAST_STEP_NS)),
    Case("meter-1m", "touch-10000", 60, BATCH_ROWS, _metering(1_000_000, PLAIN, FAST_STEP_NS)),
    Case("shaped", "touch-10000", 10, BATCH_ROWS, _metering(1_000, SLOW, SLOW_STEP_NS)),
    Case("policed", "touch-1000", 10, BATCH_ROWS, _metering(1_000, PLAIN, FAST_STEP_NS, True)),
    Case("exempt", "touch-10000", 10, ours_exempt.BATCH_ROWS, Exempted),
    Case("process", "python", 20, BATCH_MADE, lambda: Embedded(only_resolve=False)),
    Case("read", "python", 10, CAPTURE_PACKETS, lambda: Reading(whole=False)),
    Case("replay", "python", 10, CAPTURE_PACKETS, lambda: Reading(whole=True), 6, 20),
)
