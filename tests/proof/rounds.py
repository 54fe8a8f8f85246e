"""The rounds of the proof: each makes a database, does its worst to it, and returns what does not hold."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from random import Random

from tests.proof import storage
from tests.proof.facts import Figures, Finding
from tests.proof.fleet import Fleet
from tests.proof.places import Place, PostgresPlace, opener, scratch
from tests.proof.planted import PLANTED, with_bug
from tests.proof.race import race
from tests.proof.simulation import Simulation
from tests.proof.world import Plan, S

SEEDS_MAX = 20
"""seeds after which a planted bug that no check named counts as missed"""
STEPS = 5000
"""things that gateways do in one simulation"""
PARTS = ("simulation", "race", "processes", "stall", "storage", "server", "planted")


@dataclass
class Round:
    """One round: what it was, what was counted, what does not hold."""

    part: str
    store: str
    seed: int
    figures: Figures = field(default_factory=Figures)
    findings: list[Finding] = field(default_factory=list)
    planted: int = 0
    caught: dict[str, str] = field(default_factory=dict)

    @property
    def faults(self) -> int:
        """Faults that were injected."""
        return sum(self.figures.faults.values())


def plan_of(place: Place, seed: int, steps: int) -> Plan:
    """A world for a seed: how many gateways, how rough, who bears what is uncertain."""
    dice = Random(seed)
    return Plan(
        seed=seed,
        gateways=dice.choice((2, 3, 3, 5)),
        steps=steps,
        short_leases=place.kind == "postgres",
        refund=dice.random() < 0.2,
        durable_calls=place.durable_calls,
        timed_leases=place.kind == "sqlite",
        lost=dice.choice((0.02, 0.04, 0.2)),
        crash=dice.choice((0.002, 0.006, 0.03)),
        fault=dice.choice((0.02, 0.05, 0.15)),
    )


def simulation(place: Place, seed: int, steps: int = STEPS) -> Round:
    """Several gateways and all faults, simulated; the naive model in lockstep."""
    result = Round("simulation", place.kind, seed)
    steps = steps if place.kind == "sqlite" else steps // 5
    world = Simulation(opener(place.fresh()), plan_of(place, seed, steps))
    result.findings = world.run()
    result.figures = world.figures
    return result


def racing(place: Place, seed: int) -> Round:
    """Processes that race for the last slice and the last byte."""
    result = Round("race", place.kind, seed)
    result.findings = race(place.fresh(), 4, seed, result.figures)
    return result


def processes(place: Place, seed: int, kills: int = 10, pause_s: float = 0.3) -> Round:
    """Four processes, a third of the requests repeated, kill -9 again and again."""
    with scratch() as folder:
        fleet = Fleet(place.fresh(), folder, seed)
        fleet.run(kills, pause_s)
        findings = fleet.check()
    return Round("processes", place.kind, seed, fleet.figures, findings)


def stall(place: Place, seed: int, kills: int = 3) -> Round:
    """Processes that are stopped for longer than their lease, and wake when others have their lines."""
    with scratch() as folder:
        fleet = Fleet(place.fresh(), folder, seed, lease_ns=S // 2)
        fleet.run(kills, 0.3, fleet.stall)
        findings = fleet.check()
    return Round("stall", place.kind, seed, fleet.figures, findings)


def server(place: PostgresPlace, seed: int, kills: int = 3) -> Round:
    """The database server is killed under load, one of its processes is, and it hangs."""
    with scratch() as folder:
        fleet = Fleet(place.fresh(), folder, seed, answer_ms=1500)
        fleet.run(kills, 0.5, lambda number: fleet.trouble(place.cluster, number))
        findings = fleet.check()
    return Round("server", place.kind, seed, fleet.figures, findings)


def disk(seed: int, steps: int = 60) -> Round:
    """Power losses at any instant of a commit, a full disk, errors on write and on sync."""
    result = Round("storage", "sqlite", seed)
    with scratch() as folder:
        result.findings += storage.lose_power(folder / "power", seed, steps, result.figures)
        for fault in storage.FAULTS:
            result.findings += storage.refuse(folder / fault.split()[-1], fault, result.figures)
    return result


def planted(place: Place, seed: int, name: str, seeds_max: int = SEEDS_MAX) -> Round:
    """One planted bug: simulated until the check that must name it does, the naive model looking away."""
    result = Round("planted", place.kind, seed, planted=1)
    bug = PLANTED[name]
    for number in range(seeds_max):
        url = place.fresh()
        plan = Plan(
            seed=seed + number,
            steps=400,
            short_leases=place.kind == "postgres",
            durable_calls=place.durable_calls,
            timed_leases=False,
            fault=bug.fault,
            befalls=bug.befalls,
            lockstep=False,
        )
        found = Simulation(with_bug(bug.bug, opener(url), place.raw(url)), plan).run()
        named = sorted({finding.check for finding in found} & bug.checks)
        if named:
            result.caught[name] = named[0]
            return result
    result.findings.append(Finding("planted", f"{name}: no check named it on {place.kind}"))
    return result


def cycle(
    places: list[Place], seed: int, parts: tuple[str, ...], steps: int = STEPS
) -> Iterator[Callable[[], Round]]:
    """The rounds of one cycle, in order."""
    for place in places:
        for part, act in (
            ("simulation", partial(simulation, steps=steps)),
            ("race", racing),
            ("processes", processes),
            ("stall", stall),
        ):
            if part in parts:
                yield partial(act, place, seed)
        if "storage" in parts and place.kind == "sqlite":
            yield partial(disk, seed)
        if "server" in parts and isinstance(place, PostgresPlace):
            yield partial(server, place, seed)


def planted_rounds(places: list[Place], seed: int) -> Iterator[Callable[[], Round]]:
    """Every planted bug on every store."""
    for place in places:
        for name in PLANTED:
            yield partial(planted, place, seed, name)
