"""What is loaded before anything is asked for: nothing that takes time."""

import subprocess
import sys

import pytest

from tests.support.command import environment

HEAVY = ("numba", "llvmlite", "numpy", "rich", "pydantic", "scapy", "zmq", "apsw", "tree_sitter")
PROGRAM = """
import sys
sys.argv = ["pktoll", *sys.argv[1:]]
try:
    {0}
finally:
    sys.stderr.write(" ".join(sorted(set({1!r}) & set(sys.modules))))
"""
MAIN = "import runpy; runpy.run_module('engine', run_name='__main__')"


def loaded(code: str, *arguments: str, **changes: str) -> str:
    """The heavy packages that a fresh interpreter holds after `code`."""
    program = PROGRAM.format(code, HEAVY)
    command = [sys.executable, "-c", program, *arguments]
    done = subprocess.run(
        command, env=environment(**changes), capture_output=True, text=True, check=True
    )
    return done.stderr


@pytest.mark.parametrize("arguments", [("--help",), ("-h",), ("--version",), ("replay", "--help")])
def test_help_loads_nothing_heavy(arguments: tuple[str, ...]) -> None:
    """`pktoll --help` answers at once"""
    assert loaded(MAIN, *arguments) == ""


def test_completion_loads_nothing_heavy() -> None:
    """nor does a TAB in the shell"""
    words = {"COMP_WORDS": "pktoll replay --f", "COMP_CWORD": "2"}
    assert loaded(MAIN, _PKTOLL_COMPLETE="bash_complete", **words) == ""


def test_the_package_loads_its_engine_when_asked() -> None:
    """`import engine` is quick; `engine.Engine` brings what it needs"""
    assert loaded("import engine") == ""
    assert "numba numpy" in loaded("import engine; engine.Engine")
