"""A scenario as a capture: pcap with nanosecond stamps, written in chunks in time order."""

import struct
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import BinaryIO, NamedTuple, Protocol

import numpy as np

from engine.errors import ConfigError
from gateway_sim.scenario import Scenario
from gateway_sim.traffic.attacks import Flood
from gateway_sim.traffic.flows import Flows
from gateway_sim.traffic.packets import CHUNK_PACKETS, Packets, no_packets, packets
from gateway_sim.traffic.pages import Pages
from gateway_sim.traffic.sessions import Sessions, Signalling
from gateway_sim.traffic.stamp import Frames, Stamper

MAGIC_NS = 0xA1B23C4D
SNAPLEN_BYTES = 262_144
LINKTYPE_ETHERNET = 1
FOREVER_NS = np.iinfo(np.int64).max
FRAMES_MAX = 1 << 14
"""frames of one source that are made at once"""


class Summary(NamedTuple):
    """What was written: `packets` and `inner_bytes` of users, `others` control messages and attacks."""

    packets: int
    inner_bytes: int
    file_bytes: int
    others: int = 0


class Source(Protocol):
    """Frames by number, in order of time."""

    count: int

    def next_ns(self, number: int) -> int:
        """When frame `number` is due."""

    def past(self, time_ns: int) -> int:
        """How many are due up to and including `time_ns`."""

    def frames(self, first: int, past: int) -> Iterator[Frames]:
        """Frames `first` to `past - 1`, in groups of one length each."""


class Portion(NamedTuple):
    """Some packets, and the frames that come before the last of them."""

    packets: Packets
    frames: list[Frames]


def check_sends(scenario: Scenario) -> None:
    """ConfigError where a capture of the scenario would be empty."""
    if not scenario.attacks and not any(line.activities for line in scenario.lines()):
        raise ConfigError(
            f"{scenario.path or scenario.name}: nothing in it sends packets: no activity, no attack; "
            "a scenario with steps is run by pktoll sim"
        )


def generate(
    scenario: Scenario,
    target: str | Path | BinaryIO,
    chunk_packets: int = CHUNK_PACKETS,
    *,
    packets_max: int | None = None,
    progress: Callable[[int], None] | None = None,
) -> Summary:
    """Write the scenario's packets: same scenario, same bytes, whatever `chunk_packets`.

    With `packets_max` the capture ends after so many packets of users. `progress` is told of the
    time, in ns since 1970, up to which the capture has come.
    """
    check_sends(scenario)
    if isinstance(target, str | Path):
        with open(target, "wb", buffering=0) as file:
            return generate(
                scenario, file, chunk_packets, packets_max=packets_max, progress=progress
            )
    header = struct.pack("<IHHiIII", MAGIC_NS, 2, 4, 0, 0, SNAPLEN_BYTES, LINKTYPE_ETHERNET)
    count, inner_bytes, file_bytes, others = 0, 0, len(header), 0
    flows = Flows.of(scenario)
    sessions = Sessions(scenario, flows) if scenario.signalling else None
    stamper = Stamper(scenario, flows, sessions.moved_ns() if sessions else None)
    chunks = _limited(packets(scenario, chunk_packets, flows), packets_max)
    with Pages(target, header) as pages:
        for chunk, frames in _portions(chunks, _sources(scenario, sessions), packets_max is None):
            page = pages.empty()
            stamper.stamp(chunk, frames, page)
            count += chunk.slot.size
            others += sum(group.time_ns.size for group in frames)
            inner_bytes += int(chunk.length_bytes.sum())
            file_bytes += page.size
            pages.write(page)
            if progress and chunk.slot.size:
                progress(int(chunk.time_ns[-1]))
    return Summary(count, inner_bytes, file_bytes, others)


def _sources(scenario: Scenario, sessions: Sessions | None) -> list[Source]:
    sources: list[Source] = [Flood(scenario, n) for n in range(len(scenario.attacks))]
    if sessions is not None:
        sources.insert(0, Signalling(scenario, sessions))
    return sources


def _limited(chunks: Iterator[Packets], packets_max: int | None) -> Iterator[Packets]:
    left = packets_max
    for chunk in chunks:
        if left is None:
            yield chunk
            continue
        yield chunk.part(0, left)
        left -= min(left, chunk.slot.size)
        if not left:
            return


def _portions(
    chunks: Iterator[Packets], sources: Sequence[Source], whole: bool
) -> Iterator[Portion]:
    """Chunks with the frames that fall between their packets, few enough at once.

    Frames are due up to and including the time of a portion's last packet, so that at one instant
    they come before all packets, however these are cut into chunks. Where the `whole` scenario is
    wanted, frames after the last packet follow.
    """
    taken = [0] * len(sources)
    for chunk in chunks:
        while chunk.slot.size:
            limit_ns = min([int(chunk.time_ns[-1]), *_reach(sources, taken)])
            ready = int(np.searchsorted(chunk.time_ns, limit_ns, side="right"))
            yield Portion(chunk.part(0, ready), _take(sources, taken, limit_ns))
            chunk = chunk.part(ready, chunk.slot.size)
    while whole and any(done < source.count for source, done in zip(sources, taken, strict=True)):
        limit_ns = min([FOREVER_NS, *_reach(sources, taken)])
        yield Portion(no_packets(), _take(sources, taken, limit_ns))


def _reach(sources: Sequence[Source], taken: list[int]) -> Iterator[int]:
    """Up to which time each source has no more than `FRAMES_MAX` frames."""
    for source, done in zip(sources, taken, strict=True):
        if done + FRAMES_MAX < source.count:
            yield source.next_ns(done + FRAMES_MAX)


def _take(sources: Sequence[Source], taken: list[int], limit_ns: int) -> list[Frames]:
    found: list[Frames] = []
    for index, source in enumerate(sources):
        past = source.past(limit_ns)
        if past > taken[index]:
            found.extend(source.frames(taken[index], past))
            taken[index] = past
    return found
