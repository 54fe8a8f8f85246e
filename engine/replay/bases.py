"""The same captures billed on each byte basis (U3), side by side."""

from dataclasses import dataclass, field, replace
from typing import Any

from engine.errors import UsageError
from engine.replay.options import Options
from engine.replay.run import Report, run
from engine.wire.basis import BASES
from engine.wire.spool import Spool

SCHEMA = "pktoll.bases/1"

RATIO_SCALE = 1_000_000
CLASSES = ("charged_bytes", "slow_bytes", "exempt_bytes", "free_bytes", "dropped_bytes")
FIGURES = ("packets", "bytes", *CLASSES, "grants", "granted_bytes")
"""whole numbers of one basis, of all SIMs together or of one"""
NAMES = ("iccid", "imsi", "msisdn", "contract", "address")

Document = dict[str, Any]


@dataclass(slots=True)
class Comparison:
    """The document of `--format json`, what to tell beside it, and the exit status, as of a replay."""

    document: Document
    notices: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    exit_status: int = 0


def compare(options: Options, *, sims: bool = False) -> Comparison:
    """Replay the captures once for each basis, each time with a coupon database of its own in memory.

    `sims`: the figures of every SIM too. Raises what a replay raises, and UsageError where the options
    name a coupon database, which four replays would each take slices from.
    """
    if options.pool is not None:
        raise UsageError("bases: each basis is billed in memory; a coupon database cannot be named")
    reports: dict[str, Report] = {}
    with Spool(sorted(options.captures)) as spool:
        for basis in BASES:
            spool.rewind()
            reports[basis] = run(replace(options, count=basis))  # type: ignore[arg-type]
    first = reports["inner-ip"]
    document = _document({basis: report.document for basis, report in reports.items()}, sims)
    told = (first.notices, first.warnings, first.faults, first.exit_status)
    return Comparison(document, *told)


def _document(documents: dict[str, Document], sims: bool) -> Document:
    first = documents["inner-ip"]
    totals = {basis: _of_all(document["totals"]) for basis, document in documents.items()}
    document = {"schema": SCHEMA, "capture": first["capture"], "bases": _side_by_side(totals)}
    if sims:
        of_sim = zip(*(document["sims"] for document in documents.values()), strict=True)
        document["sims"] = [
            {
                **{name: found[0][name] for name in NAMES},
                "bases": _side_by_side(dict(zip(documents, map(_of_sim, found), strict=True))),
            }
            for found in of_sim
        ]
    return document


def _of_all(totals: Document) -> dict[str, int]:
    return {name: totals["inner_bytes" if name == "bytes" else name] for name in FIGURES}


def _of_sim(sim: Document) -> dict[str, int]:
    up, down = sim["up"], sim["down"]
    ways = {name: up[name] + down[name] for name in ("packets", "inner_bytes", *CLASSES)}
    return _of_all({**ways, "grants": sim["grants"], "granted_bytes": sim["granted_bytes"]})


def _side_by_side(found: dict[str, dict[str, int]]) -> list[Document]:
    """The figures of every basis, and its bytes and charged bytes as a multiple of the inner packets'."""
    inner = found["inner-ip"]
    return [
        {
            "basis": basis,
            **figures,
            "ratio": ratio(figures["bytes"], inner["bytes"]),
            "charged_ratio": ratio(figures["charged_bytes"], inner["charged_bytes"]),
        }
        for basis, figures in found.items()
    ]


def ratio(part: int, whole: int) -> float | None:
    """The quotient to six decimals, rounded to nearest; None for a `whole` of 0."""
    if whole == 0:
        return None
    return (2 * part * RATIO_SCALE + whole) // (2 * whole) / RATIO_SCALE
