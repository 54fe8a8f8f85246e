"""`pktoll serve` as a process: attach, send, stop; what it leaves behind."""

import json
import os
import signal
import socket
import struct
import subprocess
import sys
import time
from pathlib import Path

import pytest

from engine.errors import PktollError
from tests.support.command import call, environment, spawn
from tests.support.plane import OWN, g_pdu, heard, inner
from tests.support.serve import START, Peer, Serving, free_port, lines, peer_of, serving

SERVER = "198.51.100.7"


def answered(peer: Peer, teid: int, sent: bytes) -> bytes:
    """What comes back for a packet sent up."""
    peer.user.sendto(g_pdu(sent, teid), peer.gateway.end("gtp_u"))
    return peer.user.recv(70_000)


def test_a_terminal_attaches_sends_is_charged_and_all_is_settled_at_the_end(tmp_path: Path) -> None:
    """N1, N2, D9, I8: SIGTERM closes sessions, settles slices; the audit finds nothing"""
    pool, records = f"sqlite:///{tmp_path / 'coupons.db'}", tmp_path / "records.jsonl"
    port = free_port()
    options = ["--subscribers", lines(tmp_path / "lines.toml"), "--pool", pool]
    options += ["--records", str(records), "--peer-port", str(port)]
    with serving(tmp_path, *options) as gateway, peer_of(gateway, port) as peer:
        answer, teid, address = peer.attach(1, 0x11)
        assert answer.cause == 16
        sent = inner(b"hello", src=address, dst=SERVER)
        back = inner(b"hello", src=SERVER, dst=address)
        assert answered(peer, teid, sent) == struct.pack("!BBHI", 0x30, 255, len(back), 0x11) + back
        assert peer.detach(answer.control.teid if answer.control else 0).cause == 16
        status, said = gateway.stop()
    assert (status, "1 packets up, 1 down" in said) == (0, True), said
    report = gateway.report()
    assert report["schema"] == "pktoll.serve/1"
    assert report["sims"][0]["up"]["packets"] == report["sims"][0]["down"]["packets"] == 1
    assert report["gateway"]["messages"] == {"g-pdu": 1}
    record = json.loads(records.read_text())
    assert (record["imsi"], record["up"]["packets"]) == ("440100000000001", 1)
    audit = spawn("pool", "audit", pool)
    assert (audit.status, "uncertain" in audit.err) == (0, False)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_open_sessions_are_closed_by_a_signal_and_the_peer_is_told(
    tmp_path: Path, number: int
) -> None:
    """A clean stop: Delete Bearer Request, what waits is counted, exit status 0"""
    with (
        serving(tmp_path, "--subscribers", lines(tmp_path / "lines.toml"), "-q") as gateway,
        peer_of(gateway) as peer,
    ):
        peer.attach(1, 0x11)
        assert gateway.stop(number) == (0, "")
        assert [data[1] for data in heard(peer.control)] == [99]
    assert gateway.report()["gateway"]["sessions"] == 0


def test_a_killed_gateway_leaves_a_ledger_that_adds_up(tmp_path: Path) -> None:
    """G4, F1: kill -9 under load; the next run books what is uncertain and serves again"""
    pool = f"sqlite:///{tmp_path / 'coupons.db'}"
    port = free_port()
    options = ["--subscribers", lines(tmp_path / "lines.toml"), "--pool", pool, "-q"]
    options += ["--peer-port", str(port)]
    with serving(tmp_path, *options) as gateway, peer_of(gateway, port) as peer:
        _, teid, address = peer.attach(1, 0x11)
        for n in range(50):
            answered(peer, teid, inner(bytes([n]) * 1000, src=address, dst=SERVER))
        gateway.stop(signal.SIGKILL)
    assert spawn("pool", "audit", pool).status == 0
    with serving(tmp_path, *options) as gateway, peer_of(gateway, port) as peer:
        _, teid, address = peer.attach(1, 0x12)
        answered(peer, teid, inner(b"again", src=address, dst=SERVER))
        assert gateway.stop()[0] == 0
    audit = spawn("pool", "audit", pool)
    assert audit.status == 0


def test_a_flood_of_unknown_teids_leaves_sessions_served_and_is_said_once_a_second(
    tmp_path: Path,
) -> None:
    """B20: counted, a warning with the rate, and a known session's packets go through meanwhile"""
    port = free_port()
    options = ["--subscribers", lines(tmp_path / "lines.toml"), "--peer-port", str(port)]
    with serving(tmp_path, *options) as gateway, peer_of(gateway, port) as peer:
        _, teid, address = peer.attach(1, 0x11)
        sent = inner(b"through the flood", src=address, dst=SERVER)
        came = flood(gateway, peer, teid, sent)
        status, said = gateway.stop()
    assert (status, came) == (0, 20)
    warned = [line for line in said.splitlines() if "TEIDs of no session" in line]
    assert 1 <= len(warned) <= 5
    assert gateway.report()["gateway"]["drops_up"]["teid"]["packets"] > 2000


def data_of(peer: Peer) -> bytes:
    """The next G-PDU; Error Indications for what was forged come to this address too."""
    while (data := peer.user.recv(70_000))[1] != 255:
        assert data[1] == 26
    return data


def flood(gateway: Serving, peer: Peer, teid: int, sent: bytes) -> int:
    """Random TEIDs for a second and a half, a good packet now and then; good ones that came back."""
    came = 0
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as attacker:
        attacker.connect(gateway.end("gtp_u"))
        for turn in range(20):
            for k in range(200):
                attacker.send(g_pdu(sent, 1 + turn * 1000 + k))
            peer.user.sendto(g_pdu(sent, teid), gateway.end("gtp_u"))
            came += data_of(peer).endswith(b"through the flood")
            time.sleep(0.075)
    return came


def test_events_happen_at_their_time_of_the_gateways_date_without_packets(tmp_path: Path) -> None:
    """L1: the session of a line that is suspended by an event is cut, and the peer is told"""
    events = tmp_path / "events.jsonl"
    at = START.replace("07:00:00", "07:00:01")
    events.write_text(json.dumps({"at": at, "do": "suspend", "line": "hdo00000001"}) + "\n")
    options = ["--subscribers", lines(tmp_path / "lines.toml"), "--events", str(events), "-q"]
    with serving(tmp_path, *options) as gateway, peer_of(gateway) as peer:
        peer.attach(1, 0x11)
        asked = peer.control.recv(4096)
        assert asked[1] == 99, "Delete Bearer Request"
        assert gateway.stop()[0] == 0
    assert gateway.report()["sims"][0]["in_service"] is False


def test_the_service_answers_within_the_gateways_loop(tmp_path: Path) -> None:
    """Figures and verbs while packets are served"""
    from engine.service.client import Client

    endpoint = f"ipc://{tmp_path / 'service'}"
    options = ["--subscribers", lines(tmp_path / "lines.toml"), "--service", endpoint, "-q"]
    with serving(tmp_path, *options) as gateway, peer_of(gateway) as peer:
        peer.attach(1, 0x11)
        with Client(gateway.ready["service"]) as client:
            assert client.totals()["gateway"]["sessions"] == 1
            client.suspend("hdo00000001")
            assert peer.control.recv(4096)[1] == 99
            assert client.totals()["gateway"]["sessions"] == 0
        assert gateway.stop()[0] == 0


def test_the_service_of_a_gateway_may_ask_for_keys(tmp_path: Path) -> None:
    """G10, B73: who is on the list is answered, others are not"""
    from engine.service import keys
    from engine.service.client import Client

    _, secret, _ = keys.make(tmp_path / "server", "pgw")
    keys.make(tmp_path / "clients", "desk")
    options = ["--service", "tcp://127.0.0.1:*", "--key", str(secret)]
    with serving(tmp_path, *options, "--clients", str(tmp_path / "clients"), "-q") as gateway:
        endpoint = gateway.ready["service"]
        desk = keys.client_keys(tmp_path / "clients/desk.key_secret", tmp_path / "server/pgw.key")
        with Client(endpoint, keys=desk) as client:
            assert client.totals()["gateway"]["sessions"] == 0
        with pytest.raises(PktollError, match="no answer"):
            Client(endpoint, timeout_ms=200, tries=1)
        assert gateway.stop()[0] == 0


def test_verbose_says_a_line_of_figures_every_second(tmp_path: Path) -> None:
    """For logs; on a terminal the line replaces itself"""
    with serving(tmp_path, "-v") as gateway:
        time.sleep(1.3)
        _, said = gateway.stop()
    assert "pktoll: sessions 0  up 0/s  down 0/s  dropped 0/s  waiting 0" in said
    assert said.count("ready: gtp-c 127.0.0.1:") == 1


def test_on_a_terminal_one_line_of_figures_replaces_itself(tmp_path: Path) -> None:
    """And nothing of it where standard error is no terminal"""
    near, far = os.openpty()
    ready = tmp_path / "ready.json"
    command = [
        sys.executable,
        "-m",
        "engine",
        "serve",
        "--gtp-c",
        f"{OWN}:0",
        "--gtp-u",
        f"{OWN}:0",
    ]
    command += ["--report", "-", "--ready-file", str(ready)]
    process = subprocess.Popen(command, env=environment(), stdout=subprocess.PIPE, stderr=far)
    os.close(far)
    said = b""
    while b"waiting 0" not in said:
        said += os.read(near, 1000)
    process.send_signal(signal.SIGTERM)
    out, _ = process.communicate(timeout=60)
    said += os.read(near, 4000)
    os.close(near)
    assert process.returncode == 0
    assert b"\r\x1b[Ksessions 0" in said
    assert b"pktoll: stopped: 0 packets up" in said
    assert json.loads(out)["gateway"]["bearers"] == 0
    assert json.loads(ready.read_text())["pid"] == process.pid


@pytest.mark.parametrize(
    ("options", "word"),
    [
        (["--telemetry", "ipc:///nowhere"], "--telemetry belongs to --service"),
        (["--key", "server.key_secret"], "--key belongs to --service"),
        (["--service", "ipc:///tmp/x", "--key", "server.key_secret"], "belong together"),
        (["--service", "tcp://0.0.0.0:*"], "key"),
        (["--gtp-u", "192.0.2.1:2152"], "--beyond-loopback"),
        (["--gtp-c", "x"], "--gtp-c x: give ADDR:PORT"),
        (["--sgi", "tap:x"], "--sgi tap:x"),
        (["--start", "yesterday"], "yesterday"),
    ],
)
def test_what_makes_no_sense_is_refused_in_one_line_with_status_2(
    capfd: pytest.CaptureFixture[str], options: list[str], word: str
) -> None:
    ended = call(capfd, "serve", "-q", "--gtp-c", f"{OWN}:0", "--gtp-u", f"{OWN}:0", *options)
    assert (ended.status, ended.err.count("\n")) == (2, 1)
    assert word in ended.err


def test_it_can_do_without_ready_file_and_report(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """In this process: stopped before its first turn"""
    monkeypatch.setattr("engine.gateway.loop.Loop.run", lambda loop: loop.stop())
    ended = call(capfd, "serve", "--gtp-c", f"{OWN}:0", "--gtp-u", f"{OWN}:0")
    assert ended.status == 0
    assert ended.err.startswith("ready: gtp-c 127.0.0.1:")
