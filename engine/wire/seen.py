"""What was seen of a capture so far: figures that its reader keeps and the kernels add to."""

from collections import Counter

import numpy as np
import numpy.typing as npt

from engine import verdict
from engine.errors import CaptureError
from engine.layout import INTERFACE
from engine.wire import state as st
from engine.wire.link import SUPPORTED
from engine.wire.source import Source


class Seen:
    """Counters of one capture, and its `fault`."""

    def __init__(self, source: Source) -> None:
        self.fault: CaptureError | None = None
        self._source = source
        self._interfaces = np.zeros(4, dtype=INTERFACE)
        self._links: Counter[int] = Counter()
        """frames by link type, of sections that have ended"""
        self._state = np.zeros(st.STATE, dtype=np.int64)
        self._state[st.FIRST_NS] = st.NEVER_FIRST
        self._state[st.LAST_NS] = st.NEVER_LAST

    def _all_links(self) -> Counter[int]:
        """Frames by link type, declared ones without frames included."""
        links = Counter(self._links)
        for row in self._interfaces[: int(self._state[st.INTERFACES])]:
            links[int(row["link"])] += int(row["frames"])
        return links

    @property
    def frames(self) -> int:
        """Frames read."""
        return int(self._state[st.FRAMES])

    @property
    def frame_bytes(self) -> int:
        """Sum of their lengths on the wire; of the captured length where that one is nonsense."""
        return int(self._state[st.FRAME_BYTES])

    @property
    def first_ns(self) -> int | None:
        """Least time stamp, ns since 1970."""
        first = int(self._state[st.FIRST_NS])
        return None if first == st.NEVER_FIRST else first

    @property
    def last_ns(self) -> int | None:
        """Greatest time stamp, ns since 1970."""
        last = int(self._state[st.LAST_NS])
        return None if last == st.NEVER_LAST else last

    @property
    def link_types(self) -> tuple[int, ...]:
        """Link types of the frames, in ascending order; of the interfaces if there is no frame."""
        links = self._all_links()
        seen = [link for link, frames in links.items() if frames]
        return tuple(sorted(seen or links))

    @property
    def unsupported(self) -> dict[int, int]:
        """Frames that were not looked into, by link type."""
        links = sorted(self._all_links().items())
        return {link: frames for link, frames in links if frames and link not in SUPPORTED}

    @property
    def time_regressions(self) -> int:
        """Frames stamped earlier than the one before; they got that one's time."""
        return int(self._state[st.REGRESSIONS])

    @property
    def cut_packets(self) -> int:
        """Packets of which the capture holds only the beginning (PACKET_CUT)."""
        return int(self._state[st.CUT])

    @property
    def cut_signals(self) -> int:
        """GTP-C datagrams that are not whole in the capture, and so have no row."""
        return int(self._state[st.CUT_SIGNALS])

    @property
    def malformed(self) -> npt.NDArray[np.int64]:
        """What is no packet but should have been something, by drop code.

        MODE_GTP: datagrams at the GTP-U port that are no proper message; MODE_IP: IP headers that
        are cut short, broken or of another version.
        """
        return self._state[st.MALFORMED : st.MALFORMED + verdict.CODES]

    @property
    def messages(self) -> npt.NDArray[np.int64]:
        """GTP-U messages by type."""
        return self._state[st.MESSAGES : st.MESSAGES + 256]

    @property
    def consumed_bytes(self) -> int:
        """Bytes read of the file, compressed ones of a compressed file."""
        return self._source.consumed_bytes

    @property
    def size_bytes(self) -> int | None:
        """Size of the file, where it has one."""
        return self._source.size_bytes

    @property
    def truncated_at(self) -> int | None:
        """Offset in the (decompressed) stream at which reading had to stop, or None."""
        return None if self.fault is None else self.fault.offset

    @property
    def offset(self) -> int:
        """Offset in the (decompressed) stream up to which records were read."""
        return int(self._state[st.BASE] + self._state[st.POS])
