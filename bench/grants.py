"""Grants a second of a coupon database: one gateway and four, each grant durable by itself or in groups.

    pktoll bench grants [--pool postgresql://…] [--rounds N] [--format json]

Gateways are processes of their own with lines of their own; contracts are shared by none. The floor is a
4 kB write with fdatasync, again and again, on the disk of the SQLite file.
"""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from bench import rounds
from bench.rounds import Round
from engine.pool import open_store
from engine.pool.store import StoreOptions

SCHEMA = "pktoll.bench-grants/1"
GATEWAYS = (1, 4)
GROUPS = (1, 64)
"""grants that become durable together"""
LINES = 50
BUNDLE_BYTES = 1 << 50
LATE_NS = 1 << 62


def fill(url: str, gateways: int) -> None:
    """A contract and its lines for each gateway, with more coupon than will be asked for."""
    store = open_store(url, StoreOptions(gateway=None))
    store.begin()
    for number in range(gateways):
        for line in range(LINES):
            code = f"hdd{number}{line:05}"
            store.credit(f"c:{code}", code, "bundle", BUNDLE_BYTES, 0, LATE_NS)
    store.commit()
    store.close()


def work(url: str, number: int, count: int, group: int) -> None:
    """One gateway: says that it is ready, waits for its turn, grants, says how many ns that took."""
    store = open_store(url, StoreOptions(gateway=f"bench-{number}", answer_ms=60_000))
    store.open_lines([(f"hdd{number}{n:05}", f"hdo{number}{n:05}", 0) for n in range(LINES)])
    print("ready", flush=True)
    for turn, _ in enumerate(sys.stdin):
        begin_ns = time.perf_counter_ns()
        for at in range(count):
            if group > 1 and at % group == 0:
                store.defer()
            line = at % LINES
            request = f"{store.run_id}:{number}:{turn}:{at}"
            store.grant(request, f"hdd{number}{line:05}", f"hdo{number}{line:05}", 1)
            if group > 1 and at % group == group - 1:
                store.flush()
        store.flush()
        print(time.perf_counter_ns() - begin_ns, flush=True)
    store.close(clean=False)


class Gateways:
    """Worker processes that grant at the same time, a round at a time."""

    def __init__(self, url: str, gateways: int, count: int, group: int) -> None:
        self._total = gateways * count
        self._workers = [
            subprocess.Popen(
                [sys.executable, "-m", "bench.grants", url, str(number), str(count), str(group)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
            for number in range(gateways)
        ]
        for worker in self._workers:
            self._say(worker)

    @staticmethod
    def _say(worker: "subprocess.Popen[str]") -> str:
        assert worker.stdout is not None
        said = worker.stdout.readline()
        if not said:
            raise SystemExit("bench: a gateway ended; what it says is above")
        return said

    def __call__(self) -> Round:
        for worker in self._workers:
            assert worker.stdin is not None
            worker.stdin.write("\n")
            worker.stdin.flush()
        slowest_ns = max(int(self._say(worker)) for worker in self._workers)
        return Round(slowest_ns / self._total, self._total)

    def end(self) -> None:
        for worker in self._workers:
            assert worker.stdin is not None
            assert worker.stdout is not None
            worker.stdin.close()
            worker.stdout.close()
            worker.wait()


def floor(folder: Path, count: int) -> Callable[[], Round]:
    """The disk alone: a page appended and synchronised, `count` times."""

    def run() -> Round:
        handle = os.open(folder / "floor", os.O_CREAT | os.O_WRONLY | os.O_APPEND)
        begin_ns = time.perf_counter_ns()
        for _ in range(count):
            os.write(handle, bytes(4096))
            os.fdatasync(handle)
        spent_ns = time.perf_counter_ns() - begin_ns
        os.close(handle)
        return Round(spent_ns / count, count)

    return run


def measure(urls: dict[str, str], folder: Path, count: int, kept: int) -> list[rounds.Row]:
    """Every store, number of gateways and group size, in turns; and the floor."""
    runners: dict[str, rounds.Runner] = {"write + fdatasync": floor(folder, count)}
    for name, base in urls.items():
        for gateways in GATEWAYS:
            for group in GROUPS:
                url = f"{base}-{gateways}-{group}.db" if base.startswith("sqlite") else base
                if base.startswith("sqlite") or (gateways, group) == (GATEWAYS[0], GROUPS[0]):
                    fill(url, max(GATEWAYS))
                # One gateway's name can be in use once, so one set of processes at a time.
                runners[f"{name} {gateways} x {group}"] = _fresh(url, gateways, count, group)
    found = rounds.take_turns("grants", count, runners, kept)
    return found


def _fresh(url: str, gateways: int, count: int, group: int) -> Callable[[], Round]:
    def run() -> Round:
        workers = Gateways(url, gateways, count, group)
        try:
            return workers()
        finally:
            workers.end()

    return run


def print_table(found: list[rounds.Row]) -> None:
    """Grants a second, more is better."""
    print(f"{'grants a second':34} {'median':>9} {'min':>9} {'max':>9}")
    for row in found:
        rates = [1e9 / ns for ns in row.ns()]
        line = rounds.summary(rates)
        print(f"{row.name:34} {line['median']:9.0f} {line['min']:9.0f} {line['max']:9.0f}")


def gather(pool: str | None, kept: int, quick: bool) -> list[rounds.Row]:
    """SQLite in a new file, and a PostgreSQL database where one is named."""
    with tempfile.TemporaryDirectory(dir=rounds.BUILD) as name:
        folder = Path(name)
        urls = {"SQLite": f"sqlite:///{folder}/coupons"}
        if pool is not None:
            urls["PostgreSQL"] = pool
        return measure(urls, folder, 64 if quick else 640, kept)


def as_json(found: list[rounds.Row]) -> dict[str, object]:
    """One document."""
    rows = [
        {"name": r.name, "grants_per_s": rounds.summary([1e9 / ns for ns in r.ns()])} for r in found
    ]
    return {"schema": SCHEMA, "rows": rows}


if __name__ == "__main__":
    work(sys.argv[1], *map(int, sys.argv[2:]))
