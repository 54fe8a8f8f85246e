"""The README shows what the program prints, and its commands are real."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

BEGIN = "<!-- demo: made by `pytest tests/e2e/test_readme.py --regen` -->\n"
END = "<!-- end -->"


def demo(project: Path) -> str:
    """What `pktoll demo` prints on a terminal of 100 columns, but for how long it took."""
    done = subprocess.run(
        [sys.executable, "-m", "engine", "demo"],
        cwd=project,
        env={**os.environ, "COLUMNS": "100", "NO_COLOR": "1"},
        capture_output=True,
        text=True,
        check=True,
    )
    lines = [line.rstrip() for line in done.stdout.splitlines()]
    kept = [line for line in lines if not re.match(r"read \d", line)]
    return "```\n$ pktoll demo\n" + re.sub(r"\n\n+", "\n\n", "\n".join(kept)).strip() + "\n```\n"


@pytest.mark.jit
def test_the_picture_in_the_readme_is_what_the_demo_prints(project: Path, regen: bool) -> None:
    """G8: the same figures on every machine; `--regen` writes the picture."""
    path = project / "README.md"
    head, rest = path.read_text(encoding="utf-8").split(BEGIN)
    _, tail = rest.split(END)
    wanted = f"{head}{BEGIN}{demo(project)}{END}{tail}"
    if regen:
        path.write_text(wanted, encoding="utf-8")
    assert path.read_text(encoding="utf-8") == wanted, (
        "run: pytest tests/e2e/test_readme.py --regen"
    )


def test_the_commands_of_the_readme_exist(project: Path) -> None:
    """Every `pktoll COMMAND` and `./dev STEP` that the README names is one."""
    from engine.cli.main import COMMANDS

    text = (project / "README.md").read_text(encoding="utf-8")
    named = set(re.findall(r"`?pktoll ([a-z]+)\b", text)) - {"is"}
    assert named <= set(COMMANDS)
    steps = set(re.findall(r"\./dev ([a-z]+)", text))
    assert steps <= set(re.findall(r"^#   \./dev ([a-z]+)", (project / "dev").read_text(), re.M))
