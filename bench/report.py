"""What was measured, as one JSON document (`bench.schema.json`) and as a table for people."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from itertools import groupby
from typing import Any

from bench import programs, rounds
from bench.rounds import OURS, Row
from bench.run import Result

SCHEMA = "pktoll.bench/1"
SIZE_IS = {"meter": "sims", "exempt": "exempt_percent"}
"""what a row's `size` means; packets where nothing else is said"""
DOES = {one.name: one.does for one in programs.PROGRAMS} | {
    "count": "adds to two counters of a SIM's row; no limit, no quota",
    "srTCM": "DPDK's rte_meter, RFC 2697, with counters and a quota in a 64-byte row; one direction",
    "trTCM": "DPDK's rte_meter, RFC 2698, with counters and a quota in a 64-byte row; one direction",
    "file_read": "copies the file out of the page cache, 1 MB a read; looks at nothing",
    "pcap_read": "a loop over libpcap that only reads",
    "pcap_gtp": "libpcap, a look into GTP-U, packets and bytes per TEID in a hash",
    "pktoll, file": "its coupon database in a new SQLite file, every slice durable",
}


def does(name: str) -> str:
    """What a peer does and does not do, in one line; "" where nothing is said."""
    return DOES.get(name, DOES.get(name.partition("/")[0], ""))


def ours(row: Row, found: Sequence[Row], cores: int) -> Row | None:
    """Our row under the same heading on so many cores, or None."""
    of_us = (one for one in found if one.heading() == row.heading() and one.name == OURS)
    return next((one for one in of_us if one.cores == cores), None)


def _ratios(row: Row, found: Sequence[Row]) -> dict[str, dict[str, float]]:
    ratios = {}
    mine = ours(row, found, row.cores) or ours(row, found, 1)
    if row.name != OURS and mine is not None:
        ratios["times_as_fast"] = rounds.times_as_fast(mine, row)
        if min(*row.cpu_ns(), *mine.cpu_ns()) > 0:
            ratios["times_the_cpu"] = rounds.times_the_cpu(mine, row)
    both = ours(row, found, 2)
    alone = all(o.cores == 1 for o in found if (o.heading(), o.name) == (row.heading(), row.name))
    if row.name != OURS and both is not None and alone:
        ratios["times_as_fast_2_cores"] = rounds.times_as_fast(both, row)
    same = (o for o in found if (o.heading(), o.name, o.cores) == (row.heading(), row.name, 1))
    single = next(same, None)
    if row.cores > 1 and single is not None:
        ratios["times_one_core"] = rounds.times_as_fast(row, single)
    return ratios


def _entry(row: Row, found: Sequence[Row]) -> dict[str, Any]:
    entry: dict[str, Any] = {
        "section": row.section,
        "size": row.size,
        "size_is": SIZE_IS.get(row.section, "packets"),
        "cores": row.cores,
        "name": row.name,
        "ns_per_packet": rounds.summary(row.ns()),
        "rounds_ns": [round(ns, 3) for ns in row.ns()],
    }
    entry |= {key: value for key, value in (("choice", row.choice), ("sizes", row.sizes)) if value}
    if row.section == "programs":
        entry["cpu_ns_per_packet"] = rounds.summary(row.cpu_ns())
        entry["start_s"] = rounds.summary([one.start_s for one in row.rounds])
        entry["whole_s"] = rounds.summary([one.whole_s for one in row.rounds])
        entry["whole_cpu_s"] = rounds.summary([one.whole_cpu_s for one in row.rounds])
        entry["seen_packets"] = min(one.packets for one in row.rounds)
    if said := does(row.name):
        entry["does"] = said
    return entry | _ratios(row, found)


def as_json(found: Result) -> dict[str, Any]:
    """One document: what ran where, every round, and our ratio to each peer."""
    return {
        "schema": SCHEMA,
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": found.machine,
        "load": found.load,
        "rounds": found.options.rounds,
        "quick": found.options.quick,
        "rows": [_entry(row, found.rows) for row in found.rows],
        "apart": {name: one.document for name, one in found.apart.items()},
        "left_out": [one._asdict() for one in found.left_out],
    }


def _heading(entry: dict[str, Any]) -> str:
    kind = {"sims": "SIMs", "exempt_percent": "% exempt", "packets": "packets"}[entry["size_is"]]
    words = [f"{entry['section']}: {entry['size']:,} {kind}"]
    words += [entry[key] for key in ("choice", "sizes") if key in entry]
    return ", ".join(words)


def _spread(ratio: dict[str, float]) -> str:
    median, least, most = (_short(ratio[key]) for key in ("median", "min", "max"))
    return f"{median} ({least} to {most})"


def _short(value: float) -> str:
    return f"{value:.2f}" if value >= 0.1 else f"{value:.3f}"


SAYS = {
    "times_as_fast": "{}",
    "times_the_cpu": "CPU {}",
    "times_as_fast_2_cores": "on 2 cores {}",
    "times_one_core": "its one core x {}",
}


def _line(entry: dict[str, Any], verbose: bool) -> Iterator[str]:
    name = entry["name"] + (f", {entry['cores']} cores" if entry["cores"] > 1 else "")
    ns = entry["ns_per_packet"]
    line = f"  {name:22} {ns['median']:9.2f} {ns['min']:9.2f} {ns['max']:9.2f}"
    cpu = entry.get("cpu_ns_per_packet")
    line += f" {cpu['median']:9.2f}" if cpu else ""
    said = [text.format(_spread(entry[key])) for key, text in SAYS.items() if key in entry]
    yield f"{line}  {'; '.join(said)}".rstrip()
    if "start_s" in entry:
        start, whole, spent = (
            entry[key]["median"] for key in ("start_s", "whole_s", "whole_cpu_s")
        )
        run = f"starts in {start:.2f} s, ends after {whole:.2f} s with {spent:.2f} s of CPU"
        yield f"  {'':22} {run}; counted {entry['seen_packets']:,} packets"
    if verbose:
        yield f"  {'':22} rounds: {' '.join(f'{ns:.2f}' for ns in entry['rounds_ns'])}"


def table(document: dict[str, Any], verbose: bool = False) -> Iterator[str]:
    """Lines for people: ns per packet, and how many times as fast as each peer we are."""
    for heading, entries in groupby(document["rows"], _heading):
        cpu = " " * 7 + "CPU" if heading.startswith("programs") else ""
        columns = f" {'ns/packet':>9} {'min':>9} {'max':>9}{cpu}"
        yield f"{heading}"
        yield f"  {'':22}{columns}  pktoll is ... times as fast (range)"
        for entry in entries:
            yield from _line(entry, verbose)
        yield ""
    who = {e["name"].partition("/")[0]: e["does"] for e in document["rows"] if "does" in e}
    yield from (f"{name}: {said}" for name, said in who.items())
    if document["rows"]:
        before, after = document["load"][0], document["load"][-1]
        machine = document["machine"]
        yield (
            f"rounds in turns: {document['rounds']}; {machine['usable_cores']} cores of "
            f"{machine['cpu'] or machine['machine']}; load {before} before, {after} after"
        )
