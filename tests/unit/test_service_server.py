"""The service over real sockets, around a real engine."""

import socket
import stat
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zmq

from engine import Engine, verdict
from engine.errors import PktollError, ServiceError, UsageError
from engine.layout import VERDICT
from engine.service import packing, protocol
from engine.service.client import Client
from engine.service.dispatch import Dispatcher
from engine.service.server import Server
from engine.units import MB
from tests.support.service import ICCID, MS, NOON_NS, attach, exchange, opened, uplink


@pytest.fixture
def engine() -> Iterator[Engine]:
    with opened() as made:
        yield made


@pytest.fixture
def server(engine: Engine, tmp_path: Path) -> Iterator[Server]:
    with Server(engine, f"ipc://{tmp_path}/s") as made:
        thread = threading.Thread(target=made.serve)
        thread.start()
        yield made
        made.stop()
        thread.join(10)
        assert not thread.is_alive()


@pytest.fixture
def client(server: Server) -> Iterator[Client]:
    with Client(server.endpoint) as made:
        yield made


def test_packets_are_metered_through_the_service(client: Client) -> None:
    """D1, P1, P2, P3: charged while the coupon is on, slow when it is off."""
    attach(client)
    batch = uplink(4, client.endpoint("203.0.113.1"))
    verdicts = client.process(batch)
    assert verdicts.dtype == VERDICT
    assert verdicts["code"].tolist() == [verdict.CHARGED] * 4
    assert verdicts["charged_bytes"].tolist() == [1_000] * 4
    client.switch_coupon(ICCID, on=False, at_ns=NOON_NS + 4 * MS)
    batch["time_ns"] += 4 * MS
    assert client.process(batch)["code"].tolist() == [verdict.SLOW] * 4
    (sim,) = client.snapshot()["sims"]
    assert (sim["iccid"], sim["coupon"], sim["granted_bytes"]) == (ICCID, False, 10 * MB)
    assert (sim["up"]["charged_bytes"], sim["up"]["slow_bytes"]) == (4_000, 4_000)


def test_a_long_batch_goes_in_parts(client: Client) -> None:
    attach(client)
    client.server["limits"]["rows"] = 3
    assert len(client.process(uplink(8, client.endpoint("203.0.113.1")))) == 8
    assert len(client.process(uplink(0, 0))) == 0
    with pytest.raises(UsageError, match="PACKET"):
        client.process(np.zeros(1, VERDICT))


def test_the_engine_may_refuse(client: Client) -> None:
    """B76: a switch for a SIM that nobody knows."""
    with pytest.raises(ServiceError, match="no line has the code") as caught:
        client.switch_coupon("unknown", on=True, at_ns=NOON_NS)
    assert caught.value.code == protocol.REFUSED
    attach(client)  # and the connection lives


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("length", -1),
        ("length", 70_000),
        ("endpoint", -2),
        ("endpoint", 5),
        ("code", verdict.CHARGED),
        ("code", 63),
        ("time_ns", -5),
    ],
)
def test_rows_that_are_no_packets_are_refused(client: Client, field: str, value: int) -> None:
    """G7: the batch changes nothing."""
    attach(client)
    batch = uplink(3, client.endpoint("203.0.113.1"))
    batch[field][1] = value
    with pytest.raises(ServiceError, match=f"row 1: {field} {value}"):
        client.process(batch)
    assert client.snapshot()["totals"]["packets"] == 0


def test_rows_go_forward_in_time(client: Client) -> None:
    attach(client)
    batch = uplink(3, client.endpoint("203.0.113.1"))[::-1].copy()
    with pytest.raises(ServiceError, match="row 1: time_ns"):
        client.process(batch)


@pytest.mark.parametrize(
    "args", [{"address": "10.1.0"}, {"address": "2001:db8::/48"}, {"gateway": "gw.example"}]
)
def test_addresses_are_checked(client: Client, args: dict[str, str]) -> None:
    with pytest.raises(ServiceError, match="is not an address"):
        client.attach(iccid=ICCID, at_ns=NOON_NS, **args)
    client.attach(iccid=ICCID, at_ns=NOON_NS, address="2001:db8:0:1::/64", gateway="203.0.113.1")


def test_a_repeated_request_is_metered_once(server: Server, client: Client, engine: Engine) -> None:
    """I3, F8: the answer is the same, byte by byte, over another connection, too."""
    attach(client)
    endpoint = client.endpoint("203.0.113.1")
    hello = protocol.encode_request(protocol.Request("b", 0, "hello", {}))
    request = protocol.encode_request(
        protocol.Request("b", 1, "process", {}, uplink(2, endpoint).tobytes())
    )
    answers = exchange(server.endpoint, hello, request, request)
    answers += exchange(server.endpoint, request)
    assert answers[1] == answers[2] == answers[3]
    assert client.snapshot()["totals"]["packets"] == 2


def test_a_refusal_is_repeated_as_it_was(engine: Engine) -> None:
    dispatcher = Dispatcher(engine)
    bad = uplink(1, 9).tobytes()
    for verb, body in (("hello", b""), ("process", bad)):
        frames = protocol.encode_request(protocol.Request("a", 1, verb, {}, body))
        first = dispatcher.answer(frames)
    engine.endpoints.intern(0, 9)
    assert dispatcher.answer(frames) == first
    assert packing.unpack(first[1])["id"] == 1  # type: ignore[call-overload,index]


@pytest.mark.parametrize(
    "message",
    [
        [b"", b"\xc1"],
        [b"", b"\x91" * 100_000],
        [b"", packing.pack({"v": 1})],
        [b"x", b"y"],
        [b""] * 1_000,
    ],
)
def test_the_connection_lives_after_a_bad_message(server: Server, message: list[bytes]) -> None:
    """B64, B66, B69, B71"""
    hello = protocol.encode_request(protocol.Request("b", 0, "hello", {}))
    refused, greeted = exchange(server.endpoint, message, hello)
    assert protocol.decode_answer(refused).code == protocol.BAD_REQUEST
    assert protocol.decode_answer(greeted).unwrap()[0]["api_version"] == 1
    assert server.dispatcher.refused == 1


def test_a_message_of_2_mb_ends_its_connection_alone(server: Server, client: Client) -> None:
    """B70"""
    with zmq.Context() as context, context.socket(zmq.DEALER) as raw:
        raw.setsockopt(zmq.LINGER, 0)
        raw.connect(server.endpoint)
        raw.send_multipart([b"", bytes(2 * MB)])
        assert not raw.poll(200)
    attach(client)


def test_who_never_reads_delays_nobody(server: Server, client: Client) -> None:
    """B74, B75"""
    hello = protocol.encode_request(protocol.Request("b", 0, "hello", {}))
    with zmq.Context() as context, context.socket(zmq.DEALER) as raw:
        raw.setsockopt(zmq.LINGER, 0)
        raw.setsockopt(zmq.RCVHWM, 1)
        raw.connect(server.endpoint)
        for _ in range(500):
            raw.send_multipart(hello)
        attach(client)


def test_a_client_that_returns_goes_on_counting(server: Server) -> None:
    first = Client(server.endpoint, name="meter")
    attach(first)
    first._end()  # as a program does that dies
    with Client(server.endpoint, name="meter") as second:
        assert second.server["last_id"] == 0
        second.switch_coupon(ICCID, on=False, at_ns=NOON_NS)


def test_nobody_answers(tmp_path: Path) -> None:
    with pytest.raises(PktollError, match="no answer within 2 times 20 ms"):
        Client(f"ipc://{tmp_path}/none", timeout_ms=20, tries=2)


def test_an_error_inside_does_not_wait_for_the_server(engine: Engine, tmp_path: Path) -> None:
    def fail_inside(server: Server) -> None:
        with Client(server.endpoint):
            thread.join()
            server.close()
            raise KeyError

    server = Server(engine, f"ipc://{tmp_path}/s")
    thread = threading.Thread(target=server.serve_once, args=(10_000,))
    thread.start()
    with pytest.raises(KeyError):
        fail_inside(server)


def test_lost_answers_are_asked_for_again(engine: Engine, tmp_path: Path) -> None:
    """I3, F8: the server is slower than the client waits; what was asked is carried out once."""
    go = threading.Event()

    def slow(server: Server) -> None:
        for _ in range(3):  # hello, attach, endpoint
            server.serve_once(5_000)
        go.wait(5)
        server.serve()

    with Server(engine, f"ipc://{tmp_path}/s") as server:
        thread = threading.Thread(target=slow, args=(server,))
        thread.start()
        with Client(server.endpoint) as client:
            attach(client)
            batch = uplink(2, client.endpoint("203.0.113.1"))
            client.timeout_ms, client.tries = 50, 200
            timer = threading.Timer(0.2, go.set)
            timer.start()
            assert client.process(batch)["code"].tolist() == [verdict.CHARGED] * 2
            timer.join()
            client.timeout_ms = 5_000
            assert client.snapshot()["totals"]["packets"] == 2
        server.stop()
        thread.join()


def test_an_answer_to_something_else_is_passed_over(tmp_path: Path) -> None:
    def confused(context: "zmq.Context[Any]") -> None:
        with context.socket(zmq.ROUTER) as router:
            router.setsockopt(zmq.LINGER, 1_000)
            router.bind(f"ipc://{tmp_path}/s")
            for answered_id in (99, 0, 1):
                peer, *frames = router.recv_multipart()
                assert protocol.decode(frames)
                router.send_multipart([peer, *protocol.encode_answer(answered_id, {"last_id": 0})])

    with zmq.Context() as context:
        thread = threading.Thread(target=confused, args=(context,))
        thread.start()
        with Client(f"ipc://{tmp_path}/s", timeout_ms=200, tries=20) as client:
            assert client.server == {"last_id": 0}
        thread.join()


def test_loopback_tcp(engine: Engine) -> None:
    """G10"""
    with Server(engine, "tcp://127.0.0.1:*") as server:
        thread = threading.Thread(target=lambda: [server.serve_once(5_000) for _ in range(2)])
        thread.start()
        with Client(server.endpoint) as client:
            assert client.server["api_version"] == 1
        thread.join()
        with pytest.raises(PktollError, match="cannot listen"):
            Server(engine, server.endpoint)
    with pytest.raises(UsageError, match="nothing listens beyond"):
        Server(engine, "tcp://0.0.0.0:*")


def test_a_path_has_one_server(server: Server, engine: Engine, client: Client) -> None:
    with pytest.raises(UsageError, match="another server"):
        Server(engine, server.endpoint)
    attach(client)  # the first still has it


def test_a_path_left_behind_is_taken_and_private(engine: Engine, tmp_path: Path) -> None:
    path = tmp_path / "s"
    with socket.socket(socket.AF_UNIX) as gone:
        gone.bind(str(path))
    with Server(engine, f"ipc://{path}") as server:
        assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0
        assert not server.serve_once(1)
