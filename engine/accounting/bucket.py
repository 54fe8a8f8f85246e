"""The token bucket: exact integer credit in bit-ns (RULES P4, P5, U4).

`credit += elapsed_ns * rate_bps`, capped at the burst; a packet costs `bits * 10^9`; below zero is the
queue. Nothing is ever rounded, so no drift can build up at any rate, packet size or uptime.
"""

import numpy as np

from engine.jit import inlined, leaf
from engine.layout import DOWNLINK, SIM_BUCKET_SHIFT, SIM_HELD, UPLINK


@inlined
def refilled(credit, rate, elapsed_ns):  # type: ignore[no-untyped-def]
    """Credit after `elapsed_ns` at the RATE row `rate`, not above its cap.

    The time is cut at `fill_ns`, after which any credit is full, so the product cannot overflow; nor can
    the sum, as it is formed only where it stays below the cap.
    """
    cap = np.int64(rate["cap_credit"])
    earned = min(elapsed_ns, np.int64(rate["fill_ns"])) * np.int64(rate["rate_bps"])
    return cap if earned >= cap - credit else credit + earned


@leaf
def refill(sim, rates, base, now_ns):  # type: ignore[no-untyped-def]
    """Bring both buckets of a SIM up to `now_ns`; `base` is the RATE row of its uplink."""
    for direction in (UPLINK, DOWNLINK):
        elapsed_ns = now_ns - np.int64(sim["last_ns"][direction])
        credit = refilled(np.int64(sim["credit"][direction]), rates[base + direction], elapsed_ns)
        sim["credit"][direction] = credit
        sim["last_ns"][direction] = now_ns


@leaf
def wait_ns(credit, rate_bps):  # type: ignore[no-untyped-def]
    """Time until a packet that left this credit behind may go: 0, or ceil(-credit / rate)."""
    if credit >= 0:
        return np.int64(0)
    return (rate_bps - 1 - credit) // rate_bps


@leaf
def change_rate(sim, shape, rates, base, state):  # type: ignore[no-untyped-def]
    """Hand both buckets, refilled up to the same time, over to another speed.

    What is queued leaves at the times that were given out. The time at which it is gone is kept as
    `floor_ns`, and the credit is set so that the next packet goes after it at the new rate: order is
    kept and no burst can build up behind the change (P3, P5). Credit that was saved is cut at the new
    burst.
    """
    flags = np.int64(sim["flags"])
    old_base = base + 2 * (flags >> SIM_BUCKET_SHIFT & 3)
    new_base = base + 2 * state
    now_ns = np.int64(sim["last_ns"][UPLINK])
    for direction in (UPLINK, DOWNLINK):
        credit = np.int64(sim["credit"][direction])
        new_rate = rates[new_base + direction]
        if credit < 0:
            wait = wait_ns(credit, np.int64(rates[old_base + direction]["rate_bps"]))
            shape["floor_ns"][direction] = now_ns + wait
            sim["credit"][direction] = -wait * np.int64(new_rate["rate_bps"])
            flags |= SIM_HELD
        else:
            shape["floor_ns"][direction] = now_ns
            sim["credit"][direction] = min(credit, np.int64(new_rate["cap_credit"]))
    sim["flags"] = flags & ~(3 << SIM_BUCKET_SHIFT) | state << SIM_BUCKET_SHIFT


@leaf
def held_credit(sim, shape, rate, direction, now_ns):  # type: ignore[no-untyped-def]
    """bit-ns of the queue that belong to packets from before a change of rate; 0 once they left."""
    flags = np.int64(sim["flags"])
    if flags & SIM_HELD == 0:
        return np.int64(0)
    if max(np.int64(shape["floor_ns"][UPLINK]), np.int64(shape["floor_ns"][DOWNLINK])) <= now_ns:
        sim["flags"] = flags & ~SIM_HELD
        return np.int64(0)
    return max(np.int64(0), np.int64(shape["floor_ns"][direction]) - now_ns) * np.int64(
        rate["rate_bps"]
    )


@leaf
def queue_full(credit, held, rate):  # type: ignore[no-untyped-def]
    """True if a packet that leaves `credit` behind does not fit in the queue (P4)."""
    return credit + held < -np.int64(rate["queue_credit"]) or credit < -np.int64(
        rate["deepest_credit"]
    )
