"""The doctor names what is there, what is missing, and what to do; each finding can be made to happen."""

import json
import os
from pathlib import Path

import pytest
from click.testing import CliRunner

from engine import jit
from engine.cli import doctor
from engine.errors import PoolError


def names(checks: list[doctor.Check]) -> list[str]:
    return [check.name for check in checks]


def test_everything_needed_is_fine_here() -> None:
    checks = doctor.examine(warm=False)
    assert [check for check in checks if check.state == doctor.BROKEN] == []
    assert {"Python", "numba", "CPUs", "SQLite", "kernel cache", "huge pages"} <= set(names(checks))


def test_every_finding_says_what_to_do() -> None:
    assert all(c.advice for c in doctor.examine(warm=False) if c.state != doctor.FINE)


def test_an_old_python_is_broken() -> None:
    assert doctor.python((3, 10, 9)).state == doctor.BROKEN
    assert doctor.python((3, 11, 0)) == ("Python", "CPython 3.11.0", doctor.FINE, "")


def test_a_missing_package_is_broken() -> None:
    check = doctor.package("no-such-package-of-ours")
    assert (check.state, check.advice) == (doctor.BROKEN, "pip install no-such-package-of-ours")


def test_cores_without_affinity(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    count = os.cpu_count()
    assert doctor.cores().value.startswith(f"{count} usable of {count} ")


def test_the_cache_is_empty_then_filled(tmp_path: Path) -> None:
    empty = doctor.cache(tmp_path, disabled=False)
    assert (empty.state, empty.advice) == (doctor.NOTE, "pktoll doctor --warm fills it")
    (tmp_path / "f.nbi").touch()
    assert doctor.cache(tmp_path, disabled=False).state == doctor.FINE


def test_no_cache_folder_is_no_failure() -> None:
    """F23"""
    assert doctor.cache(None, disabled=False).state == doctor.NOTE
    assert doctor.cache(None, disabled=True).value == "the JIT is off"


def test_warm_compiles_every_kernel() -> None:
    checks = doctor.kernels(warm=True)
    assert names(checks) == ["kernel cache", "kernels"]
    assert all(signatures == 1 for _, signatures, _ in jit.kernels())


def test_a_database_that_is_not_durable_is_broken() -> None:
    """G2"""
    assert doctor.database().state == doctor.FINE
    memory = doctor.database("sqlite://")
    assert (memory.state, memory.advice.split(";")[0]) == (
        doctor.BROKEN,
        "not durable: journal_mode",
    )


def test_a_zone_with_summer_time_is_broken() -> None:
    """U2"""
    assert doctor.time_zone().state == doctor.FINE
    assert doctor.time_zone("Europe/Paris").state == doctor.BROKEN


@pytest.mark.parametrize(
    ("text", "value", "state"),
    [
        ("always [madvise] never\n", "madvise", doctor.FINE),
        ("[always] madvise never\n", "always", doctor.FINE),
        ("always madvise [never]\n", "never", doctor.NOTE),
    ],
)
def test_huge_pages(tmp_path: Path, text: str, value: str, state: str) -> None:
    path = tmp_path / "enabled"
    path.write_text(text)
    assert doctor.huge_pages(path)[1:3] == (value, state)


def test_huge_pages_of_another_system(tmp_path: Path) -> None:
    assert doctor.huge_pages(tmp_path / "absent").state == doctor.NOTE


def test_tools_that_are_there_and_not() -> None:
    assert doctor.tool("sh", "x").state == doctor.FINE
    assert doctor.tool("no-such-tool-of-ours", "x").state == doctor.NOTE
    assert doctor.library("c", "x").state == doctor.FINE
    assert doctor.library("no-such-library-of-ours", "x").state == doctor.NOTE


def test_a_look_that_fails_is_a_finding() -> None:
    def look() -> doctor.Check:
        raise PoolError("disk\nfull")

    assert doctor.attempt("SQLite", look, "make room") == [
        doctor.Check("SQLite", "disk full", doctor.BROKEN, "make room")
    ]


def test_the_command_prints_a_table() -> None:
    result = CliRunner().invoke(doctor.command, env={"NO_COLOR": "1", "COLUMNS": "200"})
    assert result.exit_code == 0
    assert "SQLite" in result.stdout
    assert "\x1b[" not in result.stdout


def test_the_command_prints_json() -> None:
    result = CliRunner().invoke(doctor.command, ["--format", "json"])
    document = json.loads(result.stdout)
    assert document["schema"] == doctor.SCHEMA
    assert {"name", "value", "state", "advice"} == set(document["checks"][0])


def test_the_command_fails_when_something_is_broken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "PACKAGES", ("no-such-package-of-ours",))
    result = doctor.command.main(["--format", "json"], standalone_mode=False)
    assert result == 1
