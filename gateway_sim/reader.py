"""Strict reading of TOML tables: keys are asked for by name and type, nothing else may stand."""

import ipaddress
from collections.abc import Iterable, Iterator
from typing import Any, TypeVar

Value = TypeVar("Value")
REQUIRED: Any = object()
"""default of a key that must be there"""


class Reader:
    """One table of a file: hands out its values and notes every fault, by dotted key, in `faults`.

    A value at fault is replaced by the default (or the type's empty value), so that reading goes on
    and all faults come out at once; what was read must not be used when `faults` is not empty.
    """

    def __init__(self, table: dict[str, Any], where: str, faults: list[str]) -> None:
        self.table = table
        self.where = where
        self.faults = faults
        self.asked: set[str] = set()

    def key(self, name: str) -> str:
        """The dotted key for a fault's text."""
        return f"{self.where}.{name}" if self.where else name

    def fault(self, name: str, what: str) -> None:
        """Note a fault at a key of this table."""
        self.faults.append(f"{self.key(name)}: {what}")

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
            self.fault(name, f"must be {_words(kind)}, not {value!r:.60}")
            return _empty(kind) if default is REQUIRED else default
        return value

    def number(self, name: str, low: int, high: int, default: Any = REQUIRED) -> int:
        """An integer from `low` to `high`, both included."""
        value = self.take(name, int, default)
        if name in self.table and type(self.table[name]) is int and not low <= value <= high:
            self.fault(name, f"must be from {low} to {high}, not {value}")
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
            self.fault(name, f"must be one of {', '.join(words)}, not {value!r:.60}")
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
            self.fault(name, f"must be an IPv{version} address, not {value!r:.60}")
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
            where = f"{self.key(name)}[{index + 1}]"
            if isinstance(table, dict):
                yield Reader(table, where, self.faults)
            else:
                self.faults.append(f"{where}: must be a table")

    def table_of(self, name: str) -> "Reader":
        """A table that must be there."""
        return Reader(self.take(name, dict), self.key(name), self.faults)

    def done(self) -> None:
        """Note every key that nobody asked for."""
        for name in self.table:
            if name not in self.asked:
                self.fault(str(name), f"unknown key; allowed: {', '.join(sorted(self.asked))}")


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
