"""What every test may use: the shared captures, `--regen` for golden files, Hypothesis profiles."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, settings

if TYPE_CHECKING:
    from tests.support.postgres import Cluster

PROJECT = Path(__file__).resolve().parents[1]
JIT_OFF = os.environ.get("NUMBA_DISABLE_JIT", "0") not in ("", "0")

# Derandomized: a run that fails can be repeated, and no change is blamed for another one's luck.
# Without the JIT a kernel is some 200 times slower, so it gets fewer examples there; `soak` is for
# a long look.
_slow_is_fine = [HealthCheck.too_slow, HealthCheck.data_too_large]
settings.register_profile(
    "ci", derandomize=True, deadline=None, max_examples=100, suppress_health_check=_slow_is_fine
)
settings.register_profile("quick", settings.get_profile("ci"), max_examples=20)
settings.register_profile(
    "soak", deadline=None, max_examples=5000, suppress_health_check=_slow_is_fine
)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE") or ("quick" if JIT_OFF else "ci"))


# A shell that runs something in the background has it ignore SIGINT, and so would every process that a test
# starts, and interrupts.
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--regen", action="store_true", help="write the golden files anew, then look at the diff"
    )


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if JIT_OFF:
        skip = pytest.mark.skip(reason="needs compiled kernels, and NUMBA_DISABLE_JIT is set")
        for item in items:
            if item.get_closest_marker("jit"):
                item.add_marker(skip)


@pytest.fixture(scope="session")
def project() -> Path:
    """The project's own folder."""
    return PROJECT


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of captures with known truth, beside the project's own folder."""
    folder = PROJECT.parent / "shared"
    if not (folder / "captures" / "INDEX.tsv").is_file():
        words = f"no captures in {folder}: put the shared folder beside the project's"
        if os.environ.get("CI"):
            pytest.fail(words)
        pytest.skip(words)
    return folder


@pytest.fixture(scope="session")
def postgres() -> Iterator["Cluster"]:
    """A PostgreSQL server shared by the tests of one process; `postgres.emptied()` is a database on it."""
    from tests.support.postgres import Cluster, need_server

    need_server()
    with Cluster() as cluster:
        yield cluster


@pytest.fixture(scope="session")
def regen(request: pytest.FixtureRequest) -> bool:
    """True where golden files are to be written instead of compared with."""
    return bool(request.config.getoption("--regen"))
