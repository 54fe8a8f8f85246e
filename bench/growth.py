"""How cost grows: with packets, SIMs, contracts, exempt entries, cores, rare packets, sizes and batches.

    python -m bench.growth [SECTION ...] [--rounds N] [--json FILE] [--smoke]

packets   `pktoll replay` at 1, 10 and 100 million packets: time, CPU time and memory; --sims, --size,
          --held and --stream say of what. 100 million whole packets of 40 bytes are a file of 11 GB, of
          the mix one of 50; a stream needs no disk. --lines: who they are is known from a table.
sizes     `pktoll replay` of frames of one size
cores     `pktoll replay --workers`
sims      resolve and meter in memory, 1 thousand to 10 million SIMs
contracts, exempt, shares, batches, shards
          resolve and meter in memory: lines of a contract; entries of the exempt list; slow, refused and
          unknown packets; packets of a call; shards
start     the whole command on a small capture, kernel cache empty and full
memory    bytes of a SIM, by table and resident
ledger    contracts in the coupon database: entering, first slice, month's end, last report; bytes of a
          file; with --pool postgresql://… of an empty database there, too

Without a section: all but `packets`, which takes minutes and has to be asked for.
"""

import argparse
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from bench import growth_rows
from bench.growth_rows import Row

PACKETS = (1_000_000, 10_000_000, 100_000_000)
SMOKE_PACKETS = (50_000, 100_000)
SIMS = (1_000, 10_000, 100_000, 1_000_000, 10_000_000)
ROUND_PACKETS = 1 << 20


def packets(options: argparse.Namespace) -> Iterator[Row]:
    """Ever longer captures, then what grew from each to the next."""
    from bench.growth_packets import Source, growth, packets_row, warm_up

    warm_up()
    rows = []
    for sims in options.sims or (1_000,):
        for count in options.packets:
            source = Source(count, sims, options.size, options.held, options.stream, options.lines)
            rows.append(packets_row(source, options.rounds))
            yield rows[-1]
    yield from growth(rows)


def sizes(options: argparse.Namespace) -> Iterator[Row]:
    """Frames of one size each."""
    from bench.growth_packets import sizes_row, warm_up

    warm_up()
    count = SMOKE_PACKETS[0] if options.smoke else PACKETS[0]
    for size in (40, 1400) if options.smoke else (40, 64, 128, 256, 430, 576, 1080, 1400):
        yield sizes_row(size, count, options.rounds)


def cores(options: argparse.Namespace) -> Iterator[Row]:
    """Workers in turn."""
    from bench.growth_packets import cores_rows, warm_up

    warm_up()
    count = SMOKE_PACKETS[0] if options.smoke else 2 * PACKETS[0]
    for sims in options.sims or (1_000,):
        yield from cores_rows(count, sims, [1, 2], options.rounds)


def in_memory(options: argparse.Namespace, section: str) -> Iterator[Row]:
    """One of the sections that drive the engine in memory."""
    from bench import growth_engine as engine

    count = 1 << 15 if options.smoke else ROUND_PACKETS
    made: dict[str, Callable[[], list[Row]]] = {
        "sims": lambda: engine.sims_rows(
            options.sims or SIMS[: 2 if options.smoke else None], count, options.rounds
        ),
        "contracts": lambda: engine.contracts_rows((1, 3, 10), count, options.rounds),
        "exempt": lambda: engine.exempt_rows((0, 100, 10_000), count, options.rounds),
        "shares": lambda: engine.shares_rows((0, 1, 10, 50, 100), count, options.rounds),
        "batches": lambda: engine.batches_rows(
            (64, 256, 1_024, 4_096, 16_384, 65_536), count, options.rounds
        ),
        "shards": lambda: engine.shards_rows((1, 2), 10_000, count, options.rounds),
    }
    yield from made[section]()


def start(options: argparse.Namespace) -> Iterator[Row]:
    """Compiling takes long: three cold starts are enough."""
    from bench import growth_start

    yield from growth_start.rows(1 if options.smoke else 3, 1 if options.smoke else 9)


def memory(options: argparse.Namespace) -> Iterator[Row]:
    """The tables alone up to 10 million, lines as far as their setting up takes seconds."""
    from bench import growth_memory

    yield from growth_memory.rows("tables", [1_000] if options.smoke else [1_000_000, 10_000_000])
    for kind in ("slow",) if options.smoke else ("lines", "active", "slow"):
        yield from growth_memory.rows(kind, [1_000 if options.smoke else 100_000])


def ledger(options: argparse.Namespace) -> Iterator[Row]:
    """Contracts in a coupon database."""
    from bench import growth_ledger

    yield from growth_ledger.rows(500 if options.smoke else 50_000, options.pool)


IN_MEMORY = ("sims", "contracts", "exempt", "shares", "batches", "shards")
APART = {
    "packets": packets,
    "sizes": sizes,
    "cores": cores,
    "start": start,
    "memory": memory,
    "ledger": ledger,
}
SECTIONS = (*APART, *IN_MEMORY)


def _options(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="bench.growth",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("sections", nargs="*", metavar="SECTION")
    parser.add_argument("--rounds", type=int, default=5, help="that are kept (default 5)")
    parser.add_argument("--sims", type=int, nargs="+", help="for packets, cores and sims")
    parser.add_argument("--packets", type=int, nargs="+", default=list(PACKETS))
    parser.add_argument("--size", type=int, default=0, help="inner bytes; 0 (default): the mix")
    parser.add_argument("--held", type=int, help="captured bytes of a frame (default: all)")
    parser.add_argument("--lines", type=int, default=0, help="of a binary subscriber table")
    parser.add_argument("--stream", action="store_true", help="packets on standard input")
    parser.add_argument("--pool", metavar="URL", help="for ledger: PostgreSQL, too")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all rows there, too")
    parser.add_argument("--smoke", action="store_true", help="tiny: only shows that it runs")
    options = parser.parse_args(arguments)
    options.sections = options.sections or [name for name in SECTIONS if name != "packets"]
    if unknown := set(options.sections) - set(SECTIONS):
        parser.error(f"no section {', '.join(sorted(unknown))}; there are: {', '.join(SECTIONS)}")
    if options.smoke:
        options.rounds, options.packets = 1, list(SMOKE_PACKETS)
    return options


def main(arguments: list[str] | None = None) -> None:
    """The command line: each section is printed when it is done."""
    options = _options(arguments)
    found: list[Row] = []
    for section in options.sections:
        print(f"bench: {section} ...", file=sys.stderr)
        rows = APART[section](options) if section in APART else in_memory(options, section)
        part = []
        for row in rows:
            part.append(row)
            if section == "packets":  # minutes apart
                print(f"bench: {row.figures}", file=sys.stderr)
        print(growth_rows.table(part), flush=True)
        found += part
    if options.json is not None:
        options.json.write_text(growth_rows.document(found) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
