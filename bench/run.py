"""The benchmarks: our code and its peers take turns; medians and ranges. `pktoll bench` calls this.

`meter`: the metering kernel beside programs in C (bench.metering). `exempt`: the engine in memory
with exempt lists of 0, 100 and 10 000 prefixes (the last is "pktoll"), by percent of exempt
packets. `replay`: a GTP-U capture in the page cache through `pktoll replay`, beside loops in C;
`programs`: beside whole programs (bench.replaying). `gen`: the capture of the busy cell, from
scenario file to last byte (bench.ours_gen). `grants`: slices a second that a coupon database hands
out (bench.grants). `service`, or `api`: packets through the kernels, the Python API and the ZeroMQ
service (bench.embedding). `live`: a gateway under load beside osmo-ggsn (bench.live).
"""

import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

from bench import built, capture, draw, machine, metering, places, programs, replaying, rounds
from bench.ours_meter import Case
from bench.rounds import BUILD, OURS, Round, Row, Runner
from engine.errors import UsageError

USUAL = ("meter", "exempt", "replay", "programs")
SECTIONS = (*USUAL, "gen", "grants", "service", "live")
SAME = {"api": "service"}
SIMS = (1_000, 100_000, 1_000_000, 10_000_000)
CORES = (1, 2)
ROUNDS = 7
EXEMPT_ENTRIES = (0, 100, 10_000)
EXEMPT_PERCENTS = (0, 1, 5, 50)
"""of the packets go to entries of the longest list"""
QUICK_SIMS, QUICK_PACKETS = (1_000, 100_000), 20_000

Say = Callable[[str], None]


@dataclass(frozen=True)
class Options:
    """What is measured, and how often; `packets` 0: as many as are usual."""

    sections: tuple[str, ...] = USUAL
    rounds: int = ROUNDS
    sims: tuple[int, ...] = SIMS
    choices: tuple[str, ...] = draw.CHOICES
    sizes: tuple[str, ...] = (draw.MIX,)
    cores: tuple[int, ...] = CORES
    packets: int = 0
    capture_sims: int = capture.SIMS
    pool: str | None = None
    quick: bool = False

    def counts(self) -> tuple[int, int]:
        """Rounds of whole programs that are kept, and not kept."""
        return self.rounds, 0 if self.quick else 1

    def checked(self) -> "Options":
        """With aliases resolved and `quick` applied. UsageError for what cannot be measured."""
        sections = tuple(dict.fromkeys(SAME.get(name, name) for name in self.sections)) or USUAL
        for what, given, known in (
            ("section", sections, SECTIONS),
            ("choice", self.choices, draw.CHOICES),
            ("number of cores", self.cores, CORES),
        ):
            if strange := [one for one in given if one not in known]:
                there = ", ".join(map(str, known))
                raise UsageError(f"no {what} {strange[0]}; there are: {there}")
        for size in self.sizes:
            try:
                draw.sizes_of(size)
            except ValueError as error:
                raise UsageError(f"sizes {error}") from None
        if min(self.sims) < 2 or 0 < self.packets <= programs.START_PACKETS:
            least = programs.START_PACKETS + 1
            raise UsageError(f"at least 2 SIMs, and {least} packets, are needed for a measurement")
        made = replace(self, sections=sections)
        if not self.quick:
            return made
        sims = self.sims if self.sims != SIMS else QUICK_SIMS
        return replace(made, rounds=1, sims=sims, packets=self.packets or QUICK_PACKETS)


class LeftOut(NamedTuple):
    """What was not measured."""

    what: str
    why: str


class Apart(NamedTuple):
    """A section with figures of another kind: its own document, and what prints it as a table."""

    document: dict[str, Any]
    show: Callable[[], None]


@dataclass
class Result:
    """All that was measured, and on what."""

    options: Options
    rows: list[Row] = field(default_factory=list)
    apart: dict[str, Apart] = field(default_factory=dict)
    left_out: list[LeftOut] = field(default_factory=list)
    machine: dict[str, object] = field(default_factory=machine.facts)
    load: list[float] = field(default_factory=lambda: [machine.load()])
    """processes that wanted to run, before and after"""


def run(options: Options, say: Say = lambda _: None) -> Result:
    """Measure; `say` is told what is at work. PktollError where something fails that should not."""
    options = options.checked()
    places.make(BUILD)
    found = Result(options)
    usable = places.usable_cores()
    ask = [n for n in options.cores if n == 1 or n <= len(usable)]
    if len(ask) < len(options.cores):
        found.left_out.append(LeftOut("2 cores", "this process may use one only"))
    for name in options.sections:
        for said in STEPS[name](found, usable, ask or [1]):
            say(said)
    found.load.append(machine.load())
    return found


Step = Callable[[Result, list[int], list[int]], Iterator[str]]
"""measures a section into a result; says what it is at before each part of it"""


def _build(found: Result, names: list[str]) -> None:
    lacking = built.build(names)
    found.left_out += [LeftOut(name, why) for name, why in lacking.items()]


def _meter(found: Result, usable: list[int], ask: list[int]) -> Iterator[str]:
    options = found.options
    yield "meter: building the programs in C"
    _build(found, list(metering.PEERS.values()))
    packets = min(metering.PACKETS, options.packets or metering.PACKETS)
    for sims in options.sims:
        for choice in options.choices:
            for sizes in options.sizes:
                yield f"meter: {sims} SIMs, {choice}, {sizes}"
                case = Case(sims, choice, sizes)
                found.rows += metering.measure(case, packets, options.rounds, usable, ask)


def _exempt(found: Result, usable: list[int], _: list[int]) -> Iterator[str]:
    from bench import ours_exempt

    packets = min(metering.PACKETS, found.options.packets or metering.PACKETS)
    for percent in EXEMPT_PERCENTS:
        yield f"exempt: {percent} % of the packets"
        with places.on_cores(usable[:1]):
            runners = {
                OURS if entries == EXEMPT_ENTRIES[-1] else f"{entries} entries": _one(
                    ours_exempt.prepare(entries, packets, percent / 100), packets
                )
                for entries in EXEMPT_ENTRIES
            }
            found.rows += rounds.take_turns("exempt", percent, runners, found.options.rounds)


def _one(one_round: Callable[[], float], packets: int) -> Runner:
    return lambda: Round(one_round(), packets)


def _replay(found: Result, usable: list[int], ask: list[int]) -> Iterator[str]:
    options = found.options
    yield "replay: building the programs in C"
    _build(found, list(replaying.PEERS))
    for sizes in options.sizes:
        packets = options.packets or replaying.packets_for(sizes)
        yield f"replay: {packets} packets, {sizes}"
        path = replaying.written(packets, options.capture_sims, sizes)
        found.rows += replaying.replay(path, packets, sizes, options.counts(), usable, ask)


def _programs(found: Result, usable: list[int], ask: list[int]) -> Iterator[str]:
    options = found.options
    for one in programs.PROGRAMS:
        if why := one.missing():
            found.left_out.append(LeftOut(one.name, why))
    for sizes in options.sizes:
        packets = options.packets or replaying.packets_for(sizes)
        yield f"programs: {packets} packets, {sizes}"
        found.rows += replaying.beside_programs(
            replaying.captures(packets, options.capture_sims, sizes),
            sizes,
            options.counts(),
            usable,
            ask,
        )


def _gen(found: Result, usable: list[int], _: list[int]) -> Iterator[str]:
    from bench import ours_gen

    yield "gen: the busy cell"
    cores = set(usable)
    found.rows += ours_gen.measure(found.options.packets or None, found.options.rounds, cores)


def _grants(found: Result, _: list[int], __: list[int]) -> Iterator[str]:
    from bench import grants

    yield "grants: slices from a coupon database"
    options = found.options
    rows = grants.gather(options.pool, options.rounds, options.quick)
    found.apart["grants"] = Apart(grants.as_json(rows), lambda: grants.print_table(rows))


def _service(found: Result, _: list[int], __: list[int]) -> Iterator[str]:
    from bench import embedding

    yield "service: kernels, Python API and ZeroMQ"
    options = found.options
    packets = min(embedding.PACKETS, options.packets or embedding.PACKETS)
    rows = embedding.measure(packets, max(2, options.rounds))
    found.apart["service"] = Apart(embedding.as_json(rows), lambda: embedding.print_table(rows))


def _live(found: Result, _: list[int], __: list[int]) -> Iterator[str]:
    from bench import live

    yield "live: gateways under load"
    rows = live.gather(found.options.rounds, found.options.quick)
    if isinstance(rows, str):
        found.left_out.append(LeftOut("live", rows))
    else:
        found.apart["live"] = Apart(live.as_json(rows), lambda: live.print_table(rows))


STEPS: dict[str, Step] = {
    "meter": _meter,
    "exempt": _exempt,
    "replay": _replay,
    "programs": _programs,
    "gen": _gen,
    "grants": _grants,
    "service": _service,
    "live": _live,
}


if __name__ == "__main__":
    from engine.cli.main import main

    os.environ.setdefault("PYTHONPATH", str(places.HERE.parent))
    main(["bench", *sys.argv[1:]])
