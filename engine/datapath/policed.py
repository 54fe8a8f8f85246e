"""Where a policer stands in for the shaper (limiter = "police"): no queue, a colour for each packet.

Green goes, red is dropped, yellow is let through or not (RFC 2697, RFC 2698; `engine.accounting.marker`).
"""

import numpy as np

from engine import verdict
from engine.accounting.marker import colour, mark_at, settle
from engine.datapath.answers import drop
from engine.datapath.exempted import count_restricting, exempt_charge, let_exempt_out
from engine.datapath.metered import asks, let_out
from engine.jit import leaf
from engine.layout import RATE_HIGH, SIM_BUCKET_SHIFT, WORK_DOWNLINK
from engine.words import CONTROL_POLICE, STOP_END, STOP_SLICE

SCRATCH = 0
"""row of MARKER that is nobody's: a packet is coloured there first, as it may yet ask for a slice"""


@leaf
def try_colour(w, marks, at, profiles, k):  # type: ignore[no-untyped-def]
    """Colour of the packet by the row `at`, whose new state is left in the SCRATCH row."""
    marks[SCRATCH] = marks[at]
    return colour(marks[SCRATCH], profiles, k, np.int64(w["time_ns"]), np.int64(w["length"]))


@leaf
def police_exempt(sim, w, tables, at, profiles, row, control):  # type: ignore[no-untyped-def]
    """An exempt packet against the markers of the high-speed rate (X4). Returns a STOP code.

    `tables`: the SIM's USAGE row of this direction, its SHAPE row, and all MARKER rows.
    """
    usage, shape, marks = tables
    direction = np.int64(w["flags"]) & WORK_DOWNLINK
    shade = try_colour(w, marks, at, profiles, np.int64(sim["profile"]) + direction)
    if shade >= control[CONTROL_POLICE]:
        marks[at] = marks[SCRATCH]
        return drop(w, usage, control, verdict.DROP_POLICED)
    charged = exempt_charge(sim, np.int64(w["length"]), control)
    if charged < 0:
        return np.int64(STOP_SLICE)
    marks[at] = marks[SCRATCH]
    count_restricting(sim, w, shape, control)
    let_exempt_out(sim, w, usage, shape, row, charged, np.int64(0))
    return np.int64(STOP_END)


@leaf
def change_markers(sim, w, marks, side, profiles, state):  # type: ignore[no-untyped-def]
    """Have both directions go over to another state at the same instant."""
    base = np.int64(sim["profile"]) + 2 * state
    for direction in (0, 1):
        mark = marks[mark_at(side, 0, direction)]
        settle(mark, profiles, base + direction, np.int64(w["time_ns"]))
    flags = np.int64(sim["flags"])
    sim["flags"] = flags & ~(3 << SIM_BUCKET_SHIFT) | state << SIM_BUCKET_SHIFT


@leaf
def police_packet(sim, w, tables, side, profiles, state, control):  # type: ignore[no-untyped-def]
    """Let a packet out at once, or drop it. Returns a STOP code; `tables` as for `police_exempt`."""
    usage, shape, marks = tables
    direction = np.int64(w["flags"]) & WORK_DOWNLINK
    if state != np.int64(sim["flags"]) >> SIM_BUCKET_SHIFT & 3:
        change_markers(sim, w, marks, side, profiles, state)
    at = mark_at(side, 0, direction)
    k = np.int64(sim["profile"]) + 2 * state + direction
    shade = try_colour(w, marks, at, profiles, k)
    if shade >= control[CONTROL_POLICE]:
        marks[at] = marks[SCRATCH]
        return drop(w, usage, control, verdict.DROP_POLICED)
    if state == RATE_HIGH and np.int64(sim["balance_bytes"]) < np.int64(w["length"]) and asks(sim):
        return np.int64(STOP_SLICE)  # D7
    marks[at] = marks[SCRATCH]
    let_out(sim, w, usage, shape, state, np.int64(0))
    return np.int64(STOP_END)
