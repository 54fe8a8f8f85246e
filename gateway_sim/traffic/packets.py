"""Bursts -> packets in time order, in columns; no bytes of headers yet.

Bursts are planned for one portion of time after another, and packets are handed out as soon as no
later burst can come before them: memory depends on the number of flows and their rates, not on the
length of the scenario. Packets are in order of time, then of burst, so the order does not depend on
how many are handed out at once.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from gateway_sim.scenario import Scenario
from gateway_sim.traffic.draw import Ints
from gateway_sim.traffic.flows import Flows
from gateway_sim.traffic.plan import Bursts, plan, portions

CHUNK_PACKETS = 8_192


class Packets(NamedTuple):
    """Columns of equal length, in time order."""

    time_ns: Ints
    slot: Ints  # 2 * flow + direction
    length_bytes: Ints  # IP length
    flags: Ints  # TCP flags

    def part(self, begin: int, end: int) -> "Packets":
        """Rows from `begin` to `end`."""
        return Packets(*(column[begin:end] for column in self))


def packets(
    scenario: Scenario, chunk_packets: int = CHUNK_PACKETS, flows: Flows | None = None
) -> Iterator[Packets]:
    """Every packet of the scenario, about `chunk_packets` at a time."""
    flows = flows or Flows.of(scenario)
    waiting = no_packets()
    for window in portions(flows, scenario.start_ns, scenario.end_ns):
        bursts = plan(scenario.seed, flows, scenario.start_ns, window)
        for begin, end in _groups(bursts.packets, chunk_packets):
            limit_ns = bursts.start_ns[end] if end < bursts.packets.size else window[1]
            new = expand(Bursts(*(column[begin:end] for column in bursts)))
            waiting = _in_time_order(waiting, new)
            ready = int(np.searchsorted(waiting.time_ns, limit_ns))
            yield from _split(waiting.part(0, ready), chunk_packets)
            waiting = waiting.part(ready, waiting.time_ns.size)
    yield from _split(waiting, chunk_packets)


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


def no_packets() -> Packets:
    """Columns without rows."""
    none: Ints = np.zeros(0, np.int64)
    return Packets(none, none, none, none)
