"""The LTE side of the gateway: S-GW and terminals, as a capture that a scenario describes.

scapy (GPL-2.0-only) is imported in `gateway_sim.codec.headers` alone, when the first header is built.
"""

from gateway_sim.books import write_events, write_subscribers
from gateway_sim.loader import load, titles
from gateway_sim.scenario import Scenario
from gateway_sim.traffic.attacks import expected
from gateway_sim.traffic.estimate import Estimate, estimate
from gateway_sim.traffic.generate import Summary, check_sends, generate

__all__ = [
    "Estimate",
    "Scenario",
    "Summary",
    "check_sends",
    "estimate",
    "expected",
    "generate",
    "load",
    "titles",
    "write_events",
    "write_subscribers",
]
