"""Why one packet of a capture was charged, exempt, slow, delayed or dropped: the engine, stopped there."""

import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, cast

import numpy as np
import numpy.typing as npt

from engine import jit, verdict
from engine.errors import CaptureError, UsageError
from engine.layout import (
    DOWNLINK,
    PACKET_CUT,
    PACKET_FIRST,
    PACKET_FRAGMENT,
    PACKET_GTP,
    PACKET_SIGNALLING,
    PACKET_V6,
    VERDICT,
)
from engine.pool import private_copy
from engine.replay import reasons, setup
from engine.replay.learnt import Learner, Use
from engine.replay.options import Options
from engine.replay.strangers import no_user_traffic
from engine.runtime.views import Leg, SteppingEngine
from engine.signalling.sessions import Session
from engine.subscribers import Event
from engine.wire.addresses import format_address
from engine.wire.capture import Capture
from engine.wire.endpoints import Endpoints
from engine.wire.kept import Kept
from engine.wire.merge import merge_kept
from engine.wire.spool import Spool

SCHEMA = "pktoll.explain/1"
GOES_BACK = (
    "packets that are stamped earlier than one before them count as simultaneous with that one"
)

Rows = npt.NDArray[Any]
Document = dict[str, Any]


@dataclass(slots=True)
class Explanation:
    """The document of `--format json`, and what to tell beside it."""

    document: Document
    notices: list[str] = field(default_factory=list)


class _Unnumbered:
    """A capture beside the one that was asked about: its frames have no numbers of interest."""

    def __init__(self, capture: Capture) -> None:
        self.path = capture.path
        self._capture = capture

    def __iter__(self) -> Iterator[Rows]:
        for packets in self._capture:
            self._capture.kept["number"] = 0
            yield packets

    @property
    def kept(self) -> Rows:
        return self._capture.kept

    @property
    def data(self) -> npt.NDArray[np.uint8]:
        return self._capture.data


def explain(options: Options, number: int) -> Explanation:
    """Replay all up to frame `number` (from 1) of the first capture named, and say what became of it.

    What a coupon database holds is taken from a copy, and left as it is. Raises what a replay raises;
    UsageError where the capture has no such frame, CaptureError where it breaks off before it.
    """
    if number < 1:
        raise UsageError(f"--packet {number}: packets are numbered from 1")
    jit.warm()
    with (
        tempfile.TemporaryDirectory(prefix="pktoll-explain-") as folder,
        Spool(sorted(options.captures)) as spool,
    ):
        spool.rewind()
        private = replace(options, pool=private_copy(options.pool, folder), workers=1)
        found = _find(private, number)
        if found is not None:
            return found
        spool.rewind()
        path = options.captures[0]
        document = _head(path, number) | no_user_traffic(path, number)
    return Explanation(document)


def _head(path: str, number: int) -> Document:
    return {"schema": SCHEMA, "capture": {"file": path, "packet": number}}


def _find(options: Options, number: int) -> Explanation | None:
    """Go through the captures up to the frame; None if it is in there but no user traffic."""
    given = setup.load(options)
    endpoints = Endpoints()
    signals = setup.open_signals(options)
    captures = setup.open_captures(options, endpoints, given.settings, keep=True, signals=signals)
    target = next(capture for capture in captures if capture.path == options.captures[0])
    try:
        engine, known = setup.open_engine(options, given, endpoints, SteppingEngine)
        assert isinstance(engine, SteppingEngine)
        with engine:
            feed = setup.learner(engine, options, known, signals)
            hit = _advance(engine, (feed, known, given.events), captures, target, number)
            if hit is not None:
                notices = _notices(engine, options, known)
                if any(capture.time_regressions for capture in captures):
                    notices.append(GOES_BACK)
                return Explanation(_head(target.path, number) | hit, notices)
    finally:
        for capture in captures:
            capture.close()
    if target.frames >= number:
        return None
    if target.fault is not None:
        raise CaptureError(
            f"{target.fault}, {target.frames} packets; packet {number} is not among them"
        )
    frames = f"{target.frames} packets" if target.frames != 1 else "one packet"
    raise UsageError(f"--packet {number}: {target.path} has {frames}")


def _advance(
    engine: SteppingEngine,
    start: tuple[Learner, setup.Known, Sequence[Event]],
    captures: list[Capture],
    target: Capture,
    number: int,
) -> Document | None:
    """Bill everything before the frame and look at the frame; None where it is no user traffic.

    `start`: through what, who is known and what is to happen, from the first packet on.
    """
    feed, known, events = start
    begun = False
    streams = [c if c is target else cast(Capture, _Unnumbered(c)) for c in captures]
    for kept in merge_kept(streams):
        at = np.flatnonzero(kept.frames["number"] == number)
        if len(kept.packets) and not begun:
            setup.begin(engine, known, events, int(kept.packets["time_ns"][0]))
            begun = True
        if at.size:
            return _look(engine, feed, kept, kept.frames[int(at[0])])
        if int(kept.frames["number"].max()) > number:
            return None
        feed.account(kept.packets)
    return None


def _look(engine: SteppingEngine, feed: Learner, kept: Kept, frame: Any) -> Document | None:
    """What became of a frame of a batch whose packets are not billed yet; None of a control message."""
    about = {
        "time_ns": int(frame["time_ns"]),
        "link_type": int(frame["link"]),
        "captured_bytes": int(frame["held"]),
        "wire_bytes": int(frame["wire"]),
    }
    at = int(frame["packet"])
    if at < 0:
        code = int(frame["code"])
        step = reasons.dropped(code)
        return {"packet": about, **_verdict(code), "legs": [], "steps": [step]}
    if int(kept.packets[at]["flags"]) & PACKET_SIGNALLING:
        return None
    feed.account(kept.packets[:at])
    verdicts = np.zeros(1, dtype=VERDICT)
    engine.looking = True
    engine.account(kept.packets[at : at + 1], verdicts, flush=False)
    engine.looking = False
    packet = kept.packets[at]
    described = _packet(engine, packet)
    found = feed.of_packet(described["teid"], described["receiver"])
    described["session"] = None if found is None else _session(*found)
    document: Document = {"packet": about | described}
    if engine.legs:
        legs = [_leg(engine, packet, leg) for leg in engine.legs]
        return document | _verdict(reasons.code_of(engine.legs[0])) | {"legs": legs, "steps": []}
    code = int(verdicts["code"][0])
    text = "neither its source nor its destination is the address of a SIM"
    if found is not None and not found[1].billed:
        text = (
            f"its tunnel is the {found[1].tunnel.interface}'s of a session of {found[0].imsi} that is "
            "billed elsewhere on its way"
        )
    steps = [reasons.dropped(code) if code else reasons.step("N6", text)]
    return document | _verdict(code) | {"legs": [], "steps": steps}


def _session(session: Session, use: Use) -> Document:
    """The session that has the packet's tunnel, as its control messages said."""
    return {
        "imsi": session.imsi,
        "apn": session.apn,
        "rat_type": session.rat,
        "addresses": list(session.addresses),
        "interface": use.tunnel.interface,
        "billed": use.billed,
    }


def _verdict(code: int) -> Document:
    """`verdict`, and of a drop the reason's name in reports."""
    if code == verdict.NONE:
        return {"verdict": "no-user-traffic", "reason": None}
    if code > verdict.FORWARD_MAX:
        return {"verdict": "dropped", "reason": verdict.NAMES[code]}
    return {"verdict": verdict.NAMES[code], "reason": None}


def _packet(engine: SteppingEngine, packet: Any) -> Document:
    flags = int(packet["flags"])
    fragment = "later" if flags & PACKET_FRAGMENT else "first" if flags & PACKET_FIRST else "no"
    tunnel: Document = {"teid": None, "receiver": None}
    if flags & PACKET_GTP:
        halves = engine.endpoints.addresses()[int(packet["endpoint"])]
        tunnel = {"teid": int(packet["teid"]), "receiver": format_address(*halves)}
    return {
        "count": engine.settings.count,
        "length_bytes": int(packet["length"]),
        "ip_version": 6 if flags & PACKET_V6 else 4,
        "protocol": int(packet["protocol"]),
        "source": format_address(packet["src_hi"], packet["src_lo"]),
        "source_port": int(packet["src_port"]),
        "destination": format_address(packet["dst_hi"], packet["dst_lo"]),
        "destination_port": int(packet["dst_port"]),
        "fragment": fragment,
        "cut": bool(flags & PACKET_CUT),
        **tunnel,
    }


def _leg(engine: SteppingEngine, packet: Any, leg: Leg) -> Document:
    """What became of a packet at one of its SIMs."""
    line, code = leg.line, reasons.code_of(leg)
    size, charged = int(leg.asked["length"]), int(leg.told["length"])
    out = code <= verdict.FORWARD_MAX
    arrival_ns, departure_ns = int(leg.asked["time_ns"]), int(leg.told["time_ns"])
    return {
        "direction": "downlink" if leg.direction == DOWNLINK else "uplink",
        "line": line.code,
        "iccid": line.iccid,
        "imsi": line.imsi,
        "msisdn": line.msisdn,
        "contract": line.contract.code,
        "plan": line.contract.plan,
        **_verdict(code),
        "length_bytes": size,
        "charged_bytes": charged if out else 0,
        "free_bytes": size - charged if code == verdict.CHARGED else 0,
        "arrival_ns": arrival_ns,
        "departure_ns": departure_ns if out else None,
        "wait_ns": departure_ns - arrival_ns if out else None,
        "before": leg.before,
        "after": leg.after,
        "steps": reasons.steps_of(engine, packet, leg),
    }


def _notices(engine: SteppingEngine, options: Options, known: setup.Known) -> list[str]:
    notices = []
    if known.nobody and not options.ue_nets:
        nets = ", ".join(engine.settings.ue_nets)
        notices.append(
            f"neither --subscribers nor --ue-net was given: addresses in {nets} are SIMs"
        )
    if options.pool is not None:
        notices.append(
            "billed on a copy of the coupon database as it is now; nothing in it was changed"
        )
    return notices
