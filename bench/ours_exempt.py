"""The whole engine in memory, with exempt lists of any length: what a longer list costs each packet.

Batches of packets of 10 000 SIMs at high speed through `Engine.account` (resolve, classify, meter), without
reading or parsing. Packets that are not exempt go anywhere in the Internet, the listed prefixes' neighbours
included. The list with no entries is the floor.
"""

from collections.abc import Callable
from dataclasses import replace
from datetime import date
from typing import Any

import numpy as np
import numpy.typing as npt

from engine import clock, config, layout
from engine.config import Endpoint, Settings
from engine.pool.store import open_store
from engine.runtime import Engine
from engine.subscribers import Book, Contract, Line

Rows = npt.NDArray[Any]

SIMS = 10_000
BATCH_ROWS = 16_384
STEP_NS = 1_000
START_NS = 1_383_602_400 * 10**9
SIZES = np.array([64, 64, 64, 64, 128, 576, 1080, 1400], dtype=np.int64)
"""bytes; 430 on average"""
UDP, DNS_PORT, WEB_PORT = 17, 53, 443
FIRST = {False: 0xC6120000, True: 0x20010DB8 << 32}
"""198.18.0.0/15 (RFC 2544) and 2001:db8::/32 (RFC 3849): where lists and addresses are from"""
SPREAD = 1 << 17
"""addresses of 198.18.0.0/15, or as many /64 of 2001:db8::/32"""


def prefixes(count: int) -> tuple[str, ...]:
    """`count` single addresses spread evenly over both ranges, three in four of them IPv4."""
    random = np.random.Generator(np.random.PCG64(7))
    hosts = np.sort(random.choice(SPREAD, count, replace=False)).tolist()
    found = []
    for number, host in enumerate(hosts):
        if number % 4:
            octets = (FIRST[False] + host).to_bytes(4, "big")
            found.append(".".join(map(str, octets)) + "/32")
        else:
            found.append(f"2001:db8:{host >> 8:x}:{host & 255:x}::/64")
    return tuple(found)


def settings(entries: int) -> Settings:
    """The packaged settings with an exempt list of so many prefixes, for DNS."""
    made = config.load(None)
    endpoint = Endpoint("list", prefixes(entries), "udp", (DNS_PORT,)) if entries else None
    exempt = replace(made.exempt, endpoints=(endpoint,) if endpoint else ())
    return replace(made, exempt=exempt)


def engine(entries: int) -> Engine:
    """An engine that knows SIMS lines, each with as much balance as it will ever need."""
    lines = [
        Line(code=f"l{n}", addresses=(f"10.0.{n >> 8}.{n & 255}",), balance_bytes=1 << 40)
        for n in range(SIMS)
    ]
    contracts = [
        Contract(f"c{n}", "minimum-start", date(2013, 11, 1), (line,), ())
        for n, line in enumerate(lines)
    ]
    made = Engine(settings(entries), open_store(None))
    made.load(Book(tuple(contracts)), START_NS)
    return made


def batch(random: np.random.Generator, exempt_share: float) -> Rows:
    """Packets between random SIMs and random addresses, up and down.

    A share of them goes to entries of the list of 10 000, at the DNS port; of the others, one in sixteen
    to addresses around them, at another port.
    """
    rows = np.zeros(BATCH_ROWS, dtype=layout.PACKET)
    sims = random.integers(0, SIMS, BATCH_ROWS)
    near_lo = layout.V4_MAPPED | 0x0A000000 + sims
    far = random.integers(0x0B000000, 0xE0000000, BATCH_ROWS)
    around = random.random(BATCH_ROWS) < 1 / 16
    far[around] = FIRST[False] + random.integers(0, SPREAD, int(around.sum()))
    listed = random.random(BATCH_ROWS) < exempt_share
    entries = [p for p in prefixes(10_000) if ":" not in p]
    numbers = np.array([int.from_bytes(bytes(map(int, p[:-3].split("."))), "big") for p in entries])
    far[listed] = random.choice(numbers, int(listed.sum()))
    far_lo = layout.V4_MAPPED | far
    up = random.integers(0, 2, BATCH_ROWS) == 0
    rows["src_lo"] = np.where(up, near_lo, far_lo)
    rows["dst_lo"] = np.where(up, far_lo, near_lo)
    port = np.where(listed, DNS_PORT, WEB_PORT)
    rows["src_port"], rows["dst_port"] = np.where(up, 40_000, port), np.where(up, port, 40_000)
    rows["length"] = SIZES[random.integers(0, len(SIZES), BATCH_ROWS)]
    rows["protocol"], rows["flags"], rows["endpoint"] = UDP, layout.PACKET_PORTS, -1
    return rows


def prepare(entries: int, packets: int, exempt_share: float) -> Callable[[], float]:
    """A function that accounts for `packets` packets under a list of so many prefixes: ns per packet."""
    made = engine(entries)
    random = np.random.Generator(np.random.PCG64(3))
    batches = [batch(random, exempt_share) for _ in range(8)]
    now_ns = START_NS

    def one_round() -> float:
        nonlocal now_ns
        took_ns = 0
        done = 0
        while done < packets:
            rows = batches[done // BATCH_ROWS % len(batches)]
            rows["time_ns"] = now_ns + STEP_NS * np.arange(1, BATCH_ROWS + 1)
            now_ns += STEP_NS * BATCH_ROWS
            begin_ns = clock.elapsed_ns()
            made.account(rows)
            took_ns += clock.elapsed_ns() - begin_ns
            done += BATCH_ROWS
        return took_ns / done

    return one_round
