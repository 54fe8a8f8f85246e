"""The frame of a binary subscriber table: header, sections, checksums (docs/subscriber-table.md).

Everything is little-endian; sections begin at multiples of 64 octets. Between header and checksums stand,
in any order, the lines, the contracts, the coupons and the names (JSON: plans and gateways).
"""

import json
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path as FilePath
from typing import Any, NamedTuple

from engine.errors import ConfigError
from engine.layout import CACHE_LINE, TABLE_CONTRACT, TABLE_COUPON, TABLE_LINE

MAGIC = b"PKTSIMS\x1a"
VERSION = 1
HEADER_BYTES = 128
BLOCK_BYTES = 1 << 20
"""of the file behind the header; each has a checksum of its own"""
SUM_BYTES = 4
NAMES_BYTES_MAX = 1 << 20
ROWS_MAX = (1 << 30) - 1
"""lines, contracts, coupons: an index holds a record's number and a bit in 31 bits"""

_FIELDS = struct.Struct("<8sII11QI")
_CHECKED = HEADER_BYTES - SUM_BYTES


class Header(NamedTuple):
    """How many records of each kind there are, and where; octets from the start of the file."""

    contracts: int
    lines: int
    coupons: int
    contracts_at: int
    lines_at: int
    coupons_at: int
    names_at: int
    names_bytes: int
    sums_at: int
    file_bytes: int
    sums_crc: int

    @property
    def sections(self) -> list[tuple[str, int, int]]:
        """Name, start and octets of everything between the header and the checksums."""
        return [
            ("lines", self.lines_at, self.lines * TABLE_LINE.itemsize),
            ("contracts", self.contracts_at, self.contracts * TABLE_CONTRACT.itemsize),
            ("coupons", self.coupons_at, self.coupons * TABLE_COUPON.itemsize),
            ("names", self.names_at, self.names_bytes),
        ]

    def to_bytes(self) -> bytes:
        """The header as it stands in the file."""
        numbers = (self.contracts, self.lines, self.coupons, self.contracts_at, self.lines_at)
        rest = (self.coupons_at, self.names_at, self.names_bytes, self.sums_at, self.file_bytes)
        head = _FIELDS.pack(MAGIC, VERSION, HEADER_BYTES, *numbers, *rest, 0, self.sums_crc)
        head = head.ljust(_CHECKED, b"\0")
        return head + zlib.crc32(head).to_bytes(SUM_BYTES, "little")


def is_table(path: str | FilePath) -> bool:
    """True for a file that begins as a subscriber table does; False where it cannot be read."""
    try:
        with open(path, "rb") as file:
            return file.read(len(MAGIC)) == MAGIC
    except OSError:
        return False


def damaged(path: str, at: int, what: str) -> ConfigError:
    """The error for a table that cannot be used; `at`: offset of the octet where that shows."""
    return ConfigError(
        f"{path}: byte {at}: {what}; write the table again with `pktoll subscribers pack`"
    )


def read_header(path: str, head: bytes, size_bytes: int) -> Header:
    """The header of a file of this size; ConfigError where it, or the size, is not right."""
    if len(head) < HEADER_BYTES or head[: len(MAGIC)] != MAGIC:
        raise damaged(path, min(len(head), HEADER_BYTES), "the header of a subscriber table ends")
    version, *_ = struct.unpack_from("<I", head, len(MAGIC))
    if version != VERSION:
        raise damaged(path, len(MAGIC), f"version {version}, but {VERSION} is what is read here")
    if zlib.crc32(head[:_CHECKED]) != int.from_bytes(head[_CHECKED:HEADER_BYTES], "little"):
        raise damaged(path, _CHECKED, "the header does not have its checksum")
    fields = _FIELDS.unpack_from(head)
    length, spare = fields[2], fields[-2]
    header = Header._make((*fields[3:-2], fields[-1]))
    if size_bytes < header.file_bytes:
        raise damaged(path, size_bytes, f"ends here, but {header.file_bytes} bytes belong to it")
    if size_bytes > header.file_bytes:
        raise damaged(path, header.file_bytes, "something follows the table's end")
    if length != HEADER_BYTES or spare or not _sound(header):
        raise damaged(path, len(MAGIC), "the header's sections do not fit the file")
    return header


def _sound(header: Header) -> bool:
    """Whether the sections lie where records can be, and the checksums behind them."""
    counts = header.contracts, header.lines, header.coupons
    inside = all(
        HEADER_BYTES <= at <= at + size <= header.sums_at and at % CACHE_LINE == 0
        for _, at, size in header.sections
    )
    sums_end = header.sums_at + sums_count(header.sums_at) * SUM_BYTES
    few = max(counts) <= ROWS_MAX and header.names_bytes <= NAMES_BYTES_MAX
    return inside and few and header.sums_at % CACHE_LINE == 0 and sums_end == header.file_bytes


def sums_count(sums_at: int) -> int:
    """How many checksums there are before `sums_at`."""
    return -(-(sums_at - HEADER_BYTES) // BLOCK_BYTES)


def sums_of(octets: Any, sums_at: int) -> Iterator[int]:
    """The CRC-32 of each block of what stands behind the header; `octets`: the file, as a buffer."""
    for at in range(HEADER_BYTES, sums_at, BLOCK_BYTES):
        yield zlib.crc32(octets[at : min(at + BLOCK_BYTES, sums_at)])


def sums_to_bytes(octets: Any, sums_at: int) -> bytes:
    """The checksums as they stand in the file."""
    return b"".join(one.to_bytes(SUM_BYTES, "little") for one in sums_of(octets, sums_at))


def check_sums(path: str, octets: Any, header: Header) -> None:
    """ConfigError, with the offset of the block, where a checksum is not that of its block."""
    kept = bytes(octets[header.sums_at : header.file_bytes])
    if zlib.crc32(kept) != header.sums_crc:
        raise damaged(path, header.sums_at, "the checksums at the end are damaged")
    for number, found in enumerate(sums_of(octets, header.sums_at)):
        if found != int.from_bytes(kept[number * SUM_BYTES :][:SUM_BYTES], "little"):
            at = HEADER_BYTES + number * BLOCK_BYTES
            end = min(at + BLOCK_BYTES, header.sums_at)
            raise damaged(path, at, f"something up to byte {end} is damaged (checksum)")


def names_to_bytes(plans: tuple[str, ...], gateways: tuple[str, ...]) -> bytes:
    """The section of names."""
    names = {"plans": plans, "gateways": gateways}
    return json.dumps(names, ensure_ascii=False, separators=(",", ":")).encode()


def names_from(path: str, header: Header, octets: bytes) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Plans and gateways; ConfigError where the section does not say them."""
    wrong = damaged(path, header.names_at, 'no {"plans": [texts], "gateways": [texts]}')
    try:
        raw = json.loads(octets)
        plans, gateways = raw["plans"], raw["gateways"]
    except (ValueError, KeyError, TypeError, RecursionError):
        raise wrong from None
    for one in (plans, gateways):
        if not isinstance(one, list) or not all(isinstance(text, str) for text in one):
            raise wrong
    return tuple(plans), tuple(gateways)
