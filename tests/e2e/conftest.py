"""`pktoll pool` and `pktoll subscribers` on a coupon database of the test's own."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.command import Ended, call
from tests.support.desk import Run, Shown, commands, documents, import_family
from tests.support.ledgers import NOW_NS

Pool = Callable[..., Ended]


@pytest.fixture
def url(tmp_path: Path) -> str:
    """Where the database of the test is, or will be."""
    return f"sqlite:///{tmp_path / 'coupons.db'}"


@pytest.fixture
def run(url: str, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    """A command on that database."""
    return commands(url, capfd, monkeypatch)


@pytest.fixture
def shown(run: Run) -> Shown:
    """The JSON document of a command."""
    return documents(run)


@pytest.fixture
def family(run: Run, project: Path) -> None:
    """The family of three SIMs and a Minimum Start contract, imported."""
    import_family(run, project)


@pytest.fixture
def pool(url: str, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Pool:
    """`pktoll pool …` on that database, on 5 November 2013 at 9:00, on a wide terminal."""
    monkeypatch.setenv("COLUMNS", "140")

    def command(name: str, *arguments: str) -> Ended:
        timeless = name == "audit" or "--at" in arguments
        times = () if timeless else ("--at", str(NOW_NS))
        return call(capfd, "pool", name, *arguments, "--pool", url, *times)

    return command
