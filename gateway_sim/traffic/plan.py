"""Activities -> bursts: runs of packets of one flow in one direction at one spacing.

What is drawn for a burst is word n of its flow's source for a slab of time (`SLAB_NS`): the jitter of
all bursts of the slab, then their sizes, then whether the hour lets them happen. So a burst is the
same in whatever portions of time the plan is made, and the portions only bound the memory.
"""

from collections.abc import Iterator
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from engine.layout import DOWNLINK, UPLINK
from engine.units import NS_PER_MS, NS_PER_S
from gateway_sim.traffic.draw import Ints, Streams
from gateway_sim.traffic.flows import PERCENT, ROUND_TRIP_NS, Flows

SLAB_NS = 600 * NS_PER_S
BURSTS_MAX = 1 << 18
"""about so many bursts are planned at once"""
ACK_DELAY_NS = NS_PER_MS // 5
REQUEST_BYTES_MIN = 24
PAYLOAD_BYTES_MIN = 12
ROUND_TRIPS_OF_HANDSHAKE = 2

FLAG_SYN = 0x02
FLAG_PSH = 0x08
FLAG_ACK = 0x10


class Bursts(NamedTuple):
    """Columns of equal length."""

    start_ns: Ints
    slot: Ints  # 2 * flow + direction
    packets: Ints  # number of packets
    gap_ns: Ints  # between packets
    size_bytes: Ints  # IP length of all packets but the last
    last_bytes: Ints  # IP length of the last
    flags: Ints  # TCP flags


class Due(NamedTuple):
    """Bursts that fall due: number `number` of flow `flow`, which is `word` in its slab of `words`."""

    flow: Ints
    number: Ints
    word: Ints
    words: Ints


def portions(flows: Flows, begin_ns: int, end_ns: int) -> Iterator[tuple[int, int]]:
    """Windows of time from `begin_ns` to `end_ns`: slabs, halved until few bursts fall due in each."""
    for slab_ns in range(begin_ns, end_ns, SLAB_NS):
        first, past = flows.due(slab_ns, slab_ns + SLAB_NS)
        bursts = int((past - first).sum())
        parts = 1 << max(0, (bursts // BURSTS_MAX).bit_length())
        edges = [slab_ns + SLAB_NS * part // parts for part in range(parts + 1)]
        yield from pairwise(edges)


def plan(seed: int, flows: Flows, origin_ns: int, window: tuple[int, int]) -> Bursts:
    """The bursts that fall due in a window, by start, then by flow, then by kind.

    Slabs are counted from `origin_ns`; the window must lie in one of them.
    """
    slab_ns = window[0] - (window[0] - origin_ns) % SLAB_NS
    due = _due(flows, slab_ns, window)
    start_ns, payload_bytes, happens = _drawn(seed, flows, slab_ns, due)
    parts = [_handshakes(flows, due.flow[due.number == 0])]
    due, start_ns = Due(*(column[happens] for column in due)), start_ns[happens]
    parts += _exchanges(flows, due.flow, start_ns, payload_bytes[happens])
    kinds = np.repeat(np.arange(len(parts)), [part.packets.size for part in parts])
    whole = Bursts(*(np.concatenate(columns) for columns in zip(*parts, strict=True)))
    order = np.lexsort((kinds, whole.slot >> 1, whole.start_ns))
    order = order[whole.packets[order] > 0]
    return Bursts(*(column[order] for column in whole))


def _due(flows: Flows, slab_ns: int, window: tuple[int, int]) -> Due:
    first, past = flows.due(*window)
    slab_first, slab_past = flows.due(slab_ns, slab_ns + SLAB_NS)
    count = past - first
    flow = np.repeat(np.arange(flows.count), count)
    place = np.arange(flow.size) - (np.cumsum(count) - count)[flow]
    number = first[flow] + place
    return Due(flow, number, number - slab_first[flow], (slab_past - slab_first)[flow])


def _drawn(
    seed: int, flows: Flows, slab_ns: int, due: Due
) -> tuple[Ints, Ints, np.ndarray[tuple[int], np.dtype[np.bool_]]]:
    """When each burst starts, its payload in bytes, and whether its hour lets it happen."""
    busy, stream = np.unique(due.flow, return_inverse=True)
    streams = Streams((seed,), busy, (slab_ns,))
    flow = due.flow
    start_ns = flows.begin_ns[flow] + due.number * flows.every_ns[flow]
    payload_bytes = flows.burst_bytes[flow]
    happens = np.ones(flow.size, np.bool_)
    used = np.zeros(flow.size, np.int64)
    late = np.flatnonzero(flows.jitter_ns[flow] > 1)
    start_ns[late] += streams.below(flows.jitter_ns[flow[late]], stream[late], due.word[late])
    used[late] += due.words[late]
    vary = np.flatnonzero(flows.vary[flow])
    drawn = streams.below(payload_bytes[vary] + 1, stream[vary], (used + due.word)[vary])
    payload_bytes[vary] = payload_bytes[vary] // 2 + drawn
    used[vary] += due.words[vary]
    rare = np.flatnonzero(~flows.even[flow])
    limit = np.full(rare.size, PERCENT, np.int64)
    drawn = streams.below(limit, stream[rare], (used + due.word)[rare])
    happens[rare] = drawn < flows.weight_percent(flow[rare], start_ns[rare])
    return start_ns, payload_bytes, happens


def _exchanges(flows: Flows, flow: Ints, start_ns: Ints, payload_bytes: Ints) -> list[Bursts]:
    """Request and response of each burst, each with its acknowledgements."""
    tcp = flows.tcp[flow]
    start_ns = start_ns + np.where(tcp, ROUND_TRIPS_OF_HANDSHAKE * ROUND_TRIP_NS, 0)
    up_bytes = np.maximum(payload_bytes * flows.up_percent[flow] // PERCENT, REQUEST_BYTES_MIN)
    request = _data(flows, flow, 2 * flow + UPLINK, start_ns, up_bytes)
    answer_ns = start_ns + request.packets * request.gap_ns + ROUND_TRIP_NS
    response = _data(flows, flow, 2 * flow + DOWNLINK, answer_ns, payload_bytes - up_bytes)
    return [
        request,
        response,
        *(_acknowledgements(flows, part, tcp) for part in (request, response)),
    ]


def _data(flows: Flows, flow: Ints, slot: Ints, start_ns: Ints, payload_bytes: Ints) -> Bursts:
    """Payload cut into packets of `packet_bytes`; none where there is no payload."""
    header = flows.header_bytes[flow]
    size_bytes = flows.packet_bytes[flow]
    each = size_bytes - header
    payload_bytes = np.maximum(payload_bytes, 0)
    count = -(-payload_bytes // each)
    last_bytes = np.maximum(payload_bytes - (count - 1) * each, PAYLOAD_BYTES_MIN) + header
    flags = np.full_like(count, FLAG_ACK | FLAG_PSH)
    return Bursts(start_ns, slot, count, flows.gap_ns[flow], size_bytes, last_bytes, flags)


def _acknowledgements(
    flows: Flows, data: Bursts, tcp: np.ndarray[tuple[int], np.dtype[np.bool_]]
) -> Bursts:
    """One for every two data packets, the other way, a little later."""
    data = Bursts(*(column[tcp] for column in data))
    bare = flows.header_bytes[data.slot >> 1]
    return Bursts(
        data.start_ns + data.gap_ns + ACK_DELAY_NS,
        data.slot ^ 1,
        (data.packets + 1) // 2,
        2 * data.gap_ns,
        bare,
        bare,
        np.full_like(data.packets, FLAG_ACK),
    )


def _handshakes(flows: Flows, flow: Ints) -> Bursts:
    """SYN, SYN-ACK and ACK, before a flow's first burst."""
    flow = np.repeat(flow[flows.tcp[flow]], 3)
    step = np.arange(flow.size) % 3
    bare = flows.header_bytes[flow]
    return Bursts(
        flows.begin_ns[flow] + step * (ROUND_TRIP_NS // 2),
        2 * flow + np.array([UPLINK, DOWNLINK, UPLINK], np.int64)[step],
        np.ones_like(flow),
        np.zeros_like(flow),
        bare,
        bare,
        np.array([FLAG_SYN, FLAG_SYN | FLAG_ACK, FLAG_ACK], np.int64)[step],
    )
