"""Coupon stores with a bug planted, and the checks that must catch it.

Each is a real store with one thing done wrong. `PLANTED` says for each what is wrong, and the checks of
`tests.proof.checker` that have to find it, with the naive model and the store's own audit looking away.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from random import Random
from typing import Any

from engine.errors import PoolFenced
from engine.pool import CouponStore, Grant
from engine.pool.store import StoreOptions

S = 10**9
TOPUP_BYTES = 100 * 1024 * 1024
Opener = Callable[[StoreOptions], CouponStore]
Raw = Callable[[str, Sequence[int | str]], None]
"""one statement on the database's tables, with ? for its values, past the store"""


class Bug:
    """A store that passes everything on; what a bug does wrong is overridden."""

    def __init__(self, store: CouponStore, options: StoreOptions, raw: Raw) -> None:
        self.store = store
        self.options = options
        self.raw = raw
        self.count = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self.store, name)

    @classmethod
    def asked(cls, options: StoreOptions) -> StoreOptions:
        """The options with which the store is really opened."""
        return options


class NoRequestId(Bug):
    """A request is not looked up: made again, it is granted again."""

    def grant(self, request_id: str, contract: str, line: str, now_ns: int) -> Grant:
        self.count += 1
        return self.store.grant(f"{request_id}/{self.count}", contract, line, now_ns)


class BlindRefund(Bug):
    """What a broken-off run held is given back at the end of its lease, used or not."""

    def mark(self, marks: Sequence[tuple[str, int, int]]) -> None:
        self.store.mark([(line, 0, 0) for line, _, _ in marks])


class RefundUnasked(Bug):
    """What is uncertain is given back although the setting says that it is charged."""

    @classmethod
    def asked(cls, options: StoreOptions) -> StoreOptions:
        return replace(options, uncertain="refund")


class ReadThenWrite(Bug):
    """The balance is read first and written later, over what others took in between."""

    def __init__(self, store: CouponStore, options: StoreOptions, raw: Raw) -> None:
        super().__init__(store, options, raw)
        self.read: dict[str, dict[str, int]] = {}

    def defer(self) -> None:
        """Every call is a transaction of its own: so the raw write is not in its own way."""

    def flush(self) -> None:
        self.store.renew()

    def grant(self, request_id: str, contract: str, line: str, now_ns: int) -> Grant:
        before = self.left(contract)
        answer = self.store.grant(request_id, contract, line, now_ns)
        after, stale = self.left(contract), self.read.get(contract, {})
        for name in after:
            taken = before[name] - after[name]
            if taken and stale.get(name, 0) > before[name]:
                after[name] = stale[name] - taken
                self.raw(
                    "UPDATE coupon SET in_database_bytes = ?,"
                    " granted_bytes = credited_bytes - expired_bytes - ? WHERE credit_id = ?",
                    (after[name], after[name], name),
                )
        self.read[contract] = after
        return answer

    def left(self, contract: str) -> dict[str, int]:
        """What the coupons of a contract hold now."""
        return {c.credit_id: c.in_database_bytes for c in self.store.coupons(contract)}


class LateExpiry(Bug):
    """A coupon is good for one second too long."""

    def grant(self, request_id: str, contract: str, line: str, now_ns: int) -> Grant:
        return self.store.grant(request_id, contract, line, now_ns - S)

    def expire(self, now_ns: int) -> int:
        return self.store.expire(now_ns - S)


class BigSlice(Bug):
    """Slices of 20 MB."""

    def grant(self, request_id: str, contract: str, line: str, now_ns: int) -> Grant:
        first = self.store.grant(request_id, contract, line, now_ns)
        second = self.store.grant(f"{request_id}+", contract, line, now_ns)
        return Grant(first.slice_id, first.granted_bytes + second.granted_bytes)


class Unfenced(Bug):
    """A run that another took over from books its use all the same."""

    def __init__(self, store: CouponStore, options: StoreOptions, raw: Raw) -> None:
        super().__init__(store, options, raw)
        self.used: dict[str, int] = {}

    def mark(self, marks: Sequence[tuple[str, int, int]]) -> None:
        self.used.update((line, used) for line, used, _ in marks)
        self.fenced(lambda: self.store.mark(marks))

    def flush(self) -> None:
        self.fenced(self.store.flush)

    def renew(self) -> None:
        self.fenced(self.store.renew)

    def settle(self, line: str, used_bytes: int, final: bool) -> None:
        self.used[line] = used_bytes
        self.fenced(lambda: self.store.settle(line, used_bytes, final))

    def fenced(self, call: Callable[[], None]) -> None:
        """Do it; told that the run is over, book what it used on the newest slice of each line."""
        try:
            call()
        except PoolFenced:
            for line, used in self.used.items():
                self.raw(
                    "UPDATE slice SET used_bytes = used_bytes + ? WHERE slice_id ="
                    " (SELECT max(slice_id) FROM slice WHERE line_id ="
                    " (SELECT line_id FROM line WHERE code = ?))"
                    " AND used_bytes + uncertain_bytes + ? <= granted_bytes",
                    (used, line, used),
                )
            self.used.clear()
            raise


class MarkAfterUse(Bug):
    """The mark is written when the next one comes: after the bytes were let out."""

    def __init__(self, store: CouponStore, options: StoreOptions, raw: Raw) -> None:
        super().__init__(store, options, raw)
        self.late: dict[str, tuple[int, int]] = {}

    def mark(self, marks: Sequence[tuple[str, int, int]]) -> None:
        for line, used, mark in marks:
            self.store.mark([(line, *self.late.get(line, (0, 0)))])
            self.late[line] = used, mark


class NoMark(Bug):
    """Nothing is ever marked: after a crash everything on the SIM is uncertain."""

    def mark(self, marks: Sequence[tuple[str, int, int]]) -> None:
        """Forget it."""


class LostFlush(Bug):
    """What was deferred is answered, and now and then not kept."""

    def __init__(self, store: CouponStore, options: StoreOptions, raw: Raw) -> None:
        super().__init__(store, options, raw)
        self.dice = Random(1)

    def defer(self) -> None:
        self.store.begin()

    def flush(self) -> None:
        if self.dice.random() < 0.2:
            self.store.rollback()
        else:
            self.store.commit()


class NoLimit(Bug):
    """Purchases are credits like any other: nobody counts them."""

    def buy(self, request_id: str, contract: str, coupons: int, at_ns: int) -> bool:
        expires_ns = at_ns + 90 * 24 * 3600 * S
        size = coupons * TOPUP_BYTES
        return self.store.credit(request_id, contract, "topup", size, at_ns, expires_ns)


class BoughtAgain(Bug):
    """A purchase made again is a second purchase."""

    def buy(self, request_id: str, contract: str, coupons: int, at_ns: int) -> bool:
        self.count += 1
        return self.store.buy(f"{request_id}/{self.count}", contract, coupons, at_ns)


class OtherName(Bug):
    """A gateway's name is not claimed: a second process is let in beside the first."""

    names = 0

    @classmethod
    def asked(cls, options: StoreOptions) -> StoreOptions:
        cls.names += 1
        return replace(options, gateway=options.gateway and f"{options.gateway}-{cls.names}")


@dataclass(frozen=True)
class Planted:
    """A bug, and the checks of which at least one must name it."""

    bug: type[Bug]
    checks: frozenset[str]
    fault: float  # how often something befalls a gateway at rest
    befalls: tuple[str, ...]  # and what; (): everything


def _planted(
    bug: type[Bug], *checks: str, fault: float = 0.05, befalls: tuple[str, ...] = ()
) -> Planted:
    return Planted(bug, frozenset(checks), fault, befalls)


PLANTED = {
    "no request id": _planted(NoRequestId, "granted-twice"),
    "blind refund at the lease's end": _planted(BlindRefund, "let-out-above-booked"),
    "refund that nobody asked for": _planted(RefundUnasked, "let-out-above-booked"),
    "read, then write": _planted(ReadThenWrite, "slices-against-coupons"),
    "expiry off by one second": _planted(
        LateExpiry, "after-expiry", fault=0.3, befalls=("month_end",)
    ),
    "slice above 10 MB": _planted(BigSlice, "above-10MB"),
    "settle of an old run not fenced": _planted(Unfenced, "booked-above-let-out", fault=0.1),
    "mark written after use": _planted(MarkAfterUse, "let-out-above-booked"),
    "no mark": _planted(NoMark, "uncertain-bound"),
    "lost flush": _planted(LostFlush, "grant-lost"),
    "purchases without a limit": _planted(NoLimit, "more-than-30", fault=0.02),
    "purchase made twice": _planted(BoughtAgain, "credited-twice"),
    "name not claimed": _planted(OtherName, "double-start"),
}


def with_bug(bug: type[Bug], opener: Opener, raw: Raw) -> Opener:
    """An opener whose stores have the bug."""

    def open_with(options: StoreOptions) -> CouponStore:
        if options.gateway is None:
            return opener(options)
        return bug(opener(bug.asked(options)), options, raw)

    return open_with
