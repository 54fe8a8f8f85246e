"""Live engines on a coupon database in a file, and that database kept busy by another process."""

import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import apsw

from engine.errors import PoolUnavailable
from engine.pool.store import open_store
from engine.runtime import Engine, store_options
from tests.support.gateway import HIGH, MS, T0, book, gateway, line, packet, play, settings

KB = 1024
BIG = 65_000
"""bytes of a packet of which 161 make a slice"""
WIDE = replace(HIGH, burst_bytes=500_000_000, queue_bytes=500_000_000)


def live(path: Path, coupon_bytes: int, answer_ms: int = 5_000, **pool: Any) -> Engine:
    """A live engine on the database in this file; SIM a has a session and has asked for nothing.

    `pool` are settings of the table of that name.
    """
    base = settings(high=WIDE, high_bps=10**11)
    made = replace(base, pool=replace(base.pool, answer_ms=answer_ms, **pool))
    store = open_store(f"sqlite:///{path}", store_options(made, "live"))
    engine = gateway(book(line(), coupon_bytes=coupon_bytes), settings=made, store=store, live=True)
    engine.switch_coupon("a", on=False, at_ns=T0)  # or the attach would ask for a slice
    engine.open_session("a", at_ns=T0)
    engine.switch_coupon("a", on=True, at_ns=T0)
    return engine


def answered(engine: Engine) -> None:
    """Let every question be answered, and those that the answers give rise to."""
    for _ in range(4):
        _settings(engine)  # answered after all that was asked before
        engine.flush()


def _settings(engine: Engine) -> None:
    """Ask something of the database, again while it is late: a gateway does not wait for it then."""
    for _ in range(1_000):
        with suppress(PoolUnavailable):
            engine.quota.store.settings()
            return
        time.sleep(0.02)


@contextmanager
def busy(path: Path) -> Iterator[None]:
    """Another process writes, so that the database does not answer."""
    other = apsw.Connection(str(path))
    other.execute("BEGIN IMMEDIATE")
    try:
        yield
    finally:
        other.execute("ROLLBACK")
        other.close()


def bursts(engine: Engine, count: int, size: int = BIG) -> list[str]:
    """Verdicts on so many packets, each a batch of its own, with answers in between."""
    found = []
    for number in range(count):
        found += play(engine, packet(engine.now_ns + MS + number, length=size))
        answered(engine)
    return found
