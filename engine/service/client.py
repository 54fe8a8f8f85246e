"""A client of the service: asks, waits, and asks again under the same id where no answer comes."""

import secrets
from types import TracebackType
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import zmq

from engine.errors import PktollError, UsageError
from engine.layout import PACKET, VERDICT
from engine.service import protocol
from engine.service.protocol import Request

Rows = npt.NDArray[Any]


class Client:
    """One embedding program's end. Not for use by several threads at once.

    `name` is kept by a program that wants to go on after its own restart; by default a new one is
    made. Without an answer within `timeout_ms` the request is repeated over a new connection,
    `tries` times in all; the server carries it out once. Errors: ServiceError where the server
    refuses, PktollError where it does not answer.
    """

    def __init__(
        self, endpoint: str, name: str | None = None, timeout_ms: int = 5_000, tries: int = 3
    ) -> None:
        self.service = protocol.check_endpoint(endpoint)
        self.name = name or f"pktoll-{secrets.token_hex(8)}"
        self.timeout_ms = timeout_ms
        self.tries = tries
        self._context = zmq.Context()
        self._socket = self._connect()
        self._next_id = 0
        try:
            self.server = self._ask("hello", {})[0]
        except PktollError:
            self._end()
            raise
        self._next_id = int(self.server["last_id"]) + 1

    def attach(self, *, at_ns: int, **args: Any) -> None:
        """Open a session; the arguments are those of `Engine.attach`."""
        self._ask("attach", {"at_ns": at_ns, **args})

    def switch_coupon(self, iccid: str, *, on: bool, at_ns: int) -> None:
        """Switch a SIM's coupon on or off (P3)."""
        self._ask("switch", {"iccid": iccid, "on": on, "at_ns": at_ns})

    def endpoint(self, address: str) -> int:
        """The number by which packets name this outer address (PACKET, `endpoint`)."""
        return int(self._ask("endpoint", {"address": address})[0]["index"])

    def process(self, batch: Rows) -> Rows:
        """VERDICT[n] for PACKET[n], which is sent in parts where it is long."""
        if batch.dtype != PACKET:
            raise UsageError("process: the batch must be an array of engine.layout.PACKET")
        rows_max = int(self.server["limits"]["rows"])
        parts = [
            np.frombuffer(self._ask("process", {}, part.tobytes())[1], VERDICT)
            for part in (batch[at : at + rows_max] for at in range(0, len(batch), rows_max))
        ]
        return np.concatenate(parts) if parts else np.zeros(0, VERDICT)

    def snapshot(self) -> dict[str, Any]:
        """The engine's state, as `Engine.snapshot`."""
        return self._ask("snapshot", {})[0]

    def close(self) -> None:
        """Say goodbye, so that the server forgets this client, and give the connection back."""
        try:
            self._ask("close", {})
        finally:
            self._end()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is None:
            self.close()
        else:
            self._end()  # whoever handles the error need not wait for a server that may be gone

    def _connect(self) -> "zmq.Socket[bytes]":
        connection = self._context.socket(zmq.DEALER)
        connection.setsockopt(zmq.LINGER, 0)
        connection.setsockopt(zmq.IPV6, int(self.service.startswith("tcp://[")))
        connection.connect(self.service)
        return connection

    def _end(self) -> None:
        self._socket.close()
        self._context.term()

    def _ask(
        self, verb: str, args: dict[str, Any], body: bytes = b""
    ) -> tuple[dict[str, Any], bytes]:
        """Send until answered; the result and the rows of the answer."""
        request = Request(self.name, self._next_id, verb, args, body)
        self._next_id += 1
        frames = protocol.encode_request(request)
        for _ in range(self.tries):
            self._socket.send_multipart(frames)
            if self._socket.poll(self.timeout_ms):
                answered_id, result, rows = protocol.decode_answer(self._socket.recv_multipart())
                if answered_id == request.request_id:
                    return result, rows
            # a late answer to this request would be mistaken for the next one's: start afresh
            self._socket.close()
            self._socket = self._connect()
        raise PktollError(
            f"{self.service}: no answer to {verb} within {self.tries} times {self.timeout_ms} ms; "
            "is the service running there?"
        )
