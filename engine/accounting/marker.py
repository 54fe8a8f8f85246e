"""The policer: colour-blind markers of RFC 2697 (one rate) and RFC 2698 (two rates): green, yellow or red.

Tokens are whole bytes and arrive in steps: `step` of them each time that `phase`, which grows by
`numerator` a ns, passes `denominator`. With numerator 1 that is the clock of DPDK's rte_meter, a step every
so many ns; with CIR / 10^9 it is the RFC's, a token every 1/CIR s. Arrivals go on while a bucket is full.
Nothing is rounded here (U4), and no packet waits: it has its colour on the spot.
"""

import numpy as np

from engine.jit import inlined, leaf
from engine.layout import MARK_SRTCM, MARKS_PER_SIDE

GREEN = 0
YELLOW = 1
RED = 2

COMMITTED = 0
OTHER = 1
"""the excess bucket (RFC 2697) or the peak bucket (RFC 2698)"""


@inlined
def mark_at(side, exempt, direction):  # type: ignore[no-untyped-def]
    """Index of a side's MARKER row; `exempt` is 1 for exempt packets, which have buckets of their own."""
    return MARKS_PER_SIDE * side + 2 * exempt + direction


@leaf
def arrived(mark, rate, which, elapsed_ns):  # type: ignore[no-untyped-def]
    """byte; tokens of generator `which` in `elapsed_ns`, or at least what fills its buckets.

    Below `fill_ns` no product overflows. From there on the buckets are full whatever was in them, and only
    the phase is wanted: the arrivals repeat after `denominator` ns.
    """
    numerator = np.int64(rate["numerator"][which])
    denominator = np.int64(rate["denominator"][which])
    phase = np.int64(mark["phase"][which])
    if elapsed_ns >= np.int64(rate["fill_ns"][which]):
        phase += (elapsed_ns % denominator) * (numerator % denominator)
        mark["phase"][which] = phase % denominator
        return np.int64(rate["size_bytes"][COMMITTED]) + np.int64(rate["size_bytes"][OTHER])
    phase += elapsed_ns * numerator
    arrivals = phase // denominator
    mark["phase"][which] = phase - arrivals * denominator
    return arrivals * np.int64(rate["step"][which])


@leaf
def earn(mark, rate, now_ns):  # type: ignore[no-untyped-def]
    """Bring both buckets up to `now_ns`; a time before the last one earns nothing."""
    elapsed_ns = max(np.int64(0), now_ns - np.int64(mark["last_ns"]))
    mark["last_ns"] += elapsed_ns
    size_bytes = np.int64(rate["size_bytes"][COMMITTED])
    tokens = np.int64(mark["tokens"][COMMITTED]) + arrived(mark, rate, COMMITTED, elapsed_ns)
    more = max(np.int64(0), tokens - size_bytes)  # RFC 2697: what is too much for C goes to E
    if np.int64(rate["algorithm"]) != MARK_SRTCM:
        more = arrived(mark, rate, OTHER, elapsed_ns)
    mark["tokens"][COMMITTED] = min(tokens, size_bytes)
    mark["tokens"][OTHER] = min(
        np.int64(mark["tokens"][OTHER]) + more, np.int64(rate["size_bytes"][OTHER])
    )


@leaf
def fill(mark, rates, at, now_ns):  # type: ignore[no-untyped-def]
    """Both buckets full at `now_ns`, for MARK_RATE row `at`, as the RFCs have it at time 0."""
    for which in (COMMITTED, OTHER):
        mark["tokens"][which] = rates[at]["size_bytes"][which]
        mark["phase"][which] = 0
    mark["last_ns"] = now_ns
    mark["rate"] = at + 1


@leaf
def settle(mark, rates, at, now_ns):  # type: ignore[no-untyped-def]
    """Bring a MARKER row up to `now_ns` and hand it over to MARK_RATE row `at` where it stood for another.

    A row of zeros starts full. At a change the tokens earned at the rate before are cut at the new sizes
    and the time since the last arrival is let go, as a new marker begins with none: switching to and fro
    earns nothing.
    """
    before = np.int64(mark["rate"]) - 1
    if before < 0:
        fill(mark, rates, at, now_ns)
        return
    earn(mark, rates[before], now_ns)
    if before != at:
        for which in (COMMITTED, OTHER):
            most = np.int64(rates[at]["size_bytes"][which])
            mark["tokens"][which] = min(np.int64(mark["tokens"][which]), most)
            mark["phase"][which] = 0
        mark["rate"] = at + 1


@leaf
def colour(mark, rates, at, now_ns, size_bytes):  # type: ignore[no-untyped-def]
    """GREEN, YELLOW or RED for a packet of `size_bytes` at `now_ns`; takes its tokens from `mark`.

    mark: MARKER row; rates: MARK_RATE[n], of which row `at` holds for the packet. A red packet takes none.
    """
    settle(mark, rates, at, now_ns)
    committed = np.int64(mark["tokens"][COMMITTED])
    other = np.int64(mark["tokens"][OTHER])
    if np.int64(rates[at]["algorithm"]) == MARK_SRTCM:
        if committed >= size_bytes:
            mark["tokens"][COMMITTED] = committed - size_bytes
            return np.int64(GREEN)
        if other >= size_bytes:
            mark["tokens"][OTHER] = other - size_bytes
            return np.int64(YELLOW)
        return np.int64(RED)
    if other < size_bytes:
        return np.int64(RED)
    mark["tokens"][OTHER] = other - size_bytes
    if committed < size_bytes:
        return np.int64(YELLOW)
    mark["tokens"][COMMITTED] = committed - size_bytes
    return np.int64(GREEN)
