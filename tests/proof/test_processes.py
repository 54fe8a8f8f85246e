"""Real processes over one real database, killed with kill -9, stopped, woken; a server that is killed."""

import pytest

from tests.proof.fleet import Fleet
from tests.proof.places import Place, PostgresPlace, SqlitePlace, scratch
from tests.proof.rounds import processes, racing, server, stall
from tests.support.postgres import Cluster, need_server


def test_four_processes_that_are_killed_again_and_again_lose_nothing(place: Place) -> None:
    """G1, G2, G4, D9, I1-I5, F1, F2, F6, F20: a third of the requests repeated"""
    done = processes(place, seed=5, kills=6)
    assert done.findings == []
    assert done.figures.kills >= 6
    assert done.figures.grants_checked > 0
    assert done.figures.repeated_requests > 0


def test_processes_race_for_the_last_slice_and_the_last_byte(place: Place) -> None:
    """F10, G1, D2, I3: every byte goes to exactly one"""
    done = racing(place, seed=2)
    assert done.findings == []
    assert done.figures.grants_checked >= 7


def test_a_process_that_was_stopped_past_its_lease_counts_no_more(place: Place) -> None:
    """F11, I4: SIGSTOP, others take its lines, SIGCONT"""
    done = stall(place, seed=3, kills=2)
    assert done.findings == []
    assert done.figures.faults["F11 SIGSTOP past the lease"]


def test_a_server_that_is_killed_or_hangs_loses_no_answer() -> None:
    """F3, F7, G2: kill -9 of postmaster and backends, of one process, SIGSTOP"""
    need_server()
    with Cluster() as cluster:
        done = server(PostgresPlace(cluster), seed=4)
    assert done.findings == []
    assert done.figures.faults.keys() >= {
        "F3 kill -9 of the PostgreSQL server",
        "F3 kill -9 of one PostgreSQL process",
        "F7 PostgreSQL hangs",
    }


@pytest.mark.parametrize(
    "point", ["after-grant:2", "before-flush:3", "after-flush:3", "after-mark:4"]
)
def test_a_process_that_dies_at_a_named_point_leaves_the_books_right(
    sqlite: SqlitePlace, point: str
) -> None:
    """F1, F2, I3, G4: between commit and answer, between mark and use"""
    with scratch() as folder:
        fleet = Fleet(sqlite.fresh(), folder, 11, names=("gw0",), rest_s=0.0)
        assert fleet.start("gw0", point).wait(60) == -9
        fleet.start("gw0", point).wait(60)
        assert fleet.check() == []


def test_the_checker_sees_a_grant_missing_from_the_database(sqlite: SqlitePlace) -> None:
    """G2: a log that says more than the database is a loss; a checker is shown one."""
    with scratch() as folder:
        fleet = Fleet(sqlite.fresh(), folder, 11, names=("gw0",), rest_s=0.0)
        assert fleet.start("gw0", "after-grant:60").wait(60) == -9
        log = folder / "gw0.log"
        rows = log.read_text().splitlines(keepends=True)
        number = next(n for n, row in enumerate(rows) if '"granted"' in row and "slice_id" in row)
        log.write_text("".join([*rows, rows[number].replace('"slice_id": ', '"slice_id": 9')]))
        found = {finding.check for finding in fleet.check()}
    assert found == {"answered-twice", "grant-lost"}
