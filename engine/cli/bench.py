"""`pktoll bench`: ours and theirs, side by side on this machine."""

import importlib
import json
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from engine.cli.main import printing
from engine.errors import PktollError, UsageError

if TYPE_CHECKING:
    from bench.run import Options, Result

SECTIONS = ("meter", "exempt", "replay", "programs", "gen", "grants", "service", "api", "live")
CHOICES = ("uniform", "zipf", "bursty")
ABSENT = (
    "the benchmarks are not part of this installation: install pktoll from its wheel, or call it in "
    "a checkout"
)


def _words(text: str | None) -> tuple[str, ...]:
    return tuple(filter(None, (text or "").replace(" ", "").split(",")))


def _numbers(
    _: click.Context, parameter: click.Parameter, text: str | None
) -> tuple[int, ...] | None:
    """1000,1_000_000 as numbers; None where the option was not given."""
    if text is None:
        return None
    try:
        return tuple(int(word) for word in _words(text))
    except ValueError:
        raise click.BadParameter(f"{text!r}: whole numbers with commas", param=parameter) from None


def _show_schema(ctx: click.Context, _: click.Parameter, wanted: bool) -> None:
    if wanted and not ctx.resilient_parsing:
        from importlib.resources import files

        _parts()
        click.echo(files("bench").joinpath("bench.schema.json").read_text("utf-8"), nl=False)
        ctx.exit()


def _parts() -> tuple[Any, Any]:
    """What runs the benchmarks, and what reports: they stand beside the engine, not in it."""
    try:
        importlib.import_module("bench")
    except ImportError:
        raise PktollError(ABSENT) from None
    return importlib.import_module("bench.run"), importlib.import_module("bench.report")


@click.command(
    "bench",
    epilog="""
    \b
    Examples:
      pktoll bench --quick                                 that all of it runs, in a minute
      pktoll bench meter --sims 1000,10000000 --choice zipf
      pktoll bench meter --sizes 40,1400 --cores 1
      pktoll bench replay programs --rounds 5 --format json > bench.json
      pktoll bench meter replay -o history.jsonl           a line more for each run
      pktoll bench grants --pool postgresql:///coupons
    """,
)
@click.argument("sections", nargs=-1, type=click.Choice(SECTIONS), metavar="[SECTION]...")
@click.option(
    "--rounds", type=click.IntRange(1, 1000), metavar="N", help="Rounds kept (default 7)."
)
@click.option(
    "--sims",
    callback=_numbers,
    metavar="N,N…",
    help="meter: SIMs in the table (default 1000,100000,1000000,10000000: the last takes 3 GB).",
)
@click.option(
    "--choice",
    "choices",
    multiple=True,
    type=click.Choice(CHOICES),
    help="meter: how SIMs are drawn, again for more. zipf: the k-th has a share of 1/k; bursty: runs of 16 "
    "packets on average (each ends with a chance of 1 in 16). Default: all three.",
)
@click.option(
    "--sizes",
    callback=lambda _, __, text: _words(text),
    metavar="S,S…",
    help="Inner sizes: mix (430 bytes on average, the default), or bytes from 40 to 1400.",
)
@click.option(
    "--cores",
    callback=_numbers,
    metavar="1,2",
    help="meter, replay, programs: ours on one core, on two, or both (the default).",
)
@click.option(
    "--packets",
    type=click.IntRange(min=1),
    metavar="N",
    help="In the capture (default 2400000, 1.2 GB, kept for the next time), and at most in a round.",
)
@click.option(
    "--capture-sims",
    type=click.IntRange(1, 1 << 24),
    metavar="N",
    help="SIMs in it (default 1000).",
)
@click.option("--pool", metavar="URL", help="grants: a PostgreSQL database beside SQLite.")
@click.option(
    "--quick", "--smoke", is_flag=True, help="One round, tiny sizes: that it runs; no figures."
)
@click.option(
    "--format", "form", type=click.Choice(["table", "json"]), default="table", show_default=True
)
@click.option("--json", "as_json", is_flag=True, help="The same as --format json.")
@click.option(
    "-o",
    "--output",
    type=click.Path(dir_okay=False),
    metavar="FILE",
    help="Append the JSON document to FILE, as one line.",
)
@click.option(
    "--schema",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_show_schema,
    help="Print the JSON Schema of the document and exit.",
)
@click.option("-q", "--quiet", is_flag=True, help="Not a word on what is at work or left out.")
@click.option("-v", "--verbose", is_flag=True, help="Every round in the table.")
def command(
    form: str, as_json: bool, output: str | None, quiet: bool, verbose: bool, **given: Any
) -> int:
    """Measure pktoll and its peers on this machine: they take turns, medians and ratios are shown.

    \b
    SECTION, without any the first four:
      meter     the metering kernel beside counting only, DPDK's srTCM and trTCM
      exempt    long lists of exempt endpoints
      replay    a capture in the page cache beside loops over libpcap
      programs  the same beside pmacctd, nfpcapd, softflowd, tshark, dpkt and scapy
      gen       writing a capture
      grants    slices a second of the coupon database
      api       packets through the Python API and ZeroMQ (also: service)
      live      a gateway under load beside osmo-ggsn (root)

    Peers in C are built where there is a compiler, into the user's cache folder ($PKTOLL_BENCH
    names another one). What is missing is left out, and said. "CPU" is processor time; programs are
    seen from outside, their start apart.
    """
    run, report = _parts()
    found = run.run(_options(run.Options, given), _progress(quiet))
    document = report.as_json(found)
    if output:
        with open(output, "a", encoding="utf-8") as file:
            file.write(json.dumps(document) + "\n")
    with printing():
        if as_json or form == "json":
            click.echo(json.dumps(document, indent=2))
        else:
            _show(found, report.table(document, verbose))
    if not quiet:
        for one in found.left_out:
            click.echo(f"pktoll: bench: {one.what} left out: {one.why}", err=True)
    return 0


def _options(kind: "Callable[..., Options]", given: dict[str, Any]) -> "Options":
    """What was said; the rest is as usual. UsageError where a list is empty."""
    said = {key: value for key, value in given.items() if value not in (None, (), "")}
    for name in ("sims", "cores"):
        if given[name] == ():
            raise UsageError(f"--{name} names nothing; leave it out for the usual")
    return kind(**said)


def _progress(quiet: bool) -> "Callable[[str], None]":
    """Says what is at work on standard error, on a terminal only."""
    if quiet or not sys.stderr.isatty():
        return lambda _: None
    return lambda words: click.echo(f"pktoll: bench: {words} ...", err=True)


def _show(found: "Result", lines: Any) -> None:
    for line in lines:
        click.echo(line)
    for one in found.apart.values():
        one.show()
