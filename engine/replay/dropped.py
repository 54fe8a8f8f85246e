"""`--dropped`: what did not leave the gateway, as a pcapng file, each frame with the reason as comment."""

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from engine import verdict
from engine.replay.legs import DIRECTION_SHIFT, LINE_SHIFT
from engine.replay.targets import Target
from engine.wire.pcap_writer import block_bytes, interface_block, section_block, write_blocks

Rows = npt.NDArray[Any]

TEXTS_MAX = 1 << 16
"""comments that are kept ready"""
DIRECTIONS = ("uplink", "downlink")


class Dropped:
    """Writes frames as they arrived. `line_of` names a SIM row; `moved` frames are stamped 1970, because a
    pcapng file holds no earlier time."""

    def __init__(self, target: Target, line_of: Callable[[int], str]) -> None:
        self.target = target
        self.packets = 0
        self.moved = 0
        self._line_of = line_of
        self._interfaces: dict[int, int] = {}
        self._texts: dict[int, bytes] = {}
        self._buffer = np.zeros(0, dtype=np.uint8)
        target.write(section_block())

    def drop(
        self, frames: Rows, reasons: npt.NDArray[np.int64], data: npt.NDArray[np.uint8]
    ) -> None:
        """Write frames that were dropped, each with its reason (see engine.replay.legs)."""
        if len(frames) == 0 or self.target.fault is not None:
            return
        interfaces = self._numbers(frames["link"])
        comments, spans = self._comments(reasons)
        sizes = block_bytes(frames, spans[:, 1])
        ends = np.cumsum(sizes)
        count = int(ends[-1])
        if len(self._buffer) < count:
            self._buffer = np.empty(count, dtype=np.uint8)
        write_blocks(frames, data, ends - sizes, interfaces, comments, spans, self._buffer)
        self.target.write(self._buffer[:count])
        self.packets += len(frames)
        self.moved += int(np.count_nonzero(frames["time_ns"] < 0))

    def finish(self) -> None:
        """All is written."""
        self.target.finish()

    def _numbers(self, links: Rows) -> npt.NDArray[np.int64]:
        """The number of each frame's interface; one that is new is described first."""
        numbers = np.zeros(len(links), dtype=np.int64)
        for link in np.unique(links):
            if int(link) not in self._interfaces:
                self.target.write(interface_block(int(link)))
            number = self._interfaces.setdefault(int(link), len(self._interfaces))
            numbers[links == link] = number
        return numbers

    def _comments(
        self, reasons: npt.NDArray[np.int64]
    ) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64]]:
        """The texts of all reasons, each once; and where that of each frame is: int64[n, 2]."""
        kinds, which = np.unique(reasons, return_inverse=True)
        known = self._texts.get
        texts = [known(kind) or self._text(kind) for kind in kinds.tolist()]
        lengths = np.array([len(text) for text in texts], dtype=np.int64)
        spans = np.stack([np.cumsum(lengths) - lengths, lengths], axis=1)
        return np.frombuffer(bytearray(b"".join(texts)), dtype=np.uint8), spans[which]

    def _text(self, reason: int) -> bytes:
        if len(self._texts) >= TEXTS_MAX:
            self._texts.clear()
        text = self._texts[reason] = comment(reason, self._line_of).encode()
        return text


def comment(reason: int, line_of: Callable[[int], str]) -> str:
    """What to say of a dropped frame: the reason by the report's name and in words; whose packet it was."""
    code = reason & ((1 << DIRECTION_SHIFT) - 1)
    row = (reason >> LINE_SHIFT) - 1
    said = f"dropped: {verdict.NAMES[code]} — {verdict.WORDS[code]}"
    if row < 0:
        return said
    return f"{said}; line {line_of(row)}, {DIRECTIONS[reason >> DIRECTION_SHIFT & 1]}"
