"""A binary subscriber table, open: checked, mapped, indexed; contracts are made of it when asked for.

What it holds of the file is mapped, not read: ten million lines cost this process their indexes only.
"""

import mmap
import struct
from collections.abc import Container
from datetime import date
from pathlib import Path as FilePath
from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from engine.config.model import Settings
from engine.errors import ConfigError
from engine.layout import (
    TABLE_CONTRACT,
    TABLE_COUPON,
    TABLE_COUPON_ON,
    TABLE_IN_SERVICE,
    TABLE_IPV6,
    TABLE_LINE,
    TABLE_OWN_COUPONS,
    TABLE_PREFIX_FIRST,
)
from engine.subscribers import table_check as check
from engine.subscribers import table_index as index
from engine.subscribers import table_keys as keys
from engine.subscribers import table_text as texts
from engine.subscribers.model import Contract, Coupon, Line, NextPlan, outer_address
from engine.subscribers.table_format import (
    HEADER_BYTES,
    Header,
    check_sums,
    damaged,
    names_from,
    read_header,
)

Rows = npt.NDArray[Any]

LINE = struct.Struct("<16s8s8s12sIqqIIIHHH6x")
CONTRACT = struct.Struct("<16s12sIIHHHHHHIHxx")
COUPON = struct.Struct("<qHH4x")
assert (LINE.size, CONTRACT.size, COUPON.size) == (
    TABLE_LINE.itemsize,
    TABLE_CONTRACT.itemsize,
    TABLE_COUPON.itemsize,
)
KINDS: tuple[Literal["bundle"], Literal["topup"]] = "bundle", "topup"
EPOCH = date(1970, 1, 1).toordinal()
_NAMES = {
    keys.BY_CODE: "code",
    keys.BY_IMSI: "IMSI",
    keys.BY_ICCID: "ICCID",
    keys.BY_MSISDN: "telephone number",
}


class Indexes(NamedTuple):
    """FOUND tables: lines by IPv4 address, by IPv6 prefix, and by TEID."""

    ipv4: Rows
    prefixes: Rows
    teids: Rows


class Codes(NamedTuple):
    """Who is in a table, as the check of an event file asks it."""

    contracts: Container[str]
    lines: Container[str]


class SubscriberTable:
    """Contracts and lines of a table by number; `contracts`, `lines`: its records, mapped.

    `plans` and `gateways` are the names that records speak of. The file must not be changed while it is
    open; packing a new one in its place is safe.
    """

    def __init__(
        self, path: str | FilePath, settings: Settings, *, name: str | None = None
    ) -> None:
        """Open and check a table, and index it; ConfigError with the offset of what is wrong.

        `name`: of the file that the table was just made of, for messages about its content.
        """
        self.path = str(path)
        self._name = name
        self._octets, self._header = self._map()
        header = self._header
        check_sums(self.path, memoryview(self._octets), header)
        self._all = np.frombuffer(self._octets, dtype=np.uint8)
        self.contracts = self._section(header.contracts_at, header.contracts, TABLE_CONTRACT)
        self.lines = self._section(header.lines_at, header.lines, TABLE_LINE)
        self.coupons = self._section(header.coupons_at, header.coupons, TABLE_COUPON)
        names = self._octets[header.names_at : header.names_at + header.names_bytes]
        self.plans, self.gateways = names_from(self.path, header, names)
        self._check(settings)
        self.indexes = self._index()
        self._by_name: dict[int, Rows] = {}
        self._by_contract: Rows | None = None
        self._octets.madvise(mmap.MADV_DONTNEED)  # what is asked for comes back from the page cache

    # --- opening ------------------------------------------------------------------------------------

    def _map(self) -> tuple[mmap.mmap, Header]:
        try:
            with open(self.path, "rb") as file:
                head = file.read(HEADER_BYTES)
                header = read_header(self.path, head, file.seek(0, 2))
                # Copy on write: kernels take arrays that may be written, though none writes these.
                octets = mmap.mmap(file.fileno(), header.file_bytes, access=mmap.ACCESS_COPY)
        except OSError as error:
            raise ConfigError(
                f"{self.path}: cannot be read: {error.strerror}; name a file that is there"
            ) from None
        return octets, header

    def _section(self, at: int, count: int, dtype: np.dtype[Any]) -> Rows:
        return self._all[at : at + count * dtype.itemsize].view(dtype)

    def _check(self, settings: Settings) -> None:
        """ConfigError for names that the settings do not have, and for the first record that is wrong."""
        sims_max = {plan.name: plan.sims_max for plan in settings.plans}
        for plan in self.plans:
            if plan not in sims_max:
                raise ConfigError(
                    f"{self.path}: no plan of the configuration is called {plan!r}; name the "
                    "configuration with which the table was packed"
                )
        for gateway in self.gateways:
            try:
                outer_address(gateway)
            except ValueError as error:
                raise damaged(self.path, self._header.names_at, str(error)) from None
        limits = [len(self.plans), len(self.gateways), *(sims_max[plan] for plan in self.plans)]
        out = np.zeros(2, dtype=np.int64)
        records = self.contracts, self.coupons, self.lines
        fault = int(check.first_fault(*records, np.array(limits, dtype=np.int64), out))
        if fault != check.FINE:
            raise self._wrong(int(out[0]), int(out[1]), check.FAULTS[fault])

    def _wrong(self, section: int, number: int, what: str) -> ConfigError:
        """The error for a record."""
        header = self._header
        starts = {
            check.CONTRACTS: (header.contracts_at, TABLE_CONTRACT),
            check.COUPONS: (header.coupons_at, TABLE_COUPON),
            check.LINES: (header.lines_at, TABLE_LINE),
        }
        if self._name is not None:
            return ConfigError(f"{self._name}: {what}")
        start, dtype = starts[section]
        return damaged(self.path, start + number * dtype.itemsize, what)

    def _index(self) -> Indexes:
        """ConfigError where two records have what only one can."""
        self._contract_index()
        for kind, what in _NAMES.items():
            self._line_index(kind, what)
        ipv4 = self._line_index(keys.BY_IPV4, "IPv4 address")
        prefixes = self._line_index(keys.BY_PREFIX, "IPv6 prefix")
        teids = keys.free_index(int(index.count_teids(self.lines)))
        out = np.zeros(2, dtype=np.int64)
        if not index.fill_teids(self.lines, teids, out):
            first, second = (self.line_code(at >> 1) for at in out.tolist())
            way = "teid_down" if int(out[1]) & 1 else "teid_up"
            what = f"the {way} of line {second} is a TEID of line {first} already"
            raise self._wrong(check.LINES, int(out[1]) >> 1, what)
        return Indexes(ipv4, prefixes, teids)

    def _contract_index(self) -> Rows:
        found = keys.free_index(len(self.contracts))
        out = np.zeros(2, dtype=np.int64)
        if not index.fill_contracts(self.contracts, found, out):
            code = texts.code_text(self.contracts[int(out[1])]["code"].tobytes())
            raise self._wrong(check.CONTRACTS, int(out[1]), f"contract {code} is there twice")
        return found

    def _line_index(self, kind: int, what: str) -> Rows:
        """Lines by what each has at most one of."""
        found = keys.free_index(int(index.count_keys(self.lines, kind)))
        out = np.zeros(2, dtype=np.int64)
        if not index.fill_lines(self.lines, kind, found, out):
            first, second = (self.line_code(at) for at in out.tolist())
            what = f"the {what} of line {second} is line {first}'s already"
            raise self._wrong(check.LINES, int(out[1]), what)
        return found

    # --- finding ------------------------------------------------------------------------------------

    def line_code(self, number: int) -> str:
        """The code of a line."""
        return texts.code_text(self.lines[number]["code"].tobytes())

    def find_line(self, name: str) -> int:
        """Number of the line with this code, IMSI or ICCID; -1 without. Indexes are made when needed."""
        if texts.is_short(name):
            return self._find(keys.BY_IMSI, texts.digits_field(name, texts.SHORT_BYTES))
        if texts.is_long(name):
            return self._find(keys.BY_ICCID, texts.digits_field(name, texts.LONG_BYTES))
        return self.find_line_code(name)

    def find_line_code(self, code: str) -> int:
        """Number of the line with this code; -1 without."""
        if not texts.is_code(code):
            return -1
        return self._find(keys.BY_CODE, code.encode().ljust(texts.CODE_BYTES, b"\0"))

    def _find(self, kind: int, field: bytes) -> int:
        if kind not in self._by_name:
            self._by_name[kind] = self._line_index(kind, _NAMES[kind])
        return int(index.find_line(self.lines, kind, self._by_name[kind], *texts.words(field)))

    def find_contract(self, code: str) -> int:
        """Number of the contract with this code; -1 without."""
        if not texts.is_code(code):
            return -1
        if self._by_contract is None:
            self._by_contract = self._contract_index()
        field = code.encode().ljust(texts.CODE_BYTES, b"\0")
        return int(index.find_contract(self.contracts, self._by_contract, *texts.words(field)))

    @property
    def codes(self) -> Codes:
        """For those who ask whether somebody is in it."""
        return Codes(_Found(self.find_contract), _Found(self.find_line_code))

    # --- contracts ----------------------------------------------------------------------------------

    def contract(self, number: int) -> Contract:
        """A contract with its lines and coupons, as a subscriber file would have it."""
        at = self._header.contracts_at + number * CONTRACT.size
        code, mio_id, line, started, plan, lines, ends, ordered, since, flags, coupon, coupons = (
            CONTRACT.unpack_from(self._octets, at)
        )
        own = flags & TABLE_OWN_COUPONS
        next_since = texts.month_of_field(since)
        return Contract(
            code=texts.code_text(code),
            plan=self.plans[plan],
            started=date.fromordinal(EPOCH + started),
            lines=tuple(self.line(at) for at in range(line, line + lines)),
            coupons=tuple(map(self._coupon, range(coupon, coupon + coupons))) if own else None,
            mio_id=texts.code_text(mio_id) or None,
            ends=texts.month_of_field(ends),
            next_plan=(next_since and NextPlan(self.plans[ordered - 1], next_since)) or None,
            ipv6=bool(flags & TABLE_IPV6),
        )

    def line(self, number: int) -> Line:
        """A line of a contract."""
        at = self._header.lines_at + number * LINE.size
        code, imsi, msisdn, iccid, ipv4, prefix, balance, up, down, _, gateway, ends, flags = (
            LINE.unpack_from(self._octets, at)
        )
        addresses = [texts.ipv4_text(ipv4)] if ipv4 else []
        if prefix:
            place = 0 if flags & TABLE_PREFIX_FIRST else len(addresses)
            addresses.insert(place, texts.prefix_text(prefix))
        return Line(
            code=texts.code_text(code),
            imsi=texts.digits_text(imsi),
            iccid=texts.digits_text(iccid),
            msisdn=texts.digits_text(msisdn),
            coupon=bool(flags & TABLE_COUPON_ON),
            balance_bytes=balance,
            addresses=tuple(addresses),
            teid_up=up or None,
            teid_down=down or None,
            gateway=self.gateways[gateway - 1] if gateway else None,
            in_service=bool(flags & TABLE_IN_SERVICE),
            ends=texts.month_of_field(ends),
        )

    def _coupon(self, number: int) -> Coupon:
        at = self._header.coupons_at + number * COUPON.size
        size_bytes, expires, kind = COUPON.unpack_from(self._octets, at)
        month = texts.month_of_field(expires)
        assert month is not None  # which `first_fault` saw to
        return Coupon(KINDS[kind], size_bytes, month)


class _Found:
    """What a function finds, as a container."""

    def __init__(self, find: Any) -> None:
        self._find = find

    def __contains__(self, code: object) -> bool:
        return bool(self._find(code) >= 0)
