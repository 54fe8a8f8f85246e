"""`--shaped`: what left the gateway, each packet at its departure, as a pcap file."""

from typing import Any

import numpy as np
import numpy.typing as npt

from engine.errors import OutputError, UsageError
from engine.replay.targets import Target
from engine.replay.waiting import Part, Waiting, places_by
from engine.wire.link import LINK_ETHERNET, LINK_RAW, SUPPORTED
from engine.wire.pcap_writer import PCAP_LAST_NS, pcap_header, record_bytes, write_records

Rows = npt.NDArray[Any]


class Shaped:
    """Writes frames in the order of departures; of equal ones, in that of arrival.

    `packets` were written, `moved` of them with another time, because a pcap file cannot hold theirs.
    """

    def __init__(self, target: Target, *, strip: bool) -> None:
        self.target = target
        self.packets = 0
        self.moved = 0
        self._link: int | None = LINK_RAW if strip else None
        self._strip = strip
        self._begun = False
        self._waiting = Waiting()
        self._buffer = np.zeros(0, dtype=np.uint8)

    def let_out(self, frames: Rows, data: npt.NDArray[np.uint8], now_ns: int) -> None:
        """Take frames in the order of arrival, `time_ns` being their departure; write what left by now."""
        if self.target.fault is not None or not self._same_link(frames):
            return
        for parts in self._waiting.let_out(frames, data, now_ns):
            self._write(parts)

    def finish(self, links: tuple[int, ...]) -> None:
        """Write what still waits. Where nothing left, the file has the first of these link types that is
        read: others may mean nothing to anybody."""
        for parts in self._waiting.rest():
            self._write(parts)
        if self._link is None:
            self._link = next((link for link in links if link in SUPPORTED), LINK_ETHERNET)
        self._begin()
        self.target.finish()

    def _same_link(self, frames: Rows) -> bool:
        """Whether all frames are of one link type, that of the file."""
        if self._strip or len(frames) == 0:
            return True
        if self._link is None:
            self._link = int(frames["link"][0])
        others = frames["link"][frames["link"] != self._link]
        if len(others):
            words = several_links(self.target.path, {self._link, int(others[0])})
            self.target.fail(OutputError(f"{words}. The bill is complete", UsageError.exit_status))
        return len(others) == 0

    def _begin(self) -> None:
        if not self._begun:
            assert self._link is not None
            self.target.write(pcap_header(self._link))
            self._begun = True

    def _write(self, parts: list[Part]) -> None:
        """Write the parts as one, in the order of departures."""
        self._begin()
        times = np.concatenate([frames["time_ns"] for frames, _ in parts])
        sizes = np.concatenate([record_bytes(frames) for frames, _ in parts])
        _, places = places_by(times, sizes)
        count = int(sizes.sum())
        if len(self._buffer) < count:
            self._buffer = np.empty(count, dtype=np.uint8)
        begin = 0
        for frames, data in parts:
            write_records(frames, data, places[begin : begin + len(frames)], self._buffer)
            begin += len(frames)
        self.target.write(self._buffer[:count])
        self.packets += len(times)
        self.moved += int(np.count_nonzero((times < 0) | (times > PCAP_LAST_NS)))


def several_links(path: str, links: set[int]) -> str:
    """Why frames of several link types cannot be written, and what to do."""
    names = " and ".join(map(str, sorted(links)))
    return (
        f"{path}: frames of link types {names} cannot be in one pcap file; "
        "--gtp strip writes the IP packets inside, which can"
    )
