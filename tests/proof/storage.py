"""Faults of the disk under a coupon database in a file (F4-F6), judged by the checker."""

from dataclasses import dataclass, field
from pathlib import Path
from random import Random

import apsw

from engine.errors import PktollError, PoolUnavailable
from engine.pool import CouponStore, Grant, open_store
from engine.pool.store import StoreOptions
from tests.proof.checker import Check
from tests.proof.disk import Disk, failing_disk
from tests.proof.facts import Fact, Figures, Finding, read_books
from tests.proof.gateway import BOUND_BYTES, Call, Gateway, Rest
from tests.proof.world import LINES, START_NS

NAME = "gw0"
WRITES_MAX = 60
"""more than a grant has"""
FAULTS = {
    "F5 disk full": (apsw.FullError("planted: no room"), False),
    "F5 error on write": (apsw.IOError("planted: write"), False),
    "F5 error on sync": (apsw.IOError("planted: sync"), True),
}


class Drive:
    """One gateway on a store, without a network or faults of its own."""

    def __init__(self, store: CouponStore, seed: int) -> None:
        self.store = store
        self.facts: list[Fact] = []
        self.now = START_NS
        self.gateway = Gateway(
            NAME, store.run_id, Random(seed), LINES, self.facts.append, lambda: self.now
        )
        self.life = self.gateway.life()

    def steps(self, count: int) -> None:
        """So many things that a gateway does."""
        answer, error = None, None
        while count:
            step = self.life.throw(error) if error else self.life.send(answer)
            answer = error = None
            if isinstance(step, Rest):
                self.now += step.ns
                count -= 1
                continue
            try:
                answer = self.do(step)
            except PktollError as refused:
                error = refused

    def do(self, call: Call) -> object:
        """One call."""
        answer: object = getattr(self.store, call.method)(*call.arguments)
        return answer


def judge(path: Path, facts: list[Fact], figures: Figures) -> list[Finding]:
    """Recover what is at `path` and hold it against what the gateway saw."""
    store = open_store(f"sqlite:///{path}", StoreOptions(NAME))
    try:
        books = read_books(store, [line for _, line in LINES])
    finally:
        store.close()
    opened = dict.fromkeys((f.run, f.line) for f in facts if f.what == "opened")
    broken = [Fact("broken-off", NAME, run, line=line) for run, line in opened]
    check = Check(facts + broken, books, BOUND_BYTES)
    findings = check.run()
    figures.add(check.figures)
    return findings


@dataclass
class Camera:
    """Keeps images of the disk as it would be found, some before a write, some before a sync."""

    disk: Disk
    folder: Path
    dice: Random
    facts: list[Fact]
    rate: float = 0.05
    images: list[tuple[Path, int]] = field(default_factory=list)

    def perhaps(self) -> None:
        """Power may be lost right now."""
        if self.dice.random() < self.rate:
            image = self.folder / f"image{len(self.images)}"
            image.mkdir()
            self.disk.image(image, self.dice)
            self.images.append((image, len(self.facts)))


def lose_power(folder: Path, seed: int, steps: int, figures: Figures) -> list[Finding]:
    """F4: power is lost at any instant of a commit; what was answered by then is in every image."""
    path = folder / "power" / "coupons.db"
    path.parent.mkdir(parents=True)
    with failing_disk() as disk:
        store = open_store(f"sqlite:///{path}", StoreOptions(NAME))
        drive = Drive(store, seed)
        camera = Camera(disk, folder, Random(seed), drive.facts)
        disk.on_write = disk.on_sync = camera.perhaps
        try:
            drive.steps(steps)
        finally:
            disk.heal()
            store.close(clean=False)
    figures.fault("F4 power lost", len(camera.images))
    findings = []
    for image, known in camera.images:
        findings += judge(image / path.name, drive.facts[:known], figures)
    return findings


def refuse(folder: Path, fault: str, figures: Figures) -> list[Finding]:
    """F5: the disk refuses at the first, second, third … write of a group, then works again."""
    error, at_sync = FAULTS[fault]
    path = folder / "refuse" / "coupons.db"
    path.parent.mkdir(parents=True)
    refused, findings = 0, []
    with failing_disk() as disk:
        store = open_store(f"sqlite:///{path}", StoreOptions(NAME))
        facts = begin_books(store)
        try:
            for number in range(WRITES_MAX):
                if at_sync:
                    disk.fail_syncs(error)
                else:
                    disk.fail_after(number, error)
                request = f"full{number}"
                facts.append(asked(store, request))
                before = refused
                try:
                    grant_in_group(store, request)
                except PoolUnavailable:
                    refused += 1
                    store.rollback()
                disk.heal()
                facts.append(answered(store, request, grant_in_group(store, request)))
                if refused == before or (at_sync and refused > 3):
                    break
        finally:
            store.close(clean=False)
    figures.fault(fault, refused)
    if not refused:
        findings.append(Finding("planted", f"{fault}: was never noticed"))
    return findings + judge(path, facts, figures)


def begin_books(store: CouponStore) -> list[Fact]:
    """A coupon and a line; what is known of them."""
    contract, line = LINES[0]
    size = 500 * 1024 * 1024
    store.credit("c1", contract, "bundle", size, 0, START_NS * 2)
    store.begin()
    store.open_line(contract, line, 0)
    store.mark([(line, 0, 0)])
    store.commit()
    credit = {"contract": contract, "request": "c1", "amount": size}
    run = store.run_id
    return [
        Fact("credit-asked", NAME, run, **credit),  # type: ignore[arg-type]
        Fact("credit", NAME, run, **credit),  # type: ignore[arg-type]
        Fact("opened", NAME, run, contract=contract, line=line),
    ]


def grant_in_group(store: CouponStore, request: str) -> Grant:
    """A grant that is durable when this returns."""
    contract, line = LINES[0]
    store.defer()
    answer = store.grant(request, contract, line, START_NS)
    store.flush()
    return answer


def asked(store: CouponStore, request: str) -> Fact:
    """A request is about to be made."""
    return Fact("asked", NAME, store.run_id, line=LINES[0][1], request=request)


def answered(store: CouponStore, request: str, answer: Grant) -> Fact:
    """A request was answered."""
    contract, line = LINES[0]
    return Fact(
        "granted",
        NAME,
        store.run_id,
        contract,
        line,
        request,
        answer.slice_id,
        answer.granted_bytes,
        at_ns=START_NS,
    )
