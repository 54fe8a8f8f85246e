"""The report of a run: one document, the same for people and for programs."""

from typing import Any

import numpy as np

from engine.layout import UPLINK
from gateway_sim.live import checks, checks_counts, checks_speed
from gateway_sim.live.figures import FAIL, INCONCLUSIVE, PASS, Figures, Found
from gateway_sim.scenario import Scenario

SCHEMA = "pktoll.sim/1"
CHECKS = (
    checks.sessions,
    checks.operator,
    checks.arrivals,
    checks.order,
    checks.silence,
    checks_speed.high,
    checks_speed.shaped,
    checks_speed.carried,
    checks_speed.exempt,
    checks_counts.counts,
    checks_counts.own_figures,
    checks_counts.classes,
    checks_counts.balances,
    checks_counts.contracts,
    checks_counts.ledger,
    checks.losses,
)
"""each takes the figures of a run and gives what it found"""


def document(scenario: Scenario, figures: Figures) -> dict[str, Any]:
    """What happened in a run, and what every check says of it."""
    found = [check(figures) for check in CHECKS]
    return {
        "schema": SCHEMA,
        "scenario": scenario.name,
        "title": scenario.title,
        "result": result(found),
        "sims": len(figures.codes),
        "length_ns": figures.script.length_ns,
        "checks": [_check(item) for item in found],
        "streams": [_stream(figures, number) for number in range(len(figures.script.streams))],
        "gateway": (figures.report or {}).get("gateway"),
        "audit": figures.audit,
    }


def result(found: list[Found]) -> str:
    """The worst of all checks."""
    statuses = {item.status for item in found}
    return FAIL if FAIL in statuses else INCONCLUSIVE if INCONCLUSIVE in statuses else PASS


def _check(found: Found) -> dict[str, Any]:
    return {
        "name": found.name,
        "rules": found.rule,
        "status": found.status,
        "faults": found.faults,
        "more_faults": found.more_faults,
        "figures": found.figures,
    }


def _stream(figures: Figures, number: int) -> dict[str, Any]:
    """Packets of a stream: how many, and how long they took."""
    stream = figures.script.streams[number]
    mine = np.flatnonzero(figures.sent["stream"] == number)
    there = mine[figures.copies[mine] > 0]
    wait = figures.arrived_ns[there] - figures.sent["at_ns"][there]
    waits = {
        f"wait_ns_p{percent}": int(np.percentile(wait, percent, method="lower")) if wait.size else 0
        for percent in (50, 99)
    }
    return {
        "step": stream.step + 1,
        "direction": "up" if stream.shape.direction == UPLINK else "down",
        "server": stream.server,
        "expect": stream.expect,
        "packet_bytes": stream.shape.length,
        "sims": int(figures.script.sims_of[stream.step].size),
        "sent_packets": int(mine.size),
        "arrived_packets": int(there.size),
        **waits,
        "wait_ns_max": int(wait.max(initial=0)),
    }
