"""Engines in memory with any number of SIMs, and packets for them, drawn uniformly.

`crowd`: SIM rows, addresses and tunnels are laid straight into the tables, copies of those that one line of
a subscriber file gets; what the runtime keeps of each line in Python is left out. `booked`: lines of a
subscriber file, complete.
"""

from collections.abc import Callable
from dataclasses import replace
from datetime import date
from typing import Any

import numpy as np
import numpy.typing as npt

from engine import clock, config, layout
from engine.config import Plan, Settings
from engine.datapath.tables import free_addresses, free_tunnels, rehash_addresses, rehash_tunnels
from engine.datapath.tables import room as room_of
from engine.pool.store import open_store
from engine.runtime import Engine
from engine.subscribers import Book, Contract, Coupon, Line
from engine.words import CONTROL_TUNNELS

Rows = npt.NDArray[Any]

BATCH_ROWS = 16_384
START_NS = 1_383_602_400 * 10**9
"""2013-11-05 07:00 JST"""
STEP_NS = 1_000
SIZES = np.array([64, 64, 64, 64, 128, 576, 1080, 1400], dtype=np.int64)
"""bytes; 430 on average"""
FIRST_LO = layout.V4_MAPPED | 0x0A000000
FIRST_TEID = 0x10000
GATEWAY = "192.0.2.129"
SERVER_LO = layout.V4_MAPPED | 0xC6336407
PLAN = "growth"
MUCH_BYTES = 1 << 50
SLICE_BYTES = 10 << 20
STRIDE_BYTES = 6_481_001
"""prime, some 0.618 of a slice: what lines begin with is spread evenly"""


def settings(lines_per_contract: int = 1) -> Settings:
    """The packaged settings without an exempt list, and a plan for so many lines."""
    made = config.load(None)
    rate = made.plan(made.default_plan)
    plan = Plan(PLAN, PLAN, lines_per_contract, 0, rate.high_down_bps, rate.high_up_bps, 0)
    exempt = replace(made.exempt, endpoints=())
    return replace(made, plans=(*made.plans, plan), exempt=exempt)


def address(number: int) -> str:
    """SIM `number`'s, from 10.0.0.0 on."""
    value = 0x0A000000 + number
    return ".".join(str(value >> shift & 255) for shift in (24, 16, 8, 0))


def line(number: int, balance_bytes: int, tunnels: bool) -> Line:
    """SIM `number`, its coupon on."""
    teids = (FIRST_TEID + 2 * number, FIRST_TEID + 2 * number + 1) if tunnels else (None, None)
    return Line(
        code=f"l{number}",
        coupon=True,
        balance_bytes=balance_bytes,
        addresses=(address(number),),
        teid_up=teids[0],
        teid_down=teids[1],
        gateway=GATEWAY if tunnels else None,
    )


def booked(
    sims: int,
    lines_per_contract: int = 1,
    shards: int = 1,
    balance_bytes: int = MUCH_BYTES,
    tunnels: bool = False,
) -> Engine:
    """An engine that knows so many lines.

    With `balance_bytes` 0 they take slices of their contract's coupon, not all at once: each begins with
    another part of a slice.
    """
    lines = [
        line(number, balance_bytes or number * STRIDE_BYTES % SLICE_BYTES, tunnels)
        for number in range(sims)
    ]
    coupons = () if balance_bytes else (Coupon("bundle", MUCH_BYTES >> 10, "2013-12"),)
    contracts = [
        Contract(
            f"c{k}", PLAN, date(2013, 11, 1), tuple(lines[k : k + lines_per_contract]), coupons
        )
        for k in range(0, sims, lines_per_contract)
    ]
    made = Engine(settings(lines_per_contract), open_store(None), shards=shards)
    made.load(Book(tuple(contracts)), START_NS)
    return made


def crowd(sims: int, tunnels: bool = True) -> Engine:
    """An engine whose tables hold so many SIMs, all at high speed with a balance that does not end."""
    made = booked(1, tunnels=tunnels)
    made.account(batch(np.zeros(2, dtype=np.int64), tunnels=tunnels), None)  # opens the session
    rows = layout.aligned_zeros(sims, layout.SIM)
    rows[:] = made.sims.rows[0]
    rows["charged"] = 0
    made.sims.rows, made.sims.count = rows, sims
    made.sessions.addresses = _addresses(made.sessions.addresses, sims)
    if tunnels:
        made.sessions.tunnels = _tunnels(made.sessions.tunnels, sims, made.control)
    return made


def _power_of_two(count: int) -> int:
    """Rows of a table that has room for `count`."""
    size = 1024
    while room_of(size) < count:
        size *= 2
    return size


def _addresses(one: Rows, sims: int) -> Rows:
    rows = free_addresses(sims)
    rows[:] = one[one["row"] == 0][0]
    rows["lo"] = FIRST_LO + np.arange(sims)
    rows["row"] = np.arange(sims)
    table = free_addresses(_power_of_two(sims))
    rehash_addresses(rows, table)
    return table


def _tunnels(few: Rows, sims: int, control: Rows) -> Rows:
    """Each SIM's copies of the tunnels that SIM 0 has, at the gateway and at any receiver."""
    mine = few[few["key"] != -1]
    rows = free_tunnels(len(mine) * sims)
    for at, tunnel in enumerate(mine):
        part = rows[at * sims : (at + 1) * sims]
        part[:] = tunnel
        part["key"] += 2 * np.arange(sims)
        if int(tunnel["row"]) == 0:
            part["row"] = np.arange(sims)
    table = free_tunnels(_power_of_two(len(rows)))
    rehash_tunnels(rows, table, control)
    if int(control[CONTROL_TUNNELS]) != len(rows):
        raise SystemExit("bench: not all tunnels are in the table")
    return table


def batch(sims: Rows, random: np.random.Generator | None = None, *, tunnels: bool = False) -> Rows:
    """One PACKET row for each SIM number, up or down, of drawn sizes; times are left at the start."""
    random = random or np.random.Generator(np.random.PCG64(5))
    rows = np.zeros(len(sims), dtype=layout.PACKET)
    up = random.integers(0, 2, len(sims)) == 0
    near_lo = FIRST_LO + sims
    rows["src_lo"], rows["dst_lo"] = (
        np.where(up, near_lo, SERVER_LO),
        np.where(up, SERVER_LO, near_lo),
    )
    rows["time_ns"] = START_NS
    rows["length"] = SIZES[random.integers(0, len(SIZES), len(sims))]
    rows["protocol"], rows["endpoint"] = 17, -1
    rows["flags"] = layout.PACKET_PORTS
    rows["src_port"] = rows["dst_port"] = 40_000
    if tunnels:
        rows["flags"] |= layout.PACKET_GTP
        rows["teid"], rows["endpoint"] = FIRST_TEID + 2 * sims + ~up, 0
    return rows


class Accounted:
    """Rounds of packets through `Engine.account` (resolve, meter; no reading): ns a packet.

    `draw(random, count)` makes PACKET rows, outside of what is timed; a call is given `batch_rows` of them.
    """

    def __init__(
        self,
        engine: Engine,
        draw: Callable[[np.random.Generator, int], Rows],
        packets: int,
        batch_rows: int = BATCH_ROWS,
        step_ns: int = STEP_NS,
    ) -> None:
        self.engine, self._draw = engine, draw
        self._packets, self._batch_rows, self._step_ns = packets, batch_rows, step_ns
        self._random = np.random.Generator(np.random.PCG64(3))
        self._now_ns = START_NS

    def __call__(self) -> float:
        took_ns = done = 0
        while done < self._packets:
            rows = self._draw(self._random, max(BATCH_ROWS, self._batch_rows))
            rows["time_ns"] = self._now_ns + self._step_ns * np.arange(1, len(rows) + 1)
            self._now_ns += self._step_ns * len(rows)
            parts = [rows[k : k + self._batch_rows] for k in range(0, len(rows), self._batch_rows)]
            begin_ns = clock.elapsed_ns()
            for part in parts:
                self.engine.account(part)
            took_ns += clock.elapsed_ns() - begin_ns
            done += len(rows)
        return took_ns / done
