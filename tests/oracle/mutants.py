"""Copies of the twin, one fault planted in each: whoever compares with it must catch them all."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

HERE = Path(__file__).parent
MODULES = ("calendar", "limiter", "coupons", "gateway")
NAME = "tests_oracle_mutant"

MUTANTS: dict[str, tuple[str, str, str]] = {
    "refill rounded down to whole bytes": (
        "limiter",
        "        earliest_ns = ",
        "        self.clear_ns = now_ns - self.rate.sending_ns(\n"
        "            (now_ns - self.clear_ns) * self.rate.bps // (8 * NS_PER_S)\n"
        "        )\n"
        "        earliest_ns = ",
    ),
    "departure rounded down": (
        "limiter",
        "return max(now_ns, ceil(clear_ns))",
        "return max(now_ns, int(clear_ns))",
    ),
    "departure rounded in the bucket": (
        "limiter",
        "self.clear_ns = clear_ns\n",
        "self.clear_ns = Fraction(ceil(clear_ns))\n",
    ),
    "dropped packet takes room": (
        "limiter",
        "            return None\n        if clear_ns - now_ns",
        "            self.clear_ns = clear_ns\n            return None\n"
        "        if clear_ns - now_ns",
    ),
    "old queue counts against the new": ("limiter", "max(now_ns, self.held_until_ns)", "now_ns"),
    "wait without end": ("limiter", "clear_ns - now_ns > self.longest_wait_ns", "False"),
    "change of rate empties the queue": (
        "limiter",
        "            self.clear_ns = Fraction(self.held_until_ns)\n",
        "            self.clear_ns = Fraction(now_ns)\n",
    ),
    "change of rate keeps a larger burst": (
        "limiter",
        "min(earned_bytes, Fraction(self.rate.burst_bytes))",
        "earned_bytes",
    ),
    "queue limited by bytes alone": (
        "limiter",
        "Fraction(self.queue_ms * 10**6)",
        "Fraction(2**62)",
    ),
    "slice of 10 MB and a byte": ("coupons", "10 * 2**20", "10 * 2**20 + 1"),
    "slice of 10 MB decimal": ("coupons", "10 * 2**20", "10 * 10**6"),
    "no slice below 10 MB": (
        "coupons",
        "min(SLICE_BYTES, sum(coupon.left_bytes for coupon in good))",
        "SLICE_BYTES * (sum(coupon.left_bytes for coupon in good) >= SLICE_BYTES)",
    ),
    "coupon good at its deadline": (
        "coupons",
        "now_ns < self.expires_ns",
        "now_ns <= self.expires_ns",
    ),
    "oldest coupon first": (
        "coupons",
        "return (self.expires_ns, ",
        "return (self.order, ",
    ),
    "month ends in UTC": ("calendar", "timezone(timedelta(hours=9))", "timezone(timedelta(0))"),
    "remainder of the last packet charged": (
        "gateway",
        "charged_bytes, size_bytes - charged_bytes, departure_ns",
        "size_bytes, 0, departure_ns",
    ),
    "remainder slow": (
        "gateway",
        "charged_bytes = min(size_bytes, line.balance_bytes)",
        "charged_bytes = size_bytes if size_bytes <= line.balance_bytes else 0",
    ),
    "packet does not continue on the next slice": (
        "gateway",
        "line.balance_bytes < size_bytes and self._ask(line) > 0",
        "False",
    ),
    "slice asked for too early": (
        "gateway",
        "line.balance_bytes < size_bytes and",
        "line.balance_bytes <= size_bytes and",
    ),
    "slice with the coupon off": (
        "gateway",
        "if first and line.coupon_on and",
        "if first and",
    ),
    "first slice not before the first charged packet": (
        "gateway",
        "if first and",
        "if not first and",
    ),
    "high speed with the coupon off": (
        "gateway",
        "high = line.coupon_on and line.balance_bytes > 0",
        "high = line.balance_bytes > 0",
    ),
    "exempt packets in the common queue": (
        "gateway",
        "line.exempt_limiters[direction].offer",
        "(line.limiters or line.exempt_limiters)[direction].offer",
    ),
    "dropped packet takes a slice": (
        "gateway",
        "        departure_ns = self._limit(line, direction, size_bytes, high)\n",
        "        if high and line.balance_bytes < size_bytes:\n            self._ask(line)\n"
        "        departure_ns = self._limit(line, direction, size_bytes, high)\n",
    ),
    "restriction at the limit": (
        "gateway",
        "for day in days) > limit_bytes",
        "for day in days) >= limit_bytes",
    ),
    "window of two days": (
        "gateway",
        "days = (last - 2, last - 1, last)",
        "days = (last - 1, last)",
    ),
    "window of four days": (
        "gateway",
        "days = (last - 2, last - 1, last)",
        "days = (last - 3, last - 2, last - 1, last)",
    ),
    "restriction in force at once": ("gateway", '== "next-day"', '== "never"'),
    "restriction at high speed": (
        "gateway",
        "        if high:\n            state, rates",
        "        if high and not self.restricted(line):\n            state, rates",
    ),
    "suspended SIM is served": ("gateway", "if not line.in_service:", "if False:"),
    "detached SIM is served": ("gateway", "if line.detached:", "if False:"),
    "time goes back": ("gateway", "max(before_ns, at_ns)", "at_ns"),
    "suspended SIM opens a session": (
        "gateway",
        "if sim.in_service:",
        "if True:",
    ),
    "leap not held back": ("gateway", "not self.settings.allow_leap", "False"),
    "leap always held back": ("gateway", "not self.settings.allow_leap", "True"),
    "dropped bytes not counted": ("gateway", "of.dropped_bytes += size_bytes", "pass"),
    "one bucket for both directions": (
        "gateway",
        "return line.limiters[direction].offer",
        "return line.limiters[0].offer",
    ),
}


@contextmanager
def mutant(name: str) -> Iterator[ModuleType]:
    """The twin with the named fault, as a module of its own beside the sound one."""
    file, old, new = MUTANTS[name]
    package = ModuleType(NAME)
    package.__path__ = []
    loaded = [NAME]
    sys.modules[NAME] = package
    try:
        for module_name in MODULES:
            source = (HERE / f"{module_name}.py").read_text(encoding="utf-8")
            if module_name == file:
                assert source.count(old) == 1, f"{name}: not one place in {file}.py holds {old!r}"
                source = source.replace(old, new)
            module = ModuleType(f"{NAME}.{module_name}")
            module.__package__ = NAME
            sys.modules[module.__name__] = module
            loaded.append(module.__name__)
            setattr(package, module_name, module)
            exec(compile(source, f"{name} ({module_name}.py)", "exec"), module.__dict__)
            vars(package).update(
                {key: value for key, value in vars(module).items() if not key.startswith("_")}
            )
        yield package
    finally:
        for module_name in loaded:
            del sys.modules[module_name]
