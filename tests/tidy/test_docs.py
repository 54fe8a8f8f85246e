"""The documents say what is so: tables are made from the tree, paths exist, every rule has its row."""

import ast
import re
from pathlib import Path

import pytest

ROW = re.compile(r"^\| ([A-Z]\d+) \| ([^|]*) \| ([^|]*) \|$", re.M)
LATER = "not yet"


def naming(project: Path) -> dict[str, list[str]]:
    """Rule id -> test files that name it in a docstring, in the order of their paths."""
    found: dict[str, list[str]] = {}
    for path in sorted((project / "tests").rglob("test_*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        nodes = (
            n for n in ast.walk(tree) if isinstance(n, ast.FunctionDef | ast.ClassDef | ast.Module)
        )
        text = "\n".join(ast.get_docstring(node) or "" for node in nodes)
        for first, last in re.findall(r"\b([A-Z]\d+)(?:-([A-Z]?\d+))?\b", text):
            for rule in spread(first, last):
                files = found.setdefault(rule, [])
                name = path.relative_to(project).as_posix()
                if name not in files:
                    files.append(name)
    return found


def spread(first: str, last: str) -> list[str]:
    """The ids of a range such as D1-D8; of a single id, that one."""
    if not last:
        return [first]
    end = int(last.lstrip("ABCDEFGHIJKLMNOPQRSTUVWXYZ"))
    return [f"{first[0]}{number}" for number in range(int(first[1:]), end + 1)]


def filled(text: str, found: dict[str, list[str]]) -> str:
    """The table of rules with its column of tests made anew."""

    def row(match: re.Match[str]) -> str:
        rule, where, _ = match.groups()
        tests = [] if LATER in where else found.get(rule, [])
        return f"| {rule} | {where} | {', '.join(tests) or '-'} |"

    return ROW.sub(row, text)


def test_the_table_of_rules_names_the_tests_that_name_the_rules(project: Path, regen: bool) -> None:
    """docs/rules.md is made from the docstrings; `--regen` writes it."""
    path = project / "docs" / "rules.md"
    text = path.read_text(encoding="utf-8")
    wanted = filled(text, naming(project))
    if regen:
        path.write_text(wanted, encoding="utf-8")
    assert path.read_text(encoding="utf-8") == wanted, "run: pytest tests/tidy/test_docs.py --regen"
    for rule, where, tests in ROW.findall(wanted):
        assert (LATER in where) == (tests.strip() == "-"), (
            f"{rule} is implemented, but no test names it"
        )


def test_every_rule_has_its_row(project: Path, shared: Path) -> None:
    """No rule of the service is left out of docs/rules.md, and none is made up."""
    rules = re.findall(
        r"^\| ([A-Z]\d+) \|", (shared / "RULES.md").read_text(encoding="utf-8"), re.M
    )
    text = (project / "docs" / "rules.md").read_text(encoding="utf-8")
    assert [row[0] for row in ROW.findall(text)] == rules


@pytest.mark.parametrize(
    "name",
    [
        "README.md",
        "ARCHITECTURE.md",
        "docs/rules.md",
        "docs/captures.md",
        "docs/commands.md",
        "docs/contract-book.md",
        "docs/coupon-database.md",
        "docs/reliability.md",
    ],
)
def test_paths_in_the_documents_exist(project: Path, name: str) -> None:
    """A document that names a file names one that is there."""
    text = (project / name).read_text(encoding="utf-8")
    paths = re.findall(
        r"(?<![\w./])((?:engine|gateway_sim|tests|bench|configs|docs)/[\w./-]+)", text
    )
    assert [p for p in paths if not (project / p.rstrip("./")).exists() and "_*" not in p] == []


def test_a_planted_gap_is_found() -> None:
    """A rule without a test, and a test that is not listed, change the table."""
    table = "| D1 | engine/pool | - |\n"
    assert filled(table, {"D1": ["tests/unit/test_x.py"]}) != table
    assert spread("D1", "D3") == ["D1", "D2", "D3"]
    assert spread("D1", "3") == ["D1", "D2", "D3"]
