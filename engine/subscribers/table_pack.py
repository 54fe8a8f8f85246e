"""From a subscriber file, TOML or CSV, to a binary table; a CSV file is read in pieces."""

import csv
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from io import TextIOWrapper
from pathlib import Path as FilePath
from typing import NamedTuple

from engine.config.document import read_text
from engine.config.faults import refuse
from engine.config.model import Settings
from engine.errors import ConfigError
from engine.subscribers import loader
from engine.subscribers.model import Contract
from engine.subscribers.table import SubscriberTable
from engine.subscribers.table_write import TableWriter

ROWS_AT_ONCE = 20_000
"""rows of a CSV file that are looked at together; a smaller file is looked at as a whole"""

Progress = Callable[[int], None]
"""told how many octets of the file have been read"""


class Packed(NamedTuple):
    """What went into a table, and the octets that it takes."""

    contracts: int
    lines: int
    size_bytes: int


def pack(
    book: str | FilePath,
    table: str | FilePath,
    settings: Settings,
    *,
    rows_at_once: int = ROWS_AT_ONCE,
    progress: Progress | None = None,
) -> Packed:
    """Write `table` with what `book` says, and check it before it takes its place.

    ConfigError for every fault of the book, and for what a table cannot hold; OutputError. In a CSV file of
    more than `rows_at_once` rows the rows of a contract must stand together.
    """
    with TableWriter(table) as writer:
        writer.checked = lambda path: SubscriberTable(path, settings, name=str(book))
        for contract in _contracts(book, settings, rows_at_once, progress):
            try:
                writer.add(contract)
            except ConfigError as error:
                raise ConfigError(f"{book}: {error}") from None
    return Packed(writer.contracts, writer.lines, FilePath(table).stat().st_size)


def _contracts(
    book: str | FilePath, settings: Settings, rows_at_once: int, progress: Progress | None
) -> Iterator[Contract]:
    if FilePath(book).suffix.lower() != ".csv":
        yield from loader.load(book, settings).contracts
        return
    try:
        with open(book, "rb") as raw, TextIOWrapper(raw, "utf-8-sig", newline="") as file:
            for first, text in _pieces(file, rows_at_once):
                found, faults = loader.examine(text, str(book), settings)
                refuse([replace(each, line=_line(each.line, first)) for each in faults])
                assert found is not None  # where nothing is wrong, there is a book
                yield from found.contracts
                if progress is not None:
                    progress(raw.tell())
    except OSError as error:
        raise ConfigError(f"{book}: cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        read_text(book)  # which says where


def _line(line: int, first: int) -> int:
    """Where a line of a piece is in the file: the first is the header's, the second is `first`."""
    return line if line == 1 else line + first - 2


def _pieces(file: Iterable[str], rows_at_once: int) -> Iterator[tuple[int, str]]:
    """Pieces of whole contracts, each under the file's header, with the number of its first line."""
    rows = iter(file)
    header = next(rows, "")
    first, lines, count = 2, [header], 0
    open_quotes = False
    code = ""
    for line in rows:
        if count >= rows_at_once and not open_quotes:
            found = _contract_of(header, line)
            if code and found != code:
                yield first, "".join(lines)
                first, lines, count, code = first + count, [header], 0, ""
            else:
                code = found
        lines.append(line)
        count += 1
        open_quotes ^= line.count('"') % 2 == 1
    yield first, "".join(lines)


def _contract_of(header: str, line: str) -> str:
    """The contract that a row of a CSV file names; empty where it names none."""
    names = [name.strip() for name in next(csv.reader([header]), [])]
    fields = next(csv.reader([line]), [])
    return dict(zip(names, fields, strict=False)).get("contract", "").strip()
