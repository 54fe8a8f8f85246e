"""The packets that the metering kernel and its peers in C are given: drawn alike, from the same seeds.

`uniform`: any SIM is as likely as any other. `zipf`: the k-th most frequent SIM has a share that
goes with 1/k, as far as 2^14 pieces of the distribution can say. `bursty`: runs of consecutive
packets of one SIM; a run ends after each packet with a chance of 1 in 16, so they are 16 packets
long on average. bench/peers/meter_frame.h does the same.
"""

import os
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from engine import jit
from engine.datapath.meter import SETTINGS, SIDES, meter
from engine.jit import i8, i8s, kernel, rows, tuple_of
from engine.layout import SIM, WORK
from engine.words import CONTROL_NEXT, CONTROL_STOP, CONTROL_WORK, STOP_END

BATCH = 16_384
"""packets in a batch, on both sides"""
UNTIMED_PART = 4
"""the first quarter of a round, in whole batches, is metered and not timed: the turns before it were
another program's, which left nothing of this one in the caches, not even where its pages lie"""
CHOICES = ("uniform", "zipf", "bursty")
MIX = "mix"
MIXED_BYTES = (64, 64, 64, 64, 128, 576, 1080, 1400)
"""of inner IP: 430 on average"""
FIXED_MIN_BYTES, FIXED_MAX_BYTES = 40, 1400
QUANTILE_BITS = 14
SCATTER = 2_654_435_761
"""a prime: its multiples lead through any table of fewer SIMs, so that frequent ones are no
neighbours"""
LOAD_BYTES_PER_100_NS = 430
"""of all SIMs together, 34 Gbit/s; SIMs that are drawn by rank get a hundredth, or the first would
be slowed"""
RANKED_SLOWER = 100

RANDOM, TIME, LAST, SIMS, STEP, CHOICE, WORDS = range(7)
"""indices of a draw's state"""

Ints = npt.NDArray[np.int64]

_RUN_MASK = 15
_LOW_32 = 0xFFFFFFFF


def sizes_of(name: str) -> tuple[int, ...]:
    """The eight lengths that packets are drawn from: `mix`, or one number of bytes. ValueError else."""
    if name == MIX:
        return MIXED_BYTES
    if not name.isdecimal() or not FIXED_MIN_BYTES <= int(name) <= FIXED_MAX_BYTES:
        raise ValueError(f"{name}: '{MIX}', or {FIXED_MIN_BYTES} to {FIXED_MAX_BYTES} bytes")
    return (int(name),) * len(MIXED_BYTES)


def step_ns(choice: str, sizes: tuple[int, ...]) -> int:
    """Between two packets, so that the load is the same whatever their size."""
    mean = sum(sizes) // len(sizes)
    return max(1, 100 * mean // LOAD_BYTES_PER_100_NS) * (RANKED_SLOWER if choice == "zipf" else 1)


def untimed(packets: int) -> int:
    """How many of a round's packets, its first, are metered without the clock."""
    return packets // BATCH // UNTIMED_PART * BATCH


def ranks(sims: int) -> npt.NDArray[np.uint32]:
    """2^14 + 1 ranks below which so many 2^14ths of the packets are, if the share of rank k goes
    with 1/k."""
    shares = np.cumsum(1 / np.arange(1, sims + 1))
    wanted = np.arange((1 << QUANTILE_BITS) + 1) / (1 << QUANTILE_BITS) * shares[-1]
    found = np.searchsorted(shares, wanted, side="left")
    # A rank is a whole number: pieces within the first ones have no width, and stand for that rank.
    made: npt.NDArray[np.uint32] = np.minimum(found, sims - 1).astype(np.uint32)
    return made


def write_ranks(folder: Path, sims: int) -> Path:
    """The table of `ranks` as a file for the programs in C."""
    path = folder / f"ranks-{sims}"
    part = path.with_suffix(f".{os.getpid()}")
    part.write_bytes(ranks(sims).astype("<u4").tobytes())
    return part.rename(path)  # at once: another program may be reading the one before


def seed(number: int, worker: int = 0) -> int:
    """Of a round and a worker: any number but 0, bits well mixed."""
    mixed = (number * 2 + worker + 1) * 0x9E3779B97F4A7C15 & (1 << 63) - 1
    return mixed | 1


def state(choice: str, sims: int, sizes: tuple[int, ...]) -> Ints:
    """What a draw goes by; `begin` it before each round."""
    made = np.zeros(WORDS, dtype=np.int64)
    made[SIMS], made[STEP], made[CHOICE] = sims, step_ns(choice, sizes), CHOICES.index(choice)
    return made


def begin(draw: Ints, number: int, time_ns: int) -> None:
    """A round: its seed, and the time before its first packet."""
    draw[RANDOM], draw[TIME], draw[LAST] = number, time_ns, 0


DRAW = tuple_of(i8s, i8s, i8s)


@kernel(rows(WORK), i8, DRAW)
def fill(work, count, source):  # type: ignore[no-untyped-def]
    """Lay `count` packets into `work`. source: the draw's state, eight sizes, and the `ranks`, which only
    Zipf's choice looks at."""
    draw, sizes, bounds = source
    random, now_ns, last = draw[RANDOM], draw[TIME], draw[LAST]
    sims = draw[SIMS]
    for k in range(count):
        random ^= random << 13
        random ^= random >> 7 & (1 << 57) - 1
        random ^= random << 17
        high = random >> 32 & _LOW_32
        even = high * sims >> 32
        if draw[CHOICE] == 1:
            piece = random >> 64 - QUANTILE_BITS & (1 << QUANTILE_BITS) - 1
            low = bounds[piece]
            rank = low + ((random >> 16 & _LOW_32) * (bounds[piece + 1] - low) >> 32)
            last = rank * SCATTER % sims
        elif draw[CHOICE] == 0 or random >> 4 & _RUN_MASK == 0:
            last = even
        now_ns += draw[STEP]
        w = work[k]
        w["time_ns"] = now_ns
        w["row"] = last
        w["length"] = sizes[random & 7]
        w["flags"] = random >> 3 & 1
        w["packet"] = k
    draw[RANDOM], draw[TIME], draw[LAST] = random, now_ns, last


PACKETS, TOOK, STAMP, ADDRESS, UNTIMED, ROUND_WORDS = 0, 1, 2, 4, 5, 6
"""indices of a round's words: in: packets, and how many of them go first without the clock; out: ns that
metering the others took; a timespec, and where it lies"""
MONOTONIC = 1
NS_PER_S = 1_000_000_000

_clock_gettime = jit._external("clock_gettime", 2)


@kernel(rows(SIM), SIDES, SETTINGS, rows(WORK), i8s, DRAW, i8s)
def run(sims, sides, settings, work, control, source, words):  # type: ignore[no-untyped-def]
    """A round: batches are drawn and metered; only the metering is timed, and that not in the first of them
    (`untimed`). Ends early at a stop.

    All in one call, so that two threads need nothing of Python, and wait for nothing, until they are done.
    """
    done = 0
    took_ns = 0
    while done < words[PACKETS]:
        count = min(BATCH, words[PACKETS] - done)
        fill(work, count, source)
        control[CONTROL_NEXT] = 0
        control[CONTROL_WORK] = count
        _clock_gettime(MONOTONIC, words[ADDRESS])
        begin_ns = words[STAMP] * NS_PER_S + words[STAMP + 1]
        meter(sims, sides, settings, work, control)
        _clock_gettime(MONOTONIC, words[ADDRESS])
        if done >= words[UNTIMED]:
            took_ns += words[STAMP] * NS_PER_S + words[STAMP + 1] - begin_ns
        if control[CONTROL_STOP] != STOP_END:
            break
        done += count
    words[TOOK] = took_ns


def round_words(packets: int) -> Ints:
    """The last table of `run`."""
    made = np.zeros(ROUND_WORDS, dtype=np.int64)
    made[PACKETS], made[UNTIMED] = packets, untimed(packets)
    made[ADDRESS] = made[STAMP:].ctypes.data
    return made


def drawn(choice: str, sims: int, size: str, number: int, count: int) -> npt.NDArray[Any]:
    """`count` packets of a round, as WORK rows: for those who want to look at them."""
    sizes = sizes_of(size)
    draw = state(choice, sims, sizes)
    begin(draw, number, 0)
    work = np.zeros(count, dtype=WORK)
    fill(work, count, (draw, np.array(sizes, dtype=np.int64), bounds_for(choice, sims)))
    return work


def bounds_for(choice: str, sims: int) -> Ints:
    """The third table of `fill`: ranks where they are looked at, else next to nothing."""
    return ranks(sims).astype(np.int64) if choice == "zipf" else np.zeros(1, dtype=np.int64)
