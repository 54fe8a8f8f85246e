"""One replay: read captures in time order, drive the engine, gather the report."""

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from engine import clock, jit, verdict
from engine.errors import CaptureError, UsageError
from engine.replay import followed
from engine.replay.ahead import DEPTH, DEPTH_KEPT, Ahead
from engine.replay.learnt import Learner
from engine.replay.options import Options
from engine.replay.pieces import Pieces
from engine.replay.setup import (
    Known,
    begin,
    learner,
    load,
    open_captures,
    open_engine,
    open_signals,
)
from engine.runtime import Engine
from engine.runtime.collector import keep, put_off
from engine.subscribers import Event
from engine.wire.capture import Capture
from engine.wire.endpoints import Endpoints
from engine.wire.merge import merge, merge_kept
from engine.words import CONTROL_NOT_USER, CONTROL_TUNNELS_OVER

if TYPE_CHECKING:
    from engine.replay.outputs import Outputs

SCHEMA = "pktoll.replay/1"
COUNTED = {
    "outer-ip": 'bytes are those of the outer IP packets where there is a tunnel (count = "outer-ip")',
    "frame": 'bytes are those of whole frames, link headers included (count = "frame")',
    "l4-payload": 'bytes are those behind TCP and UDP headers (count = "l4-payload")',
}
"""what to tell where bytes are not those of the packets that are charged"""
WORKERS_MAX = 64
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
class _Timing:
    read_ns: int = 0
    process_ns: int = 0
    compile_ns: int = 0


def run(options: Options) -> Report:
    """Replay the captures; raises ConfigError, PoolError, UsageError, LedgerError, or CaptureError
    where a capture cannot even be opened. A capture that breaks off is billed up to there and reported."""
    if options.workers is not None and not 1 <= options.workers <= WORKERS_MAX:
        raise UsageError(f"workers: {options.workers}; allowed: 1 to {WORKERS_MAX}")
    given = load(options)
    writes = options.shaped is not None or options.dropped is not None
    if writes:  # its kernels are compiled only where they are wanted
        from engine.replay.outputs import open_outputs
    timing = _Timing(compile_ns=jit.warm())
    endpoints = Endpoints()
    signals = open_signals(options)
    captures = open_captures(options, endpoints, given.settings, keep=writes, signals=signals)
    outputs: Outputs | None = None
    with contextlib.ExitStack() as opened:
        for capture in captures:
            opened.callback(capture.close)
        if writes:
            outputs = opened.enter_context(open_outputs(options, captures))
        engine, known = open_engine(options, given, endpoints)
        with engine:
            skip = None if outputs is None else outputs.pass_over
            feed = learner(engine, options, known, signals, skip=skip)
            rows = _drive(engine, captures, (feed, known, given.events), outputs, options, timing)
            with put_off():
                document = _document(engine, captures, (rows, followed.document(feed)), timing)
                if _stopped(options) and document["capture"]["truncated_at"] is None:
                    document["capture"]["truncated_at"] = captures[0].offset
                engine.close()
                keep()
        if outputs is not None:
            outputs.finish(captures)
    assumed = given.settings.ue_nets if known.nobody and not options.ue_nets else ()
    report = _told(Report(document), engine, captures, options, assumed)
    report.notices.extend(followed.notices(feed, engine, captures))
    report.warnings.extend(followed.warnings(feed))
    return report if outputs is None else _told_outputs(report, outputs)


def _stopped(options: Options) -> bool:
    return options.stop is not None and options.stop.wanted


def _drive(
    engine: Engine,
    captures: list[Capture],
    start: tuple[Learner, Known, Sequence[Event]],
    outputs: "Outputs | None",
    options: Options,
    timing: _Timing,
) -> int:
    """Feed every batch to the engine; returns how many packets there were.

    `start`: through what, who is known and what is to happen, from the first packet on.
    """
    feed, known, events = start
    if outputs is not None:
        outputs.attach(engine)
    rows = 0
    begun = False
    flushed_ns = clock.elapsed_ns()
    sizes = [capture.size_bytes for capture in captures]
    size_bytes = None if None in sizes else sum(size or 0 for size in sizes)
    batches, ahead = _read(captures, outputs is not None, options.workers)
    for batch in _timed(batches, timing):
        begin_ns = clock.elapsed_ns()
        packets = batch if outputs is None else outputs.begin(batch)
        if not begun and len(packets):
            begin(engine, known, events, int(packets["time_ns"][0]))
            begun = True
        rows += feed.account(packets)
        if outputs is not None:
            outputs.end()
        # A stream may fall silent; what is handed out must not stay undecided (and locked) meanwhile.
        silent = size_bytes is None and (ahead is None or ahead.waits)
        if silent or begin_ns - flushed_ns >= GROUP_NS:
            engine.flush()
            flushed_ns = begin_ns
        timing.process_ns += clock.elapsed_ns() - begin_ns
        if options.progress is not None:
            options.progress(sum(c.consumed_bytes for c in captures), size_bytes)
    if not begun:
        begin(engine, known, events, 0)
    feed.finish()
    return rows


def _read(
    captures: list[Capture], keep: bool, workers: int | None
) -> tuple[Iterator[Any], Ahead[Any] | None]:
    """All batches in time order: read by several threads, ahead by one, or in between, as it can be."""
    cores = jit.usable_cores()  # on a single one a second thread would only get in the way
    if len(captures) == 1 and cores > 1 and captures[0].divisible():
        return iter(Pieces(captures[0], workers or cores)), None
    batches: Iterator[Any] = merge_kept(captures) if keep else merge(captures)
    if cores == 1:
        return batches, None
    ahead = Ahead(batches, DEPTH_KEPT if keep else DEPTH)
    return iter(ahead), ahead


def _timed(batches: Iterator[Any], timing: _Timing) -> Iterator[Any]:
    """The batches, with the time that it takes to get them."""
    while True:
        begin_ns = clock.elapsed_ns()
        batch = next(batches, None)
        timing.read_ns += clock.elapsed_ns() - begin_ns
        if batch is None:
            return
        yield batch


def _told_outputs(report: Report, outputs: "Outputs") -> Report:
    """What a person should hear of the files of packets."""
    report.notices.extend(outputs.notices)
    report.warnings.extend(outputs.warnings)
    for fault in outputs.faults:
        report.faults.append(str(fault))
        report.exit_status = fault.exit_status
    return report


def _document(
    engine: Engine,
    captures: list[Capture],
    fed: tuple[int, list[dict[str, Any]]],
    timing: _Timing,
) -> dict[str, Any]:
    """The report; `fed`: how many packets there were, and the sessions that were followed."""
    rows, sessions = fed
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
        "rating_groups": figures["rating_groups"],
        "tunnels": figures["tunnels"],
        "sessions": sessions,
        **{name: figures[name] for name in ("sleeping_sims",) if name in figures},
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
    if engine.settings.count in COUNTED:
        notices.append(COUNTED[engine.settings.count])
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
