"""The service's messages, without sockets: frames -> `Request`, answers -> frames.

A message is an empty frame and one with a msgpack map; for `process` a third holds the packets:

    ask:    {"v": 1, "client": name, "id": n, "verb": verb, "args": {…}}          [+ PACKET rows]
    answer: {"v": 1, "id": n, "ok": {…}}                                          [+ VERDICT rows]
            {"v": 1, "id": n, "error": {"code": …, "message": …}}

`client` is a name that the client chooses and keeps over reconnections; `id` grows with every new
request of that client, and a repeated one gets the stored answer (`engine.service.replies`).
"""

import ipaddress
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from engine.errors import ServiceError, UsageError
from engine.layout import PACKET, VERDICT
from engine.service import packing

API_VERSION = 1
ROWS_MAX = 16_384
BODY_BYTES_MAX = ROWS_MAX * PACKET.itemsize
FRAMES_MAX = 3
TEXT_CHARACTERS_MAX = 64
NO_ID = -1
"""id of an answer to something that had none"""

BAD_REQUEST = "BAD_REQUEST"
BAD_VERSION = "BAD_VERSION"
UNKNOWN_CLIENT = "UNKNOWN_CLIENT"
ID_REUSED = "ID_REUSED"
ID_FORGOTTEN = "ID_FORGOTTEN"
TOO_MANY_CLIENTS = "TOO_MANY_CLIENTS"
REFUSED = "REFUSED"
"""error codes; REFUSED: the engine says no, and why"""


class Field(NamedTuple):
    """An argument of a verb: type, range (of an integer), and whether it must be there."""

    kind: type
    required: bool
    low: int = 0
    high: int = packing.INT_MAX


_AT_NS = Field(int, True)
_NAME = Field(str, False)
_TEID = Field(int, False, 1, (1 << 32) - 1)

VERBS: dict[str, dict[str, Field]] = {
    "hello": {},
    "attach": {
        "imsi": _NAME,
        "iccid": _NAME,
        "msisdn": _NAME,
        "contract": _NAME,
        "plan": _NAME,
        "teid_up": _TEID,
        "teid_down": _TEID,
        "address": _NAME,
        "gateway": _NAME,
        "at_ns": _AT_NS,
    },
    "switch": {"iccid": Field(str, True), "on": Field(bool, True), "at_ns": _AT_NS},
    "endpoint": {"address": Field(str, True)},
    "process": {},
    "snapshot": {},
    "close": {},
}


@dataclass(frozen=True, slots=True)
class Request:
    """What a client asks; `args` are as `VERBS` says, `body` is for `process` only."""

    client: str
    request_id: int
    verb: str
    args: dict[str, Any]
    body: bytes


def decode(frames: Sequence[bytes]) -> Request:
    """A request from the frames after the sender's identity; ServiceError where it is none."""
    if not 2 <= len(frames) <= FRAMES_MAX or frames[0] != b"":
        raise ServiceError(BAD_REQUEST, "a message is an empty frame, a msgpack map, and rows")
    try:
        head = packing.unpack(frames[1])
    except UsageError as error:
        raise ServiceError(BAD_REQUEST, str(error)) from None
    if not isinstance(head, dict):
        raise ServiceError(BAD_REQUEST, "a request is a map")
    request_id = head.get("id")
    if type(request_id) is not int or request_id < 0:
        raise ServiceError(BAD_REQUEST, "id: must be an integer from 0 on")
    try:
        return _request(head, request_id, frames[2] if len(frames) == FRAMES_MAX else b"")
    except UsageError as error:
        raise ServiceError(BAD_REQUEST, str(error), request_id) from None


def _request(head: dict[str, Any], request_id: int, body: bytes) -> Request:
    if type(head.get("v")) is not int:
        raise UsageError("v: must be the protocol's version, an integer")
    if head["v"] != API_VERSION:
        message = f"version {head['v']} is not spoken here, only {API_VERSION}"
        raise ServiceError(BAD_VERSION, message, request_id)
    unknown = head.keys() - {"v", "client", "id", "verb", "args"}
    if unknown:
        raise UsageError(f"{min(unknown)[:80]!r}: no such key of a request")
    verb, args = head.get("verb"), head.get("args")
    fields = VERBS.get(verb) if isinstance(verb, str) else None
    if fields is None or not isinstance(verb, str):
        raise UsageError(f"verb: must be one of {', '.join(VERBS)}")
    if not isinstance(args, dict):
        raise UsageError("args: must be a map")
    client = head.get("client")
    _check_text("client", client)
    _check_args(args, fields)
    if len(body) > BODY_BYTES_MAX or len(body) % PACKET.itemsize or (body and verb != "process"):
        raise UsageError(
            f"rows: at most {ROWS_MAX} of {PACKET.itemsize} bytes, and for process only"
        )
    return Request(str(client), request_id, verb, args, body)


def _check_args(args: dict[str, Any], fields: dict[str, Field]) -> None:
    for name, value in args.items():
        field = fields.get(name)
        if field is None:
            raise UsageError(f"args.{name[:80]}: unknown; allowed: {', '.join(fields) or 'none'}")
        if type(value) is not field.kind:
            raise UsageError(f"args.{name}: must be {field.kind.__name__}")
        if type(value) is int and not field.low <= value <= field.high:
            raise UsageError(f"args.{name}: must be from {field.low} to {field.high}")
        if field.kind is str:
            _check_text(f"args.{name}", value)
    for name, field in fields.items():
        if field.required and name not in args:
            raise UsageError(f"args.{name}: is missing")


def _check_text(name: str, value: Any) -> None:
    """Names go into reports and logs: short, and without control or direction characters."""
    if type(value) is not str or not 0 < len(value) <= TEXT_CHARACTERS_MAX:
        raise UsageError(f"{name}: must be a string of 1 to {TEXT_CHARACTERS_MAX} characters")
    if not value.isprintable():
        raise UsageError(f"{name}: must be printable characters only")


def encode_request(request: Request) -> list[bytes]:
    """The frames of a request."""
    head = {
        "v": API_VERSION,
        "client": request.client,
        "id": request.request_id,
        "verb": request.verb,
        "args": request.args,
    }
    return [b"", packing.pack(head), *([request.body] if request.body else [])]


def encode_answer(request_id: int, result: dict[str, Any], body: bytes = b"") -> list[bytes]:
    """The frames of an answer."""
    head = packing.pack({"v": API_VERSION, "id": request_id, "ok": result})
    return [b"", head, *([body] if body else [])]


def encode_error(error: ServiceError) -> list[bytes]:
    """The frames of a refusal."""
    what = {"code": error.code, "message": str(error)}
    return [b"", packing.pack({"v": API_VERSION, "id": error.request_id, "error": what})]


def decode_answer(frames: Sequence[bytes]) -> tuple[int, dict[str, Any], bytes]:
    """(id, result, rows) of an answer; ServiceError where the server refused, else UsageError."""
    if 2 <= len(frames) <= FRAMES_MAX and frames[0] == b"":
        match packing.unpack(frames[1], trusted=True):
            case {"id": int(answered_id), "ok": dict(result)}:
                return answered_id, result, frames[2] if len(frames) == FRAMES_MAX else b""
            case {"id": int(answered_id), "error": {"code": str(code), "message": str(message)}}:
                raise ServiceError(code, message, answered_id)
    raise UsageError("the service's answer is not one of this protocol")


def hello(last_id: int) -> dict[str, Any]:
    """What a server says of itself: enough to make packets and to read verdicts anywhere."""
    return {
        "api_version": API_VERSION,
        "capabilities": list(VERBS),
        "last_id": last_id,
        "limits": {"rows": ROWS_MAX, "message_bytes": packing.MESSAGE_BYTES_MAX},
        "packet": _columns(PACKET),
        "packet_bytes": PACKET.itemsize,
        "verdict": _columns(VERDICT),
        "verdict_bytes": VERDICT.itemsize,
    }


def _columns(dtype: Any) -> list[list[Any]]:
    return [[name, dtype[name].str, dtype.fields[name][1]] for name in dtype.names]


def check_endpoint(text: str) -> str:
    """The endpoint, if it can be reached from this machine only; UsageError otherwise (G10)."""
    path = re.fullmatch(r"ipc://([^@].*)", text)
    if path and path[1].isprintable() and len(path[1].encode()) <= 100:
        return text
    tcp = re.fullmatch(r"tcp://(.+):(\d{1,5}|\*)", text)
    if tcp and (tcp[2] == "*" or 0 < int(tcp[2]) < 65_536):
        try:
            host = ipaddress.ip_address(tcp[1].removeprefix("[").removesuffix("]"))
        except ValueError:
            host = None
        if host is not None and str(host) in ("127.0.0.1", "::1"):
            return text
    raise UsageError(
        f"endpoint {text!r:.120}: must be ipc://PATH (at most 100 bytes), tcp://127.0.0.1:PORT or "
        "tcp://[::1]:PORT; nothing listens beyond this machine"
    )
