"""Octets that no peer should send to the control plane: an answer or a count, and no session."""

import struct
from collections.abc import Iterator

import pytest

from engine.gateway.limits import PEERS_MAX, Budget, PeerBudgets
from engine.gateway.pgw import FAULTS_PER_S, REFUSALS_MAX, VERSIONS_PER_S
from engine.signalling.causes import Cause, number
from engine.signalling.codec import decode, encode
from engine.signalling.messages import Kind, Message
from engine.units import NS_PER_S
from tests.support.pgw import (
    OTHER,
    PEER,
    VERSIONS,
    World,
    create,
    delete,
    imsi_of,
    modify,
    sims,
    world,
)

APN, PCO, PAA, QOS, TFT, FTEID, BEARER = 71, 78, 79, 80, 84, 87, 93


@pytest.fixture
def here() -> Iterator[World]:
    with world() as made:
        yield made


def element(kind: int, body: bytes, instance: int = 0) -> bytes:
    return struct.pack("!BHB", kind, len(body), instance) + body


def elements(data: bytes) -> list[tuple[int, int, bytes]]:
    """(type, instance, body) of each element behind a header."""
    found, at = [], 0
    while at < len(data):
        kind, size, instance = struct.unpack_from("!BHB", data, at)
        found.append((kind, instance, data[at + 4 : at + 4 + size]))
        at += 4 + size
    return found


def with_element(kind: int, *bodies: bytes, data: bytes | None = None) -> bytes:
    """A Create Session Request with these elements of one type in place of its own."""
    data = encode(create()) if data is None else data
    kept = b"".join(element(*(k, b, i)) for k, i, b in elements(data[12:]) if k != kind)
    return framed(data, kept + b"".join(element(kind, body) for body in bodies))


def framed(data: bytes, body: bytes) -> bytes:
    """The header of a message before another body."""
    return data[:2] + struct.pack("!H", 8 + len(body)) + data[4:12] + body


def bearer(*parts: bytes) -> bytes:
    return element(73, b"\x05") + b"".join(parts)


END = element(FTEID, bytes.fromhex("84000007d27f000002"), 2)


def nothing_changed(here: World) -> None:
    assert len(here.pgw.sessions) == 0
    assert here.wires.told == []
    assert here.pgw.counters["pool4-held"] == 0


BAD = [
    pytest.param(with_element(BEARER, bearer(END, element(QOS, b"\x7d\x09"))), 69, id="B41"),
    pytest.param(with_element(BEARER, bearer(END, element(QOS, bytes(23)))), 69, id="B41 long"),
    pytest.param(
        with_element(BEARER, bearer(element(FTEID, bytes.fromhex("04000007d2"), 2))), 69, id="B42"
    ),
    pytest.param(with_element(PAA, b"\x01" + bytes(199)), 69, id="B43"),
    pytest.param(with_element(PAA, b"\x01\x0a\x40"), 69, id="B44"),
    pytest.param(
        with_element(BEARER, bearer(END, element(TFT, b"\x21\x30\x00\xff\x10\x01"))), 69, id="B45"
    ),
    pytest.param(with_element(APN, b"\x3fiijmio"), 69, id="B49 label past the end"),
    pytest.param(with_element(APN, b"\x40" + b"a" * 64), 69, id="B49 label of 64"),
    pytest.param(with_element(APN, b"\x06iij\xffio\x02jp"), 69, id="B49 not ASCII"),
    pytest.param(with_element(APN, b""), 69, id="B49 empty"),
    pytest.param(with_element(APN), 70, id="no APN"),
    pytest.param(with_element(1), 70, id="no IMSI"),
    pytest.param(with_element(1, b"\xff"), 69, id="an IMSI of no digits"),
    pytest.param(with_element(BEARER), 70, id="no bearer"),
    pytest.param(with_element(PCO, b"\x80\xc0\x23\xff\x01"), 69, id="options past the end"),
    pytest.param(with_element(BEARER, bearer(b"\x57\xff\xff\x02\x84")), 67, id="B50 0xFFFF inside"),
    pytest.param(
        framed(encode(create()), encode(create())[12:] + b"\x4e\xff\xff\x00"), 67, id="B50 0xFFFF"
    ),
    pytest.param(encode(create())[:-1], 67, id="B50 a message that is cut"),
    pytest.param(encode(create()) + b"\x00", 67, id="B50 octets behind the message"),
]


@pytest.mark.parametrize(("data", "cause"), BAD)
def test_a_faulty_request_is_refused_and_opens_nothing(
    here: World, data: bytes, cause: int
) -> None:
    """B41-B45, B49, B50: TS 29.274 7.7"""
    answer = here.ask(data)
    assert (answer.kind, answer.cause, answer.sequence) == (Kind.CREATE_RESPONSE, cause, 1)
    nothing_changed(here)
    assert any(name.startswith("unreadable:") for name in here.pgw.counters)
    # The next one is served as ever.
    assert here.ask(create(sequence=2)).cause == 16


def test_elements_nested_a_hundred_deep_are_refused(here: World) -> None:
    """B50"""
    body = b""
    for _ in range(100):
        body = element(BEARER, body)
    answer = here.ask(framed(encode(create()), encode(create())[12:] + body))
    assert answer.cause == 65
    nothing_changed(here)


def test_who_sent_a_faulty_request_is_told_by_the_teid_that_it_knows(here: World) -> None:
    """TS 29.274 7.7.3: of its session, of the F-TEID in the message, or none"""
    session = here.attach()
    move = encode(modify(session, "127.0.0.2", (5, 6)))
    faulty = with_element(BEARER, bearer(element(QOS, b"\x00")), data=move)
    assert here.ask(faulty).teid == 1_001
    # Another peer is told nothing of the session; but what it says of itself counts.
    assert here.ask(faulty, (OTHER, 2123)).teid == 5
    assert here.ask(with_element(FTEID, data=faulty), (OTHER, 2123)).teid == 0
    assert here.ask(encode(create(sequence=9))[:-1]).teid == 0
    assert here.pgw.sessions.is_open(session)


def test_of_what_is_there_twice_the_first_counts(here: World) -> None:
    """B46: a second bearer context and a second IMSI are passed over (TS 29.274 7.7.10)"""
    data = encode(create())
    again = encode(create(number=2))[12:]
    doubled = framed(data, data[12:] + again)
    assert here.ask(doubled).cause == 16
    assert list(here.pgw.sessions.by_imsi) == [imsi_of(1)]
    assert here.pgw.sessions.by_imsi[imsi_of(1)].teid_down == 2_001


@pytest.mark.parametrize("length", [0, 1, 2, 3, 7, 11])
def test_what_is_too_short_is_dropped(here: World, length: int) -> None:
    """B01, B02"""
    assert here.send(encode(create())[:length]) == []
    assert here.pgw.counters["drop:short"] == 1


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (bytes.fromhex("1e010004000000000000000000000000"), "version"),  # GTPv0
        (bytes.fromhex("0e01000400000001"), "proto"),  # GTP'
        (bytes.fromhex("2e01000400000001"), "proto"),
    ],
)
def test_versions_that_are_not_served_are_dropped(here: World, data: bytes, reason: str) -> None:
    """B47"""
    assert here.send(data) == []
    assert here.pgw.counters[f"drop:{reason}"] == 1
    nothing_changed(here)


@pytest.mark.parametrize("version", [3, 4, 5, 6, 7])
def test_later_versions_are_told_so_and_not_without_end(here: World, version: int) -> None:
    """B47, TS 29.274 7.7.2: Version Not Supported, rate limited"""
    data = bytes([version << 5 | 8]) + encode(create())[1:]
    sent = [here.send(data) for _ in range(50)]
    assert decode(sent[0][0][0]).kind is Kind.VERSION_NOT_SUPPORTED
    assert [bool(one) for one in sent] == [True] * VERSIONS_PER_S + [False] * 40
    assert here.pgw.counters["drop:version"] == 40
    here.now_ns += NS_PER_S // 2
    assert sum(bool(here.send(data)) for _ in range(50)) == VERSIONS_PER_S // 2


def test_a_piggybacked_message_is_not_for_a_p_gw(here: World) -> None:
    """B50: the message counts that carries it; one in another is refused"""
    second = Message(2, Kind.CREATE_BEARER_RESPONSE, 3, 5, cause=16)
    data = encode(create())
    both = bytes([data[0] | 0x10]) + data[1:] + encode(second)
    assert here.ask(both).cause == 16
    assert here.pgw.counters["drop:piggybacked"] == 1
    inner = bytes([encode(second)[0] | 0x10]) + encode(second)[1:]
    third = bytes([data[0] | 0x10]) + data[1:] + inner + encode(second)
    assert here.send(third) == []
    assert here.pgw.counters["drop:piggyback"] == 1


def test_a_flood_of_faults_is_answered_so_often_a_second(here: World) -> None:
    """B48: each costs little, and no memory"""
    data = with_element(APN, b"")
    sent = [len(here.send(data)) for _ in range(FAULTS_PER_S + 500)]
    assert sum(sent) == FAULTS_PER_S
    assert here.pgw.counters["drop:ie_value"] == 500


@pytest.mark.parametrize("version", VERSIONS)
def test_a_flood_of_unknown_sims_is_refused_and_leaves_nothing(version: int) -> None:
    """B48: bounded memory; cause "no resources" beyond the rate; other peers are served"""
    with world(create_per_s_max=100) as here:
        causes = [here.ask(create(version, 10 + n, sequence=n + 1)).cause for n in range(5_000)]
        unknown, full = (
            number(version, cause) for cause in (Cause.UNKNOWN_IMSI, Cause.NO_RESOURCES)
        )
        assert causes == [unknown] * 100 + [full] * 4_900
        assert len(here.pgw._refused) == REFUSALS_MAX
        assert len(here.pgw._done) == 0
        nothing_changed(here)
        here.attach(version, peer=OTHER)
        here.now_ns += NS_PER_S // 100
        here.attach(version, 2)


def test_a_flood_of_distinct_sessions_ends_at_the_limit() -> None:
    """B48: as many sessions as the settings allow, every one of them served, no exit"""
    with world(sims(300), sessions_max=100, pool4=("10.64.0.0/16",)) as here:
        causes = [here.ask(create(2, n, sequence=n)).cause for n in range(1, 301)]
        assert causes == [16] * 100 + [73] * 200
        for session in list(here.pgw.sessions.by_teid.values()):
            here.ask(delete(session, 500 + session.teid_down))
        assert here.pgw.counters["pool4-held"] == 0
        assert here.ask(create(2, 300, sequence=9_000)).cause == 16


def test_a_budget_is_exact() -> None:
    """B48: so many a second and as many at once, whatever the clock does"""
    budget = Budget(3, 10 * NS_PER_S)
    at_ns = 10 * NS_PER_S
    assert [budget.take(at_ns) for _ in range(4)] == [True, True, True, False]
    assert not budget.take(at_ns + NS_PER_S // 3)
    assert budget.take(at_ns + NS_PER_S // 3 + 1)
    assert not budget.take(at_ns)  # a clock that goes back gives nothing
    assert sum(budget.take(at_ns + NS_PER_S * 90) for _ in range(9)) == 3
    taken = sum(budget.take(at_ns + NS_PER_S * 100 + n * NS_PER_S // 100) for n in range(1_000))
    assert taken == 3 + 29


def test_budgets_of_made_up_peers_are_bounded() -> None:
    """B48: the peer that was heard of longest ago is forgotten"""
    budgets = PeerBudgets(1, peers_max=2)
    assert [budgets.take(peer, 0) for peer in "aab"] == [True, False, True]
    assert not budgets.take("a", 0)
    assert budgets.take("c", 0)
    assert len(budgets) == 2
    assert [budgets.take(peer, 0) for peer in "ab"] == [False, True]
    assert PEERS_MAX >= 1_000


@pytest.mark.parametrize("version", VERSIONS)
def test_a_retransmission_from_elsewhere_is_no_repetition(here: World, version: int) -> None:
    """B50: kept answers are those of one peer and port"""
    first = here.ask(create(version))
    assert here.ask(create(version), (PEER[0], 4_000)).control != first.control
