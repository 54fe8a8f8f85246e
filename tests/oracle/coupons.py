"""The coupon database of one contract: coupons in, slices out (C1-C6, D1-D4)."""

from dataclasses import dataclass, field
from datetime import date

from . import calendar

SLICE_BYTES = 10 * 2**20
"""10 MB (D1), with 1 MB = 2^20 bytes (U1)"""


@dataclass
class Coupon:
    """One coupon: what it was worth, what is left, and when it is good."""

    kind: str
    credited_bytes: int
    credited_ns: int
    expires_ns: int
    order: int
    left_bytes: int = field(init=False)

    def __post_init__(self) -> None:
        self.left_bytes = self.credited_bytes

    def good(self, now_ns: int) -> bool:
        """C6: an expired coupon is no longer handed out; the deadline itself is too late (U2)."""
        return self.credited_ns <= now_ns < self.expires_ns

    def turn(self) -> tuple[int, bool, int, int]:
        """C5: nearest expiry first, then bundle before additional, then the older."""
        return (self.expires_ns, self.kind != "bundle", self.credited_ns, self.order)


@dataclass
class Database:
    """All coupons of one contract, and the bytes that went out as slices.

    With `started` the plan's bundle comes month by month; those that are good at the opening come
    with it, unless the contract was given coupons of its own for a start.
    """

    bundle_bytes: int = 0
    started: date | None = None
    own_coupons: bool = False
    coupons: list[Coupon] = field(default_factory=list)
    granted_bytes: int = 0
    month: tuple[int, int] | None = None

    def credit(self, kind: str, size_bytes: int, credited_ns: int, expires_ns: int) -> None:
        """Put one coupon in."""
        order = len(self.coupons)
        self.coupons.append(Coupon(kind, size_bytes, credited_ns, expires_ns, order))

    def reach(self, now_ns: int) -> None:
        """C1: a bundle at 00:00 JST on each month's first day, good to the next month's end."""
        today = calendar.date_of(now_ns)
        if self.month is None:
            before = calendar.next_month(today.year, today.month, -1)
            self.month = calendar.next_month(*before, -1)
            if self.own_coupons:
                self.month = (today.year, today.month)
        while self.month < (today.year, today.month):
            self.month = calendar.next_month(*self.month)
            self._credit_bundle(*self.month)

    def _credit_bundle(self, year: int, month: int) -> None:
        if self.started is None:
            return
        size_bytes = calendar.bundle_bytes(self.bundle_bytes, self.started, year, month)
        if size_bytes > 0:
            starts_ns = calendar.month_start_ns(year, month)
            expires_ns = calendar.end_of_month_after_ns(year, month, 1)
            self.credit("bundle", size_bytes, starts_ns, expires_ns)

    def slice_bytes(self, now_ns: int) -> int:
        """Hand out a slice: 10 MB (D1) or what is left (D2), of several coupons if need be (D3)."""
        good = [coupon for coupon in self.coupons if coupon.good(now_ns)]
        wanted_bytes = min(SLICE_BYTES, sum(coupon.left_bytes for coupon in good))
        missing_bytes = wanted_bytes
        for coupon in sorted(good, key=Coupon.turn):
            part_bytes = min(missing_bytes, coupon.left_bytes)
            coupon.left_bytes -= part_bytes
            missing_bytes -= part_bytes
        self.granted_bytes += wanted_bytes
        return wanted_bytes

    def books(self, now_ns: int) -> dict[str, int]:
        """D9: credited = in the database + granted + expired."""
        expired = [coupon for coupon in self.coupons if coupon.expires_ns <= now_ns]
        return {
            "credited_bytes": sum(c.credited_bytes for c in self.coupons),
            "in_database_bytes": sum(c.left_bytes for c in self.coupons if c not in expired),
            "granted_bytes": self.granted_bytes,
            "expired_bytes": sum(c.left_bytes for c in expired),
        }
