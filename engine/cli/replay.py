"""`pktoll replay`: captures in, the bill out."""

import contextlib
import signal
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Literal

import click

from engine.cli.captures import announce, check_prefixes, tell, who_is_who
from engine.cli.main import fail, printing

if TYPE_CHECKING:
    from engine.replay import Report
    from engine.replay.options import Progress
    from engine.wire.source import Stop

FAIL_IF_STATUS = 5
STDOUT = "-"
STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def _show_schema(ctx: click.Context, _: click.Parameter, wanted: bool) -> None:
    if wanted and not ctx.resilient_parsing:
        from importlib.resources import files

        text = files("engine.replay").joinpath("replay.schema.json").read_text(encoding="utf-8")
        click.echo(text, nl=False)
        ctx.exit()


@click.command(
    epilog="""
    \b
    Examples:
      pktoll replay capture.pcap --ue-net 10.45.0.0/16
      pktoll replay s5u.pcapng --subscribers lines.toml --events morning.jsonl --format json
      tcpdump -w - port 2152 | pktoll replay - --format csv
      pktoll replay s5u.pcap --shaped left.pcap --dropped dropped.pcapng
      pktoll replay *.pcap --pool sqlite:///coupons.db --fail-if 'dropped_bytes > 0'
    """
)
@click.argument("captures", nargs=-1, required=True, metavar="CAPTURE...")
@who_is_who
@click.option(
    "--pool",
    metavar="URL",
    help="Coupon database: sqlite:///file.db or postgresql://…; default: in memory.",
)
@click.option(
    "--gateway",
    metavar="NAME",
    default="replay",
    show_default=True,
    help="Name by which the coupon database knows this replay; two at a time need two names.",
)
@click.option(
    "--format",
    "form",
    type=click.Choice(["table", "json", "jsonl", "csv"]),
    default="table",
    show_default=True,
)
@click.option(
    "--shaped",
    metavar="FILE.pcap",
    help="Write the packets that left, each at its departure (pcap, ns). '-': standard output; the "
    "report then goes to standard error.",
)
@click.option(
    "--gtp",
    type=click.Choice(["keep", "strip"]),
    default="keep",
    show_default=True,
    help="In --shaped: frames as captured, or only the IP packets that are charged (raw IP).",
)
@click.option(
    "--dropped",
    metavar="FILE.pcapng",
    help="Write the packets that did not leave, with the reason as comment (pcapng).",
)
@click.option(
    "--workers",
    type=click.IntRange(1, 64),
    default=None,
    show_default="one for each core",
    help="Threads for one pcap file; the figures are the same for any number.",
)
@click.option(
    "--fail-if",
    "fail_ifs",
    metavar="EXPR",
    multiple=True,
    help="Exit with 5 if FIELD OP NUMBER holds, such as 'dropped_bytes > 0'.",
)
@click.option(
    "--schema",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_show_schema,
    help="Print the JSON Schema of --format json and exit.",
)
@click.option("-q", "--quiet", is_flag=True, help="No progress bar and no remarks.")
@click.option("-v", "--verbose", is_flag=True, help="Say more: kernels, GTP-U message types.")
def command(
    captures: tuple[str, ...],
    config: str | None,
    subscribers: str | None,
    events: str | None,
    pool: str | None,
    gateway: str,
    ue_nets: tuple[str, ...],
    encapsulation: str,
    sessions: Literal["auto", "ignore"],
    form: str,
    shaped: str | None,
    gtp: Literal["keep", "strip"],
    dropped: str | None,
    workers: int | None,
    fail_ifs: tuple[str, ...],
    allow_clock_leap: bool,
    quiet: bool,
    verbose: bool,
) -> int:
    """Bill captures: who would have been charged, slowed and dropped.

    CAPTURE is a pcap or pcapng file, gzipped or not; "-" reads standard input. Several are replayed in
    time order.
    """
    # Imported here: the engine brings numba, which `--help` need not wait for.
    from engine.replay import Condition, Options, run
    from engine.replay.formats import MACHINE

    check_prefixes(ue_nets)
    _check_outputs(shaped, dropped, gtp)
    announce(quiet, subscribers)
    conditions = [Condition.parse(text) for text in fail_ifs]
    with _progress(quiet) as progress, _stoppable() as stop:
        report = run(
            Options(
                captures=captures,
                config=config,
                subscribers=subscribers,
                events=events,
                pool=pool,
                gateway=gateway,
                ue_nets=ue_nets,
                encapsulation=encapsulation,
                sessions=sessions,
                workers=workers,
                shaped=shaped,
                dropped=dropped,
                gtp=gtp,
                allow_clock_leap=allow_clock_leap,
                progress=progress,
                stop=stop,
            )
        )
    with _beside(shaped, dropped), printing():
        if form == "table":
            from engine.cli.table import show

            show(report.document)
        else:
            for text in MACHINE[form](report.document):
                sys.stdout.write(text)
    return _tell(report, [c.text for c in conditions if c.holds(report.document)], quiet, verbose)


def _check_outputs(shaped: str | None, dropped: str | None, gtp: str) -> None:
    if gtp == "strip" and shaped is None:
        raise click.UsageError("--gtp strip is about the packets of --shaped; name a file for them")
    if STDOUT in (shaped, dropped) and sys.stdout.isatty():
        raise click.UsageError("packets are not written to a terminal; name a file, or use a pipe")


def _beside(*outputs: str | None) -> "contextlib.AbstractContextManager[object]":
    """Where packets go to standard output, the report goes to standard error."""
    if STDOUT in outputs:
        return contextlib.redirect_stdout(sys.stderr)
    return contextlib.nullcontext()


def _tell(report: "Report", failed: list[str], quiet: bool, verbose: bool) -> int:
    """Remarks and faults on standard error; returns the exit status."""
    tell([*report.notices, *(report.details if verbose else [])], report.warnings, quiet)
    for fault in report.faults:
        fail(fault)
    for condition in failed:
        fail(f"--fail-if {condition} holds")
    return FAIL_IF_STATUS if failed and not report.exit_status else report.exit_status


@contextlib.contextmanager
def _stoppable() -> "Iterator[Stop]":
    """Let a signal end the reading, not the bill: what was read is settled and reported.

    A second signal ends the process at once.
    """
    from engine.wire.source import Stop

    stop = Stop()

    def ask(number: int, _: object) -> None:
        signal.signal(number, signal.SIG_DFL)
        stop.ask()

    # What is ignored stays so: `nohup`, or a command that a script runs in the background.
    heard = [number for number in STOPPING if signal.getsignal(number) != signal.SIG_IGN]
    before = {number: signal.signal(number, ask) for number in heard}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def _progress(quiet: bool) -> "Iterator[Progress | None]":
    """A progress bar on standard error, on a terminal only."""
    if quiet or not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

    columns = (TextColumn("reading"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("reading", total=None)

        def advance(done_bytes: int, all_bytes: int | None) -> None:
            bar.update(task, completed=done_bytes, total=all_bytes)

        yield advance
