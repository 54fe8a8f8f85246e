"""Python's garbage collector, put off while much is made that stays."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def put_off() -> Iterator[None]:
    """Within, the collector of reference cycles does not run, if it was on.

    Where thousands of rows are made at once it would look through all of them again and again, for
    nothing: that took longer than making them. Not for what may last long, as others' garbage waits too.
    """
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()
