"""The page about GTP-C says what the tables in the code say."""

from pathlib import Path

from engine.signalling import gtpv1_read, gtpv2_read
from engine.signalling.causes import _BY_REASON, NUMBERS, number


def rows(page: Path) -> dict[str, list[str]]:
    """The tables' rows by their first cell."""
    lines = page.read_text(encoding="utf-8").splitlines()
    cells = [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines if line[:1] == "|"]
    return {row[0]: row[1:] for row in cells}


def test_the_tables_of_messages_and_causes_are_those_of_the_code(project: Path) -> None:
    found = rows(project / "docs" / "signalling.md")
    types1 = {kind: number for number, kind in gtpv1_read.KINDS.items()}
    for value, kind in gtpv2_read.KINDS.items():
        assert found[kind] == [str(value), str(types1.get(kind, "-"))]
    for cause, values in NUMBERS.items():
        assert found[cause] == [str(value) for value in values]


def test_the_table_of_refusals_is_that_of_the_code(project: Path) -> None:
    """B41-B50"""
    found = {
        reason.strip(): cells
        for first, cells in rows(project / "docs" / "signalling.md").items()
        for reason in first.split(",")
    }
    for reason, cause in _BY_REASON.items():
        told = {int(word) for word in found[reason][1].split(",")}
        assert told <= {number(2, cause), number(1, cause)}
    for reason in ("short", "proto", "piggyback", "noseq"):
        assert found[reason][1] == "-"
