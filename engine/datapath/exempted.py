"""Exempt packets: their own bucket, rating group and daily cap (RULES X1, X3, X4)."""

import numpy as np

from engine import verdict
from engine.accounting.bucket import queue_full, refilled, wait_ns
from engine.accounting.counters import count_charged, count_delay
from engine.datapath.answers import decide, drop
from engine.jit import leaf
from engine.layout import (
    SIM_COUPON_ON,
    SIM_EMPTY,
    SIM_WAITING,
    WINDOW_DAYS,
    WORK_DOWNLINK,
    WORK_GROUP_SHIFT,
    WORK_GROUPS_MAX,
)
from engine.shaper.window import jst_day, roll
from engine.units import CREDIT_PER_BYTE
from engine.words import (
    CONTROL_CAPS,
    CONTROL_EXEMPT_CHARGE,
    CONTROL_EXEMPT_COUNT,
    CONTROL_RATED_NEXT,
    STOP_END,
    STOP_SLICE,
)


@leaf
def rated_of(shape, rated, control, group):  # type: ignore[no-untyped-def]
    """Index of the SIM's row for a rating group, made when first needed; there is room for one."""
    at = np.int64(shape["rated"])
    while at != 0:
        if np.int64(rated[at]["group"]) == group:
            return at
        at = np.int64(rated[at]["next"])
    at = control[CONTROL_RATED_NEXT]
    control[CONTROL_RATED_NEXT] = at + 1
    rated[at]["group"] = group
    rated[at]["next"] = shape["rated"]
    shape["rated"] = at
    return at


@leaf
def counters_of(w, shape, rated, control):  # type: ignore[no-untyped-def]
    """The row that counts an exempt packet, or 0 where the SIM's cap for the day leaves no room for it.

    It is then a packet like any other: an exempt resolver is no way to tunnel for free (B41x).
    """
    group = np.int64(w["flags"]) >> WORK_GROUP_SHIFT & (WORK_GROUPS_MAX - 1)
    at = rated_of(shape, rated, control, group)
    day = jst_day(np.int64(w["time_ns"]))
    if day > np.int64(rated[at]["day"]):
        rated[at]["day"] = day
        rated[at]["today_bytes"] = 0
    cap_bytes = control[CONTROL_CAPS + group]
    if cap_bytes and np.int64(rated[at]["today_bytes"]) + np.int64(w["length"]) > cap_bytes:
        return np.int64(0)
    return at


@leaf
def exempt_credit(w, shape, rates, high):  # type: ignore[no-untyped-def]
    """bit-ns that an exempt packet would leave behind in its own bucket, which is brought up to now.

    `high` is the RATE row of the SIM's uplink at high speed. A bucket of its own keeps exempt packets
    from waiting behind the queue of the slow state.
    """
    now_ns = np.int64(w["time_ns"])
    elapsed_ns = max(np.int64(0), now_ns - np.int64(shape["exempt_last_ns"]))
    for d in (0, 1):
        shape["exempt_credit"][d] = refilled(
            np.int64(shape["exempt_credit"][d]), rates[high + d], elapsed_ns
        )
    shape["exempt_last_ns"] = now_ns
    direction = np.int64(w["flags"]) & WORK_DOWNLINK
    return np.int64(shape["exempt_credit"][direction]) - np.int64(w["length"]) * CREDIT_PER_BYTE


@leaf
def exempt_charge(sim, size, control):  # type: ignore[no-untyped-def]
    """byte of an exempt packet to charge: 0 but for the setting (X3); -1 where a slice is to be asked for.

    The coupon pays as far as it goes: what is not charged is exempt, and never slow (X1). Where exempt
    packets of the slow state count, the next slice is asked for too: only that tells if the SIM is slow.
    """
    flags = np.int64(sim["flags"])
    balance = np.int64(sim["balance_bytes"])
    charges = control[CONTROL_EXEMPT_CHARGE] != 0
    needed = size if charges else control[CONTROL_EXEMPT_COUNT]
    if balance < needed and flags & (SIM_COUPON_ON | SIM_EMPTY | SIM_WAITING) == SIM_COUPON_ON:
        return np.int64(-1)
    if charges and flags & SIM_COUPON_ON:
        return max(np.int64(0), min(balance, size))
    return np.int64(0)


@leaf
def count_restricting(sim, w, shape, control):  # type: ignore[no-untyped-def]
    """Count an exempt packet towards R1, where that is the setting (X3) and the SIM is slow."""
    flags = np.int64(sim["flags"])
    empty = flags & SIM_EMPTY != 0 and np.int64(sim["balance_bytes"]) == 0
    if control[CONTROL_EXEMPT_COUNT] and (flags & SIM_COUPON_ON == 0 or empty):
        roll(shape, jst_day(np.int64(w["time_ns"])))
        shape["slow_bytes"][np.int64(shape["day"]) % WINDOW_DAYS] += np.int64(w["length"])


@leaf
def let_exempt_out(sim, w, usage, shape, row, charged, delay_ns):  # type: ignore[no-untyped-def]
    """Count a packet that goes out as exempt, in the SIM's counters and in its rating group's, `row`."""
    direction = np.int64(w["flags"]) & WORK_DOWNLINK
    size = np.int64(w["length"])
    if charged > 0:
        count_charged(sim, usage, shape, direction, charged, np.int64(0))
    else:
        usage["packets"] += 1
    usage["exempt_bytes"] += size - charged
    row["packets"][direction] += 1
    row["bytes"][direction] += size
    row["today_bytes"] += size
    count_delay(usage, delay_ns)
    decide(w, verdict.EXEMPT, np.int64(w["time_ns"]) + delay_ns, charged)


@leaf
def pass_exempt(sim, w, usage, shape, rates, row, control):  # type: ignore[no-untyped-def]
    """An exempt packet, bounded by the high-speed rate (X4). Returns a STOP code; `row` counts it."""
    direction = np.int64(w["flags"]) & WORK_DOWNLINK
    high = np.int64(sim["profile"])
    rate = rates[high + direction]
    credit = exempt_credit(w, shape, rates, high)
    if queue_full(credit, np.int64(0), rate):
        return drop(w, usage, control, verdict.DROP_QUEUE)
    charged = exempt_charge(sim, np.int64(w["length"]), control)
    if charged < 0:
        return np.int64(STOP_SLICE)
    shape["exempt_credit"][direction] = credit
    delay_ns = wait_ns(credit, np.int64(rate["rate_bps"]))
    count_restricting(sim, w, shape, control)
    let_exempt_out(sim, w, usage, shape, row, charged, delay_ns)
    return np.int64(STOP_END)
