"""`pktoll serve`: a live gateway, P-GW and GGSN over UDP."""

import contextlib
import json
import os
import signal
import socket
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from engine.cli.captures import announce, tell
from engine.cli.pool_database import instant
from engine.errors import OutputError

if TYPE_CHECKING:
    from engine.gateway.gateway import Gateway
    from engine.service.server import Server

STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
SERVICE_BUDGET = 16
"""requests of the service that are answered in one turn of the loop"""
CLEAR = "\r\x1b[K"


@click.command(
    epilog="""
    \b
    Examples:
      pktoll serve --subscribers lines.toml
      pktoll serve --subscribers lines.toml --pool sqlite:///coupons.db --sgi tun:pgw0 \\
          --gtp-c 10.0.0.1:2123 --gtp-u 10.0.0.1:2152 --beyond-loopback
      pktoll serve --sgi udp:127.0.0.1:7000,127.0.0.1:7001 --service ipc:///run/pktoll.sock
      pktoll serve --start 2013-11-05T07:00:00+09:00 --events morning.jsonl --report end.json
    """
)
@click.option("--config", metavar="FILE", help="Configuration (TOML); default: the packaged one.")
@click.option(
    "--subscribers", metavar="FILE", help="Contracts and lines (TOML, CSV or a packed table)."
)
@click.option(
    "--events",
    metavar="FILE",
    help="Switches, charges, suspensions at times of the gateway's date (JSON lines or TOML).",
)
@click.option(
    "--pool",
    metavar="URL",
    help="Coupon database: sqlite:///file.db or postgresql://…; default: in memory.",
)
@click.option(
    "--gateway",
    metavar="NAME",
    default="pgw",
    show_default=True,
    help="Name by which the coupon database knows this gateway.",
)
@click.option(
    "--gtp-c",
    metavar="ADDR:PORT",
    default="127.0.0.1:2123",
    show_default=True,
    help="Where control messages come; port 0: any.",
)
@click.option(
    "--gtp-u",
    metavar="ADDR:PORT",
    default="127.0.0.1:2152",
    show_default=True,
    help="Where user packets come; port 0: any.",
)
@click.option(
    "--peer-port",
    type=click.IntRange(1, 65_535),
    default=2152,
    show_default=True,
    help="GTP-U port of the S-GWs and SGSNs.",
)
@click.option(
    "--sgi",
    metavar="KIND",
    default="echo",
    show_default=True,
    help="The network side: tun:NAME; udp:ADDR:PORT[,PEER:PORT], a packet a datagram, both ways; "
    "pcap:FILE; or echo: every packet comes back.",
)
@click.option(
    "--beyond-loopback",
    is_flag=True,
    help="Listen on addresses beyond this machine. GTP has no keys of its own: only in a closed "
    "network, or a namespace.",
)
@click.option("--service", metavar="ENDPOINT", help="Serve control verbs too: ipc://… or tcp://….")
@click.option("--telemetry", metavar="ENDPOINT", help="Publish totals, drops and events there.")
@click.option(
    "--key",
    metavar="FILE",
    type=Path,
    help="CURVE of --service: the server's NAME.key_secret file.",
)
@click.option(
    "--clients", metavar="DIR", type=Path, help="CURVE: folder with the NAME.key of every client."
)
@click.option(
    "--start",
    "start_ns",
    metavar="INSTANT",
    callback=instant,
    help="The gateway's date when it starts (ISO 8601 with offset, or ns since 1970); default: now.",
)
@click.option("--records", metavar="FILE", help="Append a usage record a session (JSON lines).")
@click.option(
    "--report", metavar="FILE", help="Write the report (JSON) at the end; '-': standard output."
)
@click.option(
    "--ready-file",
    metavar="FILE",
    type=Path,
    help="Write the ports (JSON) when packets are served.",
)
@click.option(
    "--hold-packets",
    type=click.IntRange(256, 1 << 22),
    default=1 << 17,
    show_default=True,
    help="Packets that may wait for their departure at once; 2 kB each.",
)
@click.option(
    "--no-offload",
    is_flag=True,
    help="Do not let the system join datagrams of one size (UDP GSO and GRO).",
)
@click.option("-q", "--quiet", is_flag=True, help="Say nothing but what went wrong.")
@click.option(
    "-v", "--verbose", is_flag=True, help="A line of figures every second, terminal or not."
)
def command(**given: Any) -> None:
    """A live gateway: S-GWs and SGSNs attach over GTPv2-C and GTPv1-C, packets go through over GTP-U.

    Runs until SIGTERM or SIGINT; then sessions are closed and every slice is settled. A second signal
    ends it at once, like a crash: no byte is lost, but some are uncertain (pktoll pool audit).
    """
    # Imported here: the engine brings numba, which `--help` need not wait for.
    from engine.gateway.gateway import Gateway

    announce(given["quiet"], given["subscribers"])
    with _woken() as woken, Gateway(_options(given, woken.fileno())) as gateway:
        _warm()
        with _service(gateway, given) as server:
            _speak(gateway, given["quiet"], given["verbose"])
            _ready(gateway, server, given["ready_file"], given["quiet"])
            with _stopped_by_signals(gateway):
                gateway.loop.run()
        gateway.write_records()
        _report(gateway, given["report"])
    if not given["quiet"]:
        _summary(gateway)


def _options(given: dict[str, Any], woken: int) -> Any:
    from engine.gateway.ends import parse_end
    from engine.gateway.gateway import Options

    same = ("config", "subscribers", "events", "pool", "gateway", "peer_port", "sgi")
    more = ("beyond_loopback", "start_ns", "records", "hold_packets")
    return Options(
        gtp_c=parse_end(given["gtp_c"], "--gtp-c"),
        gtp_u=parse_end(given["gtp_u"], "--gtp-u"),
        offload=not given["no_offload"],
        woken=woken,
        **{name: given[name] for name in same + more},
    )


def _warm() -> None:
    """Compile before the first packet comes: they would have to wait for it."""
    from engine import jit

    jit.warm()


@contextlib.contextmanager
def _woken() -> Iterator[socket.socket]:
    """A socket that becomes readable when a signal comes, so that a loop that waits goes on."""
    near, far = socket.socketpair()
    with near, far:
        near.setblocking(False)
        far.setblocking(False)
        before = signal.set_wakeup_fd(far.fileno(), warn_on_full_buffer=False)
        try:
            yield near
        finally:
            signal.set_wakeup_fd(before)


@contextlib.contextmanager
def _stopped_by_signals(gateway: "Gateway") -> Iterator[None]:
    """The first signal lets the turn end and all be settled; a second ends the process at once."""

    def stop(number: int, _: object) -> None:
        signal.signal(number, signal.SIG_DFL)
        gateway.loop.stop()

    heard = [number for number in STOPPING if signal.getsignal(number) != signal.SIG_IGN]
    before = {number: signal.signal(number, stop) for number in heard}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def _service(gateway: "Gateway", given: dict[str, Any]) -> Iterator["Server | None"]:
    """The ZeroMQ service in the gateway's loop, where it was asked for."""
    endpoint = given["service"]
    if endpoint is None:
        for name in ("telemetry", "key", "clients"):
            if given[name] is not None:
                raise click.UsageError(f"--{name} belongs to --service")
        yield None
        return
    from engine import clock
    from engine.cli.service import keys_of
    from engine.service.server import Options, Server
    from engine.service.verbs import CONTROL

    options = Options(
        telemetry=given["telemetry"],
        keys=keys_of(given["key"], given["clients"]),
        verbs=frozenset(CONTROL),
        now_ns=gateway.date.now_ns,
        gateway=gateway.figures,
    )
    with contextlib.closing(Server(gateway.engine, endpoint, options)) as server:

        def ready() -> bool:
            return server.serve_ready(SERVICE_BUDGET) == SERVICE_BUDGET

        ready()
        gateway.loop.join(server.fd, ready)
        gateway.loop.every_second(lambda now_ns: server.tick(clock.lease_ns()))
        yield server


def _speak(gateway: "Gateway", quiet: bool, verbose: bool) -> None:
    """Say once a second what goes on: on a terminal, or where that is wanted."""
    if quiet:
        return
    from engine.gateway.watch import Watch

    watch = Watch(gateway)
    terminal = sys.stderr.isatty()

    def say(now_ns: int) -> None:
        line, warnings = watch.look(now_ns)
        tell([], warnings, quiet)
        if verbose:
            sys.stderr.write(f"pktoll: {line}\n")
        elif terminal:
            sys.stderr.write(f"{CLEAR}{line}")
        sys.stderr.flush()

    gateway.loop.every_second(say)


def _ready(
    gateway: "Gateway", server: "Server | None", ready_file: Path | None, quiet: bool
) -> None:
    """Say where peers may come; programs that started this one wait for it."""
    said: dict[str, Any] = {
        "gtp_c": str(gateway.gtp_c),
        "gtp_u": str(gateway.gtp_u),
        "sgi": gateway.sgi.name,
        "service": server.endpoint if server else None,
        "telemetry": server.telemetry if server else None,
        "pid": os.getpid(),
    }
    if ready_file is not None:
        part = ready_file.with_name(f"{ready_file.name}.part")
        part.write_text(json.dumps(said) + "\n", encoding="utf-8")
        part.rename(ready_file)
    tell([], [f"to be done by hand: {line}" for line in gateway.sgi.left], quiet)
    if not quiet:
        service = f" service {server.endpoint}" if server else ""
        sys.stderr.write(
            f"ready: gtp-c {gateway.gtp_c} gtp-u {gateway.gtp_u} sgi {gateway.sgi.name}{service}\n"
        )
        sys.stderr.flush()


def _report(gateway: "Gateway", path: str | None) -> None:
    if path is None:
        return
    text = json.dumps(gateway.report(), indent=2) + "\n"
    if path == "-":
        sys.stdout.write(text)
        return
    try:
        Path(path).write_text(text, encoding="utf-8")
    except OSError as error:
        # An error of output only: slices are settled all the same.
        raise OutputError(f"--report {path}: {error.strerror}; the ledger is complete") from None


def _summary(gateway: "Gateway") -> None:
    figures = gateway.figures()
    up, down, hold = figures["up"], figures["down"], figures["hold"]
    start = CLEAR if sys.stderr.isatty() else ""
    sys.stderr.write(
        f"{start}pktoll: stopped: {up['packets']:,} packets up, {down['packets']:,} down, "
        f"{hold['closed_packets']:,} still waiting when their session ended; "
        "every slice is settled\n"
    )
