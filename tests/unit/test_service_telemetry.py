"""What listeners are told, what they miss, and that they delay nobody."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import zmq

from engine import Engine
from engine.errors import UsageError
from engine.service import packing, telemetry
from engine.service.client import Client
from engine.service.dispatch import Dispatcher
from engine.service.listen import Listener, Order, Told
from engine.service.server import Options, Server
from engine.units import NS_PER_MS, NS_PER_S
from tests.support.service import GATEWAY, ICCID, NOON_NS, attach, opened, uplink


@pytest.fixture
def engine() -> Iterator[Engine]:
    with opened() as made:
        yield made


@contextmanager
def telling(engine: Engine, folder: Path, **options: Any) -> Iterator[Server]:
    """A server that tells on each `tick`; nobody serves it."""
    told = Options(telemetry=f"ipc://{folder}/t", interval_ns=NS_PER_S, **options)
    with Server(engine, f"ipc://{folder}/s", told) as server:
        yield server


@contextmanager
def listening(server: Server, *topics: str) -> Iterator[Listener]:
    """A listener that is known to the server: it has been told something."""
    assert server.telemetry is not None
    with Listener(server.telemetry, topics or telemetry.TOPICS) as listener:
        at_ns = NS_PER_S
        while True:
            server.tick(at_ns)
            if listener.receive(20) is not None:
                break
            at_ns += NS_PER_S
        yield listener


def everything(listener: Listener) -> list[Told]:
    """All that is told until it is quiet."""
    return list(iter(lambda: listener.receive(100), None))


def test_totals_drops_and_events_are_told(engine: Engine, tmp_path: Path) -> None:
    """L1, N7: an attach, three packets, two of them dropped, a suspension."""
    held = {"held": 3}
    with telling(engine, tmp_path, gateway=lambda: held) as server, listening(server) as listener:
        engine.attach(iccid=ICCID, teid_up=1, address="10.1.0.1", at_ns=NOON_NS)
        batch = uplink(3, engine.endpoints.intern(0, 1))
        batch["teid"][1:] = 77
        engine.process(batch)
        engine.suspend(ICCID, at_ns=NOON_NS)
        server.tick(1 << 60)
        events, drops, totals = everything(listener)
    assert (events.topic, drops.topic, totals.topic) == telemetry.TOPICS[::-1]
    kinds = [(kind, code) for _, kind, code in events.what["events"]]
    assert kinds[0] == ("attach", ICCID)
    assert ("suspend", ICCID) in kinds
    assert drops.what["drops"] == {"teid": {"packets": 2, "bytes": 2_000}}
    assert totals.what["totals"]["packets"] == 3
    assert totals.what["totals"]["gateway"] == {"held": 3}
    assert totals.what["service"]["requests"] == 0
    assert totals.at_ns == engine.now_ns
    assert not any(told.gap for told in (events, drops, totals))


def test_drops_are_told_as_what_came_since(engine: Engine, tmp_path: Path) -> None:
    with telling(engine, tmp_path) as server, listening(server, "drops", "totals") as listener:
        for at_ns, count in ((1 << 59, 2), ((1 << 59) + NS_PER_S, 0), (1 << 60, 5)):
            engine.process(uplink(count, -1))
            server.tick(at_ns)
        told = [t.what["drops"] for t in everything(listener) if t.topic == "drops"]
    assert told == [
        {"teid": {"packets": 2, "bytes": 2_000}},
        {"teid": {"packets": 5, "bytes": 5_000}},
    ]


def test_it_is_told_when_it_is_time(engine: Engine, tmp_path: Path) -> None:
    with telling(engine, tmp_path) as server, listening(server, "totals") as listener:
        before = 1 << 59
        for at_ns in (before, before + NS_PER_S - 1, before + NS_PER_S, before + NS_PER_S + 5):
            server.tick(at_ns)
        assert len(everything(listener)) == 2


def test_many_events_go_in_messages_of_a_bounded_size(engine: Engine, tmp_path: Path) -> None:
    """B74"""
    with telling(engine, tmp_path) as server, listening(server, "events", "totals") as listener:
        engine.attach(iccid=ICCID, at_ns=NOON_NS)
        for number in range(telemetry.EVENTS_MAX):
            engine.switch_coupon(ICCID, on=bool(number % 2), at_ns=NOON_NS)
        server.tick(1 << 60)
        told = [t for t in everything(listener) if t.topic == "events"]
    sizes = [len(t.what["events"]) for t in told]
    assert (sizes[0], sum(sizes) > sizes[0]) == (telemetry.EVENTS_MAX, True)
    assert all(len(packing.pack(t.what)) < packing.MESSAGE_BYTES_MAX for t in told)


def test_a_listener_that_does_not_listen_delays_nobody(engine: Engine, tmp_path: Path) -> None:
    """B75: what it misses shows as a gap, and a snapshot brings it up to date."""
    with telling(engine, tmp_path) as server, listening(server) as listener:
        told_max = 20 * telemetry.QUEUE_MESSAGES
        for number in range(told_max):
            server.tick((1 << 60) + number * NS_PER_S)
        told = everything(listener)
        assert len(told) < told_max
        server.tick(1 << 62)
        assert any(t.gap for t in [*told, *everything(listener)])
        thread = threading.Thread(target=lambda: [server.serve_once(5_000) for _ in range(3)])
        thread.start()
        with Client(server.endpoint) as client:
            assert client.snapshot()["totals"]["lines"] == 0
        thread.join()


def test_hello_says_where_to_listen(engine: Engine, tmp_path: Path) -> None:
    with telling(engine, tmp_path) as server:
        told = server.dispatcher.rules.telemetry
        assert told is not None
        assert told["endpoint"] == f"ipc://{tmp_path}/t"
        assert told["interval_ms"] == NS_PER_S // NS_PER_MS
    assert Dispatcher(engine).rules.telemetry is None


def message(topic: str, run: str, seq: int, **what: Any) -> list[bytes]:
    return [topic.encode(), packing.pack({"v": 1, "run": run, "seq": seq, "at_ns": 5, **what})]


def test_gaps_are_noticed() -> None:
    """A number that is missing, another run, and the last of a topic's messages."""
    order = Order(("totals", "events"))

    def gap(*message_of: Any, **what: Any) -> bool:
        return order.take(message(*message_of, **what)).gap

    assert not gap("totals", "a", 7, next={"events": 3})
    assert not gap("events", "a", 3)
    assert gap("events", "a", 5)
    assert not gap("totals", "a", 8, next={"events": 6, "drops": 9})
    assert gap("totals", "a", 9, next={"events": 7})
    assert not gap("totals", "a", 10, next={"events": 7})
    assert gap("totals", "b", 0)
    assert not gap("totals", "b", 1)


@pytest.mark.parametrize(
    "frames", [[b"x"], [b"totals", packing.pack([])], [b"totals", packing.pack({"run": 1})]]
)
def test_something_else_is_no_telemetry(frames: list[bytes]) -> None:
    with pytest.raises(UsageError, match="telemetry"):
        Order(telemetry.TOPICS).take(frames)


def test_a_subscription_of_any_size_costs_its_connection(engine: Engine, tmp_path: Path) -> None:
    """B70: topics are short."""
    with telling(engine, tmp_path) as server, zmq.Context() as context:
        assert server.telemetry is not None
        with context.socket(zmq.SUB) as raw, listening(server, "totals") as listener:
            raw.setsockopt(zmq.LINGER, 0)
            raw.setsockopt(zmq.SUBSCRIBE, b"x" * 10_000)
            raw.connect(server.telemetry)
            server.tick(1 << 60)
            assert [t.topic for t in everything(listener)] == ["totals"]


def test_metering_is_told_to_who_attaches_over_the_service(engine: Engine, tmp_path: Path) -> None:
    """C3: the whole way, with a client and a listener."""
    with telling(engine, tmp_path) as server, listening(server, "events", "totals") as listener:
        thread = threading.Thread(target=lambda: [server.serve_once(5_000) for _ in range(6)])
        thread.start()
        with Client(server.endpoint) as client:
            line = attach(client)
            client.process(uplink(2, client.endpoint(GATEWAY)))
            client.charge(line, coupons=1, at_ns=NOON_NS)
        thread.join()
        server.tick(1 << 60)
        told, _ = everything(listener)
    assert [event[1:] for event in told.what["events"]] == [["attach", line], ["charge", line]]
