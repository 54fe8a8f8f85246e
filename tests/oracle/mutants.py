"""Copies of the twin, one fault planted in each: whoever compares with it must catch them all."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

HERE = Path(__file__).parent
MODULES = ("calendar", "limiter", "coupons", "exempt", "gateway")
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
        "            pass\n        charged_bytes = min(size_bytes, line.balance_bytes)",
        "            pass\n        charged_bytes = size_bytes * (size_bytes <= line.balance_bytes)",
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
        "high = line.coupon_on and line.balance_bytes > 0  #",
        "high = line.balance_bytes > 0  #",
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
    "exempt packets are charged": ("gateway", "listed.charge and high", "high"),
    "exempt packets are charged with the coupon off": (
        "gateway",
        "high = line.coupon_on and line.balance_bytes > 0\n        if listed.count",
        "high = line.balance_bytes > 0\n        if listed.count",
    ),
    "the rest of an exempt packet is not counted": (
        "gateway",
        "of.exempt_bytes += size_bytes - verdict.charged_bytes",
        "of.exempt_bytes += 0 if verdict.charged_bytes else size_bytes",
    ),
    "an exempt packet does not continue on the next slice": (
        "gateway",
        "while line.balance_bytes < wanted_bytes and",
        "while line.balance_bytes == 0 and wanted_bytes and",
    ),
    "an exempt packet asks too early": (
        "gateway",
        "while line.balance_bytes < wanted_bytes and",
        "while line.balance_bytes <= wanted_bytes and",
    ),
    "a dropped exempt packet asks": (
        "gateway",
        '        if departure_ns is None:\n            return Verdict("queue", 0, 0, None)\n'
        "        today",
        "        if departure_ns is None:\n            self._exempt_charge(line, size_bytes)\n"
        '            return Verdict("queue", 0, 0, None)\n        today',
    ),
    "exempt packets never count": ("gateway", "if listed.count and not high:", "if False:"),
    "exempt packets always count": ("gateway", "if listed.count and not high:", "if not high:"),
    "exempt packets count at high speed": (
        "gateway",
        "if listed.count and not high:",
        "if listed.count:",
    ),
    "nobody asks whether the SIM is slow": ("gateway", "else 1 if listed.count else 0", "else 0"),
    "no cap": ("gateway", "cap_bytes == 0 or", "True or"),
    "a cap of 0 is a cap": ("gateway", "cap_bytes == 0 or", ""),
    "the crossing packet is exempt": (
        "gateway",
        "used_bytes + size_bytes <= cap_bytes",
        "used_bytes < cap_bytes",
    ),
    "exactly the cap is above it": (
        "gateway",
        "used_bytes + size_bytes <= cap_bytes",
        "used_bytes + size_bytes < cap_bytes",
    ),
    "a cap for ever": (
        "gateway",
        "line.exempt_bytes_by_day.get((day_of(self.now_ns), group), 0)",
        "sum(b for (_, g), b in line.exempt_bytes_by_day.items() if g == group)",
    ),
    "a cap of all groups": (
        "gateway",
        "line.exempt_bytes_by_day.get((day_of(self.now_ns), group), 0)",
        "sum(b for (d, _), b in line.exempt_bytes_by_day.items() if d == day_of(self.now_ns))",
    ),
    "a cap of the whole contract": (
        "gateway",
        "line.exempt_bytes_by_day.get((day_of(self.now_ns), group), 0)",
        "sum(o.exempt_bytes_by_day.get((day_of(self.now_ns), group), 0)\n"
        "            for o in self.lines.values())",
    ),
    "a cap of each direction": (
        "gateway",
        "used_bytes = line.exempt_bytes_by_day.get((day_of(self.now_ns), group), 0)",
        "used_bytes = max(line.rated.get(group, [0, 0, 0, 0])[1::2])",
    ),
    "groups are counted up only": ("gateway", "rated[2 * direction] += 1", "rated[0] += 1"),
    "charged bytes are in no group": (
        "gateway",
        "rated[2 * direction + 1] += size_bytes",
        "rated[2 * direction + 1] += size_bytes - charged_bytes",
    ),
    "an unmatched fragment is exempt": (
        "exempt",
        "self.firsts.get(packet, (None, now_ns))",
        "self.firsts.get(packet, (group, now_ns))",
    ),
    "no fragment is exempt": ("exempt", "return inherited if", "return None if"),
    "fragments inherit for ever": ("exempt", "if now_ns - seen_ns <= FRAGMENT_NS", "if True"),
    "fragments are forgotten at 30 s": (
        "exempt",
        "now_ns - seen_ns <= FRAGMENT_NS",
        "now_ns - seen_ns < FRAGMENT_NS",
    ),
    "later fragments make it last": (
        "exempt",
        "        return inherited if",
        "        self.firsts[packet] = (inherited, now_ns)\n        return inherited if",
    ),
    "the first of two first fragments decides": (
        "exempt",
        "self.firsts[packet] = (group, now_ns)\n            return group",
        "self.firsts.setdefault(packet, (group, now_ns))\n            return group",
    ),
    "only exempt first fragments are looked at": (
        "exempt",
        "        if fragment.first:\n",
        "        if fragment.first and group is None:\n            return None\n"
        "        if fragment.first:\n",
    ),
    "fragments of any SIM inherit": (
        "exempt",
        "packet = (session, fragment.packet)",
        "packet = fragment.packet",
    ),
    "fragments of any packet inherit": (
        "exempt",
        "packet = (session, fragment.packet)",
        "packet = session",
    ),
    "fragments are under the list of their own time": (
        "exempt",
        "return inherited if",
        "return inherited if inherited in self.listed.caps_bytes and",
    ),
    "the list is never another": (
        "exempt",
        "        self.listed = listed\n        self.caps_bytes |=",
        "        self.caps_bytes |=",
    ),
    "a cap is never another": ("exempt", "self.caps_bytes |= listed.caps_bytes", "pass"),
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
