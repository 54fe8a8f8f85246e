"""Bad messages, floods and strangers at a service in a process of its own, which goes on serving."""

import resource
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager

import msgpack
import pytest
import zmq

from engine.errors import PktollError, ServiceError
from engine.service import packing, protocol
from engine.service.client import Client
from engine.service.protocol import Request
from engine.units import MB
from tests.support.service import (
    GATEWAY,
    ICCID,
    NOON_NS,
    Running,
    ask,
    attach,
    exchange,
    hello,
    raw_socket,
    running,
    uplink,
)

HALF_OPEN = 5_000
FILES = 2 * HALF_OPEN + 2_000


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    folder = tmp_path_factory.mktemp("service")
    with running(folder, "--pool", f"sqlite:///{folder}/c.db", endpoint="tcp://127.0.0.1:*") as one:
        yield one
        status, said = one.stop()
        assert (status, "Traceback" in said) == (0, False), said


@pytest.fixture
def client(service: Running) -> Iterator[Client]:
    """Another program's connection, which is served before and after."""
    with Client(service.service) as made:
        attach(made)
        yield made
        assert made.process(uplink(2, made.endpoint(GATEWAY)))["code"].tolist() != []


@contextmanager
def named_socket(service: Running, name: bytes) -> Iterator["zmq.Socket[bytes]"]:
    """A DEALER that says itself who it is."""
    with zmq.Context() as context, context.socket(zmq.DEALER) as raw:
        raw.setsockopt(zmq.LINGER, 0)
        raw.setsockopt(zmq.ROUTING_ID, name)
        raw.connect(service.service)
        yield raw


@contextmanager
def bounded(service: Running, more_bytes: int) -> Iterator[None]:
    """What happens inside leaves the process at most so much larger."""
    before = service.resident_bytes
    yield
    assert service.resident_bytes - before < more_bytes


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"\xc1", id="B64"),
        pytest.param(b"\xdd\x7f\xff\xff\xff", id="B65"),
        pytest.param(b"\x91" * 100_000, id="B66"),
        pytest.param(b"\xdd\x00\x0f\x42\x40" * 600, id="B67"),
        pytest.param((b"\xdd\x00\x0f\x42\x40" * 600).ljust(MB, b"\x00"), id="B67-1MB"),
        pytest.param(b"\xdb\xff\xff\xff\xff", id="B68"),
        pytest.param(b"\xc7\x00\x05", id="B69-ext"),
        pytest.param(b"\xd6\xff\x00\x00\x00\x00", id="B69-timestamp"),
        pytest.param(b"\x82\xa1v\x01\xa1v\x01", id="B69-duplicate-key"),
        pytest.param(b"\x81\x01\x01", id="B69-int-key"),
        pytest.param(b"\xa1\xff", id="B69-invalid-utf8"),
        pytest.param(b"\x01\x02", id="B69-trailing"),
    ],
)
def test_a_message_that_is_no_request_is_refused_and_the_connection_lives(
    service: Running, client: Client, data: bytes
) -> None:
    """B64, B65, B66, B67, B68, B69"""
    with bounded(service, 100 * MB):
        refused, greeted = ask(service.service, [b"", data], hello())
    assert (refused.code, refused.request_id) == (protocol.BAD_REQUEST, protocol.NO_ID)
    assert greeted.code == ""


@pytest.mark.parametrize(
    "value", [float("nan"), 1.5, b"5", True, -1, 1 << 62 | 1, (1 << 63) - 1, 1 << 63, (1 << 64) - 1]
)
def test_a_time_that_is_no_time_is_refused(service: Running, client: Client, value: object) -> None:
    """B69"""
    name = f"at {value!r}"
    head = {"v": 1, "client": name, "id": 1, "verb": "suspend"}
    data = msgpack.packb({**head, "args": {"line": ICCID, "at_ns": value}})
    _, refused, greeted = ask(service.service, hello(name), [b"", data], hello(name))
    assert (refused.code, greeted.code) == (protocol.BAD_REQUEST, "")
    assert client.usage(ICCID)["in_service"]


def test_a_message_of_2_mb_ends_its_connection_alone(service: Running, client: Client) -> None:
    """B70"""
    with raw_socket(service.service) as raw:
        raw.setsockopt(zmq.RECONNECT_IVL, -1)
        monitor = raw.get_monitor_socket(zmq.EVENT_DISCONNECTED)
        raw.send_multipart([b"", bytes(2 * MB)])
        assert monitor.poll(10_000), "still connected"
        raw.disable_monitor()
        monitor.close()


@pytest.mark.parametrize(
    "message",
    [[b"no delimiter"], [packing.pack({"v": 1}), b""], [b""] * 1_000, [b"", b"", b"", b""]],
    ids=["no-delimiter", "delimiter-behind", "1000-frames", "four-frames"],
)
def test_frames_in_the_wrong_number_are_refused(
    service: Running, client: Client, message: list[bytes]
) -> None:
    """B71"""
    refused, greeted = ask(service.service, list(message), hello())
    assert (refused.code, greeted.code) == (protocol.BAD_REQUEST, "")


def test_an_identity_that_somebody_has_takes_nothing_from_it(service: Running) -> None:
    """B71: a second connection with the same name for itself gets no answer; the first goes on."""
    with named_socket(service, b"me") as first:
        first.send_multipart(hello())
        assert first.poll(10_000)
        with named_socket(service, b"me") as second:
            second.send_multipart(hello())
            assert not second.poll(200)
        first.send_multipart(hello())
        assert first.poll(10_000)


def test_half_open_connections_do_not_keep_others_out(service: Running, client: Client) -> None:
    """B72: 5 000 of them that never speak; those that are there go on, new ones come in."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    count = HALF_OPEN if hard == resource.RLIM_INFINITY or hard >= FILES else hard // 4
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    host, _, port = service.service.removeprefix("tcp://").partition(":")
    try:
        with ExitStack() as stack:
            for _ in range(count):
                half = stack.enter_context(closing(socket.socket()))
                half.setblocking(False)
                half.connect_ex((host, int(port)))
            assert client.usage(ICCID)["iccid"] == ICCID
            with Client(service.service, timeout_ms=20_000) as another:
                assert another.usage(ICCID)["iccid"] == ICCID
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_a_flood_beyond_the_queue_costs_bounded_memory_and_nobody_its_turn(
    service: Running, client: Client
) -> None:
    """B74: 500 requests of 1 MB at once, and 10 000 small ones."""
    large = [b"", packing.pack({}), bytes(MB)]
    small = protocol.encode_request(Request("b", 1, "totals", {}))
    with bounded(service, 150 * MB), raw_socket(service.service, SNDHWM=0, RCVHWM=0) as raw:
        for _ in range(500):
            raw.send_multipart(large, copy=False)
        for _ in range(10_000):
            raw.send_multipart(small)
        for _ in range(20):
            assert client.usage(ICCID)["iccid"] == ICCID  # while the flood is on


def test_who_never_reads_loses_its_answers_and_delays_nobody(
    service: Running, client: Client
) -> None:
    """B75: large answers, none of them read."""
    request = protocol.encode_request(Request("b", 1, "hello", {}))
    with bounded(service, 100 * MB), raw_socket(service.service, RCVHWM=1, RCVBUF=4_096) as raw:
        for _ in range(5_000):
            raw.send_multipart(request)
        begin = time.monotonic()
        assert client.usage(ICCID)["iccid"] == ICCID
        assert time.monotonic() - begin < client.timeout_ms / 1_000  # answered at the first try


@pytest.mark.parametrize(
    ("verb", "args", "code"),
    [
        ("usage", {"line": "nobody"}, "REFUSED"),
        ("detach", {"line": "nobody", "at_ns": NOON_NS}, "REFUSED"),
        ("charge", {"contract": "nobody", "coupons": 1, "at_ns": NOON_NS}, "REFUSED"),
        ("charge", {"contract": ICCID, "coupons": 31, "at_ns": NOON_NS}, "REFUSED"),
        ("charge", {"contract": ICCID, "coupons": 0, "at_ns": NOON_NS}, "BAD_REQUEST"),
        ("charge", {"contract": ICCID, "coupons": -1, "at_ns": NOON_NS}, "BAD_REQUEST"),
        ("replace", {"line": ICCID, "iccid": ICCID, "at_ns": NOON_NS}, "REFUSED"),
        ("attach", {"imsi": "9", "known_only": True, "at_ns": NOON_NS}, "REFUSED"),
        ("attach", {"imsi": "9", "plan": "no such plan", "at_ns": NOON_NS}, "REFUSED"),
        ("snapshot", {"after": (1 << 63) - 1}, ""),
        ("process", {}, ""),
    ],
)
def test_what_makes_no_sense_is_refused_and_changes_nothing(
    service: Running, client: Client, verb: str, args: dict[str, object], code: str
) -> None:
    """B76"""
    before = client.snapshot()
    request = protocol.encode_request(Request("b", 1, verb, args))
    _, answer, _ = ask(
        service.service, hello(), request, protocol.encode_request(Request("b", 2, "close", {}))
    )
    assert answer.code == code
    assert client.snapshot() == before


def test_ten_thousand_purchases_under_one_id_are_one(service: Running, client: Client) -> None:
    """B76, I3, C3"""
    buy = {"contract": ICCID, "coupons": 1, "at_ns": NOON_NS}
    request = protocol.encode_request(Request("buyer", 1, "charge", buy))
    with raw_socket(service.service) as raw:
        raw.send_multipart(hello("buyer"))
        assert raw.poll(10_000)
        raw.recv_multipart()
        kinds = set()
        for _ in range(625):
            for _ in range(16):
                raw.send_multipart(request)
            for _ in range(16):
                assert raw.poll(10_000)
                kinds.add(protocol.decode_answer(raw.recv_multipart()).code)
    assert kinds <= {"", protocol.SLOW_DOWN}
    client.charge(ICCID, coupons=29, at_ns=NOON_NS)
    with pytest.raises(ServiceError, match="30"):
        client.charge(ICCID, coupons=1, at_ns=NOON_NS)


@pytest.mark.parametrize(
    ("name", "taken"),
    [
        ("'; DROP TABLE line; --", True),
        ("x" * 10_000, False),
        ("a\x00b", False),
        ("a\u202eb", False),
        ("e\u0301", False),
        ("携帯", True),
    ],
    ids=["quotes", "10-kB", "NUL", "right-to-left", "combining", "wide"],
)
def test_odd_names_are_names_or_refused(
    service: Running, client: Client, name: str, taken: bool
) -> None:
    """B77: nothing that is asked is ever made part of a statement."""
    if taken:
        code = client.attach(imsi=name, at_ns=NOON_NS)
        assert client.usage(name)["imsi"] == client.usage(code)["imsi"] == name
    else:
        with pytest.raises(ServiceError) as caught:
            client.attach(imsi=name, at_ns=NOON_NS)
        assert caught.value.code == protocol.BAD_REQUEST


@pytest.mark.parametrize("text", [b"GET /../../etc/passwd HTTP/1.1\r\n\r\n", b"\xff" * 64, b""])
def test_another_protocol_at_the_port_gets_nothing(
    service: Running, client: Client, text: bytes
) -> None:
    """B78"""
    host, _, port = service.service.removeprefix("tcp://").partition(":")
    with socket.create_connection((host, int(port)), timeout=10) as stranger:
        stranger.sendall(text)
        stranger.shutdown(socket.SHUT_WR)
        said = b""
        while part := stranger.recv(4_096):
            said += part
    assert b"root:" not in said
    assert len(said) <= 64  # at most a greeting


def test_a_scrape_flood_leaves_others_their_turn(service: Running, client: Client) -> None:
    """B78: a thousand connections, each asking for the totals once."""
    for _ in range(10):
        with ExitStack() as stack:
            raws = [stack.enter_context(raw_socket(service.service)) for _ in range(20)]
            for number, raw in enumerate(raws):
                raw.send_multipart(hello(f"s{number}"))
                raw.send_multipart(protocol.encode_request(Request(f"s{number}", 1, "totals", {})))
            assert client.totals()["lines"] > 0
            for raw in raws:
                assert raw.poll(10_000)


def test_a_version_that_is_not_spoken_is_answered_with_those_that_are(service: Running) -> None:
    data = packing.pack({"v": 7, "client": "b", "id": 0, "verb": "hello", "args": {}})
    (answer,) = ask(service.service, [b"", data])
    assert answer.error is not None
    assert (answer.code, answer.error["versions"]) == (protocol.BAD_VERSION, [1])


def test_nothing_is_said_to_who_never_said_hello(service: Running) -> None:
    request = protocol.encode_request(Request("stranger", 0, "totals", {}))
    (answer,) = ask(service.service, request)
    assert answer.code == protocol.UNKNOWN_CLIENT
    with pytest.raises(PktollError):
        protocol.decode_answer(exchange(service.service, request)[0]).unwrap()
