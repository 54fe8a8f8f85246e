"""The table of bearers: found while they are open, gone when they are closed, whatever the order."""

import random

from engine.gateway.bearers import FIRST, Bearers, Nodes, socket_name
from engine.gateway.inbox import sender_of
from engine.gateway.session import Session
from engine.wire.addresses import parse_address
from engine.wire.endpoints import Endpoints
from tests.support.gateway import T0
from tests.support.plane import PEER, PEER_2, session


def numbered(number: int) -> Session:
    """One of many sessions, each with addresses of its own."""
    address = f"10.{64 + (number >> 16)}.{number >> 8 & 255}.{number & 255}"
    return session(number, ipv4=address, ipv6=f"2001:db8:{number:x}::/64")


def found(bearers: Bearers, made: Session) -> tuple[int, ...]:
    """Rows that a session's TEID and addresses lead to; -1 for none."""
    teids, addresses, _, _ = bearers.tables
    by_teid = [int(t["row"]) for t in teids if int(t["key"]) == made.teid_up]
    assert made.ipv4
    assert made.ipv6
    halves = [parse_address(made.ipv4), (parse_address(made.ipv6[:-3])[0], 0)]
    rows = [
        max((int(a["row"]) for a in addresses if (int(a["hi"]), int(a["lo"])) == half), default=-1)
        for half in halves
    ]
    return (*(by_teid or [-1]), *(max(row, -1) for row in rows))


def test_a_bearer_is_found_by_teid_and_both_addresses_until_it_is_closed() -> None:
    """N2, N6"""
    bearers = Bearers(Endpoints(), 2152)
    made = numbered(1)
    bearers.open(made, T0)
    at = made.bearer
    assert found(bearers, made) == (at, at, at)
    assert bearers.of_peer(PEER, made.teid_down) is made
    bearers.close(made)
    assert found(bearers, made) == (-1, -1, -1)
    assert bearers.of_peer(PEER, made.teid_down) is None
    assert len(bearers) == 0


def test_tables_grow_and_keep_what_is_in_them() -> None:
    """More sessions than the tables begin with"""
    bearers = Bearers(Endpoints(), 2152)
    many = [numbered(n) for n in range(1, FIRST + 200)]
    for made in many:
        bearers.open(made, T0)
    assert len(bearers) == len(many) == len({made.bearer for made in many})
    for made in many[::97]:
        assert found(bearers, made) == (made.bearer,) * 3
    names = bearers.names[many[-1].bearer * 32 :][:32].tobytes()
    assert sender_of(names) == (PEER, 2152)


def test_tables_do_not_grow_with_sessions_that_have_ended() -> None:
    """A gateway that lives long: random TEIDs come and go, a hundred at a time"""
    bearers = Bearers(Endpoints(), 2152)
    draw = random.Random(1)
    open_now: list[Session] = []
    for number in range(1, 4000):
        made = numbered(number)
        made.teid_up = draw.randrange(1, 1 << 32)
        bearers.open(made, T0)
        open_now.append(made)
        if len(open_now) > 100:
            bearers.close(open_now.pop(0))
    assert len(bearers.teids) == FIRST
    assert len(bearers.tables[1]) == 2 * FIRST, "two addresses a session"
    for made in open_now[::10]:
        assert found(bearers, made) == (made.bearer,) * 3


def test_a_row_that_is_given_out_again_has_another_generation() -> None:
    """So that what waited for the one before is not sent to the next"""
    bearers = Bearers(Endpoints(), 2152)
    made = numbered(1)
    bearers.open(made, T0)
    at, before = made.bearer, int(bearers.rows[made.bearer]["generation"])
    bearers.close(made)
    bearers.open(made, T0)
    assert (made.bearer, int(bearers.rows[at]["generation"])) == (at, before + 1)


def test_a_peer_that_gives_out_a_teid_twice_harms_nobody_else() -> None:
    """B21: an indication is about the session that has the tunnel now"""
    bearers = Bearers(Endpoints(), 2152)
    first, second = numbered(1), numbered(2)
    second.teid_down = first.teid_down
    bearers.open(first, T0)
    bearers.open(second, T0)
    bearers.close(first)
    assert bearers.of_peer(PEER, second.teid_down) is second


def test_an_address_that_has_become_anothers_stays_that_ones() -> None:
    """N6: the old session may end after the new one was opened"""
    bearers = Bearers(Endpoints(), 2152)
    old, new = numbered(1), numbered(1)
    bearers.open(old, T0)
    new.teid_down = 99
    bearers.open(new, T0)
    bearers.close(old)
    assert found(bearers, new) == (new.bearer,) * 3


def test_a_move_ties_the_bearer_to_its_new_peer_alone() -> None:
    """TS 23.401 5.5: another S-GW"""
    bearers = Bearers(Endpoints(), 2152)
    made = numbered(1)
    bearers.open(made, T0)
    old = made.peer_user, made.teid_down
    made.peer_user, made.teid_down = PEER_2, 5
    assert bearers.move(made) == old
    assert bearers.of_peer(*old) is None
    assert bearers.of_peer(PEER_2, 5) is made
    row = bearers.rows[made.bearer]
    assert (int(row["teid_down"]), (int(row["peer_hi"]), int(row["peer_lo"]))) == (
        5,
        parse_address(PEER_2),
    )


def test_a_node_is_one_until_the_last_has_let_go_of_it() -> None:
    """B16"""
    nodes = Nodes()
    for _ in range(2):
        nodes.add("192.0.2.1")
    nodes.remove("192.0.2.1")
    assert (nodes.table.rows["row"] == 0).any()
    nodes.remove("192.0.2.1")
    assert not (nodes.table.rows["row"] == 0).any()


def test_socket_names_hold_address_and_port_of_both_families() -> None:
    """struct sockaddr_in, struct sockaddr_in6"""
    assert sender_of(socket_name("192.0.2.7", 2152)) == ("192.0.2.7", 2152)
    assert sender_of(socket_name("2001:db8::7", 9)) == ("2001:db8::7", 9)
