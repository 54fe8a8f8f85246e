"""How the engine in memory grows: with SIMs, lines of a contract, exempt entries, rare packets, batches.

Resolving and metering through `Engine.account`, without reading or parsing. Every figure is ns a packet;
what is compared takes turns.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from bench import growth_crowd, ours_exempt
from bench.growth_crowd import Accounted, batch, booked, crowd
from bench.growth_rows import Row, in_turn, spread
from engine.layout import CHARGED_SHIFT, SIM_COUPON_ON

Rows = npt.NDArray[Any]
Draw = Callable[[np.random.Generator, int], Rows]

SHARE_SIMS = 10_000
SLOW_STEP_NS = 4_000
"""10 000 SIMs that are all slow get 86 kbit/s each of packets of 430 bytes: some wait, none is dropped"""


def uniform(sims: int, tunnels: bool = False) -> Draw:
    """Packets of SIMs drawn uniformly."""

    def draw(random: np.random.Generator, count: int) -> Rows:
        return batch(random.integers(0, sims, count), random, tunnels=tunnels)

    return draw


def sims_rows(counts: Sequence[int], packets: int, rounds: int) -> list[Row]:
    """Ever more SIMs, found by TEID and inner address as in a capture of G-PDUs; one after the other."""
    found = []
    for sims in counts:
        engine = crowd(sims)
        one = Accounted(engine, uniform(sims, tunnels=True), packets)
        kept = in_turn({"": one}, rounds)[""]
        all_charged(engine, (rounds + 1) * packets)
        found.append(Row("sims", {"sims": sims, "ns": spread(kept)}))
        engine.close(clean=False)
    return found


def all_charged(engine: Any, packets: int) -> None:
    """The figures are of charged packets only if all were; SystemExit where they were not."""
    charged = int((engine.sims.rows["charged"] >> CHARGED_SHIFT).sum())
    if charged != packets:
        raise SystemExit(f"bench: {charged} of {packets} packets were charged, all should be")


def _compared(section: str, name: str, runners: dict[Any, Accounted], rounds: int) -> list[Row]:
    """Runners by the value of what differs, in turn; the first is what others are compared with."""
    kept = in_turn({str(value): one for value, one in runners.items()}, rounds)
    first = kept[str(next(iter(runners)))]
    rows = []
    for value in runners:
        mine = kept[str(value)]
        against = [100 * (b / a - 1) for a, b in zip(first, mine, strict=True)]
        figures = {name: value, "ns": spread(mine), "percent_more": spread(against)}
        rows.append(Row(section, figures))
    for one in runners.values():
        one.engine.close(clean=False)
    return rows


def contracts_rows(lines: Sequence[int], packets: int, rounds: int) -> list[Row]:
    """Lines that share a contract's coupon and take slices of it: 10 000 SIMs, fewer contracts."""
    runners = {
        count: Accounted(booked(SHARE_SIMS, count, balance_bytes=0), uniform(SHARE_SIMS), packets)
        for count in lines
    }
    return _compared("contracts", "lines_per_contract", runners, rounds)


def batches_rows(sizes: Sequence[int], packets: int, rounds: int) -> list[Row]:
    """The same packets, so many to a call."""
    largest = max(sizes)
    runners = {
        size: Accounted(booked(SHARE_SIMS), uniform(SHARE_SIMS), max(packets, largest), size)
        for size in sizes
    }
    return _compared("batches", "batch_packets", runners, rounds)


def shards_rows(counts: Sequence[int], sims: int, packets: int, rounds: int) -> list[Row]:
    """Shards in threads of their own, in memory; as many at a time as there are cores."""
    runners = {
        count: Accounted(booked(sims, shards=count), uniform(sims), packets) for count in counts
    }
    return _compared("shards", "shards", runners, rounds)


def exempt_rows(entries: Sequence[int], packets: int, rounds: int, percent: int = 0) -> list[Row]:
    """Exempt lists of so many prefixes; `percent` of the packets go to entries of the longest list."""
    runners = {count: ours_exempt.prepare(count, packets, percent / 100) for count in entries}
    kept = in_turn({str(count): one for count, one in runners.items()}, rounds)
    return [
        Row("exempt", {"entries": n, "exempt_percent": percent, "ns": spread(kept[str(n)])})
        for n in entries
    ]


def shares_rows(percents: Sequence[int], packets: int, rounds: int) -> list[Row]:
    """Slow packets, packets of a wrong source (dropped, N7), packets of nobody, among charged ones."""
    rows = []
    for kind in ("slow", "wrong source", "nobody"):
        runners = {
            percent: Accounted(
                _mixed_engine(kind), _mixed(kind, percent), packets, step_ns=SLOW_STEP_NS
            )
            for percent in percents
        }
        for row in _compared("shares", "percent", runners, rounds):
            rows.append(Row("shares", {"kind": kind, **row.figures}))
    return rows


def _mixed_engine(kind: str) -> Any:
    """SIMs 0 to 9 999 are charged; where packets are to be slow, as many more have their coupon off."""
    engine = booked(SHARE_SIMS * (2 if kind == "slow" else 1), tunnels=True)
    rows = engine.sims.rows[SHARE_SIMS : engine.sims.count]
    rows["flags"] &= ~np.uint16(SIM_COUPON_ON)
    return engine


def _mixed(kind: str, percent: int) -> Draw:
    """`percent` of the packets are of this kind."""

    def draw(random: np.random.Generator, count: int) -> Rows:
        sims = random.integers(0, SHARE_SIMS, count)
        odd = random.random(count) * 100 < percent
        if kind == "slow":
            return batch(sims + SHARE_SIMS * odd, random, tunnels=True)
        rows = batch(sims, random, tunnels=True)
        if kind == "nobody":
            rows["teid"][odd] = growth_crowd.FIRST_TEID + 2 * SHARE_SIMS + sims[odd] % 1_000
        else:
            for end in ("src_lo", "dst_lo"):
                mine = odd & (rows[end] != growth_crowd.SERVER_LO)
                rows[end][mine] += SHARE_SIMS
        return rows

    return draw
