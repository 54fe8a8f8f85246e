"""The gateway: one packet or event after the other, as RULES.md tells it."""

from dataclasses import dataclass, field
from datetime import date
from typing import NamedTuple

from .calendar import JST_DAY_NS, date_of, day_of
from .coupons import Database
from .exempt import Exemption, ExemptList, Fragment
from .limiter import LONGEST_WAIT_NS, Limiter, Rate

UP, DOWN = 0, 1
FORWARDED = ("charged", "slow", "exempt")


class Verdict(NamedTuple):
    """What became of a packet; `departure_ns` is None where it was dropped."""

    kind: str
    charged_bytes: int
    free_bytes: int
    departure_ns: int | None


@dataclass(frozen=True)
class Plan:
    """S5: a plan is data. Speeds are per direction, up and down."""

    high: tuple[Rate, Rate]
    slow: tuple[Rate, Rate]
    restricted: tuple[Rate, Rate]
    restriction_bytes: int = 0
    bundle_bytes: int = 0


@dataclass(frozen=True)
class Settings:
    """The settings of RULES.md: D1 `first_slice`, R3 `effective`; the longest wait bounds P4.

    Without `allow_leap` time that leaps ahead by more than a day across a month's end is taken for
    a broken clock: the coupons' calendar stays behind by the leap (G9).
    """

    first_slice: str = "attach"
    restriction_enabled: bool = True
    effective: str = "immediate"
    longest_wait_ns: int = LONGEST_WAIT_NS
    allow_leap: bool = False
    exempt: ExemptList = field(default_factory=ExemptList)


@dataclass
class Counters:
    """One direction of one SIM."""

    packets: int = 0
    inner_bytes: int = 0
    charged_bytes: int = 0
    slow_bytes: int = 0
    exempt_bytes: int = 0
    free_bytes: int = 0
    dropped_packets: int = 0
    dropped_bytes: int = 0
    delayed_packets: int = 0
    max_delay_ns: int = 0


@dataclass
class Line:
    """One SIM.

    `exempt_bytes_by_day` is by day and rating group; `rated` has packets and bytes up, then down, by group.
    """

    code: str
    contract: str
    coupon_on: bool
    balance_bytes: int
    in_service: bool
    attached: bool = False
    detached: bool = False
    state: str = "high"
    limiters: list[Limiter] = field(default_factory=list)
    exempt_limiters: list[Limiter] = field(default_factory=list)
    slow_bytes_by_day: dict[int, int] = field(default_factory=dict)
    exempt_bytes_by_day: dict[tuple[int, int], int] = field(default_factory=dict)
    rated: dict[int, list[int]] = field(default_factory=dict)
    grants: int = 0
    granted_bytes: int = 0
    counters: tuple[Counters, Counters] = field(default_factory=lambda: (Counters(), Counters()))


class Gateway:
    """All contracts and lines; `packet` and `event` are to be called in the order of time."""

    def __init__(self, settings: Settings | None = None) -> None:
        self.settings = settings or Settings()
        self.now_ns = 0
        self.open = False
        self.behind_ns = 0
        self.plans: dict[str, Plan] = {}
        self.databases: dict[str, Database] = {}
        self.lines: dict[str, Line] = {}
        self.exemption = Exemption(self.settings.exempt)

    # --- who there is ---------------------------------------------------------------------------

    def add_contract(
        self, code: str, plan: Plan, started: date | None = None, *, own_coupons: bool = False
    ) -> Database:
        """A contract; with `started` its plan's bundle is credited month by month (C1, C2)."""
        self.plans[code] = plan
        self.databases[code] = Database(plan.bundle_bytes, started, own_coupons)
        return self.databases[code]

    def add_line(
        self,
        code: str,
        contract: str,
        *,
        coupon_on: bool = True,
        balance_bytes: int = 0,
        in_service: bool = True,
    ) -> Line:
        """A SIM of a contract, with what it already holds (C7)."""
        self.lines[code] = Line(code, contract, coupon_on, balance_bytes, in_service)
        return self.lines[code]

    # --- what happens ---------------------------------------------------------------------------

    def packet(
        self,
        at_ns: int,
        code: str,
        direction: int,
        size_bytes: int,
        *,
        exempt: bool = False,
        group: int = 0,
        fragment: Fragment | None = None,
    ) -> Verdict:
        """Decide one packet of a SIM and account for it.

        exempt: address, protocol and port are those of the server of rating group `group` (X2).
        """
        self._advance(at_ns)
        line = self.lines[code]
        wanted = group if exempt else None
        rated = self.exemption.group_of(self.now_ns, (code, direction), wanted, fragment)
        verdict = self._decide(line, direction, size_bytes, rated)
        self._account(line, line.counters[direction], size_bytes, verdict)
        return verdict

    def event(
        self,
        at_ns: int,
        do: str,
        *,
        line: str = "",
        on: bool = False,
        contract: str = "",
        coupons: tuple[tuple[str, int, int], ...] = (),
        exempt: ExemptList | None = None,
    ) -> None:
        """One operation on a line or contract; coupons are (kind, bytes, expires_ns)."""
        self._advance(at_ns)
        if exempt is not None:
            self.exemption.reload(exempt)
            return
        if do == "charge":
            for kind, size_bytes, expires_ns in coupons:
                self.databases[contract].credit(kind, size_bytes, self.coupon_ns, expires_ns)
            return
        sim = self.lines[line]
        if do == "switch":  # P3: at once; what is queued stays queued
            sim.coupon_on = on
        elif do == "suspend":  # L1: cuts the session at once
            sim.in_service = sim.attached = False
        elif do == "resume":
            sim.in_service = True
        elif do == "detach":
            sim.attached, sim.detached = False, True
        elif do == "attach":
            if sim.in_service:  # L1: else it is refused, and a refusal changes nothing
                sim.detached = False
                self._attach(sim)
        else:
            raise ValueError(f"no such event: {do}")

    def _advance(self, at_ns: int) -> None:
        """Time never goes back; a month that has begun brings its bundle (C1, G9)."""
        before_ns = self.now_ns if self.open else at_ns
        self.open = True
        self.now_ns = max(before_ns, at_ns)
        leap_ns = self.now_ns - before_ns
        months = [date_of(ns - self.behind_ns).replace(day=1) for ns in (before_ns, self.now_ns)]
        if months[0] != months[1] and leap_ns > JST_DAY_NS and not self.settings.allow_leap:
            self.behind_ns += leap_ns
        for database in self.databases.values():
            database.reach(self.coupon_ns)

    @property
    def coupon_ns(self) -> int:
        """The time of the coupons' calendar."""
        return self.now_ns - self.behind_ns

    # --- the verdict ----------------------------------------------------------------------------

    def _decide(self, line: Line, direction: int, size_bytes: int, group: int | None) -> Verdict:
        if not line.in_service:  # L1, N7
            return Verdict("suspended", 0, 0, None)
        if line.detached:
            return Verdict("detached", 0, 0, None)
        if not line.attached:
            self._attach(line)
        if group is not None and self._within_cap(line, group, size_bytes):
            return self._exempt(line, direction, size_bytes, group)
        if line.coupon_on and line.balance_bytes == 0:  # D1: the next slice comes by itself
            self._ask(line)
        high = line.coupon_on and line.balance_bytes > 0  # P1, P2, D5
        departure_ns = self._limit(line, direction, size_bytes, high)
        if departure_ns is None:  # N7: nothing dropped is charged
            return Verdict("queue", 0, 0, None)
        if high:
            return self._charge(line, size_bytes, departure_ns)
        today = day_of(self.now_ns)
        line.slow_bytes_by_day[today] = line.slow_bytes_by_day.get(today, 0) + size_bytes
        return Verdict("slow", 0, 0, departure_ns)

    def _within_cap(self, line: Line, group: int, size_bytes: int) -> bool:
        """B41x: what would take the SIM's bytes of that group and day above the cap is not exempt."""
        cap_bytes = self.exemption.caps_bytes[group]
        used_bytes = line.exempt_bytes_by_day.get((day_of(self.now_ns), group), 0)
        return cap_bytes == 0 or used_bytes + size_bytes <= cap_bytes

    def _exempt(self, line: Line, direction: int, size_bytes: int, group: int) -> Verdict:
        """X1, X3, X4, R6: not slowed and not above high speed; what it costs is a setting."""
        if not line.exempt_limiters:
            line.exempt_limiters = self._full_limiters(line)
        departure_ns = line.exempt_limiters[direction].offer(self.now_ns, size_bytes)
        if departure_ns is None:
            return Verdict("queue", 0, 0, None)
        today = day_of(self.now_ns)
        charged_bytes = self._exempt_charge(line, size_bytes)
        at = (today, group)
        line.exempt_bytes_by_day[at] = line.exempt_bytes_by_day.get(at, 0) + size_bytes
        rated = line.rated.setdefault(group, [0, 0, 0, 0])
        rated[2 * direction] += 1
        rated[2 * direction + 1] += size_bytes
        return Verdict("exempt", charged_bytes, 0, departure_ns)

    def _exempt_charge(self, line: Line, size_bytes: int) -> int:
        """X3: what the coupon pays of an exempt packet; in the slow state it may count for R1."""
        listed = self.exemption.listed
        wanted_bytes = size_bytes if listed.charge else 1 if listed.count else 0
        if line.coupon_on:  # D7, D1: whatever is to be had
            while line.balance_bytes < wanted_bytes and self._ask(line) > 0:
                pass
        high = line.coupon_on and line.balance_bytes > 0
        if listed.count and not high:
            today = day_of(self.now_ns)
            line.slow_bytes_by_day[today] = line.slow_bytes_by_day.get(today, 0) + size_bytes
        if not (listed.charge and high):
            return 0
        charged_bytes = min(size_bytes, line.balance_bytes)
        line.balance_bytes -= charged_bytes
        return charged_bytes

    def _charge(self, line: Line, size_bytes: int, departure_ns: int) -> Verdict:
        """D7: takes the rest and continues on the next slice; without one the remainder is free."""
        while line.balance_bytes < size_bytes and self._ask(line) > 0:
            pass
        charged_bytes = min(size_bytes, line.balance_bytes)
        line.balance_bytes -= charged_bytes
        return Verdict("charged", charged_bytes, size_bytes - charged_bytes, departure_ns)

    def _limit(self, line: Line, direction: int, size_bytes: int, high: bool) -> int | None:
        """P1, P2, P4, R1, R5: at the rate of the state that the SIM is in now."""
        plan = self.plans[line.contract]
        if high:
            state, rates = "high", plan.high
        elif self.restricted(line):
            state, rates = "restricted", plan.restricted
        else:
            state, rates = "slow", plan.slow
        if not line.limiters:  # a SIM begins as one at high speed that has sent nothing yet
            line.limiters = self._full_limiters(line)
        if line.state != state:
            for limiter, rate in zip(line.limiters, rates, strict=True):
                limiter.change(self.now_ns, rate)
        line.state = state
        return line.limiters[direction].offer(self.now_ns, size_bytes)

    def _full_limiters(self, line: Line) -> list[Limiter]:
        rates = self.plans[line.contract].high
        return [Limiter(rate, self.now_ns, self.settings.longest_wait_ns) for rate in rates]

    def restricted(self, line: Line) -> bool:
        """R1, R2, R3: more than the limit within three days, today included or not."""
        limit_bytes = self.plans[line.contract].restriction_bytes
        if not self.settings.restriction_enabled or limit_bytes == 0:
            return False
        last = day_of(self.now_ns) - (self.settings.effective == "next-day")
        days = (last - 2, last - 1, last)
        return sum(line.slow_bytes_by_day.get(day, 0) for day in days) > limit_bytes

    # --- slices ---------------------------------------------------------------------------------

    def _attach(self, line: Line) -> None:
        """D1: a SIM that connects and holds nothing gets a slice, if its coupon is ON (D8)."""
        line.attached = True
        first = self.settings.first_slice == "attach"
        if first and line.coupon_on and line.balance_bytes == 0:
            self._ask(line)

    def _ask(self, line: Line) -> int:
        """Ask the contract's database for a slice; what it gives stays on the SIM (D4, D6)."""
        slice_bytes = self.databases[line.contract].slice_bytes(self.coupon_ns)
        line.balance_bytes += slice_bytes
        line.granted_bytes += slice_bytes
        line.grants += slice_bytes > 0
        return slice_bytes

    # --- the books ------------------------------------------------------------------------------

    def _account(self, line: Line, of: Counters, size_bytes: int, verdict: Verdict) -> None:
        of.packets += 1
        of.inner_bytes += size_bytes
        of.charged_bytes += verdict.charged_bytes
        of.free_bytes += verdict.free_bytes
        if verdict.kind == "slow":
            of.slow_bytes += size_bytes
        elif verdict.kind == "exempt":
            of.exempt_bytes += size_bytes - verdict.charged_bytes
        if verdict.departure_ns is None:
            of.dropped_packets += 1
            of.dropped_bytes += size_bytes
        elif verdict.departure_ns > self.now_ns:
            of.delayed_packets += 1
            of.max_delay_ns = max(of.max_delay_ns, verdict.departure_ns - self.now_ns)

    def contracts(self) -> dict[str, dict[str, int]]:
        """What each contract's database holds and handed out, now (D9)."""
        return {code: database.books(self.coupon_ns) for code, database in self.databases.items()}
