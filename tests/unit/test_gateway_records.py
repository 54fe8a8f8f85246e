"""Usage records of sessions of the live gateway."""

import json

import pytest

from engine import verdict
from engine.gateway.connections import ENDINGS
from engine.gateway.records import RECORDS_MAX, Records
from engine.gateway.session import Session
from engine.signalling.messages import UTRAN
from engine.units import NS_PER_S
from engine.wire.addresses import parse_address
from tests.support.gateway import SERVER, book, line, packet
from tests.support.pgw import OURS, SGW, VERSIONS, World, delete, imsi_of, world


def send_up(here: World, session: Session, count: int, length: int = 100) -> None:
    """So many packets of the terminal."""
    gateway = here.engine.endpoints.intern(*parse_address(OURS))
    for _ in range(count):
        here.now_ns += NS_PER_S
        row = packet(
            here.now_ns,
            session.ipv4 or "",
            SERVER,
            length,
            teid=session.teid_up,
            endpoint=gateway,
        )
        assert here.engine.process(row)["code"][0] == verdict.SLOW


@pytest.mark.parametrize("version", VERSIONS)
def test_each_session_has_a_record_of_what_it_used(version: int) -> None:
    """N4: the RAT type is on it; TS 32.298 PGW-CDR"""
    with world(book(line(1, code="l1", addresses=(), msisdn="819000000001"))) as here:
        session = here.attach(version, rat=UTRAN)
        send_up(here, session, 3)
        here.ask(delete(session))
        second = here.attach(version, rat=UTRAN)
        send_up(here, second, 2, 60)
        here.pgw.stop(here.now_ns)
        one, two = here.pgw.take_records()
        assert here.pgw.take_records() == []
        assert json.loads(json.dumps(one)) == one
        assert (one["imsi"], one["msisdn"]) == (imsi_of(1), "819000000001")
        assert (one["line"], one["contract"], one["rat_type"]) == ("l1", "hdd1", "UTRAN")
        assert (one["version"], one["apn"], one["network"]) == (version, "iijmio.jp", "440-10")
        assert (one["ipv4"], one["ipv6"], one["sgw"]) == (session.ipv4, None, SGW)
        assert one["duration_ns"] == 3 * NS_PER_S
        assert (one["cause_for_closing"], one["reason"]) == ("normalRelease", "deleted")
        assert (one["up"]["packets"], one["up"]["inner_bytes"]) == (3, 300)
        assert (two["up"]["packets"], two["up"]["slow_bytes"]) == (2, 120)
        assert two["down"]["packets"] == 0
        assert (two["reason"], two["charging_id"]) == ("stopped", 2)
        row = here.engine.line_report("l1")
        assert one["up"]["packets"] + two["up"]["packets"] == row["up"]["packets"]


def test_records_that_nobody_fetches_are_bounded() -> None:
    """and those that are given up are counted"""
    records = Records(2)
    for n in range(3):
        records.add({"n": n})
    assert (records.take(), records.lost) == ([{"n": 1}, {"n": 2}], 1)
    assert RECORDS_MAX >= 10_000
    with world() as here:
        assert here.pgw.counters["records-lost"] == 0


def test_every_way_to_end_is_in_the_table() -> None:
    """causeForRecClosing of TS 32.298"""
    known = {"normalRelease", "abnormalRelease", "timeLimit", "managementIntervention"}
    assert {ending.closing for ending in ENDINGS.values()} == known
