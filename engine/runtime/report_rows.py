"""The report's rows of SIMs, made column by column: a SIM more costs a few microseconds."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from engine.accounting.sims import SideTables, slow_bytes_of
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
    for shard, places, rows in _by_shard(engine, lines):
        mine = [lines[at] for at in places], [balances[at] for at in places]
        for at, row in zip(places, _rows(engine, shard, rows, *mine), strict=True):
            found[at] = row
    return found


def _by_shard(
    engine: "Engine", lines: "Sequence[LineState]"
) -> Iterator[tuple[SideTables, list[int], Rows]]:
    """(its side tables, places in `lines`, SIM[n]) of the shards that have any of them."""
    rows = np.fromiter((line.row for line in lines), np.int64, len(lines))
    shards = engine.shards.of_row[rows]
    for number, shard in enumerate(engine.shards.all):
        places = np.flatnonzero(shards == number)
        if places.size:
            yield shard.sides, places.tolist(), engine.sims.rows[rows[places]]


def _rows(
    engine: "Engine", sides: SideTables, rows: Rows, lines: "list[LineState]", balances: list[int]
) -> list[dict[str, Any]]:
    """Rows of lines of one shard, whose SIM rows and balances these are."""
    flags = rows["flags"]
    rated = sides.shape["rated"][rows["side"]] > 0
    columns = zip(
        lines,
        _counted(sides.counters(rows, UPLINK)),
        _counted(sides.counters(rows, DOWNLINK)),
        balances,
        (flags & np.uint16(SIM_COUPON_ON) > 0).tolist(),
        _regulated(engine, sides.shape[rows["side"]], rows),
        (flags & np.uint16(SIM_IN_SERVICE) > 0).tolist(),
        [_rated(engine, sides.rated_rows(rows[at])) if has else [] for at, has in enumerate(rated)],
        strict=True,
    )
    return [
        {
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
            "balance_bytes": balance if balance > 0 else 0,
            "shown_balance_bytes": line.shown_bytes,
            "coupon": coupon,
            "regulated": regulated,
            "in_service": in_service,
            "rating_groups": groups,
        }
        for line, up, down, balance, coupon, regulated, in_service, groups in columns
    ]


def _counted(counters: dict[str, Rows]) -> list[dict[str, int]]:
    """Counters as the report has them, SIM by SIM. Spelt out: from names it would take twice as long."""
    return [
        {
            "packets": packets,
            "inner_bytes": inner_bytes,
            "charged_bytes": charged_bytes,
            "slow_bytes": slow_bytes,
            "exempt_bytes": exempt_bytes,
            "free_bytes": free_bytes,
            "dropped_packets": dropped_packets,
            "dropped_bytes": dropped_bytes,
            "delayed_packets": delayed_packets,
            "max_delay_ns": max_delay_ns,
        }
        for (
            packets,
            inner_bytes,
            charged_bytes,
            slow_bytes,
            exempt_bytes,
            free_bytes,
            dropped_packets,
            dropped_bytes,
            delayed_packets,
            max_delay_ns,
        ) in zip(*(column.tolist() for column in counters.values()), strict=True)
    ]


def counted_all(
    engine: "Engine", lines: "Sequence[LineState]", names: Sequence[str]
) -> dict[str, int]:
    """Some of the counters, of all these lines and both directions together."""
    totals = dict.fromkeys(names, 0)
    for sides, _, rows in _by_shard(engine, lines):
        for direction in (UPLINK, DOWNLINK):
            counters = sides.counters(rows, direction)
            for name in names:
                totals[name] += int(counters[name].sum())
    return totals


def _regulated(engine: "Engine", shapes: Rows, rows: Rows) -> list[bool]:
    """Whether the 3-day restriction is in force (R1); the lines' side rows and SIM rows."""
    limits = engine.rates["restriction_bytes"][rows["profile"]]
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
    found = np.zeros(len(lines), dtype=np.int64)
    for sides, places, rows in _by_shard(engine, lines):
        found[places] = sides.charged_bytes(rows, UPLINK) + sides.charged_bytes(rows, DOWNLINK)
    used: list[int] = found.tolist()
    return used
