"""What kind of capture it is, told from its beginning."""

from typing import Any

import numpy as np
import numpy.typing as npt

from engine.layout import PACKET_GTP, PACKET_SIGNALLING
from engine.wire import state as st
from engine.wire.capture import Capture
from engine.wire.endpoints import Endpoints
from engine.wire.signals import Signals
from engine.wire.source import Stop

SNIFF_BYTES = 16 << 20
"""byte; how much of a capture is looked at for a G-PDU"""
_SNIFF_BLOCK = 1 << 16

OF_SESSIONS = {1: range(16, 22), 2: (*range(32, 38), *range(95, 101), 170, 171)}
"""by GTP-C version, the types of messages about sessions: create, modify or update, delete, of bearers, too
(TS 29.060 7.1, TS 29.274 6.1)"""


def sniff(path: str, stop: Stop | None = None, *, sessions: bool = False) -> int:
    """MODE_GTP if a G-PDU is in the first SNIFF_BYTES of a capture, else MODE_IP.

    With `sessions` a GTP-C message about a session is as good as a G-PDU.
    """
    signals = Signals() if sessions else None
    capture = Capture(
        path,
        Endpoints(),
        st.MODE_GTP,
        rows_max=64,
        block_bytes=_SNIFF_BLOCK,
        look_ahead_bytes=SNIFF_BYTES,
        stop=stop,
        signals=signals,
    )
    found = any(_tunnels(packets, signals) for packets in capture)
    capture.close()
    return st.MODE_GTP if found else st.MODE_IP


def _tunnels(packets: npt.NDArray[Any], signals: Signals | None) -> bool:
    """Whether these rows speak of tunnels."""
    if np.any(packets["flags"] & PACKET_GTP):
        return True
    if signals is None:
        return False
    rows = packets[np.flatnonzero(packets["flags"] & PACKET_SIGNALLING)]
    return any(about_session(signals.take(row).data) for row in rows)


def about_session(data: bytes) -> bool:
    """Whether a datagram begins with a GTP-C message about a session, as far as its header goes."""
    if len(data) < 8:
        return False
    size = int.from_bytes(data[2:4], "big") + (8 if data[0] >> 5 == 1 else 4)
    return data[1] in OF_SESSIONS.get(data[0] >> 5, ()) and size <= len(data)
