"""docs/embedding.md and examples/: every block and every program runs, and prints what the page shows."""

import ast
import inspect
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from engine import Engine
from engine.layout import PACKET

PAGE = "docs/embedding.md"
BEGIN = "<!-- {}: made by `pytest tests/e2e/test_service_examples.py --regen` -->\n"
END = "<!-- end -->"
VERBS = (
    "attach",
    "detach",
    "admits",
    "process",
    "account",
    "switch_coupon",
    "charge",
    "suspend",
    "resume",
    "replace_sim",
    "set_exempt",
    "load",
    "schedule",
    "hear",
    "together",
    "flush",
    "snapshot",
    "line_report",
    "lines_report",
    "totals",
    "take_cut",
    "keep_events",
    "take_events",
    "close",
)
NOTES = {
    "src_lo": "its lower half; an IPv4 address is held as ::ffff:a.b.c.d",
    "dst_lo": "its lower half",
    "src_port": "inner ports, where `flags` has `PACKET_PORTS`",
    "flags": "`PACKET_*` of engine.layout",
}
PROGRAMS = ("meter", "simulator", "remote", "watch")


def packet(project: Path) -> str:
    """The columns of a packet, with the comments beside their declaration."""
    text = (project / "engine/layout.py").read_text(encoding="utf-8")
    declared = text.partition("PACKET = np.dtype(")[2].partition("]\n)")[0]
    notes = dict(re.findall(r'\("(\w+)", "\w+"\),(?: *# (.+))?', declared))
    assert tuple(notes) == PACKET.names
    notes |= {name: note for name, note in NOTES.items() if not notes[name]}
    rows = [f"| `{name}` | `{PACKET[name].str.strip('|')}` | {notes[name]} |" for name in notes]
    return "\n".join(["| column | type | |", "| --- | --- | --- |", *rows, ""])


def engine(_: Path) -> str:
    """The engine's verbs, as their signatures and docstrings have them."""
    rows = []
    for name in VERBS:
        method = getattr(Engine, name)
        given = list(inspect.signature(method).parameters.values())[1:]
        shown = ", ".join(p.name if p.default is p.empty else f"[{p.name}]" for p in given)
        first = " ".join(inspect.cleandoc(method.__doc__).partition("\n\n")[0].split())
        rows.append(f"| `{name}({shown})` | {first} |")
    return "\n".join(["| verb ([may be left out]) | |", "| --- | --- |", *rows, ""])


def run(project: Path, name: str) -> str:
    """What an example prints."""
    done = subprocess.run(
        [sys.executable, str(project / f"examples/{name}.py")],
        env={**os.environ, "PYTHONPATH": str(project)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def examples(project: Path) -> str:
    """Every example, what it is about, and what it prints."""
    blocks = []
    for name in PROGRAMS:
        source = (project / f"examples/{name}.py").read_text(encoding="utf-8")
        first = (ast.get_docstring(ast.parse(source)) or "").partition("\n")[0]
        blocks.append(f"`examples/{name}.py`: {first}\n```\n{run(project, name)}```\n")
    return "\n".join(blocks)


@pytest.mark.parametrize("part", [packet, engine, examples])
def test_the_page_is_made_from_the_code(project: Path, regen: bool, part: Any) -> None:
    """`--regen` writes it; the figures are the same everywhere (G8)."""
    path = project / PAGE
    head, rest = path.read_text(encoding="utf-8").split(BEGIN.format(part.__name__))
    wanted = head + BEGIN.format(part.__name__) + part(project) + rest[rest.index(END) :]
    if regen:
        path.write_text(wanted, encoding="utf-8")
    assert path.read_text(encoding="utf-8") == wanted, f"run: pytest {__file__} --regen"


def test_every_block_of_the_page_runs(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In their order, in one program, as a reader would paste them."""
    text = (project / PAGE).read_text(encoding="utf-8")
    (tmp_path / "configs").symlink_to(project / "configs")
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"```python\n(.*?)```", text, re.S)
    assert len(blocks) == 4
    exec(compile("\n".join(blocks), PAGE, "exec"), {"__name__": "page"})


def test_no_example_is_left_out(project: Path) -> None:
    assert {path.stem for path in (project / "examples").glob("*.py")} == set(PROGRAMS)


def test_every_public_verb_is_on_the_page(project: Path) -> None:
    """A verb that is new has to be put on the list above, or to be named here as no verb of users."""
    inside = {"open", "open_session", "bind_bearer", "release_bearer"}
    public = {
        name
        for name, member in inspect.getmembers(Engine, callable)
        if not name.startswith("_") and inspect.isroutine(member)
    }
    assert public - inside == set(VERBS)
