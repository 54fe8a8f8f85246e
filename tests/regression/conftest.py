"""Tests of speed run alone, by `./dev guard` or with --benchmark-enable: beside others they would only get
in the way, of themselves and of the others."""

from typing import Any

import pytest

from tests.support.guard import RUN, Run


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line(
        "markers", "speed: takes the time of something; run alone, by `./dev guard`"
    )


@pytest.hookimpl(tryfirst=True)  # pytest-benchmark must not see them
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if config.getoption("benchmark_enable", default=False):
        return
    alone = [item for item in items if item.get_closest_marker("speed")]
    if alone:
        config.hook.pytest_deselected(items=alone)
        items[:] = [item for item in items if item not in alone]


@pytest.hookimpl(optionalhook=True)
def pytest_benchmark_update_json(output_json: dict[str, Any]) -> None:
    """Beside what pytest-benchmark writes: what was made of it."""
    output_json["guard"] = RUN.leave()


@pytest.fixture(scope="session")
def run() -> Run:
    """This run of the guard."""
    return RUN
