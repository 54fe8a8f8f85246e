"""How large a scenario's capture will be, from its figures alone."""

from typing import NamedTuple

import numpy as np

from gateway_sim.codec.headers import OUTER_BYTES
from gateway_sim.scenario import Scenario
from gateway_sim.traffic.attacks import Flood
from gateway_sim.traffic.flows import HOURS, PERCENT, Flows
from gateway_sim.traffic.headers import RECORD_BYTES
from gateway_sim.traffic.sessions import STEPS


class Estimate(NamedTuple):
    """About: sizes that are drawn are taken at their mean, and patterns at the mean of the day."""

    lines: int
    flows: int
    packets: int
    file_bytes: int


def estimate(scenario: Scenario) -> Estimate:
    """SIMs, flows, packets (those of attacks and control messages among them) and bytes."""
    flows = Flows.of(scenario)
    first, past = flows.due(scenario.start_ns, scenario.end_ns)
    percent = flows.hours.sum(axis=1)[flows.pattern] // HOURS
    bursts = (past - first) * percent // PERCENT
    each = flows.packet_bytes - flows.header_bytes
    data = flows.burst_bytes // each + np.where(flows.up_percent > 0, 2, 1)
    acknowledgements = np.where(flows.tcp, (data + 1) // 2, 0)
    packets = int((bursts * (data + acknowledgements)).sum())
    overhead_bytes = RECORD_BYTES + OUTER_BYTES + flows.header_bytes
    file_bytes = int(
        (bursts * (flows.burst_bytes + (data + acknowledgements) * overhead_bytes)).sum()
    )
    lines = sum(1 for _ in scenario.lines())
    others = sum(Flood(scenario, index).count for index in range(len(scenario.attacks)))
    if scenario.signalling:
        others += lines * len(STEPS)
    return Estimate(lines, flows.count, packets + others, file_bytes + others * 200)
