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


class RunningDate:
    """A date that runs on steadily from where it was set, whatever happens to the machine's own.

    It goes by the clock of `lease_ns`: no step of the machine's date moves it, and no sleep stops it.
    """

    def __init__(self, start_ns: int) -> None:
        self._offset_ns = start_ns - lease_ns()

    def now_ns(self) -> int:
        """ns since 1970, never less than before."""
        return lease_ns() + self._offset_ns
