"""A scenario as a capture: pcap with nanosecond stamps, written in chunks in time order."""

import struct
from pathlib import Path
from typing import BinaryIO, NamedTuple

from gateway_sim.scenario import Scenario
from gateway_sim.stamp import Stamper
from gateway_sim.traffic import CHUNK_PACKETS, packets

MAGIC_NS = 0xA1B23C4D
SNAPLEN_BYTES = 262_144
LINKTYPE_ETHERNET = 1


class Summary(NamedTuple):
    """What was written."""

    packets: int
    inner_bytes: int
    file_bytes: int


def generate(
    scenario: Scenario, target: str | Path | BinaryIO, chunk_packets: int = CHUNK_PACKETS
) -> Summary:
    """Write the scenario's packets: same scenario, same bytes, whatever `chunk_packets`."""
    if isinstance(target, str | Path):
        with open(target, "wb") as file:
            return generate(scenario, file, chunk_packets)
    header = struct.pack("<IHHiIII", MAGIC_NS, 2, 4, 0, 0, SNAPLEN_BYTES, LINKTYPE_ETHERNET)
    target.write(header)
    count, inner_bytes, file_bytes = 0, 0, len(header)
    stamper = Stamper(scenario)
    for chunk in packets(scenario, chunk_packets):
        records = stamper.stamp(chunk)
        target.write(records.data)
        count += chunk.slot.size
        inner_bytes += int(chunk.length_bytes.sum())
        file_bytes += records.size
    return Summary(count, inner_bytes, file_bytes)
