"""The layers of the program hold, and each contract catches a planted import."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

LINT = "from importlinter.cli import lint_imports_command; lint_imports_command()"

# contract -> (file, line) that breaks it and no other
PLANTED = [
    ("layers", "engine/config/planted.py", "import engine.pool"),
    ("layers", "engine/pool/planted.py", "def f():\n    import engine.wire"),
    ("layers", "engine/wire/planted.py", "from engine import subscribers"),
    ("layers", "engine/shaper/planted.py", "from engine import accounting"),
    ("layers", "engine/units/__init__.py", "import engine.layout"),
    ("layers", "engine/datapath/planted.py", "from engine import Engine"),
    ("layers", "engine/nowhere.py", "'''a room that no layer names'''"),
    ("numba", "engine/datapath/planted.py", "import numba"),
    ("numba", "gateway_sim/planted.py", "from numba import njit"),
    ("scapy", "engine/wire/planted.py", "from scapy.layers.inet import IP"),
    ("scapy", "gateway_sim/planted.py", "import scapy.all"),
    ("sql", "engine/runtime/planted.py", "import sqlite3"),
    ("sql", "engine/pool/planted.py", "import apsw"),
    ("sql", "engine/pool/planted.py", "import psycopg"),
    ("zmq", "engine/cli/planted.py", "import zmq"),
    ("command-line", "engine/replay/planted.py", "import click"),
    ("sim", "gateway_sim/planted.py", "import engine.pool"),
    ("sim", "gateway_sim/planted.py", "import engine.config"),
    ("engine", "engine/cli/planted.py", "import gateway_sim"),
    ("bench", "engine/replay/planted.py", "import bench"),
]


def lint(folder: Path, contract: str | None = None) -> subprocess.CompletedProcess[str]:
    """Run import-linter on the packages in `folder`, not on those that are installed."""
    command = [sys.executable, "-c", LINT, "--no-cache", "--config", "pyproject.toml"]
    if contract:
        command += ["--contract", contract]
    environment = os.environ | {"PYTHONPATH": str(folder), "NO_COLOR": "1", "COLUMNS": "100"}
    return subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=120
    )


@pytest.fixture(scope="module")
def tree(project: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the packages, to plant things in."""
    copy = tmp_path_factory.mktemp("tree")
    for package in ("engine", "gateway_sim"):
        shutil.copytree(project / package, copy / package)
    shutil.copy(project / "pyproject.toml", copy)
    return copy


@pytest.fixture
def plant(tree: Path, request: pytest.FixtureRequest) -> Iterator[str]:
    contract, path, line = request.param
    target = tree / path
    moved = tree / "moved.py"
    module = target.parent.with_suffix(".py")
    if target.name == "__init__.py":  # a module becomes a package with one more import
        module.rename(moved)
        target.parent.mkdir()
        target.write_text(moved.read_text() + "\n" + line + "\n")
    else:
        target.write_text(line + "\n")
    yield contract
    target.unlink()
    if moved.exists():
        shutil.rmtree(target.parent)
        moved.rename(module)


def test_the_contracts_hold(project: Path) -> None:
    result = lint(project)
    assert result.returncode == 0, result.stdout + result.stderr
    assert "0 broken" in result.stdout


@pytest.mark.parametrize("plant", PLANTED, ids=lambda p: f"{p[0]}:{p[1]}", indirect=True)
def test_a_planted_import_breaks_its_contract(tree: Path, plant: str) -> None:
    result = lint(tree, plant)
    assert result.returncode == 1, result.stdout + result.stderr
    assert "1 broken" in result.stdout or "exhaustive" in result.stdout, result.stdout


def test_every_contract_has_a_planted_import(project: Path) -> None:
    text = (project / "pyproject.toml").read_text()
    contracts = {line.split('"')[1] for line in text.splitlines() if line.startswith("id = ")}
    assert contracts == {contract for contract, *_ in PLANTED}


QUICK = ("numba", "numpy", "pydantic", "rich", "scapy", "zmq", "apsw", "msgpack")


@pytest.mark.parametrize("module", ["engine", "engine.cli", "engine.cli.main"])
def test_importing_is_quick(project: Path, module: str) -> None:
    """Nothing heavy is loaded before it is needed: `pktoll --help` answers at once."""
    code = f"import sys, {module}; print(*sorted(set({QUICK!r}) & set(sys.modules)))"
    result = subprocess.run(
        [sys.executable, "-c", code], cwd=project, capture_output=True, text=True, timeout=60
    )
    assert (result.returncode, result.stdout.strip()) == (0, ""), result.stderr
