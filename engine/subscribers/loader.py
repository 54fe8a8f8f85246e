"""Subscriber files: TOML, or CSV for large books."""

from pathlib import Path as FilePath
from typing import TYPE_CHECKING, Any

from pydantic import TypeAdapter

from engine.config.document import TomlPlaces, parse_toml, read_text
from engine.config.faults import Fault, located, refuse, structural
from engine.config.model import Settings
from engine.errors import ConfigError
from engine.subscribers import rules
from engine.subscribers.csvbook import CsvBook
from engine.subscribers.model import Book
from engine.subscribers.table_format import is_table

if TYPE_CHECKING:
    from engine.subscribers.table import SubscriberTable

ADAPTER: TypeAdapter[Book] = TypeAdapter(Book)
SUFFIXES = (".toml", ".csv")


def _toml(text: str, name: str, settings: Settings) -> tuple[Book | None, list[Fault]]:
    raw, faults = parse_toml(text, name)
    if faults:
        return None, faults
    places = TomlPlaces(text)
    book, wrong = structural(ADAPTER, raw)
    wrong = [*wrong, *rules.findings(raw, settings, places.locate)]
    return book, located(wrong, name, places.locate)


def _csv(text: str, name: str, settings: Settings) -> tuple[Book | None, list[Fault]]:
    document = CsvBook(text, name)
    if document.broken:
        return None, document.faults
    book, wrong = structural(ADAPTER, document.raw)
    wrong = [*wrong, *rules.findings(document.raw, settings, document.locate)]
    faults = located(wrong, name, document.locate, document.key)
    return book, sorted([*document.faults, *faults])


def examine(text: str, name: str, settings: Settings) -> tuple[Book | None, list[Fault]]:
    """The book that a text says, None where it says none, and all that is wrong with it; see `check`."""
    suffix = FilePath(name).suffix.lower()
    if suffix not in SUFFIXES:
        raise ConfigError(
            f"{name}: a subscriber file ends in {' or '.join(SUFFIXES)}; rename or convert it"
        )
    return (_csv if suffix == ".csv" else _toml)(text, name, settings)


def check(text: str, name: str, settings: Settings) -> list[Fault]:
    """All that is wrong with a subscriber file, in the order of the text.

    The ending of `name` says which format it is; ConfigError if it is neither `.toml` nor `.csv`.
    """
    return examine(text, name, settings)[1]


def load(path: str | FilePath, settings: Settings) -> Book:
    """The book in a TOML or CSV file.

    ConfigError with one line for each fault: file, line, column, key, what is allowed.
    """
    if is_table(path):
        raise ConfigError(
            f"{path}: a packed subscriber table, which only what meters packets reads; name the "
            "TOML or CSV file"
        )
    book, faults = examine(read_text(path), str(path), settings)
    refuse(faults)
    assert book is not None
    return book


def load_any(path: str | FilePath, settings: Settings) -> "Book | SubscriberTable":
    """The book in a TOML or CSV file, or a binary table, which is known by how it begins; ConfigError."""
    if not is_table(path):
        return load(path, settings)
    from engine.subscribers.table import SubscriberTable  # its kernels are compiled only then

    return SubscriberTable(path, settings)


def json_schema() -> dict[str, Any]:
    """JSON Schema (2020-12) of a subscriber file in TOML."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **ADAPTER.json_schema(),
    }
