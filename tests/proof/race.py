"""Processes that race for the last slice and the last byte of one contract (F10)."""

import json
import subprocess
import sys
import time
from random import Random

from engine.errors import PoolUnavailable
from engine.pool import CouponStore, open_store
from engine.pool.store import StoreOptions
from tests.proof.checker import Check
from tests.proof.facts import Fact, Figures, Finding, read_books
from tests.proof.fleet import PROJECT, environment
from tests.proof.gateway import BOUND_BYTES

CONTRACT = "hdd1"
SLICE_BYTES = 10 * 1024 * 1024
COUPONS = (3 * SLICE_BYTES, 1, SLICE_BYTES + 1, SLICE_BYTES // 2)
"""bytes: slices made of several coupons, and one byte at the end"""
REPEATED = 0.34


def prepare(url: str) -> None:
    """The coupons that they race for."""
    store = open_store(url, StoreOptions(None))
    for number, size in enumerate(COUPONS):
        store.credit(f"c{number}", CONTRACT, "bundle", size, 0, 10**18 + number)
    store.close()


def race(url: str, racers: int, seed: int, figures: Figures) -> list[Finding]:
    """Let them go at the same instant; every byte must go to exactly one."""
    prepare(url)
    begin_ns = time.monotonic_ns() + (400 + 250 * racers) * 10**6
    processes = []
    for number in range(racers):
        job = json.dumps([url, f"gw{number}", begin_ns, seed * 100 + number])
        command = [sys.executable, "-m", "tests.proof.race", job]
        processes.append(
            subprocess.Popen(
                command, cwd=PROJECT, env=environment(), stdout=subprocess.PIPE, text=True
            )
        )
    facts, findings = [], []
    for process in processes:
        output, _ = process.communicate(timeout=120)
        if process.returncode:
            findings.append(Finding("race", f"a racer ended with {process.returncode}"))
            continue
        facts += [Fact(**json.loads(row)) for row in output.splitlines()]
    figures.fault("F10 race for the last byte", racers)
    figures.repeated_requests += sum(f.what == "repeated" for f in facts)
    return findings + judge(url, racers, facts, figures)


def judge(url: str, racers: int, facts: list[Fact], figures: Figures) -> list[Finding]:
    """All was handed out, once, and nobody was told "empty" too early."""
    for number, size in enumerate(COUPONS):
        facts.append(Fact("credit", contract=CONTRACT, request=f"c{number}", amount=size))
        facts.append(Fact("credit-asked", contract=CONTRACT, request=f"c{number}", amount=size))
    store = open_store(url, StoreOptions(None))
    books = read_books(store, [f"hdo{n}" for n in range(racers)])
    store.close()
    check = Check(facts, books, BOUND_BYTES)
    findings = check.run()
    figures.add(check.figures)
    granted = {f.request: f.amount for f in facts if f.what == "granted"}
    if sum(granted.values()) != sum(COUPONS):
        words = f"{sum(granted.values())} bytes handed out of {sum(COUPONS)}"
        findings.append(Finding("race", words))
    return findings


def run(store: CouponStore, name: str, dice: Random, begin_ns: int) -> None:
    """Ask until nothing is left, a third of the requests twice."""
    line = name.replace("gw", "hdo")
    run_id = store.run_id
    say = sys.stdout.write
    store.open_line(CONTRACT, line, 0)
    time.sleep(max(0, begin_ns - time.monotonic_ns()) / 1e9)
    count, left = 0, True
    while left:
        count += 1
        request = f"{name}:{run_id}:{count}"
        say(Fact("asked", name, run_id, line=line, request=request).as_line())
        for again in range(1 + (dice.random() < REPEATED)):
            answer = store.grant(request, CONTRACT, line, 1)
            left = answer.granted_bytes > 0
            size = {"slice_id": answer.slice_id, "amount": answer.granted_bytes, "at_ns": 1}
            given = {"contract": CONTRACT, "line": line, "request": request, **size}
            say(Fact("granted", name, run_id, **given).as_line())  # type: ignore[arg-type]
            if again:
                say(Fact("repeated", name, run_id, request=request).as_line())
    store.settle(line, 0, True)


def main() -> None:
    """One racer."""
    url, name, begin_ns, seed = json.loads(sys.argv[1])
    dice = Random(seed)
    while True:
        try:
            store = open_store(url, StoreOptions(name, answer_ms=20_000))
            break
        except PoolUnavailable:
            time.sleep(0.05 * dice.random())
    run(store, name, dice, begin_ns)
    store.close()


if __name__ == "__main__":
    main()
