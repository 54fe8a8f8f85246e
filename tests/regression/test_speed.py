"""Each piece of the data path, held against what it took beside its calibration (`bench.guard_speed`)."""

from collections.abc import Iterator
from typing import Any

import pytest

from bench.guard_cases import CASES, STOPWATCH, Case, Work
from bench.guard_speed import (
    TOLERANCE,
    TRIES,
    Drive,
    Measured,
    again,
    best,
    is_slow,
    measure,
)
from tests.support.guard import Run

pytestmark = [pytest.mark.speed, pytest.mark.jit]

PLANTED_PERCENT = 30


def guarded_s() -> float:
    """The timer: seconds of CPU time in what is guarded."""
    return STOPWATCH()


def driven_by(benchmark: Any) -> Drive:
    """Have pytest-benchmark do the rounds; what it keeps is what is judged."""

    def drive(target: Any, setup: Any, rounds: int) -> list[float]:
        benchmark.pedantic(target, setup=setup, rounds=rounds, warmup_rounds=1)
        return list(benchmark.stats.stats.data)

    return drive


@pytest.fixture(scope="module", params=CASES, ids=[case.name for case in CASES])
def made(request: pytest.FixtureRequest, run: Run) -> Iterator[tuple[Case, Work]]:
    """A case, and its tables."""
    assert run.calibrations  # compiled and looked at before the first case
    case: Case = request.param
    with case.prepare() as work:
        yield case, work


def told(tries: list[Measured], reference: float | None) -> dict[str, Any]:
    """What a measurement leaves behind."""
    found = best(tries)
    return {
        "ratio": round(found.ratio, 4),
        "quartiles": [round(value, 4) for value in found.spread],
        "ns_per_packet": round(found.ns_per_packet, 3),
        "calibration_ms": round(found.calibration_ms, 3),
        "reference": reference,
        "tries": [round(one.ratio, 4) for one in tries],
    }


@pytest.mark.benchmark(timer=guarded_s)
def test_a_case_is_as_fast_as_its_reference(
    made: tuple[Case, Work], run: Run, benchmark: Any
) -> None:
    case, work = made
    reference = run.reference.ratios.get(case.name)
    first = measure(case, work, case.pairs, driven_by(benchmark))
    tries = [first] if reference is None else again(case, first, reference)
    found = best(tries).ratio
    run.measured[case.name] = benchmark.extra_info["guard"] = told(tries, reference)
    if reference is None:
        pytest.skip(f"measured, not judged: {run.reference.said}")
    more = f"{100 * (found / reference - 1):.0f} % more than {reference:.3f}"
    assert not is_slow(found, reference), (
        f"{case.name} takes {found:.3f} of {case.beside}, {more} ({run.reference.said}; "
        f"{100 * TOLERANCE:.0f} % are allowed), in {len(tries)} tries"
    )


def test_a_slowdown_of_30_percent_is_caught(made: tuple[Case, Work], run: Run) -> None:
    """the case does 30 % more of its work, and says nothing of it

    Only a good figure of the unchanged case shows that: where it is not caught, that is measured again, as
    often as the slowed one was, for what disturbs a measurement makes it slower.
    """
    case, work = made
    measured = run.measured.get(case.name)
    reference = measured["ratio"] if measured else measure(case, work, case.pairs).ratio
    slow = measure(case, work, case.pairs, slower=PLANTED_PERCENT)
    tries = again(case, slow, reference, slower=PLANTED_PERCENT)
    if not is_slow(best(tries).ratio, reference):
        unchanged = again(case, measure(case, work, case.pairs), 0.0)  # each is slower than nothing
        reference = min(reference, best(unchanged).ratio)
        tries = again(case, slow, reference, slower=PLANTED_PERCENT)
    assert is_slow(best(tries).ratio, reference), told(tries, reference)
    assert len(tries) == TRIES
