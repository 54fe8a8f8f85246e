"""Event files: what happens to contracts and lines when; JSON lines, or TOML with `[[event]]`."""

from collections.abc import Container
from pathlib import Path as FilePath
from typing import TYPE_CHECKING, Any, NamedTuple

from pydantic import TypeAdapter

from engine.config.document import TomlPlaces, parse_toml, read_text
from engine.config.faults import (
    Fault,
    Finding,
    Locate,
    Path,
    located,
    refuse,
    shown,
    structural,
)
from engine.config.loader import load_exempt
from engine.config.model import Exempt
from engine.errors import ConfigError
from engine.subscribers import moment
from engine.subscribers.jsonlines import JsonLines
from engine.subscribers.model import SAID, Book, Event, ExemptFile, ReloadExempt

if TYPE_CHECKING:
    from engine.subscribers.table import SubscriberTable

ADAPTERS: dict[str, TypeAdapter[Any]] = {do: TypeAdapter(kind) for do, kind in SAID.items()}
JSON_SUFFIXES = (".jsonl", ".ndjson", ".json")
SUFFIXES = (*JSON_SUFFIXES, ".toml")


class _Known(NamedTuple):
    """Codes that events may name."""

    contracts: Container[str]
    lines: Container[str]


class _Lists:
    """Exempt lists, each read once however many events name it."""

    def __init__(self, folder: FilePath) -> None:
        self._folder = folder
        self._read: dict[str, Exempt | str] = {}

    def event(self, said: ExemptFile, path: Path) -> tuple[Event | None, list[Finding]]:
        """The event with its list; or a finding with the first fault of that, which has its place."""
        found = self._read.get(said.file)
        if found is None:
            found = self._read[said.file] = self._load(said.file)
        if isinstance(found, str):
            return None, [Finding((*path, "file"), found)]
        return ReloadExempt(said.at_ns, said.file, found), []

    def _load(self, name: str) -> Exempt | str:
        try:
            return load_exempt(self._folder / name)
        except ConfigError as error:
            first, *more = str(error).splitlines()
            return f"{first} (and {len(more)} more)" if more else first


class _Document(NamedTuple):
    items: list[tuple[Path, Any]]
    faults: list[Fault]
    locate: Locate


def _known(book: "Book | SubscriberTable | None") -> _Known | None:
    if book is None:
        return None
    if not isinstance(book, Book):
        return _Known(*book.codes)
    lines = frozenset(line.code for contract in book.contracts for line in contract.lines)
    return _Known(frozenset(contract.code for contract in book.contracts), lines)


def _time(raw: dict[str, Any], path: Path) -> tuple[int, list[Finding]]:
    """The event's `at` in ns; 0 and a finding where it is wrong."""
    at = raw["at"]
    if "at_ns" in raw:
        return 0, [Finding((*path, "at"), "stands beside at_ns; leave one out", at_key=True)]
    if not isinstance(at, str):
        # A TOML time would lose its nanoseconds when it is read.
        what = f"{shown(at)} is no time in quotes; allowed: {moment.ALLOWED}"
        return 0, [Finding((*path, "at"), what)]
    try:
        return moment.parse(at), []
    except ValueError as error:
        return 0, [Finding((*path, "at"), str(error))]


def _event(raw: Any, path: Path, lists: _Lists) -> tuple[Event | None, list[Finding]]:
    if not isinstance(raw, dict):
        return None, [Finding(path, f"{shown(raw)} is no event; allowed: a table with at and do")]
    do = raw.get("do")
    if not isinstance(do, str) or do not in SAID:
        said = shown(do) if "do" in raw else "nothing"
        what = f"{said} is not among the things to do; allowed: {', '.join(SAID)}"
        return None, [Finding((*path, "do"), what)]
    fields = dict(raw)
    wrong: list[Finding] = []
    if "at" in raw:
        fields["at_ns"], wrong = _time(raw, path)
        del fields["at"]
    event, structure = structural(ADAPTERS[do], fields)
    for found in structure:
        what = found.what.replace("allowed: at_ns,", "allowed: at, at_ns,")
        if found.path == ("at_ns",) and "at_ns" not in raw:
            what = f"is missing, and so is at; allowed: at, {moment.ALLOWED}"
        wrong.append(Finding((*path, *found.path), what, found.at_key))
    if isinstance(event, ExemptFile) and not wrong:
        return lists.event(event, path)
    return event, wrong


def _stranger(event: Event, path: Path, known: _Known) -> list[Finding]:
    if event.do == "exempt":
        return []
    if event.do == "charge":
        key, code, codes = "contract", event.contract, known.contracts
    else:
        key, code, codes = "line", event.line, known.lines
    if code in codes:
        return []
    return [Finding((*path, key), f"no {key} of the subscriber file is called {shown(code)}")]


def _toml(text: str, name: str) -> _Document:
    raw, faults = parse_toml(text, name)
    locate = TomlPlaces(text).locate
    items = raw.get("event", [])
    wrong = [
        Finding((key,), "unknown key; allowed: event", at_key=True) for key in raw if key != "event"
    ]
    if not isinstance(items, list):
        wrong.append(Finding(("event",), "is no list; write [[event]]"))
        items = []
    faults += located(wrong, name, locate)
    return _Document([(("event", index), item) for index, item in enumerate(items)], faults, locate)


def _json(text: str, name: str) -> _Document:
    lines = JsonLines(text, name)
    items: list[tuple[Path, Any]] = [((index,), item) for index, item in enumerate(lines.items)]
    return _Document(items, lines.faults, lines.locate)


def _examine(
    text: str, name: str, book: "Book | SubscriberTable | None"
) -> tuple[list[Event], list[Fault]]:
    suffix = FilePath(name).suffix.lower()
    if suffix not in SUFFIXES:
        raise ConfigError(f"{name}: an event file ends in {' or '.join(SUFFIXES)}; rename it")
    document = (_toml if suffix == ".toml" else _json)(text, name)
    known = _known(book)
    lists = _Lists(FilePath(name).parent)
    events: list[Event] = []
    wrong: list[Finding] = []
    for path, raw in document.items:
        event, found = _event(raw, path, lists)
        wrong += found
        if event is None or found:
            continue
        events.append(event)
        wrong += _stranger(event, path, known) if known else []
    return events, sorted([*document.faults, *located(wrong, name, document.locate)])


def check(text: str, name: str, book: "Book | SubscriberTable | None" = None) -> list[Fault]:
    """All that is wrong with an event file, in the order of the text.

    With a book, lines and contracts must be in it. Exempt lists are read, from the folder of the file
    that `name` names, and what is wrong in one is a fault of the events that name it. ConfigError
    where `name` ends in none of `SUFFIXES`.
    """
    return _examine(text, name, book)[1]


def load(path: str | FilePath, book: "Book | SubscriberTable | None" = None) -> list[Event]:
    """The events in the order of their time; those of one time stay in the order of the file.

    ConfigError with one line for each fault: file, line, column, key, what is allowed.
    """
    events, faults = _examine(read_text(path), str(path), book)
    refuse(faults)
    return sorted(events, key=lambda event: event.at_ns)
