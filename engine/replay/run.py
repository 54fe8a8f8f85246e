"""One replay: read captures in time order, drive the engine, gather the report."""

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from engine import clock, config, jit, subscribers, verdict
from engine.config import Settings
from engine.errors import CaptureError, UsageError
from engine.layout import CONTROL_NOT_USER, CONTROL_TUNNELS_OVER
from engine.pool.store import CouponStore, open_store
from engine.replay.ahead import Ahead
from engine.replay.options import Options
from engine.runtime import Engine, store_options
from engine.subscribers import Book, Event, documents, views
from engine.subscribers.account import Account
from engine.wire import MODE_GTP, MODE_IP
from engine.wire.capture import Capture, merge, sniff
from engine.wire.endpoints import Endpoints
from engine.wire.source import STDIN

SCHEMA = "pktoll.replay/1"
GROUP_NS = 100_000_000
"""ns; how long a group of batches may last whose slices become durable with one fsync. A replay lets
nothing out before its report, so its batches need not wait for the disk one by one."""


@dataclass(slots=True)
class Report:
    """The document of `--format json`, what to tell the user beside it, and the exit status so far.

    `notices` are for information, `warnings` say that something that was asked for was not done.
    """

    document: dict[str, Any]
    notices: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    details: list[str] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    exit_status: int = 0


@dataclass(slots=True)
class _Known:
    """Who is known beforehand: from a subscriber file, or from the coupon database's contract book."""

    book: Book | None
    accounts: list[Account]

    @property
    def nobody(self) -> bool:
        return self.book is None and not self.accounts


@dataclass(slots=True)
class _Timing:
    read_ns: int = 0
    process_ns: int = 0
    compile_ns: int = 0


def run(options: Options) -> Report:
    """Replay the captures; raises ConfigError, PoolError, UsageError, LedgerError, or CaptureError
    where a capture cannot even be opened. A capture that breaks off is billed up to there and reported."""
    settings = config.load(options.config)
    book = subscribers.load(options.subscribers, settings) if options.subscribers else None
    events = subscribers.events.load(options.events, book) if options.events else []
    timing = _Timing(compile_ns=jit.warm())
    endpoints = Endpoints()
    captures = _open(options, endpoints, count_outer=settings.count == "outer-ip")
    try:
        engine, known = _engine(options, settings, endpoints, book)
    except BaseException:
        for capture in captures:
            capture.close()
        raise
    with engine:
        rows = _drive(engine, captures, known, events, options, timing)
        document = _document(engine, captures, rows, timing)
        if _stopped(options) and document["capture"]["truncated_at"] is None:
            document["capture"]["truncated_at"] = captures[0].offset
        engine.close()
    assumed = settings.ue_nets if known.nobody and not options.ue_nets else ()
    return _told(Report(document), engine, captures, options, assumed)


def _engine(
    options: Options, settings: Settings, endpoints: Endpoints, book: Book | None
) -> tuple[Engine, _Known]:
    """An engine on the coupon database, and who is known beforehand."""
    store = open_store(options.pool, store_options(settings, options.gateway))
    try:
        known = _Known(book, [] if book or options.ue_nets else stored_accounts(store))
        engine = Engine(
            settings,
            store,
            shards=options.workers,
            ue_nets=options.ue_nets or (settings.ue_nets if known.nobody else ()),
            allow_clock_leap=options.allow_clock_leap,
            endpoints=endpoints,
        )
    except BaseException:
        store.close(clean=True)
        raise
    return engine, known


def _stopped(options: Options) -> bool:
    return options.stop is not None and options.stop.wanted


def _open(options: Options, endpoints: Endpoints, *, count_outer: bool) -> list[Capture]:
    """Every capture, in the order of the paths, so that the order given cannot matter."""
    paths = sorted(options.captures)
    if paths.count(STDIN) > 1:
        raise UsageError("standard input ('-') is named twice, but can be read only once")
    modes = {"gtp": MODE_GTP, "ip": MODE_IP}
    mode = modes.get(options.encapsulation)
    if mode is None:
        seen = [sniff(path, options.stop) for path in paths]
        mode = MODE_GTP if MODE_GTP in seen else MODE_IP
    return [
        Capture(path, endpoints, mode, count_outer=count_outer, stop=options.stop) for path in paths
    ]


def _drive(
    engine: Engine,
    captures: list[Capture],
    known: _Known,
    events: list[Event],
    options: Options,
    timing: _Timing,
) -> int:
    """Feed every batch to the engine; returns how many packets there were."""
    rows = 0
    begun = False
    flushed_ns = clock.elapsed_ns()
    sizes = [capture.size_bytes for capture in captures]
    size_bytes = None if None in sizes else sum(size or 0 for size in sizes)
    ahead = Ahead(merge(captures)) if _cores() > 1 else None
    for batch in _timed(iter(ahead or merge(captures)), timing):
        begin_ns = clock.elapsed_ns()
        if not begun:
            _begin(engine, known, events, int(batch["time_ns"][0]))
            begun = True
        engine.account(batch, flush=False)
        # A stream may fall silent; what is handed out must not stay undecided (and locked) meanwhile.
        silent = size_bytes is None and (ahead is None or ahead.waits)
        if silent or begin_ns - flushed_ns >= GROUP_NS:
            engine.flush()
            flushed_ns = begin_ns
        rows += len(batch)
        timing.process_ns += clock.elapsed_ns() - begin_ns
        if options.progress is not None:
            options.progress(sum(c.consumed_bytes for c in captures), size_bytes)
    if not begun:
        _begin(engine, known, events, 0)
    return rows


def _cores() -> int:
    """Cores that this process may use; on a single one a second thread would only get in the way."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _begin(engine: Engine, known: _Known, events: list[Event], at_ns: int) -> None:
    book = known.book
    if known.accounts:
        book = views.to_book(known.accounts, at_ns, engine.settings)
    if book is not None:
        engine.load(book, at_ns)
    engine.schedule(events, known=book is not None)


def stored_accounts(store: CouponStore) -> list[Account]:
    """The contract book in a coupon database: all accounts."""
    return [documents.from_json(account.document) for account in store.accounts()]


def _timed(batches: Iterator[Any], timing: _Timing) -> Iterator[Any]:
    """The batches, with the time that it takes to get them."""
    while True:
        begin_ns = clock.elapsed_ns()
        batch = next(batches, None)
        timing.read_ns += clock.elapsed_ns() - begin_ns
        if batch is None:
            return
        yield batch


def _document(
    engine: Engine, captures: list[Capture], rows: int, timing: _Timing
) -> dict[str, Any]:
    figures = engine.snapshot()
    frames = sum(c.frames for c in captures)
    not_user = frames - rows + int(engine.control[CONTROL_NOT_USER])
    totals = figures["totals"]
    drops = figures["drops"]
    for code, name in verdict.NAMES.items():
        malformed = sum(int(c.malformed[code]) for c in captures)
        if malformed:
            entry = drops.setdefault(name, {"packets": 0, "bytes": 0})
            entry["packets"] += malformed
    return {
        "schema": SCHEMA,
        "capture": _capture(captures, frames),
        "totals": {
            **{k: v for k, v in totals.items() if not k.startswith("grant")},
            "not_user_traffic_packets": not_user,
            "grants": totals["grants"],
            "granted_bytes": totals["granted_bytes"],
        },
        "drops": drops,
        "sims": figures["sims"],
        "contracts": figures["contracts"],
        "tunnels": figures["tunnels"],
        "timing": _times(timing, frames),
    }


def _capture(captures: list[Capture], frames: int) -> dict[str, Any]:
    types = sorted({t for c in captures for t in c.link_types})
    firsts = [c.first_ns for c in captures if c.first_ns is not None]
    lasts = [c.last_ns for c in captures if c.last_ns is not None]
    cuts = [c.truncated_at for c in captures if c.truncated_at is not None]
    return {
        "files": [c.path for c in captures],
        "packets": frames,
        "bytes": sum(c.frame_bytes for c in captures),
        "link_type": types[0] if len(types) == 1 else types or None,
        "first_ns": min(firsts, default=None),
        "last_ns": max(lasts, default=None),
        "truncated_at": cuts[0] if cuts else None,
    }


def _times(timing: _Timing, frames: int) -> dict[str, float]:
    busy_ns = timing.read_ns + timing.process_ns
    return {
        "read_s": timing.read_ns / 1e9,
        "compile_s": timing.compile_ns / 1e9,
        "process_s": timing.process_ns / 1e9,
        "packets_per_s": frames * 1e9 / busy_ns if busy_ns else 0.0,
    }


def _told(
    report: Report,
    engine: Engine,
    captures: list[Capture],
    options: Options,
    assumed: tuple[str, ...],
) -> Report:
    """What a person should hear beside the figures: faults (they set the exit status) and notices."""
    if _stopped(options):
        report.faults.append(
            "stopped before the captures' end; what was read up to there is billed"
        )
    for capture in captures:
        if capture.fault is not None and not _stopped(options):
            report.faults.append(str(capture.fault))
        for link_type, frames in sorted(capture.unsupported.items()):
            report.faults.append(
                f"{capture.path}: {frames} frames have link type {link_type}, which pktoll does not read; "
                "they are not billed"
            )
    if report.faults:
        report.exit_status = CaptureError.exit_status
    notices, warnings = report.notices, report.warnings
    if assumed:
        notices.append(
            f"neither --subscribers nor --ue-net was given: addresses in {', '.join(assumed)} are SIMs"
        )
    if engine.settings.count == "outer-ip":
        notices.append(
            'bytes are those of the outer IP packets where there is a tunnel (count = "outer-ip")'
        )
    regressions = sum(c.time_regressions for c in captures)
    if regressions:
        notices.append(
            f"{regressions} packets are stamped earlier than one before them; they count as simultaneous"
        )
    cut = sum(c.cut_packets for c in captures)
    if cut:
        notices.append(
            f"{cut} packets are cut short in the capture; their IP headers gave the length"
        )
    if engine.calendar.held_leaps:
        warnings.append(
            "the capture's clock leaps ahead by more than a day across a month's end: no coupon was "
            "credited or expired for it (--allow-clock-leap to do so)"
        )
    if engine.pending_events:
        warnings.append(
            f"{engine.pending_events} events lie after the last packet and were not applied"
        )
    over = int(engine.control[CONTROL_TUNNELS_OVER])
    if over:
        warnings.append(f"{over} packets are in tunnels beyond those that are listed one by one")
    warnings.extend(f"refused: {refusal}" for refusal in engine.refusals)
    warnings.extend(engine.store.recovered)
    for kind in range(256):
        count = sum(int(c.messages[kind]) for c in captures)
        if count:
            report.details.append(f"GTP-U message type {kind}: {count}")
    for name, signatures, hits in jit.kernels():
        report.details.append(f"kernel {name}: {signatures} signature, {hits} from the cache")
    if "-" in options.captures and report.document["capture"]["packets"] == 0:
        notices.append("standard input held no packets")
    return report
