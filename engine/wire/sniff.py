"""What kind of capture it is, told from its beginning."""

import numpy as np

from engine.layout import PACKET_GTP
from engine.wire import state as st
from engine.wire.capture import Capture
from engine.wire.endpoints import Endpoints
from engine.wire.source import Stop

SNIFF_BYTES = 16 << 20
"""byte; how much of a capture is looked at for a G-PDU"""
_SNIFF_BLOCK = 1 << 16


def sniff(path: str, stop: Stop | None = None) -> int:
    """MODE_GTP if a G-PDU is in the first SNIFF_BYTES of a capture, else MODE_IP."""
    capture = Capture(
        path,
        Endpoints(),
        st.MODE_GTP,
        rows_max=64,
        block_bytes=_SNIFF_BLOCK,
        look_ahead_bytes=SNIFF_BYTES,
        stop=stop,
    )
    found = any(np.any(packets["flags"] & PACKET_GTP) for packets in capture)
    capture.close()
    return st.MODE_GTP if found else st.MODE_IP
