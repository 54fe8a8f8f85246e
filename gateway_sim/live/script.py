"""The live part of a scenario: the table `live`, and what happens when, the list `step`."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from engine.layout import DOWNLINK, UPLINK
from engine.units import NS_PER_MS, NS_PER_S
from gateway_sim.document import Document
from gateway_sim.live.datagrams import GTP_U_BYTES_MAX, Ints
from gateway_sim.live.marks import Shape
from gateway_sim.reader import Reader
from gateway_sim.scenario import UDP, Scenario, Server

ATTACH, DETACH, MOVE = "attach", "detach", "move"
SWITCH, CHARGE, SUSPEND, RESUME, REPLACE = "switch", "charge", "suspend", "resume", "replace"
TRAFFIC = "traffic"
SETTLE = "settle"
"""wait until the gateway hands out no more slices: it asks its coupon database while packets flow"""
OF_TERMINALS = (ATTACH, DETACH, MOVE)
OF_OPERATOR = (SWITCH, CHARGE, SUSPEND, RESUME, REPLACE, SETTLE)
ACCEPTED, REFUSED = "accepted", "refused"
HIGH, SLOW, EXEMPT, NOTHING, ANY = "high", "slow", "exempt", "nothing", "any"
"""what is expected of traffic: `nothing` arrives at all; `any`: whatever the counters say"""

RATS = {"UTRAN": 1, "GERAN": 2, "HSPA Evolution": 5, "EUTRAN": 6}
PDN_TYPES = {"ipv4": 1, "ipv6": 2, "ipv4v6": 3}
TIME_MS_MAX = 3_600_000
RATE_BPS_MAX = 1_000_000_000
SLOW_BPS_MAX = 1_000_000
FLOW_BYTES_MAX = 256 << 20
"""byte; of a SIM in a stream: with SLOW_BPS_MAX and TIME_MS_MAX, bit x ns stay within 64 bits"""
PER_S_MAX = 1_000_000
_RANGE = re.compile(r"(\d{1,7})(?:-(\d{1,7})(?:/(\d{1,7}))?)?")


@dataclass(frozen=True, slots=True)
class Settings:
    """Credentials of the terminals, and what this side knows of the service's policy.

    The limiter's figures are those that the gateway is meant to have; they are not asked of it.
    """

    apn: str
    user: str
    password: str
    config: str | None
    exempt: tuple[str, ...]
    slow_bps: int
    slow_burst_bytes: int
    slow_queue_bytes: int
    slow_queue_ms: int
    jitter_ms: int
    exempt_late_ms: int
    settle_ms: int


@dataclass(frozen=True, slots=True)
class Asked:
    """How terminals attach in a step."""

    rat: int = RATS["EUTRAN"]
    auth: str = "pap"
    user: str = ""
    password: str = ""
    apn: str = ""
    network: tuple[str, str] = ("440", "10")
    pdn_type: int = PDN_TYPES["ipv4"]


@dataclass(frozen=True, slots=True)
class Stream:
    """Packets of one kind for each SIM of a step; SIM number k begins `k * stagger_ns` after `begin_ns`."""

    step: int
    shape: Shape
    server: str
    expect: str
    begin_ns: int
    length_ns: int
    interval_ns: int
    stagger_ns: int


@dataclass(frozen=True, slots=True)
class Step:
    """What happens to these SIMs (numbers from 0) from `at_ns` after the start on, so many a second.

    per_s 0: all at once. `causes`: those that a refusal may have; empty: any.
    """

    index: int
    at_ns: int
    do: str
    sims: Ints
    per_s: int = 0
    expect: str = ACCEPTED
    causes: tuple[int, ...] = ()
    asked: Asked = Asked()
    on: bool = True
    coupons: int = 1


@dataclass(frozen=True, slots=True)
class Script:
    """A run: steps in order of time, and the streams of its traffic."""

    settings: Settings
    length_ns: int
    steps: tuple[Step, ...]
    streams: tuple[Stream, ...]
    sims_of: dict[int, Ints]
    """SIM numbers of the traffic step with this index"""


def load(path: str | Path, scenario: Scenario) -> Script:
    """The live tables of a scenario's file; ConfigError has one line `FILE:LINE: key: what` a fault."""
    document = Document.read(path)
    top = document.top
    if "live" not in top.table:
        top.fault("live", "is missing: this scenario is for `gen`, not to be run live")
    settings = _settings(top.table_of("live") if "live" in top.table else Reader({}, ("live",), []))
    length_ns = top.number("duration_s", 1, TIME_MS_MAX // 1000) * NS_PER_S
    maker = _Maker(settings, _servers(top), sum(1 for _ in scenario.lines()), length_ns)
    for index, reader in enumerate(top.tables("step")):
        maker.step(index, reader)
    document.finish()
    steps = sorted(maker.steps, key=lambda step: step.at_ns)
    return Script(settings, length_ns, tuple(steps), tuple(maker.streams), maker.sims_of)


def _settings(reader: Reader) -> Settings:
    settings = Settings(
        apn=reader.text("apn", "iijmio.jp"),
        user=reader.text("user", "mio@iij"),
        password=reader.text("password", "iij"),
        config=reader.take("config", str, None),
        exempt=reader.strings("exempt") if "exempt" in reader.table else (),
        slow_bps=reader.number("slow_bps", 1, SLOW_BPS_MAX, 200_000),
        slow_burst_bytes=reader.number("slow_burst_bytes", 1, 1 << 30, 15_000),
        slow_queue_bytes=reader.number("slow_queue_bytes", 0, 1 << 30, 64_000),
        slow_queue_ms=reader.number("slow_queue_ms", 0, 120_000, 3_000),
        jitter_ms=reader.number("jitter_ms", 0, 60_000, 5),
        exempt_late_ms=reader.number("exempt_late_ms", 1, 60_000, 1_000),
        settle_ms=reader.number("settle_ms", 0, 600_000, 1_000),
    )
    reader.asked.add("exempt")
    reader.done()
    return settings


def _servers(top: Reader) -> dict[str, Server]:
    """As the scenario's loader read them, which has named every fault of them already."""
    found = {}
    quiet = Reader(top.table, (), [])
    for reader in quiet.tables("server"):
        name, protocol = reader.text("name"), reader.text("protocol", "tcp")
        found[name] = Server(
            name,
            reader.text("address"),
            reader.text("address6", None),
            reader.number("port", 1, 65_535),
            UDP if protocol == "udp" else 0,
        )
    return found


def numbers(text: str, count: int) -> Ints | None:
    """SIM numbers, from 0, of "all", "7", "1-200", "1-200/3" (every third), joined by commas."""
    if text == "all":
        return np.arange(count, dtype=np.int64)
    parts = []
    for part in text.split(","):
        match = _RANGE.fullmatch(part.strip())
        if match is None:
            return None
        first, last, pace = (
            int(word or default)
            for word, default in zip(match.groups(), (0, match[1], 1), strict=True)
        )
        if not 1 <= first <= last <= count or not pace:
            return None
        parts.append(np.arange(first - 1, last, pace, dtype=np.int64))
    found: Ints = np.unique(np.concatenate(parts))
    return found


class _Maker:
    """Reads steps, one after the other."""

    def __init__(
        self, settings: Settings, servers: dict[str, Server], count: int, length_ns: int
    ) -> None:
        self.settings, self.servers, self.count = settings, servers, count
        self.length_ns = length_ns
        self.steps: list[Step] = []
        self.streams: list[Stream] = []
        self.sims_of: dict[int, Ints] = {}

    def step(self, index: int, reader: Reader) -> None:
        """One table of the list `step`."""
        at_ns = reader.number("at_ms", 0, TIME_MS_MAX) * NS_PER_MS
        if at_ns >= self.length_ns:
            reader.fault("at_ms", "is past the run's end (duration_s)")
        do = reader.choice("do", (*OF_TERMINALS, *OF_OPERATOR, TRAFFIC))
        sims = self._sims(reader)[: 1 if do == SETTLE else None]
        if do == TRAFFIC:
            self._traffic(index, reader, at_ns, sims)
        else:
            self.steps.append(_action(index, reader, at_ns, do, sims, self.settings))
        reader.done()

    def _sims(self, reader: Reader) -> Ints:
        text = reader.take("sims", str, "all")
        found = numbers(text, self.count)
        if found is None:
            reader.fault(
                "sims", f'must be "all" or numbers such as "1-200,300-400/3", up to {self.count}'
            )
            return np.zeros(0, np.int64)
        return found

    def _traffic(self, index: int, reader: Reader, at_ns: int, sims: Ints) -> None:
        server = self._server(reader)
        v6 = reader.take("ipv6", bool, False)
        length = reader.number("packet_bytes", 1, GTP_U_BYTES_MAX, 1_000)
        last_ns = reader.number("for_ms", 1, TIME_MS_MAX) * NS_PER_MS
        spread_ns = reader.number("spread_ms", 0, TIME_MS_MAX, 0) * NS_PER_MS
        if at_ns + last_ns + spread_ns > self.length_ns:
            reader.fault("for_ms", "goes on past the run's end (duration_s)")
        wanted = EXEMPT if server.name in self.settings.exempt else ANY
        expect = reader.choice("expect", (HIGH, SLOW, EXEMPT, NOTHING, ANY), wanted)
        rates = {way: reader.number(key, 0, RATE_BPS_MAX, 0) for way, key in _WAYS}
        if not any(rates.values()):
            reader.fault("up_bps", "or down_bps must be above 0")
        address = (server.address6 or "") if v6 else server.address
        if v6 and not address:
            reader.fault("ipv6", f"server {server.name} has no address6")
        self.sims_of[index] = sims
        for way, rate_bps in rates.items():
            shape = Shape(way, v6, address, server.port, length)
            if length < shape.least_bytes:
                reader.fault("packet_bytes", f"must be at least {shape.least_bytes}")
            if rate_bps * last_ns // (8 * NS_PER_S) > FLOW_BYTES_MAX:
                reader.fault("for_ms", f"is more than {FLOW_BYTES_MAX} bytes for a SIM")
            if rate_bps and sims.size:
                gap_ns = max(1, length * 8 * NS_PER_S // rate_bps)
                stagger_ns = spread_ns // sims.size
                self.streams.append(
                    Stream(index, shape, server.name, expect, at_ns, last_ns, gap_ns, stagger_ns)
                )

    def _server(self, reader: Reader) -> Server:
        name = reader.text("server")
        known = self.servers.get(name)
        if known is None or known.protocol != UDP:
            if name:
                udp = ", ".join(key for key, s in self.servers.items() if s.protocol == UDP)
                reader.fault("server", f"must be a server with protocol udp ({udp}), not {name!r}")
            return Server(name, "198.18.0.1", None, 9, UDP)
        return known


_WAYS = ((UPLINK, "up_bps"), (DOWNLINK, "down_bps"))


def _action(
    index: int, reader: Reader, at_ns: int, do: str, sims: Ints, settings: Settings
) -> Step:
    expect = reader.choice("expect", (ACCEPTED, REFUSED), ACCEPTED)
    causes: Iterable[object] = reader.take("causes", list, [])
    if not all(type(cause) is int and 0 <= cause <= 255 for cause in causes):
        reader.fault("causes", "must be a list of causes, 0 to 255")
        causes = []
    return Step(
        index=index,
        at_ns=at_ns,
        do=do,
        sims=sims,
        per_s=reader.number("per_s", 0, PER_S_MAX, 0),
        expect=expect,
        causes=tuple(cause for cause in causes if isinstance(cause, int)),
        asked=_asked(reader, settings, do),
        on=reader.take("on", bool) if do == SWITCH else True,
        coupons=reader.number("coupons", 1, 1_000, 1) if do == CHARGE else 1,
    )


def _asked(reader: Reader, settings: Settings, do: str) -> Asked:
    """Credentials and access of an attach; the radio access of a move."""
    if do not in (ATTACH, MOVE):
        return Asked()
    rat = RATS[reader.choice("rat", RATS, "EUTRAN")]
    if do == MOVE:
        return Asked(rat=rat)
    network = re.fullmatch(r"(\d{3})-(\d{2,3})", reader.text("network", "440-10"))
    if network is None:
        reader.fault("network", "must be MCC-MNC, such as 440-10")
    return Asked(
        rat=rat,
        auth=reader.choice("auth", ("pap", "chap", "none"), "pap"),
        user=reader.text("user", settings.user),
        password=reader.text("password", settings.password),
        apn=reader.text("apn", settings.apn),
        network=(network[1], network[2]) if network else ("440", "10"),
        pdn_type=PDN_TYPES[reader.choice("pdn", PDN_TYPES, "ipv4")],
    )
