"""Runners that take turns: one round of each, again and again, so that all see the same machine."""

import contextlib
import os
import statistics
import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple, Self

from bench import places
from engine.errors import PktollError

BUILD = places.build_folder()
OURS = "pktoll"


class Round(NamedTuple):
    """What one round of a runner took and saw."""

    ns: float  # per packet
    packets: int = 0
    bytes: int = 0
    cpu_ns: float = 0.0  # of processor time per packet, where it was measured
    start_s: float = 0.0  # s until the first packet, where it was measured apart
    whole_s: float = (
        0.0  # s by the clock and of processor time, start and all, where they are known
    )
    whole_cpu_s: float = 0.0


Runner = Callable[[], Round]


class Peer:
    """A program in C that waits for its turn: a line in, a round, a line out."""

    def __init__(self, name: str, *arguments: object) -> None:
        command = [str(BUILD / name), *map(str, arguments)]
        self.name = name
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    @staticmethod
    def built(name: str) -> bool:
        """False where its library is missing; bench/build.sh has said so."""
        return os.access(BUILD / name, os.X_OK)

    def __call__(self, words: str = "") -> Round:
        """A round, with what this program wants to be told for it. PktollError where it does not
        answer."""
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin is not None
        assert stdout is not None
        with contextlib.suppress(BrokenPipeError):
            stdin.write(f"{words}\n")
            stdin.flush()
        answer = stdout.readline().split()
        if len(answer) != 3:
            raise PktollError(f"bench: {self.name} gave no answer; what it says is above")
        return Round(float(answer[0]), int(answer[1]), int(answer[2]))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.close()
        self._process.stdout.close()
        self._process.wait()


class Row(NamedTuple):
    """One runner's rounds under one heading."""

    section: str
    size: int
    name: str
    rounds: list[Round]
    cores: int = 1
    choice: str = ""
    sizes: str = ""

    def ns(self) -> list[float]:
        """ns per packet of every round."""
        return [one.ns for one in self.rounds]

    def cpu_ns(self) -> list[float]:
        """ns of processor time per packet of every round; 0 where it was not measured."""
        return [one.cpu_ns for one in self.rounds]

    def heading(self) -> tuple[str, int, str, str]:
        """Rows with the same one took turns, and are compared."""
        return (self.section, self.size, self.choice, self.sizes)


def turns(runners: Mapping[str, Runner], rounds: int, unkept: int = 1) -> dict[str, list[Round]]:
    """`rounds` rounds of every runner in turn, after `unkept` others (caches are filled by then).

    The order is turned round each time, and begins with another runner, so that none always follows
    the same other one.
    """
    names = list(runners)
    kept: dict[str, list[Round]] = {name: [] for name in names}
    for number in range(rounds + unkept):
        first = number // 2 % len(names)
        order = names[first:] + names[:first]
        for name in order if number % 2 else reversed(order):
            took = runners[name]()
            if number >= unkept:
                kept[name].append(took)
    return kept


def take_turns(section: str, size: int, runners: Mapping[str, Runner], rounds: int) -> list[Row]:
    """Rows of one heading, all of one core."""
    return [Row(section, size, name, kept) for name, kept in turns(runners, rounds).items()]


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


def times_the_cpu(ours: Row, peer: Row) -> dict[str, float]:
    """The peer's processor time over ours, round by round."""
    return summary([b / a for a, b in zip(ours.cpu_ns(), peer.cpu_ns(), strict=True)])


def missing(folder: Path, names: Sequence[str]) -> list[str]:
    """Those of the programs that were not built."""
    return [name for name in names if not os.access(folder / name, os.X_OK)]
