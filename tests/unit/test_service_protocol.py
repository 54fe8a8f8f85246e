"""Frames to requests and back, without sockets."""

from typing import Any

import pytest

from engine.errors import AttachError, ServiceError, UsageError
from engine.layout import PACKET
from engine.service import packing, protocol
from engine.service.endpoints import check_endpoint
from engine.service.protocol import BAD_REQUEST, BAD_VERSION, Answer, Request

HEAD: dict[str, Any] = {
    "v": 1,
    "client": "a",
    "id": 7,
    "verb": "switch",
    "args": {"line": "8981", "on": False, "at_ns": 5},
}


def frames(**changes: Any) -> list[bytes]:
    """The frames of HEAD with some keys changed; a key changed to `...` is left out."""
    head = {**HEAD, **changes}
    return [b"", packing.pack({k: v for k, v in head.items() if v is not ...})]


def refusal(message: list[bytes]) -> ServiceError:
    with pytest.raises(ServiceError) as caught:
        protocol.decode(message)
    return caught.value


def fault(message: list[bytes]) -> str:
    """Why it is refused: it is no request at all, or one that cannot be carried out."""
    try:
        return protocol.decode(message).fault
    except ServiceError as error:
        return f"{error.code}: {error}"


def test_a_request_comes_back_as_it_was() -> None:
    request = Request("a", 7, "process", {}, bytes(2 * PACKET.itemsize))
    assert protocol.decode(protocol.encode_request(request)) == request
    assert protocol.decode(frames()) == Request("a", 7, "switch", HEAD["args"], b"")


@pytest.mark.parametrize(
    "message",
    [
        [],
        [b""],
        [packing.pack(HEAD)],
        [packing.pack(HEAD), b""],
        [b"x", packing.pack(HEAD)],
        [b""] * 1_000,
        [b"", b"\xc1"],
        [b"", packing.pack([1])],
        [b"", packing.pack({})],
        frames(id=-1),
        frames(id=True),
        frames(id="7"),
        frames(id=...),
    ],
)
def test_what_has_no_id_is_refused_without_one(message: list[bytes]) -> None:
    """B64, B69, B71"""
    error = refusal(message)
    assert (error.code, error.request_id) == (BAD_REQUEST, protocol.NO_ID)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"v": ...}, "v: must"),
        ({"v": "1"}, "v: must"),
        ({"extra": 1}, "'extra'"),
        ({"verb": "grant"}, "verb: must be one of hello, attach"),
        ({"verb": 3}, "verb: must"),
        ({"verb": ...}, "verb: must"),
        ({"args": ...}, "args: must"),
        ({"args": [1]}, "args: must"),
        ({"client": ...}, "client: must"),
        ({"client": ""}, "client: must"),
        ({"client": "x" * 65}, "client: must"),
        ({"client": "a\x00b"}, "printable"),
        ({"args": {"on": True, "at_ns": 5}}, "args.line: is missing"),
        ({"args": {**HEAD["args"], "force": True}}, "args.force: unknown"),
        ({"args": {**HEAD["args"], "on": 1}}, "args.on: must be bool"),
        ({"args": {**HEAD["args"], "at_ns": True}}, "args.at_ns: must be int"),
        ({"args": {**HEAD["args"], "at_ns": -1}}, "args.at_ns: must be from"),
        ({"args": {**HEAD["args"], "line": None}}, "args.line: must be str"),
        ({"args": {**HEAD["args"], "line": "9" * 10_000}}, ""),
        ({"args": {**HEAD["args"], "line": "1\u202e2"}}, "printable"),
        ({"verb": "attach", "args": {"at_ns": 1, "teid_up": 0}}, "from 1 to 4294967295"),
        ({"verb": "attach", "args": {"at_ns": 1, "teid_up": 1 << 32}}, "from 1 to 4294967295"),
        ({"verb": "totals", "args": {"x": 1}}, "allowed: none"),
        ({"args": {**HEAD["args"], "line": "e\u0301"}}, "printable"),
        ({"args": {**HEAD["args"], "at_ns": (1 << 62) + 1}}, "args.at_ns: must be from"),
        ({"verb": "attach", "args": {"address": 5}}, "must be str or list of str"),
        (
            {"verb": "attach", "args": {"address": ["10.0.0.1", 5]}},
            "args.address: must be a string",
        ),
        ({"verb": "attach", "args": {"address": ["10.0.0.1"] * 9}}, "at most 8"),
        ({"verb": "charge", "args": {"contract": "a", "coupons": 0}}, "from 1 to"),
        ({"verb": "charge", "args": {"contract": "a", "coupons": -3}}, "from 1 to"),
        ({"verb": "charge", "args": {"contract": "a"}}, "args.coupons: is missing"),
        ({"verb": "snapshot", "args": {"limit": 257}}, "from 1 to 256"),
        ({"after": 7}, "after: must"),
        ({"after": True}, "after: must"),
        ({"after": -2}, "after: must"),
    ],
)
def test_a_bad_field_is_named(changes: dict[str, Any], words: str) -> None:
    """B69, B76, B77"""
    assert words in fault(frames(**changes))


def test_quotes_in_a_name_are_only_characters() -> None:
    """B77: nothing that is asked is ever made part of a statement."""
    name = "'; DROP TABLE--"
    args = {**HEAD["args"], "line": name}
    assert protocol.decode(frames(args=args)).args["line"] == name


def test_another_version_is_refused_with_those_that_are_spoken() -> None:
    error = refusal(frames(v=2))
    assert (error.code, error.request_id) == (BAD_VERSION, 7)
    answer = protocol.decode_answer(protocol.encode_error(error.code, str(error), 7))
    assert answer.error is not None
    assert answer.error["versions"] == [1]


@pytest.mark.parametrize(
    ("verb", "size"),
    [("process", 63), ("process", protocol.BODY_BYTES_MAX + 64), ("snapshot", 64)],
)
def test_rows_are_whole_few_and_for_process_only(verb: str, size: int) -> None:
    assert "rows:" in fault([*frames(verb=verb, args={}), bytes(size)])


def test_answers_come_back_as_they_were() -> None:
    assert protocol.decode_answer(protocol.encode_answer(3, {"a": 1})) == Answer(3, {"a": 1})
    answer = protocol.decode_answer(protocol.encode_answer(3, {}, b"xy"))
    assert (answer, answer.unwrap()) == (Answer(3, {}, None, b"xy"), ({}, b"xy"))
    refused = protocol.decode_answer(protocol.encode_error("REFUSED", "no such line", 9))
    with pytest.raises(ServiceError, match="no such line") as caught:
        refused.unwrap()
    assert (caught.value.code, caught.value.request_id) == ("REFUSED", 9)


def test_why_a_sim_may_not_attach_is_told() -> None:
    """L1"""
    refused = protocol.decode_answer(protocol.encode_error("REFUSED", "it is", 9, "suspended"))
    with pytest.raises(AttachError, match="it is") as caught:
        refused.unwrap()
    assert caught.value.reason == "suspended"


def test_who_is_too_quick_is_told_when_to_come_again() -> None:
    answer = protocol.decode_answer(protocol.encode_error("SLOW_DOWN", "too many", 9))
    assert (answer.code, answer.error) == (
        "SLOW_DOWN",
        {"code": "SLOW_DOWN", "message": "too many", "retry_ms": 50},
    )


def test_what_must_come_before_goes_along() -> None:
    request = Request("a", 7, "totals", {}, b"", 5)
    assert protocol.decode(protocol.encode_request(request)).after == 5
    assert protocol.decode(frames()).after == protocol.NO_AFTER


@pytest.mark.parametrize(
    "answer",
    [
        [b""],
        [b"x", b"y"],
        [b"", packing.pack([1])],
        [b"", packing.pack({"id": "1"})],
        [b"", packing.pack({"id": 1})],
        [b"", packing.pack({"id": 1, "error": 5})],
        [b"", packing.pack({"id": 1, "error": {}})],
    ],
)
def test_an_answer_of_something_else_is_refused(answer: list[bytes]) -> None:
    with pytest.raises(UsageError, match="not one of this protocol"):
        protocol.decode_answer(answer)


@pytest.mark.parametrize(
    "endpoint",
    ["ipc:///tmp/a.sock", "ipc://a", "tcp://127.0.0.1:5555", "tcp://127.0.0.1:*", "tcp://[::1]:80"],
)
def test_endpoints_of_this_machine_are_allowed(endpoint: str) -> None:
    """G10"""
    assert check_endpoint(endpoint) == endpoint


@pytest.mark.parametrize(
    "endpoint",
    [
        "tcp://0.0.0.0:5555",
        "tcp://*:5555",
        "tcp://[::]:5555",
        "tcp://192.0.2.1:5555",
        "tcp://localhost:5555",
        "tcp://127.0.0.1:0",
        "tcp://127.0.0.1:65536",
        "tcp://127.0.0.1",
        "tcp://eth0:5555",
        "tcp://127.0.0.1:5555;tcp://0.0.0.0:5555",
        "ipc://@abstract",
        "ipc://" + "a" * 101,
        "ipc://a\nb",
        "ipc://",
        "pgm://239.0.0.1:5555",
        "inproc://a",
        "",
    ],
)
def test_nothing_reaches_beyond_this_machine(endpoint: str) -> None:
    """G10"""
    with pytest.raises(UsageError, match="nothing listens beyond"):
        check_endpoint(endpoint)


def test_hello_describes_the_records() -> None:
    said = protocol.hello(4, ["hello"], {"clients": 3})
    assert (said["api_version"], said["last_id"], said["packet_bytes"]) == (1, 4, 64)
    assert (said["limits"]["clients"], said["limits"]["rows"]) == (3, protocol.ROWS_MAX)
    assert ["teid", "<u4", 40] in said["packet"]
    assert said["verdict"] == [
        ["departure_ns", "<i8", 0],
        ["code", "<i4", 8],
        ["charged_bytes", "<i4", 12],
    ]


@pytest.mark.parametrize(
    "endpoint",
    ["tcp://0.0.0.0:5555", "tcp://*:*", "tcp://[::]:80", "tcp://gw.example:1", "tcp://eth0:5555"],
)
def test_with_keys_other_machines_may_be_named(endpoint: str) -> None:
    """G10"""
    assert check_endpoint(endpoint, beyond=True) == endpoint


@pytest.mark.parametrize(
    "endpoint", ["tcp://a b:1", "tcp://;:1", "tcp://a", "tcp://a:0", "udp://a:1", "ipc://@a"]
)
def test_what_is_no_endpoint_is_none_with_keys_either(endpoint: str) -> None:
    with pytest.raises(UsageError, match="HOST:PORT"):
        check_endpoint(endpoint, beyond=True)
