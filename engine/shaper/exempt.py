"""Exempt endpoints: prefixes with protocol and ports, matched on the network side's address (RULES X1-X4).

The prefixes are cut into disjoint address ranges, sorted, each with the rules that hold there. A first
table, by the upper 16 bits, leads most addresses (which are in no range) away after one look.
"""

from collections import Counter
from typing import Any

import numpy as np
import numpy.typing as npt

from engine.config import Endpoint
from engine.errors import ConfigError
from engine.jit import leaf
from engine.layout import RANGE, V4_MAPPED

Rows = npt.NDArray[Any]

_U64 = 1 << 64
PROTOCOLS = {"tcp": (6,), "udp": (17,)}
WITH_PORTS = (6, 17)
"""what "any" stands for where a rule names ports"""
ANY_PROTOCOL = 0
ANY_PORT = 0
SLOTS = 1 << 16


Span = tuple[int, int, list[int]]
"""first and last address, rules"""
_HALF = (1 << 127) - 1


def _is_v4(first: int, last: int) -> bool:
    return first >> 32 == last >> 32 == V4_MAPPED >> 32


def _signed(word: int) -> int:
    return word - _U64 if word >= _U64 >> 1 else word


def _slot_of(address: int) -> int:
    """Row in the first table: IPv4 by its upper 16 bits, IPv6 by its own, after the IPv4 ones."""
    if address >> 32 == V4_MAPPED >> 32:
        return address >> 16 & 0xFFFF
    return SLOTS + (address >> 112)


def _intervals(spans: list[Span]) -> list[Span]:
    """Disjoint (first, last, rules) in ascending order out of overlapping ones, in one sweep."""
    edges: dict[int, list[tuple[int, list[int]]]] = {}
    for first, last, rules in spans:
        edges.setdefault(first, []).append((1, rules))
        edges.setdefault(last + 1, []).append((-1, rules))
    active: Counter[int] = Counter()
    cut = []
    starts = sorted(edges)
    for first, after in zip(starts, starts[1:] + starts[-1:], strict=True):
        for change, rules in edges[first]:
            active.update(dict.fromkeys(rules, change))
        held = sorted(rule for rule, count in active.items() if count > 0)
        if held:
            cut.append((first, after - 1, held))
    return cut


class ExemptTable:
    """Compiled exempt list: `index` (int64, first range of each slot), `ranges` (RANGE), `rules`.

    `rules` holds `protocol << 16 | port`, 0 in either part standing for any.
    """

    def __init__(self, endpoints: tuple[Endpoint, ...], parse_prefix: Any) -> None:
        # IPv4 apart and first, as in the first table: an IPv6 prefix around ::ffff:0:0 is not IPv4.
        spans: tuple[list[Span], list[Span]] = ([], [])
        for endpoint in endpoints:
            anything = WITH_PORTS if endpoint.ports else (ANY_PROTOCOL,)
            rules = [
                protocol << 16 | port
                for protocol in PROTOCOLS.get(endpoint.protocol, anything)
                for port in endpoint.ports or (ANY_PORT,)
            ]
            for text in endpoint.prefixes:
                hi, lo, mask_hi, mask_lo = (word % _U64 for word in parse_prefix(text))
                first = hi << 64 | lo
                last = first + ((mask_hi << 64 | mask_lo) ^ ((1 << 128) - 1))
                if last - first >= _HALF:
                    raise ConfigError(
                        f"exempt endpoint {endpoint.name}: {text} covers half of the Internet; "
                        "give narrower prefixes"
                    )
                spans[not _is_v4(first, last)].append((first, last, rules))
        ranges = [*_intervals(spans[0]), *_intervals(spans[1])]
        cut = [piece for span in ranges for piece in _by_slot(*span)]
        self.ranges: Rows = np.zeros(max(1, len(cut)), dtype=RANGE)
        self.index: Rows = np.zeros(2 * SLOTS + 1, dtype=np.int64)
        counts = np.zeros(2 * SLOTS, dtype=np.int64)
        packed: list[int] = []
        for row, (first, last, rules) in zip(self.ranges, cut, strict=False):
            row["first_hi"], row["first_lo"] = _signed(first >> 64), _signed(first % _U64)
            row["last_hi"], row["last_lo"] = _signed(last >> 64), _signed(last % _U64)
            row["rule"], row["rules"] = len(packed), len(rules)
            packed += rules
            counts[_slot_of(first)] += 1
        np.cumsum(counts, out=self.index[1:])
        self.rules: Rows = np.array(packed or [0], dtype=np.int64)
        self.count = len(cut)


def _by_slot(first: int, last: int, rules: list[int]) -> list[Span]:
    """The parts of a range that lie in one slot of the first table each."""
    pieces = []
    shift = 16 if _is_v4(first, last) else 112
    while first <= last:
        end = min(last, (first >> shift << shift) + (1 << shift) - 1)
        pieces.append((first, end, rules))
        first = end + 1
    return pieces


@leaf
def _below(hi, lo, other_hi, other_lo):  # type: ignore[no-untyped-def]
    """Unsigned comparison of two 128-bit numbers held in signed halves: flip the sign bits."""
    flip = np.int64(-(2**63))
    if hi != other_hi:
        return (hi ^ flip) < (other_hi ^ flip)
    return (lo ^ flip) < (other_lo ^ flip)


@leaf
def is_exempt(index, ranges, rules, hi, lo, port_key):  # type: ignore[no-untyped-def]
    """True if the network-side address is exempt for `protocol << 16 | port` (X2).

    `port_key` has port 0 where the packet shows no ports: it then matches only rules without a port.
    """
    if hi == 0 and lo >> 32 == V4_MAPPED >> 32:
        slot = lo >> 16 & 0xFFFF
    else:
        slot = SLOTS + (hi >> 48 & 0xFFFF)
    first = index[slot]
    last = index[slot + 1]
    while (
        first < last
    ):  # the only range that can hold the address is the last that begins before it
        middle = (first + last) >> 1
        row = ranges[middle]
        if _below(hi, lo, np.int64(row["first_hi"]), np.int64(row["first_lo"])):
            last = middle
        elif _below(np.int64(row["last_hi"]), np.int64(row["last_lo"]), hi, lo):
            first = middle + 1
        else:
            return _rule_holds(rules, np.int64(row["rule"]), np.int64(row["rules"]), port_key)
    return False


@leaf
def _rule_holds(rules, first, count, port_key):  # type: ignore[no-untyped-def]
    protocol = port_key >> 16
    for k in range(first, first + count):
        rule = rules[k]
        rule_protocol = rule >> 16
        rule_port = rule & 0xFFFF
        if (rule_protocol == ANY_PROTOCOL or rule_protocol == protocol) and (
            rule_port == ANY_PORT or rule_port == port_key & 0xFFFF
        ):
            return True
    return False
