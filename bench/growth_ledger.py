"""What contracts cost in the coupon database: entering, a first slice, a month's end, the last report.

An engine with so many contracts of one line bills a packet of each, passes the end of a month, and is
closed. Beside it, what a slice leaves in an SQLite file.
"""

import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np

from bench.growth_crowd import BATCH_ROWS, START_NS, address, batch
from bench.growth_rows import Row
from engine import config
from engine.config import Settings
from engine.pool.store import StoreOptions, open_store
from engine.runtime import Engine
from engine.subscribers import Book, Contract, Line

PLAN = "light-start"
DECEMBER_NS = 1_385_823_600 * 10**9
"""2013-12-01 00:00 JST"""
SECOND_NS = 10**9
REMOTE_MAX = 5_000
"""contracts where each first slice is a round trip"""
SLICES, LINES, GROUP = 5, 2_000, 64


@contextmanager
def _pools(url: str | None) -> Iterator[dict[str, tuple[str | None, Path | None]]]:
    """Databases by name: URL, and the file where it is one."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "coupons.db"
        pools: dict[str, tuple[str | None, Path | None]] = {
            "memory": (None, None),
            "SQLite file": (f"sqlite:///{path}", path),
        }
        yield pools if url is None else {**pools, "PostgreSQL": (url, None)}


def _us(contracts: int, step: Callable[[], Any]) -> float:
    begin_ns = time.perf_counter_ns()
    step()
    return round((time.perf_counter_ns() - begin_ns) / contracts / 1_000, 2)


def _settings() -> Settings:
    made = config.load(None)
    return replace(made, exempt=replace(made.exempt, endpoints=()))


def _book(contracts: int) -> Book:
    """So many contracts, each with a line, on a plan with a bundle every month."""
    return Book(
        tuple(
            Contract(f"c{n}", PLAN, date(2013, 11, 1), (Line(f"l{n}", addresses=(address(n),)),))
            for n in range(contracts)
        )
    )


def _packets(engine: Engine, contracts: int) -> None:
    """One packet of each."""
    for first in range(0, contracts, BATCH_ROWS):
        rows = batch(np.arange(first, min(contracts, first + BATCH_ROWS)))
        rows["time_ns"] += SECOND_NS
        engine.account(rows)


def _month_end(engine: Engine) -> None:
    rows = batch(np.zeros(1, dtype=np.int64))
    rows["time_ns"] = DECEMBER_NS
    engine.account(rows)


def contracts_row(name: str, url: str | None, path: Path | None, contracts: int) -> Row:
    """us a contract of each step, and bytes of the file at the end."""
    book = _book(contracts)
    figures: dict[str, object] = {"pool": name, "contracts": contracts}
    with Engine(_settings(), open_store(url), allow_clock_leap=True) as engine:
        figures["enter_us"] = _us(contracts, lambda: engine.load(book, START_NS))
        figures["first_slice_us"] = _us(contracts, lambda: _packets(engine, contracts))
        grants = engine.totals()["grants"]
        if grants != contracts:
            raise SystemExit(f"bench: {grants} of {contracts} lines were given a slice")
        figures["month_end_us"] = _us(contracts, lambda: _month_end(engine))
        figures["close_us"] = _us(contracts, engine.close)
    if path is not None:
        figures["file_bytes"] = round(path.stat().st_size / contracts)
    return Row("ledger", figures)


def _granted(folder: str, slices: int) -> tuple[int, float]:
    """byte of an SQLite file after so many slices a line, and us a slice."""
    path = Path(folder) / f"slices{slices}.db"
    store = open_store(f"sqlite:///{path}", StoreOptions(gateway="bench"))
    for line in range(LINES):
        if line % GROUP == 0:
            store.defer()
        store.credit(f"c:{line}", f"c{line}", "bundle", 1 << 40, 0, 1 << 62)
    store.flush()
    store.open_lines([(f"c{line}", f"l{line}", 0) for line in range(LINES)])
    begin_ns = time.perf_counter_ns()
    for at in range(slices * LINES):
        line = at % LINES
        if at % GROUP == 0:
            store.defer()
        store.grant(f"{store.run_id}:{line}:{at}", f"c{line}", f"l{line}", 1)
        if at % GROUP == GROUP - 1:
            store.flush()
    store.flush()
    took_us = (time.perf_counter_ns() - begin_ns) / 1_000 / max(1, slices * LINES)
    store.close(clean=False)
    return path.stat().st_size, took_us


def slices_row() -> Row:
    """What a slice leaves in the file, before its use is reported, and how long it takes, 64 at a time."""
    with tempfile.TemporaryDirectory() as folder:
        without, _ = _granted(folder, 0)
        more, took_us = _granted(folder, SLICES)
    each = (more - without) / (SLICES * LINES)
    return Row(
        "slices", {"slices": SLICES * LINES, "bytes": round(each, 1), "us": round(took_us, 2)}
    )


def rows(contracts: int, url: str | None) -> Iterator[Row]:
    """Every database, one after the other; PostgreSQL where a URL of an empty database is given."""
    with _pools(url) as pools:
        for name, (pool, path) in pools.items():
            remote = name == "PostgreSQL"
            yield contracts_row(
                name, pool, path, min(contracts, REMOTE_MAX) if remote else contracts
            )
    yield slices_row()
