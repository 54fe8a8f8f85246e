"""One call, done by a real store and by the naive model: both must answer alike, or both refuse."""

from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any

from engine import calendar
from engine.errors import PktollError, PoolError, PoolFenced, PoolUnavailable, RefusedError
from engine.pool import CouponStore
from tests.proof.facts import Finding
from tests.proof.gateway import Call
from tests.proof.model import Fenced, Ledger, No

NAMED_AT = {"open_line": 1, "remove_line": 0}
"""calls that may end another's lease over a line, and where they name it"""
CONTROL = ("begin", "commit", "rollback", "defer", "flush", "renew")


def predict(model: Ledger, run: int, call: Call, taken: bool = False) -> Any:
    """What the model answers; No where it refuses."""
    given: Any = call.arguments
    if call.method in CONTROL:
        return model.alive(run)
    if call.method == "mark":
        for row in given[0]:
            model.mark(run, *row)
        return None
    if call.method == "settle_all":
        model.alive(run)
        for line, used in given[0]:
            model.settle(run, line, used, given[1])
        return None
    if call.method == "open_line":
        return model.open_line(run, given[0], given[1], given[2], taken)
    if call.method == "credit":
        model.alive(run)
        name, contract, kind, size, since, until = given
        return model.credit(name, contract, kind, size, range(since, until))
    if call.method == "buy":
        model.alive(run)
        month = calendar.month_of(given[3])
        good = range(given[3], calendar.topup_expires_ns(month))
        return model.buy(given[0], given[1], given[2], month, good)
    if call.method == "expire":
        model.alive(run)
        return model.expire(*given)
    if call.method == "close_contract":
        model.alive(run)
        return model.close_contract(given[0])
    if call.method == "remove_line":
        model.alive(run)
        return model.remove_line(given[0], taken)
    if call.method == "close":
        model.alive(run)
        return model.end(run, *given)
    return getattr(model, call.method)(run, *given)


def comparable(answer: Any) -> Any:
    """A slice's number is the store's own; its bytes are the model's as well."""
    return getattr(answer, "granted_bytes", answer)


class Twin:
    """A store's answers held against the model's; `differ` is told of every difference."""

    def __init__(self, model: Ledger, differ: Callable[[Finding], None]) -> None:
        self.model = model
        self.differ = differ
        self.on_take_over: Callable[[int, int], None] = lambda run, other: None

    def perform(self, store: CouponStore, run: int, call: Call) -> Any:
        """Do it; returns the store's answer or raises what it raised."""
        try:
            answer = getattr(store, call.method)(*call.arguments)
        except PktollError as error:
            self._refused(run, call, error)
            raise
        taken = self._other(run, call)
        try:
            expected = predict(self.model, run, call, taken > 0)
        except AssertionError as error:
            self.differ(Finding("model", f"run {run} {call}: {answer}, cannot be: {error}"))
            return answer
        except No as no:
            if not (call.method in CONTROL and isinstance(no, Fenced)):
                self.differ(Finding("model", f"run {run} {call}: {answer}, must be refused: {no}"))
            return answer
        if taken:
            self.on_take_over(run, taken)
        if comparable(answer) != expected:
            self.differ(Finding("model", f"run {run} {call}: {answer}, must be {expected}"))
        return answer

    def _other(self, run: int, call: Call) -> int:
        """The run that a line is taken from, 0 for none."""
        if call.method not in NAMED_AT:
            return 0
        line = self.model.lines.get(call.arguments[NAMED_AT[call.method]])
        if line is None or line.run == run or not line.is_open:
            return 0
        return line.run if self.model.runs[line.run] else 0

    def _refused(self, run: int, call: Call, error: PktollError) -> None:
        words = f"run {run} {call}: {type(error).__name__}: {error}"
        if isinstance(error, PoolUnavailable):
            self.differ(Finding("unavailable", words))
            return
        if not isinstance(error, PoolError | RefusedError):
            self.differ(Finding("model", words))
            return
        try:
            predict(self.model, run, call)
        except Fenced:
            if not isinstance(error, PoolFenced):
                self.differ(Finding("fencing", f"{words}: must be PoolFenced"))
        except No:
            if isinstance(error, PoolFenced):
                self.differ(Finding("fencing", f"{words}: the run is open"))
        else:
            self.differ(Finding("model", f"{words}: must not be refused"))


def coupon_sums(rows: Iterable[tuple[str, str, int, int, int, int]]) -> Counter[tuple[Any, ...]]:
    """Bytes by contract, kind and expiry: a purchase may be kept as one coupon or as several."""
    total: Counter[tuple[Any, ...]] = Counter()
    for contract, kind, until, left, granted, expired in rows:
        total[(contract, kind, until, "left")] += left
        total[(contract, kind, until, "granted")] += granted
        total[(contract, kind, until, "expired")] += expired
    return +total


def compare(store: CouponStore, model: Ledger) -> list[Finding]:
    """Every coupon and every slice of the store against the model's."""
    findings = []
    stored = coupon_sums(
        (b.code, c.kind, c.expires_ns, c.in_database_bytes, c.granted_bytes, c.expired_bytes)
        for b in store.contracts()
        for c in store.coupons(b.code)
    )
    wanted = coupon_sums(
        (c.contract, c.kind, c.until_ns, c.left, c.granted, c.expired) for c in model.coupons
    )
    for key in sorted(stored.keys() | wanted.keys()):
        if stored[key] != wanted[key]:
            findings.append(Finding("model", f"{key}: {stored[key]} bytes, must be {wanted[key]}"))
    for name, line in sorted((model.lines | model.removed).items()):
        found = [
            (s.request_id, s.granted_bytes, s.used_bytes, s.uncertain_bytes)
            for s in store.slices(name)
        ]
        must = [(p.request, p.granted, p.used, p.uncertain) for p in line.pieces]
        findings += [
            Finding("model", f"{name}: slice {a}, must be {b}")
            for a, b in zip_all(found, must)
            if a != b
        ]
    return findings


def zip_all(left: list[Any], right: list[Any]) -> list[tuple[Any, Any]]:
    """Pairs of two lists, None where one is shorter."""
    size = max(len(left), len(right))
    return list(
        zip(left + [None] * (size - len(left)), right + [None] * (size - len(right)), strict=True)
    )
