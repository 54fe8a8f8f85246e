"""Faults in a file, each with its place; and what pydantic says, turned into them.

What a message says is allowed comes from the JSON Schema of the model: it is what the check allows.
"""

import datetime
import difflib
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from pydantic import TypeAdapter, ValidationError

from engine.errors import ConfigError

Path = tuple[str | int, ...]
"""keys and list indices from the top of a document to a value"""
FAULTS_SHOWN = 50
_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")


class Place(NamedTuple):
    """Line and column, from 1, in characters."""

    line: int
    column: int


Locate = Callable[[Path, bool], Place]
"""the place of a path's value, or (True) of its key; of what is around it, where it is not there"""


@dataclass(frozen=True, slots=True, order=True)
class Fault:
    """One thing that is wrong in a file: where (line and column from 1), and what is allowed."""

    file: str
    line: int
    column: int
    key: str
    what: str

    def __str__(self) -> str:
        key = f"{self.key}: " if self.key else ""
        return f"{self.file}:{self.line}:{self.column}: {key}{self.what}"


class Finding(NamedTuple):
    """A fault before its place is known; `at_key`: the key is what is wrong, not the value."""

    path: Path
    what: str
    at_key: bool = False


def dotted(path: Path) -> str:
    """The path as people write it, `plan[0].name`; whatever is odd in a key is escaped."""
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
        else:
            text += "." * bool(text) + (part if _BARE_KEY.fullmatch(part) else shown(part))
    return text


def located(
    findings: Iterable[Finding],
    name: str,
    locate: Locate,
    key_of: Callable[[Path], str] = dotted,
) -> list[Fault]:
    """The findings with their places, in the order of the file, each once."""
    faults = {
        Fault(name, *locate(found.path, found.at_key), key_of(found.path), found.what)
        for found in findings
    }
    return sorted(faults)


def refuse(faults: list[Fault]) -> None:
    """ConfigError with a line for each fault (the first 50), if there are any."""
    if not faults:
        return
    lines = [str(fault) for fault in faults[:FAULTS_SHOWN]]
    if len(faults) > FAULTS_SHOWN:
        lines.append(f"{faults[0].file}: {len(faults) - FAULTS_SHOWN} more faults")
    raise ConfigError("\n".join(lines))


def shown(value: object) -> str:
    """A value for a message: ASCII, short, told apart from a like-looking one of another type."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, dict):
        return "a table"
    if isinstance(value, list):
        return "a list"
    if isinstance(value, datetime.date | datetime.time):
        return value.isoformat()
    if isinstance(value, int) and abs(value) >= 1 << 64:
        return f"an integer of {value.bit_length()} bits"
    text = f'"{ascii(value)[1:-1]}"' if isinstance(value, str) else repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def structural(adapter: TypeAdapter[Any], raw: object) -> tuple[Any, list[Finding]]:
    """The validated object and no findings, or None and all that is wrong with `raw`."""
    try:
        return adapter.validate_python(raw), []
    except ValidationError as error:
        schema = adapter.json_schema()
        details = error.errors(include_url=False)
        return None, [_finding(schema, detail) for detail in details if not _echo(detail)]


def _echo(detail: Mapping[str, Any]) -> bool:
    """A list too short only because its wrong items, which are findings too, do not count."""
    too_short = detail["type"] == "too_short"
    return bool(too_short and len(detail["input"]) >= detail["ctx"]["min_length"])


def _finding(schema: dict[str, Any], detail: Mapping[str, Any]) -> Finding:
    path: Path = detail["loc"]
    kind = detail["type"]
    if kind == "missing":
        return Finding(path, f"is missing; allowed: {allowed(schema, path)}")
    if kind in ("extra_forbidden", "unexpected_keyword_argument"):
        return Finding(path, _unknown_key(schema, path), at_key=True)
    if kind == "value_error":
        return Finding(path, str(detail["ctx"]["error"]))
    return Finding(
        path, f"{shown(detail['input'])} is not allowed; allowed: {allowed(schema, path)}"
    )


def _unknown_key(schema: dict[str, Any], path: Path) -> str:
    keys = list(_node(schema, path[:-1])["properties"])
    close = difflib.get_close_matches(str(path[-1]), keys, 1)
    hint = f", did you mean {close[0]}?" if close else ""
    return f"unknown key{hint}; allowed: {', '.join(keys)}"


def _node(schema: dict[str, Any], path: Path) -> dict[str, Any]:
    node = _plain(schema, schema)
    for part in path:
        child = node["items"] if isinstance(part, int) else node["properties"][part]
        node = _plain(schema, child)
    return node


def _plain(schema: dict[str, Any], node: dict[str, Any]) -> dict[str, Any]:
    """The node itself behind references and `null` alternatives (TOML has no null)."""
    while "$ref" in node or "anyOf" in node:
        if "$ref" in node:
            node = schema["$defs"][node["$ref"].rpartition("/")[2]]
        else:
            node = node["anyOf"][0]
    return node


def allowed(schema: dict[str, Any], path: Path) -> str:
    """What a value at the path may be, in words."""
    return _words(schema, _node(schema, path))


def _words(schema: dict[str, Any], node: dict[str, Any]) -> str:
    if "allowed" in node:
        return str(node["allowed"])
    if "enum" in node:
        return " or ".join(f'"{value}"' for value in node["enum"])
    kind = node["type"]
    if kind == "integer":
        return f"an integer {node['minimum']} .. {node['maximum']}"
    if kind == "boolean":
        return "true or false"
    if kind == "array":
        some = ", at least one" if node.get("minItems") else ""
        some += f", at most {node['maxItems']}" if "maxItems" in node else ""
        return f"a list{some} of: {_words(schema, _plain(schema, node['items']))}"
    if kind == "object":
        return f"a table with {', '.join(node['properties'])}"
    return "a date, as 2013-11-01 without quotes" if "format" in node else _string(node)


def _string(node: dict[str, Any]) -> str:
    if "maxLength" in node:
        return f"{node['minLength']} to {node['maxLength']} printable characters in quotes"
    return "a text in quotes"
