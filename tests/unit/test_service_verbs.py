"""Every verb through a server and a client, batches under way, and a server inside another loop."""

import select
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engine import Engine, verdict
from engine.errors import AttachError, PoolFenced, ServiceError, UsageError
from engine.service import protocol, verbs
from engine.service.client import Client
from engine.service.dispatch import Dispatcher
from engine.service.protocol import Request
from engine.service.server import Options, Server
from engine.units import MB
from tests.support.service import (
    GATEWAY,
    ICCID,
    IMSI,
    MS,
    NOON_NS,
    attach,
    exchange,
    hello,
    opened,
    raw_socket,
    uplink,
)

OPTIONS = Options()


@pytest.fixture
def engine() -> Iterator[Engine]:
    with opened() as made:
        yield made


@pytest.fixture
def options() -> Options:
    return OPTIONS


@pytest.fixture
def server(engine: Engine, tmp_path: Path, options: Options) -> Iterator[Server]:
    with Server(engine, f"ipc://{tmp_path}/s", options) as made:
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


def codes(client: Client, at_ns: int) -> list[str]:
    """What becomes of two packets."""
    batch = uplink(2, client.endpoint(GATEWAY), at_ns=at_ns)
    return [verdict.NAMES[code] for code in client.process(batch)["code"].tolist()]


def test_a_line_lives_through_all_that_may_be_asked_of_it(client: Client) -> None:
    """L1, L2, P3, C3, N7: each verb has the effect of the engine's own."""
    line = attach(client)
    assert codes(client, NOON_NS) == ["charged"] * 2
    client.switch_coupon(IMSI, on=False, at_ns=NOON_NS + MS)
    assert codes(client, NOON_NS) == ["slow"] * 2
    client.charge(line, coupons=2, at_ns=NOON_NS)
    client.switch_coupon(line, on=True, at_ns=NOON_NS)
    client.suspend(line, at_ns=NOON_NS)
    assert codes(client, NOON_NS) == ["suspended"] * 2
    client.resume(line, at_ns=NOON_NS)
    client.replace_sim(line, iccid="8981100000000000999", imsi="440100000000999", at_ns=NOON_NS)
    assert codes(client, NOON_NS) == ["charged"] * 2
    client.detach("8981100000000000999", at_ns=NOON_NS)
    assert codes(client, NOON_NS) == ["detached"] * 2
    usage = client.usage("8981100000000000999")
    assert (usage["imsi"], usage["grants"]) == ("440100000000999", 1)
    totals = client.totals()
    assert (totals["packets"], totals["lines"], totals["granted_bytes"]) == (10, 1, 10 * MB)
    assert totals["drops"]["suspended"] == {"packets": 2, "bytes": 2_000}


def test_a_sim_that_may_not_attach_is_refused_with_the_reason(client: Client) -> None:
    """L1, L3"""
    attach(client)
    client.replace_sim(IMSI, iccid="8981100000000000999", at_ns=NOON_NS)
    client.suspend(IMSI, at_ns=NOON_NS)
    for args, reason in (
        ({"iccid": ICCID}, "replaced"),
        ({"imsi": IMSI}, "suspended"),
        ({"imsi": "1", "known_only": True}, "unknown"),
    ):
        with pytest.raises(AttachError) as caught:
            client.attach(at_ns=NOON_NS, **args)  # type: ignore[arg-type]
        assert caught.value.reason == reason


def test_several_addresses_and_both_ends_of_a_tunnel(client: Client) -> None:
    """N2, N4, B18"""
    client.attach(
        imsi=IMSI,
        teid_up=1,
        address=["10.1.0.1", "2001:db8:0:1::/64"],
        gateway=GATEWAY,
        peer="203.0.113.2",
        rat="eutran",
        at_ns=NOON_NS,
    )
    assert codes(client, NOON_NS) == ["charged"] * 2
    assert client.usage(IMSI)["rat_type"] == "eutran"
    with pytest.raises(ServiceError, match=r"args\.peer: '10\.1' is not an address"):
        client.attach(imsi=IMSI, peer="10.1", at_ns=NOON_NS)


def test_sims_come_in_pages(client: Client) -> None:
    """B74: no answer is larger than a page of SIMs."""
    for number in range(1, 8):
        attach(client, number)
    first = client.page(limit=3)
    assert ([s["address"] for s in first["sims"]], first["next"], first["now_ns"]) == (
        ["10.1.0.1", "10.1.0.2", "10.1.0.3"],
        3,
        NOON_NS,
    )
    assert client.page(6, 3)["next"] is None
    assert client.page(7)["sims"] == []
    whole = client.snapshot()
    assert [s["address"] for s in whole["sims"]] == [f"10.1.0.{n}" for n in range(1, 8)]


def test_all_pages_make_the_whole(
    client: Client, monkeypatch: pytest.MonkeyPatch, engine: Engine
) -> None:
    monkeypatch.setattr("engine.service.dispatch.PAGE_ROWS_MAX", 2)
    monkeypatch.setattr(client, "page", lambda after=0: client._ask("snapshot", after=after))
    for number in range(1, 6):
        attach(client, number)
    assert client.snapshot()["sims"] == engine.snapshot()["sims"]


def test_many_batches_are_under_way_and_come_back_in_order(client: Client, engine: Engine) -> None:
    """G8: the verdicts are those of the engine alone, whatever is under way."""
    attach(client)
    endpoint = client.endpoint(GATEWAY)
    client.server["limits"]["rows"] = 7
    batches = [uplink(n % 19, endpoint, at_ns=NOON_NS + n * 20 * MS) for n in range(40)]
    found = list(client.process_many(batches, in_flight=5))
    with Engine.open() as alone:
        other = uplink(0, alone.endpoints.intern(0, 0)), alone
        alone.attach(iccid=ICCID, imsi=IMSI, teid_up=1, address="10.1.0.1", at_ns=NOON_NS)
        wanted = [other[1].process(batch) for batch in batches]
    assert all((a == b).all() for a, b in zip(found, wanted, strict=True))
    assert client.totals()["packets"] == sum(map(len, batches)) == engine.totals()["packets"]


def test_a_batch_that_is_refused_is_told_in_its_place(client: Client) -> None:
    attach(client)
    endpoint = client.endpoint(GATEWAY)
    good, bad = uplink(3, endpoint), uplink(3, endpoint)
    bad["length"] = -1
    answers = client.process_many([good, bad, good, good])
    assert next(answers)["code"].tolist() == [verdict.CHARGED] * 3
    with pytest.raises(ServiceError, match="row 0: length -1"):
        next(answers)
    assert client.process(good)["code"].tolist() == [verdict.CHARGED] * 3
    answers = client.process_many([good] * 5)
    next(answers)
    answers.close()  # type: ignore[attr-defined]
    assert len(client.process(good)) == 3


def test_a_refused_request_does_not_hold_up_those_behind_it(client: Client) -> None:
    """B77: one that cannot even be read, and one that can."""
    attach(client)
    for name in ("x" * 10_000, "a\x00b", "nobody"):
        with pytest.raises(ServiceError):
            client.suspend(name, at_ns=NOON_NS)
        client.switch_coupon(ICCID, on=True, at_ns=NOON_NS)


@pytest.mark.parametrize("options", [replace(OPTIONS, requests_per_s=200, burst=4)])
def test_who_is_slowed_down_gets_everything_done_once_and_in_order(client: Client) -> None:
    """B74, F8: the limit is met while batches are under way."""
    attach(client)
    endpoint = client.endpoint(GATEWAY)
    batches = [uplink(1, endpoint, at_ns=NOON_NS + n * MS) for n in range(40)]
    found = np.concatenate(list(client.process_many(batches, in_flight=8)))
    assert found["departure_ns"].tolist() == [NOON_NS + n * MS for n in range(40)]
    assert client.totals()["packets"] == 40


@pytest.mark.parametrize("options", [replace(OPTIONS, requests_per_s=1, burst=1)])
def test_a_peer_that_asks_too_often_is_told_which_request_and_when(server: Server) -> None:
    """B74: also where the request cannot be read."""
    messages = [hello(), hello(), [b"", b"\xc1"], [b"", b"\x01"], [b""], [b"", bytes(5_000)]]
    answers = [protocol.decode_answer(answer) for answer in exchange(server.endpoint, *messages)]
    assert [a.code for a in answers] == ["", *[protocol.SLOW_DOWN] * 5]
    assert [a.request_id for a in answers] == [0, 0, -1, -1, -1, -1]
    assert answers[1].error is not None
    assert answers[1].error["retry_ms"] == protocol.RETRY_MS
    assert server.figures["slowed"] == 5


@pytest.mark.parametrize(
    "options",
    [replace(OPTIONS, verbs=verbs.CONTROL, now_ns=lambda: NOON_NS + 5, gateway=lambda: {"up": 1})],
)
def test_a_live_gateway_lets_its_lines_be_managed_and_keeps_its_time(
    client: Client, engine: Engine
) -> None:
    engine.attach(iccid=ICCID, at_ns=NOON_NS)
    assert client.server["now_ns"] == NOON_NS + 5
    assert "process" not in client.server["capabilities"]
    client.switch_coupon(ICCID, on=False)
    assert engine.now_ns == NOON_NS + 5
    assert client.totals()["gateway"] == {"up": 1}
    assert client.page()["totals"]["gateway"] == {"up": 1}
    for refused in (lambda: attach(client), lambda: client.process(uplink(1, -1))):
        with pytest.raises(ServiceError, match="not here"):
            refused()
    client.suspend(ICCID)


@pytest.mark.parametrize("options", [replace(OPTIONS, known_only=True)])
def test_a_server_may_refuse_strangers(client: Client) -> None:
    """N1"""
    with pytest.raises(AttachError) as caught:
        attach(client)
    assert caught.value.reason == "unknown"


def test_without_a_time_the_engines_own_counts(client: Client, engine: Engine) -> None:
    """U2"""
    with pytest.raises(ServiceError, match="what time it is"):
        client.attach(iccid=ICCID)
    client.attach(iccid=ICCID, at_ns=NOON_NS)
    client.detach(ICCID)
    assert engine.now_ns == NOON_NS


def test_a_server_works_inside_another_loop(engine: Engine, tmp_path: Path) -> None:
    """Its one descriptor tells of requests, whoever polls it; nothing is left lying."""
    asked: list[int] = []

    def use(endpoint: str) -> None:
        with Client(endpoint) as client:
            attach(client)
            batches = [uplink(5, client.endpoint(GATEWAY)) for _ in range(50)]
            asked.extend(len(v) for v in client.process_many(batches, in_flight=16))

    with Server(engine, f"ipc://{tmp_path}/s") as server:
        thread = threading.Thread(target=use, args=(server.endpoint,))
        thread.start()
        poller = select.poll()
        poller.register(server.fd, select.POLLIN)
        served = server.serve_ready(3)
        while thread.is_alive() or served:
            if served < 3:
                poller.poll(50)
            served = server.serve_ready(3)
        thread.join()
    assert asked == [5] * 50


def test_an_answer_that_cannot_go_is_counted(server: Server, client: Client) -> None:
    """B75: whoever asked has gone."""
    for _ in range(200):
        with raw_socket(server.endpoint) as raw:
            for _ in range(20):
                raw.send_multipart(hello())
            raw.poll(5_000)
        client.totals()
        if server.figures["answers_lost"]:
            break
    assert server.figures["answers_lost"]
    assert server.figures["clients"] == 2


def test_a_stranger_is_told_what_is_wrong_first(engine: Engine) -> None:
    """B69: a request with a fault of somebody who has not said hello."""
    dispatcher = Dispatcher(engine)
    bad = protocol.encode_request(Request("a", 3, "suspend", {"line": ICCID, "at_ns": -1}))
    answer = protocol.decode_answer(dispatcher.answer(bad))
    assert (answer.code, answer.request_id) == (protocol.BAD_REQUEST, 3)
    dispatcher.answer(hello("a"))
    first = dispatcher.answer(bad)
    assert dispatcher.answer(bad) == first
    good = protocol.encode_request(Request("a", 3, "suspend", {"line": ICCID}))
    assert protocol.decode_answer(dispatcher.answer(good)).code == protocol.ID_REUSED


def test_a_fenced_engine_stops_the_server(tmp_path: Path) -> None:
    """I4, F17: an engine whose database was taken away answers nobody any more."""
    engine = Engine.open(pool=f"sqlite:///{tmp_path}/c.db")
    dispatcher = Dispatcher(engine)
    dispatcher.answer(hello("a"))
    for suffix in ("", "-wal", "-shm"):
        (tmp_path / f"c.db{suffix}").rename(tmp_path / f"old.db{suffix}")
    asked = Request("a", 1, "attach", {"imsi": IMSI, "at_ns": NOON_NS})
    with pytest.raises(PoolFenced):
        dispatcher.answer(protocol.encode_request(asked))
    engine.close(clean=False)


def test_as_many_requests_as_allowed_lose_no_answer(server: Server, client: Client) -> None:
    """B75: nothing is dropped for a client that keeps to `in_flight`, however late it reads."""
    in_flight = client.server["limits"]["in_flight"]
    with raw_socket(server.endpoint) as raw:
        for _ in range(100):
            for _ in range(in_flight):
                raw.send_multipart(hello())
            client.totals()
            for _ in range(in_flight):
                assert raw.poll(10_000), "an answer is missing"
                raw.recv_multipart()
    assert server.figures["answers_lost"] == 0


def test_a_batch_of_another_kind_is_not_sent(client: Client) -> None:
    with pytest.raises(UsageError, match="PACKET"):
        client.process(np.zeros(1, np.int64))
    assert len(client.process(uplink(0, 0))) == 0


def test_far_times_are_no_packets(client: Client) -> None:
    """B58: a time in the year 2117 is refused before it makes the engine count days."""
    batch: Any = uplink(1, -1)
    batch["time_ns"] = verbs.TIME_NS_MAX + 1
    with pytest.raises(ServiceError, match="time_ns"):
        client.process(batch)
