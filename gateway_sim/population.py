"""Many like lines from one table: codes, addresses and TEIDs follow from the line's number."""

import ipaddress
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import date
from typing import Any, NamedTuple

import numpy as np

from engine.units import NS_PER_S
from gateway_sim.reader import Reader
from gateway_sim.scenario import EUTRAN, UTRAN, Activity, Contract, Coupon, Line, Server
from gateway_sim.terminals import EVERY_MIN_NS, PERCENT, Clock, activities
from gateway_sim.traffic.draw import Ints, Streams

LINES_MAX = 1_000_000
TEID_FIRST = 0x0010_0000
SKEWS = ("even", "zipf")
ZIPF_ONE = 1 << 32
PHASES = 1 << 20
LATE, RANK, IPV6, RAT, MOVES, WHEN, PHASE = range(7)
"""what each word of a line's random source decides"""


@dataclass
class Numbers:
    """The next free numbers, running through all populations of a scenario."""

    seed: int
    contract: int = 1
    line: int = 1


@dataclass(frozen=True)
class Like:
    """What the lines of one population have in common, and how they differ."""

    wanted: tuple[Activity, ...]
    network: ipaddress.IPv4Network
    network6: ipaddress.IPv6Network | None
    spread_ns: int
    skew: str
    ipv6_percent: int
    share_3g_percent: int
    handover_percent: int
    coupon: bool


def population(
    reader: Reader, servers: dict[str, Server], clock: Clock, numbers: Numbers
) -> Iterator[Contract]:
    """The contracts of a `population` table; a line's activities begin up to `spread_s` later."""
    contracts = reader.number("contracts", 1, LINES_MAX)
    lines = reader.number("lines", 1, 100, 1)
    plan = reader.text("plan")
    started = reader.take("started", date)
    coupons = _coupons(reader)
    like = _like(reader, servers, clock, contracts * lines)
    reader.done()
    if numbers.line + contracts * lines > LINES_MAX + 1:
        reader.fault("contracts", f"the scenario would have more than {LINES_MAX} lines")
    if reader.faults or like is None:
        return
    made = _lines(like, clock, numbers, contracts * lines)
    for _ in range(contracts):
        code = f"hdd{numbers.contract:08d}"
        numbers.contract += 1
        yield Contract(code, plan, started, coupons, tuple(next(made) for _ in range(lines)))


def _like(reader: Reader, servers: dict[str, Server], clock: Clock, lines: int) -> Like | None:
    network: Any = _network(reader, "network", 4, lines)
    network6: Any = None
    if "network6" in reader.table:
        network6 = _network(reader, "network6", 6, lines)
    reader.asked.add("network6")
    addresses = ("0.0.0.0", "::") if network6 else ("0.0.0.0",)
    like = Like(
        wanted=activities(reader, servers, clock, addresses),
        network=network,
        network6=network6,
        spread_ns=reader.number("spread_s", 0, 86_400, 0) * NS_PER_S,
        skew=reader.choice("skew", SKEWS, "even"),
        ipv6_percent=reader.number("ipv6_percent", 0, PERCENT, 0),
        share_3g_percent=reader.number("share_3g_percent", 0, PERCENT, 0),
        handover_percent=reader.number("handover_percent", 0, PERCENT, 0),
        coupon=reader.take("coupon", bool, True),
    )
    if like.ipv6_percent and network6 is None:
        reader.fault("ipv6_percent", "needs addresses for IPv6: network6")
    return like if network is not None else None


def _coupons(reader: Reader) -> tuple[Coupon, ...]:
    """`coupon_bytes` and `expires`, together or not at all."""
    coupon_bytes = reader.number("coupon_bytes", 0, 1 << 50, 0)
    expires = reader.text("expires", "")
    if bool(coupon_bytes) != bool(expires):
        reader.fault("expires", "goes together with coupon_bytes")
    return (Coupon("bundle", coupon_bytes, expires),) if coupon_bytes else ()


def _network(reader: Reader, name: str, version: int, lines: int) -> Any:
    """A prefix with room for an address, or a /64, for each line, besides the first and IPv4's last."""
    text = reader.text(name)
    try:
        network = ipaddress.ip_network(text)
    except ValueError:
        network = None
    if network is None or network.version != version:
        reader.fault(name, f"must be an IPv{version} prefix, not {text!r}")
        return None
    length, wanted = (32, lines + 2) if version == 4 else (64, lines + 1)
    if network.prefixlen > length or 1 << (length - network.prefixlen) < wanted:
        reader.fault(name, f"{text} has no room for {lines} lines")
        return None
    return network


def _lines(like: Like, clock: Clock, numbers: Numbers, count: int) -> Iterator[Line]:
    """`count` lines; what is drawn for line number n is word k of a source of its own."""
    first = numbers.line
    numbers.line += count
    chance = Streams((numbers.seed,), np.arange(first, first + count))
    every = np.arange(count)

    def drawn(limit: int, word: int) -> Ints:
        return chance.below(np.full(count, max(limit, 1)), every, np.full(count, word))

    late_ns = drawn(like.spread_ns, LATE).tolist()
    shares = _shares(like.skew, drawn(1 << 40, RANK), drawn(PHASES, PHASE))
    six = (drawn(PERCENT, IPV6) < like.ipv6_percent).tolist()
    rats = np.where(drawn(PERCENT, RAT) < like.share_3g_percent, UTRAN, EUTRAN).tolist()
    length_ns = clock.end_ns - clock.start_ns
    moves = np.where(
        drawn(PERCENT, MOVES) < like.handover_percent,
        clock.start_ns + length_ns // 4 + drawn(length_ns // 2, WHEN),
        0,
    ).tolist()
    for index in range(count):
        number = first + index
        yield Line(
            code=f"hdo{number:08d}",
            imsi=f"44010{number:010d}",
            iccid=f"898110{number:013d}",
            msisdn=f"8190{number:08d}",
            addresses=_addresses(like, index),
            teid_up=TEID_FIRST + 2 * number,
            teid_down=TEID_FIRST + 2 * number + 1,
            coupon=like.coupon,
            balance_bytes=0,
            activities=_activities(like.wanted, late_ns[index], shares[index], six[index]),
            rat=rats[index],
            moves_ns=moves[index],
        )


def _addresses(like: Like, index: int) -> tuple[str, ...]:
    address = str(like.network[index + 1])
    if like.network6 is None:
        return (address,)
    prefix = like.network6.network_address + ((index + 1) << 64)
    return address, f"{prefix}/64"


class Share(NamedTuple):
    """By how much a line's intervals are stretched: `times / over`, and when in its first one it begins."""

    times: int
    over: int
    phase: int  # of PHASES


def _activities(
    wanted: tuple[Activity, ...], late_ns: int, share: Share, six: bool
) -> tuple[Activity, ...]:
    if not late_ns and share == AS_IT_IS and not six:
        return wanted
    found = []
    for item in wanted:
        every_ns = max(_burst_ns(item), item.every_ns * share.times // share.over)
        begin_ns = item.begin_ns + late_ns + every_ns * share.phase // PHASES
        changed = replace(
            item,
            begin_ns=min(begin_ns, item.end_ns),
            every_ns=every_ns,
            jitter_ns=item.jitter_ns * share.times // share.over,
            v6=item.v6 or (six and item.server.address6 is not None),
        )
        found.append(changed)
    return tuple(found)


def _burst_ns(item: Activity) -> int:
    """A terminal does not begin anew before it has what it asked for."""
    return min(item.every_ns, max(EVERY_MIN_NS, item.burst_bytes * 8 * NS_PER_S // item.rate_bps))


AS_IT_IS = Share(1, 1, 0)


def _shares(skew: str, lots: Ints, phases: Ints) -> list[Share]:
    """What each line has of its population's activity, the mean of which stays.

    Zipf's law with exponent 1: the line of rank r is busy in proportion to 1 / r. Ranks are by lot.
    """
    if skew == "even":
        return [AS_IT_IS] * lots.size
    rank = np.empty(lots.size, np.int64)
    rank[np.argsort(lots, kind="stable")] = np.arange(1, lots.size + 1)
    total = sum(ZIPF_ONE // r for r in range(1, lots.size + 1))
    over = ZIPF_ONE * lots.size
    return [
        Share(place * total, over, phase)
        for place, phase in zip(rank.tolist(), phases.tolist(), strict=True)
    ]
