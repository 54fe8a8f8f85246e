"""The benchmarks: our code and its peers in C take turns on one core; medians and ranges.

    ./dev bench [meter] [exempt] [replay] [gen] [--rounds N] [--json] [--smoke]
    ./dev bench grants [--pool postgresql://…] [--rounds N] [--json] [--smoke]
    ./dev bench service | live [--rounds N] [--json] [--smoke]

`meter`: the metering kernel with the whole policy on beside DPDK's srTCM with counters and a quota,
SIMs drawn uniformly. `exempt`: the engine in memory with exempt lists of 0, 100 and 10 000 prefixes (the
last is "pktoll"), by percent of exempt packets. `replay`: a GTP-U capture in the page cache through
`pktoll replay`, beside a loop over libpcap that only reads, one that looks into GTP-U and counts per
TEID, and a bare copy of the file. `gen`: the capture of the busy cell, from scenario file to last byte
(see `bench.ours_gen`). `grants`: slices a second that a coupon database hands out (see
`bench.grants`). `service`: packets through the kernels, the Python API and the ZeroMQ service (see
`bench.embedding`). `live`: a gateway under load beside osmo-ggsn (see `bench.live`).
"""

import argparse
import importlib
import json
import os
import platform
import subprocess
import sys
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from bench import capture, grants, rounds
from bench.rounds import BUILD, Peer, Round, Row, Runner

SCHEMA = "pktoll.bench/1"
OURS = "pktoll"
SIMS = (1_000, 100_000, 1_000_000, 10_000_000)
METER_PACKETS = 1 << 20
EXEMPT_ENTRIES = (0, 100, 10_000)
EXEMPT_PERCENTS = (0, 1, 5, 50)
"""of the packets go to entries of the longest list"""
PEER_AHEAD = (16, 64)
"""packets between the peer's prefetch of a row and its use: a usual choice, and the best one found"""


def meter(sims: int, packets: int, count: int) -> list[Row]:
    """The metering kernel at `sims` SIMs; without its peer where that could not be built."""
    from bench import ours_meter

    ours = ours_meter.prepare(sims, packets)
    runners: dict[str, Runner] = {OURS: lambda: Round(ours(), packets)}
    with ExitStack() as stack:
        if Peer.built("meter_peer"):
            for ahead in PEER_AHEAD:
                peer = stack.enter_context(Peer("meter_peer", sims, packets, ahead))
                runners[f"srTCM/{ahead}"] = peer
        return rounds.take_turns("meter", sims, runners, count)


def replay(packets: int, count: int, cores: set[int]) -> list[Row]:
    """`pktoll replay` of a capture of `packets` G-PDUs; the capture is kept for the next time.

    Once on one core, as the peers run, and once on all of them: it reads ahead in a second thread. And once
    with a coupon database in a new file, every slice durable before the report.
    """
    from bench import ours_replay

    path = BUILD / f"gtp-{packets}.pcap"
    if not path.exists():
        part = path.with_suffix(".part")
        capture.write(part, packets)
        part.rename(path)
    runners: dict[str, Runner] = {
        OURS: lambda: ours_replay.replay(path, cores),
        f"{OURS}/1 core": lambda: ours_replay.replay(path, {min(cores)}),
        f"{OURS}/file": lambda: ours_replay.replay(path, cores, durable=True),
    }
    with ExitStack() as stack:
        for name in ("pcap_read", "pcap_gtp"):
            if Peer.built(name):
                runners[name] = stack.enter_context(Peer(name, path))
        if Peer.built("file_read"):
            runners["file_read"] = stack.enter_context(Peer("file_read", path, packets))
        found = rounds.take_turns("replay", packets, runners, count)
    _agree(found)
    return found


def exempt(packets: int, count: int) -> list[Row]:
    """The engine with exempt lists of no, 100 and 10 000 prefixes, at growing shares of exempt packets."""
    from bench import ours_exempt

    found = []
    for percent in EXEMPT_PERCENTS:
        rounds_of = {
            f"{entries} entries": ours_exempt.prepare(entries, packets, percent / 100)
            for entries in EXEMPT_ENTRIES
        }
        runners: dict[str, Runner] = {
            OURS if name == f"{EXEMPT_ENTRIES[-1]} entries" else name: _runner(one, packets)
            for name, one in rounds_of.items()
        }
        found += rounds.take_turns("exempt", percent, runners, count)
    return found


def _runner(one_round: Callable[[], float], packets: int) -> Runner:
    return lambda: Round(one_round(), packets)


def _agree(found: list[Row]) -> None:
    """Two programs that look into GTP-U must have seen the same packets and bytes."""
    seen = {row.name: row.rounds[0][1:] for row in found if row.name in (OURS, "pcap_gtp")}
    if len(set(seen.values())) > 1:
        raise SystemExit(f"bench: packets and inner bytes differ: {seen}")


def as_json(found: list[Row], core: int | None) -> dict[str, object]:
    """One document: what ran where, every round, and our ratio to each peer."""
    rows = []
    for row in found:
        ours = next(r for r in found if r[:2] == row[:2] and r.name == OURS)
        entry: dict[str, object] = {
            "section": row.section,
            "size": row.size,
            "name": row.name,
            "ns_per_packet": rounds.summary(row.ns()),
            "rounds_ns": [round(ns, 3) for ns in row.ns()],
        }
        if row.name != OURS:
            entry["times_as_fast"] = rounds.times_as_fast(ours, row)
        rows.append(entry)
    machine = {"machine": platform.machine(), "python": platform.python_version(), "core": core}
    return {"schema": SCHEMA, "machine": machine, "rows": rows}


def print_table(found: list[Row]) -> None:
    """A table for people: ns per packet, and how many times as fast as each peer we are."""
    heading = f"{'':7} {'size':>10}  {'':10} {'ns/packet':>9} {'min':>8} {'max':>8}  pktoll is"
    print(heading)
    for row in found:
        ns = rounds.summary(row.ns())
        line = f"{row.section:7} {row.size:>10}  {row.name:10}"
        line += f" {ns['median']:9.2f} {ns['min']:8.2f} {ns['max']:8.2f}"
        if row.name != OURS:
            ours = next(r for r in found if r[:2] == row[:2] and r.name == OURS)
            ratio = rounds.times_as_fast(ours, row)
            line += f"  {ratio['median']:.2f} times as fast"
            line += f" ({ratio['min']:.2f} to {ratio['max']:.2f})"
        print(line)


SECTIONS = ("meter", "exempt", "replay", "gen")
APART = {"grants": "bench.grants", "service": "bench.embedding", "live": "bench.live"}
"""sections that measure and print by themselves"""


def _options(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="bench", description="pktoll beside programs in C")
    parser.add_argument(
        "sections",
        nargs="*",
        help="meter, exempt, replay (all three without any), gen, grants, service, live",
    )
    parser.add_argument("--rounds", type=int, default=7, help="rounds that are kept (default 7)")
    parser.add_argument("--sims", type=int, nargs="+", default=list(SIMS), help="for meter")
    parser.add_argument("--packets", type=int, default=capture.PACKETS, help="for replay")
    parser.add_argument(
        "--pool", metavar="URL", help="for grants: a PostgreSQL database beside SQLite"
    )
    parser.add_argument("--json", action="store_true", help="one JSON document on standard output")
    parser.add_argument("--smoke", action="store_true", help="tiny: only shows that all of it runs")
    options = parser.parse_args(arguments)
    options.sections = options.sections or ["meter", "exempt", "replay"]
    if unknown := set(options.sections) - {*SECTIONS, *APART}:
        parser.error(
            f"no section {', '.join(sorted(unknown))}; there are: {', '.join((*SECTIONS, *APART))}"
        )
    return options


def main(arguments: list[str] | None = None) -> None:
    """The command line."""
    options = _options(arguments)
    meter_packets = METER_PACKETS
    if options.smoke:
        options.rounds, options.sims, options.packets = 2, [1_000, 100_000], 20_000
        meter_packets = 1 << 15
    BUILD.mkdir(exist_ok=True)
    if "grants" in options.sections:
        grants.main(options.pool, options.rounds, options.smoke, options.json)
    for name in ("service", "live"):
        if name in options.sections:
            module = importlib.import_module(APART[name])
            module.main(options.rounds, options.smoke, options.json)
    if not set(options.sections) - APART.keys():
        return
    subprocess.run([str(Path(__file__).with_name("build.sh"))], check=True)
    cores = os.sched_getaffinity(0)
    core = rounds.pin()
    found: list[Row] = []
    if "meter" in options.sections:
        for sims in options.sims:
            print(f"bench: meter, {sims} SIMs ...", file=sys.stderr)
            found += meter(sims, meter_packets, options.rounds)
    if "exempt" in options.sections:
        print("bench: exempt lists ...", file=sys.stderr)
        found += exempt(meter_packets, options.rounds)
    if "replay" in options.sections:
        print(f"bench: replay, {options.packets} packets ...", file=sys.stderr)
        found += replay(options.packets, options.rounds, cores)
    if "gen" in options.sections:
        from bench import ours_gen

        print("bench: gen ...", file=sys.stderr)
        packets_max = options.packets if options.smoke else None
        found += ours_gen.measure(packets_max, options.rounds, cores)
    if options.json:
        print(json.dumps(as_json(found, core), indent=2))
    else:
        print_table(found)


if __name__ == "__main__":
    main()
