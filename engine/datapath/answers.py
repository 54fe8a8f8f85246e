"""What becomes of a work row: the answers that the meter writes, and the drops it counts."""

import numpy as np

from engine import verdict
from engine.accounting.counters import count_drop
from engine.jit import leaf
from engine.layout import SIM_DETACHED, SIM_IN_SERVICE, WORK_CODE_SHIFT
from engine.words import CONTROL_DROPS, STOP_END


@leaf
def decide(w, code, departure_ns, charged_bytes):  # type: ignore[no-untyped-def]
    """Write the answer over the work row."""
    w["time_ns"] = departure_ns
    w["length"] = charged_bytes
    w["flags"] = np.int64(w["flags"]) & ~(-1 << WORK_CODE_SHIFT) | code << WORK_CODE_SHIFT


@leaf
def drop(w, usage, control, code):  # type: ignore[no-untyped-def]
    """Drop a packet of a known SIM; `usage` is the row of its direction."""
    size = np.int64(w["length"])
    count_drop(usage, size)
    control[CONTROL_DROPS + 2 * code] += 1
    control[CONTROL_DROPS + 2 * code + 1] += size
    decide(w, code, np.int64(0), np.int64(0))
    return np.int64(STOP_END)


@leaf
def barred(sim, w):  # type: ignore[no-untyped-def]
    """Drop code of a packet that may not be looked at further, or 0."""
    flags = np.int64(sim["flags"])
    code = np.int64(w["flags"]) >> WORK_CODE_SHIFT
    if code == 0 and flags & SIM_IN_SERVICE == 0:
        code = np.int64(verdict.DROP_SUSPENDED)
    if code == 0 and flags & SIM_DETACHED:
        code = np.int64(verdict.DROP_DETACHED)
    return code
