"""docs/reliability.md says what is so: its bugs, checks and files are those of the tree."""

import ast
import re
from pathlib import Path

import pytest

from tests.proof.planted import PLANTED


@pytest.fixture(scope="module")
def text(project: Path) -> str:
    """The document."""
    return (project / "docs" / "reliability.md").read_text(encoding="utf-8")


def docstrings(path: Path) -> str:
    """All that a test file says of itself."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    kinds = ast.FunctionDef | ast.ClassDef | ast.Module
    return "\n".join(ast.get_docstring(n) or "" for n in ast.walk(tree) if isinstance(n, kinds))


def names(said: str, fault: str) -> bool:
    """Whether a docstring names the fault, alone or within a range such as F11-F15."""
    number = int(fault[1:])
    spans = re.findall(r"\bF(\d+)(?:-F?(\d+))?\b", said)
    return any(int(first) <= number <= int(last or first) for first, last in spans)


def test_every_planted_bug_is_listed_with_the_checks_that_catch_it(text: str) -> None:
    """The table is the one of the tests."""
    rows = [f"| {name} | {', '.join(sorted(p.checks))} |" for name, p in PLANTED.items()]
    assert [row for row in rows if row not in text] == []


def test_every_check_is_explained(text: str, project: Path) -> None:
    """A name that the checker or the simulation reports is in the table of checks."""
    told = set()
    for path in (project / "tests" / "proof").glob("*.py"):
        source = path.read_text(encoding="utf-8")
        told |= set(re.findall(r'self\.(?:report|wrong)\(\s*"([\w-]+)"', source))
    listed = {
        name.strip()
        for cell in re.findall(r"^\| ([\w, -]+) \| [^|]+ \| [^|]+ \|$", text, re.M)
        for name in cell.split(",")
    }
    assert told <= listed
    assert len(told) > 15


def test_every_fault_has_its_row_and_its_tests_name_it(text: str, project: Path) -> None:
    """F1-F24: a file that is listed for a fault names the fault."""
    rows = re.findall(r"^\| (F\d+) \| .* \| ([^|]*) \|$", text, re.M)
    assert [fault for fault, _ in rows] == [f"F{n}" for n in range(1, 25)]
    wrong = [
        (fault, path)
        for fault, files in rows
        for path in files.split(", ")
        if path.strip() != "-" and not names(docstrings(project / path.strip()), fault)
    ]
    assert wrong == []


def test_a_range_of_faults_is_read() -> None:
    """The reading itself: F11-F15 names F12, F1 does not."""
    assert names("F11-F15", "F12")
    assert not names("F1, F20", "F12")
