"""`pktoll service`: an engine in a process of its own, its end, its keys, its refusals."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from engine.errors import PktollError
from engine.service import keys
from engine.service.client import Client
from engine.service.listen import Listener
from engine.units import MB
from tests.support.command import call, environment, spawn
from tests.support.service import GATEWAY, ICCID, IMSI, MS, NOON_NS, attach, running, uplink

BOOK = """
[[contract]]
code = "hdd00000001"
plan = "minimum-start"
started = 2013-11-01
  [[contract.coupon]]
  kind = "topup"
  bytes = 104857600
  expires = "2014-02"
  [[contract.line]]
  code = "hdo00000001"
  iccid = "8981100000000000001"
  imsi = "440100000000001"
"""


def meter(client: Client, count: int, at_ns: int = NOON_NS) -> None:
    client.process(uplink(count, client.endpoint(GATEWAY), at_ns=at_ns))


def test_a_signal_ends_it_with_every_slice_settled(tmp_path: Path) -> None:
    """D6, I8: the next one goes on with what the SIM holds."""
    pool = ("--pool", f"sqlite:///{tmp_path}/c.db")
    for number in (1, 2):
        with running(tmp_path, *pool) as service:
            with Client(service.service) as client:
                attach(client)
                meter(client, 5, NOON_NS + number * 10 * MS)
                balance = client.usage(ICCID)["balance_bytes"]
                assert balance == 10 * MB - number * 5_000
            status, said = service.stop()
            assert (status, "every slice is settled" in said) == (0, True), said
    audit = spawn("pool", "audit", *pool)
    assert audit.status == 0, audit.out


def test_a_kill_leaves_a_ledger_that_adds_up(tmp_path: Path) -> None:
    """G1, G4: what is uncertain is at most a step; who asks again is told that nothing is known of it."""
    pool = ("--pool", f"sqlite:///{tmp_path}/c.db")
    with running(tmp_path, *pool) as service:
        client = Client(service.service, "meter", timeout_ms=200, tries=1)
        attach(client)
        meter(client, 5)
        service.stop(signal.SIGKILL)
        with pytest.raises(PktollError, match="no answer"):
            client.totals()
    client._end()
    with running(tmp_path, *pool) as service:
        with Client(service.service, "meter") as again:
            assert again.server["last_id"] == -1
            attach(again)
            assert 9 * MB - 5_000 <= again.usage(ICCID)["balance_bytes"] <= 10 * MB
        assert service.stop()[0] == 0
    assert spawn("pool", "audit", *pool).status == 0


def test_known_lines_telemetry_and_keys(tmp_path: Path) -> None:
    """N1, G10, B73: everything that the command's options say."""
    book = tmp_path / "lines.toml"
    book.write_text(BOOK)
    for folder, name in (("server", "server"), ("clients", "meter")):
        made = spawn("service", "keygen", str(tmp_path / folder), "--name", name)
        assert (made.status, len(made.out.strip())) == (0, 40)
    options = ["--subscribers", str(book), "--at", "2013-11-05T00:00:00+09:00", "--known-only"]
    options += ["--telemetry", "tcp://127.0.0.1:*", "--interval-ms", "50"]
    options += ["--key", f"{tmp_path}/server/server.key_secret", "--clients", f"{tmp_path}/clients"]
    own = keys.client_keys(tmp_path / "clients/meter.key_secret", tmp_path / "server/server.key")
    with running(tmp_path, *options, endpoint="tcp://0.0.0.0:*") as service:
        here = service.service.replace("0.0.0.0", "127.0.0.1")
        with Client(here, keys=own) as client:
            assert client.attach(imsi=IMSI, at_ns=NOON_NS) == "hdo00000001"
            with pytest.raises(PktollError, match="nobody has entered"):
                client.attach(imsi="1", at_ns=NOON_NS)
            assert service.telemetry is not None
            with Listener(service.telemetry, keys=own) as listener:
                assert listener.receive(10_000) is not None
        assert service.stop()[0] == 0


@pytest.mark.parametrize(
    ("arguments", "status", "words"),
    [
        ((), 2, "--endpoint"),
        (("--endpoint", "tcp://0.0.0.0:5550"), 2, "nothing listens beyond"),
        (("--endpoint", "ipc://x", "--telemetry", "tcp://*:1"), 2, "nothing listens beyond"),
        (("--endpoint", "ipc://x", "--key", "k"), 2, "belong together"),
        (("--endpoint", "ipc://x", "--key", "k", "--clients", "c"), 2, "cannot be read"),
        (("--endpoint", "ipc://x", "--config", "none.toml"), 3, "none.toml"),
        (("keygen", "keys", "--name", "../x"), 2, "key name"),
    ],
)
def test_what_cannot_be_is_said_in_one_line(
    capfd: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: tuple[str, ...],
    status: int,
    words: str,
) -> None:
    """G10"""
    monkeypatch.chdir(tmp_path)
    ended = call(capfd, "service", *arguments)
    assert (ended.status, ended.err.count("\n")) == (status, 1), ended.err
    assert words in ended.err


def test_a_port_that_is_taken_is_said_in_one_line(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with running(tmp_path) as service:
        ended = call(capfd, "service", "--endpoint", service.service)
        assert (ended.status, "another server" in ended.err) == (2, True)
        assert service.stop()[0] == 0


def test_it_says_where_it_listens(tmp_path: Path) -> None:
    """One line on standard error, for people and for programs without a file to wait for."""
    command = [sys.executable, "-m", "engine", "service", "--endpoint", f"ipc://{tmp_path}/s"]
    with subprocess.Popen(command, env=environment(), stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        assert process.stderr.readline() == f"ready: service ipc://{tmp_path}/s\n"
        process.terminate()
        assert process.wait(60) == 0
        assert "0 requests" in process.stderr.read()


def test_it_can_be_told_to_be_quiet(tmp_path: Path) -> None:
    with running(tmp_path, "-q") as service:
        assert service.stop(signal.SIGINT) == (0, "")
