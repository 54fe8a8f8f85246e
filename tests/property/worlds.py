"""Plays a story with the real engine: any split, any number of shards, both ways in."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pytest

from engine import config, verdict
from engine.errors import UsageError
from engine.layout import PACKET, PACKET_FIRST, PACKET_FRAGMENT, PACKET_PORTS
from engine.pool.store import open_store
from engine.runtime import Engine
from engine.subscribers import (
    Attach,
    Book,
    Charge,
    Contract,
    Coupon,
    Detach,
    Line,
    ReloadExempt,
    Resume,
    Suspend,
    Switch,
)
from engine.subscribers import Event as EngineEvent
from engine.wire.addresses import parse_address
from tests.oracle.cases import Case, ContractSpec, Event, ExemptSpec, Outcome, Packet
from tests.oracle.limiter import Rate

PLAN = "story"
SERVER = "198.51.100.7"
EXEMPT = "192.0.2.{}".format
"""address of the server of a rating group"""
DNS, ODD = 53, 54
"""ports: what the list has, and what it has not"""
PIECES = {"whole": PACKET_PORTS, "first": PACKET_PORTS | PACKET_FIRST, "later": PACKET_FRAGMENT}


@dataclass(frozen=True)
class Way:
    """How a story reaches the engine.

    `split`: packets a batch. `scheduled`: all events are handed in before the first packet, instead
    of each being called for between two batches. `announced`: as with a database that outlives the process,
    use is announced step by step, and lines are opened with their sessions.
    """

    split: int = 1_000_000
    shards: int = 1
    scheduled: bool = False
    announced: bool = False


WHOLE = Way()


def play(case: Case, way: Way = WHOLE) -> Outcome:
    """What the engine makes of a story, in the twin's words."""
    store = open_store(None)
    store.lasting = way.announced
    leap = case.allow_leap
    with Engine(_settings(case), store, shards=way.shards, allow_clock_leap=leap) as engine:
        engine.load(_book(case), case.steps[0].at_ns)
        addresses = _addresses(case)
        rows: list[np.ndarray] = []
        if way.scheduled:
            engine.schedule(_event(s) for s in case.steps if isinstance(s, Event))
            packets = [step for step in case.steps if isinstance(step, Packet)]
            rows = _process(engine, packets, addresses, way.split)
        else:
            rows = _process_between_calls(engine, case, addresses, way.split)
        verdicts = [
            (verdict.NAMES[int(v["code"])], int(v["charged_bytes"]), int(v["departure_ns"]))
            for batch in rows
            for v in batch
        ]
        outcome = _outcome(case, engine, verdicts)
        faults = store.audit()
        assert faults == []
        return outcome


def _process_between_calls(
    engine: Engine, case: Case, addresses: dict[str, str], split: int
) -> list[np.ndarray]:
    rows: list[np.ndarray] = []
    waiting: list[Packet] = []
    for step in case.steps:
        if isinstance(step, Packet):
            waiting.append(step)
            continue
        rows += _process(engine, waiting, addresses, split)
        waiting = []
        _call(engine, step)
    return rows + _process(engine, waiting, addresses, split)


def _process(
    engine: Engine, packets: Sequence[Packet], addresses: dict[str, str], split: int
) -> list[np.ndarray]:
    batch = np.zeros(len(packets), dtype=PACKET)
    batch["endpoint"] = -1
    for row, packet in zip(batch, packets, strict=True):
        sim = parse_address(addresses[packet.line])
        far = parse_address(EXEMPT(packet.group + 1) if packet.exempt else SERVER)
        source, destination = (far, sim) if packet.direction else (sim, far)
        row["time_ns"] = packet.at_ns
        row["length"] = packet.size_bytes
        row["src_hi"], row["src_lo"] = source
        row["dst_hi"], row["dst_lo"] = destination
        row["protocol"] = 17
        row["flags"] = PIECES[packet.piece]
        row["fragment"] = packet.label
        if packet.piece != "later":
            row["src_port"] = row["dst_port"] = ODD if packet.odd_port else DNS
    return [engine.process(batch[k : k + split]) for k in range(0, len(batch), split)]


def _call(engine: Engine, step: Event) -> None:
    if step.do == "switch":
        engine.switch_coupon(step.line, on=step.on, at_ns=step.at_ns)
    elif step.do == "charge":
        engine.charge(step.contract, coupons=step.coupons, at_ns=step.at_ns)
    elif step.do == "attach":
        _attach(engine, step)
    elif step.exempt is not None:
        engine.set_exempt(_exempt(step.exempt), at_ns=step.at_ns)
    else:
        getattr(engine, step.do)(step.line, at_ns=step.at_ns)


def _attach(engine: Engine, step: Event) -> None:
    """Attach by call, which is refused in so many words for a suspended line, and only for that."""
    line = next(s for s in engine.snapshot()["sims"] if s["imsi"] == _imsi(step.line))
    if line["in_service"]:
        engine.attach(imsi=_imsi(step.line), at_ns=step.at_ns)
        return
    with pytest.raises(UsageError, match="suspended"):
        engine.attach(imsi=_imsi(step.line), at_ns=step.at_ns)


def _event(step: Event) -> EngineEvent:
    if step.do == "switch":
        return Switch(step.at_ns, step.line, step.on)
    if step.do == "charge":
        return Charge(step.at_ns, step.contract, step.coupons)
    if step.exempt is not None:
        return ReloadExempt(step.at_ns, "story.toml", _exempt(step.exempt))
    simple: dict[str, type[Suspend | Resume | Attach | Detach]] = {
        "suspend": Suspend,
        "resume": Resume,
        "attach": Attach,
        "detach": Detach,
    }
    return simple[step.do](step.at_ns, step.line)


def _imsi(code: str) -> str:
    return f"440100000000{ord(code[-1]):03d}"


def _addresses(case: Case) -> dict[str, str]:
    lines = [line.code for contract in case.contracts for line in contract.lines]
    return {code: f"10.1.0.{number}" for number, code in enumerate(lines, 1)}


def _settings(case: Case) -> config.Settings:
    high = case.high_up
    plan = config.Plan(
        name=PLAN,
        title=PLAN,
        sims_max=10,
        bundle_bytes=case.bundle_bytes,
        high_down_bps=case.high_down.bps,
        high_up_bps=high.bps,
        restriction_bytes=case.restriction_bytes,
    )
    default = config.load(None)
    return replace(
        default,
        first_slice=case.first_slice,  # type: ignore[arg-type]
        default_plan=PLAN,
        ue_nets=(),
        speed=config.Speed(
            config.Limit(high.burst_bytes, high.queue_bytes, high.queue_ms),
            _slow(case.slow),
            _slow(case.restricted),
        ),
        restriction=config.Restriction(case.restriction_enabled, case.effective),  # type: ignore[arg-type]
        exempt=_exempt(case.exempt),
        pool=replace(default.pool, watermark_bytes=65_536),
        plans=(plan,),
    )


def _exempt(spec: ExemptSpec) -> config.Exempt:
    endpoints = tuple(
        config.Endpoint(f"server {group}", (f"{EXEMPT(group + 1)}/32",), "udp", (DNS,), group)
        for group, _ in spec.groups
    )
    groups = tuple(
        config.RatingGroup(group, f"group {group}", cap) for group, cap in spec.groups if group
    )
    return config.Exempt(endpoints, spec.charge, spec.count, groups)


def _slow(rate: Rate) -> config.SlowLimit:
    return config.SlowLimit(rate.burst_bytes, rate.queue_bytes, rate.queue_ms, rate.bps)


def _book(case: Case) -> Book:
    addresses = _addresses(case)
    return Book(tuple(_contract(spec, addresses) for spec in case.contracts))


def _contract(spec: ContractSpec, addresses: dict[str, str]) -> Contract:
    lines = tuple(
        Line(
            code=line.code,
            imsi=_imsi(line.code),
            coupon=line.coupon_on,
            balance_bytes=line.balance_bytes,
            addresses=(addresses[line.code],),
            in_service=line.in_service,
        )
        for line in spec.lines
    )
    coupons = None
    if spec.coupons is not None:
        coupons = tuple(
            Coupon(c.kind, c.size_bytes, f"{c.year}-{c.month:02}")  # type: ignore[arg-type]
            for c in spec.coupons
        )
    return Contract(spec.code, PLAN, spec.started, lines, coupons)


def _outcome(case: Case, engine: Engine, verdicts: list[tuple[str, int, int]]) -> Outcome:
    snapshot = engine.snapshot()
    codes = [line.code for contract in case.contracts for line in contract.lines]
    names = ("up", "down", "grants", "granted_bytes", "balance_bytes")
    flags = ("coupon", "regulated", "in_service")
    lines = {
        code: {name: sim[name] for name in (*names, *flags)}
        | {"rating_groups": sorted(sim["rating_groups"], key=lambda rated: rated["rating_group"])}
        for code, sim in zip(codes, snapshot["sims"], strict=True)
    }
    books = ("credited_bytes", "in_database_bytes", "granted_bytes", "expired_bytes")
    contracts = {c["code"]: {name: c[name] for name in books} for c in snapshot["contracts"]}
    return Outcome(verdicts, lines, contracts)
