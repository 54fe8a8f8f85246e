"""Third kernel of the batch: charge, limit and count, one pass in time order (RULES D1-D8, P1-P5, R1-R6).

A packet of a SIM at high speed whose balance and bucket suffice is done in one cache line; everything else
goes through `exceptional`. The kernel stops before a packet that needs something from outside: an
opening session or a slice. The caller sees to that and calls again; the packet then starts afresh, so no
result depends on where a batch ends.
"""

import numpy as np

from engine import verdict
from engine.accounting.bucket import (
    change_rate,
    held_credit,
    queue_full,
    refill,
    refilled,
    wait_ns,
)
from engine.accounting.counters import count_charged, count_delay, count_drop, side_of
from engine.jit import i8s, kernel, leaf, prefetch, rows, unsigned
from engine.layout import (
    CHARGED_PACKET,
    CONTROL_DROPS,
    CONTROL_NEXT,
    CONTROL_STOP,
    CONTROL_WINDOW_SKIP,
    CONTROL_WORK,
    RATE,
    RATE_HIGH,
    RATE_RESTRICTED,
    RATE_SLOW,
    SHAPE,
    SIM,
    SIM_ATTACHED,
    SIM_BUCKET_SHIFT,
    SIM_COUPON_ON,
    SIM_DETACHED,
    SIM_EMPTY,
    SIM_HELD,
    SIM_IN_SERVICE,
    SIM_REGULATED,
    SIM_WAITING,
    STOP_ATTACH,
    STOP_END,
    STOP_SLICE,
    USAGE,
    WINDOW_DAYS,
    WORK,
    WORK_CODE_SHIFT,
    WORK_DOWNLINK,
    WORK_EXEMPT,
)
from engine.shaper.window import jst_day, restricted, roll
from engine.units import CREDIT_PER_BYTE

AHEAD = 64
"""packets between asking for a SIM's row and reading it: more than memory takes, less than L1 holds"""

_PLAIN = SIM_IN_SERVICE | SIM_COUPON_ON | SIM_ATTACHED
_PLAIN_MASK = _PLAIN | SIM_DETACHED | SIM_HELD | SIM_WAITING | 3 << SIM_BUCKET_SHIFT
_CHARGED = verdict.CHARGED << WORK_CODE_SHIFT


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


@leaf
def pass_exempt(w, usage, shape, rates, high, control):  # type: ignore[no-untyped-def]
    """An exempt packet: bounded by the high-speed rate in a bucket of its own (X1, X3, X4).

    `high` is the RATE row of the SIM's uplink at high speed. A bucket of its own keeps exempt packets
    from waiting behind the queue of the slow state.
    """
    direction = np.int64(w["flags"]) & WORK_DOWNLINK
    now_ns = np.int64(w["time_ns"])
    size = np.int64(w["length"])
    elapsed_ns = max(np.int64(0), now_ns - np.int64(shape["exempt_last_ns"]))
    for d in (0, 1):
        shape["exempt_credit"][d] = refilled(
            np.int64(shape["exempt_credit"][d]), rates[high + d], elapsed_ns
        )
    shape["exempt_last_ns"] = now_ns
    rate = rates[high + direction]
    credit = np.int64(shape["exempt_credit"][direction]) - size * CREDIT_PER_BYTE
    if queue_full(credit, np.int64(0), rate):
        return drop(w, usage, control, verdict.DROP_QUEUE)
    shape["exempt_credit"][direction] = credit
    delay_ns = wait_ns(credit, np.int64(rate["rate_bps"]))
    usage["packets"] += 1
    usage["exempt_bytes"] += size
    count_delay(usage, delay_ns)
    decide(w, verdict.EXEMPT, now_ns + delay_ns, np.int64(0))
    return np.int64(STOP_END)


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
def pass_metered(sim, w, usage, shape, rates, control):  # type: ignore[no-untyped-def]
    """A packet that is charged or slow. Returns a STOP code; stopped packets leave no trace."""
    now_ns = np.int64(w["time_ns"])
    size = np.int64(w["length"])
    direction = np.int64(w["flags"]) & WORK_DOWNLINK
    base = np.int64(sim["profile"])
    if np.int64(sim["flags"]) & SIM_WAITING:
        return drop(w, usage, control, verdict.DROP_PENDING)
    asks = np.int64(sim["flags"]) & (SIM_COUPON_ON | SIM_EMPTY) == SIM_COUPON_ON
    if asks and np.int64(sim["balance_bytes"]) == 0:
        return np.int64(STOP_SLICE)  # D1: it holds nothing, and whether it is fast depends on that
    state = state_of(sim, shape, rates, control, now_ns)
    bucket = np.int64(sim["flags"]) >> SIM_BUCKET_SHIFT & 3
    refill(sim, rates, base + 2 * bucket, now_ns)
    if state != bucket:
        change_rate(sim, shape, rates, base, state)
    rate = rates[base + 2 * state + direction]
    credit = np.int64(sim["credit"][direction]) - size * CREDIT_PER_BYTE
    if queue_full(credit, held_credit(sim, shape, rate, direction, now_ns), rate):
        return drop(w, usage, control, verdict.DROP_QUEUE)
    balance = np.int64(sim["balance_bytes"])
    if state == RATE_HIGH and balance < size and asks:
        return np.int64(STOP_SLICE)  # D7: takes the rest and continues on the next slice
    sim["credit"][direction] = credit
    delay_ns = wait_ns(credit, np.int64(rate["rate_bps"]))
    count_delay(usage, delay_ns)
    if state == RATE_HIGH:
        charged = min(balance, size)
        count_charged(sim, usage, shape, direction, charged, size - charged)
        decide(w, verdict.CHARGED, now_ns + delay_ns, charged)
    else:
        usage["packets"] += 1
        usage["slow_bytes"] += size
        shape["slow_bytes"][np.int64(shape["day"]) % WINDOW_DAYS] += size
        decide(w, verdict.SLOW, now_ns + delay_ns, np.int64(0))
    return np.int64(STOP_END)


@leaf
def exceptional(sim, usage, shape, rates, w, control):  # type: ignore[no-untyped-def]
    """Whatever is not a plain charged packet. Returns a STOP code."""
    base = np.int64(sim["profile"])
    caps = rates[base]["cap_credit"], rates[base + 1]["cap_credit"]
    code = barred(sim, w)
    if code == 0 and np.int64(sim["flags"]) & SIM_ATTACHED == 0:
        return np.int64(STOP_ATTACH)
    side = side_of(sim, shape, control, np.int64(caps[0]), np.int64(caps[1]))
    mine = usage[2 * side + (np.int64(w["flags"]) & WORK_DOWNLINK)]
    if code != 0:
        return drop(w, mine, control, code)
    if np.int64(w["flags"]) & WORK_EXEMPT:
        return pass_exempt(w, mine, shape[side], rates, base, control)
    return pass_metered(sim, w, mine, shape[side], rates, control)


@leaf
def run_plain(sims, rates, work, first, count):  # type: ignore[no-untyped-def]
    """Meter plain charged packets from `first` on; index of the first that is not one, or `count`.

    A function of its own with few tables, so that all of them stay in registers.
    """
    k = first
    while k < count:
        if k + AHEAD < count:
            prefetch(sims, unsigned(work[unsigned(k + AHEAD)]["row"]))
        w = work[unsigned(k)]
        sim = sims[unsigned(w["row"])]
        way = np.int64(w["flags"])
        if np.int64(sim["flags"]) & _PLAIN_MASK != _PLAIN or way & ~WORK_DOWNLINK:
            break
        size = np.int64(w["length"])
        balance = np.int64(sim["balance_bytes"]) - size
        if balance < 0:
            break
        at = unsigned(way)
        now_ns = np.int64(w["time_ns"])
        rate = rates[unsigned(sim["profile"]) + at]
        elapsed_ns = now_ns - np.int64(sim["last_ns"][at])
        credit = refilled(np.int64(sim["credit"][at]), rate, elapsed_ns) - size * CREDIT_PER_BYTE
        charged = np.int64(sim["charged"][at]) + size + CHARGED_PACKET
        if (credit | charged) < 0:  # it has to wait, or the counter has to be carried over
            break
        sim["credit"][at] = credit
        sim["last_ns"][at] = now_ns
        sim["balance_bytes"] = balance
        sim["charged"][at] = charged
        w["flags"] = way | _CHARGED
        k += 1
    return k


@kernel(rows(SIM), rows(USAGE), rows(SHAPE), rows(RATE), rows(WORK), i8s)
def meter(sims, usage, shape, rates, work, control):  # type: ignore[no-untyped-def]
    """Meter the work rows from control[CONTROL_NEXT] to control[CONTROL_WORK]; answers stand in them.

    sims: SIM[n]; usage: USAGE[2m] and shape: SHAPE[m] with room for a new row per SIM of the batch;
    rates: RATE rows of every plan. Ends with control[CONTROL_STOP] at STOP_END, or stops before work
    row control[CONTROL_NEXT].
    """
    count = control[CONTROL_WORK]
    k = control[CONTROL_NEXT]
    stop = np.int64(STOP_END)
    while stop == STOP_END:
        k = run_plain(sims, rates, work, k, count)
        if k == count:
            break
        w = work[k]
        stop = exceptional(sims[np.int64(w["row"])], usage, shape, rates, w, control)
        k += stop == STOP_END
    control[CONTROL_NEXT] = k
    control[CONTROL_STOP] = stop
