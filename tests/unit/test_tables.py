"""The tables that find a SIM: probing, growing, and addresses that were given back."""

import numpy as np
import pytest

from engine.datapath import tables
from engine.layout import (
    ADDRESS_GONE,
    ADDRESS_HOST,
    ADDRESS_PREFIX,
    ANY_ENDPOINT,
    TUNNEL_ASIDE,
    TUNNEL_CHECKED,
    TUNNEL_ELSEWHERE,
    TUNNEL_OVER,
    TUNNEL_SEEN,
)
from engine.words import CONTROL_STRAYS, CONTROL_TUNNELS, CONTROL_WORDS

CROWD = 192
"""entries in a table of 256 places: three quarters, so that many collide"""


def crowded_tunnels() -> np.ndarray:
    table = tables.free_tunnels(256)
    for number in range(CROWD):
        key = number % 3 << 32 | number * 977
        slot = tables.probe_tunnel(table, key)
        table[slot]["key"], table[slot]["row"], table[slot]["packets"] = key, number, number + 1
    return table


def crowded_addresses() -> np.ndarray:
    table = tables.free_addresses(256)
    for number in range(CROWD):
        kind = number % 2
        slot = tables.probe_address(table, number, 0, kind)
        entry = table[slot]
        entry["hi"], entry["lo"], entry["row"], entry["kind"] = number, 0, number, kind
    return table


def test_every_tunnel_is_found_again_in_a_larger_table() -> None:
    """N6, B20"""
    old = crowded_tunnels()
    new = tables.free_tunnels(512)
    control = np.zeros(CONTROL_WORDS, dtype=np.int64)
    tables.rehash_tunnels(old, new, control)
    assert int(control[CONTROL_TUNNELS]) == tables.telling_tunnels(old) == CROWD
    for table in (old, new):
        for number in range(CROWD):
            entry = table[tables.probe_tunnel(table, number % 3 << 32 | number * 977)]
            assert (entry["row"], entry["packets"]) == (number, number + 1)
        free = table[tables.probe_tunnel(table, 5 << 32)]
        assert (free["key"], free["row"]) == (-1, -1)


def test_a_tunnel_that_says_nothing_any_more_is_left_behind() -> None:
    """B20: no session's, nothing carried, and no mark that says what becomes of its packets"""
    old, new = tables.free_tunnels(256), tables.free_tunnels(256)
    control = np.zeros(CONTROL_WORDS, dtype=np.int64)
    control[CONTROL_STRAYS] = 2
    rows = [(-1, 0, 0), (-1, 0, TUNNEL_SEEN), (-1, 1, TUNNEL_SEEN), (3, 0, 0)]
    rows += [(-1, 0, mark) for mark in (TUNNEL_ELSEWHERE, TUNNEL_ASIDE, TUNNEL_OVER)]
    for teid, (row, packets, direction) in enumerate(rows):
        entry = old[tables.probe_tunnel(old, teid)]
        entry["key"], entry["row"], entry["packets"], entry["direction"] = (
            teid,
            row,
            packets,
            direction,
        )
    tables.rehash_tunnels(old, new, control)
    kept = [int(new[tables.probe_tunnel(new, teid)]["key"]) for teid in range(len(rows))]
    assert kept == [-1, -1, 2, 3, 4, 5, 6]
    assert (int(control[CONTROL_TUNNELS]), int(control[CONTROL_STRAYS])) == (5, 1)


def test_every_address_is_found_again_in_a_larger_table() -> None:
    """N2: a prefix and an address of the same bits are two entries"""
    old = crowded_addresses()
    new = tables.free_addresses(512)
    tables.rehash_addresses(old, new)
    for table in (old, new):
        for number in range(CROWD):
            assert table[tables.probe_address(table, number, 0, number % 2)]["row"] == number
            other = table[tables.probe_address(table, number, 0, 1 - number % 2)]
            assert other["row"] == -1


def test_an_address_given_back_hides_none_behind_it() -> None:
    """N6: and a larger table forgets it"""
    table = crowded_addresses()
    gone = set(range(0, CROWD, 3))
    for number in gone:
        table[tables.probe_address(table, number, 0, number % 2)]["row"] = ADDRESS_GONE
    larger = tables.free_addresses(512)
    tables.rehash_addresses(table, larger)
    for number in range(CROWD):
        here = table[tables.probe_address(table, number, 0, number % 2)]
        there = larger[tables.probe_address(larger, number, 0, number % 2)]
        expected = (ADDRESS_GONE, -1) if number in gone else (number, number)
        assert (here["row"], there["row"]) == expected


def test_the_most_exact_entry_wins() -> None:
    """N2: an address of its own before the /64 around it"""
    table = tables.free_addresses(16)
    for lo, row, kind in ((0, 7, ADDRESS_PREFIX), (9, 8, ADDRESS_HOST)):
        entry = table[tables.probe_address(table, 5, lo, kind)]
        entry["hi"], entry["lo"], entry["row"], entry["kind"] = 5, lo, row, kind
    found = [tables.find_address(table, np.int64(hi), np.int64(lo)) for hi, lo in HALVES]
    assert [int(table[slot]["row"]) if slot >= 0 else -1 for slot in found] == [8, 7, 7, -1, -1]


HALVES = ((5, 9), (5, 10), (5, 0), (6, 9), (0, 9))


@pytest.mark.parametrize("word", [0, 1, -1, 2**62, -(2**63), 2**63 - 1, 0xFFFF_0A01_0001])
def test_the_hash_is_the_same_with_and_without_the_jit(word: int) -> None:
    """G8: products stay below 2^63, so nothing wraps"""
    low = (word & 0xFFFFFFFF) * 0x2C1B3C6D
    high = (word >> 32 & 0xFFFFFFFF) * 0x297A2D39
    h = low ^ high
    h = ((h ^ h >> 29) & 0xFFFFFFFF) * 0x1B56C4E9
    assert h < 2**63
    assert int(tables.mix(np.int64(word))) == h ^ h >> 31


def test_a_session_is_lent_to_the_tunnels_that_packets_made() -> None:
    """N6: at the first receivers, not where another session is bound"""
    table = tables.free_tunnels(64)
    entries = [(ANY_ENDPOINT, 5, TUNNEL_CHECKED), (0, -1, TUNNEL_SEEN), (1, 9, 0)]
    entries += [(2, -1, TUNNEL_SEEN | TUNNEL_ELSEWHERE), (4, -1, TUNNEL_SEEN)]
    for endpoint, row, direction in entries:
        entry = table[tables.probe_tunnel(table, endpoint << 32 | 77)]
        entry["key"], entry["row"], entry["direction"] = endpoint << 32 | 77, row, direction
    control = np.zeros(CONTROL_WORDS, dtype=np.int64)
    control[CONTROL_STRAYS] = 3
    tables.lend_tunnel(table, control, 77, 4)
    keys = [endpoint << 32 | 77 for endpoint in (0, 1, 2, 3, 4)]
    found = [table[tables.probe_tunnel(table, key)] for key in keys]
    assert [int(t["row"]) for t in found] == [5, 9, 5, -1, -1]
    assert [int(t["direction"]) for t in found[:3]] == [TUNNEL_CHECKED | TUNNEL_SEEN, 0, 6]
    assert int(control[CONTROL_STRAYS]) == 1
