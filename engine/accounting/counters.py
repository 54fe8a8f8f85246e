"""Usage counters of one SIM and direction, and the one place that adds to them."""

import numpy as np

from engine.jit import leaf
from engine.layout import CONTROL_SIDE_NEXT

NARROW = (1 << 32) - 1
"""the most that a narrow counter of a SIM row holds"""


@leaf
def side_of(sim, shape, control, cap_up, cap_down):  # type: ignore[no-untyped-def]
    """Index of the SIM's side rows, made when first needed; the caller has left room for one.

    Most SIMs of a large population only ever have charged packets, so the rest is not laid out for
    everybody. The exempt buckets start full, at the given caps (bit-ns).
    """
    side = np.int64(sim["side"])
    if side == 0:
        side = control[CONTROL_SIDE_NEXT]
        control[CONTROL_SIDE_NEXT] = side + 1
        sim["side"] = side
        shape[side]["exempt_credit"][0] = cap_up
        shape[side]["exempt_credit"][1] = cap_down
    return side


@leaf
def count_charged(sim, usage, shape, direction, charged_bytes, free_bytes):  # type: ignore[no-untyped-def]
    """A packet let out at high speed: `charged_bytes` from the balance, `free_bytes` after it (D7).

    The row's counters are narrow; what does not fit is carried over to the side rows.
    """
    sim["balance_bytes"] -= charged_bytes
    total_bytes = np.int64(sim["charged_bytes"][direction]) + charged_bytes
    packets = np.int64(sim["charged_packets"][direction]) + 1
    shape["charged_bytes"][direction] += total_bytes & ~NARROW
    usage["packets"] += packets & ~NARROW
    sim["charged_bytes"][direction] = total_bytes & NARROW
    sim["charged_packets"][direction] = packets & NARROW
    usage["free_bytes"] += free_bytes


@leaf
def count_delay(usage, delay_ns):  # type: ignore[no-untyped-def]
    """A packet that waited in the queue; `delay_ns` of 0 does not count."""
    if delay_ns > 0:
        usage["delayed_packets"] += 1
        usage["max_delay_ns"] = max(np.int64(usage["max_delay_ns"]), delay_ns)


@leaf
def count_drop(usage, length_bytes):  # type: ignore[no-untyped-def]
    """A packet that was dropped: never charged (N7)."""
    usage["packets"] += 1
    usage["dropped_packets"] += 1
    usage["dropped_bytes"] += length_bytes
