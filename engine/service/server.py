"""A ZeroMQ ROUTER around a `Dispatcher`, on loopback only (G10)."""

import contextlib
import os
import socket
from collections.abc import Iterator
from types import TracebackType
from typing import Self

import zmq

from engine.errors import PktollError, UsageError
from engine.service import packing
from engine.service.dispatch import Dispatcher, EngineLike
from engine.service.protocol import check_endpoint

QUEUE_MESSAGES = 64
"""messages that wait per peer and way; what a peer leaves beyond that is dropped, for it alone"""


class Server:
    """Answers requests at one endpoint until `stop`, in the thread that calls `serve`."""

    def __init__(self, engine: EngineLike, endpoint: str) -> None:
        check_endpoint(endpoint)
        self.dispatcher = Dispatcher(engine)
        self._stopping = False
        self._context = zmq.Context()
        self._socket = self._context.socket(zmq.ROUTER)
        self._socket.setsockopt(zmq.MAXMSGSIZE, packing.MESSAGE_BYTES_MAX)
        self._socket.setsockopt(zmq.RCVHWM, QUEUE_MESSAGES)
        self._socket.setsockopt(zmq.SNDHWM, QUEUE_MESSAGES)
        self._socket.setsockopt(zmq.LINGER, 0)
        self._socket.setsockopt(zmq.IPV6, int(endpoint.startswith("tcp://[")))
        try:
            self._bind(endpoint)
        except PktollError:
            self.close()
            raise
        self.endpoint = self._socket.getsockopt_string(zmq.LAST_ENDPOINT)

    def _bind(self, endpoint: str) -> None:
        path = endpoint.removeprefix("ipc://")
        if path != endpoint and _answers(path):
            # ZeroMQ would quietly take the path away from the other server
            raise UsageError(f"{endpoint}: another server answers there; choose another path")
        try:
            with _private_files():
                self._socket.bind(endpoint)
        except zmq.ZMQError as error:
            raise PktollError(f"{endpoint}: cannot listen: {error.strerror}") from None

    def serve(self) -> None:
        """Answer until `stop` is called."""
        while not self._stopping:
            self.serve_once()

    def serve_once(self, timeout_ms: int = 100) -> bool:
        """Answer one message; False if none came in time."""
        if not self._socket.poll(timeout_ms):
            return False
        identity, *frames = self._socket.recv_multipart()
        answer = self.dispatcher.answer(frames)
        self._socket.send_multipart([identity, *answer])
        return True

    def stop(self) -> None:
        """Make `serve` return, within a tenth of a second; may be called from any thread."""
        self._stopping = True

    def close(self) -> None:
        """Give the endpoint back."""
        self._socket.close()
        self._context.term()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def _answers(path: str) -> bool:
    """Whether a process listens at this path."""
    with socket.socket(socket.AF_UNIX) as probe:
        try:
            probe.connect(path)
        except OSError:
            return False
    return True


@contextlib.contextmanager
def _private_files() -> Iterator[None]:
    """Files made inside are for this user alone."""
    before = os.umask(0o177)
    try:
        yield
    finally:
        os.umask(before)
