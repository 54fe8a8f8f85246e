"""The README shows what the program prints, and its commands are real."""

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

BEGIN = "<!-- {}: made by `pytest tests/e2e/test_readme.py --regen` -->\n"
END = "<!-- end -->"


def printed(project: Path, folder: Path, *arguments: str) -> str:
    """What the command prints on a terminal of 100 columns."""
    done = subprocess.run(
        [sys.executable, "-m", "engine", *arguments],
        cwd=folder,
        env={**os.environ, "COLUMNS": "100", "NO_COLOR": "1", "PYTHONPATH": str(project)},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout


def demo(project: Path, folder: Path) -> str:
    """The demo, but for how long it took."""
    lines = [line.rstrip() for line in printed(project, folder, "demo").splitlines()]
    kept = [line for line in lines if not re.match(r"read \d", line)]
    return "```\n$ pktoll demo\n" + re.sub(r"\n\n+", "\n\n", "\n".join(kept)).strip() + "\n```\n"


def explain(project: Path, folder: Path) -> str:
    """One packet of the demo's morning, explained."""
    known = ("--subscribers", "family.toml", "--events", "family.events.jsonl")
    printed(project, folder, "gen", "family", "-o", "family.pcap", *known)
    command = ("explain", "family.pcap", "--packet", "60000", *known)
    text = printed(project, folder, *command)
    return f"```\n$ pktoll {' '.join(command)}\n{text.strip()}\n```\n"


@pytest.mark.jit
@pytest.mark.parametrize("picture", [demo, explain])
def test_the_pictures_in_the_readme_are_what_the_command_prints(
    project: Path, tmp_path: Path, regen: bool, picture: Callable[[Path, Path], str]
) -> None:
    """G8: the same figures on every machine; `--regen` writes the pictures."""
    path = project / "README.md"
    begin = BEGIN.format(picture.__name__)
    head, rest = path.read_text(encoding="utf-8").split(begin)
    tail = rest[rest.index(END) :]
    wanted = f"{head}{begin}{picture(project, tmp_path)}{tail}"
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
