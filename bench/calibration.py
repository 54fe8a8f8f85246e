"""Kernels that are limited by what the engine's are limited by: the machine's speed, to divide by.

`mix` is bound by instructions (integer chains side by side, one branch that nobody can foresee), `touch` by
memory (rows of 64 bytes drawn at random, asked for 64 ahead, read, changed and written), `walk` by both, as
a parser is (records of a chain, each saying how long it is), `python` by the interpreter. None of them
imports a record or a table of the engine's, so no change there changes them. They are compiled by the same
compiler with the same options, so a new compiler that is slower at everything cancels out, too.

A kernel that copies blocks was tried, and is of no use here: where the system puts its pages made 20 % from
one process to the next.

Never change one without `python -m bench.guard --rebase`: every ratio has one of them below the line.
"""

import time
import tomllib
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from engine.jit import i8, i8s, kernel, prefetch, u1s, unsigned

Ints = npt.NDArray[np.int64]
Run = Callable[[], int]
"""does the work once; returns something that depends on all of it"""

ROW_WORDS = 8
"""int64 in a row: 64 bytes, a cache line"""
AHEAD = 64
MULTIPLIER = 0x2545F4914F6CDD1D
HUGE_BYTES = 1 << 21

MIX_WORDS = 512
MIX_STEPS = 1 << 18
TOUCH_STEPS = 1 << 18
RECORD_BYTES = 512
RECORDS = 512
WALK_PASSES = 256


@kernel(i8s, i8)
def mix(words, steps):  # type: ignore[no-untyped-def]
    """`steps` steps of four chains over words: int64[n], n a power of two; their sum."""
    mask = len(words) - 1
    a, b, c, d = np.int64(1), np.int64(2), np.int64(3), np.int64(4)
    odd = np.int64(0)
    for k in range(steps):
        word = words[unsigned(k & mask)]
        a = (a ^ word) * MULTIPLIER
        b = (b + word) ^ (b >> 29)
        c = (c ^ (word << 7)) + (c >> 3)
        d = max(d + word, -d)
        if a & 0x700000000 == 0:
            odd += d
    return a + b + c + d + odd


@kernel(i8s, i8s)
def touch(table, picks):  # type: ignore[no-untyped-def]
    """Change one row of the table for each of `picks` (row numbers); table: int64[8 * rows]."""
    count = len(picks)
    kept = np.int64(0)
    for k in range(count):
        if k + AHEAD < count:
            prefetch(table, unsigned(picks[unsigned(k + AHEAD)] << 3))
        at = picks[unsigned(k)] << 3
        tokens = table[unsigned(at)]
        elapsed = k - table[unsigned(at + 1)]
        tokens = min(tokens + elapsed * 200, np.int64(1) << 40) - (at & 1023)
        if tokens < 0:
            kept += 1
            tokens = np.int64(0)
        table[unsigned(at)] = tokens
        table[unsigned(at + 1)] = k
        table[unsigned(at + 2)] += at & 1023
        table[unsigned(at + 3)] += 1
    return kept


@kernel(u1s, i8s, i8)
def walk(octets, rows, passes):  # type: ignore[no-untyped-def]
    """Follow the chain of records from 0 until one has no length, `passes` times; rows: int64[8 * n].

    Each record is read in a dozen places and becomes a row.
    """
    total = np.int64(0)
    for _ in range(passes):
        pos = np.int64(0)
        at = np.int64(0)
        while True:
            held = np.int64(octets[unsigned(pos)]) | np.int64(octets[unsigned(pos + 1)]) << 8
            if held == 0:
                break
            kind = np.int64(octets[unsigned(pos + 12)])
            start = pos + (20 if kind & 1 else 28)
            for k in range(ROW_WORDS):
                low = np.int64(octets[unsigned(start + 6 * k)])
                rows[unsigned(at + k)] = low << 8 | np.int64(octets[unsigned(start + 6 * k + 1)])
            total += rows[unsigned(at + 3)]
            at += ROW_WORDS
            pos += held
    return total


class Calibration:
    """A kernel and what it works on; a turn of it takes `times` runs, some ms."""

    def __init__(self, name: str, times: int, run: Run) -> None:
        self.name = name
        self._times = times
        self._run = run

    def __call__(self) -> int:
        """One turn; the ns of CPU time that it took."""
        begin_ns = cpu_ns()
        for _ in range(self._times):
            self._run()
        return cpu_ns() - begin_ns


def cpu_ns() -> int:
    """CPU time of this process: who else runs on the machine takes wall time, not that."""
    return time.process_time_ns()


def lined_up(words: int) -> Ints:
    """Zeroed words that begin a cache line, and a huge page where they fill some: as our tables do."""
    align = HUGE_BYTES if words * 8 >= HUGE_BYTES else 8 * ROW_WORDS
    raw = np.zeros(words * 8 + align, dtype=np.uint8)
    skip = -raw.ctypes.data % align
    return raw[skip : skip + words * 8].view(np.int64)


def mixing() -> Calibration:
    """`mix` over words in the first-level cache."""
    words = np.random.Generator(np.random.PCG64(11)).integers(0, 1 << 60, MIX_WORDS)
    return Calibration("mix", 16, lambda: int(mix(words, MIX_STEPS)))


def touching(rows: int) -> Calibration:
    """`touch` of a table of so many rows."""
    table = lined_up(ROW_WORDS * rows)
    picks = np.random.Generator(np.random.PCG64(12)).integers(0, rows, TOUCH_STEPS)
    return Calibration(
        f"touch-{rows}", 14 if rows < 100_000 else 8, lambda: int(touch(table, picks))
    )


def walking() -> Calibration:
    """`walk` over records that fit into the second-level cache."""
    random = np.random.Generator(np.random.PCG64(13))
    octets: npt.NDArray[np.uint8] = random.integers(
        0, 256, (RECORDS + 1) * RECORD_BYTES, dtype=np.uint8
    )
    ends = np.cumsum(random.choice([144, 176, 512], RECORDS))
    starts = np.concatenate([[0], ends])
    lengths = np.diff(starts, append=starts[-1])
    octets[starts], octets[starts + 1] = lengths & 255, lengths >> 8
    rows = lined_up(ROW_WORDS * RECORDS)
    return Calibration("walk", 11, lambda: int(walk(octets, rows, WALK_PASSES)))


def interpreting() -> Calibration:
    """A parser in plain Python over a document: the interpreter's own speed, and no kernel at all."""
    tables = (
        f'[t{n}]\nname = "n{n}"\nsizes = [{n}, {2 * n}, 0x{n:x}]\non = true\n' for n in range(60)
    )
    document = "".join(tables)
    return Calibration("python", 2, lambda: len(tomllib.loads(document)))


MAKERS: dict[str, Callable[[], Calibration]] = {
    "mix": mixing,
    "touch-1000": lambda: touching(1_000),
    "touch-10000": lambda: touching(10_000),
    "touch-1000000": lambda: touching(1_000_000),
    "walk": walking,
    "python": interpreting,
}
"""every calibration, by its name"""
