"""JSON lines: one object a line, with the places of its keys and values."""

import io
import json
import re
from collections.abc import Iterator
from typing import Any, NoReturn

from engine.config.faults import Fault, Path, Place, shown

_SPACE = re.compile(r"[ \t\n\r]*")
_DECODER = json.JSONDecoder()


class _Pairs(list[tuple[str, Any]]):
    """An object as it was written; a dict would hide that a key is there twice."""


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON")


class JsonLines:
    """The objects of a text, in order; blank lines are skipped. A wrong line is a fault instead."""

    def __init__(self, text: str, name: str) -> None:
        self.items: list[dict[str, Any]] = []
        self.faults: list[Fault] = []
        self._source: list[tuple[int, str]] = []
        self._name = name
        for number, line in enumerate(io.StringIO(text), 1):
            if line.strip(" \t\r\n"):
                self._take(number, line)

    def locate(self, path: Path, at_key: bool = False) -> Place:
        """See `engine.config.faults.Locate`; a path begins with the index of an object."""
        number, line = self._source[int(path[0])]
        for key, key_at, value_at in _spots(line):
            if path[1:2] == (key,):
                return Place(number, (key_at if at_key else value_at) + 1)
        return Place(number, 1)

    def _fault(self, number: int, column: int, what: str) -> None:
        self.faults.append(Fault(self._name, number, column, "", what))

    def _take(self, number: int, line: str) -> None:
        try:
            item = json.loads(line, object_pairs_hook=_Pairs, parse_constant=_no_constant)
        except json.JSONDecodeError as error:
            return self._fault(number, error.pos + 1, f"not JSON: {error.msg}")
        except (ValueError, RecursionError) as error:
            # NaN and Infinity, an integer of more digits than Python converts, or deep nesting.
            deep = isinstance(error, RecursionError)
            what = "values nested too deeply" if deep else str(error).partition(";")[0]
            return self._fault(number, 1, what)
        if not isinstance(item, _Pairs):
            return self._fault(number, 1, 'each line is an object: {"at": ..., "do": ...}')
        seen: set[str] = set()
        for key, key_at, _ in _spots(line):
            if key in seen:
                return self._fault(number, key_at + 1, f"key {shown(key)} is there twice")
            seen.add(key)
        self._source.append((number, line))
        plain = {key: dict(value) if isinstance(value, _Pairs) else value for key, value in item}
        self.items.append(plain)


def _skip(line: str, at: int) -> int:
    match = _SPACE.match(line, at)
    assert match is not None
    return match.end()


def _spots(line: str) -> Iterator[tuple[str, int, int]]:
    """Key, and offsets of key and value, of each pair of an object that is known to be right."""
    at = _skip(line, _skip(line, 0) + 1)
    while line[at] != "}":
        key_at = at
        key, at = _DECODER.raw_decode(line, at)
        value_at = _skip(line, _skip(line, at) + 1)
        yield key, key_at, value_at
        _, at = _DECODER.raw_decode(line, value_at)
        at = _skip(line, at)
        at = _skip(line, at + 1) if line[at] == "," else at
