"""The flows of a scenario in columns: one row for each activity of each line."""

import numpy as np

from engine.units import BITS_PER_BYTE, NS_PER_MS, NS_PER_S
from gateway_sim.scenario import TCP, Activity, Scenario
from gateway_sim.traffic.draw import Ints

HOURS = 24
PERCENT = 100
ROUND_TRIP_NS = 30 * NS_PER_MS
ROUND_TRIPS = 5
"""of a handshake, a request and its answer, with room for acknowledgements"""


class Flows:
    """Columns of equal length; a flow's number is its index in `Scenario.flows()`."""

    def __init__(self, activities: list[Activity], midnight_ns: int = 0) -> None:
        def column(values: list[int]) -> Ints:
            return np.array(values, np.int64)

        self.count = len(activities)
        self.midnight_ns = midnight_ns
        self.begin_ns = column([a.begin_ns for a in activities])
        self.end_ns = column([a.end_ns for a in activities])
        self.every_ns = column([a.every_ns for a in activities])
        self.jitter_ns = column([a.jitter_ns for a in activities])
        self.burst_bytes = column([a.burst_bytes for a in activities])
        self.vary = np.array([a.vary for a in activities], np.bool_)
        self.up_percent = column([a.up_percent for a in activities])
        self.packet_bytes = column([a.packet_bytes for a in activities])
        self.v6 = np.array([a.v6 for a in activities], np.bool_)
        self.tcp = np.array([a.server.protocol == TCP for a in activities], np.bool_)
        self.gap_ns = self.packet_bytes * (BITS_PER_BYTE * NS_PER_S)
        self.gap_ns //= column([a.rate_bps for a in activities])
        self.header_bytes = np.where(self.v6, 40, 20) + np.where(self.tcp, 20, 8)
        tables: dict[tuple[int, ...], int] = {}
        self.pattern = column([tables.setdefault(a.hours, len(tables)) for a in activities])
        self.hours = column([hour for hours in tables for hour in hours]).reshape(-1, HOURS)
        self.even = self.hours.min(axis=1, initial=PERCENT)[self.pattern] >= PERCENT

    @classmethod
    def of(cls, scenario: Scenario) -> "Flows":
        """All flows of a scenario."""
        return cls([activity for _, activity in scenario.flows()], scenario.midnight_ns)

    def due(self, begin_ns: int, end_ns: int) -> tuple[Ints, Ints]:
        """First and past-the-last number of the bursts that fall due in a window (before jitter)."""
        first = np.maximum(0, -((self.begin_ns - begin_ns) // self.every_ns))
        past = -((self.begin_ns - np.minimum(end_ns, self.end_ns)) // self.every_ns)
        return first, np.maximum(first, past)

    def done_ns(self) -> Ints:
        """A time after which a flow has no packet any more."""
        largest = self.burst_bytes + self.burst_bytes // 2 * self.vary
        each = self.packet_bytes - self.header_bytes
        packets = 2 * (largest // each + 2)  # both ways, the last of each not full
        done_ns: Ints = self.end_ns + self.jitter_ns + 2 * packets * self.gap_ns
        return done_ns + ROUND_TRIPS * ROUND_TRIP_NS

    def weight_percent(self, flow: Ints, time_ns: Ints) -> Ints:
        """How likely a burst is at that hour of the day, by the pattern of its flow."""
        hour = (time_ns - self.midnight_ns) // (3_600 * NS_PER_S) % HOURS
        weight: Ints = self.hours[self.pattern[flow], hour]
        return weight
