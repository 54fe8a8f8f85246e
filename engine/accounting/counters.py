"""Usage counters of one SIM and direction, and the one place that adds to them."""

import numpy as np

from engine.jit import leaf
from engine.layout import CHARGED_PACKET, CHARGED_SHIFT
from engine.words import CONTROL_SIDE_NEXT

BYTES_MASK = CHARGED_PACKET - 1
"""the part of SIM.charged that counts bytes"""


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

    What the row counted so far is carried over to the side rows, as this packet is counted there.
    """
    sim["balance_bytes"] -= charged_bytes
    charged = np.int64(sim["charged"][direction])
    shape["charged_bytes"][direction] += (charged & BYTES_MASK) + charged_bytes
    usage["packets"] += (charged >> CHARGED_SHIFT) + 1
    sim["charged"][direction] = 0
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
