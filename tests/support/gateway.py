"""Engines and packets for tests of the engine, made by hand: small numbers that can be followed."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import date
from typing import Any

import numpy as np
import numpy.typing as npt

from engine import config, verdict
from engine.config import (
    Endpoint,
    Exempt,
    Limit,
    Plan,
    Police,
    RatingGroup,
    Restriction,
    Settings,
    SlowLimit,
    Speed,
)
from engine.layout import PACKET, PACKET_GTP, PACKET_PORTS, PACKET_V6
from engine.pool.store import open_store
from engine.runtime import Engine
from engine.subscribers import Book, Contract, Coupon, Line
from engine.wire.addresses import parse_address

Rows = npt.NDArray[Any]

US, MS, S = 10**3, 10**6, 10**9
DAY = 86_400 * S
T0 = 1_383_602_400 * S
"""2013-11-05 07:00 JST"""
NOV_5 = T0 - 7 * 3600 * S
DEC_1 = NOV_5 + 26 * DAY
"""2013-12-01 00:00 JST"""

PLAN = "plan"
UE, UE_2, UE_3 = "10.1.0.1", "10.1.0.2", "10.1.0.3"
SERVER = "198.51.100.7"
DNS = "192.0.2.53"
UDP, TCP = 17, 6

SLOW = SlowLimit(burst_bytes=1_000, queue_bytes=3_000, queue_ms=10_000, rate_bps=8_000)
"""a byte a millisecond, 1 000 bytes at once, 3 000 waiting"""
RESTRICTED = SlowLimit(burst_bytes=1_000, queue_bytes=3_000, queue_ms=60_000, rate_bps=800)
"""a byte in ten milliseconds"""
HIGH = Limit(burst_bytes=100_000, queue_bytes=100_000, queue_ms=1_000)


def settings(
    *,
    slow: SlowLimit = SLOW,
    restricted: SlowLimit = SLOW,
    high: Limit = HIGH,
    high_bps: int = 8_000_000,
    bundle_bytes: int = 0,
    restriction_bytes: int = 0,
    effective: Any = "immediate",
    endpoints: Sequence[Endpoint] = (Endpoint("dns", (f"{DNS}/32",), "udp", (53,)),),
    first_slice: Any = "attach",
    groups: Sequence[RatingGroup] = (),
    charge: bool = False,
    count: bool = False,
    police: Police | None = None,
) -> Settings:
    """One plan, of one speed up and down, with the slow state of a byte a millisecond.

    groups, charge, count: of the exempt endpoints; with `police` there is a policer and no shaper.
    """
    plan = Plan(PLAN, PLAN, 3, bundle_bytes, high_bps, high_bps, restriction_bytes)
    return replace(
        config.load(None),
        first_slice=first_slice,
        default_plan=PLAN,
        ue_nets=(),
        speed=Speed(high, slow, restricted),
        restriction=Restriction(True, effective),
        exempt=Exempt(tuple(endpoints), charge, count, tuple(groups)),
        plans=(plan,),
        limiter="police" if police else "shape",
        police=police or Police(),
    )


def line(number: int = 1, **changes: Any) -> Line:
    """SIM `a`, `b` or `c`: 10.1.0.1 to 10.1.0.3."""
    fields = {
        "code": " abc"[number],
        "imsi": f"44010000000000{number}",
        "addresses": (f"10.1.0.{number}",),
    }
    return Line(**(fields | changes))


def book(*lines: Line, coupon_bytes: int | None = 0, expires: str = "2013-12") -> Book:
    """Contract `hdd1` of these lines; its one coupon, none for 0, the plan's bundle for None."""
    coupons: tuple[Coupon, ...] | None = None
    if coupon_bytes is not None:
        coupons = (Coupon("bundle", coupon_bytes, expires),) if coupon_bytes else ()
    return Book((Contract("hdd1", PLAN, date(2013, 11, 1), lines or (line(),), coupons),))


def gateway(subscribers: Book | None = None, /, **options: Any) -> Engine:
    """An engine on `settings()`, or on the option `settings`, with these subscribers since T0."""
    made = options.pop("settings", None) or settings()
    engine = Engine(made, options.pop("store", None) or open_store(None), **options)
    if subscribers is not None:
        engine.load(subscribers, T0)
    return engine


def packet(
    at_ns: int,
    src: str = UE,
    dst: str = SERVER,
    length: int = 100,
    *,
    protocol: int = UDP,
    ports: tuple[int, int] | None = None,
    teid: int | None = None,
    endpoint: int = -1,
    flags: int = 0,
    code: int = 0,
    fragment: int = 0,
) -> Rows:
    """A batch of one packet; with a TEID it is a G-PDU to the outer address number `endpoint`."""
    row = np.zeros(1, dtype=PACKET)
    row["fragment"] = fragment
    row["time_ns"], row["length"], row["protocol"], row["code"] = at_ns, length, protocol, code
    row["src_hi"], row["src_lo"] = parse_address(src)
    row["dst_hi"], row["dst_lo"] = parse_address(dst)
    row["endpoint"] = endpoint
    if ":" in src:
        flags |= PACKET_V6
    if ports is not None:
        flags |= PACKET_PORTS
        row["src_port"], row["dst_port"] = ports
    if teid is not None:
        flags |= PACKET_GTP
        row["teid"] = teid
    row["flags"] = flags
    return row


def train(count: int, gap_ns: int, *where: Any, start_ns: int = T0, **fields: Any) -> Rows:
    """`count` like packets, `gap_ns` apart; what they are like is said as in `packet`."""
    rows = np.repeat(packet(start_ns, *where, **fields), count)
    rows["time_ns"] += np.arange(count) * gap_ns
    return rows


def play(engine: Engine, *batches: Rows) -> list[str]:
    """The names of the verdicts on these packets, processed as one batch."""
    return names(engine.process(np.concatenate(batches)))


def names(verdicts: Rows) -> list[str]:
    return [verdict.NAMES[int(code)] for code in verdicts["code"]]


def waits(batch: Rows, verdicts: Rows) -> list[int]:
    """ns that each packet waits."""
    found: list[int] = (verdicts["departure_ns"] - batch["time_ns"]).tolist()
    return found


def sim(engine: Engine, number: int = 0) -> dict[str, Any]:
    """The report of a SIM, by its place in the report."""
    found: dict[str, Any] = engine.snapshot()["sims"][number]
    return found


def both(report: dict[str, Any], name: str) -> int:
    """A counter of a SIM, up and down together."""
    return int(report["up"][name]) + int(report["down"][name])
