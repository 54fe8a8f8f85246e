"""`pktoll demo`: a made-up morning of a family of three SIMs; generate, replay, show."""

import tempfile
from pathlib import Path

import click

from engine.cli.main import fail

SCENARIO = "family"
FILES = ("family.pcap", "family.toml", "family.events.jsonl")


@click.command("demo")
def command() -> int:
    """A made-up morning of a family of three SIMs: generate, replay, show.

    One contract, three SIMs, 45 MB of coupon left. Needs no arguments, no files and no network.
    """
    # Imported here: the engine brings numba, which `--help` need not wait for.
    import gateway_sim
    from engine.cli.console import Output
    from engine.cli.table import show
    from engine.cli.timeline import plot, timeline
    from engine.replay import Options, run

    console = Output()
    scenario = gateway_sim.load(SCENARIO)
    with tempfile.TemporaryDirectory(prefix="pktoll-demo-") as folder:
        capture, subscribers, events = (str(Path(folder) / name) for name in FILES)
        made = gateway_sim.generate(scenario, capture)
        gateway_sim.write_subscribers(scenario, subscribers)
        gateway_sim.write_events(scenario, events)
        console.print(f"{scenario.title}: {made.packets:,} G-PDUs.\n", highlight=False)
        report = run(Options(captures=(capture,), subscribers=subscribers, events=events))
        span_ns = (scenario.start_ns, scenario.end_ns)
        morning = timeline(capture, subscribers, events, span_ns)
    show(report.document, console)
    console.print()
    plot(console, morning)
    console.print("\n[bold]The same, step by step[/]")
    for words in commands():
        console.print(f"  {words}", highlight=False, soft_wrap=True)
    for fault in report.faults:
        fail(fault)
    return report.exit_status


def commands() -> list[str]:
    """The command lines that do what the demonstration did."""
    capture, subscribers, events = FILES
    with_books = f"--subscribers {subscribers} --events {events}"
    return [
        f"pktoll gen {SCENARIO} -o {capture} {with_books}",
        f"pktoll replay {capture} {with_books}",
    ]
