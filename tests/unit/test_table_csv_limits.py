"""Large CSV subscriber files at the limits: of volumes, of room, of what a table can name."""

import subprocess
import sys
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from engine.errors import ConfigError
from engine.subscribers import Contract, Line, table_csv, table_pack, table_write
from tests.support.csvfiles import Files, row


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Files:
    return Files.watched(tmp_path, monkeypatch)


HALF = 1 << 61
VOLUMES = {
    "in coupons": [{"coupons": " ".join(["topup:999999999999999999:2013-12"] * 4)}] * 2,
    "in coupons of one": [{"coupons": " ".join(["topup:999999999999999999:2013-12"] * 9)}],
    "to more than 2^64 in one": [{"coupons": " ".join(["topup:999999999999999999:2013-12"] * 19)}],
    "to more than 2^64": [{"coupons": " ".join(["topup:999999999999999999:2013-12"] * 2)}] * 10,
    "in balances": [{"balance_bytes": "999999999999999999"}] * 5,
    "in balances of odd ones": [{"balance_bytes": str(HALF)}, {"balance_bytes": str(HALF + 1)}],
    "in both": [{"balance_bytes": str(2 * HALF)}, {"balance_bytes": "1"}],
}


@pytest.mark.parametrize("more", [0, 3])
@pytest.mark.parametrize("volumes", VOLUMES)
def test_volumes_of_a_piece_that_add_up_to_too_much_are_refused(
    files: Files, volumes: str, more: int
) -> None:
    rows = [row(k, k, **said) for k, said in enumerate(VOLUMES[volumes], 1)]
    files.write(*rows, *[row(90 + k, 90 + k) for k in range(more)])
    found = files.same()
    assert isinstance(found, str)
    assert "add up to" in found
    assert isinstance(files.same(rows_at_once=1), str)


def test_as_much_as_a_table_holds_is_taken(files: Files) -> None:
    files.write(row(1, 1, balance_bytes=str(HALF)), row(2, 2, balance_bytes=str(HALF)))
    assert isinstance(files.same(), bytes)
    files.write(*[row(k, k, balance_bytes="999999999999999999") for k in range(4)])
    assert isinstance(files.same(), bytes)
    assert files.looked_at == []


def test_more_lines_or_coupons_than_there_is_room_for(files: Files) -> None:
    files.write(*[row(k, 1) for k in range(80)])
    assert isinstance(files.same(rows_at_once=1), str)
    coupons = " ".join(["topup:1:2014-01"] * 250)
    files.write(row(1, 1, coupons=coupons), row(2, 1), row(3, 2, coupons=coupons))
    assert isinstance(files.same(rows_at_once=2), bytes)
    assert isinstance(files.same(rows_at_once=1), bytes)


def test_a_family_that_is_larger_than_a_plan_allows_now(files: Files) -> None:
    """what the kernel is told of plans is what the configuration says"""
    plans = tuple(replace(plan, sims_max=19) for plan in files.settings.plans)
    files.settings = replace(files.settings, plans=plans)
    files.write(*[row(k, 1) for k in range(19)])
    assert isinstance(files.same(), bytes)
    assert files.looked_at == []
    files.write(*[row(k, 1, balance_bytes="999999999999999999") for k in range(19)])
    assert "add up to" in str(files.same())


def test_more_gateways_than_a_table_can_name(files: Files, monkeypatch: pytest.MonkeyPatch) -> None:
    files.write(*[row(k, k, gateway=f"192.0.2.{k}") for k in range(1, 4)])
    monkeypatch.setattr(table_write, "FIELD_MAX", 2)
    said = f"{files.book}: {files.table}: a table holds 2 gateways at the most"
    found = files.same()
    assert found == said
    monkeypatch.setattr(table_csv, "FIELD_MAX", 2)
    found = files.same()
    assert found == said
    assert files.looked_at == [3]


def test_a_file_that_cannot_be_read_on(files: Files, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any) -> None:
        raise OSError(5, "Input/output error")

    files.write(row(1, 1))
    monkeypatch.setattr(table_csv, "take", fail)
    assert files.outcome(0) == f"{files.book}: cannot be read: Input/output error"


def test_only_large_csv_files_meet_the_kernel(
    files: Files, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(table_csv, "take", lambda *_: pytest.fail("a small one"))
    files.write(row(1, 1))
    assert isinstance(files.outcome(files.book.stat().st_size + 1), bytes)
    assert files.book.stat().st_size < table_pack.LARGE_BYTES
    files.book = files.book.with_suffix(".toml")
    files.book.write_text("contract = []\n", encoding="ascii")
    assert isinstance(files.outcome(0), bytes)


def test_a_gateway_that_has_no_number_ends_in_words(files: Files) -> None:
    """a field of two octets says 65,535 of them"""
    line = Line("hdo1", teid_up=1, gateway="192.0.2.1")
    contract = Contract("hdd1", "light-start", date(2013, 11, 1), (line,))
    with table_write.TableWriter(files.table) as writer:
        for k in range(table_write.FIELD_MAX):
            writer.gateway(f"gateway {k}")
        with pytest.raises(ConfigError, match="a table holds 65535 gateways at the most"):
            writer.add(contract)


def test_a_file_that_is_cut_while_it_is_read_comes_to_an_end(files: Files) -> None:
    files.write(row(1, 1), row(2, 1), row(3, 2, line='"hdo\n3"'))

    def cut(_: int) -> None:
        files.write()

    found = files.outcome(0, rows_at_once=1, progress=cut)
    files.write(row(1, 1), row(2, 1))
    assert found == files.outcome(0)


def test_who_meters_does_not_compile_what_packs() -> None:
    """the kernel is declared when a large file is packed, not when a replay or a gateway starts"""
    rooms = "engine.replay, engine.gateway.gateway, engine.subscribers.table_pack"
    script = f"import sys, {rooms}; print('engine.subscribers.table_rows' in sys.modules)"
    ended = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert ended.stdout == "False\n"
