"""The machine's clock, in one place: nothing that decides a verdict or a balance may read it (U2, G8)."""

import time


def elapsed_ns() -> int:
    """Nanoseconds on a clock that never goes back; for reports of how long work took."""
    return time.perf_counter_ns()


def lease_ns() -> int:
    """Nanoseconds on a clock that never goes back and runs on while the machine sleeps; for leases."""
    return time.clock_gettime_ns(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))


def now_ns() -> int:
    """The machine's date and time, ns since 1970: for an operator's "now" and a database's own clock."""
    return time.time_ns()
