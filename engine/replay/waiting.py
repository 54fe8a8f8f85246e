"""Frames that wait for their departure, in the order of departures; of equal ones in that of arrival.

A gateway lets a packet out when its time has come, and only then is it known that none comes before it. So
what waits here is what waits in the SIMs' queues, however long the capture is.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from engine.wire.pcap_writer import gather

Rows = npt.NDArray[Any]
Bytes = npt.NDArray[np.uint8]
Part = tuple[Rows, Bytes]

STEP = 1 << 16
"""frames of a run that are let go at once, so that what comes out together is bounded too"""
MERGE_RATIO = 2
"""a run is merged with the one before it unless that one has more than so many times its bytes"""


class Run:
    """Frames in the order of departures, with their bytes; the first of them leave first."""

    def __init__(self, frames: Rows, data: Bytes) -> None:
        self.frames = frames
        self.data = data

    def __len__(self) -> int:
        return len(self.frames)

    @property
    def held_bytes(self) -> int:
        return int(self.frames["held"].sum())

    def step_ns(self) -> int:
        """Departure of the last frame that may go at once."""
        return int(self.frames["time_ns"][min(len(self), STEP) - 1])

    def take(self, until_ns: int) -> Part:
        """The frames that depart until then."""
        count = int(np.searchsorted(self.frames["time_ns"], until_ns, side="right"))
        taken, self.frames = self.frames[:count], self.frames[count:]
        return taken, self.data

    def compact(self) -> None:
        """Let go of the bytes of frames that have left."""
        joined = join([(self.frames, self.data)])
        self.frames, self.data = joined.frames, joined.data


def places_by(
    times: Rows, sizes: npt.NDArray[np.int64]
) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.int64]]:
    """The order of times, equal ones as they stand; and where each begins if all are laid in that order."""
    order = np.argsort(times, kind="stable")
    places = np.empty_like(sizes)
    places[order] = np.cumsum(sizes[order]) - sizes[order]
    return order, places


def by_departure(frames: Rows) -> Rows:
    """Frames in the order of departures, equal ones as they stand."""
    times = np.ascontiguousarray(frames["time_ns"])
    if (times[1:] >= times[:-1]).all():
        return frames
    return _taken(frames, np.argsort(times, kind="stable"))


def _taken(frames: Rows, order: npt.NDArray[np.intp]) -> Rows:
    """`frames[order]`; as rows of words, which numpy moves faster than records."""
    words = frames.view(np.int64).reshape(len(frames), -1)
    return words[order].view(frames.dtype).reshape(-1)


def join(parts: list[Part]) -> Run:
    """A run of all frames, with bytes of its own; of equal departures those of an earlier part first."""
    frames = np.concatenate([part[0] for part in parts])
    held = frames["held"].astype(np.int64)
    order, places = places_by(frames["time_ns"], held)
    data = np.empty(int(held.sum()), dtype=np.uint8)
    begin = 0
    for part, source in parts:
        gather(part, source, places[begin : begin + len(part)], data)
        begin += len(part)
    frames["start"] = places
    return Run(_taken(frames, order), data)


class Waiting:
    """Runs of frames, an earlier one's arrivals all before those of a later one."""

    def __init__(self) -> None:
        self._runs: list[Run] = []

    def __len__(self) -> int:
        return sum(map(len, self._runs))

    @property
    def held_bytes(self) -> int:
        """byte; what is kept in memory for the frames that wait."""
        return sum(len(run.data) for run in self._runs)

    def let_out(self, frames: Rows, data: Bytes, now_ns: int) -> Iterator[list[Part]]:
        """Frames that arrived, in that order, with `time_ns` their departure; and whatever has left by now.

        `now_ns` is the latest arrival, all that may come arrives then or later. What left comes in pieces,
        one after the other in time; each is of several parts, in each of which departures ascend, and
        of equal departures those of an earlier part go first. They are valid until the next step.
        """
        new = Run(by_departure(frames), data)
        self._runs.append(new)
        yield from self._steps(now_ns)
        self._runs = [run for run in self._runs if len(run)]
        if len(new):
            self._settle()

    def rest(self) -> Iterator[list[Part]]:
        """All that still waits: no more is to come."""
        yield from self._steps(int(np.iinfo(np.int64).max))
        self._runs.clear()

    def _steps(self, now_ns: int) -> Iterator[list[Part]]:
        while any(map(len, self._runs)):
            until_ns = min(now_ns, *(run.step_ns() for run in self._runs if len(run)))
            parts = [part for run in self._runs if len((part := run.take(until_ns))[0])]
            if parts:
                yield parts
            if until_ns == now_ns:
                return

    def _settle(self) -> None:
        """Give the newest run bytes of its own, and keep runs few and no larger than what waits."""
        self._runs[-1].compact()
        for run in self._runs[:-1]:
            if 2 * run.held_bytes < len(run.data):
                run.compact()
        while len(self._runs) > 1:
            before, last = self._runs[-2:]
            if before.held_bytes > MERGE_RATIO * last.held_bytes:
                break
            self._runs[-2:] = [join([(run.frames, run.data) for run in (before, last)])]
