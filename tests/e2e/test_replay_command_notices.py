"""What `pktoll replay` says beside the figures: on standard error, a line each, and not with -q."""

import json
import sys
from pathlib import Path

import pytest

from engine import config, jit
from engine.cli import captures
from engine.runtime import Engine
from engine.subscribers.table_pack import pack
from engine.words import CONTROL_STRAYS, STRAYS_MAX
from tests.support import packets
from tests.support.command import MS, NET, call, frame, spawn, write

Capture = pytest.CaptureFixture[str]
DAY_NS = 86_400 * 10**9


def told(capfd: Capture, capture: str, *arguments: str, status: int = 0) -> list[str]:
    """The lines on standard error."""
    ended = call(capfd, "replay", capture, "--ue-net", NET, *arguments)
    assert ended.status == status
    quiet = call(capfd, "replay", capture, "--ue-net", NET, *arguments, "-q")
    lines = [f"{line}\n" for line in ended.err.splitlines() if "pktoll: note: " not in line]
    assert quiet.err == "".join(lines)
    return ended.err.splitlines()


def test_nothing_to_say(tmp_path: Path, capfd: Capture) -> None:
    assert told(capfd, write(tmp_path / "a", [frame()])) == []


def test_packets_stamped_earlier_than_one_before(tmp_path: Path, capfd: Capture) -> None:
    """B58"""
    capture = write(tmp_path / "a", [frame(9 * MS), frame(3 * MS), frame(9 * MS), frame(8 * MS)])
    (line,) = told(capfd, capture)
    assert line.startswith("pktoll: note: 2 packets are stamped earlier than one before them")


def test_packets_that_the_capture_holds_in_part(tmp_path: Path, capfd: Capture) -> None:
    """B63"""
    at_ns, whole = frame(size=1_000)
    capture = write(tmp_path / "a", [(at_ns, whole[:60], len(whole))])
    (line,) = told(capfd, capture)
    assert line.startswith("pktoll: note: 1 packets are cut short in the capture")


def test_a_clock_that_leaps(tmp_path: Path, capfd: Capture) -> None:
    """G9, B58"""
    capture = write(tmp_path / "a", [frame(), frame(40 * DAY_NS)])
    (line,) = told(capfd, capture)
    assert "no coupon was credited or expired for it (--allow-clock-leap to do so)" in line
    assert told(capfd, capture, "--allow-clock-leap") == []


def test_events_that_come_too_late_or_are_refused(tmp_path: Path, capfd: Capture) -> None:
    """C3: the run goes on"""
    book = tmp_path / "lines.toml"
    book.write_text(
        '[[contract]]\ncode = "hdd1"\nplan = "light-start"\nstarted = 2013-10-01\n'
        '[[contract.line]]\ncode = "a"\naddresses = ["10.1.0.1"]\n'
    )
    at_ns = packets.TIME_NS
    charge = '{"at_ns": %d, "do": "charge", "contract": "hdd1", "coupons": 30}\n'
    events = tmp_path / "events.jsonl"
    events.write_text(charge % at_ns + charge % (at_ns + 1) + charge % (at_ns + 9 * MS))
    capture = write(tmp_path / "a", [frame(), frame(MS)])
    late, refused = told(capfd, capture, "--subscribers", str(book), "--events", str(events))
    assert late == "pktoll: warning: 1 events lie after the last packet and were not applied"
    assert refused.startswith("pktoll: warning: refused: charge at ")


def test_an_event_of_nobody(tmp_path: Path, capfd: Capture) -> None:
    """a fault of the file where the lines are known (exit 3); else it is refused when its time comes"""
    events = tmp_path / "events.jsonl"
    events.write_text('{"at_ns": 5, "do": "detach", "line": "nobody"}\n')
    given = ("--events", str(events))
    (line,) = told(capfd, write(tmp_path / "none", []), *given)
    assert line == "pktoll: warning: 1 events lie after the last packet and were not applied"
    (line,) = told(capfd, write(tmp_path / "one", [frame()]), *given)
    assert line.startswith("pktoll: warning: refused: detach at 5 ns: no line has the code")
    book = tmp_path / "lines.toml"
    book.write_text('[[contract]]\ncode = "hdd1"\nplan = "light-start"\nstarted = 2013-10-01\n')
    ended = call(capfd, "replay", str(tmp_path / "one"), "--subscribers", str(book), *given)
    assert ended.status == 3
    assert ended.err.startswith(f"pktoll: {events}:1:")


def test_a_flood_of_tunnels(
    tmp_path: Path, capfd: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """B20: those beyond the list are counted"""
    account = Engine.account

    def crowded(self: Engine, batch: object, **options: bool) -> None:
        self.control[CONTROL_STRAYS] = STRAYS_MAX - 2
        account(self, batch, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(Engine, "account", crowded)
    frames = [frame(k, teid=k + 1, src="172.31.0.1") for k in range(5)]
    (line,) = told(capfd, write(tmp_path / "a", frames))
    assert (
        line == "pktoll: warning: 3 packets are in tunnels beyond those that are listed one by one"
    )


def test_frames_of_a_link_type_that_is_not_read(tmp_path: Path, capfd: Capture) -> None:
    """exit 4, B60: what could be read is billed"""
    parts = [packets.section(), packets.interface(1), packets.interface(147)]
    parts += [packets.enhanced(frame()[1], 5, number=number) for number in (0, 1, 1)]
    path = tmp_path / "a.pcapng"
    path.write_bytes(b"".join(parts))
    (line,) = told(capfd, str(path), status=4)
    assert "2 frames have link type 147, which pktoll does not read" in line
    found = call(capfd, "replay", str(path), "--ue-net", NET, "--format", "json")
    assert json.loads(found.out)["totals"]["packets"] == 1


def test_messages_that_are_no_packets_of_a_sim(tmp_path: Path, capfd: Capture) -> None:
    """B02, B12, B21, B22: told with -v; broken ones by reason; nothing is charged"""
    messages = [
        packets.gtp(kind=1, teid=0, flags=0x32, optional=bytes(4)),
        packets.gtp(kind=1, teid=0, optional=bytes(4)),
        packets.gtp(kind=26, teid=1, flags=0x32, optional=bytes(4)),
        packets.gtp(kind=254, teid=1, optional=b""),
        packets.gtp()[:7],
        packets.gtp(packets.ipv4(packets.udp())),
    ]
    frames = [(packets.TIME_NS, packets.ethernet(packets.tunnel(m))) for m in messages]
    capture = write(tmp_path / "a", frames)
    lines = told(capfd, capture, "-v")
    kinds = [line.split(": note: ")[1] for line in lines if "GTP-U" in line]
    assert kinds == [
        f"GTP-U message type {k}: {n}" for k, n in ((1, 2), (26, 1), (254, 1), (255, 2))
    ]
    assert told(capfd, capture) == []
    found = json.loads(call(capfd, "replay", capture, "--ue-net", NET, "--format", "json").out)
    assert found["drops"] == {
        "short": {"packets": 1, "bytes": 0},
        "noseq": {"packets": 1, "bytes": 0},
    }
    assert found["totals"]["charged_bytes"] == found["totals"]["inner_bytes"] == 28
    assert found["totals"]["not_user_traffic_packets"] == 4


def test_kernels_are_told_with_v(
    tmp_path: Path, capfd: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """one signature each; without the JIT there are none to tell of"""
    if jit.DISABLED:
        monkeypatch.setattr(jit, "kernels", lambda: [("meter", 1, 0)])
    lines = told(capfd, write(tmp_path / "a", [frame()]), "-v")
    assert any("kernel meter: 1 signature, " in line for line in lines)


@pytest.mark.parametrize("wanted", ["gtp", "ip", "auto"])
def test_what_is_billed_can_be_said(tmp_path: Path, capfd: Capture, wanted: str) -> None:
    """the G-PDU's inner packet, or the tunnel's own"""
    capture = write(tmp_path / "a", [frame(teid=1)])
    nets = ("--ue-net", "192.168.1.0/24", "--ue-net", NET)
    found = call(capfd, "replay", capture, *nets, "--encapsulation", wanted, "--format", "json")
    addresses = [sim["address"] for sim in json.loads(found.out)["sims"]]
    assert addresses == (["192.168.1.1", "192.168.1.2"] if wanted == "ip" else ["10.1.0.1"])


def test_standard_input_without_packets() -> None:
    """exit 0: it is a whole capture"""
    ended = spawn("replay", "-", "--ue-net", NET, input=packets.pcap([]))
    assert (ended.status, ended.err) == (0, "pktoll: note: standard input held no packets\n")


@pytest.mark.parametrize("quiet", [False, True])
def test_the_first_run_says_why_it_takes_a_while(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], quiet: bool
) -> None:
    """on a terminal, where no compiled kernels are kept yet"""
    monkeypatch.setattr(jit, "DISABLED", False)
    monkeypatch.setattr(jit, "CACHE", None)
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    captures.announce(quiet)
    said = capsys.readouterr().err
    assert said == ("" if quiet else "pktoll: compiling the kernels for this machine, once ...\n")


@pytest.mark.parametrize("ending", ["csv", "toml"])
def test_a_large_csv_book_is_better_packed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capfd: Capture, ending: str
) -> None:
    book = tmp_path / f"lines.{ending}"
    head, row = "contract,plan,started,line,addresses", "hdd1,light-start,2013-11-01,hdo1,10.1.0.1"
    toml = '[[contract]]\ncode = "hdd1"\nplan = "light-start"\nstarted = 2013-11-01\n'
    book.write_text(f"{head}\n{row}\n" if ending == "csv" else toml, encoding="ascii")
    arguments = ("replay", write(tmp_path / "a", [frame()]), "--subscribers", str(book))
    assert "opens in seconds" not in call(capfd, *arguments).err
    monkeypatch.setattr(captures, "LARGE_BYTES", book.stat().st_size)
    said = f"{book} is large; a table of it, made by `pktoll subscribers pack`, opens in seconds"
    assert call(capfd, *arguments).err == (f"pktoll: note: {said}\n" if ending == "csv" else "")
    assert call(capfd, *arguments, "-q").err == ""
    if ending == "csv":
        pack(book, book, config.load(None))
        assert call(capfd, *arguments).err == ""
