"""The service's messages, without sockets: frames -> `Request`, answers -> frames; docs/protocol.md.

A message is an empty frame and one with a msgpack map; for `process` a third holds the packets:

    ask:    {"v": 1, "client": name, "id": n, "verb": verb, "args": {…}, "after": m}  [+ PACKET rows]
    answer: {"v": 1, "id": n, "ok": {…}}                                             [+ VERDICT rows]
            {"v": 1, "id": n, "error": {"code": …, "message": …}}

`client` is a name that the client chooses and keeps over reconnections; `id` grows with every new
request of that client, and a repeated one gets the stored answer (`engine.service.replies`). `after`,
which may be left out, is the id that must have been carried out before.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from engine.errors import AttachError, ServiceError, UsageError
from engine.layout import PACKET, VERDICT
from engine.service import packing
from engine.service.verbs import PAGE_ROWS_MAX, VERBS, check_args, check_text

API_VERSION = 1
API_VERSIONS = (1,)
"""versions spoken; the one of a request is that of its answer"""
ROWS_MAX = 16_000
"""packets in one message: with what CURVE adds, a frame stays below packing.MESSAGE_BYTES_MAX"""
BODY_BYTES_MAX = ROWS_MAX * PACKET.itemsize
FRAMES_MAX = 3
IN_FLIGHT_MAX = 16
"""requests that a client may have sent without an answer: as many answers are kept for it, and more"""
RETRY_MS = 50
"""after SLOW_DOWN: when to ask again"""
NO_ID = -1
"""id of an answer to something that had none"""
NO_AFTER = -1

BAD_REQUEST: Final = "BAD_REQUEST"
BAD_VERSION: Final = "BAD_VERSION"
UNKNOWN_CLIENT: Final = "UNKNOWN_CLIENT"
ID_REUSED: Final = "ID_REUSED"
ID_FORGOTTEN: Final = "ID_FORGOTTEN"
OUT_OF_ORDER: Final = "OUT_OF_ORDER"
TOO_MANY_CLIENTS: Final = "TOO_MANY_CLIENTS"
SLOW_DOWN: Final = "SLOW_DOWN"
REFUSED: Final = "REFUSED"

CODES: dict[str, str] = {
    BAD_REQUEST: "not a request of this protocol, or not one that could be carried out; nothing changed",
    BAD_VERSION: "`v` is a version that is not spoken here; `versions` lists those that are",
    UNKNOWN_CLIENT: "no hello has come from this client since the server started: nothing is known of"
    " what it asked before",
    ID_REUSED: "the id stood for another request; this one was not carried out",
    ID_FORGOTTEN: "the id, or a larger one, was used, and its answer is no longer kept; not carried"
    " out again",
    OUT_OF_ORDER: "the request named in `after` was not carried out yet; ask again behind it",
    TOO_MANY_CLIENTS: "as many clients as are allowed have said hello",
    SLOW_DOWN: "more requests a second than are allowed; not carried out: ask again, with the same"
    " id, after `retry_ms`",
    REFUSED: "the engine says no; `message` says why, and for a SIM that may not attach `reason` is"
    " one of unknown, suspended, replaced, ended, no-ipv6. What the message of a batch that failed"
    " half-way says is so: it is not carried out again",
}


@dataclass(frozen=True, slots=True)
class Request:
    """What a client asks; `args` are as `VERBS` says, `body` (PACKET rows) is for `process` only.

    With a `fault` it cannot be carried out: `verb` and `args` are empty, and `body` is the whole map, so
    that it can be told from others of the same id.
    """

    client: str
    request_id: int
    verb: str
    args: dict[str, Any]
    body: bytes | memoryview = b""
    after: int = field(default=NO_AFTER, compare=False)
    fault: str = ""


@dataclass(frozen=True, slots=True)
class Answer:
    """What the service answers: `result` or `error` (a map with `code` and `message`), and VERDICT rows."""

    request_id: int
    result: dict[str, Any] | None
    error: dict[str, Any] | None = None
    body: bytes | memoryview = b""

    @property
    def code(self) -> str:
        """The error's code; empty where the request was carried out."""
        return "" if self.error is None else str(self.error["code"])

    def unwrap(self) -> tuple[dict[str, Any], bytes | memoryview]:
        """(result, rows); AttachError for a SIM that may not attach, else ServiceError, on an error."""
        if self.result is not None:
            return self.result, self.body
        assert self.error is not None
        message = str(self.error["message"])
        if "reason" in self.error:
            raise AttachError(str(self.error["reason"]), message)
        raise ServiceError(self.code, message, self.request_id)


def decode(frames: Sequence[bytes | memoryview]) -> Request:
    """A request from the frames after the sender's identity; ServiceError where it is none.

    Where client and id can be read, it is one, if with a fault: its refusal is its answer, as any other.
    """
    if not 2 <= len(frames) <= FRAMES_MAX or frames[0] != b"":
        raise ServiceError(BAD_REQUEST, "a message is an empty frame, a msgpack map, and rows")
    try:
        head = packing.unpack(bytes(frames[1]))
    except UsageError as error:
        raise ServiceError(BAD_REQUEST, str(error)) from None
    if not isinstance(head, dict):
        raise ServiceError(BAD_REQUEST, "a request is a map")
    request_id = head.get("id")
    if type(request_id) is not int or request_id < 0:
        raise ServiceError(BAD_REQUEST, "id: must be an integer from 0 on")
    try:
        client, after = _origin(head, request_id)
    except UsageError as error:
        raise ServiceError(BAD_REQUEST, str(error), request_id) from None
    body = frames[2] if len(frames) == FRAMES_MAX else b""
    try:
        verb, args = _what(head, body)
    except UsageError as error:
        return Request(client, request_id, "", {}, frames[1], after, str(error))
    return Request(client, request_id, verb, args, body, after)


def _origin(head: dict[str, Any], request_id: int) -> tuple[str, int]:
    """(client, after) of a request in a version that is spoken."""
    if type(head.get("v")) is not int:
        raise UsageError("v: must be the protocol's version, an integer")
    if head["v"] not in API_VERSIONS:
        spoken = ", ".join(map(str, API_VERSIONS))
        message = f"version {head['v']} is not spoken here; spoken: {spoken}"
        raise ServiceError(BAD_VERSION, message, request_id)
    client, after = head.get("client"), head.get("after", NO_AFTER)
    check_text("client", client)
    if type(after) is not int or not NO_AFTER <= after < request_id:
        raise UsageError("after: must be the id of an earlier request")
    return str(client), after


def _what(head: dict[str, Any], body: bytes | memoryview) -> tuple[str, dict[str, Any]]:
    """(verb, args) of a request; UsageError for what is wrong with them, or with the rows."""
    unknown = head.keys() - {"v", "client", "id", "verb", "args", "after"}
    if unknown:
        raise UsageError(f"{min(unknown)[:80]!r}: no such key of a request")
    verb, args = head.get("verb"), head.get("args")
    fields = VERBS.get(verb) if isinstance(verb, str) else None
    if fields is None or not isinstance(verb, str):
        raise UsageError(f"verb: must be one of {', '.join(VERBS)}")
    if not isinstance(args, dict):
        raise UsageError("args: must be a map")
    check_args(args, fields)
    if len(body) > BODY_BYTES_MAX or len(body) % PACKET.itemsize or (body and verb != "process"):
        raise UsageError(
            f"rows: at most {ROWS_MAX} of {PACKET.itemsize} bytes, and for process only"
        )
    return verb, args


def encode_request(request: Request) -> list[bytes | memoryview]:
    """The frames of a request."""
    head = {
        "v": API_VERSION,
        "client": request.client,
        "id": request.request_id,
        "verb": request.verb,
        "args": request.args,
    }
    if request.after != NO_AFTER:
        head["after"] = request.after
    return [b"", packing.pack(head), *([request.body] if request.body else [])]


def encode_answer(
    request_id: int, result: dict[str, Any], body: bytes | memoryview = b""
) -> list[bytes | memoryview]:
    """The frames of an answer."""
    head = packing.pack({"v": API_VERSION, "id": request_id, "ok": result})
    return [b"", head, *([body] if body else [])]


def encode_error(
    code: str, message: str, request_id: int, reason: str | None = None
) -> list[bytes | memoryview]:
    """The frames of a refusal; `reason`: why a SIM may not attach."""
    what: dict[str, Any] = {"code": code, "message": message}
    if code == BAD_VERSION:
        what["versions"] = list(API_VERSIONS)
    if code == SLOW_DOWN:
        what["retry_ms"] = RETRY_MS
    if reason is not None:
        what["reason"] = reason
    return [b"", packing.pack({"v": API_VERSION, "id": request_id, "error": what})]


def decode_answer(frames: Sequence[bytes | memoryview]) -> Answer:
    """The answer in these frames; UsageError where it is none of this protocol."""
    if 2 <= len(frames) <= FRAMES_MAX and frames[0] == b"":
        head: Any = packing.unpack(bytes(frames[1]), trusted=True)
        match head:
            case {"id": int(answered_id), "ok": dict(result)}:
                body = frames[2] if len(frames) == FRAMES_MAX else b""
                return Answer(answered_id, result, None, body)
            case {"id": int(answered_id), "error": {"code": str(), "message": str()} as what}:
                return Answer(answered_id, None, {str(name): value for name, value in what.items()})
    raise UsageError("the service's answer is not one of this protocol")


def hello(last_id: int, capabilities: list[str], limits: dict[str, int]) -> dict[str, Any]:
    """What a server says of itself: enough to make packets and to read verdicts anywhere."""
    own = {
        "rows": ROWS_MAX,
        "message_bytes": packing.MESSAGE_BYTES_MAX,
        "in_flight": IN_FLIGHT_MAX,
        "page_rows": PAGE_ROWS_MAX,
    }
    return {
        "api_version": API_VERSION,
        "versions": list(API_VERSIONS),
        "capabilities": capabilities,
        "last_id": last_id,
        "limits": own | limits,
        "packet": _columns(PACKET),
        "packet_bytes": PACKET.itemsize,
        "verdict": _columns(VERDICT),
        "verdict_bytes": VERDICT.itemsize,
    }


def _columns(dtype: Any) -> list[list[Any]]:
    return [[name, dtype[name].str, dtype.fields[name][1]] for name in dtype.names]
