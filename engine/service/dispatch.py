"""Requests -> calls of an engine -> answers; no sockets here."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from engine import verdict
from engine.errors import AttachError, LedgerError, PktollError, PoolFenced, ServiceError
from engine.layout import PACKET
from engine.service import packing, protocol
from engine.service.protocol import BAD_REQUEST, NO_ID, REFUSED, SLOW_DOWN, Request
from engine.service.replies import Frames, Replies
from engine.service.verbs import LOOKS, PAGE_ROWS_MAX, TIME_NS_MAX, VERBS
from engine.units import IP_LENGTH_MAX
from engine.wire.addresses import parse_address

Rows = npt.NDArray[Any]

SMALL_HEAD_BYTES = 4_096
"""heads up to here are read even where the answer will be SLOW_DOWN, so that it can name the request"""


class EndpointsLike(Protocol):
    """Outer addresses of GTP-U receivers, by number."""

    def intern(self, hi: int, lo: int) -> int: ...

    def __len__(self) -> int: ...


class EngineLike(Protocol):
    """What the service needs of `engine.Engine`."""

    @property
    def endpoints(self) -> EndpointsLike: ...

    @property
    def now_ns(self) -> int: ...

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
        address: str | Sequence[str] | None = None,
        gateway: str | None = None,
        peer: str | None = None,
        rat: str | None = None,
        known_only: bool = False,
    ) -> str: ...

    def detach(self, line: str, *, at_ns: int) -> None: ...

    def switch_coupon(self, line: str, *, on: bool, at_ns: int) -> None: ...

    def charge(self, contract: str, *, coupons: int, at_ns: int) -> None: ...

    def suspend(self, line: str, *, at_ns: int) -> None: ...

    def resume(self, line: str, *, at_ns: int) -> None: ...

    def replace_sim(
        self, line: str, *, iccid: str, imsi: str | None = None, at_ns: int
    ) -> None: ...

    def process(self, batch: Rows) -> Rows: ...

    def line_report(self, line: str) -> dict[str, Any]: ...

    def lines_report(self, after: int, limit: int) -> list[dict[str, Any]]: ...

    def totals(self) -> dict[str, Any]: ...

    def keep_events(self, events_max: int) -> None: ...

    def take_events(self) -> list[tuple[int, str, str]]: ...

    def hear(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Rules:
    """What a dispatcher lets clients do, and what it tells them.

    `verbs`: those that are carried out (`verbs.CONTROL` for a gateway with sessions of its own);
    `known_only`: SIMs that nobody has entered are refused, whatever the request says; `now_ns`: the time of
    requests that do not say one, by default the engine's; `gateway`: figures of the program around the
    engine, shown beside the totals; `limits` and `telemetry`: what hello says of the server.
    """

    verbs: frozenset[str] = frozenset(VERBS)
    known_only: bool = False
    now_ns: Callable[[], int] | None = None
    gateway: Callable[[], dict[str, Any]] | None = None
    limits: dict[str, int] = field(default_factory=dict)
    telemetry: dict[str, Any] | None = None


class Dispatcher:
    """Carries out requests one by one, in the order in which they come."""

    def __init__(
        self,
        engine: EngineLike,
        replies: Replies | None = None,
        rules: Rules | None = None,
    ) -> None:
        self.engine = engine
        self.replies = replies or Replies()
        self.rules = rules or Rules()
        self.requests = 0
        self.refused = 0
        self.slowed = 0
        self._verbs: dict[str, Callable[[Request], Frames]] = {
            "attach": self._attach,
            "endpoint": self._endpoint,
            "process": self._process,
        }
        self._calls: dict[str, Callable[..., Any]] = {
            "detach": engine.detach,
            "switch": engine.switch_coupon,
            "charge": engine.charge,
            "suspend": engine.suspend,
            "resume": engine.resume,
            "replace": engine.replace_sim,
        }
        self._looks: dict[str, Callable[[Request], dict[str, Any]]] = {
            "hello": self._hello,
            "usage": lambda request: engine.line_report(request.args["line"]),
            "totals": lambda _: self.totals(),
            "snapshot": self._snapshot,
            "close": self._close,
        }

    def answer(self, frames: Sequence[bytes | memoryview], user: str = "") -> Frames:
        """The answer to the frames of a message, after the sender's identity; whatever they are.

        `user` is whoever the connection's key belongs to; clients of two users never meet, whatever
        they call themselves. PoolFenced and LedgerError are not for the client: the engine must stop.
        """
        self.requests += 1
        request_id = NO_ID
        try:
            request = protocol.decode(frames)
            request_id = request.request_id
            if user:
                request = replace(request, client=f"{request.client}@{user}")
            return self._answer(request)
        except ServiceError as error:
            self.refused += 1
            return protocol.encode_error(error.code, str(error), max(error.request_id, request_id))

    def slow_down(self, frames: Sequence[bytes | memoryview]) -> Frames:
        """The answer to a peer that asks too often; the request is not looked at."""
        self.slowed += 1
        request_id: Any = NO_ID
        try:
            if len(frames) > 1 and len(frames[1]) <= SMALL_HEAD_BYTES:
                head = packing.unpack(bytes(frames[1]))
                request_id = head.get("id") if isinstance(head, dict) else NO_ID
        except PktollError:
            pass  # it is told to slow down as everybody else is
        if type(request_id) is not int or request_id < 0:
            request_id = NO_ID
        message = f"too many requests; ask again in {protocol.RETRY_MS} ms"
        return protocol.encode_error(SLOW_DOWN, message, request_id)

    def _answer(self, request: Request) -> Frames:
        if request.fault and not self.replies.knows(request.client):
            raise ServiceError(BAD_REQUEST, request.fault)
        if request.verb in LOOKS & self.rules.verbs:
            return self._carry_out(request, self._look)
        kept = self.replies.find(request)
        if kept is None:
            how = self._verbs.get(request.verb, self._call)
            kept = self._carry_out(
                request, how if request.verb in self.rules.verbs else self._refuse
            )
            self.replies.keep(request, kept)
        return kept

    def _refuse(self, request: Request) -> Frames:
        missing = f"{request.verb}: not here; hello lists under capabilities what is"
        raise ServiceError(BAD_REQUEST, request.fault or missing)

    def _carry_out(self, request: Request, how: Callable[[Request], Frames]) -> Frames:
        try:
            return how(request)
        except (PoolFenced, LedgerError):
            raise
        except ServiceError as error:
            code, message, reason = error.code, str(error), None
        except AttachError as error:
            code, message, reason = REFUSED, str(error), error.reason
        except PktollError as error:
            code, message, reason = REFUSED, str(error), None
        self.refused += 1
        return protocol.encode_error(code, message, request.request_id, reason)

    def _look(self, request: Request) -> Frames:
        if request.verb != "hello":
            self.replies.check(request)
        found = self._looks[request.verb](request)
        return protocol.encode_answer(request.request_id, found)

    def _hello(self, request: Request) -> dict[str, Any]:
        rules = self.rules
        last_id = self.replies.greet(request.client)
        limits = {"clients": self.replies.clients_max} | rules.limits
        said = protocol.hello(last_id, [v for v in VERBS if v in rules.verbs], limits)
        return said | {"now_ns": self.now_ns, "telemetry": rules.telemetry}

    def _close(self, request: Request) -> dict[str, Any]:
        self.replies.forget(request.client)
        return {}

    def _call(self, request: Request) -> Frames:
        """A verb whose arguments are those of the engine's."""
        args = self._timed(request)
        name = args.pop("contract" if request.verb == "charge" else "line")
        self._calls[request.verb](name, **args)
        return protocol.encode_answer(request.request_id, {})

    def _attach(self, request: Request) -> Frames:
        args = self._timed(request)
        addresses = args.get("address", [])
        for text in [addresses] if isinstance(addresses, str) else addresses:
            halves("address", text.removesuffix("/64") if ":" in text else text)
        for name in ("gateway", "peer"):
            if name in args:
                halves(name, args[name])
        if self.rules.known_only:
            args["known_only"] = True
        code = self.engine.attach(**args)
        return protocol.encode_answer(request.request_id, {"line": code})

    def _endpoint(self, request: Request) -> Frames:
        """The number by which packets name an outer address (layout.PACKET, `endpoint`)."""
        index = self.engine.endpoints.intern(*halves("address", request.args["address"]))
        return protocol.encode_answer(request.request_id, {"index": index})

    def _process(self, request: Request) -> Frames:
        batch: Rows = np.frombuffer(request.body, PACKET)
        if not batch.flags.writeable:
            batch = batch.copy()  # kernels are compiled for arrays that may be written to
        check_batch(batch, len(self.engine.endpoints))
        verdicts = self.engine.process(batch)
        body = verdicts.view(np.uint8).data
        return protocol.encode_answer(request.request_id, {"rows": len(verdicts)}, body)

    def _snapshot(self, request: Request) -> dict[str, Any]:
        """A page of SIMs, with the totals as of the same moment."""
        after = request.args.get("after", 0)
        limit = request.args.get("limit", PAGE_ROWS_MAX)
        totals = self.totals()
        rows = self.engine.lines_report(after, limit)
        end = after + len(rows)
        onward = end if end < totals["lines"] else None
        return {"now_ns": self.now_ns, "totals": totals, "sims": rows, "next": onward}

    def totals(self) -> dict[str, Any]:
        """The engine's totals, and the figures of the program around it."""
        totals = self.engine.totals()
        if self.rules.gateway is not None:
            totals["gateway"] = self.rules.gateway()
        return totals

    @property
    def now_ns(self) -> int:
        """The time of requests that do not say one."""
        return self.engine.now_ns if self.rules.now_ns is None else self.rules.now_ns()

    def _timed(self, request: Request) -> dict[str, Any]:
        """The arguments, with a time."""
        args = dict(request.args)
        if "at_ns" not in args:
            args["at_ns"] = self.now_ns
            if args["at_ns"] <= 0:
                raise ServiceError(BAD_REQUEST, "args.at_ns: nothing has said yet what time it is")
        return args


def halves(name: str, text: str) -> tuple[int, int]:
    """The two halves of an address; ServiceError where it is none."""
    try:
        return parse_address(text)
    except ValueError:
        raise ServiceError(BAD_REQUEST, f"args.{name}: {text!r} is not an address") from None


_MAY_COME = np.zeros(256, dtype=np.bool_)
_MAY_COME[[verdict.NONE, *(code for code in verdict.NAMES if code > verdict.FORWARD_MAX)]] = True


def check_batch(batch: Rows, endpoints: int) -> None:
    """ServiceError where a row cannot be a packet: kernels trust what `wire` has checked."""
    times = batch["time_ns"]
    faults = {
        "time_ns": (times < 0) | (times > TIME_NS_MAX),
        "length": (batch["length"] < 0) | (batch["length"] > IP_LENGTH_MAX),
        "endpoint": (batch["endpoint"] < -1) | (batch["endpoint"] >= endpoints),
        "code": ~_MAY_COME[batch["code"]],
    }
    faults["time_ns"][1:] |= times[1:] < times[:-1]
    for name, wrong in faults.items():
        if wrong.any():
            row = int(np.argmax(wrong))
            raise ServiceError(
                BAD_REQUEST, f"row {row}: {name} {int(batch[name][row])} cannot be a packet's"
            )
