"""Exempt endpoints: prefixes with protocol and ports, matched on the network side's address (RULES X1-X4).

The prefixes are cut into disjoint address ranges, each with the rules that hold there. A range is found by
keys of one of three levels, by its size: those of the addresses in it, of the /24 or /48 it touches, or
of the upper 16 bits. Nearly all packets go elsewhere, and two bits of a small filter say so; what it lets
through is looked up in a hash table, then among the few ranges there. So the cost of a packet hardly
depends on how long the list is.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from engine.config import Endpoint, Exempt
from engine.errors import ConfigError
from engine.layout import RANGE, V4_MAPPED, WORK_GROUPS_MAX
from engine.shaper.lookup import (
    COARSE,
    FREE,
    NEAR_BITS,
    RULE_GROUP_SHIFT,
    V4,
    WIDE,
    near_key,
    near_place,
    place_hash,
    slot_key,
    wide_key,
)

Rows = npt.NDArray[Any]

_U64 = 1 << 64
PROTOCOLS = {"tcp": (6,), "udp": (17,)}
WITH_PORTS = (6, 17)
"""what "any" stands for where a rule names ports"""
ANY_PROTOCOL = 0
ANY_PORT = 0
NEAR_SPREAD = 16
"""IPv4 addresses or IPv6 /64 that a range may hold to be found by each of them"""
WIDE_SPREAD = 32
"""/24 or /48 that a range may touch to be found by each; a wider one is found by its upper 16 bits"""
FILTER_BITS_PER_KEY = 32
"""so at most one address in 32 gets past each level of the filter without having a key"""
FILTER_BITS_MAX = 1 << 20

Span = tuple[int, int, list[int]]
"""first and last address, rules"""
Prefix = Sequence[int]
"""high and low half of its first address, and of its mask, signed"""
_HALF = (1 << 127) - 1


class RatingGroups:
    """Every rating group that was ever configured, by an index that never changes (X3).

    Index 0 is the group without a number, of endpoints that name none. `caps_bytes[index]` is what a SIM
    may carry as exempt in a group on a JST day; 0: as much as it likes.
    """

    def __init__(self) -> None:
        self.ids: list[int] = [0]
        self.names: list[str] = ["exempt"]
        self.caps_bytes: list[int] = [0]

    def indexes(self, exempt: Exempt) -> dict[int, int]:
        """The index of each number in a list: new ones come after all before. ConfigError for too many."""
        index_of = {number: index for index, number in enumerate(self.ids)}
        for group in exempt.rating_groups:
            index_of.setdefault(group.id, len(index_of))
        if len(index_of) > WORK_GROUPS_MAX:
            raise ConfigError(
                f"exempt: more than {WORK_GROUPS_MAX - 1} different rating groups in one run; "
                "use the numbers of earlier lists again"
            )
        return {number: index_of[number] for number in (0, *(g.id for g in exempt.rating_groups))}

    def take(self, exempt: Exempt) -> None:
        """Names and caps are those of this list from now on."""
        index_of = self.indexes(exempt)
        for group in exempt.rating_groups:
            index = index_of[group.id]
            if index == len(self.ids):
                self.ids.append(group.id)
                self.names.append("")
                self.caps_bytes.append(0)
            self.names[index] = group.name
            self.caps_bytes[index] = group.cap_bytes_per_day


def _is_v4(first: int, last: int) -> bool:
    return first >> 32 == last >> 32 == V4_MAPPED >> 32


def _ends(prefix: Prefix) -> tuple[int, int]:
    """First and last address of a prefix."""
    hi, lo, mask_hi, mask_lo = (int(word) % _U64 for word in prefix)
    first = hi << 64 | lo
    return first, first + ((mask_hi << 64 | mask_lo) ^ ((1 << 128) - 1))


def _signed(word: int) -> int:
    return word - _U64 if word >= _U64 >> 1 else word


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
        active = +active  # those that ended here are dropped
        if active:
            cut.append((first, after - 1, sorted(active)))
    return cut


def _by_slot(first: int, last: int, rules: list[int]) -> list[Span]:
    """The parts of a range whose addresses share their upper 16 bits."""
    pieces = []
    shift = 16 if _is_v4(first, last) else 112
    while first <= last:
        end = min(last, (first >> shift << shift) + (1 << shift) - 1)
        pieces.append((first, end, rules))
        first = end + 1
    return pieces


class ExemptTable:
    """Compiled exempt list: `filter`, `places` (int64), `ranges` (RANGE) and `rules` for the kernels.

    `rules` holds `group index << 24 | protocol << 16 | port`, 0 in the latter parts standing for any.
    `nets` are prefixes (high, low half, masks) whose addresses are to be `noticed`, too.
    """

    def __init__(
        self, exempt: Exempt, parse_prefix: Any, groups: RatingGroups, nets: Iterable[Prefix] = ()
    ) -> None:
        # IPv4 apart and first: an IPv6 prefix around ::ffff:0:0 is not IPv4.
        spans: tuple[list[Span], list[Span]] = ([], [])
        index_of = groups.indexes(exempt)
        for endpoint in exempt.endpoints:
            group = index_of.get(endpoint.rating_group)
            if group is None:
                raise ConfigError(
                    f"exempt endpoint {endpoint.name}: no rating group of its list has the id "
                    f"{endpoint.rating_group}"
                )
            rules = _rules(endpoint, group)
            for text in endpoint.prefixes:
                first, last = _ends(parse_prefix(text))
                if last - first >= _HALF:
                    raise ConfigError(
                        f"exempt endpoint {endpoint.name}: {text} covers half of the Internet; "
                        "give narrower prefixes"
                    )
                spans[not _is_v4(first, last)].append((first, last, rules))
        # What an IPv6 prefix holds of the mapped addresses is nobody's: rows hold IPv4 ones there.
        ranges = [span for span in _intervals(spans[1]) if not _is_v4(*span[:2])]
        ranges = [*_intervals(spans[0]), *ranges]
        levels = _by_level([piece for span in ranges for piece in _by_slot(*span)])
        self.ranges, self.rules = _pack([piece for level in levels for piece, _ in level])
        self.count = sum(map(len, levels))
        keys = _keys(levels)
        self.filter = _filter(levels, map(_ends, nets))
        self.places = _places(keys, self.ranges)
        groups.take(exempt)  # last: a list that is refused changes nothing

    @property
    def tables(self) -> tuple[Rows, Rows, Rows, Rows]:
        """As the kernels take them."""
        return self.filter, self.places, self.ranges, self.rules


def _rules(endpoint: Endpoint, group: int) -> list[int]:
    anything = WITH_PORTS if endpoint.ports else (ANY_PROTOCOL,)
    return [
        group << RULE_GROUP_SHIFT | protocol << 16 | port
        for protocol in PROTOCOLS.get(endpoint.protocol, anything)
        for port in endpoint.ports or (ANY_PORT,)
    ]


def _halves(address: int) -> tuple[np.int64, np.int64]:
    return np.int64(_signed(address >> 64)), np.int64(_signed(address % _U64))


Level = list[tuple[Span, list[int]]]
"""ranges in ascending order, each with the keys under which it is found"""


def _by_level(cut: list[Span]) -> tuple[Level, Level, Level]:
    """The ranges that are found by near keys, by wide ones, and by slots; each list in ascending order."""
    levels: tuple[Level, Level, Level] = ([], [], [])
    for piece in cut:
        first, last, _ = piece
        near, wide = (1, 1 << 8) if _is_v4(first, last) else (1 << 64, 1 << 80)
        if last // near - first // near < NEAR_SPREAD:
            at, step, key = 0, near, near_key
        elif last // wide - first // wide < WIDE_SPREAD:
            at, step, key = 1, wide, wide_key
        else:
            at, step, key = 2, 1 << 128, slot_key
        starts = _starts(first, last, step)
        levels[at].append((piece, [int(key(*_halves(start))) for start in starts]))
    return levels


def _starts(first: int, last: int, step: int) -> list[int]:
    """The first address of a range in each block of `step` addresses that it touches."""
    return [first, *range((first // step + 1) * step, last + 1, step)]


def _keys(levels: tuple[Level, Level, Level]) -> dict[int, tuple[int, int]]:
    """First range of each key and the one after the last; those between are in ascending order."""
    found: dict[int, tuple[int, int]] = {}
    number = 0
    for level in levels:
        for _, keys in level:
            for key in keys:
                found[key] = found.get(key, (number, 0))[0], number + 1
            number += 1
    return found


def _pack(cut: list[Span]) -> tuple[Rows, Rows]:
    ranges: Rows = np.zeros(max(1, len(cut)), dtype=RANGE)
    packed: list[int] = []
    for row, (first, last, rules) in zip(ranges, cut, strict=False):
        row["first_hi"], row["first_lo"] = _signed(first >> 64), _signed(first % _U64)
        row["last_hi"], row["last_lo"] = _signed(last >> 64), _signed(last % _U64)
        row["rules"] = len(packed) << 32 | len(packed) + len(rules)
        packed += rules
    return ranges, np.array(packed or [0], dtype=np.int64)


def _places(keys: dict[int, tuple[int, int]], ranges: Rows) -> Rows:
    """int64[n, 2]: key, and first range << 32 | the one after the last; a hash table at most half full.

    An IPv4 address in one of the ranges that are found by their addresses has the run of their rules.
    """
    size = 1 << (2 * len(keys) + 1).bit_length()
    places = np.full((size, 2), FREE, dtype=np.int64)
    for key, (first, after) in keys.items():
        at = int(place_hash(np.int64(key))) & (size - 1)
        while places[at, 0] != FREE:
            at = (at + 1) & (size - 1)
        address = key < WIDE and key & V4
        places[at] = key, ranges[first]["rules"] if address else first << 32 | after
    return places


def _packed(bits: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint64]:
    return np.packbits(bits, bitorder="little").view(np.uint64)


def _coarse(spans: Iterable[tuple[int, int]]) -> npt.NDArray[np.uint8]:
    """The coarse bits of ranges, first and last address each: see `coarse_place`."""
    bits = np.zeros(COARSE, dtype=np.uint8)
    v4, v6 = bits[: COARSE // 2], bits[COARSE // 2 :]
    for first, last in spans:
        a, b = max(first, V4_MAPPED), min(last, V4_MAPPED + 0xFFFFFFFF)
        if a <= b:
            v4[a >> 16 & 0xFFFF : (b >> 16 & 0xFFFF) + 1] = 1
        if first < V4_MAPPED or last > V4_MAPPED + 0xFFFFFFFF:
            blocks = np.arange(first >> 96, min(last >> 96, (first >> 96) + len(v6)) + 1)
            v6[(blocks >> 16 ^ blocks) & 0xFFFF] = 1
    return bits


def _near_places(span: Span) -> list[int]:
    """The near bits of a range that is found by near keys."""
    first, last, _ = span
    step = 1 if _is_v4(first, last) else 1 << 64
    return [int(near_place(*_halves(start))) for start in _starts(first, last, step)]


def _filter(levels: tuple[Level, Level, Level], others: Iterable[tuple[int, int]]) -> Rows:
    """int64[n] of bits: see `suspect` and `marked`. Ranges of `others` have coarse bits alone.

    Before them for each level how many there are, less one, and where they begin; then the coarse ones.
    """
    near, *wider = levels
    kinds = [[place for span, _ in near for place in _near_places(span)]]
    kinds += [[int(place_hash(np.int64(k))) for _, keys in level for k in keys] for level in wider]
    spans = [span[:2] for level in wider for span, _ in level]
    parts = [_packed(_coarse([*spans, *others]))]
    heads: list[int] = []
    begin = NEAR_BITS
    for places in kinds:
        count = 64
        while count < min(FILTER_BITS_MAX, FILTER_BITS_PER_KEY * len(places)):
            count *= 2
        bits = np.zeros(count, dtype=np.uint8)
        bits[np.array(places, dtype=np.int64) & (count - 1)] = 1
        heads += [count - 1, begin]
        parts.append(_packed(bits))
        begin += count // 64
    return np.concatenate([np.array(heads, dtype=np.uint64), *parts]).view(np.int64)
