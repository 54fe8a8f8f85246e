"""A large CSV subscriber file into a table: a kernel reads its rows, as long as they are plain.

Pieces are those that `csvbook.pieces` makes. What the kernel takes of one is what `loader.examine` would
make of it. Contracts that are odd to it go through the loader together; a piece whose rows it cannot tell
apart, or in which two things clash, goes through it as a whole. The first piece that the loader refuses too
is left to the caller, with all that follow: so nothing here has to say what is wrong.
"""

from collections.abc import Callable
from io import BufferedReader, TextIOWrapper
from itertools import chain
from pathlib import Path as FilePath
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from engine.config.model import BYTES_MAX, Settings
from engine.layout import TABLE_CONTRACT, TABLE_COUPON, TABLE_LINE
from engine.subscribers import loader
from engine.subscribers import table_index as index
from engine.subscribers import table_keys as keys
from engine.subscribers import table_rows as rows
from engine.subscribers import table_split as split
from engine.subscribers import table_text as texts
from engine.subscribers.csvbook import COLUMNS, CsvBook, pieces
from engine.subscribers.model import Contract
from engine.subscribers.table_write import (
    FIELD_MAX,
    TableWriter,
    contract_record,
    coupon_records,
    line_record,
    unfit,
)

Rows = npt.NDArray[Any]

READ_BYTES = 1 << 24
"""of the file that are held at a time, unless a piece is larger"""
HEADER_BYTES_MAX = 1 << 16
KINDS = (keys.BY_CODE, keys.BY_IMSI, keys.BY_ICCID, keys.BY_MSISDN, keys.BY_IPV4, keys.BY_PREFIX)
IPV4_END = 1 << 32
"""gateways without an IPv4 address are numbered from here"""


class Taken(NamedTuple):
    """How many pieces of the file are in the table, and whether those are all."""

    pieces: int
    whole: bool


def take(
    book: str | FilePath,
    settings: Settings,
    writer: TableWriter,
    rows_at_once: int,
    progress: Callable[[int], None] | None,
) -> Taken:
    """Add the contracts of a CSV file to a table, until something is wrong.

    ConfigError, OutputError where the table cannot be written on, OSError where the file cannot be read.
    """
    with open(book, "rb") as raw:
        header = _header(raw.readline(HEADER_BYTES_MAX), str(book))
        if header is None:
            return Taken(0, whole=False)
        reader = _Reader(str(book), header, settings, rows_at_once, raw)
        count = 0
        while reader.window.ahead():
            if not reader.piece(writer):
                return Taken(count, whole=False)
            count += 1
            if progress is not None:
                progress(reader.window.offset)
    return Taken(count, whole=True)


class _Header(NamedTuple):
    text: str
    size_bytes: int
    columns: list[int]


def _header(line: bytes, name: str) -> _Header | None:
    """The first line of a file; None where it is not one of columns and nothing else."""
    try:
        text = line.decode("utf-8-sig")
    except UnicodeDecodeError:
        return None
    document = CsvBook(text, name)
    if document.faults or "\r" in text.removesuffix("\n").removesuffix("\r"):
        return None
    return _Header(text, len(line), [COLUMNS.index(column) for column in document.header])


class _Window:
    """What is held of a file; `at` and `end`: what is still to be read of it, in `octets`."""

    def __init__(self, raw: BufferedReader, offset: int) -> None:
        self._raw = raw
        self.octets = np.empty(READ_BYTES, dtype=np.uint8)
        self.at = self.end = 0
        self.final = False
        """the file ends where this ends"""
        self._begin = offset

    @property
    def offset(self) -> int:
        """Where in the file `at` is."""
        return self._begin + self.at

    def more(self) -> None:
        """Read on, to the end of the file or as far as there is room; where there is none, make it."""
        old, self.end = self.octets[self.at : self.end], self.end - self.at
        if self.at == 0 and self.end == len(self.octets):
            self.octets = np.empty(2 * self.end, dtype=np.uint8)
        self.octets[: self.end] = old
        self._begin, self.at = self.offset, 0
        while self.end < len(self.octets) and not self.final:
            got = self._raw.readinto(self.octets[self.end :].data)
            self.end += got
            self.final = got == 0

    def ahead(self) -> bool:
        """Whether there is more of the file."""
        if self.at == self.end and not self.final:
            self.more()
        return self.at < self.end

    def skip(self, count: int) -> None:
        """Go on so many octets further on, which may not have been read yet."""
        if self.at + count <= self.end:
            self.at += count
            return
        self._begin, self.at, self.end = self.offset + count, 0, 0
        self._raw.seek(self._begin)
        self.final = False


class _Reader:
    """Reads the pieces of a file, one after another."""

    def __init__(
        self, book: str, header: _Header, settings: Settings, rows_at_once: int, raw: BufferedReader
    ) -> None:
        self._book = book
        self._header = header
        self._settings = settings
        self._rows_at_once = rows_at_once
        self.window = _Window(raw, header.size_bytes)
        self._columns = np.array(header.columns, dtype=np.int64)
        names = [plan.name.encode() for plan in settings.plans]
        ends = np.cumsum([len(name) for name in names])
        sizes = [len(name) for name in names]
        sims_max = [plan.sims_max for plan in settings.plans]
        places = np.stack([ends - sizes, ends, sims_max], axis=1).ravel()
        octets = np.frombuffer(bytearray(b"".join(names)), dtype=np.uint8)
        self._plans = octets, places.astype(np.int64)
        room = 2 * rows_at_once + 64
        self._records = (
            np.zeros(room, TABLE_CONTRACT),
            np.zeros(room, TABLE_LINE),
            np.zeros(4 * room, TABLE_COUPON),
        )
        self._gateways = np.zeros(room, dtype=np.int64)
        self._fields = np.zeros((split.FIELDS, 2), dtype=np.int64)
        self._odds = np.zeros((room, 3), dtype=np.int64)
        self._state = np.zeros(rows.STATE_WORDS, dtype=np.int64)
        self._six: dict[str, int] = {}

    def piece(self, writer: TableWriter) -> bool:
        """Add the next piece to the table; False, and nothing is added, where that cannot be."""
        piece = self._piece() if self._read() == split.WHOLE else None
        if piece is None:
            return self._as_text(writer)
        gateways = _numbered(piece)
        if len(gateways) > FIELD_MAX or not _agrees(piece):
            return self._as_text(writer)
        self._add(piece, gateways, writer)
        self.window.at = int(self._state[rows.NEXT])
        return True

    def _read(self) -> int:
        """Have the kernel read the next piece."""
        window, state = self.window, self._state
        while True:
            state[: rows.NEXT] = window.at, window.end, window.final, self._rows_at_once
            tables = self._plans, self._records, self._gateways, self._fields, self._odds
            code = int(rows.take(window.octets, self._columns, *tables, state))
            if code != split.MORE or window.final:
                return code
            window.more()

    def _piece(self) -> "_Piece | None":
        """What the kernel read, with its odd contracts filled in; None where something is wrong in it."""
        counts = self._state[rows.CONTRACTS : rows.ODDS].tolist()
        contracts, lines, coupons = (
            each[:count] for each, count in zip(self._records, counts, strict=True)
        )
        piece = _Piece(contracts, lines, coupons, self._gateways[: len(lines)])
        volume = int(self._state[rows.VOLUME])
        odds = self._odds[: int(self._state[rows.ODDS])].tolist()
        if odds:
            text = b"".join(self.window.octets[begin:end].tobytes() for _, begin, end in odds)
            found = self._examined(self._header.text.encode() + text)
            if found is None or len(found) != len(odds):
                return None
            numbers = [number for number, *_ in odds]
            for number, contract in zip(numbers, found, strict=True):
                self._fill(piece, number, contract)
            piece = _with_coupons(piece, numbers, found)
            volume += sum(map(_volume, found))
        return piece if volume <= BYTES_MAX else None

    def _examined(self, octets: bytes) -> list[Contract] | None:
        """The contracts that a piece of the file says; None where something is wrong with one."""
        try:
            found, faults = loader.examine(octets.decode(), self._book, self._settings)
        except UnicodeDecodeError:
            return None
        if found is None or faults or any(map(unfit, found.contracts)):
            return None
        return list(found.contracts)

    def _fill(self, piece: "_Piece", number: int, contract: Contract) -> None:
        """Enter a contract that the kernel passed over."""
        first = int(piece.contracts[number]["first_line"])
        assert len(contract.lines) == piece.contracts[number]["lines"]  # every row is one
        ordered = contract.next_plan
        order = 0 if ordered is None else self._plan(ordered.plan) + 1
        plan = self._plan(contract.plan)
        octets = contract_record(contract, first, 0, plan, order)
        piece.contracts[number] = np.frombuffer(octets, TABLE_CONTRACT)[0]
        for at, line in enumerate(contract.lines, first):
            octets = line_record(line, number, 0)
            piece.lines[at] = np.frombuffer(octets, TABLE_LINE)[0]
            piece.gateways[at] = self._gateway(line.gateway)

    def _plan(self, name: str) -> int:
        return next(k for k, plan in enumerate(self._settings.plans) if plan.name == name)

    def _gateway(self, address: str | None) -> int:
        """A gateway as the kernel numbers it: by its IPv4 address."""
        if address is None:
            return 0
        if ":" in address:
            return self._six.setdefault(address, IPV4_END + len(self._six))
        return texts.ipv4_number(address)

    def _add(self, piece: "_Piece", gateways: Rows, writer: TableWriter) -> None:
        """Add a piece, its plans and gateways by the numbers that they have in the table."""
        contracts, lines, coupons, _ = piece
        # A contract's plan comes before the one that it ordered; 0 stands for none.
        both = np.stack([contracts["plan"] + np.uint16(1), contracts["next_plan"]], axis=1)
        used, first = np.unique(both, return_index=True)
        plans = np.zeros(len(self._settings.plans) + 1, dtype=np.uint16)
        for plan in used[np.argsort(first)].tolist():
            if plan > 0:
                plans[plan] = writer.plan(self._settings.plans[plan - 1].name) + 1
        contracts["plan"] = plans[both[:, 0]] - np.uint16(1)
        contracts["next_plan"] = plans[both[:, 1]]
        if len(gateways) > 0:
            six = {number: address for address, number in self._six.items()}
            named = [six.get(key) or texts.ipv4_text(key) for key in gateways.tolist()]
            known = np.array([0, *map(writer.gateway, named)])
            lines["gateway"] = known[lines["gateway"]]
        writer.add_records(contracts, lines, coupons)

    def _as_text(self, writer: TableWriter) -> bool:
        """The same for a piece that the kernel cannot read."""
        with open(self._book, "rb") as raw:
            raw.seek(self.window.offset)
            with TextIOWrapper(raw, "utf-8", newline="") as file:
                try:
                    _, text = next(pieces(chain([self._header.text], file), self._rows_at_once))
                except UnicodeDecodeError:
                    return False
        octets = text.encode()
        size_bytes = len(octets) - len(self._header.text.encode())
        found = self._examined(octets)
        if found is None or size_bytes == 0:  # then the file was cut meanwhile
            return False
        for contract in found:
            writer.add(contract)
        self.window.skip(size_bytes)
        return True


class _Piece(NamedTuple):
    """Records of a piece of the file, as `take` makes them."""

    contracts: Rows
    lines: Rows
    coupons: Rows
    gateways: Rows


def _volume(contract: Contract) -> int:
    coupons = sum(coupon.bytes for coupon in contract.coupons or ())
    return coupons + sum(line.balance_bytes for line in contract.lines)


def _with_coupons(piece: _Piece, numbers: list[int], found: list[Contract]) -> _Piece:
    """The piece with the coupons of those contracts where they belong."""
    contracts = piece.contracts
    own = [len(contract.coupons or ()) for contract in found]
    counts = contracts["coupons"].astype(np.int64)
    before = counts.copy()
    before[numbers] = 0
    owners = np.concatenate([np.repeat(np.arange(len(contracts)), before), np.repeat(numbers, own)])
    more = np.frombuffer(b"".join(map(coupon_records, found)), TABLE_COUPON)
    coupons = np.concatenate([piece.coupons, more])[np.argsort(owners, kind="stable")]
    contracts["first_coupon"] = np.cumsum(counts) - counts
    return piece._replace(coupons=coupons)


def _numbered(piece: _Piece) -> Rows:
    """The piece's gateways in the order of its lines, which get their places there, from 1."""
    if not piece.gateways.any():
        return piece.gateways[:0]
    used, first, which = np.unique(piece.gateways, return_index=True, return_inverse=True)
    order = np.argsort(np.where(used == 0, -1, first))
    places = np.empty(len(used), dtype=np.int64)
    places[order] = np.arange(len(used)) + (used[0] != 0)
    piece.lines["gateway"] = places[which]
    named: Rows = used[order][int(used[0] == 0) :]
    return named


def _agrees(piece: _Piece) -> bool:
    """Whether no two in the piece have what only one can."""
    contracts, lines, _, _ = piece
    out = np.zeros(2, dtype=np.int64)
    if not index.fill_contracts(contracts, keys.free_index(len(contracts)), out):
        return False
    for kind in KINDS:
        found = keys.free_index(int(index.count_keys(lines, kind)))
        if not index.fill_lines(lines, kind, found, out):
            return False
    teids = keys.free_index(int(index.count_teids(lines)))
    return bool(index.fill_teids(lines, teids, out))
