"""The simulated world's settings, and who sits in it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from engine import calendar
from engine.pool import CouponStore
from engine.pool.store import StoreOptions
from tests.proof.gateway import Call, Gateway, Life

S = 10**9
HOUR = 3600 * S
DAY = 24 * HOUR
START_NS = calendar.month_start_ns(2026 * 12) + 30 * DAY
"""31 January 2026, 00:00 JST: the first month's end is near"""
LINES = tuple((f"hdd{1 + n // 3}", f"hdo{n}") for n in range(6))
GROUPS = {"begin": "commit", "defer": "flush"}
LATE = ("grant", "mark", "credit", "buy", "renew")
Opener = Callable[[StoreOptions], CouponStore]


@dataclass(frozen=True)
class Plan:
    """How rough the world is."""

    seed: int = 1
    gateways: int = 3
    steps: int = 600
    lease_ns: int = HOUR
    short_leases: int = 0  # gateways whose lease is over at once
    refund: bool = False
    durable_calls: bool = False  # whether a store keeps each deferred call, crash or not
    timed_leases: bool = True  # whether the store's own time is the simulated one
    lost: float = 0.04
    repeated: float = 0.33
    crash: float = 0.006
    fault: float = 0.05
    befalls: tuple[str, ...] = ()  # what befalls gateways; (): everything
    lockstep: bool = True  # whether the naive model judges as well


class Seat:
    """A gateway's name, and the run that has it now."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.store: CouponStore | None = None
        self.gateway: Gateway | None = None
        self.life: Life | None = None
        self.epoch = 0  # counts runs and crashes: nothing of one reaches the next
        self.clogged_ns = 0  # until when nothing gets through its link
        self.step_ns = 0  # how far this machine's clock is off
        self.group: list[Call] | None = None  # calls since `begin` or `defer`
        self.crash_at = -1  # the call of the group at which it crashes
        self.before: tuple[Any, ...] | None = None  # everything as it was when the group began

    @property
    def run(self) -> int:
        """Number of the run."""
        assert self.gateway is not None
        return self.gateway.run
