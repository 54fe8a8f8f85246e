"""A binary subscriber table that is damaged, cut or wrong is refused in one line that says where."""

import re
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any
from zlib import crc32

import pytest

from engine.errors import ConfigError
from engine.layout import TABLE_CONTRACT, TABLE_COUPON, TABLE_LINE
from engine.subscribers import load, load_any
from engine.subscribers.table import SubscriberTable
from engine.subscribers.table_format import HEADER_BYTES, is_table, read_header
from tests.support.simstable import FAMILY, SETTINGS, opened, reseal, seal, write


def refused(path: Path) -> str:
    """What is said of a table; one line, of exit status 3."""
    with pytest.raises(ConfigError) as caught:
        SubscriberTable(path, SETTINGS)
    text = str(caught.value)
    assert text.startswith(f"{path}: ")
    assert "\n" not in text
    assert caught.value.exit_status == 3
    return text.removeprefix(f"{path}: ")


def test_a_table_says_what_it_was_packed_from(tmp_path: Path) -> None:
    table = opened(tmp_path / "family.sims")
    assert tuple(map(table.contract, range(3))) == FAMILY
    assert table.plans == ("family-share", "light-start", "minimum-start")
    assert table.gateways == ("192.0.2.1",)


def test_a_table_of_nobody_can_be_opened(tmp_path: Path) -> None:
    path = write(tmp_path / "nobody.sims")
    reseal(path, lambda _: None)
    assert len(opened(tmp_path / "few.sims", FAMILY[2]).lines) == 0
    assert is_table(path)


def test_every_octet_that_is_damaged_is_noticed(tmp_path: Path) -> None:
    path = write(tmp_path / "family.sims")
    whole = path.read_bytes()
    for at in range(0, len(whole), 7):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 0x10]) + whole[at + 1 :])
        assert refused(path).startswith("byte ")


def test_a_table_that_was_cut_anywhere_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "family.sims")
    whole = path.read_bytes()
    for size in (len(whole) - 1, len(whole) // 2, HEADER_BYTES):
        path.write_bytes(whole[:size])
        assert refused(path).startswith(f"byte {size}: ends here, but {len(whole)} bytes belong")
    path.write_bytes(whole[:100])
    assert refused(path).startswith("byte 100: the header of a subscriber table ends")
    path.write_bytes(whole + b"\0")
    assert refused(path).startswith(f"byte {len(whole)}: something follows")


def test_the_block_that_is_damaged_is_named(tmp_path: Path) -> None:
    path = write(tmp_path / "family.sims")
    octets = bytearray(path.read_bytes())
    octets[HEADER_BYTES + 3] ^= 1
    path.write_bytes(octets)
    sums_at = read_header("", bytes(octets[:HEADER_BYTES]), len(octets)).sums_at
    assert refused(path).startswith(f"byte 128: something up to byte {sums_at} is damaged")


def test_a_version_that_is_not_known_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "family.sims")
    octets = bytearray(path.read_bytes())
    octets[8:12] = struct.pack("<I", 2)
    path.write_bytes(octets)
    assert "version 2, but 1 is what is read here" in refused(path)


@pytest.mark.parametrize(
    "change",
    [
        {"lines": 5},
        {"lines_at": 64},
        {"lines_at": 130},
        {"names_bytes": 1 << 30},
        {"coupons": 1 << 31},
        {"sums_at": 1 << 40},
    ],
)
def test_sections_that_do_not_fit_the_file_are_refused(
    tmp_path: Path, change: dict[str, int]
) -> None:
    path = write(tmp_path / "family.sims")
    octets = bytearray(path.read_bytes())
    header = read_header("", bytes(octets[:HEADER_BYTES]), len(octets))
    if change == {"lines": 5}:  # of four
        header = header._replace(lines_at=header.sums_at - 64)
    path.write_bytes(header._replace(**change).to_bytes() + octets[HEADER_BYTES:])
    assert "sections do not fit the file" in refused(path)


def test_another_length_of_header_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "family.sims")
    octets = bytearray(path.read_bytes())
    octets[12:16] = struct.pack("<I", 256)
    octets[124:128] = struct.pack("<I", crc32(octets[:124]))
    path.write_bytes(octets)
    assert "sections do not fit the file" in refused(path)


@pytest.mark.parametrize(
    "names",
    [
        b"x",
        b"[]",
        b"[" * 100_000,
        b"\xff",
        b'{"plans":[]}',
        b'{"plans":{},"gateways":[]}',
        b'{"plans":[1],"gateways":[]}',
        b'{"plans":[],"gateways":"192.0.2.1"}',
    ],
)
def test_names_that_are_none_are_refused(tmp_path: Path, names: bytes) -> None:
    path = write(tmp_path / "family.sims")
    octets = bytearray(path.read_bytes())
    header = read_header("", bytes(octets[:HEADER_BYTES]), len(octets))
    size = -(-len(names) // 64) * 64
    octets = octets[: header.names_at] + names.ljust(size, b"\0")
    sealed = header._replace(names_bytes=len(names), sums_at=header.names_at + size)
    seal(path, octets, sealed)
    assert f'byte {header.names_at}: no {{"plans"' in refused(path)


def test_plans_and_gateways_must_be_such(tmp_path: Path) -> None:
    path = write(tmp_path / "family.sims")

    def name(old: bytes, new: bytes) -> Callable[[dict[str, Any]], None]:
        def edit(sections: dict[str, Any]) -> None:
            text = sections["names"].tobytes().replace(old, new)
            sections["names"][:] = list(text)

        return edit

    reseal(path, name(b"192.0.2.1", b"224.0.2.1"))
    assert "224.0.2.1 can be nobody's address" in refused(path)
    reseal(path, name(b"family-share", b"family-plaid"))
    assert "no plan of the configuration is called 'family-plaid'" in refused(path)


def put(section: str, at: int, field: str, value: Any) -> Callable[[dict[str, Any]], None]:
    """An edit: a field of a record says something else."""

    def edit(sections: dict[str, Any]) -> None:
        sections[section][field][at] = value

    return edit


WRONG = [
    ("lines", 0, "code", (0, 0), "a code that is not 1 to 16"),
    ("lines", 0, "code", (0x3131, 0), "or is a number"),
    ("lines", 0, "code", (0x6100_61, 0), "a code that is not"),
    ("lines", 0, "code", (0x2061, 0), "a code that is not"),
    ("lines", 0, "code", (-1, 0), "a code that is not"),
    ("lines", 0, "imsi", 0x10, "an IMSI"),
    ("lines", 0, "imsi", -0x1, None),
    ("lines", 0, "msisdn", -0xF0 & ~0xFF | 0x12, "telephone number"),
    ("lines", 0, "iccid_rest", 0x12FF_FFFF, "an ICCID"),
    ("lines", 1, "ipv4", 0xE0000001, "an address"),
    ("lines", 2, "prefix", -1, "an address"),
    ("lines", 0, "balance_bytes", -1, "a volume"),
    ("lines", 0, "balance_bytes", (1 << 62) + 1, "a volume"),
    ("lines", 0, "balance_bytes", 1 << 62, "add up to more"),
    ("lines", 3, "gateway", 2, "a gateway"),
    ("lines", 0, "gateway", 1, "without teid_up"),
    ("lines", 0, "ends", 65_535, "a month"),
    ("lines", 0, "flags", 8, "flags"),
    ("lines", 0, "spare", (0, 0, 1), "must be 0"),
    ("lines", 3, "contract", 0, "leave off"),
    ("contracts", 0, "code", (0, 0), "a code that is not"),
    ("contracts", 0, "mio_id", (65, 0, 65) + (0,) * 9, "a code that is not"),
    ("contracts", 0, "first_line", 1, "leave off"),
    ("contracts", 1, "lines", 2, "more lines than the plan"),
    ("contracts", 0, "lines", 2, "leave off"),
    ("contracts", 2, "first_coupon", 1, "leave off"),
    ("contracts", 0, "coupons", 1, "leave off"),
    ("contracts", 2, "coupons", 1, "leave off"),
    ("contracts", 1, "coupons", 1, "flags"),
    ("contracts", 0, "started", 106_651, "a day after"),
    ("contracts", 0, "plan", 3, "a plan that is not"),
    ("contracts", 0, "next_plan", 4, "a plan that is not"),
    ("contracts", 0, "next_plan", 1, "none where one is needed"),
    ("contracts", 0, "next_since", 500, "none where one is needed"),
    ("contracts", 0, "ends", 9_999, "a month"),
    ("contracts", 0, "next_since", 9_999, "a month"),
    ("contracts", 0, "flags", 4, "flags"),
    ("contracts", 0, "spare", 1, "must be 0"),
    ("coupons", 0, "bytes", -1, "a volume"),
    ("coupons", 0, "bytes", 1 << 62, "add up to more"),
    ("coupons", 0, "expires", 0, "a month"),
    ("coupons", 0, "kind", 2, "a kind of coupon"),
    ("coupons", 0, "spare", 1, "must be 0"),
]


@pytest.mark.parametrize(("section", "at", "field", "value", "what"), WRONG)
def test_records_that_cannot_be_are_refused_at_their_offset(
    tmp_path: Path, section: str, at: int, field: str, value: Any, what: str | None
) -> None:
    path = reseal(write(tmp_path / "family.sims"), put(section, at, field, value))
    if what is None:
        SubscriberTable(path, SETTINGS)
        return
    text = refused(path)
    assert what in text
    assert text.startswith("byte ")


def test_a_plan_that_is_ordered_needs_the_sims_too(tmp_path: Path) -> None:
    path = write(tmp_path / "family.sims")

    def edit(sections: dict[str, Any]) -> None:
        sections["contracts"]["next_plan"][0] = 2  # light-start, which has one SIM
        sections["contracts"]["next_since"][0] = 600

    assert "more lines than the plan" in refused(reseal(path, edit))


def test_lines_and_coupons_of_no_contract_are_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "family.sims")
    octets = bytearray(path.read_bytes())
    header = read_header("", bytes(octets[:HEADER_BYTES]), len(octets))
    seal(path, octets, header._replace(contracts=1))
    assert refused(path).startswith(f"byte {header.lines_at + 3 * 88}: lines or coupons")
    seal(path, octets, header._replace(contracts=0, lines=0))
    assert refused(path).startswith(f"byte {header.coupons_at}: lines or coupons")


def test_a_table_that_is_not_there_is_named(tmp_path: Path) -> None:
    assert not is_table(tmp_path / "none.sims")
    assert "cannot be read: No such file" in refused(tmp_path / "none.sims")


def test_the_readers_of_text_refuse_a_table_and_say_who_reads_it(tmp_path: Path) -> None:
    path = write(tmp_path / "family.sims")
    with pytest.raises(ConfigError, match="a packed subscriber table, which only what meters"):
        load(path, SETTINGS)
    assert isinstance(load_any(path, SETTINGS), SubscriberTable)


def test_the_document_has_the_records_as_they_are(project: Path) -> None:
    """docs/subscriber-table.md is what other programs write by."""
    text = (project / "docs" / "subscriber-table.md").read_text(encoding="utf-8")
    for dtype, title in (
        (TABLE_LINE, "line: 88 octets"),
        (TABLE_CONTRACT, "contract: 56 octets"),
        (TABLE_COUPON, "coupon: 16 octets"),
    ):
        rows = text.partition(f"| {title} |")[2].partition("\n\n")[0]
        said = [
            (int(at), int(size)) for at, size in re.findall(r"^\| (\d+) \| (\d+) \|", rows, re.M)
        ]
        fields: Any = dtype.fields
        kept = [
            (fields[name][1], fields[name][0].itemsize)
            for name in fields
            if name != "iccid_rest"  # which is the end of the ICCID
        ]
        assert said == [(at, 12 if at == 32 and size == 8 else size) for at, size in kept]
    rows = text.partition("| header |")[2].partition("\n\n")[0]
    said = [(int(at), int(size)) for at, size in re.findall(r"^\| (\d+) \| (\d+) \|", rows, re.M)]
    ends = [at + size for at, size in said]
    assert [at for at, _ in said] == [0, *ends[:-1]]
    assert ends[-1] == HEADER_BYTES
