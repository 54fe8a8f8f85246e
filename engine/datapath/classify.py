"""Second kernel of the batch: mark the packets from and to exempt endpoints (RULES X1-X4)."""

import numpy as np

from engine.jit import i8, i8s, kernel, rows, unsigned
from engine.layout import (
    PACKET,
    PACKET_FRAGMENT,
    PACKET_PORTS,
    RANGE,
    WORK,
    WORK_CODE_SHIFT,
    WORK_DOWNLINK,
    WORK_EXEMPT,
)
from engine.shaper.exempt import is_exempt


@kernel(rows(PACKET), rows(WORK), i8, i8s, rows(RANGE), i8s)
def classify(packets, work, count, index, ranges, rules):  # type: ignore[no-untyped-def]
    """Set WORK_EXEMPT in the first `count` rows of `work` whose network-side end is exempt.

    The network side is the destination going up and the source going down. A fragment that is not the
    first shows no ports, so it is not exempt (X4).
    """
    for k in range(count):
        w = work[unsigned(k)]
        flags = np.int64(w["flags"])
        p = packets[unsigned(w["packet"])]
        packet_flags = np.int64(p["flags"])
        if packet_flags & PACKET_FRAGMENT or flags >> WORK_CODE_SHIFT:
            continue
        key = np.int64(p["protocol"]) << 16
        if flags & WORK_DOWNLINK:
            hi = np.int64(p["src_hi"])
            lo = np.int64(p["src_lo"])
            port = np.int64(p["src_port"])
        else:
            hi = np.int64(p["dst_hi"])
            lo = np.int64(p["dst_lo"])
            port = np.int64(p["dst_port"])
        if packet_flags & PACKET_PORTS:
            key |= port
        if is_exempt(index, ranges, rules, hi, lo, key):
            w["flags"] = flags | WORK_EXEMPT
