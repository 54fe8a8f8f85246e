"""`pktoll gen`: the LTE side as a capture."""

import json
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, BinaryIO

import click

if TYPE_CHECKING:
    from gateway_sim import Scenario, Summary

STDOUT = "-"
FILE = click.Path(dir_okay=False)


def _show_list(context: click.Context, _: click.Parameter, wanted: bool) -> None:
    """`--list` needs no scenario."""
    if not wanted or context.resilient_parsing:
        return
    import gateway_sim

    for name, title in gateway_sim.titles():
        click.echo(f"{name:<20} {title}")
    context.exit()


@click.command("gen")
@click.argument("scenario")
@click.option(
    "-o", "--output", type=FILE, help="The capture to write (pcap); - is standard output."
)
@click.option("--subscribers", type=FILE, help="Write the subscriber file, too.")
@click.option("--events", type=FILE, help="Write the event file, too.")
@click.option(
    "--expect",
    type=FILE,
    help="Write what a gateway should make of the scenario's attacks (JSON): packets by drop reason.",
)
@click.option("--signalling", is_flag=True, help="Put control messages into the capture (GTP-C).")
@click.option(
    "--packets-max",
    type=click.IntRange(min=1),
    metavar="N",
    help="End the capture after N packets of users.",
)
@click.option("--dry-run", is_flag=True, help="Check the scenario and say how large it would be.")
@click.option("-q", "--quiet", is_flag=True, help="No progress bar and no summary.")
@click.option(
    "--list",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_show_list,
    help="Name the scenarios that come with the program, and end.",
)
def command(
    scenario: str,
    output: str | None,
    subscribers: str | None,
    events: str | None,
    expect: str | None,
    signalling: bool,
    packets_max: int | None,
    dry_run: bool,
    quiet: bool,
) -> None:
    """Write the capture that SCENARIO describes.

    SCENARIO is a TOML file or the name of a scenario that comes with the program (--list).
    The same scenario gives the same bytes, on every machine.

    \b
    pktoll gen family -o family.pcap --subscribers family.toml --events family.events.jsonl
    pktoll gen busy-cell --packets-max 100000 -q -o - | pktoll replay -
    pktoll gen attack -o attack.pcap --expect attack.json
    """
    import gateway_sim

    if not (output or dry_run):
        raise click.UsageError("say with -o where the capture is to go (or --dry-run)")
    if output == STDOUT and sys.stdout.isatty():
        raise click.UsageError("-o - writes a capture, which is nothing for a terminal: pipe it on")
    written = [path for path in (output, subscribers, events, expect) if path]
    if len({os.path.realpath(path) for path in written}) < len(written):
        raise click.UsageError("-o, --subscribers, --events and --expect must name different files")
    description = gateway_sim.load(scenario)
    if signalling:
        description = replace(description, signalling=True)
    gateway_sim.check_sends(description)
    if dry_run:
        click.echo(f"{description.title}: {_size(description)}")
        return
    assert output is not None
    with _said_where(output), _bar(description, quiet) as progress:
        summary = _written(description, output, packets_max, progress)
    _write_books(description, subscribers, events, expect)
    if not quiet:
        click.echo(f"{output}: {description.title}: {_said(summary)}", err=output == STDOUT)


def _size(description: "Scenario") -> str:
    import gateway_sim

    guess = gateway_sim.estimate(description)
    return (
        f"{guess.lines} SIMs, {guess.flows} flows, about {guess.packets} packets, "
        f"{guess.file_bytes} bytes"
    )


def _said(summary: "Summary") -> str:
    others = f", {summary.others} other frames" if summary.others else ""
    return (
        f"{summary.packets} packets, {summary.inner_bytes} bytes of IP{others}, "
        f"{summary.file_bytes} bytes"
    )


def _written(
    description: "Scenario",
    output: str,
    packets_max: int | None,
    progress: Callable[[int], None] | None,
) -> "Summary":
    import gateway_sim

    target: str | BinaryIO = sys.stdout.buffer if output == STDOUT else output
    return gateway_sim.generate(description, target, packets_max=packets_max, progress=progress)


def _write_books(
    description: "Scenario", subscribers: str | None, events: str | None, expect: str | None
) -> None:
    import gateway_sim

    if subscribers:
        with _said_where(subscribers):
            gateway_sim.write_subscribers(description, subscribers)
    if events:
        with _said_where(events):
            gateway_sim.write_events(description, events)
    if expect:
        document = {"schema": "pktoll.expected/1", **gateway_sim.expected(description)}
        with _said_where(expect), open(expect, "w", encoding="utf-8") as file:
            file.write(json.dumps(document, indent=2) + "\n")


@contextmanager
def _said_where(place: str) -> Iterator[None]:
    """What cannot be written ends in one line that names it."""
    from engine.errors import PktollError

    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as error:
        raise PktollError(
            f"{place}: cannot be written: {error.strerror}; choose another place"
        ) from None


@contextmanager
def _bar(description: "Scenario", quiet: bool) -> Iterator[Callable[[int], None] | None]:
    """A progress bar over the scenario's time, on standard error, on a terminal only."""
    if quiet or not sys.stderr.isatty():
        yield None
        return
    length_ms = (description.end_ns - description.start_ns) // 1_000_000
    with click.progressbar(length=length_ms, label=description.name, file=sys.stderr) as bar:
        yield lambda now_ns: bar.update((now_ns - description.start_ns) // 1_000_000 - bar.pos)
