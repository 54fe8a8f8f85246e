"""Activities -> bursts -> packets in time order, in columns; no bytes of headers yet.

A burst is a run of packets of one flow in one direction at one spacing. Bursts are planned for one
slab of time after another, each flow from a random source of its own for each slab, and packets are
handed out as soon as no later burst can come before them: memory depends on the number of flows and
their rates, not on the length of the scenario. Packets are in order of time, then of burst, so the
order does not depend on how many are handed out at once.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from engine.layout import DOWNLINK, UPLINK
from engine.units import BITS_PER_BYTE, NS_PER_MS, NS_PER_S
from gateway_sim.draw import Draw, Ints
from gateway_sim.scenario import TCP, Activity, Scenario

SLAB_NS = 600 * NS_PER_S
CHUNK_PACKETS = 8_192
ROUND_TRIP_NS = 30 * NS_PER_MS
ACK_DELAY_NS = NS_PER_MS // 5
REQUEST_BYTES_MIN = 24
PAYLOAD_BYTES_MIN = 12

FLAG_SYN = 0x02
FLAG_PSH = 0x08
FLAG_ACK = 0x10

ROUND_TRIPS_OF_HANDSHAKE = 2


class Bursts(NamedTuple):
    """Columns of equal length."""

    start_ns: Ints
    slot: Ints  # 2 * flow + direction
    packets: Ints  # number of packets
    gap_ns: Ints  # between packets
    size_bytes: Ints  # IP length of all packets but the last
    last_bytes: Ints  # IP length of the last
    flags: Ints  # TCP flags


class Packets(NamedTuple):
    """Columns of equal length, in time order."""

    time_ns: Ints
    slot: Ints  # 2 * flow + direction
    length_bytes: Ints  # IP length
    flags: Ints  # TCP flags

    def part(self, begin: int, end: int) -> "Packets":
        """Rows from `begin` to `end`."""
        return Packets(*(column[begin:end] for column in self))


def header_bytes(activity: Activity) -> int:
    """IP and transport headers of a data packet."""
    return (40 if activity.v6 else 20) + (20 if activity.server.protocol == TCP else 8)


def packets(scenario: Scenario, chunk_packets: int = CHUNK_PACKETS) -> Iterator[Packets]:
    """Every packet of the scenario, about `chunk_packets` at a time."""
    flows = [activity for _, activity in scenario.flows()]
    waiting = _no_packets()
    for slab_ns in range(scenario.start_ns, scenario.end_ns, SLAB_NS):
        bursts = plan(scenario.seed, flows, slab_ns)
        for begin, end in _groups(bursts.packets, chunk_packets):
            limit_ns = bursts.start_ns[end] if end < bursts.packets.size else slab_ns + SLAB_NS
            new = expand(Bursts(*(column[begin:end] for column in bursts)))
            waiting = _in_time_order(waiting, new)
            ready = int(np.searchsorted(waiting.time_ns, limit_ns))
            yield from _split(waiting.part(0, ready), chunk_packets)
            waiting = waiting.part(ready, waiting.time_ns.size)
    yield from _split(waiting, chunk_packets)


def plan(seed: int, flows: list[Activity], slab_ns: int) -> Bursts:
    """The bursts that fall due in one slab, by start, then by flow."""
    parts: list[Bursts] = []
    for flow, activity in enumerate(flows):
        first, past = _numbers(activity, slab_ns)
        if first < past:
            parts.extend(_bursts_of(activity, flow, Draw(seed, flow, slab_ns), first, past))
    if not parts:
        return Bursts(*(np.zeros(0, np.int64) for _ in Bursts._fields))
    columns = [np.concatenate(column) for column in zip(*parts, strict=True)]
    order = np.argsort(columns[0], kind="stable")
    order = order[columns[2][order] > 0]
    return Bursts(*(column[order] for column in columns))


def _numbers(activity: Activity, slab_ns: int) -> tuple[int, int]:
    """First and past-the-last number of the bursts that fall due in the slab (before jitter)."""
    begin_ns, every_ns = activity.begin_ns, activity.every_ns
    end_ns = min(slab_ns + SLAB_NS, activity.end_ns)
    first = max(0, -((begin_ns - slab_ns) // every_ns))
    return first, max(first, -((begin_ns - end_ns) // every_ns))


def _bursts_of(
    activity: Activity, flow: int, draw: Draw, first: int, past: int
) -> Iterator[Bursts]:
    """Request and response of bursts `first` to `past - 1`, each with its acknowledgements."""
    count = past - first
    start_ns = activity.begin_ns + np.arange(first, past, dtype=np.int64) * activity.every_ns
    start_ns += draw.below(activity.jitter_ns, count)
    payload_bytes = np.full(count, activity.burst_bytes, np.int64)
    if activity.vary:
        payload_bytes = payload_bytes // 2 + draw.below(activity.burst_bytes + 1, count)
    if activity.server.protocol == TCP:
        if first == 0:
            yield _handshake(activity, flow)
        start_ns += ROUND_TRIPS_OF_HANDSHAKE * ROUND_TRIP_NS
    up_bytes = np.maximum(payload_bytes * activity.up_percent // 100, REQUEST_BYTES_MIN)
    request = _data(activity, 2 * flow + UPLINK, start_ns, up_bytes)
    yield request
    answer_ns = start_ns + request.packets * request.gap_ns + ROUND_TRIP_NS
    response = _data(activity, 2 * flow + DOWNLINK, answer_ns, payload_bytes - up_bytes)
    yield response
    if activity.server.protocol == TCP:
        yield _acknowledgements(activity, request)
        yield _acknowledgements(activity, response)


def _data(activity: Activity, slot: int, start_ns: Ints, payload_bytes: Ints) -> Bursts:
    """Payload cut into packets of `packet_bytes`; none where there is no payload."""
    header = header_bytes(activity)
    each = activity.packet_bytes - header
    payload_bytes = np.maximum(payload_bytes, 0)
    count = -(-payload_bytes // each)
    full = np.ones_like(count)
    return Bursts(
        start_ns,
        full * slot,
        count,
        full * (activity.packet_bytes * BITS_PER_BYTE * NS_PER_S // activity.rate_bps),
        full * activity.packet_bytes,
        np.maximum(payload_bytes - (count - 1) * each, PAYLOAD_BYTES_MIN) + header,
        full * (FLAG_ACK | FLAG_PSH),
    )


def _acknowledgements(activity: Activity, data: Bursts) -> Bursts:
    """One for every two data packets, the other way, a little later."""
    bare = np.full_like(data.packets, header_bytes(activity))
    return Bursts(
        data.start_ns + data.gap_ns + ACK_DELAY_NS,
        data.slot ^ 1,
        (data.packets + 1) // 2,
        2 * data.gap_ns,
        bare,
        bare,
        np.full_like(data.packets, FLAG_ACK),
    )


def _handshake(activity: Activity, flow: int) -> Bursts:
    """SYN, SYN-ACK and ACK, before the first burst."""
    bare = np.full(3, header_bytes(activity), np.int64)
    return Bursts(
        activity.begin_ns + np.arange(3, dtype=np.int64) * (ROUND_TRIP_NS // 2),
        2 * flow + np.array([UPLINK, DOWNLINK, UPLINK], np.int64),
        np.ones(3, np.int64),
        np.zeros(3, np.int64),
        bare,
        bare,
        np.array([FLAG_SYN, FLAG_SYN | FLAG_ACK, FLAG_ACK], np.int64),
    )


def expand(bursts: Bursts) -> Packets:
    """One row for each packet, burst after burst."""
    burst: Ints = np.repeat(np.arange(bursts.packets.size), bursts.packets)
    ends: Ints = np.cumsum(bursts.packets)
    k: Ints = np.arange(burst.size) - (ends - bursts.packets)[burst]
    length_bytes = bursts.size_bytes[burst]
    length_bytes[ends - 1] = bursts.last_bytes
    return Packets(
        bursts.start_ns[burst] + k * bursts.gap_ns[burst],
        bursts.slot[burst],
        length_bytes,
        bursts.flags[burst],
    )


def _groups(count: Ints, packets_max: int) -> Iterator[tuple[int, int]]:
    """Runs of bursts with about `packets_max` packets each (one burst at the least)."""
    ends = np.cumsum(count)
    begin, done = 0, 0
    while begin < count.size:
        end = max(begin + 1, int(np.searchsorted(ends, done + packets_max, side="right")))
        yield begin, end
        begin, done = end, int(ends[end - 1])


def _in_time_order(waiting: Packets, new: Packets) -> Packets:
    """Both, sorted by time; those that waited come first at the same instant."""
    both = Packets(*(np.concatenate(pair) for pair in zip(waiting, new, strict=True)))
    order = np.argsort(both.time_ns, kind="stable")
    return Packets(*(column[order] for column in both))


def _split(chunk: Packets, packets_max: int) -> Iterator[Packets]:
    for begin in range(0, chunk.time_ns.size, packets_max):
        yield chunk.part(begin, begin + packets_max)


def _no_packets() -> Packets:
    none: Ints = np.zeros(0, np.int64)
    return Packets(none, none, none, none)
