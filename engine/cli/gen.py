"""`pktoll gen`: the LTE side as a capture."""

import os

import click


@click.command("gen")
@click.argument("scenario")
@click.option(
    "-o",
    "--output",
    required=True,
    type=click.Path(dir_okay=False),
    help="The capture to write (pcap).",
)
@click.option(
    "--subscribers", type=click.Path(dir_okay=False), help="Write the subscriber file, too."
)
@click.option("--events", type=click.Path(dir_okay=False), help="Write the event file, too.")
def command(scenario: str, output: str, subscribers: str | None, events: str | None) -> None:
    """Write the capture that SCENARIO describes.

    SCENARIO is a TOML file or the name of a scenario that comes with the program (family, cell).
    The same scenario gives the same bytes, on every machine.
    """
    import gateway_sim
    from engine.errors import PktollError

    written = [path for path in (output, subscribers, events) if path]
    if len({os.path.realpath(path) for path in written}) < len(written):
        raise click.UsageError("-o, --subscribers and --events must name different files")
    description = gateway_sim.load(scenario)
    try:
        summary = gateway_sim.generate(description, output)
        if subscribers:
            gateway_sim.write_subscribers(description, subscribers)
        if events:
            gateway_sim.write_events(description, events)
    except OSError as error:
        raise PktollError(
            f"{error.filename or output}: cannot be written: {error.strerror}; "
            "choose another place with -o"
        ) from None
    click.echo(
        f"{output}: {description.title}: {summary.packets} packets, "
        f"{summary.inner_bytes} bytes of IP, {summary.file_bytes} bytes"
    )
