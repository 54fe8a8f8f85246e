"""Several captures as one, in time order."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Protocol, TypeVar

import numpy as np
import numpy.typing as npt

from engine.wire.capture import Capture
from engine.wire.kept import Kept, KeptHead, join_kept, kept_batches

Packets = npt.NDArray[Any]
Batch = TypeVar("Batch")
Taken = TypeVar("Taken", covariant=True)


class Stream(Protocol):
    """What is needed of a capture: its name and its batches, each not older than the one before."""

    path: str

    def __iter__(self) -> Iterator[Packets]: ...


class Head(Protocol[Taken]):
    """What of one stream was read and not yet handed on."""

    @property
    def ended(self) -> bool: ...

    def last_ns(self) -> int:
        """Time of the last that was read."""

    def take(self, limit_ns: int, side: Any) -> Taken | None:
        """What was read up to a time (at that time itself: if `side` is "right"), None if nothing."""


class _Head:
    """The packets of one stream that were read and not yet handed on."""

    def __init__(self, stream: Stream) -> None:
        self._batches = iter(stream)
        self._packets = next(self._batches, None)

    @property
    def ended(self) -> bool:
        return self._packets is None

    def last_ns(self) -> int:
        assert self._packets is not None
        return int(self._packets["time_ns"][-1])

    def take(self, limit_ns: int, side: Any) -> Packets | None:
        """A copy: the next batch overwrites the buffer."""
        assert self._packets is not None
        count = int(np.searchsorted(self._packets["time_ns"], limit_ns, side=side))
        if count == 0:
            return None
        taken = self._packets[:count].copy()
        self._packets = self._packets[count:]
        if self._packets.size == 0:
            self._packets = next(self._batches, None)
        return taken


def _joined(parts: Sequence[Packets]) -> Packets:
    packets = np.concatenate(parts)
    return packets[np.argsort(packets["time_ns"], kind="stable")]


def _round(heads: Sequence[Head[Batch]]) -> list[Batch]:
    """All that nothing still unread can come before, a part of each stream, in the order of paths.

    The stream whose batch ends first sets the limit. At the limit itself, streams before it in
    the order of paths go in, and those behind it wait: it may have more packets of that time.
    """
    limiting = min(range(len(heads)), key=lambda k: (heads[k].last_ns(), k))
    limit_ns = heads[limiting].last_ns()
    sides = ["right" if k <= limiting else "left" for k in range(len(heads))]
    parts = [head.take(limit_ns, side) for head, side in zip(heads, sides, strict=True)]
    return [part for part in parts if part is not None]


def _rounds(
    heads: Sequence[Head[Batch]], join: Callable[[Sequence[Batch]], Batch]
) -> Iterator[Batch]:
    while heads := [head for head in heads if not head.ended]:
        yield join(_round(heads))


def merge(captures: Sequence[Stream]) -> Iterator[Packets]:
    """Batches of all captures in time order; equal times go by path, then by place in the file.

    The order in which the captures are given does not matter. A single one is passed through.
    """
    if len(captures) == 1:
        yield from captures[0]
        return
    heads = [_Head(capture) for capture in sorted(captures, key=lambda capture: capture.path)]
    yield from _rounds(heads, _joined)


def merge_kept(captures: Sequence[Capture]) -> Iterator[Kept]:
    """The same of captures that keep their frames: the packets, their frames and the malformed ones."""
    if len(captures) == 1:
        yield from kept_batches(captures[0])
        return
    heads = [KeptHead(capture) for capture in sorted(captures, key=lambda capture: capture.path)]
    yield from _rounds(heads, join_kept)
