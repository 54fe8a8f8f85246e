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


BRIEFLY = (700, 10, 10)
"""Python's own thresholds: so few new objects are looked through in a moment"""


@contextmanager
def brief() -> Iterator[None]:
    """Within, the collector looks often, at little, and at nothing of what was there before.

    For what runs for long and is waited for: the command itself has it look seldom, at much.
    """
    before = gc.get_threshold()
    gc.collect()
    gc.freeze()
    gc.set_threshold(*BRIEFLY)
    try:
        yield
    finally:
        gc.set_threshold(*before)
        gc.unfreeze()


def keep() -> None:
    """All that there is now is old to the collector, as if it had been looked through already.

    For the end of what made much that stays: it would be looked through at once, for nothing. Where a
    program has frozen what it has, which cannot be told apart then, nothing is done.
    """
    if not gc.get_freeze_count():
        gc.freeze()
        gc.unfreeze()
