"""Rows and side rows: they grow, keep what they hold, and carry counters that become too large."""

import pytest

from engine.accounting.sims import SideTables, SimTable, grown
from engine.layout import (
    CACHE_LINE,
    CHARGED_PACKET,
    CHARGED_SHIFT,
    DOWNLINK,
    PAGE_BYTES,
    SIM,
    UPLINK,
    aligned_zeros,
)
from engine.units import IP_LENGTH_MAX, MB
from engine.words import CONTROL_BYTES, CONTROL_PACKETS
from tests.support.gateway import MS, SERVER, T0, UE, book, gateway, line, packet, play, sim, train


@pytest.mark.parametrize(("count", "align"), [(1, CACHE_LINE), (8 * PAGE_BYTES // 64, PAGE_BYTES)])
def test_rows_begin_with_a_cache_line_or_a_page(count: int, align: int) -> None:
    table = aligned_zeros(count, SIM)
    assert len(table) == count
    assert table.ctypes.data % align == 0
    assert not table["flags"].any()


@pytest.mark.parametrize(("count", "expected"), [(3, 4), (4, 4), (5, 8), (20, 20)])
def test_a_table_doubles_or_jumps(count: int, expected: int) -> None:
    old = aligned_zeros(4, SIM)
    old["balance_bytes"] = (1, 2, 3, 4)
    new = grown(old, count)
    assert len(new) == expected
    assert new["balance_bytes"].tolist() == [1, 2, 3, 4] + [0] * (expected - 4)
    assert (new is old) == (count <= 4)


def test_sims_keep_what_they_hold_when_the_table_grows() -> None:
    """D4: balances above all"""
    sims = SimTable(capacity=1)
    rows = [sims.add(2, 5, 100 * number, (7, 9)) for number in range(5)]
    assert rows == [0, 1, 2, 3, 4]
    assert (sims.count, len(sims.rows)) == (5, 8)
    assert sims.rows["balance_bytes"][:5].tolist() == [0, 100, 200, 300, 400]
    assert sims.rows["credit"][:5].tolist() == [[7, 9]] * 5
    assert (sims.rows["profile"][4], sims.rows["flags"][4]) == (2, 5)


def test_side_rows_come_in_pairs() -> None:
    sides = SideTables(capacity=2)
    sides.usage["slow_bytes"] = (0, 0, 11, 12)
    sides.shape["day"] = (0, 5)
    sides.reserve(2)
    assert (len(sides.usage), len(sides.shape)) == (4, 2)
    sides.reserve(3)
    assert (len(sides.usage), len(sides.shape)) == (8, 4)
    row = aligned_zeros(1, SIM)
    row["side"] = 1
    assert [sides.counters(row, d)["slow_bytes"][0] for d in (UPLINK, DOWNLINK)] == [11, 12]
    assert sides.shape["day"].tolist() == [0, 5, 0, 0]


def test_rows_of_rating_groups_grow_and_keep_what_they_hold() -> None:
    """X3: a chain for each SIM; row 0 is nobody's"""
    sides = SideTables(capacity=2)
    assert len(sides.rated) == 1
    sides.reserve(1, 4)
    assert len(sides.rated) == 4
    sides.shape["rated"][1] = 3
    for at, group, following in ((3, 7, 1), (1, 2, 0)):
        sides.rated[at]["group"], sides.rated[at]["next"] = group, following
    sides.reserve(1, 9)
    row = aligned_zeros(1, SIM)
    row["side"] = 1
    assert [int(found["group"]) for found in sides.rated_rows(row[0])] == [2, 7]
    assert sides.rated_rows(aligned_zeros(1, SIM)[0]) == []


@pytest.mark.parametrize("policed", [False, True])
def test_only_a_policer_needs_rows_for_markers(policed: bool) -> None:
    sides = SideTables(capacity=2, policed=policed)
    assert len(sides.marks) == (8 if policed else 1)
    sides.marks["last_ns"][:] = 5
    sides.reserve(3)
    assert len(sides.marks) == (16 if policed else 1)
    assert sides.marks["last_ns"].sum() == (40 if policed else 5)
    assert [len(table) for table in sides.tables] == [8, 4, 1, len(sides.marks)]


def test_a_charged_sim_needs_no_side_row_beyond_its_first_packet() -> None:
    """D1: the slice stops the kernel, and its packet goes the long way"""
    engine = gateway(book(coupon_bytes=MB))
    play(engine, train(5, MS))
    side = engine.sims.rows[0]["side"]
    play(engine, train(5, MS, start_ns=T0 + 9 * MS))
    assert engine.sims.rows[0]["side"] == side
    assert sim(engine)["up"]["packets"] == 10


@pytest.mark.jit  # the sum wraps around, of which plain numpy warns
@pytest.mark.parametrize("where", [(UE, SERVER), (SERVER, UE)])
def test_a_counter_that_is_full_is_carried_over(where: tuple[str, str]) -> None:
    """I6: packets and bytes share one number in the row; none of either is lost"""
    packets, size = (1 << 23) - 1, ((1 << 23) - 1) * IP_LENGTH_MAX
    assert size + IP_LENGTH_MAX < CHARGED_PACKET
    engine = gateway(book(line(balance_bytes=10_000), coupon_bytes=MB))
    play(engine, packet(T0, *where))
    way = 0 if where[0] == UE else 1
    row = engine.sims.rows[0]
    row["charged"][way] = packets << CHARGED_SHIFT | size
    engine.control[CONTROL_PACKETS] += packets - 1
    engine.control[CONTROL_BYTES] += size - 100
    engine.book.lines[0].initial_balance_bytes += size - 100
    play(engine, *(packet(T0 + k * MS, *where) for k in range(4)))
    found = sim(engine)["up" if way == 0 else "down"]
    assert (found["packets"], found["charged_bytes"]) == (packets + 4, size + 400)
    assert int(engine.sims.rows[0]["charged"][way]) < 1 << 62
