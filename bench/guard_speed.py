"""Speed as ratios: each case takes turns with a calibration, and what is judged is one over the other.

A slice of some ms of the case stands between two of its calibration; their mean is below the line. Of all
such pairs the lower tenth counts: what disturbs a slice makes it slower, and seldom faster.
"""

from collections.abc import Callable
from typing import NamedTuple

from bench.calibration import MAKERS
from bench.guard_cases import STOPWATCH, Case, Work

TRIES = 3
"""how often a case is measured before it is called slow; each time anew, with more pairs than before"""
TOLERANCE = 0.14
"""a ratio may be this much above its reference; half-way (as a factor) to the 30 % that must be caught"""
PERCENT = 100

Drive = Callable[[Callable[[], None], Callable[[], None], int], list[float]]
"""(target, setup, rounds): calls setup and target in turn; the seconds of the stopwatch for each target"""


class Measured(NamedTuple):
    """A case beside its calibration: lower tenths, and the quartiles of the pairs as their spread."""

    case: str
    ratio: float
    spread: tuple[float, float]
    ns_per_packet: float
    calibration_ms: float


def plain(target: Callable[[], None], setup: Callable[[], None], rounds: int) -> list[float]:
    """Drive without anything else."""
    took = []
    for _ in range(rounds + 1):
        setup()
        begin = STOPWATCH()
        target()
        took.append(STOPWATCH() - begin)
    return took[1:]


def measure(case: Case, work: Work, pairs: int, drive: Drive = plain, slower: int = 0) -> Measured:
    """`pairs` slices of a case between slices of its calibration.

    `slower`: percent of additional passes that the case does and does not own up to, to see them caught.
    """
    beside = MAKERS[case.beside]()
    passes = case.passes * (PERCENT + slower) // PERCENT
    turns: list[int] = []

    def turn() -> None:
        turns.append(sum(beside() for _ in range(case.turns)))

    took = drive(lambda: work(passes), turn, pairs)
    turn()
    around = [
        (a + b) / (2e9 * case.turns)
        for a, b in zip(turns[-pairs - 1 :], turns[-pairs:], strict=False)
    ]
    ratios = [mine / other for mine, other in zip(took, around, strict=True)]
    packets = case.passes * case.packets
    return Measured(
        case.name,
        lower(ratios),
        (lower(ratios, 4), -lower([-one for one in ratios], 4)),
        lower(took) * 1e9 / packets,
        lower(around) * 1e3,
    )


def lower(values: list[float], parts: int = 10) -> float:
    """The lower tenth (or another part), which is one of the values."""
    return sorted(values)[(len(values) - 1) // parts]


def is_slow(ratio: float, reference: float) -> bool:
    """True above the reference by more than the tolerance."""
    return ratio > reference * (1 + TOLERANCE)


def again(case: Case, first: Measured, reference: float, slower: int = 0) -> list[Measured]:
    """All tries of a case, the first one included: no more of them than it takes to find it fast enough.

    Each has its tables made anew: where the system puts them is a part of the noise.
    """
    tries = [first]
    while is_slow(tries[-1].ratio, reference) and len(tries) < TRIES:
        with case.prepare() as work:
            tries.append(measure(case, work, case.pairs * (1 + len(tries)), slower=slower))
    return tries


def best(tries: list[Measured]) -> Measured:
    """The try that counts."""
    return min(tries, key=lambda one: one.ratio)


def calibrations(rounds: int = 12) -> dict[str, float]:
    """What the calibrations take beside `mix`: tells machines apart. Lower tenths of pairs."""
    made = {name: make() for name, make in MAKERS.items()}
    took: dict[str, list[int]] = {name: [] for name in made}
    for _ in range(rounds + 1):
        for name, one in made.items():
            took[name].append(one())
    first = took["mix"][1:]
    return {
        name: round(lower([a / b for a, b in zip(turns[1:], first, strict=True)]), 4)
        for name, turns in took.items()
        if name != "mix"
    }
