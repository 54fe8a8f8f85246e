"""On which line of a TOML text each key stands.

Only for a text that `tomllib` has accepted, and only when there is a fault to report: tomllib keeps
no places, so the text is parsed once more by tree-sitter's TOML grammar.
"""

import tomllib

import tree_sitter
import tree_sitter_toml

KeyPath = tuple[str | int, ...]
"""keys and indices of lists, from the top of a document"""


def line_of(lines: dict[KeyPath, int], path: KeyPath) -> int:
    """The line of a key; of the nearest table around it that is there, where it is missing."""
    for size in range(len(path), 0, -1):
        if path[:size] in lines:
            return lines[path[:size]]
    return 1


def find_lines(text: str) -> dict[KeyPath, int]:
    """The line, from 1, of every key and table of a TOML text."""
    parser = tree_sitter.Parser(tree_sitter.Language(tree_sitter_toml.language()))
    lines: dict[KeyPath, int] = {}
    lengths: dict[KeyPath, int] = {}
    for node in parser.parse(text.encode()).root_node.named_children:
        if node.type == "pair":
            _pair(lines, (), node)
        elif node.type != "comment":
            _table(lines, lengths, node)
    return lines


def _table(lines: dict[KeyPath, int], lengths: dict[KeyPath, int], node: tree_sitter.Node) -> None:
    """A header and the pairs under it; a name on the way means the last of a list of tables."""
    header, *pairs = (child for child in node.named_children if child.type != "comment")
    *around, last = _keys(header)
    path: KeyPath = ()
    for key in around:
        path = (*path, key)
        if path in lengths:
            path = (*path, lengths[path] - 1)
    path = (*path, last)
    lines.setdefault(path, header.start_point[0] + 1)
    if node.type == "table_array_element":
        lengths[path] = lengths.get(path, 0) + 1
        path = (*path, lengths[path] - 1)
    lines[path] = header.start_point[0] + 1
    for pair in pairs:
        _pair(lines, path, pair)


def _pair(lines: dict[KeyPath, int], base: KeyPath, node: tree_sitter.Node) -> None:
    key, value = (child for child in node.named_children if child.type != "comment")
    for name in _keys(key):
        base = (*base, name)
        lines.setdefault(base, key.start_point[0] + 1)
    _value(lines, base, value)


def _value(lines: dict[KeyPath, int], path: KeyPath, node: tree_sitter.Node) -> None:
    inside = [child for child in node.named_children if child.type != "comment"]
    if node.type == "array":
        for index, child in enumerate(inside):
            lines[*path, index] = child.start_point[0] + 1
            _value(lines, (*path, index), child)
    elif node.type == "inline_table":
        for child in inside:
            _pair(lines, path, child)


def _keys(node: tree_sitter.Node) -> list[str]:
    if node.type == "dotted_key":
        return [key for child in node.named_children for key in _keys(child)]
    text = (node.text or b"").decode()
    return [text] if node.type == "bare_key" else [next(iter(tomllib.loads(f"{text} = 0")))]
