"""Where the databases of the proof live."""

from collections.abc import Iterator

import pytest

from tests.proof.places import Place, PostgresPlace, SqlitePlace, scratch
from tests.support.postgres import Cluster


@pytest.fixture
def sqlite() -> Iterator[SqlitePlace]:
    """SQLite files."""
    with scratch() as folder:
        yield SqlitePlace(folder)


@pytest.fixture(params=["sqlite", "postgres"])
def place(request: pytest.FixtureRequest) -> Place:
    """Each kind of store."""
    if request.param == "sqlite":
        place: Place = request.getfixturevalue("sqlite")
        return place
    cluster: Cluster = request.getfixturevalue("postgres")
    return PostgresPlace(cluster)
