"""The calendar of a run: which coupons are credited when, month ends, and leaps of the packets' clock.

Months end at 00:00:00.000000000 JST of a packet's own time (U2, C1, G9). A clock that leaps ahead by more
than a day across a month's end may be a broken time stamp, which must not burn a month's data: unless
leaps are allowed, the coupon calendar then stays behind by the leap.
"""

from collections.abc import Iterable
from functools import lru_cache

from engine import calendar
from engine.pool.store import BUNDLE, Credit
from engine.runtime.lines import ContractState
from engine.subscribers import Contract
from engine.units import NS_PER_DAY

NEVER_NS = (1 << 63) - 1


class Calendar:
    """Packet time and coupon time of one engine; both in ns since 1970."""

    def __init__(self, allow_leap: bool) -> None:
        self._allow_leap = allow_leap
        self._behind_ns = 0
        self.month: int | None = None
        self.held_leaps = 0

    def start(self, now_ns: int) -> None:
        """The first time that is known becomes the calendar's start."""
        if self.month is None:
            self.month = calendar.month_of(now_ns)

    def coupon_ns(self, now_ns: int) -> int:
        """The coupon calendar's time at packet time `now_ns`."""
        return now_ns - self._behind_ns

    def next_month_ns(self) -> int:
        """Packet time at which the next month begins."""
        if self.month is None:
            return NEVER_NS
        return calendar.month_start_ns(self.month + 1) + self._behind_ns

    def pass_month(self, before_ns: int, after_ns: int) -> bool:
        """Packet time goes from `before_ns` past the month's end to `after_ns`: True if it may."""
        assert self.month is not None
        if after_ns - before_ns > NS_PER_DAY and not self._allow_leap:
            self._behind_ns += after_ns - before_ns
            self.held_leaps += 1
            return False
        self.month += 1
        return True


def opening_credits(contract: ContractState, given: Contract | None, ns: int) -> list[Credit]:
    """What the database holds at `ns`: the coupons of the subscriber file, or the plan's bundles.

    Without coupons in the file those bundles count that are still good: of this month and of the
    one before, from the start of the contract on (C1, C2).
    """
    month = calendar.month_of(ns)
    if given is not None and given.coupons is not None:
        # A time that does not depend on this run, so that another run finds the same coupon.
        begun_ns = calendar.month_start_ns(calendar.month_number(given.started))
        return [
            Credit(
                f"file:{contract.code}:{number}",
                contract.code,
                coupon.kind,
                coupon.bytes,
                begun_ns,
                calendar.expires_of(coupon.expires),
            )
            for number, coupon in enumerate(given.coupons)
            if coupon.bytes
        ]
    if given is None:
        return first_bundles([contract])
    bundles = [bundle_credits(contract, good, given) for good in (month - 1, month)]
    return [credit for found in bundles for credit in found]


def first_bundles(contracts: Iterable[ContractState]) -> list[Credit]:
    """The same for contracts that no subscriber file has, each in the month that it is in."""
    return [
        Credit(f"bundle:{contract.code}:{text}", contract.code, BUNDLE, size, begins_ns, ends_ns)
        for contract in contracts
        for month in range(max(contract.month - 1, contract.started_month), contract.month + 1)
        for text, begins_ns, ends_ns in (_bundle(month),)
        for size in (contract.bundle_bytes,)
        if size
    ]


@lru_cache
def _bundle(month: int) -> tuple[str, int, int]:
    """The month of a bundle coupon as text, and from and until when it is good (C1)."""
    return (
        calendar.month_text(month),
        calendar.month_start_ns(month),
        calendar.bundle_expires_ns(month),
    )


def bundle_credits(contract: ContractState, month: int, given: Contract | None) -> list[Credit]:
    """The bundle coupon of a month, if it is of any bytes; pro rata in the month of the start (C2)."""
    credited = contract.bundle_bytes if month >= contract.started_month else 0
    if given is not None:
        credited = calendar.bundle_credit_bytes(contract.bundle_bytes, given.started, month)
    if not credited:
        return []
    text, *times = _bundle(month)
    return [Credit(f"bundle:{contract.code}:{text}", contract.code, BUNDLE, credited, *times)]
