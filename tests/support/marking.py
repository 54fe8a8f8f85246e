"""Markers for tests: settings, traffic that meets all colours, the engine's answer and DPDK's."""

import os
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from engine.accounting import marker
from engine.config import Police
from engine.jit import leaf
from engine.layout import MARK_RATE, MARKER
from engine.shaper.markers import set_mark_rate
from tests.oracle.marker import SingleRate, TwoRates, rfc_clock, whole_period_clock

BENCH = Path(__file__).resolve().parents[2] / "bench"
US, MS, S = 10**3, 10**6, 10**9
DAY = 86_400 * S
T0 = 1_383_602_400 * S
"""2013-11-05 07:00 JST"""

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Marker:
    """A marker as the RFCs name its parts; `pir` 0: RFC 2697. Byte/s and bytes."""

    cir: int
    cbs: int
    other: int
    peak_percent: int = 0
    tokens: Any = "rte_meter"

    @property
    def pir(self) -> int:
        return self.cir * self.peak_percent // 100

    def row(self) -> Any:
        """MARK_RATE[1]"""
        rates = np.zeros(1, dtype=MARK_RATE)
        police = Police(
            marker="rfc2698" if self.peak_percent else "rfc2697",
            peak_percent=self.peak_percent or 100,
            excess_burst_bytes=self.other,
            tokens=self.tokens,
        )
        set_mark_rate(rates[0], police, 8 * self.cir, self.cbs)
        return rates

    def twin(self) -> SingleRate | TwoRates:
        """The same marker, naively."""
        clock = rfc_clock if self.tokens == "exact" else whole_period_clock
        if self.peak_percent:
            return TwoRates(clock(self.cir), clock(self.pir), self.cbs, self.other)
        return SingleRate(clock(self.cir), self.cbs, self.other)


@leaf
def run_colours(marks, rates, times, sizes, out):  # type: ignore[no-untyped-def]
    """Colour one stream with MARK_RATE row 0."""
    for k in range(len(times)):
        out[k] = marker.colour(marks[0], rates, 0, times[k], sizes[k])


def colours(made: Marker, times: Ints, sizes: Ints) -> list[int]:
    """What the engine says of a stream."""
    marks, out = np.zeros(1, dtype=MARKER), np.zeros(len(times), dtype=np.int64)
    run_colours(marks, made.row(), times, sizes, out)
    found: list[int] = out.tolist()
    return found


def twin_colours(made: Marker, times: Ints, sizes: Ints) -> list[int]:
    """What the RFCs say."""
    twin = made.twin()
    return [twin.colour(at, size) for at, size in zip(times.tolist(), sizes.tolist(), strict=True)]


def traffic(made: Marker, count: int, seed: int) -> tuple[Ints, Ints]:
    """Times and sizes that keep the buckets between empty and full: at once, at the rate, after rests."""
    random = np.random.default_rng(seed)
    lengths = np.array([1, 40, 64, 576, 1400, 1500, max(made.cbs, 1), made.cbs + 1])
    sizes = random.choice(lengths, count, p=[0.05, 0.2, 0.2, 0.15, 0.15, 0.15, 0.05, 0.05])
    fair_ns = sizes * S // max(made.cir, made.pir)
    jitter = random.integers(-200, 200, count)
    kinds = random.random(count)
    gaps = fair_ns * random.integers(0, 300, count) // 100 + jitter
    gaps[kinds < 0.4] = random.integers(0, 3, int((kinds < 0.4).sum()))
    gaps[kinds > 0.999] = random.integers(0, 2 * DAY, int((kinds > 0.999).sum()))
    gaps[random.integers(0, count, 5)] = random.integers(0, 300 * DAY, 5)
    return T0 + np.maximum(gaps, 0).cumsum(), sizes.astype(np.int64)


@cache
def peer() -> str:
    """The program that asks DPDK's rte_meter; built when first wanted."""
    said = subprocess.run(
        ["sh", str(BENCH / "build.sh"), "meter_colours"],
        capture_output=True,
        text=True,
        check=True,
    ).stderr
    program = BENCH / "build" / "meter_colours"
    if "left out" in said or "no C compiler" in said or not program.is_file():
        words = f"no comparison with DPDK's rte_meter: {said.strip() or 'nothing was built'}"
        if os.environ.get("CI"):
            pytest.fail(words)
        pytest.skip(words)
    return str(program)


def ask_peer(arguments: Iterable[object], data: bytes) -> bytes:
    """What the program writes to what it reads."""
    command = [peer(), *(str(argument) for argument in arguments)]
    return subprocess.run(command, input=data, capture_output=True, check=True).stdout


def peer_colours(made: Marker, times: Ints, sizes: Ints) -> list[int]:
    """What rte_meter says of a stream."""
    rates = ("trtcm", made.cir, made.pir) if made.peak_percent else ("srtcm", made.cir)
    packets = np.stack([times, sizes], axis=1).astype("u8")
    return list(ask_peer((*rates, made.cbs, made.other), packets.tobytes()))


def planted(old: str, new: str) -> Any:
    """engine.accounting.marker with a fault: `old`, which must stand in its source once, made `new`."""
    source = Path(str(marker.__file__)).read_text()
    assert source.count(old) == 1, f"{source.count(old)} times in marker.py: {old}"
    module = ModuleType("planted_marker")
    code = source.replace(old, new).replace("@leaf", "").replace("@inlined", "")
    exec(compile(code, "planted_marker", "exec"), module.__dict__)
    return module


def colours_by(module: Any, made: Marker, times: Ints, sizes: Ints) -> list[int]:
    """`colours` by another module than the engine's."""
    marks, rates = np.zeros(1, dtype=MARKER), made.row()
    pairs = zip(times, sizes, strict=True)
    return [int(module.colour(marks[0], rates, 0, at, size)) for at, size in pairs]
