"""A binary subscriber table of any size, in seconds: `python -m bench.sims_table 10000000 -o lines.sims`.

With a name that ends in .csv the same subscribers as a CSV file, of which `pktoll subscribers pack` makes
that very table.

Contracts of one line each (or of three, with --lines 3), every line with an IMSI, an ICCID, a telephone
number, one IPv4 address and two TEIDs; one in a hundred with an IPv6 /64 beside. Line k (from 0) has the
address 10.0.0.0 + k and the TEIDs 0x10000 + 2 k (up) and the next (down), as the SIMs of `bench.capture`.
"""

from datetime import date
from pathlib import Path
from typing import Any

import click
import numpy as np
import numpy.typing as npt

from engine.layout import (
    TABLE_CONTRACT,
    TABLE_COUPON_ON,
    TABLE_IN_SERVICE,
    TABLE_LINE,
)
from engine.subscribers.table_write import TableWriter

Rows = npt.NDArray[Any]

AT_ONCE = 3 << 18
"""lines that are made at a time"""
CSV_AT_ONCE = 1 << 16
FIRST_ADDRESS = 10 << 24
FIRST_TEID = 0x10000
PREFIX_EVERY = 100
DAY = date(2013, 11, 1)
STARTED = DAY.toordinal() - date(1970, 1, 1).toordinal()


def _code(letters: str, numbers: Rows, digits: int) -> Rows:
    """int64[n, 2]: codes of letters and a number, filled with 0."""
    text = np.zeros((len(numbers), 16), dtype=np.uint8)
    text[:, : len(letters)] = np.frombuffer(letters.encode(), dtype=np.uint8)
    rest = numbers.copy()
    for place in range(len(letters) + digits - 1, len(letters) - 1, -1):
        rest, digit = np.divmod(rest, 10)
        text[:, place] = digit + ord("0")
    return text.view("<i8").reshape(-1, 2)


def _digits(start: str, numbers: Rows, digits: int, octets: int) -> Rows:
    """uint8[n, octets]: `start` and a number, two digits an octet, filled with 0xF."""
    text = np.full((len(numbers), 2 * octets), 0xF, dtype=np.uint8)
    text[:, : len(start)] = [int(one) for one in start]
    rest = numbers.copy()
    for place in range(len(start) + digits - 1, len(start) - 1, -1):
        rest, text[:, place] = np.divmod(rest, 10)
    packed: Rows = text[:, 0::2] << 4 | text[:, 1::2]
    return packed


def lines(first: int, count: int, per_contract: int) -> Rows:
    """TABLE_LINE[count]: lines `first` and following; their contracts count from 0."""
    made = np.zeros(count, dtype=TABLE_LINE)
    numbers = np.arange(first, first + count)
    made["code"] = _code("hdo", numbers, 8)
    made["imsi"] = _digits("44010", numbers, 10, 8).view("<i8").ravel()
    made["msisdn"] = _digits("090", numbers, 8, 8).view("<i8").ravel()
    iccid = _digits("898103", numbers, 13, 12)
    made["iccid"] = np.ascontiguousarray(iccid[:, :8]).view("<i8").ravel()
    made["iccid_rest"] = np.ascontiguousarray(iccid[:, 8:]).view("<u4").ravel()
    made["ipv4"] = FIRST_ADDRESS + numbers
    made["teid_up"], made["teid_down"] = FIRST_TEID + 2 * numbers, FIRST_TEID + 1 + 2 * numbers
    dual = numbers % PREFIX_EVERY == 0
    made["prefix"][dual] = (0x20010DB8 << 32) + 1 + numbers[dual]
    made["contract"] = np.arange(count) // per_contract
    made["flags"] = TABLE_COUPON_ON | TABLE_IN_SERVICE
    return made


def contracts(first: int, count: int, per_contract: int, plan: int) -> Rows:
    """TABLE_CONTRACT[count]: contracts `first` and following, of this plan; their lines count from 0."""
    made = np.zeros(count, dtype=TABLE_CONTRACT)
    made["code"] = _code("hdd", np.arange(first, first + count), 8)
    made["first_line"] = np.arange(count) * per_contract
    made["lines"] = per_contract
    made["started"] = STARTED
    made["plan"] = plan
    return made


def write(path: str | Path, count: int, per_contract: int = 1) -> None:
    """Write a table of `count` lines, rounded up to whole contracts."""
    with TableWriter(path) as table:
        plan = table.plan("light-start" if per_contract == 1 else "family-share")
        for first in range(0, count, AT_ONCE):
            size = -(-min(AT_ONCE, count - first) // per_contract) * per_contract
            parts = contracts(first // per_contract, size // per_contract, per_contract, plan)
            table.add_records(parts, lines(first, size, per_contract))


CSV_COLUMNS = "contract,plan,started,line,imsi,iccid,msisdn,addresses,teid_up,teid_down"


def csv_row(number: int, per_contract: int) -> str:
    """The line with this number, as `lines` and `contracts` have it."""
    contract, place = divmod(number, per_contract)
    of_contract = "" if place else f"{'light-start' if per_contract == 1 else 'family-share'},{DAY}"
    octets = f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}"
    if number % PREFIX_EVERY == 0:
        half = number + 1
        octets += f" 2001:db8:{half >> 16:x}:{half & 0xFFFF:x}::/64"
    teid = FIRST_TEID + 2 * number
    return (
        f"hdd{contract:08},{of_contract or ','},hdo{number:08},44010{number:010},"
        f"898103{number:013},090{number:08},{octets},{teid},{teid + 1}\n"
    )


def write_csv(path: str | Path, count: int, per_contract: int = 1) -> None:
    """Write what `write` writes, as CSV."""
    with open(path, "w", encoding="ascii") as file:
        file.write(f"{CSV_COLUMNS}\n")
        whole = -(-count // per_contract) * per_contract
        for first in range(0, whole, CSV_AT_ONCE):
            numbers = range(first, min(first + CSV_AT_ONCE, whole))
            file.write("".join([csv_row(number, per_contract) for number in numbers]))


@click.command(help=__doc__)
@click.argument("count", type=click.IntRange(1, 1 << 27))
@click.option("-o", "--output", metavar="FILE", required=True)
@click.option("--lines", "per_contract", type=click.IntRange(1, 3), default=1, show_default=True)
def main(count: int, output: str, per_contract: int) -> None:
    (write_csv if output.endswith(".csv") else write)(output, count, per_contract)


if __name__ == "__main__":
    main()
