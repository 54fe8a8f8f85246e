"""The machine's clock, in one place: nothing that decides a verdict or a balance may read it (U2, G8)."""

import time


def elapsed_ns() -> int:
    """Nanoseconds on a clock that never goes back; for reports of how long work took."""
    return time.perf_counter_ns()
