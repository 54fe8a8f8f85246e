"""`pktoll service`: an engine for other programs over ZeroMQ and msgpack, and the keys for it."""

import contextlib
import json
import os
import resource
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from engine.cli.captures import announce
from engine.cli.pool_database import at_time

if TYPE_CHECKING:
    from engine.runtime import Engine
    from engine.service.keys import ServerKeys
    from engine.service.server import Server

STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@click.group(
    name="service",
    invoke_without_command=True,
    subcommand_metavar="[keygen ...]",
    epilog="""
    \b
    Examples:
      pktoll service --endpoint ipc:///run/pktoll.sock --pool sqlite:///coupons.db
      pktoll service --endpoint tcp://127.0.0.1:5550 --telemetry tcp://127.0.0.1:5551
      pktoll service keygen keys --name server; pktoll service keygen clients --name meter
      pktoll service --endpoint tcp://0.0.0.0:5550 --key keys/server.key_secret --clients clients
    """,
)
@click.option(
    "--endpoint", metavar="ENDPOINT", help="Where to listen: ipc://PATH or tcp://HOST:PORT."
)
@click.option("--telemetry", metavar="ENDPOINT", help="Where to publish totals, drops and events.")
@click.option(
    "--interval-ms",
    type=click.IntRange(10, 3_600_000),
    default=1_000,
    show_default=True,
    help="Between two totals.",
)
@click.option("--config", metavar="FILE", help="Configuration (TOML); default: the packaged one.")
@click.option(
    "--subscribers", metavar="FILE", help="Contracts and lines (TOML, CSV or a packed table)."
)
@at_time
@click.option(
    "--known-only", is_flag=True, help="Refuse SIMs that neither file nor coupon database knows."
)
@click.option("--pool", metavar="URL", help="Coupon database; default: in memory.")
@click.option(
    "--gateway",
    metavar="NAME",
    default="service",
    show_default=True,
    help="Name by which the coupon database knows this engine.",
)
@click.option("--key", metavar="FILE", type=Path, help="CURVE: the server's NAME.key_secret file.")
@click.option(
    "--clients", metavar="DIR", type=Path, help="CURVE: folder with the NAME.key of every client."
)
@click.option(
    "--requests-per-s",
    type=click.IntRange(1, 1_000_000),
    default=20_000,
    show_default=True,
    help="Of each connection or key; beyond it, it is told to slow down.",
)
@click.option(
    "--ready-file",
    metavar="FILE",
    type=Path,
    help="Write the endpoints (JSON) when requests are answered.",
)
@click.option("-q", "--quiet", is_flag=True, help="Say nothing but what went wrong.")
@click.pass_context
def command(ctx: click.Context, /, **given: Any) -> None:
    """An engine for other programs, over ZeroMQ and msgpack: docs/protocol.md.

    Runs until SIGTERM or SIGINT, then settles every slice. Nothing listens beyond this machine without
    keys. --at is the time at which --subscribers is entered; the engine's time never goes back behind it.
    """
    if ctx.invoked_subcommand is None:
        if given["endpoint"] is None:
            raise click.UsageError(
                "--endpoint: say where to listen, such as ipc:///run/pktoll.sock"
            )
        run(**given)


@command.command(
    epilog="""
    \b
    Example:
      pktoll service keygen clients --name meter
    """
)
@click.argument("folder", metavar="DIR", type=Path)
@click.option("--name", required=True, help="Name of the pair: NAME.key and NAME.key_secret.")
def keygen(folder: Path, name: str) -> None:
    """Make a pair of CURVE keys in DIR and print the public one.

    NAME.key is for the other side: the server's for its clients, a client's for the server's folder of
    --clients. NAME.key_secret stays, and is readable for its owner only.
    """
    from engine.service import keys

    public_file, secret_file, public = keys.make(folder, name)
    click.echo(f"{public}")
    sys.stderr.write(f"pktoll: wrote {public_file} and {secret_file}\n")


def run(quiet: bool, **given: Any) -> None:
    """Serve until a signal says to stop."""
    from engine import jit
    from engine.runtime import Engine
    from engine.runtime.collector import brief
    from engine.service.server import Options, Server
    from engine.units import NS_PER_MS

    keys = keys_of(given["key"], given["clients"])
    announce(quiet, given["subscribers"])
    _allow_connections()
    options = Options(
        telemetry=given["telemetry"],
        interval_ns=given["interval_ms"] * NS_PER_MS,
        keys=keys,
        known_only=given["known_only"],
        requests_per_s=given["requests_per_s"],
    )
    with (
        Engine.open(given["config"], given["pool"], given["gateway"]) as engine,
        contextlib.closing(Server(engine, given["endpoint"], options)) as server,
        _stopped_by_signals(server),
    ):
        _enter(engine, given["subscribers"], given["at_ns"])
        jit.warm()  # not while the first client waits
        _ready(server, given["ready_file"], quiet)
        with brief():
            server.serve()
        answered = server.dispatcher.requests
    if not quiet:
        sys.stderr.write(f"pktoll: stopped after {answered} requests; every slice is settled\n")


def keys_of(secret: Path | None, clients: Path | None) -> "ServerKeys | None":
    """The keys that a server needs beyond this machine; UsageError where only half of them is named."""
    from engine.service.keys import server_keys

    if (secret is None) != (clients is None):
        raise click.UsageError(
            "--key and --clients belong together: whose server, and who may come"
        )
    if secret is None or clients is None:
        return None
    return server_keys(secret, clients)


def _enter(engine: "Engine", subscribers: str | None, at_ns: int) -> None:
    from engine.subscribers import load_any

    if subscribers is not None:
        engine.load(load_any(subscribers, engine.settings), at_ns)


def _allow_connections() -> None:
    """As many files as the system lets us have: half-open connections must not use them up (B72)."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def _ready(server: "Server", ready_file: Path | None, quiet: bool) -> None:
    """Say where requests are answered; programs that started this one wait for it."""
    if ready_file is not None:
        said = {"service": server.endpoint, "telemetry": server.telemetry, "pid": os.getpid()}
        part = ready_file.with_name(f"{ready_file.name}.part")
        part.write_text(json.dumps(said) + "\n", encoding="utf-8")
        part.rename(ready_file)
    if not quiet:
        more = f" telemetry {server.telemetry}" if server.telemetry else ""
        sys.stderr.write(f"ready: service {server.endpoint}{more}\n")
        sys.stderr.flush()


@contextlib.contextmanager
def _stopped_by_signals(server: "Server") -> Iterator[None]:
    """The first signal lets the request in hand be answered, and all be settled; a second ends at once."""

    def stop(number: int, _: object) -> None:
        signal.signal(number, signal.SIG_DFL)
        server.stop()

    heard = [number for number in STOPPING if signal.getsignal(number) != signal.SIG_IGN]
    before = {number: signal.signal(number, stop) for number in heard}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
