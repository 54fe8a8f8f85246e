"""Last kernel of the batch: the meter's answers to the packets that asked (only where they are wanted)."""

import numpy as np

from engine import verdict
from engine.jit import i8, kernel, rows, unsigned
from engine.layout import VERDICT, WORK, WORK_CODE_SHIFT, WORK_QUIET


@kernel(rows(WORK), i8, rows(VERDICT))
def release(work, count, verdicts):  # type: ignore[no-untyped-def]
    """Write the first `count` metered rows of `work` to the verdicts of their packets.

    The second leg of a packet between two SIMs has none: the verdict is that of the sender's leg.
    """
    for k in range(count):
        w = work[unsigned(k)]
        flags = np.int64(w["flags"])
        if flags & WORK_QUIET == 0:
            v = verdicts[unsigned(w["packet"])]
            v["departure_ns"] = np.int64(w["time_ns"])
            code = flags >> WORK_CODE_SHIFT
            v["code"] = code if code else verdict.CHARGED
            v["charged_bytes"] = np.int64(w["length"])
