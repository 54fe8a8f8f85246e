"""Streams through the engine itself, one SIM for each: what its limiter does at a rate, size and burst.

A *flood* fills burst and queue at one instant, then comes at twice the rate; a *trickle* comes at 99 % of
it. Both begin at the end of the cell's uptime, with a bucket that was used once before. Every figure
follows from the cell alone: no clock is read, and nothing is drawn at random.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date
from fractions import Fraction
from itertools import cycle, groupby, islice
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from bench.windows import BIT_NS_PER_BYTE, Fullest, Pace, fullest, pace
from engine import config
from engine.config import Limit, Plan, Settings, SlowLimit, Speed
from engine.layout import PACKET
from engine.pool.store import open_store
from engine.runtime import Engine
from engine.subscribers import Book, Contract, Line
from engine.units import NS_PER_DAY, NS_PER_MS, NS_PER_S, NS_PER_US
from engine.verdict import FORWARD_MAX
from engine.wire.addresses import parse_address

Rows = npt.NDArray[Any]

KBIT, MBIT = 1_000, 1_000_000
RATES = (50 * KBIT, 64 * KBIT, 200 * KBIT, 37_500 * KBIT, 112_500 * KBIT, 1_000 * MBIT)
SLOW_MAX_BPS = 200 * KBIT
"""up to this rate a cell is of the slow state, above it of high speed"""
SIZES = ("40", "64", "576", "1400", "1500", "IMIX")
IMIX = (40, 576, 40, 40, 576, 40, 1500, 40, 576, 40, 576, 40)
"""bytes: 7 of 40, 4 of 576 and 1 of 1 500, 340 on average"""
BURSTS = (3_000, 15_000, 1_500_000)
UPTIMES = ("0", "1 day", "1 year", "polled")
UPTIME_NS = {"0": 0, "1 day": NS_PER_DAY, "1 year": 365 * NS_PER_DAY, "polled": 0}
POLL_NS = 30 * NS_PER_US
QUEUE_BYTES = 64_000
PACKETS = 1_000
"""packets that come at twice the rate, and at 99 % of it"""
START_NS = 1_383_577_200 * NS_PER_S
"""2013-11-05 00:00 JST"""
SERVER = "198.51.100.7"
PLAN = "accuracy"


class Cell(NamedTuple):
    """One cell of the table. `size` is a number of bytes, or "IMIX"."""

    rate_bps: int
    burst_bytes: int
    size: str
    uptime: str = "0"

    def sizes(self) -> Iterator[int]:
        """The sizes of its packets, without end."""
        return cycle(IMIX if self.size == "IMIX" else (int(self.size),))


@dataclass(frozen=True)
class Found:
    """What came of a cell.

    `lost`, `offered`: bytes of the flood after its first drop, which is when the queue was full;
    `trickle_lost` packets, `trickle_delay_ns` the longest wait of the stream at 99 %.
    """

    cell: Cell
    packets: int
    pace: Pace
    fullest: Fullest
    delay_ns: int
    lost: int
    offered: int
    trickle_fullest: Fullest
    trickle_lost: int
    trickle_delay_ns: int

    @property
    def off_half(self) -> Fraction:
        """How far the loss at twice the rate is from half, in packets of the largest size."""
        largest = max(islice(self.cell.sizes(), len(IMIX)))
        return abs(Fraction(self.lost) - Fraction(self.offered, 2)) / largest

    @property
    def excess_bytes(self) -> Fraction:
        """The largest of both streams."""
        return max(self.fullest.excess_bytes, self.trickle_fullest.excess_bytes)


def every_cell() -> list[Cell]:
    """All cells of the table, in the order of its rows."""
    return [
        Cell(rate, burst, size, uptime)
        for rate in RATES
        for size in SIZES
        for burst in BURSTS
        for uptime in UPTIMES
    ]


class Stream(NamedTuple):
    """Times of arrival and sizes; packets before `begin` are not of the stream proper."""

    times_ns: Rows
    sizes: Rows
    begin: int


def flood(cell: Cell) -> Stream:
    """What fills burst and queue, then `PACKETS` packets at exactly twice the rate."""
    start_ns, used = _start(cell)
    sizes, filled = [], 0
    source = cell.sizes()
    while filled <= cell.burst_bytes + QUEUE_BYTES:
        sizes.append(next(source))
        filled += sizes[-1]
    full = len(sizes)
    sizes += islice(source, PACKETS)
    sent = np.cumsum(sizes[full:])
    later = [int(bytes_) * BIT_NS_PER_BYTE // (2 * cell.rate_bps) for bytes_ in sent]
    times = [start_ns] * full + [start_ns + ns for ns in later]
    if cell.uptime == "polled":
        return _polled(cell, times, sizes)
    return _joined(used, times, sizes)


def trickle(cell: Cell) -> Stream:
    """`PACKETS` packets at 99 % of the rate, each as long after the one before as that one takes."""
    start_ns, used = _start(cell)
    sizes = list(islice(cell.sizes(), PACKETS))
    sent = np.cumsum([0, *sizes])[:-1]
    per_byte = 100 * BIT_NS_PER_BYTE
    later = [-(-int(bytes_) * per_byte // (99 * cell.rate_bps)) for bytes_ in sent]
    return _joined(used, [start_ns + ns for ns in later], sizes)


def _start(cell: Cell) -> tuple[int, list[tuple[int, int]]]:
    """When a cell's streams begin, and the packet before them, from which uptime counts."""
    start_ns = START_NS + UPTIME_NS[cell.uptime]
    return start_ns, [(START_NS, next(cell.sizes()))] if start_ns > START_NS else []


def _joined(used: list[tuple[int, int]], times: Sequence[int], sizes: Sequence[int]) -> Stream:
    before = list(zip(*used, strict=True)) or [(), ()]
    return Stream(np.array([*before[0], *times]), np.array([*before[1], *sizes]), len(used))


def _polled(cell: Cell, times: Sequence[int], sizes: Sequence[int]) -> Stream:
    """The stream with looks at the bucket in between: packets of 0 bytes, every 30 us or more often."""
    gap_ns = max(1, min(POLL_NS, (times[-1] - times[0]) // (8 * PACKETS)))
    polls = times[0] + gap_ns * np.arange(1, 8 * PACKETS + 1)
    all_times = np.concatenate([np.array(times), polls])
    order = np.argsort(all_times, kind="stable")
    all_sizes = np.concatenate([np.array(sizes), np.zeros(len(polls), dtype=np.int64)])
    return Stream(all_times[order], all_sizes[order], 0)


# --- through the engine -----------------------------------------------------------------------------


def settings(rate_bps: int, burst_bytes: int) -> Settings:
    """This rate and burst in the slow state and at high speed; no 3-day restriction."""
    queue_ms = min(60_000, ((1 << 62) - 1) // (rate_bps * NS_PER_MS))
    slow = SlowLimit(burst_bytes, QUEUE_BYTES, queue_ms, min(rate_bps, SLOW_MAX_BPS))
    high = Limit(burst_bytes, QUEUE_BYTES, queue_ms)
    base = config.load(None)
    plan = Plan(PLAN, PLAN, 1, 0, rate_bps, rate_bps, 0)
    return replace(
        base,
        default_plan=PLAN,
        plans=(plan,),
        speed=Speed(high, slow, slow),
        exempt=replace(base.exempt, endpoints=()),
    )


def play(rate_bps: int, burst_bytes: int, streams: Sequence[Stream]) -> list[Rows]:
    """Departures of every stream's packets, 0 where dropped: each on a SIM of its own, all at once."""
    high = rate_bps > SLOW_MAX_BPS
    engine = Engine(settings(rate_bps, burst_bytes), open_store(None), allow_clock_leap=True)
    engine.load(book(len(streams), high), START_NS)
    batch, owner = _batch(streams)
    verdicts = engine.process(batch)
    engine.close()
    out = np.where(verdicts["code"] <= FORWARD_MAX, verdicts["departure_ns"], 0)
    return [out[owner == number] for number in range(len(streams))]


def book(sims: int, high: bool) -> Book:
    """So many SIMs, each of a contract of its own: with a balance and its coupon on, or with neither."""
    contracts = []
    for number in range(sims):
        line = Line(
            f"hdo{number}",
            f"440100000{number:06}",
            coupon=high,
            balance_bytes=1 << 50 if high else 0,
            addresses=(_address(number),),
        )
        contracts.append(Contract(f"hdd{number}", PLAN, date(2013, 11, 1), (line,), ()))
    return Book(tuple(contracts))


def _address(number: int) -> str:
    return f"10.1.{number >> 8}.{number & 255}"


def packets(number: int, rows: Rows) -> Rows:
    """PACKET rows made packets to SIM `number`; their times and lengths are left alone."""
    rows["src_hi"], rows["src_lo"] = parse_address(SERVER)
    rows["dst_hi"], rows["dst_lo"] = parse_address(_address(number))
    rows["protocol"], rows["endpoint"] = 17, -1
    return rows


def _batch(streams: Sequence[Stream]) -> tuple[Rows, Rows]:
    """All streams as PACKET rows downlink, merged in time order, and the stream of each row."""
    parts, owners = [], []
    for number, stream in enumerate(streams):
        rows = packets(number, np.zeros(len(stream.times_ns), dtype=PACKET))
        rows["time_ns"], rows["length"] = stream.times_ns, stream.sizes
        parts.append(rows)
        owners.append(np.full(len(rows), number))
    batch, owner = np.concatenate(parts), np.concatenate(owners)
    order = np.argsort(batch["time_ns"], kind="stable")
    return batch[order], owner[order]


def measure(cells: Iterable[Cell]) -> list[Found]:
    """Every cell measured, in the order of `cells`."""
    wanted = list(cells)
    found: dict[Cell, Found] = {}
    for (rate_bps, burst_bytes), group in groupby(sorted(wanted), lambda cell: cell[:2]):
        these = list(group)
        streams = [stream for cell in these for stream in (flood(cell), trickle(cell))]
        out = play(rate_bps, burst_bytes, streams)
        for at, cell in enumerate(these):
            pair = slice(2 * at, 2 * at + 2)
            found[cell] = judge(cell, *zip(streams[pair], out[pair], strict=True))
    return [found[cell] for cell in wanted]


def judge(cell: Cell, flooded: tuple[Stream, Rows], trickled: tuple[Stream, Rows]) -> Found:
    """The figures of a cell from what left of its two streams."""
    times, sizes, out = _proper(*flooded)
    kept = out > 0
    waited = kept & (out > times)
    full = slice(int(np.argmin(kept)) + 1, None)
    slow_times, slow_sizes, slow_out = _proper(*trickled)
    through = slow_out > 0
    limit = cell.rate_bps, cell.burst_bytes
    return Found(
        cell,
        len(out) + len(slow_out),
        pace(out[waited].tolist(), sizes[waited].tolist(), cell.rate_bps),
        fullest(out[kept].tolist(), sizes[kept].tolist(), *limit),
        int((out - times)[kept].max()),
        int(sizes[full][~kept[full]].sum()),
        int(sizes[full].sum()),
        fullest(slow_out[through].tolist(), slow_sizes[through].tolist(), *limit),
        int((~through).sum()),
        int((slow_out - slow_times)[through].max()),
    )


def _proper(stream: Stream, out: Rows) -> tuple[Rows, Rows, Rows]:
    """Times, sizes and departures without what came before the stream, and without the polls."""
    mine = (np.arange(len(out)) >= stream.begin) & (stream.sizes > 0)
    return stream.times_ns[mine], stream.sizes[mine], out[mine]
