"""A client of the service: asks, waits, and asks again under the same id where no answer comes."""

import contextlib
import secrets
import time
from collections import deque
from collections.abc import Iterable, Iterator
from types import TracebackType
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import zmq

from engine.errors import PktollError, UsageError
from engine.layout import PACKET, VERDICT
from engine.service import protocol
from engine.service.endpoints import check_endpoint, wants_ipv6
from engine.service.keys import ClientKeys, secure_client
from engine.service.pipeline import AGAIN, TAKEN, Pipeline
from engine.service.protocol import RETRY_MS
from engine.service.replies import Frames
from engine.service.verbs import PAGE_ROWS_MAX

Rows = npt.NDArray[Any]

IN_FLIGHT = 4
"""batches that `process_many` has under way: enough to keep both ends busy"""


class Client:
    """One embedding program's end. Not for use by several threads at once.

    `name` is kept by a program that wants to go on after its own restart; by default a new one is
    made. Without an answer within `timeout_ms` what is under way is repeated over a new connection,
    `tries` times in all; the server carries it out once. `at_ns` of the verbs may be left out where the
    server has a time of its own: a live gateway's, or the latest that the engine has seen.
    Errors: AttachError for a SIM that may not attach, ServiceError where the server refuses otherwise
    (`code` is one of `protocol.CODES`), PktollError where it does not answer.
    """

    def __init__(
        self,
        endpoint: str,
        name: str | None = None,
        timeout_ms: int = 5_000,
        tries: int = 3,
        keys: ClientKeys | None = None,
    ) -> None:
        self.service = check_endpoint(endpoint, beyond=keys is not None)
        self.name = name or f"pktoll-{secrets.token_hex(8)}"
        self.timeout_ms = timeout_ms
        self.tries = tries
        self._keys = keys
        self._context: zmq.Context[Any] = zmq.Context()
        self._socket = self._connect()
        self._pipeline = Pipeline(self.name)
        try:
            self.server = self._ask("hello")
        except PktollError:
            self._end()
            raise
        self._pipeline.start(int(self.server["last_id"]))

    # --- verbs ------------------------------------------------------------------------------------

    def attach(
        self,
        *,
        at_ns: int | None = None,
        imsi: str | None = None,
        iccid: str | None = None,
        msisdn: str | None = None,
        contract: str | None = None,
        plan: str | None = None,
        teid_up: int | None = None,
        teid_down: int | None = None,
        address: str | list[str] | None = None,
        gateway: str | None = None,
        peer: str | None = None,
        rat: str | None = None,
        known_only: bool = False,
    ) -> str:
        """Open a session of a SIM, as `Engine.attach`; the code of its line."""
        given = {
            "at_ns": at_ns,
            "imsi": imsi,
            "iccid": iccid,
            "msisdn": msisdn,
            "contract": contract,
            "plan": plan,
            "teid_up": teid_up,
            "teid_down": teid_down,
            "address": address,
            "gateway": gateway,
            "peer": peer,
            "rat": rat,
            "known_only": known_only or None,
        }
        return str(self._ask("attach", **given)["line"])

    def detach(self, line: str, *, at_ns: int | None = None) -> None:
        """Close the session of the line with this code, ICCID or IMSI."""
        self._ask("detach", line=line, at_ns=at_ns)

    def switch_coupon(self, line: str, *, on: bool, at_ns: int | None = None) -> None:
        """Switch a line's coupon on or off (P3)."""
        self._ask("switch", line=line, on=on, at_ns=at_ns)

    def charge(self, contract: str, *, coupons: int, at_ns: int | None = None) -> None:
        """Buy additional coupons of 100 MB for a contract (C3)."""
        self._ask("charge", contract=contract, coupons=coupons, at_ns=at_ns)

    def suspend(self, line: str, *, at_ns: int | None = None) -> None:
        """Suspend a line; its session is cut at once (L1)."""
        self._ask("suspend", line=line, at_ns=at_ns)

    def resume(self, line: str, *, at_ns: int | None = None) -> None:
        """Take a suspended line back into service (L1)."""
        self._ask("resume", line=line, at_ns=at_ns)

    def replace_sim(
        self, line: str, *, iccid: str, imsi: str | None = None, at_ns: int | None = None
    ) -> None:
        """Put a line on a new card (L2)."""
        self._ask("replace", line=line, iccid=iccid, imsi=imsi, at_ns=at_ns)

    def endpoint(self, address: str) -> int:
        """The number by which packets name this outer address (PACKET, `endpoint`)."""
        return int(self._ask("endpoint", address=address)["index"])

    def usage(self, line: str) -> dict[str, Any]:
        """The figures of one line, as `Engine.line_report`."""
        return self._ask("usage", line=line)

    def totals(self) -> dict[str, Any]:
        """The engine's totals and drops, as `Engine.totals`; cheap for any number of SIMs."""
        return self._ask("totals")

    def page(self, after: int = 0, limit: int = PAGE_ROWS_MAX) -> dict[str, Any]:
        """`sims` number `after` to `after + limit - 1` in order of arrival, the `totals` and `now_ns` of
        that moment, and `next`: where to go on, None at the end."""
        return self._ask("snapshot", after=after, limit=limit)

    def snapshot(self) -> dict[str, Any]:
        """The `totals` and all `sims`, page by page; SIMs of later pages are as of later moments."""
        found = self.page()
        while found["next"] is not None:
            more = self.page(found["next"])
            found = more | {"sims": found["sims"] + more["sims"]}
        return {"totals": found["totals"], "sims": found["sims"]}

    # --- packets ----------------------------------------------------------------------------------

    def process(self, batch: Rows) -> Rows:
        """VERDICT[n] for PACKET[n], which is sent in parts where it is long."""
        return next(self.process_many([batch]))

    def process_many(self, batches: Iterable[Rows], in_flight: int = IN_FLIGHT) -> Iterator[Rows]:
        """The verdicts of each batch, in order, with up to `in_flight` messages under way.

        Where one is refused, its error is raised in its place; batches behind it that were under way may
        have been carried out.
        """
        in_flight = min(in_flight, int(self.server["limits"]["in_flight"]))
        out: deque[list[int]] = deque()
        try:
            for batch in batches:
                out.append([])
                for part in self._parts(batch):
                    while len(self._pipeline) >= in_flight:
                        self._receive()
                    out[-1].append(self._send("process", {}, part.tobytes()))
                while out and self._pipeline.answered(out[0]):
                    yield self._verdicts(out.popleft())
            while out:
                yield self._verdicts(out.popleft())
        finally:
            self._pipeline.abandon([request_id for ids in out for request_id in ids])

    def _parts(self, batch: Rows) -> Iterator[Rows]:
        if batch.dtype != PACKET:
            raise UsageError("process: the batch must be an array of engine.layout.PACKET")
        rows_max = int(self.server["limits"]["rows"])
        return (batch[at : at + rows_max] for at in range(0, len(batch), rows_max))

    def _verdicts(self, request_ids: list[int]) -> Rows:
        try:
            bodies = [self._wait(request_id)[1] for request_id in request_ids]
        except PktollError:
            self._pipeline.abandon(request_ids)
            raise
        parts = [np.frombuffer(body, VERDICT) for body in bodies]
        return parts[0] if len(parts) == 1 else np.concatenate([np.zeros(0, VERDICT), *parts])

    # --- the connection ---------------------------------------------------------------------------

    def close(self) -> None:
        """Say goodbye, so that the server forgets this client, and give the connection back."""
        try:
            self._ask("close")
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

    def _connect(self) -> "zmq.Socket[Any]":
        connection: zmq.Socket[Any] = self._context.socket(zmq.DEALER)
        connection.setsockopt(zmq.LINGER, 0)
        connection.setsockopt(zmq.SNDTIMEO, self.timeout_ms)
        connection.setsockopt(zmq.IPV6, int(wants_ipv6(self.service)))
        if self._keys is not None:
            secure_client(connection, self._keys)
        connection.connect(self.service)
        return connection

    def _end(self) -> None:
        self._socket.close()
        self._context.term()

    def _ask(self, verb: str, **args: Any) -> dict[str, Any]:
        """Ask and wait; arguments that are None are left out."""
        given = {name: value for name, value in args.items() if value is not None}
        return self._wait(self._send(verb, given))[0]

    def _send(self, verb: str, args: dict[str, Any], body: bytes = b"") -> int:
        request_id = self._pipeline.ask(verb, args, body)
        self._put(self._pipeline.frames(request_id))
        return request_id

    def _put(self, frames: Frames) -> None:
        """Send a request. Where nobody takes it in time it is as if lost, and is sent again later: a server
        that has refused this client's key leaves it without anyone to send to.
        """
        with contextlib.suppress(zmq.Again):
            self._socket.send_multipart(frames)

    def _wait(self, request_id: int) -> tuple[dict[str, Any], bytes | memoryview]:
        """The result and the rows of the answer to a request."""
        while True:
            answer = self._pipeline.claim(request_id)
            if answer is not None:
                return answer.unwrap()
            self._receive()

    def _receive(self) -> None:
        """Take in what has come, within so many tries; send again what has to be."""
        for left in reversed(range(self.tries)):
            while self._socket.poll(self.timeout_ms):
                done = self._take_all()
                if AGAIN in done:
                    time.sleep(RETRY_MS / 1_000)
                    self._take_all()
                    self._send_again()
                if done & {AGAIN, TAKEN}:
                    return
            if left:
                # old answers may still be on their way over the old connection: start afresh
                self._socket.close()
                self._socket = self._connect()
                self._send_again()
        raise PktollError(
            f"{self.service}: no answer within {self.tries} times {self.timeout_ms} ms; "
            "is the service running there?"
        )

    def _take_all(self) -> set[str]:
        """Enter every answer that is there; what `Pipeline.take` said of them."""
        done = set()
        while self._socket.poll(0):
            frames = [frame.buffer for frame in self._socket.recv_multipart(copy=False)]
            done.add(self._pipeline.take(protocol.decode_answer(frames)))
        return done

    def _send_again(self) -> None:
        for frames in self._pipeline.unanswered():
            self._put(frames)
