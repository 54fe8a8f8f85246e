"""Binary subscriber tables by hand: small ones, and ones that are wrong behind right checksums."""

from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any
from zlib import crc32

import numpy as np

from engine import config
from engine.layout import TABLE_CONTRACT, TABLE_COUPON, TABLE_LINE
from engine.subscribers import Contract, Coupon, Line
from engine.subscribers.table import SubscriberTable
from engine.subscribers.table_format import HEADER_BYTES, Header, read_header, sums_to_bytes
from engine.subscribers.table_write import TableWriter

SETTINGS = config.load(None)
STARTED = date(2013, 11, 1)
FAMILY = (
    Contract(
        "hddfamily",
        "family-share",
        STARTED,
        (
            Line("hdo1", imsi="440100000000001", iccid="8981030000000000018", msisdn="09000000001"),
            Line("hdo2", addresses=("10.1.0.2",), teid_up=0x1002, teid_down=0x2002),
            Line("hdo3", addresses=("2001:db8:0:3::/64", "10.1.0.3"), balance_bytes=5),
        ),
        coupons=(Coupon("bundle", 1 << 30, "2013-12"), Coupon("topup", 7, "2014-02")),
        mio_id="MA00000001",
    ),
    Contract(
        "hddalone",
        "light-start",
        date(2013, 3, 9),
        (
            Line(
                "hdo4",
                imsi="00101",
                coupon=False,
                in_service=False,
                addresses=("10.1.0.4", "2001:db8:0:4::/64"),
                teid_up=0x1004,
                gateway="192.0.2.1",
                ends="2014-01",
            ),
        ),
        ipv6=True,
        ends="2014-03",
    ),
    Contract("hddempty", "minimum-start", STARTED, coupons=()),
)


def write(path: Path, *contracts: Contract) -> Path:
    """A table of these contracts (none: of `FAMILY`)."""
    with TableWriter(path) as writer:
        for contract in contracts or FAMILY:
            writer.add(contract)
    return path


def opened(path: Path, *contracts: Contract) -> SubscriberTable:
    """The same, open."""
    return SubscriberTable(write(path, *contracts), SETTINGS)


def reseal(path: Path, edit: Callable[[dict[str, Any]], None]) -> Path:
    """Change records (`lines`, `contracts`, `coupons`) or `names` of a table; its checksums are right."""
    octets = bytearray(path.read_bytes())
    header = read_header(str(path), bytes(octets[:HEADER_BYTES]), len(octets))
    kinds = {"lines": TABLE_LINE, "contracts": TABLE_CONTRACT, "coupons": TABLE_COUPON}
    whole = np.frombuffer(octets, dtype=np.uint8)
    sections = {
        name: whole[at : at + size].view(kinds.get(name, np.dtype(np.uint8)))
        for name, at, size in header.sections
    }
    edit(sections)
    seal(path, octets, header)
    return path


def seal(path: Path, octets: bytearray, header: Header) -> None:
    """Write a table with right checksums under this header."""
    sums = sums_to_bytes(memoryview(octets), header.sums_at)
    head = header._replace(sums_crc=crc32(sums), file_bytes=header.sums_at + len(sums))
    path.write_bytes(head.to_bytes() + octets[HEADER_BYTES : header.sums_at] + sums)
