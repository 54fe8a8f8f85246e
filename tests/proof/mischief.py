"""What befalls a gateway of the simulation while it rests; faults go by their numbers in the list."""

from typing import TYPE_CHECKING

from engine import calendar
from engine.errors import PktollError, PoolError
from tests.proof.facts import Finding
from tests.proof.gateway import Call
from tests.proof.world import DAY, HOUR, S

if TYPE_CHECKING:
    from tests.proof.simulation import Simulation
    from tests.proof.world import Seat

STEPS_NS = (0, HOUR, -HOUR, DAY, -DAY, -600 * S, -56 * 365 * DAY, 12 * 365 * DAY)
"""how far a machine's clock is set off: an hour, a day, ten minutes, to 1970 and to 2038 (F12, F13)"""


def rest(world: "Simulation", seat: "Seat", ns: int) -> None:
    """Let a gateway rest for `ns`, if nothing comes between."""
    if world.dice.random() >= world.plan.fault:
        world.later(ns, world.of(seat, world.go_on))
        return
    wanted = world.plan.befalls
    weights = [
        w * (not wanted or b.__name__ in wanted) for b, w in zip(BEFALLS, WEIGHTS, strict=True)
    ]
    befall = world.dice.choices(BEFALLS, weights)[0]
    away_ns = befall(world, seat, ns)
    if seat.store is not None:
        world.later(away_ns, world.of(seat, world.go_on))


def crash(world: "Simulation", seat: "Seat", ns: int) -> int:
    """F1: kill -9 at rest."""
    world.crash(seat, "F1 crash at rest")
    return ns


def stall(world: "Simulation", seat: "Seat", ns: int) -> int:
    """F11: stopped for longer than its lease; it wakes and goes on as if nothing had been."""
    world.figures.fault("F11 stalled past the lease")
    return world.plan.lease_ns + world.dice.randrange(2 * world.plan.lease_ns)


def clog(world: "Simulation", seat: "Seat", ns: int) -> int:
    """F15: nothing gets through its link for a while, then all of it does."""
    world.figures.fault("F15 link clogged")
    seat.clogged_ns = world.now + world.dice.randrange(2 * world.plan.lease_ns)
    return ns


def step_clock(world: "Simulation", seat: "Seat", ns: int) -> int:
    """F12, F13: the machine's clock is set; it is the database's clock too, where that is a file."""
    seat.step_ns = world.dice.choice(STEPS_NS)
    world.figures.fault("F13 clock back" if seat.step_ns < 0 else "F12 clock ahead or right again")
    return ns


def start_twice(world: "Simulation", seat: "Seat", ns: int) -> int:
    """F20: a second process under the same name is refused while the first lives."""
    world.figures.fault("F20 double start")
    try:
        second = world.opener(world.options(seat))
    except PoolError:
        return ns
    second.close(clean=False)
    world.findings.append(Finding("double-start", f"{seat.name} was started twice"))
    return ns


def month_end(world: "Simulation", seat: "Seat", ns: int) -> int:
    """F14: all go on in the last nanosecond of a month, or in the first of the next."""
    world.figures.fault("F14 month's end")
    end_ns = calendar.month_start_ns(calendar.month_of(world.now) + 1) - world.dice.randrange(2)
    world.pass_time(max(0, end_ns - world.now))
    return max(0, end_ns - world.now)


def days(world: "Simulation", seat: "Seat", ns: int) -> int:
    """Everybody rests for days, longer than any lease."""
    away_ns = world.dice.randrange(20 * DAY)
    world.pass_time(away_ns)
    return away_ns


def other_figures(world: "Simulation", seat: "Seat", ns: int) -> int:
    """F9: a request that is known, now for another line: refused, whatever it was answered."""
    known = [name for name, a in world.model.answers.items() if a.run == seat.run]
    if not known:
        return ns
    request = world.dice.choice(known)
    line = world.model.answers[request].line
    world.figures.fault("F9 same request, other figures")
    other = next(pair for pair in world.lines if pair[1] != line)
    try:
        world.do(seat, Call("grant", (request, *other, world.now)))
    except PktollError:
        return ns
    world.findings.append(Finding("other-figures", f"request {request} was taken for {other}"))
    return ns


BEFALLS = (crash, stall, clog, step_clock, start_twice, month_end, other_figures, days)
WEIGHTS = (4, 3, 2, 3, 3, 5, 2, 1)
