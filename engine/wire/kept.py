"""Batches that come with the frames they were read from: packets, where their frames lie, and the bytes."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from engine.wire.capture import Capture

Rows = npt.NDArray[Any]


@dataclass(slots=True)
class Kept:
    """PACKET rows, the FRAME rows of a capture that kept its frames, and the bytes these point into.

    Every packet has one frame, in the same order; frames without a packet are malformed ones.
    """

    packets: Rows
    frames: Rows
    data: npt.NDArray[np.uint8]


def kept_batches(capture: Capture) -> Iterator[Kept]:
    """The batches of a capture that was opened with `keep`, each valid until the next step."""
    for packets in capture:
        yield Kept(packets, capture.kept, capture.data)


class KeptHead:
    """The frames of one capture that were read and not yet handed on."""

    def __init__(self, capture: Capture) -> None:
        self._batches = kept_batches(capture)
        self._next()

    def _next(self) -> None:
        self._batch = next(self._batches, None)
        self._frames = self._packets = 0
        """how many of the batch were handed on"""

    @property
    def ended(self) -> bool:
        return self._batch is None

    def last_ns(self) -> int:
        assert self._batch is not None
        return int(self._batch.frames["time_ns"][-1])

    def take(self, limit_ns: int, side: Any) -> Kept | None:
        """A copy of the frames up to a time, itself included where `side` is "right"; None: no frame."""
        batch = self._batch
        assert batch is not None
        first = self._frames
        end = int(np.searchsorted(batch.frames["time_ns"], limit_ns, side=side))
        if end == first:
            return None
        frames = batch.frames[first:end].copy()
        held = frames["packet"] >= 0
        count = int(held.sum())
        begin = int(frames["start"][0])
        last = int(frames["start"][-1] + frames["held"][-1])
        frames["start"] -= begin
        frames["packet"][held] -= self._packets
        packets = batch.packets[self._packets : self._packets + count].copy()
        taken = Kept(packets, frames, batch.data[begin:last].copy())
        self._frames, self._packets = end, self._packets + count
        if end == len(batch.frames):
            self._next()
        return taken


def join_kept(parts: Sequence[Kept]) -> Kept:
    """All parts as one batch in time order; of equal times, those of an earlier part first."""
    packets = data = 0
    for part in parts:
        part.frames["start"] += data
        part.frames["packet"][part.frames["packet"] >= 0] += packets
        packets += len(part.packets)
        data += len(part.data)
    frames = np.concatenate([part.frames for part in parts])
    frames = frames[np.argsort(frames["time_ns"], kind="stable")]
    held = frames["packet"] >= 0
    rows = np.concatenate([part.packets for part in parts])[frames["packet"][held]]
    frames["packet"][held] = np.arange(len(rows))
    return Kept(rows, frames, np.concatenate([part.data for part in parts]))
