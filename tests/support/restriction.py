"""Slow traffic whose verdicts show whether the 3-day restriction is in force: restricted packets wait."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from engine import verdict
from engine.config import Settings, SlowLimit
from engine.config.model import Restriction
from engine.pool.store import StoreOptions, open_store
from engine.runtime import Engine
from engine.subscribers import Book
from tests.support.gateway import (
    DAY,
    DNS,
    NOV_5,
    UDP,
    UE,
    US,
    S,
    book,
    gateway,
    line,
    packet,
    settings,
)
from tests.support.postgres import Cluster

SIZE = 1_000
LIMIT = 3_000
"""bytes that may be carried in three days: the packet after the fourth of SIZE is restricted"""
WIDE = SlowLimit(burst_bytes=10**6, queue_bytes=10**6, queue_ms=10_000, rate_bps=10**9)
TIGHT = SlowLimit(burst_bytes=100, queue_bytes=10**6, queue_ms=10_000, rate_bps=50_000)
"""what of a packet is beyond 100 bytes waits for 160 us a byte; at WIDE's rate nothing waits for 100 us"""
FAMILY = book(line(), line(2))


def rules(
    effective: str = "immediate", limit: int = LIMIT, *, count: bool = False, enabled: bool = True
) -> Settings:
    """One plan with this limit; `count`: exempt packets count towards it."""
    made = settings(
        slow=WIDE, restricted=TIGHT, restriction_bytes=limit if enabled else 0, effective=effective
    )
    exempt = replace(made.exempt, count=count)
    return replace(
        made, exempt=exempt, restriction=Restriction(enabled, made.restriction.effective)
    )


def started(
    url: str,
    at_ns: int = NOV_5,
    made: Settings | None = None,
    subscribers: Book = FAMILY,
    name: str = "gateway",
    lease_ns: int = 60 * S,
    **options: Any,
) -> Engine:
    """A gateway's run on a database that outlives it, with the subscribers, from `at_ns` on."""
    store = open_store(url, StoreOptions(gateway=name, lease_ns=lease_ns))
    engine = gateway(settings=made or rules(), store=store, **options)
    engine.load(subscribers, at_ns)
    return engine


def fresh(kind: str, path: Path, request: Any) -> str:
    """The URL of an empty database: "sqlite" or "postgres"."""
    if kind == "sqlite":
        return f"sqlite:///{path / 'coupons.db'}"
    cluster: Cluster = request.getfixturevalue("postgres")
    return cluster.emptied()


def at(day: int, seconds: float = 0) -> int:
    """ns at which this day begins, 5 November being day 0, and so many seconds later."""
    return NOV_5 + day * DAY + int(seconds * S)


def sent(
    engine: Engine, *times: int, ue: str = UE, size: int = SIZE, dns: bool = False
) -> list[str]:
    """What becomes of a packet at each of these times: "restricted" is a slow one that waits."""
    where: dict[str, Any] = {"protocol": UDP, "ports": (5_000, 53)} if dns else {}
    batch = np.concatenate(
        [packet(t, ue, DNS, size, **where) if dns else packet(t, ue, length=size) for t in times]
    )
    arrivals = np.maximum.accumulate([engine.now_ns, *batch["time_ns"].tolist()])[1:]
    answers = engine.process(batch)
    waits = answers["departure_ns"] - arrivals > 100 * US
    found = [verdict.NAMES[code] for code in answers["code"].tolist()]
    return [
        "restricted" if name == "slow" and wait else name
        for name, wait in zip(found, waits, strict=True)
    ]


def regulated(engine: Engine) -> list[bool]:
    """What the report says of each SIM (Q4)."""
    return [sim["regulated"] for sim in engine.snapshot()["sims"]]
