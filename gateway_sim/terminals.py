"""Activities of a terminal: the kinds, what each is by default, and how a table becomes one."""

from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta

from engine.units import NS_PER_MS, NS_PER_S
from gateway_sim.reader import Reader
from gateway_sim.scenario import EVENLY, Activity, Server


@dataclass(frozen=True, slots=True)
class Kind:
    """Defaults of an activity; every figure can be set in the scenario."""

    every_s: int  # 0: the next burst begins when the last one ends
    jitter_percent: int  # of every_s
    burst_bytes: int
    vary: bool
    up_percent: int
    rate_bps: int


KINDS = {
    "browse": Kind(30, 90, 250_000, True, 3, 20_000_000),
    "stream": Kind(10, 5, 600_000, False, 1, 20_000_000),
    "mail": Kind(300, 50, 120_000, True, 35, 8_000_000),
    "dns": Kind(15, 90, 240, True, 30, 8_000_000),
    "download": Kind(0, 0, 500_000, False, 0, 8_000_000),
    "dns-tunnel": Kind(1, 50, 140_000, False, 50, 8_000_000),
}
EVERY_MIN_NS = 10 * NS_PER_MS
"""an activity has at most 100 bursts a second"""
HOURS = 24
PERCENT = 100
PATTERNS: dict[str, tuple[int, ...]] = {
    "even": EVENLY,
    # night, commute, lunch and the long evening, of phones that people carry
    "residential": (
        *(38, 24, 15, 10, 9, 14, 32, 55, 60, 50, 48, 52),
        *(68, 58, 52, 54, 60, 70, 80, 88, 95, 100, 92, 64),
    ),
    # the two hours in trains, and little else
    "commute": (
        *(8, 4, 2, 2, 3, 15, 60, 100, 85, 30, 18, 20),
        *(45, 25, 18, 18, 25, 55, 95, 80, 50, 35, 25, 15),
    ),
    "office": (
        *(4, 3, 2, 2, 2, 4, 12, 35, 75, 95, 100, 92),
        *(60, 85, 95, 96, 92, 80, 55, 35, 22, 15, 10, 6),
    ),
}
"""percent of the busiest hour, for each hour of the day from midnight"""
RATE_MAX_BPS = 10_000_000_000
BURST_MAX_BYTES = 16_000_000
PACKET_MIN_BYTES = 128
PACKET_MAX_BYTES = 1_500


@dataclass(frozen=True, slots=True)
class Clock:
    """The scenario's time: ns since 1970, and the midnight from which times of day count."""

    start_ns: int
    end_ns: int
    midnight_ns: int

    @classmethod
    def starting(cls, start: datetime, duration_s: int) -> "Clock":
        """The clock of a scenario that starts at an instant with an offset."""
        midnight = start.replace(hour=0, minute=0, second=0, microsecond=0)
        start_ns = _ns_since_1970(start)
        return cls(start_ns, start_ns + duration_s * NS_PER_S, _ns_since_1970(midnight))

    def at(self, when: time) -> int:
        """ns since 1970 of a time of the scenario's first day."""
        seconds = (when.hour * 60 + when.minute) * 60 + when.second
        return self.midnight_ns + seconds * NS_PER_S + when.microsecond * 1_000


def _ns_since_1970(instant: datetime) -> int:
    passed = instant - datetime(1970, 1, 1, tzinfo=UTC)
    return passed // timedelta(microseconds=1) * 1_000


def hours_of(reader: Reader, default: tuple[int, ...] = EVENLY) -> tuple[int, ...]:
    """`pattern`: the name of one, or 24 percentages from midnight on, the busiest hour 100."""
    if not isinstance(reader.table.get("pattern"), list):
        name = reader.choice("pattern", PATTERNS, "")
        return PATTERNS.get(name, default)
    weights = reader.take("pattern", list)
    wrong = [item for item in weights if type(item) is not int or not 0 <= item <= PERCENT]
    if wrong or len(weights) != HOURS or max(weights) != PERCENT:
        reader.fault("pattern", "must be 24 integers from 0 to 100, the highest of them 100")
        return default
    return tuple(weights)


def activities(
    reader: Reader, servers: dict[str, Server], clock: Clock, addresses: tuple[str, ...]
) -> tuple[Activity, ...]:
    """The `activity` tables of a line or a population; `pattern` there is that of all of them."""
    hours = hours_of(reader)
    has = {4: any(":" not in item for item in addresses), 6: any(":" in item for item in addresses)}
    found = []
    for table in reader.tables("activity"):
        activity = _activity(table, servers, clock, hours)
        if activity is not None:
            if not has[6 if activity.v6 else 4]:
                table.fault("ipv6", "the line has no address of this IP version")
            found.append(activity)
    return tuple(found)


def _activity(
    reader: Reader, servers: dict[str, Server], clock: Clock, hours: tuple[int, ...]
) -> Activity | None:
    kind_name = reader.choice("kind", KINDS)
    kind = KINDS.get(kind_name, KINDS["browse"])
    begin_ns, end_ns = span(reader, clock)
    rate_bps = reader.number("rate_bps", 1_000, RATE_MAX_BPS, kind.rate_bps)
    burst_bytes = reader.number("burst_bytes", 1, BURST_MAX_BYTES, kind.burst_bytes)
    every_ns = reader.number("every_s", 1, 86_400, kind.every_s) * NS_PER_S
    server = servers.get(reader.choice("server", servers or ("",)))
    activity = Activity(
        kind=kind_name,
        server=server or Server("", "0.0.0.0", None, 1, 6),
        v6=reader.take("ipv6", bool, False),
        begin_ns=begin_ns,
        end_ns=end_ns,
        every_ns=every_ns or max(1, burst_bytes * 8 * NS_PER_S // rate_bps),
        jitter_ns=every_ns * kind.jitter_percent // 100,
        burst_bytes=burst_bytes,
        vary=kind.vary,
        up_percent=reader.number("up_percent", 0, 100, kind.up_percent),
        rate_bps=rate_bps,
        packet_bytes=reader.number("packet_bytes", PACKET_MIN_BYTES, PACKET_MAX_BYTES, 1_400),
        hours=hours_of(reader, hours),
    )
    reader.done()
    if activity.every_ns < EVERY_MIN_NS:
        reader.fault("burst_bytes", "is too little for its rate: more than 100 bursts a second")
    if server is not None and activity.v6 and server.address6 is None:
        reader.fault("server", f"{server.name!r} has no address6")
    return None if server is None else activity


def span(reader: Reader, clock: Clock) -> tuple[int, int]:
    """Begin and end; the whole scenario by default."""
    begin_ns, end_ns = clock.start_ns, clock.end_ns
    if (begin := reader.take("from", time, None)) is not None:
        begin_ns = clock.at(begin)
    if (end := reader.take("to", time, None)) is not None:
        end_ns = clock.at(end)
    if not clock.start_ns <= begin_ns < end_ns <= clock.end_ns:
        reader.fault("from", "it must begin before it ends, within the scenario")
    return begin_ns, end_ns
