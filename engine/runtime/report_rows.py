"""The report's rows of SIMs, made column by column: a SIM more costs a few microseconds."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from engine.accounting.sims import slow_bytes_of
from engine.calendar import day_of
from engine.layout import DOWNLINK, SIM_COUPON_ON, SIM_IN_SERVICE, UPLINK

if TYPE_CHECKING:
    from engine.runtime.engine import Engine
    from engine.runtime.lines import LineState

Rows = npt.NDArray[Any]


def sim_rows(engine: "Engine", lines: "Sequence[LineState]") -> list[dict[str, Any]]:
    """The rows of the report of these lines, in their order."""
    found: list[dict[str, Any]] = [{}] * len(lines)
    balances = engine.quota.held_all(lines)
    for shard, places in _by_shard(engine, lines):
        mine = [lines[at] for at in places]
        for at, row in zip(places, _rows(engine, shard, mine), strict=True):
            found[at] = row
            row["balance_bytes"] = max(0, balances[at])
    return found


def _by_shard(engine: "Engine", lines: "Sequence[LineState]") -> Iterator[tuple[int, list[int]]]:
    """(shard, places in `lines`) of the shards that have any of them."""
    shards = np.array([line.contract.shard for line in lines], dtype=np.int64)
    for shard in range(len(engine.shards.all)):
        places = np.flatnonzero(shards == shard).tolist()
        if places:
            yield shard, places


def _rows(engine: "Engine", shard: int, lines: "list[LineState]") -> Iterator[dict[str, Any]]:
    """Rows of lines of one shard, but for their balances."""
    sides = engine.shards.all[shard].sides
    rows = engine.sims.rows[[line.row for line in lines]]
    columns = zip(
        lines,
        sides.counters(rows, UPLINK),
        sides.counters(rows, DOWNLINK),
        rows["flags"].tolist(),
        _regulated(engine, sides.shape[rows["side"]], lines),
        (sides.shape["rated"][rows["side"]] > 0).tolist(),
        strict=True,
    )
    for at, (line, up, down, flags, regulated, rated) in enumerate(columns):
        yield {
            "code": line.code,
            "iccid": line.iccid,
            "imsi": line.imsi,
            "msisdn": line.msisdn,
            "contract": line.contract.code,
            "address": line.address,
            "rat_type": line.rat,
            "up": up,
            "down": down,
            "grants": line.grants,
            "granted_bytes": line.granted_bytes,
            "balance_bytes": 0,
            "shown_balance_bytes": line.shown_bytes,
            "coupon": bool(flags & SIM_COUPON_ON),
            "regulated": regulated,
            "in_service": bool(flags & SIM_IN_SERVICE),
            "rating_groups": _rated(engine, sides.rated_rows(rows[at])) if rated else [],
        }


def _regulated(engine: "Engine", shapes: Rows, lines: "list[LineState]") -> list[bool]:
    """Whether the 3-day restriction is in force (R1); `shapes`: the lines' side rows."""
    limits = engine.rates["restriction_bytes"][[line.contract.profile for line in lines]]
    slow = slow_bytes_of(shapes, day_of(engine.now_ns), engine.window_skip_days)
    regulated: list[bool] = ((limits > 0) & (slow > limits)).tolist()
    return regulated


def _rated(engine: "Engine", rows: list[Any]) -> list[dict[str, Any]]:
    """What a SIM had as exempt (X3), by rating group."""
    return [
        {
            "rating_group": engine.groups.ids[int(rated["group"])],
            **{
                f"{way}_{unit}": int(rated[unit][direction])
                for way, direction in (("up", UPLINK), ("down", DOWNLINK))
                for unit in ("packets", "bytes")
            },
        }
        for rated in rows
        if rated["packets"].any()
    ]


def used_all(engine: "Engine", lines: "Sequence[LineState]") -> list[int]:
    """byte; charged to each of the lines, both directions."""
    found = [0] * len(lines)
    for shard, places in _by_shard(engine, lines):
        rows = engine.sims.rows[[lines[at].row for at in places]]
        sides = engine.shards.all[shard].sides
        charged = sides.charged_bytes(rows, UPLINK) + sides.charged_bytes(rows, DOWNLINK)
        for at, size in zip(places, charged.tolist(), strict=True):
            found[at] = size
    return found
