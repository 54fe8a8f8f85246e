"""Third kernel of the batch: charge, limit and count, one pass in time order (RULES D1-D8, P1-P5, R1-R6).

A packet of a SIM at high speed whose balance and bucket suffice is done in one cache line; everything else
goes through `exceptional`. The kernel stops before a packet that needs something from outside: an
opening session or a slice. The caller sees to that and calls again; the packet then starts afresh, so no
result depends on where a batch ends.
"""

import numpy as np

from engine.accounting.bucket import refilled
from engine.accounting.counters import side_of
from engine.accounting.marker import mark_at
from engine.datapath.answers import barred, drop
from engine.datapath.exempted import counters_of, pass_exempt
from engine.datapath.metered import GO_ON, may_pass, shape_packet, state_of
from engine.datapath.policed import police_exempt, police_packet
from engine.jit import apart, i8s, inlined, kernel, leaf, prefetch, rows, tuple_of, unsigned
from engine.layout import (
    CHARGED_PACKET,
    MARK_RATE,
    MARKER,
    RATE,
    RATED,
    SHAPE,
    SIM,
    SIM_ATTACHED,
    SIM_BUCKET_SHIFT,
    SIM_COUPON_ON,
    SIM_IN_SERVICE,
    USAGE,
    WORK,
    WORK_DOWNLINK,
    WORK_EXEMPT,
)
from engine.units import CREDIT_PER_BYTE
from engine.words import (
    CONTROL_NEXT,
    CONTROL_POLICE,
    CONTROL_STOP,
    CONTROL_WORK,
    STOP_ATTACH,
    STOP_END,
)

AHEAD = 96
"""packets between asking for a SIM's row and reading it: more than memory takes, less than L1 holds"""

NEAR = 12
"""packets between asking for it once more and reading it: its line is there, but where its page lies has
left the first TLB again"""

GROUP = 5
"""packets whose rows are asked for together: nothing that comes after can be finished before a row's page
is found, so pages are looked for at once only where few other instructions lie between; and a processor
does so many of these searches at once (6: 10 to 25 % slower)"""

SIDE_AHEAD, RATED_AHEAD = 32, 12
"""packets between asking for an exempt packet's side rows, and its rating group's row, and reading them"""

_PLAIN = SIM_IN_SERVICE | SIM_COUPON_ON | SIM_ATTACHED
_FIRST_BYTE = (1 << SIM_BUCKET_SHIFT + 2) - 1


@leaf
def pass_or_drop(sim, w, sides, side, settings, control):  # type: ignore[no-untyped-def]
    """A packet that nothing bars: exempt, charged or slow; shaped or policed. Returns a STOP code."""
    usage, shape, rated, marks = sides
    rates, profiles = settings
    direction = np.int64(w["flags"]) & WORK_DOWNLINK
    mine = usage[2 * side + direction]
    policed = control[CONTROL_POLICE] != 0
    if np.int64(w["flags"]) & WORK_EXEMPT:
        counts = counters_of(w, shape[side], rated, control)
        if counts != 0 and policed:
            tables = (mine, shape[side], marks)
            at = mark_at(side, 1, direction)
            return police_exempt(sim, w, tables, at, profiles, rated[counts], control)
        if counts != 0:
            return pass_exempt(sim, w, mine, shape[side], rates, rated[counts], control)
    stop = may_pass(sim, w, mine, control)
    if stop != GO_ON:
        return stop
    state = state_of(sim, shape[side], rates, control, np.int64(w["time_ns"]))
    if policed:
        return police_packet(sim, w, (mine, shape[side], marks), side, profiles, state, control)
    return shape_packet(sim, w, mine, shape[side], rates, control, state)


@leaf
def exceptional(sim, sides, settings, w, control):  # type: ignore[no-untyped-def]
    """Whatever is not a plain charged packet. Returns a STOP code."""
    usage, shape, _, _ = sides
    rates = settings[0]
    base = np.int64(sim["profile"])
    caps = rates[base]["cap_credit"], rates[base + 1]["cap_credit"]
    code = barred(sim, w)
    if code == 0 and np.int64(sim["flags"]) & SIM_ATTACHED == 0:
        return np.int64(STOP_ATTACH)
    side = side_of(sim, shape, control, np.int64(caps[0]), np.int64(caps[1]))
    if code != 0:
        return drop(w, usage[2 * side + (np.int64(w["flags"]) & WORK_DOWNLINK)], control, code)
    return pass_or_drop(sim, w, sides, side, settings, control)


@leaf
def look_ahead(sims, sides, work, k, asked):  # type: ignore[no-untyped-def]
    """Ask for the side rows of exempt packets up to SIDE_AHEAD after work row `k`; how far that has come.

    Called from packets that need such rows themselves, so plain packets pay nothing for it.
    """
    usage, shape, rated, _ = sides
    last = min(k + SIDE_AHEAD, len(work))
    for j in range(max(asked, k + 1), last):
        flags = np.int64(work[unsigned(j)]["flags"])
        if flags & WORK_EXEMPT:
            side = np.int64(sims[unsigned(work[unsigned(j)]["row"])]["side"])
            prefetch(shape, unsigned(side))
            prefetch(usage, unsigned(2 * side + (flags & WORK_DOWNLINK)))
    near = min(k + RATED_AHEAD, last)
    for j in range(max(asked - SIDE_AHEAD + RATED_AHEAD, k + 1), near):
        if np.int64(work[unsigned(j)]["flags"]) & WORK_EXEMPT:
            side = np.int64(sims[unsigned(work[unsigned(j)]["row"])]["side"])
            prefetch(rated, unsigned(shape[unsigned(side)]["rated"]))
    return last


@inlined
def charge_plain(sims, rates, work, k):  # type: ignore[no-untyped-def]
    """Meter work row `k` if it is a plain charged packet; False, and no trace of it, where it is not.

    The row is its own answer: the packet leaves when it came, all of it is charged, and the code stays 0.
    One that takes the last of the balance is not plain, so that none of no bytes is where there is none.
    """
    w = work[unsigned(k)]
    sim = sims[unsigned(w["row"])]
    way = np.int64(w["flags"])
    if np.int64(sim["flags"]) & _FIRST_BYTE != _PLAIN or way & ~WORK_DOWNLINK:
        return False
    at = unsigned(way)
    size = np.int64(w["length"])
    now_ns = np.int64(w["time_ns"])
    rate = rates[unsigned(sim["profile"]) | at]  # a plan begins at an even row
    elapsed_ns = now_ns - np.int64(sim["last_ns"][at])
    credit = refilled(np.int64(sim["credit"][at]), rate, elapsed_ns) - size * CREDIT_PER_BYTE
    balance = np.int64(sim["balance_bytes"]) - size
    charged = np.int64(sim["charged"][at]) + size + CHARGED_PACKET
    # It takes the last of the balance, has to wait, or the counter has to be carried over.
    if (balance - 1 | credit | charged) < 0:
        return False
    sim["credit"][at] = credit
    sim["last_ns"][at] = now_ns
    sim["balance_bytes"] = balance
    sim["charged"][at] = charged
    return True


@leaf
def run_plain(sims, rates, work, first, count):  # type: ignore[no-untyped-def]
    """Meter plain charged packets from `first` on; index of the first that is not one, or `count`.

    A function of its own with few tables, so that all of them stay in registers: where it was part of its
    caller, three of them were taken from the stack again for each packet.
    """
    apart()
    k = first
    last = count - AHEAD - GROUP
    while k <= last:
        for at in range(k + AHEAD, k + AHEAD + GROUP):
            prefetch(sims, unsigned(work[unsigned(at)]["row"]))
        for at in range(k + NEAR, k + NEAR + GROUP):
            prefetch(sims, unsigned(work[unsigned(at)]["row"]))
        for _ in range(GROUP):
            if not charge_plain(sims, rates, work, k):
                return k
            k += 1
    while k < count and charge_plain(sims, rates, work, k):
        k += 1
    return k


SIDES = tuple_of(rows(USAGE), rows(SHAPE), rows(RATED), rows(MARKER))
SETTINGS = tuple_of(rows(RATE), rows(MARK_RATE))


@kernel(rows(SIM), SIDES, SETTINGS, rows(WORK), i8s)
def meter(sims, sides, settings, work, control):  # type: ignore[no-untyped-def]
    """Meter the work rows from control[CONTROL_NEXT] to control[CONTROL_WORK]; answers stand in them.

    sims: SIM[n]; sides: USAGE[2m], SHAPE[m], RATED[r] and MARKER[4m] with room for the new rows of every
    SIM of the batch (`accounting.sims.SideTables`); settings: RATE and MARK_RATE rows of every plan. Ends
    with control[CONTROL_STOP] at STOP_END, or stops before work row control[CONTROL_NEXT].
    """
    count = control[CONTROL_WORK]
    k = control[CONTROL_NEXT]
    rates = settings[0]
    asked = np.int64(0)
    stop = np.int64(STOP_END)
    if k == 0:
        for at in range(min(AHEAD, count)):
            prefetch(sims, unsigned(work[unsigned(at)]["row"]))
    while stop == STOP_END:
        if control[CONTROL_POLICE] == 0:
            k = run_plain(sims, rates, work, k, count)
        if k == count:
            break
        w = work[k]
        asked = look_ahead(sims, sides, work, k, asked)
        stop = exceptional(sims[np.int64(w["row"])], sides, settings, w, control)
        k += stop == STOP_END
    control[CONTROL_NEXT] = k
    control[CONTROL_STOP] = stop
