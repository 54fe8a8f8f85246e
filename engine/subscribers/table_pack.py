"""From a subscriber file, TOML or CSV, to a binary table; a CSV file is read in pieces."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from io import TextIOWrapper
from itertools import islice
from pathlib import Path as FilePath
from typing import NamedTuple

from engine.config.document import read_text
from engine.config.faults import refuse
from engine.config.model import Settings
from engine.errors import ConfigError
from engine.subscribers import loader
from engine.subscribers.csvbook import pieces
from engine.subscribers.model import Contract
from engine.subscribers.table import SubscriberTable
from engine.subscribers.table_write import TableWriter

ROWS_AT_ONCE = 20_000
"""rows of a CSV file that are looked at together; a smaller file is looked at as a whole"""
LARGE_BYTES = 8 << 20
"""a CSV file from this size on is read by a kernel, which takes a while to compile"""

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
    large_bytes: int = LARGE_BYTES,
    progress: Progress | None = None,
) -> Packed:
    """Write `table` with what `book` says, and check it before it takes its place.

    ConfigError for every fault of the book, and for what a table cannot hold; OutputError. In a CSV file of
    more than `rows_at_once` rows the rows of a contract must stand together. A large one, of `large_bytes`,
    is read by a kernel, with the same result.
    """
    with TableWriter(table) as writer:
        writer.checked = lambda path: SubscriberTable(path, settings, name=str(book))
        taken, whole = 0, False
        if _is_large(FilePath(book), large_bytes):
            taken, whole = _taken(book, settings, writer, rows_at_once, progress)
        if not whole:
            for contract in _contracts(book, settings, rows_at_once, progress, taken):
                with _told(book):
                    writer.add(contract)
    return Packed(writer.contracts, writer.lines, FilePath(table).stat().st_size)


@contextmanager
def _told(book: str | FilePath) -> Iterator[None]:
    """What a table cannot hold is told of the book."""
    try:
        yield
    except ConfigError as error:
        raise ConfigError(f"{book}: {error}") from None


def _is_large(book: FilePath, large_bytes: int) -> bool:
    """Whether it is worth a kernel, and a file in which one can go back."""
    is_csv = book.suffix.lower() == ".csv"
    return is_csv and book.is_file() and book.stat().st_size >= large_bytes


def _taken(
    book: str | FilePath,
    settings: Settings,
    writer: TableWriter,
    rows_at_once: int,
    progress: Progress | None,
) -> tuple[int, bool]:
    """Add pieces of a CSV file until something is wrong: how many, and whether those are all."""
    from engine.subscribers import table_csv  # its kernel is compiled only then

    try:
        with _told(book):
            return table_csv.take(book, settings, writer, rows_at_once, progress)
    except OSError as error:
        raise _unreadable(book, error) from None


def _unreadable(book: str | FilePath, error: OSError) -> ConfigError:
    return ConfigError(f"{book}: cannot be read: {error.strerror}")


def _contracts(
    book: str | FilePath,
    settings: Settings,
    rows_at_once: int,
    progress: Progress | None,
    taken: int,
) -> Iterator[Contract]:
    """The contracts of a book; of a CSV file, those behind the pieces that were taken."""
    if FilePath(book).suffix.lower() != ".csv":
        yield from loader.load(book, settings).contracts
        return
    try:
        with open(book, "rb") as raw, TextIOWrapper(raw, "utf-8-sig", newline="") as file:
            for first, text in islice(pieces(file, rows_at_once), taken, None):
                found, faults = loader.examine(text, str(book), settings)
                refuse([replace(each, line=_line(each.line, first)) for each in faults])
                assert found is not None  # where nothing is wrong, there is a book
                yield from found.contracts
                if progress is not None:
                    progress(raw.tell())
    except OSError as error:
        raise _unreadable(book, error) from None
    except UnicodeDecodeError:
        read_text(book)  # which says where


def _line(line: int, first: int) -> int:
    """Where a line of a piece is in the file: the first is the header's, the second is `first`."""
    return line if line == 1 else line + first - 2
