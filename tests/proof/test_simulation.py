"""Several simulated gateways with every fault, on real stores; the same seed gives the same run."""

import pytest

from tests.proof.facts import Figures
from tests.proof.places import Place, SqlitePlace, opener
from tests.proof.rounds import plan_of, simulation
from tests.proof.simulation import Simulation
from tests.proof.world import Plan

FAULTS = {
    "F1 crash at rest",
    "F1 crash before a call",
    "F1 crash within a group",
    "F2 crash between commit and answer",
    "F2 durable, but the answer was lost",
    "F8 answer lost",
    "F8 arrived hours late",
    "F8 repeated",
    "F8 request lost",
    "F9 same request, other figures",
    "F11 stalled past the lease",
    "F11 taken over after the lease",
    "F12 clock ahead or right again",
    "F13 clock back",
    "F14 month's end",
    "F15 link clogged",
    "F20 clean stop",
    "F20 double start",
}


@pytest.mark.parametrize("seed", range(1, 7))
def test_every_fault_of_the_list_leaves_the_books_right(sqlite: SqlitePlace, seed: int) -> None:
    """D9, G1, G2, G4, G9, I1-I5, I7, I8, F1, F2, F8, F9, F11-F15, F20: the model in lockstep"""
    assert simulation(sqlite, seed, 1000).findings == []


@pytest.mark.parametrize("seed", [1, 2])
def test_the_same_faults_leave_a_shared_postgresql_right(place: Place, seed: int) -> None:
    """D9, G1, G2, G4, I1-I5, I7, I8, F1, F2, F8, F9, F11, F14, F20"""
    assert simulation(place, seed, 900).findings == []


def test_every_fault_is_really_injected(sqlite: SqlitePlace) -> None:
    """F1, F2, F8, F9, F11-F15, F20: a fault that never happens proves nothing."""
    figures = Figures()
    for seed in range(1, 9):
        figures.add(simulation(sqlite, seed, 1000).figures)
    assert figures.faults.keys() == FAULTS
    assert figures.grants_checked > 200
    assert figures.crashes > 50
    assert 0 < figures.uncertain_max_bytes <= figures.uncertain_bound_bytes


@pytest.mark.parametrize("refund", [False, True])
def test_what_is_uncertain_is_charged_or_given_back_as_set(
    sqlite: SqlitePlace, refund: bool
) -> None:
    """G4: with "refund" it is on the SIM again, with "charge" it is not."""
    world = Simulation(opener(sqlite.fresh()), Plan(seed=3, refund=refund, crash=0.03))
    assert world.run() == []
    assert (world.figures.uncertain_max_bytes > 0) is not refund


def test_the_same_seed_gives_the_same_run_to_the_byte(sqlite: SqlitePlace) -> None:
    """G8: what was found can be looked at again.

    On PostgreSQL the server's own clock and its sessions have a say, so that a busy machine can differ.
    """
    runs = []
    for _ in range(2):
        world = Simulation(opener(sqlite.fresh()), plan_of(sqlite, 7, 150))
        world.run()
        runs.append((world.facts, world.figures, world.now))
    assert runs[0] == runs[1]


def test_another_seed_gives_another_run(sqlite: SqlitePlace) -> None:
    """A seed that decided nothing would be no seed."""
    runs = []
    for seed in (7, 8):
        world = Simulation(opener(sqlite.fresh()), plan_of(sqlite, seed, 150))
        world.run()
        runs.append(world.facts)
    assert runs[0] != runs[1]
