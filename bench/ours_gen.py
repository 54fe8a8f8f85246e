"""`pktoll gen` on the busy cell: the whole command's work, from the scenario file to the last byte."""

import os
import tempfile
import time

from bench import rounds
from bench.rounds import BUILD, Round, Row, Runner

SCENARIO = "busy-cell"


def generate(target: str, cores: set[int], packets_max: int | None) -> Round:
    """One run on these cores: ns per packet, control messages counted among them."""
    import gateway_sim

    here = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores)
    began = time.perf_counter_ns()
    scenario = gateway_sim.load(SCENARIO)
    made = gateway_sim.generate(scenario, target, packets_max=packets_max)
    took_ns = time.perf_counter_ns() - began
    os.sched_setaffinity(0, here)
    packets = made.packets + made.others
    return Round(took_ns / packets, packets, made.file_bytes)


def measure(packets_max: int | None, count: int, cores: set[int]) -> list[Row]:
    """Into a file in the page cache, on all cores and on one; and into nothing."""
    with tempfile.TemporaryDirectory(dir=BUILD) as folder:
        path = f"{folder}/gen.pcap"
        runners: dict[str, Runner] = {
            "pktoll": lambda: generate(path, cores, packets_max),
            "1 core": lambda: generate(path, {min(cores)}, packets_max),
            "to nothing": lambda: generate(os.devnull, cores, packets_max),
        }
        found = rounds.take_turns("gen", packets_max or 0, runners, count)
    size = found[0].rounds[0].packets
    return [row._replace(size=size) for row in found]
