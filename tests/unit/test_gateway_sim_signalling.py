"""Control messages in generated captures: before a SIM's first packet, in between, and at its end."""

import io
import struct
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

import gateway_sim
from engine.signalling.codec import decode
from engine.signalling.messages import Kind, Message
from gateway_sim.codec import answers as codec_answers
from gateway_sim.codec.answers import Answer, Given
from gateway_sim.scenario import UTRAN, Scenario
from gateway_sim.signalling import control as controls
from gateway_sim.signalling.terminal import IPV4, IPV4V6, IPV6
from gateway_sim.traffic.flows import Flows
from gateway_sim.traffic.generate import generate
from gateway_sim.traffic.sessions import Sessions, Signalling
from tests.support import storm

SGW, PGW = b"\xcb\x00\x71\x81", b"\xcb\x00\x71\x01"


class Datagram(NamedTuple):
    """What stands behind the outer UDP header."""

    time_ns: int
    source: bytes
    port: int
    payload: bytes


def datagrams(capture: bytes) -> Iterator[Datagram]:
    """The datagrams of a little-endian pcap with nanosecond stamps, read without the engine."""
    at = 24
    while at < len(capture):
        seconds, nanos, held, _ = struct.unpack_from("<IIII", capture, at)
        frame = capture[at + 16 : at + 16 + held]
        port = int.from_bytes(frame[36:38], "big")
        yield Datagram(seconds * 10**9 + nanos, frame[26:30], port, frame[42:])
        at += 16 + held


@pytest.fixture(scope="module")
def scenario(tmp_path_factory: pytest.TempPathFactory) -> Scenario:
    old, new = "spread_s = 1\n", "spread_s = 1\nhandover_percent = 60\n"
    folder = tmp_path_factory.mktemp("signalling")
    return gateway_sim.load(storm.write(folder, kinds=(), old=old, new=new))


@pytest.fixture(scope="module")
def capture(scenario: Scenario) -> bytes:
    target = io.BytesIO()
    generate(scenario, target)
    return target.getvalue()


@pytest.fixture(scope="module")
def messages(capture: bytes) -> list[tuple[Datagram, Message]]:
    return [(item, decode(item.payload)) for item in datagrams(capture) if item.port == 2123]


def test_every_line_attaches_and_leaves(
    scenario: Scenario, messages: list[tuple[Datagram, Message]]
) -> None:
    """N4, N6: with its own numbers, on the version of its radio."""
    kinds = Counter((message.version, message.kind) for _, message in messages)
    lines = list(scenario.lines())
    threes = sum(line.rat == UTRAN for line in lines)
    assert 0 < threes < len(lines)
    for version, count in ((1, threes), (2, len(lines) - threes)):
        for kind in (Kind.CREATE_REQUEST, Kind.CREATE_RESPONSE, Kind.DELETE_REQUEST):
            assert kinds[version, kind] == count
        assert kinds[version, Kind.DELETE_RESPONSE] == count
        assert kinds[version, Kind.ECHO_REQUEST] == kinds[version, Kind.ECHO_RESPONSE] > 0
    asked = {m.imsi: m for _, m in messages if m.kind == Kind.CREATE_REQUEST}
    for line in lines:
        request = asked[line.imsi]
        assert (request.msisdn, request.rat, request.apn) == (line.msisdn, line.rat, "iijmio.jp")
        (bearer,) = request.bearers
        assert [end.teid for end in bearer.fteids] == [line.teid_down]
        assert request.options is not None
        assert request.options.pap is not None
        assert (request.options.pap.user, request.options.pap.password) == (b"mio@iij", b"iij")


def test_answers_give_what_the_scenario_says(
    scenario: Scenario, messages: list[tuple[Datagram, Message]]
) -> None:
    """N2: addresses and TEIDs are those that the packets have, and the answer fits its request."""
    asked = {
        (m.version, m.sequence): (item, m) for item, m in messages if m.kind == Kind.CREATE_REQUEST
    }
    by_imsi = {line.imsi: line for line in scenario.lines()}
    for item, answer in messages:
        if answer.kind != Kind.CREATE_RESPONSE:
            continue
        before, request = asked.pop((answer.version, answer.sequence))
        line = by_imsi[request.imsi or ""]
        assert item.time_ns - before.time_ns == 20_000_000
        assert (before.source, item.source) == (SGW, PGW)
        assert answer.cause == (16 if answer.version == 2 else 128)
        assert request.control is not None
        assert answer.teid == request.control.teid
        assert (answer.address4, answer.address6) == line.addresses
        assert [end.teid for end in answer.bearers[0].fteids] == [line.teid_up]
        assert answer.options is not None
        assert "192.0.2.53" in answer.options.dns
    assert not asked


def test_no_sequence_number_is_in_use_twice(tmp_path: Path) -> None:
    """However many lines there are: at 65 536 the numbers of version 1 begin again."""
    text = storm.HEAD.replace("contracts = 5\n", "contracts = 20_000\n")
    text = text.replace("10.64.0.0/20", "10.64.0.0/12").replace("spread_s = 1\n", "")
    text = text.replace("share_3g_percent = 50", "share_3g_percent = 90")
    path = tmp_path / "crowd.toml"
    path.write_text(text)
    lines = gateway_sim.load(path)
    due = Signalling(lines, Sessions(lines, Flows.of(lines)))
    waiting: dict[tuple[int, int], int] = {}
    most = 0
    for version, sequence, pair, step in zip(
        due.due.version, due.sequences, due.due.pair, due.due.step, strict=True
    ):
        if step % 2:
            assert waiting.pop((version, sequence)) == pair
        else:
            assert (version, sequence) not in waiting
            waiting[version, sequence] = pair
            most = max(most, len(waiting))
    assert not waiting
    assert 500 < most < 10_000


def test_packets_lie_between_attach_and_leave(capture: bytes, scenario: Scenario) -> None:
    """G8: and from a handover on the downlink has its new TEID, as the request says."""
    opened: dict[int, int] = {}
    closed: dict[int, int] = {}
    moved: dict[int, int] = {}
    control = {0x6000_0000 + index: line for index, line in enumerate(scenario.lines())}
    seen: dict[int, list[int]] = {}
    for item in datagrams(capture):
        if item.port == 2152:
            teid = int.from_bytes(item.payload[4:8], "big")
            seen.setdefault(teid, []).append(item.time_ns)
            continue
        message = decode(item.payload)
        if message.kind == Kind.CREATE_RESPONSE:
            opened[message.bearers[0].fteids[0].teid] = item.time_ns
        elif message.kind in (Kind.MODIFY_REQUEST, Kind.DELETE_REQUEST):
            line = control[message.teid or 0]
            which = moved if message.kind == Kind.MODIFY_REQUEST else closed
            which[line.teid_up] = item.time_ns
            if which is moved:
                assert message.bearers[0].fteids[0].teid == line.teid_moved
    assert moved
    for line in scenario.lines():
        up, down = seen[line.teid_up], seen[line.teid_down]
        after = seen.get(line.teid_moved, [])
        assert opened[line.teid_up] < min(up)
        assert max([*up, *down, *after]) < closed[line.teid_up]
        if line.teid_up in moved:
            assert max(down) < moved[line.teid_up] + 20_000_000
        assert all(at >= moved[line.teid_up] + 20_000_000 for at in after)


def test_the_bytes_do_not_depend_on_chunks(capture: bytes, scenario: Scenario) -> None:
    """G8: nor on how many control messages are built at once."""
    for chunk_packets in (1, 37):
        target = io.BytesIO()
        generate(scenario, target, chunk_packets)
        assert target.getvalue() == capture


@pytest.mark.parametrize("version", [1, 2])
@pytest.mark.parametrize("pdn_type", [IPV4, IPV6, IPV4V6])
@pytest.mark.parametrize(
    "kind",
    [
        controls.Kind.ECHO_RESPONSE,
        controls.Kind.CREATE_RESPONSE,
        controls.Kind.MODIFY_RESPONSE,
        controls.Kind.DELETE_RESPONSE,
    ],
)
def test_stamped_answers_are_what_scapy_builds(
    version: int, pdn_type: int, kind: controls.Kind
) -> None:
    answer = Answer(version, kind, "203.0.113.1", restarts=3, pdn_type=pdn_type)
    given = Given(
        0xABCD,
        1,
        0xFFFF_FFFE,
        0x8000_0001,
        77,
        bytes([10, 64, 0, 1]),
        bytes.fromhex("20010db880000001"),
    )
    assert codec_answers.stamp(answer, given) == codec_answers.build(answer, given)


def test_a_line_without_traffic_does_not_attach(tmp_path: Path) -> None:
    """Only what is seen in a capture has a session in it."""
    text = storm.HEAD[storm.HEAD.index("[[population]]") :].split("  [[population.activity]]")[0]
    path = storm.write(
        tmp_path, text.replace("10.64", "10.65").replace("8000::", "9000::"), kinds=()
    )
    target = io.BytesIO()
    summary = generate(gateway_sim.load(path), target)
    asked = [
        decode(item.payload).kind for item in datagrams(target.getvalue()) if item.port == 2123
    ]
    assert asked.count(Kind.CREATE_REQUEST) == 10
    assert summary.others == len(asked)
