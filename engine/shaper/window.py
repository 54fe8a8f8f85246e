"""The 3-day window of bytes that count towards the restriction (RULES R1-R3, X3).

Those carried in the slow state; with `exempt.count` also exempt ones, while the SIM was slow.
"""

import numpy as np

from engine.jit import leaf
from engine.layout import WINDOW_DAYS
from engine.units import JST_OFFSET_NS, NS_PER_DAY


@leaf
def jst_day(time_ns):  # type: ignore[no-untyped-def]
    """Days since 1970-01-01 in Japan (U2)."""
    return (time_ns + JST_OFFSET_NS) // NS_PER_DAY


@leaf
def roll(shape, day):  # type: ignore[no-untyped-def]
    """Make `day` the newest of the ring; days that passed without such traffic become 0.

    The newest day is kept as an absolute number, so a day that comes again modulo the ring's length
    cannot be taken for another.
    """
    gone = day - np.int64(shape["day"])
    if gone <= 0:
        return
    for step in range(min(gone, WINDOW_DAYS)):
        shape["slow_bytes"][(day - step) % WINDOW_DAYS] = 0
    shape["day"] = day


@leaf
def add_elsewhere(shape, today, day, size):  # type: ignore[no-untyped-def]
    """Add bytes that another run or gateway counted on `day`; the ring is brought up to `today` before.

    A day that the ring does not hold (any more) is passed over.
    """
    roll(shape, today)
    newest = np.int64(shape["day"])
    if newest - WINDOW_DAYS < day <= newest:
        shape["slow_bytes"][day % WINDOW_DAYS] += size


@leaf
def add_all(shape, sides, today, days, sizes):  # type: ignore[no-untyped-def]
    """`add_elsewhere` for many: SHAPE rows `sides`, and for each a day and its bytes."""
    for k in range(len(sides)):
        add_elsewhere(shape[sides[k]], today, days[k], sizes[k])


@leaf
def restricted(shape, skip_days, limit_bytes):  # type: ignore[no-untyped-def]
    """True if the bytes of three days exceed the limit; rolled to today before.

    `skip_days` is 0 for today and the two days before (`immediate`), 1 for the three full days before
    today (`next-day`).
    """
    if limit_bytes == 0:
        return False
    newest = np.int64(shape["day"]) - skip_days
    total = np.int64(0)
    for back in range(3):
        total += np.int64(shape["slow_bytes"][(newest - back) % WINDOW_DAYS])
    return total > limit_bytes
