"""`pktoll sim`: the LTE side, live: drives a gateway over UDP and checks it from outside."""

import contextlib
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from gateway_sim.live.child import Place
    from gateway_sim.live.verbs import Service

FAILED = 5
INCONCLUSIVE = 1
_NEEDED = "--gtp-u, --sgi and --sgi-local go together with --gateway"


class UdpAddress(click.ParamType[tuple[str, int]]):
    """ADDRESS:PORT on IPv4, as a pair."""

    name = "address:port"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, int]:
        import ipaddress

        address, _, port = str(value).rpartition(":")
        try:
            place = str(ipaddress.IPv4Address(address)), int(port)
        except ValueError:
            self.fail(f"{value!r} is not ADDRESS:PORT with an IPv4 address", param, ctx)
        if not 0 <= place[1] < 65_536:
            self.fail(f"{place[1]} is not a UDP port", param, ctx)
        return place


@click.command(
    "sim",
    epilog="""
    \b
    Examples:
      pktoll sim live-family
      pktoll sim live-mixed --format json > report.json
      pktoll sim live-family --gateway 127.0.0.1:2123 --gtp-u 127.0.0.1:2152 \\
        --sgi 127.0.0.1:9000 --sgi-local 127.0.0.1:9001 --service ipc:///run/pktoll.ipc
    """,
)
@click.argument("scenario")
@click.option(
    "--gateway",
    type=UdpAddress(),
    metavar="ADDR:PORT",
    help="GTP-C of a gateway that runs already. Default: one is started, and stopped at the end.",
)
@click.option("--gtp-u", type=UdpAddress(), metavar="ADDR:PORT", help="Its GTP-U.")
@click.option(
    "--sgi", type=UdpAddress(), metavar="ADDR:PORT", help="Its SGi side (serve --sgi udp:…)."
)
@click.option(
    "--sgi-local",
    type=UdpAddress(),
    metavar="ADDR:PORT",
    help="Where its SGi side sends to: the servers are played there.",
)
@click.option(
    "--service", metavar="ENDPOINT", help="Its service, for verbs of the operator and figures."
)
@click.option(
    "--local",
    metavar="ADDR",
    help="Address of the S-GW, with UDP 2123 and 2152 free. Default: one of 127.0.0.0/8.",
)
@click.option("--config", metavar="FILE", help="Configuration of the gateway that is started.")
@click.option(
    "--format",
    "form",
    type=click.Choice(["table", "json"]),
    default="table",
    show_default=True,
    help="Tables for people, or one JSON document with raw figures.",
)
def command(
    scenario: str,
    gateway: tuple[str, int] | None,
    gtp_u: tuple[str, int] | None,
    sgi: tuple[str, int] | None,
    sgi_local: tuple[str, int] | None,
    service: str | None,
    local: str | None,
    config: str | None,
    form: str,
) -> int:
    """Drive a gateway as the LTE side would, and check from outside what it does.

    SCENARIO is a TOML file with a table `live`, or the name of one that comes with the program
    (live-family, live-mixed, live-ten-thousand). Terminals attach, send, are slowed, charged, suspended
    and detached as it says; every packet is marked, so that what arrived, when, and what was counted can be
    compared with what was sent.

    Exit status: 0 every check passed; 5 one failed; 1 could not be decided (datagrams were lost on the
    way), or the run broke off.
    """
    place = _place(gateway, gtp_u, sgi, sgi_local, service)
    document = _run(scenario, place, local, sgi_local, config)
    if form == "json":
        import json

        click.echo(json.dumps(document, indent=2))
    else:
        from engine.cli.sim_table import show

        show(document)
    return {"pass": 0, "fail": FAILED}.get(document["result"], INCONCLUSIVE)


def _place(
    gateway: tuple[str, int] | None,
    gtp_u: tuple[str, int] | None,
    sgi: tuple[str, int] | None,
    sgi_local: tuple[str, int] | None,
    service: str | None,
) -> "Place | None":
    """Where the gateway is; None for one of our own."""
    if gateway is None:
        if gtp_u or sgi or sgi_local or service:
            raise click.UsageError(f"{_NEEDED}; without --gateway one is started")
        return None
    if gtp_u is None or sgi is None or sgi_local is None:
        raise click.UsageError(_NEEDED)
    from gateway_sim.live.child import Place

    return Place(gateway, gtp_u, sgi, service)


def _run(
    name: str,
    place: "Place | None",
    local: str | None,
    sgi_local: tuple[str, int] | None,
    config: str | None,
) -> dict[str, Any]:
    """The report of a run."""
    # Imported here: numpy and the scenario's reader are not needed for --help.
    import gateway_sim
    from gateway_sim.live import run
    from gateway_sim.live.report import document
    from gateway_sim.live.script import load
    from gateway_sim.loader import find

    scenario = gateway_sim.load(name)
    script = load(find(name), scenario)
    if place is not None:
        figures = run.run_against(
            scenario, script, place, connected, local=local, sgi_local=sgi_local or ("127.0.0.1", 0)
        )
        return document(scenario, figures)
    config = config or _beside(find(name), script.settings.config)
    with tempfile.TemporaryDirectory(prefix="pktoll-sim-") as folder:
        figures = run.run_with_child(scenario, script, Path(folder), connected, config)
    return document(scenario, figures)


def _beside(scenario: Path, config: str | None) -> str | None:
    """A configuration that a scenario names, from where the scenario is."""
    return None if config is None else str(scenario.parent / config)


@contextlib.contextmanager
def connected(endpoint: str) -> "Iterator[Service]":
    """The service at an endpoint as a callable: verb and arguments in, result out."""
    from engine.service.client import Client

    with Client(endpoint, timeout_ms=20_000) as client:
        verbs: dict[str, Callable[..., Any]] = {
            "switch": client.switch_coupon,
            "charge": client.charge,
            "suspend": client.suspend,
            "resume": client.resume,
            "replace": client.replace_sim,
            "snapshot": client.snapshot,
            "totals": client.totals,
        }
        yield lambda verb, args: verbs[verb](**args)
