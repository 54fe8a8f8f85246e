"""Open-addressing tables that find the SIM of a packet: by tunnel and by subscriber address.

Sizes are powers of two, three eighths full at the most (large ones three quarters), probed linearly. What a
table answers never depends on the order in which it was filled.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from engine import layout
from engine.jit import i8, i8s, inlined, kernel, leaf, rows, unsigned
from engine.layout import (
    ADDRESS,
    ADDRESS_HOST,
    ADDRESS_PREFIX,
    ANY_ENDPOINT,
    TUNNEL,
    TUNNEL_ASIDE,
    TUNNEL_ELSEWHERE,
    TUNNEL_OVER,
    TUNNEL_SEEN,
)
from engine.words import CONTROL_STRAYS, CONTROL_TUNNELS

Rows = npt.NDArray[Any]

_WORD = 0xFFFFFFFF
_MIX_A = 0x2C1B3C6D
_MIX_B = 0x297A2D39
_MIX_C = 0x1B56C4E9


SMALL = 1 << 16
"""rows of a table that fits the cache: it is kept sparse, as a probe that has to go on is a branch
mispredicted, which costs more than the room"""


def room(size: int) -> int:
    """How many rows of a table of `size` may be taken before it must grow."""
    return size * 3 // (8 if size <= SMALL else 4)


most = inlined(room)
"""the same, for kernels"""


@inlined
def mix(word):  # type: ignore[no-untyped-def]
    """Spread the bits of a 64-bit word; products stay below 2^63, so plain Python agrees."""
    low = (word & _WORD) * _MIX_A
    high = (word >> 32 & _WORD) * _MIX_B
    h = low ^ high
    h = (h ^ h >> 29) & _WORD
    h = h * _MIX_C
    return h ^ h >> 31


@inlined
def tunnel_slot(tunnels, key):  # type: ignore[no-untyped-def]
    """Index of the tunnel's row, or of the free row where it belongs."""
    mask = len(tunnels) - 1
    slot = mix(key) & mask
    while True:
        found = np.int64(tunnels[unsigned(slot)]["key"])
        if found == key or found == -1:
            return slot
        slot = (slot + 1) & mask


@inlined
def address_hash(hi, lo, prefix):  # type: ignore[no-untyped-def]
    """Hash of an address (`prefix` 0) or of a /64 (1)."""
    return mix(lo ^ hi << 21 ^ hi >> 11 ^ prefix)


@inlined
def address_slot(addresses, hi, lo, prefix):  # type: ignore[no-untyped-def]
    """Index of the address's row, or of the free row where it belongs; `prefix` is 0 or 1."""
    mask = len(addresses) - 1
    slot = address_hash(hi, lo, prefix) & mask
    while True:
        row = addresses[unsigned(slot)]
        if np.int64(row["row"]) == -1:
            return slot
        same = np.int64(row["hi"]) == hi and np.int64(row["lo"]) == lo
        if same and np.int64(row["kind"]) & ADDRESS_PREFIX == prefix:
            return slot
        slot = (slot + 1) & mask


@inlined
def find_address(addresses, hi, lo):  # type: ignore[no-untyped-def]
    """Index of the row whose address or /64 holds (hi, lo), or -1."""
    slot = address_slot(addresses, hi, lo, ADDRESS_HOST)
    if np.int64(addresses[unsigned(slot)]["row"]) >= 0:
        return slot
    if hi != 0:  # IPv4 has no prefixes here
        slot = address_slot(addresses, hi, np.int64(0), ADDRESS_PREFIX)
        if np.int64(addresses[unsigned(slot)]["row"]) >= 0:
            return slot
    return np.int64(-1)


@kernel(rows(TUNNEL))
def telling_tunnels(tunnels):  # type: ignore[no-untyped-def]
    """How many tunnels say something, and are kept by `rehash_tunnels`."""
    count = np.int64(0)
    for k in range(len(tunnels)):
        if np.int64(tunnels[k]["key"]) != -1 and not forgettable(tunnels[k]):
            count += 1
    return count


@leaf
def forgettable(tunnel):  # type: ignore[no-untyped-def]
    """True for a row that says nothing any more: no session's, without packets to report."""
    says = np.int64(tunnel["direction"]) & (TUNNEL_ELSEWHERE | TUNNEL_ASIDE | TUNNEL_OVER)
    return np.int64(tunnel["row"]) < 0 and says == 0 and np.int64(tunnel["packets"]) == 0


@kernel(rows(TUNNEL), rows(TUNNEL), i8s)
def rehash_tunnels(old, new, control):  # type: ignore[no-untyped-def]
    """Move every tunnel that says something into the free table `new`; counts them in `control`."""
    control[CONTROL_TUNNELS] = 0
    for k in range(len(old)):
        key = np.int64(old[k]["key"])
        if key == -1:
            continue
        if forgettable(old[k]):
            control[CONTROL_STRAYS] -= np.int64(np.int64(old[k]["direction"]) & TUNNEL_SEEN != 0)
            continue
        new[tunnel_slot(new, key)] = old[k]
        control[CONTROL_TUNNELS] += 1


@kernel(rows(TUNNEL), i8s, i8, i8)
def lend_tunnel(tunnels, control, teid, endpoints):  # type: ignore[no-untyped-def]
    """Tell the tunnels that packets made, at the first `endpoints` receivers, whose the TEID is now.

    A session that is valid at every receiver may open, or end, after its TEID was seen.
    """
    anywhere = tunnels[tunnel_slot(tunnels, ANY_ENDPOINT << 32 | teid)]
    row = np.int64(anywhere["row"])
    for endpoint in range(endpoints):
        key = endpoint << 32 | teid
        tunnel = tunnels[tunnel_slot(tunnels, key)]
        if np.int64(tunnel["key"]) == key and np.int64(tunnel["direction"]) & TUNNEL_SEEN:
            control[CONTROL_STRAYS] += np.int64(row < 0) - np.int64(np.int64(tunnel["row"]) < 0)
            tunnel["row"] = row
            tunnel["direction"] = np.int64(anywhere["direction"]) | TUNNEL_SEEN


@kernel(rows(ADDRESS), rows(ADDRESS))
def rehash_addresses(old, new):  # type: ignore[no-untyped-def]
    """Move every address into the larger, free table `new`."""
    for k in range(len(old)):
        row = old[k]
        if np.int64(row["row"]) >= 0:
            kind = np.int64(row["kind"]) & ADDRESS_PREFIX
            new[address_slot(new, np.int64(row["hi"]), np.int64(row["lo"]), kind)] = old[k]


@kernel(rows(ADDRESS), i8, i8, i8)
def probe_address(addresses, hi, lo, prefix):  # type: ignore[no-untyped-def]
    """Index of an address's own row or of the free row for it."""
    return address_slot(addresses, hi, lo, prefix)


@kernel(rows(TUNNEL), i8)
def probe_tunnel(tunnels, key):  # type: ignore[no-untyped-def]
    """Index of a tunnel's row or of the free row for it."""
    return tunnel_slot(tunnels, key)


def free_tunnels(size: int) -> Rows:
    """A tunnel table of `size` free rows (a power of two)."""
    table = layout.aligned_zeros(size, TUNNEL)
    table["key"] = -1
    table["row"] = -1
    return table


def free_addresses(size: int) -> Rows:
    """An address table of `size` free rows (a power of two)."""
    table = layout.aligned_zeros(size, ADDRESS)
    table["row"] = -1
    return table
