"""Calls, stops, allocations and signatures per batch; and that each limit sees what it is there for."""

import itertools
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import engine.runtime.engine as driver
from bench import guard_counts as counts
from engine import jit
from engine.runtime import Engine
from tests.support.guard import Run

pytestmark = pytest.mark.jit


@pytest.fixture
def made() -> Iterator[Engine]:
    with counts.engine() as found:
        yield found


def test_a_batch_costs_no_more_calls_and_allocations_than_is_allowed(run: Run) -> None:
    """G8, and no Python for each packet"""
    assert set(run.counts) == set(counts.LIMITS) - (
        set() if jit.CACHE else {"kernels_that_allocate"}
    )
    assert counts.faults(run.counts) == []


def planted(
    made: Engine, monkeypatch: pytest.MonkeyPatch, more: Callable[[int], object]
) -> set[str]:
    """What is above its limit where `more(packets)` is done in every batch, too."""
    real = Engine.process

    def process(self: Engine, batch: Any) -> Any:
        kept.append(more(len(batch)))
        return real(self, batch)

    kept: list[object] = []
    monkeypatch.setattr(Engine, "process", process)
    return {fault.split(":")[0] for fault in counts.faults(counts.of_batches(made))}


def test_nothing_planted_is_nothing_found(made: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    assert planted(made, monkeypatch, lambda _: None) <= {"blocks_kept_per_100_batches"}


def test_an_array_as_large_as_the_batch_is_caught(
    made: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = planted(made, monkeypatch, lambda packets: np.empty(packets))
    assert {"allocated_bytes_per_batch", "allocated_bytes_per_batch_growth"} <= found


def test_a_leak_is_caught(made: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "blocks_kept_per_100_batches" in planted(made, monkeypatch, lambda _: [object()])


def each_packet(packets: int) -> int:
    """What a loop in Python over a batch comes to."""
    return sum(abs(k) for k in range(packets))


def test_python_for_each_packet_is_caught(made: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    found = planted(made, monkeypatch, each_packet)
    assert {"python_calls_per_batch", "python_calls_per_batch_growth"} <= found


def test_a_stop_too_many_in_a_batch_is_caught(
    made: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """resolve comes back once more than it has to"""
    real = Engine._run

    def halves(self: Engine, packets: Any, verdicts: Any) -> int:
        middle = (len(packets) + 1) // 2
        return real(self, packets[:middle], verdicts[:middle])

    monkeypatch.setattr(Engine, "_run", halves)
    found = counts.faults(counts.of_batches(made))
    assert any(fault.startswith("kernel_calls_per_batch") for fault in found)


def test_a_stop_too_many_for_a_slice_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    """a slice of which half is kept back has to be asked for twice"""
    assert counts.stops_per_slice() == counts.LIMITS["meter_calls_per_slice"]
    real = driver.Engine._on_stop
    stops = itertools.count()

    def idle_first(self: Engine, stop: int, work: Any) -> None:
        if next(stops) % 2:
            real(self, stop, work)

    monkeypatch.setattr(driver.Engine, "_on_stop", idle_first)
    assert counts.stops_per_slice() > counts.LIMITS["meter_calls_per_slice"]


def test_a_second_signature_is_caught() -> None:
    assert counts.several_signatures([("meter", 1, 0), ("resolve", 2, 1)]) == ["resolve"]
    assert counts.several_signatures([("never", 0, 0)]) == ["never"]


PROGRAM = """
import numba
import numpy as np

@numba.njit(cache=True)
def allocates(count):
    return np.zeros(count).sum()

@numba.njit(cache=True, _nrt=False)
def does_not(words):
    return words.sum()

allocates(3)
does_not(np.zeros(3))
"""


def test_a_kernel_that_allocates_is_caught(tmp_path: Path) -> None:
    (tmp_path / "program.py").write_text(PROGRAM)
    environment = os.environ | {"NUMBA_CACHE_DIR": str(tmp_path / "cache")}
    subprocess.run([sys.executable, str(tmp_path / "program.py")], env=environment, check=True)
    found = counts.allocating(tmp_path / "cache")
    assert len(found) == 1
    assert "allocates" in found[0]


def test_counts_above_their_limits_are_named() -> None:
    assert counts.faults({"kernel_calls_per_batch": 4, "meter_calls_per_slice": 1}) == [
        "kernel_calls_per_batch: 4, at most 3"
    ]
