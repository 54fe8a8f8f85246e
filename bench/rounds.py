"""Runners that take turns: one round of each, again and again, so that all see the same machine."""

import os
import statistics
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple, Self

BUILD = Path(__file__).parent / "build"


class Round(NamedTuple):
    """What one round of a runner took and saw."""

    ns: float  # per packet
    packets: int = 0
    bytes: int = 0


Runner = Callable[[], Round]


class Peer:
    """A program in C that waits for its turn: a line in, a round, a line out."""

    def __init__(self, name: str, *arguments: object) -> None:
        command = [str(BUILD / name), *map(str, arguments), "0"]
        self.name = name
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    @staticmethod
    def built(name: str) -> bool:
        """False where its library is missing; bench/build.sh has said so."""
        return os.access(BUILD / name, os.X_OK)

    def __call__(self) -> Round:
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin is not None
        assert stdout is not None
        stdin.write("\n")
        stdin.flush()
        words = stdout.readline().split()
        if len(words) != 3:
            raise SystemExit(f"bench: {self.name} gave no answer; what it says is above")
        return Round(float(words[0]), int(words[1]), int(words[2]))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()


class Row(NamedTuple):
    """One runner's rounds under one heading."""

    section: str
    size: int
    name: str
    rounds: list[Round]

    def ns(self) -> list[float]:
        """ns per packet of every round."""
        return [one.ns for one in self.rounds]


def pin() -> int | None:
    """Keep this process and all that it starts on one core; None where that cannot be asked for."""
    if not hasattr(os, "sched_setaffinity"):
        return None
    core = max(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {core})
    return core


def take_turns(section: str, size: int, runners: dict[str, Runner], rounds: int) -> list[Row]:
    """`rounds` rounds of every runner in turn, after one that is not kept.

    The order is turned round each time, so that none always runs after the same other one.
    """
    names = list(runners)
    kept: dict[str, list[Round]] = {name: [] for name in names}
    for number in range(rounds + 1):
        for name in names if number % 2 else reversed(names):
            took = runners[name]()
            if number > 0:
                kept[name].append(took)
    return [Row(section, size, name, kept[name]) for name in names]


def summary(values: Sequence[float]) -> dict[str, float]:
    """Median, smallest and largest."""
    return {
        "median": round(statistics.median(values), 3),
        "min": round(min(values), 3),
        "max": round(max(values), 3),
    }


def times_as_fast(ours: Row, peer: Row) -> dict[str, float]:
    """The peer's time over ours, round by round: above 1 we are faster."""
    return summary([b / a for a, b in zip(ours.ns(), peer.ns(), strict=True)])
