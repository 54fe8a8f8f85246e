"""Create Session and Create PDP Context: who gets a session, with what, and how others are refused."""

import hashlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from engine import config
from engine.errors import PoolError, PoolFenced, PoolUnavailable
from engine.gateway.admission import (
    ATTACH_CAUSES,
    cause_of,
    network_identifier,
)
from engine.gateway.admission import refusal as refused
from engine.signalling.causes import Cause, number
from engine.signalling.codec import decode
from engine.signalling.messages import (
    PDN_IPV6,
    S5_PGW_C,
    S5_PGW_U,
    UTRAN,
    WLAN,
    Bearer,
    Chap,
    Kind,
    Message,
    Options,
    Pap,
)
from engine.subscribers import Book
from tests.support.gateway import T0
from tests.support.live import busy
from tests.support.pgw import (
    OTHER,
    PAP,
    SGW,
    VERSIONS,
    create,
    delete,
    imsi_of,
    modify,
    sims,
    world,
)


def chap(password: bytes, user: bytes = b"mio@iij", challenge: bytes = b"\x01" * 16) -> Options:
    response = hashlib.md5(b"\x05" + password + challenge).digest()
    return Options(chap=Chap(user, challenge, response, 5))


def refusal(version: int, book: Book | None = None, **changes: Any) -> int | None:
    """The cause with which this request is refused; nothing is left of it."""
    settings = changes.pop("settings", {})
    with world(book, **settings) as here:
        answer = here.ask(create(version, **changes))
        assert answer.kind is Kind.CREATE_RESPONSE
        assert (answer.teid, answer.sequence) == (1_001, 1)
        assert len(here.pgw.sessions) == 0
        assert here.wires.told == []
        assert answer.bearers == ()
        assert here.pgw.counters["pool4-held"] == 0
        return answer.cause


@pytest.mark.parametrize("version", VERSIONS)
def test_a_known_sim_with_the_right_password_gets_a_session(version: int) -> None:
    """N1, N2: private IPv4 address, TEIDs, name servers, answer to PAP"""
    with world() as here:
        answer = here.ask(create(version, recovery=3))
        session = here.pgw.sessions.by_imsi[imsi_of(1)]
        assert answer.cause == number(version, Cause.ACCEPTED)
        assert answer.address4 == session.ipv4 == "10.64.0.2"
        assert answer.address6 is None
        assert answer.recovery == 7
        assert answer.charging_id == 1
        assert answer.control is not None
        assert (answer.control.teid, answer.control.ipv4) == (session.teid_control, "127.0.0.1")
        user = answer.bearers[0].fteids[0]
        assert (user.teid, user.ipv4) == (session.teid_up, "127.0.0.1")
        if version == 2:
            assert (answer.control.interface, user.interface) == (S5_PGW_C, S5_PGW_U)
        assert answer.options is not None
        assert answer.options.auth_answer == (True, 7, 0xC023)
        assert answer.options.dns == ("192.0.2.53", "192.0.2.54")
        assert 0 not in (session.teid_control, session.teid_up)
        assert here.wires.open_now == {0: session}
        (row,) = [row for row in here.engine.lines_report(0, 9) if row["code"] == "l1"]
        assert row["address"] == "10.64.0.2"
        assert row["rat_type"] == ("EUTRAN" if version == 2 else "UTRAN")


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("pool", [None, "file"])
def test_it_is_the_same_with_a_database_in_a_file(
    version: int, pool: str | None, tmp_path: Path
) -> None:
    """N1, N6, D9: live gateways do not wait in mid-packet, verbs do"""
    url = None if pool is None else f"sqlite:///{tmp_path}/pool.db"
    with world(pool=url) as here:
        session = here.attach(version)
        again = here.attach(version, teid_down=9)
        assert not here.pgw.sessions.is_open(session)
        assert here.pgw.sessions.is_open(again)
        assert (again.contract, again.line) == ("hdd1", "l1")


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize(
    ("options", "accepted"),
    [
        (PAP, True),
        (chap(b"iij"), True),
        (replace(chap(b"iij"), pap=Pap(b"x", b"y", 1)), True),  # CHAP is what counts
        (replace(chap(b"no"), pap=PAP.pap), False),
        (chap(b"iij", b"mio@ij"), False),
        (chap(b"iij", challenge=b""), False),
        (chap(b"iijx"), False),
        (Options(pap=Pap(b"mio@iij", b"iijx", 1)), False),
        (Options(pap=Pap(b"mio@ii", b"iij", 1)), False),
        (Options(pap=Pap(b"", b"", 1)), False),
        (Options(wants_dns4=True), False),
        (None, False),
    ],
)
def test_pap_or_chap_with_the_right_password_is_needed(
    version: int, options: Options | None, accepted: bool
) -> None:
    """N1"""
    with world() as here:
        answer = here.ask(create(version, options=options))
        cause = Cause.ACCEPTED if accepted else Cause.AUTHENTICATION
        assert answer.cause == number(version, cause)
        assert len(here.pgw.sessions) == accepted
        if options is not None and (options.pap or options.chap):
            assert answer.options is not None
            assert answer.options.auth_answer is not None
            assert answer.options.auth_answer[0] is accepted
        else:
            assert answer.options is None


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize(
    ("changes", "cause"),
    [
        ({"apn": "internet"}, Cause.UNKNOWN_APN),
        ({"apn": "iijmio.jp.mnc020.mcc440.gprs"}, Cause.UNKNOWN_APN),
        ({"network": ("440", "20")}, Cause.ROAMING),
        ({"network": ("310", "410")}, Cause.ROAMING),
        ({"rat": WLAN}, Cause.RAT_DENIED),
        ({"imsi": "440109999999999"}, Cause.UNKNOWN_IMSI),
        ({"pdn_type": PDN_IPV6}, Cause.TYPE_NOT_SUPPORTED),
        ({"teid_down": 9, "peer": "224.0.0.1"}, Cause.INCORRECT),
        ({"peer": "0.0.0.0"}, Cause.INCORRECT),
        ({"peer": "255.255.255.255"}, Cause.INCORRECT),
        ({"settings": {"create_per_s_max": 1}, "teid": 9}, Cause.NOT_FOUND),
    ],
)
def test_anything_else_is_refused_with_the_cause_that_fits(
    version: int, changes: dict[str, Any], cause: Cause
) -> None:
    """N1, N4, N5, O1, B50"""
    book = Book((replace(sims().contracts[0], ipv6=False),))
    assert refusal(version, book, **changes) == number(version, cause)


@pytest.mark.parametrize(
    ("version", "unnamed", "cause"),
    [
        (2, "accept", Cause.MISSING),
        (2, "refuse", Cause.MISSING),
        (1, "accept", Cause.ACCEPTED),
        (1, "refuse", Cause.ROAMING),
    ],
)
def test_a_request_of_version_1_need_not_name_its_network(
    version: int, unnamed: str, cause: Cause
) -> None:
    """N5: as settings say; what version 2 must have is asked for in any case"""
    with world(unnamed_network=unnamed) as here:
        answer = here.ask(create(version, network=None))
        assert answer.cause == number(version, cause)
        assert len(here.pgw.sessions) == (cause is Cause.ACCEPTED)


@pytest.mark.parametrize(
    ("asked", "granted"),
    [
        (bytes.fromhex("000b921f"), True),  # R97, as an SGSN of then has it
        (bytes.fromhex("000b921f7396404074f9ffff"), True),
        (bytes(255), False),
        (bytes(1), False),
        (bytes(5), False),
    ],
)
def test_a_profile_of_quality_is_answered_with_itself(asked: bytes, granted: bool) -> None:
    """TS 29.060 7.3.2: negotiated downwards only; one of a length that none has gets our own"""
    with world() as here:
        session = here.attach(1, qos=asked)
        answers = [here.ask(create(1, sequence=900, qos=asked))]
        answers.append(
            here.ask(modify(here.pgw.sessions.by_imsi[session.imsi], SGW, (7, 8), qos=asked))
        )
        assert [(answer.qos == asked, len(answer.qos or b"")) for answer in answers] == [
            (granted, len(asked) if granted else 13)
        ] * 2


def test_a_context_beside_the_first_one_is_refused() -> None:
    """a secondary PDP context names the first one's NSAPI"""
    assert refusal(1, linked_bearer=5) == 200


def test_the_operator_identifier_of_the_own_network_is_left_out() -> None:
    """N1: TS 23.003 9.1"""
    access = config.Access()
    for apn in ("iijmio.jp", "IIJmio.JP", "iijmio.jp.mnc010.mcc440.gprs"):
        assert network_identifier(apn, access) == "iijmio.jp"
    for apn in ("iijmio.jp.mnc011.mcc440.gprs", "iijmio.jp.gprs", ".mnc010.mcc440.gprs"):
        assert network_identifier(apn, access) != "iijmio.jp"
    with world() as here:
        assert here.attach(apn="IIJMIO.jp.MNC010.mcc440.gprs").apn == "iijmio.jp"


@pytest.mark.parametrize("version", VERSIONS)
def test_lines_that_are_not_in_service_are_refused(version: int) -> None:
    """L1-L3, A4"""
    with world() as here:
        here.engine.suspend("l1", at_ns=T0)
        assert here.ask(create(version)).cause == number(version, Cause.NO_SUBSCRIPTION)
        here.engine.resume("l1", at_ns=T0)
        here.engine.replace_sim("l1", iccid="8981100000000000009", imsi=imsi_of(9), at_ns=T0)
        old = here.ask(create(version, sequence=2))
        assert old.cause == number(version, Cause.UNKNOWN_IMSI)
        assert here.attach(version, 9).line == "l1"
    ended = sims(1, ends="2013-10")
    assert refusal(version, ended) == number(version, Cause.NO_SUBSCRIPTION)


def test_every_reason_of_the_engine_has_a_cause() -> None:
    """N1, L1-L3"""
    assert set(ATTACH_CAUSES) == {"unknown", "replaced", "suspended", "ended", "no-ipv6"}
    assert cause_of(PoolUnavailable("x")) is Cause.PEER_SILENT
    assert cause_of(PoolFenced("x")) is cause_of(PoolError("x")) is Cause.SYSTEM_FAILURE


def test_a_database_that_fails_opens_no_session(tmp_path: Path) -> None:
    """G5: the request is refused, nothing is left of it, and the next one is served"""
    path = tmp_path / "pool.db"
    with world(pool=f"sqlite:///{path}", live=False, pool_settings={"answer_ms": 50}) as here:
        here.ask(delete(here.attach()))
        with busy(path):
            answer = here.ask(create(sequence=5))
        assert answer.cause in (72, 100)
        assert len(here.pgw.sessions) == 0
        assert here.wires.open_now == {}
        assert here.pgw.counters["pool4-held"] == 0
        assert here.pgw.counters["engine-failures"] == 1
        session = here.attach()
        with busy(path):  # nor does it keep one open
            here.ask(delete(session, 7))
        assert here.wires.open_now == {}
        assert here.pgw.counters["engine-failures"] == 2


def test_a_session_that_cannot_be_made_durable_is_ended_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """D9: the commit at the end fails; other sessions' ends are not held up by one"""

    def fail() -> None:
        raise PoolUnavailable("no answer")

    with world() as here:
        with monkeypatch.context() as failing:
            failing.setattr(here.engine, "flush", fail)
            assert here.ask(create()).cause == 100
        assert len(here.pgw.sessions) == 0
        here.attach()
        with monkeypatch.context() as failing:
            failing.setattr(here.engine, "flush", fail)
            here.pgw.stop(here.now_ns)
        assert len(here.pgw.sessions) == 0
        assert here.pgw.counters["engine-failures"] == 3


def test_a_live_gateway_goes_on_while_the_database_does_not_answer(tmp_path: Path) -> None:
    """G5: a request is accepted if nothing is needed of it in time, else refused, and later served"""
    path = tmp_path / "pool.db"
    with world(pool=f"sqlite:///{path}", pool_settings={"answer_ms": 50}) as here:
        here.attach()
        with busy(path):
            answer = here.ask(create(sequence=9))
            assert answer.cause in (16, 100)
            assert len(here.pgw.sessions) == len(here.wires.open_now)
        here.later(0)
        assert here.attach().line == "l1"
        assert len(here.pgw.sessions) == len(here.wires.open_now) == 1


@pytest.mark.parametrize("version", VERSIONS)
def test_a_new_attach_replaces_the_old_session(version: int) -> None:
    """N6: whatever bearer identity and peer it comes with; the old peer is not asked"""
    with world() as here:
        first = here.attach(version)
        again = create(3 - version, peer=OTHER, teid_control=5, teid_down=6, sequence=9, rat=UTRAN)
        ((data, _),) = here.send(again, (OTHER, 2123))
        assert decode(data).cause in (16, 128)
        assert list(here.pgw.sessions.by_imsi) == [imsi_of(1)]
        second = here.pgw.sessions.by_imsi[imsi_of(1)]
        assert second.peer_control == (OTHER, 2123)
        assert second.ipv4 != first.ipv4  # it rests
        assert here.wires.told == [(what, imsi_of(1)) for what in ("open", "close", "open")]
        # The old session's TEID leads nowhere now.
        gone = Message(version, Kind.DELETE_REQUEST, 4, first.teid_control, bearers=(Bearer(5),))
        assert here.ask(gone).cause == number(version, Cause.NOT_FOUND)


def test_a_session_of_the_same_terminal_may_be_named_in_the_header() -> None:
    """TS 29.274 5.5.2: the TEID of the session that there is; of another SIM's it is not found"""
    with world() as here:
        first = here.attach(number=1)
        assert here.ask(create(number=2, teid=first.teid_control)).cause == 64
        assert here.ask(create(number=1, sequence=2, teid=first.teid_control)).cause == 16
        assert not here.pgw.sessions.is_open(first)


def test_a_commit_that_fails_where_nothing_was_opened_is_told_as_such(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """G5: all addresses are given out, and the database fails besides"""

    def fail() -> None:
        raise PoolUnavailable("no answer")

    with world(sims(6)) as here:
        for n in range(1, 6):
            here.attach(number=n)
        monkeypatch.setattr(here.engine, "flush", fail)
        assert here.ask(create(number=6)).cause == 100
        monkeypatch.undo()
        assert len(here.pgw.sessions) == 5


def test_what_a_request_must_have_is_looked_for_again() -> None:
    """what reads it sees to that first; who decides relies on nothing"""
    access = config.Access()
    for missing in ({"control": None}, {"bearers": ()}, {"imsi": None}, {"network": None}):
        assert refused(create(**missing), access) is Cause.MISSING
    assert refused(create(apn=None), access) is Cause.UNKNOWN_APN
    assert refused(create(), access) is None
