"""Several captures as one, in time order."""

from collections.abc import Iterator, Sequence
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

Packets = npt.NDArray[Any]


class Stream(Protocol):
    """What is needed of a capture: its name and its batches, each not older than the one before."""

    path: str

    def __iter__(self) -> Iterator[Packets]: ...


class _Head:
    """The packets of one stream that were read and not yet handed on."""

    def __init__(self, stream: Stream) -> None:
        self._batches = iter(stream)
        self.packets = next(self._batches, None)

    def last_ns(self) -> int:
        assert self.packets is not None
        return int(self.packets["time_ns"][-1])

    def take(self, count: int) -> Packets:
        """The first `count` packets, copied: the next batch overwrites the buffer."""
        assert self.packets is not None
        taken = self.packets[:count].copy()
        self.packets = self.packets[count:]
        if self.packets.size == 0:
            self.packets = next(self._batches, None)
        return taken


def _round(heads: list[_Head]) -> Packets:
    """All packets that nothing still unread can come before.

    The stream whose batch ends first sets the limit. At the limit itself, streams before it in
    the order of paths go in, and those behind it wait: it may have more packets of that time.
    """
    limiting = min(range(len(heads)), key=lambda k: (heads[k].last_ns(), k))
    limit_ns = heads[limiting].last_ns()
    parts = []
    for k, head in enumerate(heads):
        assert head.packets is not None
        side: Any = "right" if k <= limiting else "left"
        count = int(np.searchsorted(head.packets["time_ns"], limit_ns, side=side))
        if count:
            parts.append(head.take(count))
    packets = np.concatenate(parts)
    return packets[np.argsort(packets["time_ns"], kind="stable")]


def merge(captures: Sequence[Stream]) -> Iterator[Packets]:
    """Batches of all captures in time order; equal times go by path, then by place in the file.

    The order in which the captures are given does not matter. A single one is passed through.
    """
    if len(captures) == 1:
        yield from captures[0]
        return
    heads = [_Head(capture) for capture in sorted(captures, key=lambda capture: capture.path)]
    while heads := [head for head in heads if head.packets is not None]:
        yield _round(heads)
