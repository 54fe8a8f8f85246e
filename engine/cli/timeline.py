"""Bytes per SIM over time, by what became of them, and as a small plot of characters."""

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from engine import Engine, config, subscribers, verdict
from engine.layout import DOWNLINK, UPLINK
from engine.pool.store import open_store
from engine.units import JST_OFFSET_NS, NS_PER_S
from engine.wire import MODE_GTP
from engine.wire.capture import Capture
from engine.wire.endpoints import Endpoints

if TYPE_CHECKING:
    from rich.console import Console

    from engine.subscribers import Line

BINS = 48
KINDS = (("high", "green"), ("slow", "yellow"), ("exempt", "cyan"), ("dropped", "red"))
_KIND_OF_CODE = {verdict.CHARGED: 0, verdict.SLOW: 1, verdict.EXEMPT: 2}
_DROPPED = 3
_BLOCKS = " ▁▂▃▄▅▆▇█"
_ASCII_BLOCKS = " .:-=+*%#"


@dataclass(frozen=True, slots=True)
class Timeline:
    """`bytes_by[line, kind, bin]`: bytes of IP, for lines with TEIDs; bins of equal length."""

    lines: "tuple[Line, ...]"
    start_ns: int
    end_ns: int
    bytes_by: npt.NDArray[np.int64]


def timeline(capture: str, book_path: str, events_path: str, span_ns: tuple[int, int]) -> Timeline:
    """Replay a capture of G-PDUs with the packaged configuration and keep what a report sums up.

    What lies before or after `span_ns` is put into the first or last bin. Raises ConfigError and
    CaptureError.
    """
    settings = config.load(None)
    book = subscribers.load(book_path, settings)
    events = subscribers.events.load(events_path)
    lines = tuple(line for contract in book.contracts for line in contract.lines)
    start_ns, end_ns = span_ns
    made = Timeline(lines, start_ns, end_ns, np.zeros((len(lines), len(KINDS), BINS), np.int64))
    endpoints = Endpoints()
    with Engine(settings, open_store(None), endpoints=endpoints) as engine:
        engine.load(book, start_ns)
        engine.schedule(events)
        packets = Capture(capture, endpoints, MODE_GTP)
        for batch in packets:
            _add(made, batch, engine.process(batch))
        packets.close()
    return made


def _add(made: Timeline, batch: npt.NDArray[Any], verdicts: npt.NDArray[Any]) -> None:
    """Count a batch, packet by packet, in its line's bin; packets of no line are left out."""
    owners = (
        [line.teid_up or 0 for line in made.lines],
        [line.teid_down or 0 for line in made.lines],
    )
    teids = np.array(owners[UPLINK] + owners[DOWNLINK], np.int64)
    order = np.argsort(teids)
    at = np.minimum(np.searchsorted(teids[order], batch["teid"]), len(teids) - 1)
    known = teids[order][at] == batch["teid"]
    line = (order[at] % len(made.lines))[known]
    kinds = np.full(verdict.CODES, _DROPPED)
    for code, kind in _KIND_OF_CODE.items():
        kinds[code] = kind
    passed_ns = batch["time_ns"][known] - made.start_ns
    bins = np.clip(passed_ns * BINS // (made.end_ns - made.start_ns), 0, BINS - 1)
    np.add.at(made.bytes_by, (line, kinds[verdicts["code"][known]], bins), batch["length"][known])


def plot(console: "Console", made: Timeline) -> None:
    """One row for each SIM and kind that occurred, all on one scale.

    Heights go with the square root, so that a page of news is seen beside a download.
    """
    largest = int(made.bytes_by.max(initial=1))
    blocks = _BLOCKS if console.encoding.startswith("utf") else _ASCII_BLOCKS
    each_s = (made.end_ns - made.start_ns) // BINS // NS_PER_S
    console.print(
        f"[bold]What became of each SIM's bytes[/] ({each_s} s a column, full height "
        f"{largest:,} bytes, square roots)",
        highlight=False,
    )
    for line, kinds in zip(made.lines, made.bytes_by, strict=True):
        name = line.msisdn or line.code
        for (kind, colour), values in zip(KINDS, kinds, strict=True):
            if values.any():
                bars = "".join(blocks[_level(int(value), largest)] for value in values)
                console.print(f"{name:>14} {kind:>8} [{colour}]{bars}[/]", highlight=False)
                name = ""
    console.print(f"{'':>23} {_hours(made)}", highlight=False)


def _level(value: int, largest: int) -> int:
    """0 for nothing, else 1 to 8: the square root, rounded up."""
    top = len(_BLOCKS) - 1
    return math.isqrt((top * top * value - 1) // largest) + 1 if value else 0


def _hours(made: Timeline) -> str:
    """The time of day (JST) under every twelfth bin."""
    labels = []
    for part in range(0, BINS, 12):
        at_ns = made.start_ns + (made.end_ns - made.start_ns) * part // BINS + JST_OFFSET_NS
        minutes = at_ns // (60 * NS_PER_S) % (24 * 60)
        labels.append(f"{minutes // 60:02d}:{minutes % 60:02d}".ljust(12))
    return "".join(labels).rstrip()
