"""`pktoll bases`: four replays of one capture, side by side."""

import csv
import io
import json
import os
import sys
import tempfile
import threading
from pathlib import Path
from typing import Any

import pytest

from engine.errors import CaptureError, PktollError, UsageError
from engine.replay import Options
from engine.replay.bases import FIGURES, compare, ratio
from engine.wire.spool import Spool
from tests.support.command import NET, call, write
from tests.support.explained import World, plain, to, up
from tests.support.packets import TIME_NS, ethernet, ipv4, tcp

ACK = ipv4(tcp(), protocol=6)
"""40 bytes and no payload"""
NAMES = ["inner-ip", "outer-ip", "frame", "l4-payload"]


@pytest.fixture
def world(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> World:
    """Two SIMs of one contract with 1 000 bytes of coupon."""
    return World(tmp_path, capfd)


def document(world: World, *arguments: str) -> dict[str, Any]:
    ended = world.run("bases", *arguments, "--format", "json")
    assert ended.status == 0, ended.err
    found: dict[str, Any] = json.loads(ended.out)
    return found


def column(found: dict[str, Any], name: str) -> list[Any]:
    assert [basis["basis"] for basis in found["bases"]] == NAMES
    return [basis[name] for basis in found["bases"]]


def test_the_same_packets_on_four_bases(world: World) -> None:
    """U3: 100, 136, 150 and 72 bytes a packet, and a coupon of 260 bytes for two"""
    world.coupon_bytes = 260
    capture = world.capture(up(0, to()), up(1, to()))
    found = document(world, capture, "--sims")
    assert found["schema"] == "pktoll.bases/1"
    assert found["capture"]["files"] == [capture]
    assert column(found, "packets") == [2, 2, 2, 2]
    assert column(found, "bytes") == [200, 272, 300, 144]
    assert column(found, "charged_bytes") == [200, 260, 260, 144]
    assert column(found, "free_bytes") == [0, 12, 40, 0]
    assert column(found, "granted_bytes") == [260] * 4
    assert column(found, "ratio") == [1.0, 1.36, 1.5, 0.72]
    assert column(found, "charged_ratio") == [1.0, 1.3, 1.3, 0.72]
    first, other = found["sims"]
    assert column(first, "bytes") == [200, 272, 300, 144]
    assert (first["imsi"], first["contract"]) == ("440100000000001", "hdd00000001")
    assert column(other, "ratio") == [None] * 4


def test_each_basis_is_what_a_replay_with_that_setting_says(world: World) -> None:
    """U3: to the byte, in every class"""
    frames = [up(k // 4, to(size=60 + 7 * k)) for k in range(20)] + [up(6, ACK)] * 5
    world.coupon_bytes = 700
    capture = world.capture(*frames)
    found = document(world, capture)
    for basis in found["bases"]:
        world.top = f'count = "{basis["basis"]}"'
        totals = world.replay(capture)["totals"]
        expected = {n: totals["inner_bytes" if n == "bytes" else n] for n in FIGURES}
        assert {name: basis[name] for name in FIGURES} == expected
    assert len(set(column(found, "dropped_bytes"))) > 1


def test_bare_acknowledgements_cost_nothing_by_their_payload(world: World) -> None:
    """U3, B40: and they never run dry what is left"""
    world.coupon_bytes = 40
    capture = world.capture(up(0, ACK), up(1, ACK), up(2, to()), up(3, ACK))
    found = document(world, capture)
    assert column(found, "charged_bytes") == [40, 40, 40, 40]
    assert column(found, "free_bytes")[3] == 32
    assert column(found, "slow_bytes")[3] == 0
    assert column(found, "packets") == [4] * 4


def test_the_table_has_a_column_for_each_basis(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "120")
    world.coupon = False
    capture = world.capture(up(0, to()), up(1, to()))
    ended = world.run("bases", capture, "--sims")
    assert ended.status == 0
    assert all(word in ended.out for word in ("inner IP", "outer IP", "frame", "L4 payload"))
    assert "1.3600" in ended.out
    rows = [line.split() for line in ended.out.splitlines()]
    assert ["bytes", "200", "272", "300", "144"] in rows
    assert ["440100000000001", "bytes", "200", "272", "300", "144"] in rows
    assert ["slow", "200", "272", "300", "144"] in rows
    assert "a coupon database in memory" in ended.out


@pytest.mark.parametrize("columns", ["20", "60", "200"])
def test_figures_are_whole_on_a_narrow_terminal(
    world: World, monkeypatch: pytest.MonkeyPatch, columns: str
) -> None:
    """half a figure would be a wrong one"""
    monkeypatch.setenv("COLUMNS", columns)
    world.coupon_bytes = 10**12
    capture = world.capture(*(up(k, to(size=60_000)) for k in range(30)))
    said = world.run("bases", capture, "--sims").out
    assert "…" not in said
    assert said.count("1,800,000") == 4  # bytes and charged, of all and of the SIM


def test_a_table_of_many_sims_says_how_many_more_there_are(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    frames = [plain(k, to(src=f"10.1.2.{k + 1}")) for k in range(52)]
    ended = call(capfd, "bases", write(tmp_path / "many.pcap", frames), "--ue-net", NET, "--sims")
    assert "and 2 more" in ended.out


def test_a_capture_without_sims_has_an_empty_table(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    capture = write(tmp_path / "arp.pcap", [(TIME_NS, ethernet(b""))])
    ended = call(capfd, "bases", capture, "--ue-net", NET, "--sims")
    assert (ended.status, "SIMs" in ended.out) == (0, True)
    rows = call(capfd, "bases", capture, "--ue-net", NET, "--sims", "--format", "csv")
    assert (rows.status, rows.out) == (0, "\n")


def test_csv_has_a_row_for_each_basis_or_sim_and_basis(world: World) -> None:
    capture = world.capture(up(0, to()))
    rows = list(csv.DictReader(io.StringIO(world.run("bases", capture, "--format", "csv").out)))
    assert [row["basis"] for row in rows] == NAMES
    assert [row["bytes"] for row in rows] == ["100", "136", "150", "72"]
    words = ("bases", capture, "--sims", "--format", "csv")
    rows = list(csv.DictReader(io.StringIO(world.run(*words).out)))
    assert [(row["contract"], row["basis"]) for row in rows] == [
        ("hdd00000001", name) for _ in range(2) for name in NAMES
    ]


def test_standard_input_and_a_fifo_are_read_once(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Kept in a temporary file for the other replays; equal times go by the names as given"""
    data = Path(world.capture(up(0, to()))).read_bytes()
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data)))
    found = document(world, "-")
    assert (found["capture"]["files"], column(found, "bytes")) == (["-"], [100, 136, 150, 72])
    fifo = world.folder / "fifo"
    os.mkfifo(fifo)
    writer = threading.Thread(target=fifo.write_bytes, args=(data,))
    writer.start()
    assert column(document(world, str(fifo)), "bytes") == [100, 136, 150, 72]
    writer.join()


def test_a_capture_that_breaks_off_is_compared_up_to_there(world: World) -> None:
    """F24: exit status 4, told once"""
    capture = world.capture(up(0, to()), up(1, to()))
    Path(capture).write_bytes(Path(capture).read_bytes()[:-3])
    ended = world.run("bases", capture, "--format", "json")
    assert ended.status == 4
    assert column(json.loads(ended.out), "packets") == [1] * 4
    assert ended.err.count("cut off in the record") == 1


def test_a_coupon_database_is_refused(world: World) -> None:
    with pytest.raises(UsageError, match="in memory"):
        compare(Options((world.capture(),), pool="sqlite:///x.db"))
    assert world.run("bases", world.capture(), "--pool", "sqlite:///x.db").status == 2


def test_a_prefix_that_is_none_is_a_usage_error(world: World) -> None:
    assert world.run("bases", world.capture(), "--ue-net", "10.0.0.0/33").status == 2


def test_ratios_are_rounded_to_six_places() -> None:
    assert [ratio(1, 3), ratio(2, 3), ratio(0, 7), ratio(5, 0)] == [0.333333, 0.666667, 0.0, None]
    assert ratio(10**18 + 1, 10**18) == 1.0


# --- what is kept of streams -----------------------------------------------------------------------


class _Broken(io.RawIOBase):
    """A stream that gives some bytes and then fails."""

    def __init__(self) -> None:
        self._left = 2

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        self._left -= 1
        if not self._left:
            raise OSError(5, "Input/output error")
        buffer[:4] = b"abcd"
        return 4


def test_a_stream_that_fails_is_a_capture_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BufferedReader(_Broken())))
    with pytest.raises(CaptureError, match="-: cannot read on: Input/output error"):
        Spool(["-"])


def _full_file(**_: str) -> Any:
    return open("/dev/full", "wb")


def test_a_full_disk_says_where_and_what_to_do(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """F-class: /dev/full refuses what is written to it"""
    data = Path(world.capture(*(up(k, to()) for k in range(9)))).read_bytes()
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data)))
    monkeypatch.setattr(tempfile, "TemporaryFile", _full_file)
    with pytest.raises(PktollError, match=r"No space left on device.*TMPDIR"):
        Spool(["-"])


def test_files_are_not_kept(world: World) -> None:
    with Spool([world.capture(), world.capture()]) as spool:
        assert spool.paths == ()
