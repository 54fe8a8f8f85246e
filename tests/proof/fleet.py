"""Real processes over one real database: killed with kill -9, stopped and woken, started again.

A `Fleet` runs several `tests.proof.worker` at once; when it is over every run is recovered, and the checker
judges the workers' logs against the database's books.
"""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

from engine import calendar
from engine.pool import open_store
from engine.pool.store import StoreOptions
from tests.proof.checker import Check
from tests.proof.facts import Fact, Figures, Finding, read_books, read_facts
from tests.proof.gateway import BOUND_BYTES
from tests.proof.worker import FAULT, FENCED, UNAVAILABLE, Job
from tests.support.postgres import Cluster

PROJECT = Path(__file__).resolve().parents[2]
S = 10**9
START_NS = calendar.month_start_ns(2026 * 12) + 20 * 24 * 3600 * S
LINES = [(f"hdd{1 + n // 4}", f"hdo{n}") for n in range(8)]
POINTS = (
    "before-grant",
    "after-grant",
    "before-flush",
    "after-flush",
    "after-mark",
    "after-commit",
    "after-settle",
    "after-credit",
    "after-open_line",
    "after-buy",
)
"""fault points of a worker (F1, F2): each is tried in turn"""
EXPECTED = {0, FENCED, UNAVAILABLE, -signal.SIGKILL}
STOPPED_S = 60


def environment() -> dict[str, str]:
    """For a process of ours: this checkout, and no measuring of coverage in what is killed anyway."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith("COV")}
    return kept | {"PYTHONPATH": str(PROJECT)}


@dataclass
class Fleet:
    """Processes by gateway name, with their logs in `folder`."""

    url: str
    folder: Path
    seed: int
    names: Sequence[str] = ("gw0", "gw1", "gw2", "gw3")
    lease_ns: int = 3600 * S
    pace: int = 1_000_000
    rest_s: float = 0.002
    answer_ms: int = 10_000
    figures: Figures = field(default_factory=Figures)
    findings: list[Finding] = field(default_factory=list)
    running: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)
    starts: int = 0

    def __post_init__(self) -> None:
        self.dice = Random(self.seed)
        self.begun_ns = time.monotonic_ns()

    def job(self, name: str) -> Job:
        """What the next process of this name is to do."""
        self.starts += 1
        return Job(
            self.url,
            name,
            self.seed * 1000 + self.starts,
            str(self.folder / f"{name}.log"),
            self.begun_ns,
            START_NS,
            self.pace,
            self.lease_ns,
            LINES,
            self.rest_s,
            answer_ms=self.answer_ms,
        )

    def start(self, name: str, point: str = "") -> subprocess.Popen[bytes]:
        """Start a worker; with `point` it will kill itself there."""
        command = [sys.executable, "-m", "tests.proof.worker", self.job(name).as_argument()]
        errors = (self.folder / f"{name}.errors").open("ab")
        with errors:
            process = subprocess.Popen(command, env=environment() | {FAULT: point}, stderr=errors)
        self.running[name] = process
        return process

    def ended(self, name: str) -> bool:
        """Whether the process is gone; an end that nobody wanted is a finding."""
        status = self.running[name].poll()
        if status is None:
            return False
        if status not in EXPECTED:
            words = (self.folder / f"{name}.errors").read_text()[-2000:]
            self.findings.append(Finding("worker", f"{name} ended with {status}: {words}"))
        return True

    def kill(self, name: str) -> None:
        """kill -9, wherever it is."""
        process = self.running[name]
        process.kill()
        process.wait()
        self.ended(name)
        self.figures.kills += 1
        self.figures.fault("F1 kill -9 at a random instant")

    def run(self, kills: int, pause_s: float, also: Callable[[int], None] | None = None) -> None:
        """Start all, and kill one after the other, `kills` times; every second dies at a named point."""
        try:
            for name in self.names:
                self.start(name)
            self.await_log()
            for number in range(kills):
                time.sleep(pause_s * (0.5 + self.dice.random()))
                if also is not None:
                    also(number)
                name = self.dice.choice(list(self.names))
                self.kill(name)
                self.start(name, self.point(number))
                self.revive()
            time.sleep(pause_s)
            self.stop()
        finally:
            for process in self.running.values():
                process.kill()
                process.wait()

    def await_log(self) -> None:
        """Until every process has begun, or could not."""
        until = time.monotonic() + STOPPED_S
        logs = [self.folder / f"{name}.log" for name in self.names]
        while time.monotonic() < until and not all(log.exists() for log in logs):
            time.sleep(0.02)

    def trouble(self, cluster: Cluster, number: int) -> None:
        """F3: kill -9 of the server, then of one of its processes; F7: it hangs for 2 s."""
        if number % 3 == 0:
            self.figures.fault("F3 kill -9 of the PostgreSQL server")
            cluster.kill()
            cluster.start()
        elif number % 3 == 1:
            self.figures.fault("F3 kill -9 of one PostgreSQL process")
            with suppress(ProcessLookupError):
                os.kill(self.dice.choice(cluster.processes()[1:]), signal.SIGKILL)
        else:
            self.figures.fault("F7 PostgreSQL hangs")
            cluster.signal(signal.SIGSTOP)
            time.sleep(2)
            cluster.signal(signal.SIGCONT)
        time.sleep(0.1)
        self.revive()

    def point(self, number: int) -> str:
        """The fault point of the next process; none for every other."""
        return (
            f"{POINTS[number // 2 % len(POINTS)]}:{1 + self.dice.randrange(4)}"
            if number % 2
            else ""
        )

    def stall(self, number: int) -> None:
        """F11: stop a process for longer than its lease; it wakes when others have its lines."""
        name = self.dice.choice(list(self.names))
        if self.running[name].poll() is None:
            self.running[name].send_signal(signal.SIGSTOP)
            time.sleep(1.5 * self.lease_ns / S)
            self.running[name].send_signal(signal.SIGCONT)
            self.figures.fault("F11 SIGSTOP past the lease")

    def revive(self) -> None:
        """Start those again that died at a fault point or were fenced."""
        for name in self.names:
            if self.ended(name):
                status = self.running[name].returncode
                if status == -signal.SIGKILL:
                    self.figures.kills += 1
                    self.figures.fault("F1, F2 kill -9 at a named point")
                elif status == FENCED:
                    self.figures.fault("F11 fenced after a take-over")
                self.start(name)

    def stop(self) -> None:
        """Half of them end in order (F20), the others are killed."""
        for number, (name, process) in enumerate(sorted(self.running.items())):
            if number % 2:
                self.kill(name)
            else:
                process.terminate()
                self.figures.fault("F20 SIGTERM under load")
        for name, process in self.running.items():
            process.wait(STOPPED_S)
            self.ended(name)

    def facts(self) -> list[Fact]:
        """All logs, with the runs that broke off named."""
        facts: list[Fact] = []
        for name in self.names:
            own = read_facts(self.folder / f"{name}.log")
            closed = {f.run for f in own if f.what == "closed"}
            opened = dict.fromkeys((f.run, f.line) for f in own if f.what == "opened")
            facts += own
            facts += [
                Fact("broken-off", name, run, line=line)
                for run, line in opened
                if run not in closed
            ]
        return facts

    def check(self) -> list[Finding]:
        """Recover every run, and judge."""
        texts = []
        for name in self.names:
            store = open_store(self.url, StoreOptions(name))
            texts += store.recovered
            store.close()
        store = open_store(self.url, StoreOptions(None))
        try:
            books = read_books(store, [line for _, line in LINES])
        finally:
            store.close()
        facts = self.facts()
        check = Check(facts, books, BOUND_BYTES)
        self.findings += check.run()
        self.figures.add(check.figures)
        texts += [f.request for f in facts if f.what == "recovered"]
        amounts = [int(n) for text in texts for n in re.findall(r": (\d+) bytes of", text)]
        largest = max([self.figures.uncertain_max_bytes, *amounts])
        self.figures.uncertain_max_bytes = largest
        if largest > BOUND_BYTES:
            self.findings.append(Finding("uncertain-bound", f"{largest} bytes: {texts}"))
        self.figures.repeated_requests += sum(f.what == "repeated" for f in facts)
        return self.findings
