"""The end of a simulated world: every run ended, every line served once more, all books checked."""

from contextlib import suppress
from typing import TYPE_CHECKING

from engine.errors import PktollError, PoolFenced
from engine.pool.store import StoreOptions
from tests.proof.checker import Check
from tests.proof.facts import Finding, read_books
from tests.proof.gateway import BOUND_BYTES, Call
from tests.proof.world import LINES

if TYPE_CHECKING:
    from tests.proof.simulation import Simulation
    from tests.proof.world import Seat


def finish(world: "Simulation") -> None:
    """End every run, in order or broken off; then hold all books against each other."""
    for seat in world.seats:
        if world.findings:
            return
        world.turn_to(seat)
        if seat.store is not None and world.dice.random() < 0.5:
            end_in_order(world, seat)
        world.drop(seat)
        world.start(seat)
        if seat.store is None:
            return
        world.do(seat, Call("close", (True,)))
        seat.store = seat.gateway = None
    serve_again(world, world.seats[0])
    store = world.opener(StoreOptions(gateway=None))
    try:
        books = read_books(store, [line for _, line in LINES])
        world.compare(store)
    finally:
        store.close()
    check = Check(world.facts, books, BOUND_BYTES, world.plan.refund)
    world.findings += check.run()
    world.figures.add(check.figures)


def serve_again(world: "Simulation", seat: "Seat") -> None:
    """F15: when all faults are over, every line can be opened and asks once more."""
    world.start(seat)
    if seat.gateway is None:
        return
    with suppress(PktollError):  # the twin names what must not be refused
        for contract, line in LINES:
            world.do(seat, Call("open_line", (contract, line, 0)))
            world.do(seat, Call("mark", ([(line, 0, 0)],)))
            request = seat.gateway.new_id("last")
            world.facts.append(seat.gateway.fact("asked", line, request=request))
            world.do(seat, Call("grant", (request, contract, line, world.now)))
        world.do(seat, Call("close", (True,)))
        seat.store = seat.gateway = None


def end_in_order(world: "Simulation", seat: "Seat") -> None:
    """Settle everything and close, without faults on the way (F20)."""
    assert seat.gateway is not None
    world.figures.fault("F20 clean stop")
    try:
        for step in seat.gateway.stop():
            assert isinstance(step, Call)
            world.do(seat, step)
    except PoolFenced:
        return
    except PktollError as error:
        world.differ(Finding("gateway", f"{seat.name} cannot stop: {error}"))
        return
    seat.store = seat.gateway = None
