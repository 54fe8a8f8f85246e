"""Subscriber files in CSV: one row a line, the names of the TOML format as columns.

Columns of the contract (`contract`, `plan`, `started`, `mio_id`, `coupons`, `contract_ends`, `next_plan`,
`ipv6`) are read in its first row; in its other rows they may be empty or say the same. Spaces separate
`addresses`, and `coupons`, each written `kind:bytes:expires`; "none" means a database without coupons.
`next_plan` is written `plan:month`.
"""

import csv
import datetime
import io
import re
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from engine.config.faults import Fault, Path, Place, shown

_INTEGER = re.compile(r"[+-]?[0-9]{1,40}")
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
NO_COUPONS = "none"


def _integer(text: str) -> Any:
    return int(text) if _INTEGER.fullmatch(text) else text


def _flag(text: str) -> Any:
    return {"true": True, "false": False}.get(text.lower(), text)


def _day(text: str) -> Any:
    try:
        return datetime.date.fromisoformat(text) if _DATE.fullmatch(text) else text
    except ValueError:
        return text


def _coupons(text: str) -> Any:
    if text == NO_COUPONS:
        return []
    return [_coupon(part) for part in text.split()]


def _coupon(text: str) -> Any:
    parts = text.split(":")
    if len(parts) != 3:
        return text
    return {"kind": parts[0], "bytes": _integer(parts[1]), "expires": parts[2]}


def _next_plan(text: str) -> Any:
    plan, colon, month = text.rpartition(":")
    return {"plan": plan, "since": month} if colon else text


# Column -> name in the document, and what makes its value of the text; a text that is no such value
# stays as it is, to be refused with all the others.
CONTRACT_COLUMNS: dict[str, tuple[str, Callable[[str], Any]]] = {
    "contract": ("code", str),
    "plan": ("plan", str),
    "started": ("started", _day),
    "mio_id": ("mio_id", str),
    "coupons": ("coupon", _coupons),
    "contract_ends": ("ends", str),
    "next_plan": ("next_plan", _next_plan),
    "ipv6": ("ipv6", _flag),
}
LINE_COLUMNS: dict[str, tuple[str, Callable[[str], Any]]] = {
    "line": ("code", str),
    "imsi": ("imsi", str),
    "iccid": ("iccid", str),
    "msisdn": ("msisdn", str),
    "coupon": ("coupon", _flag),
    "balance_bytes": ("balance_bytes", _integer),
    "addresses": ("addresses", str.split),
    "teid_up": ("teid_up", _integer),
    "teid_down": ("teid_down", _integer),
    "gateway": ("gateway", str),
    "in_service": ("in_service", _flag),
    "ends": ("ends", str),
}
COLUMNS = (*CONTRACT_COLUMNS, *LINE_COLUMNS)
NEEDED = ("contract", "plan", "started", "line")
_CONTRACT_COLUMN_OF: dict[str | int, str] = {
    key: column for column, (key, _) in CONTRACT_COLUMNS.items()
}
_LINE_COLUMN_OF: dict[str | int, str] = {key: column for column, (key, _) in LINE_COLUMNS.items()}


class CsvBook:
    """A CSV text as the document that the TOML format would give, and the places of its values."""

    def __init__(self, text: str, name: str) -> None:
        self.raw: dict[str, Any] = {"contract": []}
        self.faults: list[Fault] = []
        self._lines = list(io.StringIO(text, newline=""))
        self._name = name
        self.header: list[str] = []
        """the names of the columns"""
        self._row_of: dict[Path, int] = {}
        self._contracts: dict[str, int] = {}
        self._read()
        self.broken = not set(NEEDED) <= set(self.header)
        """the header is such that the rows say nothing"""

    def locate(self, path: Path, at_key: bool = False) -> Place:
        """See `engine.config.faults.Locate`; without a column of its own, the row."""
        del at_key  # a column's name is not where a person looks
        row = self._row_of.get(path[:4], self._row_of.get(path[:2], 1))
        column = self.key(path)
        index = self.header.index(column) if column in self.header else 0
        return self._field(row, index)

    def key(self, path: Path) -> str:
        """The column that a path stands for; empty for a whole row."""
        if path[2:3] == ("line",):
            return _LINE_COLUMN_OF.get(path[4], "") if len(path) > 4 else ""
        return _CONTRACT_COLUMN_OF.get(path[2], "") if len(path) > 2 else ""

    def _field(self, row: int, index: int) -> Place:
        """Where the field with this index begins, in the row that begins at line `row`."""
        quoted, opens = False, True
        for number in range(row, len(self._lines) + 1):
            for column, char in enumerate(self._lines[number - 1], 1):
                if index == 0:
                    return Place(number, column)
                if char == '"' and (quoted or opens):
                    # Right after a closing quote another one opens again: the two are a quote.
                    quoted = not quoted
                    opens = not quoted
                else:
                    index -= char == "," and not quoted
                    opens = char == ","
        return Place(row, 1)

    def _fault(self, place: Place, key: str, what: str) -> None:
        self.faults.append(Fault(self._name, *place, key, what))

    def _read(self) -> None:
        reader = csv.reader(self._lines, strict=True)
        begin = 1
        try:
            for fields in reader:
                if not self.header:
                    self._take_header(fields)
                elif fields:
                    self._take_row(begin, fields)
                begin = reader.line_num + 1
        except csv.Error as error:
            self._fault(Place(begin, 1), "", f"not CSV: {error}")
        if not self.header and not self.faults:
            self._fault(Place(1, 1), "", f"empty; the first line names the columns: {_names()}")

    def _take_header(self, fields: list[str]) -> None:
        self.header = [field.strip() for field in fields] or [""]
        for index, column in enumerate(self.header):
            place = self._field(1, index)
            if column not in COLUMNS:
                self._fault(place, "", f"unknown column {shown(column)}; allowed: {_names()}")
            elif column in self.header[:index]:
                self._fault(place, column, "column is there twice")
        for column in NEEDED:
            if column not in self.header:
                self._fault(Place(1, 1), column, "column is missing")

    def _take_row(self, row: int, fields: list[str]) -> None:
        if len(fields) != len(self.header):
            what = f"{len(fields)} fields where the first line names {len(self.header)}"
            self._fault(Place(row, 1), "", f"{what}; write , for each empty field")
            return
        texts = {key: text.strip() for key, text in zip(self.header, fields, strict=True)}
        path = self._contract(row, {key: texts.get(key, "") for key in CONTRACT_COLUMNS})
        lines = self.raw["contract"][path[1]]["line"]
        self._row_of[(*path, "line", len(lines))] = row
        lines.append(_table(texts, LINE_COLUMNS))

    def _contract(self, row: int, texts: dict[str, str]) -> tuple[str, int]:
        """The path of the row's contract, which is added if it is new, or else compared."""
        contracts = self.raw["contract"]
        index = self._contracts.setdefault(texts["contract"], len(contracts))
        path = ("contract", index)
        table = _table(texts, CONTRACT_COLUMNS)
        if index == len(contracts):
            self._row_of[path] = row
            contracts.append({**table, "line": []})
            return path
        for key, value in table.items():
            if value != contracts[index].get(key):
                column = _CONTRACT_COLUMN_OF[key]
                place = self._field(row, self.header.index(column))
                what = f"differs from the contract's first row, line {self._row_of[path]}"
                self._fault(place, column, f"{what}; leave it empty or write the same")
        return path


def _names() -> str:
    return ", ".join(COLUMNS)


def _table(
    texts: dict[str, str], columns: dict[str, tuple[str, Callable[[str], Any]]]
) -> dict[str, Any]:
    """The filled fields among these columns, by their names in the document."""
    return {
        key: make(texts[column]) for column, (key, make) in columns.items() if texts.get(column)
    }


def pieces(lines: Iterable[str], rows_at_once: int) -> Iterator[tuple[int, str]]:
    """Pieces of whole contracts, each under the file's header, with the number of its first line."""
    rows = iter(lines)
    header = next(rows, "")
    first, kept, count = 2, [header], 0
    open_quotes = False
    code = ""
    for line in rows:
        if count >= rows_at_once and not open_quotes:
            found = _contract_of(header, line)
            if code and found != code:
                yield first, "".join(kept)
                first, kept, count, code = first + count, [header], 0, ""
            else:
                code = found
        kept.append(line)
        count += 1
        open_quotes ^= line.count('"') % 2 == 1
    yield first, "".join(kept)


def _contract_of(header: str, line: str) -> str:
    """The contract that a row of a CSV file names; empty where it names none."""
    names = [name.strip() for name in next(csv.reader([header]), [])]
    fields = next(csv.reader([line]), [])
    return dict(zip(names, fields, strict=False)).get("contract", "").strip()
