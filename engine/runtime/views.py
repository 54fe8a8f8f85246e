"""One SIM as the engine has it at an instant, as plain values: what `pktoll explain` shows.

Everything is taken from copies of the rows, which the engine's own functions bring up to the instant:
looking changes nothing.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from engine.accounting.bucket import held_credit, refill, refilled, wait_ns
from engine.accounting.marker import COMMITTED, OTHER, mark_at, settle
from engine.accounting.sims import slow_bytes_of
from engine.calendar import day_of
from engine.config import Exempt
from engine.jit import i8, i8s, kernel, rows
from engine.layout import (
    DOWNLINK,
    MARK_RATE,
    MARKER,
    MARKS_PER_SIDE,
    RATE,
    RATE_HIGH,
    RATE_RESTRICTED,
    RATE_SLOW,
    SHAPE,
    SIM,
    SIM_ATTACHED,
    SIM_BUCKET_SHIFT,
    SIM_COUPON_ON,
    SIM_DETACHED,
    SIM_IN_SERVICE,
    UPLINK,
    WORK_DOWNLINK,
)
from engine.runtime.engine import Engine
from engine.runtime.lines import LineState
from engine.runtime.shards import Job
from engine.units import CREDIT_PER_BYTE

Rows = npt.NDArray[Any]
View = dict[str, Any]

SPEEDS = {RATE_HIGH: "high", RATE_SLOW: "slow", RATE_RESTRICTED: "restricted"}
WAYS = {UPLINK: "up", DOWNLINK: "down"}

_CREDIT, _WAIT, _HELD, _EXEMPT_CREDIT, _EXEMPT_WAIT, _FIGURES = range(6)


@kernel(rows(SIM), rows(SHAPE), rows(RATE), i8, i8s)
def standing(sims, shapes, rates, now_ns, out):  # type: ignore[no-untyped-def]
    """Bring copies of a SIM's rows, SIM[1] and SHAPE[1], up to `now_ns` and say how its buckets stand.

    out: int64[2 * _FIGURES], uplink and downlink.
    """
    sim = sims[0]
    shape = shapes[0]
    high = np.int64(sim["profile"])
    base = high + 2 * (np.int64(sim["flags"]) >> SIM_BUCKET_SHIFT & 3)
    refill(sim, rates, base, now_ns)
    elapsed_ns = max(np.int64(0), now_ns - np.int64(shape["exempt_last_ns"]))
    for d in (UPLINK, DOWNLINK):
        rate = rates[base + d]
        exempt = refilled(np.int64(shape["exempt_credit"][d]), rates[high + d], elapsed_ns)
        credit = np.int64(sim["credit"][d])
        at = d * _FIGURES
        out[at + _CREDIT] = credit
        out[at + _WAIT] = wait_ns(credit, np.int64(rate["rate_bps"]))
        out[at + _HELD] = held_credit(sim, shape, rate, d, now_ns)
        out[at + _EXEMPT_CREDIT] = exempt
        out[at + _EXEMPT_WAIT] = wait_ns(exempt, np.int64(rates[high + d]["rate_bps"]))


@kernel(rows(MARKER), rows(MARK_RATE), i8, i8, i8)
def standing_tokens(marks, profiles, high, state, now_ns):  # type: ignore[no-untyped-def]
    """Bring copies of a SIM's MARKER rows up to `now_ns`; `high` is its uplink's row at high speed."""
    for d in (UPLINK, DOWNLINK):
        settle(marks[mark_at(0, 0, d)], profiles, high + 2 * state + d, now_ns)
        settle(marks[mark_at(0, 1, d)], profiles, high + d, now_ns)


@dataclass(slots=True)
class Leg:
    """One leg of a packet: its WORK row before and after metering, its line, and the SIM around it."""

    asked: Any
    told: Any
    line: LineState
    before: View
    after: View

    @property
    def direction(self) -> int:
        return int(self.asked["flags"]) & WORK_DOWNLINK


class SteppingEngine(Engine):
    """An engine that can be looked at: while `looking`, packets are metered leg by leg into `legs`.

    The figures are those of any engine, as they do not depend on how packets are batched. One shard only.
    """

    exempt_list: Exempt

    def __init__(self, *arguments: Any, **options: Any) -> None:
        self.looking = False
        self.legs: list[Leg] = []
        super().__init__(*arguments, **options)
        self.population.opens_early = False  # it is to be seen how a packet finds its SIM

    def _take_exempt(self, exempt: Exempt) -> None:
        super()._take_exempt(exempt)
        self.exempt_list = exempt

    def _meter(self, packets: Rows, work: Rows, job: Job) -> None:
        if not self.looking:
            super()._meter(packets, work, job)
            return
        for at in range(len(work)):
            piece = work[at : at + 1]
            line = self.book.lines[int(piece["row"][0])]
            asked, before = piece[0].copy(), view(self, line)
            super()._meter(packets, piece, job)
            self.legs.append(Leg(asked, piece[0].copy(), line, before, view(self, line)))


def view(engine: Engine, line: LineState) -> View:
    """The state of a line at the engine's time, with units in the names."""
    row = engine.sims.rows[line.row]
    flags = int(row["flags"])
    sides = engine.shards.all[line.contract.shard].sides
    figures = _buckets(engine, line)
    if engine.settings.limiter == "police":
        figures |= _tokens(engine, line)
    return {
        "in_service": bool(flags & SIM_IN_SERVICE),
        "session": _session(flags),
        "coupon": bool(flags & SIM_COUPON_ON),
        "balance_bytes": max(0, engine.quota.held_bytes(line)),
        "database_empty": line.contract.empty,
        "grants": line.grants,
        "granted_bytes": line.granted_bytes,
        "requests": line.requests,
        "plan": line.contract.plan,
        "speed": SPEEDS[flags >> SIM_BUCKET_SHIFT & 3],
        **figures,
        "restriction": _restriction(engine, line, sides.shape[int(row["side"])]),
        "rating_groups": _rated(engine, sides.rated_rows(row)),
    }


def _session(flags: int) -> str:
    if flags & SIM_ATTACHED:
        return "open"
    return "closed" if flags & SIM_DETACHED else "none"


def _copies(engine: Engine, line: LineState) -> tuple[Rows, Rows]:
    """SIM[1] and SHAPE[1]; where the SIM has no side row yet, one as it would be made: full."""
    sims = engine.sims.rows[line.row : line.row + 1].copy()
    side = int(sims["side"][0])
    shapes = engine.shards.all[line.contract.shard].sides.shape[side : side + 1].copy()
    if side == 0:
        high = int(sims["profile"][0])
        shapes["exempt_credit"][0] = engine.rates["cap_credit"][high : high + 2]
    return sims, shapes


def _buckets(engine: Engine, line: LineState) -> View:
    """Both directions' buckets, and those of exempt packets."""
    sims, shapes = _copies(engine, line)
    high = int(sims["profile"][0])
    base = high + 2 * (int(sims["flags"][0]) >> SIM_BUCKET_SHIFT & 3)
    out = np.zeros(2 * _FIGURES, dtype=np.int64)
    standing(sims, shapes, engine.rates, engine.now_ns, out)
    found: View = {}
    exempt: View = {}
    for d, way in WAYS.items():
        credit, wait, held, exempt_credit, exempt_wait = (
            int(value) for value in out[d * _FIGURES : (d + 1) * _FIGURES]
        )
        found[way] = {**_bucket(engine.rates[base + d], credit, wait), "held_bit_ns": held}
        exempt[way] = _bucket(engine.rates[high + d], exempt_credit, exempt_wait)
    return {**found, "exempt": exempt}


def _bucket(rate: Any, credit: int, wait: int) -> View:
    """A bucket in words; a credit below 0 is the queue: so many bytes, rounded up, and so long."""
    return {
        "rate_bps": int(rate["rate_bps"]),
        "burst_bytes": int(rate["cap_credit"]) // CREDIT_PER_BYTE,
        "credit_bit_ns": credit,
        "queue_bytes": max(0, -(credit // CREDIT_PER_BYTE)),
        "queue_ns": wait,
        "queue_max_bit_ns": int(rate["queue_credit"]),
    }


def _tokens(engine: Engine, line: LineState) -> View:
    """What a policer's buckets hold: those of the SIM's speed, and those of exempt packets."""
    row = engine.sims.rows[line.row]
    side = int(row["side"])
    marks = np.zeros(MARKS_PER_SIDE, dtype=MARKER)
    if side:
        held = engine.shards.all[line.contract.shard].sides.marks
        marks = held[mark_at(side, 0, UPLINK) : mark_at(side + 1, 0, UPLINK)].copy()
    state = int(row["flags"]) >> SIM_BUCKET_SHIFT & 3
    standing_tokens(marks, engine.profiles, int(row["profile"]), state, engine.now_ns)
    return {
        name: {way: _mark(marks[mark_at(0, exempt, d)]) for d, way in WAYS.items()}
        for exempt, name in enumerate(("tokens", "exempt_tokens"))
    }


def _mark(mark: Any) -> View:
    tokens = mark["tokens"]
    return {"committed_bytes": int(tokens[COMMITTED]), "other_bytes": int(tokens[OTHER])}


def _restriction(engine: Engine, line: LineState, shape: Any) -> View:
    """The 3-day window as of now (R1-R3)."""
    limit = int(engine.rates[line.contract.profile]["restriction_bytes"])
    window = int(slow_bytes_of(shape, day_of(engine.now_ns), engine.window_skip_days))
    return {
        "effective": engine.settings.restriction.effective,
        "limit_bytes": limit,
        "window_bytes": window,
        "in_force": 0 < limit < window,
    }


def _rated(engine: Engine, found: list[Any]) -> list[View]:
    """What the SIM has had as exempt, in each rating group that it used (X3)."""
    today = day_of(engine.now_ns)
    groups = engine.groups
    return [
        {
            "rating_group": groups.ids[int(row["group"])],
            "name": groups.names[int(row["group"])],
            "today_bytes": int(row["today_bytes"]) if int(row["day"]) == today else 0,
            "cap_bytes_per_day": groups.caps_bytes[int(row["group"])],
        }
        for row in found
    ]
