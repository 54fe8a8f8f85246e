"""The look-up of exempt endpoints, as the kernels do it; `engine.shaper.exempt` makes the tables."""

import numpy as np

from engine.jit import inlined, leaf, unsigned
from engine.layout import V4_MAPPED

LEVEL_SHIFT, LEVELS = 60, 3
NEAR, WIDE, SLOT = (level << LEVEL_SHIFT for level in range(LEVELS))
"""levels of keys: an IPv4 address or IPv6 /64; an IPv4 /24 or IPv6 /48; the upper 16 bits of either"""
V4 = 1 << 59
"""added to keys of IPv4"""
COARSE = 1 << 17
"""coarse bits of the filter, set by `--ue-net` and by what is not found by near keys: one for each /16 of
IPv4, then one for those /32 of IPv6 whose halves give the same 16 bits when they are mixed"""
COARSE_BITS = 2 * LEVELS
"""word of the filter where they begin: behind the heads of the levels"""
NEAR_BITS = COARSE_BITS + COARSE // 64
"""word of the filter where the bits of near keys begin"""
NEAR_FACTOR, NEAR_SHIFT = 0x5BD1E995, 20
"""31 bits, odd: times 32 bits it stays within int64, and the upper half depends on all of them"""
FREE = -1
"""key of a free row in the table of places"""

RULE_GROUP_SHIFT = 24
"""rules: above it the index of the rating group"""

NOT_EXEMPT = -1

_HASH_FACTOR = 0x9E3779B1
"""2^32 / golden ratio, odd; times 31 bits it stays within int64"""


@inlined
def place_hash(key):  # type: ignore[no-untyped-def]
    """A hash of 31 bits; the caller masks it. Keys in a row must not end up in a row: a look-up for one
    that is not there goes on to the end of the run."""
    product = ((key ^ key >> 29) & 0x7FFFFFFF) * _HASH_FACTOR
    return (product ^ product >> 29) & 0x7FFFFFFF


@inlined
def is_v4(hi, lo):  # type: ignore[no-untyped-def]
    """Whether an address of a row is an IPv4 one."""
    return hi == 0 and lo >> 32 == V4_MAPPED >> 32


@inlined
def near_key(hi, lo):  # type: ignore[no-untyped-def]
    """Key of the IPv4 address, or of the IPv6 /64 without its upper bits, which `wide_key` has.

    Two that share it lie in one bucket; the ranges there are told apart by their bounds.
    """
    if is_v4(hi, lo):
        return NEAR | V4 | lo & 0xFFFFFFFF
    return NEAR | (hi ^ hi >> 23) & (V4 - 1)


@inlined
def wide_key(hi, lo):  # type: ignore[no-untyped-def]
    """Key of the IPv4 /24, or of the IPv6 /48."""
    if is_v4(hi, lo):
        return WIDE | V4 | lo >> 8 & 0xFFFFFF
    return WIDE | hi >> 16 & 0xFFFFFFFFFFFF


@inlined
def slot_key(hi, lo):  # type: ignore[no-untyped-def]
    """Key of the upper 16 bits."""
    if is_v4(hi, lo):
        return SLOT | V4 | lo >> 16 & 0xFFFF
    return SLOT | hi >> 48 & 0xFFFF


@inlined
def marked(filter_words, level, key):  # type: ignore[no-untyped-def]
    """1 if the filter has the bit of a key of this level (1 wide, 2 slot)."""
    at = place_hash(key) & filter_words[2 * level]
    return filter_words[unsigned(filter_words[2 * level + 1] + (at >> 6))] >> (at & 63) & 1


@inlined
def is_v6(hi, lo):  # type: ignore[no-untyped-def]
    """0 for an IPv4 address, else 1: without a branch, which no history could foretell."""
    return np.int64(hi | lo >> 32 ^ V4_MAPPED >> 32 != 0)


@inlined
def coarse_place(hi, lo):  # type: ignore[no-untyped-def]
    """Number of an address's coarse bit."""
    v6 = is_v6(hi, lo)
    v4_place = lo >> 16 & 0xFFFF
    return v6 << 16 | v4_place ^ (v4_place ^ hi >> 48 & 0xFFFF ^ hi >> 32 & 0xFFFF) & -v6


@inlined
def near_place(hi, lo):  # type: ignore[no-untyped-def]
    """A hash of the IPv4 address, or of the IPv6 /64; the caller masks it."""
    word = lo ^ (lo ^ hi ^ hi >> 32) & -is_v6(hi, lo)
    return (word & 0xFFFFFFFF) * NEAR_FACTOR >> NEAR_SHIFT


@inlined
def near_marked(filter_words, hi, lo):  # type: ignore[no-untyped-def]
    """1 in the lowest bit if the filter has the near bit of an address."""
    at = near_place(hi, lo) & filter_words[0]
    return filter_words[unsigned(NEAR_BITS + (at >> 6))] >> (at & 63)


@inlined
def noticed(filter_words, hi, lo):  # type: ignore[no-untyped-def]
    """False if no exempt prefix and no `--ue-net` holds the address; True for few others.

    Two bits tell: that of the address, and that of what is around it.
    """
    at = coarse_place(hi, lo)
    around = filter_words[unsigned(COARSE_BITS + (at >> 6))] >> (at & 63)
    return (around | near_marked(filter_words, hi, lo)) & 1 != 0


@inlined
def suspect(filter_words, hi, lo):  # type: ignore[no-untyped-def]
    """False if no exempt prefix holds the address; True for nearly no other."""
    return noticed(filter_words, hi, lo) and finely_suspect(filter_words, hi, lo)


@leaf
def finely_suspect(filter_words, hi, lo):  # type: ignore[no-untyped-def]
    """As `suspect`, of an address that was noticed."""
    found = near_marked(filter_words, hi, lo)
    found |= marked(filter_words, 1, wide_key(hi, lo))
    found |= marked(filter_words, 2, slot_key(hi, lo))
    return found & 1 != 0


@leaf
def _below(hi, lo, other_hi, other_lo):  # type: ignore[no-untyped-def]
    """Unsigned comparison of two 128-bit numbers held in signed halves: flip the sign bits."""
    flip = np.int64(-(2**63))
    if hi != other_hi:
        return (hi ^ flip) < (other_hi ^ flip)
    return (lo ^ flip) < (other_lo ^ flip)


@leaf
def exempt_group(filter_words, places, ranges, rules, address, port_key):  # type: ignore[no-untyped-def]
    """Index of the rating group for which the network-side address is exempt, or NOT_EXEMPT (X2).

    `address` is (high, low half); `port_key` is `protocol << 16 | port`, with port 0 where the packet shows
    no ports: it then matches only rules without a port. Only levels whose bit the filter has are probed.
    """
    hi, lo = address
    run = np.int64(FREE)
    if near_marked(filter_words, hi, lo) & 1:
        run = _place(places, near_key(hi, lo))
        if run != FREE and not is_v4(
            hi, lo
        ):  # an IPv4 key is the address: nothing is left to compare
            run = _rules_of(ranges, run, hi, lo)
    key = wide_key(hi, lo)
    if run == FREE and marked(filter_words, 1, key):
        run = _rules_of(ranges, _place(places, key), hi, lo)
    key = slot_key(hi, lo)
    if run == FREE and marked(filter_words, 2, key):
        run = _rules_of(ranges, _place(places, key), hi, lo)
    return _rule_that_holds(rules, run, port_key)


@leaf
def _place(places, key):  # type: ignore[no-untyped-def]
    """What stands at a key, a run of ranges or rules (first << 32 | the one after the last), or FREE."""
    mask = len(places) - 1
    at = place_hash(key) & mask
    while places[unsigned(at), 0] != key:
        if places[unsigned(at), 0] == FREE:
            return np.int64(FREE)
        at = (at + 1) & mask
    return places[unsigned(at), 1]


@leaf
def _rules_of(ranges, run, hi, lo):  # type: ignore[no-untyped-def]
    """The run of rules of the range that holds the address, of a run of ranges; FREE without one."""
    if run == FREE:
        return np.int64(FREE)
    first = run >> 32
    last = run & 0xFFFFFFFF
    while first < last:
        middle = (first + last) >> 1
        row = ranges[middle]
        if _below(hi, lo, np.int64(row["first_hi"]), np.int64(row["first_lo"])):
            last = middle
        elif _below(np.int64(row["last_hi"]), np.int64(row["last_lo"]), hi, lo):
            first = middle + 1
        else:
            return np.int64(row["rules"])
    return np.int64(FREE)


@leaf
def _rule_that_holds(rules, run, port_key):  # type: ignore[no-untyped-def]
    """Rating group of the first rule of a run that protocol and port fit, or NOT_EXEMPT."""
    if run == FREE:
        return np.int64(NOT_EXEMPT)
    protocol = port_key >> 16
    for k in range(run >> 32, run & 0xFFFFFFFF):
        rule = rules[k]
        rule_protocol = rule >> 16 & 0xFF
        rule_port = rule & 0xFFFF
        if (rule_protocol == 0 or rule_protocol == protocol) and (
            rule_port == 0 or rule_port == port_key & 0xFFFF
        ):
            return rule >> RULE_GROUP_SHIFT
    return np.int64(NOT_EXEMPT)
