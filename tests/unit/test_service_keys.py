"""CURVE: who has a key on the list comes in, nobody else; beyond loopback there is nothing else (G10)."""

import contextlib
import stat
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import zmq
import zmq.utils.z85

from engine import Engine, verdict
from engine.errors import PktollError, UsageError
from engine.service import keys
from engine.service.client import Client
from engine.service.keys import ClientKeys, Gate, ServerKeys
from engine.service.listen import Listener
from engine.service.protocol import ROWS_MAX
from engine.service.server import Options, Server
from engine.units import NS_PER_MS
from tests.support.service import ICCID, NOON_NS, hello, opened, uplink


@pytest.fixture
def folders(tmp_path: Path) -> Path:
    """A server's pair, two clients on its list, and one that is not."""
    keys.make(tmp_path / "server", "server")
    for name in ("meter", "desk"):
        keys.make(tmp_path / "clients", name)
    keys.make(tmp_path / "strangers", "stranger")
    return tmp_path


@pytest.fixture
def pair(folders: Path) -> ServerKeys:
    return keys.server_keys(folders / "server/server.key_secret", folders / "clients")


def of(folders: Path, name: str, folder: str = "clients") -> ClientKeys:
    return keys.client_keys(folders / f"{folder}/{name}.key_secret", folders / "server/server.key")


@pytest.fixture
def server(pair: ServerKeys) -> Iterator[Server]:
    options = Options(telemetry="tcp://0.0.0.0:*", interval_ns=10 * NS_PER_MS, keys=pair)
    with opened() as engine, Server(engine, "tcp://0.0.0.0:*", options) as made:
        thread = threading.Thread(target=made.serve)
        thread.start()
        yield made
        made.stop()
        thread.join(10)


def here(endpoint: str | None) -> str:
    assert endpoint is not None
    return endpoint.replace("0.0.0.0", "127.0.0.1")


def test_who_is_on_the_list_is_served_and_told(server: Server, folders: Path) -> None:
    """B73, G10"""
    own = of(folders, "meter")
    with Client(here(server.endpoint), keys=own) as client:
        assert client.attach(iccid=ICCID, at_ns=NOON_NS) == ICCID
        with Listener(here(server.telemetry), keys=own) as listener:
            assert listener.receive(10_000) is not None


def test_the_largest_message_gets_through(server: Server, folders: Path) -> None:
    """B70: CURVE makes each frame a little larger."""
    with Client(here(server.endpoint), keys=of(folders, "meter")) as client:
        batch = uplink(ROWS_MAX, -1)
        batch["code"] = verdict.DROP_SHORT
        assert (client.process(batch)["code"] == verdict.DROP_SHORT).all()
        assert client.totals()["drops"]["short"]["packets"] == ROWS_MAX


def test_who_is_not_on_the_list_stays_outside(server: Server, folders: Path) -> None:
    """B73: an unknown key, the wrong server's key, and no key at all."""
    stranger = of(folders, "stranger", "strangers")
    wrong = ClientKeys(stranger.public, stranger.secret, stranger.public)
    for own in (stranger, wrong):
        with pytest.raises(PktollError, match="no answer"):
            Client(here(server.endpoint), timeout_ms=200, tries=1, keys=own)
    with zmq.Context() as context, context.socket(zmq.DEALER) as raw:
        raw.setsockopt(zmq.LINGER, 0)
        raw.setsockopt(zmq.SNDTIMEO, 200)
        raw.connect(here(server.endpoint))
        with contextlib.suppress(zmq.Again):  # turned away before it could say anything
            raw.send_multipart(hello())
        assert not raw.poll(200)
    with Listener(here(server.telemetry), keys=stranger) as listener:
        assert listener.receive(200) is None
    with Client(here(server.endpoint), keys=of(folders, "desk")):
        assert server.figures["turned_away"] >= 1


class Unconnected(Client):
    """One whose key was refused before it had sent anything: nobody is there any more to send to."""

    def _connect(self) -> "zmq.Socket[Any]":
        made = super()._connect()
        made.disconnect(self.service)
        return made


def test_who_was_refused_before_a_word_was_said_is_told_and_does_not_wait_for_ever() -> None:
    """B73"""
    with pytest.raises(PktollError, match="no answer within 2 times 50 ms"):
        Unconnected("tcp://127.0.0.1:1", timeout_ms=50, tries=2)


def test_clients_of_two_keys_never_meet(server: Server, folders: Path) -> None:
    """F9: one's ids and answers are not the other's, whatever it calls itself."""
    with Client(here(server.endpoint), "same", keys=of(folders, "meter")) as first:
        first.attach(iccid=ICCID, at_ns=NOON_NS)
        with Client(here(server.endpoint), "same", keys=of(folders, "desk")) as second:
            assert (first.server["last_id"], second.server["last_id"]) == (-1, -1)
            assert second.usage(ICCID)["iccid"] == ICCID
        assert len(server.dispatcher.replies) == 1


def test_nothing_listens_beyond_loopback_without_keys(tmp_path: Path) -> None:
    """G10"""
    with Engine.open() as engine:
        with pytest.raises(UsageError, match="nothing listens beyond"):
            Server(engine, f"ipc://{tmp_path}/s", Options(telemetry="tcp://0.0.0.0:*"))
        with pytest.raises(UsageError, match="nothing listens beyond"):
            Server(engine, "tcp://0.0.0.0:*")
    with pytest.raises(UsageError, match="nothing listens beyond"):
        Client("tcp://192.0.2.1:5550")


def test_the_gate_reads_what_zeromq_asks(pair: ServerKeys) -> None:
    """B73: ZAP as of ZeroMQ RFC 27; what is not a question about a key is turned away."""
    (known, *_) = pair.allowed
    raw = zmq.utils.z85.decode(known)
    asked = [b"1.0", b"7", b"pktoll", b"127.0.0.1", b"", b"CURVE", raw]
    with zmq.Context() as context:
        gate = Gate(context, pair)
        name = pair.allowed[known].encode()
        assert gate.answer(asked) == [b"1.0", b"7", b"200", b"OK", name, b""]
        for wrong in (
            [b"2.0", *asked[1:]],
            [*asked[:5], b"NULL", raw],
            [*asked[:6], bytes(32)],
            asked[:6],
            [b"1.0"],
        ):
            assert gate.answer(wrong)[2] == b"400"
        assert gate.turned_away == 5
        gate.close()


def test_secret_files_are_for_their_owner_and_never_overwritten(tmp_path: Path) -> None:
    public_file, secret_file, public = keys.make(tmp_path, "a")
    assert stat.S_IMODE(secret_file.stat().st_mode) == 0o600
    assert public in public_file.read_text()
    assert "secret" not in public_file.read_text().partition("curve")[2]
    with pytest.raises(UsageError, match="never overwritten"):
        keys.make(tmp_path, "a")
    with pytest.raises(UsageError, match="key name"):
        keys.make(tmp_path, "../a")


def test_a_key_file_that_is_not_one_is_named(folders: Path, tmp_path: Path) -> None:
    clients = folders / "clients"
    secret = folders / "server/server.key_secret"
    for path, text in ((tmp_path / "bad", "x"), (tmp_path / "short", 'curve\n public-key = "ab"')):
        path.write_text(text)
        with pytest.raises(UsageError, match=f"{path.name}: "):
            keys.server_keys(path, clients)
    odd = tmp_path / "odd"
    odd.write_text(f'curve\n    public-key = "{"~" * 40}"\n')
    with pytest.raises(UsageError, match="Z85"):
        keys.server_keys(odd, clients)
    with pytest.raises(UsageError, match="no secret key"):
        keys.server_keys(folders / "server/server.key", clients)
    with pytest.raises(UsageError, match="cannot be read"):
        keys.server_keys(tmp_path / "none", clients)
    secret.chmod(0o644)
    with pytest.raises(UsageError, match="chmod 600"):
        keys.server_keys(secret, clients)


def test_a_list_of_nobody_is_refused(folders: Path, tmp_path: Path) -> None:
    """G10"""
    secret = folders / "server/server.key_secret"
    (tmp_path / "empty").mkdir()
    with pytest.raises(UsageError, match="nobody could come in"):
        keys.server_keys(secret, tmp_path / "empty")
    with pytest.raises(UsageError, match="is no folder"):
        keys.server_keys(secret, tmp_path / "none")


def test_secrets_are_not_shown(pair: ServerKeys, folders: Path) -> None:
    for shown in (repr(pair), repr(of(folders, "meter"))):
        assert "secret" not in shown
