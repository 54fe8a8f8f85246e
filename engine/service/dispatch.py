"""Requests -> calls of an engine -> answers; no sockets here."""

from collections.abc import Callable, Sequence
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from engine import verdict
from engine.errors import PktollError, ServiceError
from engine.layout import PACKET
from engine.service import protocol
from engine.service.protocol import BAD_REQUEST, REFUSED, Request
from engine.service.replies import Frames, Replies
from engine.units import IP_LENGTH_MAX
from engine.wire.addresses import parse_address

Rows = npt.NDArray[Any]


class EndpointsLike(Protocol):
    """Outer addresses of GTP-U receivers, by number."""

    def intern(self, hi: int, lo: int) -> int: ...

    def __len__(self) -> int: ...


class EngineLike(Protocol):
    """What the service needs of `engine.Engine`."""

    @property
    def endpoints(self) -> EndpointsLike: ...

    def attach(
        self,
        *,
        at_ns: int,
        imsi: str | None = None,
        iccid: str | None = None,
        msisdn: str | None = None,
        contract: str | None = None,
        plan: str | None = None,
        teid_up: int | None = None,
        teid_down: int | None = None,
        address: str | None = None,
        gateway: str | None = None,
    ) -> Any: ...

    def process(self, batch: Rows) -> Rows: ...

    def switch_coupon(self, line: str, /, *, on: bool, at_ns: int) -> None: ...

    def snapshot(self) -> dict[str, Any]: ...


class Dispatcher:
    """Carries out requests one by one, in the order in which they come."""

    def __init__(self, engine: EngineLike, replies: Replies | None = None) -> None:
        self.engine = engine
        self.replies = replies or Replies()
        self.refused = 0
        self._verbs: dict[str, Callable[[Request], Frames]] = {
            "attach": self._attach,
            "switch": self._switch,
            "endpoint": self._endpoint,
            "process": self._process,
            "snapshot": self._snapshot,
        }

    def answer(self, frames: Sequence[bytes]) -> Frames:
        """The answer to the frames of a message, after the sender's identity; whatever they are."""
        request_id = protocol.NO_ID
        try:
            request = protocol.decode(frames)
            request_id = request.request_id
            return self._answer(request)
        except ServiceError as error:
            self.refused += 1
            error.request_id = max(error.request_id, request_id)
            return protocol.encode_error(error)

    def _answer(self, request: Request) -> Frames:
        if request.verb == "hello":
            last_id = self.replies.greet(request.client)
            return protocol.encode_answer(request.request_id, protocol.hello(last_id))
        if request.verb == "close":
            self.replies.forget(request.client)
            return protocol.encode_answer(request.request_id, {})
        kept = self.replies.find(request)
        if kept is not None:
            return kept
        try:
            made = self._verbs[request.verb](request)
        except ServiceError as error:
            error.request_id = request.request_id
            made = protocol.encode_error(error)
        except PktollError as error:
            made = protocol.encode_error(ServiceError(REFUSED, str(error), request.request_id))
        if request.verb != "snapshot":  # a look changes nothing, and can be as large as the engine
            self.replies.keep(request, made)
        return made

    def _attach(self, request: Request) -> Frames:
        for name in ("address", "gateway"):
            text = request.args.get(name)
            if text is not None:
                halves(
                    name, text.removesuffix("/64") if name == "address" and ":" in text else text
                )
        self.engine.attach(**request.args)
        return protocol.encode_answer(request.request_id, {})

    def _switch(self, request: Request) -> Frames:
        args = request.args
        self.engine.switch_coupon(args["iccid"], on=args["on"], at_ns=args["at_ns"])
        return protocol.encode_answer(request.request_id, {})

    def _endpoint(self, request: Request) -> Frames:
        """The number by which packets name an outer address (layout.PACKET, `endpoint`)."""
        index = self.engine.endpoints.intern(*halves("address", request.args["address"]))
        return protocol.encode_answer(request.request_id, {"index": index})

    def _process(self, request: Request) -> Frames:
        batch: Rows = np.frombuffer(request.body, PACKET).copy()
        check_batch(batch, len(self.engine.endpoints))
        verdicts = self.engine.process(batch)
        return protocol.encode_answer(
            request.request_id, {"rows": len(verdicts)}, verdicts.tobytes()
        )

    def _snapshot(self, request: Request) -> Frames:
        return protocol.encode_answer(request.request_id, self.engine.snapshot())


def halves(name: str, text: str) -> tuple[int, int]:
    """The two halves of an address; ServiceError where it is none."""
    try:
        return parse_address(text)
    except ValueError:
        raise ServiceError(BAD_REQUEST, f"args.{name}: {text!r} is not an address") from None


_CODES = np.array([verdict.NONE, *(c for c in verdict.NAMES if c > verdict.FORWARD_MAX)])


def check_batch(batch: Rows, endpoints: int) -> None:
    """ServiceError where a row cannot be a packet: kernels trust what `wire` has checked."""
    faults = {
        "time_ns": batch["time_ns"] < 0,
        "length": (batch["length"] < 0) | (batch["length"] > IP_LENGTH_MAX),
        "endpoint": (batch["endpoint"] < -1) | (batch["endpoint"] >= endpoints),
        "code": ~np.isin(batch["code"], _CODES),
    }
    faults["time_ns"][1:] |= np.diff(batch["time_ns"]) < 0
    for name, wrong in faults.items():
        if wrong.any():
            row = int(np.argmax(wrong))
            raise ServiceError(
                BAD_REQUEST, f"row {row}: {name} {int(batch[name][row])} cannot be a packet's"
            )
