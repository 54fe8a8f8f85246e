"""Packets that are charged or slow (RULES D1-D8, P1-P5, R1-R6)."""

import numpy as np

from engine import verdict
from engine.accounting.bucket import change_rate, held_credit, queue_full, refill, wait_ns
from engine.accounting.counters import count_charged, count_delay
from engine.datapath.answers import decide, drop
from engine.jit import leaf
from engine.layout import (
    RATE_HIGH,
    RATE_RESTRICTED,
    RATE_SLOW,
    SIM_BUCKET_SHIFT,
    SIM_COUPON_ON,
    SIM_EMPTY,
    SIM_REGULATED,
    SIM_WAITING,
    WINDOW_DAYS,
    WORK_DOWNLINK,
)
from engine.shaper.window import jst_day, restricted, roll
from engine.units import CREDIT_PER_BYTE
from engine.words import CONTROL_WINDOW_SKIP, STOP_END, STOP_SLICE


@leaf
def state_of(sim, shape, rates, control, now_ns):  # type: ignore[no-untyped-def]
    """Which speed holds for the SIM now (P1, P2, R1, R5); keeps the 3-day window up to date."""
    flags = np.int64(sim["flags"])
    if flags & SIM_COUPON_ON and np.int64(sim["balance_bytes"]) > 0:
        return np.int64(RATE_HIGH)
    roll(shape, jst_day(now_ns))
    limit_bytes = np.int64(rates[np.int64(sim["profile"])]["restriction_bytes"])
    if restricted(shape, control[CONTROL_WINDOW_SKIP], limit_bytes):
        sim["flags"] = flags | SIM_REGULATED
        return np.int64(RATE_RESTRICTED)
    sim["flags"] = flags & ~SIM_REGULATED
    return np.int64(RATE_SLOW)


@leaf
def asks(sim):  # type: ignore[no-untyped-def]
    """Whether the SIM may have another slice, as far as is known."""
    return np.int64(sim["flags"]) & (SIM_COUPON_ON | SIM_EMPTY) == SIM_COUPON_ON


@leaf
def let_out(sim, w, usage, shape, state, delay_ns):  # type: ignore[no-untyped-def]
    """Count a packet that goes out in this state, and answer."""
    size = np.int64(w["length"])
    departure_ns = np.int64(w["time_ns"]) + delay_ns
    count_delay(usage, delay_ns)
    if state == RATE_HIGH:
        charged = min(np.int64(sim["balance_bytes"]), size)
        direction = np.int64(w["flags"]) & WORK_DOWNLINK
        count_charged(sim, usage, shape, direction, charged, size - charged)
        decide(w, verdict.CHARGED, departure_ns, charged)
    else:
        usage["packets"] += 1
        usage["slow_bytes"] += size
        shape["slow_bytes"][np.int64(shape["day"]) % WINDOW_DAYS] += size
        decide(w, verdict.SLOW, departure_ns, np.int64(0))


@leaf
def shape_packet(sim, w, usage, shape, rates, control, state):  # type: ignore[no-untyped-def]
    """Let it out at once, or as soon as the rate allows, or drop it from the queue's tail (P4)."""
    now_ns = np.int64(w["time_ns"])
    size = np.int64(w["length"])
    direction = np.int64(w["flags"]) & WORK_DOWNLINK
    base = np.int64(sim["profile"])
    bucket = np.int64(sim["flags"]) >> SIM_BUCKET_SHIFT & 3
    refill(sim, rates, base + 2 * bucket, now_ns)
    if state != bucket:
        change_rate(sim, shape, rates, base, state)
    rate = rates[base + 2 * state + direction]
    credit = np.int64(sim["credit"][direction]) - size * CREDIT_PER_BYTE
    if queue_full(credit, held_credit(sim, shape, rate, direction, now_ns), rate):
        return drop(w, usage, control, verdict.DROP_QUEUE)
    if state == RATE_HIGH and np.int64(sim["balance_bytes"]) < size and asks(sim):
        return np.int64(STOP_SLICE)  # D7: takes the rest and continues on the next slice
    sim["credit"][direction] = credit
    let_out(sim, w, usage, shape, state, wait_ns(credit, np.int64(rate["rate_bps"])))
    return np.int64(STOP_END)


GO_ON = -1
"""answer of `may_pass`: neither dropped nor stopped"""


@leaf
def may_pass(sim, w, usage, control):  # type: ignore[no-untyped-def]
    """GO_ON, or the STOP code where the packet was dropped or asks for a slice; it then leaves no trace."""
    if np.int64(sim["flags"]) & SIM_WAITING:
        return drop(w, usage, control, verdict.DROP_PENDING)
    if asks(sim) and np.int64(sim["balance_bytes"]) == 0:
        return np.int64(STOP_SLICE)  # D1: it holds nothing, and whether it is fast depends on that
    return np.int64(GO_ON)
