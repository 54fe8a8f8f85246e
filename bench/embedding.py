"""1 million packets through the engine: bare kernels, the Python API, and the service, in turns.

    pktoll bench service [--rounds N] [--format json] [--quick]

The same packets in each: G-PDUs of SIMS SIMs that hold all that they will ever need, in batches of 1 000
and of 10 000, in time order. `kernels` calls resolve, meter and release of a warmed engine and nothing
else: the floor. `api` is `Engine.process`, `file` the same with a coupon database in a file. The service
has a process of its own, so that client and server have a core each where there are two: `ipc` and `tcp`
with IN_FLIGHT batches under way, `one by one` over ipc with each batch waited for, `curve` over TCP,
encrypted.
"""

import contextlib
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from engine import clock, config, jit, words
from engine.layout import PACKET, PACKET_GTP, PACKET_PORTS, V4_MAPPED, VERDICT, WORK, aligned_zeros
from engine.pool.store import open_store
from engine.runtime import Engine, store_options
from engine.runtime.coupons import NEVER_NS
from engine.subscribers import Book, Contract, Line

Rows = npt.NDArray[Any]
Process = Callable[[list[Rows]], int]
"""has batches processed; how many packets got a verdict that lets them out"""

SCHEMA = "pktoll.bench-service/1"
PACKETS = 1_000_000
BATCHES = (1_000, 10_000)
SIMS = 10_000
IN_FLIGHT = 4
START_NS = 1_383_602_400 * 10**9
STEP_NS = 1_000
BALANCE_BYTES = 1 << 46
SIZES = np.array([64, 64, 64, 64, 128, 576, 1080, 1400], dtype=np.int64)
"""bytes; 430 on average"""
UDP = 17
FIRST_TERMINAL = V4_MAPPED | 10 << 24
FIRST_SERVER = V4_MAPPED | 198 << 24 | 18 << 16


def book() -> Book:
    """SIMS lines with a TEID each way and more balance than they can use."""
    lines = (
        Line(
            code=f"l{n}",
            imsi=f"{440100000000000 + n}",
            balance_bytes=BALANCE_BYTES,
            addresses=(f"10.{n >> 16}.{n >> 8 & 255}.{n & 255}",),
            teid_up=2 * n + 1,
            teid_down=2 * n + 2,
        )
        for n in range(SIMS)
    )
    started = date(2013, 11, 1)
    contracts = (Contract(f"c{n.code}", "minimum-start", started, (n,), ()) for n in lines)
    return Book(tuple(contracts))


def engine(url: str | None) -> Engine:
    """An engine that knows the book, on the coupon database at `url` (None: in memory)."""
    settings = config.load(None)
    made = Engine(settings, open_store(url, store_options(settings)), allow_clock_leap=True)
    made.endpoints.intern(0, V4_MAPPED | 203 << 24 | 113 << 8 | 1)
    made.load(book(), START_NS)
    return made


class Traffic:
    """The packets, laid out anew for each round: later than all before, so that nothing waits."""

    def __init__(self, packets: int) -> None:
        random = np.random.Generator(np.random.PCG64(3))
        self.rows: Rows = np.zeros(packets, PACKET)
        sims = random.integers(0, SIMS, packets)
        down = random.integers(0, 2, packets)
        terminals, servers = (
            FIRST_TERMINAL + sims,
            FIRST_SERVER + random.integers(0, 1 << 16, packets),
        )
        self.rows["src_lo"] = np.where(down == 1, servers, terminals)
        self.rows["dst_lo"] = np.where(down == 1, terminals, servers)
        self.rows["teid"] = 2 * sims + 1 + down
        self.rows["length"] = SIZES[random.integers(0, len(SIZES), packets)]
        self.rows["flags"], self.rows["protocol"] = PACKET_GTP | PACKET_PORTS, UDP
        self.rows["src_port"] = self.rows["dst_port"] = 5_000
        self._offsets = STEP_NS * np.arange(1, packets + 1)

    def batches(self, size: int, base_ns: int) -> list[Rows]:
        """The packets from `base_ns` on, in batches."""
        self.rows["time_ns"] = base_ns + self._offsets
        return [self.rows[at : at + size] for at in range(0, len(self.rows), size)]

    @property
    def span_ns(self) -> int:
        """How long a round lasts for the packets."""
        return STEP_NS * (len(self.rows) + 1)


def let_out(verdicts: Rows) -> int:
    """Packets that got out; the rest would mean that the bench does not measure what it says."""
    return int(np.count_nonzero(verdicts["departure_ns"]))


def api(made: Engine) -> Process:
    """`Engine.process`, batch by batch."""
    return lambda batches: sum(let_out(made.process(batch)) for batch in batches)


def kernels(made: Engine) -> Process:
    """The three kernels of that engine on the same rows, and a new array for the verdicts."""
    from engine.datapath.meter import meter
    from engine.datapath.release import release
    from engine.datapath.resolve import resolve

    shard = made.shards.all[0]
    work = aligned_zeros(2 * max(BATCHES), WORK)
    control, sessions = made.control, made.sessions
    tables = sessions.tunnels, sessions.addresses, sessions.nets
    exempt = (*made.exempt.tables, made.fragments)
    settings = made.rates, made.profiles

    def one(batch: Rows) -> int:
        verdicts: Rows = np.empty(len(batch), VERDICT)
        control[words.CONTROL_NEXT] = control[words.CONTROL_WORK] = 0
        control[words.CONTROL_EXEMPT] = 0
        control[words.CONTROL_BOUNDARY_NS] = NEVER_NS
        resolve(batch, *tables, exempt, work, verdicts, control)
        count = int(control[words.CONTROL_WORK])
        shard.control[words.CONTROL_NEXT] = 0
        shard.control[words.CONTROL_WORK] = count
        meter(made.sims.rows, shard.sides.tables, settings, work[:count], shard.control)
        release(work, count, verdicts)
        return let_out(verdicts)

    return lambda batches: sum(map(one, batches))


@contextlib.contextmanager
def served(folder: Path, name: str, endpoint: str, keys: bool = False) -> Iterator[Any]:
    """A client of a server process of its own."""
    from engine.service import keys as curve
    from engine.service.client import Client

    ready = folder / f"{name}.json"
    own = None
    if keys:
        for who in ("server", "client"):
            curve.make(folder / who, who)
        own = curve.client_keys(folder / "client/client.key_secret", folder / "server/server.key")
    command = [sys.executable, "-m", "bench.embedding", "--serve", endpoint, str(ready)]
    process = subprocess.Popen([*command, str(folder) if keys else ""])
    try:
        while not ready.exists():
            if process.poll() is not None:
                raise SystemExit("bench: the server ended; what it says is above")
            time.sleep(0.05)
        with Client(json.loads(ready.read_text()), timeout_ms=60_000, keys=own) as client:
            yield client
    finally:
        process.terminate()
        process.wait()


def serve(endpoint: str, ready: str, keys: str) -> None:
    """The server process."""
    import signal

    from engine.service.keys import server_keys
    from engine.service.server import Options, Server

    folder = Path(keys)
    pair = server_keys(folder / "server/server.key_secret", folder / "client") if keys else None
    jit.warm()
    options = Options(requests_per_s=1_000_000, burst=1_000_000, keys=pair)
    with engine(None) as made, Server(made, endpoint, options) as server:
        signal.signal(signal.SIGTERM, lambda *_: server.stop())
        part = Path(ready).with_suffix(".part")
        part.write_text(json.dumps(server.endpoint))
        part.rename(ready)
        server.serve()


def over(client: Any, in_flight: int) -> Process:
    """Through the service, with so many batches under way."""
    return lambda batches: sum(map(let_out, client.process_many(batches, in_flight)))


def measure(packets: int, rounds: int) -> list[dict[str, Any]]:
    """Rows of ns per packet by way and batch size; every way in every round, in turning order."""
    jit.warm()
    traffic = Traffic(packets)
    with tempfile.TemporaryDirectory() as text, contextlib.ExitStack() as stack:
        folder = Path(text)
        in_memory = stack.enter_context(engine(None))
        floor = stack.enter_context(engine(None))
        in_file = stack.enter_context(engine(f"sqlite:///{folder}/c.db"))
        ipc = stack.enter_context(served(folder, "ipc", f"ipc://{folder}/s"))
        tcp = stack.enter_context(served(folder, "tcp", "tcp://127.0.0.1:*"))
        curve = stack.enter_context(served(folder, "curve", "tcp://127.0.0.1:*", keys=True))
        for made in (floor, in_memory, in_file):  # every session is open before the first round
            api(made)(traffic.batches(max(BATCHES), START_NS))
        ways: dict[str, Process] = {
            "kernels": kernels(floor),
            "api": api(in_memory),
            "file": api(in_file),
            "ipc": over(ipc, IN_FLIGHT),
            "tcp": over(tcp, IN_FLIGHT),
            "one by one": over(ipc, 1),
            "curve": over(curve, IN_FLIGHT),
        }
        return _turns(traffic, ways, rounds)


def _turns(traffic: Traffic, ways: dict[str, Process], rounds: int) -> list[dict[str, Any]]:
    took: dict[tuple[str, int], list[float]] = {(w, b): [] for b in BATCHES for w in ways}
    base_ns = START_NS
    for number in range(rounds + 1):
        for name, size in took if number % 2 else reversed(took):
            base_ns += traffic.span_ns
            batches = traffic.batches(size, base_ns)
            begin_ns = clock.elapsed_ns()
            out = ways[name](batches)
            spent_ns = clock.elapsed_ns() - begin_ns
            if out != len(traffic.rows):
                raise SystemExit(f"bench: {name}: {out} of {len(traffic.rows)} packets got out")
            if number:
                took[name, size].append(spent_ns / out)
    return [
        {"way": name, "batch": size, "ns_per_packet": [round(ns, 2) for ns in found]}
        for (name, size), found in took.items()
    ]


def print_table(rows: list[dict[str, Any]]) -> None:
    """A table for people."""
    floors = {r["batch"]: r["ns_per_packet"] for r in rows if r["way"] == "kernels"}
    heading = f"{'batch':>7}  {'way':10} {'ns/packet':>9} {'min':>7} {'max':>7} {'packets/s':>11}"
    print(f"{heading}  of the kernels' speed")
    for row in rows:
        ns = row["ns_per_packet"]
        median = statistics.median(ns)
        share = statistics.median(a / b for a, b in zip(floors[row["batch"]], ns, strict=True))
        line = f"{row['batch']:>7}  {row['way']:10} {median:9.1f} {min(ns):7.1f} {max(ns):7.1f}"
        print(f"{line} {1e9 / median:11,.0f}  {100 * share:.1f} %")


def as_json(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """One document with every round."""
    return {"schema": SCHEMA, "sims": SIMS, "rows": rows}


if __name__ == "__main__":
    serve(*sys.argv[2:5])
