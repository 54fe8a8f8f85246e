"""The tables of `bench.accuracy` as Markdown, and how they get into a document."""

import re
from collections.abc import Iterable, Mapping, Sequence
from fractions import Fraction
from itertools import groupby

from bench.polling import GAP_NS, RATE_BPS, Polled
from bench.srtcm import Srtcm
from bench.streams import Cell, Found
from bench.tc import Measured
from bench.windows import BIT_NS_PER_BYTE

MARKED = re.compile(
    r"(?P<begin><!-- begin (?P<name>\w+): [^>]*-->\n).*?(?P<end><!-- end (?P=name) -->\n)", re.S
)
OURS_HEAD = (
    "rate",
    "packet, bytes",
    "error of the rate, ppm",
    "departure off by, ns",
    "window excess, bytes",
    "free in the fullest window, bytes",
    "smallest spacing, ns",
    "longest delay, ms",
    "99 %: lost, delay",
    "200 %: lost",
)


def laid_into(text: str, tables: Mapping[str, str]) -> str:
    """The document with each of these tables between its markers. ValueError where a marker is missing."""
    names = [match["name"] for match in MARKED.finditer(text)]
    if lacking := set(tables) - set(names):
        raise ValueError(f"the document has no marker for: {', '.join(sorted(lacking))}")

    def lay(match: re.Match[str]) -> str:
        name = match["name"]
        return f"{match['begin']}{tables[name]}\n{match['end']}" if name in tables else match[0]

    return MARKED.sub(lay, text)


def rate_name(rate_bps: int) -> str:
    """112500000 as "112.5 Mbit/s"."""
    for unit, name in ((10**9, "Gbit/s"), (10**6, "Mbit/s"), (10**3, "kbit/s")):
        if rate_bps >= unit:
            return f"{rate_bps / unit:g} {name}"
    return f"{rate_bps} bit/s"


def decimal(value: Fraction | float, digits: int) -> str:
    """With at most so many digits, never in exponents; 0 only where it is 0."""
    if value == 0:
        return "0"
    text = f"{float(value):.{digits}f}".rstrip("0").rstrip(".")
    return text if float(text) else f"{'-' if value < 0 else ''}<{10.0**-digits:.{digits}f}"


def ppm(value: float) -> str:
    """With its sign and one digit; no sign where that shows nothing."""
    text = f"{value:+.1f}"
    return text if float(text) else "0.0"


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def ours(found: Iterable[Found]) -> str:
    """A row for each rate and size; its figures are the worst of all bursts and uptimes."""
    rows = []
    for (rate_bps, size), group in groupby(found, lambda one: (one.cell.rate_bps, one.cell.size)):
        rows.append(_row(rate_bps, size, list(group)))
    return _table(OURS_HEAD, rows)


def _row(rate_bps: int, size: str, cells: Sequence[Found]) -> list[str]:
    lost = sum(one.lost for one in cells)
    offered = sum(one.offered for one in cells)
    off = max(one.off_half for one in cells)
    late = max(one.trickle_delay_ns for one in cells)
    return [
        rate_name(rate_bps),
        size,
        decimal(max((one.pace.error for one in cells), key=abs) * 10**6, 6),
        decimal(max(one.pace.deviation_ns for one in cells), 3),
        decimal(max(one.excess_bytes for one in cells), 6),
        decimal(-max(one.fullest.over_bytes for one in cells), 6),
        f"{min(one.pace.spacing_ns for one in cells)}",
        decimal(Fraction(max(one.delay_ns for one in cells), 10**6), 6),
        f"{max(one.trickle_lost for one in cells)}, {late} ns",
        f"{100 * lost / offered:.3f} %, {decimal(off, 2)} packets off half",
    ]


def edge_allowance(cell: Cell) -> Fraction:
    """Bytes by which a packet as large as the burst, or larger, may exceed (docs/accuracy.md)."""
    beyond = max(0, int(cell.size) - cell.burst_bytes)
    return beyond + Fraction(cell.rate_bps - 1, BIT_NS_PER_BYTE)


def edges(found: Iterable[Found]) -> str:
    """A row for each cell at the edge of the bound."""
    head = (
        "rate",
        "packet, bytes",
        "burst, bytes",
        "window excess, bytes",
        "less than, by the proof",
    )
    rows = []
    for one in found:
        cell = one.cell
        allowed = edge_allowance(cell) + Fraction(1, BIT_NS_PER_BYTE)
        excess = decimal(one.excess_bytes, 6)
        rows.append(
            [
                rate_name(cell.rate_bps),
                cell.size,
                str(cell.burst_bytes),
                excess,
                f"{float(allowed):.6f}",
            ]
        )
    return _table(head, rows)


def polled(found: Polled) -> str:
    """One row: the bucket that was looked at for hours."""
    head = ("rate", "a look every", "for", "looks", "let out, bytes", "burst + earned, bytes")
    row = (
        rate_name(RATE_BPS),
        f"{GAP_NS // 1000} us",
        f"{found.seconds} s",
        str(found.looks),
        str(found.out_bytes),
        str(found.earned_bytes),
    )
    return _table(head, [row])


def srtcm(found: Iterable[Srtcm]) -> str:
    """A row for each rate of DPDK's marker."""
    head = ("rate", "tokens", "error by rounding, ppm", "error seen, ppm", "window excess, bytes")
    rows = [
        [
            rate_name(one.rate_bps),
            f"{one.bytes} byte{'s' * (one.bytes > 1)} every {one.ticks} ns",
            ppm(one.rounding_ppm),
            ppm(one.seen_ppm),
            f"{decimal(max(0.0, one.over_bytes), 1)} in {one.seconds} s",
        ]
        for one in found
    ]
    return _table(head, rows)


def tc(found: Iterable[Measured]) -> str:
    """A row for each discipline, rate and size."""
    head = (
        "discipline",
        "rate",
        "packet, bytes",
        "rate of frames, bit/s",
        "error, ppm",
        "rate of IP, bit/s",
        "window excess, bytes",
        "smallest spacing, ns",
        "frames in s",
    )
    rows = [
        [
            one.link.discipline,
            rate_name(one.link.rate_bps),
            str(one.link.size_bytes),
            f"{one.frame_bps:.0f}",
            ppm(one.error_ppm),
            f"{one.ip_bps:.0f}",
            decimal(max(0.0, one.over_bytes), 1),
            str(one.spacing_ns),
            f"{one.frames} in {one.seconds:.1f}",
        ]
        for one in found
    ]
    return _table(head, rows)
