"""Where in a TOML text each key and value stands.

Only for a text that `tomllib` has accepted, and only when there is a fault to report: tomllib keeps
no places, so the text is parsed once more by tree-sitter's TOML grammar.
"""

import tomllib
from typing import NamedTuple

import tree_sitter
import tree_sitter_toml

from engine.config.faults import Path, Place


class Spot(NamedTuple):
    """Where a key and its value begin; for a table both are its header's first key."""

    key: Place
    value: Place


class Positions:
    """The places in one text; `locate` finds them by path."""

    def __init__(self, text: str) -> None:
        source = text.encode()
        self._lines = source.split(b"\n")
        self._spots: dict[Path, Spot] = {}
        self._lengths: dict[Path, int] = {}
        parser = tree_sitter.Parser(tree_sitter.Language(tree_sitter_toml.language()))
        self._document(parser.parse(source).root_node)

    def locate(self, path: Path, at_key: bool) -> Place:
        """The place of the path's key or value; of the nearest table around it if it is missing."""
        for size in range(len(path), 0, -1):
            spot = self._spots.get(path[:size])
            if spot is not None:
                return spot.key if at_key and size == len(path) else spot.value
        return Place(1, 1)

    def _place(self, node: tree_sitter.Node) -> Place:
        row, column_bytes = node.start_point
        before = self._lines[row][:column_bytes]
        return Place(row + 1, len(before.decode()) + 1)

    def _document(self, root: tree_sitter.Node) -> None:
        for node in root.named_children:
            if node.type == "pair":
                self._pair((), node)
            elif node.type in ("table", "table_array_element"):
                self._table(node)

    def _table(self, node: tree_sitter.Node) -> None:
        header, *rest = (child for child in node.named_children if child.type != "comment")
        path: Path = ()
        keys = _keys(header)
        for key in keys[:-1]:
            path = self._inside((*path, key))
        path = (*path, keys[-1])
        place = self._place(header)
        self._spots.setdefault(path, Spot(place, place))
        if node.type == "table_array_element":
            self._lengths[path] = self._lengths.get(path, 0) + 1
            path = self._inside(path)
        self._spots[path] = Spot(place, place)
        for pair in rest:
            self._pair(path, pair)

    def _inside(self, path: Path) -> Path:
        """The path of the table that a header means by a name: the last one of a list of tables."""
        length = self._lengths.get(path, 0)
        return (*path, length - 1) if length else path

    def _pair(self, base: Path, node: tree_sitter.Node) -> None:
        key, value = (child for child in node.named_children if child.type != "comment")
        place = self._place(key)
        path = base
        for name in _keys(key):
            path = (*path, name)
            self._spots.setdefault(path, Spot(place, place))
        self._value(path, place, value)

    def _value(self, path: Path, key: Place, node: tree_sitter.Node) -> None:
        self._spots[path] = Spot(key, self._place(node))
        children = [child for child in node.named_children if child.type != "comment"]
        if node.type == "array":
            for index, child in enumerate(children):
                self._value((*path, index), self._place(child), child)
        elif node.type == "inline_table":
            for child in children:
                self._pair(path, child)


def _keys(node: tree_sitter.Node) -> list[str]:
    if node.type == "dotted_key":
        return [key for child in node.named_children for key in _keys(child)]
    text = (node.text or b"").decode()
    if node.type == "bare_key":
        return [text]
    return [next(iter(tomllib.loads(f"{text} = 0")))]
