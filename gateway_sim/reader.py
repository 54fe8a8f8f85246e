"""Strict reading of TOML tables: keys are asked for by name and type, nothing else may stand."""

import ipaddress
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple, TypeVar

Value = TypeVar("Value")
REQUIRED: Any = object()
"""default of a key that must be there"""


class Fault(NamedTuple):
    """What is wrong at a key: keys and indices from the top of the file, and what to say."""

    path: tuple[str | int, ...]
    what: str

    @property
    def key(self) -> str:
        """The path as people count and write it: server[2].port."""
        text = ""
        for part in self.path:
            if isinstance(part, int):
                text += f"[{part + 1}]"
            else:
                shown = part if part.isprintable() else ascii(part)
                text += f".{shown:.60}" if text else f"{shown:.60}"
        return text


class Reader:
    """One table of a file: hands out its values and notes every fault, by its path, in `faults`.

    A value at fault is replaced by the default (or the type's empty value), so that reading goes on
    and all faults come out at once; what was read must not be used when `faults` is not empty.
    """

    def __init__(
        self, table: dict[str, Any], path: tuple[str | int, ...], faults: list[Fault]
    ) -> None:
        self.table = table
        self.path = path
        self.faults = faults
        self.asked: set[str] = set()

    def fault(self, name: str | int, what: str) -> None:
        """Note a fault at a key of this table."""
        self.faults.append(Fault((*self.path, name), what))

    def take(self, name: str, kind: type[Value], default: Any = REQUIRED) -> Value:
        """The value of a key, of exactly this type (true is no integer here)."""
        self.asked.add(name)
        if name not in self.table:
            if default is REQUIRED:
                self.fault(name, "is missing")
                return _empty(kind)
            return default  # type: ignore[no-any-return]
        value = self.table[name]
        if type(value) is not kind:
            self.fault(name, f"must be {_words(kind)}, not {shown(value)}")
            return _empty(kind) if default is REQUIRED else default
        return value

    def number(self, name: str, low: int, high: int, default: Any = REQUIRED) -> int:
        """An integer from `low` to `high`, both included."""
        value = self.take(name, int, default)
        if name in self.table and type(self.table[name]) is int and not low <= value <= high:
            self.fault(name, f"must be from {low} to {high}, not {shown(value)}")
            return low
        return value

    def text(self, name: str, default: Any = REQUIRED) -> str:
        """A string of 1 to 64 printable characters."""
        value = self.take(name, str, default)
        if name in self.table and (len(value) > 64 or not value or not value.isprintable()):
            self.fault(name, "must be 1 to 64 printable characters")
        return value

    def choice(self, name: str, allowed: Iterable[str], default: Any = REQUIRED) -> str:
        """One of the allowed words."""
        value = self.take(name, str, default)
        words = list(allowed)
        if isinstance(self.table.get(name), str) and value not in words:
            self.fault(name, f"must be one of {', '.join(words)}, not {shown(value)}")
            return words[0]
        return value

    def address(self, name: str, version: int, default: Any = REQUIRED) -> str:
        """An IP address of this version, without a prefix length."""
        value = self.take(name, str, default)
        if isinstance(self.table.get(name), str):
            try:
                if ipaddress.ip_address(value).version == version:
                    return value
            except ValueError:
                pass
            self.fault(name, f"must be an IPv{version} address, not {shown(value)}")
        return value

    def strings(self, name: str) -> tuple[str, ...]:
        """A list of at least one string."""
        value: list[Any] = self.take(name, list)
        if name in self.table and (not value or any(type(item) is not str for item in value)):
            self.fault(name, "must be a list of strings, with at least one")
            return ()
        return tuple(value)

    def tables(self, name: str) -> Iterator["Reader"]:
        """The tables of an array of tables, each a reader; none where the key is absent."""
        for index, table in enumerate(self.take(name, list, [])):
            path = (*self.path, name, index)
            if isinstance(table, dict):
                yield Reader(table, path, self.faults)
            else:
                self.faults.append(Fault(path, "must be a table"))

    def table_of(self, name: str) -> "Reader":
        """A table that must be there."""
        return Reader(self.take(name, dict), (*self.path, name), self.faults)

    def done(self) -> None:
        """Note every key that nobody asked for."""
        for name in self.table:
            if name not in self.asked:
                self.fault(name, f"unknown key; allowed: {', '.join(sorted(self.asked))}")


def shown(value: Any) -> str:
    """A value as a fault's text shows it: short, on one line, and never an integer of a million digits."""
    if isinstance(value, int) and value.bit_length() > 128:
        return "a number this large"
    try:
        return f"{value!a:.60}"
    except ValueError:  # a list with such an integer
        return "this"


def _empty(kind: type[Value]) -> Value:
    """A value of this type to go on with after a fault."""
    try:
        return kind()
    except TypeError:  # dates and times have no empty value
        return getattr(kind, "min")  # type: ignore[no-any-return] # noqa: B009


_WORDS = {
    "int": "an integer",
    "str": "a string",
    "bool": "true or false",
    "list": "an array",
    "dict": "a table",
    "datetime": "a date and time with an offset",
    "date": "a date",
    "time": "a time of day",
}


def _words(kind: type[Any]) -> str:
    return _WORDS[kind.__name__]
