"""Which packets are exempt, and in which rating group (RULES X1-X4); part of `resolve`.

Only the first fragment of a packet shows its ports: those that follow inherit what it got.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from engine.jit import leaf
from engine.layout import (
    FRAGMENT,
    PACKET_FIRST,
    PACKET_FRAGMENT,
    PACKET_PORTS,
    PACKET_ROUTED,
    PACKET_V6,
    WORK_DOWNLINK,
    WORK_EXEMPT,
    WORK_GROUP_SHIFT,
    aligned_zeros,
)
from engine.shaper.lookup import NOT_EXEMPT, exempt_group, place_hash
from engine.units import NS_PER_S

FRAGMENT_NS = 30 * NS_PER_S
"""ns; how long fragments may come after the first: as long as hosts commonly wait for them"""
FORGOTTEN_NS = -1
"""ns; before any packet's time, which may be 0"""
WAYS = 4
"""fragmented packets with the same hash that are kept; the one that ends first gives way"""
SETS = 1 << 12


def free_fragments() -> npt.NDArray[Any]:
    """A table of fragmented packets, FRAGMENT[n] of fixed size: a flood of them can take no more (B38)."""
    return aligned_zeros(SETS * WAYS, FRAGMENT)


@leaf
def label_of(p):  # type: ignore[no-untyped-def]
    """What tells fragmented packets between two addresses apart (RFC 791 3.2, RFC 8200 4.5)."""
    label = np.int64(p["fragment"])
    if np.int64(p["flags"]) & PACKET_V6 == 0:
        label |= np.int64(p["protocol"]) << 32
    return label


@leaf
def is_of(row, p, session, label):  # type: ignore[no-untyped-def]
    """Whether a row of the table stands for the packet of which `p` is a fragment."""
    if np.int64(row["label"]) != label or np.int64(row["session"]) != session:
        return False
    if np.int64(row["src_hi"]) != np.int64(p["src_hi"]):
        return False
    if np.int64(row["src_lo"]) != np.int64(p["src_lo"]):
        return False
    if np.int64(row["dst_hi"]) != np.int64(p["dst_hi"]):
        return False
    return np.int64(row["dst_lo"]) == np.int64(p["dst_lo"])


@leaf
def first_way(p, session, label):  # type: ignore[no-untyped-def]
    """Index of the first of the WAYS rows where the packet may be."""
    ends = np.int64(p["src_lo"]) ^ np.int64(p["dst_lo"]) >> 7 ^ np.int64(p["src_hi"]) >> 13
    return (place_hash(ends ^ label << 5 ^ session << 19) & (SETS - 1)) * WAYS


@leaf
def inherited(fragments, p, session, now_ns):  # type: ignore[no-untyped-def]
    """Rating group of the first fragment of the packet, or NOT_EXEMPT where it was not exempt or seen."""
    label = label_of(p)
    first = first_way(p, session, label)
    for k in range(first, first + WAYS):
        row = fragments[k]
        if np.int64(row["until_ns"]) >= now_ns and is_of(row, p, session, label):
            return np.int64(row["group"])
    return np.int64(NOT_EXEMPT)


@leaf
def keep_first(fragments, p, session, now_ns, group):  # type: ignore[no-untyped-def]
    """Remember a first fragment that is exempt; one that is not makes the packet forgotten.

    So a second first fragment (B36) decides for those after it, whatever the one before was.
    """
    label = label_of(p)
    first = first_way(p, session, label)
    place = first
    for k in range(first, first + WAYS):
        if is_of(fragments[k], p, session, label):
            fragments[k]["until_ns"] = FORGOTTEN_NS
        if np.int64(fragments[k]["until_ns"]) < np.int64(fragments[place]["until_ns"]):
            place = k
    if group == NOT_EXEMPT:
        return
    row = fragments[place]
    row["src_hi"] = p["src_hi"]
    row["src_lo"] = p["src_lo"]
    row["dst_hi"] = p["dst_hi"]
    row["dst_lo"] = p["dst_lo"]
    row["label"] = label
    row["session"] = session
    row["until_ns"] = now_ns + FRAGMENT_NS
    row["group"] = group


@leaf
def group_of(p, downlink, exempt):  # type: ignore[no-untyped-def]
    """Rating group of a packet that is not a later fragment, or NOT_EXEMPT."""
    if np.int64(p["flags"]) & PACKET_ROUTED:
        return np.int64(NOT_EXEMPT)
    key = np.int64(p["protocol"]) << 16
    if downlink:
        address = (np.int64(p["src_hi"]), np.int64(p["src_lo"]))
        port = np.int64(p["src_port"])
    else:
        address = (np.int64(p["dst_hi"]), np.int64(p["dst_lo"]))
        port = np.int64(p["dst_port"])
    if np.int64(p["flags"]) & PACKET_PORTS:
        key |= port
    filter_words, places, ranges, rules, _ = exempt
    return exempt_group(filter_words, places, ranges, rules, address, key)


@leaf
def classify(p, w, exempt):  # type: ignore[no-untyped-def]
    """Mark a leg whose network side the filter has let through, if it is exempt; 1 then, else 0.

    exempt: the filter, places, ranges and rules of the list, and the fragments (`free_fragments`).
    """
    fragments = exempt[4]
    flags = np.int64(w["flags"])
    downlink = flags & WORK_DOWNLINK
    session = np.int64(w["row"]) << 1 | downlink
    now_ns = np.int64(w["time_ns"])
    said = np.int64(p["flags"])
    if said & PACKET_FRAGMENT == 0:
        group = group_of(p, downlink, exempt)
        if said & PACKET_FIRST:
            keep_first(fragments, p, session, now_ns, group)
    elif said & PACKET_ROUTED:
        group = np.int64(NOT_EXEMPT)  # it goes elsewhere than the first one
    else:
        group = inherited(fragments, p, session, now_ns)
    if group == NOT_EXEMPT:
        return 0
    w["flags"] = flags | WORK_EXEMPT | group << WORK_GROUP_SHIFT
    return 1
