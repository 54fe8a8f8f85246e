"""Every planted bug is caught, and by the check that knows of it: on its own, without the naive model."""

import pytest

from tests.proof.places import PostgresPlace, SqlitePlace, opener
from tests.proof.planted import PLANTED, Bug, with_bug
from tests.proof.rounds import planted
from tests.proof.simulation import Simulation
from tests.proof.world import Plan
from tests.support.postgres import Cluster

SEEDS = 12


@pytest.mark.parametrize("bug", PLANTED)
def test_the_checker_names_a_bug_planted_in_sqlite(sqlite: SqlitePlace, bug: str) -> None:
    """G1-G4, I1-I5, I7, C3, C6, D1, F1, F8, F11, F20"""
    result = planted(sqlite, 1, bug, SEEDS)
    assert result.findings == []
    assert result.caught[bug] in PLANTED[bug].checks


@pytest.mark.parametrize("bug", PLANTED)
def test_the_checker_names_a_bug_planted_in_postgresql(postgres: Cluster, bug: str) -> None:
    """G1-G4, I1-I5, I7, C3, C6, D1, F1, F8, F11, F20: under READ COMMITTED, as shipped"""
    result = planted(PostgresPlace(postgres), 1, bug, SEEDS)
    assert result.findings == []
    assert result.caught[bug] in PLANTED[bug].checks


def test_a_store_without_a_bug_is_named_by_no_check(sqlite: SqlitePlace) -> None:
    """The wrapper that plants bugs is not what is caught."""
    for seed in range(1, 4):
        url = sqlite.fresh()
        plain = with_bug(Bug, opener(url), sqlite.raw(url))
        assert Simulation(plain, Plan(seed=seed, lockstep=False)).run() == []


def test_the_naive_model_alone_catches_an_expiry_off_by_one_second(sqlite: SqlitePlace) -> None:
    """C6, G9: the model in lockstep sees the first wrong answer."""
    url = sqlite.fresh()
    bug = PLANTED["expiry off by one second"].bug
    late = with_bug(bug, opener(url), sqlite.raw(url))
    found = Simulation(late, Plan(seed=1, fault=0.3)).run()
    assert {finding.check for finding in found} == {"model"}
