"""CURVE: key files, who may come in, and the door that asks (ZAP, ZeroMQ RFC 27 and 26).

A pair of keys is two files as other ZeroMQ programs write them: NAME.key with the public key, to be given
to the other side, and NAME.key_secret with both. A server is started with its own secret file and a folder
of clients' NAME.key files: that folder is the list of who may come in.
"""

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import zmq
import zmq.auth
import zmq.utils.z85

from engine.errors import UsageError

ZAP_ENDPOINT = "inproc://zeromq.zap.01"
ZAP_VERSION = b"1.0"
ZAP_FRAMES = 7
"""version, request id, domain, address, identity, mechanism, and one credential: the client's key"""
DOMAIN = "pktoll"
KEY_BYTES = 32


@dataclass(frozen=True, slots=True)
class ServerKeys:
    """A server's pair, and the public keys (Z85) of the clients that may come in, with their names."""

    public: bytes
    secret: bytes = field(repr=False)
    allowed: dict[bytes, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ClientKeys:
    """A client's pair, and the public key of the server that it expects."""

    public: bytes
    secret: bytes = field(repr=False)
    server: bytes


@contextlib.contextmanager
def private_files() -> Iterator[None]:
    """Files made inside are for this user alone."""
    before = os.umask(0o177)
    try:
        yield
    finally:
        os.umask(before)


def make(folder: Path, name: str) -> tuple[Path, Path, str]:
    """Make a pair: (public file, secret file, public key). UsageError where there is one of that name."""
    if not name.isidentifier() and not name.replace("-", "_").isidentifier():
        raise UsageError(f"key name {name!r:.80}: letters, digits, '-' and '_' only")
    folder.mkdir(parents=True, exist_ok=True)
    for suffix in (".key", ".key_secret"):
        if (folder / f"{name}{suffix}").exists():
            raise UsageError(
                f"{folder / name}{suffix}: is there already; keys are never overwritten"
            )
    with private_files():
        public_file, secret_file = zmq.auth.create_certificates(folder, name)
    Path(public_file).chmod(0o644)
    return Path(public_file), Path(secret_file), _load(Path(public_file))[0].decode()


def server_keys(secret_file: Path, allowed_folder: Path) -> ServerKeys:
    """A server's keys from its secret file and the folder of its clients' public keys."""
    public, secret = _load_pair(secret_file)
    if not allowed_folder.is_dir():
        raise UsageError(
            f"{allowed_folder}: is no folder; put the clients' NAME.key files into one"
        )
    allowed = {_load(path)[0]: path.stem for path in sorted(allowed_folder.glob("*.key"))}
    if not allowed:
        raise UsageError(f"{allowed_folder}: has no NAME.key file, so nobody could come in")
    return ServerKeys(public, secret, allowed)


def client_keys(secret_file: Path, server_file: Path) -> ClientKeys:
    """A client's keys from its secret file and the server's public key."""
    return ClientKeys(*_load_pair(secret_file), server=_load(server_file)[0])


def _load_pair(path: Path) -> tuple[bytes, bytes]:
    public, secret = _load(path)
    if secret is None:
        raise UsageError(f"{path}: has no secret key; give the .key_secret file")
    if path.stat().st_mode & 0o077:
        raise UsageError(f"{path}: others may read the secret key; run: chmod 600 {path}")
    return public, secret


def _load(path: Path) -> tuple[bytes, bytes | None]:
    try:
        public, secret = zmq.auth.load_certificate(path)
    except (OSError, ValueError) as error:
        raise UsageError(f"{path}: cannot be read as a key file: {error}") from None
    for key in (public, secret):
        if key is not None and not _is_key(key):
            raise UsageError(f"{path}: a key is {KEY_BYTES} bytes in 40 characters of Z85")
    return public, secret


def _is_key(key: bytes) -> bool:
    try:
        return len(zmq.utils.z85.decode(key)) == KEY_BYTES
    except (ValueError, KeyError):
        return False


def secure_server(socket: "zmq.Socket[Any]", keys: ServerKeys) -> None:
    """Let a socket that is about to be bound talk CURVE only, with those whom the gate lets in."""
    socket.setsockopt_string(zmq.ZAP_DOMAIN, DOMAIN)
    socket.setsockopt(zmq.ZAP_ENFORCE_DOMAIN, 1)  # without a gate nobody comes in
    socket.setsockopt(zmq.CURVE_SERVER, 1)
    socket.setsockopt(zmq.CURVE_SECRETKEY, keys.secret)


def secure_client(socket: "zmq.Socket[Any]", keys: ClientKeys) -> None:
    """Let a socket that is about to be connected talk to the server with that key only."""
    socket.setsockopt(zmq.CURVE_SERVERKEY, keys.server)
    socket.setsockopt(zmq.CURVE_PUBLICKEY, keys.public)
    socket.setsockopt(zmq.CURVE_SECRETKEY, keys.secret)


class Gate:
    """Answers ZeroMQ's question who may come in, in the thread that polls the server.

    `turned_away` counts who may not.
    """

    def __init__(self, context: "zmq.Context[Any]", keys: ServerKeys) -> None:
        self.turned_away = 0
        self._allowed = keys.allowed
        self.socket = context.socket(zmq.REP)
        self.socket.setsockopt(zmq.LINGER, 0)
        self.socket.bind(ZAP_ENDPOINT)

    def serve(self) -> None:
        """Answer what has been asked: quicker than ZeroMQ's own thread, which does the sums, can ask."""
        while True:
            try:
                frames = self.socket.recv_multipart(zmq.NOBLOCK)
            except zmq.Again:
                return
            self.socket.send_multipart(self.answer(frames))

    def answer(self, frames: list[bytes]) -> list[bytes]:
        """The ZAP reply; the user id of a client that may come in is the name of its key."""
        request_id = frames[1] if len(frames) > 1 else b""
        name = None
        if len(frames) == ZAP_FRAMES and frames[0] == ZAP_VERSION and frames[5] == b"CURVE":
            name = self._allowed.get(zmq.utils.z85.encode(frames[6]))
        if name is None:
            self.turned_away += 1
            return [ZAP_VERSION, request_id, b"400", b"this key is not on the list", b"", b""]
        return [ZAP_VERSION, request_id, b"200", b"OK", name.encode(), b""]

    def close(self) -> None:
        """Nobody comes in any more."""
        self.socket.close()
