"""The simulator's clocks, in one place: what it does depends on them, what it judges does not.

A packet's time of arrival is the kernel's stamp (SO_TIMESTAMPNS), which is of the machine's date; so
the time of sending is read from the same clock. Waiting and pacing go by a clock that nobody sets.
"""

import time


def stamp_ns() -> int:
    """ns since 1970, on the clock of the kernel's stamps."""
    return time.time_ns()


def running_ns() -> int:
    """ns on a clock that never goes back."""
    return time.monotonic_ns()
