"""The live gateway beside osmo-ggsn: packets a second, loss and CPU, in namespaces joined by a veth.

    pktoll bench live [--rounds N] [--format json] [--quick]

pktoll runs as `pktoll serve` with the whole policy on (quota, limiter, exempt list, counters), once with a
TUN device and once with UDP as its SGi side; osmo-ggsn forwards to its TUN device and has no policy; the
floors are a loop in C that only moves packets. Every gateway has one core, sender and receiver share the
other one. All are there at once and take turns.

"carried": the packets a second that come through while the sender sends as many as it can. "without
loss": the highest rate tried at which less than one packet in a thousand is lost. CPU is that of the
gateway's process for a packet that comes through; what the kernel does for it elsewhere is not in it.
"""

import os
import statistics
import sys
import tempfile
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path
from typing import NamedTuple

from bench import built, live_gateways, live_place, rounds
from bench.live_gateways import Gateway
from bench.live_place import Blaster, Place

SCHEMA = "pktoll.bench-live/1"
SIZES = (64, 430, 1400)
WAYS = ("up", "down")
SESSIONS = (1_000, 1)
OVER = ("veth", "loopback")
ROUND_MS = 1_000
TRY_MS = 500
LOSS_MAX = 0.001
TRIES = 10
STEP = 0.85
OURS = ("pktoll tun", "pktoll udp")
OSMO = "osmo-ggsn"

Maker = Callable[[Place, int, int, Path], AbstractContextManager[Gateway]]
MAKERS: dict[str, Maker] = {
    "pktoll tun": lambda *a: live_gateways.pktoll("tun", *a),
    "pktoll udp": lambda *a: live_gateways.pktoll("udp", *a),
    OSMO: live_gateways.osmo_ggsn,
    "floor tun": lambda *a: live_gateways.floor("tun", *a),
    "floor udp": lambda *a: live_gateways.floor("udp", *a),
}


class Measured(NamedTuple):
    """One round: packets a second, and ns that the gateway's process ran for one that was carried."""

    offered_per_s: float
    carried_per_s: float
    cpu_ns: float

    @property
    def loss(self) -> float:
        """Part of the offered packets that did not come through."""
        return max(0.0, 1 - self.carried_per_s / self.offered_per_s)


class Row(NamedTuple):
    """One gateway under one heading."""

    over: str
    sessions: int
    way: str
    size: int
    name: str
    rounds: list[Measured]
    clean_per_s: float | None

    def median(self, field: str) -> float:
        """Of a figure of the rounds."""
        return statistics.median(float(getattr(one, field)) for one in self.rounds)


class Live(NamedTuple):
    """A gateway at work, with its place and its sender."""

    place: Place
    gateway: Gateway
    blast: Blaster

    def measure(self, way: str, size: int, packets_per_s: float, ms: float) -> Measured:
        """One round."""
        cpu_ns = live_place.cpu_ns(self.gateway.process)
        sent = self.blast("up" if way == "up" else self.gateway.down, size, packets_per_s, ms)
        cpu_ns = live_place.cpu_ns(self.gateway.process) - cpu_ns
        a_second = 1e9 / sent.ns
        per_packet_ns = cpu_ns / max(1, sent.received)
        return Measured(sent.sent * a_second, sent.received * a_second, per_packet_ns)

    def clean(self, way: str, size: int, packets_per_s: float) -> float | None:
        """The highest rate tried without loss, from this one downwards; None where all had some."""
        for _ in range(TRIES):
            found = self.measure(way, size, packets_per_s, TRY_MS)
            if found.loss < LOSS_MAX:
                return found.carried_per_s
            packets_per_s *= STEP
        return None


def names() -> list[str]:
    """The gateways that are here."""
    if live_gateways.has_osmo_ggsn():
        return list(MAKERS)
    print("bench: no osmo-ggsn: left out (Debian: apt-get install osmo-ggsn)", file=sys.stderr)
    return [name for name in MAKERS if name != OSMO]


def survey(over: str, sessions: int, sizes: tuple[int, ...], count: int, ms: float) -> list[Row]:
    """All gateways with so many sessions each, by way and size; `count` rounds."""
    cores = sorted(os.sched_getaffinity(0))
    found = []
    with ExitStack() as stack:
        live = {}
        for name in names():
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(dir=rounds.BUILD)))
            label = name.replace(" ", "-")
            place = stack.enter_context(Place(label, looped=over == "loopback"))
            made = MAKERS[name](place, sessions, cores[0], folder)
            gateway = stack.enter_context(made)
            sender = live_place.blaster(place, gateway.tunnels, cores[-1], folder)
            live[name] = Live(place, gateway, stack.enter_context(sender))
        for size in sizes:
            for way in WAYS:
                if sys.stderr.isatty():
                    said = f"bench: live, {over}, {sessions} sessions, {size} B {way} …"
                    print(said, file=sys.stderr)
                found += _turns(live, Row(over, sessions, way, size, "", [], None), count, ms)
    return found


def _turns(live: dict[str, Live], heading: Row, count: int, ms: float) -> list[Row]:
    """`count` rounds of each in turn, after a short one that is not kept; then the clean rates."""
    kept: dict[str, list[Measured]] = {name: [] for name in live}
    for number in range(count + 1):
        for name in live if number % 2 else reversed(live):
            one = live[name].measure(heading.way, heading.size, 0, ms if number else ms / 5)
            if number:
                kept[name].append(one)
    found = []
    for name, at_work in live.items():
        row = heading._replace(name=name, rounds=kept[name])
        if ms == ROUND_MS:
            start = row.median("carried_per_s")
            row = row._replace(clean_per_s=at_work.clean(row.way, row.size, start))
        found.append(row)
    return found


def times_osmo(row: Row, found: list[Row]) -> float | None:
    """How many times as many packets a second as osmo-ggsn under the same heading; None without it."""
    other = next((o for o in found if o[:4] == row[:4] and o.name == OSMO), None)
    if other is None or other.median("carried_per_s") == 0:
        return None
    return row.median("carried_per_s") / other.median("carried_per_s")


def as_json(found: list[Row]) -> dict[str, object]:
    """One document with every round."""
    rows = [
        {
            "over": row.over,
            "sessions": row.sessions,
            "way": row.way,
            "size_bytes": row.size,
            "name": row.name,
            "offered_per_s": round(row.median("offered_per_s")),
            "carried_per_s": round(row.median("carried_per_s")),
            "loss": round(row.median("loss"), 5),
            "cpu_ns": round(row.median("cpu_ns")),
            "without_loss_per_s": round(row.clean_per_s) if row.clean_per_s else None,
            "times_osmo_ggsn": times_osmo(row, found),
            "rounds_carried_per_s": [round(one.carried_per_s) for one in row.rounds],
        }
        for row in found
    ]
    return {"schema": SCHEMA, "rows": rows}


def print_table(found: list[Row]) -> None:
    """A table for people."""
    print(
        f"{'over':8} {'sessions':>8} {'way':4} {'B':>4}  {'':10} {'carried/s':>9} {'min':>8} {'max':>8}"
        f" {'loss %':>7} {'without loss':>12} {'CPU ns':>6}  times osmo-ggsn"
    )
    for row in found:
        rates = [one.carried_per_s for one in row.rounds]
        clean = f"{row.clean_per_s:12,.0f}" if row.clean_per_s else f"{'-':>12}"
        times = times_osmo(row, found)
        print(
            f"{row.over:8} {row.sessions:8} {row.way:4} {row.size:4}  {row.name:10}"
            f" {statistics.median(rates):9,.0f} {min(rates):8,.0f} {max(rates):8,.0f}"
            f" {100 * row.median('loss'):7.2f} {clean} {row.median('cpu_ns'):6.0f}"
            f"  {'' if times is None else f'{times:.2f}'}"
        )


def gather(count: int, quick: bool) -> list[Row] | str:
    """Every gateway that is here; why none can be measured, where that is so."""
    lacking = built.build(["live_blast", "live_floor"])
    reason = next(iter(lacking.values()), None) or live_place.missing()
    if reason is not None:
        return reason
    found: list[Row] = []
    if quick:
        return survey("veth", 20, SIZES[1:2], 1, 100)
    for over in OVER:
        for sessions in SESSIONS if over == OVER[0] else SESSIONS[:1]:
            found += survey(over, sessions, SIZES, count, ROUND_MS)
    return found
