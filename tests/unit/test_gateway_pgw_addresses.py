"""What a session is given: addresses and prefixes, TEIDs, and ends of tunnels that are nobody else's."""

from dataclasses import replace
from datetime import date

import pytest

from engine.gateway.admission import (
    end_of,
    kinds_of,
)
from engine.signalling.causes import Cause, number
from engine.signalling.codec import decode
from engine.signalling.messages import (
    PDN_IPV4,
    PDN_IPV4V6,
    PDN_IPV6,
    S5_PGW_U,
    Bearer,
    Fteid,
    Kind,
    Options,
)
from engine.subscribers import Book, Contract
from tests.support.gateway import PLAN, T0, line
from tests.support.pgw import OTHER, PAP, SGW, VERSIONS, create, imsi_of, sims, world

WITH_IPV6 = Book(
    (Contract("hdd1", PLAN, date(2013, 11, 1), (line(1, code="l1", addresses=()),), (), ipv6=True),)
)


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize(
    ("option", "wanted", "cause", "ipv4", "ipv6"),
    [
        (True, PDN_IPV4, Cause.ACCEPTED, True, False),
        (True, PDN_IPV4V6, Cause.ACCEPTED, True, True),
        (True, PDN_IPV6, Cause.ACCEPTED, False, True),
        (False, PDN_IPV4, Cause.ACCEPTED, True, False),
        (False, PDN_IPV4V6, Cause.NEW_TYPE_PREFERENCE, True, False),
    ],
)
def test_a_prefix_comes_with_the_ipv6_option_only(
    version: int, option: bool, wanted: int, cause: Cause, ipv4: bool, ipv6: bool
) -> None:
    """N2, O1"""
    book = Book((replace(WITH_IPV6.contracts[0], ipv6=option),))
    asked = Options(pap=PAP.pap, wants_dns4=True, wants_dns6=True)
    with world(book) as here:
        answer = here.ask(create(version, pdn_type=wanted, options=asked))
        session = here.pgw.sessions.by_imsi[imsi_of(1)]
        assert answer.cause == number(version, cause)
        assert (session.ipv4, session.ipv6) == (
            "10.64.0.2" if ipv4 else None,
            "2001:db8:100:1::/64" if ipv6 else None,
        )
        assert (answer.address4, answer.address6) == (session.ipv4, session.ipv6)
        assert answer.options is not None
        servers4 = [server for server in answer.options.dns if ":" not in server]
        assert bool(servers4) == ipv4


def test_without_pools_of_prefixes_nobody_gets_one() -> None:
    """O1"""
    with world(WITH_IPV6, pool6=()) as here:
        assert here.ask(create(pdn_type=PDN_IPV6)).cause == 83
        assert here.ask(create(pdn_type=PDN_IPV4V6, sequence=2)).cause == 18


def test_a_line_gets_the_addresses_that_it_always_has() -> None:
    """N2: fixed addresses come before the pools, and no other gets them"""
    own = line(1, code="l1", addresses=("2001:db8:0:9::/64", "10.64.0.2"))
    other = line(2, code="l2", addresses=())
    contract = Contract("hdd1", PLAN, date(2013, 11, 1), (own, other), (), ipv6=True)
    with world(Book((contract,))) as here:
        assert here.attach(number=2).ipv4 == "10.64.0.3"
        session = here.attach(pdn_type=PDN_IPV4V6)
        assert session.addresses == ("10.64.0.2", "2001:db8:0:9::/64")
        # What a terminal asks for is not what it gets.
        asked = here.attach(number=2, address4="10.64.0.5")
        assert asked.ipv4 == "10.64.0.4"


def test_who_has_another_lines_own_address_must_leave_it() -> None:
    """a line that became known after the pool gave its address"""
    with world(sims(2)) as here:
        holder = here.attach(number=1)
        assert holder.ipv4 == "10.64.0.2"
        own = line(3, code="l3", addresses=("10.64.0.2",))
        contract = Contract("hdd2", PLAN, date(2013, 11, 1), (own,), ())
        here.engine.load(Book((contract,)), T0)
        (answer, asked) = (decode(data) for data, _ in here.send(create(number=3)))
        assert (answer.cause, answer.address4) == (16, "10.64.0.2")
        assert asked.kind is Kind.DELETE_BEARER_REQUEST
        assert (asked.teid, asked.cause) == (1_001, 8)  # reactivation requested
        assert not here.pgw.sessions.is_open(holder)
        assert here.pgw.counters["ended:address-claimed"] == 1


@pytest.mark.parametrize("version", VERSIONS)
def test_pools_and_sessions_come_to_an_end_and_come_back(version: int) -> None:
    """B48: the pool's limit is a cause, and no exit"""
    with world(sims(7)) as here:
        sessions = [here.attach(version, n) for n in range(1, 6)]
        assert sorted(s.ipv4 or "" for s in sessions) == [f"10.64.0.{n}" for n in range(2, 7)]
        full = here.ask(create(version, 6))
        assert full.cause == number(version, Cause.NO_ADDRESS)
        assert here.attach(version, 3).ipv4 == sessions[2].ipv4  # one's own is free for oneself
        assert len(here.pgw.sessions) == 5
    with world(sims(3), sessions_max=2) as here:
        here.attach(version, 1)
        here.attach(version, 2)
        full = here.ask(create(version, 3))
        assert full.cause == number(version, Cause.NO_RESOURCES)
        here.attach(version, 2)
        assert len(here.pgw.sessions) == 2


def test_an_end_that_cannot_be_sent_to_is_no_end() -> None:
    """B42: addresses of the other family, TEID 0"""
    two = Fteid(S5_PGW_U, 1, "192.0.2.1", "2001:db8::1")
    assert (end_of(two, "127.0.0.1"), end_of(two, "::1")) == ("192.0.2.1", "2001:db8::1")
    assert end_of(replace(two, ipv4=None), "127.0.0.1") is None
    assert end_of(replace(two, teid=0), "127.0.0.1") is None
    assert end_of(None, "127.0.0.1") is None
    assert end_of(replace(two, ipv6="ff02::1"), "::1") is None


def test_a_bearer_without_an_end_at_the_peers_user_plane_is_refused() -> None:
    """B42: the F-TEID is of an interface that S5/S8 does not have"""
    strange = Bearer(5, (Fteid(0, 9, SGW),))
    with world() as here:
        assert here.ask(create(bearers=(strange,))).cause == 69
        assert here.wires.told == []


def test_a_peer_cannot_take_another_peers_tunnel() -> None:
    """B50: the end of a tunnel is that of the peer that has it; its own it may use again"""
    with world() as here:
        first = here.attach(number=1, teid_down=77)
        stolen = create(number=2, teid_down=77, control=Fteid(6, 5, OTHER))
        assert here.ask(stolen, (OTHER, 2123)).cause == 69
        assert here.pgw.sessions.is_open(first)
        second = here.attach(number=2, teid_down=77)
        assert not here.pgw.sessions.is_open(first)
        assert here.pgw.counters["ended:tunnel-taken"] == 1
        assert here.pgw.sessions.at_tunnel(SGW, 77) is second


def test_random_teids_are_drawn_again_until_they_are_nobodys() -> None:
    """B19: 0 is nobody's, and no two sessions have one"""
    numbers = iter([0, 5, 0, 6, 5, 0, 7, 6, 8])
    with world(draw=lambda: next(numbers)) as here:
        first, second = here.attach(number=1), here.attach(number=2)
        assert (first.teid_control, first.teid_up) == (5, 6)
        assert (second.teid_control, second.teid_up) == (7, 8)


def test_pdn_types_that_ip_has_not_are_refused() -> None:
    """version 2 has more of them (non-IP 5)"""
    assert kinds_of(5, True) is None
    assert kinds_of(None, True) == kinds_of(PDN_IPV4, True)
