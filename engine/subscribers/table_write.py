"""Writes binary subscriber tables: from contracts, or from records that a program made by itself."""

import contextlib
import os
import re
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path as FilePath
from typing import IO, Any, Self
from zlib import crc32

import numpy as np
import numpy.typing as npt

from engine.errors import ConfigError, OutputError
from engine.layout import (
    CACHE_LINE,
    TABLE_COUPON,
    TABLE_COUPON_ON,
    TABLE_IN_SERVICE,
    TABLE_IPV6,
    TABLE_OWN_COUPONS,
    TABLE_PREFIX_FIRST,
)
from engine.subscribers import table_text as texts
from engine.subscribers.model import Contract, Line
from engine.subscribers.table import CONTRACT, COUPON, EPOCH, KINDS, LINE
from engine.subscribers.table_format import (
    HEADER_BYTES,
    NAMES_BYTES_MAX,
    ROWS_MAX,
    Header,
    names_to_bytes,
    sums_to_bytes,
)

Rows = npt.NDArray[Any]

FIELD_MAX = (1 << 16) - 1
"""what a field of two octets can say"""
FLUSH_BYTES = 1 << 20
_MIO = re.compile(r"[!-~]{1,12}")


def unfit(contract: Contract) -> str | None:
    """Why a table cannot hold a contract; None where it can."""
    for code in (contract.code, *(line.code for line in contract.lines)):
        if not texts.is_code(code):
            return f"code {code!r} is not 1 to 16 printable ASCII characters, or is a number"
    if contract.mio_id is not None and _MIO.fullmatch(contract.mio_id) is None:
        return f"mio_id {contract.mio_id!r} is not 1 to 12 printable ASCII characters"
    if len(contract.coupons or ()) > FIELD_MAX:
        return f"{len(contract.coupons or ())} coupons are more than {FIELD_MAX}"
    for line in contract.lines:
        if line.iccid is not None and not texts.is_long(line.iccid):
            return f"ICCID {line.iccid} of line {line.code} is shorter than 16 digits"
        kinds = [":" in text for text in line.addresses]
        if kinds not in ([], [False], [True], [False, True], [True, False]):
            return f"line {line.code} has more than one address of a kind"
        if any(":" in text and not text.endswith("/64") for text in line.addresses):
            return f"line {line.code} has an IPv6 address that is no /64"
    return None


def contract_record(
    contract: Contract, first_line: int, first_coupon: int, plan: int, order: int
) -> bytes:
    """The record of a contract; `plan`: index of its plan's name, `order`: of the one ordered, plus 1."""
    own = TABLE_OWN_COUPONS * (contract.coupons is not None)
    ordered = contract.next_plan
    return CONTRACT.pack(
        contract.code.encode(),
        (contract.mio_id or "").encode(),
        first_line,
        contract.started.toordinal() - EPOCH,
        plan,
        len(contract.lines),
        texts.month_field(contract.ends),
        order,
        texts.month_field(None if ordered is None else ordered.since),
        own | TABLE_IPV6 * contract.ipv6,
        first_coupon,
        len(contract.coupons or ()),
    )


def coupon_records(contract: Contract) -> bytes:
    """The records of its coupons."""
    return b"".join(
        COUPON.pack(coupon.bytes, texts.month_field(coupon.expires), KINDS.index(coupon.kind))
        for coupon in contract.coupons or ()
    )


def line_record(line: Line, contract: int, gateway: int) -> bytes:
    """The record of a line; `contract`: index of its contract, `gateway`: of its gateway's name, plus 1."""
    four = [text for text in line.addresses if ":" not in text]
    six = [text for text in line.addresses if ":" in text]
    flags = TABLE_COUPON_ON * line.coupon | TABLE_IN_SERVICE * line.in_service
    return LINE.pack(
        line.code.encode(),
        texts.digits_field(line.imsi, texts.SHORT_BYTES),
        texts.digits_field(line.msisdn, texts.SHORT_BYTES),
        texts.digits_field(line.iccid, texts.LONG_BYTES),
        texts.ipv4_number(four[0]) if four else 0,
        texts.prefix_number(six[0]) if six else 0,
        line.balance_bytes,
        line.teid_up or 0,
        line.teid_down or 0,
        contract,
        gateway,
        texts.month_field(line.ends),
        flags | TABLE_PREFIX_FIRST * (line.addresses[:1] == tuple(six)),
    )


class TableWriter:
    """Writes a table piece by piece, and puts it in its place at the end, when it is complete.

    As a context manager it leaves the place as it was if something was raised. OutputError where it cannot
    write.
    """

    def __init__(self, path: str | FilePath) -> None:
        self.path = FilePath(path)
        self.contracts = self.lines = self.coupons = 0
        self.checked: Callable[[FilePath], object] = lambda path: None
        """called with the complete file before it is put in its place; what it raises keeps it out"""
        self._plans: dict[str, int] = {}
        self._gateways: dict[str, int] = {}
        self._waiting = bytearray(), bytearray(), bytearray()
        folder = self.path.parent
        try:
            self._out: IO[bytes] = tempfile.NamedTemporaryFile(  # noqa: SIM115
                dir=folder, prefix=f".{self.path.name}.", delete=False
            )
            self._contracts: IO[bytes] = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115
            self._coupons: IO[bytes] = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115
        except OSError as error:
            raise OutputError(f"{self.path}: cannot be written: {error.strerror}") from None
        self._part = FilePath(self._out.name)
        self._out.write(bytes(HEADER_BYTES))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        try:
            if kind is None:
                self._finish()
        except OSError as error:
            raise OutputError(f"{self.path}: cannot be written: {error.strerror}") from None
        finally:
            for file in (self._contracts, self._coupons, self._out):
                with contextlib.suppress(OSError):  # which was told, or does not matter any more
                    file.close()
            self._part.unlink(missing_ok=True)

    # --- names --------------------------------------------------------------------------------------

    def plan(self, name: str) -> int:
        """Index of a plan's name; ConfigError where a table has no number for it."""
        return self._place(self._plans, name, "plans")

    def gateway(self, address: str | None) -> int:
        """What a line's field says of its gateway; ConfigError where a table has no number for it."""
        return 0 if address is None else self._place(self._gateways, address, "gateways") + 1

    def _place(self, names: dict[str, int], name: str, what: str) -> int:
        place = names.setdefault(name, len(names))
        if place >= FIELD_MAX:
            raise ConfigError(f"{self.path}: a table holds {FIELD_MAX} {what} at the most")
        return place

    # --- records ------------------------------------------------------------------------------------

    def add(self, contract: Contract) -> None:
        """Add a contract; ConfigError where a table cannot hold it."""
        why = unfit(contract)
        if why is not None:
            raise ConfigError(
                f"contract {contract.code}: {why}; a table cannot hold that: use TOML or CSV"
            )
        ordered = contract.next_plan
        plan = self.plan(contract.plan)
        order = 0 if ordered is None else self.plan(ordered.plan) + 1
        lines, contracts, coupons = self._waiting
        contracts += contract_record(contract, self.lines, self.coupons, plan, order)
        coupons += coupon_records(contract)
        for line in contract.lines:
            lines += line_record(line, self.contracts, self.gateway(line.gateway))
        self._count(1, len(contract.lines), len(contract.coupons or ()))
        if len(lines) >= FLUSH_BYTES:
            self._flush()

    def add_records(self, contracts: Rows, lines: Rows, coupons: Rows | None = None) -> None:
        """Add TABLE_CONTRACT, TABLE_LINE and TABLE_COUPON rows whose indexes of one another count from 0.

        They are changed: their indexes are those of the file then. Names are asked of `plan` and `gateway`
        before. Nothing is checked here: opening the table does.
        """
        self._flush()
        coupons = np.zeros(0, TABLE_COUPON) if coupons is None else coupons
        contracts["first_line"] += np.uint32(self.lines)
        contracts["first_coupon"] += np.uint32(self.coupons)
        lines["contract"] += np.uint32(self.contracts)
        self._count(len(contracts), len(lines), len(coupons))
        self._write(lines.data, contracts.data, coupons.data)

    def _count(self, contracts: int, lines: int, coupons: int) -> None:
        self.contracts += contracts
        self.lines += lines
        self.coupons += coupons
        if max(self.contracts, self.lines, self.coupons) > ROWS_MAX:
            raise ConfigError(f"{self.path}: a table holds {ROWS_MAX} lines at the most; split it")

    def _flush(self) -> None:
        self._write(*self._waiting)
        for each in self._waiting:
            each.clear()

    def _write(self, lines: Any, contracts: Any, coupons: Any) -> None:
        try:
            self._out.write(lines)
            self._contracts.write(contracts)
            self._coupons.write(coupons)
        except OSError as error:
            raise OutputError(f"{self.path}: cannot be written: {error.strerror}") from None

    # --- the end ------------------------------------------------------------------------------------

    def _finish(self) -> None:
        self._flush()
        names = names_to_bytes(tuple(self._plans), tuple(self._gateways))
        if len(names) > NAMES_BYTES_MAX:
            raise ConfigError(f"{self.path}: names of plans and gateways are too long for a table")
        contracts_at = self._append(self._contracts)
        coupons_at = self._append(self._coupons)
        names_at = self._align()
        self._out.write(names)
        sums_at = self._align()
        self._out.flush()
        with open(self._part, "rb") as written:
            sums = sums_to_bytes(np.memmap(written, np.uint8, "r"), sums_at)
        self._out.write(sums)
        header = Header(
            self.contracts,
            self.lines,
            self.coupons,
            contracts_at,
            HEADER_BYTES,
            coupons_at,
            names_at,
            len(names),
            sums_at,
            sums_at + len(sums),
            crc32(sums),
        )
        self._out.seek(0)
        self._out.write(header.to_bytes())
        self._out.flush()
        mask = os.umask(0)
        os.umask(mask)
        self._part.chmod(0o666 & ~mask)
        self.checked(self._part)
        self._part.replace(self.path)

    def _append(self, kept: IO[bytes]) -> int:
        """Copy what was kept aside behind what is written; where it begins."""
        at = self._align()
        kept.seek(0)
        shutil.copyfileobj(kept, self._out, FLUSH_BYTES)
        return at

    def _align(self) -> int:
        at = self._out.tell()
        self._out.write(bytes(-at % CACHE_LINE))
        return at + -at % CACHE_LINE
