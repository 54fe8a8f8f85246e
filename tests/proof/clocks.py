"""The seam for time: while it is held, engine.clock reads what a simulation says."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from engine import clock


@contextmanager
def machine_clock(now_ns: Callable[[], int], lease_ns: Callable[[], int]) -> Iterator[None]:
    """Let the machine's date and its steady clock be given by functions."""
    before = clock.now_ns, clock.lease_ns
    clock.now_ns, clock.lease_ns = now_ns, lease_ns
    try:
        yield
    finally:
        clock.now_ns, clock.lease_ns = before
