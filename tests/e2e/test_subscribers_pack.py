"""`pktoll subscribers pack`, and what a replay of the table says beside that of the book."""

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from engine import config
from engine.errors import ConfigError
from engine.subscribers.table_pack import pack
from tests.support.command import call, frame, spawn, write

S = 10**9
HEAD = "contract,plan,started,line,imsi,addresses,teid_up,teid_down,gateway,coupons"
ROWS = [
    "hdd1,family-share,2013-11-01,hdo1,440100000000001,10.1.0.1,257,258,,",
    "hdd1,,,hdo2,440100000000002,10.1.0.2 2001:db8:0:2::/64,,,,",
    "hdd2,light-start,2013-11-01,hdo3,,10.1.0.3,,,,none",
    "hdd3,light-start,2013-11-01,hdo4,440100000000004,10.1.0.4,,,,topup:500:2013-12",
    'hdd4,light-start,2013-11-01,hdo5,"440100000000005",10.1.0.5,261,,192.0.2.1,',
]


@pytest.fixture
def lines_csv(tmp_path: Path) -> Path:
    path = tmp_path / "lines.csv"
    path.write_text("\n".join([HEAD, *ROWS]) + "\n", encoding="utf-8")
    return path


def capture(folder: Path) -> str:
    """Packets of hdo1 (in its tunnel and in another), hdo3, hdo4 and of a stranger."""
    frames = [
        frame(0, teid=257, src="10.1.0.1"),
        frame(1 * S, teid=4_711, src="10.1.0.1"),
        frame(2 * S, teid=4_712, src="10.1.0.3", size=1_000),
        frame(3 * S, teid=4_713, src="10.1.0.4", size=600),
        frame(4 * S, teid=4_714, src="10.9.0.1"),
    ]
    return write(folder / "day.pcap", frames)


def bill(capfd: pytest.CaptureFixture[str], *arguments: str) -> dict[str, Any]:
    ended = call(capfd, "replay", *arguments, "--format", "json")
    assert ended.status == 0, ended.err
    found: dict[str, Any] = json.loads(ended.out)
    del found["timing"]
    return found


def packed(capfd: pytest.CaptureFixture[str], book: Path) -> str:
    table = str(book.with_suffix(".sims"))
    ended = call(capfd, "subscribers", "pack", str(book), "-o", table)
    assert ended.status == 0, ended.err
    assert ended.out == f"{table}: 4 contracts, 5 lines, {Path(table).stat().st_size} bytes\n"
    return table


def test_a_packed_book_bills_as_the_book(
    capfd: pytest.CaptureFixture[str], tmp_path: Path, lines_csv: Path
) -> None:
    """I6, Q5"""
    table, day = packed(capfd, lines_csv), capture(tmp_path)
    text = bill(capfd, day, "--subscribers", str(lines_csv))
    found = bill(capfd, day, "--subscribers", table)
    assert found.pop("sleeping_sims") == 1
    listed = [sim["code"] for sim in found["sims"]]
    assert listed == ["hdo1", "hdo2", "hdo3", "hdo4"]
    assert found["sims"] == [sim for sim in text["sims"] if sim["code"] in listed]
    assert found["contracts"] == text["contracts"][:3]
    for name in text.keys() - {"sims", "contracts"}:
        assert found[name] == text[name], name


def test_events_wake_the_lines_that_they_name(
    capfd: pytest.CaptureFixture[str], tmp_path: Path, lines_csv: Path
) -> None:
    """P3"""
    table, day = packed(capfd, lines_csv), capture(tmp_path)
    events = tmp_path / "events.jsonl"
    said = [
        '{"at_ns": 1, "do": "switch", "line": "hdo5", "on": false}',
        '{"at_ns": 2, "do": "charge", "contract": "hdd4", "coupons": 1}',
    ]
    events.write_text("\n".join(said) + "\n", encoding="utf-8")
    found = bill(capfd, day, "--subscribers", table, "--events", str(events))
    assert [sim["coupon"] for sim in found["sims"] if sim["code"] == "hdo5"] == [False]
    assert found["sleeping_sims"] == 0
    events.write_text('{"at_ns": 1, "do": "resume", "line": "hdo9"}\n', encoding="utf-8")
    ended = call(capfd, "replay", day, "--subscribers", table, "--events", str(events))
    assert ended.status == 3
    assert 'no line of the subscriber file is called "hdo9"' in ended.err


def test_the_database_remembers_who_woke(
    capfd: pytest.CaptureFixture[str], tmp_path: Path, lines_csv: Path
) -> None:
    """D6, I8"""
    table, day = packed(capfd, lines_csv), capture(tmp_path)
    pool = ("--pool", f"sqlite:///{tmp_path}/coupons.db")
    first = bill(capfd, day, "--subscribers", table, *pool)
    again = bill(capfd, day, "--subscribers", table, *pool)
    assert first["totals"]["grants"] == 2
    assert again["totals"]["grants"] == 0
    left = {sim["code"]: sim["balance_bytes"] for sim in again["sims"]}
    assert left["hdo1"] == (10 << 20) - 2 * 100


@pytest.mark.parametrize(
    ("form", "said"),
    [("table", "1 SIM of the table slept."), ("jsonl", '{"record": "sleeping", "sims": 1}')],
)
def test_every_format_for_all_figures_tells_who_slept(
    capfd: pytest.CaptureFixture[str], tmp_path: Path, lines_csv: Path, form: str, said: str
) -> None:
    table, day = packed(capfd, lines_csv), capture(tmp_path)
    ended = call(capfd, "replay", day, "--subscribers", table, "--format", form)
    assert said in ended.out
    ended = call(capfd, "replay", day, "--subscribers", str(lines_csv), "--format", form)
    assert "sle" not in ended.out


def test_a_toml_book_is_packed_too(capfd: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    book = tmp_path / "alone.toml"
    book.write_text(
        '[[contract]]\ncode = "hdd1"\nplan = "light-start"\nstarted = 2013-11-01\n'
        '[[contract.line]]\ncode = "hdo1"\n',
        encoding="utf-8",
    )
    table = tmp_path / "alone.sims"
    ended = call(
        capfd, "subscribers", "pack", str(book), "-o", str(table), "--format", "json", "-q"
    )
    assert (ended.status, ended.out) == (0, "")
    ended = call(capfd, "subscribers", "pack", str(book), "-o", str(table), "--format", "json")
    size = table.stat().st_size
    said = {"schema": "pktoll.subscribers-pack/1", "file": str(table), "bytes": size}
    assert json.loads(ended.out) == {**said, "contracts": 1, "lines": 1}


def test_faults_of_the_book_are_told_with_their_place(
    capfd: pytest.CaptureFixture[str], tmp_path: Path, lines_csv: Path
) -> None:
    table = str(tmp_path / "lines.sims")
    lines_csv.write_text("\n".join([HEAD, *ROWS, ROWS[4]]) + "\n", encoding="utf-8")
    ended = call(capfd, "subscribers", "pack", str(lines_csv), "-o", table)
    assert ended.status == 3
    assert f"{lines_csv}:7:" in ended.err
    assert not Path(table).exists()
    lines_csv.write_text(f"{HEAD}\nhdd1,light-start,2013-11-01,1234,,,,,,\n", encoding="utf-8")
    ended = call(capfd, "subscribers", "pack", str(lines_csv), "-o", table)
    assert ended.err == (
        f"pktoll: {lines_csv}: contract hdd1: code '1234' is not 1 to 16 printable ASCII characters, or "
        "is a number; a table cannot hold that: use TOML or CSV\n"
    )
    for name, what in (("none.csv", "cannot be read"), ("none.toml", "cannot be read")):
        ended = call(capfd, "subscribers", "pack", str(tmp_path / name), "-o", table)
        assert (ended.status, what in ended.err) == (3, True)
    lines_csv.write_bytes(b"contract\n\xff\n")
    ended = call(capfd, "subscribers", "pack", str(lines_csv), "-o", table)
    assert f"{lines_csv}:2:1: not UTF-8 (byte offset 9)" in ended.err


@pytest.mark.parametrize("at_once", [1, 2, 3, 100])
def test_a_large_book_is_read_in_pieces_of_whole_contracts(
    tmp_path: Path, lines_csv: Path, at_once: int
) -> None:
    settings = config.load(None)
    seen: list[int] = []
    whole = pack(lines_csv, tmp_path / "whole.sims", settings)
    made = pack(
        lines_csv, tmp_path / "made.sims", settings, rows_at_once=at_once, progress=seen.append
    )
    assert made == whole
    assert (tmp_path / "made.sims").read_bytes() == (tmp_path / "whole.sims").read_bytes()
    assert seen[-1] == lines_csv.stat().st_size


def test_faults_in_later_pieces_have_the_file_s_lines(tmp_path: Path, lines_csv: Path) -> None:
    settings, table = config.load(None), tmp_path / "lines.sims"
    rows = [*ROWS[:3], 'hdd3,light-start,2013-11-01,"hdo\n4",,,,,,', *ROWS[3:]]
    lines_csv.write_text("\n".join([HEAD, *rows]) + "\n", encoding="utf-8")
    with pytest.raises(ConfigError, match=rf"{lines_csv}:5:"):
        pack(lines_csv, table, settings, rows_at_once=1)
    twice = [*ROWS, "hdd1,family-share,2013-11-01,hdo6,,,,,,"]
    lines_csv.write_text("\n".join([HEAD, *twice]) + "\n", encoding="utf-8")
    with pytest.raises(ConfigError, match=r"lines\.csv: contract hdd1 is there twice"):
        pack(lines_csv, table, settings, rows_at_once=1)
    assert not table.exists()


def test_progress_is_shown_on_a_terminal_only(
    capfd: pytest.CaptureFixture[str],
    tmp_path: Path,
    lines_csv: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    arguments = ("subscribers", "pack", str(lines_csv), "-o", str(tmp_path / "lines.sims"))
    assert call(capfd, *arguments).err == ""
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("FORCE_COLOR", "1")
    assert "packing" in call(capfd, *arguments).err
    assert call(capfd, *arguments, "-q").err == ""


def test_an_empty_book_has_no_columns(tmp_path: Path) -> None:
    empty = tmp_path / "empty.csv"
    empty.write_text("", encoding="utf-8")
    with pytest.raises(ConfigError, match="empty; the first line names the columns"):
        pack(empty, tmp_path / "lines.sims", config.load(None), rows_at_once=1)


def test_a_packed_book_in_a_process_of_its_own(
    capfd: pytest.CaptureFixture[str], tmp_path: Path, lines_csv: Path
) -> None:
    table = packed(capfd, lines_csv)
    ended = spawn("replay", capture(tmp_path), "--subscribers", table, "--format", "csv")
    assert ended.status == 0, ended.err
    assert len(ended.out.splitlines()) == 5
